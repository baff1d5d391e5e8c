/*
 * text - small pure functions on text: UTF-8, time, uuid, base64, numbers, names. No locale, no allocation.
 *
 * Readers return false and leave the result alone when the text does not match in full.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEXT_TIMESTAMP_SIZE = 28, TEXT_DATE_SIZE = 11, TEXT_UUID_SIZE = 37 };

/* Is it valid UTF-8 (RFC 3629: no surrogates, no overlong forms) without NUL? ret_code_points may be NULL. */
bool text_is_utf8(const char *data, size_t size, size_t *ret_code_points);
/* The bytes of the first character of a terminated text that is not empty; 0: it is not valid. */
size_t text_character_size(const char *text);

bool text_read_int(const char *data, size_t size, int64_t *ret_value); /* decimal, optional sign, no blanks */
bool text_read_real(const char *data, size_t size, double *ret_value); /* finite only, '.' as point in every locale */

/* RFC 3339 with a zone ("Z" or +hh:mm), years 0001 to 9999, up to 6 digits of fraction (more only if zero), to microseconds. */
bool text_read_timestamp(const char *data, size_t size, int64_t *ret_microseconds);
bool text_read_date(const char *data, size_t size, int32_t *ret_days); /* YYYY-MM-DD */
bool text_read_uuid(const char *data, size_t size, uint8_t ret_uuid[16]);
/* Base64 (RFC 4648 section 4, padded, no line breaks); ret_data has room for size / 4 * 3 bytes. */
bool text_read_base64(const char *data, size_t size, uint8_t *ret_data, size_t *ret_size);

/* "2026-11-23T04:00:00.000000Z", "2026-11-23", "xxxxxxxx-xxxx-..."; terminated. */
void text_print_timestamp(int64_t microseconds, char ret_text[TEXT_TIMESTAMP_SIZE]);
void text_print_date(int32_t days, char ret_text[TEXT_DATE_SIZE]);
void text_print_uuid(const uint8_t uuid[16], char ret_text[TEXT_UUID_SIZE]);

/* Durations ("250ms", "5s", "2min", "1h", "us") in microseconds and sizes ("512", "64KiB", "16MiB", "1GiB", "kB", "MB") in bytes.
 * A duration of 0 needs no unit. */
bool text_read_duration(const char *text, int64_t *ret_microseconds);
bool text_read_size(const char *text, int64_t *ret_bytes);

/* Is it [a-z][a-z0-9_]* of at most max_size bytes? */
bool text_is_name(const char *text, size_t max_size);

/* Is it this machine beyond doubt: localhost, an address 127.x.y.z or ::1 (the latter in brackets as well)? Other names are taken
 * for another machine's, whatever they resolve to. */
bool text_is_local_host(const char *host, size_t size);

/* Levenshtein distance, for "did you mean"; texts over 64 bytes are far from everything. */
unsigned text_distance(const char *a, const char *b);

#endif
