/*
 * member - the state behind a struct consumer, shared by consumer.c, take.c, rebalance.c and facts.c. Internal to kafka/.
 *
 * One thread, the task's, touches it: librdkafka calls back only from inside calls of that thread.
 */
#ifndef KAFKA_MEMBER_H
#define KAFKA_MEMBER_H

#include "base/error.h"
#include "kafka/client.h"
#include "kafka/consumer.h"

enum { MEMBER_REASON_SIZE = 512 };

struct member_partition {
    const char *topic; /* interned: pointers compare */
    int32_t partition;
};

struct member {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue; /* records, marks, rebalances, group errors */
    int fd;                  /* eventfd: readable when take() has something to do */
    bool is_eager;           /* the assignor's protocol: assign() or incremental_assign() */
    bool is_closing;         /* rebalances are answered inside the callback */

    rd_kafka_message_t **messages; /* of the last take() */
    size_t n_messages;
    size_t messages_capacity;
    struct error trouble; /* seen among records: the next take() returns it */

    char **names; /* every topic name seen */
    size_t n_names;

    enum rebalance_kind pending; /* not answered yet */
    bool has_news;               /* a rebalance came in during this take(): return at once */
    struct partition_offset *pending_partitions;
    size_t n_pending;
    struct member_partition *started; /* what flows; records of anything else are dropped */
    size_t n_started;
    rd_kafka_topic_partition_list_t *subscription;

    rd_kafka_resp_err_t reason_code; /* why brokers are out of reach, as far as known */
    char reason[MEMBER_REASON_SIZE];
    char *bootstrap_servers; /* for error texts */
    char *cluster_id;
};

/* The one pointer for this name. NULL: out of memory, and trouble is set. */
const char *member_intern(struct member *member, const char *name);
bool member_is_started(const struct member *member, const char *topic, int32_t partition);

/* take.c */
int member_take(void *self, int timeout_ms, struct record *records, size_t max, size_t *ret_n, struct error *ret_error);
void member_release(struct member *member); /* the messages of the last take() */
void member_note_fatal(struct member *member);

/* rebalance.c */
void member_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque);
struct rebalance member_rebalance(void *self);
int member_answer(void *self, struct error *ret_error);
int member_start(void *self, const struct partition_offset *partitions, size_t n, struct error *ret_error);
int member_seek(void *self, const struct partition_offset *partitions, size_t n, struct error *ret_error);
int member_pause(void *self, const struct partition_offset *partitions, size_t n, struct error *ret_error);
int member_resume(void *self, const struct partition_offset *partitions, size_t n, struct error *ret_error);
void member_mirror(void *self, const struct partition_offset *partitions, size_t n);
int member_rejoin(void *self, struct error *ret_error);

/* facts.c */
int member_facts(void *self, struct partition_facts *facts, size_t n, int timeout_ms, const char **ret_cluster_id,
                 struct error *ret_error);
int member_offset_at(void *self, const char *topic, int32_t partition, int64_t timestamp_ms, int timeout_ms, int64_t *ret_offset,
                     struct error *ret_error);

#endif
