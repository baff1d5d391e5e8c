/*
 * cache - committed rows of partitioned tables, for handlers that read. See batch.h.
 *
 * Used by the sink and the fold in the task's one thread. Two generations: what is put goes to the young one; when that takes
 * half of the bound it becomes the old one, and what was old is gone. So nothing is freed row by row, and what is used often
 * stays: a batch that has read or changed a row puts it again. Holds nothing of batches that have not committed.
 */
#include "fold/inside.h"

#include "base/hash.h"
#include "fold/value.h"

#include <stdlib.h>

/* Whatever the bound, the rows of one load must last until the events that asked for them have run. */
enum { ARENA_BLOCK = 64 * 1024, HALF_BYTES_MIN = 1024 * 1024, MAP_BYTES_PER_ROW = 32 };

/* A cached row uses struct row's table, key, hash, cells, base and base_partition; BASE_UNKNOWN hides what the old generation may hold. */
struct generation {
    struct arena *arena;
    struct map map; /* rows of all tables */
};

struct row_cache {
    const struct table *tables;
    size_t half_bytes;
    uint64_t seed;
    struct generation young, old;
};

struct row_cache *row_cache_new(const struct table *tables, uint32_t n_tables, size_t max_bytes, uint64_t seed)
{
    struct row_cache *cache = calloc(1, sizeof *cache);

    (void)n_tables;
    if (cache == NULL)
        return NULL;
    cache->tables = tables;
    cache->half_bytes = max_bytes / 2 < HALF_BYTES_MIN ? HALF_BYTES_MIN : max_bytes / 2;
    cache->seed = seed;
    cache->young.arena = arena_new(ARENA_BLOCK, 0);
    cache->old.arena = arena_new(ARENA_BLOCK, 0);
    return cache->young.arena == NULL || cache->old.arena == NULL ? row_cache_free(cache) : cache;
}

struct row_cache *row_cache_free(struct row_cache *cache)
{
    if (cache == NULL)
        return NULL;
    arena_free(cache->young.arena);
    arena_free(cache->old.arena);
    map_free(&cache->young.map);
    map_free(&cache->old.map);
    free(cache);
    return NULL;
}

static void clear(struct generation *generation)
{
    map_clear(&generation->map);
    arena_reset(generation->arena);
}

void row_cache_clear(struct row_cache *cache)
{
    clear(&cache->young);
    clear(&cache->old);
}

/* Rows of all tables share a map: the table goes into the seed, and map_find() compares it. */
static uint64_t hash_of(const struct row_cache *cache, const struct table *table, const uint8_t *key, size_t key_size)
{
    return hash_bytes(key, key_size, cache->seed + table->id);
}

/* ---- Finding ---- */

const struct row *row_cache_find(const struct row_cache *cache, const struct table *table, const uint8_t *key, size_t key_size)
{
    uint64_t hash = hash_of(cache, table, key, key_size);
    const struct row *row = map_find(&cache->young.map, table, hash, key, key_size);

    if (row == NULL)
        row = map_find(&cache->old.map, table, hash, key, key_size);
    return row == NULL || row->base == BASE_UNKNOWN ? NULL : row;
}

/* ---- Putting ---- */

/* Rows that are put again leave their old text behind in the arena: that counts as well. */
static void make_room(struct row_cache *cache)
{
    struct generation spare = cache->old;

    if (arena_used_bytes(cache->young.arena) + cache->young.map.n_rows * MAP_BYTES_PER_ROW < cache->half_bytes)
        return;
    cache->old = cache->young;
    cache->young = spare;
    clear(&cache->young);
}

/* The entry in the young generation, made if need be. NULL: out of memory. */
static struct row *entry(struct row_cache *cache, const struct table *table, uint64_t hash, const uint8_t *key, size_t key_size)
{
    size_t cells_size = table->n_columns * sizeof(struct cell);
    uint8_t *key_copy;
    struct row *row;

    make_room(cache);
    row = map_find(&cache->young.map, table, hash, key, key_size);
    if (row != NULL)
        return row;
    row = arena_alloc(cache->young.arena, sizeof *row + cells_size + key_size + 1);
    if (row == NULL)
        return NULL;
    key_copy = (uint8_t *)row + sizeof *row + cells_size;
    if (key_size > 0)
        memcpy(key_copy, key, key_size);
    *row = (struct row){.table = table, .key = key_copy, .key_size = (uint32_t)key_size, .hash = hash};
    return map_add(&cache->young.map, row) ? row : NULL;
}

static bool is_same_data(const struct cell *a, const struct cell *b)
{
    return !a->is_null && !b->is_null && a->size == b->size && (a->size == 0 || memcmp(a->as.data, b->as.data, a->size) == 0);
}

static bool put_cells(struct row_cache *cache, struct row *row, const struct cell *cells)
{
    bool has_values = row->base == BASE_PRESENT; /* of before, whose data may serve again */

    row->base = BASE_UNKNOWN; /* should the memory end half-way */
    for (uint32_t i = 0; i < row->table->n_columns; i++) {
        const struct column *column = &row->table->columns[i];
        struct cell cell = value_widen(column, &cells[i]);

        if (has_values && value_has_data(column->type) && is_same_data(&row->cells[i], &cell))
            continue;
        if (!cell_copy_data(cache->young.arena, column, &cell))
            return false;
        row->cells[i] = cell;
    }
    row->base = BASE_PRESENT;
    return true;
}

static bool put(struct row_cache *cache, const struct table *table, uint64_t hash, const uint8_t *key, size_t key_size,
                const struct cell *cells, int32_t partition)
{
    struct row *row = entry(cache, table, hash, key, key_size);

    if (row == NULL)
        return false;
    row->base_partition = partition;
    if (cells != NULL)
        return put_cells(cache, row, cells);
    row->base = BASE_ABSENT;
    return true;
}

int row_cache_put(struct row_cache *cache, const struct table *table, const uint8_t *key, uint32_t key_size,
                  const struct cell *cells, int32_t partition, struct error *ret_error)
{
    if (!put(cache, table, hash_of(cache, table, key, key_size), key, key_size, cells, partition))
        return error_set(ret_error, ERROR_BUG, "out of memory in the row cache");
    return 0;
}

/* ---- After a commit ---- */

/* The row has values that the cache does not know. False: out of memory. */
static bool hide(struct row_cache *cache, const struct row *row, uint64_t hash)
{
    struct row *young = map_find(&cache->young.map, row->table, hash, row->key, row->key_size);

    if (young == NULL && map_find(&cache->old.map, row->table, hash, row->key, row->key_size) != NULL)
        young = entry(cache, row->table, hash, row->key, row->key_size);
    else if (young == NULL)
        return true;
    if (young == NULL)
        return false;
    young->base = BASE_UNKNOWN;
    return true;
}

/* A row of known base has a known end, which is what the store holds now. */
static bool absorb_row(struct row_cache *cache, const struct row *row)
{
    uint64_t hash = hash_of(cache, row->table, row->key, row->key_size);
    struct cell final[RS_MAX_COLUMNS];
    const struct row *young;

    if (row->base == BASE_UNKNOWN)
        return !row->is_written || hide(cache, row, hash);
    young = row->is_written ? NULL : map_find(&cache->young.map, row->table, hash, row->key, row->key_size);
    if (young != NULL && young->base != BASE_UNKNOWN)
        return true; /* only read, and here already */
    return put(cache, row->table, hash, row->key, row->key_size, batch_final_cells(row, final) ? final : NULL,
               row_final_partition(row)) ||
           hide(cache, row, hash);
}

void row_cache_absorb(struct row_cache *cache, const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->n_tables; i++) {
        const struct map *map = &batch->maps[i];

        for (size_t j = 0; j < map->n_rows && !batch->tables[i].is_shared; j++)
            if (!absorb_row(cache, map->rows[j])) {
                row_cache_clear(cache); /* no memory to say what is no longer true: say nothing */
                return;
            }
    }
}
