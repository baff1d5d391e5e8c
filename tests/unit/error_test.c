/*
 * error: filling, wrapping, cutting.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"

#include <string.h>

static void test_set_fills_class_and_text(void **state)
{
    struct error error = {.code = "22003"};

    (void)state;
    assert_int_equal(error_set(&error, ERROR_POISON, "field %s\nis %d\n", "amount", 7), ERROR_POISON);
    assert_int_equal(error.class, ERROR_POISON);
    assert_string_equal(error.text, "field amount is 7");
    assert_string_equal(error.code, "");
    assert_int_equal(error_set(NULL, ERROR_BUG, "nobody asks"), ERROR_BUG);
}

static void test_wrap_puts_the_place_in_front(void **state)
{
    struct error error;

    (void)state;
    error_set(&error, ERROR_TRANSIENT, "server closed the connection");
    memcpy(error.code, "08006", sizeof "08006");
    assert_int_equal(error_wrap(&error, "pipeline %s: commit", "accounts"), ERROR_TRANSIENT);
    assert_string_equal(error.text, "pipeline accounts: commit: server closed the connection");
    assert_string_equal(error.code, "08006");
}

static void test_own_text_may_be_an_argument(void **state)
{
    struct error error;

    (void)state;
    error_set(&error, ERROR_CONFIG, "first");
    error_set(&error, ERROR_HALT, "again: %s", error.text);
    assert_string_equal(error.text, "again: first");
}

static void test_long_text_is_cut_between_characters(void **state)
{
    char longer[3 * ERROR_TEXT_SIZE] = "";
    struct error error;

    (void)state;
    for (size_t i = 0; i + 2 < sizeof longer; i += 2) {
        memcpy(longer + i, "\xc3\xa9", 3);
    }
    for (int shift = 0; shift < 3; shift++) {
        size_t size;

        error_set(&error, ERROR_BUG, "%.*s%s", shift, "xxx", longer);
        size = strlen(error.text);
        assert_in_range(size, ERROR_TEXT_SIZE - 3, ERROR_TEXT_SIZE - 1);
        assert_string_equal(error.text + size - 3, "...");
        assert_int_equal((unsigned char)error.text[size - 4], 0xa9);
    }
    error_wrap(&error, "%s", longer);
    assert_string_equal(error.text + strlen(error.text) - 3, "...");
}

static void test_every_class_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(error_class_name(ERROR_TRANSIENT), "transient");
    assert_string_equal(error_class_name(ERROR_POISON), "poison");
    assert_string_equal(error_class_name(ERROR_FENCED), "fenced");
    assert_string_equal(error_class_name(ERROR_CONFIG), "config");
    assert_string_equal(error_class_name(ERROR_BUG), "bug");
    assert_string_equal(error_class_name(ERROR_UNKNOWN), "unknown outcome");
    assert_string_equal(error_class_name(ERROR_HALT), "halt");
    assert_string_equal(error_class_name(-99), "unknown class");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_fills_class_and_text),
        cmocka_unit_test(test_wrap_puts_the_place_in_front),
        cmocka_unit_test(test_own_text_may_be_an_argument),
        cmocka_unit_test(test_long_text_is_cut_between_characters),
        cmocka_unit_test(test_every_class_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
