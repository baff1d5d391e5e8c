/*
 * key - canonical bytes of a row's key: equal keys have equal bytes, and bytes (then length) order as the values do. Pure.
 *
 * Column by column: integers, timestamps and dates big-endian with the sign flipped; decimals the same at the column's scale, in
 * 16 bytes; bool one byte; uuid as it is; text followed by NUL; bytes with 00 written 00 FF and followed by 00 00. The last
 * column's text or bytes stand as they are, without an end, so that the key of most tables is the very text.
 */
#ifndef FOLD_KEY_H
#define FOLD_KEY_H

#include "base/error.h"
#include "fold/table.h"

#include <stddef.h>

/*
 * cells: n_keys values in key order, not null, RS_INT in as.sum or as.integer. buffer holds KEY_BYTES_MAX. *ret_key is the buffer
 * or, where the key is one text, its own bytes. POISON: too long, or a text with NUL inside.
 */
int key_encode(const struct table *table, const struct cell *cells, uint8_t *buffer, const uint8_t **ret_key, size_t *ret_size,
               struct error *ret_error) MUST_CHECK;

/*
 * Makes the cells' text and bytes point into a kept copy of their canonical key where they stand there as they are. Text in it
 * has NUL behind it when the key has. Cells whose bytes were escaped are left alone.
 */
void key_point_cells(const struct table *table, const uint8_t *key, size_t size, struct cell *cells);

/* For messages: "acc-1", 7, the columns separated by commas; as much as fits. */
void key_print(const struct table *table, const struct cell *row_cells, char *ret_text, size_t size);

#endif
