/*
 * fold: which keys are the same row, and that the bytes of keys order as their values do.
 */
#include "fold/batch.h"

#include "../tools/fold_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static struct fixture f;

static int open_fixture(void **state)
{
    (void)state;
    return fixture_open(&f, 1000, 1 << 20) ? 0 : -1;
}

static int close_fixture(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

static struct row *pair(const char *a, const char *b)
{
    struct rs_value keys[] = {fixture_text(a), fixture_text(b)};
    struct row *row;

    assert_int_equal(batch_row(f.batch, PAIRS, keys, 2, &row, &f.error), 0);
    return row;
}

static struct row *mixed(const char *raw, size_t size, struct rs_decimal price, int64_t number)
{
    struct rs_value keys[] = {rs_value_bytes((struct rs_bytes){.data = raw, .size = size}), rs_value_decimal(price),
                              rs_value_int(number)};
    struct row *row;

    assert_int_equal(batch_row(f.batch, MIXED, keys, 3, &row, &f.error), 0);
    return row;
}

static void assert_below(const struct row *a, const struct row *b)
{
    size_t size = a->key_size < b->key_size ? a->key_size : b->key_size;
    int order = memcmp(a->key, b->key, size);

    assert_true(order < 0 || (order == 0 && a->key_size < b->key_size));
}

static void test_equal_keys_are_one_row(void **state)
{
    struct row *row = mixed("a\0b", 3, rs_decimal_of(150, 2), -1);

    (void)state;
    assert_ptr_equal(mixed("a\0b", 3, rs_decimal_of(15, 1), -1), row);
    assert_ptr_equal(mixed("a\0b", 3, rs_decimal_of(15000, 4), -1), row);
    assert_ptr_not_equal(mixed("a\0b", 2, rs_decimal_of(15, 1), -1), row);
    assert_int_equal(row->cells[0].size, 3);
    assert_memory_equal(row->cells[0].as.data, "a\0b", 3);
    assert_int_equal(mixed("plain", 5, rs_decimal_of(1, 0), 1)->cells[0].size, 5);
    assert_memory_equal(mixed("plain", 5, rs_decimal_of(1, 0), 1)->cells[0].as.data, "plain", 5);
    assert_ptr_not_equal(pair("ab", "c"), pair("a", "bc"));
    assert_ptr_not_equal(pair("", "x"), pair("x", ""));
    assert_string_equal(pair("ab", "c")->cells[0].as.data, "ab");
    assert_string_equal(pair("ab", "c")->cells[2].as.data, "c");
}

static void test_key_bytes_order_as_the_values(void **state)
{
    (void)state;
    assert_below(pair("", "z"), pair("a", ""));
    assert_below(pair("a", "z"), pair("a b", ""));
    assert_below(pair("a", "a"), pair("a", "ab"));
    assert_below(mixed("", 0, rs_decimal_of(9, 0), 9), mixed("\0", 1, rs_decimal_of(0, 0), 0));
    assert_below(mixed("\0", 1, rs_decimal_of(9, 0), 9), mixed("\0\0", 2, rs_decimal_of(0, 0), 0));
    assert_below(mixed("\0\xff", 2, rs_decimal_of(9, 0), 9), mixed("\1", 1, rs_decimal_of(0, 0), 0));
    assert_below(mixed("", 0, rs_decimal_of(-1, 2), 9), mixed("", 0, rs_decimal_of(0, 0), 0));
    assert_below(mixed("", 0, rs_decimal_of(-10, 0), 9), mixed("", 0, rs_decimal_of(-999, 2), 0));
    assert_below(mixed("", 0, rs_decimal_of(0, 0), INT64_MIN), mixed("", 0, rs_decimal_of(0, 0), -1));
    assert_below(mixed("", 0, rs_decimal_of(0, 0), -1), mixed("", 0, rs_decimal_of(0, 0), 0));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_equal_keys_are_one_row),
        CASE(test_key_bytes_order_as_the_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
