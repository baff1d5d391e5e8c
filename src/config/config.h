/*
 * config - a libconfig file as an immutable struct config. The only door to libconfig.
 *
 * Lives as long as the process (an arena of its own). Relative paths in the file count from its directory. The typed key table in
 * keys.c drives parsing, defaults, ranges, --dump, the sample file and the manual page (design D8). All errors of a file are
 * reported in one go, each with file:line.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_pair {
    const char *name;
    const char *value;
    const char *place; /* "file:line" */
    bool is_secret;
};

struct config_pairs {
    const struct config_pair *items;
    size_t n;
};

struct config_strings {
    const char *const *items;
    size_t n;
};

struct config_kafka {
    const char *bootstrap_servers; /* "embedded": librdkafka's in-process broker, for demos */
    const char *security_protocol; /* plaintext, ssl, sasl_plaintext, sasl_ssl */
    bool allow_plaintext;          /* sasl_plaintext beyond this machine */
    struct config_pairs properties; /* librdkafka properties by its own names (dots): security.protocol, tls, sasl and the
                                       allow-listed ones, secrets resolved */
    int64_t session_timeout_us;
    struct config_pairs embedded;  /* embedded broker only: topic -> path of the JSON-lines file to seed it with (resolved) */
    int64_t embedded_partitions;
};

struct config_store {
    const char *name;
    const char *kind; /* "postgresql", "sqlite" */
    const char *uri;
    const char *password;
    const char *schema; /* "create" or "check" */
    bool allow_plaintext;
    bool allow_constraints;
    bool is_pooled;
    int64_t connect_timeout_us;
    int64_t lock_timeout_us;
    int64_t statement_timeout_us;
    const char *place;
};

struct config_pipeline {
    const char *name;
    int64_t version;
    const char *plugin;           /* name or path (resolved) */
    struct config_pairs options;  /* of the plugin; checked against its table by plugin/. References are left as they are: plugin/
                                     knows which options are secret (config/secrets.h) */
    struct config_strings topics; /* names, or patterns beginning with '^' */
    const struct config_store *store;
    const char *group_id;         /* default "readside-NAME-vVERSION" */
    const char *group_instance_id; /* prefix for static membership; NULL: dynamic */
    const char *assignor;         /* cooperative-sticky, range, roundrobin */
    const char *start;            /* "earliest", "latest", or an RFC 3339 time */
    const char *type_from;        /* "payload:type" | "header:NAME" | "fixed:TYPE" */
    const char *id_from;          /* "payload:id" ... or "none" */
    const char *version_from;
    const char *time_from;        /* default "none": the record's timestamp */
    const char *unhandled;        /* "skip" or "stop" */
    const char *gaps;             /* "allow" or "forbid" */
    const char *on_error;         /* "stop" (park and skip come with parking) */
    int64_t tasks;
    int64_t batch_rows;
    int64_t batch_bytes;
    int64_t batch_time_us;        /* longest age of a batch before it is written even if the store were busy elsewhere */
    int64_t commit_interval_us;
    int64_t fetch_queue_bytes;
    int64_t row_cache_bytes;
    bool is_enabled;
    const char *place;
};

struct config_worker {
    const char *name;             /* default: the host's name */
    const char *plugin_path;      /* directories, colon-separated */
    const char *log_level;
    const char *log_format;
    int64_t shutdown_timeout_us;
    int64_t restart_delay_us;     /* first delay before a failed task is started again; doubles up to restart_delay_max_us */
    int64_t restart_delay_max_us;
    int64_t stall_timeout_us;     /* a task without a sign of life for so long is killed and started again */
    bool allow_literal_secrets;
};

struct config {
    const char *path;
    struct config_worker worker;
    struct config_kafka kafka;
    const struct config_store *stores;
    size_t n_stores;
    const struct config_pipeline *pipelines;
    size_t n_pipelines;
};

/*
 * Reads and checks a file. ret_problems gets one line per error ("conf/bank.conf:12: unknown key `tpoics'; did you mean
 * `topics'?"), and the error then only counts them; it may be NULL, and the error then has the first. CONFIG when there is any.
 */
int config_load(const char *path, struct config **ret_config, struct buffer *ret_problems, struct error *ret_error) MUST_CHECK;
struct config *config_free(struct config *config);

const struct config_pipeline *config_find_pipeline(const struct config *config, const char *name); /* NULL: none */

/* May everybody see the value of this option of the pipeline's plugin? */
typedef bool config_option_test(void *context, const struct config_pipeline *pipeline, const char *option);

/*
 * The effective configuration as a config file, secrets hidden. Of a plugin's options those are shown that is_plain says and whose
 * names do not tell of a secret; is_plain NULL: the names alone tell, which is too little for people to see.
 */
void config_dump(const struct config *config, config_option_test *is_plain, void *context, struct buffer *ret_text);
/* The commented sample of every key (conf/readside.conf.sample), and the KEYS section of the manual page, from the key table. */
void config_print_sample(struct buffer *ret_text);
void config_print_manual(struct buffer *ret_text);

/* Same text (includes and secrets resolved) for the same meaning: a reload restarts the pipelines whose fingerprint changed. */
uint64_t config_pipeline_fingerprint(const struct config *config, const struct config_pipeline *pipeline);

#endif
