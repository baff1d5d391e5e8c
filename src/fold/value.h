/*
 * value - does a value fit its column, how do two of them compare, and what do they look like in a message? Pure; the one place
 * that says POISON for a value.
 */
#ifndef FOLD_VALUE_H
#define FOLD_VALUE_H

#include "base/error.h"
#include "fold/table.h"

#include <stddef.h>

enum { VALUE_SHOWN_SIZE = 80 };

/*
 * The value as a CELL_SET cell, text and bytes still where the value has them. RS_INT in as.sum. POISON: null in a not-null
 * column, or it does not fit; BUG: another type than the column's. Negative zero becomes zero, so that equal reals are the same.
 */
int value_fit(const struct table *table, uint32_t column, const struct rs_value *value, struct cell *ret_cell,
              struct error *ret_error) MUST_CHECK;

/* The other way round; ret_value->type 0 for null. RS_INT within 64 bits. */
void value_give(const struct column *column, const struct cell *cell, struct rs_value *ret_value);

/* A cell as stores give it (RS_INT in as.integer) as the fold keeps it (in as.sum, CELL_SET). */
struct cell value_widen(const struct column *column, const struct cell *stored);

/* Does a sum fit its column (64 bits, the decimal's precision)? True for null and other types. */
bool value_sum_fits(const struct column *column, const struct cell *cell);

/* Below, at or above zero; both not null, of the column's type; RS_INT in as.sum. */
int value_compare(enum rs_type type, const struct cell *a, const struct cell *b);

/* For messages: 12.50, "a text", ..., shortened. RS_INT in as.sum. */
void value_print(const struct column *column, const struct cell *cell, char ret_text[VALUE_SHOWN_SIZE]);

/* "text", "int": as people know an enum rs_type. */
const char *value_type_name(uint32_t type);

static inline bool value_has_data(enum rs_type type) /* text, bytes, json: as.data */
{
    return type == RS_TEXT || type == RS_BYTES || type == RS_JSON;
}

#endif
