/*
 * sink - the loop that brings events from Kafka into the read store, exactly once.
 *
 * One per task process, one thread. It owns no library: consumer, store, plugin host, clock and waiting come through interfaces,
 * so the same code runs against real servers and in the simulation. Each turn (sink_step) is short:
 *
 *     finish what the store has finished, answer the group, start the next thing the store should do, take and fold records
 *
 * While one batch is written the next one is folded; a batch closes when the store is idle (design section 12). Whatever goes wrong
 * ends in one of two ways: rewind (forget everything not committed and fetch it again from the committed offset), or resolve (ask
 * the store first what is committed, then rewind).
 */
#ifndef TASK_SINK_H
#define TASK_SINK_H

#include "base/clock.h"
#include "event/event.h"
#include "fold/batch.h"
#include "kafka/consumer.h"
#include "plugin/host.h"
#include "store/store.h"
#include "task/progress.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sink_start { SINK_START_EARLIEST, SINK_START_LATEST, SINK_START_TIME };

struct sink_settings {
    const char *const *topics; /* as configured; patterns begin with '^' */
    size_t n_topics;
    enum sink_start start;
    int64_t start_time_ms;
    bool stops_on_unhandled;
    bool stops_on_gap;
    bool has_partitioned_table;
    size_t take_max; /* records of one take(); at most SINK_TAKE_MAX */
    size_t max_batch_events;
    struct batch_limits limits;
    int64_t batch_time_us;
    int64_t commit_interval_us;
    int64_t settle_timeout_us; /* how long a rebalance waits for the write in flight */
    uint64_t random_seed;
};

/* How the loop tells what happened: for logs and the status block. Nothing in it decides anything. */
enum sink_fact {
    SINK_CONNECTED,
    SINK_STORE_AWAY,    /* text: the reason */
    SINK_CLAIMED,       /* a partition runs */
    SINK_RELEASED,
    SINK_HALTED,        /* text: the reason */
    SINK_REWOUND,       /* text: the reason */
    SINK_FENCED,
    SINK_WENT_BACK,     /* the database is older than what it had confirmed */
    SINK_UNHANDLED,     /* text: the event type; once a type */
    SINK_BROKER_TROUBLE,
    SINK_STALLED,       /* the client keeps records back: fetched anew. text: how it shows */
    SINK_TOPIC_STARTED, /* first positions of a topic were made */
    SINK_UNPAIRED,      /* a partition waits: the one of that number in another topic (text) is not ours */
};

struct sink_report {
    void (*fact)(void *context, enum sink_fact fact, const char *topic, int32_t partition, int64_t offset, const char *text);
    void *context;
};

struct sink_counters {
    int64_t events; /* committed */
    int64_t rows;
    int64_t batches;
    int64_t round_trips; /* to the store, of those batches */
    int64_t skipped;
    int64_t unhandled;
    int64_t rewinds;
    int64_t fenced;
};

/* Waits at most timeout_us for the store's descriptor (-1: none) and, if wants_records, for the consumer to have something. */
struct sink_waiter {
    void (*wait)(void *self, int store_fd, short store_events, bool wants_records, int64_t timeout_us);
    void *self;
};

enum sink_phase {
    SINK_AWAY,       /* no connection; try at retry_at_us */
    SINK_CONNECTING,
    SINK_RESOLVING,  /* connected; what is committed must be asked first */
    SINK_READY,
};

enum sink_operation { SINK_IDLE, SINK_CONNECT, SINK_RESOLVE, SINK_CLAIM, SINK_INSERT, SINK_READ, SINK_WRITE, SINK_RELEASE };

enum sink_block {
    BLOCK_NONE,
    BLOCK_ROWS, /* an event waits for rows to be loaded */
    BLOCK_FULL, /* the batch is full and waits to be written */
};

enum { SINK_TAKE_MAX = 1024, SINK_AHEAD = 8, SINK_TYPES_MAX = 64, SINK_KEY_SIZE = 128 };

/* The event that a batch began with: the one to blame when it is the only one. */
struct first_event {
    const char *topic;
    int32_t partition;
    int64_t offset;
    char key[SINK_KEY_SIZE]; /* "key acc-1", for people */
};

struct sink {
    struct sink_settings settings;
    struct consumer consumer;
    struct store *store;
    struct plugin_host *host;
    struct event_decoder *decoder;
    const struct clock *clock;
    struct sink_waiter waiter;
    struct sink_report report;
    struct sink_counters counters;
    struct progress progress;
    uint64_t random_state;

    /* the store */
    enum sink_phase phase;
    enum sink_operation operation; /* what the store is busy with */
    unsigned attempts;             /* failures in a row, for back-off */
    int64_t retry_at_us;           /* no write, claim or connect before that */
    bool has_connected;            /* once: from then on a store that refuses is away, not misconfigured */
    int64_t probed_at_us;          /* when ownership was last confirmed */
    bool must_rewind;              /* batches were dropped while the store could not be asked: resolve ends in a rewind */
    struct store_position *positions; /* of the operation under way, or that has just ended */
    struct store_move *moves;         /* of the write under way */
    size_t n_positions;
    size_t request_capacity; /* of positions and moves */
    struct partition_facts *facts;
    struct partition_offset *places;
    size_t capacity; /* of facts and places */

    /* claiming */
    bool is_claim_due;
    int64_t claim_at_us;     /* not before that */
    unsigned claim_attempts; /* failures of the broker in a row */
    bool has_claimed;        /* once: from then on a broker that refuses is away, not misconfigured */
    enum { INSERT_NOTHING, INSERT_TOPICS, INSERT_PARTITIONS } inserted; /* for the missing positions of this claim */

    /* rebalance */
    bool is_leaving;            /* a revocation is being settled */
    bool is_released;
    int64_t leave_deadline_us;

    /* folding */
    struct batch *fold;  /* the batch that grows */
    struct batch *other; /* the batch being written, or empty */
    struct row_cache *cache;
    bool is_cache_used;
    size_t fold_events;
    int64_t fold_since_us;       /* when its first event came */
    size_t sent_events;
    size_t event_limit;          /* events a batch may hold; halves while a culprit is looked for */
    int64_t written_at_us;       /* when the last write started */
    int64_t write_us;            /* how long it took */
    int64_t trips_before;        /* store_round_trips() before it */
    bool is_flooded;             /* the last take brought as many records as it could */
    int64_t moved_at_us;         /* when a position first moved without events; 0: none has */
    struct first_event first;      /* of the growing batch */
    struct first_event sent_first; /* of the batch being written: the culprit when it is the only one */

    /* how far behind; -1: not known */
    int64_t lag;    /* records not committed, over all partitions */
    int64_t lag_ms; /* how old the read model is: since when something has been missing */
    int64_t looked_at_us;

    /* intake */
    struct record records[SINK_TAKE_MAX];
    size_t n_records;
    size_t cursor;
    uint64_t expected[SINK_AHEAD]; /* a ring: batch_expect() of records that come next, by their number in the take */
    enum sink_block block;
    unsigned load_rounds; /* for the event at the cursor */
    int64_t blocked_at_us;
    bool is_paused;       /* partitions are paused; records that still come are dropped */
    int64_t resume_at_us; /* not before that */
    char *unhandled_types[SINK_TYPES_MAX];
    size_t n_unhandled_types;
};

/* Everything in it stays the caller's and outlives the sink. */
struct sink_parts {
    struct consumer consumer;
    struct store *store;
    struct plugin_host *host;
    struct event_decoder *decoder;
    const struct projection *projection;
    const struct clock *clock;
    struct sink_waiter waiter;
    struct sink_report report;
    size_t cache_bytes;
};

int sink_new(const struct sink_settings *settings, const struct sink_parts *parts, struct sink **ret_sink,
             struct error *ret_error) MUST_CHECK;
struct sink *sink_free(struct sink *sink);

/* One turn. 0: go on. An error of any class: the task must end; nothing is lost by ending. */
int sink_step(struct sink *sink, struct error *ret_error) MUST_CHECK;

/* Settles what is in flight and gives the partitions up, at most timeout_us. The group is left by closing the consumer. */
void sink_stop(struct sink *sink, int64_t timeout_us);

bool sink_is_at_end(const struct sink *sink);

/* ---- Between the files of the sink ---- */

int64_t sink_now(const struct sink *sink);
void sink_tell(struct sink *sink, enum sink_fact fact, const char *topic, int32_t partition, int64_t offset, const char *text);
/* Room for n partitions in positions, facts, moves and places. */
int sink_reserve(struct sink *sink, size_t n, struct error *ret_error) MUST_CHECK;
/* Room for every partition in positions and moves. Only while the store is idle: a request under way lies in them, and partitions may
 * join meanwhile. */
int sink_reserve_request(struct sink *sink, struct error *ret_error) MUST_CHECK;
/* Forgets what is not committed: batches, records in hand, cache, expected offsets; partitions are fetched again. */
int sink_rewind(struct sink *sink, const char *why, struct error *ret_error) MUST_CHECK;
/* The connection is of no more use, or its state unknown: connect and resolve after a pause. */
int sink_lose_store(struct sink *sink, const struct error *why, struct error *ret_error) MUST_CHECK;
/* Waits longer from failure to failure. */
void sink_back_off(struct sink *sink);

/* halt.c */
void sink_halt(struct sink *sink, struct partition *partition, const char *kind, bool is_of_event, const char *reason);
/* Halts before the event; the reason is "offset 7, key acc-1: text", what a person needs beside topic and partition. */
void sink_halt_event(struct sink *sink, struct partition *partition, int64_t offset, const char *key, const char *kind,
                     const char *text);
/* An event that the store refuses, alone or somewhere in a batch: finds it by halving, then stops its partition. */
int sink_blame(struct sink *sink, size_t n_events, const struct first_event *first, const struct error *why,
               struct error *ret_error) MUST_CHECK;

/* intake.c: takes records and folds them, until there are none, the batch is full or rows must be loaded. */
int sink_take(struct sink *sink, bool *ret_has_worked, struct error *ret_error) MUST_CHECK;
void sink_drop_records(struct sink *sink);
/* Keeps polling without taking anything in, and the way back. */
int sink_pause(struct sink *sink, struct error *ret_error) MUST_CHECK;
int sink_resume(struct sink *sink, struct error *ret_error) MUST_CHECK;

/* lag.c: now and then measures the lag, tells Kafka the committed positions, and fetches anew what stands still before its end.
 * TRANSIENT: that did not help, the task must end. */
int sink_look(struct sink *sink, struct error *ret_error) MUST_CHECK;
/* Kafka's lag tools see what is committed. */
void sink_mirror(struct sink *sink);

/* claim.c */
int sink_start_claim(struct sink *sink, struct error *ret_error) MUST_CHECK;
int sink_end_claim(struct sink *sink, struct error *ret_error) MUST_CHECK;
void sink_end_insert(struct sink *sink);
int sink_start_resolve(struct sink *sink, struct error *ret_error) MUST_CHECK;
int sink_end_resolve(struct sink *sink, struct error *ret_error) MUST_CHECK;
/* Gives up the partitions that the group takes back; rebalance NULL: all of them. */
int sink_start_release(struct sink *sink, const struct rebalance *rebalance, struct error *ret_error) MUST_CHECK;

#endif
