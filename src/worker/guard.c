/*
 * guard - see guard.h. A thread of its own in every task; it touches nothing but its descriptor.
 *
 * In the normal case the supervisor kills a task that takes too long. This is for the case that the supervisor was killed itself.
 */
#include "worker/guard.h"

#include "worker/exit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static int guarded_fd;
static const _Atomic int64_t *grace;

static void *watch(void *unused)
{
    struct pollfd fd = {.fd = guarded_fd}; /* a hang-up is told without asking */

    (void)unused;
    while (poll(&fd, 1, -1) <= 0 || (fd.revents & (POLLHUP | POLLERR | POLLNVAL)) == 0)
        ;
    if (poll(NULL, 0, (int)(atomic_load_explicit(grace, memory_order_relaxed) / 1000)) == 0) /* the main thread ends the process meanwhile */
        _exit(EXIT_CODE_TRANSIENT);
    return NULL;
}

int guard_start(int control_fd, const _Atomic int64_t *grace_us, struct error *ret_error)
{
    sigset_t all, old;
    pthread_t thread;
    int code;

    guarded_fd = control_fd;
    grace = grace_us;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the main thread's */
    code = pthread_create(&thread, NULL, watch, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (code != 0)
        return error_set(ret_error, ERROR_TRANSIENT, "cannot start a thread: %s", strerror(code));
    pthread_detach(thread);
    return 0;
}
