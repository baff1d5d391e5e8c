/*
 * mysql_contract - what MySQL and MariaDB do to their driver: connections killed, locks held, networks that break, values that are too
 * large, tables that cannot be rolled back.
 *
 * STORE_URI names the server (over TCP, plain or with TLS), either of the two; see scene.h. STORE_CA: the file of the authority that
 * signed its certificate. Each fault is followed by the same question (story.h).
 */
#include "scene.h"

#include "relay.h"
#include "story.h"

#include <mysql.h>
#include <poll.h>

/* ---- The server's side ---- */

static bool is_mariadb(struct scene *scene)
{
    return strstr(scene_look(scene, "SELECT VERSION()"), "MariaDB") != NULL;
}

/* The driver's connection in the server, by the lock whose name it has recorded; 0: it has ended. */
static int backend_of(struct scene *scene)
{
    return (int)strtol(scene_look(scene, "SELECT coalesce(IS_USED_LOCK(backend), 0) FROM readside_positions WHERE part = 0"), NULL, 10);
}

static void wait_for_end(struct scene *scene, int id)
{
    char sql[100];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM information_schema.processlist WHERE id = %d", id);
    wait_until(scene, "0", sql);
}

/* One that has ended by itself is fine. */
static void kill_connection(struct scene *scene, int id)
{
    char sql[100];

    snprintf(sql, sizeof sql, "KILL CONNECTION %d", id);
    if (mysql_query(scene->eye, sql) != 0)
        assert_int_equal(mysql_errno(scene->eye), 1094);
    wait_for_end(scene, id);
}

/* Something stands in the way of a phase of a write: what holds it up, and how the statement begins that waits for it. */
static const struct obstacle {
    const char *make, *waiting;
} obstacles[] = {
    {"BEGIN; SELECT 1 FROM readside_positions WHERE part = 0 FOR UPDATE", "UPDATE readside_positions"},
    {"BEGIN; SELECT 1 FROM accounts__v1 WHERE account = 'acc-1' FOR UPDATE", "INSERT INTO `accounts__v1`"},
    {"BEGIN; SELECT 1 FROM totals__v1 FOR UPDATE", "INSERT INTO `totals__v1`"},
    {"LOCK TABLES readside_outbox WRITE", "INSERT INTO readside_outbox"},
};

enum { N_OBSTACLES = sizeof obstacles / sizeof obstacles[0] };

static struct scene *scene_with_obstacle(size_t which, struct scene **ret_beside)
{
    struct scene *scene = scene_ready();

    write_well(scene);
    *ret_beside = scene_beside(scene, 66);
    scene_execute(*ret_beside, obstacles[which].make);
    return scene;
}

static void give_way(struct scene *beside)
{
    scene_execute(beside, "ROLLBACK; UNLOCK TABLES");
}

/* Polls until the driver's connection is in the statement that cannot end. */
static void poll_until_it_waits(struct scene *scene, size_t which)
{
    int64_t end_us = scene_now_us() + 10000000;
    char sql[200];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM information_schema.processlist WHERE id = %d AND info LIKE '%s%%'", backend_of(scene),
             obstacles[which].waiting);
    while (strcmp(scene_look(scene, sql), "1") != 0) {
        if (store_poll(scene->store, &scene->error) != STORE_BUSY)
            fail_msg("the write ended instead of waiting: %s", scene->error.text);
        if (scene_now_us() > end_us)
            fail_msg("the driver's connection does not wait");
        pause_a_little();
    }
}

static void open_with_limits(struct scene *scene, int64_t lock_us, int64_t statement_us)
{
    scene->settings.lock_timeout_us = lock_us;
    scene->settings.statement_timeout_us = statement_us;
    OK(scene, scene_open(scene));
    OK(scene, scene_connect(scene));
}

/* ---- Connections that die ---- */

static void test_killed_between_any_two_polls(void **state)
{
    struct scene *scene = scene_ready();
    int n_done = 0, n_not_done = 0;

    (void)state;
    for (int k = 0; k < 40; k++) {
        int64_t base = scene->positions[0].next_offset;
        int result = STORE_BUSY, id = backend_of(scene);

        fold_event(scene);
        add_many(scene, k % 2 * 500);
        OK(scene, scene_start_write(scene, 1));
        for (int i = 0; i < k / 4 && result == STORE_BUSY; i++) {
            result = store_poll(scene->store, &scene->error);
            pause_a_little();
        }
        kill_connection(scene, id);
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

    (void)state;
    kill_connection(scene, backend_of(scene));
    fold_event(scene);
    assert_int_equal(scene_write(scene, 1), ERROR_TRANSIENT); /* no COMMIT had left */
    assert_false(store_is_connected(scene->store));
    FAILS(scene, ERROR_TRANSIENT, "not connected", scene_claim(scene));
    OK(scene, scene_connect(scene));
    OK(scene, scene_resolve(scene));
    write_well(scene);
    scene_free(scene);
}

static void test_killed_in_every_phase(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OBSTACLES; i++) {
        struct scene *beside, *scene = scene_with_obstacle(i, &beside);

        fold_event(scene);
        OK(scene, scene_start_write(scene, 1));
        poll_until_it_waits(scene, i);
        kill_connection(scene, backend_of(scene));
        give_way(beside);
        assert_int_equal(scene_finish(scene), ERROR_TRANSIENT);
        assert_false(store_is_connected(scene->store));
        resolve_story(scene, 1, ERROR_TRANSIENT);
        write_well(scene);
        scene_close(beside);
        scene_free(scene);
    }
}

/* ---- Locks and time ---- */

static void test_lock_timeouts_roll_back_in_every_phase(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OBSTACLES; i++) {
        struct scene *beside, *scene = scene_with_obstacle(i, &beside);

        open_with_limits(scene, 50000, 30000000);
        fold_event(scene);
        FAILS(scene, ERROR_TRANSIENT, "says 1205", scene_write(scene, 1));
        assert_true(store_is_connected(scene->store));
        give_way(beside);
        check_story(scene, 1);
        write_well(scene); /* the same connection, in no transaction */
        scene_close(beside);
        scene_free(scene);
    }
}

/* MySQL has no limit for statements that write: there the connection is given up. */
static void test_statement_timeouts_roll_back(void **state)
{
    struct scene *scene = scene_ready();
    bool is_maria = is_mariadb(scene);

    (void)state;
    write_well(scene);
    open_with_limits(scene, 100000, 100000);
    scene_execute(scene, "CREATE TRIGGER dawdle BEFORE INSERT ON totals__v1 FOR EACH ROW DO SLEEP(20)");
    fold_event(scene);
    FAILS(scene, ERROR_TRANSIENT, is_maria ? "says 1969" : "20", scene_write(scene, 1));
    assert_int_equal(store_is_connected(scene->store), is_maria);
    scene->settings.statement_timeout_us = 30000000;
    OK(scene, scene_open(scene));
    OK(scene, scene_connect(scene));
    resolve_story(scene, 1, ERROR_TRANSIENT);
    scene_execute(scene, "DROP TRIGGER dawdle");
    write_well(scene);
    scene_free(scene);
}

/* The old owner hangs in a transaction: the new one ends it by the name that its connection recorded. */
static void test_a_holder_that_does_not_let_go_is_terminated(void **state)
{
    struct scene *beside, *scene = scene_with_obstacle(1, &beside), *next = scene_beside(scene, 99);

    (void)state;
    open_with_limits(next, 6500000, 100000); /* the lock's limit counts, though it is the longer one */
    open_with_limits(scene, 30000000, 60000000);
    OK(scene, scene_claim(scene));
    fold_event(scene);
    OK(scene, scene_start_write(scene, 1));
    poll_until_it_waits(scene, 1);
    OK(next, scene_claim(next));
    assert_int_equal(next->positions[0].next_offset, 1);
    give_way(beside);
    assert_int_equal(scene_finish(scene), ERROR_TRANSIENT);
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
    open_with_limits(again, 100000, 30000000);
    open_with_limits(scene, 30000000, 60000000);
    OK(scene, scene_claim(scene));
    fold_event(scene);
    OK(scene, scene_start_write(scene, 1));
    poll_until_it_waits(scene, 2);
    OK(again, scene_resolve(again));
    assert_false(again->positions[0].is_missing);
    assert_int_equal(again->positions[0].next_offset, 1);
    give_way(beside);
    assert_int_equal(scene_finish(scene), ERROR_TRANSIENT);
    write_well(again);
    scene_close(again);
    scene_close(beside);
    scene_free(scene);
}

/* Somebody at a console holds the row: the claim says what is the matter, and that connection lives. */
static void test_a_stranger_is_left_alone(void **state)
{
    struct scene *beside, *scene = scene_with_obstacle(0, &beside), *next = scene_beside(scene, 99);

    (void)state;
    open_with_limits(next, 20000, 30000000);
    FAILS(next, ERROR_TRANSIENT, "says 1205", scene_claim(next));
    assert_true(store_is_connected(next->store));
    give_way(beside); /* alive */
    OK(next, scene_claim(next));
    write_well(next);
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
    open_with_limits(scene, 20000, 30000000);
    scene_execute(beside, obstacles[1].make);
    fold_event(next);
    OK(next, scene_start_write(next, 1));
    poll_until_it_waits(next, 1);
    OK(scene, scene_resolve(scene));
    assert_true(scene->positions[0].is_missing);
    give_way(beside);
    OK(next, scene_finish(next));
    scene_settle(next, 1, 0);
    check_story(next, 2);
    scene_close(beside);
    scene_close(next);
    scene_free(scene);
}

/* The server takes the one that has changed less for its victim, so that the other changes much. */
static void test_a_deadlock_is_transient(void **state)
{
    struct scene *scene = scene_ready(), *beside;
    static const char wants[] = "UPDATE accounts__v1 SET owner = 'x' WHERE account = 'acc-1'";

    (void)state;
    write_well(scene);
    add_many(scene, 200);
    OK(scene, scene_write(scene, 0));
    beside = scene_beside(scene, 66);
    scene_execute(beside, "BEGIN; UPDATE accounts__v1 SET owner = 'y' WHERE account LIKE 'many%'; SELECT 1 FROM totals__v1 FOR UPDATE");
    fold_event(scene);
    OK(scene, scene_start_write(scene, 1));
    poll_until_it_waits(scene, 2);
    OK(scene, mysql_query(beside->eye, wants));
    give_way(beside);
    FAILS(scene, ERROR_TRANSIENT, "says 1213", scene_finish(scene));
    assert_true(store_is_connected(scene->store));
    scene_settle(scene, 0, 0);
    check_story(scene, 1);
    write_well(scene);
    scene_close(beside);
    scene_free(scene);
}

/* ---- What the server says ---- */

static void raise_error(struct scene *scene, unsigned code, const char *sqlstate)
{
    char sql[400];

    snprintf(sql, sizeof sql,
             "DROP TRIGGER IF EXISTS interferes; CREATE TRIGGER interferes BEFORE INSERT ON totals__v1 FOR EACH ROW SIGNAL SQLSTATE '%s' "
             "SET MYSQL_ERRNO = %u, MESSAGE_TEXT = 'on purpose'",
             sqlstate, code);
    scene_execute(scene, sql);
}

static void test_errors_by_class(void **state)
{
    static const struct {
        unsigned code;
        int class;
        bool is_last_word; /* the connection is given up */
        const char *state; /* NULL: one that says nothing */
    } cases[] = {
        {1205, ERROR_TRANSIENT, false, NULL}, {1213, ERROR_TRANSIENT, false, NULL}, {1020, ERROR_TRANSIENT, false, NULL},
        {1114, ERROR_TRANSIENT, false, NULL}, {1317, ERROR_TRANSIENT, false, NULL}, {1969, ERROR_TRANSIENT, false, NULL},
        {3024, ERROR_TRANSIENT, false, NULL}, {1206, ERROR_TRANSIENT, false, NULL}, {1615, ERROR_TRANSIENT, false, NULL},
        {1461, ERROR_TRANSIENT, false, "42000"},
        {1264, ERROR_POISON, false, NULL},    {1406, ERROR_POISON, false, NULL},
        {1366, ERROR_POISON, false, NULL},    {1048, ERROR_POISON, false, NULL},    {1062, ERROR_POISON, false, NULL},
        {1690, ERROR_POISON, false, NULL},    {3140, ERROR_POISON, false, NULL},    {4025, ERROR_POISON, false, NULL},
        {3819, ERROR_POISON, false, NULL},    {1644, ERROR_POISON, false, NULL},    {1142, ERROR_CONFIG, false, NULL},
        {1364, ERROR_CONFIG, false, NULL},    {1130, ERROR_CONFIG, false, NULL},    {1862, ERROR_CONFIG, false, NULL},
        {3118, ERROR_CONFIG, false, NULL},    {1242, ERROR_BUG, false, NULL}, /* of the rows: nobody is fenced */
        {1146, ERROR_CONFIG, false, NULL},    {1054, ERROR_CONFIG, false, NULL},    {1665, ERROR_CONFIG, false, NULL},
        {1709, ERROR_CONFIG, false, NULL},
        {3159, ERROR_CONFIG, false, NULL},
        {1064, ERROR_BUG, false, NULL},       {9999, ERROR_BUG, false, NULL},       {9999, ERROR_POISON, false, "22999"},
        {9999, ERROR_TRANSIENT, false, "40999"}, {1290, ERROR_TRANSIENT, true, NULL}, {1927, ERROR_TRANSIENT, true, NULL},
        {1053, ERROR_TRANSIENT, true, NULL},  {4031, ERROR_TRANSIENT, true, NULL},
    };
    struct scene *scene = scene_ready();
    char code[16];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        raise_error(scene, cases[i].code, cases[i].state == NULL ? "HY000" : cases[i].state);
        fold_event(scene);
        FAILS(scene, cases[i].class, "on purpose", scene_write(scene, 1));
        snprintf(code, sizeof code, "%u", cases[i].code);
        assert_string_equal(scene->error.code, cases[i].code == 1146 ? STORE_MISSING : code);
        assert_non_null(strstr(scene->error.text, "table totals"));
        assert_int_equal(store_is_connected(scene->store), !cases[i].is_last_word);
        if (cases[i].is_last_word)
            OK(scene, scene_connect(scene));
        check_story(scene, 0);
    }
    scene_execute(scene, "DROP TRIGGER interferes");
    write_well(scene);
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
    set(scene, account(scene, "acc-1"), DOC, json("{\"b\": [12345678901234567890.123, null]}"));
    set(scene, account(scene, "acc-1"), RATIO, (struct rs_value){.type = RS_REAL, .as.real = 0.1});
    OK(scene, scene_write(scene, 1));
    LOOK(scene, "-1234567890120004.05", "SELECT balance FROM accounts");
    LOOK(scene, "2026-11-27 04:00:00.123456", "SET time_zone = '+05:00'; SELECT seen FROM accounts");
    LOOK(scene, "1969-12-31", "SELECT day FROM accounts");
    LOOK(scene, "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf", "SELECT id FROM accounts");
    LOOK(scene, "00FF", "SELECT HEX(data) FROM accounts");
    LOOK(scene, "{\"b\": [12345678901234567890.123, null]}", "SELECT doc FROM accounts__v1");
    LOOK(scene, "1", "SELECT JSON_VALID(doc) AND JSON_LENGTH(doc, '$.b') = 2 FROM accounts");
    LOOK(scene, "0.1", "SELECT ratio FROM accounts");
    scene_free(scene);
}

/* Whatever a person's eye, or a collation, takes for the same. */
static void test_keys_that_look_alike(void **state)
{
    static const char *const names[] = {"a", "A", "a ", "a  ", "\xc3\xa4", "a\xcc\x88", "a\t", "", " ", "'", "''", "\\'", "%", "_"};
    struct scene *scene = scene_ready();

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            apply(scene, account(scene, names[i]), BALANCE, RS_ADD, money((int64_t)i + 1));
        OK(scene, scene_write(scene, 1));
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char expected[16];

        snprintf(expected, sizeof expected, "0.%02zu", 2 * (i + 1));
        assert_string_equal(balance_of(scene, names[i]), expected);
    }
    take_away(scene, account(scene, "a "));
    OK(scene, scene_write(scene, 1));
    assert_string_equal(balance_of(scene, "a "), "none");
    assert_string_equal(balance_of(scene, "a"), "0.02");
    scene_free(scene);
}

static char *long_text(size_t size)
{
    char *data = malloc(size + 1);

    assert_non_null(data);
    memset(data, 'x', size);
    data[size] = '\0';
    return data;
}

/* The servers cut blanks at the end of what is too long without a word. */
static void test_blanks_beyond_a_keys_length_merge_no_rows(void **state)
{
    struct scene *scene = scene_ready();
    struct cell cells[N_ACCOUNT_COLUMNS];
    struct rs_value keys[8] = {text("x"), rs_value_int(1), on(1), at(1), money(1), uuid(1), bytes("b", 1), {.type = RS_BOOL}};
    char *key = long_text(768), *longer = long_text(769), *wide = long_text(2 * 768);

    (void)state;
    longer[768] = ' ';
    for (size_t i = 0; i < 2 * 768; i += 2)
        memcpy(wide + i, "\xc3\xa4", 2);
    set(scene, account(scene, key), OWNER, text("fits"));
    set(scene, account(scene, wide), OWNER, text("fits, too"));
    OK(scene, scene_write(scene, 1));
    set(scene, account(scene, longer), OWNER, text("does not"));
    FAILS(scene, ERROR_POISON, "accounts.account: a key's text of 769 characters; its column takes 768", scene_write(scene, 1));
    take_away(scene, account(scene, longer));
    FAILS(scene, ERROR_POISON, "accounts.account", scene_write(scene, 1));
    assert_false(scene_read_account(scene, longer, cells));
    longer[766] = longer[767] = ' '; /* less fits beside other columns */
    keys[0] = text(longer);
    set(scene, scene_row(scene, PLACES, keys, 8), NAME, text("nowhere"));
    FAILS(scene, ERROR_POISON, "places.text: a key's text of 769 characters; its column takes 3", scene_write(scene, 1));
    LOOK(scene, "fits", "SELECT owner FROM accounts WHERE account LIKE 'x%'");
    LOOK(scene, "2", "SELECT count(*) FROM accounts");
    free(key);
    free(longer);
    free(wide);
    scene_free(scene);
}

static void test_what_is_too_long_is_poison(void **state)
{
    struct scene *scene = scene_ready();
    char *key = long_text(768), *longer = long_text(769), *huge = long_text((size_t)strtoull(scene_look(scene, "SELECT @@max_allowed_packet"), NULL, 10));

    (void)state;
    set(scene, account(scene, key), OWNER, text("fits"));
    OK(scene, scene_write(scene, 1));
    set(scene, account(scene, longer), OWNER, text("does not"));
    FAILS(scene, ERROR_POISON, "account", scene_write(scene, 1));
    set(scene, account(scene, "acc-1"), OWNER, text(huge));
    FAILS(scene, ERROR_POISON, "max_allowed_packet", scene_write(scene, 1));
    assert_true(store_is_connected(scene->store));
    huge[strlen(huge) / 2] = '\0'; /* larger than a statement of several rows may be */
    set(scene, account(scene, "acc-1"), OWNER, text(huge));
    set(scene, account(scene, "acc-2"), OWNER, text("small"));
    OK(scene, scene_write(scene, 1));
    LOOK(scene, "3", "SELECT count(*) FROM accounts");
    free(key);
    free(longer);
    free(huge);
    scene_free(scene);
}

/* What follows many small ones, in the order of keys, is no larger for that. */
static void test_what_fits_alone_is_no_poison(void **state)
{
    struct rs_message message = {.topic = "out", .header_size = sizeof(struct rs_header)};
    struct scene *scene = scene_ready();
    size_t size = (size_t)strtoull(scene_look(scene, "SELECT @@max_allowed_packet"), NULL, 10) - 4096;
    char *huge = long_text(size);

    (void)state;
    add_many(scene, 100);
    set(scene, account(scene, "the last"), OWNER, text(huge));
    OK(scene, scene_write(scene, 1));
    LOOK(scene, "101", "SELECT count(*) FROM accounts");
    for (int i = 0; i < 100; i++)
        OK(scene, batch_emit(scene->batch, &message, &scene->error));
    message.value = (struct rs_bytes){huge, size / 2};
    OK(scene, batch_emit(scene->batch, &message, &scene->error));
    OK(scene, scene_write(scene, 1));
    LOOK(scene, "101", "SELECT count(*) FROM readside_outbox");
    free(huge);
    scene_free(scene);
}

/* ---- The network ---- */

/* Breaks one write after the other, the next one with the break at break_at(size of a write, number); how many ended in `result`. */
static int break_writes(int n, void (*break_at)(struct relay *relay, size_t size, int i), int result_to_count)
{
    char relayed[512];
    struct scene *scene = scene_ready();
    struct relay *relay = relay_before(scene, relayed);
    int n_done = 0, n_counted = 0;

    scene->settings.lock_timeout_us = 50000; /* what was left behind is ended after that */
    go_through(scene, relayed);
    for (int i = 0; i < n; i++) {
        size_t size = measure_write(scene, relay);

        add_many(scene, 200);
        fold_event(scene);
        break_at(relay, size, i);
        n_counted += write_into_break(scene, relay, ERROR_TRANSIENT, &n_done) == result_to_count;
    }
    print_message("             %d %s of %d, %d committed\n", n_counted, error_class_name(result_to_count), n, n_done);
    relay_free(relay);
    scene_free(scene);
    return n_counted;
}

enum { N_BREAKS = 15 };

static void break_both_sides(struct relay *relay, size_t size, int i)
{
    relay_cut_after(relay, size * (size_t)i / N_BREAKS);
}

/* The server does not notice, so it works through all that has arrived. */
static void break_through_commit(struct relay *relay, size_t size, int i)
{
    relay_strand_after(relay, size - 4 * (size_t)(N_BREAKS - i));
}

static void test_the_network_breaks_anywhere(void **state)
{
    (void)state;
    assert_true(break_writes(N_BREAKS, break_both_sides, ERROR_TRANSIENT) > 0);
}

static void test_the_network_breaks_in_commit(void **state)
{
    (void)state;
    assert_true(break_writes(N_BREAKS + 1, break_through_commit, ERROR_UNKNOWN) > 0);
}

/* Nor is it the user's fault where the network breaks while a connection is made. */
static void test_the_network_breaks_while_connecting(void **state)
{
    enum { STEP = 45 };
    char relayed[512];
    struct scene *scene = scene_ready();
    struct relay *relay = relay_before(scene, relayed);
    size_t size;
    int n = 0;

    (void)state;
    go_through(scene, relayed);
    relay_heal(relay);
    OK(scene, scene_connect(scene));
    size = relay_passed(relay);
    for (size_t passed = 0; passed + STEP < size; passed += STEP, n++) {
        relay_cut_after(relay, passed);
        FAILS(scene, ERROR_TRANSIENT, "", scene_connect(scene));
        assert_false(store_is_connected(scene->store));
        relay_heal(relay);
    }
    assert_true(n > 5);
    OK(scene, scene_connect(scene));
    OK(scene, scene_resolve(scene));
    write_well(scene);
    relay_free(relay);
    scene_free(scene);
}

/* What was in a socket's buffer arrives after the task has been told that nothing was committed. */
static void test_what_is_in_flight_is_fenced(void **state)
{
    enum { STEPS = 12 };
    char relayed[512];
    struct scene *scene = scene_ready();
    struct relay *relay = relay_before(scene, relayed);
    size_t delivered = 0;

    (void)state;
    scene->settings.lock_timeout_us = 100000;
    go_through(scene, relayed);
    for (size_t i = 0; i < STEPS; i++) {
        size_t size = measure_write(scene, relay);
        int64_t base = scene->positions[0].next_offset;
        int result;

        add_many(scene, 200);
        fold_event(scene);
        relay_strand_after(relay, size * i / STEPS);
        result = scene_write(scene, 1);
        assert_true(result == ERROR_TRANSIENT || result == ERROR_UNKNOWN);
        assert_true(relay_has_fired(relay));
        relay_heal(relay);
        OK(scene, scene_connect(scene));
        OK(scene, scene_resolve(scene));
        assert_int_equal(scene->positions[0].next_offset, base);
        delivered += relay_deliver(relay);
        check_story(scene, base);
        write_well(scene);
    }
    assert_true(delivered > 0);
    relay_free(relay);
    scene_free(scene);
}

/* A text that arrives when its sender has been fenced holds no row that the new owner wants, though its connection stays open. */
static void test_what_comes_late_locks_nothing(void **state)
{
    char relayed[512];
    struct scene *scene = scene_ready(), *next = scene_beside(scene, 99);
    struct relay *relay = relay_before(scene, relayed);

    (void)state;
    go_through(scene, relayed);
    write_well(scene);
    fold_event(scene);
    relay_strand_after(relay, 10); /* in the head of the text */
    assert_int_equal(scene_write(scene, 1), ERROR_TRANSIENT);
    open_with_limits(next, 1000000, 30000000);
    OK(next, scene_claim(next));
    assert_true(relay_deliver(relay) > 0);
    for (int i = 0; i < 5; i++)
        write_well(next);
    relay_free(relay);
    scene_close(next);
    scene_free(scene);
}

static void test_the_answer_to_commit_is_lost(void **state)
{
    char relayed[512];
    struct scene *scene = scene_ready();
    struct relay *relay = relay_before(scene, relayed);

    (void)state;
    go_through(scene, relayed);
    for (int i = 0; i < 5; i++) {
        size_t size;
        int64_t base;

        relay_heal(relay);
        write_well(scene);
        size = relay_passed(relay); /* to the end of COMMIT */
        base = scene->positions[0].next_offset;
        fold_event(scene);
        relay_strand_after(relay, size); /* and then nothing is heard */
        OK(scene, scene_start_write(scene, 1));
        relay_swallow_answer(relay);
        assert_true(scene_finish(scene) != 0);
        relay_heal(relay);
        resolve_story(scene, base, ERROR_UNKNOWN);
    }
    relay_free(relay);
    scene_free(scene);
}

static void test_a_machine_that_vanishes(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    vanish_while_sending(scene);
    scene_free(scene);
}

/* No answer and no sign of a break: the time limits of the settings, not those of the kernel. */
static void test_silence_ends(void **state)
{
    char relayed[512];
    struct scene *scene = scene_ready();
    struct relay *relay = relay_before(scene, relayed);
    int64_t began_us;

    (void)state;
    scene->settings.lock_timeout_us = scene->settings.statement_timeout_us = 500000;
    scene->settings.connect_timeout_us = 1500000; /* beside others, a good connection takes its time, too */
    go_through(scene, relayed);
    fold_event(scene);
    relay_hold(relay);
    began_us = scene_now_us();
    FAILS(scene, ERROR_TRANSIENT, "20", scene_write(scene, 1));
    FAILS(scene, ERROR_TRANSIENT, "cannot connect", scene_connect(scene));
    assert_true(scene_now_us() - began_us < 20000000);
    relay_heal(relay);
    resolve_story(scene, 0, ERROR_TRANSIENT);
    relay_free(relay);
    scene_free(scene);
}

/* A caller that walks away in the middle of an operation, to another connection or for good. */
static void test_closing_in_the_middle(void **state)
{
    struct scene *beside, *scene = scene_with_obstacle(1, &beside);

    (void)state;
    for (int i = 0; i < 3; i++) {
        fold_event(scene);
        OK(scene, scene_start_write(scene, 1));
        poll_until_it_waits(scene, 1);
        store_abandon(scene->store);
        scene_settle(scene, 0, 0); /* the batch is gone */
        if (i == 2)
            break;
        OK(scene, i == 0 ? scene_connect(scene) : scene_open(scene));
        if (i == 1)
            OK(scene, scene_connect(scene));
        open_with_limits(scene, 100000, 30000000);
        OK(scene, scene_resolve(scene));
    }
    scene->store = store_close(scene->store);
    give_way(beside);
    scene_close(beside);
    scene_free(scene);
}

/* ---- Connecting ---- */

static void test_refused_connections(void **state)
{
    struct scene *scene = scene_new();
    const char *password = scene->settings.password;
    char database[100];

    (void)state;
    FAILS(scene, ERROR_CONFIG, "the server says 1045: Access denied", connect_to(scene, scene->uri, "wrong"));
    FAILS(scene, ERROR_CONFIG, "Access denied", connect_to(scene, scene->uri, NULL));
    snprintf(database, sizeof database, "/%s", scene->space);
    FAILS(scene, ERROR_CONFIG, "nowhere", connect_to(scene, replaced(scene, database, "/nowhere"), password));
    FAILS(scene, ERROR_CONFIG, "uri: ", connect_to(scene, "mysql://127.0.0.1:99999/x", password));
    FAILS(scene, ERROR_CONFIG, "a parameter is none of", connect_to(scene, "mysql://127.0.0.1/x?nonsense=1", password));
    FAILS(scene, ERROR_TRANSIENT, "cannot connect", connect_to(scene, "mysql://127.0.0.1:1/x", password));
    FAILS(scene, ERROR_TRANSIENT, "cannot connect", connect_to(scene, "mysql:///x?socket=/nowhere", password));
    OK(scene, connect_to(scene, scene->uri, password));
    scene_free(scene);
}

static void test_remote_servers_must_prove_themselves(void **state)
{
    struct scene *scene = scene_new();
    const char *password = scene->settings.password, *ca = getenv("STORE_CA");
    int bare = (int)strcspn(scene->uri, "?");
    char uri[700];

    (void)state;
    FAILS(scene, ERROR_CONFIG, "does not verify the server db.example", connect_to(scene, "mysql://db.example/x?tls=off", NULL));
    FAILS(scene, ERROR_CONFIG, "does not verify the server db.example", connect_to(scene, "mysql://db.example/x?tls=unverified", NULL));
    scene->settings.uri = "mysql://db.example/x";
    OK(scene, scene_open(scene));
    scene->settings.allow_plaintext = true;
    scene->settings.uri = "mysql://db.example/x?tls=off";
    OK(scene, scene_open(scene));
    scene->settings.allow_plaintext = false;
    snprintf(uri, sizeof uri, "%.*s?tls=verified", bare, scene->uri); /* no public authority has signed it */
    FAILS(scene, ERROR_CONFIG, "certificate", connect_to(scene, uri, password));
    for (size_t i = 0; i < 3; i++) {
        const char *const parameters[] = {"ssl-ca", "ssl-cert", "ssl-key"};

        snprintf(uri, sizeof uri, "%.*s?tls=verified&%s=/nowhere", bare, scene->uri, parameters[i]);
        FAILS(scene, ERROR_CONFIG, "the file /nowhere of ssl-", connect_to(scene, uri, password));
        assert_non_null(strstr(scene->error.text, parameters[i]));
    }
    snprintf(uri, sizeof uri, "%.*s?tls=unverified", bare, scene->uri);
    OK(scene, connect_to(scene, uri, password));
    snprintf(uri, sizeof uri, "%.*s?ssl-cert=/nowhere&ssl-key=/nowhere", bare, scene->uri); /* who has one wants TLS */
    FAILS(scene, ERROR_CONFIG, "the file /nowhere of ssl-cert", connect_to(scene, uri, password));
    if (ca != NULL) {
        snprintf(uri, sizeof uri, "%.*s?tls=verified&ssl-ca=%s", bare, scene->uri, ca);
        OK(scene, connect_to(scene, uri, password));
        OK(scene, store_create_schema(scene->store, &scene->error));
    }
    scene_free(scene);
}

/* ---- The schema ---- */

static void test_objections(void **state)
{
    static const struct {
        const char *make, *words, *undo;
        bool is_allowable;
    } cases[] = {
        {"ALTER TABLE accounts__v1 ENGINE = MyISAM, DROP PRIMARY KEY, ADD PRIMARY KEY (account(100))", "is of the engine MyISAM",
         "ALTER TABLE accounts__v1 DROP PRIMARY KEY, ADD PRIMARY KEY (account), ENGINE = InnoDB", false},
        {"ALTER TABLE readside_positions RENAME TO aside; CREATE TABLE readside_positions ENGINE = MyISAM SELECT * FROM aside",
         "readside_positions is of the engine MyISAM", "DROP TABLE readside_positions; ALTER TABLE aside RENAME TO readside_positions", false},
        {"CREATE UNIQUE INDEX one ON accounts__v1 (events)", "has the unique index one", "DROP INDEX one ON accounts__v1", true},
        {"ALTER TABLE accounts__v1 ADD CONSTRAINT positive CHECK (balance > 0)", "has the constraint positive",
         "ALTER TABLE accounts__v1 DROP CONSTRAINT positive", true},
        {"CREATE TABLE facts (a date, CONSTRAINT refers FOREIGN KEY (a) REFERENCES totals__v1 (day)) ENGINE = InnoDB",
         "is referenced by the foreign key refers", "DROP TABLE facts", true},
        {"CREATE TABLE facts (a date PRIMARY KEY) ENGINE = InnoDB; ALTER TABLE totals__v1 ADD CONSTRAINT refers FOREIGN KEY (day) "
         "REFERENCES facts (a)", "has the constraint refers", "ALTER TABLE totals__v1 DROP FOREIGN KEY refers; DROP TABLE facts", true},
        {"CREATE TRIGGER interferes BEFORE INSERT ON totals__v1 FOR EACH ROW SET @x = 1", "has the trigger interferes",
         "DROP TRIGGER interferes", true},
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
    scene_free(scene);
}

#define EXACT "CHARACTER SET utf8mb4 COLLATE /*!80017 utf8mb4_0900_bin */ /*M! utf8mb4_nopad_bin */"

static void test_differences(void **state)
{
    static const struct {
        const char *make, *words, *undo;
    } cases[] = {
        {"ALTER TABLE accounts__v1 MODIFY owner longtext " EXACT " DEFAULT (CONVERT(X'4f27486172613b0a5c' USING utf8mb4))",
         "column owner is nullable, the plugin declares not null",
         "ALTER TABLE accounts__v1 MODIFY owner longtext " EXACT " NOT NULL DEFAULT (CONVERT(X'4f27486172613b0a5c' USING utf8mb4))"},
        {"ALTER TABLE accounts__v1 MODIFY owner longtext " EXACT " NOT NULL", "column owner has no default",
         "ALTER TABLE accounts__v1 MODIFY owner longtext " EXACT " NOT NULL DEFAULT (CONVERT(X'4f27486172613b0a5c' USING utf8mb4))"},
        {"ALTER TABLE accounts__v1 ALTER events SET DEFAULT 7", "column events has the default 7, the plugin declares none",
         "ALTER TABLE accounts__v1 ALTER events SET DEFAULT NULL"},
        {"ALTER TABLE accounts__v1 ALTER balance SET DEFAULT 0.01", "column balance has the default 0.01, the plugin declares 0.00",
         "ALTER TABLE accounts__v1 ALTER balance SET DEFAULT 0"},
        {"ALTER TABLE accounts__v1 ADD more text NOT NULL", "column more is not declared, is not null and has no default",
         "ALTER TABLE accounts__v1 MODIFY more text"},
        {"ALTER TABLE totals__v1 MODIFY amount decimal(30,2)", "column amount is decimal(30,2), the plugin declares decimal(38,2)",
         "ALTER TABLE totals__v1 MODIFY amount decimal(38,2)"},
        {"ALTER TABLE accounts__v1 MODIFY readside_partition int", "readside_partition is not int NOT NULL",
         "ALTER TABLE accounts__v1 MODIFY readside_partition int NOT NULL"},
        {"ALTER TABLE totals__v1 DROP PRIMARY KEY", "the primary key is another", "ALTER TABLE totals__v1 ADD PRIMARY KEY (day)"},
        {"ALTER TABLE accounts__v1 MODIFY account varchar(768) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL",
         "column account has the collation utf8mb4_general_ci", NULL},
    };
    struct scene *scene = scene_ready();

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        scene_execute(scene, cases[i].make);
        FAILS(scene, ERROR_CONFIG, cases[i].words, store_check_schema(scene->store, &scene->error));
        if (cases[i].undo == NULL)
            break;
        scene_execute(scene, cases[i].undo);
        OK(scene, store_create_schema(scene->store, &scene->error));
    }
    scene_execute(scene, "DROP VIEW accounts; DROP VIEW totals; CREATE VIEW accounts AS SELECT account, owner FROM accounts__v1; CREATE TABLE totals (a int)");
    FAILS(scene, ERROR_CONFIG, "the view accounts lacks column balance", store_check_schema(scene->store, &scene->error));
    FAILS(scene, ERROR_CONFIG, "something named totals exists and is not a view", store_check_schema(scene->store, &scene->error));
    scene_free(scene);
}

/* A task that starts while others do finds all done; none of them fails. */
static void test_tasks_that_start_together(void **state)
{
    static const char lock[] = "SELECT GET_LOCK(CONCAT('readside:', LEFT(SHA2(DATABASE(), 256), 32)), 1)";
    struct scene *scene = scene_new(), *other;

    (void)state;
    other = scene_beside(scene, 50);
    OK(scene, scene_connect(scene));
    LOOK(scene, "1", lock);
    open_with_limits(other, 1000000, 1000000);
    FAILS(other, ERROR_TRANSIENT, "is making or dropping tables", store_create_schema(other->store, &other->error));
    assert_true(store_is_connected(other->store));
    scene_execute(scene, "DO RELEASE_ALL_LOCKS()");
    OK(other, store_create_schema(other->store, &other->error));
    OK(scene, store_create_schema(scene->store, &scene->error));
    scene_close(other);
    scene_free(scene);
}

/* DDL commits by itself: what a crash leaves of a create or a reset is gone on with by running it again. */
static void test_what_was_cut_short_is_gone_on_with(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    write_well(scene);
    scene_execute(scene, "DELETE FROM readside_positions; DROP VIEW accounts"); /* a reset, half done */
    FAILS(scene, ERROR_CONFIG, "table accounts__v1 holds rows", scene_insert_all(scene));
    OK(scene, store_reset(scene->store, "kim", &scene->error));
    LOOK(scene, "0", "SELECT count(*) FROM readside_tables");
    LOOK(scene, "0", "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name LIKE '%\\_\\_v1'");
    OK(scene, store_create_schema(scene->store, &scene->error));
    scene_execute(scene, "DROP VIEW totals; DROP TABLE places__v1; DROP VIEW places"); /* a create, half done */
    OK(scene, store_create_schema(scene->store, &scene->error));
    OK(scene, store_preflight(scene->store, &scene->error));
    scene_free(scene);
}

/* A report that reads the tables for long: who resets is told, and all goes on as before. */
static void test_a_reset_waits_for_readers_or_changes_nothing(void **state)
{
    struct scene *scene = scene_ready(), *reader = scene_beside(scene, 66);

    (void)state;
    write_well(scene);
    open_with_limits(scene, 50000, 30000000);
    OK(scene, scene_claim(scene));
    scene_execute(reader, "BEGIN; SELECT 1 FROM accounts");
    FAILS(scene, ERROR_TRANSIENT, "nothing was changed: another connection's transaction uses", store_reset(scene->store, "kim", &scene->error));
    give_way(reader);
    write_well(scene);
    LOOK(scene, "0", "SELECT count(*) FROM readside_audit");
    LOOK(scene, "3", "SELECT count(*) FROM information_schema.views WHERE table_schema = DATABASE()");
    OK(scene, store_reset(scene->store, "kim", &scene->error));
    LOOK(scene, "5", "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE()");
    LOOK(scene, "0", "SELECT count(*) FROM readside_positions");
    scene_close(reader);
    scene_free(scene);
}

/* ---- Values and tables ---- */

/* MySQL's type JSON has doubles for its numbers. */
static void test_json_that_the_server_does_not_take(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    set(scene, account(scene, "acc-1"), DOC, json("{\"a\": 1e400}"));
    set(scene, account(scene, "acc-2"), DOC, json("{\"a\": 1}"));
    OK(scene, scene_write(scene, 1));
    LOOK(scene, "2", "SELECT count(doc) FROM accounts");
    LOOK(scene, "{\"a\": 1e400}", "SELECT JSON_UNQUOTE(doc) FROM accounts WHERE account = 'acc-1'");
    LOOK(scene, "1", "SELECT JSON_EXTRACT(doc, '$.a') FROM accounts WHERE account = 'acc-2'");
    LOOK(scene, is_mariadb(scene) ? "longtext" : "json",
         "SELECT data_type FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'accounts' AND column_name = 'doc'");
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

/* Nothing is kept of it. */
static void test_a_statement_that_cannot_be_prepared(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    scene_execute(scene, "RENAME TABLE totals__v1 TO aside");
    fold_event(scene);
    FAILS(scene, ERROR_CONFIG, "table totals: ", scene_write(scene, 1));
    scene_execute(scene, "RENAME TABLE aside TO totals__v1");
    assert_true(store_is_connected(scene->store));
    write_well(scene);
    scene_free(scene);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_between_any_two_polls),
        cmocka_unit_test(test_killed_while_idle),
        cmocka_unit_test(test_killed_in_every_phase),
        cmocka_unit_test(test_lock_timeouts_roll_back_in_every_phase),
        cmocka_unit_test(test_statement_timeouts_roll_back),
        cmocka_unit_test(test_a_holder_that_does_not_let_go_is_terminated),
        cmocka_unit_test(test_resolve_ends_the_old_connections_work),
        cmocka_unit_test(test_a_stranger_is_left_alone),
        cmocka_unit_test(test_the_fenced_do_not_disturb),
        cmocka_unit_test(test_a_deadlock_is_transient),
        cmocka_unit_test(test_errors_by_class),
        cmocka_unit_test(test_values_as_the_server_sees_them),
        cmocka_unit_test(test_keys_that_look_alike),
        cmocka_unit_test(test_blanks_beyond_a_keys_length_merge_no_rows),
        cmocka_unit_test(test_what_is_too_long_is_poison),
        cmocka_unit_test(test_what_fits_alone_is_no_poison),
        cmocka_unit_test(test_the_network_breaks_anywhere),
        cmocka_unit_test(test_the_network_breaks_in_commit),
        cmocka_unit_test(test_the_network_breaks_while_connecting),
        cmocka_unit_test(test_what_is_in_flight_is_fenced),
        cmocka_unit_test(test_what_comes_late_locks_nothing),
        cmocka_unit_test(test_the_answer_to_commit_is_lost),
        cmocka_unit_test(test_a_machine_that_vanishes),
        cmocka_unit_test(test_silence_ends),
        cmocka_unit_test(test_closing_in_the_middle),
        cmocka_unit_test(test_refused_connections),
        cmocka_unit_test(test_remote_servers_must_prove_themselves),
        cmocka_unit_test(test_objections),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_tasks_that_start_together),
        cmocka_unit_test(test_what_was_cut_short_is_gone_on_with),
        cmocka_unit_test(test_a_reset_waits_for_readers_or_changes_nothing),
        cmocka_unit_test(test_json_that_the_server_does_not_take),
        cmocka_unit_test(test_the_last_moment),
        cmocka_unit_test(test_a_table_that_is_gone),
        cmocka_unit_test(test_a_statement_that_cannot_be_prepared),
    };

    if (!scene_is_mysql() || scene_server_uri()[0] == '\0') {
        print_message("STORE_KIND=mysql and STORE_URI name no server: nothing can be tested\n");
        return 77; /* skipped, as automake takes it */
    }
    if (scene_lists(argc, argv, tests, sizeof tests / sizeof tests[0]))
        return 0;
    return cmocka_run_group_tests_name("store contract, MySQL's part", tests, NULL, NULL);
}
