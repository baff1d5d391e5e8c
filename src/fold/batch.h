/*
 * batch - the row operations of many events, merged per key. No I/O.
 *
 * Owned by one task and its one thread. Two batches take turns: one is being folded while the other is being written; a batch
 * that is being written is not changed. Each event is all or nothing: batch_begin() .. batch_keep() or batch_undo().
 *
 * A batch takes what fits its bounds: an event that exceeds them is refused with FOLD_FULL unless it is the batch's first.
 *
 * Merging, per column: set over anything is set; add over add sums; add over set sums into it; max over max keeps the greater
 * (min likewise); remove clears the row; set after remove makes a new row that starts from the fallbacks. Combinations that one
 * statement cannot express (add over max, max over add) need the row's stored values: FOLD_NEEDS_ROW.
 *
 * A row's stored values ("base") are unknown until something reads it. They come from the batch being written ("earlier"), from
 * the row cache, or from the store: then the event is undone, batch_wanted() names the row, and the event runs again once
 * batch_load() has brought it.
 */
#ifndef FOLD_BATCH_H
#define FOLD_BATCH_H

#include "base/arena.h"
#include "base/error.h"
#include "fold/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct batch;
struct row_cache;

/* Beside 0 and error classes, what the row functions return. */
enum fold_result {
    FOLD_NEEDS_ROW = 1, /* undo the event, load batch_wanted(), run it again */
    FOLD_FULL = 2,      /* undo the event, write the batch, run it again in the next one. Never for the first event of a batch */
};

/* What is known of a row's stored values. */
enum row_base { BASE_UNKNOWN, BASE_ABSENT, BASE_PRESENT };

struct row {
    const struct table *table;
    const uint8_t *key; /* canonical bytes: equal keys have equal bytes; bytes, then length, order as the values do */
    uint64_t hash;
    uint32_t key_size;
    int32_t partition;  /* Kafka partition that touches it; of no meaning in shared tables */
    const struct cell *base_cells; /* BASE_PRESENT: the values before this batch */
    int32_t base_partition; /* BASE_PRESENT: whose events have written them */
    uint8_t base;           /* enum row_base */
    bool is_removed : 1;    /* removed at some point in this batch: what follows starts from the fallbacks */
    bool is_written : 1;    /* does the batch change it? */
    bool has_values : 1;    /* a column was touched since the last removal: the row exists */
    bool is_wanted : 1;     /* internal: among batch_wanted() */
    struct cell cells[]; /* one a column, keys included (CELL_SET) */
};

struct outbox_message {
    const char *topic;
    struct rs_bytes key;
    struct rs_bytes value;
    const struct rs_header *headers;
    uint32_t n_headers;
    const char *source_topic; /* the event that emitted it */
    int32_t source_partition;
    int64_t source_offset;
};

/*
 * Rows that one bulk statement writes: same table, same columns touched in the same way, rows in key order.
 */
enum change { CHANGE_DELETE, CHANGE_UPSERT };

struct change_group {
    enum change change;
    const struct table *table;
    const uint8_t *operations; /* one enum cell_operation a column; keys CELL_SET. A column with CELL_NONE is left alone, and
                                  takes its fallback where the row is inserted */
    struct row *const *rows;
    size_t n_rows;
};

struct batch_limits {
    size_t max_rows;  /* rows of all tables together */
    size_t max_bytes; /* arena bytes */
};

/* tables stay the caller's and outlive the batch. seed: of the hash. */
struct batch *batch_new(const struct table *tables, uint32_t n_tables, const struct batch_limits *limits, uint64_t seed);
struct batch *batch_free(struct batch *batch);
/* Empties it. earlier: the batch now being written, or NULL; cache may be NULL (plugins that never read). */
void batch_reset(struct batch *batch, const struct batch *earlier, struct row_cache *cache);
/* The earlier batch has settled: its rows are in the cache or forgotten. */
void batch_forget_earlier(struct batch *batch);

/* ---- One event ---- */
void batch_begin(struct batch *batch, const char *topic, int32_t partition, int64_t offset);
void batch_keep(struct batch *batch);
void batch_undo(struct batch *batch);

/*
 * The row of that key. POISON: a key does not fit (null, too long, too large); HALT: another partition touched the row in this
 * batch; BUG: wrong table, number or type of keys; FOLD_FULL.
 */
int batch_row(struct batch *batch, uint32_t table, const struct rs_value *keys, uint32_t n_keys, struct row **ret_row,
              struct error *ret_error) MUST_CHECK;
/* value->type 0: null. 0, FOLD_FULL, POISON (does not fit), BUG (unknown column, other type, key column, shared table). */
int batch_set(struct batch *batch, struct row *row, uint32_t column, const struct rs_value *value,
              struct error *ret_error) MUST_CHECK;
/* operation: enum rs_operation. 0, fold_result, POISON, BUG (as set; not the declared operation, a fallback that forbids it). */
int batch_apply(struct batch *batch, struct row *row, uint32_t column, uint32_t operation, const struct rs_value *value,
                struct error *ret_error) MUST_CHECK;
/* ret_value->type 0 when null or no row. Text is valid as long as the batch. 0, FOLD_NEEDS_ROW, BUG; HALT: events of another
 * partition write the row; a sum that does not fit its column cannot be read: FOLD_FULL or, in the first event, POISON. */
int batch_get(struct batch *batch, struct row *row, uint32_t column, uint32_t type, struct rs_value *ret_value,
              struct error *ret_error) MUST_CHECK;
int batch_exists(struct batch *batch, struct row *row, bool *ret_exists, struct error *ret_error) MUST_CHECK;
int batch_remove(struct batch *batch, struct row *row, struct error *ret_error) MUST_CHECK;
int batch_emit(struct batch *batch, const struct rs_message *message, struct error *ret_error) MUST_CHECK;

/* Is the row's base known, in this batch, the earlier one or the cache? Asks for it (batch_wanted) if not; 0 in both cases, and
 * when the batch is full. For declared reads. */
int batch_want(struct batch *batch, uint32_t table, const struct rs_value *keys, uint32_t n_keys,
               struct error *ret_error) MUST_CHECK;

/*
 * Most events change the row whose key is their record's. Its memory is far away, so it is called for while the events before are
 * folded: batch_expect() its place in the map, and some events later batch_fetch(), with what the first has returned, the row.
 * Hints alone: right or wrong, they change nothing but time. key may be NULL; 0 hints at nothing.
 */
uint64_t batch_expect(const struct batch *batch, const void *key, size_t key_size);
void batch_fetch(const struct batch *batch, uint64_t expected);

/* ---- Loading ---- */
struct wanted_row {
    const struct table *table;
    const struct cell *keys; /* n_keys cells in key order */
    const uint8_t *key; /* canonical, as a row's */
    uint32_t key_size;
    struct row *row; /* internal */
};

/* Rows asked for since the last batch_clear_wanted(), each once. They live as long as the batch. */
const struct wanted_row *batch_wanted(const struct batch *batch, size_t *ret_n);
/* The canonical key of a row with those cells, one a column, by which a store tells which of the wanted rows it has found. buffer
 * holds KEY_BYTES_MAX; *ret_key is the buffer or, where the key is one text, its own bytes. */
int batch_key(const struct table *table, const struct cell *cells, uint8_t *buffer, const uint8_t **ret_key, size_t *ret_size,
              struct error *ret_error) MUST_CHECK;
/*
 * What the store holds of batch_wanted()[index], once no earlier batch that may hold the row is in flight. cells: one a column;
 * NULL: there is no such row. partition: whose events have written it. Copied; the batch then knows the row whatever becomes of
 * the cache. 0 or BUG (out of memory).
 */
int batch_load(struct batch *batch, size_t index, const struct cell *cells, int32_t partition, struct error *ret_error) MUST_CHECK;
void batch_clear_wanted(struct batch *batch);

/* ---- The whole ---- */
bool batch_is_empty(const struct batch *batch);
bool batch_is_full(const struct batch *batch); /* a bound of batch_limits is reached */
size_t batch_rows(const struct batch *batch);  /* held, those only read included; once closed: rows in groups */
size_t batch_bytes(const struct batch *batch);

/*
 * Ends folding: judges sums (POISON, naming table, key and column, when one does not fit its column), orders rows and groups
 * them: partitioned tables first (deletes, then upserts), each shared table last in one group. The groups live until
 * batch_reset().
 */
int batch_close(struct batch *batch, struct error *ret_error) MUST_CHECK;
const struct change_group *batch_groups(const struct batch *batch, size_t *ret_n);
const struct outbox_message *batch_outbox(const struct batch *batch, size_t *ret_n);

/* ---- The row cache: committed values of partitioned tables ---- */
struct row_cache *row_cache_new(const struct table *tables, uint32_t n_tables, size_t max_bytes, uint64_t seed);
struct row_cache *row_cache_free(struct row_cache *cache);
void row_cache_clear(struct row_cache *cache);
/* cells: one a column, as stores give them, of a row that events of that partition have written; NULL: the store has no such row.
 * Copied. Bounded: old rows give way. 0 or BUG (out of memory). */
int row_cache_put(struct row_cache *cache, const struct table *table, const uint8_t *key, uint32_t key_size,
                  const struct cell *cells, int32_t partition, struct error *ret_error) MUST_CHECK;
/* The batch has committed: rows whose values are fully known enter the cache, others leave it. */
void row_cache_absorb(struct row_cache *cache, const struct batch *batch);

/* Final value of each column of a row of a closed batch, operations applied, CELL_SET; false when its base is unknown or it does
 * not exist. */
bool batch_final_cells(const struct row *row, struct cell *ret_cells);

#endif
