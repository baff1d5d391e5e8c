/*
 * key - see key.h. Called by the fold for every row that is named, in the task's one thread.
 */
#include "fold/key.h"

#include "fold/value.h"

#include <stdio.h>
#include <string.h>

/* Writing behind `size` is refused by leaving size above KEY_BYTES_MAX. */
struct writer {
    uint8_t *data;
    size_t size;
};

static void put(struct writer *key, const void *data, size_t size)
{
    if (size <= KEY_BYTES_MAX && key->size <= KEY_BYTES_MAX - size)
        memcpy(key->data + key->size, data, size);
    key->size += size;
}

/* Big-endian with the sign flipped orders as the numbers do. */
static void put_ordered64(struct writer *key, int64_t value)
{
    uint64_t bits = __builtin_bswap64((uint64_t)value ^ (UINT64_C(1) << 63));

    put(key, &bits, sizeof bits);
}

/* High half signed, low half not: together they order as the coefficient, and so as the value, the scale being the column's. */
static void put_ordered128(struct writer *key, int128 value)
{
    uint64_t low = __builtin_bswap64((uint64_t)value);

    put_ordered64(key, (int64_t)(value >> 64));
    put(key, &low, sizeof low);
}

/* Zero bytes become 00 FF and the end is 00 00, so that a prefix comes before what it is a prefix of. */
static void put_escaped(struct writer *key, const char *data, size_t size)
{
    while (size > 0 && key->size <= KEY_BYTES_MAX) {
        const char *zero = memchr(data, 0, size);
        size_t n = zero == NULL ? size : (size_t)(zero - data) + 1;

        put(key, data, n);
        if (zero != NULL)
            put(key, "\xff", 1);
        data += n;
        size -= n;
    }
    put(key, "\0", 2);
}

static void put_cell(struct writer *key, enum rs_type type, const struct cell *cell, bool is_last)
{
    switch (type) {
    case RS_DECIMAL:
        put_ordered128(key, cell->as.decimal);
        break;
    case RS_TEXT:
        put(key, cell->as.data, cell->size);
        if (!is_last)
            put(key, "", 1);
        break;
    case RS_BYTES:
        if (is_last)
            put(key, cell->as.data, cell->size);
        else
            put_escaped(key, cell->as.data, cell->size);
        break;
    case RS_UUID:
        put(key, cell->as.uuid, sizeof cell->as.uuid);
        break;
    case RS_BOOL:
        put(key, cell->as.integer != 0 ? "\1" : "\0", 1);
        break;
    default: /* int, timestamp, date */
        put_ordered64(key, cell->as.integer);
        break;
    }
}

static int too_long(const struct table *table, size_t size, struct error *ret_error)
{
    return error_set(ret_error, ERROR_POISON, "%s: a key of %zu bytes; keys have at most %d", table->name, size, KEY_BYTES_MAX);
}

int key_encode(const struct table *table, const struct cell *cells, uint8_t *buffer, const uint8_t **ret_key, size_t *ret_size,
               struct error *ret_error)
{
    struct writer key = {.data = buffer};

    /* No copy for the most usual key of all: one text. */
    if (table->n_keys == 1 && table->columns[table->keys[0]].type == RS_TEXT) {
        if (cells[0].size > KEY_BYTES_MAX)
            return too_long(table, cells[0].size, ret_error);
        *ret_key = (const uint8_t *)cells[0].as.data;
        *ret_size = cells[0].size;
        return 0;
    }
    for (uint32_t i = 0; i < table->n_keys; i++) {
        const struct column *column = &table->columns[table->keys[i]];
        bool is_last = i + 1 == table->n_keys;

        if (column->type == RS_TEXT && !is_last && memchr(cells[i].as.data, 0, cells[i].size) != NULL)
            return error_set(ret_error, ERROR_POISON, "%s.%s: the text is not valid UTF-8, or holds NUL", table->name,
                             column->name);
        put_cell(&key, column->type, &cells[i], is_last);
    }
    if (key.size > KEY_BYTES_MAX)
        return too_long(table, key.size, ret_error);
    *ret_key = buffer;
    *ret_size = key.size;
    return 0;
}

/* Walks the key as key_encode() wrote it; the sizes of text are those of the cells. */
void key_point_cells(const struct table *table, const uint8_t *key, size_t size, struct cell *cells)
{
    const uint8_t *at = key;

    for (uint32_t i = 0; i < table->n_keys; i++) {
        enum rs_type type = table->columns[table->keys[i]].type;
        bool is_last = i + 1 == table->n_keys;

        if (type == RS_TEXT || (type == RS_BYTES && is_last)) {
            cells[i].as.data = (const char *)at;
            at += cells[i].size + !is_last;
        } else if (type == RS_BYTES) {
            bool is_escaped = cells[i].size > 0 && memchr(cells[i].as.data, 0, cells[i].size) != NULL;

            if (!is_escaped)
                cells[i].as.data = (const char *)at;
            while (at + 1 < key + size && (at[0] != 0 || at[1] != 0))
                at += at[0] == 0 ? 2 : 1;
            at += 2;
        } else {
            at += type == RS_DECIMAL || type == RS_UUID ? 16 : type == RS_BOOL ? 1 : 8;
        }
    }
}

void key_print(const struct table *table, const struct cell *row_cells, char *ret_text, size_t size)
{
    char text[VALUE_SHOWN_SIZE];
    size_t used = 0;

    ret_text[0] = '\0';
    for (uint32_t i = 0; i < table->n_keys && used < size; i++) {
        const struct column *column = &table->columns[table->keys[i]];

        value_print(column, &row_cells[table->keys[i]], text);
        used += (size_t)snprintf(ret_text + used, size - used, "%s%s", i > 0 ? ", " : "", text);
    }
}
