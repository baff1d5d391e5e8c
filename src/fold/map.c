/*
 * map - see map.h.
 */
#include "fold/map.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

void map_free(struct map *map)
{
    free(map->slots);
    free(map->rows);
    *map = (struct map){0};
}

/* A small batch after a large one clears only the slots it used. */
void map_clear(struct map *map)
{
    if (map->n_rows * 8 < map->capacity)
        for (size_t i = 0; i < map->n_rows; i++)
            map->slots[map->rows[i]->slot] = NULL;
    else if (map->capacity > 0)
        memset(map->slots, 0, map->capacity * sizeof map->slots[0]);
    map->n_rows = 0;
}

struct row *map_find(const struct map *map, uint64_t hash, const uint8_t *key, size_t key_size)
{
    size_t mask = map->capacity - 1;

    if (map->capacity == 0)
        return NULL;
    for (size_t i = hash & mask; map->slots[i] != NULL; i = (i + 1) & mask) {
        struct row *row = map->slots[i];

        if (row->hash == hash && row->key_size == key_size && memcmp(row->key, key, key_size) == 0)
            return row;
    }
    return NULL;
}

static void place(struct map *map, struct row *row)
{
    size_t mask = map->capacity - 1, i = row->hash & mask;

    while (map->slots[i] != NULL)
        i = (i + 1) & mask;
    map->slots[i] = row;
    row->slot = (uint32_t)i;
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
