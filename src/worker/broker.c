/*
 * broker - see broker.h. In the supervisor's process; the broker's own threads are librdkafka's.
 */
#include "worker/broker.h"

#include "base/log.h"

#include <string.h>

bool broker_is_wanted(const struct config *config)
{
    return strcmp(config->kafka.bootstrap_servers, "embedded") == 0;
}

static int fill_topics(struct embedded *embedded, const struct config_kafka *kafka, struct error *ret_error)
{
    for (size_t i = 0; i < kafka->embedded.n; i++) {
        const struct config_pair *topic = &kafka->embedded.items[i];
        int64_t n_records = 0;
        int result = embedded_create_topic(embedded, topic->name, (int)kafka->embedded_partitions, ret_error);

        if (result == 0)
            result = embedded_seed(embedded, topic->name, topic->value, NULL, &n_records, ret_error);
        if (result != 0)
            return result;
        log_info("embedded topic filled", "topic", topic->name, "records", log_number(n_records), NULL);
    }
    return 0;
}

/* Is the topic made already: by the group `embedded', or by a pipeline before this one? */
static bool is_made(const struct config *config, const char *topic, size_t n_pipelines)
{
    for (size_t i = 0; i < config->kafka.embedded.n; i++)
        if (strcmp(config->kafka.embedded.items[i].name, topic) == 0)
            return true;
    for (size_t i = 0; i < n_pipelines; i++)
        for (size_t j = 0; j < config->pipelines[i].topics.n; j++)
            if (strcmp(config->pipelines[i].topics.items[j], topic) == 0)
                return true;
    return false;
}

static int make_other_topics(struct embedded *embedded, const struct config *config, struct error *ret_error)
{
    for (size_t i = 0; i < config->n_pipelines; i++)
        for (size_t j = 0; j < config->pipelines[i].topics.n; j++) {
            const char *topic = config->pipelines[i].topics.items[j];

            if (topic[0] != '^' && !is_made(config, topic, i)) {
                int result = embedded_create_topic(embedded, topic, (int)config->kafka.embedded_partitions, ret_error);

                if (result != 0)
                    return result;
            }
        }
    return 0;
}

int broker_start(const struct config *config, struct embedded **ret_embedded, struct error *ret_error)
{
    struct embedded *embedded = NULL;
    int result = embedded_start(&embedded, ret_error);

    if (result == 0)
        result = fill_topics(embedded, &config->kafka, ret_error);
    if (result == 0)
        result = make_other_topics(embedded, config, ret_error);
    if (result != 0) {
        embedded_stop(embedded);
        return result;
    }
    log_info("embedded broker started; it forgets everything when the worker ends", "bootstrap_servers",
             embedded_bootstrap_servers(embedded), NULL);
    *ret_embedded = embedded;
    return 0;
}
