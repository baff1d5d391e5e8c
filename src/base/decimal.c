/*
 * decimal - exact decimals on 128-bit integers.
 *
 * Called per field by event, plugin and fold, and by the store drivers. Pure; no floating point anywhere.
 */
#include "base/decimal.h"

#include <stdint.h>
#include <string.h>

enum { MAX_DIGITS = 38, FAST_SIZE = 18 };

typedef unsigned __int128 uint128;

#define E18 UINT64_C(1000000000000000000)
#define HIGH(n) ((int128)(n) * (int128)E18)

static const int128 powers[MAX_DIGITS + 1] = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000, 1000000000000,
    10000000000000, 100000000000000, 1000000000000000, 10000000000000000, 100000000000000000, E18,
    HIGH(10), HIGH(100), HIGH(1000), HIGH(10000), HIGH(100000), HIGH(1000000), HIGH(10000000), HIGH(100000000),
    HIGH(1000000000), HIGH(10000000000), HIGH(100000000000), HIGH(1000000000000), HIGH(10000000000000),
    HIGH(100000000000000), HIGH(1000000000000000), HIGH(10000000000000000), HIGH(100000000000000000), HIGH(E18),
    HIGH(E18) * 10, HIGH(E18) * 100,
};

int128 decimal_coefficient(struct rs_decimal decimal)
{
    return (int128)((uint128)(uint64_t)decimal.high << 64 | decimal.low);
}

struct rs_decimal decimal_make(int128 coefficient, int32_t scale)
{
    return (struct rs_decimal){
        .low = (uint64_t)coefficient,
        .high = (int64_t)(coefficient >> 64),
        .scale = scale,
    };
}

int128 decimal_power(unsigned digits)
{
    return powers[digits > MAX_DIGITS ? MAX_DIGITS : digits];
}

/* Up to 18 bytes of digits and at most one point, the usual case: 64 bits and no counting. */
static bool parse_short(const char *at, const char *end, bool is_negative, struct rs_decimal *ret_decimal)
{
    const char *start = at;
    uint64_t coefficient = 0;
    int32_t scale = 0;

    while (at < end && (unsigned char)(*at - '0') <= 9) {
        coefficient = coefficient * 10 + (uint64_t)(*at++ - '0');
    }
    if (at == start) {
        return false;
    }
    if (at < end) {
        if (*at++ != '.' || at == end) {
            return false;
        }
        scale = (int32_t)(end - at);
        while (at < end && (unsigned char)(*at - '0') <= 9) {
            coefficient = coefficient * 10 + (uint64_t)(*at++ - '0');
        }
        if (at < end) {
            return false;
        }
    }
    *ret_decimal = decimal_make(is_negative ? -(int128)coefficient : (int128)coefficient, scale);
    return true;
}

/* Digits from *at on, appended to the coefficient. False: none at all, or more than 38 that count. */
static bool parse_digits(const char **at, const char *end, int128 *coefficient)
{
    const char *start = *at;

    while (*at < end && (unsigned char)(**at - '0') <= 9) {
        if (*coefficient >= powers[MAX_DIGITS - 1]) {
            return false;
        }
        *coefficient = *coefficient * 10 + (**at - '0');
        (*at)++;
    }
    return *at > start;
}

/* "[+-]digits" to the end. Numbers out of all range are held at a million. */
static bool parse_exponent(const char *at, const char *end, int32_t *ret_exponent)
{
    const int32_t bound = 1000000;
    bool is_negative = at < end && *at == '-';
    int32_t exponent = 0;

    if (at < end && (*at == '-' || *at == '+')) {
        at++;
    }
    if (at == end) {
        return false;
    }
    for (; at < end; at++) {
        if ((unsigned char)(*at - '0') > 9) {
            return false;
        }
        exponent = exponent * 10 + (*at - '0');
        exponent = exponent > bound ? bound : exponent;
    }
    *ret_exponent = is_negative ? -exponent : exponent;
    return true;
}

static bool parse_long(const char *at, const char *end, bool is_negative, struct rs_decimal *ret_decimal)
{
    int128 coefficient = 0;
    int64_t scale = 0;
    int32_t exponent = 0;

    if (!parse_digits(&at, end, &coefficient)) {
        return false;
    }
    if (at < end && *at == '.') {
        const char *fraction = ++at;

        if (!parse_digits(&at, end, &coefficient)) {
            return false;
        }
        scale = at - fraction;
    }
    if (at < end) {
        if ((*at != 'e' && *at != 'E') || !parse_exponent(at + 1, end, &exponent)) {
            return false;
        }
        scale -= exponent;
    }
    if (scale < 0) {
        if (coefficient != 0 && (-scale > MAX_DIGITS || coefficient >= powers[MAX_DIGITS + scale])) {
            return false;
        }
        coefficient = coefficient == 0 ? 0 : coefficient * powers[-scale];
        scale = 0;
    }
    if (scale > MAX_DIGITS) {
        return false;
    }
    *ret_decimal = decimal_make(is_negative ? -coefficient : coefficient, (int32_t)scale);
    return true;
}

bool decimal_parse(const char *text, size_t size, struct rs_decimal *ret_decimal)
{
    const char *end = text + size;
    bool is_negative;

    if (size == 0) {
        return false;
    }
    is_negative = *text == '-';
    if (is_negative || *text == '+') {
        text++;
    }
    if (end - text <= FAST_SIZE && parse_short(text, end, is_negative, ret_decimal)) {
        return true;
    }
    return parse_long(text, end, is_negative, ret_decimal);
}

/* The digits of a number, right-aligned before end, zero-padded to at least min_digits. Returns their first. */
static char *print_digits(uint128 number, unsigned min_digits, char *end)
{
    char *at = end;

    while (number > UINT64_MAX) { /* 18 digits at a time, so that the inner division is a 64-bit one */
        uint64_t part = (uint64_t)(number % E18);

        number /= E18;
        for (int i = 0; i < 18; i++) {
            *--at = (char)('0' + part % 10);
            part /= 10;
        }
    }
    for (uint64_t rest = (uint64_t)number; rest > 0; rest /= 10) {
        *--at = (char)('0' + rest % 10);
    }
    while ((size_t)(end - at) < min_digits) {
        *--at = '0';
    }
    return at;
}

size_t decimal_print(struct rs_decimal decimal, char *ret_text)
{
    int128 coefficient = decimal_coefficient(decimal);
    uint128 magnitude = coefficient < 0 ? -(uint128)coefficient : (uint128)coefficient;
    size_t scale = decimal.scale < 0 ? 0 : decimal.scale > MAX_DIGITS ? MAX_DIGITS : (size_t)decimal.scale;
    char digits[48];
    char *end = digits + sizeof digits;
    char *first = print_digits(magnitude, (unsigned)scale + 1, end);
    size_t whole = (size_t)(end - first) - scale;
    char *at = ret_text;

    if (coefficient < 0) {
        *at++ = '-';
    }
    memcpy(at, first, whole);
    at += whole;
    if (scale > 0) {
        *at++ = '.';
        memcpy(at, first + whole, scale);
        at += scale;
    }
    *at = '\0';
    return (size_t)(at - ret_text);
}

bool decimal_rescale(struct rs_decimal decimal, uint32_t precision, uint32_t scale, int128 *ret_coefficient)
{
    int128 coefficient = decimal_coefficient(decimal);
    int128 bound;

    if (decimal.scale < 0 || decimal.scale > MAX_DIGITS || scale > MAX_DIGITS || precision > MAX_DIGITS) {
        return false;
    }
    if ((uint32_t)decimal.scale < scale) {
        if (__builtin_mul_overflow(coefficient, powers[scale - (uint32_t)decimal.scale], &coefficient)) {
            return false;
        }
    } else if ((uint32_t)decimal.scale > scale) {
        int128 power = powers[(uint32_t)decimal.scale - scale];
        int128 quotient = coefficient / power;

        if (quotient * power != coefficient) {
            return false;
        }
        coefficient = quotient;
    }
    bound = powers[precision];
    if (coefficient >= bound || coefficient <= -bound) {
        return false;
    }
    *ret_coefficient = coefficient;
    return true;
}
