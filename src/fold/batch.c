/*
 * batch - the life of a batch, its events, and its rows by key. See batch.h.
 *
 * Used by the task in its one thread: by the plugin host for the event under way, by the sink for the whole. Everything a batch
 * points to lies in its arena; undoing an event is a log of cells as they were, played backwards. Never allocates per event once
 * its arrays have grown.
 */
#include "fold/inside.h"

#include "base/hash.h"
#include "fold/key.h"
#include "fold/value.h"

#include <stdlib.h>

enum { ARENA_BLOCK = 256 * 1024, ARENA_KEEP = 16 * 1024 * 1024 };

/* Doubling: the arrays reach their size within the first batches and keep it. */
bool grow_array(void *array_pointer, size_t n, size_t *capacity, size_t item_size)
{
    void **array = array_pointer;
    size_t wanted = *capacity == 0 ? 64 : *capacity * 2;
    void *grown;

    if (n < *capacity)
        return true;
    grown = realloc(*array, wanted * item_size);
    if (grown == NULL)
        return false;
    *array = grown;
    *capacity = wanted;
    return true;
}

int fold_out_of_memory(struct error *ret_error)
{
    return error_set(ret_error, ERROR_BUG, "out of memory in a batch");
}

/* ---- Life ---- */

/* Could a record's key be a row's as it is? */
static bool has_record_keys(const struct table *table)
{
    return table->n_keys == 1 && table->columns[table->keys[0]].type == RS_TEXT && !table->is_shared && !table->is_omitted;
}

struct batch *batch_new(const struct table *tables, uint32_t n_tables, const struct batch_limits *limits, uint64_t seed)
{
    struct batch *batch = calloc(1, sizeof *batch);

    if (batch == NULL)
        return NULL;
    batch->tables = tables;
    batch->n_tables = n_tables;
    batch->limits = *limits;
    batch->seed = seed;
    batch->arena = arena_new(ARENA_BLOCK, ARENA_KEEP);
    batch->maps = calloc(n_tables + 1, sizeof batch->maps[0]);
    for (uint32_t i = 0; i < n_tables; i++)
        batch->has_record_keys = batch->has_record_keys || has_record_keys(&tables[i]);
    return batch->arena == NULL || batch->maps == NULL ? batch_free(batch) : batch;
}

struct batch *batch_free(struct batch *batch)
{
    if (batch == NULL)
        return NULL;
    for (uint32_t i = 0; batch->maps != NULL && i < batch->n_tables; i++)
        map_free(&batch->maps[i]);
    free(batch->maps);
    arena_free(batch->arena);
    free(batch->undo);
    free(batch->outbox);
    free(batch->wanted);
    free(batch->groups);
    free(batch);
    return NULL;
}

/* Keeps the memory, so that the batches of a steady state allocate nothing. */
void batch_reset(struct batch *batch, const struct batch *earlier, struct row_cache *cache)
{
    for (uint32_t i = 0; i < batch->n_tables; i++)
        map_clear(&batch->maps[i]);
    arena_reset(batch->arena);
    batch->n_rows = batch->n_changed = batch->n_kept = batch->n_undo = batch->n_changes = 0;
    batch->n_outbox = batch->outbox_at_begin = batch->n_wanted = batch->n_groups = 0;
    batch->is_closed = false;
    batch->earlier = earlier;
    batch->cache = cache;
}

void batch_forget_earlier(struct batch *batch)
{
    batch->earlier = NULL;
}

/* ---- One event ---- */

void batch_begin(struct batch *batch, const char *topic, int32_t partition, int64_t offset)
{
    batch->event_topic = topic;
    batch->event_partition = partition;
    batch->event_offset = offset;
    batch->n_undo = 0;
    batch->n_changes = 0;
    batch->outbox_at_begin = batch->n_outbox;
}

void batch_keep(struct batch *batch)
{
    batch->n_undo = 0;
    batch->n_kept++;
}

/*
 * Backwards, so that the oldest state of each cell is the one that stays. Rows that the event named first stay as well,
 * unwritten: the event comes again when it waits for them, and else they cost only their place. What became known of their base
 * stays true.
 */
void batch_undo(struct batch *batch)
{
    while (batch->n_undo > 0) {
        const struct undo *undo = &batch->undo[--batch->n_undo];
        struct row *row = undo->row;

        row->is_removed = undo->is_removed;
        row->is_written = undo->is_written;
        row->has_values = undo->has_values;
        if (undo->column == UNDO_REMOVED) {
            row->base = undo->base;
            row->base_cells = undo->was.base_cells;
        } else {
            row->cells[undo->column] = undo->was.cell;
        }
    }
    batch->n_outbox = batch->outbox_at_begin;
}

/* ---- Rows ---- */

/*
 * As value_fit(), but whether a text is valid and short enough is left to check_texts(): a row that is found by the same bytes
 * has been through it.
 */
static int take_key(const struct table *table, uint32_t column, const struct rs_value *value, struct cell *ret_cell,
                    struct error *ret_error)
{
    const struct rs_text *text = &value->as.text;

    if (value->type != RS_TEXT || table->columns[column].type != RS_TEXT || text->size == 0 || text->size > KEY_BYTES_MAX ||
        text->data == NULL)
        return value_fit(table, column, value, ret_cell, ret_error);
    ret_cell->operation = CELL_SET;
    ret_cell->is_null = false;
    ret_cell->size = (uint32_t)text->size;
    ret_cell->as.data = text->data;
    return 0;
}

static int check_texts(const struct table *table, const struct rs_value *keys, struct error *ret_error)
{
    struct cell ignored;
    int result = 0;

    for (uint32_t i = 0; i < table->n_keys && result == 0; i++)
        if (table->columns[table->keys[i]].type == RS_TEXT)
            result = value_fit(table, table->keys[i], &keys[i], &ignored, ret_error);
    return result;
}

static int take_keys(const struct batch *batch, uint32_t number, const struct rs_value *keys, uint32_t n_keys,
                     struct cell *ret_cells, struct error *ret_error)
{
    const struct table *table;
    int result = 0;

    if (number >= batch->n_tables)
        return error_set(ret_error, ERROR_BUG, "the handler names table %u, the projection has %u", number, batch->n_tables);
    table = &batch->tables[number];
    if (table->is_omitted)
        return error_set(ret_error, ERROR_BUG, "table %s is left out by the plugin's options, yet touched", table->name);
    if (n_keys != table->n_keys)
        return error_set(ret_error, ERROR_BUG, "table %s has %u key columns, the handler gives %u", table->name, table->n_keys,
                         n_keys);
    for (uint32_t i = 0; i < n_keys && result == 0; i++)
        result = take_key(table, table->keys[i], &keys[i], &ret_cells[i], ret_error);
    return result;
}

/* The first event of a batch takes what it takes: there is no smaller batch that it could wait for. */
bool batch_has_room(const struct batch *batch)
{
    return batch->n_kept == 0 || !batch_is_full(batch);
}

/* One piece of memory: the row, its cells, its key and a NUL. NULL: out of memory. */
static struct row *new_row(struct batch *batch, const struct table *table, struct cell *keys, uint64_t hash, const uint8_t *key,
                           size_t key_size)
{
    size_t cells_size = table->n_columns * sizeof(struct cell);
    struct row *row = arena_alloc(batch->arena, sizeof *row + cells_size + key_size + 1);
    uint8_t *key_copy;

    if (row == NULL)
        return NULL;
    key_copy = (uint8_t *)row + sizeof *row + cells_size;
    if (key_size > 0)
        memcpy(key_copy, key, key_size);
    key_copy[key_size] = '\0';
    *row = (struct row){.table = table, .key = key_copy, .key_size = (uint32_t)key_size, .hash = hash};
    memset(row->cells, 0, cells_size);
    key_point_cells(table, key_copy, key_size, keys);
    for (uint32_t i = 0; i < table->n_keys; i++) {
        const struct column *column = &table->columns[table->keys[i]];

        /* Bytes that the key holds escaped are the only ones that are not in it. */
        if (column->type == RS_BYTES && i + 1 < table->n_keys && !cell_copy_data(batch->arena, column, &keys[i]))
            return NULL;
        row->cells[table->keys[i]] = keys[i];
    }
    if (!map_add(&batch->maps[table->id], row))
        return NULL;
    batch->n_rows++;
    return row;
}

int row_locate(struct batch *batch, uint32_t number, const struct rs_value *keys, uint32_t n_keys, struct row **ret_row,
               struct error *ret_error)
{
    struct cell cells[RS_MAX_KEYS];
    uint8_t buffer[KEY_BYTES_MAX];
    const struct table *table;
    const uint8_t *key;
    struct map *map;
    struct row *row;
    size_t key_size;
    uint64_t hash;
    int result;

    result = take_keys(batch, number, keys, n_keys, cells, ret_error);
    if (result != 0)
        return result;
    table = &batch->tables[number];
    map = &batch->maps[number];
    result = key_encode(table, cells, buffer, &key, &key_size, ret_error);
    if (result != 0)
        return result;
    /* A handler names its row more than once, and events of one day the same day: no hash, no search. */
    if (map->last != NULL && map_is_row(map->last, key, key_size)) {
        *ret_row = map->last;
        return 0;
    }
    hash = hash_bytes(key, key_size, batch->seed);
    row = map_find(map, table, hash, key, key_size);
    if (row == NULL) {
        result = check_texts(table, keys, ret_error);
        if (result != 0)
            return result;
        if (!batch_has_room(batch))
            return FOLD_FULL;
        row = new_row(batch, table, cells, hash, key, key_size);
        if (row == NULL)
            return fold_out_of_memory(ret_error);
    }
    map->last = row;
    *ret_row = row;
    return 0;
}

int batch_row(struct batch *batch, uint32_t number, const struct rs_value *keys, uint32_t n_keys, struct row **ret_row,
              struct error *ret_error)
{
    struct row *row;
    int result = row_locate(batch, number, keys, n_keys, &row, ret_error);

    if (result != 0)
        return result;
    *ret_row = row;
    if (!row->is_written) /* who only reads or is undone claims nothing */
        row->partition = batch->event_partition;
    if (row->partition == batch->event_partition || row->table->is_shared)
        return 0;
    return row_refuse_foreign(row, row->partition, batch->event_partition, ret_error);
}

/* ---- Looking ahead ---- */

uint64_t batch_expect(const struct batch *batch, const void *key, size_t key_size)
{
    uint64_t hash;

    if (!batch->has_record_keys || key == NULL || key_size > KEY_BYTES_MAX)
        return 0;
    hash = hash_bytes(key, key_size, batch->seed);
    for (uint32_t i = 0; i < batch->n_tables; i++)
        if (has_record_keys(&batch->tables[i]))
            map_expect(&batch->maps[i], hash);
    return hash;
}

void batch_fetch(const struct batch *batch, uint64_t expected)
{
    for (uint32_t i = 0; i < batch->n_tables && expected != 0; i++)
        if (has_record_keys(&batch->tables[i]))
            map_fetch(&batch->maps[i], &batch->tables[i], expected);
}

/* ---- The whole ---- */

bool batch_is_empty(const struct batch *batch)
{
    return batch->n_kept == 0;
}

bool batch_is_full(const struct batch *batch)
{
    return batch->n_rows >= batch->limits.max_rows || arena_used_bytes(batch->arena) >= batch->limits.max_bytes;
}

size_t batch_rows(const struct batch *batch)
{
    return batch->is_closed ? batch->n_changed : batch->n_rows;
}

size_t batch_bytes(const struct batch *batch)
{
    return arena_used_bytes(batch->arena);
}
