/*
 * record_key - the record key against the key of a row, and as the value of a key column. Pure.
 */
#ifndef PLUGIN_RECORD_KEY_H
#define PLUGIN_RECORD_KEY_H

#include "base/arena.h"
#include "base/error.h"
#include "fold/table.h"

/*
 * May an event with that record key (data NULL: none) touch the row whose first key column has that value? Yes where the table is
 * shared; where it is not, the record key is its text, or the table says RS_KEY_FOLLOWS. POISON with both keys. The value is of
 * the column's type.
 */
int record_key_check(const struct table *table, const struct rs_bytes *record_key, const struct rs_value *first,
                     struct error *ret_error) MUST_CHECK;

/* Are the values of the key columns' types? BUG: the handler chose the type, so no event would do. POISON: null, which an event
 * may bring about. */
int record_key_check_types(const struct table *table, const struct rs_value *keys, struct error *ret_error) MUST_CHECK;

/* The record key as a value of a key column's type; false: none, or not readable as one. */
bool record_key_read(const struct rs_bytes *record_key, enum rs_type type, struct arena *arena, struct rs_value *ret_value);

#endif
