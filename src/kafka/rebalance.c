/*
 * rebalance - what a group member owns: the pending rebalance, its answer, and the partitions that flow.
 *
 * The callback only remembers what the group wants. librdkafka then waits, heartbeating, in a state of its own until assign or
 * unassign is called, from whichever place: that call is answer(). Nothing in the answer to an assignment flows; start() adds
 * partitions later, outside any rebalance, at absolute offsets. So Kafka's committed offsets are never asked for.
 *
 * Called by the task's thread through struct consumer_operations, and by librdkafka from inside take() and consumer_close().
 * Never decides about offsets and never touches records.
 */
#include "kafka/client.h"
#include "kafka/member.h"

#include <stdlib.h>
#include <string.h>

enum { SEEK_TIMEOUT_MS = 5000 };

static bool is_being_revoked(const struct member *member, const char *topic, int32_t partition)
{
    if (member->pending != REBALANCE_REVOKE && member->pending != REBALANCE_LOST)
        return false;
    for (size_t i = 0; i < member->n_pending; i++)
        if (member->pending_partitions[i].partition == partition && member->pending_partitions[i].topic == topic)
            return true;
    return false;
}

static void drop_started(struct member *member, const char *topic, int32_t partition)
{
    struct member_partition *started = member_find_started(member, topic, partition);

    if (!started)
        return;
    member_forget_failure(member, started);
    *started = member->started[--member->n_started];
}

static void drop_all_started(struct member *member)
{
    while (member->n_started > 0)
        member_forget_failure(member, &member->started[--member->n_started]);
}

/* By name: the task has a copy of its own. NULL: not started, or on its way back to the group. */
static struct member_partition *find_ours(struct member *member, const struct partition_offset *place)
{
    const char *topic = member_intern(member, place->topic);

    if (!topic || is_being_revoked(member, topic, place->partition))
        return NULL;
    return member_find_started(member, topic, place->partition);
}

static rd_kafka_topic_partition_list_t *list_of(const struct partition_offset *partitions, size_t n)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);

    for (size_t i = 0; i < n; i++) {
        rd_kafka_topic_partition_t *item =
            rd_kafka_topic_partition_list_add(list, partitions[i].topic, partitions[i].partition);

        item->offset = partitions[i].offset;
        rd_kafka_topic_partition_set_leader_epoch(item, partitions[i].leader_epoch);
    }
    return list;
}

/* Those of them that flow; NULL: none. */
static rd_kafka_topic_partition_list_t *list_flowing(struct member *member, const struct partition_offset *partitions, size_t n)
{
    rd_kafka_topic_partition_list_t *list = list_of(partitions, n);

    for (size_t i = n; i-- > 0;) {
        const struct member_partition *ours = find_ours(member, &partitions[i]);

        if (!ours || ours->failure)
            rd_kafka_topic_partition_list_del_by_idx(list, (int)i);
    }
    if (list->cnt > 0)
        return list;
    rd_kafka_topic_partition_list_destroy(list);
    return NULL;
}

static int remember(struct member *member, const rd_kafka_topic_partition_list_t *list, struct error *ret_error)
{
    size_t n = (size_t)list->cnt;
    struct partition_offset *partitions = calloc(n ? n : 1, sizeof(*partitions));

    if (!partitions)
        return error_set(ret_error, ERROR_BUG, "out of memory in a rebalance of %zu partitions", n);
    for (size_t i = 0; i < n; i++) {
        partitions[i] = (struct partition_offset){ .partition = list->elems[i].partition, .leader_epoch = -1, .offset = -1 };
        partitions[i].topic = member_intern(member, list->elems[i].topic);
        if (!partitions[i].topic) {
            free(partitions);
            return error_set(ret_error, ERROR_BUG, "out of memory in a rebalance of %zu partitions", n);
        }
    }
    free(member->pending_partitions);
    member->pending_partitions = partitions;
    member->n_pending = n;
    return 0;
}

void member_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct member *member = opaque;

    if (remember(member, list, &member->trouble) != 0)
        return; /* the task ends with this trouble; until then the group waits */
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        member->pending = REBALANCE_ASSIGN;
    else
        member->pending = rd_kafka_assignment_lost(rk) ? REBALANCE_LOST : REBALANCE_REVOKE;
    member->has_news = true;
    if (member->is_closing && member_answer(member, NULL) != 0)
        client_log(4, "REBALANCE", "the last rebalance could not be answered while closing");
}

struct rebalance member_rebalance(void *self)
{
    struct member *member = self;

    return (struct rebalance){
        .kind = member->pending,
        .partitions = member->pending_partitions,
        .n_partitions = member->pending == REBALANCE_NONE ? 0 : member->n_pending,
    };
}

/* An empty list: the group has its answer, nothing flows yet. */
static int answer_assignment(struct member *member, struct error *ret_error)
{
    rd_kafka_topic_partition_list_t *nothing = rd_kafka_topic_partition_list_new(0);
    rd_kafka_error_t *error = NULL;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    int result;

    if (member->is_eager) {
        drop_all_started(member);
        code = rd_kafka_assign(member->rk, nothing);
    } else {
        error = rd_kafka_incremental_assign(member->rk, nothing);
    }
    rd_kafka_topic_partition_list_destroy(nothing);
    result = client_error(error, "cannot accept the group's assignment", ret_error);
    return result != 0 ? result : client_code(code, "cannot accept the group's assignment", ret_error);
}

/* Only what was started is in librdkafka's assignment; it refuses to remove anything else. */
static int answer_revocation(struct member *member, struct error *ret_error)
{
    rd_kafka_topic_partition_list_t *list;
    int result;

    if (member->is_eager) {
        drop_all_started(member);
        return client_code(rd_kafka_assign(member->rk, NULL), "cannot give partitions back", ret_error);
    }
    list = rd_kafka_topic_partition_list_new((int)member->n_pending);
    for (size_t i = 0; i < member->n_pending; i++) {
        const struct partition_offset *partition = &member->pending_partitions[i];

        if (!member_find_started(member, partition->topic, partition->partition))
            continue;
        rd_kafka_topic_partition_list_add(list, partition->topic, partition->partition);
        drop_started(member, partition->topic, partition->partition);
    }
    result = client_error(rd_kafka_incremental_unassign(member->rk, list), "cannot give partitions back", ret_error);
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

int member_answer(void *self, struct error *ret_error)
{
    struct member *member = self;
    enum rebalance_kind kind = member->pending;

    member->pending = REBALANCE_NONE;
    switch (kind) {
    case REBALANCE_ASSIGN:
        return answer_assignment(member, ret_error);
    case REBALANCE_REVOKE:
    case REBALANCE_LOST:
        return answer_revocation(member, ret_error);
    default:
        return 0;
    }
}

static int add_started(struct member *member, const rd_kafka_topic_partition_list_t *list, struct error *ret_error)
{
    size_t n = member->n_started + (size_t)list->cnt;
    struct member_partition *started = realloc(member->started, (n ? n : 1) * sizeof(*started));

    if (!started)
        return error_set(ret_error, ERROR_BUG, "out of memory for %zu partitions", n);
    member->started = started;
    for (int i = 0; i < list->cnt; i++) {
        const char *topic = member_intern(member, list->elems[i].topic);

        if (!topic)
            return error_set(ret_error, ERROR_BUG, "out of memory for %zu partitions", n);
        started[member->n_started++] = (struct member_partition){ .topic = topic, .partition = list->elems[i].partition };
    }
    return 0;
}

int member_start(void *self, const struct partition_offset *partitions, size_t n, struct error *ret_error)
{
    struct member *member = self;
    rd_kafka_topic_partition_list_t *list = list_of(partitions, n);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_error_t *error = NULL;
    size_t n_before = member->n_started;
    int result = 0;

    /* A revocation may have come while the task claimed: what it takes away does not begin. */
    for (int i = list->cnt - 1; i >= 0; i--)
        if (is_being_revoked(member, member_intern(member, list->elems[i].topic), list->elems[i].partition))
            rd_kafka_topic_partition_list_del_by_idx(list, i);
    if (list->cnt == 0)
        goto out;
    if (member->is_eager && member->n_started > 0) {
        result = error_set(ret_error, ERROR_BUG, "an eager assignment is started once, but %zu partitions flow",
                           member->n_started);
        goto out;
    }
    result = add_started(member, list, ret_error);
    if (result != 0)
        goto out;
    if (member->is_eager)
        code = rd_kafka_assign(member->rk, list);
    else
        error = rd_kafka_incremental_assign(member->rk, list);
    result = client_error(error, "cannot start partitions", ret_error);
    if (result == 0)
        result = client_code(code, "cannot start partitions", ret_error);
out:
    if (result != 0)
        member->n_started = n_before;
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

/* What passes by itself: a start not served yet, a leader on the move, a topic about to be found gone. */
static bool is_passing(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__STATE:
    case RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR__IN_PROGRESS:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return true;
    default:
        return false;
    }
}

static int seek_failure(const rd_kafka_topic_partition_list_t *list, struct error *ret_error)
{
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *item = &list->elems[i];

        if (item->err)
            return error_set(ret_error, is_passing(item->err) ? ERROR_TRANSIENT : client_error_class(item->err),
                             "the Kafka client cannot go to offset %lld of %s[%d]%s: %s", (long long)item->offset, item->topic,
                             (int)item->partition, is_passing(item->err) ? " yet; it will be tried again" : "",
                             rd_kafka_err2str(item->err));
    }
    return 0;
}

/* A failure may have been thrown away with the records that this seek is to bring again. */
static void tell_failures_again(struct member *member, const struct partition_offset *partitions, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct member_partition *ours = find_ours(member, &partitions[i]);

        if (!ours || !ours->failure)
            continue;
        ours->must_tell = true;
        member_wake(member);
    }
}

int member_seek(void *self, const struct partition_offset *partitions, size_t n, struct error *ret_error)
{
    struct member *member = self;
    rd_kafka_topic_partition_list_t *list = list_flowing(member, partitions, n);
    rd_kafka_error_t *error;
    int result;

    tell_failures_again(member, partitions, n);
    if (!list)
        return 0;
    /* The barrier against what was fetched stands before the call returns, whatever its outcome. */
    error = rd_kafka_seek_partitions(member->rk, list, SEEK_TIMEOUT_MS);
    if (error && is_passing(rd_kafka_error_code(error)))
        result = client_error(error, "the Kafka client cannot go to other offsets yet; it will be tried again", ret_error);
    else
        result = client_error(error, "cannot seek", ret_error);
    if (result == 0)
        result = seek_failure(list, ret_error);
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

/* Pausing and resuming fail only where the topic is gone; then nothing flows, and a RECORD_ERROR is on its way. */
int member_pause(void *self, const struct partition_offset *partitions, size_t n, struct error *ret_error)
{
    struct member *member = self;
    rd_kafka_topic_partition_list_t *list = list_flowing(member, partitions, n);
    int result;

    if (!list)
        return 0;
    result = client_code(rd_kafka_pause_partitions(member->rk, list), "cannot pause", ret_error);
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

int member_resume(void *self, const struct partition_offset *partitions, size_t n, struct error *ret_error)
{
    struct member *member = self;
    rd_kafka_topic_partition_list_t *list = list_flowing(member, partitions, n);
    int result;

    if (!list)
        return 0;
    result = client_code(rd_kafka_resume_partitions(member->rk, list), "cannot resume", ret_error);
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

void member_mirror(void *self, const struct partition_offset *partitions, size_t n)
{
    struct member *member = self;
    rd_kafka_topic_partition_list_t *list;

    if (n == 0 || member->pending != REBALANCE_NONE)
        return;
    list = list_of(partitions, n);
    rd_kafka_commit(member->rk, list, 1);
    rd_kafka_topic_partition_list_destroy(list);
}
