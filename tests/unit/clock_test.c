/*
 * clock, random numbers, back-off and hash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void test_clocks_run(void **state)
{
    int64_t before = clock_system.monotonic_us(clock_system.self);
    int64_t wall = clock_system.wall_us(clock_system.self);

    (void)state;
    assert_true(clock_system.monotonic_us(clock_system.self) >= before);
    assert_true(wall > INT64_C(1600000000) * 1000000); /* 2020 */
}

static void test_random_is_a_function_of_its_state(void **state)
{
    uint64_t seed = 0;

    (void)state; /* the reference implementation's first numbers from 0 */
    assert_true(random_next(&seed) == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(random_next(&seed) == UINT64_C(0x6e789e6aa1b965f4));
}

static void test_uuids_are_version_4_and_differ(void **state)
{
    uint8_t a[16];
    uint8_t b[16];

    (void)state;
    assert_int_equal(random_uuid(a), 0);
    assert_int_equal(random_uuid(b), 0);
    assert_int_equal(a[6] >> 4, 4);
    assert_int_equal(a[8] >> 6, 2);
    assert_memory_not_equal(a, b, 16);
}

static void test_backoff_doubles_up_to_its_bound(void **state)
{
    uint64_t seed = 7;
    bool has_varied = false;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t full = 1000;

        for (unsigned attempt = 0; attempt < 12; attempt++) {
            int64_t delay = backoff_us(attempt, 1000, 30000, &seed);

            assert_in_range(delay, full / 2, full);
            has_varied = has_varied || delay != full / 2;
            full = full * 2 > 30000 ? 30000 : full * 2;
        }
    }
    assert_true(has_varied);
    assert_in_range(backoff_us(4000000000U, 1, INT64_MAX, &seed), INT64_MAX / 2, INT64_MAX);
    assert_int_equal(backoff_us(3, 0, 0, &seed), 0);
    assert_in_range(backoff_us(0, 500, 100, &seed), 50, 100);
}

static void test_hash_sees_every_byte_and_size(void **state)
{
    unsigned char data[100] = {0};

    (void)state;
    for (size_t size = 0; size <= sizeof data; size++) {
        uint64_t plain = hash_bytes(data, size, 1);

        assert_true(plain == hash_bytes(data, size, 1));
        assert_true(plain != hash_bytes(data, size, 2));
        assert_true(size == 0 || plain != hash_bytes(data, size - 1, 1));
        for (size_t i = 0; i < size; i++) {
            data[i] = 1;
            assert_true(plain != hash_bytes(data, size, 1));
            data[i] = 0;
        }
    }
}

/* Where the bytes lie in memory does not matter, and nothing behind them is read (the sanitizer looks). */
static void test_hash_reads_only_its_bytes(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 70; size++) {
        unsigned char *a = malloc(size);
        unsigned char *b = malloc(size + 1);

        assert_non_null(a);
        assert_non_null(b);
        memset(a, 0x5a, size);
        memset(b + 1, 0x5a, size);
        assert_true(hash_bytes(a, size, 9) == hash_bytes(b + 1, size, 9));
        free(a);
        free(b);
    }
}

static void test_hash_spreads_keys_that_are_alike(void **state)
{
    enum { BUCKETS = 1024, KEYS = 64 * BUCKETS };
    static unsigned low[BUCKETS];
    static unsigned high[BUCKETS];

    (void)state;
    for (uint64_t i = 0; i < KEYS; i++) {
        uint64_t hash = hash_bytes(&i, sizeof i, 42);

        low[hash % BUCKETS]++;
        high[hash >> 54]++;
    }
    for (size_t i = 0; i < BUCKETS; i++) { /* 64 expected; 8 standard deviations */
        assert_in_range(low[i], 1, 128);
        assert_in_range(high[i], 1, 128);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clocks_run),
        cmocka_unit_test(test_random_is_a_function_of_its_state),
        cmocka_unit_test(test_uuids_are_version_4_and_differ),
        cmocka_unit_test(test_backoff_doubles_up_to_its_bound),
        cmocka_unit_test(test_hash_sees_every_byte_and_size),
        cmocka_unit_test(test_hash_reads_only_its_bytes),
        cmocka_unit_test(test_hash_spreads_keys_that_are_alike),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
