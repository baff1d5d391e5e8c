/*
 * test_store - see test_store.h. Runs in the command's one process and thread.
 *
 * It does what the drivers' statements do: rows of a group are deleted or upserted, column by column, by the group's operations.
 */
#include "cli/test_store.h"

#include "base/arena.h"
#include "cli/test_print.h"
#include "fold/value.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK = 64 * 1024 };

struct stored_row {
    const uint8_t *key;
    uint32_t key_size;
    int32_t partition;
    const struct cell *cells; /* one a column */
};

struct test_store {
    const struct table *tables;
    uint32_t n_tables;
    struct arena *arena;
    void **trees; /* one a table: rows in key order */
    struct buffer outbox;
};

/* A row as it will be, before anything is changed. */
struct change_row {
    const struct table *table;
    struct stored_row *old;
    struct stored_row *new; /* NULL: deleted */
};

static int by_key(const void *a, const void *b)
{
    const struct stored_row *x = a, *y = b;
    uint32_t size = x->key_size < y->key_size ? x->key_size : y->key_size;
    int order = memcmp(x->key, y->key, size);

    return order != 0 ? order : (x->key_size > y->key_size) - (x->key_size < y->key_size);
}

struct test_store *test_store_new(const struct table *tables, uint32_t n_tables)
{
    struct test_store *store = calloc(1, sizeof *store);

    if (store == NULL)
        return NULL;
    store->tables = tables;
    store->n_tables = n_tables;
    store->arena = arena_new(ARENA_BLOCK, 0);
    store->trees = calloc(n_tables + 1, sizeof store->trees[0]);
    return store->arena == NULL || store->trees == NULL ? test_store_free(store) : store;
}

static void keep_row(void *row)
{
    (void)row; /* rows lie in the arena */
}

struct test_store *test_store_free(struct test_store *store)
{
    if (store == NULL)
        return NULL;
    for (uint32_t i = 0; store->trees != NULL && i < store->n_tables; i++)
        tdestroy(store->trees[i], keep_row);
    free(store->trees);
    arena_free(store->arena);
    buffer_free(&store->outbox);
    free(store);
    return NULL;
}

static struct stored_row *find(const struct test_store *store, uint32_t table, const uint8_t *key, uint32_t key_size)
{
    const struct stored_row wanted = {.key = key, .key_size = key_size};
    void *const *node = tfind(&wanted, &store->trees[table], by_key);

    return node == NULL ? NULL : *node;
}

const struct cell *test_store_find(const struct test_store *store, uint32_t table, const uint8_t *key, uint32_t key_size,
                                   int32_t *ret_partition)
{
    const struct stored_row *row = find(store, table, key, key_size);

    if (row == NULL)
        return NULL;
    *ret_partition = row->partition;
    return row->cells;
}

/* ---- One column ---- */

static int add(const struct table *table, uint32_t number, const struct cell *delta, struct cell *cell, struct error *ret_error)
{
    const struct column *column = &table->columns[number];
    int128 sum = column->type == RS_INT ? (int128)(cell->is_null ? 0 : cell->as.integer) + delta->as.integer
                                        : (cell->is_null ? 0 : cell->as.decimal) + delta->as.decimal;
    int128 limit = column->type == RS_INT ? (int128)INT64_MAX + 1 : decimal_power(column->precision);

    if (sum >= limit || sum < -limit || (column->type != RS_INT && sum == -limit))
        return error_set(ret_error, ERROR_POISON, "%s.%s: the sum does not fit the column", table->name, column->name);
    cell->is_null = false;
    if (column->type == RS_INT)
        cell->as.integer = (int64_t)sum;
    else
        cell->as.decimal = sum;
    return 0;
}

static void keep_extreme(enum rs_type type, uint8_t operation, const struct cell *change, struct cell *cell)
{
    struct cell new = *change, old = *cell;
    int order;

    if (type == RS_INT) { /* the fold compares the wide member */
        new.as.sum = change->as.integer;
        old.as.sum = cell->as.integer;
    }
    order = cell->is_null ? 0 : value_compare(type, &new, &old);
    if (cell->is_null || (operation == CELL_MAX ? order > 0 : order < 0))
        *cell = *change;
}

static int merge(const struct change_group *group, const struct row *row, uint32_t column, struct cell *cell,
                 struct error *ret_error)
{
    const struct cell *change = &row->cells[column];
    uint8_t operation = group->operations[column];
    int result = 0;

    if (operation == CELL_SET)
        *cell = *change;
    else if (operation == CELL_ADD && !change->is_null)
        result = add(group->table, column, change, cell, ret_error);
    else if ((operation == CELL_MAX || operation == CELL_MIN) && !change->is_null)
        keep_extreme(group->table->columns[column].type, operation, change, cell);
    cell->operation = CELL_SET;
    return result;
}

/* ---- One row ---- */

static int upsert(struct test_store *store, const struct change_group *group, const struct row *row, struct change_row *change,
                  struct error *ret_error)
{
    const struct table *table = group->table;
    struct stored_row *new = arena_alloc(store->arena, sizeof *new);
    struct cell *cells = arena_alloc(store->arena, table->n_columns * sizeof *cells);
    char *key = arena_copy(store->arena, row->key, row->key_size);
    int result = 0;

    if (new == NULL || cells == NULL || key == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    for (uint32_t i = 0; i < table->n_columns && result == 0; i++) {
        cells[i] = change->old == NULL ? table->columns[i].fallback : change->old->cells[i];
        result = merge(group, row, i, &cells[i], ret_error);
        if (result == 0 && !cells[i].is_null && value_has_data(table->columns[i].type)) {
            cells[i].as.data = arena_copy(store->arena, cells[i].as.data, cells[i].size);
            if (cells[i].as.data == NULL)
                return error_set(ret_error, ERROR_BUG, "out of memory");
        }
    }
    *new = (struct stored_row){.key = (uint8_t *)key, .key_size = row->key_size, .partition = row->partition, .cells = cells};
    change->new = new;
    return result;
}

static int prepare(struct test_store *store, const struct change_group *group, const struct row *row, struct change_row *ret_change,
                   struct error *ret_error)
{
    const struct table *table = group->table;

    *ret_change = (struct change_row){.table = table, .old = find(store, table->id, row->key, row->key_size)};
    if (!table->is_shared && ret_change->old != NULL && ret_change->old->partition != row->partition)
        return error_set(ret_error, ERROR_HALT,
                         "a row of %s was written from partition %d and is now touched from partition %d: rows of a partitioned table "
                         "belong to one partition",
                         table->name, (int)ret_change->old->partition, (int)row->partition);
    return group->change == CHANGE_DELETE ? 0 : upsert(store, group, row, ret_change, ret_error);
}

static int install(struct test_store *store, const struct change_row *change, struct error *ret_error)
{
    void **tree = &store->trees[change->table->id];

    if (change->old != NULL)
        tdelete(change->old, tree, by_key);
    if (change->new != NULL && tsearch(change->new, tree, by_key) == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    return 0;
}

/* ---- A batch ---- */

static void put_bytes(struct buffer *text, struct rs_bytes bytes)
{
    if (bytes.data == NULL)
        buffer_puts(text, "\\N");
    else
        test_print_text(text, bytes.data, bytes.size);
}

static void take_outbox(struct test_store *store, const struct batch *batch)
{
    size_t n;
    const struct outbox_message *messages = batch_outbox(batch, &n);

    for (size_t i = 0; i < n; i++) {
        test_print_text(&store->outbox, messages[i].topic, strlen(messages[i].topic));
        buffer_putc(&store->outbox, '\t');
        put_bytes(&store->outbox, messages[i].key);
        buffer_putc(&store->outbox, '\t');
        put_bytes(&store->outbox, messages[i].value);
        buffer_putc(&store->outbox, '\n');
    }
}

int test_store_write(struct test_store *store, const struct batch *batch, struct error *ret_error)
{
    size_t n_groups, n_rows = 0, n = 0;
    const struct change_group *groups = batch_groups(batch, &n_groups);
    struct change_row *changes;
    int result = 0;

    for (size_t i = 0; i < n_groups; i++)
        n_rows += groups[i].n_rows;
    changes = calloc(n_rows + 1, sizeof *changes);
    if (changes == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    for (size_t i = 0; i < n_groups; i++)
        for (size_t j = 0; j < groups[i].n_rows && result == 0; j++)
            result = prepare(store, &groups[i], groups[i].rows[j], &changes[n++], ret_error);
    for (size_t i = 0; i < n && result == 0; i++)
        result = install(store, &changes[i], ret_error);
    if (result == 0)
        take_outbox(store, batch);
    free(changes);
    return result;
}

/* ---- Printing ---- */

struct printing {
    const struct table *table;
    struct buffer *text;
};

static void print_row(const void *node, VISIT visit, void *context)
{
    const struct printing *printing = context;
    const struct stored_row *row = *(void *const *)node;

    if (visit != postorder && visit != leaf)
        return;
    for (uint32_t i = 0; i < printing->table->n_columns; i++) {
        buffer_puts(printing->text, i == 0 ? "" : "\t");
        test_print_cell(printing->text, &printing->table->columns[i], &row->cells[i]);
    }
    buffer_putc(printing->text, '\n');
}

void test_store_print(const struct test_store *store, struct buffer *ret_text)
{
    for (uint32_t i = 0; i < store->n_tables; i++) {
        const struct table *table = &store->tables[i];
        struct printing printing = {.table = table, .text = ret_text};

        if (table->is_omitted)
            continue;
        buffer_printf(ret_text, "== %s\n", table->name);
        for (uint32_t j = 0; j < table->n_columns; j++)
            buffer_printf(ret_text, "%s%s", j == 0 ? "" : "\t", table->columns[j].name);
        buffer_putc(ret_text, '\n');
        twalk_r(store->trees[i], print_row, &printing);
    }
    if (store->outbox.size > 0) {
        buffer_puts(ret_text, "== outbox\ntopic\tkey\tvalue\n");
        buffer_append(ret_text, store->outbox.data, store->outbox.size);
    }
}
