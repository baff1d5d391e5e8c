/*
 * member - the state behind a struct consumer, shared by member.c, consumer.c, take.c, failure.c, rebalance.c, identity.c, ends.c and
 * facts.c. Internal to kafka/.
 *
 * One thread, the task's, touches it: librdkafka calls back only from inside calls of that thread.
 */
#ifndef KAFKA_MEMBER_H
#define KAFKA_MEMBER_H

#include "base/error.h"
#include "kafka/client.h"
#include "kafka/consumer.h"

enum { MEMBER_REASON_SIZE = 512 };

/* A topic that was ever seen. Its name is interned: pointers compare. */
struct member_topic {
    char *name;
    uint8_t id[16]; /* as facts() told before its partitions began to flow; zeros: not known */
    bool is_replaced; /* another topic of this name is there since */
};

struct member_failure {
    enum record_error kind;
    rd_kafka_resp_err_t code;
    int64_t offset; /* -1: not known */
    char *text;
    struct member_failure *next; /* among the spent ones */
};

struct member_partition {
    const char *topic;
    int32_t partition;
    struct member_failure *failure; /* it has ended: nothing more of it is delivered; NULL: it flows */
    bool must_tell;                 /* the next take() tells the failure, for the first time or again */
};

struct member {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue; /* records, marks, rebalances, group errors */
    int fd;                  /* eventfd: readable when take() has something to do */
    bool is_eager;           /* the assignor's protocol: assign() or incremental_assign() */
    bool is_static;          /* has a group.instance.id */
    bool is_closing;         /* rebalances are answered inside the callback */

    rd_kafka_message_t **messages; /* of the last take() */
    size_t n_messages;
    size_t messages_capacity;
    struct error trouble; /* seen among records: the next take() returns it */

    struct member_topic *topics;
    size_t n_topics;
    rd_kafka_queue_t *identity_queue; /* replies about topic ids */
    bool is_identity_asked;
    int64_t identity_at_us; /* when to ask again */
    int32_t broker;         /* one that answered facts(); -1: none */

    rd_kafka_queue_t *ends_queue; /* replies about the ends of logs */
    bool are_ends_asked;
    int64_t ask_ends_at_us;
    rd_kafka_topic_partition_list_t *ends; /* the last reply; NULL: none yet */
    int64_t ends_at_us;                    /* when it came */

    enum rebalance_kind pending; /* not answered yet */
    bool has_news;               /* a rebalance came in during this take(): return at once */
    struct partition_offset *pending_partitions;
    size_t n_pending;
    struct member_partition *started; /* what flows; records of anything else are dropped */
    size_t n_started;
    struct member_failure *spent; /* of partitions given up; records taken last may still point at them */
    rd_kafka_topic_partition_list_t *subscription;

    rd_kafka_resp_err_t reason_code; /* why brokers are out of reach, as far as known */
    char reason[MEMBER_REASON_SIZE];
    bool is_reason_past; /* it was given before the present call */
    char *bootstrap_servers; /* for error texts */
    char *cluster_id;
};

/* member.c */

/* The one pointer for this name. NULL: out of memory, and trouble is set. */
const char *member_intern(struct member *member, const char *name);
struct member_topic *member_find_topic(struct member *member, const char *interned_name);
/* NULL: it is not started. */
struct member_partition *member_find_started(struct member *member, const char *topic, int32_t partition);

/* take.c */
int member_take(void *self, int timeout_ms, struct record *records, size_t max, size_t *ret_n, struct error *ret_error);
void member_release(struct member *member); /* what the records of the last take() point to */
void member_wake(struct member *member);    /* the descriptor becomes readable */
void member_note_fatal(struct member *member);

/* failure.c */
/* Does librdkafka deliver nothing more of the partition after this, or has it skipped what it could not read? */
bool member_ends_partition(rd_kafka_resp_err_t code, enum record_error *ret_kind);
/* The partition ends here; of failure.text, what was said, a sentence is made. False: out of memory, and trouble is set. */
bool member_end_partition(struct member *member, struct member_partition *partition, const struct member_failure *failure);
void member_tell_failure(struct member_partition *partition, struct record *record);
size_t member_tell_failures(struct member *member, struct record *records, size_t max);
/* The partition is given up. */
void member_forget_failure(struct member *member, struct member_partition *partition);
void member_free_spent(struct member *member);

/* rebalance.c */
void member_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque);
struct rebalance member_rebalance(void *self);
int member_answer(void *self, struct error *ret_error);
int member_start(void *self, const struct partition_offset *partitions, size_t n, struct error *ret_error);
int member_seek(void *self, const struct partition_offset *partitions, size_t n, struct error *ret_error);
int member_pause(void *self, const struct partition_offset *partitions, size_t n, struct error *ret_error);
int member_resume(void *self, const struct partition_offset *partitions, size_t n, struct error *ret_error);
void member_mirror(void *self, const struct partition_offset *partitions, size_t n);

/* identity.c */
void member_watch_identity(struct member *member);
int member_remember_identity(struct member *member, const struct partition_facts *facts, struct error *ret_error);
/* The partitions of topics that were created anew end. */
void member_end_replaced(struct member *member);

/* ends.c */
void member_ends(void *self, struct partition_offset *partitions, size_t n);

/* facts.c */
rd_kafka_AdminOptions_t *member_admin_options(struct member *member, rd_kafka_admin_op_t operation, int timeout_ms);
void member_copy_topic_id(const rd_kafka_Uuid_t *id, uint8_t ret_id[16]);
int member_facts(void *self, struct partition_facts *facts, size_t n, int timeout_ms, const char **ret_cluster_id,
                 struct error *ret_error);
int member_offset_at(void *self, const char *topic, int32_t partition, int64_t timestamp_ms, int timeout_ms, int64_t *ret_offset,
                     struct error *ret_error);

#endif
