/*
 * bank - the example that reads like a bank statement.
 *
 * Events: AccountOpened, Deposited and Withdrawn, JSON, with the account as record key. Rows: one account each, and by the option
 * daily_totals one row a day, which is shared by all partitions.
 */
#include <readside/plugin.h>

enum table { ACCOUNTS, DAILY_TOTALS };
enum account { ACCOUNT, OWNER, BALANCE, EVENTS, OPENED_AT, UPDATED_AT };
enum daily_total { DAY, DEPOSITED, WITHDRAWN, DAY_EVENTS };

struct rs_instance {
    bool has_daily_totals;
};

static const struct rs_column account_columns[] = {
    {.id = ACCOUNT, .name = "account", .type = RS_TEXT, .flags = RS_KEY, .length = 120},
    {.id = OWNER, .name = "owner", .type = RS_TEXT, .flags = RS_NOT_NULL, .fallback = ""},
    {.id = BALANCE, .name = "balance", .type = RS_DECIMAL, .precision = 20, .scale = 2, .flags = RS_NOT_NULL, .fallback = "0.00"},
    {.id = EVENTS, .name = "events", .type = RS_INT, .flags = RS_NOT_NULL, .fallback = "0"},
    {.id = OPENED_AT, .name = "opened_at", .type = RS_TIMESTAMP},
    {.id = UPDATED_AT, .name = "updated_at", .type = RS_TIMESTAMP},
};

static const struct rs_column daily_total_columns[] = {
    {.id = DAY, .name = "day", .type = RS_DATE, .flags = RS_KEY},
    {.id = DEPOSITED, .name = "deposited", .type = RS_DECIMAL, .precision = 30, .scale = 2, .operation = RS_ADD,
     .flags = RS_NOT_NULL, .fallback = "0.00"},
    {.id = WITHDRAWN, .name = "withdrawn", .type = RS_DECIMAL, .precision = 30, .scale = 2, .operation = RS_ADD,
     .flags = RS_NOT_NULL, .fallback = "0.00"},
    {.id = DAY_EVENTS, .name = "events", .type = RS_INT, .operation = RS_ADD, .flags = RS_NOT_NULL, .fallback = "0"},
};

static const struct rs_table tables[] = {
    {.id = ACCOUNTS, .name = "accounts", RS_COLUMNS(account_columns), .summary = "one row an account"},
    {.id = DAILY_TOTALS, .name = "daily_totals", .flags = RS_SHARED, RS_COLUMNS(daily_total_columns), .summary = "one row a day"},
};

static const struct rs_option options[] = {
    {.name = "daily_totals", .type = RS_OPTION_BOOL, .fallback = "false", .summary = "keep a row of totals a day as well"},
};

/* What every event does to its account. */
static struct rs_row *touch(const struct rs_event *event, struct rs_batch *batch)
{
    struct rs_row *account = rs_row(batch, ACCOUNTS, rs_text(event, "account"));

    rs_add_int(account, EVENTS, 1);
    rs_set_timestamp(account, UPDATED_AT, rs_timestamp(event, "at"));
    return account;
}

static void count(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch, uint32_t column,
                  struct rs_decimal amount)
{
    struct rs_row *day;

    if (!self->has_daily_totals)
        return;
    day = rs_row(batch, DAILY_TOTALS, rs_day_of(rs_timestamp(event, "at")));
    rs_add_decimal(day, column, amount);
    rs_add_int(day, DAY_EVENTS, 1);
}

static enum rs_verdict opened(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    struct rs_row *account = touch(event, batch);

    (void)self;
    rs_set_text(account, OWNER, rs_text(event, "owner"));
    rs_set_timestamp(account, OPENED_AT, rs_timestamp(event, "at"));
    return RS_DONE;
}

static enum rs_verdict deposited(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    struct rs_decimal amount = rs_decimal(event, "amount");

    rs_add_decimal(touch(event, batch), BALANCE, amount);
    count(self, event, batch, DEPOSITED, amount);
    return RS_DONE;
}

static enum rs_verdict withdrawn(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    struct rs_decimal amount = rs_decimal(event, "amount");

    rs_subtract_decimal(touch(event, batch), BALANCE, amount);
    count(self, event, batch, WITHDRAWN, amount);
    return RS_DONE;
}

static const struct rs_handler handlers[] = {
    {"AccountOpened", opened},
    {"Deposited", deposited},
    {"Withdrawn", withdrawn},
};

static int32_t bank_open(struct rs_setup *setup, struct rs_instance **ret_self)
{
    struct rs_instance *self = rs_setup_alloc(setup, sizeof *self);

    if (self == NULL)
        return rs_refuse(setup, "out of memory");
    self->has_daily_totals = rs_option_bool(setup, "daily_totals");
    if (!self->has_daily_totals)
        rs_omit_table(setup, DAILY_TOTALS);
    *ret_self = self;
    return 0;
}

static const struct rs_projection bank = {
    RS_ABI,
    .revision = 1,
    .name = "bank",
    .summary = "account balances from AccountOpened, Deposited and Withdrawn",
    RS_TABLES(tables),
    RS_HANDLERS(handlers),
    RS_OPTIONS(options),
    .open = bank_open,
};

const struct rs_projection *readside_projection(void)
{
    return &bank;
}
