/*
 * The supervisor's parts: restart policy, what a reload does, when a run until the end is over, messages to the service manager, exit codes, status block, and the
 * packed configuration that a task is given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "config/pack.h"
#include "task/status.h"
#include "worker/end.h"
#include "worker/exit.h"
#include "worker/notify.h"
#include "worker/plan.h"
#include "worker/restart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND INT64_C(1000000)

/* ---- Restart ---- */

static void test_delay_doubles_up_to_the_maximum(void **state)
{
    struct restart restart = {.random_state = 7};
    int64_t full = SECOND / 2;

    (void)state;
    for (int i = 0; i < 12; i++) {
        int64_t delay = restart_next_us(&restart, SECOND, SECOND / 2, 30 * SECOND);

        assert_in_range(delay, full / 2, full);
        full = full * 2 > 30 * SECOND ? 30 * SECOND : full * 2;
    }
    assert_int_equal(full, 30 * SECOND);
}

static void test_a_minute_of_health_forgives(void **state)
{
    struct restart restart = {.random_state = 7};

    (void)state;
    for (int i = 0; i < 8; i++)
        restart_next_us(&restart, 0, SECOND, 60 * SECOND);
    assert_true(restart_next_us(&restart, RESTART_HEALTHY_US - 1, SECOND, 60 * SECOND) > SECOND);
    assert_true(restart_next_us(&restart, RESTART_HEALTHY_US, SECOND, 60 * SECOND) <= SECOND);
    assert_int_equal(restart.failures, 1);
}

static void test_a_base_above_the_maximum_counts(void **state)
{
    struct restart restart = {.random_state = 7};

    (void)state;
    assert_in_range(restart_next_us(&restart, 0, 10 * SECOND, SECOND), 5 * SECOND, 10 * SECOND);
}

/* ---- Plan ---- */

static void test_plan(void **state)
{
    static const struct {
        struct plan_facts facts;
        enum plan_step step;
    } cases[] = {
        {{.is_wanted = true, .new_fingerprint = 1}, PLAN_START},
        {{.is_wanted = true, .is_present = true, .old_fingerprint = 1, .new_fingerprint = 1}, PLAN_KEEP},
        {{.is_wanted = true, .is_present = true, .old_fingerprint = 1, .new_fingerprint = 2}, PLAN_RESTART},
        {{.is_wanted = true, .is_present = true, .is_down = true, .old_fingerprint = 1, .new_fingerprint = 1}, PLAN_RESTART},
        {{.is_wanted = true, .is_present = true, .is_down = true, .old_fingerprint = 1, .new_fingerprint = 2}, PLAN_RESTART},
        {{.is_present = true, .old_fingerprint = 1}, PLAN_STOP},
        {{.is_present = true, .is_down = true, .old_fingerprint = 1}, PLAN_STOP},
        {{.new_fingerprint = 1}, PLAN_KEEP},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(plan_step(&cases[i].facts), cases[i].step);
}

/* ---- End ---- */

/* One look at one pipeline or two; facts of the second with expected = 0 are none. */
static bool look(struct end_watch *watch, struct end_facts first, struct end_facts second, int64_t now_us)
{
    struct end_view view = END_VIEW_INIT;

    end_add(&view, &first);
    if (second.expected > 0)
        end_add(&view, &second);
    return end_is_reached(watch, &view, now_us, 6 * SECOND);
}

static const struct end_facts none;

static void test_the_end_is_where_all_partitions_are_ours_and_done(void **state)
{
    struct end_watch watch = {0};
    struct end_facts all = {.partitions = 4, .expected = 4, .is_at_end = true}, working = {.partitions = 4, .expected = 4};

    (void)state;
    assert_false(look(&watch, working, none, SECOND));
    assert_false(look(&watch, all, working, 2 * SECOND));
    assert_true(look(&watch, all, none, 3 * SECOND));
    assert_true(look(&watch, all, all, 4 * SECOND));
}

static void test_another_pipelines_surplus_makes_up_for_nothing(void **state)
{
    struct end_watch watch = {0};
    struct end_facts part = {.partitions = 2, .expected = 4, .is_at_end = true};
    struct end_facts more = {.partitions = 6, .expected = 4, .is_at_end = true}; /* some were added since */
    struct end_facts unknown = {.partitions = 6, .expected = END_EXPECTED_UNKNOWN, .is_at_end = true};

    (void)state;
    assert_false(look(&watch, part, more, SECOND));
    assert_false(look(&watch, part, unknown, SECOND));
    part.partitions = 4;
    assert_false(look(&watch, part, unknown, SECOND));
    assert_true(look(&watch, part, more, SECOND));
}

static void test_what_others_have_is_theirs_when_nothing_has_changed_for_long(void **state)
{
    struct end_watch watch = {0};
    struct end_facts part = {.partitions = 2, .expected = 4, .events = 10, .is_at_end = true}, moved = part, more = part, busy = part;

    (void)state;
    moved.events = 11;
    more.partitions = 3;
    busy.is_at_end = false;
    assert_false(look(&watch, part, none, 1 * SECOND));
    assert_false(look(&watch, part, none, 7 * SECOND - 1));
    assert_false(look(&watch, moved, none, 7 * SECOND));
    assert_false(look(&watch, more, none, 12 * SECOND));
    assert_false(look(&watch, more, none, 17 * SECOND));
    assert_false(look(&watch, busy, none, 18 * SECOND));
    assert_false(look(&watch, more, none, 19 * SECOND));
    assert_false(look(&watch, more, none, 25 * SECOND - 1));
    assert_true(look(&watch, more, none, 25 * SECOND));
}

/* Each attempt blocks while the broker is silent: a worker that made them one after another would do nothing else. */
static void test_partitions_are_counted_at_the_end_only_and_not_at_every_turn(void **state)
{
    struct end_watch watch = {0};
    struct end_facts part = {.partitions = 2, .expected = END_EXPECTED_UNKNOWN, .is_at_end = true}, known = part;
    struct end_view empty = END_VIEW_INIT, busy = END_VIEW_INIT, open = END_VIEW_INIT, counted = END_VIEW_INIT;

    (void)state;
    known.is_counted = true;
    end_add(&open, &part);
    end_add(&open, &known);
    end_add(&counted, &known);
    part.is_at_end = false;
    end_add(&busy, &part);
    assert_false(end_shall_count(&watch, &empty, SECOND));
    assert_false(end_shall_count(&watch, &busy, SECOND));
    assert_false(end_shall_count(&watch, &counted, SECOND));
    assert_true(end_shall_count(&watch, &open, SECOND));
    end_put_off_count(&watch, 3 * SECOND);
    assert_false(end_is_reached(&watch, &open, 3 * SECOND, 6 * SECOND)); /* begins to watch anew, and does not forget */
    assert_false(end_shall_count(&watch, &open, 4 * SECOND - 1));
    assert_true(end_shall_count(&watch, &open, 4 * SECOND));
}

static void test_pipelines_that_are_all_down_have_no_end(void **state)
{
    struct end_watch watch = {0};
    struct end_view view = END_VIEW_INIT;

    (void)state;
    assert_false(end_is_reached(&watch, &view, SECOND, 6 * SECOND));
    assert_false(end_is_reached(&watch, &view, 60 * SECOND, 6 * SECOND));
}

/* ---- Notify ---- */

static void test_addresses(void **state)
{
    struct sockaddr_un address;
    socklen_t size;
    char long_path[200];

    (void)state;
    assert_true(notify_read_address("/run/notify", &address, &size));
    assert_string_equal(address.sun_path, "/run/notify");
    assert_int_equal(size, offsetof(struct sockaddr_un, sun_path) + strlen("/run/notify") + 1);
    assert_true(notify_read_address("@abstract", &address, &size));
    assert_memory_equal(address.sun_path, "\0abstract", 9);
    assert_int_equal(size, offsetof(struct sockaddr_un, sun_path) + 9);
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[0] = '/';
    long_path[sizeof long_path - 1] = '\0';
    assert_false(notify_read_address(long_path, &address, &size));
    assert_false(notify_read_address("", &address, &size));
    assert_false(notify_read_address("/", &address, &size));
    assert_false(notify_read_address("relative", &address, &size));
}

static void test_watchdog_is_for_this_process(void **state)
{
    (void)state;
    assert_int_equal(notify_read_watchdog("30000000", "42", 42), 30 * SECOND);
    assert_int_equal(notify_read_watchdog("30000000", NULL, 42), 30 * SECOND);
    assert_int_equal(notify_read_watchdog("30000000", "43", 42), 0);
    assert_int_equal(notify_read_watchdog("30000000", "", 42), 0);
    assert_int_equal(notify_read_watchdog("-1", "42", 42), 0);
    assert_int_equal(notify_read_watchdog("soon", NULL, 42), 0);
    assert_int_equal(notify_read_watchdog(NULL, "42", 42), 0);
}

static void test_messages_arrive_and_the_environment_is_clean(void **state)
{
    char path[] = "/tmp/readside-notify-XXXXXX", name[64], message[128];
    struct sockaddr_un address;
    struct notify notify;
    socklen_t size;
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    ssize_t n;

    (void)state;
    assert_non_null(mkdtemp(path));
    snprintf(name, sizeof name, "%s/socket", path);
    assert_true(notify_read_address(name, &address, &size));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    setenv("WATCHDOG_USEC", "3000000", 1);
    unsetenv("WATCHDOG_PID");
    notify_open(&notify);
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
    assert_int_equal(notify.watchdog_us, 3 * SECOND);
    notify_send(&notify, "READY=1\nSTATUS=well");
    n = recv(fd, message, sizeof message, MSG_DONTWAIT);
    assert_int_equal(n, strlen("READY=1\nSTATUS=well"));
    assert_memory_equal(message, "READY=1\nSTATUS=well", (size_t)n);
    notify_send_reloading(&notify, 123);
    n = recv(fd, message, sizeof message, MSG_DONTWAIT);
    assert_int_equal(n, strlen("RELOADING=1\nMONOTONIC_USEC=123"));
    assert_memory_equal(message, "RELOADING=1\nMONOTONIC_USEC=123", (size_t)n);
    notify_close(&notify);
    close(fd);
    unlink(name);
    rmdir(path);
}

static void test_without_a_socket_nothing_happens(void **state)
{
    struct notify notify;

    (void)state;
    unsetenv("NOTIFY_SOCKET");
    setenv("WATCHDOG_USEC", "3000000", 1);
    notify_open(&notify);
    assert_int_equal(notify.fd, -1);
    assert_int_equal(notify.watchdog_us, 0);
    notify_send(&notify, "READY=1");
    notify_close(&notify);
}

/* ---- Exit codes ---- */

static void test_exit_codes(void **state)
{
    (void)state;
    assert_int_equal(exit_code_of(0), 0);
    assert_int_equal(exit_code_of(ERROR_TRANSIENT), 75);
    assert_int_equal(exit_code_of(ERROR_UNKNOWN), 75);
    assert_int_equal(exit_code_of(ERROR_POISON), 65);
    assert_int_equal(exit_code_of(ERROR_HALT), 65);
    assert_int_equal(exit_code_of(ERROR_FENCED), 77);
    assert_int_equal(exit_code_of(ERROR_CONFIG), 78);
    assert_int_equal(exit_code_of(ERROR_BUG), 70);
    assert_int_equal(exit_code_of(-99), 70);
    assert_string_equal(exit_code_name(78), "configuration");
    assert_string_equal(exit_code_name(1), "unknown");
}

/* ---- Status block ---- */

static void test_both_ends_see_the_same_slot(void **state)
{
    struct error error = {0};
    struct status_block *worker = status_block_new(3, &error), *task;
    struct task_status *slot;

    (void)state;
    assert_non_null(worker);
    task = status_block_attach(dup(status_block_fd(worker)), &error);
    assert_non_null(task);
    slot = status_block_slot(task, 2);
    atomic_store(&slot->events, 42);
    assert_int_equal(atomic_load(&status_block_slot(worker, 2)->events), 42);
    assert_int_equal(atomic_load(&status_block_slot(worker, 1)->events), 0);
    assert_null(status_block_slot(worker, 3));
    assert_null(status_block_slot(task, 3));
    assert_int_not_equal(ftruncate(status_block_fd(worker), 0), 0); /* sealed */
    status_block_free(task);
    status_block_free(worker);
    assert_null(status_block_free(NULL));
}

static void test_a_foreign_descriptor_is_no_block(void **state)
{
    struct error error = {0};
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_null(status_block_attach(fds[0], &error));
    assert_int_equal(error.class, ERROR_BUG);
    assert_null(status_block_attach(-1, &error));
    close(fds[0]);
    close(fds[1]);
}

/* ---- The packed configuration ---- */

static const char config_text[] = "worker = { name = \"w1\"; shutdown_timeout = \"3s\"; plugin_path = \"/a:/b\"; };\n"
                                  "kafka = { bootstrap_servers = \"k:9092\"; properties = { fetch_wait_max_ms = \"50\"; }; };\n"
                                  "stores = { one = { kind = \"sqlite\"; uri = \"/tmp/one.db\"; };\n"
                                  "           two = { kind = \"sqlite\"; uri = \"/tmp/two.db\"; lock_timeout = \"7s\"; }; };\n"
                                  "pipelines = { a = { topics = [ \"x\", \"y\" ]; assignor = \"range\"; plugin = \"bank\"; store = \"two\";\n"
                                  "                    options = { daily_totals = true; }; tasks = 3; };\n"
                                  "              b = { topics = \"z\"; plugin = \"bank\"; store = \"one\"; }; };\n";

static struct config *load_config(char *path)
{
    struct config *config = NULL;
    struct buffer problems = BUFFER_INIT;
    struct error error = {0};
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, config_text, sizeof config_text - 1), sizeof config_text - 1);
    close(fd);
    if (config_load(path, &config, &problems, &error) != 0)
        fail_msg("%s", problems.data != NULL ? problems.data : error.text);
    buffer_free(&problems);
    unlink(path);
    return config;
}

static void assert_pairs_equal(const struct config_pairs *a, const struct config_pairs *b)
{
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        assert_string_equal(a->items[i].name, b->items[i].name);
        assert_string_equal(a->items[i].value, b->items[i].value);
    }
}

static void test_a_task_gets_what_the_worker_has(void **state)
{
    char path[] = "/tmp/readside-pack-XXXXXX";
    struct config *config = load_config(path), *copy = NULL;
    const struct config_pipeline *pipeline = config_find_pipeline(config, "a"), *got;
    struct buffer bytes = BUFFER_INIT;
    struct error error = {0};

    (void)state;
    config_pack(config, pipeline, &bytes);
    assert_false(buffer_failed(&bytes));
    assert_int_equal(config_unpack(bytes.data, bytes.size, &copy, &error), 0);
    assert_string_equal(copy->path, config->path);
    assert_string_equal(copy->worker.name, "w1");
    assert_string_equal(copy->worker.plugin_path, config->worker.plugin_path);
    assert_int_equal(copy->worker.shutdown_timeout_us, 3 * SECOND);
    assert_string_equal(copy->kafka.bootstrap_servers, "k:9092");
    assert_int_equal(copy->kafka.session_timeout_us, config->kafka.session_timeout_us);
    assert_pairs_equal(&copy->kafka.properties, &config->kafka.properties);
    assert_int_equal(copy->n_pipelines, 1);
    got = &copy->pipelines[0];
    assert_string_equal(got->name, "a");
    assert_string_equal(got->place, pipeline->place);
    assert_string_equal(got->group_id, "readside-a-v1");
    assert_null(got->group_instance_id);
    assert_int_equal(got->topics.n, 2);
    assert_string_equal(got->topics.items[1], "y");
    assert_pairs_equal(&got->options, &pipeline->options);
    assert_int_equal(got->tasks, 3);
    assert_true(got->is_enabled);
    assert_ptr_equal(got->store, &copy->stores[0]);
    assert_string_equal(got->store->name, "two");
    assert_string_equal(got->store->uri, "/tmp/two.db");
    assert_int_equal(got->store->lock_timeout_us, 7 * SECOND);
    buffer_free(&bytes);
    config_free(config); /* the copy stands alone */
    assert_string_equal(got->store->kind, "sqlite");
    config_free_unpacked(copy);
}

static void test_damaged_bytes_are_refused(void **state)
{
    char path[] = "/tmp/readside-pack-XXXXXX";
    struct config *config = load_config(path), *copy = NULL;
    struct buffer bytes = BUFFER_INIT;
    struct error error = {0};

    (void)state;
    config_pack(config, &config->pipelines[0], &bytes);
    for (size_t size = 0; size < bytes.size; size++)
        assert_int_equal(config_unpack(bytes.data, size, &copy, &error), ERROR_BUG);
    buffer_putc(&bytes, 'x');
    assert_int_equal(config_unpack(bytes.data, bytes.size, &copy, &error), ERROR_BUG);
    memset(bytes.data, 0xff, 8);
    assert_int_equal(config_unpack(bytes.data, bytes.size - 1, &copy, &error), ERROR_BUG);
    assert_null(copy);
    buffer_free(&bytes);
    config_free(config);
    assert_null(config_free_unpacked(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delay_doubles_up_to_the_maximum),
        cmocka_unit_test(test_a_minute_of_health_forgives),
        cmocka_unit_test(test_a_base_above_the_maximum_counts),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_the_end_is_where_all_partitions_are_ours_and_done),
        cmocka_unit_test(test_another_pipelines_surplus_makes_up_for_nothing),
        cmocka_unit_test(test_what_others_have_is_theirs_when_nothing_has_changed_for_long),
        cmocka_unit_test(test_partitions_are_counted_at_the_end_only_and_not_at_every_turn),
        cmocka_unit_test(test_pipelines_that_are_all_down_have_no_end),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_watchdog_is_for_this_process),
        cmocka_unit_test(test_messages_arrive_and_the_environment_is_clean),
        cmocka_unit_test(test_without_a_socket_nothing_happens),
        cmocka_unit_test(test_exit_codes),
        cmocka_unit_test(test_both_ends_see_the_same_slot),
        cmocka_unit_test(test_a_foreign_descriptor_is_no_block),
        cmocka_unit_test(test_a_task_gets_what_the_worker_has),
        cmocka_unit_test(test_damaged_bytes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
