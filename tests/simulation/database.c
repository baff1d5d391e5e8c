/*
 * database - the simulated read store: store.h for the sinks, and what happens to their requests.
 *
 * A request is applied in one piece at apply_at_us and answered later. When a connection breaks, its request is dropped or stays
 * under way as an orphan: the server applies it later, against whatever the positions are then. That is the zombie's write.
 */
#include "world.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t nobody[16];

static void request_free(struct request *request)
{
    free(request->ops);
    free(request);
}

static void unlink_request(struct world *world, size_t at)
{
    world->pending[at] = world->pending[--world->n_pending];
}

/* ---- Applying ---- */

static bool is_mine(const struct world_position *position, const uint8_t owner[16])
{
    return position->exists && memcmp(position->owner, owner, 16) == 0;
}

static int apply_write(struct world *world, struct request *request)
{
    struct world_database *database = &world->database;

    for (size_t i = 0; i < request->n_moves; i++) {
        const struct store_move *move = &request->moves[i];
        const struct world_position *position = &database->positions[move->partition];

        if (!is_mine(position, request->owner) || position->epoch != move->epoch || position->next_offset != move->base)
            return ERROR_FENCED;
    }
    for (size_t i = 0; i < request->n_ops; i++)
        if (request->ops[i].poison != 0)
            return ERROR_POISON;
    for (size_t i = 0; i < request->n_ops; i++) {
        const struct request_op *op = &request->ops[i];
        struct world_row *row = &database->rows[op->partition][op->key];

        row->balance = op->is_set ? op->balance : row->balance + op->balance;
        row->events += op->events;
        row->exists = true;
    }
    for (size_t i = 0; i < request->n_moves; i++) {
        const struct store_move *move = &request->moves[i];
        struct world_position *position = &database->positions[move->partition];

        position->next_offset = move->next;
        position->events += move->events;
        position->commit_seq++;
        position->is_halted = move->halt_kind != NULL;
        if (position->is_halted) {
            strncpy(position->halt_kind, move->halt_kind, sizeof position->halt_kind - 1);
            position->halted_at_us = world->now_us;
        }
    }
    world->commits++;
    world_check(world);
    return 0;
}

static int apply_insert(struct world *world, const struct request *request)
{
    for (int i = 0; i < world->n_partitions; i++)
        if (world->database.positions[i].exists)
            return 0;
    for (int i = 0; i < world->n_partitions; i++)
        if (request->wants[i])
            world->database.positions[i] = (struct world_position){.exists = true, .next_offset = request->starts[i]};
    return 0;
}

static int apply(struct world *world, struct request *request)
{
    for (int i = 0; i < world->n_partitions; i++) {
        struct world_position *position = &world->database.positions[i];

        if (!request->wants[i] || !position->exists)
            continue;
        if (request->kind == REQUEST_CLAIM) {
            position->epoch++;
            memcpy(position->owner, request->owner, 16);
        } else if (request->kind == REQUEST_RESOLVE && is_mine(position, request->owner)) {
            position->epoch++;
        } else if (request->kind == REQUEST_RELEASE && is_mine(position, request->owner)) {
            memcpy(position->owner, nobody, 16);
        }
    }
    if (request->kind == REQUEST_INSERT)
        return apply_insert(world, request);
    return request->kind == REQUEST_WRITE ? apply_write(world, request) : 0;
}

/* Claims and resolves wait for what is in flight on the rows they take; here: it is applied first, or fenced by them. */
void database_turn(struct world *world)
{
    for (size_t i = 0; i < world->n_pending;) {
        struct request *request = world->pending[i];

        if (request->apply_at_us > world->now_us) {
            i++;
            continue;
        }
        request->result = !world->is_calm && world_chance(world, 4) && request->connection != 0 ? ERROR_TRANSIENT
                                                                                              : apply(world, request);
        request->is_applied = true;
        unlink_request(world, i);
        if (request->connection == 0)
            request_free(request);
    }
}

/* The connection is gone: the client knows nothing of its request; the server may still work on it. */
void database_break(struct world *world, struct store *store)
{
    struct request *request = store->request;

    store->is_connected = false;
    if (request == NULL)
        return;
    if (!request->is_applied && world_chance(world, 50)) {
        request->connection = 0; /* an orphan */
        if (world_chance(world, 50))
            request->apply_at_us = world->now_us + (int64_t)world_random(world, 8000000);
        store->request = NULL;
        return;
    }
    for (size_t i = 0; i < world->n_pending; i++)
        if (world->pending[i] == request) {
            unlink_request(world, i);
            break;
        }
    request_free(request);
    store->request = NULL;
}

/* An older state comes back (asynchronous failover): everything in flight is gone. */
void database_fall_back(struct world *world)
{
    for (int i = 0; i < world->n_workers; i++)
        database_break(world, &world->workers[i].store);
    while (world->n_pending > 0) {
        request_free(world->pending[0]);
        unlink_request(world, 0);
    }
    world->database = world->snapshot;
    world_check(world);
}

/* A person lets halted partitions go on behind the event that cannot succeed. */
void database_operate(struct world *world)
{
    for (int i = 0; i < world->n_partitions; i++) {
        struct world_position *position = &world->database.positions[i];

        if (!position->exists || !position->is_halted || world->now_us - position->halted_at_us < 1000000)
            continue;
        for (int j = 0; j < world->log[i].n_events; j++) {
            struct world_event *event = &world->log[i].events[j];

            if (event->offset != position->next_offset)
                continue;
            if (!event->is_bad && !event->is_poison) {
                world_fail(world, "partition %d halted at offset %d, whose event is fine (%s)", i, (int)event->offset,
                           position->halt_kind);
                return;
            }
            event->is_skipped = true;
            position->next_offset++;
            break;
        }
        position->is_halted = false;
        position->epoch++;
        memcpy(position->owner, nobody, 16);
    }
    world->has_snapshot = false; /* an older state would not know of the skipping */
    world_check(world);
}

/* ---- store.h, as the sinks see it ---- */

static int send(struct store *store, enum request_kind kind, struct request *request, struct error *ret_error)
{
    struct world *world = store->world;

    if (store->is_busy)
        return error_set(ret_error, ERROR_BUG, "the sink started an operation while another one runs");
    if (kind != REQUEST_CONNECT && !store->is_connected) {
        request_free(request);
        return error_set(ret_error, ERROR_TRANSIENT, "not connected");
    }
    store->is_busy = true;
    request->kind = kind;
    request->connection = ++world->next_connection;
    memcpy(request->owner, store->owner, 16);
    request->apply_at_us = world->now_us + (int64_t)world_random(world, world_chance(world, 10) ? 1500000 : 20000);
    store->request = request;
    store->answer_at_us = request->apply_at_us + (int64_t)world_random(world, 5000);
    if (world->n_pending == PENDING_MAX)
        return error_set(ret_error, ERROR_BUG, "the simulated store has no room for requests");
    world->pending[world->n_pending++] = request;
    return 0;
}

static struct request *new_request(void)
{
    return calloc(1, sizeof(struct request));
}

static int send_positions(struct store *store, enum request_kind kind, struct store_position *positions, size_t n,
                          struct error *ret_error)
{
    struct request *request = new_request();

    for (size_t i = 0; i < n; i++)
        request->wants[positions[i].partition] = true;
    store->positions = positions;
    store->n_positions = n;
    return send(store, kind, request, ret_error);
}

int store_start_connect(struct store *store, struct error *ret_error)
{
    database_break(store->world, store); /* a new connection ends the old one */
    store->is_busy = false;
    return send(store, REQUEST_CONNECT, new_request(), ret_error);
}

/* Goes on in the database as long as it likes; busy until the next connection, so that nothing else is started before. */
void store_abandon(struct store *store)
{
    (void)store;
}

int store_start_claim(struct store *store, struct store_position *positions, size_t n, struct error *ret_error)
{
    return send_positions(store, REQUEST_CLAIM, positions, n, ret_error);
}

int store_start_resolve(struct store *store, struct store_position *positions, size_t n, struct error *ret_error)
{
    return send_positions(store, REQUEST_RESOLVE, positions, n, ret_error);
}

int store_start_release(struct store *store, const struct store_position *positions, size_t n, struct error *ret_error)
{
    return send_positions(store, REQUEST_RELEASE, (struct store_position *)positions, n, ret_error);
}

int store_start_insert(struct store *store, const struct store_start *starts, size_t n, bool is_first, struct error *ret_error)
{
    struct request *request = new_request();

    (void)is_first;
    for (size_t i = 0; i < n; i++) {
        request->wants[starts[i].partition] = true;
        request->starts[starts[i].partition] = starts[i].next_offset;
    }
    return send(store, REQUEST_INSERT, request, ret_error);
}

int store_start_read(struct store *store, const struct store_read *read, struct error *ret_error)
{
    store->read = *read;
    return send(store, REQUEST_READ, new_request(), ret_error);
}

/* The batch may change once its connection is given up, so what an orphan would write is copied now. */
static void copy_rows(struct request *request, const struct change_group *group)
{
    for (size_t i = 0; i < group->n_rows; i++) {
        const struct row *row = group->rows[i];
        struct request_op op = {.partition = (int)(row->cells[0].as.integer / 100), .key = (int)(row->cells[0].as.integer % 100)};

        op.is_set = group->operations[1] == CELL_SET;
        op.balance = group->operations[1] != CELL_NONE ? row->cells[1].as.integer : 0;
        op.events = group->operations[2] == CELL_ADD ? row->cells[2].as.integer : 0;
        op.poison = group->operations[3] == CELL_ADD ? row->cells[3].as.integer : 0;
        request->ops[request->n_ops++] = op;
    }
}

int store_start_write(struct store *store, const struct store_write *write, struct error *ret_error)
{
    struct request *request = new_request();
    size_t n_groups;
    const struct change_group *groups = batch_groups(write->batch, &n_groups);

    request->ops = calloc(REQUEST_OPS_MAX, sizeof *request->ops);
    request->n_moves = write->n_moves;
    memcpy(request->moves, write->moves, write->n_moves * sizeof *write->moves);
    for (size_t i = 0; i < n_groups; i++)
        copy_rows(request, &groups[i]);
    return send(store, REQUEST_WRITE, request, ret_error);
}

static void fill_positions(struct store *store, enum request_kind kind)
{
    for (size_t i = 0; i < store->n_positions; i++) {
        struct store_position *out = &store->positions[i];
        const struct world_position *in = &store->world->database.positions[out->partition];
        const char *topic = out->topic;
        int32_t partition = out->partition;

        *out = (struct store_position){.topic = topic, .partition = partition, .cluster_id = "cluster", .halt_kind = in->halt_kind,
                                       .halt_reason = "", .next_offset = in->next_offset, .epoch = in->epoch,
                                       .is_halted = in->is_halted, .leader_epoch = -1};
        out->is_missing = !in->exists || (kind == REQUEST_RESOLVE && !is_mine(in, store->owner));
    }
}

static int deliver_rows(struct store *store, struct error *ret_error)
{
    for (size_t i = 0; i < store->read.n_rows; i++) {
        int64_t id = store->read.rows[i].keys[0].as.integer;
        const struct world_row *row = &store->world->database.rows[id / 100][id % 100];
        struct cell cells[4] = {{.operation = CELL_SET, .as.integer = id},
                                {.operation = CELL_SET, .as.integer = row->balance},
                                {.operation = CELL_SET, .as.integer = row->events},
                                {.operation = CELL_SET, .as.integer = 0}};
        int result = store->read.on_row(store->read.context, i, row->exists ? cells : NULL, (int32_t)(id / 100), ret_error);

        if (result != 0)
            return result;
    }
    return 0;
}

int store_poll(struct store *store, struct error *ret_error)
{
    struct request *request = store->request;
    enum request_kind kind;
    int result;

    if (!store->is_busy)
        return error_set(ret_error, ERROR_BUG, "the sink polls a store that has nothing to do");
    if (request == NULL) { /* the connection broke */
        store->is_busy = false;
        return error_set(ret_error, ERROR_UNKNOWN, "connection lost");
    }
    if (!request->is_applied || store->answer_at_us > store->world->now_us)
        return STORE_BUSY;
    store->is_busy = false;
    store->request = NULL;
    result = request->result;
    kind = request->kind;
    request_free(request);
    if (result != 0)
        return error_set(ret_error, result, "the simulated store says %s", error_class_name(result));
    if (kind == REQUEST_CONNECT)
        store->is_connected = true;
    if (kind == REQUEST_CLAIM || kind == REQUEST_RESOLVE)
        fill_positions(store, kind);
    return kind == REQUEST_READ ? deliver_rows(store, ret_error) : 0;
}

int store_fd(const struct store *store)
{
    (void)store;
    return -1;
}

short store_events(const struct store *store)
{
    (void)store;
    return 0;
}

int64_t store_deadline_us(const struct store *store)
{
    (void)store;
    return INT64_MAX;
}

/* Every second worker's. */
bool store_is_blocking(const struct store *store)
{
    return store->worker % 2 == 1;
}

int64_t store_round_trips(const struct store *store)
{
    (void)store;
    return 0;
}

bool store_is_connected(const struct store *store)
{
    return store->is_connected;
}
