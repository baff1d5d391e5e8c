/*
 * mysql_thread - the thread that owns a connection and runs one job at a time. See mysql.h.
 *
 * The task's thread posts jobs and looks for their ends; everything the two share is behind one lock.
 */
#include "store/mysql.h"

#include "base/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SIGN_OF_LIFE_MS = 200, GRACE_S = 1 };

struct my_thread {
    pthread_t id;
    pthread_mutex_t lock;
    pthread_cond_t wake;  /* a job has come, or the end */
    pthread_cond_t ended; /* a job has */
    int done_fd;          /* eventfd: readable when a job has ended */
    struct my_store *my;
    my_job job; /* NULL: none */
    bool is_done, must_end;
    bool is_abandoned; /* nobody waits for its end: it frees the store */
    int64_t deadline_us;
    int socket_fd; /* a duplicate: the client library closes its own when it likes, and the number may be another's then */
    bool is_shut;  /* its time was over */
    int result;
    struct error error;
};

static int64_t now_us(void)
{
    return clock_system.monotonic_us(clock_system.self);
}

static void *serve(void *context)
{
    struct my_thread *thread = context;
    bool is_abandoned;

    pthread_mutex_lock(&thread->lock);
    while (!thread->must_end) {
        struct error error = {0};
        my_job job = thread->is_done ? NULL : thread->job;
        int result;

        if (job == NULL) {
            pthread_cond_wait(&thread->wake, &thread->lock);
            continue;
        }
        pthread_mutex_unlock(&thread->lock);
        result = job(thread->my, &error);
        pthread_mutex_lock(&thread->lock);
        thread->result = result;
        thread->error = error;
        thread->is_done = true;
        pthread_cond_signal(&thread->ended);
        (void)eventfd_write(thread->done_fd, 1); /* the counter is far from full */
    }
    is_abandoned = thread->is_abandoned;
    pthread_mutex_unlock(&thread->lock);
    if (is_abandoned)
        my_free(thread->my);
    mysql_thread_end();
    return NULL;
}

int my_thread_start(struct my_store *my, struct error *ret_error)
{
    struct my_thread *thread = calloc(1, sizeof *thread);

    if (thread == NULL)
        return my_out_of_memory(ret_error);
    thread->my = my;
    thread->socket_fd = -1;
    thread->deadline_us = INT64_MAX;
    thread->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&thread->lock, NULL);
    pthread_cond_init(&thread->wake, NULL);
    pthread_cond_init(&thread->ended, NULL);
    if (thread->done_fd < 0 || pthread_create(&thread->id, NULL, serve, thread) != 0) {
        if (thread->done_fd >= 0)
            close(thread->done_fd);
        free(thread);
        return error_set(ret_error, ERROR_BUG, "cannot start a thread for the connection to MySQL");
    }
    my->thread = thread;
    return 0;
}

static void shut(struct my_thread *thread)
{
    thread->is_shut = true;
    if (thread->socket_fd >= 0)
        (void)shutdown(thread->socket_fd, SHUT_RDWR);
}

void my_thread_free(struct my_thread *thread)
{
    if (thread == NULL)
        return;
    if (thread->socket_fd >= 0)
        close(thread->socket_fd);
    close(thread->done_fd);
    pthread_mutex_destroy(&thread->lock);
    pthread_cond_destroy(&thread->wake);
    pthread_cond_destroy(&thread->ended);
    free(thread);
}

static bool has_job(const struct my_thread *thread)
{
    return thread->job != NULL && !thread->is_done;
}

/* What a socket that is shut down does not end, a name being looked up or a login, is left to itself. */
bool my_thread_stop(struct my_store *my)
{
    struct my_thread *thread = my->thread;
    struct timespec until;

    if (thread == NULL)
        return true;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += GRACE_S;
    pthread_mutex_lock(&thread->lock);
    thread->must_end = true;
    if (has_job(thread))
        shut(thread);
    pthread_cond_signal(&thread->wake);
    while (has_job(thread) && !thread->is_abandoned)
        thread->is_abandoned =
            pthread_cond_clockwait(&thread->ended, &thread->lock, CLOCK_MONOTONIC, &until) != 0 && has_job(thread);
    if (thread->is_abandoned) {
        pthread_detach(thread->id);
        pthread_mutex_unlock(&thread->lock);
        return false;
    }
    pthread_mutex_unlock(&thread->lock);
    pthread_join(thread->id, NULL);
    return true;
}

int my_thread_fd(const struct my_thread *thread)
{
    return thread->done_fd;
}

int64_t my_thread_deadline_us(struct my_thread *thread)
{
    int64_t deadline_us;

    pthread_mutex_lock(&thread->lock);
    deadline_us = thread->is_shut ? INT64_MAX : thread->deadline_us;
    pthread_mutex_unlock(&thread->lock);
    return deadline_us;
}

/* The job's end is known, or forgotten: it wakes nobody any more. */
static void forget_job(struct my_thread *thread)
{
    eventfd_t count;

    thread->job = NULL;
    thread->is_done = false;
    (void)eventfd_read(thread->done_fd, &count);
}

void my_thread_cancel(struct my_thread *thread)
{
    pthread_mutex_lock(&thread->lock);
    while (has_job(thread)) {
        shut(thread);
        pthread_cond_wait(&thread->ended, &thread->lock);
    }
    forget_job(thread);
    pthread_mutex_unlock(&thread->lock);
}

bool my_thread_is_busy(struct my_thread *thread)
{
    bool is_busy;

    pthread_mutex_lock(&thread->lock);
    is_busy = has_job(thread);
    pthread_mutex_unlock(&thread->lock);
    return is_busy;
}

void my_thread_post(struct my_thread *thread, my_job job, int64_t deadline_us)
{
    pthread_mutex_lock(&thread->lock);
    thread->job = job;
    thread->is_done = thread->is_shut = false;
    thread->deadline_us = deadline_us;
    pthread_cond_signal(&thread->wake);
    pthread_mutex_unlock(&thread->lock);
}

void my_thread_await(struct my_thread *thread, int64_t deadline_us)
{
    pthread_mutex_lock(&thread->lock);
    if (!thread->is_shut)
        thread->deadline_us = deadline_us;
    pthread_mutex_unlock(&thread->lock);
}

void my_thread_watch(struct my_thread *thread, int socket_fd)
{
    pthread_mutex_lock(&thread->lock);
    if (thread->socket_fd >= 0)
        close(thread->socket_fd);
    thread->socket_fd = socket_fd < 0 ? -1 : fcntl(socket_fd, F_DUPFD_CLOEXEC, 0);
    if (thread->is_shut) /* while it was connecting */
        shut(thread);
    pthread_mutex_unlock(&thread->lock);
}

int my_thread_poll(struct my_thread *thread, struct error *ret_error)
{
    int result = STORE_BUSY;

    pthread_mutex_lock(&thread->lock);
    if (thread->is_done) {
        result = thread->result;
        if (result != 0 && ret_error != NULL)
            *ret_error = thread->error;
        forget_job(thread);
    } else if (!thread->is_shut && now_us() >= thread->deadline_us) {
        shut(thread);
    }
    pthread_mutex_unlock(&thread->lock);
    return result;
}

int my_run(struct my_store *my, my_job job, struct error *ret_error)
{
    struct pollfd done = {.fd = my->thread->done_fd, .events = POLLIN};
    int result;

    my_thread_post(my->thread, job, INT64_MAX);
    while ((result = my_thread_poll(my->thread, ret_error)) == STORE_BUSY) {
        store_waits(&my->store);
        (void)poll(&done, 1, SIGN_OF_LIFE_MS);
    }
    return result;
}
