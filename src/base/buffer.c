/*
 * buffer - growable bytes with one sticky failure.
 *
 * Called wherever text or a wire format is put together; one owner, one thread. Grows by doubling; never shrinks.
 */
#include "base/buffer.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIN_CAPACITY = 64 };

void buffer_free(struct buffer *buffer)
{
    if (buffer != NULL) {
        free(buffer->data);
        *buffer = BUFFER_INIT;
    }
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
    buffer->has_failed = false;
    if (buffer->data != NULL) {
        buffer->data[0] = '\0';
    }
}

/* Room for size more bytes and the NUL. */
static bool reserve(struct buffer *buffer, size_t size)
{
    size_t capacity = buffer->capacity < MIN_CAPACITY ? MIN_CAPACITY : buffer->capacity;
    size_t needed;
    char *data;

    if (buffer->has_failed) {
        return false;
    }
    if (__builtin_add_overflow(buffer->size, size, &needed) || __builtin_add_overflow(needed, 1, &needed)) {
        buffer->has_failed = true;
        return false;
    }
    if (needed <= buffer->capacity) {
        return true;
    }
    while (capacity < needed) {
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    }
    data = realloc(buffer->data, capacity);
    if (data == NULL) {
        buffer->has_failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

char *buffer_extend(struct buffer *buffer, size_t size)
{
    char *room;

    if (!reserve(buffer, size)) {
        return NULL;
    }
    room = buffer->data + buffer->size;
    buffer->size += size;
    buffer->data[buffer->size] = '\0';
    return room;
}

void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    char *room = buffer_extend(buffer, size);

    if (room != NULL && size > 0) {
        memcpy(room, data, size);
    }
}

void buffer_puts(struct buffer *buffer, const char *string)
{
    buffer_append(buffer, string, strlen(string));
}

void buffer_putc(struct buffer *buffer, char c)
{
    buffer_append(buffer, &c, 1);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_list again;
    int length;

    if (!reserve(buffer, 0)) {
        return;
    }
    va_start(arguments, format);
    va_copy(again, arguments);
    length = vsnprintf(buffer->data + buffer->size, buffer->capacity - buffer->size, format, arguments);
    if (length < 0) {
        buffer->has_failed = true;
    } else if ((size_t)length < buffer->capacity - buffer->size) {
        buffer->size += (size_t)length;
    } else if (reserve(buffer, (size_t)length)) {
        vsnprintf(buffer->data + buffer->size, buffer->capacity - buffer->size, format, again);
        buffer->size += (size_t)length;
    }
    if (buffer->has_failed) {
        buffer->data[buffer->size] = '\0';
    }
    va_end(again);
    va_end(arguments);
}

void buffer_put_be16(struct buffer *buffer, uint16_t value)
{
    value = htobe16(value);
    buffer_append(buffer, &value, sizeof value);
}

void buffer_put_be32(struct buffer *buffer, uint32_t value)
{
    value = htobe32(value);
    buffer_append(buffer, &value, sizeof value);
}

void buffer_put_be64(struct buffer *buffer, uint64_t value)
{
    value = htobe64(value);
    buffer_append(buffer, &value, sizeof value);
}

bool buffer_failed(const struct buffer *buffer)
{
    return buffer->has_failed;
}
