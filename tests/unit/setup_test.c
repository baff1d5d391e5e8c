/*
 * setup: options and what open() may do with them; then the built plugin `naughty', whose handlers do what handlers must not; then
 * the whole with every allocation failing in turn.
 *
 * Needs the built plugins under READSIDE_BUILD. Linked with wrapped malloc, calloc and realloc.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/host.h" /* before cmocka.h, whose macro fail() would hide a member */
#include "plugin/descriptor.h"

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Allocations that fail ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *data, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *data, size_t size);

static long allocations_left = LONG_MAX;

static bool may_allocate(void)
{
    return allocations_left-- > 0;
}

void *__wrap_malloc(size_t size)
{
    return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return may_allocate() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *data, size_t size)
{
    return may_allocate() ? __real_realloc(data, size) : NULL;
}

/* ---- A projection whose open() is the test's ---- */

enum { THINGS, SUMS };

struct rs_instance {
    int64_t number;
    int n_closed;
};

typedef int32_t open_function(struct rs_setup *setup, struct rs_instance **ret_self);

static open_function *open_script;
static struct rs_instance instance;
static const struct rs_instance *seen;

static int32_t run_open(struct rs_setup *setup, struct rs_instance **ret_self)
{
    return open_script(setup, ret_self);
}

static void run_close(struct rs_instance *self)
{
    self->n_closed++;
}

static enum rs_verdict taken(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    struct rs_row *thing = rs_row(batch, THINGS, rs_text(event, "id"));

    seen = self;
    rs_set_text(thing, 1, rs_text(event, "note"));
    return RS_DONE;
}

static const struct rs_column things[] = {{.id = 0, .name = "id", .type = RS_TEXT, .flags = RS_KEY}, {.id = 1, .name = "note", .type = RS_TEXT}};
static const struct rs_column sums[] = {{.id = 0, .name = "id", .type = RS_TEXT, .flags = RS_KEY},
                                        {.id = 1, .name = "n", .type = RS_INT, .operation = RS_ADD}};
static const struct rs_table tables[] = {{.id = THINGS, .name = "things", RS_COLUMNS(things)},
                                         {.id = SUMS, .name = "sums", .flags = RS_SHARED, RS_COLUMNS(sums)}};
static const struct rs_read reads[] = {{THINGS, 1, {"id"}}};
static const struct rs_handler handlers[] = {{"Taken", taken, RS_READS(reads)}};
static const struct rs_option options[] = {
    {.name = "level", .type = RS_OPTION_INT, .fallback = "3", .min = 1, .max = 5},
    {.name = "wait", .type = RS_OPTION_DURATION, .fallback = "5s"},
    {.name = "is_on", .type = RS_OPTION_BOOL, .fallback = "true"},
    {.name = "ratio", .type = RS_OPTION_REAL, .fallback = "0.5"},
    {.name = "label", .type = RS_OPTION_TEXT, .flags = RS_REQUIRED, .summary = "what it is called"},
    {.name = "mode", .type = RS_OPTION_CHOICE, .fallback = "slow", .choices = "fast|slow"},
    {.name = "room", .type = RS_OPTION_SIZE, .fallback = "16MiB"},
    {.name = "token", .type = RS_OPTION_TEXT, .flags = RS_SECRET, .fallback = ""},
    {.name = "pin", .type = RS_OPTION_INT, .flags = RS_SECRET, .fallback = "0", .max = 9999},
    {.name = "secret_wait", .type = RS_OPTION_DURATION, .flags = RS_SECRET, .fallback = "5s", .min = 1, .max = 60000000},
    {.name = "secret_room", .type = RS_OPTION_SIZE, .flags = RS_SECRET, .fallback = "1KiB", .min = 1, .max = 1024},
    {.name = "secret_mode", .type = RS_OPTION_CHOICE, .flags = RS_SECRET, .fallback = "slow", .choices = "fast|slow"},
    {.name = "secret_on", .type = RS_OPTION_BOOL, .flags = RS_SECRET, .fallback = "true"},
    {.name = "secret_ratio", .type = RS_OPTION_REAL, .flags = RS_SECRET, .fallback = "0.5"},
};
static const struct rs_projection descriptor = {RS_ABI,           .revision = 1,       .name = "subject",   RS_TABLES(tables), RS_HANDLERS(handlers),
                                                RS_OPTIONS(options), .open = run_open, .close = run_close};

static struct projection *make(void)
{
    struct projection *projection = NULL;
    struct error error = {0};

    if (descriptor_check(&descriptor, "subject.so", &projection, &error) != 0)
        fail_msg("%s", error.text);
    instance = (struct rs_instance){0};
    return projection;
}

/* label is set where the test sets nothing. */
static bool is_strict; /* as the config is without worker.allow_literal_secrets */

static int open_host(struct projection *projection, open_function *function, const char *name, const char *value,
                     struct plugin_host **ret_host, struct error *ret_error)
{
    const struct plugin_setting settings[] = {{.name = "label", .value = "l", .place = "bank.conf:3"},
                                              {.name = name, .value = value, .place = "bank.conf:4", .no_literal_secret = is_strict}};

    open_script = function;
    return plugin_host_new(projection, settings, name == NULL ? 1 : 2, ret_host, ret_error);
}

static void expect_refused(open_function *function, const char *name, const char *value, const char *part)
{
    struct projection *projection = make();
    struct plugin_host *host = NULL;
    struct error error = {0};

    if (open_host(projection, function, name, value, &host, &error) != ERROR_CONFIG)
        fail_msg("taken, instead of: %s", part);
    assert_null(host);
    assert_int_equal(error.class, ERROR_CONFIG);
    if (strstr(error.text, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.text, part);
    projection_free(projection);
}

/* ---- Options ---- */

static int32_t read_fallbacks(struct rs_setup *setup, struct rs_instance **ret_self)
{
    bool is_right = rs_option_int(setup, "level") == 3 && rs_option_int(setup, "wait") == 5000000 && rs_option_bool(setup, "is_on") &&
                    rs_option_real(setup, "ratio") == 0.5 && rs_equals(rs_option_text(setup, "label"), "l") &&
                    rs_equals(rs_option_text(setup, "mode"), "slow") && rs_option_int(setup, "room") == 16 << 20 &&
                    rs_option_text(setup, "token").size == 0;

    *ret_self = &instance;
    return is_right ? 0 : rs_refuse(setup, "another value");
}

static int32_t read_set(struct rs_setup *setup, struct rs_instance **ret_self)
{
    bool is_right = rs_option_int(setup, "level") == 5 || rs_option_int(setup, "wait") == 250000 || !rs_option_bool(setup, "is_on") ||
                    rs_option_real(setup, "ratio") == -2e3 || rs_equals(rs_option_text(setup, "mode"), "fast") ||
                    rs_option_int(setup, "room") == 1024 || rs_equals(rs_option_text(setup, "token"), "s3cret");

    (void)ret_self;
    return is_right ? 0 : rs_refuse(setup, "another value");
}

static void test_options_have_values(void **state)
{
    static const char *const settings[][2] = {{"level", "5"},      {"wait", "250ms"}, {"is_on", "false"}, {"ratio", "-2e3"},
                                              {"mode", "fast"},    {"room", "1KiB"},  {"token", "s3cret"}, {"token", "env:READSIDE_TEST_TOKEN"}};
    struct projection *projection = make();
    struct plugin_host *host = NULL;
    struct error error = {0};

    (void)state;
    setenv("READSIDE_TEST_TOKEN", "s3cret", 1);
    if (open_host(projection, read_fallbacks, NULL, NULL, &host, &error) != 0)
        fail_msg("%s", error.text);
    assert_null(plugin_host_free(host));
    assert_int_equal(instance.n_closed, 1);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (open_host(projection, read_set, settings[i][0], settings[i][1], &host, &error) != 0)
            fail_msg("%s: %s", settings[i][0], error.text);
        plugin_host_free(host);
    }
    projection_free(projection);
}

static void test_wrong_settings_are_refused_with_their_place(void **state)
{
    (void)state;
    expect_refused(read_set, "levl", "3", "bank.conf:4: plugin subject has no option `levl'; did you mean `level'?");
    expect_refused(read_set, "something_else", "3", "bank.conf:4: plugin subject has no option `something_else'");
    expect_refused(read_set, "level", "6", "bank.conf:4: option level: \"6\" is not within 1 and 5");
    expect_refused(read_set, "level", "many", "bank.conf:4: option level: \"many\" is not an integer");
    expect_refused(read_set, "wait", "5", "bank.conf:4: option wait: \"5\" is not a duration");
    expect_refused(read_set, "is_on", "yes", "bank.conf:4: option is_on: \"yes\" is not true or false");
    expect_refused(read_set, "ratio", "half", "bank.conf:4: option ratio: \"half\" is not a number");
    expect_refused(read_set, "mode", "fas", "bank.conf:4: option mode: \"fas\" is none of fast|slow");
    expect_refused(read_set, "mode", "fast|slow", "is none of fast|slow");
    expect_refused(read_set, "room", "much", "bank.conf:4: option room: \"much\" is not a size");
    expect_refused(read_set, "label", "\xff", "bank.conf:4: option label: the text is not valid UTF-8");
    unsetenv("READSIDE_TEST_TOKEN");
    expect_refused(read_set, "token", "env:READSIDE_TEST_TOKEN", "option token: ");
    is_strict = true;
    expect_refused(read_set, "token", "s3cret", "bank.conf:4: option token: the config holds the secret itself; refer to it by");
    is_strict = false;
}

static void test_a_secret_that_is_wrong_is_not_shown(void **state)
{
    static const char *const settings[][3] = {
        {"pin", "40175", "the secret is not within 0 and 9999"},
        {"pin", "40175x", "the secret is not an integer"},
        {"secret_wait", "40175s", "the secret is not within 1 and 60000000 microseconds"},
        {"secret_wait", "40175", "the secret is not a duration"},
        {"secret_room", "40175KiB", "the secret is not within 1 and 1024 bytes"},
        {"secret_room", "40175XiB", "the secret is not a size"},
        {"secret_mode", "40175", "is none of fast|slow"},
        {"secret_on", "40175", "the secret is not true or false"},
        {"secret_ratio", "40175x", "the secret is not a number"},
        {"token", "40175\xff", "the text is not valid UTF-8"},
    };
    struct projection *projection = make();

    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        struct plugin_host *host = NULL;
        struct error error = {0};

        assert_int_equal(open_host(projection, read_set, settings[i][0], settings[i][1], &host, &error), ERROR_CONFIG);
        if (strstr(error.text, settings[i][2]) == NULL || strstr(error.text, "40175") != NULL)
            fail_msg("%s = %s: %s", settings[i][0], settings[i][1], error.text);
    }
    projection_free(projection);
}

static void test_a_required_option_must_be_set(void **state)
{
    struct projection *projection = make();
    struct plugin_host *host = NULL;
    struct error error = {0};

    (void)state;
    open_script = read_set;
    assert_int_equal(plugin_host_new(projection, NULL, 0, &host, &error), ERROR_CONFIG);
    assert_string_equal(error.text, "plugin subject needs the option label (what it is called): set it in the pipeline's options");
    projection_free(projection);
}

/* ---- open() ---- */

static int32_t ask_undeclared(struct rs_setup *setup, struct rs_instance **ret_self)
{
    *ret_self = &instance;
    return rs_option_int(setup, "undeclared") == 0 ? 0 : -1; /* does not mind */
}

static int32_t ask_by_another_function(struct rs_setup *setup, struct rs_instance **ret_self)
{
    (void)ret_self;
    return rs_option_text(setup, "level").size == 0 ? 0 : -1;
}

static int32_t refuse_twice(struct rs_setup *setup, struct rs_instance **ret_self)
{
    (void)ret_self;
    rs_refuse(setup, "level and mode do not go together");
    return rs_refuse(setup, "second");
}

static int32_t refuse_and_go_on(struct rs_setup *setup, struct rs_instance **ret_self)
{
    (void)ret_self;
    rs_refuse(setup, "level and mode do not go together");
    return 0;
}

static int32_t refuse_silently(struct rs_setup *setup, struct rs_instance **ret_self)
{
    (void)setup;
    *ret_self = &instance;
    return -1;
}

static int32_t omit_too_many(struct rs_setup *setup, struct rs_instance **ret_self)
{
    (void)ret_self;
    rs_omit_table(setup, 2);
    return 0;
}

static void test_open_may_refuse(void **state)
{
    (void)state;
    expect_refused(ask_undeclared, NULL, NULL, "plugin subject: open() asks for option undeclared");
    assert_int_equal(instance.n_closed, 1); /* open() had made it */
    expect_refused(ask_by_another_function, NULL, NULL, "open() reads option level by another function than rs_option_int()");
    expect_refused(refuse_twice, NULL, NULL, "plugin subject: level and mode do not go together");
    expect_refused(refuse_and_go_on, NULL, NULL, "plugin subject: level and mode do not go together");
    expect_refused(refuse_silently, NULL, NULL, "open() refuses the options without a reason");
    assert_int_equal(instance.n_closed, 0);
    expect_refused(omit_too_many, NULL, NULL, "open() leaves out table 2; the projection has 2");
}

static int32_t omit_things(struct rs_setup *setup, struct rs_instance **ret_self)
{
    (void)ret_self;
    rs_omit_table(setup, THINGS);
    return 0;
}

static int32_t allocate(struct rs_setup *setup, struct rs_instance **ret_self)
{
    struct rs_instance *self = rs_setup_alloc(setup, sizeof *self);
    char *much = rs_setup_alloc(setup, 1 << 20);

    if (self == NULL || much == NULL || self->number != 0 || much[1000] != 0)
        return rs_refuse(setup, "out of memory");
    self->number = 7;
    *ret_self = self;
    return 0;
}

static int32_t allocate_everything(struct rs_setup *setup, struct rs_instance **ret_self)
{
    (void)ret_self;
    return rs_setup_alloc(setup, SIZE_MAX) == NULL ? 0 : rs_refuse(setup, "memory without end");
}

static int32_t allocate_too_much(struct rs_setup *setup, struct rs_instance **ret_self)
{
    (void)ret_self;
    return rs_setup_alloc(setup, ((size_t)64 << 20) + 1) == NULL ? 0 : rs_refuse(setup, "memory without end");
}

/* A piece at a time, and more than twice the bound: no multiple of it may let another begin. */
static int32_t allocate_pieces(struct rs_setup *setup, struct rs_instance **ret_self)
{
    int n_pieces = 0;

    (void)ret_self;
    while (n_pieces < 140 && rs_setup_alloc(setup, 1 << 20) != NULL)
        n_pieces++;
    return n_pieces < 64 && rs_setup_alloc(setup, 1 << 20) == NULL ? 0 : rs_refuse(setup, "memory without end");
}

static int32_t allocate_nothing_forever(struct rs_setup *setup, struct rs_instance **ret_self)
{
    (void)ret_self;
    for (size_t i = 0; i < ((size_t)64 << 20) / 16; i++)
        rs_setup_alloc(setup, 0);
    return rs_setup_alloc(setup, 0) == NULL ? 0 : rs_refuse(setup, "memory without end");
}

static void test_open_has_bounded_memory(void **state)
{
    static const char said[] = "plugin subject: open() asks for more than 64 MiB of memory";

    (void)state;
    expect_refused(allocate_everything, NULL, NULL, said);
    expect_refused(allocate_too_much, NULL, NULL, said);
    expect_refused(allocate_pieces, NULL, NULL, said);
    expect_refused(allocate_nothing_forever, NULL, NULL, said);
}

static void test_tables_can_be_left_out(void **state)
{
    struct projection *projection = make();
    struct plugin_host *host = NULL;
    struct error error = {0};

    (void)state;
    assert_true(projection->has_partitioned_table);
    assert_int_equal(open_host(projection, omit_things, NULL, NULL, &host, &error), 0);
    assert_true(projection->tables[THINGS].is_omitted);
    assert_false(projection->tables[SUMS].is_omitted);
    assert_false(projection->has_partitioned_table);
    plugin_host_free(host);
    if (open_host(projection, allocate, NULL, NULL, &host, &error) != 0)
        fail_msg("%s", error.text);
    assert_false(projection->tables[THINGS].is_omitted); /* each instance decides anew */
    assert_true(projection->has_partitioned_table);
    plugin_host_free(host);
    projection_free(projection);
}

/* ---- Naughty ---- */

static const char *built(const char *name)
{
    static char path[PATH_MAX];
    const char *build = getenv("READSIDE_BUILD");

    snprintf(path, sizeof path, "%s/%s", build == NULL ? "." : build, name);
    return path;
}

static void apply_naughty(struct plugin_host *host, struct event_decoder *decoder, struct batch *batch, const char *type, int expected)
{
    char value[128];
    struct error error = {0};
    const struct event *event = NULL;
    struct record record = {.topic = "t", .offset = 1, .key = "a", .key_size = 1, .value = value};
    int result;

    record.value_size = (size_t)snprintf(value, sizeof value, "{\"type\":\"%s\",\"id\":\"a\",\"list\":[1]}", type);
    assert_int_equal(event_decode(decoder, &record, &event, &error), 0);
    result = plugin_host_apply(host, event, batch, &error);
    if (result != expected)
        fail_msg("%s: %d instead of %d (%s)", type, result, expected, error.text);
    assert_true(result >= 0 || (error.text[0] != '\0' && error.class == result));
}

static void test_naughty_handlers_harm_nobody(void **state)
{
    static const struct {
        const char *type;
        int expected;
    } cases[] = {
        {"Done", APPLY_DONE}, {"Skip", APPLY_SKIPPED}, {"Poison", ERROR_POISON}, {"Broken", ERROR_BUG}, {"Verdict99", ERROR_BUG},
        {"UndeclaredRead", APPLY_NEEDS_ROWS}, {"UnknownColumn", ERROR_BUG}, {"UnknownTable", ERROR_BUG}, {"OtherType", ERROR_BUG},
        {"GetOtherType", ERROR_BUG}, {"SetKey", ERROR_BUG}, {"SetNull", ERROR_POISON}, {"MaxOfBool", ERROR_BUG}, {"KeyType", ERROR_BUG},
        {"KeyCount", ERROR_BUG}, {"KeyNull", ERROR_POISON}, {"LeftOut", ERROR_BUG}, {"SharedGet", ERROR_BUG}, {"SharedExists", ERROR_BUG},
        {"SharedSet", ERROR_BUG}, {"SharedOther", ERROR_BUG}, {"SharedRemove", ERROR_BUG}, {"EmitNowhere", ERROR_BUG},
        {"MissingField", ERROR_POISON}, {"PastTheEnd", ERROR_POISON}, {"TooLong", ERROR_POISON}, {"TooPrecise", ERROR_POISON},
        {"TooLarge", ERROR_POISON}, {"NotUtf8", ERROR_POISON}, {"HasNul", ERROR_POISON}, {"OtherKey", ERROR_POISON},
        {"FailThenDone", ERROR_POISON}, {"TooMuchMemory", ERROR_POISON}, {"TooManyOperations", ERROR_POISON}, {"Unknown", APPLY_UNHANDLED},
    };
    static const struct event_settings settings = {.type = {PLACE_PAYLOAD, "type"}, .max_depth = 10};
    const struct batch_limits limits = {.max_rows = 1000, .max_bytes = 1 << 26};
    struct projection *projection = NULL;
    struct plugin_host *host = NULL;
    struct error error = {0};
    struct event_decoder *decoder = event_decoder_new(&settings);
    struct row_cache *cache;
    struct batch *batch;
    size_t n;

    (void)state;
    if (plugin_load(built("tests/plugins/naughty.so"), "", &projection, &error) != 0 ||
        plugin_host_new(projection, NULL, 0, &host, &error) != 0)
        fail_msg("%s", error.text);
    batch = batch_new(projection->tables, projection->n_tables, &limits, 1);
    cache = row_cache_new(projection->tables, projection->n_tables, 1 << 20, 1);
    batch_reset(batch, NULL, cache);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        apply_naughty(host, decoder, batch, cases[i].type, cases[i].expected);
    assert_int_equal(batch_close(batch, &error), 0);
    assert_int_equal(batch_groups(batch, &n)->n_rows, 1);
    assert_int_equal(n, 1);
    assert_int_equal(batch_groups(batch, &n)->rows[0]->cells[1].as.integer, 1); /* n: one event was done */
    row_cache_free(cache);
    batch_free(batch);
    event_decoder_free(decoder);
    plugin_host_free(host);
    projection_free(projection);
}

/* ---- Without memory ---- */

/* From descriptor to a folded event; 0 or the class of what stopped it. */
static int run_all(void)
{
    static const struct event_settings settings = {.type = {PLACE_PAYLOAD, "type"}, .id = {PLACE_HEADER, "id"}, .max_depth = 10};
    static const char value[] = "{\"type\":\"Taken\",\"id\":\"a\",\"note\":\"n\",\"l\":[{\"x\":[1]}]}";
    const struct record record = {.topic = "t", .key = "a", .key_size = 1, .value = value, .value_size = sizeof value - 1};
    const struct batch_limits limits = {.max_rows = 1000, .max_bytes = 1 << 26};
    struct projection *projection = NULL;
    struct plugin_host *host = NULL;
    struct event_decoder *decoder = event_decoder_new(&settings);
    struct batch *batch = NULL;
    const struct event *event = NULL, *item;
    struct rs_value json;
    struct error error = {0};
    int result = descriptor_check(&descriptor, "subject.so", &projection, &error);

    if (result == 0)
        result = open_host(projection, allocate, NULL, NULL, &host, &error);
    if (result == 0) {
        batch = batch_new(projection->tables, projection->n_tables, &limits, 1);
        result = batch == NULL || decoder == NULL ? ERROR_BUG : event_decode(decoder, &record, &event, &error);
    }
    if (result == 0)
        result = event_get(event, "l", RS_JSON, &json, &error);
    if (result == 0)
        result = event_item(event, "l", 0, &item, &error);
    if (result == 0)
        plugin_host_prefetch(host, event, batch);
    if (result == 0)
        result = plugin_host_apply(host, event, batch, &error);
    batch_free(batch);
    event_decoder_free(decoder);
    plugin_host_free(host);
    projection_free(projection);
    return result;
}

static void test_every_allocation_can_fail(void **state)
{
    long n = 0;
    int result = -1;

    (void)state;
    for (; n < 1000 && result != 0; n++) {
        seen = NULL;
        allocations_left = n;
        result = run_all();
        allocations_left = LONG_MAX;
        if (result != 0 && result != ERROR_BUG && result != ERROR_CONFIG)
            fail_msg("allocation %ld: %d", n, result);
    }
    assert_int_equal(result, 0);
    assert_non_null(seen);
    assert_true(n > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_have_values),
        cmocka_unit_test(test_wrong_settings_are_refused_with_their_place),
        cmocka_unit_test(test_a_secret_that_is_wrong_is_not_shown),
        cmocka_unit_test(test_a_required_option_must_be_set),
        cmocka_unit_test(test_open_may_refuse),
        cmocka_unit_test(test_open_has_bounded_memory),
        cmocka_unit_test(test_tables_can_be_left_out),
        cmocka_unit_test(test_naughty_handlers_harm_nobody),
        cmocka_unit_test(test_every_allocation_can_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
