/*
 * map - see map.h. Used by batches and the row cache, in the task's one thread. Never owns a row.
 */
#include "fold/map.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 256, CACHE_LINE = 64, FETCHED_LINES = 4 };

void map_free(struct map *map)
{
    free(map->slots);
    free(map->rows);
    *map = (struct map){0};
}

/* A small batch after a large one clears only the slots it used. */
void map_clear(struct map *map)
{
    size_t mask = map->capacity - 1;

    if (map->n_rows * 8 < map->capacity) {
        for (size_t i = 0; i < map->n_rows; i++) {
            size_t at = map->rows[i]->hash & mask;

            while (map->slots[at] != map->rows[i]) /* it is there; what was in between may be cleared already */
                at = (at + 1) & mask;
            map->slots[at] = NULL;
        }
    } else if (map->capacity > 0) {
        memset(map->slots, 0, map->capacity * sizeof map->slots[0]);
    }
    map->n_rows = 0;
    map->last = NULL;
}

struct row *map_find(const struct map *map, const struct table *table, uint64_t hash, const uint8_t *key, size_t key_size)
{
    size_t mask = map->capacity - 1;

    if (map->capacity == 0)
        return NULL;
    for (size_t i = hash & mask; map->slots[i] != NULL; i = (i + 1) & mask) {
        struct row *row = map->slots[i];

        /* Most first candidates are the row: fetch its cells and key together with its head. */
        for (int line = 1; line < FETCHED_LINES; line++)
            __builtin_prefetch((const char *)row + line * CACHE_LINE);
        if (row->hash == hash && row->table == table && map_is_row(row, key, key_size))
            return row;
    }
    return NULL;
}

void map_expect(const struct map *map, uint64_t hash)
{
    if (map->capacity > 0)
        __builtin_prefetch(&map->slots[hash & (map->capacity - 1)]);
}

/* All of it but the key, which lies behind the cells. */
void map_fetch(const struct map *map, const struct table *table, uint64_t hash)
{
    const struct row *row = map->capacity == 0 ? NULL : map->slots[hash & (map->capacity - 1)];

    if (row == NULL)
        return;
    for (size_t at = 0; at < sizeof *row + table->n_columns * sizeof row->cells[0]; at += CACHE_LINE)
        __builtin_prefetch((const char *)row + at, 1);
}

static void place(struct map *map, struct row *row)
{
    size_t mask = map->capacity - 1, i = row->hash & mask;

    while (map->slots[i] != NULL)
        i = (i + 1) & mask;
    map->slots[i] = row;
}

static bool grow(struct map *map)
{
    size_t capacity = map->capacity == 0 ? FIRST_CAPACITY : map->capacity * 2;
    struct row **slots = calloc(capacity, sizeof slots[0]);

    if (slots == NULL)
        return false;
    free(map->slots);
    map->slots = slots;
    map->capacity = capacity;
    for (size_t i = 0; i < map->n_rows; i++)
        place(map, map->rows[i]);
    return true;
}

bool map_add(struct map *map, struct row *row)
{
    if (map->n_rows == map->rows_capacity) {
        size_t capacity = map->rows_capacity == 0 ? FIRST_CAPACITY : map->rows_capacity * 2;
        struct row **rows = realloc(map->rows, capacity * sizeof rows[0]);

        if (rows == NULL)
            return false;
        map->rows = rows;
        map->rows_capacity = capacity;
    }
    if ((map->n_rows + 1) * 2 > map->capacity && !grow(map))
        return false;
    map->rows[map->n_rows++] = row;
    place(map, row);
    return true;
}
