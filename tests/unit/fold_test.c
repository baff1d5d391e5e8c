/*
 * fold: how operations merge, what becomes of a batch, what reads see. The property test shows that it all holds together; this
 * shows what each rule says.
 */
#include "fold/batch.h"

#include "../tools/fold_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
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

static const struct change_group *close_to_groups(size_t wanted)
{
    const struct change_group *groups;
    size_t n;

    assert_int_equal(batch_close(f.batch, &f.error), 0);
    groups = batch_groups(f.batch, &n);
    assert_int_equal(n, wanted);
    return groups;
}

static const struct cell *only_row(uint32_t column, uint8_t operation)
{
    const struct change_group *group = close_to_groups(1);

    assert_int_equal(group->change, CHANGE_UPSERT);
    assert_int_equal(group->n_rows, 1);
    assert_int_equal(group->operations[column], operation);
    assert_int_equal(group->rows[0]->cells[column].operation, operation);
    return &group->rows[0]->cells[column];
}

static void assert_text(const struct cell *cell, const char *text)
{
    assert_false(cell->is_null);
    assert_int_equal(cell->size, strlen(text));
    assert_memory_equal(cell->as.data, text, cell->size);
}

/* Tells the batch that the store has no such row, or these values. */
static void load(const struct cell *cells)
{
    size_t n;

    batch_wanted(f.batch, &n);
    assert_int_equal(n, 1);
    assert_int_equal(batch_load(f.batch, 0, cells, 0, &f.error), 0);
    batch_clear_wanted(f.batch);
}

static void fill_cells(struct cell cells[N_ACCOUNT_COLUMNS])
{
    memset(cells, 0xee, N_ACCOUNT_COLUMNS * sizeof cells[0]); /* a store fills only what it states */
    for (uint32_t i = 0; i < N_ACCOUNT_COLUMNS; i++)
        cells[i].is_null = fixture_tables[ACCOUNTS].columns[i].fallback.is_null;
    cells[ACCOUNT].size = cells[OWNER].size = 1;
    cells[ACCOUNT].as.data = cells[OWNER].as.data = "a";
    cells[BALANCE].as.decimal = 250;
    cells[EVENTS].as.integer = -7;
    cells[STARTED].as.integer = 5;
}

/* ---- Merging ---- */

static void test_adds_sum_up_and_text_is_copied(void **state)
{
    char owner[] = "Alice";

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(fixture_keep_add(&f, "a", BALANCE, 150), 0);
    assert_int_equal(fixture_keep_set(&f, "a", OWNER, fixture_text(owner)), 0);
    memset(owner, 'x', 5);
    assert_text(only_row(OWNER, CELL_SET), "Alice");
    assert_true(only_row(BALANCE, CELL_ADD)->as.decimal == 450);
    assert_text(only_row(ACCOUNT, CELL_SET), "a");
    only_row(EVENTS, CELL_NONE);
}

static void test_set_goes_over_anything_and_adds_go_into_it(void **state)
{
    (void)state;
    assert_int_equal(fixture_keep_add(&f, "a", EVENTS, 4), 0);
    assert_int_equal(fixture_keep_set(&f, "a", EVENTS, rs_value_int(10)), 0);
    assert_int_equal(fixture_keep_add(&f, "a", EVENTS, -3), 0);
    assert_int_equal(only_row(EVENTS, CELL_SET)->as.integer, 7);
}

static void test_null_counts_as_zero_and_gives_way(void **state)
{
    (void)state;
    assert_int_equal(fixture_keep_set(&f, "a", BEST, rs_value_null()), 0);
    assert_int_equal(fixture_keep_add(&f, "a", BEST, 3), 0);
    assert_int_equal(only_row(BEST, CELL_SET)->as.integer, 3);
    batch_reset(f.batch, NULL, f.cache);
    assert_int_equal(fixture_keep_set(&f, "a", BEST, rs_value_null()), 0);
    assert_int_equal(fixture_apply(&f, fixture_row(&f, "a"), BEST, RS_MIN, rs_value_int(9)), 0);
    assert_int_equal(only_row(BEST, CELL_SET)->as.integer, 9);
}

static void test_max_and_min_keep_one_value(void **state)
{
    struct row *row = fixture_row(&f, "a"), *other = fixture_row(&f, "b");

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fixture_apply(&f, row, BEST, RS_MAX, rs_value_int((int64_t[]){-5, 8, 2}[i])), 0);
        assert_int_equal(fixture_apply(&f, other, BEST, RS_MIN, rs_value_int((int64_t[]){-5, -8, 2}[i])), 0);
        assert_int_equal(
            fixture_apply(&f, row, RAW, RS_MAX, rs_value_bytes((struct rs_bytes){.data = "\x01\x00\xff", .size = (size_t)i})), 0);
    }
    batch_keep(f.batch);
    close_to_groups(2);
    assert_int_equal(row->cells[BEST].operation, CELL_MAX);
    assert_int_equal(row->cells[BEST].as.integer, 8);
    assert_int_equal(row->cells[RAW].size, 2);
    assert_int_equal(other->cells[BEST].operation, CELL_MIN);
    assert_int_equal(other->cells[BEST].as.integer, -8);
}

static void test_mixed_operations_need_the_stored_value(void **state)
{
    struct cell cells[N_ACCOUNT_COLUMNS];
    struct row *row = fixture_row(&f, "a");

    (void)state;
    assert_int_equal(fixture_keep_add(&f, "a", BEST, 3), 0);
    assert_int_equal(fixture_apply(&f, row, BEST, RS_MAX, rs_value_int(1)), FOLD_NEEDS_ROW);
    batch_undo(f.batch);
    fill_cells(cells);
    cells[BEST].is_null = false;
    cells[BEST].as.integer = -100;
    load(cells);
    assert_int_equal(fixture_apply(&f, row, BEST, RS_MAX, rs_value_int(1)), 0);
    assert_int_equal(fixture_add(&f, row, BEST, 1), 0);
    batch_keep(f.batch);
    assert_int_equal(only_row(BEST, CELL_SET)->as.integer, 2);
}

static void test_a_removed_row_starts_from_its_fallbacks(void **state)
{
    const struct cell *cells;

    (void)state;
    assert_int_equal(fixture_keep_add(&f, "a", BALANCE, 9), 0);
    assert_int_equal(fixture_keep_remove(&f, "a"), 0);
    assert_int_equal(fixture_keep_add(&f, "a", EVENTS, 2), 0);
    cells = only_row(EVENTS, CELL_SET) - EVENTS;
    for (uint32_t i = 0; i < N_ACCOUNT_COLUMNS; i++)
        assert_int_equal(cells[i].operation, CELL_SET);
    assert_int_equal(cells[EVENTS].as.integer, 2);
    assert_true(cells[BALANCE].as.decimal == 0);
    assert_int_equal(cells[STARTED].as.integer, 5);
    assert_text(&cells[OWNER], "");
    assert_true(cells[OPENED].is_null);
}

static void test_a_removed_row_is_deleted(void **state)
{
    const struct change_group *groups;

    (void)state;
    assert_int_equal(fixture_keep_add(&f, "b", BALANCE, 9), 0);
    assert_int_equal(fixture_keep_add(&f, "c", BALANCE, 9), 0);
    assert_int_equal(fixture_keep_remove(&f, "c"), 0);
    groups = close_to_groups(2);
    assert_int_equal(groups[0].change, CHANGE_DELETE);
    assert_int_equal(groups[0].n_rows, 1);
    assert_int_equal(groups[0].operations[ACCOUNT], CELL_SET);
    assert_text(&groups[0].rows[0]->cells[ACCOUNT], "c");
    assert_int_equal(groups[1].change, CHANGE_UPSERT);
}

static void test_what_was_never_there_is_not_written(void **state)
{
    struct row *row = fixture_row(&f, "a");
    bool exists;

    (void)state;
    assert_non_null(fixture_row(&f, "only named"));
    assert_int_equal(batch_exists(f.batch, row, &exists, &f.error), FOLD_NEEDS_ROW);
    load(NULL);
    assert_int_equal(fixture_keep_add(&f, "a", EVENTS, 1), 0);
    assert_int_equal(fixture_keep_remove(&f, "a"), 0);
    assert_int_equal(batch_rows(f.batch), 2);
    close_to_groups(0);
    assert_int_equal(batch_rows(f.batch), 0);
}

static void test_negative_zero_is_zero(void **state)
{
    (void)state;
    assert_int_equal(fixture_keep_set(&f, "a", RATIO, rs_value_real(-0.0)), 0);
    assert_false(__builtin_signbit(only_row(RATIO, CELL_SET)->as.real));
}

/* ---- Undo ---- */

static void test_undo_leaves_no_trace(void **state)
{
    const struct outbox_message *messages;
    struct rs_message message = {.topic = "t"};
    struct row *row;
    size_t n;

    (void)state;
    assert_int_equal(fixture_keep_add(&f, "a", EVENTS, 1), 0);
    assert_int_equal(fixture_keep_set(&f, "a", OWNER, fixture_text("Bob")), 0);
    batch_begin(f.batch, "bank", 0, 2);
    assert_int_equal(batch_emit(f.batch, &message, &f.error), 0);
    row = fixture_row(&f, "a");
    assert_int_equal(fixture_add(&f, row, EVENTS, 5), 0);
    assert_int_equal(fixture_set(&f, row, OWNER, fixture_text("Eve")), 0);
    assert_int_equal(batch_remove(f.batch, row, &f.error), 0);
    assert_int_equal(fixture_set(&f, row, BEST, rs_value_int(1)), 0);
    assert_int_equal(fixture_add(&f, fixture_row(&f, "new"), EVENTS, 5), 0);
    batch_undo(f.batch);
    assert_text(only_row(OWNER, CELL_SET), "Bob");
    assert_int_equal(only_row(EVENTS, CELL_ADD)->as.integer, 1);
    only_row(BEST, CELL_NONE);
    messages = batch_outbox(f.batch, &n);
    assert_int_equal(n, 0);
    (void)messages;
}

/* ---- Groups ---- */

static void test_rows_of_one_shape_form_one_group(void **state)
{
    const struct change_group *groups;

    (void)state;
    assert_int_equal(fixture_keep_add(&f, "c", EVENTS, 1), 0);
    assert_int_equal(fixture_keep_set(&f, "b", EVENTS, rs_value_int(1)), 0);
    assert_int_equal(fixture_keep_add(&f, "a", EVENTS, 1), 0);
    assert_int_equal(fixture_add(&f, fixture_day(&f, 3), TOTAL, 1), 0);
    batch_keep(f.batch);
    groups = close_to_groups(3);
    assert_int_equal(groups[0].n_rows, 2);
    assert_text(&groups[0].rows[0]->cells[ACCOUNT], "a");
    assert_text(&groups[0].rows[1]->cells[ACCOUNT], "c");
    assert_int_equal(groups[1].n_rows, 1);
    assert_ptr_equal(groups[2].table, &fixture_tables[DAYS]);
    assert_int_equal(batch_rows(f.batch), 4);
}

static void test_shared_tables_form_one_group(void **state)
{
    const struct change_group *group;

    (void)state;
    assert_int_equal(fixture_add(&f, fixture_day(&f, 7), TOTAL, 4), 0);
    assert_int_equal(fixture_apply(&f, fixture_day(&f, -7), HIGH, RS_MAX, rs_value_int(4)), 0);
    batch_keep(f.batch);
    group = close_to_groups(1);
    assert_int_equal(group->n_rows, 2);
    assert_int_equal(group->operations[TOTAL], CELL_ADD);
    assert_int_equal(group->operations[HIGH], CELL_MAX);
    assert_int_equal(group->rows[0]->cells[DAY].as.integer, -7);
    assert_int_equal(group->rows[0]->cells[TOTAL].as.integer, 0);
    assert_false(group->rows[0]->cells[TOTAL].is_null);
    assert_int_equal(group->rows[0]->cells[HIGH].as.integer, 4);
    assert_int_equal(group->rows[1]->cells[TOTAL].as.integer, 4);
    assert_true(group->rows[1]->cells[HIGH].is_null);
}

/* Many shapes: each has its group, however they come. */
static void test_every_shape_has_its_group(void **state)
{
    const uint32_t columns[] = {BEST, OPENED, NOTE, RAW, FLAG, RATIO, UID, EVENTS};
    const struct change_group *groups;
    char name[16];

    (void)state;
    for (unsigned i = 0; i < 900; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            snprintf(name, sizeof name, "r%u", i);
            if ((i % 255 + 1) & (1u << bit))
                assert_int_equal(columns[bit] == EVENTS ? fixture_keep_add(&f, name, EVENTS, 1)
                                                        : fixture_keep_set(&f, name, columns[bit], rs_value_null()),
                                 0);
        }
    groups = close_to_groups(255);
    for (size_t i = 0; i < 255; i++)
        assert_true(groups[i].n_rows >= 3);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void check_sorted(const char *head, const char *tail, unsigned n)
{
    static char names[1000][48];
    const struct change_group *group;

    batch_reset(f.batch, NULL, NULL);
    for (unsigned i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "%s%u%s", head, i * 7919 % 1009, tail);
        assert_int_equal(fixture_keep_add(&f, names[i], EVENTS, 1), 0);
    }
    qsort(names, n, sizeof names[0], by_text);
    group = close_to_groups(1);
    assert_int_equal(group->n_rows, n);
    for (unsigned i = 0; i < n; i++)
        assert_text(&group->rows[i]->cells[ACCOUNT], names[i]);
}

static void test_rows_come_in_key_order(void **state)
{
    (void)state;
    check_sorted("", "", 900);
    check_sorted("", "", 20);
    check_sorted("", "-a-long-tail-that-is-common", 900);
    check_sorted("a-long-head-that-is-common-", "", 900);
    check_sorted("", "", 1);
}

/* Equal behind what all have in common for more than eight bytes, shorter keys among them. */
static void test_ties_are_broken_by_the_whole_key(void **state)
{
    static char names[200][48];
    const struct change_group *group;

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        snprintf(names[i], sizeof names[i], "x%s%.*s", i % 2 == 0 ? "aaaaaaaaaaaa" : "bbbbbbbbbbbb", (int)(i / 2 % 20),
                 i < 100 ? "cccccccccccccccccccc" : "dddddddddddddddddddd");
        assert_int_equal(fixture_keep_add(&f, names[i], EVENTS, 1), 0);
    }
    group = close_to_groups(1);
    for (size_t i = 1; i < group->n_rows; i++) {
        const struct cell *a = &group->rows[i - 1]->cells[ACCOUNT], *b = &group->rows[i]->cells[ACCOUNT];

        assert_true(strcmp(a->as.data, b->as.data) < 0); /* texts of keys end in NUL */
    }
}

/* ---- Reads ---- */

static void test_what_is_set_is_read_without_the_store(void **state)
{
    struct row *row = fixture_row(&f, "a");
    struct rs_value value;
    bool exists;

    (void)state;
    assert_int_equal(fixture_set(&f, row, EVENTS, rs_value_int(3)), 0);
    assert_int_equal(fixture_add(&f, row, EVENTS, 4), 0);
    assert_int_equal(batch_get(f.batch, row, EVENTS, RS_INT, &value, &f.error), 0);
    assert_int_equal(value.as.integer, 7);
    assert_int_equal(batch_get(f.batch, row, ACCOUNT, 0, &value, &f.error), 0);
    assert_true(rs_equals(value.as.text, "a"));
    assert_int_equal(batch_exists(f.batch, row, &exists, &f.error), 0);
    assert_true(exists);
    assert_int_equal(batch_get(f.batch, row, OWNER, RS_TEXT, &value, &f.error), FOLD_NEEDS_ROW);
}

static void test_a_loaded_row_is_read_with_what_the_batch_does(void **state)
{
    struct cell cells[N_ACCOUNT_COLUMNS];
    struct row *row = fixture_row(&f, "a");
    struct rs_value value;

    (void)state;
    assert_int_equal(fixture_keep_add(&f, "a", BALANCE, 50), 0);
    assert_int_equal(batch_get(f.batch, row, BALANCE, RS_DECIMAL, &value, &f.error), FOLD_NEEDS_ROW);
    fill_cells(cells);
    load(cells);
    assert_int_equal(batch_get(f.batch, row, BALANCE, RS_DECIMAL, &value, &f.error), 0);
    assert_int_equal(value.as.decimal.low, 300);
    assert_int_equal(value.as.decimal.scale, 2);
    assert_int_equal(batch_get(f.batch, row, EVENTS, RS_INT, &value, &f.error), 0);
    assert_int_equal(value.as.integer, -7);
    assert_int_equal(batch_get(f.batch, row, BEST, RS_INT, &value, &f.error), 0);
    assert_int_equal(value.type, 0);
    assert_true(only_row(BALANCE, CELL_ADD)->as.decimal == 50); /* the delta is what is written */
}

static void test_rows_are_wanted_once(void **state)
{
    struct rs_value keys[] = {fixture_text("a"), fixture_text("b")}, value;
    const struct wanted_row *wanted;
    size_t n;

    (void)state;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 2; j++)
            assert_int_equal(batch_want(f.batch, ACCOUNTS, &keys[j], 1, &f.error), 0);
    wanted = batch_wanted(f.batch, &n);
    assert_int_equal(n, 2);
    assert_ptr_equal(wanted[1].table, &fixture_tables[ACCOUNTS]);
    assert_text(&wanted[1].keys[0], "b");
    assert_int_equal(batch_load(f.batch, 1, NULL, 0, &f.error), 0);
    assert_int_equal(batch_load(f.batch, 2, NULL, 0, &f.error), ERROR_BUG);
    batch_clear_wanted(f.batch);
    for (int j = 0; j < 2; j++)
        assert_int_equal(batch_want(f.batch, ACCOUNTS, &keys[j], 1, &f.error), 0);
    wanted = batch_wanted(f.batch, &n);
    assert_int_equal(n, 1);
    assert_text(&wanted[0].keys[0], "a");
    assert_int_equal(batch_get(f.batch, fixture_row(&f, "b"), OWNER, RS_TEXT, &value, &f.error), 0);
    assert_int_equal(value.type, 0);
}

static void test_what_the_batch_knows_is_not_loaded_over(void **state)
{
    struct cell cells[N_ACCOUNT_COLUMNS];
    struct rs_value value;
    struct row *row = fixture_row(&f, "a");

    (void)state;
    assert_int_equal(batch_get(f.batch, row, EVENTS, RS_INT, &value, &f.error), FOLD_NEEDS_ROW);
    assert_int_equal(fixture_keep_remove(&f, "a"), 0);
    fill_cells(cells);
    load(cells);
    assert_int_equal(batch_get(f.batch, row, EVENTS, RS_INT, &value, &f.error), 0);
    assert_int_equal(value.type, 0);
}

static void test_the_batch_in_flight_is_seen(void **state)
{
    struct cell cells[N_ACCOUNT_COLUMNS];
    struct rs_value value;
    bool exists;

    (void)state;
    assert_int_equal(batch_exists(f.batch, fixture_row(&f, "a"), &exists, &f.error), FOLD_NEEDS_ROW);
    fill_cells(cells);
    load(cells);
    assert_int_equal(fixture_keep_add(&f, "a", EVENTS, 10), 0);
    assert_int_equal(fixture_keep_add(&f, "unknown", EVENTS, 10), 0);
    assert_int_equal(fixture_keep_remove(&f, "gone"), 0);
    assert_int_equal(fixture_turn(&f), 0);
    assert_int_equal(batch_get(f.batch, fixture_row(&f, "a"), EVENTS, RS_INT, &value, &f.error), 0);
    assert_int_equal(value.as.integer, 3);
    assert_int_equal(batch_exists(f.batch, fixture_row(&f, "gone"), &exists, &f.error), 0);
    assert_false(exists);
    assert_int_equal(batch_get(f.batch, fixture_row(&f, "unknown"), EVENTS, RS_INT, &value, &f.error), FOLD_NEEDS_ROW);
}

static void test_the_cache_serves_what_has_committed(void **state)
{
    struct rs_value value;
    bool exists;

    (void)state;
    assert_int_equal(batch_exists(f.batch, fixture_row(&f, "a"), &exists, &f.error), FOLD_NEEDS_ROW);
    load(NULL);
    assert_int_equal(fixture_keep_add(&f, "a", EVENTS, 10), 0);
    assert_int_equal(fixture_keep_add(&f, "partial", EVENTS, 10), 0);
    assert_int_equal(row_cache_put(f.cache, &fixture_tables[ACCOUNTS], (const uint8_t *)"partial", 7, NULL, 0, &f.error), 0);
    assert_int_equal(fixture_turn(&f), 0);
    row_cache_absorb(f.cache, f.other);
    batch_forget_earlier(f.batch);
    assert_int_equal(batch_get(f.batch, fixture_row(&f, "a"), EVENTS, RS_INT, &value, &f.error), 0);
    assert_int_equal(value.as.integer, 10);
    assert_int_equal(batch_get(f.batch, fixture_row(&f, "partial"), EVENTS, RS_INT, &value, &f.error), FOLD_NEEDS_ROW);
    batch_reset(f.batch, NULL, f.cache);
    row_cache_clear(f.cache);
    assert_int_equal(batch_get(f.batch, fixture_row(&f, "a"), EVENTS, RS_INT, &value, &f.error), FOLD_NEEDS_ROW);
}

/* ---- Outbox ---- */

static void test_messages_are_copied_in_order(void **state)
{
    char topic[] = "orders", key[] = "k", text[] = "value", name[] = "h";
    struct rs_header header = {.name = name, .value = {.data = text, .size = 5}};
    struct rs_message message = {
        .topic = topic, .key = {key, 1}, .value = {text, 5}, .headers = &header, .n_headers = 1, .header_size = sizeof header};
    const struct outbox_message *messages;
    size_t n;

    (void)state;
    batch_begin(f.batch, "bank", 3, 41);
    assert_int_equal(batch_emit(f.batch, &message, &f.error), 0);
    message = (struct rs_message){.topic = topic};
    assert_int_equal(batch_emit(f.batch, &message, &f.error), 0);
    batch_keep(f.batch);
    memset(topic, 'x', 6);
    key[0] = name[0] = 'x';
    memset(text, 'x', 5);
    messages = batch_outbox(f.batch, &n);
    assert_int_equal(n, 2);
    assert_string_equal(messages[0].topic, "orders");
    assert_memory_equal(messages[0].key.data, "k", 1);
    assert_memory_equal(messages[0].value.data, "value", 5);
    assert_string_equal(messages[0].headers[0].name, "h");
    assert_memory_equal(messages[0].headers[0].value.data, "value", 5);
    assert_string_equal(messages[0].source_topic, "bank");
    assert_int_equal(messages[0].source_partition, 3);
    assert_int_equal(messages[0].source_offset, 41);
    assert_null(messages[1].key.data);
    assert_null(messages[1].value.data);
    assert_int_equal(messages[1].n_headers, 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_adds_sum_up_and_text_is_copied),
        CASE(test_set_goes_over_anything_and_adds_go_into_it),
        CASE(test_null_counts_as_zero_and_gives_way),
        CASE(test_max_and_min_keep_one_value),
        CASE(test_mixed_operations_need_the_stored_value),
        CASE(test_a_removed_row_starts_from_its_fallbacks),
        CASE(test_a_removed_row_is_deleted),
        CASE(test_what_was_never_there_is_not_written),
        CASE(test_negative_zero_is_zero),
        CASE(test_undo_leaves_no_trace),
        CASE(test_rows_of_one_shape_form_one_group),
        CASE(test_shared_tables_form_one_group),
        CASE(test_every_shape_has_its_group),
        CASE(test_rows_come_in_key_order),
        CASE(test_ties_are_broken_by_the_whole_key),
        CASE(test_what_is_set_is_read_without_the_store),
        CASE(test_a_loaded_row_is_read_with_what_the_batch_does),
        CASE(test_rows_are_wanted_once),
        CASE(test_what_the_batch_knows_is_not_loaded_over),
        CASE(test_the_batch_in_flight_is_seen),
        CASE(test_the_cache_serves_what_has_committed),
        CASE(test_messages_are_copied_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
