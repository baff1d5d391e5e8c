/*
 * map - open addressing from key bytes to rows. Holds pointers only; the rows live in the arena of a batch or a cache.
 *
 * Rows of several tables may share a map when their tables went into the hash.
 */
#ifndef FOLD_MAP_H
#define FOLD_MAP_H

#include "fold/batch.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct map {
    struct row **slots;
    size_t capacity; /* a power of two, or 0 */
    struct row **rows; /* in the order of coming */
    size_t n_rows;
    size_t rows_capacity;
    struct row *last; /* the row found or added last; NULL: none */
};

void map_free(struct map *map);
void map_clear(struct map *map);
struct row *map_find(const struct map *map, const struct table *table, uint64_t hash, const uint8_t *key, size_t key_size);
/* The two steps towards a row that will be asked for: its place, and, once that has come, the row's memory. Hints alone. */
void map_expect(const struct map *map, uint64_t hash);
void map_fetch(const struct map *map, const struct table *table, uint64_t hash);
/* Adds a row that is not there. False: out of memory. */
bool map_add(struct map *map, struct row *row);

static inline bool map_is_row(const struct row *row, const uint8_t *key, size_t key_size)
{
    return row->key_size == key_size && memcmp(row->key, key, key_size) == 0;
}

#endif
