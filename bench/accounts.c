/*
 * accounts - see accounts.h.
 */
#include "accounts.h"

#include "meter.h"

#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct column accounts_columns[N_ACCOUNTS_COLUMNS] = {
    [ACCOUNTS_ACCOUNT] = {.name = "account", .type = RS_TEXT, .is_key = true, .is_not_null = true, .length = 120},
    [ACCOUNTS_OWNER] = {.name = "owner", .type = RS_TEXT, .is_not_null = true, .fallback = {.operation = CELL_SET, .as.data = ""}},
    [ACCOUNTS_BALANCE] = {.name = "balance",
                          .type = RS_DECIMAL,
                          .is_not_null = true,
                          .precision = 20,
                          .scale = 2,
                          .fallback = {.operation = CELL_SET}},
    [ACCOUNTS_EVENTS] = {.name = "events", .type = RS_INT, .is_not_null = true, .fallback = {.operation = CELL_SET}},
    [ACCOUNTS_OPENED_AT] = {.name = "opened_at", .type = RS_TIMESTAMP, .fallback = {.operation = CELL_SET, .is_null = true}},
    [ACCOUNTS_UPDATED_AT] = {.name = "updated_at", .type = RS_TIMESTAMP, .fallback = {.operation = CELL_SET, .is_null = true}},
};

const enum accounts_column accounts_written[N_ACCOUNTS_WRITTEN] = {ACCOUNTS_ACCOUNT, ACCOUNTS_BALANCE, ACCOUNTS_EVENTS,
                                                                    ACCOUNTS_UPDATED_AT};

static const int64_t first_us = INT64_C(1700000000000000);

static void make(struct account *account, uint32_t number)
{
    uint32_t cents = number % 100000;
    time_t second = (time_t)((first_us + number) / 1000000);
    struct tm when;
    size_t size = (size_t)snprintf(account->key, sizeof account->key, "acc-%" PRIu32, number);

    account->hash = hash_bytes(account->key, size, 0);
    account->partition = (int32_t)(account->hash % ACCOUNTS_PARTITIONS);
    snprintf(account->balance, sizeof account->balance, "%" PRIu32 ".%02" PRIu32, cents / 100, cents % 100);
    gmtime_r(&second, &when);
    size = strftime(account->at, sizeof account->at, "%Y-%m-%d %H:%M:%S", &when);
    snprintf(account->at + size, sizeof account->at - size, ".%06" PRIu32, number % 1000000);
    account->cents = cents;
    account->at_us = first_us + number;
    account->events = 1;
}

static int by_hash(const void *a, const void *b)
{
    uint64_t first = ((const struct account *)a)->hash, second = ((const struct account *)b)->hash;

    return (first > second) - (first < second);
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    return b == 0 ? a : common_divisor(b, a % b);
}

/* Near the golden section, of which multiples lie as evenly as can be; without a common divisor they come to every account. */
static uint32_t stride_of(uint32_t n_keys)
{
    uint32_t stride = (uint32_t)(n_keys * 0.6180339887) + 1;

    while (common_divisor(n_keys, stride) != 1)
        stride++;
    return stride;
}

static uint32_t batch_of(const struct accounts_run *run)
{
    return run->n_keys > 0 && run->n_keys < run->n_batch ? run->n_keys : run->n_batch;
}

double accounts_write_all(struct accounts_run *run)
{
    uint32_t n_batch = batch_of(run), stride = run->n_keys == 0 ? 1 : stride_of(run->n_keys);
    struct account *accounts = calloc(n_batch, sizeof *accounts);
    double seconds = 0;

    if (accounts == NULL)
        die("out of memory");
    for (uint32_t first = 0, n; first < run->n_rows; first += n) {
        double began, cpu;

        n = run->n_rows - first < n_batch ? run->n_rows - first : n_batch;
        for (uint32_t i = 0; i < n; i++)
            make(&accounts[i], run->n_keys == 0 ? first + i : (uint32_t)((uint64_t)(first + i) * stride % run->n_keys));
        if (run->is_hashed)
            qsort(accounts, n, sizeof *accounts, by_hash);
        if (run->prepare != NULL)
            run->prepare(run->context, accounts, n);
        cpu = meter_cpu();
        began = meter_now();
        run->write(run->context, accounts, n);
        seconds += meter_now() - began;
        run->cpu_seconds += meter_cpu() - cpu;
    }
    free(accounts);
    return run->n_rows / seconds;
}

void accounts_check(const struct accounts_run *run, int64_t n_rows, int64_t n_events, int64_t n_times)
{
    if (n_rows != run->n_rows || n_events != run->n_rows * n_times)
        die("the table holds %" PRId64 " rows of %" PRId64 " events, not what was written", n_rows, n_events);
}

void accounts_print(const struct accounts_run *run, const char *way, double new, double known)
{
    char text[32] = "null";

    if (known > 0)
        snprintf(text, sizeof text, "%.0f", known);
    printf("{\"way\": \"%s\", \"rows\": %" PRIu32 ", \"batch\": %" PRIu32 ", \"new\": %.0f, \"known\": %s, \"cpu_seconds\": %.4f}\n", way,
           run->n_rows, run->n_batch, new, text, run->cpu_seconds);
}
