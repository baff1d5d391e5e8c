/*
 * every - every type and every operation, for comparing stores.
 *
 * Events, JSON, with the thing as record key: Set (any of the fields), Clear, Add, Copy (reads), Remove. Each counts in a shared
 * row a day as well.
 */
#include <readside/plugin.h>

enum table { THINGS, DAYS };
enum thing { THING, NUMBER, WHOLE, REAL, EXACT, WORDS, NAME, FLAG, DATA, DOC, MOMENT, DAY, ID, COUNT, AMOUNT, TOP, LEAST };
enum day { ON, N, SUM, LAST, FIRST, LAST_WORDS, LAST_ID, LEAST_DATA };

static const struct rs_column thing_columns[] = {
    {.id = THING, .name = "thing", .type = RS_TEXT, .flags = RS_KEY, .length = 60},
    {.id = NUMBER, .name = "number", .type = RS_INT, .flags = RS_KEY},
    {.id = WHOLE, .name = "whole", .type = RS_INT},
    {.id = REAL, .name = "real_", .type = RS_REAL},
    {.id = EXACT, .name = "exact", .type = RS_DECIMAL, .precision = 38, .scale = 10},
    {.id = WORDS, .name = "words", .type = RS_TEXT},
    {.id = NAME, .name = "name", .type = RS_TEXT, .flags = RS_NOT_NULL, .length = 40, .fallback = "no'body \\"},
    {.id = FLAG, .name = "flag", .type = RS_BOOL, .flags = RS_NOT_NULL, .fallback = "true"},
    {.id = DATA, .name = "data", .type = RS_BYTES},
    {.id = DOC, .name = "doc", .type = RS_JSON},
    {.id = MOMENT, .name = "moment", .type = RS_TIMESTAMP},
    {.id = DAY, .name = "day", .type = RS_DATE, .fallback = "1999-12-31"},
    {.id = ID, .name = "id", .type = RS_UUID},
    {.id = COUNT, .name = "count", .type = RS_INT, .flags = RS_NOT_NULL, .fallback = "0"},
    {.id = AMOUNT, .name = "amount", .type = RS_DECIMAL, .precision = 20, .scale = 2, .flags = RS_NOT_NULL, .fallback = "0.00"},
    {.id = TOP, .name = "top", .type = RS_DECIMAL, .precision = 20, .scale = 2},
    {.id = LEAST, .name = "least", .type = RS_TIMESTAMP},
};

static const struct rs_column day_columns[] = {
    {.id = ON, .name = "on_", .type = RS_DATE, .flags = RS_KEY},
    {.id = N, .name = "n", .type = RS_INT, .operation = RS_ADD, .flags = RS_NOT_NULL, .fallback = "0"},
    {.id = SUM, .name = "sum_", .type = RS_DECIMAL, .precision = 30, .scale = 2, .operation = RS_ADD},
    {.id = LAST, .name = "last_", .type = RS_TIMESTAMP, .operation = RS_MAX},
    {.id = FIRST, .name = "first_", .type = RS_INT, .operation = RS_MIN},
    {.id = LAST_WORDS, .name = "last_words", .type = RS_TEXT, .length = 60, .operation = RS_MAX},
    {.id = LAST_ID, .name = "last_id", .type = RS_UUID, .operation = RS_MAX},
    {.id = LEAST_DATA, .name = "least_data", .type = RS_BYTES, .length = 60, .operation = RS_MIN},
};

static const struct rs_table tables[] = {
    {.id = THINGS, .name = "things", RS_COLUMNS(thing_columns)},
    {.id = DAYS, .name = "days", .flags = RS_SHARED, RS_COLUMNS(day_columns)},
};

static struct rs_row *touch(const struct rs_event *event, struct rs_batch *batch)
{
    struct rs_row *day = rs_row(batch, DAYS, rs_date(event, "on"));

    rs_add_int(day, N, 1);
    rs_add_decimal(day, SUM, rs_decimal_of(rs_int(event, "number"), 2));
    rs_keep_max(day, LAST, RS_VALUE(rs_timestamp(event, "moment")));
    rs_keep_min(day, FIRST, RS_VALUE(rs_int(event, "number")));
    if (rs_has(event, "name"))
        rs_keep_max(day, LAST_WORDS, RS_VALUE(rs_text(event, "name")));
    if (rs_has(event, "id_"))
        rs_keep_max(day, LAST_ID, RS_VALUE(rs_uuid(event, "id_")));
    if (rs_has(event, "data"))
        rs_keep_min(day, LEAST_DATA, RS_VALUE(rs_bytes(event, "data")));
    return rs_row(batch, THINGS, rs_text(event, "thing"), rs_int(event, "number"));
}

#define SET(column, type, path)                                                                                                    \
    do {                                                                                                                           \
        if (rs_has(event, path))                                                                                                   \
            rs_set_##type(thing, column, rs_##type(event, path));                                                                  \
    } while (0)

static enum rs_verdict set(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    struct rs_row *thing = touch(event, batch);

    (void)self;
    SET(WHOLE, int, "whole");
    SET(REAL, real, "real");
    SET(EXACT, decimal, "exact");
    SET(WORDS, text, "words");
    SET(NAME, text, "name");
    SET(FLAG, bool, "flag");
    SET(DATA, bytes, "data");
    SET(DOC, json, "doc");
    SET(MOMENT, timestamp, "moment");
    SET(DAY, date, "day");
    SET(ID, uuid, "id_");
    return RS_DONE;
}

static enum rs_verdict clear(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    static const uint32_t columns[] = {WHOLE, REAL, EXACT, WORDS, DATA, DOC, MOMENT, DAY, ID};
    struct rs_row *thing = touch(event, batch);

    (void)self;
    for (uint32_t i = 0; i < RS_COUNT(columns); i++)
        rs_set_null(thing, columns[i]);
    return RS_DONE;
}

static enum rs_verdict add(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    struct rs_row *thing = touch(event, batch);

    (void)self;
    rs_add_int(thing, COUNT, 1);
    rs_add_decimal(thing, AMOUNT, rs_decimal(event, "amount"));
    rs_keep_max(thing, TOP, RS_VALUE(rs_decimal(event, "amount")));
    rs_keep_min(thing, LEAST, RS_VALUE(rs_timestamp(event, "moment")));
    return RS_DONE;
}

/* Of a row that is there; what is copied comes from the store when no event of the batch has set it. */
static enum rs_verdict copy(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    struct rs_row *thing = touch(event, batch);

    (void)self;
    if (!rs_exists(thing))
        return RS_DONE;
    rs_set_text(thing, WORDS, rs_get_text(thing, NAME));
    rs_set_int(thing, WHOLE, rs_get_int(thing, COUNT));
    rs_set_decimal(thing, EXACT, rs_get_decimal(thing, AMOUNT));
    return RS_DONE;
}

static enum rs_verdict away(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    (void)self;
    rs_remove(touch(event, batch));
    return RS_DONE;
}

static const struct rs_read copied[] = {{.table = THINGS, .n_keys = 2, .keys = {"thing", "number"}}};

static const struct rs_handler handlers[] = {
    {"Set", set},
    {"Clear", clear},
    {"Add", add},
    {"Remove", away},
    {"Copy", copy, .reads = copied, .n_reads = 1, .read_size = sizeof copied[0]},
};

static const struct rs_projection every = {
    RS_ABI, .revision = 1, .name = "every", RS_TABLES(tables), RS_HANDLERS(handlers),
};

const struct rs_projection *readside_projection(void)
{
    return &every;
}
