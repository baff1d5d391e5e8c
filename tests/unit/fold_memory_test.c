/*
 * fold and memory: a steady state allocates nothing per event, the row cache is bounded, and every allocation can fail.
 *
 * Linked with wrapped malloc, calloc, realloc and free.
 */
#include "fold/batch.h"

#include "../tools/fold_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *data, size_t size);
void __real_free(void *data);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *data, size_t size);
void __wrap_free(void *data);

static long n_allocations;
static long failing = LONG_MAX; /* the number of the one that fails */
static size_t live_bytes;

static bool may_allocate(void)
{
    return n_allocations++ != failing;
}

static void *count(void *data)
{
    live_bytes += malloc_usable_size(data);
    return data;
}

void *__wrap_malloc(size_t size)
{
    return may_allocate() ? count(__real_malloc(size)) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return may_allocate() ? count(__real_calloc(n, size)) : NULL;
}

void *__wrap_realloc(void *data, size_t size)
{
    if (!may_allocate())
        return NULL;
    live_bytes -= malloc_usable_size(data);
    return count(__real_realloc(data, size));
}

void __wrap_free(void *data)
{
    live_bytes -= malloc_usable_size(data);
    __real_free(data);
}

/* ---- Steady state ---- */

static void fold_many(struct fixture *f)
{
    char name[16];

    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "a%d", i % 700);
        assert_int_equal(fixture_keep_add(f, name, EVENTS, 1), 0);
        assert_int_equal(fixture_keep_set(f, name, OWNER, fixture_text(i % 2 == 0 ? "Alice" : "Bob")), 0);
    }
}

static void test_a_steady_state_allocates_nothing(void **state)
{
    struct fixture f;
    long before;

    (void)state;
    assert_true(fixture_open(&f, 10000, 4 << 20));
    for (int i = 0; i < 2; i++) {
        fold_many(&f);
        assert_int_equal(fixture_turn(&f), 0);
    }
    before = n_allocations;
    fold_many(&f);
    assert_int_equal(n_allocations, before);
    fixture_close(&f);
}

/* ---- The cache ---- */

static void put(struct row_cache *cache, unsigned number, unsigned text_size)
{
    static char text[200];
    struct cell cells[N_ACCOUNT_COLUMNS] = {[OWNER] = {.size = text_size, .as.data = text}};
    struct error error;
    char key[16];

    snprintf(text, sizeof text, "%u", number);
    for (uint32_t i = 0; i < N_ACCOUNT_COLUMNS; i++)
        cells[i].is_null = i != OWNER;
    snprintf(key, sizeof key, "%u", number);
    assert_int_equal(row_cache_put(cache, &fixture_tables[ACCOUNTS], (const uint8_t *)key, (uint32_t)strlen(key), cells, 0, &error),
                     0);
}

static bool is_cached(struct fixture *f, const char *name)
{
    bool exists;

    batch_reset(f->batch, NULL, f->cache);
    return batch_exists(f->batch, fixture_row(f, name), &exists, &f->error) == 0;
}

static void test_the_cache_is_bounded(void **state)
{
    const size_t bound = 4 << 20;
    struct fixture f;
    size_t before;

    (void)state;
    assert_true(fixture_open(&f, 10, 1 << 20));
    row_cache_free(f.cache);
    before = live_bytes;
    f.cache = row_cache_new(fixture_tables, N_TABLES, bound, 1);
    assert_non_null(f.cache);
    for (unsigned i = 0; i < 100000; i++) {
        put(f.cache, i, 20);
        assert_true(live_bytes - before < bound + bound / 4);
    }
    assert_true(is_cached(&f, "99999"));
    assert_true(is_cached(&f, "98500"));
    assert_false(is_cached(&f, "1"));
    for (unsigned i = 0; i < 100000; i++) { /* few rows, again and again with another text */
        put(f.cache, i % 50, 20 + i % 100);
        assert_true(live_bytes - before < bound + bound / 4);
    }
    assert_true(is_cached(&f, "7"));
    row_cache_clear(f.cache);
    assert_false(is_cached(&f, "7"));
    fixture_close(&f);
}

/* ---- Failures ---- */

static int emit(struct fixture *f)
{
    const struct rs_header header = {.name = "h", .value = {"v", 1}};
    const struct rs_message message = {
        .topic = "t", .key = {"k", 1}, .value = {"v", 1}, .headers = &header, .n_headers = 1, .header_size = sizeof header};

    return batch_emit(f->batch, &message, &f->error);
}

static int load_all(struct fixture *f)
{
    size_t n;
    const struct wanted_row *wanted = batch_wanted(f->batch, &n);
    struct cell cells[N_ACCOUNT_COLUMNS] = {[ACCOUNT] = {.size = 1, .as.data = "a"}, [OWNER] = {.size = 3, .as.data = "Bob"}};
    int result = 0;

    for (size_t i = 0; i < n && result == 0; i++) {
        result = batch_load(f->batch, i, cells, 0, &f->error);
        if (result == 0)
            result = row_cache_put(f->cache, wanted[i].table, wanted[i].key, wanted[i].key_size, cells, 0, &f->error);
    }
    batch_clear_wanted(f->batch);
    return result;
}

static int fold_event(struct fixture *f, const char *name)
{
    struct rs_value key = fixture_text(name), value;
    struct row *row;
    int result;

    batch_begin(f->batch, "bank", 0, 0);
    result = batch_row(f->batch, ACCOUNTS, &key, 1, &row, &f->error);
    if (result == 0)
        result = batch_get(f->batch, row, OWNER, RS_TEXT, &value, &f->error);
    if (result == FOLD_NEEDS_ROW)
        result = load_all(f);
    if (result == 0)
        result = fixture_add(f, row, EVENTS, 1);
    if (result == 0)
        result = fixture_set(f, row, OWNER, fixture_text("Alice"));
    if (result == 0)
        result = emit(f);
    if (result == 0)
        batch_keep(f->batch);
    else
        batch_undo(f->batch);
    return result;
}

/* Everything that allocates. The first failure that was told, or 0; nothing stops at it. */
static int run_all(void)
{
    struct fixture f;
    int failure = 0, result;
    char name[16];

    if (!fixture_open(&f, 10000, 16 << 20)) {
        fixture_close(&f);
        return ERROR_BUG;
    }
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < 400; i++) {
            snprintf(name, sizeof name, "a%d", i);
            result = fold_event(&f, name);
            failure = failure == 0 ? result : failure;
        }
        result = batch_close(f.batch, &f.error);
        failure = failure == 0 ? result : failure;
        if (result == 0)
            row_cache_absorb(f.cache, f.batch);
        batch_reset(f.batch, NULL, f.cache);
    }
    fixture_close(&f);
    return failure;
}

static void test_every_allocation_can_fail(void **state)
{
    long n, n_told = 0;

    (void)state;
    n_allocations = 0;
    assert_int_equal(run_all(), 0);
    n = n_allocations;
    assert_true(n > 20);
    for (failing = 0; failing < n; failing++) {
        size_t before = live_bytes;
        int result;

        n_allocations = 0;
        result = run_all();
        assert_true(result == ERROR_BUG || result == 0); /* absorbing tells nobody: the cache then knows less */
        assert_int_equal(live_bytes, before);
        n_told += result != 0;
    }
    assert_true(n_told > n / 2);
    failing = LONG_MAX;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_steady_state_allocates_nothing),
        cmocka_unit_test(test_the_cache_is_bounded),
        cmocka_unit_test(test_every_allocation_can_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
