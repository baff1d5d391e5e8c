/*
 * bare - the limit to compare with: consume, parse, fold `balance += amount' per account in a hash table, and nothing else.
 *
 *     bare BOOTSTRAP TOPIC EVENTS
 *
 * No store, no types, no checks, no positions: what is left of the work when everything Readside adds is taken away. Reads the
 * topic from its first offset in one thread and prints seconds from the first record to the last as one JSON line.
 */
#include <librdkafka/rdkafka.h>
#include <yyjson.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SLOTS = 1 << 21, TAKE_MAX = 2048, POOL_BYTES = 256 * 1024 };

struct account {
    uint64_t hash;
    int64_t cents;
    int64_t events;
};

static struct account *accounts;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t hash_of(const char *text, size_t size)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
    return hash | 1;
}

/* Text like "12.50" to 1250. */
static int64_t cents_of(const char *text)
{
    int64_t cents = 0;
    int behind = -1;

    for (; *text != '\0'; text++) {
        if (*text == '.') {
            behind = 0;
            continue;
        }
        cents = cents * 10 + (*text - '0');
        behind += behind >= 0;
    }
    for (; behind < 2; behind++)
        cents *= behind < 0 ? 1 : 10;
    return cents;
}

static void fold(const rd_kafka_message_t *message, yyjson_alc *pool)
{
    yyjson_doc *doc = yyjson_read_opts((char *)message->payload, message->len, YYJSON_READ_NOFLAG, pool, NULL);
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *key = yyjson_obj_get(root, "account");
    const char *amount = yyjson_get_str(yyjson_obj_get(root, "amount"));
    uint64_t hash = hash_of(yyjson_get_str(key), yyjson_get_len(key));
    size_t slot = hash & (SLOTS - 1);

    while (accounts[slot].hash != 0 && accounts[slot].hash != hash)
        slot = (slot + 1) & (SLOTS - 1);
    accounts[slot].hash = hash;
    accounts[slot].cents += amount == NULL ? 0 : cents_of(amount);
    accounts[slot].events++;
    yyjson_doc_free(doc);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256];

    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "bare: %s\n", text);
        exit(1);
    }
}

static rd_kafka_t *open_consumer(const char *bootstrap, const char *topic)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    rd_kafka_topic_t *handle;
    rd_kafka_t *kafka;
    char text[256];

    set(conf, "bootstrap.servers", bootstrap);
    set(conf, "group.id", "bare");
    set(conf, "enable.auto.commit", "false");
    set(conf, "queued.max.messages.kbytes", "8192");
    set(conf, "queued.min.messages", "1000000");
    set(conf, "fetch.queue.backoff.ms", "5");
    kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (kafka == NULL) {
        fprintf(stderr, "bare: %s\n", text);
        exit(1);
    }
    rd_kafka_poll_set_consumer(kafka);
    handle = rd_kafka_topic_new(kafka, topic, NULL);
    if (rd_kafka_metadata(kafka, 0, handle, &metadata, 10000) != RD_KAFKA_RESP_ERR_NO_ERROR || metadata->topic_cnt != 1) {
        fprintf(stderr, "bare: no metadata of topic %s from %s\n", topic, bootstrap);
        exit(1);
    }
    for (int i = 0; i < metadata->topics[0].partition_cnt; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = 0;
    rd_kafka_assign(kafka, list);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    return kafka;
}

int main(int argc, char **argv)
{
    static char pool_memory[POOL_BYTES];
    rd_kafka_message_t *messages[TAKE_MAX];
    rd_kafka_queue_t *queue;
    rd_kafka_t *kafka;
    yyjson_alc pool;
    int64_t wanted, taken = 0;
    double start = 0;

    if (argc != 4) {
        fprintf(stderr, "usage: bare BOOTSTRAP TOPIC EVENTS\n");
        return 2;
    }
    wanted = strtoll(argv[3], NULL, 10);
    accounts = calloc(SLOTS, sizeof *accounts);
    kafka = open_consumer(argv[1], argv[2]);
    queue = rd_kafka_queue_get_consumer(kafka);
    yyjson_alc_pool_init(&pool, pool_memory, sizeof pool_memory);
    while (taken < wanted) {
        ssize_t n = rd_kafka_consume_batch_queue(queue, 20, messages, TAKE_MAX);

        for (ssize_t i = 0; i < n; i++) {
            if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                if (start == 0)
                    start = now();
                fold(messages[i], &pool);
                taken++;
            }
            rd_kafka_message_destroy(messages[i]);
        }
    }
    printf("{\"what\": \"bare\", \"events\": %" PRId64 ", \"seconds\": %.4f}\n", taken, now() - start);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(kafka);
    rd_kafka_destroy(kafka);
    free(accounts);
    return 0;
}
