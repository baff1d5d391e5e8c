/*
 * embedded - librdkafka's mock cluster as an in-process broker that other processes reach over TCP: for demos and tests.
 *
 * It is no Kafka: it keeps about 5 MB a partition and forgets the rest, it knows no aborted transactions, and everything is gone
 * when it stops. It lives in threads of the process that starts it and listens on a free loopback port.
 */
#ifndef KAFKA_EMBEDDED_H
#define KAFKA_EMBEDDED_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct embedded;

enum { EMBEDDED_MAX_PARTITIONS = 64 };

int embedded_start(struct embedded **ret_embedded, struct error *ret_error) MUST_CHECK;
/* Accepts NULL, returns NULL. */
struct embedded *embedded_stop(struct embedded *embedded);

/* "127.0.0.1:PORT"; lives as long as the broker. */
const char *embedded_bootstrap_servers(const struct embedded *embedded);

int embedded_create_topic(struct embedded *embedded, const char *topic, int n_partitions, struct error *ret_error) MUST_CHECK;

/*
 * Queues one record. partition -1: chosen by the key's hash, as Java clients do. NULL key: none; NULL value: tombstone. Both are
 * copied. Errors of the delivery come from embedded_flush().
 */
int embedded_produce(struct embedded *embedded, const char *topic, int32_t partition, const void *key, size_t key_size,
                     const void *value, size_t value_size, struct error *ret_error) MUST_CHECK;
/* Waits until everything queued is in the log. CONFIG when a partition got more than it can keep. */
int embedded_flush(struct embedded *embedded, int timeout_ms, struct error *ret_error) MUST_CHECK;

/*
 * Appends a JSON-lines file (seed.h) to a topic, in order per key. key_field NULL: "account". ret_n_records may be NULL. CONFIG
 * when the file cannot be read or holds more than the broker keeps.
 */
int embedded_seed(struct embedded *embedded, const char *topic, const char *path, const char *key_field, int64_t *ret_n_records,
                  struct error *ret_error) MUST_CHECK;

#endif
