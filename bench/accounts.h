/*
 * accounts - the bank example's table accounts: its columns, and distinct rows of it by number, the same for all programs here that
 * write rows from memory. And how long it takes to write them all, a batch at a time.
 */
#ifndef BENCH_ACCOUNTS_H
#define BENCH_ACCOUNTS_H

#include "fold/table.h"

#include <stdbool.h>
#include <stdint.h>

enum { ACCOUNT_KEY_SIZE = 24, ACCOUNT_BALANCE_SIZE = 16, ACCOUNT_TIME_SIZE = 32 };
enum { ACCOUNTS_PARTITIONS = 4 }; /* of the topic that their events would come from */
enum { ACCOUNTS_ROWS = 1000000, ACCOUNTS_BATCH = 30000 }; /* where a program is not told otherwise */

enum accounts_column {
    ACCOUNTS_ACCOUNT,
    ACCOUNTS_OWNER,
    ACCOUNTS_BALANCE,
    ACCOUNTS_EVENTS,
    ACCOUNTS_OPENED_AT,
    ACCOUNTS_UPDATED_AT,
    N_ACCOUNTS_COLUMNS
};

extern const struct column accounts_columns[N_ACCOUNTS_COLUMNS];

/* A table of them, the first of its projection. */
#define ACCOUNTS_TABLE                                                                                                                \
    {.name = "accounts", .id = 0, .columns = accounts_columns, .n_columns = N_ACCOUNTS_COLUMNS, .keys = {ACCOUNTS_ACCOUNT}, .n_keys = 1}

/* The columns that a deposit writes, the key first. */
enum { N_ACCOUNTS_WRITTEN = 4 };
extern const enum accounts_column accounts_written[N_ACCOUNTS_WRITTEN];

struct account {
    char key[ACCOUNT_KEY_SIZE];         /* "acc-42", as fill makes them */
    char balance[ACCOUNT_BALANCE_SIZE]; /* "12.50" */
    char at[ACCOUNT_TIME_SIZE];         /* "2023-11-14 22:13:20.000042", in UTC */
    int64_t cents;
    int64_t at_us; /* since 1970 */
    int64_t events;
    uint64_t hash;     /* of the key */
    int32_t partition; /* which it tells, as a producer does: neighbours are of several */
};

struct accounts_run {
    uint32_t n_rows, n_batch;
    uint32_t n_keys; /* the rows are spread evenly over so many accounts, in rounds, none twice in a batch; 0: one each, in order */
    bool is_hashed; /* a batch's rows lie in the order of their hashes, in place of that of their keys */
    void (*prepare)(void *context, const struct account *accounts, uint32_t n); /* one batch, before the clock runs; may be NULL */
    void (*write)(void *context, const struct account *accounts, uint32_t n);   /* that batch, committed when it returns */
    void *context;
    double cpu_seconds; /* of all that was written so far; the store's own are not among them */
};

/* Rows per second. Making and preparing them is not counted, neither as time nor as CPU. */
double accounts_write_all(struct accounts_run *run);
/* Ends the program unless the table holds all rows, each written so many times. */
void accounts_check(const struct accounts_run *run, int64_t n_rows, int64_t n_events, int64_t n_times);
/* One line of JSON; known 0: not measured. */
void accounts_print(const struct accounts_run *run, const char *way, double new, double known);

#endif
