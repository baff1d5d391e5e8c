/*
 * postgres_types - values in PostgreSQL's binary formats: arrays as parameters, fields of results. See postgres.h.
 *
 * The formats are those of the server's send and receive functions (PostgreSQL source: arrayfuncs.c, numeric.c, timestamp.c,
 * date.c, jsonb.c).
 */
#include "store/postgres.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

enum { NUMERIC_NEGATIVE = 0x4000, NUMERIC_DIGITS_MAX = 24 };

static const int64_t epoch_us = INT64_C(946684800000000); /* 2000-01-01, where PostgreSQL's time begins */
static const int32_t epoch_days = 10957;

const struct pg_type *pg_type_of(enum rs_type type)
{
    static const struct pg_type types[] = {
        [RS_INT] = {PG_INT8, PG_INT8_ARRAY, "bigint"},
        [RS_REAL] = {PG_FLOAT8, PG_FLOAT8_ARRAY, "double precision"},
        [RS_DECIMAL] = {PG_NUMERIC, PG_NUMERIC_ARRAY, "numeric"},
        [RS_TEXT] = {PG_TEXT, PG_TEXT_ARRAY, "text"},
        [RS_BOOL] = {PG_BOOL, PG_BOOL_ARRAY, "boolean"},
        [RS_BYTES] = {PG_BYTEA, PG_BYTEA_ARRAY, "bytea"},
        [RS_JSON] = {PG_JSONB, PG_JSONB_ARRAY, "jsonb"},
        [RS_TIMESTAMP] = {PG_TIMESTAMPTZ, PG_TIMESTAMPTZ_ARRAY, "timestamp with time zone"},
        [RS_DATE] = {PG_DATE, PG_DATE_ARRAY, "date"},
        [RS_UUID] = {PG_UUID, PG_UUID_ARRAY, "uuid"},
    };

    return &types[type];
}

const char *pg_type_name(const struct column *column, char *ret_name)
{
    if (column->type == RS_DECIMAL)
        snprintf(ret_name, 32, "numeric(%u,%u)", column->precision, column->scale);
    else
        snprintf(ret_name, 32, "%s", pg_type_of(column->type)->name);
    return ret_name;
}

/* ---- Parameters ---- */

void pg_parameters_clear(struct pg_parameters *parameters)
{
    buffer_clear(&parameters->bytes);
    parameters->n = 0;
}

static void begin_parameter(struct pg_parameters *parameters, Oid type)
{
    parameters->offsets[parameters->n] = parameters->bytes.size;
    parameters->types[parameters->n] = type;
    parameters->is_null[parameters->n] = false;
}

static void end_parameter(struct pg_parameters *parameters)
{
    parameters->sizes[parameters->n] = parameters->bytes.size - parameters->offsets[parameters->n];
    parameters->n++;
}

void pg_put_text(struct pg_parameters *parameters, const char *text)
{
    begin_parameter(parameters, PG_TEXT);
    parameters->is_null[parameters->n] = text == NULL;
    if (text != NULL)
        buffer_puts(&parameters->bytes, text);
    end_parameter(parameters);
}

void pg_put_bool(struct pg_parameters *parameters, bool value)
{
    begin_parameter(parameters, PG_BOOL);
    buffer_putc(&parameters->bytes, value);
    end_parameter(parameters);
}

void pg_put_int4(struct pg_parameters *parameters, int32_t value)
{
    begin_parameter(parameters, PG_INT4);
    buffer_put_be32(&parameters->bytes, (uint32_t)value);
    end_parameter(parameters);
}

void pg_put_int8(struct pg_parameters *parameters, int64_t value)
{
    begin_parameter(parameters, PG_INT8);
    buffer_put_be64(&parameters->bytes, (uint64_t)value);
    end_parameter(parameters);
}

void pg_put_uuid(struct pg_parameters *parameters, const uint8_t uuid[16])
{
    begin_parameter(parameters, PG_UUID);
    buffer_append(&parameters->bytes, uuid, 16);
    end_parameter(parameters);
}

void pg_put_scope(struct pg_parameters *parameters, const struct store_scope *scope)
{
    pg_put_text(parameters, scope->pipeline);
    pg_put_int4(parameters, scope->version);
}

static void put_ascii(struct buffer *bytes, const char *words)
{
    for (; *words != '\0'; words++)
        buffer_putc(bytes, (unsigned char)*words < 0x80 ? *words : '?');
}

void pg_put_words(struct pg_parameters *parameters, const char *words)
{
    if (words == NULL || text_is_utf8(words, strlen(words), NULL)) {
        pg_put_text(parameters, words);
        return;
    }
    begin_parameter(parameters, PG_TEXT);
    put_ascii(&parameters->bytes, words);
    end_parameter(parameters);
}

/* ---- Arrays ---- */

void pg_begin_array(struct pg_parameters *parameters, Oid array_oid, Oid element_oid, size_t n)
{
    struct buffer *bytes = &parameters->bytes;

    begin_parameter(parameters, array_oid);
    buffer_put_be32(bytes, n > 0);           /* dimensions */
    buffer_put_be32(bytes, 1);               /* may hold nulls */
    buffer_put_be32(bytes, element_oid);
    if (n > 0) {
        buffer_put_be32(bytes, (uint32_t)n);
        buffer_put_be32(bytes, 1);           /* lower bound */
    }
}

void pg_end_array(struct pg_parameters *parameters)
{
    end_parameter(parameters);
}

void pg_element_null(struct pg_parameters *parameters)
{
    buffer_put_be32(&parameters->bytes, UINT32_MAX);
}

void pg_element_bytes(struct pg_parameters *parameters, const void *data, size_t size)
{
    buffer_put_be32(&parameters->bytes, (uint32_t)size);
    buffer_append(&parameters->bytes, data, size);
}

void pg_element_text(struct pg_parameters *parameters, const char *text)
{
    if (text == NULL)
        pg_element_null(parameters);
    else
        pg_element_bytes(parameters, text, strlen(text));
}

void pg_element_words(struct pg_parameters *parameters, const char *words)
{
    if (words == NULL || text_is_utf8(words, strlen(words), NULL)) {
        pg_element_text(parameters, words);
        return;
    }
    buffer_put_be32(&parameters->bytes, (uint32_t)strlen(words));
    put_ascii(&parameters->bytes, words);
}

void pg_element_int4(struct pg_parameters *parameters, int32_t value)
{
    buffer_put_be32(&parameters->bytes, 4);
    buffer_put_be32(&parameters->bytes, (uint32_t)value);
}

void pg_element_int8(struct pg_parameters *parameters, int64_t value)
{
    char *place = buffer_extend(&parameters->bytes, 12);
    uint32_t size = __builtin_bswap32(8);
    uint64_t bits = __builtin_bswap64((uint64_t)value);

    if (place == NULL)
        return;
    memcpy(place, &size, 4);
    memcpy(place + 4, &bits, 8);
}

/* Groups of four decimal digits around the point, most significant first; returns their number. */
static int split_digits(unsigned __int128 whole, unsigned __int128 fraction, uint32_t scale, uint16_t *ret_digits, int *ret_weight)
{
    uint16_t reversed[NUMERIC_DIGITS_MAX];
    int n_whole = 0, n = 0;

    for (; whole != 0; whole /= 10000)
        reversed[n_whole++] = (uint16_t)(whole % 10000);
    while (n < n_whole) {
        ret_digits[n] = reversed[n_whole - 1 - n];
        n++;
    }
    for (uint32_t left = scale; left > 0;) { /* from the point to the right, four digits a step */
        uint32_t step = left < 4 ? left : 4;
        unsigned __int128 unit = (unsigned __int128)decimal_power(left - step);
        uint16_t digit = (uint16_t)(fraction / unit);

        fraction %= unit;
        for (uint32_t i = step; i < 4; i++)
            digit = (uint16_t)(digit * 10);
        ret_digits[n++] = digit;
        left -= step;
    }
    *ret_weight = n_whole - 1;
    return n;
}

static void element_numeric(struct pg_parameters *parameters, uint32_t scale, int128 coefficient)
{
    unsigned __int128 size = coefficient < 0 ? -(unsigned __int128)coefficient : (unsigned __int128)coefficient;
    unsigned __int128 unit = (unsigned __int128)decimal_power(scale);
    uint16_t digits[NUMERIC_DIGITS_MAX];
    struct buffer *bytes = &parameters->bytes;
    int weight, n;

    if (size <= UINT64_MAX && unit <= UINT64_MAX) /* 64-bit division is many times quicker */
        n = split_digits((uint64_t)size / (uint64_t)unit, (uint64_t)size % (uint64_t)unit, scale, digits, &weight);
    else
        n = split_digits(size / unit, size % unit, scale, digits, &weight);
    buffer_put_be32(bytes, (uint32_t)(8 + 2 * n));
    buffer_put_be16(bytes, (uint16_t)n);
    buffer_put_be16(bytes, (uint16_t)weight);
    buffer_put_be16(bytes, coefficient < 0 ? NUMERIC_NEGATIVE : 0);
    buffer_put_be16(bytes, (uint16_t)scale);
    for (int i = 0; i < n; i++)
        buffer_put_be16(bytes, digits[i]);
}

static void element_real(struct pg_parameters *parameters, double real)
{
    int64_t bits;

    memcpy(&bits, &real, sizeof bits);
    pg_element_int8(parameters, bits);
}

static void element_json(struct pg_parameters *parameters, const struct cell *cell)
{
    buffer_put_be32(&parameters->bytes, cell->size + 1);
    buffer_putc(&parameters->bytes, 1); /* version of the format */
    buffer_append(&parameters->bytes, cell->as.data, cell->size);
}

static void element_bool(struct pg_parameters *parameters, bool value)
{
    buffer_put_be32(&parameters->bytes, 1);
    buffer_putc(&parameters->bytes, value);
}

void pg_element_cell(struct pg_parameters *parameters, const struct column *column, const struct cell *cell)
{
    if (cell->is_null) {
        pg_element_null(parameters);
        return;
    }
    switch (column->type) {
    case RS_INT:
        pg_element_int8(parameters, cell->as.integer);
        break;
    case RS_REAL:
        element_real(parameters, cell->as.real);
        break;
    case RS_DECIMAL:
        element_numeric(parameters, column->scale, cell->as.decimal);
        break;
    case RS_TEXT:
    case RS_BYTES:
        pg_element_bytes(parameters, cell->as.data, cell->size);
        break;
    case RS_BOOL:
        element_bool(parameters, cell->as.integer != 0);
        break;
    case RS_JSON:
        element_json(parameters, cell);
        break;
    case RS_TIMESTAMP:
        pg_element_int8(parameters, cell->as.integer - epoch_us);
        break;
    case RS_DATE:
        pg_element_int4(parameters, (int32_t)cell->as.integer - epoch_days);
        break;
    case RS_UUID:
        pg_element_bytes(parameters, cell->as.uuid, sizeof cell->as.uuid);
        break;
    }
}

/* ---- Results ---- */

static uint16_t read_be16(const char *data)
{
    uint16_t value;

    memcpy(&value, data, sizeof value);
    return __builtin_bswap16(value);
}

int64_t pg_read_int8(const PGresult *result, int row, int field)
{
    uint64_t value = 0;

    if (PQgetlength(result, row, field) == 8)
        memcpy(&value, PQgetvalue(result, row, field), sizeof value);
    return (int64_t)__builtin_bswap64(value);
}

int32_t pg_read_int4(const PGresult *result, int row, int field)
{
    uint32_t value = 0;

    if (PQgetlength(result, row, field) == 4)
        memcpy(&value, PQgetvalue(result, row, field), sizeof value);
    return (int32_t)__builtin_bswap32(value);
}

static bool read_numeric(const char *data, int size, const struct column *column, int128 *ret_coefficient)
{
    int n = size >= 8 ? read_be16(data) : -1, weight = size >= 8 ? (int16_t)read_be16(data + 2) : 0;
    int sign = size >= 8 ? read_be16(data + 4) : -1;
    int128 coefficient = 0;

    if (n < 0 || size != 8 + 2 * n || (sign != 0 && sign != NUMERIC_NEGATIVE))
        return false; /* NaN and infinities too */
    for (int i = 0; i < n; i++) {
        int exponent = (weight - i) * 4 + (int)column->scale, digit = read_be16(data + 8 + 2 * i);

        if (digit == 0)
            continue;
        if (exponent > 38 || exponent < -4)
            return false;
        coefficient += exponent >= 0 ? digit * decimal_power((unsigned)exponent) : digit / decimal_power((unsigned)-exponent);
    }
    *ret_coefficient = sign == NUMERIC_NEGATIVE ? -coefficient : coefficient;
    return true;
}

static int unreadable(const struct column *column, struct error *ret_error)
{
    return error_set(ret_error, ERROR_CONFIG, "column %s: the server's value is not of the type that the plugin declares",
                     column->name);
}

int pg_read_cell(const struct column *column, const PGresult *result, int row, int field, struct cell *ret_cell,
                 struct error *ret_error)
{
    const char *data = PQgetvalue(result, row, field);
    int size = PQgetlength(result, row, field);
    struct cell cell = {.operation = CELL_SET, .is_null = PQgetisnull(result, row, field) != 0};
    bool is_good = true;

    if (!cell.is_null && PQftype(result, field) != pg_type_of(column->type)->oid)
        return unreadable(column, ret_error);
    if (!cell.is_null) {
        switch (column->type) {
        case RS_INT:
            cell.as.integer = pg_read_int8(result, row, field);
            break;
        case RS_REAL: {
            int64_t bits = pg_read_int8(result, row, field);

            memcpy(&cell.as.real, &bits, sizeof bits);
            break;
        }
        case RS_DECIMAL:
            is_good = read_numeric(data, size, column, &cell.as.decimal);
            break;
        case RS_BOOL:
            cell.as.integer = size == 1 && data[0] != 0;
            break;
        case RS_TIMESTAMP: /* infinity does not fit */
            is_good = !__builtin_add_overflow(pg_read_int8(result, row, field), epoch_us, &cell.as.integer) &&
                      cell.as.integer != INT64_MIN + epoch_us;
            break;
        case RS_DATE: /* nor here */
            cell.as.integer = (int64_t)pg_read_int4(result, row, field) + epoch_days;
            is_good = cell.as.integer <= INT32_MAX && cell.as.integer != (int64_t)INT32_MIN + epoch_days;
            break;
        case RS_UUID:
            is_good = size == 16;
            memcpy(cell.as.uuid, data, is_good ? 16 : 0);
            break;
        case RS_TEXT:
        case RS_BYTES:
            cell.as.data = data;
            cell.size = (uint32_t)size;
            break;
        case RS_JSON:
            is_good = size >= 1 && data[0] == 1;
            cell.as.data = data + 1;
            cell.size = is_good ? (uint32_t)size - 1 : 0;
            break;
        }
    }
    if (!is_good)
        return unreadable(column, ret_error);
    *ret_cell = cell;
    return 0;
}
