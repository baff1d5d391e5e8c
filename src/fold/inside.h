/*
 * inside - what the files of the fold share: the batch as it is. Nobody outside the folder includes it.
 */
#ifndef FOLD_INSIDE_H
#define FOLD_INSIDE_H

#include "fold/batch.h"
#include "fold/map.h"

/* RS_INT lives in as.sum while folding and is read from as.integer afterwards: its low half, at the same place. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the fold needs a little-endian machine");

enum { EVENT_CHANGES_MAX = 100000 };

/* One cell as it was before the event under way changed it, or what the row knew before it was removed. */
struct undo {
    struct row *row;
    uint32_t column; /* or UNDO_REMOVED: base_cells counts instead of cell */
    uint8_t base;
    bool is_removed, is_written, has_values;
    union {
        struct cell cell;
        const struct cell *base_cells;
    } was;
};

enum { UNDO_REMOVED = UINT32_MAX };

struct batch {
    const struct table *tables;
    uint32_t n_tables;
    struct batch_limits limits;
    uint64_t seed;
    struct arena *arena;
    struct map *maps; /* one a table */
    bool has_record_keys; /* of one table at least, a row's key may be a record's as it is */
    size_t n_rows;    /* named, changed or not */
    size_t n_changed; /* once closed: rows in groups */
    bool is_closed;
    size_t n_kept;    /* events */
    const struct batch *earlier;
    struct row_cache *cache;

    struct undo *undo;
    size_t n_undo, undo_capacity;
    size_t n_changes; /* operations of the event under way */
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

/* Grows an array for one more item; false: out of memory. */
bool grow_array(void *array_pointer, size_t n, size_t *capacity, size_t item_size);
int fold_out_of_memory(struct error *ret_error);

/* batch.c: may the event under way take more memory, or is the batch full without it? */
bool batch_has_room(const struct batch *batch);
/* batch.c: the row of that key, made if need be. 0, FOLD_FULL, POISON, BUG. */
int row_locate(struct batch *batch, uint32_t table, const struct rs_value *keys, uint32_t n_keys, struct row **ret_row,
               struct error *ret_error) MUST_CHECK;

/* base.c: brings the base of the row from the earlier batch or the cache. 0, FOLD_NEEDS_ROW, BUG; HALT: another partition's. */
int row_find_base(struct batch *batch, struct row *row, struct error *ret_error) MUST_CHECK;

/*
 * read.c: the column's value of a row whose base is known or whose cell is set, CELL_SET, RS_INT in as.sum. False: a sum beyond
 * 128 bits.
 */
bool row_value(const struct row *row, uint32_t column, struct cell *ret_cell);
/* The value of a new row where nothing is set, or before this batch. */
struct cell row_base_value(const struct row *row, uint32_t column);

/* read.c: a sum does not fit. FOLD_FULL while events are kept that may be the cause; POISON when it is this event alone. */
int row_sum_misfit(const struct batch *batch, const struct row *row, uint32_t column, const struct cell *sum,
                   struct error *ret_error) MUST_CHECK;
int row_refuse_column(const struct row *row, uint32_t column, struct error *ret_error) MUST_CHECK;
int row_refuse_shared(const struct row *row, const char *what, struct error *ret_error) MUST_CHECK;

/* base.c: a row of another partition than the event's. */
int row_refuse_foreign(const struct row *row, int32_t theirs, int32_t ours, struct error *ret_error) MUST_CHECK;

/* cache.c: a row's values, or with base BASE_ABSENT its known absence. NULL: not in the cache. Lives until the next put. */
const struct row *row_cache_find(const struct row_cache *cache, const struct table *table, const uint8_t *key, size_t key_size);

static inline bool row_exists(const struct row *row) /* base known */
{
    return row->has_values || row->base == BASE_PRESENT;
}

/* Whose row it is once the batch is written. */
static inline int32_t row_final_partition(const struct row *row)
{
    return row->is_written ? row->partition : row->base_partition;
}

/* Copies what the cell points to into the arena; cells without data as they are. False: out of memory. */
static inline bool cell_copy_data(struct arena *arena, const struct column *column, struct cell *cell)
{
    if (cell->is_null || (column->type != RS_TEXT && column->type != RS_BYTES && column->type != RS_JSON))
        return true;
    cell->as.data = arena_copy(arena, cell->as.data, cell->size);
    return cell->as.data != NULL;
}

#endif
