/*
 * value - see value.h. Called by the fold for every operation, in the task's one thread, and by the plugin loader for fallbacks.
 * Never keeps or copies what a value points to.
 */
#include "fold/value.h"

#include "base/text.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_TEXT_MAX = 40 };

static const uint32_t data_bytes_max = UINT32_C(1) << 28; /* far above any record, far below what stores refuse */
static const int64_t first_microsecond = INT64_C(-62135596800000000), last_microsecond = INT64_C(253402300799999999);
static const int32_t first_day = -719162, last_day = 2932896;

/* ---- In messages ---- */

const char *value_type_name(uint32_t type)
{
    static const char *const names[] = {"null",  "int",  "real",      "decimal", "text", "bool",
                                        "bytes", "json", "timestamp", "date",    "uuid"};

    return type < sizeof names / sizeof names[0] ? names[type] : "(unknown)";
}

/* In quotes, cut between characters. */
static void print_text(const struct cell *cell, char *ret_text)
{
    uint32_t shown = cell->size;

    if (shown > SHOWN_TEXT_MAX)
        for (shown = SHOWN_TEXT_MAX; shown > 0 && (cell->as.data[shown] & 0xc0) == 0x80; shown--)
            ;
    snprintf(ret_text, VALUE_SHOWN_SIZE, "\"%.*s%s\"", (int)shown, cell->as.data, shown < cell->size ? "..." : "");
}

void value_print(const struct column *column, const struct cell *cell, char ret_text[VALUE_SHOWN_SIZE])
{
    int32_t scale = column->type == RS_DECIMAL ? (int32_t)column->scale : 0;

    if (cell->is_null) {
        snprintf(ret_text, VALUE_SHOWN_SIZE, "null");
        return;
    }
    switch (column->type) {
    case RS_INT:
    case RS_DECIMAL:
        ret_text[decimal_print(decimal_make(cell->as.sum, scale), ret_text)] = '\0';
        break;
    case RS_REAL:
        snprintf(ret_text, VALUE_SHOWN_SIZE, "%.17g", cell->as.real);
        break;
    case RS_BOOL:
        snprintf(ret_text, VALUE_SHOWN_SIZE, "%s", cell->as.integer != 0 ? "true" : "false");
        break;
    case RS_TIMESTAMP:
        text_print_timestamp(cell->as.integer, ret_text);
        break;
    case RS_DATE:
        text_print_date((int32_t)cell->as.integer, ret_text);
        break;
    case RS_UUID:
        text_print_uuid(cell->as.uuid, ret_text);
        break;
    case RS_BYTES:
        snprintf(ret_text, VALUE_SHOWN_SIZE, "%" PRIu32 " bytes", cell->size);
        break;
    default:
        print_text(cell, ret_text);
        break;
    }
}

/* ---- From the handler ---- */

/* Says which end does not fit. */
static int decimal_misfit(const struct table *table, const struct column *column, struct rs_decimal decimal,
                          struct error *ret_error)
{
    char text[64];
    int128 ignored;

    if (decimal.scale < 0 || decimal.scale > RS_MAX_DIGITS)
        return error_set(ret_error, ERROR_BUG, "%s.%s: a decimal of scale %" PRId32 "; the scale is 0 to %d", table->name,
                         column->name, decimal.scale, RS_MAX_DIGITS);
    text[decimal_print(decimal, text)] = '\0';
    if ((uint32_t)decimal.scale > column->scale && !decimal_rescale(decimal, RS_MAX_DIGITS, column->scale, &ignored))
        return error_set(ret_error, ERROR_POISON, "%s.%s: %s has more than %" PRIu32 " digits behind the point", table->name,
                         column->name, text, column->scale);
    return error_set(ret_error, ERROR_POISON, "%s.%s: %s has more than %" PRIu32 " digits before the point", table->name,
                     column->name, text, column->precision - column->scale);
}

static int fit_decimal(const struct table *table, const struct column *column, struct rs_decimal decimal, struct cell *cell,
                       struct error *ret_error)
{
    if (decimal.scale == (int32_t)column->scale) { /* the common case needs no division */
        cell->as.decimal = decimal_coefficient(decimal);
        if (value_sum_fits(column, cell))
            return 0;
    } else if (decimal_rescale(decimal, column->precision, column->scale, &cell->as.decimal)) {
        return 0;
    }
    return decimal_misfit(table, column, decimal, ret_error);
}

/* The escape \u0000 of a character that PostgreSQL's jsonb cannot hold: refused for every store alike. */
static bool holds_escaped_nul(const char *json, size_t size)
{
    const char *at = json, *end = json + size;

    while ((at = memmem(at, (size_t)(end - at), "\\u0000", 6)) != NULL) {
        size_t n_before = 0;

        while (at - n_before > json && at[-1 - (ptrdiff_t)n_before] == '\\')
            n_before++;
        if (n_before % 2 == 0) /* else the backslash is itself escaped */
            return true;
        at += 6;
    }
    return false;
}

/* Of JSON only the encoding is checked: the host's own documents are valid, and a plugin's are its word. */
static int fit_text(const struct table *table, const struct column *column, const struct cell *cell, struct error *ret_error)
{
    size_t code_points;
    char text[VALUE_SHOWN_SIZE];

    if (!text_is_utf8(cell->as.data, cell->size, &code_points))
        return error_set(ret_error, ERROR_POISON, "%s.%s: the text is not valid UTF-8, or holds NUL", table->name, column->name);
    if (column->type == RS_JSON && cell->size == 0)
        return error_set(ret_error, ERROR_POISON, "%s.%s: empty text is not a JSON document", table->name, column->name);
    if (column->type == RS_JSON && holds_escaped_nul(cell->as.data, cell->size))
        return error_set(ret_error, ERROR_POISON, "%s.%s: the JSON holds the character \\u0000", table->name, column->name);
    if (column->length == 0 || code_points <= column->length)
        return 0;
    value_print(column, cell, text);
    return error_set(ret_error, ERROR_POISON, "%s.%s: %s has %zu characters, the column takes %" PRIu32, table->name,
                     column->name, text, code_points, column->length);
}

static int fit_data(const struct table *table, const struct column *column, const struct rs_value *value, struct cell *cell,
                    struct error *ret_error)
{
    size_t size = value->as.text.size;

    if (size > data_bytes_max)
        return error_set(ret_error, ERROR_POISON, "%s.%s: %zu bytes are more than a value may have (%" PRIu32 ")", table->name,
                         column->name, size, data_bytes_max);
    if (value->as.text.data == NULL && size > 0)
        return error_set(ret_error, ERROR_BUG, "%s.%s: the handler gives NULL as %zu bytes of %s", table->name, column->name,
                         size, value_type_name(value->type));
    cell->as.data = size == 0 ? "" : value->as.text.data;
    cell->size = (uint32_t)size;
    if (column->type != RS_BYTES)
        return fit_text(table, column, cell, ret_error);
    if (column->length > 0 && size > column->length)
        return error_set(ret_error, ERROR_POISON, "%s.%s: %zu bytes, the column takes %" PRIu32, table->name, column->name, size,
                         column->length);
    return 0;
}

static int out_of_years(const struct table *table, const struct column *column, struct error *ret_error)
{
    return error_set(ret_error, ERROR_POISON, "%s.%s: the time is outside the years 0001 to 9999", table->name, column->name);
}

static int misfit_type(const struct table *table, const struct column *column, uint32_t type, struct error *ret_error)
{
    if (type == 0)
        return error_set(ret_error, ERROR_POISON, "%s.%s: null in a column that is %s", table->name, column->name,
                         column->is_key ? "part of the key" : "not null");
    return error_set(ret_error, ERROR_BUG, "%s.%s: the handler gives a value of type %s, the column is of type %s", table->name,
                     column->name, value_type_name(type), value_type_name(column->type));
}

int value_fit(const struct table *table, uint32_t number, const struct rs_value *value, struct cell *ret_cell,
              struct error *ret_error)
{
    const struct column *column = &table->columns[number];
    bool is_null = value->type == 0;

    ret_cell->operation = CELL_SET;
    ret_cell->is_null = is_null;
    ret_cell->size = 0;
    if (is_null && !column->is_not_null && !column->is_key)
        return 0;
    if (value->type != (uint32_t)column->type)
        return misfit_type(table, column, value->type, ret_error);
    switch (column->type) {
    case RS_INT:
        ret_cell->as.sum = value->as.integer;
        return 0;
    case RS_DECIMAL:
        return fit_decimal(table, column, value->as.decimal, ret_cell, ret_error);
    case RS_TIMESTAMP:
        ret_cell->as.integer = value->as.timestamp.microseconds;
        return ret_cell->as.integer >= first_microsecond && ret_cell->as.integer <= last_microsecond
                   ? 0
                   : out_of_years(table, column, ret_error);
    case RS_DATE:
        ret_cell->as.integer = value->as.date.days;
        return value->as.date.days >= first_day && value->as.date.days <= last_day ? 0 : out_of_years(table, column, ret_error);
    case RS_BOOL:
        ret_cell->as.integer = value->boolean != 0;
        return 0;
    case RS_REAL:
        ret_cell->as.real = value->as.real + 0.0; /* -0.0 + 0.0 is 0.0 */
        return isfinite(value->as.real)
                   ? 0
                   : error_set(ret_error, ERROR_POISON, "%s.%s: not a finite number", table->name, column->name);
    case RS_UUID:
        memcpy(ret_cell->as.uuid, value->as.uuid.bytes, sizeof ret_cell->as.uuid);
        return 0;
    default:
        return fit_data(table, column, value, ret_cell, ret_error);
    }
}

/* ---- To the handler ---- */

void value_give(const struct column *column, const struct cell *cell, struct rs_value *ret_value)
{
    memset(ret_value, 0, sizeof *ret_value);
    if (cell->is_null)
        return;
    ret_value->type = column->type;
    switch (column->type) {
    case RS_INT:
        ret_value->as.integer = (int64_t)cell->as.sum;
        break;
    case RS_REAL:
        ret_value->as.real = cell->as.real;
        break;
    case RS_DECIMAL:
        ret_value->as.decimal = decimal_make(cell->as.decimal, (int32_t)column->scale);
        break;
    case RS_BOOL:
        ret_value->boolean = cell->as.integer != 0;
        break;
    case RS_TIMESTAMP:
        ret_value->as.timestamp.microseconds = cell->as.integer;
        break;
    case RS_DATE:
        ret_value->as.date.days = (int32_t)cell->as.integer;
        break;
    case RS_UUID:
        memcpy(ret_value->as.uuid.bytes, cell->as.uuid, sizeof cell->as.uuid);
        break;
    default:
        ret_value->as.text.data = cell->as.data;
        ret_value->as.text.size = cell->size;
        break;
    }
}

struct cell value_widen(const struct column *column, const struct cell *stored)
{
    struct cell cell = *stored;

    if (column->type == RS_INT && !cell.is_null)
        cell.as.sum = stored->as.integer;
    cell.operation = CELL_SET;
    return cell;
}

/* ---- Sums and order ---- */

/* Exact: the sum has 128 bits, the column's bounds at most 127. */
bool value_sum_fits(const struct column *column, const struct cell *cell)
{
    int128 limit;

    if (cell->is_null)
        return true;
    if (column->type == RS_INT)
        return cell->as.sum == (int64_t)cell->as.sum;
    if (column->type != RS_DECIMAL)
        return true;
    limit = decimal_power(column->precision);
    return cell->as.decimal < limit && cell->as.decimal > -limit;
}

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
    case RS_DECIMAL: /* the same member by another name */
        return (a->as.sum > b->as.sum) - (a->as.sum < b->as.sum);
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
