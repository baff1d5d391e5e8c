/*
 * mysql_types - how values lie in MySQL and MariaDB, in one form for both. See mysql.h.
 *
 * What a type of the server's would change is kept in one that does not: JSON as text (MySQL's own type reorders members and rounds
 * numbers), UUIDs as sixteen bytes (MariaDB's own type orders them in another way), times as DATETIME in UTC (TIMESTAMP ends in
 * 2038 and moves with the session's time zone). Views show the first two readably.
 */
#include "store/mysql.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { VARCHAR_MAX = 768 };

/* Compares byte by byte and without padding: each server knows only its own, and passes over what is for the other. */
const char my_text_collation[] = "CHARACTER SET utf8mb4 COLLATE /*!80017 utf8mb4_0900_bin */ /*M! utf8mb4_nopad_bin */";

bool my_is_exact_collation(const char *name)
{
    return name != NULL && (strcmp(name, "utf8mb4_0900_bin") == 0 || strcmp(name, "utf8mb4_nopad_bin") == 0);
}

/* ---- Names ---- */

static uint32_t fixed_bytes(const struct column *column)
{
    switch (column->type) {
    case RS_BOOL:
        return 1;
    case RS_DATE:
        return 3;
    case RS_UUID:
        return 16;
    case RS_DECIMAL:
        return 4 * ((column->precision - column->scale) / 9 + 1) + 4 * (column->scale / 9 + 1);
    default:
        return 8;
    }
}

static bool is_sized(const struct column *column)
{
    return column->type == RS_TEXT || column->type == RS_BYTES || column->type == RS_JSON;
}

uint32_t my_key_share(const struct table *table, const uint32_t *columns, uint32_t n_columns)
{
    uint32_t left = MY_KEY_BYTES, n_open = 0;

    for (uint32_t i = 0; i < n_columns; i++) {
        const struct column *column = &table->columns[columns[i]];
        uint32_t bytes = is_sized(column) ? column->length * (column->type == RS_BYTES ? 1 : 4) : fixed_bytes(column);

        n_open += is_sized(column) && column->length == 0;
        left -= bytes < left ? bytes : left;
    }
    return n_open == 0 ? left : left / n_open;
}

/* Of a text or bytes column of the key: characters or bytes. */
static uint32_t key_length(const struct table *table, const struct column *column)
{
    uint32_t share = my_key_share(table, table->keys, table->n_keys);

    if (column->length > 0)
        return column->length;
    return column->type == RS_BYTES ? share : share / 4 < VARCHAR_MAX ? share / 4 : VARCHAR_MAX;
}

static int check_key(const struct change_group *group, const struct column *column, uint32_t number, struct error *ret_error)
{
    uint32_t most = key_length(group->table, column);
    size_t n_characters = 0;

    for (size_t i = 0; i < group->n_rows; i++) {
        const struct cell *cell = &group->rows[i]->cells[number];

        if (cell->size > most && text_is_utf8(cell->as.data, cell->size, &n_characters) && n_characters > most)
            return error_set(ret_error, ERROR_POISON,
                             "%s.%s: a key's text of %zu characters; its column takes %" PRIu32
                             ", as a key has %d bytes in all (declared lengths leave more to its other columns)",
                             group->table->name, column->name, n_characters, most, MY_KEY_BYTES);
    }
    return 0;
}

int my_check_keys(const struct change_group *group, struct error *ret_error)
{
    int result = 0;

    for (uint32_t i = 0; i < group->table->n_keys && result == 0; i++) {
        const struct column *column = &group->table->columns[group->table->keys[i]];

        if (column->type == RS_TEXT && column->length == 0) /* declared lengths have been judged by the fold */
            result = check_key(group, column, group->table->keys[i], ret_error);
    }
    return result;
}

void my_type_name(const struct table *table, uint32_t number, char ret_name[MY_TYPE_SIZE])
{
    static const char *const names[] = {
        [RS_INT] = "bigint",     [RS_REAL] = "double",   [RS_TEXT] = "longtext",         [RS_BOOL] = "tinyint",
        [RS_BYTES] = "longblob", [RS_JSON] = "longtext", [RS_TIMESTAMP] = "datetime(6)", [RS_DATE] = "date",
        [RS_UUID] = "binary(16)"};
    const struct column *column = &table->columns[number];

    if (column->type == RS_DECIMAL)
        snprintf(ret_name, MY_TYPE_SIZE, "decimal(%u,%u)", column->precision, column->scale);
    else if (column->is_key && column->type == RS_TEXT)
        snprintf(ret_name, MY_TYPE_SIZE, "varchar(%u)", key_length(table, column));
    else if (column->is_key && column->type == RS_BYTES)
        snprintf(ret_name, MY_TYPE_SIZE, "varbinary(%u)", key_length(table, column));
    else
        snprintf(ret_name, MY_TYPE_SIZE, "%s", names[column->type]);
}

void my_print_type(struct buffer *sql, const struct table *table, uint32_t number)
{
    const struct column *column = &table->columns[number];
    char name[MY_TYPE_SIZE];

    my_type_name(table, number, name);
    buffer_puts(sql, column->type == RS_BOOL ? "boolean" : name);
    if (column->type == RS_TEXT || column->type == RS_JSON)
        buffer_printf(sql, " %s", my_text_collation);
}

/* ---- Literals ---- */

void my_print_text(struct buffer *sql, const char *data, size_t size)
{
    buffer_putc(sql, '\'');
    for (size_t i = 0; i < size; i++) {
        char c = data[i];

        if (c == '\'' || c == '\\')
            buffer_putc(sql, '\\');
        if (c == '\0')
            buffer_puts(sql, "\\0");
        else
            buffer_putc(sql, c);
    }
    buffer_putc(sql, '\'');
}

void my_print_string(struct buffer *sql, const char *string)
{
    if (string == NULL)
        buffer_puts(sql, "NULL");
    else
        my_print_text(sql, string, strlen(string));
}

/* What people or a plugin have said may be no UTF-8. */
void my_print_words(struct buffer *sql, const char *words)
{
    if (words == NULL || text_is_utf8(words, strlen(words), NULL)) {
        my_print_string(sql, words);
        return;
    }
    buffer_putc(sql, '\'');
    for (; *words != '\0'; words++)
        buffer_printf(sql, *words == '\'' || *words == '\\' ? "\\%c" : "%c", (unsigned char)*words < 0x80 ? *words : '?');
    buffer_putc(sql, '\'');
}

void my_print_bytes(struct buffer *sql, const void *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    char *out;

    buffer_puts(sql, "x'");
    out = buffer_extend(sql, 2 * size);
    for (size_t i = 0; out != NULL && i < size; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    buffer_putc(sql, '\'');
}

/* "2026-11-23 04:00:00.000000", "2026-11-23"; the fold has judged the year. */
static void print_time(const struct column *column, const struct cell *cell, char ret_text[TEXT_TIMESTAMP_SIZE])
{
    if (column->type == RS_DATE) {
        text_print_date((int32_t)cell->as.integer, ret_text);
        return;
    }
    text_print_timestamp(cell->as.integer, ret_text);
    ret_text[10] = ' ';
    ret_text[26] = '\0';
}

static unsigned digits_of(const char *at, int n)
{
    unsigned number = 0;

    while (n-- > 0)
        number = number * 10 + (unsigned)(*at++ - '0');
    return number;
}

void my_time_of(const struct column *column, const struct cell *cell, MYSQL_TIME *ret_time)
{
    char text[TEXT_TIMESTAMP_SIZE];

    print_time(column, cell, text);
    *ret_time = (MYSQL_TIME){.year = digits_of(text, 4),
                             .month = digits_of(text + 5, 2),
                             .day = digits_of(text + 8, 2),
                             .time_type = column->type == RS_DATE ? MYSQL_TIMESTAMP_DATE : MYSQL_TIMESTAMP_DATETIME};
    if (column->type == RS_DATE)
        return;
    ret_time->hour = digits_of(text + 11, 2);
    ret_time->minute = digits_of(text + 14, 2);
    ret_time->second = digits_of(text + 17, 2);
    ret_time->second_part = digits_of(text + 20, 6);
}

void my_print_cell(struct buffer *sql, const struct column *column, const struct cell *cell)
{
    char text[64];

    if (cell->is_null) {
        buffer_puts(sql, "NULL");
        return;
    }
    switch (column->type) {
    case RS_INT:
    case RS_BOOL:
        buffer_printf(sql, "%" PRId64, cell->as.integer);
        return;
    case RS_REAL:
        buffer_printf(sql, "%.17e", cell->as.real);
        return;
    case RS_DECIMAL:
        text[decimal_print(decimal_make(cell->as.decimal, (int32_t)column->scale), text)] = '\0';
        buffer_puts(sql, text);
        return;
    case RS_TEXT:
    case RS_JSON:
        my_print_text(sql, cell->as.data, cell->size);
        return;
    case RS_BYTES:
        my_print_bytes(sql, cell->as.data, cell->size);
        return;
    case RS_UUID:
        my_print_bytes(sql, cell->as.uuid, 16);
        return;
    case RS_TIMESTAMP:
    case RS_DATE:
        print_time(column, cell, text);
        buffer_printf(sql, "'%s'", text);
        return;
    }
}

/* ---- Reading ---- */

static bool read_decimal(const char *data, size_t size, const struct column *column, int128 *ret_coefficient)
{
    int128 coefficient = 0;
    uint32_t n_behind = 0;
    bool is_negative = size > 0 && data[0] == '-', is_behind = false;

    for (size_t i = is_negative; i < size; i++) {
        if (data[i] == '.' && !is_behind) {
            is_behind = true;
            continue;
        }
        if (data[i] < '0' || data[i] > '9' || n_behind == column->scale + (uint32_t)!is_behind)
            return false;
        n_behind += is_behind;
        coefficient = coefficient * 10 + (data[i] - '0');
    }
    for (; n_behind < column->scale; n_behind++)
        coefficient *= 10;
    *ret_coefficient = is_negative ? -coefficient : coefficient;
    return true;
}

static bool read_time(const char *data, size_t size, int64_t *ret_microseconds)
{
    char text[40];

    if (size < 19 || size + 2 > sizeof text)
        return false;
    memcpy(text, data, size);
    text[10] = 'T';
    text[size] = 'Z';
    return text_read_timestamp(text, size + 1, ret_microseconds);
}

static bool read_value(struct my_store *my, const struct column *column, const char *data, size_t size, struct cell *ret_cell)
{
    int32_t days = 0;

    switch (column->type) {
    case RS_INT:
    case RS_BOOL:
        return text_read_int(data, size, &ret_cell->as.integer);
    case RS_REAL:
        return text_read_real(data, size, &ret_cell->as.real);
    case RS_DECIMAL:
        return read_decimal(data, size, column, &ret_cell->as.decimal);
    case RS_TEXT:
    case RS_BYTES:
    case RS_JSON:
        ret_cell->size = (uint32_t)size;
        ret_cell->as.data = arena_copy(my->arena, data, size);
        return ret_cell->as.data != NULL;
    case RS_TIMESTAMP:
        return read_time(data, size, &ret_cell->as.integer);
    case RS_DATE:
        if (!text_read_date(data, size, &days))
            return false;
        ret_cell->as.integer = days;
        return true;
    case RS_UUID:
        if (size != 16)
            return false;
        memcpy(ret_cell->as.uuid, data, 16);
        return true;
    }
    return false;
}

int my_read_cell(struct my_store *my, const struct column *column, const char *data, size_t size, struct cell *ret_cell,
                 struct error *ret_error)
{
    *ret_cell = (struct cell){.operation = CELL_SET, .is_null = data == NULL};
    if (data == NULL || read_value(my, column, data, size, ret_cell))
        return 0;
    return error_set(ret_error, ERROR_CONFIG, "column %s holds what its type cannot: has another program written it?",
                     column->name);
}
