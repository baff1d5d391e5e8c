/*
 * sqlite: what lies in the file for each type, exact sums and comparisons, what a batch is refused for, positions and commands.
 */
#include "sqlite_scene.h"

#define LOOK(expected, sql) assert_string_equal(look(scene, sql), expected)

/* ---- Values ---- */

static void set_all(struct scene *scene, struct row *row)
{
    const uint8_t uuid[16] = {0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    struct rs_value id = {.type = RS_UUID};

    memcpy(id.as.uuid.bytes, uuid, sizeof uuid);
    set(scene, row, OWNER, rs_value_string("Zoë 'O''"));
    set(scene, row, BALANCE, money(-5));
    set(scene, row, EVENTS, rs_value_int(INT64_MIN));
    set(scene, row, SEEN, (struct rs_value){.type = RS_TIMESTAMP, .as.timestamp.microseconds = 1795752000123456});
    set(scene, row, DAY, (struct rs_value){.type = RS_DATE, .as.date.days = -1});
    set(scene, row, ID, id);
    set(scene, row, FLAG, rs_value_bool(true));
    set(scene, row, RATIO, (struct rs_value){.type = RS_REAL, .as.real = 0.1});
    set(scene, row, DATA, (struct rs_value){.type = RS_BYTES, .as.bytes = {"\0\xff", 2}});
    set(scene, row, DOC, (struct rs_value){.type = RS_JSON, .as.json = {"{\"a\": 1}", 8}});
}

static int keep_cells(void *context, size_t index, const struct cell *cells, int32_t partition, struct error *ret_error)
{
    struct cell *kept = context;

    (void)partition, (void)ret_error;
    if (index == 1) {
        assert_null(cells);
        return 0;
    }
    assert_int_equal(index, 0);
    assert_non_null(cells);
    memcpy(kept, cells, N_COLUMNS * sizeof kept[0]);
    assert_int_equal(cells[OWNER].size, 9);
    assert_memory_equal(cells[OWNER].as.data, "Zoë 'O''", 9);
    assert_memory_equal(cells[DATA].as.data, "\0\xff", 2);
    assert_memory_equal(cells[DOC].as.data, "{\"a\": 1}", 8);
    return 0;
}

static int read_two(struct scene *scene, const char *first, const char *second, struct cell *ret_cells)
{
    struct cell keys[2] = {{.operation = CELL_SET, .as.data = first, .size = (uint32_t)strlen(first)},
                           {.operation = CELL_SET, .as.data = second, .size = (uint32_t)strlen(second)}};
    struct wanted_row rows[2] = {{.table = &tables[ACCOUNTS], .keys = &keys[0]}, {.table = &tables[ACCOUNTS], .keys = &keys[1]}};
    struct store_read request = {.rows = rows, .n_rows = 2, .on_row = keep_cells, .context = ret_cells};
    int result = store_start_read(scene->store, &request, &scene->error);

    return result != 0 ? result : store_finish(scene->store, &scene->error);
}

static void test_values_read_well_and_come_back(void **state)
{
    struct scene *scene = scene_ready();
    struct cell cells[N_COLUMNS];

    (void)state;
    set_all(scene, account(scene, "acc-1"));
    OK(scene, write_now(scene, 1));
    LOOK("-0.05", "SELECT balance FROM accounts");
    LOOK("text", "SELECT typeof(balance) FROM accounts");
    LOOK("2026-11-27T04:00:00.123456Z", "SELECT seen FROM accounts");
    LOOK("1969-12-31", "SELECT day FROM accounts");
    LOOK("deadbeef-0102-0304-0506-0708090a0b0c", "SELECT id FROM accounts");
    LOOK("1", "SELECT flag FROM accounts");
    LOOK("real", "SELECT typeof(ratio) FROM accounts");
    LOOK("00FF", "SELECT hex(data) FROM accounts");
    LOOK("1", "SELECT json_extract(doc, '$.a') FROM accounts");
    LOOK("-9223372036854775808", "SELECT events FROM accounts");
    LOOK("0", "SELECT count(*) FROM pragma_table_info('accounts') WHERE name = 'readside_partition'");
    LOOK("1", "SELECT count(*) FROM pragma_table_info('accounts__v1') WHERE name = 'readside_partition'");
    OK(scene, read_two(scene, "acc-1", "nobody", cells));
    assert_true(cells[BALANCE].as.decimal == -5);
    assert_true(cells[EVENTS].as.integer == INT64_MIN);
    assert_true(cells[SEEN].as.integer == 1795752000123456);
    assert_int_equal(cells[DAY].as.integer, -1);
    assert_int_equal(cells[ID].as.uuid[0], 0xde);
    assert_int_equal(cells[FLAG].as.integer, 1);
    assert_true(cells[RATIO].as.real == 0.1);
    assert_true(cells[CHECKED].is_null);
    scene_free(scene);
}

static void test_a_partial_row_takes_its_fallbacks(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    set(scene, account(scene, ""), DATA, (struct rs_value){.type = RS_BYTES, .as.bytes = {NULL, 0}});
    OK(scene, write_now(scene, 1));
    LOOK("O'Hara", "SELECT owner FROM accounts WHERE account = ''");
    LOOK("0.00", "SELECT balance FROM accounts");
    LOOK("blob", "SELECT typeof(data) FROM accounts");
    LOOK("(null)", "SELECT events FROM accounts");
    scene_free(scene);
}

static void test_a_value_of_others_is_refused(void **state)
{
    struct scene *scene = scene_ready();
    struct cell cells[N_COLUMNS];

    (void)state;
    set(scene, account(scene, "acc-1"), BALANCE, money(1));
    OK(scene, write_now(scene, 1));
    execute(scene, "UPDATE accounts__v1 SET balance = '1.005'");
    assert_int_equal(read_two(scene, "acc-1", "nobody", cells), ERROR_CONFIG);
    assert_says(&scene->error, "accounts.balance holds \"1.005\", which is no decimal(6,2)");
    apply(scene, account(scene, "acc-1"), BALANCE, RS_ADD, money(1));
    assert_int_equal(write_now(scene, 1), ERROR_CONFIG);
    assert_says(&scene->error, "accounts.balance: 1.005 is no decimal(6,2)");
    scene_free(scene);
}

/* ---- Sums and comparisons ---- */

static struct row *total(struct scene *scene)
{
    return row_of(scene, TOTALS, (struct rs_value){.type = RS_DATE, .as.date.days = 0});
}

static void add_total(struct scene *scene, int64_t cents, const char *last)
{
    apply(scene, total(scene), AMOUNT, RS_ADD, money(cents));
    apply(scene, total(scene), HIGH, RS_MAX, money(cents));
    apply(scene, total(scene), LOW, RS_MIN, money(cents));
    apply(scene, total(scene), COUNT, RS_ADD, rs_value_int(1));
    if (last != NULL)
        apply(scene, total(scene), LAST, RS_MAX, rs_value_string(last));
    OK(scene, write_now(scene, 1));
}

static void test_sums_are_exact_and_compare_by_value(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    add_total(scene, 900, "b");
    LOOK("9.00", "SELECT amount FROM totals");
    add_total(scene, 1000, "a"); /* as text, 9.00 would be greater */
    LOOK("10.00", "SELECT high FROM totals");
    LOOK("9.00", "SELECT low FROM totals");
    add_total(scene, -200, NULL);
    add_total(scene, -1000, "ab");
    LOOK("-10.00", "SELECT low FROM totals");
    LOOK("7.00", "SELECT amount FROM totals");
    LOOK("4", "SELECT count FROM totals");
    LOOK("b", "SELECT last FROM totals");
    LOOK("text", "SELECT typeof(amount) FROM totals");
    scene_free(scene);
}

static void test_sums_of_38_digits_are_exact(void **state)
{
    struct scene *scene = scene_ready();
    struct rs_decimal large;

    (void)state;
    assert_true(decimal_parse("999999999999999999999999999999999999.98", 39, &large));
    apply(scene, total(scene), AMOUNT, RS_ADD, rs_value_decimal(large));
    OK(scene, write_now(scene, 1));
    add_total(scene, 1, NULL);
    LOOK("999999999999999999999999999999999999.99", "SELECT amount FROM totals");
    apply(scene, total(scene), AMOUNT, RS_ADD, rs_value_decimal(large)); /* beyond 128 bits as well */
    assert_int_equal(write_now(scene, 1), ERROR_POISON);
    assert_says(&scene->error, "row 1970-01-01");
    assert_says(&scene->error, "totals.amount");
    add_total(scene, 0, NULL);
    LOOK("999999999999999999999999999999999999.99", "SELECT amount FROM totals");
    scene_free(scene);
}

static void test_an_overflow_is_poison_and_changes_nothing(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    apply(scene, account(scene, "acc-1"), BALANCE, RS_ADD, money(999999));
    apply(scene, account(scene, "acc-1"), EVENTS, RS_ADD, rs_value_int(INT64_MAX));
    OK(scene, write_now(scene, 1));
    apply(scene, account(scene, "acc-0"), BALANCE, RS_ADD, money(1));
    apply(scene, account(scene, "acc-1"), BALANCE, RS_ADD, money(1));
    assert_int_equal(write_now(scene, 1), ERROR_POISON);
    assert_says(&scene->error, "row acc-1");
    assert_says(&scene->error, "accounts.balance: the sum of 9999.99 and 0.01 does not fit decimal(6,2)");
    apply(scene, account(scene, "acc-1"), EVENTS, RS_ADD, rs_value_int(1));
    assert_int_equal(write_now(scene, 1), ERROR_POISON);
    assert_says(&scene->error, "accounts.events: the sum of 9223372036854775807 and 1 exceeds 64 bits");
    apply(scene, account(scene, "acc-1"), EVENTS, RS_ADD, rs_value_int(-1));
    OK(scene, write_now(scene, 1));
    LOOK("9223372036854775806", "SELECT events FROM accounts");
    LOOK("1", "SELECT count(*) FROM accounts");
    LOOK("2", "SELECT next_offset FROM readside_positions");
    scene_free(scene);
}

/* Every shape of an upsert is a statement; more of them than are kept. */
static void test_more_shapes_than_statements(void **state)
{
    static const uint32_t columns[] = {OWNER, BALANCE, EVENTS, SEEN, DAY, FLAG, CHECKED};
    struct scene *scene = scene_ready();

    (void)state;
    for (int round = 0; round < 2; round++)
        for (unsigned shape = 1; shape < 128; shape++) {
            for (unsigned i = 0; i < 7; i++)
                if ((shape >> i & 1) != 0 && account_columns[columns[i]].type == RS_INT)
                    apply(scene, account(scene, "acc-1"), columns[i], RS_ADD, rs_value_int(1));
                else if ((shape >> i & 1) != 0 && columns[i] == BALANCE)
                    apply(scene, account(scene, "acc-1"), BALANCE, RS_ADD, money(1));
                else if ((shape >> i & 1) != 0)
                    set(scene, account(scene, "acc-1"), columns[i],
                        columns[i] == OWNER ? rs_value_string("Alice") : (struct rs_value){.type = account_columns[columns[i]].type});
            OK(scene, write_now(scene, 1));
        }
    LOOK("128", "SELECT events FROM accounts");
    LOOK("1.28", "SELECT balance FROM accounts");
    scene_free(scene);
}

/* ---- Rows of other partitions, other indexes ---- */

static void test_a_row_of_another_partition_halts(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    OK(scene, write_now(scene, 1));
    execute(scene, "UPDATE accounts__v1 SET readside_partition = 3");
    apply(scene, account(scene, "acc-1"), BALANCE, RS_ADD, money(100));
    assert_int_equal(write_now(scene, 1), ERROR_HALT);
    assert_says(&scene->error, "row acc-1 of accounts belongs to partition 3, and an event of partition 0");
    OK(scene, batch_remove(scene->batch, account(scene, "acc-1"), &scene->error));
    assert_int_equal(write_now(scene, 1), ERROR_HALT);
    assert_says(&scene->error, "row acc-1 of accounts belongs to partition 3, and an event of partition 0");
    LOOK("1.00", "SELECT balance FROM accounts");
    LOOK("1", "SELECT next_offset FROM readside_positions");
    OK(scene, batch_remove(scene->batch, account(scene, "nobody"), &scene->error));
    OK(scene, write_now(scene, 1));
    execute(scene, "UPDATE accounts__v1 SET readside_partition = 0");
    OK(scene, batch_remove(scene->batch, account(scene, "acc-1"), &scene->error));
    OK(scene, write_now(scene, 1));
    LOOK("0", "SELECT count(*) FROM accounts");
    scene_free(scene);
}

/* A further unique index, where it is allowed: its conflict is an error, not an update of the other row. */
static void test_a_conflict_on_another_index_is_poison(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    execute(scene, "CREATE UNIQUE INDEX one_owner ON accounts__v1 (owner)");
    set(scene, account(scene, "acc-1"), OWNER, rs_value_string("Alice"));
    OK(scene, write_now(scene, 1));
    set(scene, account(scene, "acc-2"), OWNER, rs_value_string("Alice"));
    set(scene, account(scene, "acc-2"), BALANCE, money(7));
    assert_int_equal(write_now(scene, 1), ERROR_POISON);
    assert_says(&scene->error, "row acc-2");
    assert_string_equal(scene->error.code, "CONSTRAINT");
    LOOK("0.00", "SELECT balance FROM accounts");
    scene_free(scene);
}

/* ---- Messages ---- */

static void test_messages_lie_in_the_outbox(void **state)
{
    struct scene *scene = scene_ready();
    struct rs_header headers[2] = {{.name = "a\"b", .value = {"\x01\xff", 2}}, {.name = "none", .value = {NULL, 0}}};
    struct rs_message message = {.topic = "out", .key = {"", 0}, .value = {NULL, 0}, .headers = headers, .n_headers = 2,
                                 .header_size = sizeof headers[0]};

    (void)state;
    batch_begin(scene->batch, "events", 0, 41);
    OK(scene, batch_emit(scene->batch, &message, &scene->error));
    batch_keep(scene->batch);
    OK(scene, write_now(scene, 1));
    LOOK("[[\"a\\\"b\",\"01ff\"],[\"none\",null]]", "SELECT headers FROM readside_outbox");
    LOOK("blob null", "SELECT typeof(key) || ' ' || typeof(value) FROM readside_outbox");
    LOOK("bank 1 out events 0 41", "SELECT pipeline || ' ' || version || ' ' || topic || ' ' || source_topic || ' ' || source_part || "
                                   "' ' || source_offset FROM readside_outbox");
    scene_free(scene);
}

/* ---- Positions ---- */

static void test_the_fence_holds(void **state)
{
    struct scene *scene = scene_ready();
    struct scene other;

    (void)state;
    other = *scene;
    other.scope.owner[0] = 99;
    other.store = NULL;
    open_again(&other);
    OK(&other, connect_now(&other));
    OK(&other, claim(&other));
    assert_int_equal(other.position.epoch, scene->position.epoch + 1);
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    assert_int_equal(write_now(scene, 1), ERROR_FENCED);
    assert_says(&scene->error, "events/0");
    LOOK("0", "SELECT count(*) FROM accounts");
    OK(scene, resolve(scene));
    assert_true(scene->position.is_missing);
    OK(scene, store_start_release(scene->store, &other.position, 1, &scene->error)); /* not ours: nothing happens */
    OK(scene, store_finish(scene->store, &scene->error));
    OK(&other, resolve(&other));
    assert_false(other.position.is_missing);
    OK(&other, store_start_release(other.store, &other.position, 1, &other.error));
    OK(&other, store_finish(other.store, &other.error));
    LOOK("1", "SELECT owner IS NULL FROM readside_positions");
    store_close(other.store);
    scene_free(scene);
}

static int insert(struct scene *scene, const struct store_start *starts, size_t n, bool is_first)
{
    struct store_start *given = malloc(n * sizeof *given); /* gone before the operation runs */
    int result;

    assert_non_null(given);
    memcpy(given, starts, n * sizeof *given);
    result = store_start_insert(scene->store, given, n, is_first, &scene->error);
    free(given);
    return result != 0 ? result : store_finish(scene->store, &scene->error);
}

static void test_first_positions(void **state)
{
    struct scene *scene = scene_ready();
    const struct store_start starts[] = {{.topic = "more", .partition = 0, .cluster_id = "c", .next_offset = 10},
                                         {.topic = "events", .partition = 1, .cluster_id = "c", .next_offset = 11},
                                         {.topic = "more", .partition = 1, .cluster_id = "c", .next_offset = 12}};
    const struct store_position *list;
    size_t n;

    (void)state;
    OK(scene, insert(scene, starts, 3, true));
    OK(scene, insert(scene, starts, 3, true));
    OK(scene, store_list_positions(scene->store, &list, &n, &scene->error));
    assert_int_equal(n, 3); /* events had positions already */
    assert_string_equal(list[0].topic, "events");
    assert_string_equal(list[0].cluster_id, "cluster");
    assert_int_equal(list[0].topic_id[0], 9);
    assert_int_equal(list[0].owner[3], 4);
    assert_int_equal(list[2].partition, 1);
    assert_int_equal(list[2].next_offset, 12);
    assert_int_equal(list[2].owner[0], 0);
    assert_string_equal(list[2].claimed_at, "");
    OK(scene, insert(scene, starts, 3, false));
    OK(scene, store_list_positions(scene->store, &list, &n, &scene->error));
    assert_int_equal(n, 4);
    scene_free(scene);
}

static void test_rows_without_positions_are_refused(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    OK(scene, write_now(scene, 1));
    execute(scene, "DELETE FROM readside_positions");
    assert_int_equal(insert_first(scene), ERROR_CONFIG);
    assert_says(&scene->error, "table accounts__v1 holds rows");
    OK(scene, claim(scene));
    assert_true(scene->position.is_missing);
    scene_free(scene);
}

static void test_another_revision_is_refused(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    scene->scope.revision = 4;
    open_again(scene);
    OK(scene, connect_now(scene));
    assert_int_equal(claim(scene), ERROR_CONFIG);
    assert_says(&scene->error, "was filled by plugin bank revision 3, this is bank revision 4");
    LOOK("1", "SELECT epoch FROM readside_positions");
    scene_free(scene);
}

/* ---- Commands ---- */

static void test_operators_fence_tasks(void **state)
{
    struct scene *scene = scene_ready();
    struct store_move move = {.topic = "events", .base = 0, .next = 3, .epoch = scene->position.epoch, .leader_epoch = -1,
                              .halt_kind = "poison", .halt_reason = "amount is negative"};
    struct store_write halt = {.moves = &move, .n_moves = 1};
    struct store_operation operation = {.topic = "events", .kind = STORE_RESUME, .reason = "fixed", .actor = "kim"};

    (void)state;
    assert_int_equal(store_operate(scene->store, &operation, &scene->error), ERROR_CONFIG);
    assert_says(&scene->error, "events/0 has no halted position");
    OK(scene, store_start_write(scene->store, &halt, &scene->error));
    OK(scene, store_finish(scene->store, &scene->error));
    OK(scene, claim(scene));
    assert_true(scene->position.is_halted);
    assert_string_equal(scene->position.halt_kind, "poison");
    assert_string_equal(scene->position.halt_reason, "amount is negative");
    OK(scene, store_operate(scene->store, &operation, &scene->error));
    assert_int_equal(write_now(scene, 1), ERROR_FENCED);
    operation = (struct store_operation){.topic = "events", .kind = STORE_SET, .base = 3, .next_offset = 50, .cluster_id = "new",
                                         .topic_id = {5}, .reason = "skip", .actor = "kim"};
    OK(scene, store_operate(scene->store, &operation, &scene->error));
    LOOK("50 new running 3", "SELECT next_offset || ' ' || cluster_id || ' ' || state || ' ' || "
                             "(SELECT old_offset FROM readside_audit WHERE action = 'set') FROM readside_positions");
    LOOK("resume 3 3 fixed kim", "SELECT action || ' ' || old_offset || ' ' || new_offset || ' ' || reason || ' ' || actor "
                                 "FROM readside_audit ORDER BY id LIMIT 1");
    operation.partition = 9;
    assert_int_equal(store_operate(scene->store, &operation, &scene->error), ERROR_CONFIG);
    LOOK("2", "SELECT count(*) FROM readside_audit");
    scene_free(scene);
}

static void test_reset_drops_one_version(void **state)
{
    struct scene *scene = scene_ready();
    struct scene second = *scene;

    (void)state;
    second.scope.version = 2;
    second.store = NULL;
    open_again(&second);
    OK(&second, connect_now(&second));
    OK(&second, store_create_schema(second.store, &second.error));
    OK(&second, store_reset(second.store, "kim", &second.error)); /* the view shows version 1 and stays */
    LOOK("0", "SELECT count(*) FROM accounts");
    LOOK("0", "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%\\_\\_v2' ESCAPE '\\'");
    OK(scene, store_reset(scene->store, "kim", &scene->error));
    LOOK("0", "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'accounts%' OR name LIKE 'totals%'");
    LOOK("0", "SELECT count(*) FROM readside_positions");
    LOOK("2", "SELECT count(*) FROM readside_audit WHERE action = 'reset' AND actor = 'kim'");
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    assert_int_equal(write_now(scene, 1), ERROR_FENCED);
    store_close(second.store);
    scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_read_well_and_come_back),
        cmocka_unit_test(test_a_partial_row_takes_its_fallbacks),
        cmocka_unit_test(test_a_value_of_others_is_refused),
        cmocka_unit_test(test_sums_are_exact_and_compare_by_value),
        cmocka_unit_test(test_sums_of_38_digits_are_exact),
        cmocka_unit_test(test_an_overflow_is_poison_and_changes_nothing),
        cmocka_unit_test(test_more_shapes_than_statements),
        cmocka_unit_test(test_a_row_of_another_partition_halts),
        cmocka_unit_test(test_a_conflict_on_another_index_is_poison),
        cmocka_unit_test(test_messages_lie_in_the_outbox),
        cmocka_unit_test(test_the_fence_holds),
        cmocka_unit_test(test_first_positions),
        cmocka_unit_test(test_rows_without_positions_are_refused),
        cmocka_unit_test(test_another_revision_is_refused),
        cmocka_unit_test(test_operators_fence_tasks),
        cmocka_unit_test(test_reset_drops_one_version),
    };

    return cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}
