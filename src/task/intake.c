/*
 * intake - takes records from the consumer and folds them into the growing batch: the hot path of the sink.
 *
 * Records in hand belong to the consumer until the next take(); they are folded in order until there are none left, the batch is
 * full, or an event needs rows that must be loaded first. While the sink cannot take anything in for long, partitions are paused
 * and polling goes on, so that the group does not lose the member.
 */
#include "task/sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAUSE_AFTER_US = 2 * 1000 * 1000,
    RESUME_AGAIN_US = 200 * 1000,
    LOAD_ROUNDS_MAX = 64, /* one event that asks for rows again and again */
    SHOWN_KEY_MAX = 120,

    /* how many records ahead what is called for; twice as far did worse */
    AHEAD_ROW = 4,
    AHEAD_PLACE = 8,
    AHEAD_BYTES = 12,
    AHEAD_VALUE_MAX = 256,
    CACHE_LINE = 64,
};

_Static_assert(AHEAD_PLACE - AHEAD_ROW < SINK_AHEAD, "what is expected must be fetched before its place in the ring is taken");

void sink_drop_records(struct sink *sink)
{
    sink->cursor = sink->n_records = 0;
    sink->load_rounds = 0;
}

/* ---- Parking ---- */

/* Fills places with the partitions that flow, at the offsets expected next. */
static int list_running(struct sink *sink, size_t *ret_n, struct error *ret_error)
{
    int result = sink_reserve(sink, sink->progress.n, ret_error);

    *ret_n = 0;
    for (size_t i = 0; i < sink->progress.n && result == 0; i++) {
        const struct partition *item = &sink->progress.items[i];

        if (item->state == PARTITION_RUNNING)
            sink->places[(*ret_n)++] = (struct partition_offset){.topic = item->topic, .partition = item->partition,
                                                                 .offset = item->next.offset, .leader_epoch = item->next.leader_epoch};
    }
    return result;
}

/* The client recovers from what it calls transient by itself; a person reads of it. */
static int pass_trouble(struct sink *sink, int result, const struct error *failure, struct error *ret_error)
{
    if (result == 0)
        return 0;
    if (result == ERROR_TRANSIENT || (result == ERROR_CONFIG && sink->has_claimed)) {
        sink_tell(sink, SINK_BROKER_TROUBLE, NULL, -1, -1, failure->text);
        return 0;
    }
    *ret_error = *failure;
    return result;
}

int sink_pause(struct sink *sink, struct error *ret_error)
{
    struct error failure = {0};
    size_t n;
    int result = list_running(sink, &n, ret_error);

    if (result == 0 && n > 0)
        result = pass_trouble(sink, sink->consumer.operations->pause(sink->consumer.self, sink->places, n, &failure), &failure,
                              ret_error);
    sink->is_paused = true;
    sink_drop_records(sink);
    return result;
}

/*
 * Goes on at the expected offsets, whether it was paused or not: a rewind has moved them. When the client cannot now (a start that
 * it has not served yet, a leader on the move), what comes is dropped until it can.
 */
int sink_resume(struct sink *sink, struct error *ret_error)
{
    struct error failure = {0};
    size_t n;
    int result = list_running(sink, &n, ret_error);

    if (result != 0)
        return result;
    if (n > 0)
        result = sink->consumer.operations->seek(sink->consumer.self, sink->places, n, &failure);
    if (n > 0 && result == 0)
        result = sink->consumer.operations->resume(sink->consumer.self, sink->places, n, &failure);
    sink->is_paused = result != 0;
    sink->resume_at_us = sink_now(sink) + RESUME_AGAIN_US;
    sink_drop_records(sink);
    return pass_trouble(sink, result, &failure, ret_error);
}

static void block(struct sink *sink, enum sink_block why)
{
    sink->block = why;
    sink->blocked_at_us = sink_now(sink);
}

/* ---- One event ---- */

static bool is_noted(struct sink *sink, struct rs_text type)
{
    for (size_t i = 0; i < sink->n_unhandled_types; i++)
        if (rs_equals(type, sink->unhandled_types[i]))
            return true;
    return false;
}

static void note_unhandled(struct sink *sink, const struct record *record, struct rs_text type)
{
    char *copy;

    sink->counters.unhandled++;
    if (is_noted(sink, type) || sink->n_unhandled_types == SINK_TYPES_MAX)
        return;
    copy = strndup(type.data, type.size);
    if (copy == NULL)
        return;
    sink->unhandled_types[sink->n_unhandled_types++] = copy;
    sink_tell(sink, SINK_UNHANDLED, record->topic, record->partition, record->offset, copy);
}

/* "key acc-1", or "no key". Bytes that are not plain text show as '?'. */
static void print_key(const struct record *record, char ret_key[SINK_KEY_SIZE])
{
    size_t size = record->key_size < SHOWN_KEY_MAX ? record->key_size : SHOWN_KEY_MAX;
    int at = snprintf(ret_key, SINK_KEY_SIZE, record->key != NULL ? "key " : "no key");

    for (size_t i = 0; record->key != NULL && i < size; i++) {
        char c = ((const char *)record->key)[i];

        ret_key[at++] = c >= ' ' && c < 127 ? c : '?';
    }
    ret_key[at] = '\0';
}

static void halt_at(struct sink *sink, struct partition *partition, const struct record *record, const char *kind,
                    const char *text)
{
    char key[SINK_KEY_SIZE];

    print_key(record, key);
    sink_halt_event(sink, partition, record->offset, key, kind, text);
}

static void advance(struct sink *sink, struct partition *partition, const struct record *record)
{
    if (sink->fold_events == 0) {
        sink->first = (struct first_event){.topic = record->topic, .partition = record->partition, .offset = record->offset};
        print_key(record, sink->first.key);
        sink->fold_since_us = sink_now(sink);
    }
    partition_advance(partition, record);
    sink->fold_events++;
    sink->load_rounds = 0;
    sink->cursor++;
}

/* Asks for the rows of every record in hand, so that one query loads them all. */
static void prefetch(struct sink *sink)
{
    for (size_t i = sink->cursor; i < sink->n_records; i++) {
        const struct event *event;
        struct error ignored;

        if (sink->records[i].kind == RECORD_DATA && event_decode(sink->decoder, &sink->records[i], &event, &ignored) == 0)
            plugin_host_prefetch(sink->host, event, sink->fold);
    }
}

static int need_rows(struct sink *sink, struct partition *partition, const struct record *record)
{
    if (++sink->load_rounds > LOAD_ROUNDS_MAX) {
        halt_at(sink, partition, record, "poison", "the event asks for one row after another without end");
        sink->cursor++;
        return 0;
    }
    sink->is_cache_used = true;
    prefetch(sink);
    block(sink, BLOCK_ROWS);
    return 0;
}

static int apply(struct sink *sink, const struct record *record, const struct event **ret_event, struct error *failure)
{
    int result = event_decode(sink->decoder, record, ret_event, failure);

    return result != 0 ? result : plugin_host_apply(sink->host, *ret_event, sink->fold, failure);
}

static int fold_event(struct sink *sink, struct partition *partition, const struct record *record, struct error *ret_error)
{
    const struct event *event = NULL;
    struct error failure;
    int result;

    error_clear(&failure);
    result = apply(sink, record, &event, &failure);
    switch (result) {
    case APPLY_DONE:
        advance(sink, partition, record);
        return 0;
    case APPLY_SKIPPED:
        sink->counters.skipped++;
        advance(sink, partition, record);
        return 0;
    case APPLY_UNHANDLED:
        if (sink->settings.stops_on_unhandled) {
            halt_at(sink, partition, record, "unhandled", "no handler takes this type and version of event, and unhandled = \"stop\"");
            sink->cursor++;
            return 0;
        }
        note_unhandled(sink, record, event_record(event)->type);
        advance(sink, partition, record);
        return 0;
    case APPLY_NEEDS_ROWS:
        return need_rows(sink, partition, record);
    case APPLY_FULL:
        if (sink->fold_events > 0) {
            block(sink, BLOCK_FULL);
            return 0;
        }
        error_set(&failure, ERROR_POISON, "the event alone exceeds the bounds of a batch");
        break;
    case ERROR_POISON:
    case ERROR_HALT:
        break;
    default:
        *ret_error = failure;
        return error_wrap(ret_error, "topic %s, partition %d, offset %" PRId64, record->topic, (int)record->partition,
                          record->offset);
    }
    halt_at(sink, partition, record, result == ERROR_HALT ? "partition" : "poison", failure.text);
    sink->cursor++;
    return 0;
}

/* ---- Records ---- */

/* Offsets that no record fills: control records, aborted or compacted ones; or a client that has skipped something. */
static void halt_at_gap(struct sink *sink, struct partition *partition, const struct record *record)
{
    char text[160];

    snprintf(text, sizeof text, "offset %" PRId64 " was expected, %" PRId64 " came, and gaps = \"forbid\"", partition->next.offset,
             record->offset);
    sink_halt(sink, partition, "gap", true, text);
}

static int fold_record(struct sink *sink, const struct record *record, struct error *ret_error)
{
    struct partition *partition = NULL;
    enum take_result taken = progress_take(&sink->progress, record, &partition);

    if (taken == TAKE_DROP) {
        sink->cursor++;
        return 0;
    }
    if (record->kind == RECORD_ERROR)
        /* Not of one event: after a rewind the client would only say the same. */
        sink_halt(sink, partition, record_error_name(record->error), false, record->error_text);
    else if (sink->settings.stops_on_gap && record->offset > partition->next.offset)
        halt_at_gap(sink, partition, record);
    else if (record->kind == RECORD_DATA)
        return fold_event(sink, partition, record, ret_error);
    else
        partition_end(partition, record);
    sink->cursor++;
    return 0;
}

/*
 * What a record is made of has last been in another thread's cache, and its row is one of many: each step towards them is taken some
 * records ahead, so that none is waited for. Steps missed at the beginning of a take cost only time.
 */
static void look_ahead(struct sink *sink)
{
    const struct record *next = &sink->records[sink->cursor];
    size_t left = sink->n_records - sink->cursor;

    if (left > AHEAD_BYTES) {
        const char *value = next[AHEAD_BYTES].value;

        __builtin_prefetch(next[AHEAD_BYTES].key);
        for (size_t at = 0; value != NULL && at < next[AHEAD_BYTES].value_size && at < AHEAD_VALUE_MAX; at += CACHE_LINE)
            __builtin_prefetch(value + at);
    }
    if (left > AHEAD_PLACE)
        sink->expected[(sink->cursor + AHEAD_PLACE) % SINK_AHEAD] =
            batch_expect(sink->fold, next[AHEAD_PLACE].key, next[AHEAD_PLACE].key_size);
    if (left > AHEAD_ROW)
        batch_fetch(sink->fold, sink->expected[(sink->cursor + AHEAD_ROW) % SINK_AHEAD]);
}

static int fold_records(struct sink *sink, struct error *ret_error)
{
    int result = 0;

    while (result == 0 && sink->cursor < sink->n_records && sink->block == BLOCK_NONE) {
        if (sink->fold_events > 0 && (sink->fold_events >= sink->event_limit || batch_is_full(sink->fold))) {
            block(sink, BLOCK_FULL);
            break;
        }
        look_ahead(sink);
        result = fold_record(sink, &sink->records[sink->cursor], ret_error);
    }
    return result;
}

static int poll_consumer(struct sink *sink, struct error *ret_error)
{
    struct error failure = {0};
    int result;

    sink_drop_records(sink);
    result = sink->consumer.operations->take(sink->consumer.self, 0, sink->records, sink->settings.take_max, &sink->n_records, &failure);
    if (result != 0)
        sink->n_records = 0;
    return pass_trouble(sink, result, &failure, ret_error);
}

int sink_take(struct sink *sink, bool *ret_has_worked, struct error *ret_error)
{
    int result = 0;

    if (sink->is_leaving)
        return 0;
    if (sink->is_paused && sink->phase == SINK_READY && sink->block == BLOCK_NONE && sink_now(sink) >= sink->resume_at_us)
        result = sink_resume(sink, ret_error);
    else if (!sink->is_paused && sink->block != BLOCK_NONE && sink_now(sink) - sink->blocked_at_us > PAUSE_AFTER_US)
        result = sink_pause(sink, ret_error);
    if (result != 0)
        return result;
    if (sink->is_paused) {
        result = poll_consumer(sink, ret_error);
        sink_drop_records(sink);
        return result;
    }
    if (sink->phase != SINK_READY || sink->block != BLOCK_NONE)
        return 0;
    if (sink->cursor == sink->n_records) {
        if (sink->is_flooded)
            *ret_has_worked = true; /* if it no longer is, the batch that grew meanwhile is due now, and not after a wait */
        result = poll_consumer(sink, ret_error);
        sink->is_flooded = sink->n_records == sink->settings.take_max;
        if (result != 0 || sink->n_records == 0)
            return result;
    }
    *ret_has_worked = true;
    return fold_records(sink, ret_error);
}
