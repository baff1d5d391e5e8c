/*
 * producer - see producer.h.
 */
#include "producer.h"

#include "meter.h"

enum { WAIT_MS = 1, ANSWER_MS = 10000, FLUSH_MS = 60000 };

static void on_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
    struct producer *producer = opaque;

    (void)kafka;
    producer->n_failed += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
    if (producer->on_answer != NULL)
        producer->on_answer(producer->context, message);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256];

    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK)
        die("%s", text);
}

static void find_topic(const struct producer *producer, const char *name)
{
    const struct rd_kafka_metadata *metadata;

    if (rd_kafka_metadata(producer->kafka, 0, producer->topic, &metadata, ANSWER_MS) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        metadata->topic_cnt != 1 || metadata->topics[0].err != RD_KAFKA_RESP_ERR_NO_ERROR)
        die("no metadata of topic %s", name);
    rd_kafka_metadata_destroy(metadata);
}

void producer_open(struct producer *producer, const char *bootstrap, const char *topic, const char *const properties[][2])
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[512];

    set(conf, "bootstrap.servers", bootstrap);
    for (size_t i = 0; properties[i][0] != NULL; i++)
        set(conf, properties[i][0], properties[i][1]);
    rd_kafka_conf_set_opaque(conf, producer);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    producer->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (producer->kafka == NULL)
        die("%s", text);
    producer->topic = rd_kafka_topic_new(producer->kafka, topic, NULL);
    find_topic(producer, topic);
}

void producer_post(struct producer *producer, const char *key, size_t key_size, const char *value, size_t size, void *opaque)
{
    while (rd_kafka_produce(producer->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, (void *)(uintptr_t)value, size, key, key_size,
                            opaque) == -1) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            die("%s", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(producer->kafka, WAIT_MS);
    }
}

void producer_poll(struct producer *producer)
{
    rd_kafka_poll(producer->kafka, 0);
}

void producer_close(struct producer *producer)
{
    rd_kafka_flush(producer->kafka, FLUSH_MS);
    producer->n_failed += rd_kafka_outq_len(producer->kafka);
    rd_kafka_topic_destroy(producer->topic);
    rd_kafka_destroy(producer->kafka);
}
