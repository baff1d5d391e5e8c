/*
 * decimal - exact decimals: text to struct rs_decimal and back, rescaling, addition with overflow told.
 *
 * The value is coefficient / 10^scale with at most 38 digits (include/readside/plugin.h). Pure.
 */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

#include "readside/plugin.h"

#include <stdbool.h>
#include <stddef.h>

typedef __int128 int128; /* the one typedef of the house: the standard has no name for it */

int128 decimal_coefficient(struct rs_decimal decimal);
struct rs_decimal decimal_make(int128 coefficient, int32_t scale);

/* 10^digits, 0 to 38. */
int128 decimal_power(unsigned digits);

/*
 * Reads the grammar of a JSON number (RFC 8259), a leading plus or zeros also: "-12.50", "1e3", "1.5E-3". The scale is what the
 * text says (trailing zeros count, a positive exponent scales the coefficient). False: not a number, more than 38 digits, or a
 * scale above 38.
 */
bool decimal_parse(const char *text, size_t size, struct rs_decimal *ret_decimal);

/* Writes "-12.50"; exactly scale digits behind the point. The buffer holds at least 48 bytes; returns the length. */
size_t decimal_print(struct rs_decimal decimal, char *ret_text);

/*
 * The coefficient at another scale. False: digits other than zero would be lost, or more than `precision` digits are needed.
 */
bool decimal_rescale(struct rs_decimal decimal, uint32_t precision, uint32_t scale, int128 *ret_coefficient);

#endif
