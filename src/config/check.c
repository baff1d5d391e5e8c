/*
 * check - what a key alone cannot tell: forms of names, keys that exclude or need each other, things defined twice.
 *
 * Called by config_load() last, in one thread. Never talks to a broker or a store and never looks at a plugin: `readside check`
 * does. Values that were refused before are NULL or zero here, and are passed over.
 */
#include "base/text.h"
#include "config/loaded.h"
#include "config/secrets.h"
#include "readside/plugin.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

enum { TOPIC_MAX_SIZE = 249, WORKER_NAME_MAX_SIZE = 64, GROUP_ID_MAX_SIZE = 200 };

static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

#define COMPLAIN(loading, section, name, format, ...) \
    problems_add((loading)->problems, section_line(section, name), "%s.%s" format, (section)->path, name, ##__VA_ARGS__)

static bool is_legal(const char *text, size_t max_size)
{
    size_t size = strlen(text);

    return size > 0 && size <= max_size && strspn(text, legal) == size;
}

static void check_worker(struct loading *loading)
{
    const struct section *section = &loading->loaded->worker;
    const struct config_worker *worker = section->object;

    if (worker->name != NULL && !is_legal(worker->name, WORKER_NAME_MAX_SIZE)) {
        COMPLAIN(loading, section, "name", " = \"%s\": a worker's name has letters, digits, '.', '_' and '-', at most %d",
                 worker->name, WORKER_NAME_MAX_SIZE);
    }
    if (worker->restart_delay_us > worker->restart_delay_max_us && worker->restart_delay_max_us > 0) {
        COMPLAIN(loading, section, "restart_delay", " is above restart_delay_max");
    }
}

/* One "host:port" or "[address]:port" of size bytes. The port may be left out (9092). */
static bool is_server(const char *server, size_t size)
{
    const char *end = server + size;
    const char *close = size > 0 && *server == '[' ? memchr(server, ']', size) : NULL;
    const char *colon = memchr(close == NULL ? server : close, ':', (size_t)(end - (close == NULL ? server : close)));
    const char *host_end = colon == NULL ? end : colon;
    int64_t port = 9092;

    if (host_end == server || (size > 0 && *server == '[' && (close == NULL || close + 1 != host_end))) {
        return false;
    }
    for (const char *at = server; at < host_end; at++) {
        if (strchr(legal, *at) == NULL && (close == NULL || strchr("[]:%", *at) == NULL)) {
            return false;
        }
    }
    return colon == NULL || (text_read_int(colon + 1, (size_t)(end - colon - 1), &port) && port > 0 && port < 65536);
}

static bool is_local(const char *server, size_t size)
{
    const char *close = *server == '[' ? memchr(server, ']', size) : NULL;
    const char *colon = memchr(server, ':', size);
    const char *end = close != NULL ? close + 1 : colon != NULL ? colon : server + size;

    return text_is_local_host(server, (size_t)(end - server));
}

/* Returns whether all of them are on this machine. */
static bool check_servers(struct loading *loading, const struct section *section, const char *servers)
{
    bool are_local = true;

    for (const char *at = servers;; at++) {
        size_t size = strcspn(at, ",");

        at += strspn(at, " ");
        size = strcspn(at, ",");
        if (!is_server(at, size)) {
            COMPLAIN(loading, section, "bootstrap_servers",
                     ": \"%.*s\" is not host:port; write them as \"kafka1:9092,kafka2:9092\"", (int)size, at);
            return false;
        }
        are_local = are_local && is_local(at, size);
        at += size;
        if (*at == '\0') {
            return are_local;
        }
    }
}

/* Keys that mean nothing, or something false, under the protocol chosen. */
static void check_protocol(struct loading *loading, const struct section *section, const struct config_kafka *kafka,
                           bool are_local)
{
    static const char *const tls_keys[] = {"ssl_ca_location", "ssl_certificate_location", "ssl_key_location", "ssl_key_password"};
    static const char *const sasl_keys[] = {"sasl_mechanism", "sasl_username", "sasl_password"};
    bool is_tls = strstr(kafka->security_protocol, "ssl") != NULL;
    bool is_sasl = strstr(kafka->security_protocol, "sasl_") != NULL;

    for (size_t i = 0; i < sizeof tls_keys / sizeof tls_keys[0] && !is_tls; i++) {
        if (section_has(section, tls_keys[i])) {
            COMPLAIN(loading, section, tls_keys[i], " has no effect with security_protocol = \"%s\"; use ssl or sasl_ssl",
                     kafka->security_protocol);
        }
    }
    for (size_t i = 0; i < sizeof sasl_keys / sizeof sasl_keys[0]; i++) {
        if (section_has(section, sasl_keys[i]) && !is_sasl) {
            COMPLAIN(loading, section, sasl_keys[i], " has no effect with security_protocol = \"%s\"; use sasl_ssl",
                     kafka->security_protocol);
        } else if (!section_has(section, sasl_keys[i]) && is_sasl) {
            COMPLAIN(loading, section, "security_protocol", " = \"%s\" needs the key `%s'", kafka->security_protocol,
                     sasl_keys[i]);
        }
    }
    if (section_has(section, "ssl_certificate_location") != section_has(section, "ssl_key_location")) {
        problems_add(loading->problems, section->line, "kafka: ssl_certificate_location and ssl_key_location need each other");
    }
    if (is_sasl && !is_tls && !are_local && !kafka->allow_plaintext) {
        COMPLAIN(loading, section, "security_protocol",
                 " = \"%s\" shows the password to the network; use sasl_ssl (or set kafka.allow_plaintext = true)",
                 kafka->security_protocol);
    }
}

static void check_kafka(struct loading *loading)
{
    const struct section *section = &loading->loaded->kafka;
    const struct config_kafka *kafka = section->object;
    bool is_embedded = kafka->bootstrap_servers != NULL && strcmp(kafka->bootstrap_servers, "embedded") == 0;
    bool are_local = true;

    if (kafka->bootstrap_servers == NULL || kafka->security_protocol == NULL) {
        return;
    }
    if (is_embedded && strcmp(kafka->security_protocol, "plaintext") != 0) {
        COMPLAIN(loading, section, "security_protocol", " must be plaintext for the embedded broker");
        return;
    }
    if (!is_embedded && section_has(section, "embedded")) {
        COMPLAIN(loading, section, "embedded",
                 " is for the embedded broker; set bootstrap_servers = \"embedded\" or leave it out");
    }
    if (!is_embedded) {
        are_local = check_servers(loading, section, kafka->bootstrap_servers);
    }
    check_protocol(loading, section, kafka, are_local);
}

static void check_store(struct loading *loading, const struct section *section)
{
    const struct config_store *store = section->object;
    const struct section_key *slot;

    if (store->kind == NULL || store->uri == NULL) {
        return;
    }
    if (store->is_pooled && strcmp(store->kind, "postgresql") != 0) {
        COMPLAIN(loading, section, "pooled", " = true has no meaning for %s; leave it out", store->kind);
    }
    if (strcmp(store->kind, "sqlite") == 0) {
        if (section_has(section, "password")) {
            COMPLAIN(loading, section, "password", " has no meaning for %s; leave it out", store->kind);
        }
        return;
    }
    section_find(section, "uri", (struct section_key **)&slot);
    if (!secret_is_in_uri(store->uri)) {
        return;
    }
    if (slot->reference == NULL && !loading->allow_literal_secrets) {
        COMPLAIN(loading, section, "uri",
                 " holds a password; take it out and set password = \"env:NAME\" or \"file:/path\" (or set "
                 "worker.allow_literal_secrets = true)");
    } else if (section_has(section, "password")) {
        COMPLAIN(loading, section, "password", " is given twice: in uri and here");
    }
}

static void check_topic(struct loading *loading, const struct section *section, const char *topic)
{
    char said[128];
    regex_t pattern;
    int code;

    if (topic[0] != '^') {
        if (!is_legal(topic, TOPIC_MAX_SIZE) || strcmp(topic, ".") == 0 || strcmp(topic, "..") == 0) {
            COMPLAIN(loading, section, "topics",
                     ": \"%s\" is no topic name (letters, digits, '.', '_' and '-', at most %d); a pattern begins with '^'",
                     topic, TOPIC_MAX_SIZE);
        }
        return;
    }
    code = regcomp(&pattern, topic, REG_EXTENDED | REG_NOSUB);
    if (code == 0) {
        regfree(&pattern);
        return;
    }
    regerror(code, &pattern, said, sizeof said);
    COMPLAIN(loading, section, "topics", ": \"%s\" is no regular expression: %s", topic, said);
}

static void check_topics(struct loading *loading, const struct section *section, const struct config_strings *topics)
{
    for (size_t i = 0; i < topics->n; i++) {
        check_topic(loading, section, topics->items[i]);
        for (size_t before = 0; before < i; before++) {
            if (strcmp(topics->items[before], topics->items[i]) == 0) {
                COMPLAIN(loading, section, "topics", ": \"%s\" is listed twice", topics->items[i]);
                break;
            }
        }
    }
}

/* "payload:PATH", "header:NAME", and `other`: "none", or "fixed:" for the type. */
static void check_origin(struct loading *loading, const struct section *section, const char *name, const char *origin,
                         const char *other)
{
    static const char *const prefixes[] = {"payload:", "header:"};
    size_t other_size = strlen(other);
    bool is_prefix = other[other_size - 1] == ':';

    if (origin == NULL) {
        return;
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t size = strlen(prefixes[i]);

        if (strncmp(origin, prefixes[i], size) == 0 && origin[size] != '\0') {
            return;
        }
    }
    if (is_prefix ? strncmp(origin, other, other_size) == 0 && origin[other_size] != '\0' : strcmp(origin, other) == 0) {
        return;
    }
    COMPLAIN(loading, section, name, " = \"%s\" is not known; write payload:PATH, header:NAME or %s%s", origin, other,
             is_prefix ? "TYPE" : "");
}

static void check_start(struct loading *loading, const struct section *section, const char *start)
{
    int64_t time_us;

    if (start == NULL || strcmp(start, "earliest") == 0 || strcmp(start, "latest") == 0 ||
        text_read_timestamp(start, strlen(start), &time_us)) {
        return;
    }
    COMPLAIN(loading, section, "start", " = \"%s\" is not known; write earliest, latest or a time such as 2026-11-23T04:00:00Z",
             start);
}

static void check_plugin(struct loading *loading, const struct section *section, const char *plugin)
{
    size_t size = plugin == NULL ? 0 : strlen(plugin);

    if (plugin == NULL || strchr(plugin, '/') != NULL) {
        return;
    }
    if (size > 3 && strcmp(plugin + size - 3, ".so") == 0) {
        COMPLAIN(loading, section, "plugin",
                 " = \"%s\": write the name \"%.*s\", which is looked up in plugin_path, or a path (\"./%s\")", plugin,
                 (int)size - 3, plugin, plugin);
    } else if (!is_legal(plugin, TOPIC_MAX_SIZE)) {
        COMPLAIN(loading, section, "plugin",
                 " = \"%s\": a plugin's name has letters, digits, '.', '_' and '-'; a path holds a '/'", plugin);
    }
}

static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text <= ' ' || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Offsets of two pipelines in one group would hide one another's partitions. */
static void check_groups(struct loading *loading, size_t at)
{
    const struct section *sections = loading->loaded->pipelines;
    const struct config_pipeline *pipeline = sections[at].object;

    if (pipeline->group_id == NULL) {
        return;
    }
    if (strlen(pipeline->group_id) > GROUP_ID_MAX_SIZE || !is_printable(pipeline->group_id)) {
        COMPLAIN(loading, &sections[at], "group_id", " has blanks or more than %d bytes", GROUP_ID_MAX_SIZE);
    }
    for (size_t i = 0; i < at; i++) {
        const struct config_pipeline *other = sections[i].object;

        if (other->group_id != NULL && strcmp(other->group_id, pipeline->group_id) == 0) {
            COMPLAIN(loading, &sections[at], "group_id",
                     " \"%s\" is that of pipeline %s already; each pipeline needs a consumer group of its own",
                     pipeline->group_id, other->name);
            return;
        }
    }
}

static void check_pipeline(struct loading *loading, size_t at)
{
    const struct section *section = &loading->loaded->pipelines[at];
    const struct config_pipeline *pipeline = section->object;

    check_topics(loading, section, &pipeline->topics);
    check_plugin(loading, section, pipeline->plugin);
    check_start(loading, section, pipeline->start);
    check_origin(loading, section, "type_from", pipeline->type_from, "fixed:");
    if (pipeline->type_from != NULL && strcmp(pipeline->type_from, "fixed:" RS_TOMBSTONE) == 0) {
        COMPLAIN(loading, section, "type_from", " = \"%s\": %s is kept for records whose value is null; name another type",
                 pipeline->type_from, RS_TOMBSTONE);
    }
    check_origin(loading, section, "id_from", pipeline->id_from, "none");
    check_origin(loading, section, "version_from", pipeline->version_from, "none");
    check_origin(loading, section, "time_from", pipeline->time_from, "none");
    check_groups(loading, at);
    if (pipeline->group_instance_id != NULL && !is_legal(pipeline->group_instance_id, WORKER_NAME_MAX_SIZE)) {
        COMPLAIN(loading, section, "group_instance_id", " = \"%s\": letters, digits, '.', '_' and '-', at most %d",
                 pipeline->group_instance_id, WORKER_NAME_MAX_SIZE);
    }
    if (pipeline->commit_interval_us > pipeline->batch_time_us && pipeline->batch_time_us > 0) {
        COMPLAIN(loading, section, "commit_interval", " is above batch_time, which bounds a batch's age");
    }
}

void check_settings(struct loading *loading)
{
    const struct loaded *loaded = loading->loaded;

    check_worker(loading);
    check_kafka(loading);
    for (size_t i = 0; i < loaded->config.n_stores; i++) {
        check_store(loading, &loaded->stores[i]);
    }
    for (size_t i = 0; i < loaded->config.n_pipelines; i++) {
        check_pipeline(loading, i);
    }
    if (loaded->config.n_stores == 0) {
        problems_add(loading->problems, 0, "no store is defined; add stores = { main = { kind = ...; uri = ...; }; };");
    }
    if (loaded->config.n_pipelines == 0) {
        problems_add(loading->problems, 0,
                     "no pipeline is defined; add pipelines = { NAME = { topics = ...; plugin = ...; }; };");
    }
}
