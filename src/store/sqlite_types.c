/*
 * sqlite_types - how values lie in an SQLite file: so that a person reads them with the sqlite3 shell, and nothing is rounded.
 *
 * Integers and bool: INTEGER; decimals: TEXT with exactly the column's digits behind the point; timestamps: TEXT in RFC 3339 with
 * microseconds and Z; dates: TEXT; UUIDs: TEXT; JSON: TEXT; bytes: BLOB. Sums go through the functions below, which are exact and
 * refuse overflow, where SQLite itself would turn to floating point.
 */
#include "store/sqlite.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

const char *sqlite_type_name(const struct column *column)
{
    switch (column->type) {
    case RS_INT:
    case RS_BOOL:
        return "INTEGER";
    case RS_REAL:
        return "REAL";
    case RS_BYTES:
        return "BLOB";
    default:
        return "TEXT";
    }
}

void sqlite_bind_cell(sqlite3_stmt *statement, int at, const struct column *column, const struct cell *cell)
{
    char text[64];

    if (cell->is_null) {
        sqlite3_bind_null(statement, at);
        return;
    }
    switch (column->type) {
    case RS_INT:
    case RS_BOOL:
        sqlite3_bind_int64(statement, at, cell->as.integer);
        return;
    case RS_REAL:
        sqlite3_bind_double(statement, at, cell->as.real);
        return;
    case RS_TEXT:
    case RS_JSON:
        sqlite3_bind_text(statement, at, cell->as.data, (int)cell->size, SQLITE_STATIC);
        return;
    case RS_BYTES:
        sqlite3_bind_blob(statement, at, cell->as.data, (int)cell->size, SQLITE_STATIC);
        return;
    case RS_DECIMAL:
        decimal_print(decimal_make(cell->as.decimal, (int32_t)column->scale), text);
        break;
    case RS_TIMESTAMP:
        text_print_timestamp(cell->as.integer, text);
        break;
    case RS_DATE:
        text_print_date((int32_t)cell->as.integer, text);
        break;
    case RS_UUID:
        text_print_uuid(cell->as.uuid, text);
        break;
    }
    sqlite3_bind_text(statement, at, text, -1, SQLITE_TRANSIENT);
}

static bool read_text_form(const struct column *column, const char *text, size_t size, struct cell *cell)
{
    struct rs_decimal decimal;
    int32_t days;

    switch (column->type) {
    case RS_DECIMAL:
        return decimal_parse(text, size, &decimal) && decimal_rescale(decimal, column->precision, column->scale, &cell->as.decimal);
    case RS_TIMESTAMP:
        return text_read_timestamp(text, size, &cell->as.integer);
    case RS_DATE:
        if (!text_read_date(text, size, &days))
            return false;
        cell->as.integer = days;
        return true;
    case RS_UUID:
        return text_read_uuid(text, size, cell->as.uuid);
    default:
        cell->as.data = text;
        cell->size = (uint32_t)size;
        return true;
    }
}

int sqlite_read_cell(const struct column *column, sqlite3_stmt *statement, int at, struct cell *ret_cell, struct error *ret_error)
{
    struct cell cell = {.operation = CELL_SET};
    int type = sqlite3_column_type(statement, at);
    bool is_good = true;

    if (type == SQLITE_NULL) {
        cell.is_null = true;
    } else if (column->type == RS_INT || column->type == RS_BOOL) {
        cell.as.integer = sqlite3_column_int64(statement, at);
        is_good = type == SQLITE_INTEGER;
    } else if (column->type == RS_REAL) {
        cell.as.real = sqlite3_column_double(statement, at);
        is_good = type == SQLITE_FLOAT || type == SQLITE_INTEGER;
    } else if (column->type == RS_BYTES) {
        cell.as.data = sqlite3_column_blob(statement, at);
        cell.size = (uint32_t)sqlite3_column_bytes(statement, at);
        is_good = type == SQLITE_BLOB;
        if (cell.size == 0)
            cell.as.data = "";
    } else {
        const char *text = (const char *)sqlite3_column_text(statement, at);

        is_good = type == SQLITE_TEXT && text != NULL &&
                  read_text_form(column, text, (size_t)sqlite3_column_bytes(statement, at), &cell);
    }
    if (!is_good)
        return error_set(ret_error, ERROR_CONFIG, "column %s: the stored value is not what the plugin declares", column->name);
    *ret_cell = cell;
    return 0;
}

/* ---- Functions for sums ---- */

static bool decimal_argument(sqlite3_value *value, int128 *ret_coefficient, uint32_t precision, uint32_t scale)
{
    struct rs_decimal decimal;
    const char *text = (const char *)sqlite3_value_text(value);

    *ret_coefficient = 0;
    if (sqlite3_value_type(value) == SQLITE_NULL)
        return true;
    return text != NULL && decimal_parse(text, (size_t)sqlite3_value_bytes(value), &decimal) &&
           decimal_rescale(decimal, precision, scale, ret_coefficient);
}

static void give_decimal(sqlite3_context *context, int128 coefficient, uint32_t scale)
{
    char text[64];

    decimal_print(decimal_make(coefficient, (int32_t)scale), text);
    sqlite3_result_text(context, text, -1, SQLITE_TRANSIENT);
}

/* readside_add(now, delta, precision, scale, name) */
static void add_decimals(sqlite3_context *context, int n, sqlite3_value **values)
{
    uint32_t precision = (uint32_t)sqlite3_value_int(values[2]), scale = (uint32_t)sqlite3_value_int(values[3]);
    int128 a, b, limit = decimal_power(precision);
    char message[160];

    (void)n;
    if (!decimal_argument(values[0], &a, precision, scale) || !decimal_argument(values[1], &b, precision, scale)) {
        sqlite3_result_error(context, "readside: a stored decimal is not one", -1);
        return;
    }
    if (__builtin_add_overflow(a, b, &a) || a >= limit || a <= -limit) {
        snprintf(message, sizeof message, "readside: %s: the sum does not fit numeric(%u,%u)",
                 (const char *)sqlite3_value_text(values[4]), precision, scale);
        sqlite3_result_error(context, message, -1);
        return;
    }
    give_decimal(context, a, scale);
}

/* readside_add_int(now, delta, name) */
static void add_integers(sqlite3_context *context, int n, sqlite3_value **values)
{
    int64_t sum;
    char message[160];

    (void)n;
    if (!__builtin_add_overflow((int64_t)sqlite3_value_int64(values[0]), (int64_t)sqlite3_value_int64(values[1]), &sum)) {
        sqlite3_result_int64(context, sum);
        return;
    }
    snprintf(message, sizeof message, "readside: %s: the sum exceeds 64 bits", (const char *)sqlite3_value_text(values[2]));
    sqlite3_result_error(context, message, -1);
}

/* readside_greatest(now, other, scale) and readside_least: decimals compare by value, not as text. Null gives way. */
static void choose_decimal(sqlite3_context *context, sqlite3_value **values, bool is_greatest)
{
    uint32_t scale = (uint32_t)sqlite3_value_int(values[2]);
    int128 a, b;

    if (sqlite3_value_type(values[0]) == SQLITE_NULL || sqlite3_value_type(values[1]) == SQLITE_NULL) {
        sqlite3_result_value(context, values[sqlite3_value_type(values[0]) == SQLITE_NULL]);
        return;
    }
    if (!decimal_argument(values[0], &a, RS_MAX_DIGITS, scale) || !decimal_argument(values[1], &b, RS_MAX_DIGITS, scale)) {
        sqlite3_result_error(context, "readside: a stored decimal is not one", -1);
        return;
    }
    sqlite3_result_value(context, values[is_greatest ? b > a : b < a]);
}

static void greatest(sqlite3_context *context, int n, sqlite3_value **values)
{
    (void)n;
    choose_decimal(context, values, true);
}

static void least(sqlite3_context *context, int n, sqlite3_value **values)
{
    (void)n;
    choose_decimal(context, values, false);
}

/* readside_same(theirs, ours, table, key): the partition that a row belongs to, or an error that stops ours. */
static void same_partition(sqlite3_context *context, int n, sqlite3_value **values)
{
    char message[320];

    (void)n;
    if (sqlite3_value_int(values[0]) == sqlite3_value_int(values[1])) {
        sqlite3_result_value(context, values[0]);
        return;
    }
    snprintf(message, sizeof message, "readside: partition: row %.100s of %s belongs to partition %d, and an event of partition %d touches it",
             (const char *)sqlite3_value_text(values[3]), (const char *)sqlite3_value_text(values[2]),
             sqlite3_value_int(values[0]), sqlite3_value_int(values[1]));
    sqlite3_result_error(context, message, -1);
}

int sqlite_add_functions(sqlite3 *connection)
{
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;
    int code = sqlite3_create_function(connection, "readside_add", 5, flags, NULL, add_decimals, NULL, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_create_function(connection, "readside_add_int", 3, flags, NULL, add_integers, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_create_function(connection, "readside_greatest", 3, flags, NULL, greatest, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_create_function(connection, "readside_least", 3, flags, NULL, least, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_create_function(connection, "readside_same", 4, flags, NULL, same_partition, NULL, NULL);
    return code;
}
