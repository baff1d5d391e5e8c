/*
 * fold_fixture - see fold_fixture.h.
 */
#include "fold_fixture.h"

#include <string.h>

#define NO_VALUE                                                                                                                 \
    {                                                                                                                            \
        .operation = CELL_SET, .is_null = true                                                                                   \
    }
#define ZERO                                                                                                                     \
    {                                                                                                                            \
        .operation = CELL_SET                                                                                                    \
    }

static const struct column account_columns[N_ACCOUNT_COLUMNS] = {
    [ACCOUNT] = {.name = "account", .type = RS_TEXT, .is_key = true, .is_not_null = true, .length = 40},
    [OWNER] =
        {.name = "owner", .type = RS_TEXT, .is_not_null = true, .length = 5, .fallback = {.operation = CELL_SET, .as.data = ""}},
    [BALANCE] = {.name = "balance", .type = RS_DECIMAL, .is_not_null = true, .precision = 5, .scale = 2, .fallback = ZERO},
    [EVENTS] = {.name = "events", .type = RS_INT, .is_not_null = true, .fallback = ZERO},
    [BEST] = {.name = "best", .type = RS_INT, .fallback = NO_VALUE},
    [STARTED] = {.name = "started", .type = RS_INT, .fallback = {.operation = CELL_SET, .as.integer = 5}},
    [OPENED] = {.name = "opened", .type = RS_TIMESTAMP, .fallback = NO_VALUE},
    [NOTE] = {.name = "note", .type = RS_JSON, .fallback = NO_VALUE},
    [RAW] = {.name = "raw", .type = RS_BYTES, .length = 4, .fallback = NO_VALUE},
    [FLAG] = {.name = "flag", .type = RS_BOOL, .fallback = NO_VALUE},
    [RATIO] = {.name = "ratio", .type = RS_REAL, .fallback = NO_VALUE},
    [UID] = {.name = "uid", .type = RS_UUID, .fallback = NO_VALUE},
};

static const struct column day_columns[N_DAY_COLUMNS] = {
    [DAY] = {.name = "day", .type = RS_DATE, .is_key = true, .is_not_null = true},
    [TOTAL] = {.name = "total", .type = RS_INT, .is_not_null = true, .operation = CELL_ADD, .fallback = ZERO},
    [HIGH] = {.name = "high", .type = RS_INT, .operation = CELL_MAX, .fallback = NO_VALUE},
    [SPENT] = {.name = "spent", .type = RS_DECIMAL, .precision = 38, .operation = CELL_ADD, .fallback = NO_VALUE},
};

static const struct column pair_columns[] = {
    {.name = "a", .type = RS_TEXT, .is_key = true, .is_not_null = true},
    {.name = "n", .type = RS_INT, .fallback = NO_VALUE},
    {.name = "b", .type = RS_TEXT, .is_key = true, .is_not_null = true},
    {.name = "v", .type = RS_DECIMAL, .precision = 38, .fallback = NO_VALUE},
};

static const struct column mixed_columns[] = {
    {.name = "raw", .type = RS_BYTES, .is_key = true, .is_not_null = true},
    {.name = "price", .type = RS_DECIMAL, .is_key = true, .is_not_null = true, .precision = 10, .scale = 2},
    {.name = "number", .type = RS_INT, .is_key = true, .is_not_null = true},
    {.name = "n", .type = RS_INT, .fallback = NO_VALUE},
};

#define COLUMNS(array) .columns = (array), .n_columns = sizeof(array) / sizeof((array)[0])

const struct table fixture_tables[N_TABLES] = {
    [ACCOUNTS] = {.name = "accounts", .id = ACCOUNTS, COLUMNS(account_columns), .keys = {ACCOUNT}, .n_keys = 1},
    [DAYS] = {.name = "days", .id = DAYS, .is_shared = true, COLUMNS(day_columns), .keys = {DAY}, .n_keys = 1},
    [PAIRS] = {.name = "pairs", .id = PAIRS, COLUMNS(pair_columns), .keys = {0, 2}, .n_keys = 2},
    [MIXED] = {.name = "mixed", .id = MIXED, COLUMNS(mixed_columns), .keys = {0, 1, 2}, .n_keys = 3},
    [LEFT_OUT] = {.name = "left_out", .id = LEFT_OUT, .is_omitted = true, COLUMNS(pair_columns), .keys = {0, 2}, .n_keys = 2},
};

bool fixture_open(struct fixture *fixture, size_t max_rows, size_t max_bytes)
{
    const struct batch_limits limits = {.max_rows = max_rows, .max_bytes = max_bytes};

    *fixture = (struct fixture){.batch = batch_new(fixture_tables, N_TABLES, &limits, 1)};
    fixture->other = batch_new(fixture_tables, N_TABLES, &limits, 2);
    fixture->cache = row_cache_new(fixture_tables, N_TABLES, 0, 3);
    if (fixture->batch == NULL || fixture->other == NULL || fixture->cache == NULL)
        return false;
    batch_reset(fixture->batch, NULL, fixture->cache);
    return true;
}

void fixture_close(struct fixture *fixture)
{
    batch_free(fixture->batch);
    batch_free(fixture->other);
    row_cache_free(fixture->cache);
}

int fixture_turn(struct fixture *fixture)
{
    struct batch *closed = fixture->batch;
    int result = batch_close(closed, &fixture->error);

    if (result != 0)
        return result;
    fixture->batch = fixture->other;
    fixture->other = closed;
    batch_reset(fixture->batch, closed, fixture->cache);
    return 0;
}

struct row *fixture_row(struct fixture *fixture, const char *account)
{
    struct rs_value key = fixture_text(account);
    struct row *row = NULL;

    return batch_row(fixture->batch, ACCOUNTS, &key, 1, &row, &fixture->error) == 0 ? row : NULL;
}

struct row *fixture_day(struct fixture *fixture, int32_t day)
{
    struct rs_value key = rs_value_date((struct rs_date){.days = day});
    struct row *row = NULL;

    return batch_row(fixture->batch, DAYS, &key, 1, &row, &fixture->error) == 0 ? row : NULL;
}

struct rs_value fixture_text(const char *text)
{
    return rs_value_string(text);
}

struct rs_value fixture_decimal(int64_t coefficient, int32_t scale)
{
    return rs_value_decimal(rs_decimal_of(coefficient, scale));
}

int fixture_set(struct fixture *fixture, struct row *row, uint32_t column, struct rs_value value)
{
    return batch_set(fixture->batch, row, column, &value, &fixture->error);
}

int fixture_apply(struct fixture *fixture, struct row *row, uint32_t column, uint32_t operation, struct rs_value value)
{
    return batch_apply(fixture->batch, row, column, operation, &value, &fixture->error);
}

int fixture_add(struct fixture *fixture, struct row *row, uint32_t column, int64_t delta)
{
    bool is_decimal = row->table->columns[column].type == RS_DECIMAL;

    return fixture_apply(fixture, row, column, RS_ADD,
                         is_decimal ? fixture_decimal(delta, (int32_t)row->table->columns[column].scale) : rs_value_int(delta));
}

static int end_event(struct fixture *fixture, int result)
{
    if (result == 0)
        batch_keep(fixture->batch);
    else
        batch_undo(fixture->batch);
    return result;
}

int fixture_keep_add(struct fixture *fixture, const char *account, uint32_t column, int64_t delta)
{
    struct rs_value key = fixture_text(account);
    struct row *row;
    int result;

    batch_begin(fixture->batch, "bank", 0, 0);
    result = batch_row(fixture->batch, ACCOUNTS, &key, 1, &row, &fixture->error);
    return end_event(fixture, result != 0 ? result : fixture_add(fixture, row, column, delta));
}

int fixture_keep_set(struct fixture *fixture, const char *account, uint32_t column, struct rs_value value)
{
    struct rs_value key = fixture_text(account);
    struct row *row;
    int result;

    batch_begin(fixture->batch, "bank", 0, 0);
    result = batch_row(fixture->batch, ACCOUNTS, &key, 1, &row, &fixture->error);
    return end_event(fixture, result != 0 ? result : fixture_set(fixture, row, column, value));
}

int fixture_keep_remove(struct fixture *fixture, const char *account)
{
    struct rs_value key = fixture_text(account);
    struct row *row;
    int result;

    batch_begin(fixture->batch, "bank", 0, 0);
    result = batch_row(fixture->batch, ACCOUNTS, &key, 1, &row, &fixture->error);
    return end_event(fixture, result != 0 ? result : batch_remove(fixture->batch, row, &fixture->error));
}
