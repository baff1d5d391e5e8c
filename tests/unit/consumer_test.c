/*
 * consumer_test - src/kafka/consumer.h against librdkafka's mock cluster, which the tests make themselves so that they can inject
 * broker errors. Waits are always for an event with a deadline.
 */
#include "base/clock.h"
#include "kafka/consumer.h"
#include "kafka/member.h"
#include "kafka/properties.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h> /* after plugin.h: its fail() is a macro */

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-qualifiers"
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#pragma GCC diagnostic pop

enum { DEADLINE_MS = 15000, QUIET_MS = 250, BATCH = 64, MAX_KEPT = 4096 };

static rd_kafka_t *producer;
static rd_kafka_mock_cluster_t *cluster;
static int n_groups;

static int64_t now_ms(void)
{
    return clock_system.monotonic_us(clock_system.self) / 1000;
}

/* ---- The client library ---- */

int __real_rd_kafka_version(void);
int __wrap_rd_kafka_version(void);

static int found_version; /* 0: the one that is there */

int __wrap_rd_kafka_version(void)
{
    return found_version ? found_version : __real_rd_kafka_version();
}

/* ---- The broker ---- */

static int start_cluster(void **state)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[256];

    (void)state;
    assert_int_equal(rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", text, sizeof(text)), RD_KAFKA_CONF_OK);
    assert_int_equal(rd_kafka_conf_set(conf, "log_level", "0", text, sizeof(text)), RD_KAFKA_CONF_OK);
    producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    assert_non_null(producer);
    cluster = rd_kafka_handle_mock_cluster(producer);
    rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0);
    return 0;
}

static int stop_cluster(void **state)
{
    (void)state;
    rd_kafka_destroy(producer);
    return 0;
}

static void make_topic(const char *topic, int n_partitions)
{
    assert_int_equal(rd_kafka_mock_topic_create(cluster, topic, n_partitions, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void produce(const char *topic, int partition, int n)
{
    for (int i = 0; i < n; i++) {
        char value[32];
        int size = snprintf(value, sizeof(value), "%d", i);

        assert_int_equal(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                                           RD_KAFKA_V_KEY("k", 1), RD_KAFKA_V_VALUE(value, (size_t)size),
                                           RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
                         RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    assert_int_equal(rd_kafka_flush(producer, DEADLINE_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* ---- A member and what it has seen ---- */

struct seen {
    struct consumer consumer;
    int n_data, n_ends, n_errors;
    int n_of[8];        /* data per partition */
    int64_t next_of[8]; /* the offset that must come next; -1: anything */
    int64_t end_of[8];  /* the last end mark */
    char error_text[ERROR_TEXT_SIZE];
    enum record_error record_error;
    int64_t error_offset;
    struct error error; /* the last one of take() */
    const char *topic;
};

static const struct consumer_property often = { "heartbeat.interval.ms", "100" };

static struct consumer_settings settings_for(const char *const *topics, const char *group, enum assignor assignor)
{
    return (struct consumer_settings){
        .bootstrap_servers = rd_kafka_mock_cluster_bootstraps(cluster), .group_id = group, .client_id = "test", .topics = topics,
        .n_topics = 1, .assignor = assignor, .session_timeout_ms = 1600, /* the mock waits a second less for members to join */
        .properties = &often, .n_properties = 1, .fetch_queue_bytes = 1 << 20,
    };
}

static void open_member(struct seen *seen, const char *topic, const char *group, enum assignor assignor)
{
    const char *topics[] = { topic };
    struct consumer_settings settings = settings_for(topics, group, assignor);
    struct error error = { 0 };

    memset(seen, 0, sizeof(*seen));
    for (int i = 0; i < 8; i++)
        seen->next_of[i] = seen->end_of[i] = -1;
    if (consumer_open(&settings, &seen->consumer, &error) != 0)
        fail_msg("%s", error.text);
}

static const char *new_group(void)
{
    static char name[32];

    snprintf(name, sizeof(name), "group-%d", n_groups++);
    return name;
}

static void look_at(struct seen *seen, const struct record *record)
{
    int p = record->partition;

    if (seen->topic)
        assert_ptr_equal(seen->topic, record->topic);
    seen->topic = record->topic;
    switch (record->kind) {
    case RECORD_DATA:
        if (seen->next_of[p] >= 0)
            assert_int_equal(record->offset, seen->next_of[p]);
        seen->next_of[p] = record->offset + 1;
        seen->n_of[p]++;
        seen->n_data++;
        break;
    case RECORD_END:
        seen->end_of[p] = record->offset;
        seen->n_ends++;
        break;
    case RECORD_ERROR:
        snprintf(seen->error_text, sizeof(seen->error_text), "%s", record->error_text);
        seen->record_error = record->error;
        seen->error_offset = record->offset;
        seen->n_errors++;
        break;
    }
}

static size_t take(struct seen *seen, int timeout_ms)
{
    struct record records[BATCH];
    struct error error = { 0 };
    size_t n = 0;

    if (seen->consumer.operations->take(seen->consumer.self, timeout_ms, records, BATCH, &n, &error) != 0) {
        seen->error = error;
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        look_at(seen, &records[i]);
    return n;
}

#define TAKE_UNTIL(seen, condition)                              \
    do {                                                         \
        int64_t deadline_ms_ = now_ms() + DEADLINE_MS;           \
        while (!(condition)) {                                   \
            if (now_ms() > deadline_ms_)                         \
                fail_msg("never came: %s", #condition);          \
            take(seen, 20);                                      \
        }                                                        \
    } while (0)

static void take_for(struct seen *seen, int ms)
{
    int64_t until_ms = now_ms() + ms;

    while (now_ms() < until_ms)
        take(seen, (int)(until_ms - now_ms()));
}

static enum rebalance_kind pending(const struct seen *seen)
{
    return seen->consumer.operations->rebalance(seen->consumer.self).kind;
}

static size_t pending_partitions(const struct seen *seen)
{
    return seen->consumer.operations->rebalance(seen->consumer.self).n_partitions;
}

static void answer(struct seen *seen)
{
    struct error error = { 0 };

    if (seen->consumer.operations->answer(seen->consumer.self, &error) != 0)
        fail_msg("%s", error.text);
}

static void start(struct seen *seen, const struct partition_offset *partitions, size_t n)
{
    struct error error = { 0 };

    for (size_t i = 0; i < n; i++)
        seen->next_of[partitions[i].partition] = partitions[i].offset;
    if (seen->consumer.operations->start(seen->consumer.self, partitions, n, &error) != 0)
        fail_msg("%s", error.text);
}

/* Waits for an assignment of n partitions, accepts it and starts them all at 0. */
static void join(struct seen *seen, const char *topic, size_t n)
{
    struct partition_offset partitions[8];

    TAKE_UNTIL(seen, pending(seen) == REBALANCE_ASSIGN);
    assert_int_equal(pending_partitions(seen), n);
    for (size_t i = 0; i < n; i++)
        partitions[i] = (struct partition_offset){
            topic, seen->consumer.operations->rebalance(seen->consumer.self).partitions[i].partition, -1, 0
        };
    answer(seen);
    assert_int_equal(pending(seen), REBALANCE_NONE);
    start(seen, partitions, n);
}

/* ---- Tests ---- */

static void records_come_in_order_with_end_marks(void **state)
{
    struct seen seen;

    (void)state;
    make_topic("order", 2);
    produce("order", 0, 500);
    produce("order", 1, 300);
    open_member(&seen, "order", new_group(), ASSIGNOR_COOPERATIVE_STICKY);
    join(&seen, "order", 2);
    TAKE_UNTIL(&seen, seen.end_of[0] == 500 && seen.end_of[1] == 300);
    assert_int_equal(seen.n_of[0], 500);
    assert_int_equal(seen.n_of[1], 300);
    assert_int_equal(seen.error.class, 0);
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
}

static void nothing_flows_before_start(void **state)
{
    static const enum assignor assignors[] = { ASSIGNOR_COOPERATIVE_STICKY, ASSIGNOR_RANGE };

    (void)state;
    make_topic("waiting", 1);
    produce("waiting", 0, 10);
    for (size_t i = 0; i < 2; i++) {
        struct seen seen;

        open_member(&seen, "waiting", new_group(), assignors[i]);
        TAKE_UNTIL(&seen, pending(&seen) == REBALANCE_ASSIGN);
        take_for(&seen, QUIET_MS);
        assert_int_equal(pending(&seen), REBALANCE_ASSIGN);
        answer(&seen);
        take_for(&seen, QUIET_MS);
        assert_int_equal(seen.n_data + seen.n_ends + seen.n_errors, 0);
        start(&seen, &(struct partition_offset){ "waiting", 0, -1, 4 }, 1);
        TAKE_UNTIL(&seen, seen.n_ends > 0);
        assert_int_equal(seen.n_data, 6);
        assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
    }
}

static void check_headers(const struct record *record)
{
    struct rs_bytes value = { NULL, 0 };

    assert_true(record->find_header(record, "type", &value));
    assert_int_equal(value.size, 3);
    assert_memory_equal(value.data, "new", 3);
    assert_true(record->find_header(record, "none", &value));
    assert_null(value.data);
    assert_false(record->find_header(record, "other", &value));
}

static void check_bytes(const struct record *record)
{
    struct rs_bytes value = { NULL, 0 };

    assert_int_equal(record->kind, RECORD_DATA);
    switch (record->offset) {
    case 0:
        assert_int_equal(record->timestamp_ms, 1234567890123);
        assert_int_equal(record->key_size, 3);
        assert_memory_equal(record->key, "key", 3);
        assert_int_equal(record->value_size, 5);
        assert_memory_equal(record->value, "value", 5);
        check_headers(record);
        break;
    case 1:
        assert_int_equal(record->key_size, 4);
        assert_null(record->value);
        assert_false(record->find_header(record, "type", &value));
        break;
    default:
        assert_null(record->key);
        assert_non_null(record->value);
        assert_int_equal(record->value_size, 0);
    }
}

static void bytes_and_headers_are_as_written(void **state)
{
    struct error error = { 0 };
    struct record record;
    struct seen seen;
    size_t n = 0;

    (void)state;
    make_topic("bytes", 1);
    rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("bytes"), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_KEY("key", 3),
                      RD_KAFKA_V_VALUE("value", 5), RD_KAFKA_V_TIMESTAMP(1234567890123), RD_KAFKA_V_HEADER("type", "old", 3),
                      RD_KAFKA_V_HEADER("type", "new", 3), RD_KAFKA_V_HEADER("none", NULL, 0), RD_KAFKA_V_END);
    rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("bytes"), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_KEY("gone", 4), RD_KAFKA_V_END);
    rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("bytes"), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_VALUE("", 0), RD_KAFKA_V_END);
    assert_int_equal(rd_kafka_flush(producer, DEADLINE_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
    open_member(&seen, "bytes", new_group(), ASSIGNOR_RANGE);
    join(&seen, "bytes", 1);
    for (int i = 0; i < 3; i++) {
        int64_t until_ms = now_ms() + DEADLINE_MS;

        do {
            assert_true(now_ms() < until_ms);
            assert_int_equal(seen.consumer.operations->take(seen.consumer.self, 100, &record, 1, &n, &error), 0);
        } while (n == 0);
        assert_int_equal(record.offset, i);
        check_bytes(&record);
    }
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
}

static void seek_forgets_what_was_fetched(void **state)
{
    static const int64_t places[] = { 10, 990, 0, 500 };
    struct error error = { 0 };
    struct seen seen;

    (void)state;
    make_topic("seek", 1);
    produce("seek", 0, 1000);
    open_member(&seen, "seek", new_group(), ASSIGNOR_COOPERATIVE_STICKY);
    join(&seen, "seek", 1);
    TAKE_UNTIL(&seen, seen.n_data > 0);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct partition_offset place = { "seek", 0, -1, places[i] };

        assert_int_equal(seen.consumer.operations->seek(seen.consumer.self, &place, 1, &error), 0);
        seen.next_of[0] = places[i]; /* look_at() refuses any other */
        seen.n_data = 0;
        TAKE_UNTIL(&seen, seen.n_data > 0);
    }
    seen.end_of[0] = -1;
    TAKE_UNTIL(&seen, seen.end_of[0] == 1000);
    assert_int_equal(seen.n_data, 500);
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
}

static void pause_holds_one_partition(void **state)
{
    struct partition_offset place = { "pause", 0, -1, 0 };
    struct error error = { 0 };
    struct seen seen;

    (void)state;
    make_topic("pause", 2);
    open_member(&seen, "pause", new_group(), ASSIGNOR_RANGE);
    join(&seen, "pause", 2);
    TAKE_UNTIL(&seen, seen.end_of[0] == 0 && seen.end_of[1] == 0);
    assert_int_equal(seen.consumer.operations->pause(seen.consumer.self, &place, 1, &error), 0);
    produce("pause", 0, 5);
    produce("pause", 1, 5);
    TAKE_UNTIL(&seen, seen.end_of[1] == 5);
    take_for(&seen, QUIET_MS);
    assert_int_equal(seen.n_of[0], 0);
    assert_int_equal(seen.consumer.operations->resume(seen.consumer.self, &place, 1, &error), 0);
    TAKE_UNTIL(&seen, seen.n_of[0] == 5);
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
}

/* Answers what is pending at once and starts what comes at offset 50. */
static void follow(struct seen *seen, const char *topic, size_t *n_held)
{
    struct rebalance rebalance = seen->consumer.operations->rebalance(seen->consumer.self);
    size_t n = rebalance.n_partitions;
    struct partition_offset partitions[4];

    for (size_t i = 0; i < n; i++)
        partitions[i] = (struct partition_offset){ topic, rebalance.partitions[i].partition, -1, 50 };
    if (rebalance.kind != REBALANCE_NONE)
        answer(seen);
    *n_held = rebalance.kind == REBALANCE_ASSIGN ? *n_held + n : *n_held - n;
    if (rebalance.kind == REBALANCE_ASSIGN && n > 0)
        start(seen, partitions, n);
    take(seen, 20);
}

/* Two members share a topic; the first gives up what the second gets, late, and delivers nothing of it afterwards. */
static void share(enum assignor assignor, const char *topic)
{
    size_t n_revoked = assignor == ASSIGNOR_COOPERATIVE_STICKY ? 2 : 4;
    size_t n_held[2] = { 4, 0 };
    struct seen first, second;
    char group[32];

    make_topic(topic, 4);
    for (int p = 0; p < 4; p++)
        produce(topic, p, 50);
    snprintf(group, sizeof(group), "%s", new_group());
    open_member(&first, topic, group, assignor);
    join(&first, topic, 4);
    TAKE_UNTIL(&first, first.n_data == 200);

    open_member(&second, topic, group, assignor);
    TAKE_UNTIL(&first, (take(&second, 0), pending(&first) == REBALANCE_REVOKE));
    assert_int_equal(pending_partitions(&first), n_revoked);
    take_for(&first, QUIET_MS);
    assert_int_equal(pending_partitions(&second), 0); /* it waits for the answer */
    n_held[0] -= n_revoked;
    answer(&first);
    first.n_data = 0;

    /* Assignments may come in steps, and the first member may be alone once more in between. */
    for (int64_t until_ms = now_ms() + DEADLINE_MS; n_held[0] != 2 || n_held[1] != 2;) {
        assert_true(now_ms() < until_ms);
        follow(&first, topic, &n_held[0]);
        follow(&second, topic, &n_held[1]);
    }
    for (int p = 0; p < 4; p++)
        produce(topic, p, 1);
    for (int64_t until_ms = now_ms() + DEADLINE_MS; first.n_data < 2 || second.n_data < 2;) {
        assert_true(now_ms() < until_ms);
        follow(&first, topic, &n_held[0]); /* an empty assignment may still come, and holds everything until it is answered */
        follow(&second, topic, &n_held[1]);
    }
    take_for(&first, QUIET_MS);
    assert_int_equal(first.n_data, 2);
    assert_int_equal(second.n_data, 2);
    assert_true(consumer_close(&second.consumer, DEADLINE_MS));
    TAKE_UNTIL(&first, pending(&first) != REBALANCE_NONE);
    assert_true(consumer_close(&first.consumer, DEADLINE_MS));
}

static void two_members_share_cooperatively(void **state)
{
    (void)state;
    share(ASSIGNOR_COOPERATIVE_STICKY, "shared-cooperative");
}

static void two_members_share_eagerly(void **state)
{
    (void)state;
    share(ASSIGNOR_RANGE, "shared-eager");
}

static void a_member_that_the_group_forgot_has_lost_its_partitions(void **state)
{
    struct seen seen;

    (void)state;
    make_topic("lost", 1);
    open_member(&seen, "lost", new_group(), ASSIGNOR_COOPERATIVE_STICKY);
    join(&seen, "lost", 1);
    TAKE_UNTIL(&seen, seen.n_ends > 0);
    rd_kafka_mock_push_request_errors(cluster, 12 /* Heartbeat */, 1, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID);
    TAKE_UNTIL(&seen, pending(&seen) != REBALANCE_NONE);
    assert_int_equal(pending(&seen), REBALANCE_LOST);
    assert_int_equal(pending_partitions(&seen), 1);
    answer(&seen);
    produce("lost", 0, 3);
    join(&seen, "lost", 1);
    TAKE_UNTIL(&seen, seen.n_data == 3);
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
}

static void an_offset_out_of_range_ends_its_partition_only(void **state)
{
    struct partition_offset places[] = { { "range", 0, -1, 1000 }, { "range", 1, -1, 0 } };
    struct seen seen;

    (void)state;
    make_topic("range", 2);
    produce("range", 0, 10);
    produce("range", 1, 10);
    open_member(&seen, "range", new_group(), ASSIGNOR_RANGE);
    TAKE_UNTIL(&seen, pending(&seen) == REBALANCE_ASSIGN);
    answer(&seen);
    start(&seen, places, 2);
    TAKE_UNTIL(&seen, seen.n_errors > 0 && seen.n_of[1] == 10);
    take_for(&seen, QUIET_MS);
    assert_int_equal(seen.n_errors, 1);
    assert_int_equal(seen.n_of[0], 0);
    assert_non_null(strstr(seen.error_text, "out of range"));
    assert_int_equal(seen.record_error, RECORD_ERROR_RANGE);
    assert_string_equal(record_error_name(seen.record_error), "range");
    assert_int_equal(seen.error_offset, 1000);
    assert_non_null(strstr(seen.error_text, "offset 1000: "));
    assert_non_null(strstr(seen.error_text, "--accept-loss")); /* the way out */
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
}

static bool is_readable(const struct seen *seen, int timeout_ms)
{
    struct pollfd wait = { .fd = consumer_fd(&seen->consumer), .events = POLLIN };

    return poll(&wait, 1, timeout_ms) == 1;
}

/* Who took the error may have had to throw it away, with all records in hand. */
static void an_error_is_told_again_after_a_seek(void **state)
{
    struct partition_offset place = { "again", 0, -1, 1000 };
    struct error error = { 0 };
    struct seen seen;
    char text[ERROR_TEXT_SIZE];

    (void)state;
    make_topic("again", 1);
    produce("again", 0, 10);
    open_member(&seen, "again", new_group(), ASSIGNOR_COOPERATIVE_STICKY);
    TAKE_UNTIL(&seen, pending(&seen) == REBALANCE_ASSIGN);
    answer(&seen);
    start(&seen, &place, 1);
    TAKE_UNTIL(&seen, seen.n_errors == 1);
    snprintf(text, sizeof(text), "%s", seen.error_text);
    for (int n = 2; n <= 3; n++) {
        TAKE_UNTIL(&seen, !is_readable(&seen, QUIET_MS));
        place.offset = 0; /* also when the log has this one */
        assert_int_equal(seen.consumer.operations->seek(seen.consumer.self, &place, 1, &error), 0);
        assert_true(is_readable(&seen, DEADLINE_MS));
        TAKE_UNTIL(&seen, seen.n_errors == n);
        take_for(&seen, QUIET_MS);
        assert_int_equal(seen.n_errors, n);
        assert_string_equal(seen.error_text, text);
        assert_int_equal(seen.record_error, RECORD_ERROR_RANGE);
        assert_int_equal(seen.error_offset, 1000);
        assert_int_equal(seen.n_data, 0);
    }
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
}

/* The error in hand outlives its partition, until the next take(). */
static void an_error_in_hand_outlives_its_partition(void **state)
{
    struct partition_offset place = { "outlived", 0, -1, 1000 };
    struct record record = { 0 };
    struct error error = { 0 };
    struct seen seen;
    size_t n = 0;

    (void)state;
    make_topic("outlived", 1);
    open_member(&seen, "outlived", new_group(), ASSIGNOR_COOPERATIVE_STICKY);
    TAKE_UNTIL(&seen, pending(&seen) == REBALANCE_ASSIGN);
    answer(&seen);
    start(&seen, &place, 1);
    for (int64_t until_ms = now_ms() + DEADLINE_MS; n == 0;) {
        assert_true(now_ms() < until_ms);
        assert_int_equal(seen.consumer.operations->take(seen.consumer.self, 20, &record, 1, &n, &error), 0);
    }
    assert_int_equal(record.kind, RECORD_ERROR);
    member_on_rebalance(((struct member *)seen.consumer.self)->rk, RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS,
                        ((struct member *)seen.consumer.self)->subscription, seen.consumer.self);
    ((struct member *)seen.consumer.self)->pending_partitions[0].partition = 0;
    answer(&seen);
    assert_non_null(strstr(record.error_text, "offset 1000: "));
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
}

static void what_cannot_be_read_is_told_as_such(void **state)
{
    static const struct {
        rd_kafka_resp_err_t code;
        const char *way_out;
    } cases[] = {
        { RD_KAFKA_RESP_ERR_INVALID_MSG, "positions ... skip" },
        { RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "fetch_message_max_bytes" },
    };

    (void)state;
    make_topic("unreadable", 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct seen seen;

        open_member(&seen, "unreadable", new_group(), ASSIGNOR_RANGE);
        join(&seen, "unreadable", 1);
        TAKE_UNTIL(&seen, seen.n_ends > 0);
        rd_kafka_mock_push_request_errors(cluster, 1 /* Fetch */, 1, cases[i].code);
        TAKE_UNTIL(&seen, seen.n_errors > 0);
        assert_int_equal(seen.record_error, RECORD_ERROR_CORRUPT);
        assert_string_equal(record_error_name(seen.record_error), "corrupt");
        assert_non_null(strstr(seen.error_text, "offset 0: "));
        assert_non_null(strstr(seen.error_text, cases[i].way_out));
        assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
    }
}

static void a_topic_that_is_gone_is_a_matter_of_identity(void **state)
{
    const char *topics[] = { "gone" };
    struct consumer_settings settings = settings_for(topics, new_group(), ASSIGNOR_RANGE);
    const struct consumer_property properties[] = { often, { "topic.metadata.refresh.interval.ms", "200" } };
    struct error error = { 0 };
    struct seen seen;

    (void)state;
    make_topic("gone", 1);
    memset(&seen, 0, sizeof(seen));
    settings.properties = properties;
    settings.n_properties = 2;
    assert_int_equal(consumer_open(&settings, &seen.consumer, &error), 0);
    join(&seen, "gone", 1);
    TAKE_UNTIL(&seen, seen.n_ends > 0);
    rd_kafka_mock_topic_set_error(cluster, "gone", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    TAKE_UNTIL(&seen, seen.n_errors > 0);
    rd_kafka_mock_topic_set_error(cluster, "gone", RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(seen.record_error, RECORD_ERROR_IDENTITY);
    assert_string_equal(record_error_name(seen.record_error), "identity");
    assert_int_equal(seen.error_offset, -1);
    assert_non_null(strstr(seen.error_text, "resume"));
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
}

/* The client has stopped fetching, and nobody has taken the error yet. */
static void a_seek_that_comes_too_early_says_so(void **state)
{
    struct partition_offset place = { "early", 0, -1, 1000 };
    struct error error = { 0 };
    struct seen seen;

    (void)state;
    make_topic("early", 1);
    open_member(&seen, "early", new_group(), ASSIGNOR_COOPERATIVE_STICKY);
    TAKE_UNTIL(&seen, pending(&seen) == REBALANCE_ASSIGN);
    answer(&seen);
    start(&seen, &place, 1);
    for (int64_t until_ms = now_ms() + DEADLINE_MS; error.class == 0;) {
        uint64_t count;
        int result;

        assert_true(now_ms() < until_ms);
        if (is_readable(&seen, DEADLINE_MS)) /* the error, or something before it */
            assert_int_equal(read(consumer_fd(&seen.consumer), &count, sizeof(count)), sizeof(count));
        result = seen.consumer.operations->seek(seen.consumer.self, &place, 1, &error);
        assert_int_equal(result, error.class);
    }
    assert_int_equal(error.class, ERROR_TRANSIENT);
    assert_non_null(strstr(error.text, "offset 1000 of early[0]"));
    assert_non_null(strstr(error.text, "tried again"));
    TAKE_UNTIL(&seen, seen.n_errors == 1);
    assert_int_equal(seen.consumer.operations->seek(seen.consumer.self, &place, 1, &error), 0); /* it has ended */
    TAKE_UNTIL(&seen, seen.n_errors == 2);
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
}

/* A revocation comes between, or the topic goes: no reason to fail. */
static void what_is_not_started_is_passed_over(void **state)
{
    struct partition_offset places[] = { { "passed", 0, -1, 0 }, { "passed", 1, -1, 0 }, { "no-such-topic", 0, -1, 0 } };
    struct error error = { 0 };
    struct seen seen;

    (void)state;
    make_topic("passed", 2);
    produce("passed", 0, 5);
    open_member(&seen, "passed", new_group(), ASSIGNOR_COOPERATIVE_STICKY);
    TAKE_UNTIL(&seen, pending(&seen) == REBALANCE_ASSIGN);
    answer(&seen);
    start(&seen, places, 1);
    TAKE_UNTIL(&seen, seen.end_of[0] == 5);
    if (seen.consumer.operations->pause(seen.consumer.self, places, 3, &error) != 0 ||
        seen.consumer.operations->seek(seen.consumer.self, places, 3, &error) != 0 ||
        seen.consumer.operations->resume(seen.consumer.self, places, 3, &error) != 0)
        fail_msg("%s", error.text);
    seen.next_of[0] = 0;
    TAKE_UNTIL(&seen, seen.n_of[0] == 10);
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
}

/* What is on its way back to the group is nobody's to hear of. */
static void what_is_being_revoked_is_passed_over(void **state)
{
    struct partition_offset place = { "going", 0, -1, 1000 };
    struct error error = { 0 };
    struct seen seen;

    (void)state;
    make_topic("going", 1);
    open_member(&seen, "going", new_group(), ASSIGNOR_COOPERATIVE_STICKY);
    TAKE_UNTIL(&seen, pending(&seen) == REBALANCE_ASSIGN);
    answer(&seen);
    start(&seen, &place, 1);
    TAKE_UNTIL(&seen, seen.n_errors == 1);
    rd_kafka_mock_push_request_errors(cluster, 12 /* Heartbeat */, 1, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID);
    TAKE_UNTIL(&seen, pending(&seen) == REBALANCE_LOST);
    if (seen.consumer.operations->pause(seen.consumer.self, &place, 1, &error) != 0 ||
        seen.consumer.operations->seek(seen.consumer.self, &place, 1, &error) != 0 ||
        seen.consumer.operations->resume(seen.consumer.self, &place, 1, &error) != 0)
        fail_msg("%s", error.text);
    take(&seen, 0);
    assert_int_equal(seen.n_errors, 1);
    answer(&seen);
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
}

static void the_descriptor_tells_when_to_take(void **state)
{
    struct record record;
    struct error error = { 0 };
    struct seen seen;
    size_t n = 0;

    (void)state;
    make_topic("fd", 1);
    open_member(&seen, "fd", new_group(), ASSIGNOR_COOPERATIVE_STICKY);
    assert_true(is_readable(&seen, DEADLINE_MS)); /* the assignment */
    join(&seen, "fd", 1);
    TAKE_UNTIL(&seen, seen.n_ends > 0);
    TAKE_UNTIL(&seen, !is_readable(&seen, QUIET_MS));

    produce("fd", 0, 3);
    for (int i = 0; i < 3; i++) {
        do {
            assert_true(is_readable(&seen, DEADLINE_MS)); /* also when the last take() left something */
            assert_int_equal(seen.consumer.operations->take(seen.consumer.self, 0, &record, 1, &n, &error), 0);
        } while (n == 0 || record.kind != RECORD_DATA);
        assert_int_equal(record.offset, i);
    }
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
}

static void closing_answers_what_is_pending(void **state)
{
    static const enum assignor assignors[] = { ASSIGNOR_COOPERATIVE_STICKY, ASSIGNOR_RANGE };

    (void)state;
    make_topic("closing", 2);
    for (size_t i = 0; i < 2; i++) {
        int64_t begin_ms;
        struct seen seen;

        open_member(&seen, "closing", new_group(), assignors[i]);
        TAKE_UNTIL(&seen, pending(&seen) == REBALANCE_ASSIGN);
        begin_ms = now_ms();
        assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
        assert_true(now_ms() - begin_ms < DEADLINE_MS / 2);

        open_member(&seen, "closing", new_group(), assignors[i]);
        join(&seen, "closing", 2);
        begin_ms = now_ms();
        assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
        assert_true(now_ms() - begin_ms < DEADLINE_MS / 2);
        assert_null(seen.consumer.self);
    }
}

static void facts_tell_identity_and_bounds(void **state)
{
    struct partition_facts facts[] = { { .topic = "facts", .partition = 0 }, { .topic = "facts", .partition = 2 } };
    struct partition_facts missing = { .topic = "no-such-topic" };
    struct partition_facts beyond = { .topic = "facts", .partition = 7 };
    const char *cluster_id = NULL;
    const char *again = NULL;
    struct error error = { 0 };
    struct seen seen;
    int64_t offset = -1;

    (void)state;
    make_topic("facts", 3);
    produce("facts", 2, 7);
    open_member(&seen, "facts", new_group(), ASSIGNOR_RANGE);
    if (seen.consumer.operations->facts(seen.consumer.self, facts, 2, DEADLINE_MS, &cluster_id, &error) != 0)
        fail_msg("%s", error.text);
    assert_non_null(cluster_id);
    assert_int_equal(facts[0].n_partitions, 3);
    assert_int_equal(facts[0].low, 0);
    assert_int_equal(facts[0].high, 0);
    assert_int_equal(facts[1].high, 7);
    assert_int_equal(seen.consumer.operations->facts(seen.consumer.self, facts, 2, DEADLINE_MS, &again, &error), 0);
    assert_ptr_equal(cluster_id, again);

    assert_int_equal(seen.consumer.operations->facts(seen.consumer.self, &missing, 1, DEADLINE_MS, &again, &error), ERROR_CONFIG);
    assert_non_null(strstr(error.text, "no-such-topic"));
    assert_int_equal(seen.consumer.operations->facts(seen.consumer.self, &beyond, 1, DEADLINE_MS, &again, &error), ERROR_CONFIG);
    assert_non_null(strstr(error.text, "partition 7"));

    assert_int_equal(
        seen.consumer.operations->offset_at(seen.consumer.self, "facts", 2, INT64_MAX / 2, DEADLINE_MS, &offset, &error), 0);
    assert_int_equal(offset, 7);
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
}

static void a_broker_that_is_away_is_named_in_time(void **state)
{
    const char *topics[] = { "any" };
    struct consumer_settings settings = settings_for(topics, "away", ASSIGNOR_RANGE);
    struct partition_facts facts = { .topic = "any" };
    struct consumer consumer;
    struct error error = { 0 };
    const char *cluster_id;
    int64_t begin_ms;

    (void)state;
    settings.bootstrap_servers = "127.0.0.1:1";
    assert_int_equal(consumer_open(&settings, &consumer, &error), 0);
    begin_ms = now_ms();
    assert_int_equal(consumer.operations->facts(consumer.self, &facts, 1, 700, &cluster_id, &error), ERROR_TRANSIENT);
    assert_true(now_ms() - begin_ms < 4000);
    assert_non_null(strstr(error.text, "127.0.0.1:1"));
    assert_non_null(strstr(error.text, "refused"));
    begin_ms = now_ms();
    assert_true(consumer_close(&consumer, 1000));
    assert_true(now_ms() - begin_ms < 4000);
}

/* A broker of which the client once complained, and that answers slowly now. */
static void old_complaints_decide_nothing(void **state)
{
    struct partition_facts facts = { .topic = "complaints" };
    const char *cluster_id = NULL;
    struct error error = { 0 };
    struct member *member;
    struct seen seen;
    int64_t offset = -1;
    int result;

    (void)state;
    make_topic("complaints", 1);
    open_member(&seen, "complaints", new_group(), ASSIGNOR_RANGE);
    join(&seen, "complaints", 1);
    TAKE_UNTIL(&seen, seen.n_ends > 0);
    member = seen.consumer.self;
    member->reason_code = RD_KAFKA_RESP_ERR__SSL;
    snprintf(member->reason, sizeof(member->reason), "the handshake was cut");
    rd_kafka_mock_broker_set_rtt(cluster, 1, 500); /* longer than the first wait */
    result = seen.consumer.operations->facts(seen.consumer.self, &facts, 1, DEADLINE_MS, &cluster_id, &error);
    rd_kafka_mock_broker_set_rtt(cluster, 1, 0);
    if (result != 0)
        fail_msg("%s", error.text);

    member->reason_code = RD_KAFKA_RESP_ERR__SSL;
    snprintf(member->reason, sizeof(member->reason), "the handshake was cut");
    rd_kafka_mock_broker_set_rtt(cluster, 1, 5000);
    result = seen.consumer.operations->offset_at(seen.consumer.self, "complaints", 0, INT64_MAX / 2, 300, &offset, &error);
    rd_kafka_mock_broker_set_rtt(cluster, 1, 0);
    assert_int_equal(result, ERROR_TRANSIENT);
    assert_non_null(strstr(error.text, "earlier trouble: the handshake was cut"));
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
}

/* Old brokers and some proxies tell no topic ids. */
static void no_topic_id_is_no_other_topic_id(void **state)
{
    struct partition_facts facts = { .topic = "identity", .topic_id = { 1, 2, 3 } };
    struct member_partition started = { .partition = 0 };
    struct member member = { .started = &started, .n_started = 1 };
    struct error error = { 0 };

    (void)state;
    started.topic = member_intern(&member, "identity");
    assert_non_null(started.topic);
    assert_int_equal(member_remember_identity(&member, &facts, &error), 0);
    memset(facts.topic_id, 0, sizeof(facts.topic_id));
    assert_int_equal(member_remember_identity(&member, &facts, &error), 0);
    assert_false(member.topics[0].is_replaced);
    facts.topic_id[0] = 7;
    assert_int_equal(member_remember_identity(&member, &facts, &error), 0);
    assert_true(member.topics[0].is_replaced);
    free(member.topics[0].name);
    free(member.topics);
}

/* A broker that tells no ids stands in for the one that told them. */
static void a_broker_without_topic_ids_ends_nothing(void **state)
{
    const char *topics[] = { "no-ids" };
    struct consumer_settings settings = settings_for(topics, new_group(), ASSIGNOR_RANGE);
    rd_kafka_mock_cluster_t *old = rd_kafka_mock_cluster_new(producer, 1);
    struct partition_facts facts = { .topic = "no-ids", .topic_id = { 9 } };
    static const uint8_t nothing[16];
    const char *cluster_id = NULL;
    struct error error = { 0 };
    struct member *member;
    struct seen seen;

    (void)state;
    memset(&seen, 0, sizeof(seen));
    assert_int_equal(rd_kafka_mock_set_apiversion(old, 3 /* Metadata */, 0, 9), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_mock_group_initial_rebalance_delay_ms(old, 0);
    assert_int_equal(rd_kafka_mock_topic_create(old, "no-ids", 1, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    settings.bootstrap_servers = rd_kafka_mock_cluster_bootstraps(old);
    assert_int_equal(consumer_open(&settings, &seen.consumer, &error), 0);
    join(&seen, "no-ids", 1);
    TAKE_UNTIL(&seen, seen.n_ends > 0);
    if (seen.consumer.operations->facts(seen.consumer.self, &facts, 1, DEADLINE_MS, &cluster_id, &error) != 0)
        fail_msg("%s", error.text);
    assert_memory_equal(facts.topic_id, nothing, sizeof(nothing));

    member = seen.consumer.self;
    member_find_topic(member, member_intern(member, "no-ids"))->id[0] = 1;
    member->identity_at_us = 0;
    TAKE_UNTIL(&seen, member->is_identity_asked);
    TAKE_UNTIL(&seen, !member->is_identity_asked);
    assert_true(member->broker >= 0); /* it has answered */
    assert_int_equal(seen.n_errors, 0);
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
    rd_kafka_mock_cluster_destroy(old);
}

static void an_old_client_library_is_refused(void **state)
{
    const char *topics[] = { "any" };
    struct consumer_settings settings = settings_for(topics, "any", ASSIGNOR_RANGE);
    struct consumer consumer;
    struct error error = { 0 };
    int result;

    (void)state;
    found_version = 0x020d01ff;
    result = consumer_open(&settings, &consumer, &error);
    found_version = 0;
    assert_int_equal(result, ERROR_CONFIG);
    assert_non_null(strstr(error.text, "2.13.1"));
    assert_int_equal(client_check_version(0x020d02ff, &error), 0);
    assert_int_equal(client_check_version(0x030000ff, &error), 0);
    assert_int_equal(client_check_version(rd_kafka_version(), &error), 0);
    assert_int_equal(client_check_version(0x020d01ff, &error), ERROR_CONFIG);
    assert_int_equal(client_check_version(0x020002ff, &error), ERROR_CONFIG);
    assert_non_null(strstr(error.text, "2.0.2"));
    assert_non_null(strstr(error.text, "2.13.2"));
    assert_non_null(strstr(error.text, "install"));
}

static void a_missing_topic_is_told_and_its_coming_noticed(void **state)
{
    const char *topics[] = { "late-topic" };
    struct consumer_settings settings = settings_for(topics, "late", ASSIGNOR_RANGE);
    const struct consumer_property refresh = { "topic.metadata.refresh.interval.ms", "200" };
    struct error error = { 0 };
    struct seen seen;

    (void)state;
    memset(&seen, 0, sizeof(seen));
    settings.properties = &refresh;
    settings.n_properties = 1;
    assert_int_equal(consumer_open(&settings, &seen.consumer, &error), 0);
    TAKE_UNTIL(&seen, seen.error.class != 0);
    assert_int_equal(seen.error.class, ERROR_TRANSIENT);
    assert_non_null(strstr(seen.error.text, "late-topic"));
    make_topic("late-topic", 2);
    join(&seen, "late-topic", 2);
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
}

static void a_fenced_instance_is_told(void **state)
{
    const char *topics[] = { "static" };
    struct consumer_settings settings = settings_for(topics, "static", ASSIGNOR_RANGE);
    struct error error = { 0 };
    struct seen first;

    (void)state;
    make_topic("static", 1);
    settings.group_instance_id = "worker-1";
    memset(&first, 0, sizeof(first));
    assert_int_equal(consumer_open(&settings, &first.consumer, &error), 0);
    join(&first, "static", 1);
    rd_kafka_mock_push_request_errors(cluster, 12 /* Heartbeat */, 1, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID);
    TAKE_UNTIL(&first, first.error.class != 0);
    assert_int_equal(first.error.class, ERROR_FENCED);
    assert_non_null(strstr(first.error.text, "group.instance.id"));
    assert_true(consumer_close(&first.consumer, 1000));
}

static void mirrored_positions_reach_the_group(void **state)
{
    struct partition_offset place = { "mirror", 0, -1, 42 };
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char group[32], text[256];
    rd_kafka_t *other;
    struct seen seen;

    (void)state;
    make_topic("mirror", 1);
    produce("mirror", 0, 50);
    snprintf(group, sizeof(group), "%s", new_group());
    open_member(&seen, "mirror", group, ASSIGNOR_RANGE);
    join(&seen, "mirror", 1);
    TAKE_UNTIL(&seen, seen.n_data == 50);
    seen.consumer.operations->mirror(seen.consumer.self, &place, 1);
    take_for(&seen, QUIET_MS);
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));

    rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster), text, sizeof(text));
    rd_kafka_conf_set(conf, "group.id", group, text, sizeof(text));
    other = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
    list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "mirror", 0);
    assert_int_equal(rd_kafka_committed(other, list, DEADLINE_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(list->elems[0].offset, 42);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(other);
}

static _Atomic int n_commit_warnings, n_commit_notes;

static void count_commit_lines(int level, const char *facility, const char *text)
{
    (void)text;
    if (strcmp(facility, "COMMITFAIL") != 0)
        return;
    if (level < 7)
        n_commit_warnings++;
    else
        n_commit_notes++;
}

static void a_mirror_that_fails_is_no_warning(void **state)
{
    struct partition_offset place = { "mirror-fails", 0, -1, 1 };
    struct seen seen;

    (void)state;
    make_topic("mirror-fails", 1);
    consumer_set_log(count_commit_lines);
    open_member(&seen, "mirror-fails", new_group(), ASSIGNOR_RANGE);
    join(&seen, "mirror-fails", 1);
    TAKE_UNTIL(&seen, seen.n_ends > 0);
    rd_kafka_mock_push_request_errors(cluster, 8 /* OffsetCommit */, 1, RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE);
    seen.consumer.operations->mirror(seen.consumer.self, &place, 1);
    TAKE_UNTIL(&seen, n_commit_warnings + n_commit_notes > 0);
    assert_int_equal(n_commit_warnings, 0);
    assert_int_equal(n_commit_notes, 1);
    assert_true(consumer_close(&seen.consumer, DEADLINE_MS));
    consumer_set_log(NULL);
}

static void properties_are_checked(void **state)
{
    const char *topics[] = { "any" };
    struct consumer_settings settings = settings_for(topics, "properties", ASSIGNOR_RANGE);
    const struct consumer_property wrong = { "fetch.wait.max.ms", "soon" };
    struct consumer consumer;
    struct error error = { 0 };

    (void)state;
    assert_int_equal(property_check("fetch.wait.max.ms", "20", &error), 0);
    assert_int_equal(property_check("fetch.wait.max.ms", "soon", &error), ERROR_CONFIG);
    assert_non_null(strstr(error.text, "fetch.wait.max.ms"));
    assert_int_equal(property_check("fetch.wait.maxms", "20", &error), ERROR_CONFIG);
    assert_non_null(strstr(error.text, "fetch.wait.maxms"));
    assert_int_equal(property_check("auto.offset.reset", "latest", &error), ERROR_CONFIG);
    assert_non_null(strstr(error.text, "itself"));
    settings.properties = &wrong;
    settings.n_properties = 1;
    assert_int_equal(consumer_open(&settings, &consumer, &error), ERROR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_in_order_with_end_marks),
        cmocka_unit_test(nothing_flows_before_start),
        cmocka_unit_test(bytes_and_headers_are_as_written),
        cmocka_unit_test(seek_forgets_what_was_fetched),
        cmocka_unit_test(pause_holds_one_partition),
        cmocka_unit_test(two_members_share_cooperatively),
        cmocka_unit_test(two_members_share_eagerly),
        cmocka_unit_test(a_member_that_the_group_forgot_has_lost_its_partitions),
        cmocka_unit_test(an_offset_out_of_range_ends_its_partition_only),
        cmocka_unit_test(an_error_is_told_again_after_a_seek),
        cmocka_unit_test(an_error_in_hand_outlives_its_partition),
        cmocka_unit_test(what_cannot_be_read_is_told_as_such),
        cmocka_unit_test(a_topic_that_is_gone_is_a_matter_of_identity),
        cmocka_unit_test(a_seek_that_comes_too_early_says_so),
        cmocka_unit_test(what_is_not_started_is_passed_over),
        cmocka_unit_test(what_is_being_revoked_is_passed_over),
        cmocka_unit_test(the_descriptor_tells_when_to_take),
        cmocka_unit_test(closing_answers_what_is_pending),
        cmocka_unit_test(facts_tell_identity_and_bounds),
        cmocka_unit_test(a_broker_that_is_away_is_named_in_time),
        cmocka_unit_test(old_complaints_decide_nothing),
        cmocka_unit_test(no_topic_id_is_no_other_topic_id),
        cmocka_unit_test(a_broker_without_topic_ids_ends_nothing),
        cmocka_unit_test(an_old_client_library_is_refused),
        cmocka_unit_test(a_missing_topic_is_told_and_its_coming_noticed),
        cmocka_unit_test(a_fenced_instance_is_told),
        cmocka_unit_test(mirrored_positions_reach_the_group),
        cmocka_unit_test(a_mirror_that_fails_is_no_warning),
        cmocka_unit_test(properties_are_checked),
    };

    return cmocka_run_group_tests_name("consumer", tests, start_cluster, stop_cluster);
}
