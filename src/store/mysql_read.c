/*
 * mysql_read - rows that handlers ask for, by key. See mysql.h.
 *
 * The thread brings them into memory; my_found rows are handed to the caller by poll(), in the caller's thread.
 */
#include "store/mysql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SELECTS_MAX = 256 }; /* in one text */

static int read_cells(struct my_store *my, const struct table *table, MYSQL_RES *rows, MYSQL_ROW row, struct my_found *found,
                      struct error *ret_error)
{
    const unsigned long *sizes = mysql_fetch_lengths(rows);
    struct cell *cells = arena_alloc(my->arena, table->n_columns * sizeof *cells);
    int64_t partition = 0;
    int result = cells == NULL || sizes == NULL ? my_out_of_memory(ret_error) : 0;

    for (uint32_t i = 0; i < table->n_columns && result == 0; i++)
        result = my_read_cell(my, &table->columns[i], row[i], sizes[i], &cells[i], ret_error);
    if (result != 0)
        return result;
    (void)my_number_of(row[table->n_columns], &partition);
    found->partition = (int32_t)partition;
    found->cells = cells;
    return 0;
}

static int keep_row(struct my_store *my, void *context, size_t index, MYSQL_RES *rows, uint64_t n_affected, struct error *ret_error)
{
    size_t first = *(const size_t *)context;
    struct my_found *found = &my->found[first + index];
    MYSQL_ROW row = rows == NULL ? NULL : mysql_fetch_row(rows);

    (void)n_affected;
    *found = (struct my_found){.index = first + index};
    return row == NULL ? 0 : read_cells(my, my->read.rows[found->index].table, rows, row, found, ret_error);
}

static void print_select(struct my_store *my, const struct wanted_row *wanted)
{
    const struct table *table = wanted->table;
    const struct cell *keys[RS_MAX_KEYS];
    char name[STORE_NAME_SIZE];

    store_table_name(&my->store.scope, table, name);
    buffer_puts(&my->sql, "SELECT ");
    for (uint32_t i = 0; i < table->n_columns; i++)
        buffer_printf(&my->sql, "`%s`, ", table->columns[i].name);
    buffer_printf(&my->sql, "readside_partition FROM `%s` WHERE ", name);
    for (uint32_t i = 0; i < table->n_keys; i++)
        keys[i] = &wanted->keys[i];
    my_print_key(&my->sql, table, keys);
}

static int reserve(struct my_store *my, size_t n, struct error *ret_error)
{
    struct my_found *grown;

    if (n <= my->found_capacity)
        return 0;
    grown = realloc(my->found, n * sizeof *grown);
    if (grown == NULL)
        return my_out_of_memory(ret_error);
    my->found = grown;
    my->found_capacity = n;
    return 0;
}

int my_read(struct my_store *my, struct error *ret_error)
{
    int result = reserve(my, my->read.n_rows, ret_error);

    for (size_t first = 0; first < my->read.n_rows && result == 0;) {
        size_t end = first;

        buffer_clear(&my->sql);
        for (; end < my->read.n_rows && end < first + SELECTS_MAX && my->sql.size < MY_STATEMENT_BYTES / 4; end++) {
            buffer_puts(&my->sql, end > first ? "; " : "");
            print_select(my, &my->read.rows[end]);
        }
        result = my_script(my, &my->sql, keep_row, &first, ret_error);
        first = end;
    }
    my->n_found = result == 0 ? my->read.n_rows : 0;
    return result;
}
