/*
 * fold_bench - what the fold costs per event, without Kafka, parsing or a store.
 *
 *     fold_bench [EVENTS]
 *
 * Folds the bank example's operations (add int, set timestamp, add decimal) and prints nanoseconds per event for each pattern of
 * keys, the closing of the batches apart. One thread; batches of 100,000 events at most, two taking turns as in the sink.
 */
#include "accounts.h"
#include "meter.h"

#include "fold/batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY, DEPOSITED, DAY_EVENTS, N_DAY_COLUMNS };
enum { KEY_SIZE = 16, BATCH_EVENTS = 100000 };

static const struct column day_columns[N_DAY_COLUMNS] = {
    [DAY] = {.name = "day", .type = RS_DATE, .is_key = true, .is_not_null = true},
    [DEPOSITED] = {.name = "deposited",
                   .type = RS_DECIMAL,
                   .is_not_null = true,
                   .precision = 30,
                   .scale = 2,
                   .operation = CELL_ADD,
                   .fallback = {.operation = CELL_SET}},
    [DAY_EVENTS] =
        {.name = "events", .type = RS_INT, .is_not_null = true, .operation = CELL_ADD, .fallback = {.operation = CELL_SET}},
};

static const struct table tables[] = {
    ACCOUNTS_TABLE,
    {.name = "daily_totals",
     .id = 1,
     .is_shared = true,
     .columns = day_columns,
     .n_columns = N_DAY_COLUMNS,
     .keys = {DAY},
     .n_keys = 1},
};

struct pattern {
    const char *name;
    uint32_t n_keys; /* accounts; 0: every event has its own */
    bool has_totals; /* a shared row a day as well */
    bool has_read;   /* the handler reads the balance first */
};

struct bench {
    struct batch *fold, *other;
    struct row_cache *cache;
    char (*keys)[KEY_SIZE];
    uint64_t random_state;
    double close_ns;
    uint64_t n_rows;
};

static double now_ns(void)
{
    return meter_now() * 1e9;
}

static uint64_t random_next(struct bench *bench)
{
    bench->random_state ^= bench->random_state << 13;
    bench->random_state ^= bench->random_state >> 7;
    bench->random_state ^= bench->random_state << 17;
    return bench->random_state;
}

/* The row that an event with a read asks for is made absent at once, as an empty store would. */
static void read_balance(struct bench *bench, struct row *row)
{
    const struct wanted_row *wanted;
    struct rs_value value;
    struct error error;
    size_t n;
    int result = batch_get(bench->fold, row, ACCOUNTS_BALANCE, RS_DECIMAL, &value, &error);

    if (result != FOLD_NEEDS_ROW) {
        must(result, &error);
        return;
    }
    wanted = batch_wanted(bench->fold, &n);
    for (size_t i = 0; i < n; i++)
        must(row_cache_put(bench->cache, wanted[i].table, wanted[i].key, wanted[i].key_size, NULL, 0, &error), &error);
    batch_clear_wanted(bench->fold);
    must(batch_get(bench->fold, row, ACCOUNTS_BALANCE, RS_DECIMAL, &value, &error), &error);
}

static void add(struct batch *batch, struct row *row, uint32_t column, struct rs_value value)
{
    struct error error;

    must(batch_apply(batch, row, column, RS_ADD, &value, &error), &error);
}

static void fold_event(struct bench *bench, const struct pattern *pattern, const char *key, int64_t number)
{
    struct batch *batch = bench->fold;
    struct rs_value key_value = rs_value_text((struct rs_text){.data = key, .size = strlen(key)});
    struct rs_value at = rs_value_timestamp((struct rs_timestamp){.microseconds = INT64_C(1700000000000000) + number});
    struct rs_decimal amount = rs_decimal_of(number % 10000, 2);
    struct error error;
    struct row *row;

    batch_begin(batch, "bank", 0, number);
    must(batch_row(batch, 0, &key_value, 1, &row, &error), &error);
    if (pattern->has_read)
        read_balance(bench, row);
    add(batch, row, ACCOUNTS_EVENTS, rs_value_int(1));
    must(batch_set(batch, row, ACCOUNTS_UPDATED_AT, &at, &error), &error);
    add(batch, row, ACCOUNTS_BALANCE, rs_value_decimal(amount));
    if (pattern->has_totals) {
        struct rs_value day = rs_value_date(rs_day_of(at.as.timestamp));

        must(batch_row(batch, 1, &day, 1, &row, &error), &error);
        add(batch, row, DEPOSITED, rs_value_decimal(amount));
        add(batch, row, DAY_EVENTS, rs_value_int(1));
    }
    batch_keep(batch);
}

static void turn(struct bench *bench, const struct pattern *pattern)
{
    struct batch *closed = bench->fold;
    struct error error;
    double start = now_ns();
    const struct change_group *groups;
    size_t n;

    must(batch_close(closed, &error), &error);
    if (pattern->has_read)
        row_cache_absorb(bench->cache, closed);
    groups = batch_groups(closed, &n);
    for (size_t i = 0; i < n; i++)
        bench->n_rows += groups[i].n_rows;
    bench->fold = bench->other;
    bench->other = closed;
    batch_reset(bench->fold, NULL, bench->cache);
    bench->close_ns += now_ns() - start;
}

static void run(struct bench *bench, const struct pattern *pattern, uint32_t n_events)
{
    uint32_t n_keys = pattern->n_keys == 0 ? n_events : pattern->n_keys;
    double start, whole;

    batch_reset(bench->fold, NULL, bench->cache);
    row_cache_clear(bench->cache);
    bench->close_ns = 0;
    bench->n_rows = 0;
    start = now_ns();
    for (uint32_t i = 0; i < n_events; i++) {
        uint32_t key = pattern->n_keys == 0 ? i : (uint32_t)(random_next(bench) % n_keys);

        if (i % BATCH_EVENTS == BATCH_EVENTS - 1 || batch_is_full(bench->fold))
            turn(bench, pattern);
        fold_event(bench, pattern, bench->keys[key], i);
    }
    turn(bench, pattern);
    whole = now_ns() - start;
    printf("{\"what\": \"%s\", \"events\": %u, \"rows\": %" PRIu64 ", \"fold_ns_per_event\": %.1f, \"close_ns_per_row\": %.1f}\n",
           pattern->name, n_events, bench->n_rows, (whole - bench->close_ns) / n_events, bench->close_ns / (double)bench->n_rows);
}

int main(int argc, char **argv)
{
    static const struct pattern patterns[] = {
        {.name = "hot", .n_keys = 10000},
        {.name = "hot, with totals", .n_keys = 10000, .has_totals = true},
        {.name = "hot, with a read", .n_keys = 10000, .has_read = true},
        {.name = "one key", .n_keys = 1},
        {.name = "distinct"},
    };
    struct batch_limits limits = {.max_rows = 50000, .max_bytes = 64 << 20};
    uint32_t n_events = meter_count(argc > 1 ? argv[1] : NULL, 2000000);
    struct bench bench = {.random_state = 88172645463325252};

    bench.fold = batch_new(tables, 2, &limits, 1);
    bench.other = batch_new(tables, 2, &limits, 2);
    bench.cache = row_cache_new(tables, 2, 64 << 20, 3);
    bench.keys = calloc(n_events + 10000, sizeof bench.keys[0]);
    if (bench.fold == NULL || bench.other == NULL || bench.cache == NULL || bench.keys == NULL)
        return 1;
    for (uint32_t i = 0; i < n_events + 10000; i++)
        snprintf(bench.keys[i], KEY_SIZE, "acc-%" PRIu32, i);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        run(&bench, &patterns[i], n_events);
    batch_free(bench.fold);
    batch_free(bench.other);
    row_cache_free(bench.cache);
    free(bench.keys);
    return 0;
}
