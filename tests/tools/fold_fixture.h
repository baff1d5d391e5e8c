/*
 * fold_fixture - small tables and short words for the unit tests of the fold.
 */
#ifndef TESTS_FOLD_FIXTURE_H
#define TESTS_FOLD_FIXTURE_H

#include "fold/batch.h"

#include <stdbool.h>
#include <stdint.h>

enum { ACCOUNTS, DAYS, PAIRS, MIXED, LEFT_OUT, N_TABLES };
enum { ACCOUNT, OWNER, BALANCE, EVENTS, BEST, STARTED, OPENED, NOTE, RAW, FLAG, RATIO, UID, N_ACCOUNT_COLUMNS };
enum { DAY, TOTAL, HIGH, SPENT, N_DAY_COLUMNS };

extern const struct table fixture_tables[N_TABLES];

/* Two batches that take turns, a cache and the last error. */
struct fixture {
    struct batch *batch;
    struct batch *other;
    struct row_cache *cache;
    struct error error;
};

bool fixture_open(struct fixture *fixture, size_t max_rows, size_t max_bytes);
void fixture_close(struct fixture *fixture);
/* Closes the batch and makes the other one the batch that folds, with this one in flight before it. */
int fixture_turn(struct fixture *fixture);

struct row *fixture_row(struct fixture *fixture, const char *account); /* NULL: refused, see error */
struct row *fixture_day(struct fixture *fixture, int32_t day);

struct rs_value fixture_text(const char *text);
struct rs_value fixture_decimal(int64_t coefficient, int32_t scale);

/* The result of a call, its value thrown away. */
int fixture_set(struct fixture *fixture, struct row *row, uint32_t column, struct rs_value value);
int fixture_apply(struct fixture *fixture, struct row *row, uint32_t column, uint32_t operation, struct rs_value value);
int fixture_add(struct fixture *fixture, struct row *row, uint32_t column, int64_t delta); /* BALANCE: in hundredths */

/* An event of one operation, kept when it was not refused. */
int fixture_keep_add(struct fixture *fixture, const char *account, uint32_t column, int64_t delta);
int fixture_keep_set(struct fixture *fixture, const char *account, uint32_t column, struct rs_value value);
int fixture_keep_remove(struct fixture *fixture, const char *account);

#endif
