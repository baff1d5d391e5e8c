/*
 * dispatch: which of the handlers takes an event of a type and version.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/dispatch.h" /* before cmocka.h, whose macro fail() would hide a member */

#include <cmocka.h>

static enum rs_verdict taken(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    (void)self, (void)event, (void)batch;
    return RS_DONE;
}

static const struct rs_handler dispatched[] = {
    {"A", taken, 2, 3}, {RS_ANY, taken, 7, 7}, {"A", taken, 5}, {"B", taken, 0, 2},
    {RS_TOMBSTONE, taken}, {RS_ANY, taken, 9},
};

static void expect_handler(const struct dispatch *dispatch, const char *type, int64_t version, int expected)
{
    const struct rs_handler *handler = dispatch_find(dispatch, rs_string(type), version);

    if (handler != (expected < 0 ? NULL : &dispatched[expected]))
        fail_msg("%s %d is taken by %d", type, (int)version, handler == NULL ? -1 : (int)(handler - dispatched));
}

static void test_type_and_version_choose_the_handler(void **state)
{
    struct arena *arena = arena_new(4096, 0);
    struct dispatch *dispatch = dispatch_new(arena, dispatched, RS_COUNT(dispatched));

    (void)state;
    expect_handler(dispatch, "A", 1, -1);
    expect_handler(dispatch, "A", 2, 0);
    expect_handler(dispatch, "A", 3, 0);
    expect_handler(dispatch, "A", 4, -1);
    expect_handler(dispatch, "A", 5, 2);
    expect_handler(dispatch, "A", 7, 2); /* RS_ANY comes after all others, wherever it stands */
    expect_handler(dispatch, "A", INT64_MAX, 2);
    expect_handler(dispatch, "A", -5, -1);
    expect_handler(dispatch, "B", 0, 3);
    expect_handler(dispatch, "B", 3, -1);
    expect_handler(dispatch, "B", 7, 1);
    expect_handler(dispatch, RS_TOMBSTONE, 7, 4);
    expect_handler(dispatch, "other", 7, 1);
    expect_handler(dispatch, "other", 8, -1);
    expect_handler(dispatch, "other", 9, 5);
    expect_handler(dispatch, RS_ANY, 1, -1);
    expect_handler(dispatch, "", 9, 5);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_type_and_version_choose_the_handler),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
