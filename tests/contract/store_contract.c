/*
 * store_contract: what every driver promises (src/store/store.h), on the store that the environment names (scene.h).
 */
#include "scene.h"

#include <float.h>

/* ---- Schema ---- */

static void test_schema_is_made_once_and_checked(void **state)
{
    struct scene *scene = scene_new();
    struct buffer sql = BUFFER_INIT;
    const struct store_position *list;
    size_t n;

    (void)state;
    OK(scene, scene_connect(scene));
    FAILS(scene, ERROR_CONFIG, "do not exist; set schema", store_check_schema(scene->store, &scene->error));
    assert_string_equal(scene->error.code, STORE_MISSING);
    FAILS(scene, ERROR_CONFIG, "", store_list_positions(scene->store, &list, &n, &scene->error));
    assert_string_equal(scene->error.code, STORE_MISSING);
    OK(scene, store_create_schema(scene->store, &scene->error));
    OK(scene, store_create_schema(scene->store, &scene->error));
    OK(scene, store_check_schema(scene->store, &scene->error));
    OK(scene, store_preflight(scene->store, &scene->error));
    LOOK(scene, "0", "SELECT count(*) FROM accounts");
    LOOK(scene, "0", "SELECT count(readside_partition) FROM accounts__v1");
    OK(scene, store_print_schema(&scene->settings, &scene->scope, &sql, &scene->error));
    assert_non_null(strstr(sql.data, scene_in("\"accounts__v1\"", "\"accounts__v1\"", "`accounts__v1`")));
    assert_non_null(strstr(sql.data, "readside_positions"));
    assert_non_null(strstr(sql.data, "CREATE VIEW"));
    buffer_free(&sql);
    scene_free(scene);
}

static void test_printed_schema_is_the_one_that_fits(void **state)
{
    struct scene *scene = scene_new();
    struct buffer sql = BUFFER_INIT;

    (void)state;
    OK(scene, store_print_schema(&scene->settings, &scene->scope, &sql, &scene->error)); /* before any connection */
    scene_execute(scene, sql.data);
    buffer_free(&sql);
    OK(scene, scene_connect(scene));
    OK(scene, store_check_schema(scene->store, &scene->error));
    scene_free(scene);
}

static void test_drift_is_told(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    scene_execute(scene, "DROP VIEW accounts");
    FAILS(scene, ERROR_CONFIG, "the view accounts is missing", store_check_schema(scene->store, &scene->error));
    scene_execute(scene, "ALTER TABLE accounts__v1 DROP COLUMN doc");
    FAILS(scene, ERROR_CONFIG, "table accounts__v1 differs from what the plugin declares; column doc is missing",
          store_check_schema(scene->store, &scene->error));
    scene_execute(scene, "ALTER TABLE accounts__v1 ADD COLUMN doc INTEGER");
    FAILS(scene, ERROR_CONFIG, "column doc is ", store_check_schema(scene->store, &scene->error));
    scene_free(scene);
}

/* Made where it costs nothing, told where it would keep others waiting. */
static void test_an_index_that_is_missing(void **state)
{
    const char *drop = scene_in("DROP INDEX accounts__v1_by_owner", "DROP INDEX accounts__v1_by_owner",
                                "DROP INDEX accounts__v1_by_owner ON accounts__v1");
    const char *count = scene_in("SELECT count(*) FROM sqlite_schema WHERE name = 'accounts__v1_by_owner'",
                                 "SELECT count(*) FROM pg_class WHERE oid = to_regclass('accounts__v1_by_owner')",
                                 "SELECT count(DISTINCT index_name) FROM information_schema.statistics "
                                 "WHERE table_schema = DATABASE() AND index_name = 'accounts__v1_by_owner'");
    struct scene *scene = scene_ready();

    (void)state;
    assert_null(store_advice(scene->store));
    scene_execute(scene, drop);
    OK(scene, store_check_schema(scene->store, &scene->error));
    assert_non_null(strstr(store_advice(scene->store), "table accounts__v1 lacks the index accounts__v1_by_owner; make it by: CREATE "));
    OK(scene, store_create_schema(scene->store, &scene->error)); /* no rows yet */
    assert_null(store_advice(scene->store));
    LOOK(scene, "1", count);
    set(scene, account(scene, "acc-1"), BALANCE, money(1));
    OK(scene, scene_write(scene, 1));
    scene_execute(scene, drop);
    OK(scene, store_create_schema(scene->store, &scene->error));
    assert_non_null(strstr(store_advice(scene->store), "CREATE INDEX "));
    LOOK(scene, "0", count);
    scene_execute(scene, strstr(store_advice(scene->store), "CREATE INDEX "));
    OK(scene, store_check_schema(scene->store, &scene->error));
    assert_null(store_advice(scene->store));
    scene_free(scene);
}

static void test_an_index_of_that_name_on_another_table(void **state)
{
    struct scene *scene;

    (void)state;
    if (scene_is_mysql()) /* there an index's name is its table's own */
        return;
    scene = scene_ready();
    scene_execute(scene, "DROP INDEX accounts__v1_by_owner");
    scene_execute(scene, "CREATE INDEX accounts__v1_by_owner ON places__v1 (name)");
    OK(scene, store_create_schema(scene->store, &scene->error));
    assert_non_null(store_advice(scene->store));
    assert_non_null(strstr(store_advice(scene->store), "lacks the index accounts__v1_by_owner, whose name something else has"));
    assert_non_null(strstr(store_advice(scene->store), "CREATE INDEX "));
    scene_free(scene);
}

/* A table of an older release, or of somebody who made it by hand. */
static void test_drift_of_the_hosts_tables_is_told(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    scene_execute(scene, "ALTER TABLE readside_positions RENAME COLUMN commit_seq TO sequence");
    FAILS(scene, ERROR_CONFIG, "table readside_positions is not as `readside schema' prints it; column commit_seq is missing",
          store_check_schema(scene->store, &scene->error));
    scene_execute(scene, "ALTER TABLE readside_positions RENAME COLUMN sequence TO commit_seq");
    OK(scene, store_check_schema(scene->store, &scene->error));
    scene_execute(scene, "DROP TABLE readside_audit");
    scene_execute(
        scene,
        scene_in("CREATE TABLE readside_audit (id TEXT NOT NULL, at TEXT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, "
                 "pipeline TEXT NOT NULL, version INTEGER NOT NULL, topic TEXT, part INTEGER, old_offset INTEGER, "
                 "new_offset INTEGER, reason TEXT)",
                 "CREATE TABLE readside_audit (id text, at timestamptz NOT NULL DEFAULT now(), actor text NOT NULL, action text "
                 "NOT NULL, pipeline text NOT NULL, version int NOT NULL, topic text, part int, old_offset bigint, "
                 "new_offset bigint, reason text)",
                 "CREATE TABLE readside_audit (id text, at datetime(6) NOT NULL DEFAULT now(6), actor longtext NOT NULL, "
                 "action longtext NOT NULL, pipeline longtext NOT NULL, version int NOT NULL, topic longtext, part int, "
                 "old_offset bigint, new_offset bigint, reason longtext)"));
    FAILS(scene, ERROR_CONFIG, "; column id is ", store_check_schema(scene->store, &scene->error));
    FAILS(scene, ERROR_CONFIG, "; column reason is nullable, Readside needs not null", store_check_schema(scene->store, &scene->error));
    FAILS(scene, ERROR_CONFIG, "; the primary key is another than Readside needs", store_check_schema(scene->store, &scene->error));
    scene_free(scene);
}

/* It would make the first insert fail. */
static void test_a_column_that_the_host_does_not_fill(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    scene_execute(scene, "ALTER TABLE readside_outbox ADD COLUMN tenant TEXT NOT NULL");
    FAILS(scene, ERROR_CONFIG,
          "table readside_outbox is not as `readside schema' prints it; column tenant is not declared, is not null and has no default",
          store_check_schema(scene->store, &scene->error));
    scene_execute(scene, "ALTER TABLE readside_outbox DROP COLUMN tenant");
    scene_execute(scene, scene_in("ALTER TABLE readside_outbox ADD COLUMN tenant TEXT NOT NULL DEFAULT 'x'",
                                  "ALTER TABLE readside_outbox ADD COLUMN tenant TEXT NOT NULL DEFAULT 'x'",
                                  "ALTER TABLE readside_outbox ADD COLUMN tenant varchar(9) NOT NULL DEFAULT 'x'"));
    scene_execute(scene, "ALTER TABLE readside_outbox ADD COLUMN note TEXT");
    OK(scene, store_check_schema(scene->store, &scene->error));
    scene_free(scene);
}

/* Two topics or tables must not become one. */
static void test_names_compare_byte_by_byte(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    scene_execute(scene, scene_in("DROP TABLE readside_tables; "
                                  "CREATE TABLE readside_tables (name TEXT NOT NULL COLLATE NOCASE PRIMARY KEY, "
                                  "pipeline TEXT NOT NULL, version INTEGER NOT NULL) STRICT, WITHOUT ROWID",
                                  "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); "
                                  "ALTER TABLE readside_tables ALTER name TYPE text COLLATE loose",
                                  "ALTER TABLE readside_tables MODIFY name varchar(255) CHARACTER SET utf8mb4 "
                                  "COLLATE utf8mb4_general_ci NOT NULL"));
    FAILS(scene, ERROR_CONFIG, "table readside_tables is not as `readside schema' prints it; column name ",
          store_check_schema(scene->store, &scene->error));
    assert_non_null(strstr(scene->error.text, "different texts can be equal"));
    scene_free(scene);
}

/* What is missing does not hide what is wrong with the other tables. */
static void test_everything_wrong_is_told_at_once(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    scene_execute(scene, "DELETE FROM readside_positions");
    scene_execute(scene, "DROP VIEW accounts");
    scene_execute(scene, "DROP TABLE accounts__v1");
    FAILS(scene, ERROR_CONFIG, "table accounts__v1 does not exist", store_check_schema(scene->store, &scene->error));
    assert_string_equal(scene->error.code, STORE_MISSING);
    scene_execute(scene, "DROP TABLE readside_audit");
    scene_execute(scene, "ALTER TABLE places__v1 RENAME COLUMN name TO label");
    scene_execute(scene, "DROP VIEW totals");
    FAILS(scene, ERROR_CONFIG, "tables readside_audit, accounts__v1 do not exist", store_check_schema(scene->store, &scene->error));
    assert_non_null(strstr(scene->error.text, "table places__v1 differs from what the plugin declares; column name is missing"));
    assert_non_null(strstr(scene->error.text, "table totals__v1 differs from what the plugin declares; the view totals is missing"));
    assert_string_equal(scene->error.code, "");
    scene_free(scene);
}

static void test_a_view_of_another_version_stays(void **state)
{
    struct scene *scene = scene_ready(), *second = scene_beside(scene, 77);

    (void)state;
    second->scope.version = 2;
    OK(second, scene_open(second));
    OK(second, scene_connect(second));
    OK(second, store_create_schema(second->store, &second->error));
    OK(second, scene_insert_all(second));
    OK(second, scene_claim(second));
    set(second, account(second, "acc-2"), BALANCE, money(5));
    OK(second, scene_write(second, 1));
    LOOK(scene, "0", "SELECT count(*) FROM accounts");
    LOOK(scene, "1", "SELECT count(*) FROM accounts__v2");
    set(scene, account(scene, "acc-1"), BALANCE, money(5));
    OK(scene, scene_write(scene, 1));
    OK(second, store_reset(second->store, "kim", &second->error)); /* the view shows version 1 */
    LOOK(scene, "1", "SELECT count(*) FROM accounts");
    scene_close(second);
    scene_free(scene);
}

/* ---- Positions ---- */

static void test_first_positions(void **state)
{
    struct scene *scene = scene_new();
    const struct store_start more[] = {{.topic = "more", .partition = 1, .cluster_id = "c", .next_offset = 12},
                                       {.topic = "events", .partition = 7, .cluster_id = "c", .next_offset = 11},
                                       {.topic = "more", .partition = 0, .cluster_id = "c", .next_offset = 10}};
    const struct store_position *list;
    size_t n;

    (void)state;
    OK(scene, scene_connect(scene));
    OK(scene, store_create_schema(scene->store, &scene->error));
    OK(scene, scene_claim(scene));
    for (size_t i = 0; i < N_PARTITIONS; i++)
        assert_true(scene->positions[i].is_missing);
    OK(scene, scene_insert_all(scene));
    OK(scene, scene_insert(scene, more, 3, true)); /* events has positions, and is left alone */
    OK(scene, scene_insert(scene, more, 3, true));
    OK(scene, store_list_positions(scene->store, &list, &n, &scene->error));
    assert_int_equal(n, N_PARTITIONS + 2);
    assert_string_equal(list[1].topic, "events");
    assert_int_equal(list[1].partition, 1);
    assert_int_equal(list[1].next_offset, 100);
    assert_string_equal(list[1].cluster_id, "cluster");
    assert_int_equal(list[1].topic_id[0], 9);
    assert_int_equal(list[1].owner[0], 0);
    assert_string_equal(list[1].claimed_at, "");
    assert_string_not_equal(list[1].updated_at, "");
    assert_string_equal(list[5].topic, "more");
    assert_int_equal(list[5].next_offset, 12);
    OK(scene, scene_insert(scene, more, 3, false)); /* added: what is there stays */
    OK(scene, store_list_positions(scene->store, &list, &n, &scene->error));
    assert_int_equal(n, N_PARTITIONS + 3);
    scene_free(scene);
}

static void test_rows_without_positions_are_refused(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    OK(scene, scene_write(scene, 1));
    scene_execute(scene, "DELETE FROM readside_positions");
    FAILS(scene, ERROR_CONFIG, "table accounts__v1 holds rows", scene_insert_all(scene));
    LOOK(scene, "0", "SELECT count(*) FROM readside_positions");
    scene_free(scene);
}

static void test_a_claim_takes_owner_and_epoch(void **state)
{
    struct scene *scene = scene_ready();
    const struct store_position *list;
    size_t n;

    (void)state;
    assert_int_equal(scene->positions[1].partition, 3);
    assert_int_equal(scene->positions[1].next_offset, 300);
    assert_int_equal(scene->positions[1].epoch, 1);
    assert_int_equal(scene->positions[1].leader_epoch, -1);
    assert_string_equal(scene->positions[1].cluster_id, "cluster");
    assert_int_equal(scene->positions[1].topic_id[0], 9);
    assert_memory_equal(scene->positions[1].owner, scene->scope.owner, 16);
    OK(scene, scene_claim(scene));
    assert_int_equal(scene->positions[1].epoch, 2);
    OK(scene, scene_write(scene, N_PARTITIONS));
    OK(scene, store_list_positions(scene->store, &list, &n, &scene->error));
    assert_int_equal(list[3].next_offset, 301);
    assert_int_equal(list[3].commit_seq, 1);
    assert_int_equal(list[3].events, 1);
    assert_int_equal(list[3].leader_epoch, 5);
    assert_memory_equal(list[3].owner, scene->scope.owner, 16);
    assert_int_equal(list[3].claimed_at[10], 'T');
    scene_free(scene);
}

/* ---- The fence ---- */

static void test_a_second_claim_fences_the_first(void **state)
{
    struct scene *scene = scene_ready(), *other = scene_beside(scene, 99);

    (void)state;
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    OK(scene, scene_write(scene, N_PARTITIONS));
    OK(other, scene_claim(other));
    assert_int_equal(other->positions[0].epoch, 2);
    assert_int_equal(other->positions[0].next_offset, 1);
    apply(scene, account(scene, "acc-1"), BALANCE, RS_ADD, money(1));
    FAILS(scene, ERROR_FENCED, "events/0", scene_write(scene, N_PARTITIONS));
    assert_string_equal(balance_of(other, "acc-1"), "1.00");
    OK(scene, scene_resolve(scene));
    for (size_t i = 0; i < N_PARTITIONS; i++)
        assert_true(scene->positions[i].is_missing);
    OK(scene, scene_release(scene)); /* nothing of ours: nothing happens */
    apply(other, account(other, "acc-1"), BALANCE, RS_ADD, money(7));
    OK(other, scene_write(other, N_PARTITIONS));
    assert_string_equal(balance_of(scene, "acc-1"), "1.07");
    OK(other, scene_release(other));
    LOOK(scene, "4", "SELECT count(*) FROM readside_positions WHERE owner IS NULL");
    FAILS(other, ERROR_FENCED, "events/", scene_write(other, 1));
    OK(scene, scene_claim(scene));
    assert_int_equal(scene->positions[0].epoch, 3);
    assert_int_equal(scene->positions[0].next_offset, 2);
    scene_close(other);
    scene_free(scene);
}

static void test_one_wrong_move_stops_all(void **state)
{
    struct scene *scene = scene_ready();
    int64_t right = scene->positions[2].next_offset, epoch = scene->positions[2].epoch;

    (void)state;
    for (int i = 0; i < 3; i++) {
        set(scene, account(scene, "acc-1"), BALANCE, money(100));
        scene->positions[2].next_offset = right + (i == 0) - (i == 1);
        scene->positions[2].epoch = epoch - (i == 2);
        FAILS(scene, ERROR_FENCED, "events/", scene_write(scene, N_PARTITIONS));
        LOOK(scene, "600", "SELECT sum(next_offset) FROM readside_positions");
        LOOK(scene, "0", "SELECT count(*) FROM accounts");
    }
    scene->positions[2].next_offset = right;
    scene->positions[2].epoch = epoch;
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    OK(scene, scene_write(scene, N_PARTITIONS));
    LOOK(scene, "604", "SELECT sum(next_offset) FROM readside_positions");
    scene_free(scene);
}

static void test_resolve_tells_what_is_committed(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    OK(scene, scene_write(scene, 2));
    OK(scene, scene_resolve(scene));
    assert_int_equal(scene->positions[0].next_offset, 1);
    assert_int_equal(scene->positions[0].epoch, 2);
    assert_int_equal(scene->positions[1].next_offset, 301);
    assert_int_equal(scene->positions[2].next_offset, 100);
    assert_false(scene->positions[2].is_missing);
    apply(scene, account(scene, "acc-1"), BALANCE, RS_ADD, money(100));
    OK(scene, scene_write(scene, N_PARTITIONS)); /* with the new epochs */
    assert_string_equal(balance_of(scene, "acc-1"), "2.00");
    scene_free(scene);
}

/* Part of the positions is somebody else's now. */
static void test_resolve_tells_who_was_fenced(void **state)
{
    struct scene *scene = scene_ready(), *other = scene_beside(scene, 99);
    struct store_position position = {.topic = "events", .partition = 3};

    (void)state;
    OK(other, store_start_claim(other->store, &position, 1, &other->error));
    OK(other, scene_finish(other));
    OK(scene, scene_resolve(scene));
    assert_false(scene->positions[0].is_missing);
    assert_true(scene->positions[1].is_missing);
    OK(scene, scene_write(scene, 1));
    scene_close(other);
    scene_free(scene);
}

/* A write that was never polled to its end, and a new connection: resolve waits for it or fences it, whichever comes first. */
static void test_an_abandoned_write_is_resolved(void **state)
{
    struct scene *scene = scene_ready();
    bool is_done;

    (void)state;
    for (int round = 0; round < 20; round++) {
        int64_t base = scene->positions[0].next_offset;

        apply(scene, account(scene, "acc-1"), EVENTS, RS_ADD, rs_value_int(1));
        for (int i = 0; i < 2000; i++) {
            char name[16];

            snprintf(name, sizeof name, "many-%d", i);
            set(scene, account(scene, name), OWNER, text("takes a while"));
        }
        OK(scene, scene_start_write(scene, 1));
        for (int i = 0; i < round % 4; i++)
            if (store_is_busy(scene->store))
                (void)!store_poll(scene->store, &scene->error);
        store_abandon(scene->store);
        assert_false(store_is_busy(scene->store));
        scene_settle(scene, 1, -1); /* the batch is gone */
        OK(scene, scene_connect(scene));
        OK(scene, scene_resolve(scene));
        is_done = scene->positions[0].next_offset == base + 1;
        assert_true(is_done || scene->positions[0].next_offset == base);
    }
    LOOK(scene, "0", "SELECT coalesce((SELECT sum(events) FROM accounts), 0) - (SELECT next_offset FROM readside_positions WHERE part = 0)");
    scene_free(scene);
}

static void test_one_operation_at_a_time(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    FAILS(scene, ERROR_BUG, "nothing to do", store_poll(scene->store, &scene->error));
    OK(scene, scene_start_write(scene, 1));
    assert_true(store_is_busy(scene->store));
    FAILS(scene, ERROR_BUG, "while another", store_start_claim(scene->store, scene->positions, 1, &scene->error));
    FAILS(scene, ERROR_BUG, "while another", store_check_schema(scene->store, &scene->error));
    FAILS(scene, ERROR_BUG, "while another", store_reset(scene->store, "kim", &scene->error));
    OK(scene, scene_finish(scene));
    assert_false(store_is_busy(scene->store));
    scene_settle(scene, 1, 0);
    OK(scene, scene_write(scene, 1));
    assert_true(store_is_connected(scene->store));
    scene_free(scene);
}

static void test_nothing_runs_without_a_connection(void **state)
{
    struct scene *scene = scene_new();

    (void)state;
    FAILS(scene, ERROR_TRANSIENT, "not ", scene_claim(scene));
    FAILS(scene, ERROR_TRANSIENT, "not ", scene_write(scene, 1));
    FAILS(scene, ERROR_TRANSIENT, "not ", store_check_schema(scene->store, &scene->error));
    assert_false(store_is_connected(scene->store));
    scene_free(scene);
}

/* ---- Values ---- */

static void set_all(struct scene *scene, const char *name, bool is_low)
{
    struct row *row = account(scene, name);
    struct rs_decimal large;

    assert_true(decimal_parse(is_low ? "-999999999999999999.99" : "999999999999999999.99", is_low ? 22 : 21, &large));
    set(scene, row, OWNER, text(is_low ? "" : "Zo\xc3\xab 'O'' \\ \"\n\xf0\x9f\x90\xa7"));
    set(scene, row, BALANCE, rs_value_decimal(large));
    set(scene, row, EVENTS, rs_value_int(is_low ? INT64_MIN : INT64_MAX));
    set(scene, row, SEEN, at(is_low ? INT64_C(-62135596800000000) : INT64_C(253402300799999999))); /* years 1 and 9999 */
    set(scene, row, DAY, on(is_low ? -719162 : 2932896));
    set(scene, row, ID, uuid(is_low ? 0 : 0xf0));
    set(scene, row, FLAG, rs_value_bool(!is_low));
    set(scene, row, RATIO, (struct rs_value){.type = RS_REAL, .as.real = is_low ? -DBL_MIN : DBL_MAX});
    set(scene, row, DATA, is_low ? bytes("", 0) : bytes("\0\xff\x80'\\", 5));
    set(scene, row, DOC, json(is_low ? "null" : "{\"a\": [1, \"\\u00eb\"]}"));
    set(scene, row, HIGH, text("x"));
}

static void test_every_type_comes_back(void **state)
{
    struct scene *scene = scene_ready();
    struct cell cells[N_ACCOUNT_COLUMNS];

    (void)state;
    set_all(scene, "low", true);
    set_all(scene, "high", false);
    OK(scene, scene_write(scene, 1));
    assert_true(scene_read_account(scene, "low", cells));
    assert_string_equal(balance_of(scene, "low"), "-999999999999999999.99");
    assert_int_equal(cells[OWNER].size, 0);
    assert_true(cells[EVENTS].as.integer == INT64_MIN);
    assert_true(cells[SEEN].as.integer == INT64_C(-62135596800000000));
    assert_int_equal(cells[DAY].as.integer, -719162);
    assert_int_equal(cells[ID].as.uuid[15], 15);
    assert_int_equal(cells[FLAG].as.integer, 0);
    assert_true(cells[RATIO].as.real == -DBL_MIN);
    assert_false(cells[DATA].is_null);
    assert_int_equal(cells[DATA].size, 0);
    assert_true(scene_read_account(scene, "high", cells));
    assert_string_equal(cells[OWNER].as.data, "Zo\xc3\xab 'O'' \\ \"\n\xf0\x9f\x90\xa7");
    assert_true(cells[EVENTS].as.integer == INT64_MAX);
    assert_true(cells[SEEN].as.integer == INT64_C(253402300799999999));
    assert_int_equal(cells[DAY].as.integer, 2932896);
    assert_int_equal(cells[ID].as.uuid[15], 0xff);
    assert_int_equal(cells[FLAG].as.integer, 1);
    assert_true(cells[RATIO].as.real == DBL_MAX);
    assert_int_equal(cells[DATA].size, 5);
    assert_memory_equal(cells[DATA].as.data, "\0\xff\x80'\\", 5);
    assert_non_null(strstr(cells[DOC].as.data, "\"a\""));
    assert_string_equal(balance_of(scene, "high"), "999999999999999999.99");
    assert_false(scene_read_account(scene, "nobody", cells));
    scene_free(scene);
}

static void test_decimals_of_every_size_come_back(void **state)
{
    struct scene *scene = scene_ready();
    int64_t cents = 7;

    (void)state;
    for (int digits = 0; digits < 18; digits++) {
        for (int sign = -1; sign <= 1; sign += 2) {
            char name[32], shown[64];
            int64_t value = sign * (digits % 2 == 0 ? cents : cents / 7 * 10);

            snprintf(name, sizeof name, "a%d%d", digits, sign);
            set(scene, account(scene, name), BALANCE, money(value));
            OK(scene, scene_write(scene, 1));
            decimal_print(decimal_make(value, 2), shown);
            assert_string_equal(balance_of(scene, name), shown);
        }
        cents *= 10;
    }
    scene_free(scene);
}

static void test_null_and_fallbacks(void **state)
{
    struct scene *scene = scene_ready();
    struct cell cells[N_ACCOUNT_COLUMNS];

    (void)state;
    set(scene, account(scene, "acc-1"), EVENTS, rs_value_int(1)); /* a partial row takes the fallbacks */
    OK(scene, scene_write(scene, 1));
    assert_true(scene_read_account(scene, "acc-1", cells));
    assert_string_equal(cells[OWNER].as.data, "O'Hara;\n\\");
    assert_true(cells[BALANCE].as.decimal == 0);
    assert_true(cells[SEEN].is_null && cells[ID].is_null && cells[HIGH].is_null);
    assert_int_equal(cells[DAY].as.integer, -1);
    assert_int_equal(cells[FLAG].as.integer, 1);
    assert_true(cells[RATIO].as.real == -0.5);
    assert_memory_equal(cells[DATA].as.data, "\x00\xff", 2);
    for (uint32_t i = EVENTS; i < N_ACCOUNT_COLUMNS; i++)
        set(scene, account(scene, "acc-1"), i, rs_value_null());
    OK(scene, scene_write(scene, 1));
    assert_true(scene_read_account(scene, "acc-1", cells));
    assert_string_equal(cells[OWNER].as.data, "O'Hara;\n\\"); /* not touched */
    for (uint32_t i = EVENTS; i < N_ACCOUNT_COLUMNS; i++)
        assert_true(cells[i].is_null);
    apply(scene, account(scene, "acc-1"), EVENTS, RS_ADD, rs_value_int(5)); /* null counts as zero, and gives way */
    apply(scene, account(scene, "acc-1"), HIGH, RS_MAX, text("b"));
    OK(scene, scene_write(scene, 1));
    assert_true(scene_read_account(scene, "acc-1", cells));
    assert_int_equal(cells[EVENTS].as.integer, 5);
    assert_string_equal(cells[HIGH].as.data, "b");
    scene_free(scene);
}

static void keep_high(struct scene *scene, const char *value, uint32_t operation, const char *expected)
{
    struct cell cells[N_ACCOUNT_COLUMNS];

    apply(scene, account(scene, "acc-1"), HIGH, operation, text(value));
    OK(scene, scene_write(scene, 1));
    assert_true(scene_read_account(scene, "acc-1", cells));
    assert_string_equal(cells[HIGH].as.data, expected);
}

static void test_text_compares_byte_by_byte(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    keep_high(scene, "Z", RS_MAX, "Z");
    keep_high(scene, "a", RS_MAX, "a"); /* in most languages Z comes after a */
    keep_high(scene, "B", RS_MAX, "a");
    keep_high(scene, "\xc3\xa9", RS_MAX, "\xc3\xa9");
    keep_high(scene, "f", RS_MAX, "\xc3\xa9");
    keep_high(scene, "Z ", RS_MIN, "Z ");
    keep_high(scene, "Z", RS_MIN, "Z");
    keep_high(scene, "a", RS_MIN, "Z");
    scene_free(scene);
}

static void test_sums_add_up(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    for (int i = 0; i < 10; i++) {
        apply(scene, account(scene, "acc-1"), BALANCE, RS_ADD, money(i % 2 == 0 ? 1001 : -1));
        apply(scene, account(scene, "acc-1"), EVENTS, RS_ADD, rs_value_int(1));
        OK(scene, scene_write(scene, 1));
    }
    assert_string_equal(balance_of(scene, "acc-1"), "50.00");
    LOOK(scene, "10", "SELECT events FROM accounts");
    set(scene, account(scene, "acc-1"), BALANCE, money(3));
    apply(scene, account(scene, "acc-1"), BALANCE, RS_ADD, money(4));
    OK(scene, scene_write(scene, 1));
    assert_string_equal(balance_of(scene, "acc-1"), "0.07");
    scene_free(scene);
}

static void test_shared_rows(void **state)
{
    struct scene *scene = scene_ready(), *other = scene_beside(scene, 99);

    (void)state;
    OK(other, scene_claim(other));
    for (int i = 0; i < 4; i++) {
        batch_keep(other->batch);
        batch_begin(other->batch, "events", i, 0); /* many partitions touch it */
        apply(other, total(other, 20000), AMOUNT, RS_ADD, money(i - 1));
        apply(other, total(other, 20000), TOP, RS_MAX, money(i * 10));
        apply(other, total(other, 20000), LEAST, RS_MIN, money(-i));
        apply(other, total(other, 20000), COUNT, RS_ADD, rs_value_int(1));
        if (i == 1)
            apply(other, total(other, 20001), LAST, RS_MAX, text("only"));
        if (i % 2 == 0)
            OK(other, scene_write(other, N_PARTITIONS));
    }
    apply(other, total(other, 20000), LAST_BYTES, RS_MAX, bytes("\xff\x00", 2));
    apply(other, total(other, 20000), LAST_UUID, RS_MAX, uuid(3));
    apply(other, total(other, 20000), FIRST_AT, RS_MIN, at(1000001));
    OK(other, scene_write(other, 1));
    apply(other, total(other, 20000), LAST_BYTES, RS_MAX, bytes("\xff", 1));
    apply(other, total(other, 20000), LAST_UUID, RS_MAX, uuid(2));
    apply(other, total(other, 20000), FIRST_AT, RS_MIN, at(1000000));
    OK(other, scene_write(other, 1));
    LOOK(scene, "0.02", "SELECT amount FROM totals WHERE count = 4");
    LOOK(scene, "0.30", "SELECT top FROM totals WHERE count = 4");
    LOOK(scene, "-0.03", "SELECT least FROM totals WHERE count = 4");
    LOOK(scene, "only", "SELECT last FROM totals WHERE count = 0");
    LOOK(scene, "0.00", "SELECT amount FROM totals WHERE count = 0"); /* declared null, but each write adds to every sum */
    LOOK(scene, "1", "SELECT count(*) FROM totals WHERE length(last_bytes) = 2");
    assert_non_null(strstr(scene_look(scene, "SELECT last_uuid FROM totals WHERE count = 4"), "03040506-0708"));
    assert_non_null(strstr(scene_look(scene, "SELECT first_at FROM totals WHERE count = 4"), "00:00:01"));
    scene_close(other);
    scene_free(scene);
}

static void test_removing_and_making_anew(void **state)
{
    struct scene *scene = scene_ready();
    struct cell cells[N_ACCOUNT_COLUMNS];

    (void)state;
    set_all(scene, "acc-1", false);
    set_all(scene, "acc-2", false);
    OK(scene, scene_write(scene, 1));
    take_away(scene, account(scene, "acc-1"));
    take_away(scene, account(scene, "acc-2"));
    take_away(scene, account(scene, "nobody"));
    set(scene, account(scene, "acc-2"), EVENTS, rs_value_int(1)); /* a new row, from the fallbacks */
    OK(scene, scene_write(scene, 1));
    assert_false(scene_read_account(scene, "acc-1", cells));
    assert_true(scene_read_account(scene, "acc-2", cells));
    assert_string_equal(cells[OWNER].as.data, "O'Hara;\n\\");
    assert_true(cells[BALANCE].as.decimal == 0 && cells[ID].is_null);
    assert_int_equal(cells[EVENTS].as.integer, 1);
    LOOK(scene, "1", "SELECT count(*) FROM accounts");
    scene_free(scene);
}

/* ---- Keys ---- */

static void make_key(struct rs_value keys[8], int which)
{
    struct rs_decimal number;

    assert_true(decimal_parse(which % 2 == 0 ? "-1234567890123456789012345678.0000000001" : "0.5", which % 2 == 0 ? 40 : 3, &number));
    keys[0] = text(which & 1 ? "" : "\xc3\xa9 key");
    keys[1] = rs_value_int(which & 2 ? INT64_MIN : 1);
    keys[2] = on(which & 4 ? -400000 : 0);
    keys[3] = at(which & 8 ? -1 : 1);
    keys[4] = rs_value_decimal(number);
    keys[5] = uuid((uint8_t)which);
    keys[6] = bytes(which & 16 ? "\0" : "", which & 16 ? 1 : 0);
    keys[7] = rs_value_bool(which & 32);
}

struct seen_places {
    size_t n, n_found;
};

static int see_place(void *context, size_t index, const struct cell *cells, int32_t partition, struct error *ret_error)
{
    struct seen_places *seen = context;
    char expected[16];

    (void)partition, (void)ret_error;
    seen->n++;
    seen->n_found += cells != NULL;
    if (cells == NULL)
        return 0;
    snprintf(expected, sizeof expected, "p%zu", index);
    assert_int_equal(cells[NAME].size, strlen(expected));
    assert_memory_equal(cells[NAME].as.data, expected, strlen(expected));
    return 0;
}

static void read_places(struct scene *scene, struct seen_places *seen)
{
    struct store_read read = {.on_row = see_place, .context = seen};

    *seen = (struct seen_places){0};
    batch_clear_wanted(scene->batch);
    for (int i = 0; i < 64; i++) {
        struct rs_value keys[8];

        make_key(keys, i);
        OK(scene, batch_want(scene->batch, PLACES, keys, 8, &scene->error));
    }
    read.rows = batch_wanted(scene->batch, &read.n_rows);
    assert_int_equal(read.n_rows, 64);
    OK(scene, store_start_read(scene->store, &read, &scene->error));
    OK(scene, scene_finish(scene));
    scene_settle(scene, 0, 0);
}

static void test_keys_of_every_type(void **state)
{
    struct scene *scene = scene_ready();
    struct seen_places seen;

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 64; i++) {
            struct rs_value keys[8];
            char name[16];

            make_key(keys, i);
            snprintf(name, sizeof name, "p%d", i);
            set(scene, scene_row(scene, PLACES, keys, 8), NAME, text(name));
        }
        OK(scene, scene_write(scene, 1));
        LOOK(scene, "64", "SELECT count(*) FROM places");
    }
    read_places(scene, &seen);
    assert_int_equal(seen.n, 64);
    assert_int_equal(seen.n_found, 64);
    for (int i = 0; i < 64; i += 2) {
        struct rs_value keys[8];

        make_key(keys, i);
        take_away(scene, scene_row(scene, PLACES, keys, 8));
    }
    OK(scene, scene_write(scene, 1));
    LOOK(scene, "32", "SELECT count(*) FROM places");
    read_places(scene, &seen);
    assert_int_equal(seen.n, 64);
    assert_int_equal(seen.n_found, 32);
    scene_free(scene);
}

/* Whose events have written it: the fold refuses to give it to those of another partition. */
static void test_a_read_tells_the_rows_partition(void **state)
{
    struct scene *scene = scene_ready();
    struct cell cells[N_ACCOUNT_COLUMNS];

    (void)state;
    for (int32_t partition = 0; partition < N_PARTITIONS; partition++) {
        set(scene, account_of(scene, partition, "acc-1"), BALANCE, money(1));
        OK(scene, scene_write(scene, N_PARTITIONS));
        assert_true(scene_read_account(scene, "acc-1", cells));
        assert_int_equal(scene->read_partition, partition);
        take_away(scene, account_of(scene, partition, "acc-1"));
        OK(scene, scene_write(scene, N_PARTITIONS));
        assert_false(scene_read_account(scene, "acc-1", cells));
    }
    scene_free(scene);
}

static int refuse_row(void *context, size_t index, const struct cell *cells, int32_t partition, struct error *ret_error)
{
    (void)index, (void)cells, (void)partition;
    ++*(int *)context;
    return error_set(ret_error, ERROR_BUG, "that is enough");
}

static void test_a_read_can_be_stopped(void **state)
{
    struct scene *scene = scene_ready();
    struct cell keys[2] = {{.operation = CELL_SET, .as.data = "a", .size = 1}, {.operation = CELL_SET, .as.data = "b", .size = 1}};
    struct wanted_row rows[2] = {scene_wanted_account(&keys[0]), scene_wanted_account(&keys[1])};
    int n = 0;
    struct store_read read = {.rows = rows, .n_rows = 2, .on_row = refuse_row, .context = &n};

    (void)state;
    OK(scene, store_start_read(scene->store, &read, &scene->error));
    FAILS(scene, ERROR_BUG, "that is enough", scene_finish(scene));
    assert_int_equal(n, 1);
    OK(scene, scene_write(scene, 1));
    scene_free(scene);
}

enum { N_ASKED = 1500 }; /* more than any store asks for at once */

struct asked {
    const struct store_read *read;
    size_t n, n_found;
};

/* Every other account is there, and each answer is for the row that was asked for, whatever lies between. */
static int see_asked(void *context, size_t index, const struct cell *cells, int32_t partition, struct error *ret_error)
{
    struct asked *asked = context;
    const struct wanted_row *wanted = &asked->read->rows[index];

    (void)partition, (void)ret_error;
    asked->n++;
    if (wanted->table != &scene_tables[ACCOUNTS])
        return 0;
    assert_int_equal(cells != NULL, wanted->key[wanted->key_size - 1] % 2 == 0);
    if (cells == NULL)
        return 0;
    asked->n_found++;
    assert_int_equal(cells[ACCOUNT].size, wanted->key_size);
    assert_memory_equal(cells[ACCOUNT].as.data, wanted->key, wanted->key_size);
    return 0;
}

static void test_each_answer_is_for_its_row(void **state)
{
    struct scene *scene = scene_ready();
    struct asked asked = {0};
    struct store_read read = {.on_row = see_asked, .context = &asked};

    (void)state;
    for (int i = 0; i < N_ASKED; i += 2) {
        char name[16];

        snprintf(name, sizeof name, "%d", i);
        set(scene, account(scene, name), BALANCE, money(i));
    }
    OK(scene, scene_write(scene, 1));
    for (int i = 0; i < N_ASKED; i++) {
        char name[16];
        struct rs_value key, keys[8];

        snprintf(name, sizeof name, "%d", i * 7 % N_ASKED);
        key = text(name);
        OK(scene, batch_want(scene->batch, ACCOUNTS, &key, 1, &scene->error));
        make_key(keys, i % 64);
        if (i % 500 == 250)
            OK(scene, batch_want(scene->batch, PLACES, keys, 8, &scene->error));
    }
    read.rows = batch_wanted(scene->batch, &read.n_rows);
    asked.read = &read;
    OK(scene, store_start_read(scene->store, &read, &scene->error));
    OK(scene, scene_finish(scene));
    assert_int_equal(asked.n, N_ASKED + 3);
    assert_int_equal(asked.n_found, N_ASKED / 2);
    scene_settle(scene, 0, 0);
    scene_free(scene);
}

/* ---- What a batch is refused for ---- */

static void test_a_row_of_another_partition_halts(void **state)
{
    struct scene *scene = scene_ready();
    struct rs_value keys[8];

    (void)state;
    make_key(keys, 0);
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    set(scene, scene_row(scene, PLACES, keys, 8), NAME, text("here"));
    OK(scene, scene_write(scene, 1));
    apply(scene, account_of(scene, 3, "acc-1"), BALANCE, RS_ADD, money(100));
    FAILS(scene, ERROR_HALT, "row acc-1 of accounts belongs to partition 0, and an event of partition 3 touches it",
          scene_write(scene, 2));
    take_away(scene, account_of(scene, 3, "acc-1"));
    FAILS(scene, ERROR_HALT, "row acc-1 of accounts belongs to partition 0, and an event of partition 3 touches it",
          scene_write(scene, 2));
    (void)account_of(scene, 3, "other");
    set(scene, scene_row(scene, PLACES, keys, 8), NAME, text("there"));
    FAILS(scene, ERROR_HALT, "of places belongs to partition 0, and an event of partition 3 touches it", scene_write(scene, 2));
    assert_string_equal(balance_of(scene, "acc-1"), "1.00");
    LOOK(scene, "here", "SELECT name FROM places");
    take_away(scene, account_of(scene, 3, "nobody")); /* a row that is not there is nobody's */
    apply(scene, account_of(scene, 0, "acc-1"), BALANCE, RS_ADD, money(100));
    OK(scene, scene_write(scene, 2));
    for (int i = 0; i < 2 * 600; i++) { /* among many of one statement */
        char name[16];

        snprintf(name, sizeof name, "acc-%d", i % 600);
        if (i < 600)
            set(scene, account_of(scene, 3, name), BALANCE, money(200));
        else
            take_away(scene, account_of(scene, 3, name));
        if (i % 600 == 599)
            FAILS(scene, ERROR_HALT, "row acc-1 of accounts belongs to partition 0, and an event of partition 3", scene_write(scene, 2));
    }
    assert_string_equal(balance_of(scene, "acc-1"), "2.00");
    LOOK(scene, "1", "SELECT count(*) FROM accounts");
    scene_free(scene);
}

static void test_an_overflow_is_poison(void **state)
{
    struct scene *scene = scene_ready();
    struct rs_decimal large;

    (void)state;
    assert_true(decimal_parse("999999999999999999.99", 21, &large));
    set(scene, account(scene, "acc-1"), BALANCE, rs_value_decimal(large));
    set(scene, account(scene, "acc-1"), EVENTS, rs_value_int(INT64_MAX));
    OK(scene, scene_write(scene, 1));
    apply(scene, account(scene, "acc-0"), BALANCE, RS_ADD, money(1));
    apply(scene, account(scene, "acc-1"), BALANCE, RS_ADD, money(1));
    FAILS(scene, ERROR_POISON, "accounts", scene_write(scene, 1));
    apply(scene, account(scene, "acc-1"), EVENTS, RS_ADD, rs_value_int(1));
    FAILS(scene, ERROR_POISON, "accounts", scene_write(scene, 1));
    LOOK(scene, "1", "SELECT count(*) FROM accounts");
    LOOK(scene, "601", "SELECT sum(next_offset) FROM readside_positions");
    apply(scene, account(scene, "acc-1"), BALANCE, RS_ADD, money(-1));
    apply(scene, account(scene, "acc-1"), EVENTS, RS_ADD, rs_value_int(-1));
    OK(scene, scene_write(scene, 1));
    assert_string_equal(balance_of(scene, "acc-1"), "999999999999999999.98");
    scene_free(scene);
}

static void test_a_dropped_table_is_told(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    OK(scene, scene_write(scene, 1));
    scene_execute(scene, "DROP VIEW accounts");
    scene_execute(scene, "DROP TABLE accounts__v1");
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    FAILS(scene, ERROR_CONFIG, "accounts__v1", scene_write(scene, 1));
    LOOK(scene, "601", "SELECT sum(next_offset) FROM readside_positions");
    /* Made anew it would lack the rows of the events before the position. */
    FAILS(scene, ERROR_CONFIG, "accounts__v1 does not exist, but this version has positions",
          store_create_schema(scene->store, &scene->error));
    FAILS(scene, ERROR_CONFIG, "accounts__v1 does not exist, but this version has positions",
          store_check_schema(scene->store, &scene->error));
    scene_execute(scene, "DELETE FROM readside_positions");
    OK(scene, store_create_schema(scene->store, &scene->error));
    scene_free(scene);
}

/* ---- Messages ---- */

static void test_messages_go_with_the_batch(void **state)
{
    struct scene *scene = scene_ready();
    struct rs_header headers[2] = {{.name = "a\"b", .value = {"\x01\xff", 2}}, {.name = "none", .value = {NULL, 0}}};
    struct rs_message message = {.topic = "out", .key = {"k\0y", 3}, .value = {NULL, 0}, .headers = headers, .n_headers = 2,
                                 .header_size = sizeof headers[0]};

    (void)state;
    batch_keep(scene->batch);
    batch_begin(scene->batch, "events", 2, 41);
    OK(scene, batch_emit(scene->batch, &message, &scene->error));
    scene->positions[1].epoch--;
    FAILS(scene, ERROR_FENCED, "events/", scene_write(scene, 2));
    LOOK(scene, "0", "SELECT count(*) FROM readside_outbox");
    scene->positions[1].epoch++;
    for (int i = 0; i < 100; i++) {
        batch_keep(scene->batch);
        batch_begin(scene->batch, "events", 2, 41 + i);
        OK(scene, batch_emit(scene->batch, &message, &scene->error));
    }
    OK(scene, scene_write(scene, 2));
    LOOK(scene, "100", "SELECT count(*) FROM readside_outbox WHERE pipeline = 'bank' AND version = 1 AND topic = 'out' "
                       "AND length(\"key\") = 3 AND value IS NULL AND source_topic = 'events' AND source_part = 2");
    LOOK(scene, "99", "SELECT count(*) FROM readside_outbox a, readside_outbox b WHERE b.source_offset = a.source_offset + 1 "
                      "AND b.position > a.position");
    assert_non_null(strstr(scene_look(scene, "SELECT headers FROM readside_outbox"), "\"01ff\""));
    scene_free(scene);
}

/* ---- Halts and operators ---- */

static void test_halts_and_operators(void **state)
{
    struct scene *scene = scene_ready();
    struct store_operation operation = {.topic = "events", .partition = 3, .kind = STORE_RESUME, .reason = "fixed", .actor = "kim"};

    (void)state;
    FAILS(scene, ERROR_CONFIG, "events/3 has no halted position", store_operate(scene->store, &operation, &scene->error));
    OK(scene, scene_start_write(scene, 0));
    OK(scene, scene_finish(scene)); /* of nothing at all */
    scene->moves[0] = (struct store_move){.topic = "events", .partition = 3, .base = 300, .next = 303, .epoch = 1, .leader_epoch = -1,
                                          .halt_kind = "poison", .halt_reason = "amount is negative \xc3"}; /* cut in a character */
    scene->write = (struct store_write){.moves = scene->moves, .n_moves = 1};
    OK(scene, store_start_write(scene->store, &scene->write, &scene->error));
    OK(scene, scene_finish(scene));
    scene_settle(scene, 0, 0);
    OK(scene, scene_claim(scene));
    assert_true(scene->positions[1].is_halted);
    assert_string_equal(scene->positions[1].halt_kind, "poison");
    assert_non_null(strstr(scene->positions[1].halt_reason, "amount is negative"));
    assert_int_equal(scene->positions[1].next_offset, 303);
    assert_false(scene->positions[0].is_halted);
    OK(scene, store_operate(scene->store, &operation, &scene->error));
    FAILS(scene, ERROR_FENCED, "events/", scene_write(scene, N_PARTITIONS));
    operation = (struct store_operation){.topic = "events", .partition = 1, .kind = STORE_SET, .base = 100, .next_offset = 50,
                                         .cluster_id = "new", .topic_id = {5}, .reason = "skip", .actor = "kim"};
    OK(scene, store_operate(scene->store, &operation, &scene->error));
    OK(scene, scene_resolve(scene));
    assert_false(scene->positions[0].is_missing);
    assert_true(scene->positions[1].is_missing);
    assert_true(scene->positions[2].is_missing);
    LOOK(scene, "new", "SELECT cluster_id FROM readside_positions WHERE part = 1 AND next_offset = 50 AND state = 'running'");
    LOOK(scene, "100", "SELECT old_offset FROM readside_audit WHERE action = 'set' AND new_offset = 50 AND reason = 'skip'");
    LOOK(scene, "303", "SELECT old_offset FROM readside_audit WHERE action = 'resume' AND new_offset = 303 AND actor = 'kim'");
    operation.partition = 9;
    FAILS(scene, ERROR_CONFIG, "events/9 has no position", store_operate(scene->store, &operation, &scene->error));
    LOOK(scene, "2", "SELECT count(*) FROM readside_audit");
    scene_free(scene);
}

/* Between the operator's look and word a task has gone on, or a colleague was quicker. */
static void test_an_operator_moves_only_what_was_seen(void **state)
{
    struct scene *scene = scene_ready();
    struct store_operation operation = {.topic = "events", .kind = STORE_SKIP, .base = 0, .next_offset = 2, .cluster_id = "cluster",
                                        .topic_id = {9}, .reason = "junk", .actor = "kim"};

    (void)state;
    OK(scene, scene_write(scene, 1));
    FAILS(scene, ERROR_FENCED, "events/0 was at offset 0 and has moved meanwhile (now 1); nothing was changed: look again",
          store_operate(scene->store, &operation, &scene->error));
    operation.kind = STORE_SET;
    operation.base = 2;
    operation.next_offset = 0;
    FAILS(scene, ERROR_FENCED, "(now 1)", store_operate(scene->store, &operation, &scene->error));
    LOOK(scene, "0", "SELECT count(*) FROM readside_audit");
    OK(scene, scene_write(scene, 1)); /* the task was not disturbed */
    operation.kind = STORE_SKIP;
    operation.next_offset = 5;
    OK(scene, store_operate(scene->store, &operation, &scene->error));
    LOOK(scene, "5", "SELECT next_offset FROM readside_positions WHERE part = 0");
    LOOK(scene, "2", "SELECT old_offset FROM readside_audit WHERE action = 'skip' AND new_offset = 5");
    FAILS(scene, ERROR_FENCED, "(now 5)", store_operate(scene->store, &operation, &scene->error));
    scene_free(scene);
}

static void test_reset_empties_a_version(void **state)
{
    struct scene *scene = scene_ready(), *other = scene_beside(scene, 99);

    (void)state;
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    OK(scene, scene_write(scene, 1));
    OK(other, store_reset(other->store, "kim", &other->error));
    LOOK(scene, "0", "SELECT count(*) FROM readside_positions");
    LOOK(scene, "1", "SELECT count(*) FROM readside_audit WHERE action = 'reset' AND actor = 'kim'");
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    FAILS(scene, ERROR_FENCED, "events/0", scene_write(scene, 1));
    FAILS(other, ERROR_CONFIG, "do not exist", store_check_schema(other->store, &other->error));
    OK(other, store_create_schema(other->store, &other->error));
    OK(other, scene_insert_all(other)); /* as on the first day */
    OK(other, scene_claim(other));
    set(other, account(other, "acc-1"), BALANCE, money(3));
    OK(other, scene_write(other, N_PARTITIONS));
    LOOK(scene, "1", "SELECT count(*) FROM accounts");
    scene_close(other);
    scene_free(scene);
}

/* ---- Many ---- */

/* Every shape of an upsert is a statement of its own: more of them than a driver keeps. */
static void test_more_shapes_than_statements(void **state)
{
    static const uint32_t columns[] = {OWNER, BALANCE, EVENTS, SEEN, DAY, FLAG, RATIO, DATA, HIGH};
    struct scene *scene = scene_ready();

    (void)state;
    for (unsigned shape = 1; shape < 512; shape++) {
        struct row *row = account(scene, "acc-1");

        for (unsigned i = 0; i < 9; i++) {
            if ((shape >> i & 1) == 0)
                continue;
            if (columns[i] == EVENTS)
                apply(scene, row, EVENTS, RS_ADD, rs_value_int(1));
            else if (columns[i] == BALANCE)
                apply(scene, row, BALANCE, RS_ADD, money(1));
            else
                set(scene, row, columns[i], columns[i] == OWNER ? text("Alice") : rs_value_null());
        }
        OK(scene, scene_write(scene, 1));
    }
    assert_string_equal(balance_of(scene, "acc-1"), "2.56");
    LOOK(scene, "256", "SELECT events FROM accounts");
    scene_free(scene);
}

static void add_to_many(struct scene *scene, int n, int first)
{
    for (int i = 0; i < n; i++) {
        char name[32];

        snprintf(name, sizeof name, "acc-%07d", first + i);
        set(scene, account(scene, name), OWNER, text("somebody"));
        apply(scene, account(scene, name), BALANCE, RS_ADD, money(100));
        apply(scene, account(scene, name), EVENTS, RS_ADD, rs_value_int(1));
        set(scene, account(scene, name), SEEN, at(INT64_C(1795752000000000) + i));
    }
}

/* Speed is printed, not judged: rows a second of the write alone. */
static void test_large_batches(void **state)
{
    enum { ROWS = 20000, BATCHES = 10 };
    struct scene *scene = scene_ready();
    char expected[32];

    (void)state;
    for (int is_hot = 0; is_hot <= 1; is_hot++) {
        int64_t spent_us = 0;

        for (int i = 0; i < BATCHES; i++) {
            int64_t began_us;

            add_to_many(scene, ROWS, is_hot ? 0 : i * ROWS);
            batch_keep(scene->batch);
            began_us = scene_now_us();
            OK(scene, scene_write(scene, N_PARTITIONS));
            spent_us += scene_now_us() - began_us;
        }
        print_message("             %d rows %s in batches of %d: %.0f rows/s\n", ROWS * BATCHES, is_hot ? "updated" : "inserted", ROWS,
                      ROWS * BATCHES * 1e6 / (double)spent_us);
    }
    snprintf(expected, sizeof expected, "%d", ROWS * BATCHES);
    LOOK(scene, expected, "SELECT count(*) FROM accounts");
    snprintf(expected, sizeof expected, "%d", 2 * ROWS * BATCHES);
    LOOK(scene, expected, "SELECT sum(events) FROM accounts");
    scene_free(scene);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_batches), /* takes longest: the others run beside it */
        cmocka_unit_test(test_schema_is_made_once_and_checked),
        cmocka_unit_test(test_printed_schema_is_the_one_that_fits),
        cmocka_unit_test(test_drift_is_told),
        cmocka_unit_test(test_an_index_that_is_missing),
        cmocka_unit_test(test_an_index_of_that_name_on_another_table),
        cmocka_unit_test(test_drift_of_the_hosts_tables_is_told),
        cmocka_unit_test(test_a_column_that_the_host_does_not_fill),
        cmocka_unit_test(test_names_compare_byte_by_byte),
        cmocka_unit_test(test_everything_wrong_is_told_at_once),
        cmocka_unit_test(test_a_view_of_another_version_stays),
        cmocka_unit_test(test_first_positions),
        cmocka_unit_test(test_rows_without_positions_are_refused),
        cmocka_unit_test(test_a_claim_takes_owner_and_epoch),
        cmocka_unit_test(test_a_second_claim_fences_the_first),
        cmocka_unit_test(test_one_wrong_move_stops_all),
        cmocka_unit_test(test_resolve_tells_what_is_committed),
        cmocka_unit_test(test_resolve_tells_who_was_fenced),
        cmocka_unit_test(test_an_abandoned_write_is_resolved),
        cmocka_unit_test(test_one_operation_at_a_time),
        cmocka_unit_test(test_nothing_runs_without_a_connection),
        cmocka_unit_test(test_every_type_comes_back),
        cmocka_unit_test(test_decimals_of_every_size_come_back),
        cmocka_unit_test(test_null_and_fallbacks),
        cmocka_unit_test(test_text_compares_byte_by_byte),
        cmocka_unit_test(test_sums_add_up),
        cmocka_unit_test(test_shared_rows),
        cmocka_unit_test(test_removing_and_making_anew),
        cmocka_unit_test(test_keys_of_every_type),
        cmocka_unit_test(test_a_read_tells_the_rows_partition),
        cmocka_unit_test(test_a_read_can_be_stopped),
        cmocka_unit_test(test_each_answer_is_for_its_row),
        cmocka_unit_test(test_a_row_of_another_partition_halts),
        cmocka_unit_test(test_an_overflow_is_poison),
        cmocka_unit_test(test_a_dropped_table_is_told),
        cmocka_unit_test(test_messages_go_with_the_batch),
        cmocka_unit_test(test_halts_and_operators),
        cmocka_unit_test(test_an_operator_moves_only_what_was_seen),
        cmocka_unit_test(test_reset_empties_a_version),
        cmocka_unit_test(test_more_shapes_than_statements),
    };

    if (scene_lists(argc, argv, tests, sizeof tests / sizeof tests[0]))
        return 0;
    return cmocka_run_group_tests_name(scene_in("store contract, sqlite", "store contract, postgresql", "store contract, mysql"), tests,
                                       NULL, NULL);
}
