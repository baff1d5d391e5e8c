/*
 * cache - committed rows of partitioned tables, for handlers that read.
 *
 * Two generations: what is used goes to the young one; when that is half the bound, the old one is dropped and the young one
 * becomes the old. So nothing is freed row by row, and what is used often stays.
 */
#include "fold/inside.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK = 64 * 1024 };

struct generation {
    struct arena *arena;
    struct map map; /* rows of all tables; the key begins with the table's number */
};

struct row_cache {
    const struct table *tables;
    size_t max_bytes;
    uint64_t seed;
    struct generation young, old;
};

/* How a cached row uses struct row: base tells what is known, BASE_UNKNOWN hides an entry of the old generation. */

struct row_cache *row_cache_new(const struct table *tables, uint32_t n_tables, size_t max_bytes, uint64_t seed)
{
    struct row_cache *cache = calloc(1, sizeof *cache);

    (void)n_tables;
    if (cache == NULL)
        return NULL;
    cache->tables = tables;
    cache->max_bytes = max_bytes;
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

static void make_room(struct row_cache *cache)
{
    struct generation spare = cache->old;

    if (arena_used_bytes(cache->young.arena) < cache->max_bytes / 2)
        return;
    cache->old = cache->young;
    cache->young = spare;
    clear(&cache->young);
}

/* One hash for all tables: the table's number goes into the seed. */
static uint64_t hash_of(const struct row_cache *cache, const struct table *table, const uint8_t *key, size_t key_size)
{
    return hash_bytes(key, key_size, cache->seed + table->id);
}

static struct row *find(const struct generation *generation, const struct table *table, uint64_t hash, const uint8_t *key,
                        size_t key_size)
{
    struct row *row = map_find(&generation->map, hash, key, key_size);

    return row != NULL && row->table == table ? row : NULL;
}

static bool fill(struct row_cache *cache, struct row *row, const struct cell *cells)
{
    row->base = cells == NULL ? BASE_ABSENT : BASE_PRESENT;
    if (cells == NULL)
        return true;
    memcpy(row->cells, cells, row->table->n_columns * sizeof cells[0]);
    for (uint32_t i = 0; i < row->table->n_columns; i++)
        if (!cell_copy_data(cache->young.arena, row->table, i, &row->cells[i])) {
            row->base = BASE_UNKNOWN;
            return false;
        }
    return true;
}

/* The entry in the young generation, made if need be. NULL: out of memory. */
static struct row *entry(struct row_cache *cache, const struct table *table, const uint8_t *key, size_t key_size)
{
    uint64_t hash = hash_of(cache, table, key, key_size);
    struct row *row = find(&cache->young, table, hash, key, key_size);
    char *key_copy;

    if (row != NULL)
        return row;
    make_room(cache);
    row = arena_alloc(cache->young.arena, sizeof *row + table->n_columns * sizeof row->cells[0]);
    key_copy = arena_copy(cache->young.arena, key, key_size);
    if (row == NULL || key_copy == NULL)
        return NULL;
    *row = (struct row){.table = table, .key = (uint8_t *)key_copy, .key_size = (uint32_t)key_size, .hash = hash};
    return map_add(&cache->young.map, row) ? row : NULL;
}

int row_cache_put(struct row_cache *cache, const struct table *table, const uint8_t *key, uint32_t key_size,
                  const struct cell *cells, struct error *ret_error)
{
    struct row *row = entry(cache, table, key, key_size);

    if (row == NULL || !fill(cache, row, cells))
        return error_set(ret_error, ERROR_BUG, "out of memory in the row cache");
    return 0;
}

bool row_cache_find(struct row_cache *cache, const struct table *table, const uint8_t *key, size_t key_size, bool *ret_exists,
                    const struct cell **ret_cells)
{
    uint64_t hash = hash_of(cache, table, key, key_size);
    struct row *row = find(&cache->young, table, hash, key, key_size);

    if (row == NULL) {
        struct row *old = find(&cache->old, table, hash, key, key_size);

        if (old == NULL || old->base == BASE_UNKNOWN)
            return false;
        *ret_exists = old->base == BASE_PRESENT;
        *ret_cells = old->cells;
        return true;
    }
    if (row->base == BASE_UNKNOWN)
        return false;
    *ret_exists = row->base == BASE_PRESENT;
    *ret_cells = row->cells;
    return true;
}

void row_cache_absorb(struct row_cache *cache, const struct batch *batch)
{
    struct cell final[RS_MAX_COLUMNS];

    for (uint32_t i = 0; i < batch->n_tables; i++) {
        const struct map *map = &batch->maps[i];

        for (size_t j = 0; j < map->n_rows && !batch->tables[i].is_shared; j++) {
            const struct row *row = map->rows[j];
            struct error error;
            bool exists;

            if (!row->is_written && row->base == BASE_UNKNOWN)
                continue;
            if (row->base != BASE_UNKNOWN) {
                exists = batch_final_cells(row, final);
                if (row_cache_put(cache, row->table, row->key, row->key_size, exists ? final : NULL, &error) == 0)
                    continue;
            }
            /* Not known in full, or no memory: the cache must not keep what was before. */
            struct row *stale = entry(cache, row->table, row->key, row->key_size);

            if (stale == NULL) {
                row_cache_clear(cache);
                return;
            }
            stale->base = BASE_UNKNOWN;
        }
    }
}
