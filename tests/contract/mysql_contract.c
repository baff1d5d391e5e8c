/*
 * mysql_contract - what MySQL and MariaDB do to their driver: connections killed, locks held, tables that cannot be rolled back,
 * values that are too large. STORE_URI names the server, either of the two.
 */
#include "scene.h"

static int connect_to(struct scene *scene, const char *uri, const char *password)
{
    int result;

    scene->settings.uri = uri;
    scene->settings.password = password;
    result = scene_open(scene);
    return result != 0 ? result : scene_connect(scene);
}

static void test_refused_connections(void **state)
{
    struct scene *scene = scene_new();
    const char *password = scene->settings.password;
    char uri[600];

    (void)state;
    FAILS(scene, ERROR_CONFIG, "says 1045", connect_to(scene, scene->uri, "wrong"));
    FAILS(scene, ERROR_CONFIG, "says 1045", connect_to(scene, scene->uri, NULL));
    snprintf(uri, sizeof uri, "%.*s/nowhere", (int)(strrchr(scene->uri, '/') - scene->uri), scene->uri);
    FAILS(scene, ERROR_CONFIG, "says 1044", connect_to(scene, uri, password));
    FAILS(scene, ERROR_TRANSIENT, "cannot connect to 127.0.0.1", connect_to(scene, "mysql://u@127.0.0.1:1/x", password));
    FAILS(scene, ERROR_CONFIG, "uri: ", connect_to(scene, "mysql://", password));
    FAILS(scene, ERROR_CONFIG, "does not verify the server db.example.com",
          connect_to(scene, "mysql://u@db.example.com/x?tls=off", password));
    OK(scene, connect_to(scene, scene->uri, password));
    scene_free(scene);
}

/* The driver's connections, but for the one that looks. */
static void kill_driver(struct scene *scene)
{
    char sql[1100];

    scene_look(scene, "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID() LIMIT 1");
    snprintf(sql, sizeof sql, "KILL CONNECTION %s", scene->shown);
    scene_execute(scene, sql);
}

static void test_a_killed_connection_loses_nothing(void **state)
{
    struct scene *scene = scene_ready();
    int64_t base = scene->positions[0].next_offset;

    (void)state;
    kill_driver(scene);
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    assert_int_equal(scene_write(scene, 1), ERROR_TRANSIENT);
    assert_false(store_is_connected(scene->store));
    OK(scene, scene_connect(scene));
    OK(scene, scene_resolve(scene));
    assert_int_equal(scene->positions[0].next_offset, base);
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    OK(scene, scene_write(scene, 1));
    LOOK(scene, "100.00", "SELECT sum(balance) * 100 FROM accounts");
    kill_driver(scene);
    assert_int_equal(scene_claim(scene), ERROR_TRANSIENT);
    OK(scene, scene_connect(scene));
    OK(scene, scene_claim(scene));
    scene_free(scene);
}

/* Somebody in no hurry, whom nobody knows: not ended, waited for, told. */
static void test_a_lock_of_a_stranger(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    scene->settings.lock_timeout_us = 1000000;
    OK(scene, scene_open(scene));
    OK(scene, scene_connect(scene));
    OK(scene, scene_claim(scene));
    scene_execute(scene, "BEGIN; SELECT * FROM readside_positions FOR UPDATE");
    FAILS(scene, ERROR_TRANSIENT, "says 1205", scene_write(scene, 1));
    assert_true(store_is_connected(scene->store));
    scene_execute(scene, "COMMIT");
    OK(scene, scene_write(scene, 1));
    scene_free(scene);
}

/* A task that is frozen with its transaction open. */
static void test_a_holder_that_does_not_let_go_is_ended(void **state)
{
    struct scene *scene = scene_ready(), *holder = scene_beside(scene, 77);

    (void)state;
    scene_execute(holder, "SELECT GET_LOCK(CONCAT('held in ', DATABASE()), 0)");
    scene_execute(scene, "UPDATE readside_positions SET backend = CONCAT('held in ', DATABASE())");
    scene_execute(holder, "BEGIN; SELECT * FROM readside_positions FOR UPDATE");
    scene->settings.lock_timeout_us = 1000000;
    OK(scene, scene_open(scene));
    OK(scene, scene_connect(scene));
    OK(scene, scene_claim(scene));
    assert_false(scene->positions[0].is_missing);
    scene_close(holder);
    scene_free(scene);
}

static void test_what_cannot_be_rolled_back_is_refused(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    OK(scene, store_preflight(scene->store, &scene->error));
    scene_execute(scene, "ALTER TABLE totals__v1 ENGINE = MyISAM");
    FAILS(scene, ERROR_CONFIG, "table totals__v1 is of the engine MyISAM", store_preflight(scene->store, &scene->error));
    scene_execute(scene, "ALTER TABLE totals__v1 ENGINE = InnoDB");
    OK(scene, store_preflight(scene->store, &scene->error));
    scene_free(scene);
}

static void test_constraints_are_refused_unless_allowed(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    scene_execute(scene, "CREATE UNIQUE INDEX once ON accounts__v1 (events)");
    FAILS(scene, ERROR_CONFIG, "table accounts__v1 has the unique index once", store_preflight(scene->store, &scene->error));
    scene->settings.allow_constraints = true;
    OK(scene, scene_open(scene));
    OK(scene, scene_connect(scene));
    OK(scene, store_preflight(scene->store, &scene->error));
    scene->settings.allow_constraints = false;
    OK(scene, scene_open(scene));
    OK(scene, scene_connect(scene));
    scene_execute(scene, "DROP INDEX once ON accounts__v1; ALTER TABLE accounts__v1 ADD CONSTRAINT few CHECK (events < 3)");
    FAILS(scene, ERROR_CONFIG, "table accounts__v1 has the constraint few", store_preflight(scene->store, &scene->error));
    scene_free(scene);
}

/* Neither case nor trailing blanks merge keys, and a collation in which they would is told. */
static void test_keys_are_compared_byte_by_byte(void **state)
{
    static const char *const names[] = {"a", "A", "a ", "a  ", "\xc3\xa4", "a\t"};
    struct scene *scene = scene_ready();

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        set(scene, account(scene, names[i]), BALANCE, money(100));
    OK(scene, scene_write(scene, 1));
    LOOK(scene, "6", "SELECT count(*) FROM accounts");
    assert_string_equal(balance_of(scene, "a "), "1.00");
    scene_execute(scene, "DELETE FROM accounts__v1; "
                         "ALTER TABLE accounts__v1 MODIFY account varchar(768) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL");
    FAILS(scene, ERROR_CONFIG, "column account has the collation utf8mb4_bin, in which different texts can be equal",
          store_check_schema(scene->store, &scene->error));
    scene_free(scene);
}

static void test_a_row_that_no_statement_can_hold(void **state)
{
    struct scene *scene = scene_ready();
    size_t size = (size_t)strtoll(scene_look(scene, "SELECT @@max_allowed_packet"), NULL, 10) + 1;
    char *owner = malloc(size + 1);
    struct rs_value value = text("");

    (void)state;
    assert_non_null(owner);
    memset(owner, 'o', size);
    owner[size] = '\0';
    value = text(owner);
    set(scene, account(scene, "acc-1"), OWNER, value);
    FAILS(scene, ERROR_POISON, "max_allowed_packet", scene_write(scene, 1));
    assert_true(store_is_connected(scene->store));
    set(scene, account(scene, "acc-1"), OWNER, text("short"));
    OK(scene, scene_write(scene, 1));
    LOOK(scene, "short", "SELECT owner FROM accounts");
    free(owner);
    scene_free(scene);
}

/* Further than TIMESTAMP reaches. */
static void test_the_last_moment(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    set(scene, account(scene, "acc-1"), SEEN, at(INT64_C(253402300799999999)));
    OK(scene, scene_write(scene, 1));
    LOOK(scene, "9999-12-31 23:59:59.999999", "SELECT seen FROM accounts");
    scene_free(scene);
}

static void test_a_table_that_is_gone(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    scene_execute(scene, "DROP TABLE totals__v1");
    apply(scene, total(scene, 20000), COUNT, RS_ADD, rs_value_int(1));
    FAILS(scene, ERROR_CONFIG, "table totals: ", scene_write(scene, 1));
    LOOK(scene, "600", "SELECT sum(next_offset) FROM readside_positions");
    scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_connections),
        cmocka_unit_test(test_a_killed_connection_loses_nothing),
        cmocka_unit_test(test_a_lock_of_a_stranger),
        cmocka_unit_test(test_a_holder_that_does_not_let_go_is_ended),
        cmocka_unit_test(test_what_cannot_be_rolled_back_is_refused),
        cmocka_unit_test(test_constraints_are_refused_unless_allowed),
        cmocka_unit_test(test_keys_are_compared_byte_by_byte),
        cmocka_unit_test(test_a_row_that_no_statement_can_hold),
        cmocka_unit_test(test_the_last_moment),
        cmocka_unit_test(test_a_table_that_is_gone),
    };

    if (!scene_is_mysql() || scene_server_uri()[0] == '\0') {
        print_message("STORE_KIND=mysql and STORE_URI name no server: nothing can be tested\n");
        return 77; /* skipped, as automake takes it */
    }
    return cmocka_run_group_tests_name("store contract, MySQL's part", tests, NULL, NULL);
}
