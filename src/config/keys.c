/*
 * keys - the tables themselves, one a group, in the order in which people read them.
 *
 * Constant data; see keys.h. A key is added here, as a member of the group's struct in config.h, and nowhere else.
 */
#include "config/keys.h"
#include "base/text.h"
#include "config/config.h"

#include <string.h>

#define MS INT64_C(1000)
#define SECOND (1000 * MS)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define AT(member) .offset = offsetof(struct OBJECT, member)

#define OBJECT config_worker
static const struct key worker_keys[] = {
    {.name = "name", .type = KEY_TEXT, AT(name), .default_note = "the host's name", .example = "\"w1\"",
     .summary = "Name of this worker in logs, Kafka client ids and database connections.",
     .details = "Letters, digits, '.', '_' and '-', at most 64. With static membership it must differ between the workers of a "
                "group."},
    {.name = "plugin_path", .type = KEY_TEXT, AT(plugin_path), .flags = KEY_PATHS,
     .default_note = "the directory that make install puts plugins into", .example = "\"/usr/local/lib/readside\"",
     .summary = "Directories to look for plugins in, separated by ':'."},
    {.name = "log_level", .type = KEY_CHOICE, AT(log_level), .fallback = "info", .choices = "error|warn|info|debug",
     .flags = KEY_RELOADABLE, .summary = "The least important lines that are still logged."},
    {.name = "log_format", .type = KEY_CHOICE, AT(log_format), .fallback = "logfmt", .choices = "logfmt|json",
     .flags = KEY_RELOADABLE, .summary = "Form of a log line on standard error."},
    {.name = "shutdown_timeout", .type = KEY_DURATION, AT(shutdown_timeout_us), .fallback = "5s", .min = 100 * MS, .max = HOUR,
     .flags = KEY_RELOADABLE, .summary = "How long a stop waits for the tasks to finish their batch and let go.",
     .details = "Tasks that take longer are killed, which harms nothing: what was not committed is read again."},
    {.name = "restart_delay", .type = KEY_DURATION, AT(restart_delay_us), .fallback = "500ms", .min = MS, .max = HOUR,
     .flags = KEY_RELOADABLE, .summary = "Delay before a failed task is started again; it doubles with each failure."},
    {.name = "restart_delay_max", .type = KEY_DURATION, AT(restart_delay_max_us), .fallback = "30s", .min = MS, .max = DAY,
     .flags = KEY_RELOADABLE, .summary = "The longest such delay."},
    {.name = "stall_timeout", .type = KEY_DURATION, AT(stall_timeout_us), .fallback = "60s", .min = SECOND, .max = DAY,
     .flags = KEY_RELOADABLE, .summary = "A task that gives no sign of life for so long is killed and started again.",
     .details = "Waiting for a store or a broker that is away is a sign of life; a plugin that does not return is none."},
    {.name = "allow_literal_secrets", .type = KEY_BOOL, AT(allow_literal_secrets), .fallback = "false",
     .summary = "Permits passwords to be written into the config file itself.",
     .details = "Without it a password must be a reference: \"env:NAME\" or \"file:/path\"."},
};
#undef OBJECT

#define OBJECT config_kafka
static const struct key kafka_keys[] = {
    {.name = "bootstrap_servers", .type = KEY_TEXT, AT(bootstrap_servers), .flags = KEY_REQUIRED, .example = "\"localhost:9092\"",
     .summary = "Brokers to begin with, as host:port, separated by ','.",
     .details = "\"embedded\" starts a broker inside the worker, for demonstrations: it forgets everything when it stops."},
    {.name = "security_protocol", .type = KEY_CHOICE, AT(security_protocol), .fallback = "plaintext",
     .choices = "plaintext|ssl|sasl_plaintext|sasl_ssl",
     .summary = "How brokers are talked to; ssl means TLS, with the broker's certificate and host name verified."},
    {.name = "allow_plaintext", .type = KEY_BOOL, AT(allow_plaintext), .fallback = "false",
     .summary = "Permits sasl_plaintext with brokers that are not on this machine: the password can be read on the way."},
    {.name = "ssl_ca_location", .type = KEY_TEXT, .flags = KEY_PATH, .property = "ssl.ca.location",
     .default_note = "the system's certificate authorities", .example = "\"/etc/readside/ca.pem\"",
     .summary = "File or directory of the certificate authorities that brokers are verified against."},
    {.name = "ssl_certificate_location", .type = KEY_TEXT, .flags = KEY_PATH, .property = "ssl.certificate.location",
     .default_note = "none", .example = "\"/etc/readside/client.pem\"",
     .summary = "The client's certificate, where brokers ask for one."},
    {.name = "ssl_key_location", .type = KEY_TEXT, .flags = KEY_PATH, .property = "ssl.key.location", .default_note = "none",
     .example = "\"/etc/readside/client.key\"", .summary = "The private key of the client's certificate."},
    {.name = "ssl_key_password", .type = KEY_TEXT, .flags = KEY_SECRET, .property = "ssl.key.password", .default_note = "none",
     .example = "\"file:/etc/readside/client.key.password\"", .summary = "The pass phrase of the private key."},
    {.name = "sasl_mechanism", .type = KEY_CHOICE, .choices = "SCRAM-SHA-512|SCRAM-SHA-256|PLAIN", .property = "sasl.mechanism",
     .default_note = "none", .example = "\"SCRAM-SHA-512\"",
     .summary = "How the client proves who it is; needed with sasl_ssl and sasl_plaintext."},
    {.name = "sasl_username", .type = KEY_TEXT, .property = "sasl.username", .default_note = "none", .example = "\"readside\"",
     .summary = "User name for SASL."},
    {.name = "sasl_password", .type = KEY_TEXT, .flags = KEY_SECRET, .property = "sasl.password", .default_note = "none",
     .example = "\"env:KAFKA_PASSWORD\"", .summary = "Password for SASL: \"env:NAME\" or \"file:/path\"."},
    {.name = "session_timeout", .type = KEY_DURATION, AT(session_timeout_us), .fallback = "10s", .min = 6 * SECOND,
     .max = 5 * MINUTE, .summary = "After so long without a heartbeat the broker gives a task's partitions to others."},
    {.name = "properties", .type = KEY_PAIRS, AT(properties), .default_note = "none",
     .example = "{ fetch_wait_max_ms = \"50\"; }",
     .summary = "Further librdkafka properties, with underscores for dots.",
     .details = "Only those listed under CLIENT PROPERTIES are taken."},
    {.name = "embedded", .type = KEY_PAIRS, AT(embedded), .flags = KEY_PATH, .default_note = "none",
     .example = "{ bank = \"bank.jsonl\"; }",
     .summary = "Embedded broker only: topics to make and the JSON-lines file that fills each."},
    {.name = "embedded_partitions", .type = KEY_INT, AT(embedded_partitions), .fallback = "4", .min = 1, .max = 64,
     .summary = "Embedded broker only: partitions of each topic."},
};
#undef OBJECT

#define OBJECT config_store
static const struct key store_keys[] = {
    {.name = "kind", .type = KEY_CHOICE, AT(kind), .flags = KEY_REQUIRED, .choices = "postgresql|mysql|sqlite",
     .example = "\"postgresql\"", .summary = "What the store is; mysql: MySQL or MariaDB."},
    {.name = "uri", .type = KEY_TEXT, AT(uri), .flags = KEY_REQUIRED | KEY_FROM_ENV,
     .example = "\"postgresql://readside@localhost/views\"", .summary = "Where the store is.",
     .details = "PostgreSQL: a connection URI or key words as libpq takes them, without the password; \"env:NAME\" reads it, "
                "password included, from the environment. Of a list of hosts one is tried after the other, each for "
                "connect_timeout, until one is the primary. MySQL and MariaDB: mysql://user@host:port/database, with ?socket=, tls= "
                "(verified, unverified, off), ssl-ca=, ssl-cert= and ssl-key= where needed. SQLite: the path of the database file, relative to the config file."},
    {.name = "password", .type = KEY_TEXT, AT(password), .flags = KEY_SECRET, .default_note = "none",
     .example = "\"file:/etc/readside/password\"", .summary = "Password of the store: \"env:NAME\" or \"file:/path\"."},
    {.name = "schema", .type = KEY_CHOICE, AT(schema), .fallback = "create", .choices = "create|check",
     .summary = "Whether missing tables are created, or only checked because somebody else makes them.",
     .details = "Indexes of tables that hold rows are left to people either way, as making one can keep readers and writers "
                "waiting: a start warns of what is missing, with the statement that makes it."},
    {.name = "allow_plaintext", .type = KEY_BOOL, AT(allow_plaintext), .fallback = "false",
     .summary = "Permits a store on another host without verified TLS."},
    {.name = "allow_constraints", .type = KEY_BOOL, AT(allow_constraints), .fallback = "false",
     .summary = "Permits checks, foreign keys, triggers and further unique indexes on the tables.",
     .details = "With them the rows may come to depend on how events fall into batches."},
    {.name = "pooled", .type = KEY_BOOL, AT(is_pooled), .fallback = "false",
     .summary = "The store is reached through a connection pooler in transaction mode."},
    {.name = "connect_timeout", .type = KEY_DURATION, AT(connect_timeout_us), .fallback = "10s", .min = 100 * MS,
     .max = 10 * MINUTE, .summary = "How long one attempt to connect may take."},
    {.name = "lock_timeout", .type = KEY_DURATION, AT(lock_timeout_us), .fallback = "2s", .min = 10 * MS, .max = 10 * MINUTE,
     .summary = "How long one statement waits for a lock before it is tried again."},
    {.name = "statement_timeout", .type = KEY_DURATION, AT(statement_timeout_us), .fallback = "60s", .min = 100 * MS, .max = DAY,
     .summary = "How long one statement may take in all; with SQLite, a whole transaction."},
};
#undef OBJECT

#define OBJECT config_pipeline
static const struct key pipeline_keys[] = {
    {.name = "topics", .type = KEY_LIST, AT(topics), .flags = KEY_REQUIRED, .example = "[ \"bank\" ]",
     .summary = "Topics to read: names, or patterns (POSIX extended regular expressions) that begin with '^'.",
     .details = "A single one may be written without the brackets."},
    {.name = "plugin", .type = KEY_TEXT, AT(plugin), .flags = KEY_REQUIRED, .example = "\"bank\"",
     .summary = "The projection: the name of a plugin in plugin_path, or the path of a shared object.",
     .details = "What holds a '/' is a path; a relative one counts from the config file."},
    {.name = "options", .type = KEY_PAIRS, AT(options), .default_note = "none", .example = "{ daily_totals = true; }",
     .summary = "Options of the plugin; `readside plugins NAME' lists them."},
    {.name = "store", .type = KEY_STORE, AT(store), .default_note = "the store, where only one is defined", .example = "\"main\"",
     .summary = "The store that takes the rows, by its name in stores."},
    {.name = "version", .type = KEY_INT, AT(version), .fallback = "1", .min = 1, .max = 1000000,
     .summary = "Generation of the pipeline's tables.",
     .details = "Another version has tables, positions and a consumer group of its own and begins anew."},
    {.name = "tasks", .type = KEY_INT, AT(tasks), .fallback = "1", .min = 1, .max = 64,
     .summary = "Processes of this pipeline in this worker; partitions are shared among them."},
    {.name = "start", .type = KEY_TEXT, AT(start), .fallback = "earliest",
     .summary = "Where a new version begins: earliest, latest, or a time such as 2026-11-23T04:00:00Z.",
     .details = "Once there is a position it alone counts."},
    {.name = "enabled", .type = KEY_BOOL, AT(is_enabled), .fallback = "true", .summary = "Whether the pipeline runs."},
    {.name = "group_id", .type = KEY_TEXT, AT(group_id), .default_note = "readside-NAME-vVERSION",
     .example = "\"readside-accounts-v1\"", .summary = "Kafka consumer group; no two pipelines share one."},
    {.name = "group_instance_id", .type = KEY_TEXT, AT(group_instance_id), .default_note = "none: dynamic membership",
     .example = "\"readside\"", .summary = "Turns static membership on; worker and task are added to this prefix.",
     .details = "A task that is back within session_timeout keeps its partitions without a rebalance."},
    {.name = "assignor", .type = KEY_CHOICE, AT(assignor), .fallback = "cooperative-sticky",
     .choices = "cooperative-sticky|range|roundrobin", .summary = "How the group shares partitions out.",
     .details = "Several topics that feed one partitioned table need range, so that equal partition numbers go together."},
    {.name = "type_from", .type = KEY_TEXT, AT(type_from), .fallback = "payload:type",
     .summary = "Where an event's type is: payload:PATH, header:NAME, or fixed:TYPE where all are of one type.",
     .details = "The type $tombstone is that of null values; an event with a value that names it is poison."},
    {.name = "id_from", .type = KEY_TEXT, AT(id_from), .fallback = "payload:id",
     .summary = "Where an event's id is: payload:PATH, header:NAME or none."},
    {.name = "version_from", .type = KEY_TEXT, AT(version_from), .fallback = "payload:version",
     .summary = "Where the version of an event's type is: payload:PATH, header:NAME or none; an event without one has 1."},
    {.name = "time_from", .type = KEY_TEXT, AT(time_from), .fallback = "none",
     .summary = "Where an event's time is: payload:PATH, header:NAME, or none for the record's timestamp."},
    {.name = "unhandled", .type = KEY_CHOICE, AT(unhandled), .fallback = "skip", .choices = "skip|stop",
     .summary = "What becomes of an event whose type the plugin does not handle.",
     .details = "Skipped events are counted, and each type is logged once."},
    {.name = "gaps", .type = KEY_CHOICE, AT(gaps), .fallback = "allow", .choices = "allow|forbid",
     .summary = "Whether offsets may be missing between two records.",
     .details = "Transactions and compaction leave gaps. In a topic that has neither, forbid stops a partition that has lost "
                "records."},
    {.name = "on_error", .type = KEY_CHOICE, AT(on_error), .fallback = "stop", .choices = "stop",
     .summary = "What a poison event does: stop halts its partition, with the reason."},
    {.name = "batch_rows", .type = KEY_INT, AT(batch_rows), .fallback = "50000", .min = 1, .max = 1000000,
     .summary = "Most rows of one transaction."},
    {.name = "batch_bytes", .type = KEY_SIZE, AT(batch_bytes), .fallback = "8MiB", .min = 64 * KIB, .max = GIB,
     .summary = "Most memory of one batch."},
    {.name = "batch_time", .type = KEY_DURATION, AT(batch_time_us), .fallback = "5s", .min = 10 * MS, .max = HOUR,
     .summary = "Greatest age of a batch before it is written."},
    {.name = "commit_interval", .type = KEY_DURATION, AT(commit_interval_us), .fallback = "0", .min = 0, .max = HOUR,
     .summary = "Least time between two commits, for stores whose flushes are dear.",
     .details = "With 0 a batch is written as soon as the store is idle. Not above batch_time."},
    {.name = "fetch_queue", .type = KEY_SIZE, AT(fetch_queue_bytes), .fallback = "2MiB", .min = 64 * KIB, .max = GIB,
     .summary = "Most memory for records fetched ahead, a task."},
    {.name = "row_cache", .type = KEY_SIZE, AT(row_cache_bytes), .fallback = "16MiB", .min = 0, .max = 64 * GIB,
     .summary = "Most memory for rows kept between batches, a task."},
};
#undef OBJECT

const struct key_group key_groups[N_GROUPS] = {
    [GROUP_WORKER] = {.name = "worker", .keys = worker_keys, .n_keys = COUNT(worker_keys),
                      .object_size = sizeof(struct config_worker), .summary = "The process that runs the pipelines. Optional."},
    [GROUP_KAFKA] = {.name = "kafka", .keys = kafka_keys, .n_keys = COUNT(kafka_keys),
                     .object_size = sizeof(struct config_kafka), .summary = "The Kafka cluster that all pipelines read."},
    [GROUP_STORE] = {.name = "stores", .sample_name = "main", .keys = store_keys, .n_keys = COUNT(store_keys),
                     .object_size = sizeof(struct config_store),
                     .summary = "The read stores, each a group under a name of your own ([a-z][a-z0-9_-]*)."},
    [GROUP_PIPELINE] = {.name = "pipelines", .sample_name = "accounts", .keys = pipeline_keys, .n_keys = COUNT(pipeline_keys),
                        .object_size = sizeof(struct config_pipeline),
                        .summary = "The pipelines, each a group under a name of your own ([a-z][a-z0-9_-]*)."},
};

const struct key *key_find(const struct key_group *group, const char *name)
{
    for (size_t i = 0; i < group->n_keys; i++) {
        if (strcmp(group->keys[i].name, name) == 0) {
            return &group->keys[i];
        }
    }
    return NULL;
}

const char *key_nearest(const char *name, const char *const *first, size_t n, size_t stride)
{
    const char *nearest = NULL;
    size_t size = strlen(name);
    unsigned best = size < 4 ? 2 : size < 9 ? 3 : (unsigned)(size / 3 + 1); /* must be below */

    for (size_t i = 0; i < n; i++) {
        const char *candidate = *(const char *const *)(const void *)((const char *)first + i * stride);
        unsigned distance = text_distance(name, candidate);

        if (distance < best) {
            best = distance;
            nearest = candidate;
        }
    }
    return nearest;
}

const char *key_type_name(enum key_type type)
{
    static const char *const names[] = {
        [KEY_BOOL] = "boolean", [KEY_INT] = "number", [KEY_TEXT] = "text", [KEY_DURATION] = "duration", [KEY_SIZE] = "size",
        [KEY_CHOICE] = "choice", [KEY_LIST] = "list", [KEY_PAIRS] = "group", [KEY_STORE] = "name",
    };

    return names[type];
}
