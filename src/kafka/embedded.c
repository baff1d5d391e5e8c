/*
 * embedded - librdkafka's mock cluster, started by a producer that also seeds it.
 *
 * Called by `readside run` with the embedded broker, in the supervisor's process, and by tests; from one thread. The broker
 * itself runs in threads of librdkafka. Never used with a real cluster.
 */
#include "kafka/embedded.h"

#include "kafka/client.h"
#include "kafka/seed.h"

#include <errno.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    POLL_MS = 100,
    SEED_TIMEOUT_MS = 30000,
    KEPT_BYTES = 4500000,   /* the mock drops records above 5 MiB a partition */
    RECORD_OVERHEAD = 40,   /* headroom for what a record costs beside key and value */
    MAX_TOPICS = 64,
};

struct topic_size {
    char *topic;
    int64_t bytes[EMBEDDED_MAX_PARTITIONS];
};

struct embedded {
    rd_kafka_t *rk;
    rd_kafka_mock_cluster_t *cluster; /* the producer owns it */
    struct topic_size *sizes[MAX_TOPICS];
    size_t n_sizes;
    struct error trouble; /* of a delivery */
};

static struct topic_size *find_size(struct embedded *embedded, const char *topic)
{
    for (size_t i = 0; i < embedded->n_sizes; i++)
        if (strcmp(embedded->sizes[i]->topic, topic) == 0)
            return embedded->sizes[i];
    return NULL;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct embedded *embedded = opaque;
    const char *topic = rd_kafka_topic_name(message->rkt);
    struct topic_size *size = find_size(embedded, topic);
    int64_t *bytes;

    (void)rk;
    if (embedded->trouble.class != 0)
        return;
    if (message->err) {
        error_set(&embedded->trouble, ERROR_BUG, "the embedded broker refused a record for %s: %s", topic,
                  rd_kafka_message_errstr(message));
        return;
    }
    if (!size || message->partition >= EMBEDDED_MAX_PARTITIONS)
        return;
    bytes = &size->bytes[message->partition];
    *bytes += (int64_t)(message->len + message->key_len + RECORD_OVERHEAD);
    if (*bytes > KEPT_BYTES)
        error_set(&embedded->trouble, ERROR_CONFIG, "the embedded broker keeps %d MB a partition, and %s[%d] got more; use a "
                  "real Kafka or more partitions", KEPT_BYTES / 1000000, topic, message->partition);
}

static int configure(struct embedded *embedded, rd_kafka_conf_t *conf, struct error *ret_error)
{
    static const char *const pairs[][2] = {
        { "test.mock.num.brokers", "1" }, { "client.id", "readside-embedded" }, { "linger.ms", "5" },
        { "partitioner", "murmur2_random" }, { "enable.metrics.push", "false" },
        { "enable.idempotence", "true" }, /* order per partition, also after a retry */
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        int result = client_set(conf, pairs[i][0], pairs[i][1], ret_error);

        if (result != 0)
            return result;
    }
    client_log_to_hook(conf);
    rd_kafka_conf_set_opaque(conf, embedded);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return 0;
}

int embedded_start(struct embedded **ret_embedded, struct error *ret_error)
{
    struct embedded *embedded = calloc(1, sizeof(*embedded));
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[512] = "";
    int result;

    if (!embedded) {
        result = error_set(ret_error, ERROR_BUG, "out of memory for the embedded broker");
        goto out;
    }
    result = configure(embedded, conf, ret_error);
    if (result != 0)
        goto out;
    embedded->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    if (!embedded->rk) {
        result = error_set(ret_error, ERROR_TRANSIENT, "the embedded broker does not start: %s", text);
        goto out;
    }
    conf = NULL; /* the client's now */
    embedded->cluster = rd_kafka_handle_mock_cluster(embedded->rk);
    rd_kafka_mock_group_initial_rebalance_delay_ms(embedded->cluster, 0);
    *ret_embedded = embedded;
    embedded = NULL;
out:
    if (conf)
        rd_kafka_conf_destroy(conf);
    embedded_stop(embedded);
    return result;
}

struct embedded *embedded_stop(struct embedded *embedded)
{
    if (!embedded)
        return NULL;
    if (embedded->rk) {
        rd_kafka_purge(embedded->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(embedded->rk);
    }
    for (size_t i = 0; i < embedded->n_sizes; i++) {
        free(embedded->sizes[i]->topic);
        free(embedded->sizes[i]);
    }
    free(embedded);
    return NULL;
}

const char *embedded_bootstrap_servers(const struct embedded *embedded)
{
    return rd_kafka_mock_cluster_bootstraps(embedded->cluster);
}

int embedded_create_topic(struct embedded *embedded, const char *topic, int n_partitions, struct error *ret_error)
{
    struct topic_size *size = NULL;
    rd_kafka_resp_err_t code;

    if (n_partitions < 1 || n_partitions > EMBEDDED_MAX_PARTITIONS)
        return error_set(ret_error, ERROR_CONFIG, "the embedded broker makes topics of 1 to %d partitions, not %d",
                         EMBEDDED_MAX_PARTITIONS, n_partitions);
    if (embedded->n_sizes == MAX_TOPICS)
        return error_set(ret_error, ERROR_CONFIG, "the embedded broker makes at most %d topics", MAX_TOPICS);
    code = rd_kafka_mock_topic_create(embedded->cluster, topic, n_partitions, 1);
    if (code)
        return error_set(ret_error, ERROR_CONFIG, "the embedded broker cannot make topic %s: %s", topic, rd_kafka_err2str(code));
    size = calloc(1, sizeof(*size));
    if (size)
        size->topic = strdup(topic);
    if (!size || !size->topic) {
        free(size);
        return error_set(ret_error, ERROR_BUG, "out of memory for topic %s", topic);
    }
    embedded->sizes[embedded->n_sizes++] = size;
    return 0;
}

int embedded_produce(struct embedded *embedded, const char *topic, int32_t partition, const void *key, size_t key_size,
                     const void *value, size_t value_size, struct error *ret_error)
{
    rd_kafka_resp_err_t code;

    do {
        code = rd_kafka_producev(embedded->rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                                 RD_KAFKA_V_KEY(key, key_size), RD_KAFKA_V_VALUE((void *)(uintptr_t)value, value_size),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        rd_kafka_poll(embedded->rk, code == RD_KAFKA_RESP_ERR__QUEUE_FULL ? POLL_MS : 0);
    } while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && embedded->trouble.class == 0);
    return code ? error_set(ret_error, ERROR_CONFIG, "cannot produce to %s: %s", topic, rd_kafka_err2str(code)) : 0;
}

int embedded_flush(struct embedded *embedded, int timeout_ms, struct error *ret_error)
{
    rd_kafka_resp_err_t code = rd_kafka_flush(embedded->rk, timeout_ms);
    int class = embedded->trouble.class;

    if (class != 0) {
        if (ret_error)
            *ret_error = embedded->trouble;
        embedded->trouble.class = 0;
        return class;
    }
    return code ? error_set(ret_error, ERROR_TRANSIENT, "the embedded broker: %s", rd_kafka_err2str(code)) : 0;
}

static int seed_line(struct embedded *embedded, const char *topic, const char *line, size_t size, const char *key_field,
                     int64_t *n_records, struct error *ret_error)
{
    struct seed_record record;
    char *scratch = malloc(size ? size : 1);
    int result = 0;

    if (!scratch)
        return error_set(ret_error, ERROR_BUG, "out of memory for a line of %zu bytes", size);
    if (seed_read_line(line, size, key_field, scratch, &record)) {
        result = embedded_produce(embedded, topic, -1, record.key, record.key_size, record.value, record.value_size, ret_error);
        if (result == 0)
            ++*n_records;
    }
    free(scratch);
    return result;
}

int embedded_seed(struct embedded *embedded, const char *topic, const char *path, const char *key_field, int64_t *ret_n_records,
                  struct error *ret_error)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t capacity = 0;
    int64_t n_records = 0;
    int result = 0;
    ssize_t size;

    if (!file)
        return error_set(ret_error, ERROR_CONFIG, "cannot open %s to fill topic %s: %s", path, topic, strerror(errno));
    while (result == 0 && embedded->trouble.class == 0 && (size = getline(&line, &capacity, file)) >= 0)
        result = seed_line(embedded, topic, line, (size_t)size, key_field ? key_field : "account", &n_records, ret_error);
    if (result == 0 && ferror(file))
        result = error_set(ret_error, ERROR_CONFIG, "cannot read %s to fill topic %s", path, topic);
    if (result == 0)
        result = embedded_flush(embedded, SEED_TIMEOUT_MS, ret_error);
    if (result == 0 && ret_n_records)
        *ret_n_records = n_records;
    free(line);
    fclose(file);
    return result;
}
