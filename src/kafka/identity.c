/*
 * identity - notices that a topic was deleted and created anew while it is consumed (KIP-516 topic ids).
 *
 * librdkafka follows a topic by its name: when the new log is as long as the old position, it would go on in it without a word.
 * So the ids that facts() told at the claim are compared with the broker's every few seconds, without blocking: take() asks and
 * picks the reply up later. The partitions of a replaced topic end with a RECORD_ERROR.
 *
 * Called by the task's thread inside take() and facts(). Never compares with the store: that is the claim's part.
 */
#include "base/clock.h"
#include "kafka/client.h"
#include "kafka/member.h"

#include <stdlib.h>
#include <string.h>

enum { INTERVAL_US = 5000000, TIMEOUT_MS = 10000 };

static bool is_known(const uint8_t id[16])
{
    static const uint8_t unknown[16];

    return memcmp(id, unknown, sizeof(unknown)) != 0;
}

/* Brokers before 2.8, and some proxies, tell no ids: such an answer says nothing. */
static bool is_another(const struct member_topic *topic, const uint8_t id[16])
{
    return is_known(topic->id) && is_known(id) && memcmp(topic->id, id, sizeof(topic->id)) != 0;
}

static bool is_flowing(const struct member *member, const struct member_topic *topic)
{
    for (size_t i = 0; i < member->n_started; i++)
        if (member->started[i].topic == topic->name && !member->started[i].failure)
            return true;
    return false;
}

/* While partitions flow, the id they began with stays the one to compare with: facts() may be asked for other reasons. */
int member_remember_identity(struct member *member, const struct partition_facts *facts, struct error *ret_error)
{
    const char *name = member_intern(member, facts->topic);
    struct member_topic *topic = name ? member_find_topic(member, name) : NULL;

    if (!topic)
        return error_set(ret_error, ERROR_BUG, "out of memory for the name of topic %s", facts->topic);
    if (is_known(topic->id) && is_flowing(member, topic)) {
        topic->is_replaced = topic->is_replaced || is_another(topic, facts->topic_id);
        return 0;
    }
    memcpy(topic->id, facts->topic_id, sizeof(topic->id));
    topic->is_replaced = false;
    return 0;
}

static void ask(struct member *member)
{
    const char **names = calloc(member->n_topics ? member->n_topics : 1, sizeof(*names));
    rd_kafka_TopicCollection_t *collection;
    rd_kafka_AdminOptions_t *options;
    size_t n = 0;

    for (size_t i = 0; names && i < member->n_topics; i++)
        if (is_known(member->topics[i].id) && is_flowing(member, &member->topics[i]))
            names[n++] = member->topics[i].name;
    if (n > 0) {
        collection = rd_kafka_TopicCollection_of_topic_names(names, n);
        options = member_admin_options(member, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, TIMEOUT_MS);
        rd_kafka_DescribeTopics(member->rk, collection, options, member->identity_queue);
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_TopicCollection_destroy(collection);
        member->is_identity_asked = true;
    }
    free(names);
}

static void compare(struct member *member, const rd_kafka_TopicDescription_t *description)
{
    const rd_kafka_error_t *error = rd_kafka_TopicDescription_error(description);
    const char *name = member_intern(member, rd_kafka_TopicDescription_name(description));
    struct member_topic *topic = name ? member_find_topic(member, name) : NULL;
    uint8_t id[16];

    if (!topic || (error && rd_kafka_error_code(error)))
        return; /* a topic that is gone tells so itself */
    member_copy_topic_id(rd_kafka_TopicDescription_topic_id(description), id);
    if (is_another(topic, id))
        topic->is_replaced = true;
}

static void hear(struct member *member, rd_kafka_event_t *event)
{
    const rd_kafka_TopicDescription_t **topics;
    size_t n = 0;

    member->is_identity_asked = false;
    if (rd_kafka_event_error(event)) {
        member->broker = -1; /* it may be gone: the controller next time */
        return;
    }
    topics = rd_kafka_DescribeTopics_result_topics(rd_kafka_event_DescribeTopics_result(event), &n);
    for (size_t i = 0; i < n; i++)
        compare(member, topics[i]);
}

void member_watch_identity(struct member *member)
{
    int64_t now_us = clock_system.monotonic_us(clock_system.self);
    rd_kafka_event_t *event;

    if (member->is_identity_asked) {
        event = rd_kafka_queue_poll(member->identity_queue, 0);
        if (event) {
            hear(member, event);
            rd_kafka_event_destroy(event);
        }
    } else if (now_us >= member->identity_at_us) {
        member->identity_at_us = now_us + INTERVAL_US;
        ask(member);
    }
}

void member_end_replaced(struct member *member)
{
    static char said[] = "the topic was deleted and created anew: its id changed";
    const struct member_failure failure = { .kind = RECORD_ERROR_IDENTITY, .offset = -1, .text = said };

    for (size_t i = 0; i < member->n_started; i++) {
        struct member_partition *started = &member->started[i];

        if (!started->failure && member_find_topic(member, started->topic)->is_replaced &&
            !member_end_partition(member, started, &failure))
            return;
    }
}
