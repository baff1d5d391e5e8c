/*
 * postgres_network_contract: what happens between a driver and PostgreSQL's server: connections cut, stranded, silent, at any byte.
 *
 * STORE_URI names the server (over TCP, a superuser's), see scene.h. Each fault is followed by the same question (story.h).
 */
#include "scene.h"

#include "relay.h"
#include "story.h"

#include <poll.h>

static void test_the_network_breaks_anywhere(void **state)
{
    enum { COARSE = 30, FINE = 30, FINE_BYTES = 3 }; /* fine: through the messages of COMMIT and Sync */
    char relayed[512];
    struct scene *scene = scene_ready();
    struct relay *relay = relay_before(scene, relayed);
    int n_done = 0, n_unknown = 0;

    (void)state;
    scene->settings.lock_timeout_us = 200000; /* what was left behind is ended after that */
    go_through(scene, relayed);
    for (size_t i = 0; i <= COARSE + FINE; i++) {
        size_t size = measure_write(scene, relay);

        add_many(scene, 200);
        fold_event(scene);
        if (i < COARSE)
            relay_cut_after(relay, size * i / COARSE);
        else /* the server does not notice, so it works through all that has arrived */
            relay_strand_after(relay, size - FINE_BYTES * (COARSE + FINE - i));
        n_unknown += write_into_break(scene, relay, ERROR_UNKNOWN, &n_done) != 0;
    }
    print_message("             %d unknown of %d, %d committed\n", n_unknown, COARSE + FINE + 1, n_done);
    assert_true(n_done > 1); /* COMMIT had arrived, but not the Sync behind it */
    assert_true(n_unknown >= COARSE + FINE - 1);
    relay_free(relay);
    scene_free(scene);
}

/* A connection that has met only new rows, and a batch whose rows it takes for new ones too, though one is known. */
static void until_refused(struct scene *scene, const char *relayed, int *number)
{
    char name[32];

    go_through(scene, relayed);
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "new-%06d", (*number)++);
        fold_event_of(scene, name);
        OK(scene, scene_write(scene, 1));
    }
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "more-%06d", (*number)++);
        set(scene, account(scene, name), OWNER, text("a name that makes the batch larger than one segment"));
    }
    fold_event_of(scene, "new-000000");
}

/* Sent, refused, rolled back, sent anew: cut and stranded at eight points each, and through the messages of COMMIT and Sync. */
static void test_the_network_breaks_while_rows_are_written_again(void **state)
{
    enum { CUT = 8, STRANDED = 8, FINE = 12, FINE_BYTES = 3, STEPS = CUT + STRANDED + FINE };
    char relayed[512];
    struct scene *scene = scene_ready();
    struct relay *relay = relay_before(scene, relayed);
    int number = 0, n_done = 0, n_unknown = 0;
    int64_t trips;
    size_t size;

    (void)state;
    scene->settings.lock_timeout_us = 200000;
    until_refused(scene, relayed, &number);
    relay_heal(relay);
    trips = store_round_trips(scene->store);
    OK(scene, scene_write(scene, 1));
    assert_true(store_round_trips(scene->store) - trips > 1);
    size = relay_passed(relay);
    for (size_t i = 0; i <= STEPS; i++) {
        until_refused(scene, relayed, &number);
        relay_heal(relay);
        if (i < CUT)
            relay_cut_after(relay, size * i / CUT);
        else if (i < CUT + STRANDED)
            relay_strand_after(relay, size * (i - CUT) / STRANDED);
        else
            relay_strand_after(relay, size - FINE_BYTES * (STEPS - i));
        n_unknown += write_into_break(scene, relay, ERROR_UNKNOWN, &n_done) != 0;
    }
    print_message("             %d unknown of %d, %d committed\n", n_unknown, STEPS + 1, n_done);
    assert_true(n_done > 1); /* COMMIT had arrived, but not the Sync behind it */
    assert_true(n_unknown >= STEPS - 1);
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

        add_many(scene, 200);
        fold_event(scene);
        relay_strand_after(relay, size * i / STEPS);
        assert_int_equal(scene_write(scene, 1), ERROR_UNKNOWN);
        assert_true(relay_has_fired(relay));
        relay_heal(relay);
        OK(scene, scene_connect(scene));
        OK(scene, scene_resolve(scene));
        assert_int_equal(scene->positions[0].next_offset, base);
        delivered += relay_deliver(relay);
        wait_until(scene, "0", "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                               "AND application_name LIKE 'readside/%' AND state = 'active'");
        check_story(scene, base);
        write_well(scene);
    }
    assert_true(delivered > 0);
    relay_free(relay);
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
        int64_t base = scene->positions[0].next_offset;

        fold_event(scene);
        relay_swallow_answer(relay);
        assert_int_equal(scene_write(scene, 1), ERROR_UNKNOWN);
        relay_heal(relay);
        resolve_story(scene, base, 0); /* it has committed, in truth */
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
    scene->settings.statement_timeout_us = 500000;
    scene->settings.connect_timeout_us = 1500000; /* beside others, a good connection takes its time, too */
    go_through(scene, relayed);
    fold_event(scene);
    relay_hold(relay);
    began_us = scene_now_us();
    FAILS(scene, ERROR_UNKNOWN, "did not answer in time", scene_write(scene, 1));
    FAILS(scene, ERROR_TRANSIENT, "did not answer in time while connecting", scene_connect(scene));
    assert_true(scene_now_us() - began_us < 20000000);
    relay_heal(relay);
    resolve_story(scene, 0, ERROR_TRANSIENT);
    relay_free(relay);
    scene_free(scene);
}

static void slow_down(struct scene *scene, const char *table)
{
    char sql[200];

    snprintf(sql, sizeof sql, "CREATE TRIGGER slow BEFORE INSERT ON %s FOR EACH STATEMENT EXECUTE FUNCTION slow()", table);
    scene_execute(scene, sql);
}

/* However many statements are under way: the server ends each in its time, and says so at once. */
static void test_silence_is_measured_from_the_last_sign(void **state)
{
    struct scene *scene = scene_ready();
    int64_t limit_us = scene->settings.statement_timeout_us, deadline_us;
    int result, n_signs = 0;

    (void)state;
    scene_execute(scene, "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END'");
    slow_down(scene, "accounts__v1");
    slow_down(scene, "totals__v1");
    fold_event(scene);
    assert_int_equal(scene_start_write(scene, N_PARTITIONS), 0);
    deadline_us = store_deadline_us(scene->store);
    assert_in_range(deadline_us, scene_now_us() + limit_us, scene_now_us() + limit_us + 10000000);
    while ((result = store_poll(scene->store, &scene->error)) == STORE_BUSY) {
        struct pollfd fd = {.fd = store_fd(scene->store), .events = store_events(scene->store)};

        n_signs += store_deadline_us(scene->store) > deadline_us + 200000;
        deadline_us = store_deadline_us(scene->store);
        poll(&fd, 1, 1000);
    }
    scene_settle(scene, N_PARTITIONS, result);
    assert_int_equal(result, 0);
    assert_true(n_signs >= 2); /* accounts in two shapes, totals in one */
    scene_free(scene);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_network_breaks_anywhere),
        cmocka_unit_test(test_the_network_breaks_while_rows_are_written_again),
        cmocka_unit_test(test_what_is_in_flight_is_fenced),
        cmocka_unit_test(test_the_answer_to_commit_is_lost),
        cmocka_unit_test(test_a_machine_that_vanishes),
        cmocka_unit_test(test_silence_ends),
        cmocka_unit_test(test_silence_is_measured_from_the_last_sign),
    };

    if (scene_is_sqlite() || scene_server_uri()[0] == '\0') {
        print_message("STORE_KIND=postgresql and STORE_URI name no server: nothing can be tested\n");
        return 77; /* skipped, as automake takes it */
    }
    if (scene_lists(argc, argv, tests, sizeof tests / sizeof tests[0]))
        return 0;
    return cmocka_run_group_tests_name("store contract, the network's part", tests, NULL, NULL);
}
