/*
 * mysql_read - rows that handlers ask for, by key. See mysql.h.
 *
 * The thread brings them into memory; what it has found is handed to the caller by poll(), in the caller's thread. A query asks for
 * many rows; its answer comes in any order, and is matched by the canonical bytes of the key.
 */
#include "store/mysql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keys in one query: more is no faster; and where a key is of several columns, each row found is compared with all of them. */
enum { KEYS_MAX = 512, LONG_KEYS_MAX = 64, KEY_COLUMN_BYTES = 96 };

/* Wanted rows of one table, for one query. */
struct query {
    const struct wanted_row *wanted;
    size_t first, n;
    size_t order[KEYS_MAX]; /* from first on, by canonical key */
};

/* ---- The answer ---- */

static int compare_keys(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);

    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

static int by_key(const void *a, const void *b, void *context)
{
    const struct wanted_row *rows = context, *x = &rows[*(const size_t *)a], *y = &rows[*(const size_t *)b];

    return compare_keys(x->key, x->key_size, y->key, y->key_size);
}

/* Which wanted row those cells are. */
static int find_wanted(const struct query *query, const struct cell *cells, size_t *ret_index, struct error *ret_error)
{
    const struct table *table = query->wanted[query->first].table;
    uint8_t buffer[KEY_BYTES_MAX];
    const uint8_t *key;
    size_t size, low = 0, high = query->n;
    int result = batch_key(table, cells, buffer, &key, &size, ret_error);

    while (result == 0 && low < high) {
        size_t middle = (low + high) / 2;
        const struct wanted_row *wanted = &query->wanted[query->order[middle]];
        int order = compare_keys(key, size, wanted->key, wanted->key_size);

        *ret_index = query->order[middle];
        if (order == 0)
            return 0;
        low = order > 0 ? middle + 1 : low;
        high = order < 0 ? middle : high;
    }
    return result != 0 ? result
                       : error_set(ret_error, ERROR_BUG, "table %s: the server answered a row that was not asked for", table->name);
}

static int take_row(struct my_store *my, const struct query *query, MYSQL_RES *rows, MYSQL_ROW row, struct error *ret_error)
{
    const struct table *table = query->wanted[query->first].table;
    const unsigned long *sizes = mysql_fetch_lengths(rows);
    struct cell *cells = arena_alloc(my->arena, table->n_columns * sizeof *cells);
    int64_t partition = 0;
    size_t index = 0;
    int result = cells == NULL || sizes == NULL ? my_out_of_memory(ret_error) : 0;

    for (uint32_t i = 0; i < table->n_columns && result == 0; i++)
        result = my_read_cell(my, &table->columns[i], row[i], sizes[i], &cells[i], ret_error);
    if (result == 0)
        result = find_wanted(query, cells, &index, ret_error);
    if (result != 0)
        return result;
    (void)my_number_of(row[table->n_columns], &partition);
    my->found[index] = (struct my_found){.index = index, .cells = cells, .partition = (int32_t)partition};
    return 0;
}

/* ---- The question ---- */

static void print_keys(struct my_store *my, const struct query *query)
{
    const struct table *table = query->wanted[query->first].table;
    bool is_single = table->n_keys == 1;

    if (is_single)
        buffer_printf(&my->sql, "`%s` IN (", table->columns[table->keys[0]].name);
    for (size_t i = 0; i < query->n; i++) {
        const struct wanted_row *wanted = &query->wanted[query->first + i];
        const struct cell *keys[RS_MAX_KEYS];

        for (uint32_t k = 0; k < table->n_keys; k++)
            keys[k] = &wanted->keys[k];
        buffer_puts(&my->sql, i == 0 ? "" : is_single ? ", " : " OR ");
        if (is_single)
            my_print_cell(&my->sql, &table->columns[table->keys[0]], keys[0]);
        else
            my_print_key(&my->sql, table, keys);
    }
    buffer_puts(&my->sql, is_single ? ")" : "");
}

/* Whatever the server guesses of the table's size, it shall look the keys up. */
static int ask(struct my_store *my, struct query *query, struct error *ret_error)
{
    const struct table *table = query->wanted[query->first].table;
    char name[STORE_NAME_SIZE];
    MYSQL_RES *rows = NULL;
    MYSQL_ROW row;
    int result;

    store_table_name(&my->store.scope, table, name);
    buffer_clear(&my->sql);
    buffer_puts(&my->sql, "SELECT ");
    for (uint32_t i = 0; i < table->n_columns; i++)
        buffer_printf(&my->sql, "`%s`, ", table->columns[i].name);
    buffer_printf(&my->sql, "readside_partition FROM `%s` FORCE INDEX (PRIMARY) WHERE ", name);
    print_keys(my, query);
    for (size_t i = 0; i < query->n; i++)
        query->order[i] = query->first + i;
    qsort_r(query->order, query->n, sizeof query->order[0], by_key, (void *)(uintptr_t)query->wanted);
    result = buffer_failed(&my->sql) ? my_out_of_memory(ret_error) : my_query(my, my->sql.data, &rows, ret_error);
    while (result == 0 && (row = mysql_fetch_row(rows)) != NULL)
        result = take_row(my, query, rows, row, ret_error);
    mysql_free_result(rows);
    return result;
}

/* ---- The whole ---- */

static int reserve(struct my_store *my, size_t n, struct error *ret_error)
{
    if (n > my->found_capacity) {
        struct my_found *grown = realloc(my->found, n * sizeof *grown);

        if (grown == NULL)
            return my_out_of_memory(ret_error);
        my->found = grown;
        my->found_capacity = n;
    }
    for (size_t i = 0; i < n; i++)
        my->found[i] = (struct my_found){.index = i};
    return 0;
}

int my_read(struct my_store *my, struct error *ret_error)
{
    struct query query = {.wanted = my->read.rows};
    int result = reserve(my, my->read.n_rows, ret_error);
    size_t bytes = 0;

    for (size_t i = 0; i < my->read.n_rows && result == 0; i++) {
        const struct wanted_row *wanted = &my->read.rows[i];

        size_t n_max = wanted->table->n_keys == 1 ? KEYS_MAX : LONG_KEYS_MAX;

        bytes += wanted->key_size + KEY_COLUMN_BYTES * wanted->table->n_keys;
        query.n++;
        if (i + 1 < my->read.n_rows && wanted[1].table == wanted->table && query.n < n_max && bytes < my_statement_bytes(my) / 4)
            continue;
        result = ask(my, &query, ret_error);
        query.first = i + 1;
        query.n = bytes = 0;
    }
    my->n_found = result == 0 ? my->read.n_rows : 0;
    return result;
}
