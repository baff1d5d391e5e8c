/*
 * signals - see signals.h. Opened by the supervisor before any thread exists.
 */
#include "worker/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

int signals_open(int *ret_fd, struct error *ret_error)
{
    sigset_t taken;
    int fd;

    sigemptyset(&taken);
    sigaddset(&taken, SIGTERM);
    sigaddset(&taken, SIGINT);
    sigaddset(&taken, SIGHUP);
    sigaddset(&taken, SIGCHLD);
    sigprocmask(SIG_BLOCK, &taken, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error to be told, no reason to die */
    signal(SIGCHLD, SIG_DFL); /* an inherited SIG_IGN would take the exit codes away */
    fd = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return error_set(ret_error, ERROR_BUG, "signalfd: %s", strerror(errno));
    *ret_fd = fd;
    return 0;
}

struct signals_seen signals_take(int fd)
{
    struct signals_seen seen = {0};
    struct signalfd_siginfo info;

    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            seen.stops++;
        else if (info.ssi_signo == SIGHUP)
            seen.reload = true;
        else if (info.ssi_signo == SIGCHLD)
            seen.child = true;
    }
    return seen;
}
