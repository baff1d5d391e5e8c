/*
 * world - a simulated broker, consumer group and read store, in which real sinks run. Deterministic: everything follows from the
 * seed.
 *
 * The store applies a request at some moment after it was sent and answers at some later one; connections break before, between
 * and after; a request whose connection is gone may still be applied. The store can fall back to an older state. The group moves
 * partitions, loses members that are frozen, and hands records of the past again. The checker knows every event and looks at the
 * store after each commit.
 */
#ifndef SIMULATION_WORLD_H
#define SIMULATION_WORLD_H

#include "base/clock.h"
#include "task/sink.h"

#include <stdbool.h>
#include <stdint.h>

enum { PARTITIONS_MAX = 4, WORKERS_MAX = 3, KEYS_PER_PARTITION = 5, EVENTS_MAX = 160, REQUEST_OPS_MAX = 4096, PENDING_MAX = 64 };

/* ---- The log ---- */

struct world_event {
    int partition;
    int64_t offset;
    int key;          /* 0 .. KEYS_PER_PARTITION - 1 */
    int64_t delta;
    bool is_bad;      /* the plugin refuses it */
    bool is_poison;   /* the store refuses it */
    bool is_skipped;  /* an operator has given it up */
    char key_text[24];
};

struct world_partition {
    struct world_event events[EVENTS_MAX];
    int n_events;
    int n_visible; /* events the broker shows so far */
    int64_t end;   /* offset behind the last visible event and its control records */
    int64_t ends[EVENTS_MAX + 1]; /* end after i events */
};

/* ---- The store ---- */

struct world_row {
    bool exists;
    int64_t balance;
    int64_t events;
};

struct world_position {
    bool exists;
    bool is_halted;
    char halt_kind[24];
    int64_t halted_at_us;
    int64_t next_offset;
    int64_t epoch;
    int64_t commit_seq;
    int64_t events;
    uint8_t owner[16];
};

struct world_database {
    struct world_position positions[PARTITIONS_MAX];
    struct world_row rows[PARTITIONS_MAX][KEYS_PER_PARTITION];
};

enum request_kind { REQUEST_CLAIM, REQUEST_INSERT, REQUEST_WRITE, REQUEST_READ, REQUEST_RESOLVE, REQUEST_RELEASE, REQUEST_CONNECT };

struct request_op {
    int partition, key;
    bool is_set; /* balance: set rather than added to */
    int64_t balance, events, poison;
};

struct request {
    enum request_kind kind;
    uint64_t connection; /* 0: its client is gone */
    uint8_t owner[16];
    struct store_move moves[PARTITIONS_MAX];
    int64_t starts[PARTITIONS_MAX];
    bool wants[PARTITIONS_MAX];
    size_t n_moves;
    struct request_op *ops;
    size_t n_ops;
    int64_t apply_at_us;
    bool is_applied;
    int result; /* error class once applied */
};

struct store { /* a worker's connection; the sink sees it as an opaque store */
    struct world *world;
    int worker;
    uint8_t owner[16];
    bool is_connected;
    bool is_busy;
    struct request *request;
    int64_t answer_at_us;
    struct store_position *positions;
    size_t n_positions;
    struct store_read read;
};

/* ---- The group ---- */

enum silence { SILENCE_NONE, SILENCE_UNTIL_SEEK, SILENCE_FOR_EVER };

struct member {
    bool is_alive;
    bool is_owner[PARTITIONS_MAX];   /* by the group */
    bool is_started[PARTITIONS_MAX]; /* the sink has started it */
    bool is_paused[PARTITIONS_MAX];
    int64_t offsets[PARTITIONS_MAX];
    bool has_told_end[PARTITIONS_MAX];
    enum silence silence[PARTITIONS_MAX]; /* the client has stopped delivering it */
    enum rebalance_kind pending;
    bool is_shown;                   /* take() has delivered the pending rebalance */
    bool pending_set[PARTITIONS_MAX];
    struct partition_offset pending_list[PARTITIONS_MAX];
};

struct worker {
    struct world *world;
    int number;
    bool is_running;
    int64_t frozen_until_us;
    int64_t restart_at_us;
    struct sink *sink;
    struct store store;
    struct member member;
};

struct world {
    uint64_t seed;
    uint64_t random;
    int64_t now_us;
    bool is_calm;     /* no more faults: everything must come to its end */
    bool is_eager;
    bool reads_rows;  /* the plugin reads and sets instead of adding */
    int n_partitions;
    int n_workers;
    struct world_partition log[PARTITIONS_MAX];
    struct world_database database;
    struct world_database snapshot;
    bool has_snapshot;
    struct worker workers[WORKERS_MAX];
    struct request *pending[PENDING_MAX]; /* sent, not applied */
    size_t n_pending;
    int owners[PARTITIONS_MAX];   /* target of the group: worker or -1 */
    bool is_moving;
    int64_t rebalance_at_us;
    uint64_t next_connection;
    struct clock clock;
    const char *failure;          /* set by the checker: the seed has failed */
    char failure_text[512];
    int commits, faults;
};

uint64_t world_random(struct world *world, uint64_t below);
bool world_chance(struct world *world, unsigned percent);
void world_fail(struct world *world, const char *format, ...) PRINTF_LIKE(2, 3);

/* log.c side: what is true */
void world_make_log(struct world *world);
/* After each commit: rows and positions agree with the log, event by event. */
void world_check(struct world *world);
bool world_is_done(const struct world *world);

/* database.c */
void database_turn(struct world *world);
void database_break(struct world *world, struct store *store);
void database_fall_back(struct world *world);
void database_operate(struct world *world);

/* group.c */
extern const struct consumer_operations simulated_consumer;
void group_turn(struct world *world);
void group_forget(struct world *world, struct worker *worker);

#endif
