/*
 * load - the benchmarks' plugin: its options say what a handler does, so that the cost of each doing can be told apart.
 *
 * Takes the events of bench/fill.c and adds each to `rows` parts of its account, which hold the same sums. All else being equal,
 * amounts are exact decimals or integers, a balance is read back or not, and so many further fields of the event are looked up.
 * One table is in use, named after what it is for: balances_decimal, balances_int, or peaks_decimal and peaks_int with `reads`.
 * A handler's declared reads stand in the descriptor, before there are options; those of a table that is left out do nothing.
 */
#include <readside/plugin.h>

enum table { BALANCES_DECIMAL, BALANCES_INT, PEAKS_DECIMAL, PEAKS_INT };
enum part { ACCOUNT, PART, BALANCE, EVENTS, PEAK, UPDATED_AT };
enum { MAX_ROWS = 5, FIRST_PART = 1 };

struct rs_instance {
    int64_t rows;
    int64_t fields;
    uint32_t table;
    bool is_int;
    bool is_reading;
};

static const struct rs_column decimal_columns[] = {
    {.id = ACCOUNT, .name = "account", .type = RS_TEXT, .flags = RS_KEY, .length = 120},
    {.id = PART, .name = "part", .type = RS_INT, .flags = RS_KEY},
    {.id = BALANCE, .name = "balance", .type = RS_DECIMAL, .precision = 20, .scale = 2, .flags = RS_NOT_NULL, .fallback = "0.00"},
    {.id = EVENTS, .name = "events", .type = RS_INT, .flags = RS_NOT_NULL, .fallback = "0"},
    {.id = PEAK, .name = "peak", .type = RS_DECIMAL, .precision = 20, .scale = 2, .flags = RS_NOT_NULL, .fallback = "0.00"},
    {.id = UPDATED_AT, .name = "updated_at", .type = RS_TIMESTAMP},
};

static const struct rs_column int_columns[] = {
    {.id = ACCOUNT, .name = "account", .type = RS_TEXT, .flags = RS_KEY, .length = 120},
    {.id = PART, .name = "part", .type = RS_INT, .flags = RS_KEY},
    {.id = BALANCE, .name = "balance", .type = RS_INT, .flags = RS_NOT_NULL, .fallback = "0", .summary = "in cents"},
    {.id = EVENTS, .name = "events", .type = RS_INT, .flags = RS_NOT_NULL, .fallback = "0"},
    {.id = PEAK, .name = "peak", .type = RS_INT, .flags = RS_NOT_NULL, .fallback = "0"},
    {.id = UPDATED_AT, .name = "updated_at", .type = RS_TIMESTAMP},
};

static const struct rs_table tables[] = {
    {.id = BALANCES_DECIMAL, .name = "balances_decimal", .flags = RS_KEY_FOLLOWS, RS_COLUMNS(decimal_columns)},
    {.id = BALANCES_INT, .name = "balances_int", .flags = RS_KEY_FOLLOWS, RS_COLUMNS(int_columns)},
    {.id = PEAKS_DECIMAL, .name = "peaks_decimal", .flags = RS_KEY_FOLLOWS, RS_COLUMNS(decimal_columns)},
    {.id = PEAKS_INT, .name = "peaks_int", .flags = RS_KEY_FOLLOWS, RS_COLUMNS(int_columns)},
};

static const struct rs_option options[] = {
    {.name = "rows", .type = RS_OPTION_INT, .fallback = "1", .min = 1, .max = MAX_ROWS, .summary = "rows that an event changes"},
    {.name = "amounts", .type = RS_OPTION_CHOICE, .fallback = "decimal", .choices = "decimal|int", .summary = "how sums are kept"},
    {.name = "reads", .type = RS_OPTION_BOOL, .fallback = "false", .summary = "read the balance, keep the highest ever"},
    {.name = "fields", .type = RS_OPTION_INT, .fallback = "0", .min = 0, .max = 20, .summary = "further fields to look up"},
};

static const char *const field_paths[] = {"f00", "f01", "f02", "f03", "f04", "f05", "f06", "f07", "f08", "f09",
                                          "f10", "f11", "f12", "f13", "f14", "f15", "f16", "f17", "f18", "f19"};

/* The keys of a declared read are fields of the event, and a part's number is none. But the version of every event here is 1, and
 * so is the number of the first part, which is the one that is read. */
static const struct rs_read reads[] = {{PEAKS_DECIMAL, 2, {"account", "version"}}, {PEAKS_INT, 2, {"account", "version"}}};

static int64_t cents_of(struct rs_decimal amount)
{
    int64_t cents = (int64_t)amount.low;

    for (int32_t scale = amount.scale; scale < 2; scale++)
        cents *= 10;
    return cents;
}

static void change(const struct rs_instance *self, struct rs_row *row, struct rs_decimal amount, struct rs_timestamp at)
{
    if (self->is_int)
        rs_add_int(row, BALANCE, cents_of(amount));
    else
        rs_add_decimal(row, BALANCE, amount);
    rs_add_int(row, EVENTS, 1);
    rs_set_timestamp(row, UPDATED_AT, at);
}

/* The highest balance after any event: no blind operation knows it, only a read. */
static void keep_peak(const struct rs_instance *self, struct rs_row *row)
{
    if (self->is_int) {
        int64_t balance = rs_get_int(row, BALANCE);

        if (balance > rs_get_int(row, PEAK))
            rs_set_int(row, PEAK, balance);
    } else {
        struct rs_decimal balance = rs_get_decimal(row, BALANCE);

        if (rs_decimal_compare(balance, rs_get_decimal(row, PEAK)) > 0)
            rs_set_decimal(row, PEAK, balance);
    }
}

static enum rs_verdict apply(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch,
                             struct rs_decimal amount)
{
    struct rs_text account = rs_text(event, "account");
    struct rs_timestamp at = rs_timestamp(event, "at");

    if (self->is_int && amount.scale > 2)
        return rs_fail(batch, RS_POISON, "an amount has more than two digits behind the point");
    for (int64_t part = FIRST_PART; part < FIRST_PART + self->rows; part++)
        change(self, rs_row(batch, self->table, account, part), amount, at);
    if (self->is_reading)
        keep_peak(self, rs_row(batch, self->table, account, FIRST_PART));
    for (int64_t i = 0; i < self->fields; i++)
        rs_text(event, field_paths[i]); /* calls the host, so it stays; a field that is missing makes the event poison */
    return RS_DONE;
}

static enum rs_verdict deposited(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    return apply(self, event, batch, rs_decimal(event, "amount"));
}

static enum rs_verdict withdrawn(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    return apply(self, event, batch, rs_decimal_negate(rs_decimal(event, "amount")));
}

static const struct rs_handler handlers[] = {
    {"Deposited", deposited, RS_READS(reads)},
    {"Withdrawn", withdrawn, RS_READS(reads)},
};

static int32_t load_open(struct rs_setup *setup, struct rs_instance **ret_self)
{
    struct rs_instance *self = rs_setup_alloc(setup, sizeof *self);

    if (self == NULL)
        return rs_refuse(setup, "out of memory");
    self->rows = rs_option_int(setup, "rows");
    self->fields = rs_option_int(setup, "fields");
    self->is_int = rs_equals(rs_option_text(setup, "amounts"), "int");
    self->is_reading = rs_option_bool(setup, "reads");
    self->table = (self->is_reading ? PEAKS_DECIMAL : BALANCES_DECIMAL) + (self->is_int ? 1 : 0);
    for (uint32_t i = 0; i < RS_COUNT(tables); i++)
        if (i != self->table)
            rs_omit_table(setup, i);
    *ret_self = self;
    return 0;
}

static const struct rs_projection load = {
    RS_ABI,
    .revision = 1,
    .name = "load",
    .summary = "sums of Deposited and Withdrawn, at as much work as the options say",
    RS_TABLES(tables),
    RS_HANDLERS(handlers),
    RS_OPTIONS(options),
    .open = load_open,
};

const struct rs_projection *readside_projection(void)
{
    return &load;
}
