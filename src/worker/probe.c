/*
 * probe - see probe.h. A consumer that subscribes to nothing.
 */
#include "worker/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLOSE_TIMEOUT_MS = 200, SESSION_TIMEOUT_MS = 10000, QUEUE_BYTES = 1 << 20 };

int probe_open(const struct config *config, const char *bootstrap_servers, struct consumer *ret_probe, struct error *ret_error)
{
    const struct config_kafka *kafka = &config->kafka;
    struct consumer_property *properties;
    struct consumer_settings settings = {.bootstrap_servers = bootstrap_servers != NULL ? bootstrap_servers : kafka->bootstrap_servers,
                                         .client_id = "readside-probe",
                                         .group_id = "readside-probe", /* never joined */
                                         .session_timeout_ms = SESSION_TIMEOUT_MS,
                                         .fetch_queue_bytes = QUEUE_BYTES};
    int result;

    if (strcmp(settings.bootstrap_servers, "embedded") == 0)
        return error_set(ret_error, ERROR_CONFIG,
                         "the embedded broker lives inside the worker while it runs and cannot be asked from here");
    properties = calloc(kafka->properties.n + 1, sizeof *properties);
    if (properties == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    for (size_t i = 0; i < kafka->properties.n; i++)
        properties[i] = (struct consumer_property){.name = kafka->properties.items[i].name, .value = kafka->properties.items[i].value};
    settings.properties = properties;
    settings.n_properties = kafka->properties.n;
    result = consumer_open(&settings, ret_probe, ret_error);
    free(properties);
    return result;
}

void probe_close(struct consumer *probe)
{
    bool has_ended = probe->self == NULL || consumer_close(probe, CLOSE_TIMEOUT_MS);

    (void)has_ended; /* always: it is in no group */
}

int probe_facts(struct consumer *probe, struct partition_facts *facts, size_t n, int timeout_ms, const char **ret_cluster_id,
                struct error *ret_error)
{
    return probe->operations->facts(probe->self, facts, n, timeout_ms, ret_cluster_id, ret_error);
}

int probe_count_partitions(struct consumer *probe, const struct config_pipeline *pipeline, int timeout_ms, int64_t *ret_n,
                           struct error *ret_error)
{
    struct partition_facts *facts = calloc(pipeline->topics.n + 1, sizeof *facts);
    const char *cluster_id;
    int64_t sum = 0;
    int result;

    if (facts == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    for (size_t i = 0; i < pipeline->topics.n; i++) {
        facts[i].topic = pipeline->topics.items[i];
        if (facts[i].topic[0] == '^') {
            free(facts);
            *ret_n = 0;
            return 0;
        }
    }
    result = probe_facts(probe, facts, pipeline->topics.n, timeout_ms, &cluster_id, ret_error);
    for (size_t i = 0; result == 0 && i < pipeline->topics.n; i++)
        sum += facts[i].n_partitions;
    free(facts);
    if (result == 0)
        *ret_n = sum;
    return result;
}
