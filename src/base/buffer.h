/*
 * buffer - growable bytes, for SQL, log lines, wire formats.
 *
 * Out of memory sticks: later appends do nothing and buffer_failed() tells, so callers check once at the end. The data is always
 * followed by a NUL that does not count.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *data;
    size_t size;
    size_t capacity;
    bool has_failed;
};

#define BUFFER_INIT ((struct buffer){0})

void buffer_free(struct buffer *buffer); /* releases the bytes; the struct is as new */
void buffer_clear(struct buffer *buffer);
void buffer_append(struct buffer *buffer, const void *data, size_t size);
void buffer_puts(struct buffer *buffer, const char *string);
void buffer_putc(struct buffer *buffer, char c);
void buffer_printf(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
void buffer_put_be16(struct buffer *buffer, uint16_t value); /* network order */
void buffer_put_be32(struct buffer *buffer, uint32_t value);
void buffer_put_be64(struct buffer *buffer, uint64_t value);
/* Room for size more bytes, counted at once; NULL: out of memory. */
char *buffer_extend(struct buffer *buffer, size_t size);
bool buffer_failed(const struct buffer *buffer);

#endif
