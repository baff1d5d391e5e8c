/*
 * progress - how far each partition of a task is: committed, being written, expected next. Pure: no I/O, no clock.
 *
 * Owned by the sink loop. The one place that decides whether a record counts: a record below the expected offset is dropped, one
 * above it is a gap. Offsets only move forward here, except by progress_rewind(), which throws away what is not committed.
 */
#ifndef TASK_PROGRESS_H
#define TASK_PROGRESS_H

#include "base/error.h"
#include "kafka/consumer.h"
#include "kafka/record.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum partition_state {
    PARTITION_WAITING, /* assigned by the group, not claimed in the store yet */
    PARTITION_CLAIMED, /* claimed, not started yet */
    PARTITION_RUNNING, /* records flow */
    PARTITION_HALTED,  /* claimed and stopped with a reason */
};

enum halt_stage {
    HALT_NONE,
    HALT_PENDING, /* to be written with the next write */
    HALT_SENT,    /* in the write now in flight */
    HALT_WRITTEN,
};

enum { HALT_REASON_SIZE = 768 };

/* A place in the log, and what is known of the record before it. */
struct mark {
    int64_t offset;
    int32_t leader_epoch; /* -1: unknown */
    int64_t timestamp_ms; /* 0: unknown */
};

struct partition {
    char *topic;
    int32_t partition;
    enum partition_state state;
    int64_t epoch;
    struct mark base;         /* committed: the next offset in the store */
    struct mark sent;         /* what the write in flight makes of it; base when none moves it */
    struct mark next;         /* expected from Kafka */
    int64_t end;              /* highest end mark seen; -1: none */
    int64_t events;           /* taken since the last write was started */
    int64_t sent_events;
    int64_t mirrored;         /* what Kafka was told of it */
    int64_t caught_up_ms;     /* when all of it was last seen committed; 0: never */
    int64_t seen_next;        /* next.offset, when it last moved ... */
    int64_t flowed_at_us;     /* ... or was not to move */
    bool is_nudged;           /* fetched anew since, for it stood still */
    enum halt_stage halt;
    bool halt_is_of_event;    /* the event would halt it again after a rewind; otherwise the halt stays pending */
    const char *halt_kind;
    char *halt_reason;        /* stays where it is while a write with it is in flight; NULL: never halted */
};

struct progress {
    struct partition *items;
    size_t n;
    size_t capacity;
    size_t memo;       /* where the last record's partition stood */
    const char *topic; /* the last record's topic pointer */
    int64_t dropped;   /* records below the expected offset */
};

void progress_free(struct progress *progress);

/* Adds a partition that the group has assigned, WAITING. BUG: out of memory or there already. */
int progress_add(struct progress *progress, const char *topic, int32_t partition, struct error *ret_error) MUST_CHECK;
void progress_remove(struct progress *progress, const char *topic, int32_t partition);
struct partition *progress_find(struct progress *progress, const char *topic, int32_t partition);
size_t progress_count(const struct progress *progress, enum partition_state state);

/* The store has given it to us: everything starts at its offset. */
void partition_claim(struct partition *partition, const struct store_position *position);

enum take_result {
    TAKE_ACCEPT,
    TAKE_DROP, /* not owned, not running, or below the expected offset */
    TAKE_GAP,  /* above the expected offset; ret_partition is set, nothing has moved */
};

/* Does the record count? Moves nothing. ret_partition is set for ACCEPT and GAP. */
enum take_result progress_take(struct progress *progress, const struct record *record, struct partition **ret_partition);

/* The record's event is in the batch (or skipped): the next one is expected. */
void partition_advance(struct partition *partition, const struct record *record);
/* An end mark: moves the expected offset over control records and aborted ones; of running partitions only. */
void partition_end(struct partition *partition, const struct record *record);

/* Stops it before the offset `next`, with a reason that is written with the next write. kind: see struct store_position. */
void partition_halt(struct partition *partition, const char *kind, bool is_of_event, const char *reason);

bool progress_has_moved(const struct progress *progress);  /* is anything to be written? */
bool progress_has_events(const struct progress *progress); /* events, or a halt: worth a write at once */

/* Fills moves (room for one per partition) with what has moved or halted and marks it sent. Returns their number. */
size_t progress_send(struct progress *progress, struct store_move *moves);
/* The write in flight has committed. */
void progress_commit(struct progress *progress);
/* Everything not committed is forgotten: the expected offset is the committed one, halts of events are off. */
void progress_rewind(struct progress *progress);

/* Is every partition running to its end mark and committed there, or halted? False without partitions. */
bool progress_is_at_end(const struct progress *progress);

#endif
