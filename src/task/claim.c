/*
 * claim - taking positions over, and asking what has become of them: the sink's side of design 7.2, 7.6 and 7.10.
 *
 * A claim goes: take owner and epoch of every waiting partition in the store; make the positions that a first claim finds missing;
 * compare what the store says with what the broker says; start the partitions at their absolute offsets.
 */
#include "task/recovery.h"
#include "task/sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FACTS_TIMEOUT_MS = 2000, ASK_BASE_US = 100 * 1000, ASK_MAX_US = 5 * 1000 * 1000 };

static int by_name(const void *a, const void *b)
{
    const struct store_position *x = a, *y = b;
    int order = strcmp(x->topic, y->topic);

    return order != 0 ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

/* Fills positions[] with the partitions that are waiting (or those that are claimed), in the order in which positions are locked. */
static int list_positions(struct sink *sink, bool is_waiting, struct error *ret_error)
{
    int result = sink_reserve(sink, sink->progress.n, ret_error);

    if (result == 0)
        result = sink_reserve_request(sink, ret_error);
    if (result != 0)
        return result;
    sink->n_positions = 0;
    for (size_t i = 0; i < sink->progress.n; i++) {
        const struct partition *item = &sink->progress.items[i];

        if ((item->state == PARTITION_WAITING) == is_waiting)
            sink->positions[sink->n_positions++] =
                (struct store_position){.topic = item->topic, .partition = item->partition};
    }
    if (sink->n_positions > 1)
        qsort(sink->positions, sink->n_positions, sizeof *sink->positions, by_name);
    return 0;
}

/* The store did not take the claim: again from the start, after a pause. */
static int claim_later(struct sink *sink, const struct error *failure, struct error *ret_error)
{
    sink->is_claim_due = true;
    sink->inserted = INSERT_NOTHING;
    if (failure->class != ERROR_TRANSIENT && failure->class != ERROR_UNKNOWN) {
        *ret_error = *failure;
        return failure->class;
    }
    if (!store_is_connected(sink->store))
        return sink_lose_store(sink, failure, ret_error);
    sink_back_off(sink);
    sink_tell(sink, SINK_STORE_AWAY, NULL, -1, -1, failure->text);
    return 0;
}

/* The broker did not tell its facts: the same, while what has been claimed before goes on. Refusals are taken for lasting ones
 * only until the first claim: later, they come of brokers that restart or change their minds. */
static int ask_later(struct sink *sink, const struct error *failure, struct error *ret_error)
{
    sink->is_claim_due = true;
    sink->inserted = INSERT_NOTHING;
    if (failure->class != ERROR_TRANSIENT && !(failure->class == ERROR_CONFIG && sink->has_claimed)) {
        *ret_error = *failure;
        return failure->class;
    }
    sink->claim_at_us = sink_now(sink) + backoff_us(sink->claim_attempts++, ASK_BASE_US, ASK_MAX_US, &sink->random_state);
    sink_tell(sink, SINK_BROKER_TROUBLE, NULL, -1, -1, failure->text);
    return 0;
}

/* ---- Partitions that belong together ---- */

static bool feeds_together(const struct sink *sink)
{
    return sink->settings.has_partitioned_table && (sink->settings.n_topics > 1 || sink->settings.topics[0][0] == '^');
}

/* A topic whose partition of this number is not ours, or NULL. */
static const char *find_unpaired(struct sink *sink, int32_t partition)
{
    for (size_t i = 0; i < sink->settings.n_topics; i++)
        if (sink->settings.topics[i][0] != '^' && progress_find(&sink->progress, sink->settings.topics[i], partition) == NULL)
            return sink->settings.topics[i];
    for (size_t i = 0; i < sink->progress.n; i++)
        if (progress_find(&sink->progress, sink->progress.items[i].topic, partition) == NULL)
            return sink->progress.items[i].topic;
    return NULL;
}

/*
 * Rows of a partitioned table belong to a partition number, of whichever topic. While the members of a group differ in their topics
 * (a rolling change), one number can go to two tasks; each would trust rows that the other changes. The partition waits then: the
 * next assignment brings its company, or takes it away.
 */
static void keep_unpaired_waiting(struct sink *sink)
{
    size_t n = 0;

    if (!feeds_together(sink))
        return;
    for (size_t i = 0; i < sink->n_positions; i++) {
        const char *missing = find_unpaired(sink, sink->positions[i].partition);

        if (missing == NULL)
            sink->positions[n++] = sink->positions[i];
        else
            sink_tell(sink, SINK_UNPAIRED, sink->positions[i].topic, sink->positions[i].partition, -1, missing);
    }
    sink->n_positions = n;
}

/* A key goes to the same number in each topic only if they have equally many. */
static int check_counts(const struct sink *sink, struct error *ret_error)
{
    for (size_t i = 1; i < sink->n_positions && feeds_together(sink); i++)
        if (sink->facts[i].n_partitions != sink->facts[0].n_partitions)
            return error_set(ret_error, ERROR_CONFIG,
                             "topics %s (%d partitions) and %s (%d) feed the same partitioned tables: their partition counts must be "
                             "equal, or the tables shared",
                             sink->facts[0].topic, (int)sink->facts[0].n_partitions, sink->facts[i].topic,
                             (int)sink->facts[i].n_partitions);
    return 0;
}

/* ---- The claim ---- */

int sink_start_claim(struct sink *sink, struct error *ret_error)
{
    struct error failure = {0};
    int result = list_positions(sink, true, ret_error);

    if (result != 0)
        return result;
    sink->is_claim_due = false;
    keep_unpaired_waiting(sink);
    if (sink->n_positions == 0)
        return 0;
    result = store_start_claim(sink->store, sink->positions, sink->n_positions, &failure);
    if (result != 0)
        return claim_later(sink, &failure, ret_error);
    sink->operation = SINK_CLAIM;
    return 0;
}

/* ---- First positions ---- */

static int ask_broker(struct sink *sink, size_t n, const char **ret_cluster_id, struct error *failure)
{
    return sink->consumer.operations->facts(sink->consumer.self, sink->facts, n, FACTS_TIMEOUT_MS, ret_cluster_id, failure);
}

static bool is_listed(const struct partition_facts *facts, size_t n, const char *topic)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(facts[i].topic, topic) == 0)
            return true;
    return false;
}

/* Partition 0 of every topic whose positions are to be made: the configured ones, and those that patterns have brought. */
static size_t list_topics(struct sink *sink)
{
    size_t n = 0;

    for (size_t i = 0; i < sink->settings.n_topics; i++)
        if (sink->settings.topics[i][0] != '^')
            sink->facts[n++] = (struct partition_facts){.topic = sink->settings.topics[i]};
    for (size_t i = 0; i < sink->n_positions; i++)
        if (sink->positions[i].is_missing && !is_listed(sink->facts, n, sink->positions[i].topic))
            sink->facts[n++] = (struct partition_facts){.topic = sink->positions[i].topic};
    return n;
}

/* Turns one fact a topic into one a partition. */
static int spread_partitions(struct sink *sink, size_t n_topics, size_t *ret_n, struct error *ret_error)
{
    struct partition_facts *topics = malloc(n_topics * sizeof *topics);
    size_t n = 0;
    int result = 0;

    if (topics == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    memcpy(topics, sink->facts, n_topics * sizeof *topics);
    for (size_t i = 0; i < n_topics; i++)
        n += (size_t)topics[i].n_partitions;
    result = sink_reserve(sink, n, ret_error);
    n = 0;
    for (size_t i = 0; result == 0 && i < n_topics; i++)
        for (int32_t j = 0; j < topics[i].n_partitions; j++)
            sink->facts[n++] = (struct partition_facts){.topic = topics[i].topic, .partition = j};
    free(topics);
    *ret_n = n;
    return result;
}

/* A topic that a pattern has brought while others were consumed already: it is new, so that all of it is. */
static bool is_latecomer(const struct sink *sink, const char *topic)
{
    for (size_t i = 0; i < sink->settings.n_topics; i++)
        if (strcmp(sink->settings.topics[i], topic) == 0)
            return false;
    return sink->has_claimed;
}

static int first_offset(struct sink *sink, const struct partition_facts *facts, int64_t *ret_offset, struct error *failure)
{
    switch (sink->settings.start) {
    case SINK_START_EARLIEST:
        *ret_offset = facts->low;
        return 0;
    case SINK_START_LATEST:
        *ret_offset = is_latecomer(sink, facts->topic) ? facts->low : facts->high;
        return 0;
    case SINK_START_TIME:
        break;
    }
    return sink->consumer.operations->offset_at(sink->consumer.self, facts->topic, facts->partition,
                                                sink->settings.start_time_ms, FACTS_TIMEOUT_MS, ret_offset, failure);
}

static int insert_positions(struct sink *sink, size_t n, bool is_first, const char *cluster_id, struct error *ret_error)
{
    struct store_start *starts = calloc(n, sizeof *starts);
    struct error failure = {0};
    int result = 0;

    if (starts == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    for (size_t i = 0; i < n && result == 0; i++) {
        const struct partition_facts *facts = &sink->facts[i];

        starts[i] = (struct store_start){.topic = facts->topic, .partition = facts->partition, .cluster_id = cluster_id,
                                         .next_offset = facts->low};
        memcpy(starts[i].topic_id, facts->topic_id, sizeof starts[i].topic_id);
        if (is_first)
            result = first_offset(sink, facts, &starts[i].next_offset, &failure);
    }
    if (result != 0) {
        free(starts);
        return ask_later(sink, &failure, ret_error);
    }
    result = store_start_insert(sink->store, starts, n, is_first, &failure);
    free(starts);
    if (result != 0)
        return claim_later(sink, &failure, ret_error);
    sink->operation = SINK_INSERT;
    return 0;
}

/* All partitions of the topics at once, so that a partition found missing later is one that was added later. */
static int insert_topics(struct sink *sink, struct error *ret_error)
{
    const char *cluster_id = NULL;
    struct error failure = {0};
    size_t n;
    int result = sink_reserve(sink, sink->settings.n_topics + sink->n_positions, ret_error);

    if (result != 0)
        return result;
    sink->inserted = INSERT_TOPICS;
    n = list_topics(sink);
    result = ask_broker(sink, n, &cluster_id, &failure);
    if (result != 0)
        return ask_later(sink, &failure, ret_error);
    result = spread_partitions(sink, n, &n, ret_error);
    if (result != 0)
        return result;
    result = ask_broker(sink, n, &cluster_id, &failure);
    if (result != 0)
        return ask_later(sink, &failure, ret_error);
    return insert_positions(sink, n, true, cluster_id, ret_error);
}

/* Is there no partition of the topic here that had a position before? */
static bool is_new_topic(const struct sink *sink, const char *topic)
{
    for (size_t i = 0; i < sink->n_positions; i++)
        if (!sink->positions[i].is_missing && strcmp(sink->positions[i].topic, topic) == 0)
            return false;
    for (size_t i = 0; i < sink->progress.n; i++)
        if (sink->progress.items[i].state != PARTITION_WAITING && strcmp(sink->progress.items[i].topic, topic) == 0)
            return false;
    return true;
}

void sink_end_insert(struct sink *sink)
{
    sink->is_claim_due = true;
    for (size_t i = 0; i < sink->n_positions && sink->inserted == INSERT_TOPICS; i++)
        if ((i == 0 || strcmp(sink->positions[i].topic, sink->positions[i - 1].topic) != 0) &&
            is_new_topic(sink, sink->positions[i].topic))
            sink_tell(sink, SINK_TOPIC_STARTED, sink->positions[i].topic, -1, -1, NULL);
}

/* Positions of a topic exist, these partitions have none: the topic has grown. */
static int insert_partitions(struct sink *sink, struct error *ret_error)
{
    const char *cluster_id = NULL;
    struct error failure = {0};
    size_t n = 0;
    int result;

    for (size_t i = 0; i < sink->n_positions; i++) {
        const struct store_position *position = &sink->positions[i];

        if (!position->is_missing)
            continue;
        if (sink->settings.has_partitioned_table)
            return error_set(ret_error, ERROR_CONFIG,
                             "topic %s has grown: partition %d has no position in the read store. Keys move between partitions "
                             "then, and rows of a partitioned table belong to one; rebuild under a new `version'",
                             position->topic, (int)position->partition);
        sink->facts[n++] = (struct partition_facts){.topic = position->topic, .partition = position->partition};
    }
    if (sink->inserted == INSERT_PARTITIONS)
        return error_set(ret_error, ERROR_BUG, "positions that were inserted are not there");
    sink->inserted = INSERT_PARTITIONS;
    result = ask_broker(sink, n, &cluster_id, &failure);
    return result != 0 ? ask_later(sink, &failure, ret_error) : insert_positions(sink, n, false, cluster_id, ret_error);
}

/* ---- The end of a claim ---- */

static void judge(struct sink *sink, struct partition *partition, const struct store_position *position,
                  const struct partition_facts *facts, const char *cluster_id)
{
    char reason[HALT_REASON_SIZE];
    const char *kind = "";

    partition_claim(partition, position);
    switch (recovery_judge_claim(position, facts, cluster_id, &kind, reason, sizeof reason)) {
    case CLAIM_RUN:
        return;
    case CLAIM_HALT:
        sink_halt(sink, partition, kind, false, reason);
        return;
    case CLAIM_STAYS_HALTED:
        partition_halt(partition, "", false, position->halt_reason);
        partition->halt = HALT_WRITTEN;
        sink_tell(sink, SINK_HALTED, partition->topic, partition->partition, partition->next.offset, position->halt_reason);
        return;
    }
}

static int start_claimed(struct sink *sink, struct error *ret_error)
{
    struct partition_offset *places = calloc(sink->progress.n + 1, sizeof *places);
    size_t n = 0;
    int result = 0;

    if (places == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    for (size_t i = 0; i < sink->progress.n; i++) {
        struct partition *item = &sink->progress.items[i];

        if (item->state != PARTITION_CLAIMED)
            continue;
        places[n++] = (struct partition_offset){.topic = item->topic, .partition = item->partition, .offset = item->next.offset,
                                                .leader_epoch = item->next.leader_epoch};
        item->state = PARTITION_RUNNING;
        sink_tell(sink, SINK_CLAIMED, item->topic, item->partition, item->next.offset, NULL);
    }
    if (n > 0)
        result = sink->consumer.operations->start(sink->consumer.self, places, n, ret_error);
    if (n > 0 && result == 0) /* the client remembers a pause across assignments */
        result = sink->consumer.operations->resume(sink->consumer.self, places, n, ret_error);
    free(places);
    return result;
}

static size_t count_missing(const struct sink *sink)
{
    size_t n = 0;

    for (size_t i = 0; i < sink->n_positions; i++)
        n += sink->positions[i].is_missing;
    return n;
}

int sink_end_claim(struct sink *sink, struct error *ret_error)
{
    const char *cluster_id = NULL;
    struct error failure = {0};
    int result;

    if (sink->is_leaving) { /* the group has changed its mind; what stays with us is claimed again */
        sink->is_claim_due = true;
        return 0;
    }
    if (count_missing(sink) > 0)
        return sink->inserted == INSERT_NOTHING ? insert_topics(sink, ret_error) : insert_partitions(sink, ret_error);
    /* The broker is asked after the claim: the old owner moves the position no more, so it cannot pass the end seen here. */
    for (size_t i = 0; i < sink->n_positions; i++)
        sink->facts[i] = (struct partition_facts){.topic = sink->positions[i].topic, .partition = sink->positions[i].partition};
    result = ask_broker(sink, sink->n_positions, &cluster_id, &failure);
    if (result != 0)
        return ask_later(sink, &failure, ret_error);
    result = check_counts(sink, ret_error);
    if (result != 0)
        return result;
    for (size_t i = 0; i < sink->n_positions; i++) {
        struct partition *item = progress_find(&sink->progress, sink->positions[i].topic, sink->positions[i].partition);

        if (item != NULL && item->state == PARTITION_WAITING)
            judge(sink, item, &sink->positions[i], &sink->facts[i], cluster_id);
    }
    sink->attempts = sink->claim_attempts = 0;
    sink->has_claimed = true;
    sink->inserted = INSERT_NOTHING;
    sink->probed_at_us = sink_now(sink);
    return start_claimed(sink, ret_error);
}

/* ---- Resolve ---- */

int sink_start_resolve(struct sink *sink, struct error *ret_error)
{
    struct error failure = {0};
    int result = list_positions(sink, false, ret_error);

    if (result != 0)
        return result;
    if (sink->n_positions == 0) {
        sink->phase = SINK_READY;
        return sink->must_rewind ? sink_rewind(sink, "no partition is claimed", ret_error) : 0;
    }
    result = store_start_resolve(sink->store, sink->positions, sink->n_positions, &failure);
    if (result != 0)
        return claim_later(sink, &failure, ret_error);
    sink->operation = SINK_RESOLVE;
    return 0;
}

/* Somebody else owns a position now. Never claim again without a new assignment: the process ends, which leaves the group, and
 * its supervisor starts it anew after a jittered pause. */
static int fenced(struct sink *sink, const struct store_position *position, struct error *ret_error)
{
    sink->counters.fenced++;
    sink_tell(sink, SINK_FENCED, position->topic, position->partition, -1, NULL);
    return error_set(ret_error, ERROR_FENCED,
                     "%s/%d: somebody else has claimed or moved the position: an operator, or a task that took over. If it happens "
                     "again and again, a second deployment may be running this pipeline under another group id",
                     position->topic, (int)position->partition);
}

static void settle_partition(struct sink *sink, struct partition *partition, const struct store_position *position,
                             enum resolve_verdict verdict)
{
    if (verdict == RESOLVE_WENT_BACK) {
        sink_tell(sink, SINK_WENT_BACK, partition->topic, partition->partition, position->next_offset, NULL);
        partition->base = (struct mark){.offset = position->next_offset, .leader_epoch = position->leader_epoch};
    }
    if (verdict == RESOLVE_DONE) {
        partition->base = partition->sent;
        if (partition->halt == HALT_SENT)
            partition->halt = HALT_WRITTEN;
    }
    if (partition->halt == HALT_WRITTEN && !position->is_halted)
        partition->halt = HALT_SENT; /* the store has forgotten it: a rewind decides whether it comes again */
    partition->epoch = position->epoch;
}

static enum resolve_verdict judge_resolved(struct sink *sink, const struct store_position *position, struct partition **ret_partition)
{
    *ret_partition = progress_find(&sink->progress, position->topic, position->partition);
    return recovery_judge_resolved(position, (*ret_partition)->base.offset, (*ret_partition)->sent.offset);
}

int sink_end_resolve(struct sink *sink, struct error *ret_error)
{
    bool has_changed = false;
    struct partition *partition;

    sink->phase = SINK_READY;
    if (!sink->must_rewind) /* a mere probe; after a failure, a commit counts */
        sink->attempts = 0;
    sink->probed_at_us = sink_now(sink);
    for (size_t i = 0; i < sink->n_positions; i++)
        if (judge_resolved(sink, &sink->positions[i], &partition) == RESOLVE_FENCED)
            return fenced(sink, &sink->positions[i], ret_error);
    for (size_t i = 0; i < sink->n_positions; i++) {
        enum resolve_verdict verdict = judge_resolved(sink, &sink->positions[i], &partition);

        has_changed = has_changed || verdict != RESOLVE_RERUN || (partition->halt == HALT_WRITTEN && !sink->positions[i].is_halted);
        settle_partition(sink, partition, &sink->positions[i], verdict);
    }
    return has_changed || sink->must_rewind ? sink_rewind(sink, "the store was asked what is committed", ret_error) : 0;
}

static bool is_given_up(const struct rebalance *rebalance, const struct store_position *position)
{
    for (size_t i = 0; i < rebalance->n_partitions; i++)
        if (rebalance->partitions[i].partition == position->partition && strcmp(rebalance->partitions[i].topic, position->topic) == 0)
            return true;
    return false;
}

int sink_start_release(struct sink *sink, const struct rebalance *rebalance, struct error *ret_error)
{
    struct error failure = {0};
    size_t n = 0;
    int result = list_positions(sink, false, ret_error);

    if (result != 0)
        return result;
    for (size_t i = 0; i < sink->n_positions; i++)
        if (rebalance == NULL || is_given_up(rebalance, &sink->positions[i]))
            sink->positions[n++] = sink->positions[i];
    sink->n_positions = n;
    if (n == 0 || store_start_release(sink->store, sink->positions, n, &failure) != 0) {
        sink->is_released = true; /* a courtesy: the next owner claims all the same */
        return 0;
    }
    sink->operation = SINK_RELEASE;
    return 0;
}
