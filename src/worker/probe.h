/*
 * probe - asks the broker about topics without joining anybody's consumer group.
 *
 * For commands, and for the supervisor when it has to know how many partitions there are. Calls block up to their time limit.
 */
#ifndef WORKER_PROBE_H
#define WORKER_PROBE_H

#include "base/error.h"
#include "config/config.h"
#include "kafka/consumer.h"

#include <stddef.h>
#include <stdint.h>

/* bootstrap_servers: instead of the config's; NULL: the config's. CONFIG for "embedded": that broker is inside the worker. */
int probe_open(const struct config *config, const char *bootstrap_servers, struct consumer *ret_probe, struct error *ret_error) MUST_CHECK;
void probe_close(struct consumer *probe);

/* Fills the facts (topic and partition are in). */
int probe_facts(struct consumer *probe, struct partition_facts *facts, size_t n, int timeout_ms, const char **ret_cluster_id,
                struct error *ret_error) MUST_CHECK;

/* How many partitions the pipeline's topics have together; 0: not to be told, because a topic is given by a pattern. */
int probe_count_partitions(struct consumer *probe, const struct config_pipeline *pipeline, int timeout_ms, int64_t *ret_n,
                           struct error *ret_error) MUST_CHECK;

#endif
