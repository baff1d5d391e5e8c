/*
 * facts - what the broker says of topics and partitions: identity, bounds, the offset of a time.
 *
 * Called by the task's thread at claims and by `readside check`. Each call blocks, at most for the caller's time limit; replies
 * come on queues of their own, so no record and no rebalance is taken meanwhile. Never changes what is consumed.
 */
#include "base/clock.h"
#include "kafka/client.h"
#include "kafka/member.h"

#include <stdlib.h>
#include <string.h>

enum { SLICE_MS = 100 };

static int64_t monotonic_ms(void)
{
    return clock_system.monotonic_us(clock_system.self) / 1000;
}

static int remaining_ms(int64_t deadline_ms)
{
    int64_t left = deadline_ms - monotonic_ms();

    return left > 1 ? (int)left : 1;
}

/*
 * What the client complained of before this call is past and decides nothing: a connection cut in its TLS handshake hours ago is
 * no wrong certificate. The words are kept as a hint, because the client does not say the same again within 30 s.
 */
static void begin_asking(struct member *member)
{
    member->reason_code = RD_KAFKA_RESP_ERR_NO_ERROR;
    member->is_reason_past = true;
}

static void end_asking(struct member *member)
{
    member->reason_code = RD_KAFKA_RESP_ERR_NO_ERROR;
    member->reason[0] = '\0'; /* it answers: older reasons are past */
}

/* The broker said no, or nothing: with the reason that the client last gave, and what to look at. */
static int unreachable(struct member *member, const char *doing, const char *said, struct error *ret_error)
{
    int class = client_error_class(member->reason_code);

    if (member->reason_code == RD_KAFKA_RESP_ERR__AUTHENTICATION)
        return error_set(ret_error, class, "Kafka at %s refuses the credentials: %s; check the sasl properties",
                         member->bootstrap_servers, member->reason);
    if (member->reason_code == RD_KAFKA_RESP_ERR__SSL)
        return error_set(ret_error, class, "no TLS connection to Kafka at %s: %s; check the ssl properties and security_protocol",
                         member->bootstrap_servers, member->reason);
    if (member->reason[0] && member->is_reason_past)
        return error_set(ret_error, ERROR_TRANSIENT, "Kafka at %s does not answer (%s): %s (earlier trouble: %s); check "
                         "bootstrap_servers and whether the broker runs", member->bootstrap_servers, doing, said, member->reason);
    if (member->reason[0])
        return error_set(ret_error, ERROR_TRANSIENT, "Kafka at %s does not answer (%s): %s; check bootstrap_servers and whether "
                         "the broker runs", member->bootstrap_servers, doing, member->reason);
    return error_set(ret_error, ERROR_TRANSIENT, "Kafka at %s does not answer (%s): %s; check bootstrap_servers, "
                     "security_protocol and whether the broker runs", member->bootstrap_servers, doing, said);
}

/* Waits for one reply. */
static int await(struct member *member, rd_kafka_queue_t *queue, int64_t deadline_ms, const char *doing,
                 rd_kafka_event_t **ret_event, struct error *ret_error)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, remaining_ms(deadline_ms));
    rd_kafka_resp_err_t code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    int result;

    rd_kafka_poll(member->rk, 0);
    if (!code) {
        *ret_event = event;
        return 0;
    }
    if (event && client_error_class(code) == ERROR_CONFIG)
        result = error_set(ret_error, ERROR_CONFIG, "%s: %s", doing, rd_kafka_event_error_string(event));
    else
        result = unreachable(member, doing, event ? rd_kafka_event_error_string(event) : "no reply in time", ret_error);
    if (event)
        rd_kafka_event_destroy(event);
    return result;
}

rd_kafka_AdminOptions_t *member_admin_options(struct member *member, rd_kafka_admin_op_t operation, int timeout_ms)
{
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(member->rk, operation);
    char text[256];

    if (rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof(text)))
        client_log(4, "ADMIN", text); /* impossible: the time is in range */
    if (operation == RD_KAFKA_ADMIN_OP_DESCRIBETOPICS && member->broker >= 0 &&
        rd_kafka_AdminOptions_set_broker(options, member->broker, text, sizeof(text)))
        client_log(4, "ADMIN", text); /* then the controller is asked */
    return options;
}

/*
 * Finds a broker that answers. Without its id librdkafka asks the controller, which the embedded broker has not and any broker
 * can stand in for. In slices, so that a wrong password is noticed while waiting; they grow, for brokers far away.
 */
static int contact(struct member *member, int64_t deadline_ms, struct error *ret_error)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code;

    for (int slice_ms = 2 * SLICE_MS;; slice_ms *= 2) {
        int left_ms = remaining_ms(deadline_ms);

        code = rd_kafka_metadata(member->rk, 0, NULL, &metadata, left_ms < slice_ms ? left_ms : slice_ms);
        rd_kafka_poll(member->rk, 0); /* the client's errors; records stay where they are */
        if (!code && metadata->broker_cnt > 0)
            break;
        if (!code)
            rd_kafka_metadata_destroy(metadata);
        if (monotonic_ms() >= deadline_ms || client_error_class(member->reason_code) == ERROR_CONFIG)
            return unreachable(member, "metadata", rd_kafka_err2str(code), ret_error);
    }
    member->broker = metadata->orig_broker_id >= 0 ? metadata->orig_broker_id : metadata->brokers[0].id;
    rd_kafka_metadata_destroy(metadata);
    return 0;
}

/* ---- Topics: id and number of partitions ---- */

static const rd_kafka_TopicDescription_t *find_topic(const rd_kafka_TopicDescription_t **topics, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(rd_kafka_TopicDescription_name(topics[i]), name) == 0)
            return topics[i];
    return NULL;
}

/* The id's 16 bytes in network order, from librdkafka's two halves. */
void member_copy_topic_id(const rd_kafka_Uuid_t *id, uint8_t ret_id[16])
{
    uint64_t halves[2];

    memset(ret_id, 0, 16);
    if (!id)
        return;
    halves[0] = (uint64_t)rd_kafka_Uuid_most_significant_bits(id);
    halves[1] = (uint64_t)rd_kafka_Uuid_least_significant_bits(id);
    for (int i = 0; i < 16; i++)
        ret_id[i] = (uint8_t)(halves[i / 8] >> (56 - 8 * (i % 8)));
}

static int read_topic(struct member *member, const rd_kafka_TopicDescription_t *topic, struct partition_facts *facts,
                      struct error *ret_error)
{
    const rd_kafka_error_t *error = topic ? rd_kafka_TopicDescription_error(topic) : NULL;
    rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
    size_t n_partitions = 0;

    if (!topic || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
        return error_set(ret_error, ERROR_CONFIG, "there is no topic %s at %s; create it or correct `topics'", facts->topic,
                         member->bootstrap_servers);
    if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        return error_set(ret_error, ERROR_CONFIG, "no access to topic %s: %s; grant this user Read and Describe on it",
                         facts->topic, rd_kafka_error_string(error));
    if (code)
        return error_set(ret_error, client_error_class(code), "topic %s: %s", facts->topic, rd_kafka_error_string(error));
    rd_kafka_TopicDescription_partitions(topic, &n_partitions);
    if (facts->partition >= (int32_t)n_partitions)
        return error_set(ret_error, ERROR_CONFIG, "topic %s has %zu partitions, so no partition %d; was it created anew?",
                         facts->topic, n_partitions, facts->partition);
    facts->n_partitions = (int32_t)n_partitions;
    member_copy_topic_id(rd_kafka_TopicDescription_topic_id(topic), facts->topic_id);
    return member_remember_identity(member, facts, ret_error);
}

/* Each name once, as librdkafka wants them. */
static size_t distinct_topics(const struct partition_facts *facts, size_t n, const char **ret_names)
{
    size_t n_names = 0;

    for (size_t i = 0; i < n; i++) {
        size_t j = 0;

        while (j < n_names && strcmp(ret_names[j], facts[i].topic) != 0)
            j++;
        if (j == n_names)
            ret_names[n_names++] = facts[i].topic;
    }
    return n_names;
}

static int describe(struct member *member, struct partition_facts *facts, size_t n, int64_t deadline_ms, struct error *ret_error)
{
    const char **names = calloc(n, sizeof(*names));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(member->rk);
    rd_kafka_AdminOptions_t *options = member_admin_options(member, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, remaining_ms(deadline_ms));
    rd_kafka_TopicCollection_t *collection = NULL;
    rd_kafka_event_t *event = NULL;
    const rd_kafka_TopicDescription_t **topics;
    size_t n_topics = 0;
    int result;

    if (!names) {
        result = error_set(ret_error, ERROR_BUG, "out of memory for %zu partitions", n);
        goto out;
    }
    collection = rd_kafka_TopicCollection_of_topic_names(names, distinct_topics(facts, n, names));
    rd_kafka_DescribeTopics(member->rk, collection, options, queue);
    result = await(member, queue, deadline_ms, "describe topics", &event, ret_error);
    if (result != 0)
        goto out;
    topics = rd_kafka_DescribeTopics_result_topics(rd_kafka_event_DescribeTopics_result(event), &n_topics);
    for (size_t i = 0; result == 0 && i < n; i++)
        result = read_topic(member, find_topic(topics, n_topics, facts[i].topic), &facts[i], ret_error);
out:
    if (event)
        rd_kafka_event_destroy(event);
    if (collection)
        rd_kafka_TopicCollection_destroy(collection);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    free(names);
    return result;
}

/* ---- Partitions: offsets ---- */

/* Asks for one offset of each partition in the list (its offset member holds the specification) and puts the answers there. */
static int list_offsets(struct member *member, rd_kafka_topic_partition_list_t *list, int64_t deadline_ms,
                        struct error *ret_error)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(member->rk);
    rd_kafka_AdminOptions_t *options = member_admin_options(member, RD_KAFKA_ADMIN_OP_LISTOFFSETS, remaining_ms(deadline_ms));
    const rd_kafka_ListOffsetsResultInfo_t **infos;
    rd_kafka_event_t *event = NULL;
    size_t n_infos = 0;
    int result;

    result = client_error(rd_kafka_AdminOptions_set_isolation_level(options, RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED),
                          "list offsets", ret_error);
    if (result != 0)
        goto out;
    rd_kafka_ListOffsets(member->rk, list, options, queue);
    result = await(member, queue, deadline_ms, "list offsets", &event, ret_error);
    if (result != 0)
        goto out;
    infos = rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(event), &n_infos);
    for (size_t i = 0; result == 0 && i < n_infos; i++) {
        const rd_kafka_topic_partition_t *info = rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
        rd_kafka_topic_partition_t *item = rd_kafka_topic_partition_list_find(list, info->topic, info->partition);

        if (info->err)
            result = error_set(ret_error, client_error_class(info->err), "offsets of %s[%d]: %s", info->topic, info->partition,
                               rd_kafka_err2str(info->err));
        else if (item)
            item->offset = info->offset;
    }
out:
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return result;
}

static int read_bounds(struct member *member, struct partition_facts *facts, size_t n, int64_t deadline_ms, bool is_high,
                       struct error *ret_error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);
    int result;

    for (size_t i = 0; i < n; i++)
        if (!rd_kafka_topic_partition_list_find(list, facts[i].topic, facts[i].partition))
            rd_kafka_topic_partition_list_add(list, facts[i].topic, facts[i].partition)->offset =
                is_high ? RD_KAFKA_OFFSET_SPEC_LATEST : RD_KAFKA_OFFSET_SPEC_EARLIEST;
    result = list_offsets(member, list, deadline_ms, ret_error);
    for (size_t i = 0; result == 0 && i < n; i++) {
        int64_t offset = rd_kafka_topic_partition_list_find(list, facts[i].topic, facts[i].partition)->offset;

        if (offset < 0)
            result = error_set(ret_error, ERROR_TRANSIENT, "no offsets of %s[%d] from the broker", facts[i].topic,
                               facts[i].partition);
        else if (is_high)
            facts[i].high = offset;
        else
            facts[i].low = offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

int member_facts(void *self, struct partition_facts *facts, size_t n, int timeout_ms, const char **ret_cluster_id,
                 struct error *ret_error)
{
    struct member *member = self;
    int64_t deadline_ms = monotonic_ms() + timeout_ms;
    int result;

    begin_asking(member);
    result = contact(member, deadline_ms, ret_error);
    if (result == 0 && n > 0)
        result = describe(member, facts, n, deadline_ms, ret_error);
    if (result == 0 && !member->cluster_id) {
        member->cluster_id = rd_kafka_clusterid(member->rk, remaining_ms(deadline_ms));
        rd_kafka_poll(member->rk, 0);
        if (!member->cluster_id)
            result = unreachable(member, "cluster id", "no reply in time", ret_error);
    }
    if (result == 0 && n > 0)
        result = read_bounds(member, facts, n, deadline_ms, false, ret_error);
    if (result == 0 && n > 0)
        result = read_bounds(member, facts, n, deadline_ms, true, ret_error);
    if (result != 0)
        return result;
    end_asking(member);
    *ret_cluster_id = member->cluster_id;
    return 0;
}

/* Kafka answers -1 when no record is so young. */
int member_offset_at(void *self, const char *topic, int32_t partition, int64_t timestamp_ms, int timeout_ms, int64_t *ret_offset,
                     struct error *ret_error)
{
    struct member *member = self;
    int64_t deadline_ms = monotonic_ms() + timeout_ms;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *item = rd_kafka_topic_partition_list_add(list, topic, partition);
    rd_kafka_resp_err_t code;
    int result = 0;

    begin_asking(member);
    item->offset = timestamp_ms;
    code = rd_kafka_offsets_for_times(member->rk, list, timeout_ms);
    rd_kafka_poll(member->rk, 0);
    if (!code)
        code = item->err;
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
        code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
        result = error_set(ret_error, ERROR_CONFIG, "there is no partition %s[%d] at %s", topic, partition,
                           member->bootstrap_servers);
    else if (code)
        result = unreachable(member, "offset of a time", rd_kafka_err2str(code), ret_error);
    if (result == 0 && item->offset < 0) {
        item->offset = RD_KAFKA_OFFSET_SPEC_LATEST;
        result = list_offsets(member, list, deadline_ms, ret_error);
    }
    if (result == 0)
        *ret_offset = item->offset;
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}
