/*
 * rows_bench - how fast a store's driver writes rows that lie in memory: no Kafka, no parsing, folding not counted.
 *
 *     rows_bench KIND URI [ROWS [ROWS_A_BATCH [fence|free]]]
 *
 * Distinct rows of the bank example's accounts: all new, all once more, all read by key, all removed. The password is
 * STORE_PASSWORD's. With "free" no position moves with the rows, which shows what the fence costs. Prints one line of JSON, in rows
 * per second.
 */
#include "fold/batch.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ACCOUNT, OWNER, BALANCE, EVENTS, OPENED_AT, UPDATED_AT, N_COLUMNS };
enum { KEY_SIZE = 24 };

static const struct column columns[N_COLUMNS] = {
    [ACCOUNT] = {.name = "account", .type = RS_TEXT, .is_key = true, .is_not_null = true, .length = 120},
    [OWNER] = {.name = "owner", .type = RS_TEXT, .is_not_null = true, .fallback = {.operation = CELL_SET, .as.data = ""}},
    [BALANCE] = {.name = "balance",
                 .type = RS_DECIMAL,
                 .is_not_null = true,
                 .precision = 20,
                 .scale = 2,
                 .fallback = {.operation = CELL_SET}},
    [EVENTS] = {.name = "events", .type = RS_INT, .is_not_null = true, .fallback = {.operation = CELL_SET}},
    [OPENED_AT] = {.name = "opened_at", .type = RS_TIMESTAMP, .fallback = {.operation = CELL_SET, .is_null = true}},
    [UPDATED_AT] = {.name = "updated_at", .type = RS_TIMESTAMP, .fallback = {.operation = CELL_SET, .is_null = true}},
};

static const struct table tables[] = {
    {.name = "accounts", .id = 0, .columns = columns, .n_columns = N_COLUMNS, .keys = {ACCOUNT}, .n_keys = 1},
};

struct bench {
    struct store *store;
    struct batch *batch;
    struct store_position position;
    uint32_t n_rows, n_batch;
    bool is_free;
};

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(int result, const struct error *error)
{
    if (result == 0)
        return;
    fprintf(stderr, "rows_bench: %s\n", error->text);
    exit(1);
}

static size_t print_key(uint32_t number, char ret_key[KEY_SIZE])
{
    return (size_t)snprintf(ret_key, KEY_SIZE, "acc-%010u", (unsigned)number);
}

typedef void (*fold_one)(struct batch *batch, const struct rs_value *key, uint32_t number);

static void upsert(struct batch *batch, const struct rs_value *key, uint32_t number)
{
    struct rs_value owner = rs_value_text((struct rs_text){.data = "somebody", .size = 8});
    struct rs_value balance = rs_value_decimal(rs_decimal_of(number % 100000, 2)), events = rs_value_int(1);
    struct rs_value at = rs_value_timestamp((struct rs_timestamp){.microseconds = INT64_C(1700000000000000) + number});
    struct error error;
    struct row *row;

    must(batch_row(batch, 0, key, 1, &row, &error), &error);
    must(batch_set(batch, row, OWNER, &owner, &error), &error);
    must(batch_apply(batch, row, BALANCE, RS_ADD, &balance, &error), &error);
    must(batch_apply(batch, row, EVENTS, RS_ADD, &events, &error), &error);
    must(batch_set(batch, row, OPENED_AT, &at, &error), &error);
    must(batch_set(batch, row, UPDATED_AT, &at, &error), &error);
}

static void drop(struct batch *batch, const struct rs_value *key, uint32_t number)
{
    struct error error;
    struct row *row;

    (void)number;
    must(batch_row(batch, 0, key, 1, &row, &error), &error);
    must(batch_remove(batch, row, &error), &error);
}

static void want(struct batch *batch, const struct rs_value *key, uint32_t number)
{
    struct error error;

    (void)number;
    must(batch_want(batch, 0, key, 1, &error), &error);
}

static void fold_all(struct bench *bench, fold_one fold, uint32_t first)
{
    batch_reset(bench->batch, NULL, NULL);
    for (uint32_t i = first; i < first + bench->n_batch && i < bench->n_rows; i++) {
        char text[KEY_SIZE];
        struct rs_value key = rs_value_text((struct rs_text){.data = text, .size = print_key(i, text)});

        batch_begin(bench->batch, "bank", 0, i);
        fold(bench->batch, &key, i);
        batch_keep(bench->batch);
    }
}

static void finish(struct bench *bench, int result, const struct error *error)
{
    struct error failure;

    must(result, error);
    must(store_finish(bench->store, &failure), &failure);
}

/* Rows per second. */
static double write_all(struct bench *bench, fold_one fold)
{
    struct error error;
    double seconds = 0;

    for (uint32_t first = 0; first < bench->n_rows; first += bench->n_batch) {
        struct store_move move = {.topic = "bank",
                                  .base = bench->position.next_offset,
                                  .epoch = bench->position.epoch,
                                  .next = bench->position.next_offset + bench->n_batch,
                                  .events = bench->n_batch};
        struct store_write write = {.moves = &move, .n_moves = !bench->is_free, .batch = bench->batch};
        double began;

        fold_all(bench, fold, first);
        must(batch_close(bench->batch, &error), &error);
        began = now_s();
        finish(bench, store_start_write(bench->store, &write, &error), &error);
        seconds += now_s() - began;
        bench->position.next_offset = move.next;
    }
    return bench->n_rows / seconds;
}

static int count_row(void *context, size_t index, const struct cell *cells, int32_t partition, struct error *ret_error)
{
    (void)index, (void)partition, (void)ret_error;
    *(uint32_t *)context += cells != NULL;
    return 0;
}

static double read_all(struct bench *bench)
{
    uint32_t n_found = 0;
    struct error error;
    double seconds = 0;

    for (uint32_t first = 0; first < bench->n_rows; first += bench->n_batch) {
        struct store_read read = {.on_row = count_row, .context = &n_found};
        double began;

        fold_all(bench, want, first);
        read.rows = batch_wanted(bench->batch, &read.n_rows);
        began = now_s();
        finish(bench, store_start_read(bench->store, &read, &error), &error);
        seconds += now_s() - began;
        batch_clear_wanted(bench->batch);
    }
    if (n_found != bench->n_rows) {
        fprintf(stderr, "rows_bench: %u rows are there, %u were written\n", (unsigned)n_found, (unsigned)bench->n_rows);
        exit(1);
    }
    return bench->n_rows / seconds;
}

static void open_store(struct bench *bench, const char *kind, const char *uri)
{
    struct store_settings settings = {.kind = kind,
                                      .uri = uri,
                                      .password = getenv("STORE_PASSWORD"),
                                      .connect_timeout_us = 10000000,
                                      .lock_timeout_us = 10000000,
                                      .statement_timeout_us = 60000000};
    struct store_scope scope = {.pipeline = "bench",
                                .version = 1,
                                .plugin = "bench",
                                .revision = 1,
                                .tables = tables,
                                .n_tables = 1,
                                .owner = {1},
                                .worker = "rows_bench"};
    struct store_start start = {.topic = "bank", .cluster_id = "none"};
    struct error error;

    must(store_open(&settings, &scope, &bench->store, &error), &error);
    finish(bench, store_start_connect(bench->store, &error), &error);
    must(store_create_schema(bench->store, &error), &error);
    finish(bench, store_start_insert(bench->store, &start, 1, true, &error), &error);
    bench->position.topic = "bank";
    finish(bench, store_start_claim(bench->store, &bench->position, 1, &error), &error);
}

int main(int argc, char **argv)
{
    struct batch_limits limits = {.max_rows = 1000000, .max_bytes = 1 << 30};
    struct bench bench = {.batch = batch_new(tables, 1, &limits, 1)};
    double inserted, updated, found;

    if (argc < 3 || bench.batch == NULL) {
        fprintf(stderr, "usage: rows_bench KIND URI [ROWS [ROWS_A_BATCH [fence|free]]]\n");
        return 2;
    }
    bench.n_rows = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 1000000;
    bench.n_batch = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 20000;
    bench.is_free = argc > 5 && strcmp(argv[5], "free") == 0;
    open_store(&bench, argv[1], argv[2]);
    inserted = write_all(&bench, upsert);
    updated = write_all(&bench, upsert);
    found = read_all(&bench);
    printf("{\"rows\": %u, \"new\": %.0f, \"known\": %.0f, \"read\": %.0f, \"removed\": %.0f}\n", (unsigned)bench.n_rows, inserted,
           updated, found, write_all(&bench, drop));
    store_close(bench.store);
    batch_free(bench.batch);
    return 0;
}
