/*
 * fill - fills a topic with bank events, as fast as the broker takes them.
 *
 *     fill BOOTSTRAP TOPIC EVENTS ACCOUNTS
 *
 * Deposits and withdrawals of about 200 bytes, keyed by account; the topic must exist. The same arguments give the same events.
 */
#include <librdkafka/rdkafka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static uint64_t next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int main(int argc, char **argv)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_topic_t *topic;
    rd_kafka_t *kafka;
    uint64_t random = 42, accounts;
    int64_t events;
    char text[512];

    if (argc != 5) {
        fprintf(stderr, "usage: fill BOOTSTRAP TOPIC EVENTS ACCOUNTS\n");
        return 2;
    }
    events = strtoll(argv[3], NULL, 10);
    accounts = strtoull(argv[4], NULL, 10);
    set(conf, "bootstrap.servers", argv[1]);
    set(conf, "linger.ms", "20");
    set(conf, "batch.size", "262144");
    set(conf, "queue.buffering.max.messages", "500000");
    set(conf, "acks", "1");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (kafka == NULL) {
        fprintf(stderr, "fill: %s\n", text);
        return 1;
    }
    topic = rd_kafka_topic_new(kafka, argv[2], NULL);
    for (int64_t i = 0; i < events; i++) {
        uint64_t x = next(&random);
        char key[32];
        int key_size = snprintf(key, sizeof key, "acc-%" PRIu64, accounts >= (uint64_t)events ? (uint64_t)i : x % accounts);
        int size = snprintf(text, sizeof text,
                            "{\"type\":\"%s\",\"version\":1,\"id\":\"%08" PRIx32 "-0000-4000-8000-%012" PRIx64
                            "\",\"account\":\"%s\",\"amount\":\"%d.%02d\",\"at\":\"2026-11-23T04:%02d:%02d.%03dZ\"}",
                            (x >> 60) % 4 == 0 ? "Withdrawn" : "Deposited", (uint32_t)i, (uint64_t)i, key, (int)((x >> 8) % 500),
                            (int)((x >> 20) % 100), (int)(i / 60000 % 60), (int)(i / 1000 % 60), (int)(i % 1000));

        while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, text, (size_t)size, key, (size_t)key_size,
                                NULL) == -1)
            rd_kafka_poll(kafka, 10);
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
