/*
 * base - what a row was before its batch: from the earlier batch, the cache, or the store.
 *
 * Called for handlers that read, and for operations that only the stored value decides; in the task's one thread. Does no I/O:
 * what is not known is put on the list of wanted rows.
 */
#include "fold/inside.h"

#include "base/hash.h"
#include "fold/key.h"
#include "fold/value.h"

#include <string.h>

enum { WANTED_MAX = 100000 };

int row_refuse_foreign(const struct row *row, int32_t theirs, int32_t ours, struct error *ret_error)
{
    char key[VALUE_SHOWN_SIZE * 2];

    key_print(row->table, row->cells, key, sizeof key);
    return error_set(
        ret_error, ERROR_HALT,
        "the row %s of %s is touched from partition %d and from partition %d; rows of a partitioned table belong to one "
        "partition (do two producers use different partitioners?)",
        key, row->table->name, (int)theirs, (int)ours);
}

/* Copies, since neither the earlier batch nor the cache lasts as long as this one. cells NULL: there is no such row. */
static int adopt(struct batch *batch, struct row *row, const struct cell *cells, int32_t partition, struct error *ret_error)
{
    const struct table *table = row->table;
    struct cell *copy;

    if (cells == NULL) {
        row->base = BASE_ABSENT;
        return 0;
    }
    copy = arena_alloc(batch->arena, table->n_columns * sizeof *copy);
    if (copy == NULL)
        return fold_out_of_memory(ret_error);
    for (uint32_t i = 0; i < table->n_columns; i++) {
        copy[i] = value_widen(&table->columns[i], &cells[i]);
        if (!cell_copy_data(batch->arena, &table->columns[i], &copy[i]))
            return fold_out_of_memory(ret_error);
    }
    row->base_cells = copy;
    row->base_partition = partition;
    row->base = BASE_PRESENT;
    return 0;
}

/* Each row once: a batch of events that wait for the same row asks for it together. */
static int want(struct batch *batch, struct row *row, struct error *ret_error)
{
    const struct table *table = row->table;
    struct cell *keys;

    if (row->is_wanted || batch->n_wanted >= WANTED_MAX)
        return FOLD_NEEDS_ROW;
    keys = arena_alloc(batch->arena, table->n_keys * sizeof *keys);
    if (keys == NULL || !grow_array(&batch->wanted, batch->n_wanted, &batch->wanted_capacity, sizeof batch->wanted[0]))
        return fold_out_of_memory(ret_error);
    for (uint32_t i = 0; i < table->n_keys; i++)
        keys[i] = row->cells[table->keys[i]];
    batch->wanted[batch->n_wanted++] =
        (struct wanted_row){.table = table, .keys = keys, .key = row->key, .key_size = row->key_size, .row = row};
    row->is_wanted = true;
    return FOLD_NEEDS_ROW;
}

/* The row as the batch before this one knows or leaves it. */
static const struct row *find_earlier(const struct batch *batch, const struct row *row)
{
    const struct batch *earlier = batch->earlier;
    const struct row *before;

    if (earlier == NULL)
        return NULL;
    before = map_find(&earlier->maps[row->table->id], row->table, hash_bytes(row->key, row->key_size, earlier->seed), row->key,
                      row->key_size);
    return before != NULL && (before->is_written || before->base != BASE_UNKNOWN) ? before : NULL;
}

/*
 * The earlier batch comes before the cache, which holds what was before it. Where the earlier batch changed a row that it does
 * not know, nobody knows the row until that batch has committed; the caller loads wanted rows no sooner.
 */
static int look_for_base(struct batch *batch, struct row *row, struct error *ret_error)
{
    const struct row *before;

    if (row->base != BASE_UNKNOWN)
        return 0;
    before = find_earlier(batch, row);
    if (before != NULL) {
        struct cell final[RS_MAX_COLUMNS];

        if (before->base == BASE_UNKNOWN)
            return want(batch, row, ret_error); /* known once the earlier batch has committed */
        return adopt(batch, row, batch_final_cells(before, final) ? final : NULL, row_final_partition(before), ret_error);
    }
    if (batch->cache != NULL)
        before = row_cache_find(batch->cache, row->table, row->key, row->key_size);
    if (before != NULL)
        return adopt(batch, row, before->base == BASE_PRESENT ? before->cells : NULL, before->base_partition, ret_error);
    return want(batch, row, ret_error);
}

/* What another partition's events make of a row at the time depends on how the two are batched: nobody else may read it. */
int row_find_base(struct batch *batch, struct row *row, struct error *ret_error)
{
    int result = look_for_base(batch, row, ret_error);

    if (result != 0 || row->base != BASE_PRESENT || row->base_partition == batch->event_partition)
        return result;
    return row_refuse_foreign(row, row->base_partition, batch->event_partition, ret_error);
}

int batch_want(struct batch *batch, uint32_t table, const struct rs_value *keys, uint32_t n_keys, struct error *ret_error)
{
    struct row *row;
    int result = row_locate(batch, table, keys, n_keys, &row, ret_error);

    if (result == 0)
        result = row->table->is_shared ? row_refuse_shared(row, "reading", ret_error) : look_for_base(batch, row, ret_error);
    return result == FOLD_NEEDS_ROW || result == FOLD_FULL ? 0 : result;
}

const struct wanted_row *batch_wanted(const struct batch *batch, size_t *ret_n)
{
    *ret_n = batch->n_wanted;
    return batch->wanted;
}

int batch_key(const struct table *table, const struct cell *cells, uint8_t *buffer, const uint8_t **ret_key, size_t *ret_size,
              struct error *ret_error)
{
    struct cell keys[RS_MAX_KEYS];

    for (uint32_t i = 0; i < table->n_keys; i++)
        keys[i] = cells[table->keys[i]];
    return key_encode(table, keys, buffer, ret_key, ret_size, ret_error);
}

int batch_load(struct batch *batch, size_t index, const struct cell *cells, int32_t partition, struct error *ret_error)
{
    struct row *row;

    if (index >= batch->n_wanted)
        return error_set(ret_error, ERROR_BUG, "row %zu is loaded, %zu were asked for", index, batch->n_wanted);
    row = batch->wanted[index].row;
    /* A row that was removed since it was asked for is known better than the store knows it. */
    return row->base == BASE_UNKNOWN ? adopt(batch, row, cells, partition, ret_error) : 0;
}

void batch_clear_wanted(struct batch *batch)
{
    for (size_t i = 0; i < batch->n_wanted; i++)
        batch->wanted[i].row->is_wanted = false;
    batch->n_wanted = 0;
}
