/*
 * postgres_contract: what only a server can do to a driver: backends that die, locks, hosts, privileges. Networks
 * break in postgres_network_contract.c.
 *
 * STORE_URI names the server (over TCP, a superuser's), see scene.h. Each fault is followed by the same question (story.h).
 */
#include "scene.h"

#include "relay.h"
#include "story.h"

#include <libpq-fe.h>
#include <poll.h>

/* ---- The server's side ---- */

/* The driver's process in the server. */
static int backend_of(struct scene *scene)
{
    return (int)strtol(scene_look(scene, "SELECT backend_pid FROM readside_positions WHERE part = 0"), NULL, 10);
}

static void terminate(struct scene *scene, int pid)
{
    char sql[100];

    snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%d)", pid);
    scene_execute(scene, sql);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM pg_stat_activity WHERE pid = %d", pid);
    wait_until(scene, "0", sql);
}

/* Polls until the driver's backend waits for that kind of event. False: the operation has ended well without that. */
static bool waits_before_it_ends(struct scene *scene, struct scene *beside, const char *kind)
{
    char sql[160];
    int64_t end_us = scene_now_us() + 10000000;

    snprintf(sql, sizeof sql, "SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND wait_event_type = '%s'", backend_of(scene),
             kind);
    while (strcmp(scene_look(beside, sql), "1") != 0) {
        int result = store_poll(scene->store, &scene->error);

        if (result == 0)
            return false;
        if (result != STORE_BUSY)
            fail_msg("the write failed instead of waiting: %s", scene->error.text);
        if (scene_now_us() > end_us)
            fail_msg("the backend does not wait");
        pause_a_little();
    }
    return true;
}

static void poll_until_it_waits(struct scene *scene, struct scene *beside, const char *kind)
{
    if (!waits_before_it_ends(scene, beside, kind))
        fail_msg("the write ended instead of waiting");
}

static void make_trigger(struct scene *scene, const char *when, const char *body)
{
    char sql[1000];

    snprintf(sql, sizeof sql,
             "CREATE OR REPLACE FUNCTION interfere() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s; RETURN NULL; END $$; "
             "DROP TRIGGER IF EXISTS interferes ON accounts__v1; "
             "CREATE CONSTRAINT TRIGGER interferes AFTER INSERT OR UPDATE ON accounts__v1 %s FOR EACH ROW EXECUTE FUNCTION interfere()",
             body, when);
    scene_execute(scene, sql);
}

/* ---- Backends that die ---- */

static void test_killed_between_any_two_polls(void **state)
{
    struct scene *scene = scene_ready();
    int n_done = 0, n_not_done = 0;

    (void)state;
    for (int k = 0; k < 30; k++) {
        int64_t base = scene->positions[0].next_offset;
        int result = STORE_BUSY, pid = backend_of(scene);

        fold_event(scene);
        OK(scene, scene_start_write(scene, 1));
        for (int i = 0; i < k / 3 && result == STORE_BUSY; i++) {
            result = store_poll(scene->store, &scene->error);
            if (k % 3 == 1)
                pause_a_little();
        }
        terminate(scene, pid);
        if (result == STORE_BUSY)
            result = scene_finish(scene);
        if (result != 0 && result != ERROR_TRANSIENT && result != ERROR_UNKNOWN)
            fail_msg("%s: %s", error_class_name(result), scene->error.text);
        if (result != 0)
            assert_false(store_is_connected(scene->store));
        else
            OK(scene, scene_connect(scene));
        resolve_story(scene, base, result);
        n_done += scene->positions[0].next_offset == base + 1;
        n_not_done += scene->positions[0].next_offset == base;
    }
    assert_true(n_done > 0);
    write_well(scene);
    print_message("             %d committed, %d not\n", n_done, n_not_done);
    scene_free(scene);
}

/* A lost connection while idle is noticed by the next operation. */
static void test_killed_while_idle(void **state)
{
    struct scene *scene = scene_ready();
    int result;

    (void)state;
    terminate(scene, backend_of(scene));
    fold_event(scene);
    result = scene_write(scene, 1);
    assert_true(result == ERROR_TRANSIENT || result == ERROR_UNKNOWN);
    assert_false(store_is_connected(scene->store));
    FAILS(scene, ERROR_TRANSIENT, "not connected", scene_claim(scene));
    OK(scene, scene_connect(scene));
    OK(scene, scene_resolve(scene));
    write_well(scene);
    scene_free(scene);
}

static const char *const obstacles[] = {
    "BEGIN; SELECT 1 FROM readside_positions WHERE part = 0 FOR UPDATE",
    "BEGIN; SELECT 1 FROM accounts__v1 WHERE account = 'acc-1' FOR UPDATE",
    "BEGIN; SELECT 1 FROM totals__v1 FOR UPDATE",
    "BEGIN; LOCK TABLE readside_outbox",
    "BEGIN; SELECT pg_advisory_xact_lock(42)", /* at COMMIT */
};

enum { N_OBSTACLES = sizeof obstacles / sizeof obstacles[0] };

/* Ready, with rows, a trigger that stops at COMMIT, and another connection in the way of each phase of a write. */
static struct scene *scene_with_obstacle(size_t which, struct scene **ret_beside)
{
    struct scene *scene = scene_ready();

    write_well(scene);
    make_trigger(scene, "DEFERRABLE INITIALLY DEFERRED", "PERFORM pg_advisory_xact_lock(42)");
    *ret_beside = scene_beside(scene, 66);
    scene_execute(*ret_beside, obstacles[which]);
    return scene;
}

static void test_killed_in_every_phase(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OBSTACLES; i++) {
        struct scene *beside, *scene = scene_with_obstacle(i, &beside);
        int result, pid = backend_of(scene);

        fold_event(scene);
        OK(scene, scene_start_write(scene, 1));
        poll_until_it_waits(scene, beside, "Lock");
        terminate(scene, pid);
        scene_execute(beside, "ROLLBACK");
        result = scene_finish(scene);
        assert_int_equal(result, ERROR_UNKNOWN);
        resolve_story(scene, 1, ERROR_TRANSIENT); /* the server did not get to its end: known to us, not to the driver */
        write_well(scene);
        scene_close(beside);
        scene_free(scene);
    }
}

static void test_time_limits_roll_back_in_every_phase(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * N_OBSTACLES - 1; i++) { /* no statement_timeout bounds a COMMIT */
        struct scene *beside, *scene = scene_with_obstacle(i / 2, &beside);
        bool is_lock = i % 2 == 0;

        scene->settings.lock_timeout_us = is_lock ? 200000 : 0;
        scene->settings.statement_timeout_us = is_lock ? 30000000 : 500000; /* good ones get that, too, beside others */
        OK(scene, scene_open(scene));
        OK(scene, scene_connect(scene));
        fold_event(scene);
        FAILS(scene, ERROR_TRANSIENT, is_lock ? "55P03" : "57014", scene_write(scene, 1));
        assert_true(store_is_connected(scene->store));
        scene_execute(beside, "ROLLBACK");
        check_story(scene, 1);
        write_well(scene); /* the same connection, in no transaction */
        scene_close(beside);
        scene_free(scene);
    }
}

/* Also at the end of a test that has failed: no commit of the tests behind it would ever end. */
static int forget_standby(void **state)
{
    const char *keys[] = {"dbname", "password", NULL};
    const char *values[] = {scene_server_uri(), getenv("STORE_PASSWORD"), NULL};
    PGconn *connection = PQconnectdbParams(keys, values, 1);

    (void)state;
    PQclear(PQexec(connection, "ALTER SYSTEM RESET synchronous_standby_names"));
    PQclear(PQexec(connection, "SELECT pg_reload_conf()"));
    PQfinish(connection);
    return 0;
}

/* COMMIT waits for a standby that is not there: a plain look says "not committed", and the truth is the opposite. */
static void test_a_commit_that_waits_for_a_standby(void **state)
{
    struct scene *scene = scene_ready(), *again = scene_beside(scene, scene->scope.owner[0]); /* the same task, connected again */
    struct store_position position = {.topic = "events", .partition = 0};
    char before[24], after[24];
    bool is_seen = false;
    int64_t base;

    (void)state;
    again->settings.lock_timeout_us = 100000;
    OK(again, scene_open(again));
    OK(again, scene_connect(again));
    scene_execute(scene, "SET synchronous_commit = local");
    scene_execute(scene, "ALTER SYSTEM SET synchronous_standby_names = 'ghost'");
    scene_execute(scene, "SELECT pg_reload_conf()");
    wait_until(scene, "ghost", "SHOW synchronous_standby_names");
    for (;;) { /* the checkpointer, which makes commits wait, may hear of it later than the others */
        base = scene->positions[0].next_offset;
        fold_event(scene);
        OK(scene, scene_start_write(scene, 1));
        if (waits_before_it_ends(scene, scene, "IPC"))
            break;
        scene_settle(scene, 1, 0);
    }
    snprintf(before, sizeof before, "%d", (int)base);
    snprintf(after, sizeof after, "%d", (int)base + 1);
    LOOK(scene, before, "SELECT next_offset FROM readside_positions WHERE part = 0");
    OK(again, store_start_resolve(again->store, &position, 1, &again->error));
    while (store_poll(again->store, &again->error) == STORE_BUSY && !is_seen) { /* it ends the old backend, which commits by that */
        is_seen = strcmp(scene_look(scene, "SELECT next_offset FROM readside_positions WHERE part = 0"), after) == 0;
        pause_a_little();
    }
    assert_true(is_seen);
    forget_standby(NULL); /* or resolve's own COMMIT waits as well */
    OK(again, scene_finish(again));
    assert_false(position.is_missing);
    assert_int_equal(position.next_offset, base + 1);
    assert_int_equal(scene_finish(scene), ERROR_UNKNOWN);
    resolve_story(scene, base, 0);
    scene_close(again);
    scene_free(scene);
}

/* ---- Locks ---- */

/* The old owner hangs in a transaction: the new one ends it by its recorded backend. */
static void test_a_holder_that_does_not_let_go_is_terminated(void **state)
{
    struct scene *beside, *scene = scene_with_obstacle(1, &beside), *next = scene_beside(scene, 99);

    (void)state;
    next->settings.lock_timeout_us = 100000;
    OK(next, scene_open(next));
    OK(next, scene_connect(next));
    fold_event(scene);
    OK(scene, scene_start_write(scene, 1));
    poll_until_it_waits(scene, beside, "Lock");
    OK(next, scene_claim(next));
    assert_int_equal(next->positions[0].next_offset, 1);
    scene_execute(beside, "ROLLBACK");
    assert_int_equal(scene_finish(scene), ERROR_UNKNOWN);
    scene_settle(scene, 0, 0);
    OK(scene, scene_connect(scene));
    OK(scene, scene_resolve(scene));
    assert_true(scene->positions[0].is_missing);
    write_well(next);
    scene_close(next);
    scene_close(beside);
    scene_free(scene);
}

/* The same for the task's own old connection. */
static void test_resolve_ends_the_old_connections_work(void **state)
{
    struct scene *beside, *scene = scene_with_obstacle(2, &beside), *again = scene_beside(scene, scene->scope.owner[0]);

    (void)state;
    again->settings.lock_timeout_us = 100000;
    OK(again, scene_open(again));
    OK(again, scene_connect(again));
    fold_event(scene);
    OK(scene, scene_start_write(scene, 1));
    poll_until_it_waits(scene, beside, "Lock");
    OK(again, scene_resolve(again));
    assert_false(again->positions[0].is_missing);
    assert_int_equal(again->positions[0].next_offset, 1);
    scene_execute(beside, "ROLLBACK");
    assert_int_equal(scene_finish(scene), ERROR_UNKNOWN);
    write_well(again);
    scene_close(again);
    scene_close(beside);
    scene_free(scene);
}

/* Somebody at a console holds the row: nobody is terminated, and the claim says what is the matter. */
static void test_a_stranger_is_left_alone(void **state)
{
    struct scene *beside, *scene = scene_with_obstacle(0, &beside), *next = scene_beside(scene, 99);

    (void)state;
    next->settings.lock_timeout_us = 20000;
    OK(next, scene_open(next));
    OK(next, scene_connect(next));
    FAILS(next, ERROR_TRANSIENT, "55P03", scene_claim(next));
    assert_true(store_is_connected(next->store));
    assert_true(store_is_connected(scene->store));
    scene_execute(beside, "ROLLBACK"); /* alive */
    write_well(scene);
    OK(next, scene_claim(next));
    scene_close(next);
    scene_close(beside);
    scene_free(scene);
}

/* Who was fenced does not wait for, nor end, the new owner's work. */
static void test_the_fenced_do_not_disturb(void **state)
{
    struct scene *scene = scene_ready(), *next = scene_beside(scene, 99), *beside;

    (void)state;
    write_well(scene);
    OK(next, scene_claim(next));
    beside = scene_beside(scene, 66);
    scene->settings.lock_timeout_us = 20000;
    OK(scene, scene_open(scene));
    OK(scene, scene_connect(scene));
    scene_execute(beside, obstacles[1]);
    fold_event(next);
    OK(next, scene_start_write(next, 1));
    poll_until_it_waits(next, beside, "Lock");
    OK(scene, scene_resolve(scene));
    assert_true(scene->positions[0].is_missing);
    scene_execute(beside, "ROLLBACK");
    OK(next, scene_finish(next));
    scene_settle(next, 1, 0);
    check_story(next, 2);
    scene_close(beside);
    scene_close(next);
    scene_free(scene);
}

static void test_a_deadlock_is_transient(void **state)
{
    struct scene *beside, *scene = scene_with_obstacle(2, &beside);

    (void)state;
    scene_execute(beside, "SET deadlock_timeout = '1h'"); /* the driver's side shall be the victim */
    fold_event(scene);
    OK(scene, scene_start_write(scene, 1));
    poll_until_it_waits(scene, beside, "Lock");
    assert_int_equal(PQsendQuery(beside->eye, "UPDATE accounts__v1 SET owner = 'x' WHERE account = 'acc-1'; ROLLBACK"), 1);
    FAILS(scene, ERROR_TRANSIENT, "40P01", scene_finish(scene));
    assert_true(store_is_connected(scene->store));
    for (PGresult *answer; (answer = PQgetResult(beside->eye)) != NULL;)
        PQclear(answer);
    scene_settle(scene, 0, 0);
    check_story(scene, 1);
    write_well(scene);
    scene_close(beside);
    scene_free(scene);
}

/* ---- What the server says ---- */

static void test_errors_by_class(void **state)
{
    static const struct {
        const char *state;
        int class;
    } cases[] = {
        {"40001", ERROR_TRANSIENT}, {"40P01", ERROR_TRANSIENT}, {"55P03", ERROR_TRANSIENT}, {"57014", ERROR_TRANSIENT},
        {"53100", ERROR_TRANSIENT}, {"53300", ERROR_TRANSIENT}, {"08006", ERROR_TRANSIENT}, {"58030", ERROR_TRANSIENT},
        {"0A000", ERROR_TRANSIENT}, {"26000", ERROR_TRANSIENT}, {"22003", ERROR_POISON},    {"22012", ERROR_POISON},
        {"22P02", ERROR_POISON},    {"23505", ERROR_POISON},    {"23514", ERROR_POISON},    {"54000", ERROR_POISON},
        {"P0001", ERROR_POISON},    {"42501", ERROR_CONFIG},    {"42P01", ERROR_CONFIG},    {"42703", ERROR_CONFIG},
        {"XX000", ERROR_BUG},       {"21000", ERROR_BUG},       {"0L000", ERROR_BUG},
    };
    struct scene *scene = scene_ready();

    (void)state;
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        bool is_at_commit = i % 2 == 1;
        char body[200];

        snprintf(body, sizeof body, "RAISE EXCEPTION 'on purpose' USING ERRCODE = '%s', DETAIL = 'in detail'", cases[i / 2].state);
        make_trigger(scene, is_at_commit ? "DEFERRABLE INITIALLY DEFERRED" : "", body);
        fold_event(scene);
        FAILS(scene, cases[i / 2].class, "on purpose; in detail", scene_write(scene, 1));
        assert_string_equal(scene->error.code, cases[i / 2].state);
        assert_true(is_at_commit || strstr(scene->error.text, "table accounts") != NULL);
        assert_true(store_is_connected(scene->store));
        check_story(scene, 0);
    }
    scene_execute(scene, "DROP TRIGGER interferes ON accounts__v1");
    write_well(scene);
    scene_free(scene);
}

/* A primary that has become a replica: the connection is given up, so that the next one finds the new primary. */
static void test_read_only_drops_the_connection(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    make_trigger(scene, "", "RAISE EXCEPTION 'read-only' USING ERRCODE = '25006'");
    fold_event(scene);
    FAILS(scene, ERROR_TRANSIENT, "25006", scene_write(scene, 1));
    assert_false(store_is_connected(scene->store));
    scene_free(scene);
}

static void test_values_as_the_server_sees_them(void **state)
{
    struct scene *scene = scene_ready();
    struct rs_decimal large;

    (void)state;
    assert_true(decimal_parse("-1234567890120004.05", 20, &large));
    set(scene, account(scene, "acc-1"), BALANCE, rs_value_decimal(large));
    set(scene, account(scene, "acc-1"), SEEN, at(INT64_C(1795752000123456)));
    set(scene, account(scene, "acc-1"), DAY, on(-1));
    set(scene, account(scene, "acc-1"), ID, uuid(0xa0));
    set(scene, account(scene, "acc-1"), DATA, bytes("\0\xff", 2));
    set(scene, account(scene, "acc-1"), DOC, json("{\"b\": [1.50, null]}"));
    set(scene, account(scene, "acc-1"), RATIO, (struct rs_value){.type = RS_REAL, .as.real = 0.1});
    OK(scene, scene_write(scene, 1));
    LOOK(scene, "-1234567890120004.05", "SELECT balance FROM accounts");
    LOOK(scene, "2026-11-27 04:00:00.123456", "SELECT seen AT TIME ZONE 'UTC' FROM accounts");
    LOOK(scene, "1969-12-31", "SELECT day FROM accounts");
    LOOK(scene, "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf", "SELECT id FROM accounts");
    LOOK(scene, "\\x00ff", "SELECT data FROM accounts");
    LOOK(scene, "{\"b\": [1.50, null]}", "SELECT doc FROM accounts");
    LOOK(scene, "0.1", "SELECT ratio FROM accounts");
    LOOK(scene, "t", "SELECT balance = -1234567890120004.05 AND scale(balance) = 2 FROM accounts");
    scene_free(scene);
}

static void count_events(struct scene *scene, int first, int n)
{
    for (int i = first; i < first + n; i++) {
        char name[16];

        snprintf(name, sizeof name, "a-%d", i);
        apply(scene, account(scene, name), EVENTS, RS_ADD, rs_value_int(1));
    }
}

static void expect_round_trips(struct scene *scene, int64_t *so_far, int64_t n)
{
    int64_t now = store_round_trips(scene->store);

    assert_int_equal(now - *so_far, n);
    *so_far = now;
}

/* Rows are inserted as new ones where only new ones were met: the first that is known after all loses nothing, nor counts twice. */
static void meet_a_known_row(bool is_pooled)
{
    struct scene *scene = scene_ready();
    int64_t trips;

    scene->settings.is_pooled = is_pooled;
    OK(scene, scene_open(scene));
    OK(scene, scene_connect(scene));
    OK(scene, scene_claim(scene));
    trips = store_round_trips(scene->store);
    for (int i = 0; i < 3; i++) {
        count_events(scene, i * 10, 10);
        OK(scene, scene_write(scene, 1));
        expect_round_trips(scene, &trips, 1);
    }
    count_events(scene, 25, 10); /* five are there, five new */
    OK(scene, scene_write(scene, 1));
    expect_round_trips(scene, &trips, 3); /* refused, rolled back, written again */
    LOOK(scene, "40", "SELECT sum(events) FROM accounts");
    LOOK(scene, "35", "SELECT count(*) FROM accounts");
    LOOK(scene, "5", "SELECT count(*) FROM accounts WHERE events = 2");
    LOOK(scene, "4", "SELECT events FROM readside_positions WHERE part = 0");
    take_away(scene, account(scene, "a-1"));
    count_events(scene, 1, 2); /* one made anew in the batch that removes it */
    OK(scene, scene_write(scene, 1));
    expect_round_trips(scene, &trips, 1);
    LOOK(scene, "35", "SELECT count(*) FROM accounts");
    LOOK(scene, "6", "SELECT count(*) FROM accounts WHERE events = 2");
    scene_free(scene);
}

static void test_rows_that_were_new_until_now(void **state)
{
    (void)state;
    meet_a_known_row(false);
    meet_a_known_row(true);
}

/* Among new rows as among known ones: a row of another partition, one that another index refuses, a table that has lost its key. */
static void test_new_rows_are_guarded(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    count_events(scene, 0, 10);
    OK(scene, scene_write(scene, 1));
    apply(scene, account_of(scene, 3, "a-1"), EVENTS, RS_ADD, rs_value_int(1));
    FAILS(scene, ERROR_HALT, "row a-1 of accounts belongs to partition 0, and an event of partition 3", scene_write(scene, 2));
    scene_free(scene);

    scene = scene_ready();
    scene_execute(scene, "CREATE UNIQUE INDEX one_owner ON accounts__v1 (owner) WHERE owner <> ''");
    set(scene, account(scene, "a"), OWNER, text("o"));
    OK(scene, scene_write(scene, 1));
    set(scene, account(scene, "b"), OWNER, text("o"));
    FAILS(scene, ERROR_POISON, "one_owner", scene_write(scene, 1));
    LOOK(scene, "1", "SELECT count(*) FROM accounts");
    scene_free(scene);

    scene = scene_ready();
    count_events(scene, 0, 10);
    OK(scene, scene_write(scene, 1));
    count_events(scene, 10, 10);
    OK(scene, scene_write(scene, 1));
    scene_execute(scene, "ALTER TABLE accounts__v1 DROP CONSTRAINT accounts__v1_pkey");
    count_events(scene, 20, 10);
    FAILS(scene, ERROR_CONFIG, "42P10", scene_write(scene, 1));
    LOOK(scene, "20", "SELECT count(*) FROM accounts");
    scene_free(scene);

    scene = scene_ready(); /* a key that only COMMIT looks at: no event is to blame for that */
    count_events(scene, 0, 10);
    OK(scene, scene_write(scene, 1));
    scene_execute(scene, "ALTER TABLE accounts__v1 DROP CONSTRAINT accounts__v1_pkey, ADD PRIMARY KEY (account) DEFERRABLE "
                         "INITIALLY DEFERRED");
    count_events(scene, 5, 10);
    FAILS(scene, ERROR_CONFIG, "55000", scene_write(scene, 1));
    LOOK(scene, "10", "SELECT sum(events) FROM accounts");
    scene_free(scene);
}

/* ---- Connecting ---- */

static void test_refused_connections(void **state)
{
    struct scene *scene = scene_new();
    const char *password = scene->settings.password;
    char database[100];

    (void)state;
    FAILS(scene, ERROR_CONFIG, "password", connect_to(scene, scene->uri, "wrong"));
    FAILS(scene, ERROR_CONFIG, "password", connect_to(scene, scene->uri, NULL));
    snprintf(database, sizeof database, "/%s?", scene_look(scene, "SELECT current_database()"));
    FAILS(scene, ERROR_CONFIG, "does not exist", connect_to(scene, replaced(scene, database, "/nowhere?"), password));
    FAILS(scene, ERROR_CONFIG, "uri: ", connect_to(scene, "postgresql://[::1", password));
    FAILS(scene, ERROR_CONFIG, "invalid URI query parameter", connect_to(scene, "postgresql://127.0.0.1/x?nonsense=1", password));
    FAILS(scene, ERROR_CONFIG, "uri: cannot be read", connect_to(scene, "host=127.0.0.1 password=half secret", password));
    assert_null(strstr(scene->error.text, "secret"));
    FAILS(scene, ERROR_CONFIG, "invalid", connect_to(scene, "postgresql://127.0.0.1:99999/x", password));
    FAILS(scene, ERROR_CONFIG, "does not support SSL", connect_to(scene, replaced(scene, "?", "?sslmode=require&"), password));
    FAILS(scene, ERROR_TRANSIENT, "cannot connect", connect_to(scene, "postgresql://127.0.0.1:1/x", password));
    FAILS(scene, ERROR_TRANSIENT, "cannot connect", connect_to(scene, "postgresql:///x?host=/nowhere", password));
    OK(scene, connect_to(scene, scene->uri, password));
    scene_free(scene);
}

/* A host that is silent does not hide the others: each has its time. */
static void test_the_next_host_of_a_list(void **state)
{
    struct scene *scene = scene_new();
    const char *at = strstr(scene->uri, "127.0.0.1:"), *password = scene->settings.password;
    char server[64], list[300];
    struct relay *relay;

    (void)state;
    assert_non_null(at);
    snprintf(server, sizeof server, "%.*s", (int)strcspn(at, "/?"), at);
    relay = relay_new(atoi(server + strlen("127.0.0.1:")));
    assert_non_null(relay);
    relay_hold(relay);
    scene->settings.connect_timeout_us = 2000000;
    snprintf(list, sizeof list, "127.0.0.1:1,127.0.0.1:%d,%s", relay_port(relay), server);
    OK(scene, connect_to(scene, replaced(scene, server, list), password));
    OK(scene, store_create_schema(scene->store, &scene->error));
    OK(scene, scene_connect(scene));
    snprintf(list, sizeof list, "127.0.0.1:1,127.0.0.1:%d", relay_port(relay));
    FAILS(scene, ERROR_TRANSIENT, "cannot connect", connect_to(scene, replaced(scene, server, list), password));
    relay_free(relay);
    scene_free(scene);
}

static void test_lists_without_a_port_for_each_host(void **state)
{
    struct scene *scene = scene_new();
    const char *at = strstr(scene->uri, "127.0.0.1:"), *password = scene->settings.password;
    char server[64], list[300];

    (void)state;
    assert_non_null(at);
    snprintf(server, sizeof server, "%.*s", (int)strcspn(at, "/?"), at);
    snprintf(list, sizeof list, "localhost,%s", server); /* nobody listens at the first one's 5432; if somebody does, not this user */
    OK(scene, connect_to(scene, replaced(scene, server, list), password));
    FAILS(scene, ERROR_CONFIG, "2 ports for 3 hosts", connect_to(scene, "host=localhost,127.0.0.1,::1 port=1,2", password));
    FAILS(scene, ERROR_CONFIG, "1 host names but 2 addresses", connect_to(scene, "host=localhost hostaddr=127.0.0.1,::1", password));
    FAILS(scene, ERROR_CONFIG, "host 2 of the list has no name", connect_to(scene, "host=localhost, port=1", password));
    scene_free(scene);
}

/* What a pooler before a dead server does: it takes the login, and then no statement. */
static void test_a_host_that_takes_the_login_only(void **state)
{
    struct scene *scene = scene_new();
    const char *at = strstr(scene->uri, "127.0.0.1:"), *password = scene->settings.password;
    char server[64], list[300];
    struct relay *relay;
    size_t n_bytes;

    (void)state;
    assert_non_null(at);
    snprintf(server, sizeof server, "%.*s", (int)strcspn(at, "/?"), at);
    relay = relay_new(atoi(server + strlen("127.0.0.1:")));
    assert_non_null(relay);
    snprintf(list, sizeof list, "127.0.0.1:%d", relay_port(relay));
    OK(scene, connect_to(scene, replaced(scene, server, list), password));
    n_bytes = relay_passed(relay);
    relay_heal(relay);
    relay_strand_after(relay, n_bytes - 20); /* in the middle of the first statement */
    FAILS(scene, ERROR_TRANSIENT, "the connection to PostgreSQL broke", connect_to(scene, replaced(scene, server, list), password));
    relay_heal(relay);
    relay_strand_after(relay, n_bytes - 20);
    snprintf(list, sizeof list, "127.0.0.1:%d,%s", relay_port(relay), server);
    OK(scene, connect_to(scene, replaced(scene, server, list), password));
    relay_free(relay);
    scene_free(scene);
}

/* The one that is away may be the primary: worth another try. What the other one says is told. */
static void test_a_list_with_a_host_that_refuses(void **state)
{
    struct scene *scene = scene_new();
    const char *at = strstr(scene->uri, "127.0.0.1:");
    char server[64], list[300];

    (void)state;
    assert_non_null(at);
    snprintf(server, sizeof server, "%.*s", (int)strcspn(at, "/?"), at);
    snprintf(list, sizeof list, "%s,127.0.0.1:1", server);
    FAILS(scene, ERROR_TRANSIENT, "another host of the list: ", connect_to(scene, replaced(scene, server, list), "wrong"));
    assert_non_null(strstr(scene->error.text, "password authentication failed"));
    FAILS(scene, ERROR_TRANSIENT, "another host of the list: ", scene_connect(scene)); /* now it begins with the other one */
    assert_non_null(strstr(scene->error.text, "password authentication failed"));
    scene_free(scene);
}

static void test_remote_servers_must_prove_themselves(void **state)
{
    static const char *const refused[] = {
        "postgresql://db.example/x?sslmode=disable",  "postgresql://db.example/x?sslmode=require",
        "postgresql://10.0.0.1/x?sslmode=prefer",     "postgresql://127.0.0.1,10.0.0.1/x?sslmode=disable",
        "postgresql://127.example.com/x?sslmode=disable", "host=localhost hostaddr=10.0.0.1 sslmode=allow",
        "service=there sslmode=disable",
    };
    static const char *const accepted[] = {
        "postgresql://db.example/x",         "postgresql://db.example/x?sslmode=verify-full", "postgresql://127.0.0.2/x?sslmode=disable",
        "postgresql://[::1]/x?sslmode=disable", "postgresql://localhost/x?sslmode=disable",   "postgresql:///x?host=/run&sslmode=disable",
        "postgresql:///x",                      "postgresql://127.1.2.3/x?sslmode=disable",
    };
    struct scene *scene = scene_new();

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        scene->settings.uri = refused[i];
        scene->settings.allow_plaintext = false;
        FAILS(scene, ERROR_CONFIG, "verify-full", scene_open(scene));
        scene->settings.allow_plaintext = true;
        OK(scene, scene_open(scene));
    }
    scene->settings.allow_plaintext = false;
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        scene->settings.uri = accepted[i];
        OK(scene, scene_open(scene));
    }
    scene_free(scene);
}

/* It may be so for the time of a switch-over only. */
static void test_a_read_only_server_is_refused(void **state)
{
    struct scene *scene = scene_new();
    const char *const options[] = {"%20-cdefault_transaction_read_only%3Don", "%20-cdefault_transaction_read_only%3Don&target_session_attrs=any"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char uri[600];

        snprintf(uri, sizeof uri, "%s%s", scene->uri, options[i]);
        FAILS(scene, ERROR_TRANSIENT, "replica or read-only", connect_to(scene, uri, scene->settings.password));
        assert_false(store_is_connected(scene->store));
    }
    scene_free(scene);
}

static void test_the_session_is_set_up(void **state)
{
    struct scene *scene = scene_ready();
    char sql[200];

    (void)state;
    snprintf(sql, sizeof sql, "SELECT application_name FROM pg_stat_activity WHERE pid = %d", backend_of(scene));
    LOOK(scene, "readside/bank v1", sql);
    make_trigger(scene, "", "RAISE EXCEPTION '% % % %', current_setting('lock_timeout'), current_setting('statement_timeout'), "
                            "current_setting('idle_in_transaction_session_timeout'), current_setting('transaction_isolation')");
    fold_event(scene);
    FAILS(scene, ERROR_POISON, "2s 30s 10s read committed", scene_write(scene, 1));
    scene_free(scene);
}

/* Behind a pooler in transaction mode nothing may outlive the transaction: no statement, no setting, no claim on a backend. */
static void test_a_pooled_connection_leaves_nothing_behind(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    scene->settings.is_pooled = true;
    OK(scene, scene_open(scene));
    OK(scene, scene_connect(scene));
    OK(scene, scene_claim(scene));
    LOOK(scene, "4", "SELECT count(*) FROM readside_positions WHERE backend_pid IS NULL AND backend_start IS NULL");
    write_well(scene);
    write_well(scene);
    make_trigger(scene, "", "RAISE EXCEPTION '% % %', current_setting('lock_timeout'), (SELECT count(*) FROM pg_prepared_statements), "
                            "(SELECT reset_val FROM pg_settings WHERE name = 'lock_timeout')");
    fold_event(scene);
    FAILS(scene, ERROR_POISON, "2s 0 0", scene_write(scene, 1));
    scene_execute(scene, "DROP TRIGGER interferes ON accounts__v1");
    write_well(scene);
    OK(scene, scene_resolve(scene));
    OK(scene, scene_release(scene));
    scene_free(scene);
}

/* ---- Schema and privileges ---- */

static void test_objections(void **state)
{
    static const struct {
        const char *make, *words, *undo;
        bool is_allowable;
    } cases[] = {
        {"ALTER TABLE accounts__v1 SET UNLOGGED", "accounts__v1 is not logged", "ALTER TABLE accounts__v1 SET LOGGED", false},
        {"ALTER TABLE readside_positions SET UNLOGGED", "readside_positions is not logged", "ALTER TABLE readside_positions SET LOGGED",
         false},
        {"CREATE TABLE child () INHERITS (totals__v1)", "totals__v1 takes part in inheritance", "DROP TABLE child", false},
        {"CREATE RULE aside AS ON INSERT TO totals__v1 DO ALSO NOTHING", "has the rule aside", "DROP RULE aside ON totals__v1", false},
        {"CREATE UNIQUE INDEX one ON accounts__v1 (owner)", "has the unique index one", "DROP INDEX one", true},
        {"ALTER TABLE accounts__v1 ADD CONSTRAINT positive CHECK (balance > 0)", "has the constraint positive",
         "ALTER TABLE accounts__v1 DROP CONSTRAINT positive", true},
        {"ALTER TABLE accounts__v1 ADD CONSTRAINT one UNIQUE (id)", "has the constraint one", "ALTER TABLE accounts__v1 DROP CONSTRAINT one",
         true},
        {"CREATE TABLE facts (a text REFERENCES accounts__v1)", "is referenced by the foreign key", "DROP TABLE facts", true},
    };
    struct scene *scene = scene_ready();

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        scene_execute(scene, cases[i].make);
        FAILS(scene, ERROR_CONFIG, cases[i].words, store_preflight(scene->store, &scene->error));
        scene->settings.allow_constraints = true;
        OK(scene, scene_open(scene));
        OK(scene, scene_connect(scene));
        if (cases[i].is_allowable)
            OK(scene, store_preflight(scene->store, &scene->error));
        else
            FAILS(scene, ERROR_CONFIG, cases[i].words, store_preflight(scene->store, &scene->error));
        scene->settings.allow_constraints = false;
        OK(scene, scene_open(scene));
        OK(scene, scene_connect(scene));
        scene_execute(scene, cases[i].undo);
        OK(scene, store_preflight(scene->store, &scene->error));
    }
    make_trigger(scene, "", "NULL");
    FAILS(scene, ERROR_CONFIG, "has the trigger interferes", store_preflight(scene->store, &scene->error));
    scene_execute(scene, "ALTER TABLE accounts__v1 DISABLE TRIGGER interferes");
    OK(scene, store_preflight(scene->store, &scene->error));
    scene_free(scene);
}

static void test_differences(void **state)
{
    static const struct {
        const char *make, *words, *undo;
    } cases[] = {
        {"ALTER TABLE accounts__v1 ALTER owner DROP NOT NULL", "column owner is nullable, the plugin declares not null",
         "ALTER TABLE accounts__v1 ALTER owner SET NOT NULL"},
        {"ALTER TABLE accounts__v1 ALTER owner DROP DEFAULT", "column owner has no default",
         "ALTER TABLE accounts__v1 ALTER owner SET DEFAULT E'O''Hara;\\n\\\\'"},
        {"ALTER TABLE accounts__v1 ALTER events SET DEFAULT 7", "column events has the default 7, the plugin declares none",
         "ALTER TABLE accounts__v1 ALTER events SET DEFAULT NULL"},
        {"ALTER TABLE accounts__v1 ALTER balance SET DEFAULT 0.01", "column balance has the default 0.01, the plugin declares 0.00",
         "ALTER TABLE accounts__v1 ALTER balance SET DEFAULT '0'"},
        {"CREATE SEQUENCE s; ALTER TABLE accounts__v1 ALTER events SET DEFAULT nextval('s')", "column events has the default nextval",
         "ALTER TABLE accounts__v1 ALTER events DROP DEFAULT"},
        {"ALTER TABLE accounts__v1 ADD more text NOT NULL", "column more is not declared, is not null and has no default",
         "ALTER TABLE accounts__v1 ALTER more DROP NOT NULL"},
        {"DROP VIEW totals; ALTER TABLE totals__v1 ALTER amount TYPE numeric(30,2)", "column amount is numeric(30,2), the plugin declares numeric(38,2)",
         "ALTER TABLE totals__v1 ALTER amount TYPE numeric(38,2)"},
        {"ALTER TABLE accounts__v1 ALTER readside_partition DROP NOT NULL", "readside_partition is not integer NOT NULL",
         "ALTER TABLE accounts__v1 ALTER readside_partition SET NOT NULL"},
        {"ALTER TABLE totals__v1 DROP CONSTRAINT totals__v1_pkey", "the primary key is another", "ALTER TABLE totals__v1 ADD PRIMARY KEY (day)"},
    };
    struct scene *scene = scene_ready();

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        scene_execute(scene, cases[i].make);
        FAILS(scene, ERROR_CONFIG, cases[i].words, store_check_schema(scene->store, &scene->error));
        scene_execute(scene, cases[i].undo);
        OK(scene, store_create_schema(scene->store, &scene->error));
    }
    scene_execute(scene, "DROP VIEW accounts; DROP VIEW totals; CREATE VIEW accounts AS SELECT account, owner FROM accounts__v1; CREATE TABLE totals ()");
    FAILS(scene, ERROR_CONFIG, "the view accounts lacks column balance", store_check_schema(scene->store, &scene->error));
    scene_execute(scene, "DROP VIEW accounts");
    FAILS(scene, ERROR_CONFIG, "something named totals exists and is not a view", store_create_schema(scene->store, &scene->error));
    scene_free(scene);
}

/* A user with no more than the tables' privileges runs with schema = "create" all the same, where there is nothing to make. */
static void test_a_user_of_few_privileges(void **state)
{
    struct scene *scene = scene_ready();
    char role[80], sql[400], uri[512];

    (void)state;
    snprintf(role, sizeof role, "%s_user", scene->space);
    snprintf(sql, sizeof sql, "CREATE ROLE %s LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA %s TO %s", role, scene->space, role);
    scene_execute(scene, sql);
    snprintf(sql, sizeof sql, "//%s@", role);
    snprintf(uri, sizeof uri, "%s", replaced(scene, "//readside@", sql));
    OK(scene, connect_to(scene, uri, "secret"));
    FAILS(scene, ERROR_CONFIG, "readside_positions does not grant SELECT, INSERT, UPDATE to the user", store_preflight(scene->store, &scene->error));
    snprintf(sql, sizeof sql, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO %s", scene->space, role);
    scene_execute(scene, sql);
    OK(scene, store_create_schema(scene->store, &scene->error));
    OK(scene, store_preflight(scene->store, &scene->error));
    OK(scene, scene_claim(scene));
    write_well(scene);
    scene_execute(scene, "ALTER TABLE accounts__v1 ENABLE ROW LEVEL SECURITY");
    FAILS(scene, ERROR_CONFIG, "has row security", store_preflight(scene->store, &scene->error));
    scene->store = store_close(scene->store);
    snprintf(sql, sizeof sql, "DROP OWNED BY %s; DROP ROLE %s", role, role);
    scene_execute(scene, sql);
    scene_free(scene);
}

/* Two rows are equal where the index must be unique: the server leaves it behind, unused. */
static void test_an_index_that_is_not_valid(void **state)
{
    struct scene *scene = scene_ready();
    const char *advice;

    (void)state;
    set(scene, account(scene, "acc-1"), OWNER, text("Bob"));
    set(scene, account(scene, "acc-2"), OWNER, text("Bob"));
    OK(scene, scene_write(scene, 1));
    scene_execute(scene, "DROP INDEX accounts__v1_by_owner");
    PQclear(PQexec(scene->eye, "CREATE UNIQUE INDEX CONCURRENTLY accounts__v1_by_owner ON accounts__v1 (owner)"));
    LOOK(scene, "f", "SELECT indisvalid FROM pg_index WHERE indexrelid = 'accounts__v1_by_owner'::regclass");
    OK(scene, store_check_schema(scene->store, &scene->error));
    advice = store_advice(scene->store);
    assert_non_null(advice);
    assert_non_null(strstr(advice, "the index accounts__v1_by_owner of table accounts__v1 is not valid"));
    assert_non_null(strstr(advice, "DROP INDEX CONCURRENTLY \"accounts__v1_by_owner\"; CREATE INDEX CONCURRENTLY "));
    scene_execute(scene, "DROP INDEX CONCURRENTLY \"accounts__v1_by_owner\"");
    scene_execute(scene, strstr(advice, "CREATE INDEX "));
    OK(scene, store_check_schema(scene->store, &scene->error));
    assert_null(store_advice(scene->store));
    scene_free(scene);
}

static void test_long_names_of_indexes_do_not_meet(void **state)
{
    static const uint32_t key[] = {0};
    static const struct column columns[] = {{.name = "a_column", .type = RS_INT, .is_key = true, .is_not_null = true}};
    static const struct index indexes[] = {{.name = "an_index_with_a_name_of_forty_eight_characters_1", .columns = key, .n_columns = 1},
                                           {.name = "an_index_with_a_name_of_forty_eight_characters_2", .columns = key, .n_columns = 1}};
    static const struct table table = {.name = "a_table_whose_name_has_forty_characters_", .columns = columns, .n_columns = 1, .keys = {0},
                                       .n_keys = 1, .indexes = indexes, .n_indexes = 2};
    struct scene *scene = scene_new();

    (void)state;
    scene->scope.tables = &table;
    scene->scope.n_tables = 1;
    for (int i = 1; i <= 2; i++) {
        scene->scope.version = i;
        OK(scene, scene_open(scene));
        OK(scene, scene_connect(scene));
        OK(scene, store_create_schema(scene->store, &scene->error));
        OK(scene, store_create_schema(scene->store, &scene->error));
    }
    LOOK(scene, "4", "SELECT count(*) FROM pg_indexes WHERE schemaname = current_schema() AND tablename LIKE 'a_table%' "
                     "AND indexname NOT LIKE '%pkey'");
    scene_free(scene);
}

/* A task that starts while others do finds all done; none of them fails. */
static void test_tasks_that_start_together(void **state)
{
    struct scene *scene = scene_new(), *other;

    (void)state;
    other = scene_beside(scene, 50);
    OK(scene, scene_connect(scene));
    scene_execute(scene, "BEGIN; SELECT pg_advisory_xact_lock(hashtext('readside schema'))");
    other->settings.lock_timeout_us = 50000;
    OK(other, scene_open(other));
    OK(other, scene_connect(other));
    FAILS(other, ERROR_TRANSIENT, "creating the schema", store_create_schema(other->store, &other->error));
    assert_true(store_is_connected(other->store));
    scene_execute(scene, "ROLLBACK");
    OK(other, store_create_schema(other->store, &other->error));
    OK(scene, store_create_schema(scene->store, &scene->error));
    scene_close(other);
    scene_free(scene);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_between_any_two_polls),
        cmocka_unit_test(test_killed_while_idle),
        cmocka_unit_test(test_killed_in_every_phase),
        cmocka_unit_test(test_time_limits_roll_back_in_every_phase),
        cmocka_unit_test_teardown(test_a_commit_that_waits_for_a_standby, forget_standby),
        cmocka_unit_test(test_a_holder_that_does_not_let_go_is_terminated),
        cmocka_unit_test(test_resolve_ends_the_old_connections_work),
        cmocka_unit_test(test_a_stranger_is_left_alone),
        cmocka_unit_test(test_the_fenced_do_not_disturb),
        cmocka_unit_test(test_a_deadlock_is_transient),
        cmocka_unit_test(test_errors_by_class),
        cmocka_unit_test(test_read_only_drops_the_connection),
        cmocka_unit_test(test_values_as_the_server_sees_them),
        cmocka_unit_test(test_rows_that_were_new_until_now),
        cmocka_unit_test(test_new_rows_are_guarded),
        cmocka_unit_test(test_refused_connections),
        cmocka_unit_test(test_the_next_host_of_a_list),
        cmocka_unit_test(test_lists_without_a_port_for_each_host),
        cmocka_unit_test(test_a_host_that_takes_the_login_only),
        cmocka_unit_test(test_a_list_with_a_host_that_refuses),
        cmocka_unit_test(test_remote_servers_must_prove_themselves),
        cmocka_unit_test(test_a_read_only_server_is_refused),
        cmocka_unit_test(test_the_session_is_set_up),
        cmocka_unit_test(test_a_pooled_connection_leaves_nothing_behind),
        cmocka_unit_test(test_objections),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_a_user_of_few_privileges),
        cmocka_unit_test(test_an_index_that_is_not_valid),
        cmocka_unit_test(test_long_names_of_indexes_do_not_meet),
        cmocka_unit_test(test_tasks_that_start_together),
    };

    if (scene_is_sqlite() || scene_server_uri()[0] == '\0') {
        print_message("STORE_KIND=postgresql and STORE_URI name no server: nothing can be tested\n");
        return 77; /* skipped, as automake takes it */
    }
    if (scene_lists(argc, argv, tests, sizeof tests / sizeof tests[0]))
        return 0;
    return cmocka_run_group_tests_name("store contract, the server's part", tests, NULL, NULL);
}
