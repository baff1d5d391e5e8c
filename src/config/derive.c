/*
 * derive - what follows from the keys: computed defaults, paths, the store of a pipeline, the list of librdkafka properties.
 *
 * Called by config_load() between reading and checking, in one thread. A reference to nothing becomes a problem.
 */
#include "config/client_property.h"
#include "config/loaded.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef READSIDE_PLUGINDIR
#define READSIDE_PLUGINDIR "/usr/local/lib/readside" /* where the build says nothing else */
#endif

static const char *place_of_line(struct loading *loading, unsigned line)
{
    struct buffer place = BUFFER_INIT;
    const char *copy = NULL;

    source_print_place(loading->source, line, &place);
    if (buffer_failed(&place)) {
        loading->problems->has_failed = true;
    } else {
        copy = loading_copy(loading, place.data);
    }
    buffer_free(&place);
    return copy;
}

static void derive_worker(struct loading *loading, struct config_worker *worker)
{
    char host[256] = "";

    if (worker->name == NULL) {
        if (gethostname(host, sizeof host - 1) < 0 || host[0] == '\0') {
            memcpy(host, "localhost", sizeof "localhost");
        }
        worker->name = loading_copy(loading, host);
    }
    if (worker->plugin_path == NULL) {
        worker->plugin_path = READSIDE_PLUGINDIR;
    }
}

/* fetch_wait_max_ms as librdkafka writes it. */
static const char *with_dots(struct loading *loading, const char *name)
{
    char *dotted = loading_alloc(loading, strlen(name) + 1);

    for (size_t i = 0; dotted != NULL && i <= strlen(name); i++) {
        dotted[i] = name[i] == '_' ? '.' : name[i];
    }
    return dotted;
}

static bool is_allowed(const char *name)
{
    for (size_t i = 0; i < n_client_properties; i++) {
        if (strcmp(client_properties[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void refuse_property(struct loading *loading, unsigned line, const struct config_pair *pair)
{
    const char *reason = client_property_refusal(pair->name);
    const char *nearest = key_nearest(pair->name, client_properties, n_client_properties, sizeof client_properties[0]);

    if (reason != NULL) {
        problems_add(loading->problems, line, "kafka.properties.%s cannot be set: %s", pair->name, reason);
    } else if (nearest != NULL) {
        problems_add(loading->problems, line, "kafka.properties.%s is not among the properties allowed; did you mean `%s'?",
                     pair->name, nearest);
    } else {
        problems_add(loading->problems, line,
                     "kafka.properties.%s is not among the properties allowed; readside.conf(5) lists them", pair->name);
    }
}

/* What librdkafka gets: the protocol, the keys that stand for a property, and the allow-listed ones. */
static void derive_properties(struct loading *loading, const struct section *section, struct config_kafka *kafka)
{
    const struct config_pairs given = kafka->properties;
    struct config_pair *items = loading_alloc(loading, (section->group->n_keys + given.n + 1) * sizeof *items);
    struct section_key *slot;
    size_t n = 0;

    section_find(section, "properties", &slot);
    kafka->properties = (struct config_pairs){.items = items};
    if (items == NULL) {
        return;
    }
    items[n++] = (struct config_pair){.name = "security.protocol", .value = kafka->security_protocol};
    for (size_t i = 0; i < section->group->n_keys; i++) {
        const struct key *key = &section->group->keys[i];

        if (section->keys[i].text != NULL) {
            items[n++] = (struct config_pair){.name = key->property,
                                              .value = section->keys[i].text,
                                              .place = place_of_line(loading, section->keys[i].line),
                                              .is_secret = (key->flags & KEY_SECRET) != 0};
        }
    }
    for (size_t i = 0; i < given.n; i++) {
        if (!is_allowed(given.items[i].name)) {
            refuse_property(loading, slot->pair_lines[i], &given.items[i]);
        }
        items[n] = given.items[i];
        items[n++].name = with_dots(loading, given.items[i].name);
    }
    kafka->properties.n = n;
}

static void derive_store(struct loading *loading, const struct section *section, struct config_store *store)
{
    store->name = strchr(section->path, '.') + 1;
    store->place = place_of_line(loading, section->line);
    if (store->kind != NULL && store->uri != NULL && strcmp(store->kind, "sqlite") == 0 && store->uri[0] != ':' &&
        strncmp(store->uri, "file:", 5) != 0) {
        store->uri = source_resolve(loading->arena, loading->source->path, store->uri);
        loading->problems->has_failed |= store->uri == NULL;
    }
}

static void find_store(struct loading *loading, const struct section *section, struct config_pipeline *pipeline)
{
    const struct config *config = &loading->loaded->config;
    const char *name = section_text(section, "store");
    const char *nearest;

    if (name == NULL) {
        pipeline->store = config->n_stores == 1 ? &config->stores[0] : NULL;
        if (!section_has(section, "store") && config->n_stores > 1) {
            problems_add(loading->problems, section->line, "%s needs the key `store': there are several to choose from",
                         section->path);
        }
        return;
    }
    for (size_t i = 0; i < config->n_stores; i++) {
        if (strcmp(config->stores[i].name, name) == 0) {
            pipeline->store = &config->stores[i];
            return;
        }
    }
    nearest = key_nearest(name, &config->stores[0].name, config->n_stores, sizeof config->stores[0]);
    if (nearest != NULL) {
        problems_add(loading->problems, section_line(section, "store"), "%s.store: no store `%s' is defined; did you mean `%s'?",
                     section->path, name, nearest);
    } else {
        problems_add(loading->problems, section_line(section, "store"),
                     "%s.store: no store `%s' is defined; add it as stores = { %s = { ... }; };", section->path, name, name);
    }
}

static void derive_pipeline(struct loading *loading, const struct section *section, struct config_pipeline *pipeline)
{
    pipeline->name = strchr(section->path, '.') + 1;
    pipeline->place = place_of_line(loading, section->line);
    if (pipeline->group_id == NULL) {
        pipeline->group_id = loading_format(loading, "readside-%s-v%" PRId64, pipeline->name, pipeline->version);
    }
    if (pipeline->plugin != NULL && strchr(pipeline->plugin, '/') != NULL) {
        pipeline->plugin = source_resolve(loading->arena, loading->source->path, pipeline->plugin);
        loading->problems->has_failed |= pipeline->plugin == NULL;
    }
    find_store(loading, section, pipeline);
}

void derive_settings(struct loading *loading)
{
    struct loaded *loaded = loading->loaded;

    derive_worker(loading, &loaded->config.worker);
    derive_properties(loading, &loaded->kafka, &loaded->config.kafka);
    for (size_t i = 0; i < loaded->config.n_stores && !loading->problems->has_failed; i++) {
        derive_store(loading, &loaded->stores[i], loaded->stores[i].object);
    }
    for (size_t i = 0; i < loaded->config.n_pipelines && !loading->problems->has_failed; i++) {
        derive_pipeline(loading, &loaded->pipelines[i], loaded->pipelines[i].object);
    }
}
