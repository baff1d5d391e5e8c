/*
 * group - the end of folding: sums are judged, rows put in key order and grouped by what is done to them.
 */
#include "fold/inside.h"

#include "fold/value.h"

#include <stdlib.h>
#include <string.h>

struct sortable {
    uint64_t prefix; /* the first 8 bytes of the key, as a number that orders like them */
    struct row *row;
};

static int by_key(const void *a, const void *b)
{
    const struct sortable *x = a, *y = b;
    uint32_t size;
    int order;

    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    size = x->row->key_size < y->row->key_size ? x->row->key_size : y->row->key_size;
    order = memcmp(x->row->key, y->row->key, size);
    return order != 0 ? order : (x->row->key_size > y->row->key_size) - (x->row->key_size < y->row->key_size);
}

static uint64_t prefix_of(const struct row *row)
{
    uint8_t bytes[8] = {0};
    uint64_t prefix;

    memcpy(bytes, row->key, row->key_size < 8 ? row->key_size : 8);
    memcpy(&prefix, bytes, 8);
    return __builtin_bswap64(prefix);
}

/* Rows that the batch changes, in key order. Returns their number; NULL rows: out of memory. */
static struct sortable *sorted_rows(const struct map *map, size_t *ret_n)
{
    struct sortable *rows = malloc((map->n_rows + 1) * sizeof *rows);
    size_t n = 0;

    for (size_t i = 0; rows != NULL && i < map->n_rows; i++)
        if (map->rows[i]->is_written)
            rows[n++] = (struct sortable){.prefix = prefix_of(map->rows[i]), .row = map->rows[i]};
    if (rows != NULL)
        qsort(rows, n, sizeof *rows, by_key);
    *ret_n = n;
    return rows;
}

/* ---- Judging ---- */

static int too_large(const struct row *row, uint32_t column, struct error *ret_error)
{
    const struct table *table = row->table;
    const struct cell *key = &row->cells[table->keys[0]];
    bool is_text = table->columns[table->keys[0]].type == RS_TEXT;

    return error_set(ret_error, ERROR_POISON, "%s.%s of the row %.*s: the sum does not fit the column", table->name,
                     table->columns[column].name, is_text && key->size < 100 ? (int)key->size : 0,
                     is_text ? key->as.data : "");
}

/* Turns the wide integers of the fold into those of the column, and sees whether sums fit. */
static int narrow(struct row *row, uint32_t number, struct error *ret_error)
{
    const struct column *column = &row->table->columns[number];
    struct cell *cell = &row->cells[number];

    if (cell->operation == CELL_NONE || cell->is_null)
        return 0;
    if (column->type == RS_INT) {
        int128 sum = cell->as.sum;

        if (sum < INT64_MIN || sum > INT64_MAX)
            return too_large(row, number, ret_error);
        cell->as.integer = (int64_t)sum;
    } else if (column->type == RS_DECIMAL) {
        int128 limit = decimal_power(column->precision);

        if (cell->as.decimal >= limit || cell->as.decimal <= -limit)
            return too_large(row, number, ret_error);
    }
    return 0;
}

/* A row made anew states every column; a row of a shared table takes part in every column's operation. */
static void complete(struct row *row)
{
    const struct table *table = row->table;

    for (uint32_t i = 0; i < table->n_columns; i++) {
        struct cell *cell = &row->cells[i];

        if (table->columns[i].is_key)
            continue;
        if (table->is_shared && cell->operation == CELL_NONE) {
            *cell = (struct cell){.operation = table->columns[i].operation, .is_null = table->columns[i].operation != CELL_ADD};
        } else if (row->is_removed) {
            *cell = row_value(row, i);
        }
    }
}

static int judge(struct row *row, struct error *ret_error)
{
    if (row->has_values && (row->is_removed || row->table->is_shared))
        complete(row);
    for (uint32_t i = 0; i < row->table->n_columns; i++) {
        int result = narrow(row, i, ret_error);

        if (result != 0)
            return result;
    }
    return 0;
}

/* ---- Grouping ---- */

static bool has_shape(const struct change_group *group, const struct row *row)
{
    for (uint32_t i = 0; i < row->table->n_columns; i++)
        if (group->operations[i] != row->cells[i].operation)
            return false;
    return true;
}

static struct change_group *new_group(struct batch *batch, const struct row *row, enum change change, size_t max_rows)
{
    const struct table *table = row->table;
    uint8_t *operations = arena_alloc(batch->arena, table->n_columns);
    size_t old_capacity = batch->groups_capacity;
    struct row **rows;

    if (operations == NULL || !grow_array(&batch->groups, batch->n_groups, &batch->groups_capacity, sizeof batch->groups[0]))
        return NULL;
    memset(batch->groups + old_capacity, 0, (batch->groups_capacity - old_capacity) * sizeof batch->groups[0]);
    /* The array of rows of an old group is used again. */
    rows = realloc((void *)batch->groups[batch->n_groups].rows, max_rows * sizeof rows[0]);
    if (rows == NULL)
        return NULL;
    for (uint32_t i = 0; i < table->n_columns; i++)
        operations[i] = row->cells[i].operation;
    batch->groups[batch->n_groups] =
        (struct change_group){.change = change, .table = table, .operations = operations, .rows = rows};
    return &batch->groups[batch->n_groups++];
}

static struct change_group *find_group(struct batch *batch, size_t first, const struct row *row, enum change change,
                                       size_t max_rows)
{
    for (size_t i = first; i < batch->n_groups; i++) {
        struct change_group *group = &batch->groups[i];

        if (group->change == change && (change == CHANGE_DELETE || has_shape(group, row)))
            return group;
    }
    return new_group(batch, row, change, max_rows);
}

/* Deletes come before upserts, so the rows are gone through twice. */
static int group_rows(struct batch *batch, const struct sortable *rows, size_t n, enum change change)
{
    size_t first = batch->n_groups;

    for (size_t i = 0; i < n; i++) {
        struct row *row = rows[i].row;
        struct change_group *group;

        if (row->has_values != (change == CHANGE_UPSERT))
            continue;
        group = find_group(batch, first, row, change, n);
        if (group == NULL)
            return -1;
        ((struct row **)group->rows)[group->n_rows++] = row;
    }
    return 0;
}

static int close_table(struct batch *batch, const struct table *table, struct error *ret_error)
{
    size_t n;
    struct sortable *rows = sorted_rows(&batch->maps[table->id], &n);
    int result = 0;

    if (rows == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory in a batch");
    for (size_t i = 0; i < n && result == 0; i++)
        result = judge(rows[i].row, ret_error);
    if (result == 0 && (group_rows(batch, rows, n, CHANGE_DELETE) != 0 || group_rows(batch, rows, n, CHANGE_UPSERT) != 0))
        result = error_set(ret_error, ERROR_BUG, "out of memory in a batch");
    free(rows);
    return result;
}

int batch_close(struct batch *batch, struct error *ret_error)
{
    int result = 0;

    batch->n_groups = 0;
    for (int is_shared = 0; is_shared <= 1; is_shared++)
        for (uint32_t i = 0; i < batch->n_tables && result == 0; i++)
            if (batch->tables[i].is_shared == (is_shared == 1))
                result = close_table(batch, &batch->tables[i], ret_error);
    return result;
}

const struct change_group *batch_groups(const struct batch *batch, size_t *ret_n)
{
    *ret_n = batch->n_groups;
    return batch->groups;
}
