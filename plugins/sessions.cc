/*
 * sessions - the example in C++: visits to a web site, and what all of them together did to each page.
 *
 * Events are JSON with the session as record key:
 *
 *     {"type":"PageViewed","session":"s-1","page":"/tea","milliseconds":180,"at":"2026-11-23T04:00:00Z"}
 *     {"type":"SessionEnded","session":"s-1","at":"2026-11-23T04:09:00Z"}
 *
 * Rows: one a session, and one a page and day. The latter are shared by all partitions, so each of their columns only adds or
 * keeps its greatest or least value. The option `slow` says from when on a view counts as slow.
 */
#include <readside/plugin.h>

enum table : uint32_t { SESSIONS, PAGE_DAYS };
enum session : uint32_t { SESSION, VIEWS, FIRST_AT, LAST_AT, ENDED_AT };
enum page_day : uint32_t { PAGE, DAY, PAGE_VIEWS, SLOW_VIEWS, SLOWEST, FIRST_VIEW, LAST_VIEW };

struct rs_instance {
    int64_t slow_microseconds;
};

namespace {

constexpr rs_column session_columns[] = {
    {.id = SESSION, .type = RS_TEXT, .flags = RS_KEY, .length = 80, .name = "session"},
    {.id = VIEWS, .type = RS_INT, .flags = RS_NOT_NULL, .name = "views", .fallback = "0"},
    {.id = FIRST_AT, .type = RS_TIMESTAMP, .name = "first_at"},
    {.id = LAST_AT, .type = RS_TIMESTAMP, .name = "last_at"},
    {.id = ENDED_AT, .type = RS_TIMESTAMP, .name = "ended_at"},
};

constexpr rs_column page_day_columns[] = {
    {.id = PAGE, .type = RS_TEXT, .flags = RS_KEY, .length = 200, .name = "page"},
    {.id = DAY, .type = RS_DATE, .flags = RS_KEY, .name = "day"},
    {.id = PAGE_VIEWS, .type = RS_INT, .flags = RS_NOT_NULL, .operation = RS_ADD, .name = "views", .fallback = "0"},
    {.id = SLOW_VIEWS, .type = RS_INT, .flags = RS_NOT_NULL, .operation = RS_ADD, .name = "slow_views", .fallback = "0"},
    {.id = SLOWEST, .type = RS_INT, .operation = RS_MAX, .name = "slowest_ms"},
    {.id = FIRST_VIEW, .type = RS_TIMESTAMP, .operation = RS_MIN, .name = "first_view"},
    {.id = LAST_VIEW, .type = RS_TIMESTAMP, .operation = RS_MAX, .name = "last_view"},
};

constexpr rs_table tables[] = {
    {.id = SESSIONS, .name = "sessions", RS_COLUMNS(session_columns), .summary = "one row a session"},
    {.id = PAGE_DAYS, .flags = RS_SHARED, .name = "page_days", RS_COLUMNS(page_day_columns), .summary = "one row a page and day"},
};

constexpr rs_option options[] = {
    {.name = "slow", .type = RS_OPTION_DURATION, .fallback = "1s", .min = 1, .max = 3'600'000'000,
     .summary = "a view that takes this long counts as slow"},
};

rs_verdict viewed(const rs_instance *self, const rs_event *event, rs_batch *batch)
{
    const auto at = rs_timestamp(event, "at");
    const auto milliseconds = rs_int_or(event, "milliseconds", 0);
    auto *session = rs_row(batch, SESSIONS, rs_text(event, "session"));
    auto *page = rs_row(batch, PAGE_DAYS, rs_text(event, "page"), rs_day_of(at));

    if (milliseconds < 0 || milliseconds > 86'400'000)
        return rs_fail(batch, RS_POISON, "milliseconds is not within a day");

    rs_add_int(session, VIEWS, 1);
    rs_keep_min(session, FIRST_AT, RS_VALUE(at));
    rs_keep_max(session, LAST_AT, RS_VALUE(at));

    rs_add_int(page, PAGE_VIEWS, 1);
    rs_add_int(page, SLOW_VIEWS, milliseconds * 1000 >= self->slow_microseconds);
    rs_keep_max(page, SLOWEST, RS_VALUE(milliseconds));
    rs_keep_min(page, FIRST_VIEW, RS_VALUE(at));
    rs_keep_max(page, LAST_VIEW, RS_VALUE(at));
    return RS_DONE;
}

rs_verdict ended(const rs_instance *, const rs_event *event, rs_batch *batch)
{
    rs_set_timestamp(rs_row(batch, SESSIONS, rs_text(event, "session")), ENDED_AT, rs_timestamp(event, "at"));
    return RS_DONE;
}

constexpr rs_handler handlers[] = {
    {.type = "PageViewed", .function = viewed},
    {.type = "SessionEnded", .function = ended},
};

int32_t open(rs_setup *setup, rs_instance **ret_self)
{
    auto *self = static_cast<rs_instance *>(rs_setup_alloc(setup, sizeof(rs_instance)));

    if (self == nullptr)
        return rs_refuse(setup, "out of memory");
    self->slow_microseconds = rs_option_int(setup, "slow");
    *ret_self = self;
    return 0;
}

constexpr rs_projection sessions = {
    RS_ABI,
    .revision = 1,
    .name = "sessions",
    .summary = "visits to a web site",
    RS_TABLES(tables),
    RS_HANDLERS(handlers),
    RS_OPTIONS(options),
    .open = open,
};

} // namespace

const rs_projection *readside_projection(void)
{
    return &sessions;
}
