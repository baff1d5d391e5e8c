/*
 * parts - see parts.h. Turns config values into the settings of each part; runs once per task, in its thread.
 */
#include "task/parts.h"

#include "base/clock.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_JSON_DEPTH = 64, MAX_BATCH_EVENTS = 1000 * 1000 };

int parts_open_plugin(const struct config *config, const struct config_pipeline *pipeline, struct projection **ret_projection,
                      struct plugin_host **ret_host, struct error *ret_error)
{
    struct plugin_setting *settings = calloc(pipeline->options.n + 1, sizeof *settings);
    int result;

    if (settings == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    for (size_t i = 0; i < pipeline->options.n; i++) {
        const struct config_pair *option = &pipeline->options.items[i];

        settings[i] = (struct plugin_setting){.name = option->name, .value = option->value, .place = option->place,
                                              .no_literal_secret = !config->worker.allow_literal_secrets};
    }
    result = plugin_load(pipeline->plugin, config->worker.plugin_path, ret_projection, ret_error);
    if (result == 0)
        result = plugin_host_new(*ret_projection, settings, pipeline->options.n, ret_host, ret_error);
    free(settings);
    return result;
}

void parts_store_settings(const struct config_pipeline *pipeline, struct store_settings *ret_settings)
{
    const struct config_store *store = pipeline->store;

    *ret_settings = (struct store_settings){.kind = store->kind,
                                            .uri = store->uri,
                                            .password = store->password,
                                            .allow_plaintext = store->allow_plaintext,
                                            .allow_constraints = store->allow_constraints,
                                            .is_pooled = store->is_pooled,
                                            .connect_timeout_us = store->connect_timeout_us,
                                            .lock_timeout_us = store->lock_timeout_us,
                                            .statement_timeout_us = store->statement_timeout_us};
}

void parts_store_scope(const struct config *config, const struct config_pipeline *pipeline, const struct projection *projection,
                       struct store_scope *ret_scope)
{
    *ret_scope = (struct store_scope){.pipeline = pipeline->name,
                                      .version = (int32_t)pipeline->version,
                                      .plugin = projection->name,
                                      .revision = projection->revision,
                                      .tables = projection->tables,
                                      .n_tables = projection->n_tables,
                                      .worker = config->worker.name};
}

int parts_open_store(const struct config *config, const struct config_pipeline *pipeline, const struct projection *projection,
                     struct store **ret_store, struct error *ret_error)
{
    struct store_settings settings;
    struct store_scope scope;

    parts_store_settings(pipeline, &settings);
    parts_store_scope(config, pipeline, projection, &scope);
    if (random_uuid(scope.owner) != 0)
        return error_set(ret_error, ERROR_TRANSIENT, "the kernel gives no random numbers");
    return store_open(&settings, &scope, ret_store, ret_error);
}

static enum assignor assignor_of(const char *name)
{
    if (strcmp(name, "range") == 0)
        return ASSIGNOR_RANGE;
    return strcmp(name, "roundrobin") == 0 ? ASSIGNOR_ROUNDROBIN : ASSIGNOR_COOPERATIVE_STICKY;
}

int parts_open_consumer(const struct config *config, const struct config_pipeline *pipeline, unsigned index,
                        const char *bootstrap_servers, struct consumer *ret_consumer, struct error *ret_error)
{
    const struct config_kafka *kafka = &config->kafka;
    struct consumer_property *properties = calloc(kafka->properties.n + 1, sizeof *properties);
    struct consumer_settings settings = {.bootstrap_servers =
                                             bootstrap_servers != NULL ? bootstrap_servers : kafka->bootstrap_servers,
                                         .group_id = pipeline->group_id,
                                         .topics = pipeline->topics.items,
                                         .n_topics = pipeline->topics.n,
                                         .assignor = assignor_of(pipeline->assignor),
                                         .session_timeout_ms = (int)(kafka->session_timeout_us / 1000),
                                         .fetch_queue_bytes = pipeline->fetch_queue_bytes,
                                         .properties = properties};
    char client_id[256], instance_id[256];
    int result;

    if (properties == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    for (size_t i = 0; i < kafka->properties.n; i++)
        properties[settings.n_properties++] =
            (struct consumer_property){.name = kafka->properties.items[i].name, .value = kafka->properties.items[i].value};
    snprintf(client_id, sizeof client_id, "readside-%s-%s-%u", config->worker.name, pipeline->name, index);
    settings.client_id = client_id;
    if (pipeline->group_instance_id != NULL) {
        snprintf(instance_id, sizeof instance_id, "%s-%s-%u", pipeline->group_instance_id, config->worker.name, index);
        settings.group_instance_id = instance_id;
    }
    result = consumer_open(&settings, ret_consumer, ret_error);
    free(properties);
    return result;
}

/* "payload:PATH", "header:NAME" or "none"; the config has checked the form. */
static struct place place_of(const char *text)
{
    if (strncmp(text, "payload:", 8) == 0)
        return (struct place){.kind = PLACE_PAYLOAD, .name = text + 8};
    if (strncmp(text, "header:", 7) == 0)
        return (struct place){.kind = PLACE_HEADER, .name = text + 7};
    return (struct place){.kind = PLACE_NONE};
}

struct event_decoder *parts_new_decoder(const struct config_pipeline *pipeline)
{
    struct event_settings settings = {.type = place_of(pipeline->type_from),
                                      .id = place_of(pipeline->id_from),
                                      .version = place_of(pipeline->version_from),
                                      .time = place_of(pipeline->time_from),
                                      .max_depth = MAX_JSON_DEPTH};

    if (strncmp(pipeline->type_from, "fixed:", 6) == 0)
        settings.fixed_type = pipeline->type_from + 6;
    return event_decoder_new(&settings);
}

int parts_sink_settings(const struct config_pipeline *pipeline, const struct projection *projection, int64_t session_timeout_us,
                        struct sink_settings *ret_settings, struct error *ret_error)
{
    int64_t start_us = 0;
    struct sink_settings settings = {.topics = pipeline->topics.items,
                                     .n_topics = pipeline->topics.n,
                                     .stops_on_unhandled = strcmp(pipeline->unhandled, "stop") == 0,
                                     .stops_on_gap = strcmp(pipeline->gaps, "forbid") == 0,
                                     .has_partitioned_table = projection->has_partitioned_table,
                                     .take_max = SINK_TAKE_MAX,
                                     .max_batch_events = MAX_BATCH_EVENTS,
                                     .limits = {.max_rows = (size_t)pipeline->batch_rows,
                                                .max_bytes = (size_t)pipeline->batch_bytes},
                                     .batch_time_us = pipeline->batch_time_us,
                                     .commit_interval_us = pipeline->commit_interval_us,
                                     .settle_timeout_us = session_timeout_us / 3};

    if (strcmp(pipeline->start, "earliest") == 0) {
        settings.start = SINK_START_EARLIEST;
    } else if (strcmp(pipeline->start, "latest") == 0) {
        settings.start = SINK_START_LATEST;
    } else if (text_read_timestamp(pipeline->start, strlen(pipeline->start), &start_us)) {
        settings.start = SINK_START_TIME;
        settings.start_time_ms = start_us / 1000;
    } else {
        return error_set(ret_error, ERROR_CONFIG, "%s: start = \"%s\" is neither earliest, latest nor a time", pipeline->place,
                         pipeline->start);
    }
    *ret_settings = settings;
    return 0;
}

static int check_co_partitioning(const struct config_pipeline *pipeline, const struct partition_facts *facts, size_t n,
                                 struct error *ret_error)
{
    if (strcmp(pipeline->assignor, "range") != 0)
        return error_set(ret_error, ERROR_CONFIG,
                         "%s: several topics feed partitioned tables; set assignor = \"range\", so that equal partition numbers "
                         "are owned together",
                         pipeline->place);
    for (size_t i = 1; i < n; i++)
        if (facts[i].n_partitions != facts[0].n_partitions)
            return error_set(ret_error, ERROR_CONFIG,
                             "%s: topics %s (%d partitions) and %s (%d) feed the same partitioned tables: their partition counts "
                             "must be equal, or the tables shared",
                             pipeline->place, facts[0].topic, (int)facts[0].n_partitions, facts[i].topic,
                             (int)facts[i].n_partitions);
    return 0;
}

int parts_check_topics(const struct config_pipeline *pipeline, const struct projection *projection,
                       const struct consumer *consumer, int timeout_ms, struct error *ret_error)
{
    struct partition_facts *facts = calloc(pipeline->topics.n + 1, sizeof *facts);
    const char *cluster_id = NULL;
    bool has_pattern = false;
    size_t n = 0;
    int result = 0;

    if (facts == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    for (size_t i = 0; i < pipeline->topics.n; i++) {
        if (pipeline->topics.items[i][0] == '^')
            has_pattern = true;
        else
            facts[n++] = (struct partition_facts){.topic = pipeline->topics.items[i]};
    }
    if (n > 0)
        result = consumer->operations->facts(consumer->self, facts, n, timeout_ms, &cluster_id, ret_error);
    if (result == 0 && projection->has_partitioned_table && (n > 1 || has_pattern))
        result = check_co_partitioning(pipeline, facts, n, ret_error);
    free(facts);
    return result;
}
