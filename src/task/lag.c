/*
 * lag - how far the task is behind the log, and whether a partition has stopped flowing though its log goes on.
 *
 * Consumers in the field have stopped fetching for hours without an error (exactly-once.md 1.2). So what has come is compared with
 * the ends that the broker tells by the way: a partition that stands still before its end is first fetched anew from the committed
 * position; if that does not help, the task ends, and its supervisor starts it with a new client. The same ends tell the lag, and
 * Kafka is told the committed positions for lag tools of its own.
 */
#include "task/sink.h"

#include <inttypes.h>
#include <stdio.h>

enum { LOOK_US = 1000 * 1000, STALL_US = 20 * 1000 * 1000 };

/* Is it the client that keeps records back, and not the sink that takes none, or others first? */
static bool is_taking(const struct sink *sink)
{
    return sink->phase == SINK_READY && sink->block == BLOCK_NONE && !sink->is_paused && !sink->is_leaving && !sink->is_claim_due &&
           !sink->is_flooded;
}

/* Notes how far it has come; true: not a step for too long. */
static bool has_stalled(struct partition *partition, int64_t end, bool is_taking, int64_t now_us)
{
    if (partition->next.offset > partition->seen_next)
        partition->is_nudged = false;
    if (partition->next.offset == partition->seen_next && partition->state == PARTITION_RUNNING && is_taking && end > partition->next.offset)
        return now_us - partition->flowed_at_us >= STALL_US;
    partition->seen_next = partition->next.offset;
    partition->flowed_at_us = now_us;
    return false;
}

static int nudge(struct sink *sink, struct partition *partition, int64_t end, struct error *ret_error)
{
    char text[200];

    snprintf(text, sizeof text, "no record for %d s at offset %" PRId64 ", though the log goes on to %" PRId64, STALL_US / 1000000,
             partition->next.offset, end);
    if (partition->is_nudged)
        return error_set(ret_error, ERROR_TRANSIENT, "%s/%d: %s; fetching anew did not help, a new client may", partition->topic,
                         (int)partition->partition, text);
    sink_tell(sink, SINK_STALLED, partition->topic, partition->partition, partition->next.offset, text);
    partition->is_nudged = true;
    partition->flowed_at_us = sink_now(sink);
    return sink_rewind(sink, text, ret_error);
}

/* Behind since when, by the wall clock: the time of the last event that is committed, or later, when all was committed; 0: not
 * known. */
static int64_t behind_since_ms(struct partition *partition, int64_t end, int64_t wall_ms)
{
    if (partition->base.offset >= end)
        partition->caught_up_ms = wall_ms;
    return partition->base.timestamp_ms > partition->caught_up_ms ? partition->base.timestamp_ms : partition->caught_up_ms;
}

static void measure(struct sink *sink, const struct partition_offset *ends)
{
    int64_t wall_ms = sink->clock->wall_us(sink->clock->self) / 1000, records = 0, since_ms = wall_ms;
    bool is_known = true;

    for (size_t i = 0; i < sink->progress.n; i++) {
        struct partition *partition = &sink->progress.items[i];
        int64_t end = ends[i].offset, partition_since_ms;

        if (end < 0 || partition->state == PARTITION_WAITING) {
            is_known = false;
            continue;
        }
        partition_since_ms = behind_since_ms(partition, end, wall_ms);
        if (partition_since_ms < since_ms)
            since_ms = partition_since_ms;
        records += end > partition->base.offset ? end - partition->base.offset : 0;
    }
    sink->lag = is_known ? records : -1;
    sink->lag_ms = is_known && since_ms > 0 ? wall_ms - since_ms : -1;
}

/* A nudge moves every partition, so the others are judged anew at the next look. */
static int look_for_stalls(struct sink *sink, struct error *ret_error)
{
    bool takes = is_taking(sink), can_rewind = sink->operation == SINK_IDLE;
    int64_t now_us = sink_now(sink);

    for (size_t i = 0; i < sink->progress.n; i++)
        if (has_stalled(&sink->progress.items[i], sink->places[i].offset, takes, now_us) && can_rewind)
            return nudge(sink, &sink->progress.items[i], sink->places[i].offset, ret_error);
    return 0;
}

void sink_mirror(struct sink *sink)
{
    size_t n = 0;

    for (size_t i = 0; i < sink->progress.n && n < sink->capacity; i++) {
        struct partition *item = &sink->progress.items[i];

        if (item->state != PARTITION_RUNNING || item->base.offset == item->mirrored)
            continue;
        item->mirrored = item->base.offset;
        sink->places[n++] = (struct partition_offset){.topic = item->topic, .partition = item->partition, .offset = item->base.offset,
                                                      .leader_epoch = item->base.leader_epoch};
    }
    if (n > 0)
        sink->consumer.operations->mirror(sink->consumer.self, sink->places, n);
}

int sink_look(struct sink *sink, struct error *ret_error)
{
    size_t n = sink->progress.n;
    int result;

    if (sink_now(sink) - sink->looked_at_us < LOOK_US)
        return 0;
    sink->looked_at_us = sink_now(sink);
    result = sink_reserve(sink, n, ret_error);
    if (result != 0)
        return result;
    sink_mirror(sink);
    for (size_t i = 0; i < n; i++)
        sink->places[i] = (struct partition_offset){.topic = sink->progress.items[i].topic,
                                                    .partition = sink->progress.items[i].partition};
    sink->consumer.operations->ends(sink->consumer.self, sink->places, n);
    measure(sink, sink->places);
    return look_for_stalls(sink, ret_error);
}
