/*
 * fill - fills a topic with bank events, as fast as the broker takes them.
 *
 *     fill BOOTSTRAP TOPIC EVENTS ACCOUNTS [SIZE [FIELDS]]
 *
 * Deposits and withdrawals of about 200 bytes, keyed by account; the topic must exist. The same arguments give the same events.
 * FIELDS (0 to 20) adds so many text fields of 12 characters, f00, f01 and so on. An event that is smaller than SIZE bytes (at most
 * 900,000) is filled up by a field "note" of random text: to SIZE exactly, or a few bytes more where the bare field is more than what
 * is missing. Neither changes the other fields.
 */
#include <librdkafka/rdkafka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIZE = 900000, MAX_FIELDS = 20, FIELD_CHARACTERS = 12, ROOM = 2048 };

/* One event in the making. */
struct draft {
    char key[32];
    int key_size;
    char value[MAX_SIZE + ROOM];
    size_t size;
};

static int64_t n_failed;

static void on_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
    (void)kafka, (void)opaque;
    n_failed += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256];

    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "fill: %s\n", text);
        exit(1);
    }
}

static rd_kafka_t *open_producer(const char *bootstrap)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *kafka;
    char text[512];

    set(conf, "bootstrap.servers", bootstrap);
    set(conf, "linger.ms", "20");
    set(conf, "batch.size", "262144");
    set(conf, "queue.buffering.max.messages", "500000");
    set(conf, "queue.buffering.max.kbytes", "262144");
    set(conf, "acks", "1");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (kafka == NULL) {
        fprintf(stderr, "fill: %s\n", text);
        exit(1);
    }
    return kafka;
}

static uint64_t next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Six random bits a character, so that compression saves a quarter and no more. */
static void append_text(struct draft *draft, uint64_t *random, size_t n)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t bits = 0;

    for (size_t i = 0; i < n; i++, bits >>= 6) {
        if (i % 10 == 0)
            bits = next(random);
        draft->value[draft->size++] = letters[bits & 63];
    }
}

static void append_string(struct draft *draft, const char *string)
{
    size_t n = strlen(string);

    memcpy(draft->value + draft->size, string, n);
    draft->size += n;
}

/* What every event has, but for the closing brace. */
static void begin(struct draft *draft, int64_t i, uint64_t x, uint64_t account)
{
    draft->key_size = snprintf(draft->key, sizeof draft->key, "acc-%" PRIu64, account);
    draft->size = (size_t)snprintf(
        draft->value, sizeof draft->value,
        "{\"type\":\"%s\",\"version\":1,\"id\":\"%08" PRIx32 "-0000-4000-8000-%012" PRIx64
        "\",\"account\":\"%s\",\"amount\":\"%d.%02d\",\"at\":\"2026-11-23T04:%02d:%02d.%03dZ\"",
        (x >> 60) % 4 == 0 ? "Withdrawn" : "Deposited", (uint32_t)i, (uint64_t)i, draft->key, (int)((x >> 8) % 500),
        (int)((x >> 20) % 100), (int)(i / 60000 % 60), (int)(i / 1000 % 60), (int)(i % 1000));
}

/* Its text is from x, a sequence of its own: all else is the same at every size. */
static void finish(struct draft *draft, uint64_t x, int64_t size, int64_t fields)
{
    char name[16];

    for (int64_t i = 0; i < fields; i++) {
        snprintf(name, sizeof name, ",\"f%02d\":\"", (int)i);
        append_string(draft, name);
        append_text(draft, &x, FIELD_CHARACTERS);
        append_string(draft, "\"");
    }
    if ((size_t)size > draft->size + 1) {
        append_string(draft, ",\"note\":\"");
        append_text(draft, &x, (size_t)size > draft->size + 2 ? (size_t)size - draft->size - 2 : 0);
        append_string(draft, "\"");
    }
    append_string(draft, "}");
}

static void post(rd_kafka_t *kafka, rd_kafka_topic_t *topic, struct draft *draft)
{
    while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, draft->value, draft->size, draft->key,
                            (size_t)draft->key_size, NULL) == -1) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            fprintf(stderr, "fill: %s\n", rd_kafka_err2str(rd_kafka_last_error()));
            exit(1);
        }
        rd_kafka_poll(kafka, 10);
    }
}

/* A number within its bounds, or the end. */
static int64_t number(const char *text, int64_t least, int64_t most)
{
    char *end;
    int64_t value = strtoll(text, &end, 10);

    if (end == text || *end != '\0' || value < least || value > most) {
        fprintf(stderr, "fill: %s is no number from %" PRId64 " to %" PRId64 "\n", text, least, most);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    static struct draft draft;
    rd_kafka_topic_t *topic;
    rd_kafka_t *kafka;
    uint64_t random = 42;
    int64_t events, accounts, size, fields;

    if (argc < 5 || argc > 7) {
        fprintf(stderr, "usage: fill BOOTSTRAP TOPIC EVENTS ACCOUNTS [SIZE [FIELDS]]\n");
        return 2;
    }
    events = number(argv[3], 0, INT64_MAX);
    accounts = number(argv[4], 1, INT64_MAX);
    size = argc > 5 ? number(argv[5], 0, MAX_SIZE) : 0;
    fields = argc > 6 ? number(argv[6], 0, MAX_FIELDS) : 0;
    kafka = open_producer(argv[1]);
    topic = rd_kafka_topic_new(kafka, argv[2], NULL);
    for (int64_t i = 0; i < events; i++) {
        uint64_t x = next(&random);

        begin(&draft, i, x, accounts >= events ? (uint64_t)i : x % (uint64_t)accounts);
        finish(&draft, x, size, fields);
        post(kafka, topic, &draft);
        if (i % 1000 == 0)
            rd_kafka_poll(kafka, 0);
    }
    rd_kafka_flush(kafka, 60000);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(kafka);
    if (n_failed > 0)
        fprintf(stderr, "fill: %" PRId64 " events were not delivered\n", n_failed);
    return n_failed > 0;
}
