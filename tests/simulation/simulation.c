/*
 * simulation - real sinks in a simulated world, one seed after another.
 *
 *     simulation [--seeds N] [--first SEED] [--verbose]
 *
 * Each seed makes a log of events, some workers, and faults: broken connections, lost answers, writes that arrive late, frozen and
 * killed processes, rebalances, an older database, refused events. Then the faults end and everything must come to rest with every
 * event counted once. A failing seed prints itself; --first SEED --seeds 1 plays it again.
 */
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_verbose;

uint64_t world_random(struct world *world, uint64_t below)
{
    return random_next(&world->random) % below;
}

bool world_chance(struct world *world, unsigned percent)
{
    return world_random(world, 100) < percent;
}

void world_fail(struct world *world, const char *format, ...)
{
    va_list arguments;

    if (world->failure != NULL)
        return;
    va_start(arguments, format);
    vsnprintf(world->failure_text, sizeof world->failure_text, format, arguments);
    va_end(arguments);
    world->failure = world->failure_text;
}

/* ---- What is true ---- */

void world_make_log(struct world *world)
{
    for (int i = 0; i < world->n_partitions; i++) {
        struct world_partition *log = &world->log[i];
        int64_t offset = 0;

        log->n_events = 20 + (int)world_random(world, EVENTS_MAX - 20);
        for (int j = 0; j < log->n_events; j++) {
            struct world_event *event = &log->events[j];

            offset += world_chance(world, 10) ? 1 + (int64_t)world_random(world, 3) : 0; /* control records, aborted ones */
            *event = (struct world_event){.partition = i, .offset = offset++, .key = (int)world_random(world, KEYS_PER_PARTITION),
                                          .delta = 1 + (int64_t)world_random(world, 1000), .is_bad = world_chance(world, 1),
                                          .is_poison = world_random(world, 200) == 0};
            snprintf(event->key_text, sizeof event->key_text, "%d-%d", i, event->key);
            log->ends[j + 1] = offset;
        }
        log->ends[log->n_events] += (int64_t)world_random(world, 3);
    }
}

static void grow_log(struct world *world)
{
    for (int i = 0; i < world->n_partitions; i++) {
        struct world_partition *log = &world->log[i];

        if (log->n_visible < log->n_events && (world->is_calm || world_chance(world, 30)))
            log->n_visible += 1 + (int)world_random(world, (uint64_t)(log->n_events - log->n_visible));
        log->end = log->ends[log->n_visible];
    }
}

static void check_partition(struct world *world, int partition)
{
    const struct world_position *position = &world->database.positions[partition];
    struct world_row rows[KEYS_PER_PARTITION] = {{0}};

    for (int i = 0; i < world->log[partition].n_events; i++) {
        const struct world_event *event = &world->log[partition].events[i];

        if (!position->exists || event->offset >= position->next_offset || event->is_skipped)
            continue;
        if (event->is_bad || event->is_poison)
            world_fail(world, "partition %d passed offset %d, whose event cannot succeed", partition, (int)event->offset);
        rows[event->key].balance += event->delta;
        rows[event->key].events++;
    }
    for (int i = 0; i < KEYS_PER_PARTITION; i++) {
        const struct world_row *row = &world->database.rows[partition][i];

        if (row->balance != rows[i].balance || row->events != rows[i].events)
            world_fail(world,
                       "partition %d at offset %d: key %d has balance %d of %d events, but %d of %d are true at this position",
                       partition, (int)position->next_offset, i, (int)row->balance, (int)row->events, (int)rows[i].balance,
                       (int)rows[i].events);
    }
}

void world_check(struct world *world)
{
    for (int i = 0; i < world->n_partitions; i++)
        check_partition(world, i);
}

bool world_is_done(const struct world *world)
{
    for (int i = 0; i < world->n_partitions; i++) {
        const struct world_partition *log = &world->log[i];
        const struct world_position *position = &world->database.positions[i];

        if (log->n_visible < log->n_events || !position->exists || position->is_halted || position->next_offset < log->end)
            return false;
    }
    return true;
}

/* ---- The plugin, in place of event/ and plugin/ ---- */

enum { ID, BALANCE, EVENTS, POISON };

static const struct column columns[] = {
    [ID] = {.name = "id", .type = RS_INT, .is_key = true, .is_not_null = true},
    [BALANCE] = {.name = "balance", .type = RS_INT, .is_not_null = true, .fallback = {.operation = CELL_SET}},
    [EVENTS] = {.name = "events", .type = RS_INT, .is_not_null = true, .fallback = {.operation = CELL_SET}},
    [POISON] = {.name = "poison", .type = RS_INT, .is_not_null = true, .fallback = {.operation = CELL_SET}},
};

static struct table tables[] = {{.name = "accounts", .key_follows = true, .columns = columns, .n_columns = 4, .n_keys = 1}};
static struct projection projection = {.name = "simulated", .tables = tables, .n_tables = 1, .has_partitioned_table = true};

int event_decode(struct event_decoder *decoder, const struct record *record, const struct event **ret_event,
                 struct error *ret_error)
{
    (void)decoder, (void)ret_error;
    *ret_event = record->handle;
    return 0;
}

const struct rs_record *event_record(const struct event *event)
{
    (void)event;
    return NULL;
}

bool plugin_host_reads(const struct plugin_host *host)
{
    return ((const struct world *)host)->reads_rows;
}

static struct rs_value int_value(int64_t integer)
{
    struct rs_value value = {.type = RS_INT};

    value.as.integer = integer;
    return value;
}

void plugin_host_prefetch(struct plugin_host *host, const struct event *event, struct batch *batch)
{
    struct world *world = (struct world *)host;
    const struct world_event *what = (const struct world_event *)event;
    struct rs_value key = int_value(what->partition * 100 + what->key);
    struct error ignored;

    if (world->reads_rows && batch_want(batch, 0, &key, 1, &ignored) != 0)
        world_fail(world, "prefetch: %s", ignored.text);
}

/* balance += delta, by adding or by reading and setting. */
static int change_balance(struct world *world, struct batch *batch, struct row *row, int64_t delta, struct error *ret_error)
{
    struct rs_value value = int_value(delta);
    int result;

    if (!world->reads_rows)
        return batch_apply(batch, row, BALANCE, RS_ADD, &value, ret_error);
    result = batch_get(batch, row, BALANCE, RS_INT, &value, ret_error);
    if (result != 0)
        return result;
    value = int_value((value.type == 0 ? 0 : value.as.integer) + delta);
    return batch_set(batch, row, BALANCE, &value, ret_error);
}

int plugin_host_apply(struct plugin_host *host, const struct event *event, struct batch *batch, struct error *ret_error)
{
    struct world *world = (struct world *)host;
    const struct world_event *what = (const struct world_event *)event;
    struct rs_value key = int_value(what->partition * 100 + what->key), one = int_value(1);
    struct row *row;
    int result;

    batch_begin(batch, "bank", what->partition, what->offset);
    result = batch_row(batch, 0, &key, 1, &row, ret_error);
    if (result == 0)
        result = batch_apply(batch, row, EVENTS, RS_ADD, &one, ret_error);
    if (result == 0)
        result = change_balance(world, batch, row, what->delta, ret_error);
    if (result == 0 && what->is_poison)
        result = batch_apply(batch, row, POISON, RS_ADD, &one, ret_error);
    if (result == 0 && what->is_bad)
        result = error_set(ret_error, ERROR_POISON, "the plugin refuses it");
    if (result == 0) {
        batch_keep(batch);
        return APPLY_DONE;
    }
    batch_undo(batch);
    return result == FOLD_NEEDS_ROW ? APPLY_NEEDS_ROWS : result == FOLD_FULL ? APPLY_FULL : result;
}

/* ---- Workers ---- */

static int64_t monotonic(void *self)
{
    return ((struct world *)self)->now_us;
}

/* The world's clock moves on between turns; but who waits must not have a batch that an idle store could take. */
static void wait_a_little(void *self, int fd, short events, bool wants_records, int64_t timeout_us)
{
    struct worker *worker = self;
    const struct sink *sink = worker->sink;

    (void)fd, (void)events, (void)wants_records;
    if (timeout_us > 0 && sink->phase == SINK_READY && sink->operation == SINK_IDLE && sink->fold_events > 0 && !sink->is_leaving &&
        worker->world->now_us >= sink->retry_at_us)
        world_fail(worker->world, "worker %d: waits with %zu events in its batch and an idle store", worker->number, sink->fold_events);
}

static void on_fact(void *context, enum sink_fact fact, const char *topic, int32_t partition, int64_t offset, const char *text)
{
    static const char *const names[] = {"connected", "store away", "claimed", "released", "halted", "rewound", "fenced",
                                        "went back", "unhandled", "broker trouble", "stalled", "topic started", "unpaired"};
    struct worker *worker = context;

    if (fact == SINK_STALLED && worker->member.silence[partition] == SILENCE_NONE)
        world_fail(worker->world, "worker %d: partition %d does not flow, and it is not the client's fault: %s", worker->number,
                   (int)partition, text);
    if (is_verbose)
        printf("  %9.3f worker %d: %s %s/%d at %" PRId64 ": %s\n", (double)worker->world->now_us / 1e6, worker->number,
               names[fact], topic != NULL ? topic : "", (int)partition, offset, text != NULL ? text : "");
}

static void start_worker(struct world *world, struct worker *worker)
{
    static const char *const topics[] = {"bank"};
    struct sink_settings settings = {.topics = topics, .n_topics = 1, .has_partitioned_table = true,
                                     .take_max = 1 + world_random(world, 16), .max_batch_events = 1000,
                                     .limits = {.max_rows = 2 + world_random(world, 30), .max_bytes = 1 << 20},
                                     .batch_time_us = 5000000, .settle_timeout_us = 2000000,
                                     .random_seed = random_next(&world->random)};
    struct sink_parts parts = {.consumer = {&simulated_consumer, worker},
                               .store = &worker->store,
                               .host = (struct plugin_host *)world,
                               .projection = &projection,
                               .clock = &world->clock,
                               .waiter = {wait_a_little, worker},
                               .report = {on_fact, worker},
                               .cache_bytes = 4096};
    struct error error;

    worker->store = (struct store){.world = world, .worker = worker->number};
    for (int i = 0; i < 16; i++)
        worker->store.owner[i] = (uint8_t)(1 + world_random(world, 255));
    if (sink_new(&settings, &parts, &worker->sink, &error) != 0)
        world_fail(world, "sink_new: %s", error.text);
    worker->is_running = worker->sink != NULL;
    worker->frozen_until_us = 0;
}

/* kill -9: nothing is said to anybody; requests may still be under way. */
static void kill_worker(struct world *world, struct worker *worker)
{
    database_break(world, &worker->store);
    group_forget(world, worker);
    worker->sink = sink_free(worker->sink);
    worker->is_running = false;
    worker->restart_at_us = world->now_us + (int64_t)world_random(world, 3000000);
}

static void turn_worker(struct world *world, struct worker *worker)
{
    struct error error = {0};
    int result;

    if (!worker->is_running) {
        if (world->now_us >= worker->restart_at_us)
            start_worker(world, worker);
        return;
    }
    if (world->now_us < worker->frozen_until_us)
        return;
    result = sink_step(worker->sink, &error);
    if (result == ERROR_FENCED || result == ERROR_TRANSIENT)
        kill_worker(world, worker); /* the process ends and is started again */
    else if (result != 0)
        world_fail(world, "worker %d ended: %s: %s", worker->number, error_class_name(result), error.text);
}

static void make_faults(struct world *world)
{
    struct worker *worker = &world->workers[world_random(world, (uint64_t)world->n_workers)];
    bool is_hit = true;

    switch (world_random(world, 400)) {
    case 0:
        if (worker->is_running)
            kill_worker(world, worker);
        break;
    case 1:
    case 2:
        worker->frozen_until_us = world->now_us + (int64_t)world_random(world, 20000000);
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        database_break(world, &worker->store);
        break;
    case 7:
        if (world->has_snapshot && world_chance(world, 30))
            database_fall_back(world);
        break;
    case 8:
    case 9:
        world->snapshot = world->database;
        world->has_snapshot = true;
        break;
    default:
        is_hit = false;
    }
    world->faults += is_hit;
}

/* ---- One seed ---- */

static void turn(struct world *world)
{
    world->now_us += 1 + (int64_t)world_random(world, 30000);
    grow_log(world);
    database_turn(world);
    if (world_chance(world, 5) || world->is_calm)
        database_operate(world);
    group_turn(world);
    if (!world->is_calm)
        make_faults(world);
    for (int i = 0; i < world->n_workers && world->failure == NULL; i++)
        if (world_chance(world, 80))
            turn_worker(world, &world->workers[i]);
}

static void show_world(const struct world *world)
{
    for (int i = 0; i < world->n_partitions; i++)
        printf("  partition %d: position %" PRId64 " of %" PRId64 "%s, given to worker %d\n", i,
               world->database.positions[i].next_offset, world->log[i].end,
               world->database.positions[i].is_halted ? " (halted)" : "", world->owners[i]);
    for (int i = 0; i < world->n_workers; i++) {
        const struct worker *worker = &world->workers[i];

        if (worker->is_running)
            printf("  worker %d: phase %d, operation %d, block %d, paused %d, leaving %d, pending rebalance %d, partitions %zu\n", i,
                   worker->sink->phase, worker->sink->operation, worker->sink->block, worker->sink->is_paused,
                   worker->sink->is_leaving, worker->member.pending, worker->sink->progress.n);
    }
}

static void run_world(struct world *world)
{
    int faulty_turns = 100 + (int)world_random(world, 1500);

    for (int i = 0; i < faulty_turns && world->failure == NULL; i++)
        turn(world);
    world->is_calm = true;
    for (int i = 0; i < world->n_workers; i++)
        world->workers[i].frozen_until_us = 0;
    for (int i = 0; i < 60000 && world->failure == NULL && !world_is_done(world); i++)
        turn(world);
    if (world->failure == NULL && !world_is_done(world) && is_verbose)
        show_world(world);
    if (world->failure == NULL && !world_is_done(world))
        world_fail(world, "everything has been calm for long, and yet not every event is in the store");
}

static struct world *new_world(uint64_t seed)
{
    struct world *world = calloc(1, sizeof *world);

    if (world == NULL)
        exit(2);
    world->seed = seed;
    world->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    world->clock = (struct clock){.monotonic_us = monotonic, .wall_us = monotonic, .self = world};
    world->now_us = 1000000000;
    world->n_partitions = 1 + (int)world_random(world, PARTITIONS_MAX);
    world->n_workers = 1 + (int)world_random(world, WORKERS_MAX);
    world->is_eager = world_chance(world, 50);
    world->reads_rows = world_chance(world, 40);
    for (int i = 0; i < PARTITIONS_MAX; i++)
        world->owners[i] = -1;
    world_make_log(world);
    for (int i = 0; i < world->n_workers; i++) {
        world->workers[i].world = world;
        world->workers[i].number = i;
        start_worker(world, &world->workers[i]);
    }
    return world;
}

static void free_world(struct world *world)
{
    for (int i = 0; i < world->n_workers; i++) {
        if (world->workers[i].is_running)
            kill_worker(world, &world->workers[i]);
    }
    for (size_t i = 0; i < world->n_pending; i++) {
        free(world->pending[i]->ops);
        free(world->pending[i]);
    }
    free(world);
}

static uint64_t number_argument(const char *text)
{
    char *end;
    uint64_t number = strtoull(text, &end, 10);

    if (*text == '\0' || *end != '\0') {
        fprintf(stderr, "simulation: `%s' is not a number\n", text);
        exit(2);
    }
    return number;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, seeds = 2000, failed = 0;
    int64_t commits = 0, faults = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            is_verbose = true;
        else if (i + 1 < argc && strcmp(argv[i], "--first") == 0)
            first = number_argument(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0)
            seeds = number_argument(argv[++i]);
        else
            return fprintf(stderr, "usage: simulation [--seeds N] [--first SEED] [--verbose]\n"), 2;
    }
    for (uint64_t seed = first; seed < first + seeds && failed < 10; seed++) {
        struct world *world = new_world(seed);

        run_world(world);
        commits += world->commits;
        faults += world->faults;
        if (world->failure != NULL) {
            failed++;
            printf("not ok - seed %" PRIu64 ": %s\n", seed, world->failure);
        }
        free_world(world);
    }
    printf("%s - %" PRIu64 " seeds, %" PRId64 " commits, %" PRId64 " faults, %" PRIu64 " failed\n", failed == 0 ? "ok" : "not ok",
           seeds, commits, faults, failed);
    return failed == 0 ? 0 : 1;
}
