/*
 * fold: everything that is refused, with its class and its words; bounds, and sums that do not fit.
 */
#include "fold/batch.h"

#include "../tools/fold_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

static struct fixture f;
static struct row *row; /* of ACCOUNTS */

static int open_fixture(void **state)
{
    (void)state;
    if (!fixture_open(&f, 1000, 1 << 20))
        return -1;
    row = fixture_row(&f, "a");
    return 0;
}

static int close_fixture(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

static void refused(int result, int class, const char *words)
{
    assert_int_equal(result, class);
    assert_int_equal(f.error.class, class);
    assert_string_equal(f.error.text, words);
}

static void poison(int result, const char *words)
{
    refused(result, ERROR_POISON, words);
}

static void bug(int result, const char *words)
{
    refused(result, ERROR_BUG, words);
}

static int set(uint32_t column, struct rs_value value)
{
    return fixture_set(&f, row, column, value);
}

static int apply(uint32_t column, uint32_t operation, struct rs_value value)
{
    return fixture_apply(&f, row, column, operation, value);
}

static struct rs_value bytes(const void *data, size_t size)
{
    return rs_value_bytes((struct rs_bytes){.data = data, .size = size});
}

static int name_row(uint32_t table, const struct rs_value *keys, uint32_t n_keys)
{
    struct row *ignored;

    return batch_row(f.batch, table, keys, n_keys, &ignored, &f.error);
}

/* ---- Values ---- */

static void test_values_that_do_not_fit(void **state)
{
    const char *const long_text = "0123456789012345678901234567890123456789abc";

    (void)state;
    poison(set(BALANCE, fixture_decimal(12345, 3)), "accounts.balance: 12.345 has more than 2 digits behind the point");
    poison(set(BALANCE, fixture_decimal(1000, 0)), "accounts.balance: 1000 has more than 3 digits before the point");
    poison(set(BALANCE, fixture_decimal(-100000, 2)), "accounts.balance: -1000.00 has more than 3 digits before the point");
    poison(set(OWNER, fixture_text("Alice!")), "accounts.owner: \"Alice!\" has 6 characters, the column takes 5");
    poison(set(OWNER, fixture_text(long_text)),
           "accounts.owner: \"0123456789012345678901234567890123456789...\" has 43 characters, the column takes 5");
    poison(set(OWNER, fixture_text("\xff")), "accounts.owner: the text is not valid UTF-8, or holds NUL");
    poison(set(OWNER, rs_value_text((struct rs_text){.data = "a\0b", .size = 3})),
           "accounts.owner: the text is not valid UTF-8, or holds NUL");
    poison(set(OWNER, rs_value_null()), "accounts.owner: null in a column that is not null");
    poison(set(RAW, bytes("12345", 5)), "accounts.raw: 5 bytes, the column takes 4");
    poison(set(RAW, bytes("", SIZE_MAX)), "accounts.raw: 18446744073709551615 bytes are more than a value may have (268435456)");
    poison(set(NOTE, rs_value_json((struct rs_json){.data = "", .size = 0})), "accounts.note: empty text is not a JSON document");
    poison(set(NOTE, rs_value_json((struct rs_json){.data = "[\"\\\\u0000\\u0000\"]", .size = 17})),
           "accounts.note: the JSON holds the character \\u0000");
    poison(set(RATIO, rs_value_real(NAN)), "accounts.ratio: not a finite number");
    poison(set(RATIO, rs_value_real(-INFINITY)), "accounts.ratio: not a finite number");
    poison(set(OPENED, rs_value_timestamp((struct rs_timestamp){INT64_C(253402300800000000)})),
           "accounts.opened: the time is outside the years 0001 to 9999");
    assert_int_equal(batch_close(f.batch, &f.error), 0);
    assert_int_equal(batch_rows(f.batch), 0);
}

static void test_values_at_the_edge_fit(void **state)
{
    (void)state;
    assert_int_equal(set(BALANCE, fixture_decimal(99999, 2)), 0);
    assert_int_equal(set(BALANCE, fixture_decimal(-9999900, 4)), 0);
    assert_int_equal(set(BALANCE, fixture_decimal(999, 0)), 0);
    assert_int_equal(set(NOTE, rs_value_json((struct rs_json){.data = "[\"\\\\u0000\"]", .size = 11})), 0); /* a backslash, no NUL */
    assert_int_equal(set(OWNER, fixture_text("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9")), 0); /* five characters */
    assert_int_equal(set(OWNER, rs_value_text((struct rs_text){.data = NULL, .size = 0})), 0);
    assert_int_equal(set(RAW, bytes("\0\0\0\0", 4)), 0);
    assert_int_equal(set(OPENED, rs_value_timestamp((struct rs_timestamp){INT64_C(253402300799999999)})), 0);
    assert_int_equal(set(OPENED, rs_value_timestamp((struct rs_timestamp){INT64_C(-62135596800000000)})), 0);
    assert_int_equal(set(OPENED, rs_value_null()), 0);
}

static void test_values_that_the_plugin_gets_wrong(void **state)
{
    struct rs_value odd = {.type = 77};
    struct rs_value value;

    (void)state;
    bug(set(EVENTS, fixture_text("1")), "accounts.events: the handler gives a value of type text, the column is of type int");
    bug(set(OWNER, odd), "accounts.owner: the handler gives a value of type (unknown), the column is of type text");
    bug(set(BALANCE, fixture_decimal(1, 39)), "accounts.balance: a decimal of scale 39; the scale is 0 to 38");
    bug(set(OWNER, rs_value_text((struct rs_text){.data = NULL, .size = 3})),
        "accounts.owner: the handler gives NULL as 3 bytes of text");
    bug(set(N_ACCOUNT_COLUMNS, rs_value_int(1)), "the handler names column 12 of table accounts, which has 12");
    bug(set(ACCOUNT, fixture_text("b")), "accounts.account is a key column: the key is given to rs_row() and does not change");
    bug(batch_get(f.batch, row, EVENTS, RS_TEXT, &value, &f.error),
        "accounts.events: the handler reads a value of type text, the column is of type int");
    bug(batch_get(f.batch, row, 99, 0, &value, &f.error), "the handler names column 99 of table accounts, which has 12");
}

static void test_operations_that_a_column_does_not_take(void **state)
{
    (void)state;
    bug(apply(OWNER, RS_ADD, fixture_text("x")), "accounts.owner is of type text; only int and decimal can be added to");
    bug(apply(RATIO, RS_ADD, rs_value_real(1)), "accounts.ratio is of type real; only int and decimal can be added to");
    bug(apply(STARTED, RS_ADD, rs_value_int(1)),
        "accounts.started starts at 5; a column that is added to needs a fallback of 0 or null");
    bug(apply(STARTED, RS_MAX, rs_value_int(1)),
        "accounts.started starts at 5; a column that is kept at max needs a fallback of null");
    bug(apply(BALANCE, RS_MIN, fixture_decimal(1, 0)),
        "accounts.balance starts at 0.00; a column that is kept at min needs a fallback of null");
    bug(apply(FLAG, RS_MAX, rs_value_bool(true)), "accounts.flag is of type bool, which has no greatest or least value");
    bug(apply(NOTE, RS_MIN, rs_value_json((struct rs_json){"1", 1})),
        "accounts.note is of type json, which has no greatest or least value");
    bug(apply(EVENTS, 9, rs_value_int(1)), "accounts.events: operation 9 does not exist");
    bug(apply(EVENTS, 0, rs_value_int(1)), "accounts.events: operation 0 does not exist");
    bug(apply(EVENTS, RS_ADD, rs_value_null()), "accounts.events: null cannot be added or compared");
    bug(apply(ACCOUNT, RS_MAX, fixture_text("b")),
        "accounts.account is a key column: the key is given to rs_row() and does not change");
    poison(apply(BALANCE, RS_ADD, fixture_decimal(1, 3)), "accounts.balance: 0.001 has more than 2 digits behind the point");
}

static void test_shared_tables_take_their_operation_only(void **state)
{
    struct row *day = fixture_day(&f, 1);
    struct rs_value value, key = rs_value_date((struct rs_date){1});
    bool exists;

    (void)state;
    bug(fixture_set(&f, day, TOTAL, rs_value_int(1)),
        "table days is shared by partitions: setting a column is not possible there");
    bug(batch_remove(f.batch, day, &f.error), "table days is shared by partitions: removing rows is not possible there");
    bug(batch_get(f.batch, day, TOTAL, 0, &value, &f.error), "table days is shared by partitions: reading is not possible there");
    bug(batch_want(f.batch, DAYS, &key, 1, &f.error), "table days is shared by partitions: reading is not possible there");
    bug(batch_exists(f.batch, day, &exists, &f.error),
        "table days is shared by partitions: asking whether a row exists is not possible there");
    bug(fixture_apply(&f, day, TOTAL, RS_MAX, rs_value_int(1)),
        "days.total: the column declares that it is added to; it cannot be kept at max");
    bug(fixture_apply(&f, day, HIGH, RS_ADD, rs_value_int(1)),
        "days.high: the column declares that it is kept at max; it cannot be added to");
}

/* ---- Keys and rows ---- */

static void test_keys_that_do_not_fit(void **state)
{
    static char large[3000];
    struct rs_value keys[3] = {fixture_text("a"), fixture_text("b"), rs_value_int(1)};

    (void)state;
    memset(large, 'x', sizeof large);
    bug(name_row(N_TABLES, keys, 1), "the handler names table 5, the projection has 5");
    bug(name_row(LEFT_OUT, keys, 2), "table left_out is left out by the plugin's options, yet touched");
    bug(name_row(ACCOUNTS, keys, 2), "table accounts has 1 key columns, the handler gives 2");
    bug(name_row(ACCOUNTS, &keys[2], 1), "accounts.account: the handler gives a value of type int, the column is of type text");
    keys[2] = rs_value_null();
    poison(name_row(ACCOUNTS, &keys[2], 1), "accounts.account: null in a column that is part of the key");
    keys[0] = fixture_text("\xff");
    poison(name_row(ACCOUNTS, keys, 1), "accounts.account: the text is not valid UTF-8, or holds NUL");
    poison(name_row(PAIRS, keys, 2), "pairs.a: the text is not valid UTF-8, or holds NUL");
    keys[0] = rs_value_text((struct rs_text){.data = "a\0b", .size = 3});
    poison(name_row(ACCOUNTS, keys, 1), "accounts.account: the text is not valid UTF-8, or holds NUL");
    poison(name_row(PAIRS, keys, 2), "pairs.a: the text is not valid UTF-8, or holds NUL");
    keys[0] = rs_value_text((struct rs_text){.data = large, .size = 41});
    poison(name_row(ACCOUNTS, keys, 1),
           "accounts.account: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\" has 41 characters, the column takes 40");
    keys[0] = rs_value_text((struct rs_text){.data = large, .size = 2000});
    poison(name_row(PAIRS, keys, 2), "pairs: a key of 2002 bytes; keys have at most 2000");
    keys[0] = bytes(large, sizeof large);
    keys[1] = fixture_decimal(1, 0);
    keys[2] = rs_value_int(1);
    poison(name_row(MIXED, keys, 3), "mixed: a key of 3026 bytes; keys have at most 2000");
}

static void test_a_row_belongs_to_one_partition(void **state)
{
    struct row *day;

    (void)state;
    batch_begin(f.batch, "bank", 2, 0);
    assert_non_null(fixture_row(&f, "a")); /* named before, by partition 0, and not written */
    assert_int_equal(fixture_add(&f, row, EVENTS, 1), 0);
    day = fixture_day(&f, 1);
    assert_int_equal(fixture_add(&f, day, TOTAL, 1), 0);
    batch_keep(f.batch);
    assert_int_equal(row->partition, 2);
    batch_begin(f.batch, "bank", 3, 0);
    assert_ptr_equal(fixture_day(&f, 1), day);
    assert_null(fixture_row(&f, "a"));
    refused(f.error.class, ERROR_HALT,
            "the row \"a\" of accounts is touched from partition 2 and from partition 3; rows of a partitioned table belong to "
            "one partition "
            "(do two producers use different partitioners?)");
}

static void read_as(int32_t partition, bool is_refused)
{
    struct rs_value value;
    int result;

    batch_begin(f.batch, "bank", partition, 0);
    result = batch_get(f.batch, fixture_row(&f, "a"), EVENTS, RS_INT, &value, &f.error);
    if (is_refused)
        refused(result, ERROR_HALT, "the row \"a\" of accounts is touched from partition 2 and from partition 3; rows of a partitioned "
                                    "table belong to one partition (do two producers use different partitioners?)");
    else
        assert_int_equal(result, 0);
    batch_undo(f.batch);
}

static void test_a_row_of_another_partition_is_not_read(void **state)
{
    struct cell cells[N_ACCOUNT_COLUMNS];
    struct rs_value value;

    (void)state;
    for (uint32_t i = 0; i < N_ACCOUNT_COLUMNS; i++)
        cells[i] = (struct cell){.operation = CELL_SET, .is_null = true};
    batch_begin(f.batch, "bank", 3, 0);
    assert_int_equal(batch_get(f.batch, fixture_row(&f, "a"), EVENTS, RS_INT, &value, &f.error), FOLD_NEEDS_ROW);
    assert_int_equal(batch_load(f.batch, 0, cells, 2, &f.error), 0); /* as the store has it */
    batch_clear_wanted(f.batch);
    read_as(3, true);
    read_as(2, false);
    batch_begin(f.batch, "bank", 2, 0);
    assert_int_equal(fixture_add(&f, fixture_row(&f, "a"), EVENTS, 1), 0);
    batch_keep(f.batch);
    assert_int_equal(fixture_turn(&f), 0); /* as the batch before leaves it */
    read_as(3, true);
    read_as(2, false);
    row_cache_absorb(f.cache, f.other);
    batch_reset(f.batch, NULL, f.cache); /* as the cache has it */
    read_as(3, true);
    read_as(2, false);
    batch_reset(f.batch, NULL, f.cache);
    batch_begin(f.batch, "bank", 2, 0);
    assert_int_equal(batch_remove(f.batch, fixture_row(&f, "a"), &f.error), 0);
    batch_keep(f.batch);
    assert_int_equal(fixture_turn(&f), 0); /* a row that is gone is nobody's */
    read_as(3, false);
}

static void test_messages_that_are_refused(void **state)
{
    static const char *const illegal[] = {"a b", "\xff", "..", "a/b"};
    struct rs_header headers[2] = {{.name = NULL}};
    struct rs_message message = {.topic = ""};

    (void)state;
    batch_begin(f.batch, "bank", 0, 0);
    bug(batch_emit(f.batch, &message, &f.error), "a message without a topic");
    message = (struct rs_message){.topic = "t", .headers = headers, .n_headers = 1, .header_size = 8};
    bug(batch_emit(f.batch, &message, &f.error), "a message to t whose headers are NULL or of 8 bytes each");
    message.header_size = sizeof headers[0];
    bug(batch_emit(f.batch, &message, &f.error), "a message to t with a header without a name");
    message.n_headers = 2000;
    bug(batch_emit(f.batch, &message, &f.error), "a message to t with 2000 headers; at most 1000");
    message.n_headers = 1;
    headers[0].name = "\xff";
    poison(batch_emit(f.batch, &message, &f.error), "a message to t with a header whose name is not UTF-8");
    for (size_t i = 0; i < sizeof illegal / sizeof illegal[0]; i++) {
        message.topic = illegal[i];
        poison(batch_emit(f.batch, &message, &f.error),
               "a message to a topic of an illegal name (letters, digits, '.', '_' and '-', at most 249)");
    }
    message = (struct rs_message){.topic = "t", .value = {.data = "", .size = SIZE_MAX}};
    poison(batch_emit(f.batch, &message, &f.error), "a message to t of more than 67108864 bytes");
}

static void test_an_event_makes_a_bounded_number_of_changes(void **state)
{
    int result = 0, n = 0;

    (void)state;
    batch_begin(f.batch, "bank", 0, 0);
    while (result == 0 && n++ < 200000)
        result = fixture_set(&f, row, EVENTS, rs_value_int(1)); /* the same again counts as well: the batch decides nothing */
    poison(result, "the event makes more than 100000 changes");
    assert_int_equal(n, 100001);
    batch_undo(f.batch);
    assert_int_equal(fixture_keep_add(&f, "a", EVENTS, 1), 0);
}

/* ---- Bounds ---- */

static void test_a_batch_takes_what_fits_its_bounds(void **state)
{
    struct fixture g;
    char text[60000];

    (void)state;
    assert_true(fixture_open(&g, 3, 100000));
    batch_begin(g.batch, "bank", 0, 0);
    assert_non_null(fixture_row(&g, "a")); /* the first event takes what it takes */
    for (int i = 0; i < 5; i++)
        assert_int_equal(fixture_add(&g, fixture_row(&g, (const char *[]){"a", "b", "c", "d", "e"}[i]), EVENTS, 1), 0);
    assert_true(batch_is_empty(g.batch));
    batch_keep(g.batch);
    assert_false(batch_is_empty(g.batch));
    assert_true(batch_is_full(g.batch));
    assert_int_equal(fixture_keep_add(&g, "a", EVENTS, 1), 0); /* a row that is there costs nothing */
    assert_int_equal(fixture_keep_add(&g, "f", EVENTS, 1), FOLD_FULL);
    assert_int_equal(fixture_turn(&g), 0);
    assert_int_equal(fixture_keep_add(&g, "f", EVENTS, 1), 0);
    assert_false(batch_is_full(g.batch));
    memset(text, ' ', sizeof text);
    assert_int_equal(fixture_keep_set(&g, "f", NOTE, rs_value_json((struct rs_json){text, sizeof text})), 0);
    assert_int_equal(fixture_keep_set(&g, "f", NOTE, rs_value_json((struct rs_json){text, sizeof text - 1})), 0);
    assert_true(batch_is_full(g.batch) && batch_bytes(g.batch) > 100000);
    assert_int_equal(fixture_keep_set(&g, "f", NOTE, rs_value_json((struct rs_json){text, sizeof text - 2})), FOLD_FULL);
    assert_int_equal(fixture_keep_set(&g, "f", NOTE, rs_value_json((struct rs_json){text, sizeof text - 1})), 0);
    fixture_close(&g);
}

static void test_sums_beyond_128_bits(void **state)
{
    const struct rs_value huge = rs_value_decimal(decimal_make(decimal_power(38) - 1, 0));
    struct row *day = fixture_day(&f, 1);

    (void)state;
    assert_int_equal(fixture_apply(&f, day, SPENT, RS_ADD, huge), 0);
    poison(fixture_apply(&f, day, SPENT, RS_ADD, huge), "days.spent of 1970-01-02: the sum has more than 38 digits");
    batch_undo(f.batch);
    assert_int_equal(fixture_apply(&f, day, SPENT, RS_ADD, huge), 0);
    batch_keep(f.batch);
    batch_begin(f.batch, "bank", 0, 0);
    assert_int_equal(fixture_apply(&f, day, SPENT, RS_ADD, huge), FOLD_FULL);
}

/* The same where the sum begins with a stored value. */
static void test_a_value_and_a_sum_beyond_128_bits(void **state)
{
    const struct rs_value huge = rs_value_decimal(decimal_make(decimal_power(38) - 1, 0));
    const struct rs_value keys[] = {fixture_text("a"), fixture_text("b")};
    struct rs_value value;
    struct row *pair;

    (void)state;
    assert_int_equal(batch_row(f.batch, PAIRS, keys, 2, &pair, &f.error), 0);
    assert_int_equal(batch_get(f.batch, pair, 3, 0, &value, &f.error), FOLD_NEEDS_ROW);
    assert_int_equal(batch_load(f.batch, 0, NULL, 0, &f.error), 0);
    assert_int_equal(fixture_apply(&f, pair, 3, RS_MAX, huge), 0);
    poison(fixture_apply(&f, pair, 3, RS_ADD, huge), "pairs.v of \"a\", \"b\": the sum has more than 38 digits");
}

static void test_sums_are_judged_on_the_net(void **state)
{
    (void)state;
    assert_int_equal(fixture_keep_add(&f, "a", EVENTS, INT64_MAX), 0);
    assert_int_equal(fixture_keep_add(&f, "a", EVENTS, INT64_MAX), 0);
    assert_int_equal(fixture_keep_add(&f, "a", BALANCE, 99999), 0);
    assert_int_equal(fixture_keep_add(&f, "a", BALANCE, 1), 0);
    poison(batch_close(f.batch, &f.error), "accounts.balance of \"a\": the sum 1000.00 has more than 3 digits before the point");
    assert_int_equal(fixture_keep_add(&f, "a", BALANCE, -1), 0);
    poison(batch_close(f.batch, &f.error), "accounts.events of \"a\": the sum 18446744073709551614 exceeds 64 bits");
    assert_int_equal(fixture_keep_add(&f, "a", EVENTS, INT64_MIN), 0);
    assert_int_equal(batch_close(f.batch, &f.error), 0);
    assert_int_equal(row->cells[EVENTS].as.integer, INT64_MAX - 1);
}

/* With the stored value known, the new value is judged, not only the change. */
static void test_sums_are_judged_with_the_stored_value(void **state)
{
    struct cell cells[N_ACCOUNT_COLUMNS] = {
        [ACCOUNT] = {.size = 1, .as.data = "a"}, [OWNER] = {.as.data = ""}, [BALANCE] = {.as.decimal = 99999}};
    struct rs_value value;

    (void)state;
    assert_int_equal(batch_get(f.batch, row, EVENTS, RS_INT, &value, &f.error), FOLD_NEEDS_ROW);
    assert_int_equal(batch_load(f.batch, 0, cells, 0, &f.error), 0);
    assert_int_equal(fixture_add(&f, row, BALANCE, 2), 0);
    poison(batch_get(f.batch, row, BALANCE, RS_DECIMAL, &value, &f.error),
           "accounts.balance of \"a\": the sum 1000.01 has more than 3 digits before the point");
    batch_keep(f.batch);
    assert_int_equal(batch_get(f.batch, row, BALANCE, RS_DECIMAL, &value, &f.error), FOLD_FULL);
    poison(batch_close(f.batch, &f.error), "accounts.balance of \"a\": the sum 1000.01 has more than 3 digits before the point");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_values_that_do_not_fit),
        CASE(test_values_at_the_edge_fit),
        CASE(test_values_that_the_plugin_gets_wrong),
        CASE(test_operations_that_a_column_does_not_take),
        CASE(test_shared_tables_take_their_operation_only),
        CASE(test_keys_that_do_not_fit),
        CASE(test_a_row_belongs_to_one_partition),
        CASE(test_a_row_of_another_partition_is_not_read),
        CASE(test_messages_that_are_refused),
        CASE(test_an_event_makes_a_bounded_number_of_changes),
        CASE(test_a_batch_takes_what_fits_its_bounds),
        CASE(test_sums_beyond_128_bits),
        CASE(test_a_value_and_a_sum_beyond_128_bits),
        CASE(test_sums_are_judged_on_the_net),
        CASE(test_sums_are_judged_with_the_stored_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
