/*
 * version_contract: whose rows a version's tables hold, and whom every driver refuses, on the store that the environment names
 * (scene.h).
 */
#include "scene.h"

#include <poll.h>

/* ---- One after the other ---- */

static void test_a_table_belongs_to_one_pipeline(void **state)
{
    struct scene *scene = scene_ready(), *other = scene_beside(scene, 9);

    (void)state;
    other->scope.pipeline = "copy";
    OK(other, scene_open(other));
    OK(other, scene_connect(other));
    FAILS(other, ERROR_CONFIG, "accounts__v1 belongs to pipeline bank version 1", scene_claim(other));
    FAILS(other, ERROR_CONFIG, "accounts__v1 belongs to pipeline bank version 1", scene_insert_all(other));
    FAILS(other, ERROR_CONFIG, "accounts__v1 belongs to pipeline bank version 1", store_reset(other->store, "test", &other->error));
    set(scene, account(scene, "acc-1"), BALANCE, money(100)); /* the one that runs is not disturbed */
    OK(scene, scene_write(scene, N_PARTITIONS));
    LOOK(scene, "0", "SELECT count(*) FROM readside_positions WHERE pipeline = 'copy'");
    scene_close(other);
    scene_free(scene);
}

/* The same pipeline as its plugin declares it with other options: bit i of omitted leaves table i out. */
static void open_without(struct scene *scene, unsigned omitted, struct table copies[N_TABLES])
{
    for (unsigned i = 0; i < N_TABLES; i++) {
        copies[i] = scene_tables[i];
        copies[i].is_omitted = (omitted >> i & 1) != 0;
    }
    scene->scope.tables = copies;
    OK(scene, scene_open(scene));
    OK(scene, scene_connect(scene));
}

static void test_a_table_that_is_left_out(void **state)
{
    struct scene *scene = scene_ready();
    struct table copies[N_TABLES];

    (void)state;
    open_without(scene, 1 << TOTALS, copies);
    FAILS(scene, ERROR_CONFIG, "has filled table totals__v1 until now", scene_claim(scene));
    FAILS(scene, ERROR_CONFIG, "has filled table totals__v1 until now", store_check_schema(scene->store, &scene->error));
    open_without(scene, 0, copies); /* nothing has happened without it */
    OK(scene, store_check_schema(scene->store, &scene->error));
    OK(scene, scene_claim(scene));
    OK(scene, scene_write(scene, N_PARTITIONS));
    open_without(scene, 1 << TOTALS, copies);
    OK(scene, store_reset(scene->store, "kim", &scene->error)); /* all that the version has filled */
    OK(scene, store_create_schema(scene->store, &scene->error));
    OK(scene, scene_insert_all(scene));
    open_without(scene, 0, copies);
    FAILS(scene, ERROR_CONFIG, "has run without table totals__v1", store_create_schema(scene->store, &scene->error));
    FAILS(scene, ERROR_CONFIG, "has run without table totals__v1", store_check_schema(scene->store, &scene->error));
    scene_free(scene);
}

/* Nothing is filled before there are positions: until then, options, plugin and owner of the tables are free to change. */
static void test_a_claim_alone_enters_nothing(void **state)
{
    struct scene *scene = scene_new(), *other = scene_beside(scene, 9);
    struct table copies[N_TABLES];

    (void)state;
    OK(scene, scene_connect(scene));
    OK(scene, store_create_schema(scene->store, &scene->error));
    OK(scene, scene_claim(scene));
    LOOK(scene, "0", "SELECT count(*) FROM readside_tables");
    LOOK(scene, "0", "SELECT count(*) FROM readside_projections");
    scene->scope.revision = 4;
    open_without(scene, 1 << TOTALS, copies);
    OK(scene, store_check_schema(scene->store, &scene->error));
    OK(scene, scene_claim(scene));
    other->scope.pipeline = "copy";
    OK(other, scene_open(other));
    OK(other, scene_connect(other));
    OK(other, store_check_schema(other->store, &other->error));
    OK(other, scene_claim(other));
    OK(other, scene_insert_all(other));
    LOOK(scene, "3", "SELECT count(*) FROM readside_tables WHERE pipeline = 'copy'");
    FAILS(scene, ERROR_CONFIG, "accounts__v1 belongs to pipeline copy version 1", scene_claim(scene));
    FAILS(scene, ERROR_CONFIG, "accounts__v1 belongs to pipeline copy version 1", scene_insert_all(scene));
    OK(other, store_reset(other->store, "kim", &other->error));
    OK(scene, store_create_schema(scene->store, &scene->error));
    OK(scene, scene_insert_all(scene));
    LOOK(scene, "2", "SELECT count(*) FROM readside_tables WHERE pipeline = 'bank'");
    LOOK(scene, "4", "SELECT revision FROM readside_projections");
    scene_close(other);
    scene_free(scene);
}

/* Each has found the version without positions, and only one of them fills it. */
static void test_two_that_start_at_once(void **state)
{
    struct scene *scene = scene_new(), *newer = scene_beside(scene, 9), *other = scene_beside(scene, 8);
    struct table copies[N_TABLES];

    (void)state;
    OK(scene, scene_connect(scene));
    OK(scene, store_create_schema(scene->store, &scene->error));
    newer->scope.revision = 4;
    OK(newer, scene_open(newer));
    OK(newer, scene_connect(newer));
    open_without(other, 1 << TOTALS, copies);
    OK(newer, scene_claim(newer));
    OK(other, scene_claim(other));
    OK(scene, scene_claim(scene));
    OK(scene, scene_insert_all(scene));
    FAILS(newer, ERROR_CONFIG, "was filled by plugin bank revision 3, this is bank revision 4", scene_insert_all(newer));
    FAILS(other, ERROR_CONFIG, "has filled table totals__v1 until now", scene_insert_all(other));
    OK(scene, scene_claim(scene));
    OK(scene, scene_write(scene, N_PARTITIONS));
    scene_close(other);
    scene_close(newer);
    scene_free(scene);
}

/* A table made by hand for schema = "check" is no better. */
static void test_a_table_that_comes_late(void **state)
{
    struct scene *scene = scene_new(), *other = scene_beside(scene, 9);
    struct table copies[N_TABLES], others[N_TABLES];

    (void)state;
    open_without(scene, 1 << TOTALS, copies);
    OK(scene, store_create_schema(scene->store, &scene->error));
    OK(scene, scene_insert_all(scene));
    other->scope.pipeline = "other"; /* of the same version, so that its tables have the names */
    open_without(other, 1 << ACCOUNTS | 1 << PLACES, others);
    OK(other, store_create_schema(other->store, &other->error));
    open_without(scene, 0, copies);
    FAILS(scene, ERROR_CONFIG, "has run without table totals__v1", store_check_schema(scene->store, &scene->error));
    FAILS(scene, ERROR_CONFIG, "has run without table totals__v1", scene_claim(scene));
    open_without(scene, 1 << TOTALS, copies);
    OK(scene, store_check_schema(scene->store, &scene->error));
    OK(scene, scene_claim(scene));
    scene_close(other);
    scene_free(scene);
}

static void test_reset_leaves_the_tables_of_others(void **state)
{
    struct scene *scene = scene_new(), *other = scene_beside(scene, 9);
    struct table copies[N_TABLES], others[N_TABLES];

    (void)state;
    open_without(scene, 1 << TOTALS, copies);
    OK(scene, store_create_schema(scene->store, &scene->error));
    OK(scene, scene_insert_all(scene));
    other->scope.pipeline = "other";
    open_without(other, 1 << ACCOUNTS | 1 << PLACES, others);
    OK(other, store_create_schema(other->store, &other->error));
    OK(other, scene_insert_all(other));
    OK(other, scene_claim(other));
    apply(other, total(other, 1), COUNT, RS_ADD, rs_value_int(3));
    OK(other, scene_write(other, 1));
    OK(scene, store_reset(scene->store, "kim", &scene->error));
    LOOK(scene, "3", "SELECT count FROM totals");
    apply(other, total(other, 1), COUNT, RS_ADD, rs_value_int(4));
    OK(other, scene_write(other, 1));
    LOOK(scene, "7", "SELECT count FROM totals");
    scene_close(other);
    scene_free(scene);
}

static void test_a_check_tells_whose_tables_they_are(void **state)
{
    struct scene *scene = scene_ready(), *other = scene_beside(scene, 9);

    (void)state;
    other->scope.revision = 4;
    OK(other, scene_open(other));
    OK(other, scene_connect(other));
    FAILS(other, ERROR_CONFIG, "was filled by plugin bank revision 3", store_check_schema(other->store, &other->error));
    other->scope.pipeline = "copy";
    OK(other, scene_open(other));
    OK(other, scene_connect(other));
    FAILS(other, ERROR_CONFIG, "accounts__v1 belongs to pipeline bank version 1", store_check_schema(other->store, &other->error));
    LOOK(scene, "1", "SELECT count(*) FROM readside_projections"); /* nothing was entered */
    scene_close(other);
    scene_free(scene);
}

/* Positions that somebody has deleted: what a start would refuse, a check finds. */
static void test_rows_without_positions(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    scene_execute(scene, "DELETE FROM readside_positions");
    OK(scene, store_preflight(scene->store, &scene->error));
    OK(scene, scene_insert_all(scene));
    OK(scene, scene_claim(scene));
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    OK(scene, scene_write(scene, 1));
    OK(scene, store_preflight(scene->store, &scene->error));
    scene_execute(scene, "DELETE FROM readside_positions");
    FAILS(scene, ERROR_CONFIG, "has no positions yet, but table accounts__v1 holds rows", store_preflight(scene->store, &scene->error));
    scene_free(scene);
}

/* Whoever drops or empties a table of the host's is reminded of it. */
static void test_entries_that_are_lost(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    scene_execute(scene, "DELETE FROM readside_tables");
    FAILS(scene, ERROR_CONFIG, "has readside_tables been emptied?", store_check_schema(scene->store, &scene->error));
    FAILS(scene, ERROR_CONFIG, "has readside_tables been emptied?", scene_claim(scene));
    scene_free(scene);
}

static void test_another_revision_changes_nothing(void **state)
{
    struct scene *scene = scene_ready(), *newer = scene_beside(scene, 9);

    (void)state;
    newer->scope.revision = 4;
    OK(newer, scene_open(newer));
    OK(newer, scene_connect(newer));
    FAILS(newer, ERROR_CONFIG, "was filled by plugin bank revision 3, this is bank revision 4", scene_claim(newer));
    FAILS(newer, ERROR_CONFIG, "was filled by plugin bank revision 3, this is bank revision 4", scene_insert_all(newer));
    set(scene, account(scene, "acc-1"), BALANCE, money(100)); /* the one that runs is not disturbed */
    OK(scene, scene_write(scene, N_PARTITIONS));
    scene_close(newer);
    scene_free(scene);
}

static int no_row(void *context, size_t index, const struct cell *cells, int32_t partition, struct error *error)
{
    (void)context, (void)index, (void)cells, (void)partition, (void)error;
    return 0;
}

/* A reset drops tables under a task whose next operation is a read: worth another start, unlike a table that differs. */
static void test_a_read_of_a_table_that_is_gone(void **state)
{
    struct scene *scene = scene_ready();
    struct cell key = {.operation = CELL_SET, .as.data = "acc-1", .size = 5};
    struct wanted_row row = scene_wanted_account(&key);
    struct store_read read = {.rows = &row, .n_rows = 1, .on_row = no_row};
    int result;

    (void)state;
    scene_execute(scene, "DROP VIEW accounts");
    scene_execute(scene, "DROP TABLE accounts__v1");
    result = store_start_read(scene->store, &read, &scene->error);
    assert_int_equal(result == 0 ? scene_finish(scene) : result, ERROR_CONFIG);
    assert_string_equal(scene->error.code, STORE_MISSING);
    scene_free(scene);
}

/* ---- At once: a file lets one in at a time, a server many ---- */

/* Polls until the driver waits for what beside's eye holds. A user of MySQL does not see who waits for whom, only that the driver
 * is in the statement that cannot end: the one that begins so. */
static void poll_until_held(struct scene *scene, struct scene *beside, const char *statement)
{
    static const char is_held[] = "SELECT count(*) > 0 FROM pg_locks WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))";
    int64_t end_us = scene_now_us() + 10000000;
    char is_running[200];

    snprintf(is_running, sizeof is_running,
             "SELECT count(*) > 0 FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE '%s%%'", statement);
    while (strcmp(scene_look(beside, scene_in("", is_held, is_running)), scene_in("", "t", "1")) != 0) {
        if (store_poll(scene->store, &scene->error) != STORE_BUSY)
            fail_msg("the operation ended instead of waiting: %s", scene->error.text);
        if (scene_now_us() > end_us)
            fail_msg("the driver does not wait");
        (void)poll(NULL, 0, 2);
    }
}

#define FIRST_POSITION                                                                                                             \
    "INSERT INTO readside_positions (pipeline, version, topic, part, cluster_id, next_offset) "                                    \
    "VALUES ('bank', 1, 'events', 0, 'cluster', 0)"

/* What a claim has found may be otherwise when it comes to take: another plugin has filled the version meanwhile. */
static void test_a_version_that_is_filled_while_it_is_claimed(void **state)
{
    struct scene *scene = scene_new(), *newer = scene_beside(scene, 99);
    struct store_position position = {.topic = "events", .partition = 0};

    (void)state;
    OK(scene, scene_connect(scene));
    OK(scene, store_create_schema(scene->store, &scene->error));
    newer->scope.revision = 4;
    newer->settings.lock_timeout_us = 20000000;
    OK(newer, scene_open(newer));
    OK(newer, scene_connect(newer));
    /* Those who only read go on. MySQL waits for a row that nobody sees yet, PostgreSQL does not. */
    scene_execute(scene, scene_in("", "BEGIN; LOCK TABLE readside_positions IN EXCLUSIVE MODE; " FIRST_POSITION,
                                  "BEGIN; " FIRST_POSITION));
    OK(newer, store_start_claim(newer->store, &position, 1, &newer->error));
    poll_until_held(newer, scene, "SELECT topic, part,");
    scene_execute(scene, "INSERT INTO readside_projections (pipeline, version, plugin, revision) "
                         "VALUES ('bank', 1, 'bank', 3); COMMIT");
    FAILS(newer, ERROR_CONFIG, "was filled by plugin bank revision 3, this is bank revision 4", scene_finish(newer));
    LOOK(scene, "0", "SELECT epoch FROM readside_positions WHERE owner IS NULL");
    scene_close(newer);
    scene_free(scene);
}

/* A reset comes between a claim and its first positions: they enter the version anew. */
static void test_a_version_that_is_dropped_while_it_is_entered(void **state)
{
    struct scene *scene = scene_ready();
    const struct store_start start = {.topic = "events", .partition = 0, .cluster_id = "cluster"};

    (void)state;
    scene->settings.lock_timeout_us = 20000000;
    OK(scene, scene_open(scene));
    OK(scene, scene_connect(scene));
    scene_execute(scene, "BEGIN; SELECT 1 FROM readside_projections FOR UPDATE");
    OK(scene, store_start_insert(scene->store, &start, 1, true, &scene->error));
    poll_until_held(scene, scene, "INSERT INTO readside_projections");
    scene_execute(scene, "DELETE FROM readside_positions; DELETE FROM readside_tables; DELETE FROM readside_projections; COMMIT");
    OK(scene, scene_finish(scene));
    LOOK(scene, "3", "SELECT revision FROM readside_projections");
    LOOK(scene, "3", "SELECT count(*) FROM readside_tables");
    LOOK(scene, "1", "SELECT count(*) FROM readside_positions");
    scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_table_belongs_to_one_pipeline),
        cmocka_unit_test(test_a_table_that_is_left_out),
        cmocka_unit_test(test_a_claim_alone_enters_nothing),
        cmocka_unit_test(test_two_that_start_at_once),
        cmocka_unit_test(test_a_table_that_comes_late),
        cmocka_unit_test(test_reset_leaves_the_tables_of_others),
        cmocka_unit_test(test_a_check_tells_whose_tables_they_are),
        cmocka_unit_test(test_rows_without_positions),
        cmocka_unit_test(test_entries_that_are_lost),
        cmocka_unit_test(test_another_revision_changes_nothing),
        cmocka_unit_test(test_a_read_of_a_table_that_is_gone),
    };
    const struct CMUnitTest at_once[] = {
        cmocka_unit_test(test_a_version_that_is_filled_while_it_is_claimed),
        cmocka_unit_test(test_a_version_that_is_dropped_while_it_is_entered),
    };
    int n_failed = cmocka_run_group_tests_name(scene_in("version contract, sqlite", "version contract, postgresql",
                                                        "version contract, mysql"),
                                               tests, NULL, NULL);

    if (scene_is_sqlite())
        return n_failed;
    return n_failed + cmocka_run_group_tests_name(scene_in("", "version contract at once, postgresql",
                                                           "version contract at once, mysql"),
                                                  at_once, NULL, NULL);
}
