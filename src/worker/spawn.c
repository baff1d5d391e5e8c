/*
 * spawn - see spawn.h. Called by the supervisor; what runs between fork and exec is posix_spawn's.
 *
 * Parent death signals are not used: they are lost on a change of credentials. The control pipe's end is enough.
 */
#include "worker/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* Descriptors are first moved out of the way of their places in the task. */
enum { FIRST_FREE_FD = 16 };

static int move_up(int fd, int *ret_fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);

    if (copy < 0)
        return errno;
    *ret_fd = copy;
    return 0;
}

static int add_actions(posix_spawn_file_actions_t *actions, const int *fds)
{
    int code = 0;

    for (int i = 0; code == 0 && i < 3; i++)
        code = posix_spawn_file_actions_adddup2(actions, fds[i], SPAWN_CONTROL_FD + i);
    if (code == 0)
        code = posix_spawn_file_actions_addclosefrom_np(actions, SPAWN_CONFIG_FD + 1);
    return code;
}

/*
 * Handlers as at the start of a program; TERM, INT and HUP stay blocked, so that they wait for the task's signal descriptor
 * instead of killing it while it starts.
 */
static int set_signals(posix_spawnattr_t *attributes)
{
    sigset_t blocked, defaults;
    int code;

    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGHUP); /* a terminal sends it to the whole group; the supervisor reloads */
    sigfillset(&defaults);
    code = posix_spawnattr_setsigmask(attributes, &blocked);
    if (code == 0)
        code = posix_spawnattr_setsigdefault(attributes, &defaults);
    if (code == 0)
        code = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return code;
}

/*
 * The very binary that runs, also after another has taken its place. Its path is preferred where it still stands there, because
 * tools that run programs (valgrind) are what the link itself leads to.
 */
static const char *find_self(char *path, size_t size)
{
    static const char link[] = "/proc/self/exe", deleted[] = " (deleted)";
    ssize_t n = readlink(link, path, size - 1);

    if (n <= 0 || (size_t)n >= size - 1)
        return link;
    path[n] = '\0';
    if ((size_t)n >= sizeof deleted && strcmp(path + n - (sizeof deleted - 1), deleted) == 0)
        return link;
    return path;
}

static int start(char *const *arguments, const int *fds, pid_t *ret_pid)
{
    char self[PATH_MAX];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int code = posix_spawn_file_actions_init(&actions);

    if (code != 0)
        return code;
    code = posix_spawnattr_init(&attributes);
    if (code == 0) {
        code = add_actions(&actions, fds);
        if (code == 0)
            code = set_signals(&attributes);
        if (code == 0)
            code = posix_spawn(ret_pid, find_self(self, sizeof self), &actions, &attributes, arguments, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

int spawn_task(char *const *arguments, int status_fd, int config_fd, pid_t *ret_pid, int *ret_control_fd, struct error *ret_error)
{
    int pipe_fds[2] = {-1, -1}, fds[3] = {-1, -1, -1};
    int code = pipe2(pipe_fds, O_CLOEXEC) == 0 ? 0 : errno;
    pid_t pid;

    if (code == 0)
        code = move_up(pipe_fds[0], &fds[0]);
    if (code == 0)
        code = move_up(status_fd, &fds[1]);
    if (code == 0)
        code = move_up(config_fd, &fds[2]);
    if (code == 0)
        code = start(arguments, fds, &pid);
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (pipe_fds[0] >= 0)
        close(pipe_fds[0]);
    if (code != 0) {
        if (pipe_fds[1] >= 0)
            close(pipe_fds[1]);
        return error_set(ret_error, ERROR_TRANSIENT, "cannot start a task process: %s", strerror(code));
    }
    *ret_pid = pid;
    *ret_control_fd = pipe_fds[1];
    return 0;
}
