/*
 * decimal: text to number and back, rescaling, against naive counterparts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/decimal.h" /* before cmocka.h, whose macro fail() would hide a member */

#include <cmocka.h>

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define NINES19 "9999999999999999999"
#define NINES38 NINES19 NINES19

static void expect(const char *text, const char *printed, int32_t scale)
{
    struct rs_decimal decimal = {.scale = -1};
    char back[48];

    if (!decimal_parse(text, strlen(text), &decimal)) {
        fail_msg("%s was refused", text);
    }
    assert_int_equal(decimal_print(decimal, back), strlen(printed));
    assert_string_equal(back, printed);
    assert_int_equal(decimal.scale, scale);
    assert_int_equal(decimal.reserved, 0);
}

static void refuse(const char *text)
{
    struct rs_decimal decimal = {.low = 4711};

    if (decimal_parse(text, strlen(text), &decimal)) {
        fail_msg("%s was taken", text);
    }
    assert_int_equal(decimal.low, 4711);
}

static void test_parse_keeps_the_text_s_scale(void **state)
{
    (void)state;
    expect("0", "0", 0);
    expect("-12.50", "-12.50", 2);
    expect("+7", "7", 0);
    expect("007.5", "7.5", 1);
    expect("-0.0", "0.0", 1);
    expect("1e3", "1000", 0);
    expect("1.5E-3", "0.0015", 4);
    expect("1.50e1", "15.0", 1);
    expect("1.5e+3", "1500", 0);
    expect("0e99999999999", "0", 0);
    expect("123456789012345678", "123456789012345678", 0);
    expect("12345678901234567.8", "12345678901234567.8", 1);
    expect("-1234567890123456789012.34", "-1234567890123456789012.34", 2);
    expect(NINES38, NINES38, 0);
    expect("-" NINES19 "." NINES19, "-" NINES19 "." NINES19, 19);
    expect("0." NINES38, "0." NINES38, 38);
    expect("-0." NINES38, "-0." NINES38, 38);
    expect("000000000000000000000000000000000000000000001", "1", 0);
    expect("1e37", "10000000000000000000000000000000000000", 0);
    expect("1e-38", "0.00000000000000000000000000000000000001", 38);
    expect("18446744073709551616", "18446744073709551616", 0);
}

static void test_parse_refuses_what_is_no_number(void **state)
{
    static const char *const texts[] = {
        "", "-", "+", ".", "1.", ".5", "1e", "1e+", "1e-", "e5", "1..2", "1.2.3", "--1", "+-1", " 1", "1 ", "0x10", "nan", "inf",
        "1,5", "1e5.0", "1e5x", "1.x", "\xef\xbc\x91", NINES38 "9", "1" NINES38, "1e38", "1e39", "1e-39", "0.0" NINES38,
        "10e37", "0e-39", "1e99999999999999999999", "1e-99999999999999999999",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        refuse(texts[i]);
    }
}

static void test_parse_stops_at_the_size(void **state)
{
    struct rs_decimal decimal;

    (void)state;
    assert_true(decimal_parse("12.345", 4, &decimal));
    assert_true(decimal_coefficient(decimal) == 123);
    assert_false(decimal_parse("12.345", 3, &decimal));
}

static void test_print_of_any_bits_stays_in_48_bytes(void **state)
{
    char text[48];

    (void)state;
    decimal_print(decimal_make((int128)((unsigned __int128)1 << 127), 38), text);
    assert_string_equal(text, "-1.70141183460469231731687303715884105728");
    decimal_print(decimal_make((int128)((unsigned __int128)1 << 127), 1000000), text);
    decimal_print(decimal_make(-5, -3), text);
    assert_string_equal(text, "-5");
}

static void test_powers(void **state)
{
    int128 power = 1;

    (void)state;
    for (unsigned i = 0; i <= 38; i++) {
        assert_true(decimal_power(i) == power);
        power *= i < 38 ? 10 : 1;
    }
}

static void rescale(const char *text, uint32_t precision, uint32_t scale, const char *expected)
{
    struct rs_decimal decimal;
    int128 coefficient = 4711;
    char back[48];

    assert_true(decimal_parse(text, strlen(text), &decimal));
    if (expected == NULL) {
        assert_false(decimal_rescale(decimal, precision, scale, &coefficient));
        assert_true(coefficient == 4711);
        return;
    }
    assert_true(decimal_rescale(decimal, precision, scale, &coefficient));
    decimal_print(decimal_make(coefficient, (int32_t)scale), back);
    assert_string_equal(back, expected);
}

static void test_rescale_loses_nothing(void **state)
{
    (void)state;
    rescale("12.5", 20, 2, "12.50");
    rescale("12.500", 20, 2, "12.50");
    rescale("12.505", 20, 2, NULL);
    rescale("-12.505", 20, 2, NULL);
    rescale("0", 0, 0, "0");
    rescale("9.99", 3, 2, "9.99");
    rescale("10.00", 3, 2, NULL);
    rescale("-10.00", 3, 2, NULL);
    rescale("-9.99", 3, 2, "-9.99");
    rescale(NINES38, 38, 0, NINES38);
    rescale(NINES38, 38, 1, NULL);
    rescale("1", 38, 37, "1.0000000000000000000000000000000000000");
    rescale("1", 38, 38, NULL);
    rescale("0.00000000000000000000000000000000000000", 1, 0, "0");
    rescale("1", 39, 0, NULL);
    rescale("1", 38, 39, NULL);
    assert_false(decimal_rescale(decimal_make(1, 39), 38, 0, &(int128){0}));
    assert_false(decimal_rescale(decimal_make(1, -1), 38, 0, &(int128){0}));
    assert_false(decimal_rescale(decimal_make((int128)((unsigned __int128)1 << 127), 0), 38, 0, &(int128){0}));
}

/* Numbers of every length and scale, there and back. */
static void test_round_trip(void **state)
{
    uint64_t seed = 11;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        unsigned digits = (unsigned)(random_next(&seed) % 39);
        int128 wide = (int128)((unsigned __int128)random_next(&seed) << 64 | random_next(&seed));
        int128 coefficient = wide % decimal_power(digits);
        struct rs_decimal decimal = decimal_make(coefficient, (int32_t)(random_next(&seed) % 39));
        struct rs_decimal back;
        char text[48];
        size_t size = decimal_print(decimal, text);

        assert_true(decimal_coefficient(decimal) == coefficient);
        assert_true(decimal_parse(text, size, &back));
        assert_true(decimal_coefficient(back) == coefficient);
        assert_int_equal(back.scale, decimal.scale);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_keeps_the_text_s_scale),
        cmocka_unit_test(test_parse_refuses_what_is_no_number),
        cmocka_unit_test(test_parse_stops_at_the_size),
        cmocka_unit_test(test_print_of_any_bits_stays_in_48_bytes),
        cmocka_unit_test(test_powers),
        cmocka_unit_test(test_rescale_loses_nothing),
        cmocka_unit_test(test_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
