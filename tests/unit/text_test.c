/*
 * text: UTF-8, numbers, time, uuid, base64, units, names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/text.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_utf8(const char *text)
{
    return text_is_utf8(text, strlen(text), NULL);
}

/* Every code point, as RFC 3629 writes it; those that it forbids are refused. */
static size_t encode(uint32_t point, char *out)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 63));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xe0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 63));
        out[2] = (char)(0x80 | (point & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 63));
    out[2] = (char)(0x80 | (point >> 6 & 63));
    out[3] = (char)(0x80 | (point & 63));
    return 4;
}

static void test_utf8_takes_every_code_point(void **state)
{
    char text[16];

    (void)state;
    for (uint32_t point = 0; point < 0x140000; point++) {
        size_t size = encode(point, text);
        bool is_valid = point != 0 && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
        size_t n = 0;

        assert_int_equal(text_is_utf8(text, size, &n), is_valid);
        assert_true(!is_valid || n == 1);
        assert_true(size == 1 || !text_is_utf8(text, size - 1, NULL));
    }
}

static void test_utf8_refuses_other_bytes(void **state)
{
    (void)state;
    assert_true(text_is_utf8("", 0, NULL));
    assert_false(is_utf8("\xc0\x80"));
    assert_false(is_utf8("\xc1\xbf"));
    assert_false(is_utf8("\xe0\x9f\xbf"));
    assert_false(is_utf8("\xf0\x8f\xbf\xbf"));
    assert_false(is_utf8("\xf5\x80\x80\x80"));
    assert_false(is_utf8("\x80"));
    assert_false(is_utf8("\xff"));
    assert_false(is_utf8("abcdefg\xc3"));
    assert_false(text_is_utf8("\xc3\xa9", 1, NULL));
}

/* One bad byte at each place of texts of each length, so that the words of eight are seen as well as the rest. */
static void test_the_size_of_a_character(void **state)
{
    (void)state;
    assert_int_equal(text_character_size("ab"), 1);
    assert_int_equal(text_character_size("\xc3\xa9" "b"), 2);
    assert_int_equal(text_character_size("\xe2\x82\xac"), 3);
    assert_int_equal(text_character_size("\xf0\x9f\x98\x80"), 4);
    assert_int_equal(text_character_size("\xe2\x82"), 0); /* cut off: nothing behind the end is looked at */
    assert_int_equal(text_character_size("\xc3" "b"), 0);
    assert_int_equal(text_character_size("\xa9"), 0);
    assert_int_equal(text_character_size("\xff"), 0);
}

static void test_utf8_looks_at_every_byte(void **state)
{
    char text[40];
    size_t n;

    (void)state;
    for (size_t size = 1; size < sizeof text; size++) {
        memset(text, 0x7f, sizeof text);
        assert_true(text_is_utf8(text, size, &n));
        assert_int_equal(n, size);
        for (size_t at = 0; at < size; at++) {
            text[at] = '\0';
            assert_false(text_is_utf8(text, size, NULL));
            text[at] = '\xa9';
            assert_false(text_is_utf8(text, size, NULL));
            if (at > 0) {
                text[at - 1] = '\xc3';
                assert_true(text_is_utf8(text, size, &n));
                assert_int_equal(n, size - 1);
                text[at - 1] = 0x7f;
            }
            text[at] = 0x7f;
        }
    }
}

static void expect_int(const char *text, int64_t expected)
{
    int64_t value = 4711;

    assert_true(text_read_int(text, strlen(text), &value));
    assert_true(value == expected);
}

static void test_integers(void **state)
{
    static const char *const bad[] = {"",     "-",     "+",    " 1", "1 ", "1.0", "0x1", "1e3", "--1", "9223372036854775808",
                                      "-9223372036854775809", "99999999999999999999", "12345678901234567x"};
    int64_t value = 4711;

    (void)state;
    expect_int("0", 0);
    expect_int("-0", 0);
    expect_int("+12", 12);
    expect_int("-999999999999999999", -999999999999999999);
    expect_int("1000000000000000000", 1000000000000000000);
    expect_int("9223372036854775807", INT64_MAX);
    expect_int("-9223372036854775808", INT64_MIN);
    expect_int("00000000000000000000000000000007", 7);
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(text_read_int(bad[i], strlen(bad[i]), &value));
    }
    assert_true(value == 4711);
    assert_true(text_read_int("123", 2, &value));
    assert_true(value == 12);
}

static void test_reals(void **state)
{
    static const char *const bad[] = {"", "-", ".", "1.", ".5", "1e", "nan", "inf", "-inf", "0x1p3", "1e400", "1,5", " 1", "1 "};
    static const char *const good[] = {"0", "-0", "1.5", "+2", "1e22", "1e23", "123456789012345678901234567890", "1e-400",
                                       "0.1", "4.9e-324", "1.7976931348623157e308", "9007199254740993", "0.30000000000000004",
                                       "5e-1", "1E5", "12345.678e-25"};
    double value = 42;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(text_read_real(bad[i], strlen(bad[i]), &value));
    }
    assert_true(value == 42);
    for (size_t i = 0; i < COUNT(good); i++) {
        double expected = strtod(good[i], NULL);

        assert_true(text_read_real(good[i], strlen(good[i]), &value));
        assert_memory_equal(&value, &expected, sizeof value); /* the sign of zero as well */
    }
    assert_true(text_read_real("1.55", 3, &value));
    assert_true(value == 1.5);
}

static void test_reals_equal_strtod(void **state)
{
    uint64_t seed = 3;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = random_next(&seed);
        double number;
        double value;
        char text[40];

        memcpy(&number, &bits, sizeof number);
        if (!isfinite(number)) {
            continue;
        }
        snprintf(text, sizeof text, i % 2 == 0 ? "%.17g" : "%.6g", i % 4 < 2 ? number : (double)(int64_t)bits / 1e9);
        assert_true(text_read_real(text, strlen(text), &value));
        assert_true(value == strtod(text, NULL));
    }
}

static int64_t timestamp(const char *text)
{
    int64_t value = INT64_MIN;

    if (!text_read_timestamp(text, strlen(text), &value)) {
        fail_msg("%s was refused", text);
    }
    return value;
}

static void test_timestamps(void **state)
{
    static const char *const bad[] = {
        "", "2026-11-23", "2026-11-23T04:00:00", "2026-11-23T04:00Z", "2026-11-23T04:00:00.Z", "2026-11-23T04:00:00.1234567Z",
        "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z",
        "2026-04-31T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T23:60:00Z", "2026-11-23T23:59:61Z", "2026-11-23T12:00:60Z",
        "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "2026-11-23T04:00:00+0100",
        "2026-11-23T04:00:00+24:00", "2026-11-23T04:00:00+01:60", "2026-11-23T04:00:00Zx", "2026-11-23T04:00:00 Z",
        "2026/11/23T04:00:00Z", "2026-11-23T04-00:00Z", "2026-11-23X04:00:00Z", "20x6-11-23T04:00:00Z", "+026-11-23T04:00:00Z",
        "2026-11-23T04:00:00,5Z", "2026-11-23T04:00:00.", "2026-11-23T04:00:00.12",
    };
    int64_t value = 4711;

    (void)state;
    assert_true(timestamp("1970-01-01T00:00:00Z") == 0);
    assert_true(timestamp("1969-12-31T23:59:59.999999Z") == -1);
    assert_true(timestamp("2026-11-23T04:00:00.000Z") == INT64_C(1795406400000000));
    assert_true(timestamp("2026-11-23t04:00:00z") == INT64_C(1795406400000000));
    assert_true(timestamp("2026-11-23 05:30:00.5+01:30") == INT64_C(1795406400500000));
    assert_true(timestamp("2026-11-22T23:00:00.0000010000-05:00") == INT64_C(1795406400000001));
    assert_true(timestamp("2016-12-31T23:59:60Z") == timestamp("2017-01-01T00:00:00Z"));
    assert_true(timestamp("2000-02-29T00:00:00Z") == INT64_C(951782400000000));
    assert_true(timestamp("0001-01-01T00:00:00Z") == INT64_C(-62135596800000000));
    assert_true(timestamp("9999-12-31T23:59:59.999999Z") == INT64_C(253402300799999999));
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (text_read_timestamp(bad[i], strlen(bad[i]), &value)) {
            fail_msg("%s was taken", bad[i]);
        }
    }
    assert_true(value == 4711);
}

/* Every day of the calendar, beside the C library's. */
static void test_dates_equal_the_library_s(void **state)
{
    (void)state;
    for (int32_t days = -719162; days <= 2932896; days++) {
        time_t seconds = (time_t)days * 86400;
        char text[TEXT_DATE_SIZE];
        int32_t back;

        text_print_date(days, text);
        assert_true(text_read_date(text, strlen(text), &back));
        assert_int_equal(back, days);
        if (days % 7 == 0) {
            struct tm parts;
            char expected[32];

            gmtime_r(&seconds, &parts);
            snprintf(expected, sizeof expected, "%04d-%02d-%02d", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
            assert_string_equal(text, expected);
        }
    }
}

static void test_time_is_printed(void **state)
{
    uint64_t seed = 5;
    char text[TEXT_TIMESTAMP_SIZE];
    char date[TEXT_DATE_SIZE];
    int32_t days;

    (void)state;
    text_print_timestamp(INT64_C(1795406400000001), text);
    assert_string_equal(text, "2026-11-23T04:00:00.000001Z");
    text_print_timestamp(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
    text_print_timestamp(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999999Z");
    text_print_timestamp(INT64_MIN, text);
    assert_string_equal(text, "0001-01-01T00:00:00.000000Z");
    text_print_date(INT32_MAX, date);
    assert_string_equal(date, "9999-12-31");
    text_print_date(INT32_MIN, date);
    assert_string_equal(date, "0001-01-01");
    assert_false(text_read_date("2026-11-23x", 11, &days));
    assert_false(text_read_date("2026-11-2", 9, &days));
    for (int i = 0; i < 100000; i++) {
        int64_t value = (int64_t)(random_next(&seed) % UINT64_C(315537897600000000)) - INT64_C(62135596800000000);

        text_print_timestamp(value, text);
        assert_true(timestamp(text) == value);
    }
}

static void test_uuids(void **state)
{
    static const char *const bad[] = {"", "00000000-0000-0000-0000-00000000000", "00000000-0000-0000-0000-0000000000000",
                                      "000000000000-0000-0000-0000-00000000", "g0000000-0000-0000-0000-000000000000",
                                      "00000000-0000-0000-0000-00000000000:"};
    uint8_t uuid[16];
    char text[TEXT_UUID_SIZE];

    (void)state;
    assert_true(text_read_uuid("F81d4fae-7dec-11d0-A765-00a0c91e6bf6", 36, uuid));
    assert_memory_equal(uuid, "\xf8\x1d\x4f\xae\x7d\xec\x11\xd0\xa7\x65\x00\xa0\xc9\x1e\x6b\xf6", 16);
    text_print_uuid(uuid, text);
    assert_string_equal(text, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(text_read_uuid(bad[i], strlen(bad[i]), uuid));
    }
}

static void test_base64(void **state)
{
    static const struct {
        const char *text, *data;
    } vectors[] = {{"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYg==", "foob"}, {"Zm9vYmE=", "fooba"},
                   {"Zm9vYmFy", "foobar"}, {"+/+/", "\xfb\xff\xbf"}};
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Zg==Zg==", "Z===", "====", "=g==", "Zh==", "Zm9=", "Zm9v\n", "Zm-v", "Zm9vZg==="};
    uint8_t data[12];
    size_t size = 99;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (text_read_base64(bad[i], strlen(bad[i]), data, &size)) {
            fail_msg("%s was taken", bad[i]);
        }
    }
    assert_int_equal(size, 99);
    for (size_t i = 0; i < COUNT(vectors); i++) {
        assert_true(text_read_base64(vectors[i].text, strlen(vectors[i].text), data, &size));
        assert_int_equal(size, strlen(vectors[i].data));
        assert_memory_equal(data, vectors[i].data, size);
    }
}

static void test_units(void **state)
{
    static const char *const bad[] = {"", "5", "s", "5 s", "-5s", "1.5s", "5S", "5sec", "99999999999999999h", "5m", "+5s"};
    int64_t value = 4711;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(text_read_duration(bad[i], &value));
    }
    assert_true(value == 4711);
    assert_true(text_read_duration("0", &value) && value == 0);
    assert_true(text_read_duration("7us", &value) && value == 7);
    assert_true(text_read_duration("250ms", &value) && value == 250000);
    assert_true(text_read_duration("5s", &value) && value == 5000000);
    assert_true(text_read_duration("2min", &value) && value == 120000000);
    assert_true(text_read_duration("1h", &value) && value == INT64_C(3600000000));
    assert_true(text_read_duration("1d", &value) && value == INT64_C(86400000000));
    assert_true(text_read_size("512", &value) && value == 512);
    assert_true(text_read_size("64KiB", &value) && value == 65536);
    assert_true(text_read_size("16MiB", &value) && value == 16777216);
    assert_true(text_read_size("1GiB", &value) && value == 1073741824);
    assert_true(text_read_size("3kB", &value) && value == 3000);
    assert_true(text_read_size("3MB", &value) && value == 3000000);
    assert_false(text_read_size("16 MiB", &value));
    assert_false(text_read_size("16mib", &value));
    assert_false(text_read_size("9999999999999GiB", &value));
}

static void test_names(void **state)
{
    (void)state;
    assert_true(text_is_name("a", 1));
    assert_true(text_is_name("daily_totals2", 13));
    assert_false(text_is_name("daily_totals2", 12));
    assert_false(text_is_name("", 5));
    assert_false(text_is_name("2a", 5));
    assert_false(text_is_name("_a", 5));
    assert_false(text_is_name("A", 5));
    assert_false(text_is_name("a-b", 5));
    assert_false(text_is_name("\xc3\xa9", 5));
}

static void test_local_hosts(void **state)
{
    static const char *const local[] = {"localhost", "LocalHost", "127.0.0.1", "127.1.2.3", "127.255.255.255", "::1", "[::1]",
                                        "0:0:0:0:0:0:0:1", "[0000:0000:0000:0000:0000:0000:0000:0001]"};
    static const char *const remote[] = {"", "[]", "[", "127.example.com", "127.0.0.1.example.com", "127.", "127.0.0.1:9092", "127.0.0.256",
                                         "128.0.0.1", "10.127.0.1", "[127.0.0.1]", "::2", "[::]", "[::1", "::1]", "[[::1]]", "localhost.example.com",
                                         "localhostx", "/run/postgresql", "@postgresql", "db.example.com",
                                         "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001"};

    (void)state;
    for (size_t i = 0; i < COUNT(local); i++) {
        assert_true(text_is_local_host(local[i], strlen(local[i])));
    }
    for (size_t i = 0; i < COUNT(remote); i++) {
        assert_false(text_is_local_host(remote[i], strlen(remote[i])));
    }
    assert_true(text_is_local_host("localhost:9092", 9));
    assert_false(text_is_local_host("127.0.0.1\0.example.com", 22));
}

static void test_distance(void **state)
{
    char longer[80];

    (void)state;
    assert_int_equal(text_distance("", ""), 0);
    assert_int_equal(text_distance("topics", "topics"), 0);
    assert_int_equal(text_distance("tpoics", "topics"), 2);
    assert_int_equal(text_distance("kitten", "sitting"), 3);
    assert_int_equal(text_distance("", "abc"), 3);
    assert_int_equal(text_distance("abc", ""), 3);
    memset(longer, 'x', sizeof longer);
    longer[79] = '\0';
    assert_true(text_distance(longer, longer) > 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_takes_every_code_point),
        cmocka_unit_test(test_utf8_refuses_other_bytes),
        cmocka_unit_test(test_utf8_looks_at_every_byte),
        cmocka_unit_test(test_the_size_of_a_character),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_reals),
        cmocka_unit_test(test_reals_equal_strtod),
        cmocka_unit_test(test_timestamps),
        cmocka_unit_test(test_dates_equal_the_library_s),
        cmocka_unit_test(test_time_is_printed),
        cmocka_unit_test(test_uuids),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_local_hosts),
        cmocka_unit_test(test_distance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
