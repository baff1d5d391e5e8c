/*
 * sqlite_types - how values lie in an SQLite file: so that a person reads them with the sqlite3 shell, and nothing is rounded.
 *
 * Integers and bool: INTEGER; real: REAL; bytes: BLOB; everything else TEXT: decimals with exactly the column's digits behind the
 * point, timestamps in RFC 3339 in UTC with microseconds (so that they sort), dates as YYYY-MM-DD, UUIDs in lower case, JSON and
 * text as they came. Each value has one form, so that equal keys are equal text. Called by the other files of the driver.
 */
#include "store/sqlite.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *sqlite_storage_name(enum rs_type type)
{
    switch (type) {
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

const char *sqlite_type_name(const struct column *column, char ret_name[SQLITE_TYPE_SIZE])
{
    static const char *const names[] = {"",      "int",  "real",      "decimal", "text", "bool",
                                        "bytes", "json", "timestamp", "date",    "uuid"};
    size_t type = (size_t)column->type;

    if (column->type == RS_DECIMAL)
        snprintf(ret_name, SQLITE_TYPE_SIZE, "decimal(%u,%u)", column->precision, column->scale);
    else
        snprintf(ret_name, SQLITE_TYPE_SIZE, "%s", type < sizeof names / sizeof names[0] ? names[type] : "");
    return ret_name;
}

/* Numbers, times and UUIDs as text. False: the column's values are not of that kind. */
static bool print_value(const struct column *column, const struct cell *cell, char ret_text[SQLITE_VALUE_SIZE])
{
    switch (column->type) {
    case RS_INT:
    case RS_BOOL:
        snprintf(ret_text, SQLITE_VALUE_SIZE, "%" PRId64, cell->as.integer);
        return true;
    case RS_REAL:
        snprintf(ret_text, SQLITE_VALUE_SIZE, "%.17g", cell->as.real);
        return true;
    case RS_DECIMAL:
        ret_text[decimal_print(decimal_make(cell->as.decimal, (int32_t)column->scale), ret_text)] = '\0';
        return true;
    case RS_TIMESTAMP:
        text_print_timestamp(cell->as.integer, ret_text);
        return true;
    case RS_DATE:
        text_print_date((int32_t)cell->as.integer, ret_text);
        return true;
    case RS_UUID:
        text_print_uuid(cell->as.uuid, ret_text);
        return true;
    default:
        return false;
    }
}

static void print_quoted(struct buffer *sql, const char *text, size_t size)
{
    buffer_putc(sql, '\'');
    for (size_t i = 0; i < size; i++)
        buffer_printf(sql, text[i] == '\'' ? "''" : "%c", text[i]);
    buffer_putc(sql, '\'');
}

void sqlite_print_fallback(struct buffer *sql, const struct column *column)
{
    const struct cell *cell = &column->fallback;
    char text[SQLITE_VALUE_SIZE];

    if (column->type == RS_BYTES) {
        buffer_puts(sql, "x'");
        for (uint32_t i = 0; i < cell->size; i++)
            buffer_printf(sql, "%02x", (unsigned char)cell->as.data[i]);
        buffer_putc(sql, '\'');
    } else if (!print_value(column, cell, text)) {
        print_quoted(sql, cell->as.data, cell->size);
    } else if (strcmp(sqlite_storage_name(column->type), "TEXT") == 0) {
        print_quoted(sql, text, strlen(text));
    } else {
        buffer_puts(sql, text);
    }
}

/* ---- Binding ---- */

static int bind(struct sqlite *lite, sqlite3_stmt *statement, int at, const struct column *column, const struct cell *cell)
{
    const char *data = cell->size == 0 ? "" : cell->as.data; /* a null pointer would bind null */
    char *text = lite->values[at];

    switch (column->type) {
    case RS_INT:
    case RS_BOOL:
        return sqlite3_bind_int64(statement, at, cell->as.integer);
    case RS_REAL:
        return sqlite3_bind_double(statement, at, cell->as.real);
    case RS_TEXT:
    case RS_JSON:
        return sqlite3_bind_text64(statement, at, data, cell->size, SQLITE_STATIC, SQLITE_UTF8);
    case RS_BYTES:
        return sqlite3_bind_blob64(statement, at, data, cell->size, SQLITE_STATIC);
    default:
        (void)print_value(column, cell, text);
        return sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
    }
}

int sqlite_bind_cell(struct sqlite *lite, sqlite3_stmt *statement, int at, const struct column *column, const struct cell *cell,
                     struct error *ret_error)
{
    int code = cell->is_null ? sqlite3_bind_null(statement, at) : bind(lite, statement, at, column, cell);

    return code == SQLITE_OK ? 0 : sqlite_error(lite, column->name, ret_error);
}

void sqlite_bind_id(struct sqlite *lite, sqlite3_stmt *statement, int at, const uint8_t id[16])
{
    text_print_uuid(id, lite->values[at]);
    sqlite3_bind_text(statement, at, lite->values[at], -1, SQLITE_STATIC);
}

/* ---- Reading ---- */

static bool read_text(const struct column *column, const char *data, size_t size, struct cell *cell)
{
    struct rs_decimal decimal;
    int32_t days;

    switch (column->type) {
    case RS_DECIMAL:
        return decimal_parse(data, size, &decimal) && decimal_rescale(decimal, column->precision, column->scale, &cell->as.decimal);
    case RS_TIMESTAMP:
        return text_read_timestamp(data, size, &cell->as.integer);
    case RS_DATE:
        if (!text_read_date(data, size, &days))
            return false;
        cell->as.integer = days;
        return true;
    case RS_UUID:
        return text_read_uuid(data, size, cell->as.uuid);
    default:
        cell->as.data = data;
        cell->size = (uint32_t)size;
        return text_is_utf8(data, size, NULL);
    }
}

static bool read_value(const struct column *column, sqlite3_stmt *statement, int at, struct cell *cell)
{
    int storage = sqlite3_column_type(statement, at);
    const void *data;

    switch (column->type) {
    case RS_INT:
    case RS_BOOL:
        cell->as.integer = sqlite3_column_int64(statement, at);
        return storage == SQLITE_INTEGER && (column->type == RS_INT || cell->as.integer == 0 || cell->as.integer == 1);
    case RS_REAL:
        cell->as.real = sqlite3_column_double(statement, at);
        return storage == SQLITE_FLOAT || storage == SQLITE_INTEGER;
    case RS_BYTES:
        data = sqlite3_column_blob(statement, at);
        cell->size = (uint32_t)sqlite3_column_bytes(statement, at);
        cell->as.data = cell->size == 0 ? "" : data;
        return storage == SQLITE_BLOB;
    default:
        data = sqlite3_column_text(statement, at);
        return storage == SQLITE_TEXT && data != NULL &&
               read_text(column, data, (size_t)sqlite3_column_bytes(statement, at), cell);
    }
}

int sqlite_read_cell(const struct table *table, uint32_t number, sqlite3_stmt *statement, int at, struct cell *ret_cell,
                     struct error *ret_error)
{
    const struct column *column = &table->columns[number];
    struct cell cell = {.operation = CELL_SET, .is_null = sqlite3_column_type(statement, at) == SQLITE_NULL};
    char type[SQLITE_TYPE_SIZE];

    if (!cell.is_null && !read_value(column, statement, at, &cell)) {
        const char *text = (const char *)sqlite3_column_text(statement, at);

        return error_set(ret_error, ERROR_CONFIG, "%s.%s holds \"%.60s\", which is no %s; somebody else has written to the table",
                         table->name, column->name, text == NULL ? "" : text, sqlite_type_name(column, type));
    }
    *ret_cell = cell;
    return 0;
}

/* ---- For people ---- */

const char *sqlite_show_key(const struct table *table, const struct cell *cells, char ret_text[SQLITE_KEY_SHOWN_SIZE])
{
    size_t size = 0;

    ret_text[0] = '\0';
    for (uint32_t i = 0; i < table->n_keys && size < SQLITE_KEY_SHOWN_SIZE - 1; i++) {
        const struct column *column = &table->columns[table->keys[i]];
        const struct cell *cell = &cells[table->keys[i]];
        const char *separator = i > 0 ? ", " : "";
        size_t room = SQLITE_KEY_SHOWN_SIZE - size;
        char text[SQLITE_VALUE_SIZE];
        int length;

        if (print_value(column, cell, text))
            length = snprintf(ret_text + size, room, "%s%s", separator, text);
        else if (column->type == RS_BYTES)
            length = snprintf(ret_text + size, room, "%s%u bytes", separator, cell->size);
        else
            length = snprintf(ret_text + size, room, "%s%.*s", separator, (int)cell->size, cell->as.data);
        size += length < 0 ? 0 : (size_t)length;
    }
    return ret_text;
}
