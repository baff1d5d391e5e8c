/*
 * pace - sends events at an even pace, each stamped with the moment when it is due: what latency is measured with.
 *
 *     pace BOOTSTRAP TOPIC RATE SECONDS
 *
 * RATE deposits a second (at most 1,000,000, for 900 s), each of an account of its own, whose field "at" is that moment in
 * microseconds UTC; the topic must exist. Event i is due i/RATE after the start, whatever became of those before it, so the pace does not drift, and what
 * keeps the sender from its work counts as latency; after a stall what is due is sent at once, a millisecond's worth between two looks
 * at the clock. Prints one JSON line: events, seconds,
 * late (sent more than 5 ms after they were due), failed, and the milliseconds from sending to the broker's answer, which are the
 * producer's part of the latency: acked_p50_ms and acked_p99_ms.
 */
#include <librdkafka/rdkafka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TICK_NS = 500 * 1000, LATE_NS = 5 * 1000 * 1000, MAX_RATE = 1000 * 1000, MAX_SECONDS = 900, ACCOUNT_DIGITS = 9,
       ACKED_SLOTS = 600 * 1000 };
#define SECOND_NS INT64_C(1000000000)

/* The event, made once: what differs between events stands at fixed places and is written over. */
struct form {
    char value[256];
    size_t size;
    char *id, *account, *at;
    size_t account_size;
    time_t second; /* that "at" shows */
};

struct pace {
    rd_kafka_t *kafka;
    rd_kafka_topic_t *topic;
    struct form form;
    int64_t rate, wanted, start_ns, wall_start_ns; /* the start by both clocks */
    int64_t sent, late;
};

static int64_t n_failed, n_acked;
static int64_t acked[ACKED_SLOTS]; /* how many after so many tenths of a millisecond; the last slot holds all that took longer */

static void on_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
    int64_t tenths = rd_kafka_message_latency(message) / 100;

    (void)kafka, (void)opaque;
    n_failed += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
    n_acked++;
    acked[tenths < 0 ? 0 : tenths < ACKED_SLOTS ? tenths : ACKED_SLOTS - 1]++;
}

/* Milliseconds within which that share of the events was answered. */
static double acked_ms(double share)
{
    int64_t rest = (int64_t)(share * (double)n_acked), slot = 0;

    while (slot < ACKED_SLOTS - 1 && rest >= acked[slot])
        rest -= acked[slot++];
    return (double)slot / 10;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256];

    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "pace: %s\n", text);
        exit(1);
    }
}

static rd_kafka_t *open_producer(const char *bootstrap)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *kafka;
    char text[512];

    set(conf, "bootstrap.servers", bootstrap);
    set(conf, "linger.ms", "1");
    set(conf, "acks", "1");
    /* Few requests under way: without a limit a broker that falls behind once gets a request for almost every event, and stays behind. */
    set(conf, "max.in.flight", "4");
    set(conf, "queue.buffering.max.messages", "1000000");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (kafka == NULL) {
        fprintf(stderr, "pace: %s\n", text);
        exit(1);
    }
    return kafka;
}

/* Returns when the topic is known: else the first events would wait in the client for what only the first run needs. */
static rd_kafka_topic_t *open_topic(rd_kafka_t *kafka, const char *name)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(kafka, name, NULL);
    const struct rd_kafka_metadata *metadata;

    if (rd_kafka_metadata(kafka, 0, topic, &metadata, 10000) != RD_KAFKA_RESP_ERR_NO_ERROR || metadata->topic_cnt != 1 ||
        metadata->topics[0].err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "pace: no metadata of topic %s\n", name);
        exit(1);
    }
    rd_kafka_metadata_destroy(metadata);
    return topic;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

static void put_digits(char *at, int width, int64_t n)
{
    while (width-- > 0) {
        at[width] = (char)('0' + n % 10);
        n /= 10;
    }
}

/* Accounts bear the run's beginning, so that those of two runs into one topic differ as well. */
static void form_init(struct form *form)
{
    char account[32];

    form->account_size = (size_t)snprintf(account, sizeof account, "acc-%" PRId64 "-%0*d",
                                          clock_ns(CLOCK_REALTIME) / (SECOND_NS / 1000), ACCOUNT_DIGITS, 0);
    form->size = (size_t)snprintf(form->value, sizeof form->value,
                                  "{\"type\":\"Deposited\",\"version\":1,\"id\":\"00000000-0000-4000-8000-000000000000\","
                                  "\"account\":\"%s\",\"amount\":\"1.00\",\"at\":\"0000-00-00T00:00:00.000000Z\"}",
                                  account);
    form->id = strstr(form->value, "8000-") + strlen("8000-");
    form->account = strstr(form->value, account);
    form->at = strstr(form->value, "0000-00-00T");
    form->second = -1;
}

static void form_fill(struct form *form, int64_t number, int64_t at_ns)
{
    time_t second = (time_t)(at_ns / SECOND_NS);
    struct tm utc;

    if (second != form->second) { /* the calendar once a second */
        gmtime_r(&second, &utc);
        strftime(form->at, sizeof "0000-00-00T00:00:00", "%Y-%m-%dT%H:%M:%S", &utc);
        form->at[strlen(form->at)] = '.';
        form->second = second;
    }
    put_digits(form->at + strlen("0000-00-00T00:00:00."), 6, at_ns % SECOND_NS / 1000);
    put_digits(form->id, 12, number);
    put_digits(form->account + form->account_size - ACCOUNT_DIGITS, ACCOUNT_DIGITS, number);
}

static void post(struct pace *pace)
{
    struct form *form = &pace->form;

    form_fill(form, pace->sent, pace->wall_start_ns + pace->sent * SECOND_NS / pace->rate);
    while (rd_kafka_produce(pace->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, form->value, form->size, form->account,
                            form->account_size, NULL) == -1) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            fprintf(stderr, "pace: %s\n", rd_kafka_err2str(rd_kafka_last_error()));
            exit(1);
        }
        rd_kafka_poll(pace->kafka, 1); /* its time stays: the wait is part of the latency */
    }
    pace->sent++;
}

/* When an event is due. Within the bounds of rate and seconds the product fits. */
static int64_t due_ns(const struct pace *pace, int64_t number)
{
    return pace->start_ns + number * SECOND_NS / pace->rate;
}

/* Sends what is due, but a millisecond's worth at most. */
static void send_due(struct pace *pace)
{
    int64_t most = pace->rate / 1000 + 1;
    int64_t now_ns = clock_ns(CLOCK_MONOTONIC);

    for (int64_t i = 0; i < most && pace->sent < pace->wanted && due_ns(pace, pace->sent) <= now_ns; i++) {
        pace->late += now_ns - due_ns(pace, pace->sent) > LATE_NS;
        post(pace);
    }
    rd_kafka_poll(pace->kafka, 0);
}

/* Until the next event is due, and a tick at least: to wake for each of 100,000 a second would cost more than to send it. */
static void wait_due(const struct pace *pace)
{
    int64_t now_ns = clock_ns(CLOCK_MONOTONIC), next_ns = due_ns(pace, pace->sent);
    struct timespec until;

    if (next_ns <= now_ns)
        return;
    if (next_ns < now_ns + TICK_NS)
        next_ns = now_ns + TICK_NS;
    until = (struct timespec){.tv_sec = (time_t)(next_ns / SECOND_NS), .tv_nsec = (long)(next_ns % SECOND_NS)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* A number within its bounds, or the end. */
static int64_t number(const char *text, int64_t least, int64_t most)
{
    char *end;
    int64_t value = strtoll(text, &end, 10);

    if (end == text || *end != '\0' || value < least || value > most) {
        fprintf(stderr, "pace: %s is no number from %" PRId64 " to %" PRId64 "\n", text, least, most);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    static struct pace pace;
    double seconds;

    if (argc != 5) {
        fprintf(stderr, "usage: pace BOOTSTRAP TOPIC RATE SECONDS\n");
        return 2;
    }
    pace.rate = number(argv[3], 1, MAX_RATE);
    pace.wanted = pace.rate * number(argv[4], 1, MAX_SECONDS);
    pace.kafka = open_producer(argv[1]);
    pace.topic = open_topic(pace.kafka, argv[2]);
    form_init(&pace.form);
    pace.start_ns = clock_ns(CLOCK_MONOTONIC);
    pace.wall_start_ns = clock_ns(CLOCK_REALTIME);
    while (pace.sent < pace.wanted) {
        wait_due(&pace);
        send_due(&pace);
    }
    seconds = (double)(clock_ns(CLOCK_MONOTONIC) - pace.start_ns) / (double)SECOND_NS;
    rd_kafka_flush(pace.kafka, 60000);
    n_failed += rd_kafka_outq_len(pace.kafka);
    printf("{\"events\": %" PRId64 ", \"seconds\": %.3f, \"late\": %" PRId64 ", \"failed\": %" PRId64
           ", \"acked_p50_ms\": %.1f, \"acked_p99_ms\": %.1f}\n",
           pace.sent, seconds, pace.late, n_failed, acked_ms(0.5), acked_ms(0.99));
    rd_kafka_topic_destroy(pace.topic);
    rd_kafka_destroy(pace.kafka);
    return n_failed > 0;
}
