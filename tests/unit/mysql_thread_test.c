/*
 * mysql_thread_test - the thread that owns a connection to MySQL: jobs that are cut short or walked away from. No server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "store/mysql.h"

#include <cmocka.h>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct my_store my;

static int start(void **state)
{
    (void)state;
    return my_thread_start(&my, NULL);
}

static int stop(void **state)
{
    (void)state;
    if (!my_thread_stop(&my))
        return -1;
    my_thread_free(my.thread);
    return 0;
}

static bool is_woken(int timeout_ms)
{
    struct pollfd fd = {.fd = my_thread_fd(my.thread), .events = POLLIN};

    return poll(&fd, 1, timeout_ms) == 1;
}

static int end_at_once(struct my_store *self, struct error *ret_error)
{
    (void)self, (void)ret_error;
    return 0;
}

static void test_a_job_walked_away_from_wakes_nobody(void **state)
{
    (void)state;
    my_thread_post(my.thread, end_at_once, INT64_MAX);
    assert_true(is_woken(10000));
    my_thread_cancel(my.thread);
    assert_false(is_woken(0));
    my_thread_post(my.thread, end_at_once, INT64_MAX);
    assert_true(is_woken(10000));
    assert_int_equal(my_thread_poll(my.thread, NULL), 0);
    assert_false(is_woken(0));
}

static int others[2];

/* As the client library does that has lost its connection; somebody else opens something meanwhile. */
static int lose_the_socket(struct my_store *self, struct error *ret_error)
{
    int sockets[2];

    (void)ret_error;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0)
        return -1;
    my_thread_watch(self->thread, sockets[0]);
    close(sockets[0]);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, others) != 0 || dup2(others[0], sockets[0]) != sockets[0])
        return -1;
    others[0] = sockets[0];
    my_thread_await(self->thread, 0);
    while (my_thread_deadline_us(self->thread) != INT64_MAX) /* until its time is over */
        (void)poll(NULL, 0, 1);
    my_thread_watch(self->thread, -1);
    close(sockets[1]);
    return 0;
}

static void test_only_the_own_socket_is_shut_down(void **state)
{
    int result;

    (void)state;
    my_thread_post(my.thread, lose_the_socket, INT64_MAX);
    while ((result = my_thread_poll(my.thread, NULL)) == STORE_BUSY)
        (void)is_woken(1);
    assert_int_equal(result, 0);
    assert_int_equal(send(others[0], "x", 1, MSG_NOSIGNAL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_job_walked_away_from_wakes_nobody, start, stop),
        cmocka_unit_test_setup_teardown(test_only_the_own_socket_is_shut_down, start, stop),
    };

    return cmocka_run_group_tests_name("mysql_thread", tests, NULL, NULL);
}
