/*
 * group - the simulated broker and consumer group: who owns which partition, and what take() delivers.
 *
 * A move of partitions goes as in Kafka: members give up first (all of it with an eager assignor, what moves with a cooperative
 * one), then the new owners get theirs. A member that is frozen for too long is thrown out; when it wakes it is told that its
 * partitions are lost, after others may have had them for long.
 */
#include "world.h"

#include <stdio.h>
#include <string.h>

static const char topic[] = "bank";

static bool has_any(const bool set[PARTITIONS_MAX])
{
    for (int i = 0; i < PARTITIONS_MAX; i++)
        if (set[i])
            return true;
    return false;
}

static void ask(struct member *member, enum rebalance_kind kind, const bool set[PARTITIONS_MAX])
{
    member->pending = kind;
    member->is_shown = false;
    memcpy(member->pending_set, set, sizeof member->pending_set);
}

/* ---- The coordinator ---- */

static bool is_present(const struct world *world, int worker)
{
    return world->workers[worker].member.is_alive;
}

static void choose_owners(struct world *world)
{
    int present[WORKERS_MAX], n = 0;

    for (int i = 0; i < world->n_workers; i++)
        if (is_present(world, i))
            present[n++] = i;
    for (int i = 0; i < world->n_partitions; i++)
        world->owners[i] = n > 0 ? present[world_random(world, (uint64_t)n)] : -1;
}

static void start_moving(struct world *world)
{
    choose_owners(world);
    world->is_moving = true;
    for (int i = 0; i < world->n_workers; i++) {
        struct member *member = &world->workers[i].member;
        bool leaving[PARTITIONS_MAX] = {false};

        for (int j = 0; j < world->n_partitions; j++)
            leaving[j] = member->is_owner[j] && (world->is_eager || world->owners[j] != i);
        if (member->is_alive && has_any(leaving))
            ask(member, REBALANCE_REVOKE, leaving);
    }
}

static bool has_everybody_answered(const struct world *world)
{
    for (int i = 0; i < world->n_workers; i++)
        if (world->workers[i].member.is_alive && world->workers[i].member.pending != REBALANCE_NONE)
            return false;
    return true;
}

static void finish_moving(struct world *world)
{
    world->is_moving = false;
    for (int i = 0; i < world->n_workers; i++) {
        struct member *member = &world->workers[i].member;
        bool coming[PARTITIONS_MAX] = {false};

        for (int j = 0; j < world->n_partitions; j++)
            coming[j] = world->owners[j] == i && !member->is_owner[j];
        if (member->is_alive)
            ask(member, REBALANCE_ASSIGN, coming);
    }
}

/* The session of a frozen member has ended: the group goes on without it, and it will hear of it when it wakes. */
static void throw_out(struct world *world, struct worker *worker)
{
    struct member *member = &worker->member;

    member->is_alive = false;
    ask(member, REBALANCE_LOST, member->is_owner);
    memset(member->is_owner, 0, sizeof member->is_owner);
    world->rebalance_at_us = world->now_us;
}

static bool owns_all(const struct world *world)
{
    for (int i = 0; i < world->n_partitions; i++)
        if (world->owners[i] < 0 || !world->workers[world->owners[i]].member.is_owner[i])
            return false;
    return true;
}

void group_turn(struct world *world)
{
    for (int i = 0; i < world->n_workers; i++) {
        struct worker *worker = &world->workers[i];

        if (worker->member.is_alive && worker->frozen_until_us - world->now_us > 6000000 && world_chance(world, 20))
            throw_out(world, worker);
        if (worker->is_running && !worker->member.is_alive && worker->member.pending == REBALANCE_NONE) {
            worker->member.is_alive = true; /* joins (again) */
            world->rebalance_at_us = world->now_us;
        }
    }
    if (world->is_moving) {
        if (has_everybody_answered(world))
            finish_moving(world);
        return;
    }
    if (!has_everybody_answered(world))
        return;
    if (world->now_us >= world->rebalance_at_us || !owns_all(world)) {
        world->rebalance_at_us =
            world->is_calm ? INT64_MAX : world->now_us + 200000 + (int64_t)world_random(world, 20000000);
        start_moving(world);
    }
}

/* The process has died: its member leaves when the session ends, here at once or by the others' next rebalance. */
void group_forget(struct world *world, struct worker *worker)
{
    memset(&worker->member, 0, sizeof worker->member);
    world->rebalance_at_us = world->now_us;
}

/* ---- consumer.h, as the sinks see it ---- */

static bool find_header(const struct record *record, const char *name, struct rs_bytes *ret_value)
{
    (void)record, (void)name, (void)ret_value;
    return false;
}

static struct record record_of(const struct world_event *event)
{
    return (struct record){.kind = RECORD_DATA, .topic = topic, .partition = event->partition, .offset = event->offset,
                           .leader_epoch = 0, .key = event->key_text, .key_size = strlen(event->key_text), .value = event,
                           .value_size = sizeof *event, .handle = event, .find_header = find_header};
}

/* Events of one partition from its offset on; now and then a few of the past first, as clients in the field have done. */
static size_t take_partition(struct world *world, struct member *member, int partition, struct record *records, size_t max)
{
    const struct world_partition *log = &world->log[partition];
    int64_t from = member->offsets[partition];
    size_t n = 0;

    if (!world->is_calm && world_chance(world, 2))
        from -= (int64_t)world_random(world, 5);
    for (int i = 0; i < log->n_visible && n < max; i++)
        if (log->events[i].offset >= from)
            records[n++] = record_of(&log->events[i]);
    if (n > 0 && records[n - 1].offset >= member->offsets[partition]) {
        member->offsets[partition] = records[n - 1].offset + 1;
        member->has_told_end[partition] = false;
    }
    if (n < max && !member->has_told_end[partition]) {
        member->has_told_end[partition] = true;
        records[n++] = (struct record){.kind = RECORD_END, .topic = topic, .partition = partition, .offset = log->end,
                                       .leader_epoch = -1};
        member->offsets[partition] = log->end;
    }
    return n;
}

static int take(void *self, int timeout_ms, struct record *records, size_t max, size_t *ret_n, struct error *ret_error)
{
    struct worker *worker = self;
    struct world *world = worker->world;
    struct member *member = &worker->member;
    size_t n = 0;

    (void)timeout_ms, (void)ret_error;
    for (int i = 0; i < world->n_partitions; i++) {
        if (!world->is_calm && world_random(world, 4000) == 0)
            member->silence[i] = world_chance(world, 50) ? SILENCE_UNTIL_SEEK : SILENCE_FOR_EVER;
        if (n < max && member->is_started[i] && !member->is_paused[i] && member->silence[i] == SILENCE_NONE && world_chance(world, 60))
            n += take_partition(world, member, i, records + n, 1 + world_random(world, max - n < 12 ? max - n : 12));
        if (member->offsets[i] < world->log[i].end)
            member->has_told_end[i] = false;
    }
    if (member->pending != REBALANCE_NONE)
        member->is_shown = true;
    *ret_n = n;
    return 0;
}

static struct rebalance pending(void *self)
{
    struct member *member = &((struct worker *)self)->member;
    struct rebalance rebalance = {.kind = REBALANCE_NONE};

    if (member->pending == REBALANCE_NONE || !member->is_shown)
        return rebalance;
    rebalance.kind = member->pending;
    rebalance.partitions = member->pending_list;
    for (int i = 0; i < PARTITIONS_MAX; i++)
        if (member->pending_set[i])
            member->pending_list[rebalance.n_partitions++] = (struct partition_offset){.topic = topic, .partition = i};
    return rebalance;
}

static int answer(void *self, struct error *ret_error)
{
    struct member *member = &((struct worker *)self)->member;

    (void)ret_error;
    for (int i = 0; i < PARTITIONS_MAX; i++) {
        if (!member->pending_set[i])
            continue;
        member->is_owner[i] = member->pending == REBALANCE_ASSIGN;
        member->is_started[i] = false; /* a pause outlives the assignment, as in librdkafka */
    }
    member->pending = REBALANCE_NONE;
    member->is_shown = false;
    return 0;
}

static int move(struct worker *worker, const struct partition_offset *places, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        int partition = places[i].partition;

        if (!worker->member.is_started[partition])
            world_fail(worker->world, "worker %d: %s of partition %d, which is not started", worker->number, what, partition);
        worker->member.offsets[partition] = places[i].offset;
        if (worker->member.silence[partition] == SILENCE_UNTIL_SEEK)
            worker->member.silence[partition] = SILENCE_NONE;
        worker->member.has_told_end[partition] = false;
    }
    return 0;
}

static int start(void *self, const struct partition_offset *places, size_t n, struct error *ret_error)
{
    struct worker *worker = self;

    (void)ret_error;
    for (size_t i = 0; i < n; i++) {
        if (worker->member.is_started[places[i].partition])
            world_fail(worker->world, "worker %d starts partition %d twice", worker->number, places[i].partition);
        worker->member.is_started[places[i].partition] = true;
    }
    return move(worker, places, n, "start");
}

/* What a client that is between two leaders, or has not served a start yet, says. */
static int fail_now_and_then(const struct worker *worker, const char *what, struct error *ret_error)
{
    if (!worker->world->is_calm && world_chance(worker->world, 3))
        return error_set(ret_error, ERROR_TRANSIENT, "the simulated client cannot %s now", what);
    return 0;
}

static int seek(void *self, const struct partition_offset *places, size_t n, struct error *ret_error)
{
    int result = fail_now_and_then(self, "seek", ret_error);

    return result != 0 ? result : move(self, places, n, "seek");
}

static int set_paused(struct worker *worker, const struct partition_offset *places, size_t n, bool is_paused)
{
    for (size_t i = 0; i < n; i++)
        worker->member.is_paused[places[i].partition] = is_paused;
    return 0;
}

static int pause_some(void *self, const struct partition_offset *places, size_t n, struct error *ret_error)
{
    int result = fail_now_and_then(self, "pause", ret_error);

    return result != 0 ? result : set_paused(self, places, n, true);
}

static int resume_some(void *self, const struct partition_offset *places, size_t n, struct error *ret_error)
{
    (void)ret_error;
    return set_paused(self, places, n, false);
}

static void mirror(void *self, const struct partition_offset *places, size_t n)
{
    (void)self, (void)places, (void)n;
}

static void ends(void *self, struct partition_offset *places, size_t n)
{
    struct world *world = ((struct worker *)self)->world;

    /* Seldom, for the client remembers ends for a while; in calm never, so that the sink's patience comes to its end. */
    for (size_t i = 0; i < n; i++)
        places[i].offset = world->is_calm || world_chance(world, 90) ? world->log[places[i].partition].end : -1;
}

static int facts(void *self, struct partition_facts *facts, size_t n, int timeout_ms, const char **ret_cluster_id,
                 struct error *ret_error)
{
    struct world *world = ((struct worker *)self)->world;

    (void)timeout_ms;
    if (!world->is_calm && world_chance(world, 5))
        return error_set(ret_error, ERROR_TRANSIENT, "the simulated broker does not answer");
    for (size_t i = 0; i < n; i++) {
        facts[i].n_partitions = world->n_partitions;
        facts[i].low = 0;
        facts[i].high = world->log[facts[i].partition].end;
    }
    *ret_cluster_id = "cluster";
    return 0;
}

static int offset_at(void *self, const char *name, int32_t partition, int64_t timestamp_ms, int timeout_ms, int64_t *ret_offset,
                     struct error *ret_error)
{
    (void)self, (void)name, (void)partition, (void)timestamp_ms, (void)timeout_ms, (void)ret_error;
    *ret_offset = 0;
    return 0;
}

const struct consumer_operations simulated_consumer = {.take = take,
                                                       .rebalance = pending,
                                                       .answer = answer,
                                                       .start = start,
                                                       .seek = seek,
                                                       .pause = pause_some,
                                                       .resume = resume_some,
                                                       .mirror = mirror,
                                                       .ends = ends,
                                                       .facts = facts,
                                                       .offset_at = offset_at};
