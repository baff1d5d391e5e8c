/*
 * consumer - opens and closes a group member: its librdkafka client, the properties that the guarantees rest on, its queues.
 *
 * Lives in a task process, in its one thread. What a member does in between is in take.c, failure.c, rebalance.c, identity.c,
 * ends.c and facts.c.
 */
#include "kafka/consumer.h"

#include "base/clock.h"
#include "kafka/client.h"
#include "kafka/member.h"
#include "kafka/properties.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    CLOSE_SLICE_MS = 10,
    CLOSE_BATCH = 64,
    HEARTBEAT_MS = 1000, /* how late a member hears of a rebalance; those who join, or leave while they join, wait for it */
};

/* ---- Opening ---- */

/* Brokers out of reach, wrong passwords: librdkafka logs them and tries again; facts() tells the last one. */
static void on_error(rd_kafka_t *rk, int code, const char *text, void *opaque)
{
    struct member *member = opaque;
    char *detail;

    if (code == RD_KAFKA_RESP_ERR__FATAL && rk == member->rk) {
        member_note_fatal(member);
        return;
    }
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        return; /* the reason of the last of them says more */
    member->reason_code = code;
    member->is_reason_past = false;
    snprintf(member->reason, sizeof(member->reason), "%s", text);
    detail = strstr(member->reason, " (after ");
    if (detail)
        *detail = '\0'; /* "(after 0ms in state CONNECT, 1 identical error(s) suppressed)" */
}

/* Kafka's committed offsets are a courtesy to lag tools: without this callback librdkafka warns of each that does not arrive. */
static void on_commit(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque)
{
    (void)rk, (void)list, (void)opaque;
    if (code)
        client_log(7, "COMMITFAIL", rd_kafka_err2str(code));
}

static const char *assignor_name(enum assignor assignor)
{
    switch (assignor) {
    case ASSIGNOR_RANGE:
        return "range";
    case ASSIGNOR_ROUNDROBIN:
        return "roundrobin";
    default:
        return "cooperative-sticky";
    }
}

struct pair {
    const char *name;
    const char *value;
};

static int set_pairs(rd_kafka_conf_t *conf, const struct pair *pairs, size_t n, struct error *ret_error)
{
    for (size_t i = 0; i < n; i++) {
        int result = pairs[i].value ? client_set(conf, pairs[i].name, pairs[i].value, ret_error) : 0;

        if (result != 0)
            return result;
    }
    return 0;
}

/* What a user's property may replace. */
static int set_defaults(rd_kafka_conf_t *conf, const struct consumer_settings *settings, struct error *ret_error)
{
    char heartbeat[16], fetch_max[24];
    int heartbeat_ms = settings->session_timeout_ms / 3 < HEARTBEAT_MS ? settings->session_timeout_ms / 3 : HEARTBEAT_MS;
    int64_t fetch_max_bytes = settings->fetch_queue_bytes < 52428800 ? settings->fetch_queue_bytes : 52428800;
    const struct pair pairs[] = {
        { "fetch.queue.backoff.ms", "5" },
        { "queued.min.messages", "10000000" }, /* the limit in bytes decides */
        { "fetch.wait.max.ms", "100" },        /* also how late a start, seek or end mark can be on a quiet broker */
        { "fetch.max.bytes", fetch_max },
        { "enable.metrics.push", "false" },
        { "statistics.interval.ms", "0" },
        { "heartbeat.interval.ms", heartbeat },
        { "reconnect.backoff.max.ms", "2000" },
        { "topic.metadata.refresh.interval.ms", "10000" }, /* how late new topics and partitions are noticed */
        { "log.connection.close", "false" },
    };

    snprintf(heartbeat, sizeof(heartbeat), "%d", heartbeat_ms > 0 ? heartbeat_ms : 1);
    snprintf(fetch_max, sizeof(fetch_max), "%lld", (long long)(fetch_max_bytes > 1048576 ? fetch_max_bytes : 1048576));
    return set_pairs(conf, pairs, sizeof(pairs) / sizeof(pairs[0]), ret_error);
}

/* What the guarantees rest on. */
static int set_own(rd_kafka_conf_t *conf, const struct consumer_settings *settings, struct error *ret_error)
{
    char session[16], queue[24];
    int64_t queue_kbytes = settings->fetch_queue_bytes / 1024;
    const struct pair pairs[] = {
        { "bootstrap.servers", settings->bootstrap_servers },
        { "group.id", settings->group_id },
        { "group.instance.id", settings->group_instance_id },
        { "client.id", settings->client_id },
        { "partition.assignment.strategy", assignor_name(settings->assignor) },
        { "session.timeout.ms", session },
        { "queued.max.messages.kbytes", queue },
        { "enable.auto.commit", "false" },
        { "enable.auto.offset.store", "false" },
        { "auto.offset.reset", "error" },
        { "isolation.level", "read_committed" },
        { "enable.partition.eof", "true" },
        { "check.crcs", "true" },
        { "allow.auto.create.topics", "false" },
    };

    snprintf(session, sizeof(session), "%d", settings->session_timeout_ms);
    snprintf(queue, sizeof(queue), "%lld", (long long)(queue_kbytes > 0 ? queue_kbytes : 1));
    return set_pairs(conf, pairs, sizeof(pairs) / sizeof(pairs[0]), ret_error);
}

static int configure(struct member *member, const struct consumer_settings *settings, rd_kafka_conf_t *conf,
                     struct error *ret_error)
{
    int result = set_defaults(conf, settings, ret_error);

    for (size_t i = 0; result == 0 && i < settings->n_properties; i++) {
        result = property_check(settings->properties[i].name, settings->properties[i].value, ret_error);
        if (result == 0)
            result = client_set(conf, settings->properties[i].name, settings->properties[i].value, ret_error);
    }
    if (result == 0)
        result = set_own(conf, settings, ret_error);
    if (result != 0)
        return result;
    client_log_to_hook(conf);
    rd_kafka_conf_set_opaque(conf, member);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_rebalance_cb(conf, member_on_rebalance);
    rd_kafka_conf_set_offset_commit_cb(conf, on_commit);
    return 0;
}

static int subscribe(struct member *member, const struct consumer_settings *settings, struct error *ret_error)
{
    rd_kafka_resp_err_t code;

    member->subscription = rd_kafka_topic_partition_list_new((int)settings->n_topics);
    for (size_t i = 0; i < settings->n_topics; i++)
        rd_kafka_topic_partition_list_add(member->subscription, settings->topics[i], RD_KAFKA_PARTITION_UA);
    code = rd_kafka_subscribe(member->rk, member->subscription);
    if (code == RD_KAFKA_RESP_ERR__INVALID_ARG)
        return error_set(ret_error, ERROR_CONFIG, "the Kafka client refuses the topics: a name is empty or a pattern is no "
                         "regular expression");
    return client_code(code, "cannot subscribe", ret_error);
}

/* All queues wake the same descriptor: records and rebalances, the client's own errors, replies about topic ids. */
static void watch_queues(struct member *member)
{
    uint64_t one = 1;
    rd_kafka_queue_t *main_queue = rd_kafka_queue_get_main(member->rk);

    member->queue = rd_kafka_queue_get_consumer(member->rk);
    rd_kafka_queue_io_event_enable(member->queue, member->fd, &one, sizeof(one));
    member->identity_queue = rd_kafka_queue_new(member->rk);
    rd_kafka_queue_io_event_enable(member->identity_queue, member->fd, &one, sizeof(one));
    member->ends_queue = rd_kafka_queue_new(member->rk); /* nobody waits for these */
    rd_kafka_queue_io_event_enable(main_queue, member->fd, &one, sizeof(one));
    rd_kafka_queue_destroy(main_queue);
}

static struct member *member_free(struct member *member)
{
    if (!member)
        return NULL;
    member_release(member);
    if (member->queue)
        rd_kafka_queue_destroy(member->queue);
    if (member->identity_queue)
        rd_kafka_queue_destroy(member->identity_queue);
    if (member->ends_queue)
        rd_kafka_queue_destroy(member->ends_queue);
    if (member->ends)
        rd_kafka_topic_partition_list_destroy(member->ends);
    if (member->rk)
        rd_kafka_destroy_flags(member->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    if (member->subscription)
        rd_kafka_topic_partition_list_destroy(member->subscription);
    for (size_t i = 0; i < member->n_topics; i++)
        free(member->topics[i].name);
    free(member->topics);
    free(member->messages);
    free(member->pending_partitions);
    for (size_t i = 0; i < member->n_started; i++)
        member_forget_failure(member, &member->started[i]);
    member_free_spent(member);
    free(member->started);
    free(member->bootstrap_servers);
    if (member->cluster_id)
        rd_kafka_mem_free(NULL, member->cluster_id);
    if (member->fd >= 0)
        close(member->fd);
    free(member);
    return NULL;
}

static const struct consumer_operations operations = {
    .take = member_take,
    .rebalance = member_rebalance,
    .answer = member_answer,
    .start = member_start,
    .seek = member_seek,
    .pause = member_pause,
    .resume = member_resume,
    .mirror = member_mirror,
    .ends = member_ends,
    .facts = member_facts,
    .offset_at = member_offset_at,
};

int consumer_open(const struct consumer_settings *settings, struct consumer *ret_consumer, struct error *ret_error)
{
    struct member *member = NULL;
    rd_kafka_conf_t *conf = NULL;
    char text[512] = "";
    int result = client_check_version(rd_kafka_version(), ret_error);

    if (result != 0)
        goto out;
    conf = rd_kafka_conf_new();
    member = calloc(1, sizeof(*member));
    if (!member) {
        result = error_set(ret_error, ERROR_BUG, "out of memory for a consumer");
        goto out;
    }
    member->is_static = settings->group_instance_id != NULL;
    member->is_eager = settings->assignor != ASSIGNOR_COOPERATIVE_STICKY;
    member->bootstrap_servers = strdup(settings->bootstrap_servers);
    member->broker = -1;
    member->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!member->bootstrap_servers || member->fd < 0) {
        result = error_set(ret_error, ERROR_BUG, "cannot make a consumer: %s", strerror(errno));
        goto out;
    }
    result = configure(member, settings, conf, ret_error);
    if (result != 0)
        goto out;
    member->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
    if (!member->rk) {
        result = error_set(ret_error, ERROR_CONFIG, "the Kafka client does not start: %s", text);
        goto out;
    }
    conf = NULL; /* the client's now */
    watch_queues(member);
    result = settings->n_topics == 0 ? 0 : subscribe(member, settings, ret_error);
    if (result != 0)
        goto out;
    *ret_consumer = (struct consumer){ .operations = &operations, .self = member };
    member = NULL;
out:
    if (conf)
        rd_kafka_conf_destroy(conf);
    member_free(member);
    return result;
}

/* ---- Closing ---- */

static int64_t monotonic_ms(void)
{
    return clock_system.monotonic_us(clock_system.self) / 1000;
}

/*
 * Serves what stands in the queue of a client that leaves: a rebalance is answered in its callback, records are thrown away. (Not by
 * rd_kafka_queue_poll_callback(): it has no place to put a record, and aborts.)
 */
static void serve_leaving(rd_kafka_queue_t *queue)
{
    rd_kafka_message_t *messages[CLOSE_BATCH];
    ssize_t n = rd_kafka_consume_batch_queue(queue, CLOSE_SLICE_MS, messages, CLOSE_BATCH);

    for (ssize_t i = 0; i < n; i++)
        rd_kafka_message_destroy(messages[i]);
}

/*
 * librdkafka's close (2.14) forgets to leave the group where a member of a cooperative group has no partition: the others then wait
 * for it until its session ends. Unsubscribing first leaves. Static members stay in the group (KIP-345), which close() knows.
 */
static void leave_empty_handed(struct member *member, int64_t deadline_ms)
{
    rd_kafka_topic_partition_list_t *left = NULL;
    bool is_subscribed = member->n_started == 0 && !member->is_eager && !member->is_static && member->subscription;

    if (!is_subscribed || rd_kafka_unsubscribe(member->rk) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    while (is_subscribed && monotonic_ms() < deadline_ms) { /* put off by the client while a rebalance is under way */
        if (rd_kafka_subscription(member->rk, &left) != RD_KAFKA_RESP_ERR_NO_ERROR)
            return;
        is_subscribed = left->cnt > 0;
        rd_kafka_topic_partition_list_destroy(left);
        if (is_subscribed)
            serve_leaving(member->queue);
    }
}

/* Gives the partitions back and leaves; every rebalance on the way is answered in its callback. False: not within the time. */
static bool leave(struct member *member, int timeout_ms)
{
    int64_t deadline_ms = monotonic_ms() + timeout_ms;
    rd_kafka_queue_t *queue;
    rd_kafka_error_t *error;
    bool is_closed;

    member->is_closing = true;
    if (member->pending != REBALANCE_NONE && member_answer(member, NULL) != 0)
        return true; /* a fatal client: the destructor ends it */
    leave_empty_handed(member, deadline_ms - timeout_ms / 2); /* the other half is for closing */
    queue = rd_kafka_queue_new(member->rk);
    error = rd_kafka_consumer_close_queue(member->rk, queue);
    if (error)
        rd_kafka_error_destroy(error); /* closed already */
    else
        while (!rd_kafka_consumer_closed(member->rk) && monotonic_ms() < deadline_ms)
            serve_leaving(queue);
    is_closed = error || rd_kafka_consumer_closed(member->rk);
    rd_kafka_queue_destroy(queue);
    return is_closed || !member->subscription; /* in no group: the destructor waits for nobody */
}

bool consumer_close(struct consumer *consumer, int timeout_ms)
{
    struct member *member = consumer->self;
    bool has_ended;

    if (!member)
        return true;
    member_release(member);
    has_ended = leave(member, timeout_ms);
    if (has_ended)
        member_free(member); /* otherwise this would wait for the broker's answers, and its callbacks still use the member */
    *consumer = (struct consumer){ 0 };
    return has_ended;
}

int consumer_fd(const struct consumer *consumer)
{
    const struct member *member = consumer->self;

    return member->fd;
}
