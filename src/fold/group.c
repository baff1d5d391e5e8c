/*
 * group - the end of folding: sums are judged, rows put in key order and grouped by what is done to them.
 *
 * Called by the sink once for each batch, in the task's one thread. What it leaves behind lies in the batch's arena.
 */
#include "fold/inside.h"

#include "base/hash.h"
#include "fold/sort.h"
#include "fold/value.h"

#include <stdlib.h>

enum { BUCKETS = 1024, NO_GROUP = UINT32_MAX };

/* What is known of a group while rows are dealt out to groups; beside batch->groups, in the same order. */
struct draft {
    uint64_t hash;
    uint32_t next; /* in the same bucket */
};

struct closing {
    struct batch *batch;
    const struct table *table;
    struct sortable *rows; /* changed, in key order; then prefix is the number of the row's group */
    size_t n_rows;
    struct sortable *spare;
    struct draft *drafts;
    size_t drafts_capacity;
    uint32_t buckets[BUCKETS]; /* the first group of each, or NO_GROUP */
    size_t first;              /* group of the table */
};

/* ---- Judging ---- */

/* The batch's net, and with it the new value where the old one is known, must fit the column. */
static int judge_cell(const struct batch *batch, const struct row *row, uint32_t number, struct error *ret_error)
{
    const struct column *column = &row->table->columns[number];
    const struct cell *cell = &row->cells[number];
    struct cell value;

    if (!value_sum_fits(column, cell))
        return row_sum_misfit(batch, row, number, cell, ret_error);
    if (cell->operation != CELL_ADD || row->base != BASE_PRESENT)
        return 0;
    if (!row_value(row, number, &value))
        return row_sum_misfit(batch, row, number, NULL, ret_error);
    return value_sum_fits(column, &value) ? 0 : row_sum_misfit(batch, row, number, &value, ret_error);
}

/* A row made anew states every column; a row of a shared table takes part in every column's operation. */
static void complete(struct row *row)
{
    const struct table *table = row->table;

    for (uint32_t i = 0; i < table->n_columns; i++) {
        struct cell *cell = &row->cells[i];

        if (cell->operation != CELL_NONE)
            continue;
        if (table->is_shared)
            *cell = (struct cell){.operation = table->columns[i].operation, .is_null = table->columns[i].operation != CELL_ADD};
        else
            *cell = row_base_value(row, i);
    }
}

/* In the order of the columns, so that the same batch is refused with the same words. */
static int judge(const struct batch *batch, struct row *row, struct error *ret_error)
{
    int result = 0;

    if (!row->has_values)
        return 0;
    if (row->is_removed || row->table->is_shared)
        complete(row);
    for (uint32_t i = 0; i < row->table->n_columns && result == 0; i++)
        if (row->cells[i].operation != CELL_NONE)
            result = judge_cell(batch, row, i, ret_error);
    return result;
}

/* ---- Grouping ---- */

static bool has_shape(const struct change_group *group, const struct row *row)
{
    for (uint32_t i = 0; i < row->table->n_columns; i++)
        if (group->operations[i] != row->cells[i].operation)
            return false;
    return true;
}

static uint32_t add_group(struct closing *closing, const uint8_t *operations, uint64_t hash, enum change change)
{
    struct batch *batch = closing->batch;
    uint32_t n_columns = closing->table->n_columns, number = (uint32_t)batch->n_groups;
    char *copy = arena_copy(batch->arena, operations, n_columns);

    if (copy == NULL || !grow_array(&batch->groups, number, &batch->groups_capacity, sizeof batch->groups[0]) ||
        !grow_array(&closing->drafts, number, &closing->drafts_capacity, sizeof closing->drafts[0]))
        return NO_GROUP;
    batch->groups[number] = (struct change_group){.change = change, .table = closing->table, .operations = (const uint8_t *)copy};
    closing->drafts[number] = (struct draft){.hash = hash, .next = closing->buckets[hash % BUCKETS]};
    closing->buckets[hash % BUCKETS] = number;
    batch->n_groups++;
    return number;
}

/* The group of the row's shape, made if need be. By hash, since nothing bounds how many shapes there are. NO_GROUP: out of
 * memory. */
static uint32_t find_group(struct closing *closing, const struct row *row)
{
    uint8_t operations[RS_MAX_COLUMNS];
    uint32_t number;
    uint64_t hash;

    for (uint32_t i = 0; i < closing->table->n_columns; i++)
        operations[i] = row->cells[i].operation;
    hash = hash_bytes(operations, closing->table->n_columns, closing->batch->seed);
    for (number = closing->buckets[hash % BUCKETS]; number != NO_GROUP; number = closing->drafts[number].next)
        if (closing->drafts[number].hash == hash && closing->batch->groups[number].change == CHANGE_UPSERT &&
            has_shape(&closing->batch->groups[number], row))
            return number;
    return add_group(closing, operations, hash, CHANGE_UPSERT);
}

/* All deletes of a table have one shape: the key. */
static int add_delete_group(struct closing *closing, uint32_t *ret_number, struct error *ret_error)
{
    uint8_t operations[RS_MAX_COLUMNS] = {CELL_NONE};

    for (uint32_t i = 0; i < closing->table->n_keys; i++)
        operations[closing->table->keys[i]] = CELL_SET;
    *ret_number = add_group(closing, operations, 0, CHANGE_DELETE);
    return *ret_number == NO_GROUP ? fold_out_of_memory(ret_error) : 0;
}

/* Gives each row the number of its group, and each group the count of its rows. Deletes are the table's first group. */
static int deal(struct closing *closing, struct error *ret_error)
{
    struct change_group **groups = &closing->batch->groups;
    uint32_t delete_group = NO_GROUP, last = NO_GROUP, number;
    int result = 0;

    memset(closing->buckets, 0xff, sizeof closing->buckets);
    for (size_t i = 0; i < closing->n_rows && delete_group == NO_GROUP && result == 0; i++)
        if (!closing->rows[i].row->has_values)
            result = add_delete_group(closing, &delete_group, ret_error);
    for (size_t i = 0; i < closing->n_rows && result == 0; i++) {
        struct row *row = closing->rows[i].row;

        if (!row->has_values)
            number = delete_group;
        else if (last != NO_GROUP && has_shape(&(*groups)[last], row))
            number = last;
        else
            last = number = find_group(closing, row);
        if (number == NO_GROUP)
            return fold_out_of_memory(ret_error);
        closing->rows[i].prefix = number;
        (*groups)[number].n_rows++;
    }
    return result;
}

/* One array holds the rows of all groups of the table, one group behind the other. */
static int collect(struct closing *closing, struct error *ret_error)
{
    struct batch *batch = closing->batch;
    struct row **rows = arena_alloc(batch->arena, (closing->n_rows + 1) * sizeof *rows);

    if (rows == NULL)
        return fold_out_of_memory(ret_error);
    for (size_t i = closing->first; i < batch->n_groups; i++) {
        batch->groups[i].rows = rows;
        rows += batch->groups[i].n_rows;
        batch->groups[i].n_rows = 0;
    }
    for (size_t i = 0; i < closing->n_rows; i++) {
        struct change_group *group = &batch->groups[closing->rows[i].prefix];

        ((struct row **)group->rows)[group->n_rows++] = closing->rows[i].row;
    }
    batch->n_changed += closing->n_rows;
    return 0;
}

/* ---- Closing ---- */

static int close_table(struct closing *closing, const struct table *table, struct error *ret_error)
{
    const struct map *map = &closing->batch->maps[table->id];
    int result = 0;

    closing->table = table;
    closing->first = closing->batch->n_groups;
    closing->n_rows = 0;
    for (size_t i = 0; i < map->n_rows && result == 0; i++)
        if (map->rows[i]->is_written) {
            closing->rows[closing->n_rows++].row = map->rows[i];
            result = judge(closing->batch, map->rows[i], ret_error);
        }
    if (result != 0 || closing->n_rows == 0)
        return result;
    sort_rows(closing->rows, closing->n_rows, closing->spare);
    result = deal(closing, ret_error);
    return result != 0 ? result : collect(closing, ret_error);
}

int batch_close(struct batch *batch, struct error *ret_error)
{
    struct closing closing = {.batch = batch};
    int result = 0;

    batch->n_groups = batch->n_changed = 0;
    batch->is_closed = true;
    closing.rows = malloc((batch->n_rows + 1) * sizeof closing.rows[0]);
    closing.spare = malloc((batch->n_rows + 1) * sizeof closing.spare[0]);
    if (closing.rows == NULL || closing.spare == NULL)
        result = fold_out_of_memory(ret_error);
    /* Shared rows are locked against other tasks until the commit: they come last. */
    for (int is_shared = 0; is_shared <= 1; is_shared++)
        for (uint32_t i = 0; i < batch->n_tables && result == 0; i++)
            if (batch->tables[i].is_shared == (is_shared == 1))
                result = close_table(&closing, &batch->tables[i], ret_error);
    free(closing.rows);
    free(closing.spare);
    free(closing.drafts);
    return result;
}

const struct change_group *batch_groups(const struct batch *batch, size_t *ret_n)
{
    *ret_n = batch->n_groups;
    return batch->groups;
}
