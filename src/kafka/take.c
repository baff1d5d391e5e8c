/*
 * take - turns what librdkafka hands over into records, marks and errors.
 *
 * take() never waits inside librdkafka, whose batch call would wait for a full batch: it sleeps in poll(2) on the member's
 * eventfd, which librdkafka writes when its queue fills, and then takes what is there. Records point into librdkafka's messages,
 * which live until the next take().
 *
 * Called by the task's thread through struct consumer_operations. Never logs, never judges offsets: order, gaps and rewinds are
 * task/progress's.
 */
#include "kafka/client.h"
#include "kafka/member.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void member_wake(struct member *member)
{
    uint64_t one = 1;

    /* A full counter is readable already: nothing to do about a failure. */
    if (write(member->fd, &one, sizeof(one)) < 0)
        return;
}

static void forget_wake(struct member *member)
{
    uint64_t count;

    if (read(member->fd, &count, sizeof(count)) < 0)
        return; /* nothing to forget */
}

static bool find_header(const struct record *record, const char *name, struct rs_bytes *ret_value)
{
    rd_kafka_headers_t *headers;

    if (rd_kafka_message_headers(record->handle, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    return rd_kafka_header_get_last(headers, name, &ret_value->data, &ret_value->size) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

void member_release(struct member *member)
{
    for (size_t i = 0; i < member->n_messages; i++)
        rd_kafka_message_destroy(member->messages[i]);
    member->n_messages = 0;
    member_free_spent(member);
}

/* The worst trouble of a batch is told; what it hides is logged. */
static void note_trouble(struct member *member, int class, const char *text)
{
    bool is_worse = member->trouble.class == 0 || (member->trouble.class == ERROR_TRANSIENT && class != ERROR_TRANSIENT);

    if (!is_worse) {
        client_log(4, "CONSUMER", text);
        return;
    }
    if (member->trouble.class != 0)
        client_log(4, "CONSUMER", member->trouble.text);
    error_set(&member->trouble, class, "%s", text);
}

void member_note_fatal(struct member *member)
{
    char text[MEMBER_REASON_SIZE] = "";
    char full[ERROR_TEXT_SIZE];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(member->rk, text, sizeof(text));
    bool is_fenced = client_error_class(code) == ERROR_FENCED;

    if (is_fenced)
        snprintf(full, sizeof(full), "another consumer uses the same group.instance.id: %s; give each worker a name of its own",
                 text);
    else
        snprintf(full, sizeof(full), "the Kafka client cannot go on: %s (%s)", text, rd_kafka_err2name(code));
    note_trouble(member, is_fenced ? ERROR_FENCED : ERROR_BUG, full);
}

/* Of the group, of a subscribed topic, or of a partition that does not flow: nothing to stop, but to be told. */
static void note_group_error(struct member *member, const rd_kafka_message_t *message)
{
    char text[ERROR_TEXT_SIZE];
    const char *way_out = "";

    switch (message->err) {
    case RD_KAFKA_RESP_ERR__FATAL:
        member_note_fatal(member);
        return;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        way_out = "; create the topic or correct `topics'";
        break;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        way_out = "; grant this user Read and Describe on the topic";
        break;
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        way_out = "; grant this user Read on the group";
        break;
    case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
        way_out = "; all members of the group need the same assignor";
        break;
    default:
        break;
    }
    snprintf(text, sizeof(text), "%s%s", rd_kafka_message_errstr(message), way_out);
    note_trouble(member, client_error_class(message->err), text);
}

/* Field by field: a literal is cleared as a whole first, which shows at a million records a second. */
static void fill_data(struct record *record, const rd_kafka_message_t *message, const char *topic)
{
    record->kind = RECORD_DATA;
    record->error = RECORD_ERROR_NONE;
    record->topic = topic;
    record->partition = message->partition;
    record->leader_epoch = rd_kafka_message_leader_epoch(message);
    record->offset = message->offset;
    record->timestamp_ms = rd_kafka_message_timestamp(message, NULL);
    record->key = message->key;
    record->key_size = message->key_len;
    record->value = message->payload;
    record->value_size = message->len;
    record->error_text = NULL;
    record->handle = message;
    record->find_header = find_header;
}

static void fill_end(struct record *record, const rd_kafka_message_t *message, const char *topic)
{
    *record = (struct record){
        .kind = RECORD_END,
        .topic = topic,
        .partition = message->partition,
        .leader_epoch = -1,
        .offset = message->offset,
        .timestamp_ms = -1,
        .handle = message,
        .find_header = find_header,
    };
}

/* An error of a partition that flows. False: nothing for the task to see in its records. */
static bool fill_error(struct member *member, struct record *record, const rd_kafka_message_t *message,
                       struct member_partition *started)
{
    char said[ERROR_TEXT_SIZE];
    struct member_failure failure = { .code = message->err, .offset = -1, .text = said };

    if (!member_ends_partition(message->err, &failure.kind)) {
        note_group_error(member, message);
        return false;
    }
    member->identity_at_us = 0; /* was the topic created anew? the others should know soon */
    snprintf(said, sizeof(said), "%s", rd_kafka_message_errstr(message));
    if (failure.kind != RECORD_ERROR_IDENTITY && message->offset >= 0) /* of a topic that is gone, librdkafka gives none */
        failure.offset = message->offset;
    if (!member_end_partition(member, started, &failure))
        return false;
    member_tell_failure(started, record);
    return true;
}

/*
 * Messages come in runs of one partition, so that the topic's name and the question whether the partition flows are looked up
 * once a run. Records and end marks of what is not started, or has ended in an error, are dropped.
 */
static size_t convert(struct member *member, struct record *records)
{
    const rd_kafka_topic_t *run_topic = NULL;
    int32_t run_partition = -1;
    const char *topic = NULL;
    struct member_partition *started = NULL;
    size_t n = 0;

    for (size_t i = 0; i < member->n_messages; i++) {
        const rd_kafka_message_t *message = member->messages[i];

        if (message->err && !message->rkt) {
            note_group_error(member, message);
            continue;
        }
        if (message->rkt != run_topic || message->partition != run_partition) {
            run_topic = message->rkt;
            run_partition = message->partition;
            topic = member_intern(member, rd_kafka_topic_name(message->rkt));
            started = topic ? member_find_started(member, topic, run_partition) : NULL;
        }
        if (!started && message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
            note_group_error(member, message); /* also errors of a topic: they come with partition 0 */
        if (!started || started->failure)
            continue;
        if (!message->err)
            fill_data(&records[n++], message, topic);
        else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            fill_end(&records[n++], message, topic);
        else if (fill_error(member, &records[n], message, started))
            n++;
    }
    return n;
}

static int make_room(struct member *member, size_t max, struct error *ret_error)
{
    rd_kafka_message_t **messages;

    if (max <= member->messages_capacity)
        return 0;
    messages = realloc(member->messages, max * sizeof(rd_kafka_message_t *));
    if (!messages)
        return error_set(ret_error, ERROR_BUG, "out of memory for a batch of %zu records", max);
    member->messages = messages;
    member->messages_capacity = max;
    return 0;
}

/* What is there now; rebalances and client errors are noticed on the way. */
static void fetch_now(struct member *member, size_t max)
{
    ssize_t n;

    forget_wake(member);
    rd_kafka_poll(member->rk, 0);
    n = rd_kafka_consume_batch_queue(member->queue, 0, member->messages, max);
    member->n_messages = n > 0 ? (size_t)n : 0;
    if (member->n_messages == max)
        member_wake(member); /* there may be more, and librdkafka writes only when the queue was empty */
}

static int take_trouble(struct member *member, struct error *ret_error)
{
    int class = member->trouble.class;

    if (class != 0 && ret_error)
        *ret_error = member->trouble;
    member->trouble.class = 0;
    return class;
}

int member_take(void *self, int timeout_ms, struct record *records, size_t max, size_t *ret_n, struct error *ret_error)
{
    struct member *member = self;
    int result;

    member_release(member);
    result = make_room(member, max, ret_error);
    if (result == 0)
        result = take_trouble(member, ret_error);
    if (result != 0)
        return result;
    member_watch_identity(member);
    member_end_replaced(member);
    *ret_n = member_tell_failures(member, records, max);
    if (*ret_n > 0)
        return 0;
    member->has_news = false;
    fetch_now(member, max);
    if (member->n_messages == 0 && !member->has_news && member->trouble.class == 0 && timeout_ms != 0) {
        struct pollfd wait = { .fd = member->fd, .events = POLLIN };

        if (poll(&wait, 1, timeout_ms) > 0)
            fetch_now(member, max);
    }
    *ret_n = convert(member, records);
    if (member->trouble.class == 0)
        return 0;
    if (*ret_n == 0)
        return take_trouble(member, ret_error);
    member_wake(member); /* the records first */
    return 0;
}
