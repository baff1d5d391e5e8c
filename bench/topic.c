/*
 * topic - see topic.h.
 */
#include "topic.h"

#include "meter.h"

enum { WAIT_MS = 20, SILENCE_S = 30, ANSWER_MS = 10000 };

static void check(rd_kafka_resp_err_t code, const char *what)
{
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        die("%s: %s", what, rd_kafka_err2str(code));
}

static rd_kafka_t *open_consumer(const char *bootstrap, const char *group)
{
    const char *const properties[][2] = {
        {"bootstrap.servers", bootstrap},   {"group.id", group},
        {"enable.auto.commit", "false"},    {"auto.offset.reset", "error"},
        {"queued.min.messages", "1000000"}, {"queued.max.messages.kbytes", "8192"},
        {"fetch.queue.backoff.ms", "5"},    {"log_level", "0"}, /* what fails says so itself */
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *kafka;
    char text[256];

    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++)
        if (rd_kafka_conf_set(conf, properties[i][0], properties[i][1], text, sizeof text) != RD_KAFKA_CONF_OK)
            die("%s", text);
    kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (kafka == NULL)
        die("%s", text);
    return kafka;
}

static void assign(rd_kafka_t *kafka, const char *name)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    rd_kafka_topic_t *handle = rd_kafka_topic_new(kafka, name, NULL);
    const struct rd_kafka_metadata *metadata;

    check(rd_kafka_metadata(kafka, 0, handle, &metadata, ANSWER_MS), "asking for the topic's partitions");
    check(metadata->topics[0].err, name);
    for (int i = 0; i < metadata->topics[0].partition_cnt; i++)
        rd_kafka_topic_partition_list_add(list, name, i)->offset = 0;
    check(rd_kafka_assign(kafka, list), "assigning the partitions");
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
}

void topic_open(struct topic *topic, const char *bootstrap, const char *name, const char *group)
{
    topic->kafka = open_consumer(bootstrap, group);
    rd_kafka_poll_set_consumer(topic->kafka);
    topic->queue = rd_kafka_queue_get_consumer(topic->kafka);
    assign(topic->kafka, name);
}

size_t topic_take(struct topic *topic, rd_kafka_message_t **ret_messages, size_t max)
{
    double limit = meter_now() + SILENCE_S;
    ssize_t n;

    do {
        n = rd_kafka_consume_batch_queue(topic->queue, WAIT_MS, ret_messages, max);
        for (ssize_t i = 0; i < n; i++)
            if (ret_messages[i]->err != RD_KAFKA_RESP_ERR_NO_ERROR)
                die("consuming: %s", rd_kafka_message_errstr(ret_messages[i]));
        if (n <= 0 && meter_now() > limit)
            die("no record for %d s: are there as many in the topic?", SILENCE_S);
    } while (n <= 0);
    return (size_t)n;
}

void topic_find_coordinator(struct topic *topic)
{
    rd_kafka_topic_partition_list_t *list;

    check(rd_kafka_assignment(topic->kafka, &list), "asking for the assignment");
    check(rd_kafka_committed(topic->kafka, list, ANSWER_MS), "asking for the group's positions");
    rd_kafka_topic_partition_list_destroy(list);
}

void topic_commit(struct topic *topic)
{
    check(rd_kafka_commit(topic->kafka, NULL, 0), "committing positions to Kafka");
}

void topic_close(struct topic *topic)
{
    rd_kafka_queue_destroy(topic->queue);
    rd_kafka_consumer_close(topic->kafka);
    rd_kafka_destroy(topic->kafka);
}
