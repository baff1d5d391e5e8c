/*
 * text - UTF-8, numbers, uuid, base64, units and names. Times are in text_time.c.
 *
 * Called per field on the hot path and wherever text comes in, in any thread. Pure: no locale, no allocation, no state.
 */
#include "base/text.h"
#include "base/decimal.h"

#include <arpa/inet.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HIGH_BITS UINT64_C(0x8080808080808080)
#define LOW_BITS UINT64_C(0x0101010101010101)

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

static inline bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* The length of the well-formed sequence at `at` that is not ASCII (Unicode 15, table 3-7); 0: ill-formed. */
static size_t sequence_size(const unsigned char *at, size_t left)
{
    unsigned char lead = at[0];

    if (lead >= 0xc2 && lead <= 0xdf) {
        return left >= 2 && is_tail(at[1]) ? 2 : 0;
    }
    if ((lead & 0xf0) == 0xe0) {
        unsigned char low = lead == 0xe0 ? 0xa0 : 0x80;
        unsigned char high = lead == 0xed ? 0x9f : 0xbf;

        return left >= 3 && at[1] >= low && at[1] <= high && is_tail(at[2]) ? 3 : 0;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        unsigned char low = lead == 0xf0 ? 0x90 : 0x80;
        unsigned char high = lead == 0xf4 ? 0x8f : 0xbf;

        return left >= 4 && at[1] >= low && at[1] <= high && is_tail(at[2]) && is_tail(at[3]) ? 4 : 0;
    }
    return 0;
}

bool text_is_utf8(const char *data, size_t size, size_t *ret_code_points)
{
    const unsigned char *at = (const unsigned char *)data;
    size_t left = size;
    size_t surplus = 0; /* bytes that are not the first of their character */

    while (left > 0) {
        if (left >= 8) {
            uint64_t word;

            memcpy(&word, at, sizeof word);
            if (((word | (word - LOW_BITS)) & HIGH_BITS) == 0) { /* eight times ASCII, no NUL */
                at += 8;
                left -= 8;
                continue;
            }
        }
        if (*at == 0) {
            return false;
        }
        if (*at < 0x80) {
            at++;
            left--;
        } else {
            size_t length = sequence_size(at, left);

            if (length == 0) {
                return false;
            }
            at += length;
            left -= length;
            surplus += length - 1;
        }
    }
    if (ret_code_points != NULL) {
        *ret_code_points = size - surplus;
    }
    return true;
}

size_t text_character_size(const char *text)
{
    unsigned char lead = (unsigned char)*text;
    size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    return strnlen(text, size) == size && text_is_utf8(text, size, NULL) ? size : 0;
}

bool text_read_int(const char *data, size_t size, int64_t *ret_value)
{
    const char *at = data;
    const char *end = data + size;
    bool is_negative = size > 0 && *at == '-';
    int64_t value = 0;

    if (size > 0 && (*at == '-' || *at == '+')) {
        at++;
    }
    if (at == end) {
        return false;
    }
    if (end - at <= 18) {
        for (; at < end; at++) {
            if (!is_digit(*at)) {
                return false;
            }
            value = value * 10 + (*at - '0');
        }
        *ret_value = is_negative ? -value : value;
        return true;
    }
    for (; at < end; at++) { /* counted down, where the smallest number has room */
        if (!is_digit(*at) || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, *at - '0', &value)) {
            return false;
        }
    }
    if (!is_negative && value == INT64_MIN) {
        return false;
    }
    *ret_value = is_negative ? value : -value;
    return true;
}

/* [+-]digits[.digits][e[+-]digits], nothing else: strtod() would take more. */
static bool is_real(const char *at, const char *end)
{
    const char *start;

    if (at < end && (*at == '-' || *at == '+')) {
        at++;
    }
    for (start = at; at < end && is_digit(*at); at++) {
    }
    if (at == start) {
        return false;
    }
    if (at < end && *at == '.') {
        for (start = ++at; at < end && is_digit(*at); at++) {
        }
        if (at == start) {
            return false;
        }
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '-' || *at == '+')) {
            at++;
        }
        for (start = at; at < end && is_digit(*at); at++) {
        }
        if (at == start) {
            return false;
        }
    }
    return at == end;
}

/* Up to 53 bits over a power of ten that a double holds exactly: one rounding, by the division (Clinger 1990). */
static bool read_short_real(const char *data, size_t size, double *ret_value)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const int64_t exact = INT64_C(1) << 53;
    struct rs_decimal decimal;
    int128 coefficient;

    if (size > 24 || !decimal_parse(data, size, &decimal) || decimal.scale > 22) {
        return false;
    }
    coefficient = decimal_coefficient(decimal);
    if (coefficient > exact || coefficient < -exact || coefficient == 0) { /* zero may have a sign */
        return false;
    }
    *ret_value = (double)(int64_t)coefficient / powers[decimal.scale];
    return true;
}

bool text_read_real(const char *data, size_t size, double *ret_value)
{
    static const char point_locale[] = "C";
    char copy[1024]; /* the longest shortest form is 24 bytes; a literal of the exact value of the smallest double has 1077 */
    locale_t locale;
    double value;

    if (read_short_real(data, size, ret_value)) {
        return true;
    }
    if (size >= sizeof copy || !is_real(data, data + size)) {
        return false;
    }
    memcpy(copy, data, size);
    copy[size] = '\0';
    locale = newlocale(LC_ALL_MASK, point_locale, (locale_t)0); /* glibc's static "C": allocates nothing */
    if (locale == (locale_t)0) {
        return false;
    }
    value = strtod_l(copy, NULL, locale);
    freelocale(locale);
    if (!isfinite(value)) {
        return false;
    }
    *ret_value = value;
    return true;
}

/* 0 to 15, or 16 and more when it is no hexadecimal digit. */
static unsigned hex_value(char c)
{
    unsigned lower = (unsigned char)c | 0x20U;

    if (is_digit(c)) {
        return (unsigned)(c - '0');
    }
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 16;
}

bool text_read_uuid(const char *data, size_t size, uint8_t ret_uuid[16])
{
    uint8_t uuid[16];
    size_t at = 0;

    if (size != TEXT_UUID_SIZE - 1) {
        return false;
    }
    for (size_t i = 0; i < 16; i++) {
        unsigned high;
        unsigned low;

        if ((i == 4 || i == 6 || i == 8 || i == 10) && data[at++] != '-') {
            return false;
        }
        high = hex_value(data[at++]);
        low = hex_value(data[at++]);
        if ((high | low) > 15) {
            return false;
        }
        uuid[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(ret_uuid, uuid, sizeof uuid);
    return true;
}

void text_print_uuid(const uint8_t uuid[16], char ret_text[TEXT_UUID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    char *at = ret_text;

    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *at++ = '-';
        }
        *at++ = digits[uuid[i] >> 4];
        *at++ = digits[uuid[i] & 15];
    }
    *at = '\0';
}

/* 0 to 63, or 64 when it is outside the alphabet. */
static unsigned base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (unsigned)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (unsigned)(c - 'a') + 26;
    }
    if (is_digit(c)) {
        return (unsigned)(c - '0') + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

bool text_read_base64(const char *data, size_t size, uint8_t *ret_data, size_t *ret_size)
{
    size_t padding;
    size_t written = 0;

    if (size % 4 != 0) {
        return false;
    }
    padding = size == 0 || data[size - 1] != '=' ? 0 : data[size - 2] != '=' ? 1 : 2;
    for (size_t at = 0; at < size; at += 4) {
        size_t n_bytes = at + 4 == size ? 3 - padding : 3;
        uint32_t word = 0;

        for (size_t i = 0; i < 4; i++) {
            unsigned value = i > n_bytes ? 0 : base64_value(data[at + i]); /* n bytes take n + 1 characters */

            if (value > 63) {
                return false;
            }
            word = word << 6 | value;
        }
        if ((word & ((1U << (8 * (3 - n_bytes))) - 1)) != 0) { /* bits that belong to no byte must be zero */
            return false;
        }
        for (size_t i = 0; i < n_bytes; i++) {
            ret_data[written++] = (uint8_t)(word >> (16 - 8 * i));
        }
    }
    *ret_size = written;
    return true;
}

struct unit {
    const char *name;
    int64_t factor;
};

/* Digits and one of the units. */
static bool read_with_unit(const char *text, const struct unit *units, size_t n_units, int64_t *ret_value)
{
    size_t n_digits = strspn(text, "0123456789");
    int64_t number;

    if (!text_read_int(text, n_digits, &number)) {
        return false;
    }
    for (size_t i = 0; i < n_units; i++) {
        if (strcmp(text + n_digits, units[i].name) == 0) {
            return !__builtin_mul_overflow(number, units[i].factor, ret_value);
        }
    }
    return false;
}

bool text_read_duration(const char *text, int64_t *ret_microseconds)
{
    static const struct unit units[] = {
        {"us", 1}, {"ms", 1000}, {"s", 1000000}, {"min", 60000000}, {"h", INT64_C(3600000000)}, {"d", INT64_C(86400000000)},
    };
    int64_t value;

    if (strcmp(text, "0") == 0) {
        *ret_microseconds = 0;
        return true;
    }
    if (!read_with_unit(text, units, sizeof units / sizeof units[0], &value)) {
        return false;
    }
    *ret_microseconds = value;
    return true;
}

bool text_read_size(const char *text, int64_t *ret_bytes)
{
    static const struct unit units[] = {
        {"", 1},       {"B", 1},           {"KiB", INT64_C(1) << 10}, {"MiB", INT64_C(1) << 20}, {"GiB", INT64_C(1) << 30},
        {"kB", 1000}, {"MB", 1000 * 1000}, {"GB", 1000 * 1000 * 1000},
    };
    int64_t value;

    if (!read_with_unit(text, units, sizeof units / sizeof units[0], &value)) {
        return false;
    }
    *ret_bytes = value;
    return true;
}

bool text_is_name(const char *text, size_t max_size)
{
    size_t size = 0;

    for (; text[size] != '\0'; size++) {
        char c = text[size];
        bool is_letter = c >= 'a' && c <= 'z';

        if (size == max_size || (!is_letter && (size == 0 || (!is_digit(c) && c != '_')))) {
            return false;
        }
    }
    return size > 0;
}

bool text_is_local_host(const char *host, size_t size)
{
    static const char name[] = "localhost";
    bool has_brackets = size > 1 && host[0] == '[' && host[size - 1] == ']';
    char address[INET6_ADDRSTRLEN];
    struct in6_addr ipv6;
    struct in_addr ipv4;

    if (size == sizeof name - 1 && strncasecmp(host, name, size) == 0) {
        return true;
    }
    host += has_brackets;
    size -= has_brackets ? 2 : 0;
    if (size >= sizeof address || memchr(host, '\0', size) != NULL) {
        return false;
    }
    memcpy(address, host, size);
    address[size] = '\0';
    if (!has_brackets && inet_pton(AF_INET, address, &ipv4) == 1) {
        return ntohl(ipv4.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    return inet_pton(AF_INET6, address, &ipv6) == 1 && IN6_IS_ADDR_LOOPBACK(&ipv6);
}

static unsigned min_of(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Levenshtein (1966) with one row, after Wagner and Fischer (1974). */
unsigned text_distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    unsigned row[MAX + 1];
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);

    if (a_size > MAX || b_size > MAX) {
        return UINT_MAX;
    }
    for (unsigned j = 0; j <= b_size; j++) {
        row[j] = j;
    }
    for (unsigned i = 1; i <= a_size; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= b_size; j++) {
            unsigned above = row[j];
            unsigned replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);

            row[j] = min_of(replaced, min_of(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[b_size];
}
