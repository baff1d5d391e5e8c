/*
 * consumer - one member of a Kafka consumer group whose positions live elsewhere.
 *
 * Owned by a task and called from its one thread. Kafka's own committed offsets are written for lag tools (mirror) and never
 * read. A rebalance is not handled inside a callback: take() returns, consumer_rebalance() shows what the group wants, and the
 * task answers when its store has settled; librdkafka delivers no further rebalance before that. The answer to an assignment is
 * first an empty one; partitions begin to flow only when the task starts them at the absolute offsets it has claimed. So there is
 * no record of an unclaimed partition, and no offset that Kafka chose.
 *
 * The functions sit in a table, so that the sink loop runs in tests over a simulated broker.
 */
#ifndef KAFKA_CONSUMER_H
#define KAFKA_CONSUMER_H

#include "base/error.h"
#include "kafka/record.h"

#include <stdint.h>

/* A partition and a place in it. */
struct partition_offset {
    const char *topic;
    int32_t partition;
    int32_t leader_epoch; /* of the record before offset; -1: unknown. The broker checks it for truncation (KIP-320) */
    int64_t offset;       /* absolute, >= 0 */
};

enum rebalance_kind { REBALANCE_NONE, REBALANCE_ASSIGN, REBALANCE_REVOKE, REBALANCE_LOST };

/*
 * What the group asks for and the task has not answered yet. Valid until answer(). An assignment may be empty (cooperative
 * groups take several steps) and wants its answer all the same: until then no partition delivers anything, retained ones
 * included. Topic names are the same pointers as in records.
 */
struct rebalance {
    enum rebalance_kind kind;
    const struct partition_offset *partitions; /* offsets are meaningless here */
    size_t n_partitions;
};

/* What the broker says of one partition, for the checks at claim. */
struct partition_facts {
    const char *topic;        /* in */
    int32_t partition;        /* in */
    uint8_t topic_id[16];     /* zeros: the broker has none (KIP-516) */
    int32_t n_partitions;     /* of the topic */
    int64_t low;              /* first offset that is still there */
    int64_t high;             /* behind the last stable record (read_committed) */
};

struct consumer_operations {
    /*
     * Waits up to timeout_ms for records and marks, at most max of them. They and all they point to live until the next take().
     * Returns 0 (ret_n may be 0), or an error: TRANSIENT is for logs only (the client retries by itself), FENCED: another
     * member took the static instance id, BUG and CONFIG: fatal. Records that came along with an error are returned first.
     * Returns early when a rebalance comes in. After a RECORD_ERROR its partition delivers nothing until another assignment
     * starts it again, but for the same RECORD_ERROR once more after each seek(): whoever had to throw it away hears it again.
     * That includes topics found deleted and created anew, within some 5 s.
     */
    int (*take)(void *self, int timeout_ms, struct record *records, size_t max, size_t *ret_n, struct error *ret_error);

    struct rebalance (*rebalance)(void *self);
    /* Acknowledges the pending rebalance: an assignment with nothing yet, a revocation by dropping its partitions. */
    int (*answer)(void *self, struct error *ret_error);
    /*
     * Starts partitions of the answered assignment at absolute offsets. Once per assignment. What a revocation that came since
     * takes away is passed over.
     */
    int (*start)(void *self, const struct partition_offset *partitions, size_t n, struct error *ret_error);
    /*
     * Goes on at other offsets; what was fetched before is never delivered. TRANSIENT: the client cannot yet (a start it has not
     * served, a leader on the move): to be called again, for all of them. seek(), pause() and resume() pass over what is not
     * started, is being revoked, or has ended in a RECORD_ERROR.
     */
    int (*seek)(void *self, const struct partition_offset *partitions, size_t n, struct error *ret_error);
    int (*pause)(void *self, const struct partition_offset *partitions, size_t n, struct error *ret_error);
    int (*resume)(void *self, const struct partition_offset *partitions, size_t n, struct error *ret_error);
    /* Tells Kafka the committed position, asynchronously, best effort. */
    void (*mirror)(void *self, const struct partition_offset *partitions, size_t n);
    /*
     * Where the log ends, behind the last stable record, as the broker said in the last 15 s; offset -1: it did not. Asks it every
     * 2 s at most, without blocking, also of what is paused or not started: to be called again and again.
     */
    void (*ends)(void *self, struct partition_offset *partitions, size_t n);
    /* Asks the broker; ret_cluster_id lives as long as the consumer. Blocks up to timeout_ms. A missing topic is CONFIG. */
    int (*facts)(void *self, struct partition_facts *facts, size_t n, int timeout_ms, const char **ret_cluster_id,
                 struct error *ret_error);
    /* The first offset whose timestamp is at or after timestamp_ms; the high watermark when there is none. */
    int (*offset_at)(void *self, const char *topic, int32_t partition, int64_t timestamp_ms, int timeout_ms, int64_t *ret_offset,
                     struct error *ret_error);
};

struct consumer {
    const struct consumer_operations *operations;
    void *self;
};

enum assignor { ASSIGNOR_COOPERATIVE_STICKY, ASSIGNOR_RANGE, ASSIGNOR_ROUNDROBIN };

struct consumer_property {
    const char *name; /* librdkafka's, with dots */
    const char *value;
};

struct consumer_settings {
    const char *bootstrap_servers;
    const char *group_id;
    const char *group_instance_id; /* NULL: dynamic membership */
    const char *client_id;
    const char *const *topics; /* names, or patterns that begin with '^' */
    size_t n_topics;           /* 0: joins no group; for facts() and offset_at() only */
    enum assignor assignor;
    int session_timeout_ms;
    int64_t fetch_queue_bytes;
    const struct consumer_property *properties; /* security and tuning, already checked against the allow-list */
    size_t n_properties;
};

/* Connects lazily: a broker that is away is no error here. CONFIG: settings, or a librdkafka too old at run time. */
int consumer_open(const struct consumer_settings *settings, struct consumer *ret_consumer, struct error *ret_error) MUST_CHECK;
/*
 * Leaves the group (dynamic members) and frees everything. Pending rebalances are answered. True: done.
 * False: not within timeout_ms, because the broker is away or answers a join of ours only when the other members have joined. The
 * client is left running, with its threads and memory: end the process by quick_exit(3); exit(3) would end OpenSSL under it.
 */
bool consumer_close(struct consumer *consumer, int timeout_ms) MUST_CHECK;
/* Becomes readable when take() has something to do: for poll(2). */
int consumer_fd(const struct consumer *consumer);
/*
 * Fetch errors, broker state and client warnings go through this hook of the task (it logs); may be called from client threads.
 * level is syslog's: 3 error, 4 warning, 5 notice, 6 info, 7 debug.
 */
void consumer_set_log(void (*log)(int level, const char *facility, const char *text));

#endif
