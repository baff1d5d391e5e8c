/*
 * map - open addressing from key bytes to rows of one table. Holds pointers only; the rows live in the batch's arena.
 */
#ifndef FOLD_MAP_H
#define FOLD_MAP_H

#include "fold/batch.h"

#include <stddef.h>
#include <stdint.h>

struct map {
    struct row **slots;
    size_t capacity; /* a power of two, or 0 */
    struct row **rows; /* in the order of coming */
    size_t n_rows;
    size_t rows_capacity;
};

void map_free(struct map *map);
void map_clear(struct map *map);
struct row *map_find(const struct map *map, uint64_t hash, const uint8_t *key, size_t key_size);
/* Adds a row that is not there. False: out of memory. */
bool map_add(struct map *map, struct row *row);

#endif
