/*
 * value - does a value fit its column, and what is the canonical key of a row? Pure; the one place that says POISON for a value.
 */
#ifndef FOLD_VALUE_H
#define FOLD_VALUE_H

#include "base/error.h"
#include "fold/table.h"

#include <stddef.h>

enum { KEY_BYTES_MAX = 2000 }; /* what every store can index */

/*
 * The value as a CELL_SET cell, text and bytes still where the value has them. RS_INT in as.sum. POISON: null in a not-null
 * column, or it does not fit; BUG: another type than the column's.
 */
int value_fit(const struct table *table, uint32_t column, const struct rs_value *value, struct cell *ret_cell,
              struct error *ret_error) MUST_CHECK;

/*
 * Canonical bytes of a key: equal keys have equal bytes and memcmp orders them as the values. cells: n_keys cells, as.sum for
 * RS_INT. ret_key holds KEY_BYTES_MAX. POISON: too long.
 */
int value_encode_key(const struct table *table, const struct cell *cells, uint8_t *ret_key, size_t *ret_size,
                     struct error *ret_error) MUST_CHECK;

/* The same from cells as stores give them (RS_INT in as.integer). */
int value_encode_stored_key(const struct table *table, const struct cell *cells, uint8_t *ret_key, size_t *ret_size,
                            struct error *ret_error) MUST_CHECK;

/* -1, 0, 1; both not null, of the column's type; RS_INT in as.sum. */
int value_compare(enum rs_type type, const struct cell *a, const struct cell *b);

bool value_has_data(enum rs_type type); /* text, bytes, json: as.data */

#endif
