/*
 * event: facts from payload and headers, documents that are refused, fields by path, memory used again.
 */
#include "event_fixture.h"

#include "base/clock.h"

#include <stdio.h>

static const struct event_settings by_payload = {
    .type = {PLACE_PAYLOAD, "type"},
    .id = {PLACE_PAYLOAD, "id"},
    .version = {PLACE_PAYLOAD, "meta.version"},
    .time = {PLACE_PAYLOAD, "at"},
    .max_depth = TEST_DEPTH,
};

static const struct event_settings by_header = {
    .type = {PLACE_HEADER, "t"},
    .id = {PLACE_HEADER, "i"},
    .version = {PLACE_HEADER, "v"},
    .time = {PLACE_HEADER, "w"},
    .max_depth = TEST_DEPTH,
};

/* ---- Facts ---- */

static void test_facts_come_from_the_payload(void **state)
{
    struct fixture fixture;
    const struct rs_record *facts;

    (void)state;
    must_open(&fixture, &by_payload,
              "{\"type\":\"Opened\",\"id\":\"e-1\",\"meta\":{\"version\":7},\"at\":\"1970-01-01T00:00:01.5Z\"}", NULL);
    facts = event_record(fixture.event);
    assert_int_equal(facts->size, sizeof *facts);
    expect_text(facts->topic, "bank");
    expect_text(facts->type, "Opened");
    expect_text(facts->id, "e-1");
    assert_int_equal(facts->version, 7);
    assert_int_equal(facts->time.microseconds, 1500000);
    assert_int_equal(facts->partition, 3);
    assert_int_equal(facts->offset, 42);
    assert_int_equal(facts->key.size, 1);
    assert_ptr_equal(facts->value.data, fixture.record.value); /* the raw value, not the decoder's copy */
    close_event(&fixture);
}

static void test_facts_have_defaults(void **state)
{
    struct fixture fixture;
    const struct rs_record *facts;

    (void)state;
    must_open(&fixture, &by_payload, "{\"type\":\"Opened\",\"id\":null}", NULL);
    facts = event_record(fixture.event);
    expect_text(facts->id, "");
    assert_int_equal(facts->version, 1);
    assert_int_equal(facts->time.microseconds, 1500000);
    close_event(&fixture);
    must_open(&fixture, &by_payload, "{\"type\":\"Opened\",\"id\":12.50,\"at\":86400000}", NULL);
    expect_text(event_record(fixture.event)->id, "12.50");
    assert_int_equal(event_record(fixture.event)->time.microseconds, INT64_C(86400000000));
    close_event(&fixture);
}

static void test_facts_come_from_headers(void **state)
{
    struct fixture fixture;
    const struct rs_record *facts;
    struct rs_bytes bytes;

    (void)state;
    must_open(&fixture, &by_header, "{\"type\":\"ignored\"}", "t=First;t=Last;i=e-2;v=3;w=1970-01-01T00:00:02Z");
    facts = event_record(fixture.event);
    expect_text(facts->type, "Last");
    expect_text(facts->id, "e-2");
    assert_int_equal(facts->version, 3);
    assert_int_equal(facts->time.microseconds, 2000000);
    assert_true(event_header(fixture.event, "v", &bytes));
    assert_int_equal(bytes.size, 1);
    assert_false(event_header(fixture.event, "none", &bytes));
    close_event(&fixture);
    must_open(&fixture, &by_header, "{}", "t=T;w=2500");
    assert_int_equal(event_record(fixture.event)->time.microseconds, 2500000);
    close_event(&fixture);
}

static void test_one_type_for_all(void **state)
{
    struct event_settings fixed = by_payload;
    struct fixture fixture;

    (void)state;
    fixed.fixed_type = "Reading";
    must_open(&fixture, &fixed, "{\"type\":\"Other\"}", NULL);
    expect_text(event_record(fixture.event)->type, "Reading");
    close_event(&fixture);
    must_open(&fixture, &untyped, "{\"type\":\"Other\"}", NULL);
    expect_text(event_record(fixture.event)->type, "");
    close_event(&fixture);
}

static void test_tombstones_have_a_type_and_no_fields(void **state)
{
    struct event_settings fixed = by_payload;
    struct fixture fixture;
    struct rs_value value;
    uint32_t n = 9;

    (void)state;
    fixed.fixed_type = "Reading";
    must_open(&fixture, &fixed, NULL, NULL);
    expect_text(event_record(fixture.event)->type, RS_TOMBSTONE);
    assert_null(event_record(fixture.event)->value.data);
    assert_false(event_has(fixture.event, ""));
    assert_int_equal(event_get(fixture.event, "x", RS_TEXT, &value, &fixture.error), EVENT_ABSENT);
    assert_int_equal(event_count(fixture.event, "x", &n, &fixture.error), EVENT_ABSENT);
    close_event(&fixture);
    must_open(&fixture, &by_header, NULL, "i=e-3;t=Ignored");
    expect_text(event_record(fixture.event)->type, RS_TOMBSTONE);
    expect_text(event_record(fixture.event)->id, "e-3");
    close_event(&fixture);
}

static void test_wrong_facts_are_poison(void **state)
{
    (void)state;
    expect_poison(&by_payload, "{\"id\":\"e\"}", NULL, "the field type is missing");
    expect_poison(&by_payload, "{\"type\":null}", NULL, "the field type is missing");
    expect_poison(&by_payload, "{\"type\":7}", NULL, "the field type is not text");
    expect_poison(&by_payload, "{\"type\":[\"a\"]}", NULL, "the field type is not text");
    expect_poison(&by_payload, "{\"type\":\"a\\u0000b\"}", NULL, "the field type is not text");
    expect_poison(&by_payload, "{\"type\":\"$tombstone\"}", NULL, "the field type is $tombstone, which is kept for records");
    expect_poison(&by_header, "{}", "t=$tombstone", "the header t is $tombstone, which is kept for records");
    expect_poison(&by_header, "{}", "i=e", "the header t is missing");
    expect_poison(&by_header, "{}", "t=\xff", "the header t is not text");
    expect_poison(&by_payload, "{\"type\":\"T\",\"id\":true}", NULL, "the field id is not text");
    expect_poison(&by_header, "{}", "t=T;i=\xff", "the header i is not text");
    expect_poison(&by_payload, "{\"type\":\"T\",\"meta\":{\"version\":\"1\"}}", NULL, "version: the field meta.version is not an integer");
    expect_poison(&by_payload, "{\"type\":\"T\",\"meta\":{\"version\":1.0}}", NULL, "is not an integer");
    expect_poison(&by_header, "{}", "t=T;v=one", "the header v is not an integer");
    expect_poison(&by_payload, "{\"type\":\"T\",\"at\":\"noon\"}", NULL, "time: the field at");
    expect_poison(&by_payload, "{\"type\":\"T\",\"at\":\"1500\"}", NULL, "time: the field at"); /* a number is a number */
    expect_poison(&by_payload, "{\"type\":\"T\",\"at\":1.5}", NULL, "time: the field at");
    expect_poison(&by_payload, "{\"type\":\"T\",\"at\":253402300800000}", NULL, "time: the field at"); /* year 10000 */
    expect_poison(&by_payload, "{\"type\":\"T\",\"at\":{}}", NULL, "time: the field at");
    expect_poison(&by_header, "{}", "t=T;w=noon", "time: the header w");
}

/* Kafka's timestamps are any 64-bit number that a producer cares to write. */
static void test_record_times_without_a_date_are_poison(void **state)
{
    static const struct {
        int64_t timestamp_ms;
        int64_t time_us; /* -1: poison */
    } cases[] = {
        {-1, 0}, {INT64_MIN, 0}, {0, 0}, {INT64_C(253402300799999), INT64_C(253402300799999000)},
        {INT64_C(253402300800000), -1}, {INT64_MAX / 1000 + 1, -1}, {INT64_MAX, -1},
    };
    struct event_decoder *decoder = event_decoder_new(&by_payload);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct record record = record_of("{\"type\":\"T\"}", NULL);
        const struct event *event = NULL;
        struct error error = {0};

        record.timestamp_ms = cases[i].timestamp_ms;
        assert_int_equal(event_decode(decoder, &record, &event, &error), cases[i].time_us < 0 ? ERROR_POISON : 0);
        if (cases[i].time_us >= 0)
            assert_int_equal(event_record(event)->time.microseconds, cases[i].time_us);
        else
            assert_non_null(strstr(error.text, "milliseconds since 1970, lies after the year 9999"));
        record = record_of("{\"type\":\"T\",\"at\":86400000}", NULL); /* a time of its own: the record's is not looked at */
        record.timestamp_ms = cases[i].timestamp_ms;
        assert_int_equal(event_decode(decoder, &record, &event, &error), 0);
        assert_int_equal(event_record(event)->time.microseconds, INT64_C(86400000000));
    }
    event_decoder_free(decoder);
}

/* ---- Documents ---- */

static void test_what_is_not_json_is_poison_with_its_place(void **state)
{
    (void)state;
    expect_poison(&untyped, "", NULL, "the value is empty");
    expect_poison(&untyped, "hello", NULL, "not JSON");
    expect_poison(&untyped, "{\"a\":1,}", NULL, "line 1, column");
    expect_poison(&untyped, "{\n  \"a\": 1,\n  \"b\": 01\n}", NULL, "line 3, column");
    expect_poison(&untyped, "{\"a\":1} x", NULL, "not JSON");
    expect_poison(&untyped, "{\"a\":1}{", NULL, "not JSON");
    expect_poison(&untyped, "{\"a\":\"\xc3\x28\"}", NULL, "not JSON");
    expect_poison(&untyped, "{\"a\":\"\xed\xa0\x80\"}", NULL, "not JSON"); /* a surrogate in UTF-8 */
    expect_poison(&untyped, "{\"a\":\"\\ud800\"}", NULL, "not JSON");
    expect_poison(&untyped, "{\"a\":\"\n\"}", NULL, "not JSON");
    expect_poison(&untyped, "{\"a\":NaN}", NULL, "not JSON");
    expect_poison(&untyped, "{\"a\":+1}", NULL, "not JSON");
    expect_poison(&untyped, "{'a':1}", NULL, "not JSON");
    expect_poison(&untyped, "\xef\xbb\xbf{}", NULL, "not JSON");
    expect_poison(&untyped, "[1]", NULL, "not an object");
    expect_poison(&untyped, "\"a\"", NULL, "not an object");
    expect_poison(&untyped, "null", NULL, "not an object");
}

static void test_nul_bytes_are_no_json(void **state)
{
    static const char text[] = "{\"a\":1}\0";
    struct event_decoder *decoder = event_decoder_new(&untyped);
    struct record record = record_of(text, NULL);
    const struct event *event = NULL;
    struct error error;

    (void)state;
    record.value_size = sizeof text - 1;
    assert_int_equal(event_decode(decoder, &record, &event, &error), ERROR_POISON);
    record.value = "\0";
    record.value_size = 1;
    assert_int_equal(event_decode(decoder, &record, &event, &error), ERROR_POISON);
    event_decoder_free(decoder);
}

/* depth arrays within an object, and something beside them. */
static struct buffer nested(int depth, bool is_array)
{
    struct buffer text = BUFFER_INIT;

    buffer_puts(&text, "{\"side\":[1,{},[]],\"a\":");
    for (int i = 1; i < depth; i++)
        buffer_puts(&text, is_array ? "[" : "{\"a\":");
    buffer_puts(&text, "1");
    for (int i = 1; i < depth; i++)
        buffer_puts(&text, is_array ? "]" : "}");
    buffer_puts(&text, "}");
    return text;
}

static void test_nesting_is_bounded(void **state)
{
    struct fixture fixture;

    (void)state;
    for (int is_array = 0; is_array < 2; is_array++) {
        struct buffer deepest = nested(TEST_DEPTH, is_array == 1), deeper = nested(TEST_DEPTH + 1, is_array == 1);
        struct buffer abyss = nested(100000, is_array == 1);

        must_open(&fixture, &untyped, deepest.data, NULL);
        close_event(&fixture);
        expect_poison(&untyped, deeper.data, NULL, "more than 10 arrays and objects");
        expect_poison(&untyped, abyss.data, NULL, "more than 10 arrays and objects");
        buffer_free(&deepest);
        buffer_free(&deeper);
        buffer_free(&abyss);
    }
}

static void test_siblings_do_not_add_up(void **state)
{
    struct fixture fixture;
    struct buffer text = BUFFER_INIT;

    (void)state;
    buffer_puts(&text, "{\"a\":[");
    for (int i = 0; i < 100; i++)
        buffer_puts(&text, "[[],{\"x\":[]}],");
    buffer_puts(&text, "0]}");
    must_open(&fixture, &untyped, text.data, NULL);
    close_event(&fixture);
    buffer_free(&text);
}

/* Documents of every size, the large ones with memory of their own, on one decoder. */
static void test_memory_is_used_again(void **state)
{
    static const size_t sizes[] = {10, 1000, 65500, 65536, 66000, 10, 3000000, 100, 200000, 64, 65400};
    struct event_decoder *decoder = event_decoder_new(&untyped);

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct buffer text = BUFFER_INIT;
        struct record record;
        const struct event *event = NULL;
        struct rs_value value;
        struct error error;

        buffer_printf(&text, "{\"n\":%zu,\"s\":\"", sizes[i]);
        memset(buffer_extend(&text, sizes[i]), 'x', sizes[i]);
        buffer_puts(&text, "\",\"e\":1}");
        record = record_of(text.data, NULL);
        for (int again = 0; again < 3; again++) {
            assert_int_equal(event_decode(decoder, &record, &event, &error), 0);
            assert_int_equal(event_get(event, "n", RS_INT, &value, &error), 0);
            assert_int_equal(value.as.integer, sizes[i]);
            assert_int_equal(event_get(event, "s", RS_TEXT, &value, &error), 0);
            assert_int_equal(value.as.text.size, sizes[i]);
            assert_int_equal(event_get(event, "e", RS_INT, &value, &error), 0);
        }
        buffer_free(&text);
    }
    event_decoder_free(decoder);
}

/* Many values in few bytes: the pool holds the worst case. */
static void test_dense_documents_fit_the_pool(void **state)
{
    static const char *const parts[] = {"0,", "[],", "[[]],", "{},", "\"\",", "[0,0],"};

    (void)state;
    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
        for (size_t size = 16; size < 70000; size = size * 3 + 1) {
            struct buffer text = BUFFER_INIT;
            struct fixture fixture;
            uint32_t n = 0, expected = 0;

            buffer_puts(&text, "{\"a\":[");
            for (; text.size < size; expected++)
                buffer_puts(&text, parts[p]);
            buffer_puts(&text, "1]}");
            must_open(&fixture, &untyped, text.data, NULL);
            assert_int_equal(event_count(fixture.event, "a", &n, &fixture.error), 0);
            assert_int_equal(n, expected + 1);
            close_event(&fixture);
            buffer_free(&text);
        }
    }
}

/* ---- Paths ---- */

static const char document[] =
    "{\"type\":\"T\",\"n\":null,\"a\":{\"b\":{\"c\":\"deep\"},\"\":\"unnamed\"},\"a.b\":\"dotted\",\"back\\\\slash\":\"backslash\","
    "\"lines\":[{\"sku\":\"x\"},{\"sku\":\"y\",\"tags\":[\"p\",\"q\"]}],\"0\":\"zero\",\"twice\":1,\"twice\":2,\"matrix\":[[1,2],[3,4],5],"
    "\"eightlet\":8,\"eightletx\":9,\"eightlety\":10,\"eightle\":7,\"\":\"root unnamed\"}";

static void test_paths_lead_to_fields(void **state)
{
    struct fixture fixture;

    (void)state;
    must_open(&fixture, &untyped, document, NULL);
    expect_at(fixture.event, "type", "\"T\"");
    expect_at(fixture.event, "a.b.c", "\"deep\"");
    expect_at(fixture.event, "a.", "\"unnamed\"");
    expect_at(fixture.event, "a\\.b", "\"dotted\"");
    expect_at(fixture.event, "back\\\\slash", "\"backslash\"");
    expect_at(fixture.event, "\\t\\y\\p\\e", "\"T\"");
    expect_at(fixture.event, "lines.0.sku", "\"x\"");
    expect_at(fixture.event, "lines.1.tags.1", "\"q\"");
    expect_at(fixture.event, "lines.1", "{\"sku\":\"y\",\"tags\":[\"p\",\"q\"]}");
    expect_at(fixture.event, "0", "\"zero\"");
    expect_at(fixture.event, "twice", "2");
    expect_at(fixture.event, "matrix.1.0", "3");
    expect_at(fixture.event, "matrix.2", "5");
    expect_at(fixture.event, "eightlet", "8");
    expect_at(fixture.event, "eightletx", "9");
    expect_at(fixture.event, "eightlety", "10");
    expect_at(fixture.event, "eightle", "7");
    close_event(&fixture);
}

/* However alike: names are compared by their first bytes, and those of the root without walking it unless it has very many. */
static void test_names_that_look_alike_are_told_apart(void **state)
{
    static const char alike[] = "{\"a\":1,\"a\\u0000\":2,\"\":3,\"customer\":4,\"customer_id\":5,\"customer_no\":6,\"customer.id\":7,"
                                "\"custome.r\":8,\"a\\\\b\":9,\"inner\":{\"customer_id\":10,\"customer_no\":11}}";
    struct fixture fixture;

    (void)state;
    must_open(&fixture, &untyped, alike, NULL);
    expect_at(fixture.event, "a", "1");
    expect_at(fixture.event, "customer", "4");
    expect_at(fixture.event, "customer_id", "5");
    expect_at(fixture.event, "customer_no", "6");
    expect_at(fixture.event, "customer_nr", NULL);
    expect_at(fixture.event, "customer_", NULL);
    expect_at(fixture.event, "customer\\.id", "7");
    expect_at(fixture.event, "customer.id", NULL);
    expect_at(fixture.event, "custome\\.r", "8");
    expect_at(fixture.event, "a\\\\b", "9");
    expect_at(fixture.event, "inner.customer_id", "10");
    expect_at(fixture.event, "inner.customer_no", "11");
    expect_at(fixture.event, "b", NULL);
    close_event(&fixture);
}

static void test_objects_may_have_many_members(void **state)
{
    (void)state;
    for (int n = 60; n < 70; n++) {
        struct buffer value = BUFFER_INIT;
        struct fixture fixture;
        char name[16], number[16];

        buffer_puts(&value, "{\"again\":1,\"again\":2");
        for (int i = 0; i < n; i++)
            buffer_printf(&value, ",\"m%d\":%d", i, i);
        buffer_putc(&value, '}');
        buffer_putc(&value, '\0');
        assert_false(buffer_failed(&value));
        must_open(&fixture, &untyped, value.data, NULL);
        for (int i = 0; i < n; i++) {
            snprintf(name, sizeof name, "m%d", i);
            snprintf(number, sizeof number, "%d", i);
            expect_at(fixture.event, name, number);
        }
        expect_at(fixture.event, "again", "2");
        snprintf(name, sizeof name, "m%d", n);
        expect_at(fixture.event, name, NULL);
        close_event(&fixture);
        buffer_free(&value);
    }
}

static void test_paths_that_lead_nowhere_are_absent(void **state)
{
    static const char *const paths[] = {"n",       "n.x",      "Type",      "typ",      "types",    "a.b.c.d",     "type.0",
                                        "lines.2", "lines.-1", "lines.00",  "lines.01", "lines.1x", "lines.sku",   "lines..sku",
                                        ".type",   "type.",    "eightletz", "eightl",   "a\\.c",    "matrix.1\\0", "type\\",
                                        "lines.9999999999999999999999"};
    struct fixture fixture;

    (void)state;
    must_open(&fixture, &untyped, document, NULL);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        expect_at(fixture.event, paths[i], NULL);
    close_event(&fixture);
}

static void test_items_are_events_of_their_own(void **state)
{
    struct fixture fixture;
    const struct event *line, *tag;
    struct rs_value value;
    uint32_t n;

    (void)state;
    must_open(&fixture, &untyped, document, NULL);
    assert_int_equal(event_count(fixture.event, "lines", &n, &fixture.error), 0);
    assert_int_equal(n, 2);
    assert_int_equal(event_item(fixture.event, "lines", 1, &line, &fixture.error), 0);
    expect_at(line, "sku", "\"y\"");
    expect_at(line, "type", NULL);
    expect_at(line, "", "{\"sku\":\"y\",\"tags\":[\"p\",\"q\"]}");
    assert_int_equal(event_item(line, "tags", 0, &tag, &fixture.error), 0);
    assert_int_equal(event_get(tag, "", RS_TEXT, &value, &fixture.error), 0);
    expect_text(value.as.text, "p");
    assert_ptr_equal(event_record(tag), event_record(fixture.event));
    assert_int_equal(event_item(fixture.event, "lines", 2, &line, &fixture.error), ERROR_POISON);
    assert_string_equal(fixture.error.text, "field lines has 2 items; item 2 is asked for, counted from 0");
    assert_int_equal(event_item(fixture.event, "type", 0, &line, &fixture.error), ERROR_POISON);
    assert_int_equal(event_item(fixture.event, "none", 0, &line, &fixture.error), ERROR_POISON);
    assert_int_equal(event_count(fixture.event, "type", &n, &fixture.error), ERROR_POISON);
    assert_int_equal(event_count(fixture.event, "a", &n, &fixture.error), ERROR_POISON);
    assert_int_equal(event_count(fixture.event, "n", &n, &fixture.error), EVENT_ABSENT);
    close_event(&fixture);
}

/* In any order, and two arrays in turn. */
static void test_items_of_uneven_size_are_found(void **state)
{
    struct buffer text = BUFFER_INIT;
    struct fixture fixture;
    uint64_t random = 7;

    (void)state;
    buffer_puts(&text, "{\"a\":[");
    for (int i = 0; i < 100; i++)
        buffer_printf(&text, i % 3 == 0 ? "[%d,0]," : i % 3 == 1 ? "{\"v\":%d}," : "%d,", i);
    buffer_puts(&text, "100],\"b\":[[7],[8,9],10]}");
    must_open(&fixture, &untyped, text.data, NULL);
    for (int round = 0; round < 2000; round++) {
        int i = (int)(random_next(&random) % 101);
        char path[32], expected[32];

        snprintf(path, sizeof path, i == 100 || i % 3 == 2 ? "a.%d" : i % 3 == 0 ? "a.%d.0" : "a.%d.v", i);
        snprintf(expected, sizeof expected, "%d", i);
        expect_at(fixture.event, path, expected);
        expect_at(fixture.event, "b.1.1", "9");
    }
    close_event(&fixture);
    buffer_free(&text);
}

/* A later event leaves nothing of an earlier one, and an event that failed does not spoil the next. */
static void test_events_do_not_mix(void **state)
{
    static const char *const values[] = {"{\"type\":\"A\",\"x\":1,\"l\":[[1],[2]]}", "{\"type\":", "{\"type\":\"B\",\"l\":[[3],[4]]}", "[]",
                                         "{\"type\":\"C\",\"x\":3,\"l\":[5,[6]]}"};
    struct event_decoder *decoder = event_decoder_new(&by_payload);

    (void)state;
    for (int round = 0; round < 30; round++) {
        size_t i = (size_t)round % 5;
        struct record record = record_of(values[i], NULL);
        const struct event *event = NULL;
        struct error error;
        int result = event_decode(decoder, &record, &event, &error);

        assert_int_equal(result, i % 2 == 1 ? ERROR_POISON : 0);
        if (result != 0)
            continue;
        expect_at(event, "x", i == 0 ? "1" : i == 2 ? NULL : "3");
        expect_at(event, "l.1.0", i == 0 ? "2" : i == 2 ? "4" : "6");
        expect_at(event, "l.0", i == 0 ? "[1]" : i == 2 ? "[3]" : "5");
    }
    event_decoder_free(decoder);
}

/* The same array at the same place, with items of other sizes. */
static void test_items_of_an_earlier_event_are_forgotten(void **state)
{
    static const char *const values[] = {"{\"l\":[[1],[2,2],[3]]}", "{\"l\":[[4,4,4],[5],[6]]}"};
    struct event_decoder *decoder = event_decoder_new(&untyped);

    (void)state;
    for (int round = 0; round < 4; round++) {
        struct record record = record_of(values[round % 2], NULL);
        const struct event *event = NULL;
        struct error error;

        assert_int_equal(event_decode(decoder, &record, &event, &error), 0);
        expect_at(event, "l.2", round % 2 == 0 ? "[3]" : "[6]");
    }
    event_decoder_free(decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts_come_from_the_payload),
        cmocka_unit_test(test_facts_have_defaults),
        cmocka_unit_test(test_facts_come_from_headers),
        cmocka_unit_test(test_one_type_for_all),
        cmocka_unit_test(test_tombstones_have_a_type_and_no_fields),
        cmocka_unit_test(test_wrong_facts_are_poison),
        cmocka_unit_test(test_record_times_without_a_date_are_poison),
        cmocka_unit_test(test_what_is_not_json_is_poison_with_its_place),
        cmocka_unit_test(test_nul_bytes_are_no_json),
        cmocka_unit_test(test_nesting_is_bounded),
        cmocka_unit_test(test_siblings_do_not_add_up),
        cmocka_unit_test(test_memory_is_used_again),
        cmocka_unit_test(test_dense_documents_fit_the_pool),
        cmocka_unit_test(test_paths_lead_to_fields),
        cmocka_unit_test(test_names_that_look_alike_are_told_apart),
        cmocka_unit_test(test_objects_may_have_many_members),
        cmocka_unit_test(test_paths_that_lead_nowhere_are_absent),
        cmocka_unit_test(test_items_are_events_of_their_own),
        cmocka_unit_test(test_items_of_uneven_size_are_found),
        cmocka_unit_test(test_events_do_not_mix),
        cmocka_unit_test(test_items_of_an_earlier_event_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
