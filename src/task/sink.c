/*
 * sink - the turn of the loop, and what follows when an operation of the store ends. See sink.h.
 */
#include "task/sink.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_BASE_US = 100 * 1000,
    RETRY_MAX_US = 5 * 1000 * 1000,
    IDLE_WAIT_US = 100 * 1000,
    FOLD_MORE = 4, /* times the last write, and at most: */
    FOLD_MORE_MAX_US = 1000 * 1000,
    MOVE_DELAY_US = 300 * 1000,        /* end marks alone are worth a write only now and then */
    PROBE_HALTED_US = 2 * 1000 * 1000, /* an operator may have resumed it */
    PROBE_IDLE_US = 10 * 1000 * 1000,
};

int64_t sink_now(const struct sink *sink)
{
    return sink->clock->monotonic_us(sink->clock->self);
}

void sink_tell(struct sink *sink, enum sink_fact fact, const char *topic, int32_t partition, int64_t offset, const char *text)
{
    sink->report.fact(sink->report.context, fact, topic, partition, offset, text);
}

static bool grow(void *array_pointer, size_t n, size_t item_size)
{
    void **array = array_pointer, *grown = realloc(*array, n * item_size);

    if (grown != NULL)
        *array = grown;
    return grown != NULL;
}

int sink_reserve(struct sink *sink, size_t n, struct error *ret_error)
{
    if (n <= sink->capacity)
        return 0;
    if (!grow(&sink->facts, n, sizeof *sink->facts) || !grow(&sink->places, n, sizeof *sink->places))
        return error_set(ret_error, ERROR_BUG, "out of memory for %zu partitions", n);
    sink->capacity = n;
    return 0;
}

int sink_reserve_request(struct sink *sink, struct error *ret_error)
{
    size_t n = sink->progress.n;

    if (n <= sink->request_capacity)
        return 0;
    if (!grow(&sink->positions, n, sizeof *sink->positions) || !grow(&sink->moves, n, sizeof *sink->moves))
        return error_set(ret_error, ERROR_BUG, "out of memory for %zu partitions", n);
    sink->request_capacity = n;
    return 0;
}

void sink_back_off(struct sink *sink)
{
    sink->retry_at_us = sink_now(sink) + backoff_us(sink->attempts, RETRY_BASE_US, RETRY_MAX_US, &sink->random_state);
    sink->attempts++;
}

/* ---- The two ways back ---- */

static void forget_batches(struct sink *sink)
{
    batch_reset(sink->fold, NULL, sink->cache);
    batch_reset(sink->other, NULL, sink->cache);
    row_cache_clear(sink->cache);
    sink->fold_events = 0;
    sink->sent_events = 0;
    sink->block = BLOCK_NONE;
    sink->moved_at_us = 0;
    sink->must_rewind = true; /* what was folded has been taken from the log, but is in no batch any more */
    sink_drop_records(sink);
}

int sink_rewind(struct sink *sink, const char *why, struct error *ret_error)
{
    forget_batches(sink);
    progress_rewind(&sink->progress);
    sink->must_rewind = false;
    sink->counters.rewinds++;
    sink_tell(sink, SINK_REWOUND, NULL, -1, -1, why);
    return sink_resume(sink, ret_error);
}

int sink_lose_store(struct sink *sink, const struct error *why, struct error *ret_error)
{
    store_abandon(sink->store); /* one that is too late may still be under way, with the batch in hand */
    forget_batches(sink);
    sink->phase = SINK_AWAY;
    sink->operation = SINK_IDLE;
    sink->inserted = INSERT_NOTHING; /* it may come back older than it was */
    sink_back_off(sink);
    sink_tell(sink, SINK_STORE_AWAY, NULL, -1, -1, why->text);
    return sink_pause(sink, ret_error);
}

/* ---- Writing ---- */

/*
 * A batch closes when the store is idle. Only while records come faster than they are folded, waiting some times as long as the last
 * write took is better, if there are more than twice as many events as rows: the store writes a fraction of the rows for the same
 * events, and nobody waits for a record longer than in the queue. A store that blocks is idle because nothing was folded while it
 * wrote: there the batch always grows so long.
 */
static bool is_still_folding(const struct sink *sink, int64_t now)
{
    bool pays = store_is_blocking(sink->store) || sink->fold_events > 2 * batch_rows(sink->fold);

    return pays && sink->is_flooded && sink->block == BLOCK_NONE &&
           now - sink->written_at_us < FOLD_MORE * sink->write_us && now - sink->fold_since_us < FOLD_MORE_MAX_US &&
           now - sink->fold_since_us < sink->settings.batch_time_us;
}

static bool is_write_due(struct sink *sink)
{
    int64_t now = sink_now(sink);

    if (!progress_has_moved(&sink->progress)) {
        sink->moved_at_us = 0;
        return false;
    }
    if (sink->block != BLOCK_FULL && now - sink->written_at_us < sink->settings.commit_interval_us &&
        (sink->fold_events == 0 || now - sink->fold_since_us < sink->settings.batch_time_us))
        return false;
    if (progress_has_events(&sink->progress))
        return !is_still_folding(sink, now);
    if (sink->moved_at_us == 0)
        sink->moved_at_us = now;
    return now - sink->moved_at_us >= MOVE_DELAY_US;
}

static int start_write(struct sink *sink, struct error *failure)
{
    struct batch *closed = sink->fold;
    struct store_write write;
    int result;

    result = batch_close(closed, failure);
    if (result != 0)
        return result;
    sink->fold = sink->other;
    sink->other = closed;
    batch_reset(sink->fold, closed, sink->cache);
    sink->sent_events = sink->fold_events;
    sink->sent_first = sink->first;
    sink->fold_events = 0;
    sink->moved_at_us = 0;
    sink->written_at_us = sink_now(sink);
    sink->trips_before = store_round_trips(sink->store);
    if (sink->block == BLOCK_FULL)
        sink->block = BLOCK_NONE;
    write = (struct store_write){.moves = sink->moves, .batch = closed};
    write.n_moves = progress_send(&sink->progress, sink->moves);
    return store_start_write(sink->store, &write, failure);
}

static void committed(struct sink *sink)
{
    size_t limit = sink->event_limit * 2;

    progress_commit(&sink->progress);
    if (sink->is_cache_used)
        row_cache_absorb(sink->cache, sink->other);
    batch_forget_earlier(sink->fold);
    sink->counters.events += (int64_t)sink->sent_events;
    sink->counters.rows += (int64_t)batch_rows(sink->other);
    sink->counters.batches++;
    sink->counters.round_trips += store_round_trips(sink->store) - sink->trips_before;
    sink->sent_events = 0;
    sink->attempts = 0;
    sink->write_us = sink_now(sink) - sink->written_at_us;
    sink->event_limit = limit < sink->settings.max_batch_events ? limit : sink->settings.max_batch_events;
}

/* ---- Reading rows that handlers ask for ---- */

static int on_row(void *context, size_t index, const struct cell *cells, int32_t partition, struct error *ret_error)
{
    struct sink *sink = context;

    return batch_load(sink->fold, index, cells, partition, ret_error);
}

static int start_read(struct sink *sink, struct error *failure)
{
    struct store_read read = {.on_row = on_row, .context = sink};

    read.rows = batch_wanted(sink->fold, &read.n_rows);
    return store_start_read(sink->store, &read, failure);
}

/* ---- Ends of operations ---- */

static int end_well(struct sink *sink, enum sink_operation operation, struct error *ret_error)
{
    switch (operation) {
    case SINK_CONNECT:
        sink->phase = SINK_RESOLVING;
        sink->has_connected = true;
        sink_tell(sink, SINK_CONNECTED, NULL, -1, -1, NULL);
        return 0;
    case SINK_RESOLVE:
        return sink_end_resolve(sink, ret_error);
    case SINK_CLAIM:
        return sink_end_claim(sink, ret_error);
    case SINK_INSERT:
        sink_end_insert(sink);
        return 0;
    case SINK_READ:
        batch_clear_wanted(sink->fold);
        sink->block = BLOCK_NONE;
        return 0;
    case SINK_WRITE:
        committed(sink);
        return 0;
    case SINK_RELEASE:
        sink->is_released = true;
        return 0;
    case SINK_IDLE:
        break;
    }
    return error_set(ret_error, ERROR_BUG, "the store ended an operation that nobody started");
}

/* Perhaps it was too much for the time that the store gives, or for the connection's. */
static void expect_less(struct sink *sink)
{
    sink->event_limit = sink->sent_events > 1 ? sink->sent_events / 2 : 1;
}

/* The connection lives and nothing was committed: the same again after a pause. */
static int try_again(struct sink *sink, enum sink_operation operation, const struct error *failure, struct error *ret_error)
{
    sink_back_off(sink);
    switch (operation) {
    case SINK_WRITE:
        expect_less(sink);
        return sink_rewind(sink, failure->text, ret_error);
    case SINK_RELEASE:
        sink->is_released = true; /* a courtesy; the next owner claims all the same */
        break;
    default:
        break;
    }
    sink_tell(sink, SINK_STORE_AWAY, NULL, -1, -1, failure->text);
    return operation == SINK_RESOLVE ? sink_pause(sink, ret_error) : 0;
}

static int end_badly(struct sink *sink, enum sink_operation operation, const struct error *failure, struct error *ret_error)
{
    if (operation == SINK_CLAIM || operation == SINK_INSERT) {
        sink->is_claim_due = true;
        sink->inserted = INSERT_NOTHING;
    }
    if ((operation == SINK_CLAIM || operation == SINK_INSERT || operation == SINK_READ) && strcmp(failure->code, STORE_MISSING) == 0)
        /* a reset since this task looked: the next one makes the tables, or says who must */
        return error_set(ret_error, ERROR_TRANSIENT, "%s", failure->text);
    if (operation == SINK_CONNECT && (failure->class == ERROR_TRANSIENT || sink->has_connected))
        return sink_lose_store(sink, failure, ret_error);
    if (failure->class == ERROR_CONFIG || failure->class == ERROR_BUG) {
        *ret_error = *failure;
        return failure->class;
    }
    if (failure->class == ERROR_UNKNOWN || !store_is_connected(sink->store)) {
        if (operation == SINK_WRITE)
            expect_less(sink);
        return sink_lose_store(sink, failure, ret_error);
    }
    if (failure->class == ERROR_TRANSIENT)
        return try_again(sink, operation, failure, ret_error);
    if (operation == SINK_WRITE && failure->class == ERROR_FENCED) {
        sink->phase = SINK_RESOLVING; /* nothing committed; who owns what now? */
        return sink_rewind(sink, failure->text, ret_error);
    }
    if (operation == SINK_WRITE && (failure->class == ERROR_POISON || failure->class == ERROR_HALT))
        return sink_blame(sink, sink->sent_events, &sink->sent_first, failure, ret_error);
    return error_set(ret_error, ERROR_BUG, "the store failed in an unexpected way (%s): %s", error_class_name(failure->class),
                     failure->text);
}

static int end_operation(struct sink *sink, bool *has_worked, struct error *ret_error)
{
    enum sink_operation operation = sink->operation;
    struct error failure = {0};
    int result;

    if (operation == SINK_IDLE)
        return 0;
    result = store_poll(sink->store, &failure);
    if (result == STORE_BUSY)
        return 0;
    *has_worked = true;
    sink->operation = SINK_IDLE;
    return result == 0 ? end_well(sink, operation, ret_error) : end_badly(sink, operation, &failure, ret_error);
}

/* ---- What the group wants ---- */

static int join_partitions(struct sink *sink, const struct rebalance *rebalance, struct error *ret_error)
{
    int result = 0;

    for (size_t i = 0; i < rebalance->n_partitions && result == 0; i++)
        result = progress_add(&sink->progress, rebalance->partitions[i].topic, rebalance->partitions[i].partition, ret_error);
    if (result == 0)
        result = sink->consumer.operations->answer(sink->consumer.self, ret_error);
    sink->is_claim_due = progress_count(&sink->progress, PARTITION_WAITING) > 0;
    return result;
}

static int leave_partitions(struct sink *sink, const struct rebalance *rebalance, struct error *ret_error)
{
    int result;

    for (size_t i = 0; i < rebalance->n_partitions; i++) {
        progress_remove(&sink->progress, rebalance->partitions[i].topic, rebalance->partitions[i].partition);
        sink_tell(sink, SINK_RELEASED, rebalance->partitions[i].topic, rebalance->partitions[i].partition, -1, NULL);
    }
    sink->is_leaving = false;
    result = sink->consumer.operations->answer(sink->consumer.self, ret_error);
    if (result != 0)
        return result;
    sink->is_claim_due = progress_count(&sink->progress, PARTITION_WAITING) > 0;
    if (sink->phase != SINK_READY) {
        forget_batches(sink);
        return 0; /* what stays is fetched again once the store has answered */
    }
    return sink_rewind(sink, "partitions were given up", ret_error);
}

/* Positions of partitions being given up are handed over after the write in flight has settled, or after the time limit. */
static int answer_group(struct sink *sink, bool *has_worked, struct error *ret_error)
{
    struct rebalance rebalance = sink->consumer.operations->rebalance(sink->consumer.self);
    struct error late = {.class = ERROR_TRANSIENT, .text = "the store did not answer while partitions were being given up"};
    bool is_late;

    if (rebalance.kind == REBALANCE_NONE) {
        sink->is_leaving = false;
        return 0;
    }
    if (rebalance.kind == REBALANCE_ASSIGN) {
        *has_worked = true;
        return join_partitions(sink, &rebalance, ret_error);
    }
    if (!sink->is_leaving) {
        sink->is_leaving = true;
        sink->is_released = rebalance.kind == REBALANCE_LOST;
        sink->leave_deadline_us = sink_now(sink) + sink->settings.settle_timeout_us;
    }
    is_late = sink_now(sink) >= sink->leave_deadline_us;
    if (sink->operation != SINK_IDLE && !is_late)
        return 0;
    *has_worked = true;
    if (sink->operation != SINK_IDLE) {
        int result = sink_lose_store(sink, &late, ret_error);

        return result != 0 ? result : leave_partitions(sink, &rebalance, ret_error);
    }
    if (!sink->is_released && !is_late && sink->phase == SINK_READY)
        return sink_start_release(sink, &rebalance, ret_error);
    return leave_partitions(sink, &rebalance, ret_error);
}

/* ---- What the store should do next ---- */

static bool is_probe_due(const struct sink *sink)
{
    bool has_halted = progress_count(&sink->progress, PARTITION_HALTED) > 0;

    return sink->progress.n > 0 && sink_now(sink) - sink->probed_at_us >= (has_halted ? PROBE_HALTED_US : PROBE_IDLE_US);
}

static int begin(struct sink *sink, enum sink_operation operation, int result, const struct error *failure,
                 struct error *ret_error)
{
    if (result == 0) {
        sink->operation = operation;
        return 0;
    }
    return end_badly(sink, operation, failure, ret_error);
}

static int start_ready(struct sink *sink, bool *has_worked, struct error *ret_error)
{
    struct error failure = {0};
    int result;

    if (sink->is_claim_due && sink_now(sink) >= sink->claim_at_us) {
        *has_worked = true;
        return sink_start_claim(sink, ret_error);
    }
    if (sink->block == BLOCK_ROWS) {
        *has_worked = true;
        return begin(sink, SINK_READ, start_read(sink, &failure), &failure, ret_error);
    }
    if (is_probe_due(sink)) { /* before any write, which may always be due */
        *has_worked = true;
        sink->phase = SINK_RESOLVING;
        return 0;
    }
    if (is_write_due(sink)) {
        *has_worked = true;
        result = sink_reserve_request(sink, ret_error);
        if (result != 0)
            return result;
        result = start_write(sink, &failure);
        if (result != 0 && sink->fold_events > 0) /* the sums of the batch do not fit; nothing was sent */
            return failure.class == ERROR_POISON ? sink_blame(sink, sink->fold_events, &sink->first, &failure, ret_error)
                                                 : end_badly(sink, SINK_WRITE, &failure, ret_error);
        return begin(sink, SINK_WRITE, result, &failure, ret_error);
    }
    return 0;
}

static int start_operation(struct sink *sink, bool *has_worked, struct error *ret_error)
{
    struct error failure = {0};

    if (sink->operation != SINK_IDLE || sink->is_leaving || sink_now(sink) < sink->retry_at_us)
        return 0;
    switch (sink->phase) {
    case SINK_AWAY:
        sink->phase = SINK_CONNECTING;
        return begin(sink, SINK_CONNECT, store_start_connect(sink->store, &failure), &failure, ret_error);
    case SINK_RESOLVING:
        *has_worked = true;
        return sink_start_resolve(sink, ret_error);
    case SINK_READY:
        return start_ready(sink, has_worked, ret_error);
    case SINK_CONNECTING:
        break;
    }
    return 0;
}

/* ---- The turn ---- */

static void wait_for_something(struct sink *sink)
{
    bool is_busy = sink->operation != SINK_IDLE;
    bool takes = sink->is_paused || (sink->phase == SINK_READY && sink->block == BLOCK_NONE);
    bool wants_records = takes && !sink->is_leaving;
    int64_t now = sink_now(sink);
    int64_t timeout_us = IDLE_WAIT_US;

    if (is_busy && store_deadline_us(sink->store) - now < timeout_us)
        timeout_us = store_deadline_us(sink->store) - now;
    if (sink->retry_at_us > now && sink->retry_at_us - now < timeout_us)
        timeout_us = sink->retry_at_us - now;
    if (sink->settings.commit_interval_us > 0 && sink->settings.commit_interval_us < timeout_us)
        timeout_us = sink->settings.commit_interval_us;
    sink->waiter.wait(sink->waiter.self, is_busy ? store_fd(sink->store) : -1, is_busy ? store_events(sink->store) : 0,
                      wants_records, timeout_us > 0 ? timeout_us : 0);
}

int sink_step(struct sink *sink, struct error *ret_error)
{
    bool has_worked = false;
    int result;

    result = end_operation(sink, &has_worked, ret_error);
    if (result == 0)
        result = answer_group(sink, &has_worked, ret_error);
    if (result == 0)
        result = start_operation(sink, &has_worked, ret_error);
    if (result == 0)
        result = sink_take(sink, &has_worked, ret_error);
    if (result == 0)
        result = sink_look(sink, ret_error);
    if (result == 0 && !has_worked)
        wait_for_something(sink);
    return result;
}

void sink_stop(struct sink *sink, int64_t timeout_us)
{
    int64_t deadline_us = sink_now(sink) + timeout_us;
    bool has_worked = false;
    struct error error = {0};

    sink->is_leaving = true; /* nothing new is started */
    sink->is_released = false;
    sink_mirror(sink);
    while (sink->operation != SINK_IDLE && sink_now(sink) < deadline_us) {
        if (end_operation(sink, &has_worked, &error) != 0)
            return;
        if (sink->operation != SINK_IDLE)
            wait_for_something(sink);
    }
    if (sink->operation != SINK_IDLE || sink->phase != SINK_READY || sink_start_release(sink, NULL, &error) != 0)
        return;
    while (sink->operation != SINK_IDLE && sink_now(sink) < deadline_us) {
        if (end_operation(sink, &has_worked, &error) != 0)
            return;
        if (sink->operation != SINK_IDLE)
            wait_for_something(sink);
    }
}

bool sink_is_at_end(const struct sink *sink)
{
    return sink->phase == SINK_READY && sink->operation == SINK_IDLE && !sink->is_claim_due &&
           progress_is_at_end(&sink->progress);
}

/* ---- Life ---- */

int sink_new(const struct sink_settings *settings, const struct sink_parts *parts, struct sink **ret_sink,
             struct error *ret_error)
{
    const struct projection *projection = parts->projection;
    struct sink *sink = calloc(1, sizeof *sink);

    if (sink == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    sink->settings = *settings;
    sink->consumer = parts->consumer;
    sink->store = parts->store;
    sink->host = parts->host;
    sink->decoder = parts->decoder;
    sink->clock = parts->clock;
    sink->waiter = parts->waiter;
    sink->report = parts->report;
    sink->random_state = settings->random_seed;
    sink->event_limit = settings->max_batch_events;
    sink->is_cache_used = plugin_host_reads(parts->host);
    sink->lag = sink->lag_ms = -1;
    sink->has_connected = store_is_connected(parts->store);
    sink->phase = sink->has_connected ? SINK_RESOLVING : SINK_AWAY;
    sink->fold = batch_new(projection->tables, projection->n_tables, &settings->limits, random_next(&sink->random_state));
    sink->other = batch_new(projection->tables, projection->n_tables, &settings->limits, random_next(&sink->random_state));
    sink->cache = row_cache_new(projection->tables, projection->n_tables, parts->cache_bytes, random_next(&sink->random_state));
    if (sink->fold == NULL || sink->other == NULL || sink->cache == NULL) {
        sink_free(sink);
        return error_set(ret_error, ERROR_BUG, "out of memory");
    }
    batch_reset(sink->fold, NULL, sink->cache);
    batch_reset(sink->other, NULL, sink->cache);
    *ret_sink = sink;
    return 0;
}

struct sink *sink_free(struct sink *sink)
{
    if (sink == NULL)
        return NULL;
    batch_free(sink->fold);
    batch_free(sink->other);
    row_cache_free(sink->cache);
    progress_free(&sink->progress);
    free(sink->positions);
    free(sink->facts);
    free(sink->moves);
    free(sink->places);
    for (size_t i = 0; i < sink->n_unhandled_types; i++)
        free(sink->unhandled_types[i]);
    free(sink);
    return NULL;
}
