/*
 * inside - what the files of the fold share: the batch as it is.
 */
#ifndef FOLD_INSIDE_H
#define FOLD_INSIDE_H

#include "fold/batch.h"
#include "fold/map.h"

struct undo { /* one change of the event under way */
    struct row *row;
    uint32_t column; /* or UNDO_ROW */
    bool is_removed, is_written, has_values;
    uint8_t base;
    const struct cell *base_cells;
    struct cell cell;
};

struct batch {
    const struct table *tables;
    uint32_t n_tables;
    struct batch_limits limits;
    uint64_t seed;
    struct arena *arena;
    struct map *maps; /* one a table */
    size_t n_rows;
    size_t n_kept;    /* events */
    const struct batch *earlier;
    struct row_cache *cache;

    struct undo *undo;
    size_t n_undo, undo_capacity;
    size_t outbox_at_begin;
    const char *event_topic;
    int32_t event_partition;
    int64_t event_offset;

    struct outbox_message *outbox;
    size_t n_outbox, outbox_capacity;

    struct wanted_row *wanted;
    size_t n_wanted, wanted_capacity;

    struct change_group *groups;
    size_t n_groups, groups_capacity;
};

/* cache.c: the values of a row, or its known absence. False: not in the cache. ret_cells live until the next put. */
bool row_cache_find(struct row_cache *cache, const struct table *table, const uint8_t *key, size_t key_size, bool *ret_exists,
                    const struct cell **ret_cells);

/* Copies what the cell points to into the arena; cells without data as they are. False: out of memory. */
bool cell_copy_data(struct arena *arena, const struct table *table, uint32_t column, struct cell *cell);

/* batch.c: brings the base of the row from the earlier batch or the cache. 0, FOLD_NEEDS_ROW, BUG. */
int row_find_base(struct batch *batch, struct row *row, struct error *ret_error) MUST_CHECK;

/* row.c: the column's value of a row whose base is known (or whose cell is set). RS_INT in as.sum. */
struct cell row_value(const struct row *row, uint32_t column);
bool row_exists(const struct row *row); /* base known */

/* Grows an array for one more item; false: out of memory. */
bool grow_array(void *array_pointer, size_t n, size_t *capacity, size_t item_size);

#endif
