/*
 * field: each getter's type: what it takes, what it refuses and how it says so.
 */
#include "event_fixture.h"

#include "base/clock.h"
#include "base/decimal.h"

#include <stdio.h>

static int get(const char *json, uint32_t type, struct fixture *fixture, struct rs_value *ret_value)
{
    static char text[8192]; /* outlives the decoder's use of it */

    snprintf(text, sizeof text, "{\"f\":%s}", json);
    must_open(fixture, &untyped, text, NULL);
    return event_get(fixture->event, "f", type, ret_value, &fixture->error);
}

static void refuse(const char *json, uint32_t type, const char *part)
{
    struct fixture fixture;
    struct rs_value value = {.type = 99};
    int result = get(json, type, &fixture, &value);

    if (result != ERROR_POISON)
        fail_msg("%s was taken as type %u", json, type);
    assert_int_equal(value.type, 99);
    if (strstr(fixture.error.text, part) == NULL || strncmp(fixture.error.text, "field f: ", 9) != 0)
        fail_msg("\"%s\" does not say \"%s\"", fixture.error.text, part);
    close_event(&fixture);
}

static void expect_int(const char *json, int64_t expected)
{
    struct fixture fixture;
    struct rs_value value;

    assert_int_equal(get(json, RS_INT, &fixture, &value), 0);
    assert_int_equal(value.type, RS_INT);
    assert_true(value.as.integer == expected);
    close_event(&fixture);
}

static void test_integers(void **state)
{
    (void)state;
    expect_int("5", 5);
    expect_int("-0", 0);
    expect_int("9223372036854775807", INT64_MAX);
    expect_int("-9223372036854775808", INT64_MIN);
    refuse("9223372036854775808", RS_INT, "9223372036854775808 is not an integer within 64 bits");
    refuse("-9223372036854775809", RS_INT, "is not an integer within 64 bits");
    refuse("5.0", RS_INT, "5.0 is not an integer");
    refuse("5e0", RS_INT, "5e0 is not an integer");
    refuse("\"5\"", RS_INT, "\"5\" is not an integer");
    refuse("true", RS_INT, "true is not an integer");
    refuse("[5]", RS_INT, "an array is not an integer");
    refuse("{}", RS_INT, "an object is not an integer");
}

static void expect_decimal(const char *json, const char *printed)
{
    struct fixture fixture;
    struct rs_value value;
    char text[64];

    if (get(json, RS_DECIMAL, &fixture, &value) != 0)
        fail_msg("%s: %s", json, fixture.error.text);
    text[decimal_print(value.as.decimal, text)] = '\0';
    assert_string_equal(text, printed);
    close_event(&fixture);
}

static void test_decimals_are_read_from_their_own_text(void **state)
{
    (void)state;
    expect_decimal("12.50", "12.50");
    expect_decimal("\"12.50\"", "12.50");
    expect_decimal("0.1", "0.1");
    expect_decimal("90071992547409.93", "90071992547409.93"); /* no double has this value */
    expect_decimal("99999999999999999999999999999999999999", "99999999999999999999999999999999999999");
    expect_decimal("-0.00000000000000000000000000000000000001", "-0.00000000000000000000000000000000000001");
    expect_decimal("1e2", "100");
    expect_decimal("\"1E-2\"", "0.01");
    refuse("999999999999999999999999999999999999999", RS_DECIMAL, "is not a decimal of at most 38 digits");
    refuse("1e39", RS_DECIMAL, "is not a decimal");
    refuse("\"\"", RS_DECIMAL, "\"\" is not a decimal");
    refuse("\"12,50\"", RS_DECIMAL, "\"12,50\" is not a decimal");
    refuse("\"+1\"", RS_DECIMAL, "is not a decimal");
    refuse("\"007\"", RS_DECIMAL, "is not a decimal");
    refuse("\"-\"", RS_DECIMAL, "is not a decimal");
    refuse("\".5\"", RS_DECIMAL, "is not a decimal");
    refuse("\" 5\"", RS_DECIMAL, "is not a decimal");
    refuse("\"0x10\"", RS_DECIMAL, "is not a decimal");
    refuse("true", RS_DECIMAL, "is not a decimal");
}

static void test_random_decimals_keep_every_digit(void **state)
{
    uint64_t random = 11;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        char text[64];
        int at = 0, digits = 1 + (int)(random_next(&random) % 30), scale = (int)(random_next(&random) % 8);

        if (random_next(&random) % 2 == 0)
            text[at++] = '-';
        text[at++] = (char)('1' + random_next(&random) % 9);
        for (int i = 1; i < digits; i++)
            text[at++] = (char)('0' + random_next(&random) % 10);
        if (scale > 0)
            text[at++] = '.';
        for (int i = 0; i < scale; i++)
            text[at++] = (char)('0' + random_next(&random) % 10);
        text[at] = '\0';
        expect_decimal(text, text);
    }
}

static void test_reals_text_and_bool(void **state)
{
    struct fixture fixture;
    struct rs_value value;

    (void)state;
    assert_int_equal(get("-1.5e3", RS_REAL, &fixture, &value), 0);
    assert_true(value.as.real == -1500.0);
    close_event(&fixture);
    refuse("1e999", RS_REAL, "is not a number");
    refuse("\"1\"", RS_REAL, "is not a number");
    assert_int_equal(get("\"\\u00c9lo \\ud83d\\ude42 \\\"\\\\\\/\\n\"", RS_TEXT, &fixture, &value), 0);
    expect_text(value.as.text, "\xc3\x89lo \xf0\x9f\x99\x82 \"\\/\n");
    close_event(&fixture);
    assert_int_equal(get("\"\"", RS_TEXT, &fixture, &value), 0);
    assert_int_equal(value.as.text.size, 0);
    close_event(&fixture);
    refuse("7", RS_TEXT, "7 is not a string");
    refuse("\"a\\u0000b\"", RS_TEXT, "NUL");
    assert_int_equal(get("true", RS_BOOL, &fixture, &value), 0);
    assert_int_equal(value.boolean, 1);
    close_event(&fixture);
    assert_int_equal(get("false", RS_BOOL, &fixture, &value), 0);
    assert_int_equal(value.boolean, 0);
    close_event(&fixture);
    refuse("1", RS_BOOL, "1 is not true or false");
    refuse("\"true\"", RS_BOOL, "is not true or false");
}

static void test_bytes_and_uuid(void **state)
{
    static const uint8_t uuid[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
    struct fixture fixture;
    struct rs_value value;

    (void)state;
    assert_int_equal(get("\"AP8Q\"", RS_BYTES, &fixture, &value), 0);
    assert_int_equal(value.as.bytes.size, 3);
    assert_memory_equal(value.as.bytes.data, "\x00\xff\x10", 3);
    close_event(&fixture);
    assert_int_equal(get("\"\"", RS_BYTES, &fixture, &value), 0);
    assert_int_equal(value.as.bytes.size, 0);
    close_event(&fixture);
    refuse("\"AP8\"", RS_BYTES, "is not a string in base64");
    refuse("\"A\"", RS_BYTES, "is not a string in base64");
    assert_int_equal(get("\"01234567-89AB-cdef-0123-456789abcdef\"", RS_UUID, &fixture, &value), 0);
    assert_memory_equal(value.as.uuid.bytes, uuid, sizeof uuid);
    close_event(&fixture);
    refuse("\"0123456789abcdef0123456789abcdef\"", RS_UUID, "is not a UUID");
}

static void test_times(void **state)
{
    struct fixture fixture;
    struct rs_value value;

    (void)state;
    assert_int_equal(get("\"1970-01-01T02:00:00.000001+02:00\"", RS_TIMESTAMP, &fixture, &value), 0);
    assert_int_equal(value.as.timestamp.microseconds, 1);
    close_event(&fixture);
    refuse("\"1970-01-01T00:00:00\"", RS_TIMESTAMP, "with a zone");
    refuse("1500", RS_TIMESTAMP, "1500 is not a time");
    assert_int_equal(get("\"1970-01-02\"", RS_DATE, &fixture, &value), 0);
    assert_int_equal(value.as.date.days, 1);
    close_event(&fixture);
    refuse("\"1970-02-30\"", RS_DATE, "is not a date");
}

static void test_json_is_compact_and_keeps_numbers(void **state)
{
    struct fixture fixture;

    (void)state;
    must_open(&fixture, &untyped,
              "{ \"o\" : { \"z\" : 1.50 , \"a\" : [ 1e5 , -0 , 12345678901234567890123.0 ] , \"z\" : null } , \"s\" : \"\\u00e9\\n\\\"/\" }", NULL);
    expect_at(fixture.event, "o", "{\"z\":1.50,\"a\":[1e5,-0,12345678901234567890123.0],\"z\":null}");
    expect_at(fixture.event, "s", "\"\xc3\xa9\\n\\\"/\"");
    expect_at(fixture.event, "o.a.2", "12345678901234567890123.0");
    close_event(&fixture);
}

static void test_unknown_types_are_refused(void **state)
{
    (void)state;
    refuse("1", 0, "not of a type that exists");
    refuse("\"a\"", 11, "not of a type that exists");
}

/* What is shown of a value is short and stays UTF-8. */
static void test_messages_are_bounded(void **state)
{
    struct buffer json = BUFFER_INIT;
    char text[ERROR_TEXT_SIZE];
    struct fixture fixture;
    struct rs_value value;

    (void)state;
    buffer_puts(&json, "\"x");
    for (int i = 0; i < 900; i++)
        buffer_puts(&json, "\xc3\xa9");
    buffer_puts(&json, "\"");
    assert_int_equal(get(json.data, RS_INT, &fixture, &value), ERROR_POISON);
    buffer_free(&json);
    memcpy(text, fixture.error.text, sizeof text);
    close_event(&fixture);
    assert_true(strlen(text) < 150);
    assert_non_null(strstr(text, "\xc3\xa9\"... is not an integer"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_decimals_are_read_from_their_own_text),
        cmocka_unit_test(test_random_decimals_keep_every_digit),
        cmocka_unit_test(test_reals_text_and_bool),
        cmocka_unit_test(test_bytes_and_uuid),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_json_is_compact_and_keeps_numbers),
        cmocka_unit_test(test_unknown_types_are_refused),
        cmocka_unit_test(test_messages_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
