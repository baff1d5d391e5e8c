/*
 * topic - a topic read from its first offsets by librdkafka alone: settings that never stall, records in batches.
 */
#ifndef BENCH_TOPIC_H
#define BENCH_TOPIC_H

#include <librdkafka/rdkafka.h>

#include <stddef.h>

struct topic {
    rd_kafka_t *kafka;
    rd_kafka_queue_t *queue;
};

/* All partitions, as a consumer that is no member of its group. */
void topic_open(struct topic *topic, const char *bootstrap, const char *name, const char *group);
/* Up to max records, at least one, which the caller destroys. Ends the program on an error, and when nothing comes any more. */
size_t topic_take(struct topic *topic, rd_kafka_message_t **ret_messages, size_t max);
/* Asks for the group's positions, so that whoever keeps them is known before the clock runs. */
void topic_find_coordinator(struct topic *topic);
/* Commits behind what was taken, and waits for it. */
void topic_commit(struct topic *topic);
void topic_close(struct topic *topic);

#endif
