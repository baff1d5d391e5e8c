/*
 * batch - rows by key, one event at a time, and what a row was before the batch. See batch.h.
 *
 * Everything a batch points to lies in its arena. Undoing an event is a log of cells as they were, played backwards.
 */
#include "fold/inside.h"

#include "base/hash.h"
#include "fold/value.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK = 256 * 1024, ARENA_KEEP = 16 * 1024 * 1024, WANTED_MAX = 100000 };

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

static int out_of_memory(struct error *ret_error)
{
    return error_set(ret_error, ERROR_BUG, "out of memory in a batch");
}

/* ---- Life ---- */

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
    for (size_t i = 0; i < batch->groups_capacity; i++)
        free((void *)batch->groups[i].rows);
    free(batch->groups);
    free(batch);
    return NULL;
}

void batch_reset(struct batch *batch, const struct batch *earlier, struct row_cache *cache)
{
    for (uint32_t i = 0; i < batch->n_tables; i++)
        map_clear(&batch->maps[i]);
    arena_reset(batch->arena);
    batch->n_rows = batch->n_kept = batch->n_undo = batch->n_outbox = batch->n_wanted = batch->n_groups = 0;
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
    batch->outbox_at_begin = batch->n_outbox;
}

void batch_keep(struct batch *batch)
{
    batch->n_undo = 0;
    batch->n_kept++;
}

void batch_undo(struct batch *batch)
{
    while (batch->n_undo > 0) {
        const struct undo *undo = &batch->undo[--batch->n_undo];
        struct row *row = undo->row;

        row->is_removed = undo->is_removed;
        row->is_written = undo->is_written;
        row->has_values = undo->has_values;
        row->base = undo->base;
        row->base_cells = undo->base_cells;
        row->cells[undo->column] = undo->cell;
    }
    batch->n_outbox = batch->outbox_at_begin;
}

/* ---- Rows ---- */

bool cell_copy_data(struct arena *arena, const struct table *table, uint32_t column, struct cell *cell)
{
    if (cell->is_null || !value_has_data(table->columns[column].type))
        return true;
    cell->as.data = arena_copy(arena, cell->as.data, cell->size);
    return cell->as.data != NULL;
}

static int check_keys(struct batch *batch, uint32_t number, const struct rs_value *keys, uint32_t n_keys, struct cell *ret_cells,
                      struct error *ret_error)
{
    const struct table *table = &batch->tables[number];

    if (number >= batch->n_tables)
        return error_set(ret_error, ERROR_BUG, "the handler names table %u; the projection has %u", number, batch->n_tables);
    if (table->is_omitted)
        return error_set(ret_error, ERROR_BUG, "table %s is left out by the plugin's options, yet touched", table->name);
    if (n_keys != table->n_keys)
        return error_set(ret_error, ERROR_BUG, "table %s has %u key columns, the handler gives %u", table->name, table->n_keys,
                         n_keys);
    for (uint32_t i = 0; i < n_keys; i++) {
        int result = value_fit(table, table->keys[i], &keys[i], &ret_cells[i], ret_error);

        if (result != 0)
            return result;
    }
    return 0;
}

static struct row *new_row(struct batch *batch, const struct table *table, const struct cell *keys, uint64_t hash,
                           const uint8_t *key, size_t key_size)
{
    size_t cells_size = table->n_columns * sizeof(struct cell);
    struct row *row = arena_alloc(batch->arena, sizeof *row + cells_size);
    char *key_copy = arena_copy(batch->arena, key, key_size);

    if (row == NULL || key_copy == NULL)
        return NULL;
    *row = (struct row){.table = table, .key = (uint8_t *)key_copy, .key_size = (uint32_t)key_size, .hash = hash};
    memset(row->cells, 0, cells_size);
    for (uint32_t i = 0; i < table->n_keys; i++) {
        row->cells[table->keys[i]] = keys[i];
        if (!cell_copy_data(batch->arena, table, table->keys[i], &row->cells[table->keys[i]]))
            return NULL;
    }
    if (!map_add(&batch->maps[table->id], row))
        return NULL;
    batch->n_rows++;
    return row;
}

static int find_or_add(struct batch *batch, uint32_t number, const struct rs_value *keys, uint32_t n_keys, struct row **ret_row,
                       struct error *ret_error)
{
    const struct table *table = &batch->tables[number];
    struct cell cells[RS_MAX_KEYS];
    uint8_t key[KEY_BYTES_MAX];
    struct row *row;
    size_t key_size;
    uint64_t hash;
    int result;

    result = check_keys(batch, number, keys, n_keys, cells, ret_error);
    if (result == 0)
        result = value_encode_key(table, cells, key, &key_size, ret_error);
    if (result != 0)
        return result;
    hash = hash_bytes(key, key_size, batch->seed);
    row = map_find(&batch->maps[number], hash, key, key_size);
    if (row == NULL) {
        row = new_row(batch, table, cells, hash, key, key_size);
        if (row == NULL)
            return out_of_memory(ret_error);
    }
    *ret_row = row;
    return 0;
}

int batch_row(struct batch *batch, uint32_t number, const struct rs_value *keys, uint32_t n_keys, struct row **ret_row,
              struct error *ret_error)
{
    const struct table *table = &batch->tables[number];
    struct row *row;
    int result = find_or_add(batch, number, keys, n_keys, &row, ret_error);

    if (result != 0)
        return result;
    if (!row->is_written)
        row->partition = batch->event_partition;
    else if (!table->is_shared && row->partition != batch->event_partition)
        return error_set(ret_error, ERROR_HALT,
                         "a row of %s is touched from partition %d and from partition %d; rows of a partitioned table belong to one "
                         "partition (do two producers use different partitioners?)",
                         table->name, (int)row->partition, (int)batch->event_partition);
    *ret_row = row;
    return 0;
}

/* ---- What a row was before this batch ---- */

static int adopt_base(struct batch *batch, struct row *row, bool exists, const struct cell *cells, struct error *ret_error)
{
    struct cell *copy;

    if (!exists) {
        row->base = BASE_ABSENT;
        return 0;
    }
    copy = arena_alloc(batch->arena, row->table->n_columns * sizeof *copy);
    if (copy == NULL)
        return out_of_memory(ret_error);
    memcpy(copy, cells, row->table->n_columns * sizeof *copy);
    for (uint32_t i = 0; i < row->table->n_columns; i++)
        if (!cell_copy_data(batch->arena, row->table, i, &copy[i]))
            return out_of_memory(ret_error);
    row->base_cells = copy;
    row->base = BASE_PRESENT;
    return 0;
}

static int want(struct batch *batch, const struct row *row, struct error *ret_error)
{
    const struct table *table = row->table;
    struct cell *keys;

    for (size_t i = 0; i < batch->n_wanted && batch->n_wanted < 64; i++) /* few: look for it; many: a double does no harm */
        if (batch->wanted[i].key == row->key)
            return FOLD_NEEDS_ROW;
    if (batch->n_wanted >= WANTED_MAX)
        return FOLD_NEEDS_ROW;
    keys = arena_alloc(batch->arena, table->n_keys * sizeof *keys);
    if (keys == NULL || !grow_array(&batch->wanted, batch->n_wanted, &batch->wanted_capacity, sizeof batch->wanted[0]))
        return out_of_memory(ret_error);
    for (uint32_t i = 0; i < table->n_keys; i++) {
        keys[i] = row->cells[table->keys[i]];
        if (table->columns[table->keys[i]].type == RS_INT)
            keys[i].as.integer = (int64_t)keys[i].as.sum;
    }
    batch->wanted[batch->n_wanted++] =
        (struct wanted_row){.table = table, .keys = keys, .key = row->key, .key_size = row->key_size};
    return FOLD_NEEDS_ROW;
}

int row_find_base(struct batch *batch, struct row *row, struct error *ret_error)
{
    const struct row *before;
    const struct cell *cells = NULL;
    bool exists;

    if (row->base != BASE_UNKNOWN)
        return 0;
    /* The earlier batch has another seed for its hashes, as it may be of another size of table; look it up by its own. */
    before = batch->earlier == NULL
                 ? NULL
                 : map_find(&batch->earlier->maps[row->table->id], hash_bytes(row->key, row->key_size, batch->earlier->seed),
                            row->key, row->key_size);
    if (before != NULL && (before->is_written || before->base != BASE_UNKNOWN)) {
        struct cell final[RS_MAX_COLUMNS];

        if (before->base == BASE_UNKNOWN)
            return want(batch, row, ret_error); /* known once the earlier batch has committed */
        exists = batch_final_cells(before, final);
        return adopt_base(batch, row, exists, final, ret_error);
    }
    if (batch->cache != NULL && row_cache_find(batch->cache, row->table, row->key, row->key_size, &exists, &cells))
        return adopt_base(batch, row, exists, cells, ret_error);
    return want(batch, row, ret_error);
}

int batch_want(struct batch *batch, uint32_t table, const struct rs_value *keys, uint32_t n_keys, struct error *ret_error)
{
    struct row *row;
    int result = find_or_add(batch, table, keys, n_keys, &row, ret_error);

    if (result == 0)
        result = row_find_base(batch, row, ret_error);
    return result == FOLD_NEEDS_ROW ? 0 : result;
}

const struct wanted_row *batch_wanted(const struct batch *batch, size_t *ret_n)
{
    *ret_n = batch->n_wanted;
    return batch->wanted;
}

void batch_clear_wanted(struct batch *batch)
{
    batch->n_wanted = 0;
}

/* ---- Messages ---- */

static bool copy_bytes(struct arena *arena, struct rs_bytes *bytes)
{
    if (bytes->data != NULL)
        bytes->data = arena_copy(arena, bytes->data, bytes->size);
    return bytes->size == 0 || bytes->data != NULL;
}

static bool copy_headers(struct arena *arena, const struct rs_message *message, struct outbox_message *copy)
{
    struct rs_header *headers = arena_zalloc(arena, (message->n_headers + 1) * sizeof *headers);

    if (headers == NULL)
        return false;
    for (uint32_t i = 0; i < message->n_headers; i++) {
        const char *at = (const char *)message->headers + (size_t)i * message->header_size;
        const struct rs_header *header = (const struct rs_header *)at;

        headers[i] = (struct rs_header){.name = arena_copy(arena, header->name, strlen(header->name)), .value = header->value};
        if (headers[i].name == NULL || !copy_bytes(arena, &headers[i].value))
            return false;
    }
    copy->headers = headers;
    copy->n_headers = message->n_headers;
    return true;
}

int batch_emit(struct batch *batch, const struct rs_message *message, struct error *ret_error)
{
    struct outbox_message copy = {.key = message->key, .value = message->value, .source_topic = batch->event_topic,
                                  .source_partition = batch->event_partition, .source_offset = batch->event_offset};

    if (message->topic == NULL || message->topic[0] == '\0')
        return error_set(ret_error, ERROR_BUG, "a message without a topic");
    if (message->n_headers > 0 && message->header_size < sizeof(struct rs_header))
        return error_set(ret_error, ERROR_BUG, "a message whose header_size is %u", message->header_size);
    copy.topic = arena_copy(batch->arena, message->topic, strlen(message->topic));
    if (copy.topic == NULL || !copy_bytes(batch->arena, &copy.key) || !copy_bytes(batch->arena, &copy.value) ||
        !copy_headers(batch->arena, message, &copy) ||
        !grow_array(&batch->outbox, batch->n_outbox, &batch->outbox_capacity, sizeof batch->outbox[0]))
        return out_of_memory(ret_error);
    batch->outbox[batch->n_outbox++] = copy;
    return 0;
}

const struct outbox_message *batch_outbox(const struct batch *batch, size_t *ret_n)
{
    *ret_n = batch->n_outbox;
    return batch->outbox;
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
    return batch->n_rows;
}

size_t batch_bytes(const struct batch *batch)
{
    return arena_used_bytes(batch->arena);
}
