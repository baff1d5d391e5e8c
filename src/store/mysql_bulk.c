/*
 * mysql_bulk - upserts by array binding: one prepared statement, one packet, any number of rows. See mysql.h.
 *
 * An extension of MariaDB's protocol (COM_STMT_BULK_EXECUTE) that its own client library speaks; MySQL and libmysqlclient do not.
 * Numbers lie in arrays, everything else as pointers and lengths; nulls are told by indicators.
 */
#include <config.h>

#include "store/mysql.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

void my_forget_statements(struct my_store *my)
{
    for (size_t i = 0; i < my->n_statements; i++) {
        mysql_stmt_close(my->statements[i].handle);
        free(my->statements[i].sql);
    }
    my->n_statements = 0;
}

#ifdef MYSQL_CLIENT_MARIADB

bool my_can_bulk(const struct my_store *my)
{
    return my->is_mariadb;
}

static MYSQL_STMT *find_statement(const struct my_store *my, const char *sql)
{
    for (size_t i = 0; i < my->n_statements; i++)
        if (strcmp(my->statements[i].sql, sql) == 0)
            return my->statements[i].handle;
    return NULL;
}

/* Kept only once it is prepared. */
static int prepare(struct my_store *my, const char *sql, MYSQL_STMT **ret_handle, struct error *ret_error)
{
    MYSQL_STMT *handle = mysql_stmt_init(my->connection);
    char *copy = strdup(sql);
    int result = handle == NULL || copy == NULL ? my_out_of_memory(ret_error) : 0;

    store_count_round_trip(&my->store);
    if (result == 0 && mysql_stmt_prepare(handle, sql, strlen(sql)) != 0)
        result = my_statement_error(my, handle, ret_error);
    if (result != 0) {
        free(copy);
        if (handle != NULL)
            mysql_stmt_close(handle);
        return result;
    }
    if (my->n_statements == MY_STATEMENTS_MAX)
        my_forget_statements(my);
    my->statements[my->n_statements++] = (struct my_statement){.sql = copy, .handle = handle};
    *ret_handle = handle;
    return 0;
}

/* ---- Arrays of one column ---- */

static bool is_number(enum rs_type type)
{
    return type == RS_INT || type == RS_BOOL || type == RS_REAL;
}

static enum enum_field_types type_of(enum rs_type type)
{
    switch (type) {
    case RS_REAL:
        return MYSQL_TYPE_DOUBLE;
    case RS_INT:
    case RS_BOOL:
        return MYSQL_TYPE_LONGLONG;
    case RS_BYTES:
    case RS_UUID:
        return MYSQL_TYPE_BLOB;
    case RS_TIMESTAMP:
        return MYSQL_TYPE_DATETIME;
    case RS_DATE:
        return MYSQL_TYPE_DATE;
    default:
        return MYSQL_TYPE_STRING;
    }
}

/* The value's bytes; those of text columns stay where they are. */
static bool put_data(struct my_store *my, const struct column *column, const struct cell *cell, const char **ret_data,
                     unsigned long *ret_size)
{
    MYSQL_TIME *moment;
    char text[64];

    switch (column->type) {
    case RS_TEXT:
    case RS_JSON:
    case RS_BYTES:
        *ret_data = cell->size == 0 ? "" : cell->as.data;
        *ret_size = cell->size;
        return true;
    case RS_UUID:
        *ret_data = (const char *)cell->as.uuid;
        *ret_size = 16;
        return true;
    case RS_DECIMAL:
        *ret_size = decimal_print(decimal_make(cell->as.decimal, (int32_t)column->scale), text);
        *ret_data = arena_copy(my->arena, text, *ret_size);
        return *ret_data != NULL;
    default: /* a timestamp or date */
        moment = arena_alloc(my->arena, sizeof *moment);
        if (moment != NULL)
            my_time_of(column, cell, moment);
        *ret_size = sizeof *moment;
        *ret_data = (const char *)moment;
        return moment != NULL;
    }
}

static bool put_numbers(MYSQL_BIND *bind, const struct my_rows *rows, uint32_t number, struct arena *arena)
{
    enum rs_type type = rows->group->table->columns[number].type;
    int64_t *integers = arena_alloc(arena, rows->n * sizeof *integers);
    double *reals = (double *)(void *)integers;

    for (size_t i = 0; integers != NULL && i < rows->n; i++) {
        const struct cell *cell = &rows->group->rows[rows->first + i]->cells[number];

        if (type == RS_REAL)
            reals[i] = cell->as.real;
        else
            integers[i] = cell->as.integer;
    }
    bind->buffer = integers;
    return integers != NULL;
}

static bool put_pointers(struct my_store *my, MYSQL_BIND *bind, const struct my_rows *rows, uint32_t number)
{
    const struct column *column = &rows->group->table->columns[number];
    const char **data = arena_alloc(my->arena, rows->n * sizeof *data);
    unsigned long *sizes = arena_alloc(my->arena, rows->n * sizeof *sizes);
    bool is_well = data != NULL && sizes != NULL;

    for (size_t i = 0; is_well && i < rows->n; i++) {
        const struct cell *cell = &rows->group->rows[rows->first + i]->cells[number];

        data[i] = "";
        sizes[i] = 0;
        if (!cell->is_null)
            is_well = put_data(my, column, cell, &data[i], &sizes[i]);
    }
    bind->buffer = data;
    bind->length = sizes;
    return is_well;
}

static bool put_nulls(MYSQL_BIND *bind, const struct my_rows *rows, uint32_t number, struct arena *arena)
{
    char *indicators = arena_alloc(arena, rows->n);

    for (size_t i = 0; indicators != NULL && i < rows->n; i++)
        indicators[i] = rows->group->rows[rows->first + i]->cells[number].is_null ? STMT_INDICATOR_NULL : STMT_INDICATOR_NONE;
    bind->u.indicator = indicators;
    return indicators != NULL;
}

static bool put_partitions(MYSQL_BIND *bind, const struct my_rows *rows, struct arena *arena)
{
    int32_t *partitions = arena_alloc(arena, rows->n * sizeof *partitions);

    for (size_t i = 0; partitions != NULL && i < rows->n; i++)
        partitions[i] = rows->group->rows[rows->first + i]->partition;
    bind->buffer_type = MYSQL_TYPE_LONG;
    bind->buffer = partitions;
    return partitions != NULL;
}

static bool put_rows(struct my_store *my, MYSQL_BIND *binds, const struct my_rows *rows)
{
    const struct table *table = rows->group->table;
    bool is_well = true;
    size_t n = 0;

    for (uint32_t i = 0; i < table->n_columns && is_well; i++) {
        if (!store_group_has(rows->group, i))
            continue;
        binds[n].buffer_type = type_of(table->columns[i].type);
        is_well = (is_number(table->columns[i].type) ? put_numbers(&binds[n], rows, i, my->arena)
                                                     : put_pointers(my, &binds[n], rows, i)) &&
                  put_nulls(&binds[n], rows, i, my->arena);
        n++;
    }
    return is_well && (table->is_shared || put_partitions(&binds[n], rows, my->arena));
}

int my_bulk(struct my_store *my, const char *sql, const struct my_rows *rows, struct error *ret_error)
{
    MYSQL_BIND binds[RS_MAX_COLUMNS + 1] = {0};
    unsigned n = (unsigned)rows->n;
    MYSQL_STMT *handle = find_statement(my, sql);
    int result = 0;

    my_await(my);
    if (handle == NULL)
        result = prepare(my, sql, &handle, ret_error);
    if (result != 0)
        return result;
    arena_reset(my->arena); /* of the rows before: a large batch would take its size in memory once more */
    if (!put_rows(my, binds, rows))
        return my_out_of_memory(ret_error);
    my_await(my);
    store_count_round_trip(&my->store);
    if (mysql_stmt_attr_set(handle, STMT_ATTR_ARRAY_SIZE, &n) != 0 || mysql_stmt_bind_param(handle, binds) != 0 ||
        mysql_stmt_execute(handle) != 0)
        return my_statement_error(my, handle, ret_error);
    return 0;
}

#else

bool my_can_bulk(const struct my_store *my)
{
    (void)my;
    return false;
}

int my_bulk(struct my_store *my, const char *sql, const struct my_rows *rows, struct error *ret_error)
{
    (void)my, (void)sql, (void)rows;
    return error_set(ret_error, ERROR_BUG, "libmysqlclient binds no arrays");
}

#endif
