/*
 * unit - see unit.h. Logs what becomes of each process; what went wrong inside one, it has logged itself.
 */
#include "worker/unit.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/pack.h"
#include "worker/end.h"
#include "worker/exit.h"
#include "worker/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Life ---- */

static int pack_config(const struct config *config, const struct config_pipeline *pipeline, int *ret_fd, struct error *ret_error)
{
    struct buffer bytes = BUFFER_INIT;
    int fd = memfd_create("readside-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int result = 0;

    config_pack(config, pipeline, &bytes);
    if (fd < 0 || buffer_failed(&bytes) || write(fd, bytes.data, bytes.size) != (ssize_t)bytes.size ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
        result = error_set(ret_error, ERROR_TRANSIENT, "pipeline %s: cannot hand the configuration on: %s", pipeline->name,
                           buffer_failed(&bytes) ? "out of memory" : strerror(errno));
        if (fd >= 0)
            close(fd);
    } else {
        *ret_fd = fd;
    }
    if (bytes.data != NULL)
        explicit_bzero(bytes.data, bytes.size); /* it holds secrets */
    buffer_free(&bytes);
    return result;
}

static bool take_slot(struct unit_host *host, struct child *child)
{
    for (unsigned slot = 0; slot < UNIT_MAX_SLOTS; slot++)
        if (!host->slots[slot]) {
            host->slots[slot] = true;
            child->slot = slot;
            child->status = status_block_slot(host->block, slot);
            return true;
        }
    return false;
}

int unit_new(struct unit_host *host, const struct config *config, const struct config_pipeline *pipeline, int64_t now_us,
             struct unit **ret_unit, struct error *ret_error)
{
    struct unit *unit = calloc(1, sizeof *unit);
    uint64_t random_state = (uint64_t)clock_system.wall_us(clock_system.self) ^ ((uint64_t)getpid() << 40);
    int result;

    if (unit == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    unit->config_fd = -1;
    unit->expected_partitions = END_EXPECTED_UNKNOWN;
    unit->name = strdup(pipeline->name);
    unit->children = calloc((size_t)pipeline->tasks, sizeof *unit->children);
    unit->fingerprint = config_pipeline_fingerprint(config, pipeline);
    if (unit->name == NULL || unit->children == NULL)
        result = error_set(ret_error, ERROR_BUG, "out of memory");
    else
        result = pack_config(config, pipeline, &unit->config_fd, ret_error);
    for (int64_t i = 0; result == 0 && i < pipeline->tasks; i++) {
        struct child *child = &unit->children[i];

        *child = (struct child){.control_fd = -1, .due_us = now_us};
        child->restart.random_state = random_next(&random_state);
        if (take_slot(host, child))
            unit->n_children++;
        else
            result = error_set(ret_error, ERROR_CONFIG, "pipeline %s: one worker runs at most %d tasks; lower `tasks'",
                               pipeline->name, (int)UNIT_MAX_SLOTS);
    }
    if (result == 0)
        *ret_unit = unit;
    else
        unit_free(host, unit);
    return result;
}

struct unit *unit_free(struct unit_host *host, struct unit *unit)
{
    if (unit == NULL)
        return NULL;
    for (unsigned i = 0; i < unit->n_children; i++) {
        host->slots[unit->children[i].slot] = false;
        if (unit->children[i].control_fd >= 0)
            close(unit->children[i].control_fd);
    }
    if (unit->config_fd >= 0)
        close(unit->config_fd);
    free(unit->children);
    free(unit->name);
    free(unit);
    return NULL;
}

/* ---- Starting ---- */

static void log_task(enum log_level level, const char *message, const struct unit *unit, const struct child *child,
                     const char *key, const char *value)
{
    log_line(level, message, "pipeline", unit->name, "task", log_number(child - unit->children), "pid",
             log_number(child->pid), key, value, NULL);
}

static int64_t read_counter(const _Atomic int64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void write_settings(const struct unit_host *host, struct task_status *status)
{
    atomic_store_explicit(&status->log_level, (int)log_level_named(host->limits.log_level), memory_order_relaxed);
    atomic_store_explicit(&status->log_format, (int)log_format_named(host->limits.log_format), memory_order_relaxed);
    atomic_store_explicit(&status->shutdown_timeout_us, host->limits.shutdown_timeout_us, memory_order_relaxed);
}

int unit_adopt(const struct unit_host *host, struct unit *unit, const struct config *config, const struct config_pipeline *pipeline,
               struct error *ret_error)
{
    int fd = -1, result = pack_config(config, pipeline, &fd, ret_error);

    if (result != 0)
        return result;
    close(unit->config_fd);
    unit->config_fd = fd;
    for (unsigned i = 0; i < unit->n_children; i++)
        write_settings(host, unit->children[i].status);
    return 0;
}

/* The slot as a new process finds it; its heart counts as beating from now. */
static void clear_status(const struct unit_host *host, struct task_status *status, int64_t now_us)
{
    memset((void *)status, 0, sizeof *status); /* no process writes to it now */
    atomic_store_explicit(&status->lag, -1, memory_order_relaxed);
    atomic_store_explicit(&status->lag_ms, -1, memory_order_relaxed);
    atomic_store_explicit(&status->heartbeat_us, now_us, memory_order_relaxed);
    write_settings(host, status);
}

static void start_child(struct unit_host *host, struct unit *unit, struct child *child, int64_t now_us)
{
    char index[16], slot[16];
    char *arguments[] = {"readside", "task", "--pipeline", unit->name, "--index", index, "--slot", slot,
                         host->bootstrap_servers != NULL ? "--bootstrap" : NULL, (char *)(uintptr_t)host->bootstrap_servers, NULL};
    struct error failure = {0};

    snprintf(index, sizeof index, "%u", (unsigned)(child - unit->children));
    snprintf(slot, sizeof slot, "%u", child->slot);
    clear_status(host, child->status, now_us);
    child->started_us = now_us;
    child->is_stalled = false;
    if (spawn_task(arguments, status_block_fd(host->block), unit->config_fd, &child->pid, &child->control_fd, &failure) != 0) {
        child->due_us = now_us + restart_next_us(&child->restart, 0, host->limits.restart_delay_us, host->limits.restart_delay_max_us);
        log_error("no task process now; trying again", "pipeline", unit->name, "reason", failure.text, NULL);
        return;
    }
    child->state = CHILD_RUNNING;
    log_task(LOG_LEVEL_DEBUG, "task process started", unit, child, "slot", slot);
}

/* ---- Ending ---- */

static void stop_child(struct unit_host *host, struct child *child, int64_t now_us)
{
    if (child->state == CHILD_WAITING)
        child->state = CHILD_ENDED;
    if (child->state != CHILD_RUNNING)
        return;
    close(child->control_fd); /* which tells it */
    child->control_fd = -1;
    child->state = CHILD_STOPPING;
    child->due_us = now_us + host->limits.shutdown_timeout_us;
}

void unit_stop(struct unit_host *host, struct unit *unit, int64_t now_us)
{
    unit->is_leaving = true;
    for (unsigned i = 0; i < unit->n_children; i++)
        stop_child(host, &unit->children[i], now_us);
}

void unit_kill(struct unit *unit)
{
    for (unsigned i = 0; i < unit->n_children; i++)
        if (unit->children[i].state == CHILD_RUNNING || unit->children[i].state == CHILD_STOPPING)
            kill(unit->children[i].pid, SIGKILL);
}

static void describe_end(const struct child *child, int wait_status, char *ret_text, size_t size)
{
    if (child->is_stalled)
        snprintf(ret_text, size, "killed: no sign of life (does a handler of the plugin not return?)");
    else if (WIFSIGNALED(wait_status))
        snprintf(ret_text, size, "killed by signal %d (%s)%s", WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)),
                 WTERMSIG(wait_status) == SIGKILL || WTERMSIG(wait_status) == SIGTERM ? "" : ": a defect, most likely in the plugin");
    else
        snprintf(ret_text, size, "exit code %d (%s)", WEXITSTATUS(wait_status), exit_code_name(WEXITSTATUS(wait_status)));
}

/* Did it end as no task should: by a crash, or with a code that is none of ours (a sanitizer's, say)? */
static bool is_defect(int wait_status)
{
    if (WIFSIGNALED(wait_status))
        return WTERMSIG(wait_status) != SIGKILL && WTERMSIG(wait_status) != SIGTERM && WTERMSIG(wait_status) != SIGINT;
    return WEXITSTATUS(wait_status) == EXIT_CODE_BUG || strcmp(exit_code_name(WEXITSTATUS(wait_status)), "unknown") == 0;
}

/* A task that a restart does not help: the pipeline waits for a person. */
static void take_down(struct unit_host *host, struct unit *unit, struct child *child, int64_t now_us)
{
    child->state = CHILD_ENDED;
    if (unit->is_down)
        return;
    unit->is_down = true;
    for (unsigned i = 0; i < unit->n_children; i++)
        stop_child(host, &unit->children[i], now_us);
    log_error("pipeline stays down, because trying again would not help: mend what the task's last error says, then reload the "
              "worker (SIGHUP) or restart it",
              "pipeline", unit->name, NULL);
}

/* What a process has counted outlives it. */
static void keep_counts(struct unit *unit, struct task_status *status)
{
    unit->events += atomic_exchange_explicit(&status->events, 0, memory_order_relaxed);
    unit->left_out += atomic_exchange_explicit(&status->skipped, 0, memory_order_relaxed);
    unit->left_out += atomic_exchange_explicit(&status->unhandled, 0, memory_order_relaxed);
}

static void end_child(struct unit_host *host, struct unit *unit, struct child *child, int wait_status, int64_t now_us)
{
    bool was_stopping = child->state == CHILD_STOPPING;
    char text[160];

    describe_end(child, wait_status, text, sizeof text);
    keep_counts(unit, child->status);
    if (child->control_fd >= 0)
        close(child->control_fd);
    child->control_fd = -1;
    if (was_stopping) {
        child->state = CHILD_ENDED;
        unit->has_failed_to_stop |= is_defect(wait_status);
        log_task(is_defect(wait_status) ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "task stopped", unit, child, "status", text);
    } else if (WIFEXITED(wait_status) &&
               (WEXITSTATUS(wait_status) == EXIT_CODE_CONFIG || WEXITSTATUS(wait_status) == EXIT_CODE_USAGE)) {
        log_task(LOG_LEVEL_ERROR, "task ended", unit, child, "status", text);
        take_down(host, unit, child, now_us);
    } else {
        int64_t delay_us = restart_next_us(&child->restart, now_us - child->started_us, host->limits.restart_delay_us,
                                           host->limits.restart_delay_max_us);

        child->state = CHILD_WAITING;
        child->due_us = now_us + delay_us;
        log_line(LOG_LEVEL_WARN, "task ended; it is started again", "pipeline", unit->name, "task",
                 log_number(child - unit->children), "pid", log_number(child->pid), "status", text, "delay_ms",
                 log_number(delay_us / 1000), NULL);
    }
    child->pid = 0;
}

void unit_reap(struct unit_host *host, struct unit *unit, int64_t now_us)
{
    for (unsigned i = 0; i < unit->n_children; i++) {
        struct child *child = &unit->children[i];
        int wait_status;

        if (child->pid > 0 && waitpid(child->pid, &wait_status, WNOHANG) == child->pid)
            end_child(host, unit, child, wait_status, now_us);
    }
}

/* ---- Time ---- */

/* A heart that has not beaten for too long. Returns when that would be so. */
static int64_t check_life(struct unit_host *host, struct unit *unit, struct child *child, int64_t now_us)
{
    int64_t stall_us = read_counter(&child->status->heartbeat_us) + host->limits.stall_timeout_us;

    if (now_us < stall_us)
        return stall_us;
    child->is_stalled = true;
    log_task(LOG_LEVEL_ERROR, "task gives no sign of life: killed", unit, child, "stall_timeout_ms",
             log_number(host->limits.stall_timeout_us / 1000));
    kill(child->pid, SIGKILL);
    return INT64_MAX;
}

static int64_t turn_child(struct unit_host *host, struct unit *unit, struct child *child, int64_t now_us, bool judges_life)
{
    if (child->state == CHILD_WAITING && now_us >= child->due_us)
        start_child(host, unit, child, now_us);
    if (child->state == CHILD_WAITING)
        return child->due_us;
    if (child->state == CHILD_STOPPING) {
        if (now_us < child->due_us)
            return child->due_us;
        log_task(LOG_LEVEL_WARN, "task does not end in time: killed", unit, child, "shutdown_timeout_ms",
                 log_number(host->limits.shutdown_timeout_us / 1000));
        kill(child->pid, SIGKILL);
        child->due_us = INT64_MAX;
    }
    if (child->state == CHILD_RUNNING && judges_life && !child->is_stalled)
        return check_life(host, unit, child, now_us);
    return INT64_MAX;
}

int64_t unit_turn(struct unit_host *host, struct unit *unit, int64_t now_us, bool judges_life)
{
    int64_t next_us = INT64_MAX;

    if (!unit->is_started && !unit->is_leaving)
        return next_us;
    for (unsigned i = 0; i < unit->n_children; i++) {
        int64_t due_us = turn_child(host, unit, &unit->children[i], now_us, judges_life);

        next_us = due_us < next_us ? due_us : next_us;
    }
    return next_us;
}

/* ---- What the slots say ---- */

bool unit_has_ended(const struct unit *unit)
{
    for (unsigned i = 0; i < unit->n_children; i++)
        if (unit->children[i].state != CHILD_ENDED)
            return false;
    return true;
}

bool unit_is_fresh(const struct unit_host *host, const struct unit *unit, int64_t now_us)
{
    for (unsigned i = 0; i < unit->n_children; i++) {
        const struct child *child = &unit->children[i];

        if (child->state == CHILD_RUNNING &&
            now_us >= read_counter(&child->status->heartbeat_us) + host->limits.stall_timeout_us)
            return false;
    }
    return true;
}

static bool is_running(const struct child *child)
{
    return child->state == CHILD_RUNNING || child->state == CHILD_STOPPING;
}

unsigned unit_count_running(const struct unit *unit)
{
    unsigned n = 0;

    for (unsigned i = 0; i < unit->n_children; i++)
        n += is_running(&unit->children[i]) ? 1 : 0;
    return n;
}

int64_t unit_partitions(const struct unit *unit)
{
    int64_t sum = 0;

    for (unsigned i = 0; i < unit->n_children; i++)
        if (is_running(&unit->children[i]))
            sum += atomic_load_explicit(&unit->children[i].status->partitions, memory_order_acquire);
    return sum;
}

int64_t unit_halted(const struct unit *unit)
{
    int64_t sum = 0;

    for (unsigned i = 0; i < unit->n_children; i++)
        if (is_running(&unit->children[i]))
            sum += atomic_load_explicit(&unit->children[i].status->halted, memory_order_relaxed);
    return sum;
}

int64_t unit_left_out(const struct unit *unit)
{
    int64_t sum = unit->left_out;

    for (unsigned i = 0; i < unit->n_children; i++)
        sum += read_counter(&unit->children[i].status->skipped) + read_counter(&unit->children[i].status->unhandled);
    return sum;
}

static bool owns_any(const struct child *child)
{
    return is_running(child) && atomic_load_explicit(&child->status->partitions, memory_order_relaxed) > 0;
}

int64_t unit_lag(const struct unit *unit)
{
    int64_t sum = 0;

    for (unsigned i = 0; i < unit->n_children; i++) {
        int64_t lag = read_counter(&unit->children[i].status->lag);

        if (!owns_any(&unit->children[i]))
            continue;
        if (lag < 0)
            return -1;
        sum += lag;
    }
    return sum;
}

int64_t unit_lag_ms(const struct unit *unit)
{
    int64_t longest = 0;

    for (unsigned i = 0; i < unit->n_children; i++) {
        int64_t lag_ms = read_counter(&unit->children[i].status->lag_ms);

        if (!owns_any(&unit->children[i]))
            continue;
        if (lag_ms < 0)
            return -1;
        longest = lag_ms > longest ? lag_ms : longest;
    }
    return longest;
}

int64_t unit_events(const struct unit *unit)
{
    int64_t sum = unit->events;

    for (unsigned i = 0; i < unit->n_children; i++)
        sum += read_counter(&unit->children[i].status->events);
    return sum;
}

bool unit_is_at_end(const struct unit *unit)
{
    bool has_partitions = false;

    for (unsigned i = 0; i < unit->n_children; i++) {
        const struct child *child = &unit->children[i];
        bool owns = atomic_load_explicit(&child->status->partitions, memory_order_relaxed) > 0;

        if (child->state != CHILD_RUNNING || (owns && !atomic_load_explicit(&child->status->at_end, memory_order_acquire)))
            return false;
        has_partitions |= owns;
    }
    return has_partitions;
}
