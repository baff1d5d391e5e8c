/*
 * consumer_drill - drives src/kafka/consumer.h against a real broker (or any): run by hand or by an integration test.
 *
 *     consumer_drill bench BOOTSTRAP TOPIC                       how fast take() alone goes through a topic
 *     consumer_drill group BOOTSTRAP TOPIC ASSIGNOR MEMBERS SECONDS MAX_DELAY_MS [SEED]
 *                                                                members join, leave, answer late, seek and pause at random
 *     consumer_drill watch BOOTSTRAP TOPIC ASSIGNOR SECONDS [NAME=VALUE ...]
 *                                                                joins, starts at the low offsets, prints what it sees
 *     consumer_drill fill BOOTSTRAP TOPIC RECORDS SIZE           appends records
 *
 * In `group` a table in memory plays the store: next offset and owner of each partition. Each member claims, checks and moves
 * positions there under a lock. A record of a partition that the member has not started, and a gap, end the drill with status 1;
 * so does a position that has not reached the log's end some time after the last fault.
 */
#include "base/clock.h"
#include "kafka/consumer.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PARTITIONS = 64, BATCH = 4096, FACTS_TIMEOUT_MS = 10000, SETTLE_MS = 60000, CLOSE_MS = 5000 };

static struct {
    pthread_mutex_t lock;
    int64_t next[MAX_PARTITIONS];
    int32_t epoch[MAX_PARTITIONS]; /* of the record before; -1: none */
    int owner[MAX_PARTITIONS];     /* member number + 1; 0: nobody */
    uint64_t claims, records, rewinds, seeks, pauses, losts, stale, ends;
    atomic_bool is_ending; /* no more faults */
    atomic_bool is_over;
    atomic_int failures;
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const char *bootstrap, *topic;
static struct consumer_property properties[16]; /* from the command line */
static size_t n_properties;
static int n_partitions;
static enum assignor assignor;
static int max_delay_ms;

static int64_t now_ms(void)
{
    return clock_system.monotonic_us(clock_system.self) / 1000;
}

static void end(struct consumer *consumer, int timeout_ms)
{
    if (!consumer_close(consumer, timeout_ms))
        puts("a client was left behind: the broker did not let it go in time");
}

static void fail(int member, const char *what, int32_t partition, int64_t offset, int64_t expected)
{
    fprintf(stderr, "FAIL member %d: %s, partition %d offset %" PRId64 " expected %" PRId64 "\n", member, what, partition, offset,
            expected);
    atomic_fetch_add(&shared.failures, 1);
}

static void print_log(int level, const char *facility, const char *text)
{
    if (level <= 5 || getenv("DRILL_VERBOSE"))
        fprintf(stderr, "client %d %s %s\n", level, facility, text);
}

static int open_consumer(const char *group, struct consumer *ret_consumer)
{
    struct error error = { 0 };
    const struct consumer_settings settings = {
        .bootstrap_servers = bootstrap, .group_id = group, .client_id = "drill", .topics = &topic, .n_topics = 1,
        .assignor = assignor, .session_timeout_ms = 6000, .fetch_queue_bytes = 8 << 20,
        .properties = properties, .n_properties = n_properties,
    };

    if (consumer_open(&settings, ret_consumer, &error) == 0)
        return 0;
    fprintf(stderr, "open: %s\n", error.text);
    return 1;
}

/* ---- bench ---- */

static int start_all(struct consumer *consumer, struct partition_facts *facts, int n)
{
    struct partition_offset offsets[MAX_PARTITIONS];
    struct error error = { 0 };

    for (int i = 0; i < n; i++)
        offsets[i] = (struct partition_offset){ facts[i].topic, facts[i].partition, -1, facts[i].low };
    if (consumer->operations->answer(consumer->self, &error) != 0 ||
        consumer->operations->start(consumer->self, offsets, (size_t)n, &error) != 0) {
        fprintf(stderr, "start: %s\n", error.text);
        return 1;
    }
    return 0;
}

static int learn(struct consumer *consumer, struct partition_facts *facts)
{
    const char *cluster_id;
    struct error error = { 0 };
    int64_t begin_ms = now_ms();

    facts[0] = (struct partition_facts){ .topic = topic };
    if (consumer->operations->facts(consumer->self, facts, 1, FACTS_TIMEOUT_MS, &cluster_id, &error) != 0) {
        fprintf(stderr, "facts after %" PRId64 " ms: %d %s\n", now_ms() - begin_ms, error.class, error.text);
        return 1;
    }
    n_partitions = facts[0].n_partitions < MAX_PARTITIONS ? facts[0].n_partitions : MAX_PARTITIONS;
    for (int i = 0; i < n_partitions; i++)
        facts[i] = (struct partition_facts){ .topic = topic, .partition = i };
    if (consumer->operations->facts(consumer->self, facts, (size_t)n_partitions, FACTS_TIMEOUT_MS, &cluster_id, &error) != 0) {
        fprintf(stderr, "facts: %d %s\n", error.class, error.text);
        return 1;
    }
    printf("cluster %s, %d partitions, topic id %02x%02x..., partition 0 from %" PRId64 " to %" PRId64 ", facts in %" PRId64
           " ms\n", cluster_id, n_partitions, facts[0].topic_id[0], facts[0].topic_id[1], facts[0].low, facts[0].high,
           now_ms() - begin_ms);
    return 0;
}

static int bench(void)
{
    static struct record records[BATCH];
    struct partition_facts facts[MAX_PARTITIONS];
    struct consumer consumer;
    uint64_t n_records = 0, n_bytes = 0, n_takes = 0;
    int64_t begin_us = 0;
    int n_ends = 0;
    char group[64];

    snprintf(group, sizeof(group), "bench-%" PRId64, clock_system.wall_us(clock_system.self));
    if (open_consumer(group, &consumer) || learn(&consumer, facts))
        return 1;
    while (n_ends < n_partitions) {
        struct error error = { 0 };
        size_t n = 0;

        if (consumer.operations->take(consumer.self, 1000, records, BATCH, &n, &error) != 0)
            fprintf(stderr, "take: %d %s\n", error.class, error.text);
        if (consumer.operations->rebalance(consumer.self).kind != REBALANCE_NONE) {
            if (start_all(&consumer, facts, n_partitions))
                return 1;
            begin_us = clock_system.monotonic_us(clock_system.self);
        }
        n_takes++;
        for (size_t i = 0; i < n; i++) {
            n_records += records[i].kind == RECORD_DATA;
            n_bytes += records[i].value_size;
            n_ends += records[i].kind == RECORD_END;
        }
    }
    begin_us = clock_system.monotonic_us(clock_system.self) - begin_us;
    printf("%" PRIu64 " records, %" PRIu64 " MB in %.3f s: %.0f records/s, %" PRIu64 " takes\n", n_records, n_bytes / 1000000,
           (double)begin_us / 1e6, (double)n_records * 1e6 / (double)begin_us, n_takes);
    begin_us = now_ms();
    end(&consumer, 5000);
    printf("closed in %" PRId64 " ms\n", now_ms() - begin_us);
    return 0;
}

/* ---- watch ---- */

static void print_record(const struct record *record)
{
    static const char *const kinds[] = { "data", "end", "ERROR" };

    printf("  %s %s[%d] offset %" PRId64 " epoch %d %s\n", kinds[record->kind], record->topic, record->partition, record->offset,
           record->leader_epoch, record->error_text ? record->error_text : "");
}

/* Prints the first and the last record of each run, marks, rebalances and errors. */
static void print_take(const struct record *records, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool is_inner = i > 0 && i + 1 < n && records[i].kind == RECORD_DATA && records[i - 1].kind == RECORD_DATA &&
                        records[i + 1].kind == RECORD_DATA && records[i - 1].partition == records[i].partition &&
                        records[i + 1].partition == records[i].partition;

        if (!is_inner)
            print_record(&records[i]);
    }
}

static int follow(struct consumer *consumer)
{
    static const char *const kinds[] = { "", "ASSIGN", "REVOKE", "LOST" };
    struct rebalance rebalance = consumer->operations->rebalance(consumer->self);
    struct partition_facts facts[MAX_PARTITIONS];
    struct error error = { 0 };
    size_t n = rebalance.n_partitions < MAX_PARTITIONS ? rebalance.n_partitions : MAX_PARTITIONS;
    const char *cluster_id;

    if (rebalance.kind == REBALANCE_NONE)
        return 0;
    printf("%s of %zu partitions\n", kinds[rebalance.kind], rebalance.n_partitions);
    for (size_t i = 0; i < n; i++)
        facts[i] = (struct partition_facts){
            .topic = rebalance.partitions[i].topic, .partition = rebalance.partitions[i].partition
        };
    if (rebalance.kind != REBALANCE_ASSIGN)
        return consumer->operations->answer(consumer->self, &error);
    if (consumer->operations->facts(consumer->self, facts, n, FACTS_TIMEOUT_MS, &cluster_id, &error) != 0) {
        printf("facts: %d %s\n", error.class, error.text);
        return 1;
    }
    for (size_t i = 0; i < n; i++)
        printf("  %s[%d] of %d, %" PRId64 " to %" PRId64 "\n", facts[i].topic, facts[i].partition, facts[i].n_partitions,
               facts[i].low, facts[i].high);
    return start_all(consumer, facts, (int)n);
}

static int watch(int seconds)
{
    static struct record records[BATCH];
    int64_t until_ms = now_ms() + seconds * 1000;
    struct partition_facts facts[MAX_PARTITIONS];
    struct consumer consumer;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (open_consumer("drill-watch", &consumer))
        return 1;
    if (topic[0] == '^' || learn(&consumer, facts) == 0)
        while (now_ms() < until_ms) {
            struct error error = { 0 };
            size_t n = 0;

            if (consumer.operations->take(consumer.self, 100, records, BATCH, &n, &error) != 0)
                printf("take: %d %s\n", error.class, error.text);
            print_take(records, n);
            if (follow(&consumer) != 0)
                break;
        }
    end(&consumer, CLOSE_MS);
    return 0;
}

/* ---- fill ---- */

static int fill(uint64_t n, size_t size)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[512], *value = malloc(size), key[32];
    rd_kafka_t *rk;
    uint64_t i = 0;

    memset(value, 'x', size);
    rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, text, sizeof(text));
    rd_kafka_conf_set(conf, "queue.buffering.max.messages", "1000000", text, sizeof(text));
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    while (i < n) {
        int key_size = snprintf(key, sizeof(key), "acc-%d", (int)(i % 10000));

        if (rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, (size_t)key_size), RD_KAFKA_V_VALUE(value, size),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR_NO_ERROR)
            i++;
        else
            rd_kafka_poll(rk, 50);
    }
    rd_kafka_flush(rk, 60000);
    rd_kafka_destroy(rk);
    free(value);
    return 0;
}

/* ---- group ---- */

struct drill_member {
    int number;
    uint64_t random;
    struct consumer consumer;
    bool is_started[MAX_PARTITIONS];
    bool is_assigned[MAX_PARTITIONS]; /* by the group, started or not yet */
    int64_t expected[MAX_PARTITIONS];
    int64_t answer_at_ms; /* 0: nothing to answer */
    int64_t start_at_ms;  /* 0: nothing to start */
    int64_t disturb_at_ms;
    uint64_t n_revokes, n_assigns;
};

static int64_t delay(struct drill_member *self)
{
    if (atomic_load(&shared.is_ending) || max_delay_ms == 0)
        return 0;
    return (int64_t)(random_next(&self->random) % (uint64_t)max_delay_ms);
}

static void settle_record(struct drill_member *self, const struct record *record)
{
    int p = record->partition;

    if (record->kind == RECORD_ERROR) {
        fail(self->number, record->error_text, p, record->offset, self->expected[p]);
        return;
    }
    if (!self->is_started[p]) {
        fail(self->number, "record of a partition not started", p, record->offset, -1);
        return;
    }
    if (record->kind == RECORD_END) {
        shared.ends++;
        if (record->offset > self->expected[p])
            fail(self->number, "end mark beyond the next record", p, record->offset, self->expected[p]);
        return;
    }
    if (record->offset < self->expected[p]) {
        shared.rewinds++;
        return;
    }
    if (record->offset > self->expected[p]) {
        fail(self->number, "gap", p, record->offset, self->expected[p]);
        return;
    }
    self->expected[p]++;
    if (shared.owner[p] != self->number + 1) {
        shared.stale++; /* a zombie: the store would fence it */
        return;
    }
    shared.next[p]++;
    shared.epoch[p] = record->leader_epoch;
    shared.records++;
}

static void answer(struct drill_member *self)
{
    const struct consumer *consumer = &self->consumer;
    struct rebalance rebalance = consumer->operations->rebalance(consumer->self);
    bool is_assign = rebalance.kind == REBALANCE_ASSIGN;
    struct error error = { 0 };

    pthread_mutex_lock(&shared.lock);
    shared.losts += rebalance.kind == REBALANCE_LOST;
    for (size_t i = 0; i < rebalance.n_partitions; i++) {
        int p = rebalance.partitions[i].partition;

        self->is_assigned[p] = is_assign;
        if (is_assign)
            continue;
        self->is_started[p] = false;
        if (shared.owner[p] == self->number + 1)
            shared.owner[p] = 0;
    }
    pthread_mutex_unlock(&shared.lock);
    *(is_assign ? &self->n_assigns : &self->n_revokes) += 1;
    if (consumer->operations->answer(consumer->self, &error) != 0)
        fail(self->number, error.text, -1, -1, -1);
    self->answer_at_ms = 0;
    self->start_at_ms = is_assign ? now_ms() + delay(self) : self->start_at_ms;
}

static void start(struct drill_member *self)
{
    struct partition_offset offsets[MAX_PARTITIONS];
    struct error error = { 0 };
    size_t n = 0;

    self->start_at_ms = 0;
    pthread_mutex_lock(&shared.lock);
    for (int p = 0; p < n_partitions; p++)
        if (self->is_assigned[p] && !self->is_started[p]) {
            shared.owner[p] = self->number + 1;
            shared.claims++;
            self->is_started[p] = true;
            self->expected[p] = shared.next[p];
            offsets[n++] = (struct partition_offset){ topic, p, shared.epoch[p], shared.next[p] };
        }
    pthread_mutex_unlock(&shared.lock);
    if (self->consumer.operations->start(self->consumer.self, offsets, n, &error) != 0)
        fail(self->number, error.text, -1, -1, -1);
}

/* Now and then: back some records, a pause of some takes, leaving and joining. */
static void disturb(struct drill_member *self, struct partition_offset *paused)
{
    const struct consumer_operations *operations = self->consumer.operations;
    int p = (int)(random_next(&self->random) % (uint64_t)n_partitions);
    uint64_t what = random_next(&self->random) % 150;
    struct error error = { 0 };
    int result = 0;

    if (now_ms() < self->disturb_at_ms)
        return;
    self->disturb_at_ms = now_ms() + 200;
    if (paused->topic && what > 20) {
        result = operations->resume(self->consumer.self, paused, 1, &error);
        paused->topic = NULL;
    } else if (self->is_started[p] && self->answer_at_ms == 0 && what > 0 && what < 10) {
        int64_t back = self->expected[p] < 50 ? 0 : self->expected[p] - 50;
        struct partition_offset place = { topic, p, shared.epoch[p], back };

        shared.seeks++;
        result = operations->seek(self->consumer.self, &place, 1, &error);
        /* Seen from here the records in between are rewinds: what must not come is anything above. */
        if (result == 0) {
            pthread_mutex_lock(&shared.lock);
            self->expected[p] = back;
            if (shared.owner[p] == self->number + 1)
                shared.next[p] = back;
            pthread_mutex_unlock(&shared.lock);
        }
    } else if (self->is_started[p] && !paused->topic && what > 10 && what < 20) {
        *paused = (struct partition_offset){ topic, p, -1, 0 };
        shared.pauses++;
        result = operations->pause(self->consumer.self, paused, 1, &error);
    }
    if (result != 0)
        fprintf(stderr, "member %d: %s\n", self->number, error.text);
}

static void run_session(struct drill_member *self, int64_t until_ms)
{
    static _Thread_local struct record records[BATCH];
    struct partition_offset paused = { 0 };

    while (!atomic_load(&shared.is_over) && (now_ms() < until_ms || atomic_load(&shared.is_ending))) {
        struct error error = { 0 };
        size_t n = 0;

        if (self->consumer.operations->take(self->consumer.self, 20, records, BATCH, &n, &error) != 0)
            fprintf(stderr, "member %d take: %d %s\n", self->number, error.class, error.text);
        pthread_mutex_lock(&shared.lock);
        for (size_t i = 0; i < n; i++)
            settle_record(self, &records[i]);
        pthread_mutex_unlock(&shared.lock);
        if (self->consumer.operations->rebalance(self->consumer.self).kind != REBALANCE_NONE && self->answer_at_ms == 0)
            self->answer_at_ms = now_ms() + delay(self) + 1;
        if (self->answer_at_ms != 0 && now_ms() >= self->answer_at_ms)
            answer(self);
        if (self->start_at_ms != 0 && now_ms() >= self->start_at_ms && self->answer_at_ms == 0)
            start(self);
        if (!atomic_load(&shared.is_ending))
            disturb(self, &paused);
        else if (paused.topic && self->consumer.operations->resume(self->consumer.self, &paused, 1, &error) == 0)
            paused.topic = NULL;
    }
}

static void *run_member(void *argument)
{
    struct drill_member *self = argument;

    while (!atomic_load(&shared.is_over)) {
        int64_t close_ms;

        if (open_consumer(topic, &self->consumer)) /* a group named like the topic */
            return NULL;
        run_session(self, now_ms() + 3000 + (int64_t)(random_next(&self->random) % 20000));
        pthread_mutex_lock(&shared.lock);
        for (int p = 0; p < n_partitions; p++) {
            self->is_started[p] = self->is_assigned[p] = false;
            if (shared.owner[p] == self->number + 1)
                shared.owner[p] = 0;
        }
        pthread_mutex_unlock(&shared.lock);
        self->answer_at_ms = self->start_at_ms = 0;
        close_ms = now_ms();
        end(&self->consumer, CLOSE_MS);
        if (now_ms() - close_ms > CLOSE_MS + 1500) /* a join in flight holds the connection until the others answer */
            fail(self->number, "close took longer than its time limit", -1, now_ms() - close_ms, CLOSE_MS);
    }
    return NULL;
}

static bool is_settled(struct consumer *observer, struct partition_facts *facts)
{
    const char *cluster_id;
    bool is_done = true;
    struct error error;

    if (observer->operations->facts(observer->self, facts, (size_t)n_partitions, FACTS_TIMEOUT_MS, &cluster_id, &error) != 0)
        return false;
    pthread_mutex_lock(&shared.lock);
    for (int p = 0; p < n_partitions; p++)
        is_done = is_done && shared.next[p] == facts[p].high;
    pthread_mutex_unlock(&shared.lock);
    return is_done;
}

static void report(const struct partition_facts *facts, const struct drill_member *members, int n_members)
{
    for (int p = 0; p < n_partitions; p++)
        if (shared.next[p] != facts[p].high)
            fail(-1, "position short of the end", p, shared.next[p], facts[p].high);
    for (int i = 0; i < n_members; i++)
        printf("member %d: %" PRIu64 " assignments, %" PRIu64 " revocations\n", i, members[i].n_assigns, members[i].n_revokes);
    printf("claims %" PRIu64 ", records %" PRIu64 ", rewinds dropped %" PRIu64 ", seeks %" PRIu64 ", pauses %" PRIu64
           ", lost %" PRIu64 ", zombie records %" PRIu64 ", ends %" PRIu64 ", failures %d\n", shared.claims,
           shared.records, shared.rewinds, shared.seeks, shared.pauses, shared.losts, shared.stale, shared.ends,
           atomic_load(&shared.failures));
}

static int group(int n_members, int seconds, uint64_t seed)
{
    struct drill_member *members = calloc((size_t)n_members, sizeof(*members));
    pthread_t threads[16];
    struct partition_facts facts[MAX_PARTITIONS];
    struct consumer observer;
    int64_t until_ms;

    if (open_consumer("drill-observer", &observer) || learn(&observer, facts))
        return 1;
    for (int p = 0; p < n_partitions; p++) {
        shared.next[p] = facts[p].low;
        shared.epoch[p] = -1;
    }
    for (int i = 0; i < n_members; i++) {
        members[i] = (struct drill_member){ .number = i, .random = seed + (uint64_t)i * 7919 };
        pthread_create(&threads[i], NULL, run_member, &members[i]);
    }
    until_ms = now_ms() + seconds * 1000;
    while (now_ms() < until_ms) {
        fill(500, 100);
        poll(NULL, 0, 200);
    }
    atomic_store(&shared.is_ending, true);
    until_ms = now_ms();
    while (!is_settled(&observer, facts) && now_ms() - until_ms < SETTLE_MS)
        poll(NULL, 0, 50);
    printf("settled %" PRId64 " ms after the last fault\n", now_ms() - until_ms);
    atomic_store(&shared.is_over, true);
    for (int i = 0; i < n_members; i++)
        pthread_join(threads[i], NULL);
    report(facts, members, n_members);
    end(&observer, 5000);
    free(members);
    return atomic_load(&shared.failures) ? 1 : 0;
}

static enum assignor read_assignor(const char *name)
{
    return strcmp(name, "range") == 0 ? ASSIGNOR_RANGE : strcmp(name, "roundrobin") == 0 ? ASSIGNOR_ROUNDROBIN
                                                                                        : ASSIGNOR_COOPERATIVE_STICKY;
}

static void read_properties(char **arguments, int n)
{
    for (int i = 0; i < n && n_properties < sizeof(properties) / sizeof(properties[0]); i++) {
        char *equals = strchr(arguments[i], '=');

        if (!equals)
            continue;
        *equals = '\0';
        properties[n_properties++] = (struct consumer_property){ arguments[i], equals + 1 };
    }
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    consumer_set_log(print_log);
    bootstrap = argv[2];
    topic = argv[3];
    if (strcmp(argv[1], "bench") == 0)
        return bench();
    if (strcmp(argv[1], "fill") == 0 && argc == 6)
        return fill(strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10));
    if (strcmp(argv[1], "group") == 0 && argc >= 8) {
        assignor = read_assignor(argv[4]);
        max_delay_ms = (int)strtol(argv[7], NULL, 10);
        return group((int)strtol(argv[5], NULL, 10), (int)strtol(argv[6], NULL, 10), argc > 8 ? strtoull(argv[8], NULL, 10) : 1);
    }
    if (strcmp(argv[1], "watch") == 0 && argc >= 6) {
        assignor = read_assignor(argv[4]);
        read_properties(argv + 6, argc - 6);
        return watch((int)strtol(argv[5], NULL, 10));
    }
    return 2;
}
