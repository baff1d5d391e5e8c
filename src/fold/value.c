/*
 * value - see value.h.
 */
#include "fold/value.h"

#include "base/text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { SHOWN_MAX = 60 };

static const int64_t first_microsecond = INT64_C(-62135596800000000), last_microsecond = INT64_C(253402300799999999);
static const int32_t first_day = -719162, last_day = 2932896;

bool value_has_data(enum rs_type type)
{
    return type == RS_TEXT || type == RS_BYTES || type == RS_JSON;
}

static int shown(size_t size)
{
    return size < SHOWN_MAX ? (int)size : SHOWN_MAX;
}

static int fit_decimal(const struct table *table, const struct column *column, const struct rs_value *value, struct cell *cell,
                       struct error *ret_error)
{
    char text[64];

    if (value->as.decimal.scale < 0 || value->as.decimal.scale > RS_MAX_DIGITS)
        return error_set(ret_error, ERROR_BUG, "%s.%s: a decimal of scale %d", table->name, column->name, value->as.decimal.scale);
    if (value->as.decimal.scale == (int32_t)column->scale) { /* the common case needs no division */
        cell->as.decimal = decimal_coefficient(value->as.decimal);
        if (cell->as.decimal < decimal_power(column->precision) && cell->as.decimal > -decimal_power(column->precision))
            return 0;
    } else if (decimal_rescale(value->as.decimal, column->precision, column->scale, &cell->as.decimal)) {
        return 0;
    }
    text[decimal_print(value->as.decimal, text)] = '\0';
    return error_set(ret_error, ERROR_POISON, "%s.%s: %s does not fit numeric(%u,%u)", table->name, column->name, text,
                     column->precision, column->scale);
}

static int fit_text(const struct table *table, const struct column *column, const char *data, size_t size,
                    struct error *ret_error)
{
    size_t code_points;

    if (!text_is_utf8(data, size, &code_points))
        return error_set(ret_error, ERROR_POISON, "%s.%s: the text is not valid UTF-8, or holds NUL", table->name, column->name);
    if (column->length > 0 && code_points > column->length)
        return error_set(ret_error, ERROR_POISON, "%s.%s: \"%.*s\"... has %zu characters; the column takes %u", table->name,
                         column->name, shown(size), data, code_points, column->length);
    return 0;
}

static int fit_data(const struct table *table, const struct column *column, const struct rs_value *value, struct cell *cell,
                    struct error *ret_error)
{
    if (value->as.text.size > UINT32_MAX / 2)
        return error_set(ret_error, ERROR_POISON, "%s.%s: the value is larger than 2 GiB", table->name, column->name);
    cell->as.data = value->as.text.data;
    cell->size = (uint32_t)value->as.text.size;
    if (cell->size == 0)
        cell->as.data = "";
    if (column->type == RS_TEXT)
        return fit_text(table, column, cell->as.data, cell->size, ret_error);
    if (column->type == RS_BYTES && column->length > 0 && cell->size > column->length)
        return error_set(ret_error, ERROR_POISON, "%s.%s: %u bytes; the column takes %u", table->name, column->name, cell->size,
                         column->length);
    return 0;
}

static int out_of_years(const struct table *table, const struct column *column, struct error *ret_error)
{
    return error_set(ret_error, ERROR_POISON, "%s.%s: the time is outside the years 0001 to 9999", table->name, column->name);
}

static int fit_plain(const struct table *table, const struct column *column, const struct rs_value *value, struct cell *cell,
                     struct error *ret_error)
{
    switch (column->type) {
    case RS_INT:
        cell->as.sum = value->as.integer;
        return 0;
    case RS_BOOL:
        cell->as.integer = value->boolean != 0;
        return 0;
    case RS_REAL:
        cell->as.real = value->as.real;
        return isfinite(value->as.real) ? 0
                                        : error_set(ret_error, ERROR_POISON, "%s.%s: not a finite number", table->name, column->name);
    case RS_TIMESTAMP:
        cell->as.integer = value->as.timestamp.microseconds;
        return cell->as.integer >= first_microsecond && cell->as.integer <= last_microsecond
                   ? 0
                   : out_of_years(table, column, ret_error);
    case RS_DATE:
        cell->as.integer = value->as.date.days;
        return value->as.date.days >= first_day && value->as.date.days <= last_day ? 0 : out_of_years(table, column, ret_error);
    default:
        memcpy(cell->as.uuid, value->as.uuid.bytes, sizeof cell->as.uuid);
        return 0;
    }
}

int value_fit(const struct table *table, uint32_t number, const struct rs_value *value, struct cell *ret_cell,
              struct error *ret_error)
{
    const struct column *column = &table->columns[number];

    ret_cell->operation = CELL_SET;
    ret_cell->is_null = value->type == 0;
    ret_cell->size = 0;
    if (value->type == 0)
        return column->is_not_null || column->is_key
                   ? error_set(ret_error, ERROR_POISON, "%s.%s: null in a column that is not null", table->name, column->name)
                   : 0;
    if (value->type != (uint32_t)column->type)
        return error_set(ret_error, ERROR_BUG, "%s.%s: the handler gives a value of type %u, the column is of type %u", table->name,
                         column->name, value->type, (unsigned)column->type);
    if (column->type == RS_DECIMAL)
        return fit_decimal(table, column, value, ret_cell, ret_error);
    if (value_has_data(column->type))
        return fit_data(table, column, value, ret_cell, ret_error);
    return fit_plain(table, column, value, ret_cell, ret_error);
}

/* ---- Keys ---- */

struct key_writer {
    uint8_t *data;
    size_t size;
    bool is_too_long;
};

static void put(struct key_writer *key, const void *data, size_t size)
{
    if (key->size + size > KEY_BYTES_MAX) {
        key->is_too_long = true;
        return;
    }
    memcpy(key->data + key->size, data, size);
    key->size += size;
}

/* Big-endian with the sign flipped orders as the numbers do. */
static void put_ordered64(struct key_writer *key, int64_t value)
{
    uint64_t bits = __builtin_bswap64((uint64_t)value ^ (UINT64_C(1) << 63));

    put(key, &bits, sizeof bits);
}

static void put_ordered128(struct key_writer *key, int128 value)
{
    uint64_t low = __builtin_bswap64((uint64_t)value);

    put_ordered64(key, (int64_t)(value >> 64));
    put(key, &low, sizeof low);
}

/* Zero bytes become 00 FF and the end is 00 00, so that a prefix comes before what it is a prefix of. */
static void put_bytes(struct key_writer *key, const char *data, size_t size)
{
    for (size_t i = 0; i < size && !key->is_too_long; i++) {
        put(key, data + i, 1);
        if (data[i] == '\0')
            put(key, "\xff", 1);
    }
    put(key, "\0\0", 2);
}

static void put_cell(struct key_writer *key, enum rs_type type, const struct cell *cell, bool is_stored)
{
    switch (type) {
    case RS_INT:
        put_ordered64(key, is_stored ? cell->as.integer : (int64_t)cell->as.sum);
        break;
    case RS_DECIMAL:
        put_ordered128(key, cell->as.decimal);
        break;
    case RS_TEXT: /* holds no NUL */
        put(key, cell->as.data, cell->size);
        put(key, "", 1);
        break;
    case RS_BYTES:
        put_bytes(key, cell->as.data, cell->size);
        break;
    case RS_UUID:
        put(key, cell->as.uuid, sizeof cell->as.uuid);
        break;
    default:
        put_ordered64(key, cell->as.integer);
        break;
    }
}

static int encode_key(const struct table *table, const struct cell *cells, bool is_stored, uint8_t *ret_key, size_t *ret_size,
                      struct error *ret_error)
{
    struct key_writer key = {.data = ret_key};

    for (uint32_t i = 0; i < table->n_keys; i++)
        put_cell(&key, table->columns[table->keys[i]].type, &cells[i], is_stored);
    if (key.is_too_long)
        return error_set(ret_error, ERROR_POISON, "%s: the key is longer than %d bytes", table->name, KEY_BYTES_MAX);
    *ret_size = key.size;
    return 0;
}

int value_encode_key(const struct table *table, const struct cell *cells, uint8_t *ret_key, size_t *ret_size,
                     struct error *ret_error)
{
    return encode_key(table, cells, false, ret_key, ret_size, ret_error);
}

int value_encode_stored_key(const struct table *table, const struct cell *cells, uint8_t *ret_key, size_t *ret_size,
                            struct error *ret_error)
{
    return encode_key(table, cells, true, ret_key, ret_size, ret_error);
}

/* ---- Order ---- */

static int compare_data(const struct cell *a, const struct cell *b)
{
    uint32_t size = a->size < b->size ? a->size : b->size;
    int order = size == 0 ? 0 : memcmp(a->as.data, b->as.data, size);

    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

int value_compare(enum rs_type type, const struct cell *a, const struct cell *b)
{
    switch (type) {
    case RS_INT:
        return (a->as.sum > b->as.sum) - (a->as.sum < b->as.sum);
    case RS_DECIMAL:
        return (a->as.decimal > b->as.decimal) - (a->as.decimal < b->as.decimal);
    case RS_REAL:
        return (a->as.real > b->as.real) - (a->as.real < b->as.real);
    case RS_TEXT:
    case RS_BYTES:
    case RS_JSON:
        return compare_data(a, b);
    case RS_UUID:
        return memcmp(a->as.uuid, b->as.uuid, sizeof a->as.uuid);
    default:
        return (a->as.integer > b->as.integer) - (a->as.integer < b->as.integer);
    }
}
