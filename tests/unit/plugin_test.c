/*
 * plugin: which handler takes an event, and what becomes of it: the calls of a handler against the real fold.
 *
 * The projection is made here; its handlers run the test's own function.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/host.h" /* before cmocka.h, whose macro fail() would hide a member */
#include "plugin/descriptor.h"

#include <cmocka.h>

#include <string.h>

enum { THINGS, FOLLOWERS, SUMS };
enum { ID, PART, N, NOTE };
enum { NAME, HITS, COST };

typedef enum rs_verdict script_function(const struct rs_event *event, struct rs_batch *batch);

static script_function *script;
static int n_runs;

static enum rs_verdict run_script(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    (void)self;
    n_runs++;
    return script(event, batch);
}

static const struct rs_column things[] = {
    {.id = ID, .name = "id", .type = RS_TEXT, .flags = RS_KEY},
    {.id = PART, .name = "part", .type = RS_INT, .flags = RS_KEY},
    {.id = N, .name = "n", .type = RS_INT, .flags = RS_NOT_NULL, .fallback = "0"},
    {.id = NOTE, .name = "note", .type = RS_TEXT, .length = 5},
};
static const struct rs_column sums[] = {
    {.id = NAME, .name = "name", .type = RS_TEXT, .flags = RS_KEY},
    {.id = HITS, .name = "hits", .type = RS_INT, .operation = RS_ADD},
    {.id = COST, .name = "cost", .type = RS_DECIMAL, .precision = 38, .operation = RS_ADD},
};
static const struct rs_table tables[] = {
    {.id = THINGS, .name = "things", RS_COLUMNS(things)},
    {.id = FOLLOWERS, .name = "followers", .flags = RS_KEY_FOLLOWS, RS_COLUMNS(things)},
    {.id = SUMS, .name = "sums", .flags = RS_SHARED, RS_COLUMNS(sums)},
};
static const struct rs_read reads[] = {{THINGS, 2, {"$key", "part"}}, {THINGS, 2, {"id", "missing"}}};
static const struct rs_handler handlers[] = {{"Read", run_script, RS_READS(reads)}, {"Versioned", run_script, 2, 3}, {"Run", run_script}};
static const struct rs_projection descriptor = {RS_ABI, .revision = 1, .name = "scripted", RS_TABLES(tables), RS_HANDLERS(handlers)};

/* ---- A host, a decoder and a batch ---- */

struct world {
    struct projection *projection;
    struct plugin_host *host;
    struct event_decoder *decoder;
    struct batch *batch;
    struct row_cache *cache;
    struct error error;
};

static void open_world(struct world *world)
{
    static const struct event_settings settings = {
        .type = {PLACE_PAYLOAD, "type"}, .version = {PLACE_PAYLOAD, "version"}, .max_depth = 10};
    const struct batch_limits limits = {.max_rows = 1000, .max_bytes = 1 << 26};

    *world = (struct world){0};
    n_runs = 0;
    if (descriptor_check(&descriptor, "scripted.so", &world->projection, &world->error) != 0 ||
        plugin_host_new(world->projection, NULL, 0, &world->host, &world->error) != 0)
        fail_msg("%s", world->error.text);
    world->decoder = event_decoder_new(&settings);
    world->batch = batch_new(world->projection->tables, world->projection->n_tables, &limits, 1);
    world->cache = row_cache_new(world->projection->tables, world->projection->n_tables, 1 << 20, 2);
    batch_reset(world->batch, NULL, world->cache);
}

static void close_world(struct world *world)
{
    row_cache_free(world->cache);
    batch_free(world->batch);
    event_decoder_free(world->decoder);
    plugin_host_free(world->host);
    projection_free(world->projection);
}

static bool find_header(const struct record *record, const char *name, struct rs_bytes *ret_value)
{
    (void)record;
    if (strcmp(name, "trace") != 0)
        return false;
    *ret_value = (struct rs_bytes){.data = "t-1", .size = 3};
    return true;
}

static const struct event *decode(struct world *world, const char *key, const char *value)
{
    static struct record record;
    const struct event *event = NULL;

    record = (struct record){.topic = "topic", .partition = 1, .offset = 7, .timestamp_ms = 5, .key = key,
                             .key_size = key == NULL ? 0 : strlen(key), .value = value,
                             .value_size = value == NULL ? 0 : strlen(value), .find_header = find_header};
    if (event_decode(world->decoder, &record, &event, &world->error) != 0)
        fail_msg("%s", world->error.text);
    return event;
}

static int apply(struct world *world, const char *key, const char *value, script_function *function)
{
    script = function;
    return plugin_host_apply(world->host, decode(world, key, value), world->batch, &world->error);
}

/* Applies a scripted event with the key "a" and expects an error that says so. */
static void expect_error(script_function *function, int class, const char *part)
{
    struct world world;
    int result;
    size_t n;

    open_world(&world);
    result = apply(&world, "a", "{\"type\":\"Run\",\"list\":[1,{\"x\":2}],\"text\":\"t\"}", function);
    if (result != class || strstr(world.error.text, part) == NULL)
        fail_msg("%d, \"%s\" instead of %d, \"%s\"", result, world.error.text, class, part);
    assert_int_equal(world.error.class, class);
    assert_int_equal(batch_close(world.batch, &world.error), 0);
    batch_groups(world.batch, &n);
    assert_int_equal(n, 0); /* nothing of the event stays */
    batch_outbox(world.batch, &n);
    assert_int_equal(n, 0);
    close_world(&world);
}

/* What every script below does first, so that there is something to undo. */
static struct rs_row *touch(struct rs_batch *batch)
{
    struct rs_row *thing = rs_row(batch, THINGS, "a", 1);

    rs_add_int(thing, N, 1);
    rs_add_int(rs_row(batch, SUMS, "all"), HITS, 1);
    rs_emit(batch, &(struct rs_message){.topic = "out", .value = {"v", 1}});
    return thing;
}

/* ---- Verdicts ---- */

#define SCRIPT(name) static enum rs_verdict name(const struct rs_event *event, struct rs_batch *batch)

SCRIPT(done)
{
    (void)event, (void)touch(batch);
    return RS_DONE;
}

SCRIPT(skipped)
{
    (void)event, (void)touch(batch);
    return RS_SKIP;
}

SCRIPT(poison)
{
    (void)event, (void)touch(batch);
    return RS_POISON;
}

SCRIPT(broken)
{
    (void)event, (void)touch(batch);
    return RS_BROKEN;
}

SCRIPT(verdict_77)
{
    (void)event, (void)touch(batch);
    return (enum rs_verdict)77;
}

SCRIPT(failed)
{
    (void)event, (void)touch(batch);
    return rs_fail(batch, RS_POISON, "amount is negative");
}

SCRIPT(failed_then_done)
{
    (void)event, (void)touch(batch);
    rs_fail(batch, RS_POISON, "said so");
    rs_fail(batch, RS_BROKEN, "said later");
    return RS_DONE;
}

SCRIPT(failed_then_skip)
{
    (void)event, (void)touch(batch);
    rs_fail(batch, RS_POISON, "said so");
    return RS_SKIP;
}

SCRIPT(failed_then_broken)
{
    (void)event, (void)touch(batch);
    rs_fail(batch, RS_POISON, "said so");
    return RS_BROKEN;
}

SCRIPT(failed_as_broken)
{
    (void)event, (void)touch(batch);
    return rs_fail(batch, RS_BROKEN, "no such day");
}

SCRIPT(failed_as_skip)
{
    (void)event, (void)touch(batch);
    return rs_fail(batch, RS_SKIP, "not mine");
}

SCRIPT(failed_unreadably)
{
    (void)event;
    return rs_fail(batch, RS_POISON, "\xff");
}

static void test_verdicts(void **state)
{
    struct world world;
    size_t n;

    (void)state;
    expect_error(poison, ERROR_POISON, "the handler of Run calls the event poison without a reason");
    expect_error(broken, ERROR_BUG, "the handler of Run says that the plugin is broken");
    expect_error(verdict_77, ERROR_BUG, "the handler of Run returns 77");
    expect_error(failed, ERROR_POISON, "amount is negative");
    expect_error(failed_then_done, ERROR_POISON, "said so");
    expect_error(failed_then_skip, ERROR_POISON, "said so");
    expect_error(failed_then_broken, ERROR_BUG, "said so");
    expect_error(failed_as_broken, ERROR_BUG, "no such day");
    expect_error(failed_unreadably, ERROR_POISON, "no readable reason");
    open_world(&world);
    assert_int_equal(apply(&world, "a", "{\"type\":\"Run\"}", skipped), APPLY_SKIPPED);
    assert_int_equal(apply(&world, "a", "{\"type\":\"Run\"}", failed_as_skip), APPLY_SKIPPED);
    assert_true(batch_is_empty(world.batch));
    assert_int_equal(apply(&world, "a", "{\"type\":\"Run\"}", done), APPLY_DONE);
    assert_false(batch_is_empty(world.batch));
    assert_int_equal(batch_close(world.batch, &world.error), 0);
    assert_int_equal(batch_groups(world.batch, &n)->rows[0]->cells[N].as.integer, 1);
    assert_int_equal(n, 2);
    batch_outbox(world.batch, &n);
    assert_int_equal(n, 1);
    close_world(&world);
}

/* ---- Dispatch ---- */

static void test_what_no_handler_takes_is_unhandled(void **state)
{
    struct world world;

    (void)state;
    open_world(&world);
    assert_int_equal(apply(&world, "a", "{\"type\":\"Unknown\"}", done), APPLY_UNHANDLED);
    assert_int_equal(apply(&world, "a", "{\"type\":\"Versioned\"}", done), APPLY_UNHANDLED);
    assert_int_equal(apply(&world, "a", "{\"type\":\"Versioned\",\"version\":2}", done), APPLY_DONE);
    assert_int_equal(apply(&world, "a", NULL, done), APPLY_UNHANDLED);
    assert_int_equal(n_runs, 1);
    close_world(&world);
}

/* ---- Reading the event ---- */

SCRIPT(reads_all)
{
    const struct rs_record *record = rs_record(event);
    const struct rs_event *item = rs_item(event, "list", 1);
    struct rs_bytes trace;
    bool is_right = record->offset == 7 && record->partition == 1 && record->time.microseconds == 5000 &&
                    rs_equals(record->topic, "topic") && rs_equals(record->type, "Run") && rs_record(item) == record;

    is_right = is_right && rs_count(event, "list") == 2 && rs_count(event, "none") == 0 && rs_int(item, "x") == 2;
    is_right = is_right && rs_int(rs_item(event, "list", 0), "") == 1 && rs_has(item, "x") && !rs_has(item, "list");
    is_right = is_right && rs_header(event, "trace", &trace) && trace.size == 3 && !rs_header(event, "other", &trace);
    is_right = is_right && rs_header(item, "trace", &trace) && rs_int_or(event, "none", 9) == 9 && rs_has(event, "text");
    is_right = is_right && rs_equals(rs_text_or(event, "null", rs_string("f")), "f") && !rs_has(event, "null");
    (void)batch;
    return is_right ? RS_DONE : RS_POISON;
}

SCRIPT(goes_on_after_a_missing_field)
{
    struct rs_row *thing = touch(batch);
    struct rs_bytes trace;

    /* The first of these marks the event; none of the others may do anything, or crash. */
    if (rs_int(event, "gone") != 0 || rs_text(event, "text").size != 0 || rs_count(event, "list") != 0 || rs_has(event, "text") ||
        rs_header(event, "trace", &trace) || rs_int(rs_item(event, "list", 1), "x") != 0 || rs_record(rs_item(event, "q", 9)) == NULL)
        return RS_BROKEN;
    rs_set_int(thing, 99, 1);
    rs_remove(thing);
    if (rs_exists(rs_row(batch, 99, "a")) || rs_get_int(thing, N) != 0 || !rs_is_null(thing, N))
        return RS_BROKEN;
    rs_emit(batch, &(struct rs_message){.topic = ""});
    return rs_alloc(batch, 100) == NULL ? RS_BROKEN : RS_DONE;
}

SCRIPT(wrong_type)
{
    (void)touch(batch);
    (void)rs_int_or(event, "text", 5);
    return RS_DONE;
}

SCRIPT(past_the_end)
{
    const struct rs_event *item = rs_item(event, "list", 2);

    (void)touch(batch);
    (void)rs_count(item, "");
    (void)rs_item(item, "", 0);
    return rs_has(item, "") ? RS_BROKEN : RS_DONE;
}

static void test_a_handler_reads_its_event(void **state)
{
    struct world world;

    (void)state;
    open_world(&world);
    assert_int_equal(apply(&world, "a", "{\"type\":\"Run\",\"list\":[1,{\"x\":2}],\"text\":\"t\",\"null\":null}", reads_all), APPLY_DONE);
    close_world(&world);
    expect_error(goes_on_after_a_missing_field, ERROR_POISON, "field gone is missing");
    expect_error(wrong_type, ERROR_POISON, "field text: \"t\" is not an integer");
    expect_error(past_the_end, ERROR_POISON, "field list has 2 items; item 2 is asked for");
}

/* ---- Record keys ---- */

SCRIPT(other_key)
{
    (void)event, (void)touch(batch);
    rs_add_int(rs_row(batch, THINGS, "b", 1), N, 1);
    return RS_DONE;
}

SCRIPT(follower)
{
    (void)event;
    rs_add_int(rs_row(batch, FOLLOWERS, "b", 1), N, 1);
    return RS_DONE;
}

SCRIPT(only_shared)
{
    (void)event;
    rs_add_int(rs_row(batch, SUMS, "all"), HITS, 1);
    return RS_DONE;
}

SCRIPT(int_as_key)
{
    (void)event, (void)touch(batch);
    rs_add_int(rs_row(batch, THINGS, 5, 1), N, 1);
    return RS_DONE;
}

SCRIPT(null_as_key)
{
    const struct rs_value keys[] = {rs_value_string("a"), rs_value_null()};

    (void)event, (void)touch(batch);
    rs_add_int(rs_row_at(batch, THINGS, keys, 2), N, 1);
    return RS_DONE;
}

static void test_the_record_key_is_the_first_key(void **state)
{
    struct world world;

    (void)state;
    expect_error(other_key, ERROR_POISON, "things.id is \"b\", the record key is \"a\"");
    expect_error(int_as_key, ERROR_BUG, "things.id: the key that the handler gives is not a string: mend the plugin");
    expect_error(null_as_key, ERROR_POISON, "things.part: the key is null");
    open_world(&world);
    assert_int_equal(apply(&world, "a", "{\"type\":\"Run\"}", follower), APPLY_DONE);
    assert_int_equal(apply(&world, NULL, "{\"type\":\"Run\"}", only_shared), APPLY_DONE);
    assert_int_equal(apply(&world, NULL, "{\"type\":\"Run\"}", follower), ERROR_POISON);
    assert_non_null(strstr(world.error.text, "the record has no key, and table followers is partitioned"));
    assert_int_equal(apply(&world, "\xff", "{\"type\":\"Run\"}", done), ERROR_POISON);
    assert_non_null(strstr(world.error.text, "the record key is not text"));
    assert_int_equal(apply(&world, "", "{\"type\":\"Run\"}", done), ERROR_POISON);
    close_world(&world);
}

/* ---- Rows that must be loaded ---- */

SCRIPT(reads_rows)
{
    struct rs_row *first = rs_row(batch, THINGS, "a", 1), *second = rs_row(batch, THINGS, "a", 2);
    int64_t sum = rs_get_int(first, N) + rs_get_int(second, N) + rs_exists(second);

    (void)event;
    rs_set_int(rs_row(batch, THINGS, "a", 3), N, sum);
    return rs_exists(first) ? RS_DONE : rs_fail(batch, RS_POISON, "no such thing");
}

static void load(struct world *world, int64_t n)
{
    struct cell cells[4] = {{.operation = CELL_SET, .size = 1, .as.data = "a"},
                            {.operation = CELL_SET, .as.integer = 1},
                            {.operation = CELL_SET, .as.integer = n},
                            {.operation = CELL_SET, .is_null = true}};
    size_t n_wanted;
    const struct wanted_row *wanted = batch_wanted(world->batch, &n_wanted);

    for (size_t i = 0; i < n_wanted; i++) {
        cells[PART].as.integer = wanted[i].keys[1].as.integer;
        assert_int_equal(row_cache_put(world->cache, wanted[i].table, wanted[i].key, wanted[i].key_size, cells, 1, &world->error), 0);
    }
    batch_clear_wanted(world->batch);
}

static void test_a_run_finds_all_the_rows_it_needs(void **state)
{
    const struct change_group *groups;
    struct world world;
    size_t n;

    (void)state;
    open_world(&world);
    assert_int_equal(apply(&world, "a", "{\"type\":\"Run\"}", reads_rows), APPLY_NEEDS_ROWS);
    batch_wanted(world.batch, &n);
    assert_int_equal(n, 2); /* both in one run, whose rs_fail() does not count */
    assert_true(batch_is_empty(world.batch));
    load(&world, 20);
    assert_int_equal(apply(&world, "a", "{\"type\":\"Run\"}", reads_rows), APPLY_DONE);
    assert_int_equal(n_runs, 2);
    assert_int_equal(batch_close(world.batch, &world.error), 0);
    groups = batch_groups(world.batch, &n);
    assert_int_equal(n, 1);
    assert_int_equal(groups->n_rows, 1);
    assert_int_equal(groups->rows[0]->cells[N].as.integer, 41);
    close_world(&world);
}

static void test_declared_reads_are_asked_for_beforehand(void **state)
{
    struct world world;
    size_t n;
    const struct wanted_row *wanted;

    (void)state;
    open_world(&world);
    assert_true(plugin_host_reads(world.host));
    script = done;
    plugin_host_prefetch(world.host, decode(&world, "a", "{\"type\":\"Read\",\"part\":8}"), world.batch);
    wanted = batch_wanted(world.batch, &n);
    assert_int_equal(n, 1);
    assert_int_equal(wanted->keys[1].as.integer, 8);
    assert_memory_equal(wanted->keys[0].as.data, "a", 1);
    assert_int_equal(n_runs, 0);
    /* Not asked for: absent or wrong fields, no record key, other types. */
    plugin_host_prefetch(world.host, decode(&world, "a", "{\"type\":\"Read\"}"), world.batch);
    plugin_host_prefetch(world.host, decode(&world, "a", "{\"type\":\"Read\",\"part\":\"8\"}"), world.batch);
    plugin_host_prefetch(world.host, decode(&world, NULL, "{\"type\":\"Read\",\"part\":9}"), world.batch);
    plugin_host_prefetch(world.host, decode(&world, "a", "{\"type\":\"Run\",\"part\":9}"), world.batch);
    plugin_host_prefetch(world.host, decode(&world, "a", "{\"type\":\"Unknown\"}"), world.batch);
    batch_wanted(world.batch, &n);
    assert_int_equal(n, 1);
    close_world(&world);
}

/* Two of these are more than 128 bits hold, though each fits the column: the batch has to be written in between. */
SCRIPT(adds_the_most)
{
    struct rs_decimal most = {.low = UINT64_C(0x098a223fffffffff), .high = INT64_C(0x4b3b4ca85a86c47a)}; /* 10^38 - 1 */

    (void)event, (void)touch(batch);
    rs_add_decimal(rs_row(batch, SUMS, "all"), COST, most);
    rs_set_text(rs_row(batch, THINGS, "a", 1), 99, rs_string("never reached when full"));
    return RS_DONE;
}

SCRIPT(adds_the_most_once)
{
    struct rs_decimal most = {.low = UINT64_C(0x098a223fffffffff), .high = INT64_C(0x4b3b4ca85a86c47a)};

    (void)event;
    rs_add_decimal(rs_row(batch, SUMS, "all"), COST, most);
    return RS_DONE;
}

static void test_a_full_batch_undoes_the_event(void **state)
{
    struct world world;

    (void)state;
    open_world(&world);
    assert_int_equal(apply(&world, "a", "{\"type\":\"Run\"}", adds_the_most_once), APPLY_DONE);
    assert_int_equal(apply(&world, "a", "{\"type\":\"Run\"}", adds_the_most), APPLY_FULL);
    assert_int_equal(batch_close(world.batch, &world.error), 0); /* with the first only */
    batch_reset(world.batch, NULL, world.cache);
    assert_int_equal(apply(&world, "a", "{\"type\":\"Run\"}", adds_the_most), ERROR_BUG); /* now it is the column that does not exist */
    close_world(&world);
}

/* ---- Memory and bounds ---- */

SCRIPT(allocates)
{
    char *first = rs_alloc(batch, 1000000), *none = rs_alloc(batch, 0), *second = rs_alloc(batch, 40000);

    (void)event;
    if (first == NULL || none == NULL || second == NULL || first[999999] != 0 || second[39999] != 0)
        return RS_POISON;
    memset(first, 'x', 1000000);
    memset(second, 'x', 40000);
    return RS_DONE;
}

SCRIPT(allocates_too_much)
{
    (void)event, (void)touch(batch);
    return rs_alloc(batch, 1000000) != NULL && rs_alloc(batch, 50000) == NULL ? RS_DONE : RS_SKIP;
}

SCRIPT(allocates_nothing_forever)
{
    (void)event, (void)touch(batch);
    while (rs_alloc(batch, 0) != NULL)
        continue;
    return RS_DONE;
}

SCRIPT(allocates_everything)
{
    (void)event, (void)touch(batch);
    return rs_alloc(batch, SIZE_MAX) == NULL ? RS_DONE : RS_SKIP;
}

SCRIPT(names_rows_forever)
{
    (void)event, (void)touch(batch);
    for (int i = 0; i < 200000; i++)
        rs_row(batch, THINGS, "a", 1);
    return RS_DONE;
}

SCRIPT(names_many_rows)
{
    struct rs_row *rows[100];

    (void)event;
    for (int i = 0; i < 100; i++)
        rows[i] = rs_row(batch, THINGS, "a", i);
    for (int i = 0; i < 100; i++)
        rs_set_int(rows[i], N, i);
    for (int i = 0; i < 100; i++)
        if (rs_get_int(rows[i], N) != i)
            return RS_POISON;
    return RS_DONE;
}

static void test_an_event_is_bounded(void **state)
{
    struct world world;

    (void)state;
    open_world(&world);
    for (int i = 0; i < 5; i++) /* as much for each event, and zeroed each time */
        assert_int_equal(apply(&world, "a", "{\"type\":\"Run\"}", allocates), APPLY_DONE);
    for (int i = 0; i < 1100; i++) /* the bound is each event's own */
        assert_int_equal(apply(&world, "a", "{\"type\":\"Run\"}", names_many_rows), APPLY_DONE);
    close_world(&world);
    expect_error(allocates_too_much, ERROR_POISON, "more than 1048576 bytes");
    expect_error(allocates_nothing_forever, ERROR_POISON, "more than 1048576 bytes");
    expect_error(allocates_everything, ERROR_POISON, "more than 1048576 bytes");
    expect_error(names_rows_forever, ERROR_POISON, "touches more than 100000 rows");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_what_no_handler_takes_is_unhandled),
        cmocka_unit_test(test_a_handler_reads_its_event),
        cmocka_unit_test(test_the_record_key_is_the_first_key),
        cmocka_unit_test(test_a_run_finds_all_the_rows_it_needs),
        cmocka_unit_test(test_declared_reads_are_asked_for_beforehand),
        cmocka_unit_test(test_a_full_batch_undoes_the_event),
        cmocka_unit_test(test_an_event_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
