/*
 * postgres_read - rows by key, many at once: one statement a table, binary both ways.
 */
#include "store/postgres.h"

#include <stdlib.h>
#include <string.h>

static size_t count_rows(const struct store_read *read, const struct table *table)
{
    size_t n = 0;

    for (size_t i = 0; i < read->n_rows; i++)
        n += read->rows[i].table == table;
    return n;
}

static void print_select(struct buffer *sql, const struct store_scope *scope, const struct table *table)
{
    char name[STORE_NAME_SIZE];

    store_table_name(scope, table, name);
    buffer_puts(sql, "SELECT u.i");
    for (uint32_t i = 0; i < table->n_columns; i++)
        buffer_printf(sql, ", t.\"%s\"", table->columns[i].name);
    buffer_puts(sql, ", t.readside_partition FROM unnest($1::int8[]");
    for (uint32_t i = 0; i < table->n_keys; i++)
        buffer_printf(sql, ", $%u::%s[]", i + 2, pg_type_of(table->columns[table->keys[i]].type)->name);
    buffer_puts(sql, ") AS u(i");
    for (uint32_t i = 0; i < table->n_keys; i++)
        buffer_printf(sql, ", k%u", i);
    buffer_printf(sql, ") LEFT JOIN \"%s\" t ON ", name);
    for (uint32_t i = 0; i < table->n_keys; i++)
        buffer_printf(sql, "%st.\"%s\" = u.k%u", i > 0 ? " AND " : "", table->columns[table->keys[i]].name, i);
}

/* n: how many of them are of this table. */
static void put_keys(struct pg_parameters *parameters, const struct store_read *read, const struct table *table, size_t n)
{
    pg_begin_array(parameters, PG_INT8_ARRAY, PG_INT8, n);
    for (size_t i = 0; i < read->n_rows; i++)
        if (read->rows[i].table == table)
            pg_element_int8(parameters, (int64_t)i);
    pg_end_array(parameters);
    for (uint32_t k = 0; k < table->n_keys; k++) {
        const struct column *column = &table->columns[table->keys[k]];
        const struct pg_type *type = pg_type_of(column->type);

        pg_begin_array(parameters, type->array_oid, type->oid, n);
        for (size_t i = 0; i < read->n_rows; i++)
            if (read->rows[i].table == table)
                pg_element_cell(parameters, column, &read->rows[i].keys[k]);
        pg_end_array(parameters);
    }
}

static int deliver(struct postgres *pg, const PGresult *result, struct error *ret_error)
{
    for (int row = 0; row < PQntuples(result); row++) {
        size_t index = (size_t)pg_read_int8(result, row, 0);
        struct cell cells[RS_MAX_COLUMNS];
        const struct table *table;
        bool exists;
        int class = 0;

        if (index >= pg->read.n_rows)
            return error_set(ret_error, ERROR_BUG, "PostgreSQL answered with a row that was not asked for");
        table = pg->read.rows[index].table;
        exists = !PQgetisnull(result, row, 1 + (int)table->keys[0]);
        for (uint32_t i = 0; i < table->n_columns && exists && class == 0; i++)
            class = pg_read_cell(&table->columns[i], result, row, 1 + (int)i, &cells[i], ret_error);
        if (class == 0)
            class = pg->read.on_row(pg->read.context, index, exists ? cells : NULL,
                                    exists ? pg_read_int4(result, row, 1 + (int)table->n_columns) : 0, ret_error);
        if (class != 0)
            return class;
    }
    return 0;
}

static int has_read(struct postgres *pg, struct error *ret_error)
{
    size_t failed = pg_failed_at(pg);
    int result = 0;

    if (failed < pg->n_sent)
        return pg_note_missing(pg_first_error(pg, ret_error), ret_error);
    for (size_t i = 0; i < pg->n_results && result == 0; i++)
        if (PQresultStatus(pg->results[i]) == PGRES_TUPLES_OK)
            result = deliver(pg, pg->results[i], ret_error);
    return result;
}

static int send_select(struct postgres *pg, const struct store_read *read, const struct table *table, struct error *ret_error)
{
    struct buffer sql = BUFFER_INIT;

    print_select(&sql, &pg->store.scope, table);
    put_keys(&pg->parameters, read, table, count_rows(read, table));
    return pg_send_printed(pg, &sql, &pg->parameters, false, ret_error);
}

int pg_start_read(struct store *store, const struct store_read *read, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    bool is_sent[RS_MAX_TABLES] = {false}; /* by the table's number */
    int result = 0;

    if (!pg->is_connected)
        return pg_not_connected(ret_error);
    pg->read = *read;
    pg_begin_exchange(pg);
    for (size_t i = 0; i < read->n_rows && result == 0; i++) {
        const struct table *table = read->rows[i].table;

        if (!is_sent[table->id])
            result = send_select(pg, read, table, ret_error);
        is_sent[table->id] = true;
    }
    return result == 0 ? pg_sync(pg, has_read, ret_error) : result;
}
