/*
 * producer - events into a topic by librdkafka: what fills topics and keeps a pace.
 */
#ifndef BENCH_PRODUCER_H
#define BENCH_PRODUCER_H

#include <librdkafka/rdkafka.h>

#include <stddef.h>
#include <stdint.h>

struct producer {
    rd_kafka_t *kafka;
    rd_kafka_topic_t *topic;
    int64_t n_failed; /* events that the broker has not taken, as far as is known */
    void (*on_answer)(void *context, const rd_kafka_message_t *message); /* to each event; may be NULL */
    void *context;
};

/* With librdkafka's properties beside "bootstrap.servers", up to {NULL}. Returns when the topic, which must exist, is known: else the
 * first events would wait in the client for what only the first run needs. */
void producer_open(struct producer *producer, const char *bootstrap, const char *topic, const char *const properties[][2]);
/* The event is copied; waits while there is no room. opaque: the message's _private in on_answer. */
void producer_post(struct producer *producer, const char *key, size_t key_size, const char *value, size_t size, void *opaque);
/* Takes in the answers that have come. */
void producer_poll(struct producer *producer);
/* Waits for all answers; n_failed is final then. */
void producer_close(struct producer *producer);

#endif
