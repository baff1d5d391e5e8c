/*
 * rows_bench - how fast a store's driver writes rows that lie in memory: no Kafka, no parsing, folding not counted.
 *
 *     rows_bench KIND URI [ROWS [ROWS_A_BATCH [fence|paired [KEYS]]]]
 *
 * Distinct rows of the bank example's accounts: all new, all once more, all read by key, all removed. With KEYS so many are new, and
 * ROWS once more, spread over all of them, in rounds where there are more; then as many are read and removed. The password is
 * STORE_PASSWORD's. A batch's rows are of four partitions, all of whose positions move with them (drivers lock several in a statement
 * of its own). With "paired" every second batch moves none: the rates are of those that do, and new_share and known_share what these
 * keep of the others' speed. Prints one line of JSON, in rows per second; cpu_seconds are of all that was written, the server's not
 * among them.
 */
#include "accounts.h"
#include "meter.h"

#include "fold/batch.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct table tables[] = {ACCOUNTS_TABLE};

enum { MOST_QUARTETS = 5000 };

/* Batches with positions and without: with, without, without, with. What changes steadily is for and against both, and a machine's
 * moods last longer than a quartet. */
struct comparison {
    uint32_t n_batches, n_shares;
    double rows, seconds;         /* of all batches with positions */
    double quartet[2];            /* seconds a row, with positions and without */
    double shares[MOST_QUARTETS]; /* of the speed without positions */
};

struct bench {
    struct store *store;
    struct batch *batch;
    struct store_position positions[ACCOUNTS_PARTITIONS];
    struct store_move moves[ACCOUNTS_PARTITIONS]; /* of the batch that is folded */
    uint32_t n_found;
    struct comparison *comparison; /* NULL: all batches move positions */
};

static void finish(struct bench *bench, int result, const struct error *error)
{
    struct error failure;

    must(result, error);
    must(store_finish(bench->store, &failure), &failure);
}

/* ---- What the fence costs ---- */

static bool is_without_positions(const struct comparison *comparison)
{
    return comparison != NULL && (comparison->n_batches + 1) / 2 % 2 == 1;
}

static void count_batch(struct comparison *comparison, uint32_t n_rows, double seconds)
{
    bool is_without = is_without_positions(comparison);

    if (comparison == NULL)
        return;
    comparison->quartet[is_without] += seconds / n_rows;
    if (!is_without) {
        comparison->rows += n_rows;
        comparison->seconds += seconds;
    }
    if (++comparison->n_batches % 4 != 0)
        return;
    if (comparison->n_shares < MOST_QUARTETS)
        comparison->shares[comparison->n_shares++] = comparison->quartet[1] / comparison->quartet[0];
    comparison->quartet[0] = comparison->quartet[1] = 0;
}

static int by_value(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;

    return (first > second) - (first < second);
}

/* The median of all quartets as JSON, null where there is none. */
static void print_share(struct comparison *comparison, char *ret_text, size_t size)
{
    uint32_t n = comparison == NULL ? 0 : comparison->n_shares;

    snprintf(ret_text, size, "null");
    if (n == 0)
        return;
    qsort(comparison->shares, n, sizeof *comparison->shares, by_value);
    snprintf(ret_text, size, "%.4f", (comparison->shares[(n - 1) / 2] + comparison->shares[n / 2]) / 2);
}

/* ---- Before the clock runs ---- */

static struct rs_value key_of(const struct account *account)
{
    return rs_value_text((struct rs_text){.data = account->key, .size = strlen(account->key)});
}

static void upsert(struct batch *batch, const struct account *account)
{
    struct rs_value key = key_of(account);
    struct rs_value balance = rs_value_decimal(rs_decimal_of(account->cents, 2)), events = rs_value_int(account->events);
    struct rs_value at = rs_value_timestamp((struct rs_timestamp){.microseconds = account->at_us});
    struct error error;
    struct row *row;

    must(batch_row(batch, 0, &key, 1, &row, &error), &error);
    must(batch_apply(batch, row, ACCOUNTS_BALANCE, RS_ADD, &balance, &error), &error);
    must(batch_apply(batch, row, ACCOUNTS_EVENTS, RS_ADD, &events, &error), &error);
    must(batch_set(batch, row, ACCOUNTS_UPDATED_AT, &at, &error), &error);
}

static void drop(struct batch *batch, const struct account *account)
{
    struct rs_value key = key_of(account);
    struct error error;
    struct row *row;

    must(batch_row(batch, 0, &key, 1, &row, &error), &error);
    must(batch_remove(batch, row, &error), &error);
}

static void want(struct batch *batch, const struct account *account)
{
    struct rs_value key = key_of(account);
    struct error error;

    must(batch_want(batch, 0, &key, 1, &error), &error);
}

static void begin_moves(struct bench *bench)
{
    for (int32_t i = 0; i < ACCOUNTS_PARTITIONS; i++) {
        const struct store_position *position = &bench->positions[i];

        bench->moves[i] = (struct store_move){.topic = "bank",
                                              .partition = i,
                                              .base = position->next_offset,
                                              .next = position->next_offset,
                                              .epoch = position->epoch,
                                              .leader_epoch = -1};
    }
}

typedef void (*fold_one)(struct batch *batch, const struct account *account);

static void fold_all(struct bench *bench, fold_one fold, const struct account *accounts, uint32_t n)
{
    begin_moves(bench);
    batch_reset(bench->batch, NULL, NULL);
    for (uint32_t i = 0; i < n; i++) {
        struct store_move *move = &bench->moves[accounts[i].partition];

        batch_begin(bench->batch, move->topic, move->partition, move->next);
        fold(bench->batch, &accounts[i]);
        batch_keep(bench->batch);
        move->next++;
        move->events++;
    }
}

static void fold_upserts(void *bench, const struct account *accounts, uint32_t n)
{
    struct error error;

    fold_all(bench, upsert, accounts, n);
    must(batch_close(((struct bench *)bench)->batch, &error), &error);
}

static void fold_drops(void *bench, const struct account *accounts, uint32_t n)
{
    struct error error;

    fold_all(bench, drop, accounts, n);
    must(batch_close(((struct bench *)bench)->batch, &error), &error);
}

static void fold_wants(void *bench, const struct account *accounts, uint32_t n)
{
    fold_all(bench, want, accounts, n);
}

/* ---- While it runs ---- */

/* Those of partitions that the batch has events of. */
static size_t list_moves(const struct bench *bench, struct store_move ret_moves[ACCOUNTS_PARTITIONS])
{
    size_t n = 0;

    for (size_t i = 0; i < ACCOUNTS_PARTITIONS && !is_without_positions(bench->comparison); i++)
        if (bench->moves[i].events > 0)
            ret_moves[n++] = bench->moves[i];
    return n;
}

static void write_batch(void *context, const struct account *accounts, uint32_t n)
{
    struct bench *bench = context;
    struct store_move moves[ACCOUNTS_PARTITIONS];
    struct store_write write = {.moves = moves, .n_moves = list_moves(bench, moves), .batch = bench->batch};
    double began = meter_now();
    struct error error;

    (void)accounts;
    finish(bench, store_start_write(bench->store, &write, &error), &error);
    count_batch(bench->comparison, n, meter_now() - began);
    for (size_t i = 0; i < write.n_moves; i++)
        bench->positions[moves[i].partition].next_offset = moves[i].next;
}

static int count_row(void *context, size_t index, const struct cell *cells, int32_t partition, struct error *ret_error)
{
    (void)index, (void)partition, (void)ret_error;
    *(uint32_t *)context += cells != NULL;
    return 0;
}

static void read_batch(void *context, const struct account *accounts, uint32_t n)
{
    struct bench *bench = context;
    struct store_read read = {.on_row = count_row, .context = &bench->n_found};
    struct error error;

    (void)accounts, (void)n;
    read.rows = batch_wanted(bench->batch, &read.n_rows);
    finish(bench, store_start_read(bench->store, &read, &error), &error);
    batch_clear_wanted(bench->batch);
}

/* ---- The whole ---- */

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
    struct store_start starts[ACCOUNTS_PARTITIONS];
    struct error error;

    must(store_open(&settings, &scope, &bench->store, &error), &error);
    finish(bench, store_start_connect(bench->store, &error), &error);
    must(store_create_schema(bench->store, &error), &error);
    for (int32_t i = 0; i < ACCOUNTS_PARTITIONS; i++) {
        starts[i] = (struct store_start){.topic = "bank", .partition = i, .cluster_id = "none"};
        bench->positions[i] = (struct store_position){.topic = "bank", .partition = i};
    }
    finish(bench, store_start_insert(bench->store, starts, ACCOUNTS_PARTITIONS, true, &error), &error);
    finish(bench, store_start_claim(bench->store, bench->positions, ACCOUNTS_PARTITIONS, &error), &error);
}

struct phase {
    double rate; /* rows a second */
    char share[16];
};

static struct phase write_all(struct bench *bench, struct accounts_run *run)
{
    struct comparison *comparison = bench->comparison;
    struct phase phase = {.rate = accounts_write_all(run)};

    print_share(comparison, phase.share, sizeof phase.share);
    if (comparison != NULL) {
        phase.rate = comparison->rows / comparison->seconds;
        *comparison = (struct comparison){0};
    }
    return phase;
}

/* n_keys 0: as many as rows, met in order. */
static void measure(struct bench *bench, struct accounts_run *run, uint32_t n_rows, uint32_t n_keys)
{
    struct phase new, known, removed;
    double found, cpu_seconds;

    run->n_rows = n_keys == 0 ? n_rows : n_keys;
    new = write_all(bench, run);
    run->n_rows = 1; /* one that is known: from now on the driver expects such rows */
    (void)write_all(bench, run);
    run->n_rows = n_rows;
    run->n_keys = n_keys;
    known = write_all(bench, run);
    cpu_seconds = run->cpu_seconds;
    if (n_keys > 0 && n_keys < n_rows)
        run->n_rows = n_keys;
    run->prepare = fold_wants;
    run->write = read_batch;
    found = accounts_write_all(run);
    if (bench->n_found != run->n_rows)
        die("%" PRIu32 " rows are there, %" PRIu32 " were written", bench->n_found, run->n_rows);
    run->prepare = fold_drops;
    run->write = write_batch;
    removed = write_all(bench, run);
    printf("{\"rows\": %" PRIu32 ", \"keys\": %" PRIu32 ", \"batch\": %" PRIu32 ", \"new\": %.0f, \"known\": %.0f, "
           "\"read\": %.0f, \"removed\": %.0f, \"new_share\": %s, \"known_share\": %s, \"cpu_seconds\": %.4f}\n",
           n_rows, n_keys == 0 ? n_rows : n_keys, run->n_batch, new.rate, known.rate, found, removed.rate, new.share,
           known.share, cpu_seconds);
}

int main(int argc, char **argv)
{
    struct batch_limits limits = {.max_rows = 1000000, .max_bytes = 1 << 30};
    struct bench bench = {.batch = batch_new(tables, 1, &limits, 1)};
    static struct comparison comparison;
    struct accounts_run run = {.prepare = fold_upserts, .write = write_batch, .context = &bench};
    uint32_t n_rows;

    if (argc < 3 || argc > 7 || (argc > 5 && strcmp(argv[5], "fence") != 0 && strcmp(argv[5], "paired") != 0)) {
        fprintf(stderr, "usage: rows_bench KIND URI [ROWS [ROWS_A_BATCH [fence|paired [KEYS]]]]\n");
        return 2;
    }
    if (bench.batch == NULL)
        die("out of memory");
    run.n_batch = meter_count(argc > 4 ? argv[4] : NULL, ACCOUNTS_BATCH);
    bench.comparison = argc > 5 && strcmp(argv[5], "paired") == 0 ? &comparison : NULL;
    n_rows = meter_count(argc > 3 ? argv[3] : NULL, ACCOUNTS_ROWS);
    open_store(&bench, argv[1], argv[2]);
    measure(&bench, &run, n_rows, meter_count(argc > 6 ? argv[6] : NULL, 0));
    store_close(bench.store);
    batch_free(bench.batch);
    return 0;
}
