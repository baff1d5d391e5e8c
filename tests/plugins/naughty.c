/*
 * naughty - a projection whose handlers do what handlers must not: the event's type says what. For tests only.
 *
 *     {"type":"Crash","id":"a"}
 *
 * Each first counts the event in its row's `n`, so that a test sees whether all or nothing came through. The option
 * on_open = "crash" | "hang" | "refuse" does the same in open().
 */
#include <readside/plugin.h>

enum table { THINGS, SUMS, LEFT_OUT };
enum thing { ID, N, AMOUNT, NOTE, NEEDED };
enum sum { NAME, HITS, LARGEST };

static const struct rs_column things[] = {
    {.id = ID, .name = "id", .type = RS_TEXT, .flags = RS_KEY, .length = 40},
    {.id = N, .name = "n", .type = RS_INT},
    {.id = AMOUNT, .name = "amount", .type = RS_DECIMAL, .precision = 6, .scale = 2},
    {.id = NOTE, .name = "note", .type = RS_TEXT, .length = 5},
    {.id = NEEDED, .name = "needed", .type = RS_BOOL, .flags = RS_NOT_NULL, .fallback = "false"},
};

static const struct rs_column sums[] = {
    {.id = NAME, .name = "name", .type = RS_TEXT, .flags = RS_KEY},
    {.id = HITS, .name = "hits", .type = RS_INT, .operation = RS_ADD, .flags = RS_NOT_NULL, .fallback = "0"},
    {.id = LARGEST, .name = "largest", .type = RS_INT, .operation = RS_MAX},
};

static const struct rs_table tables[] = {
    {.id = THINGS, .name = "things", RS_COLUMNS(things)},
    {.id = SUMS, .name = "sums", .flags = RS_SHARED, RS_COLUMNS(sums)},
    {.id = LEFT_OUT, .name = "left_out", RS_COLUMNS(things)},
};

static const struct rs_option options[] = {
    {.name = "on_open", .type = RS_OPTION_CHOICE, .fallback = "nothing", .choices = "nothing|crash|hang|refuse",
     .summary = "what open() does"},
    {.name = "pin", .type = RS_OPTION_INT, .flags = RS_SECRET, .fallback = "0", .summary = "a secret whose name does not say so"},
};

static int *volatile nowhere;
static volatile bool is_endless = true;

static void crash(void)
{
    *nowhere = 1;
}

static void hang(void)
{
    while (is_endless)
        ;
}

/* The row of the event's record key; every event counts in it. */
static struct rs_row *counted(const struct rs_event *event, struct rs_batch *batch)
{
    struct rs_row *thing = rs_row(batch, THINGS, rs_text(event, "id"));

    rs_add_int(thing, N, 1);
    return thing;
}

#define HANDLER(name)                                                                                                            \
    static enum rs_verdict name(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)

/* A handler that does one wrong thing with `thing` and returns RS_DONE as if nothing were. */
#define WRONG(name, ...)                                                                                                         \
    HANDLER(name)                                                                                                                \
    {                                                                                                                            \
        struct rs_row *thing = counted(event, batch);                                                                            \
                                                                                                                                 \
        (void)self, (void)thing;                                                                                                 \
        __VA_ARGS__;                                                                                                             \
        return RS_DONE;                                                                                                          \
    }

WRONG(done, (void)0)
WRONG(do_crash, crash())
WRONG(do_hang, hang())
WRONG(crash_once_counted, if (rs_get_int(thing, N) > 2) crash())

/* The plugin's fault: broken. */
WRONG(unknown_column, rs_set_int(thing, 99, 1))
WRONG(unknown_table, rs_row(batch, 99, "a"))
WRONG(other_type, rs_set_int(thing, NOTE, 1))
WRONG(get_other_type, (void)rs_get_text(thing, N))
WRONG(set_key, rs_set_text(thing, ID, rs_string("b")))
WRONG(max_of_bool, rs_keep_max(thing, NEEDED, rs_value_bool(true)))
WRONG(key_count, rs_add_int(rs_row(batch, THINGS, "a", "b"), N, 1))
WRONG(left_out, rs_add_int(rs_row(batch, LEFT_OUT, rs_text(event, "id")), N, 1))
WRONG(shared_get, (void)rs_get_int(rs_row(batch, SUMS, "all"), HITS))
WRONG(shared_exists, (void)rs_exists(rs_row(batch, SUMS, "all")))
WRONG(shared_set, rs_set_int(rs_row(batch, SUMS, "all"), HITS, 1))
WRONG(shared_other, rs_keep_max(rs_row(batch, SUMS, "all"), HITS, RS_VALUE(1)))
WRONG(shared_remove, rs_remove(rs_row(batch, SUMS, "all")))
WRONG(emit_nowhere, rs_emit(batch, &(struct rs_message){.topic = ""}))

/* The event's fault: poison. So is a key or value that does not fit, whatever made it. */
WRONG(set_null, rs_set_null(thing, NEEDED))
WRONG(key_type, rs_add_int(rs_row(batch, THINGS, 7), N, 1))
WRONG(key_null, rs_add_int(rs_row_at(batch, THINGS, &(const struct rs_value){0}, 1), N, 1))
WRONG(missing_field, (void)rs_int(event, "missing"))
WRONG(past_the_end, (void)rs_text(rs_item(event, "list", rs_count(event, "list")), "x"))
WRONG(too_long, rs_set_text(thing, NOTE, rs_string("123456")))
WRONG(too_precise, rs_set_decimal(thing, AMOUNT, rs_decimal_of(1, 3)))
WRONG(too_large, rs_add_decimal(thing, AMOUNT, rs_decimal_of(10000, 0)))
WRONG(not_utf8, rs_set_text(thing, NOTE, rs_string("\xff")))
WRONG(has_nul, rs_set_text(thing, NOTE, (struct rs_text){"a\0b", 3}))
WRONG(other_key, rs_add_int(rs_row(batch, THINGS, "not the record key"), N, 1))
WRONG(fail_then_done, rs_fail(batch, RS_POISON, "said so"))
WRONG(too_much_memory, while (rs_alloc(batch, 65536) != NULL) continue)
WRONG(too_many_operations, for (int32_t i = 0; i < 10000000; i++) rs_add_int(thing, N, 1))

/* Every verdict, without a reason. */
HANDLER(skip)
{
    (void)self, (void)counted(event, batch);
    return RS_SKIP;
}

HANDLER(poison)
{
    (void)self, (void)counted(event, batch);
    return RS_POISON;
}

HANDLER(broken)
{
    (void)self, (void)counted(event, batch);
    return RS_BROKEN;
}

HANDLER(verdict_99)
{
    (void)self, (void)counted(event, batch);
    return (enum rs_verdict)99;
}

/* Not wrong: reads a row that no handler declares, and keeps an eye on the shared table. */
HANDLER(undeclared_read)
{
    struct rs_row *thing = counted(event, batch);
    struct rs_row *sum = rs_row(batch, SUMS, "all");

    (void)self;
    rs_add_int(sum, HITS, 1);
    rs_keep_max(sum, LARGEST, RS_VALUE(rs_get_int(thing, N)));
    return RS_DONE;
}

static const struct rs_handler handlers[] = {
    {"Done", done},
    {"Skip", skip},
    {"Poison", poison},
    {"Broken", broken},
    {"Verdict99", verdict_99},
    {"Crash", do_crash},
    {"CrashOnceCounted", crash_once_counted},
    {"Hang", do_hang},
    {"UndeclaredRead", undeclared_read},
    {"UnknownColumn", unknown_column},
    {"UnknownTable", unknown_table},
    {"OtherType", other_type},
    {"GetOtherType", get_other_type},
    {"SetKey", set_key},
    {"SetNull", set_null},
    {"MaxOfBool", max_of_bool},
    {"KeyType", key_type},
    {"KeyCount", key_count},
    {"KeyNull", key_null},
    {"LeftOut", left_out},
    {"SharedGet", shared_get},
    {"SharedExists", shared_exists},
    {"SharedSet", shared_set},
    {"SharedOther", shared_other},
    {"SharedRemove", shared_remove},
    {"EmitNowhere", emit_nowhere},
    {"MissingField", missing_field},
    {"PastTheEnd", past_the_end},
    {"TooLong", too_long},
    {"TooPrecise", too_precise},
    {"TooLarge", too_large},
    {"NotUtf8", not_utf8},
    {"HasNul", has_nul},
    {"OtherKey", other_key},
    {"FailThenDone", fail_then_done},
    {"TooMuchMemory", too_much_memory},
    {"TooManyOperations", too_many_operations},
};

static int32_t naughty_open(struct rs_setup *setup, struct rs_instance **ret_self)
{
    struct rs_text on_open = rs_option_text(setup, "on_open");

    (void)ret_self;
    if (rs_equals(on_open, "crash"))
        crash();
    if (rs_equals(on_open, "hang"))
        hang();
    if (rs_equals(on_open, "refuse"))
        return rs_refuse(setup, "on_open is refuse: set it to nothing");
    rs_omit_table(setup, LEFT_OUT);
    return 0;
}

static const struct rs_projection naughty = {
    RS_ABI,
    .revision = 1,
    .name = "naughty",
    .summary = "does what handlers must not",
    RS_TABLES(tables),
    RS_HANDLERS(handlers),
    RS_OPTIONS(options),
    .open = naughty_open,
};

const struct rs_projection *readside_projection(void)
{
    return &naughty;
}
