/*
 * unit - one pipeline in operation: its task processes, started, watched, restarted and stopped.
 *
 * Owned by the supervisor and used from its one thread. A unit lives from the moment a configuration wants its pipeline until the
 * last of its processes is gone; a changed pipeline is another unit, which begins when the old one has ended. No waiting in here:
 * unit_turn() does what is due and says when it wants to be called next.
 */
#ifndef WORKER_UNIT_H
#define WORKER_UNIT_H

#include "base/error.h"
#include "config/config.h"
#include "task/status.h"
#include "worker/restart.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { UNIT_MAX_SLOTS = 1024 };

/* What all units share. */
struct unit_host {
    struct status_block *block;
    bool slots[UNIT_MAX_SLOTS];     /* taken */
    struct config_worker limits;    /* of the configuration in force, whose texts it points to */
    const char *bootstrap_servers;  /* of the embedded broker; NULL: none */
};

enum child_state {
    CHILD_WAITING,  /* to be started at due_us */
    CHILD_RUNNING,
    CHILD_STOPPING, /* told to end; killed at due_us */
    CHILD_ENDED,
};

struct child {
    enum child_state state;
    unsigned slot;
    struct task_status *status;
    pid_t pid;
    int control_fd; /* -1: closed */
    int64_t started_us;
    int64_t due_us;
    bool is_stalled; /* killed by us because it gave no sign of life */
    struct restart restart;
};

struct unit {
    struct unit *next;
    char *name;
    uint64_t fingerprint;
    int config_fd; /* the packed configuration */
    struct child *children;
    unsigned n_children;
    bool is_started; /* false: waits for its predecessor to end */
    bool is_down;    /* a person must change something first */
    bool is_leaving;
    bool is_counted;             /* expected_partitions has been asked for */
    int64_t expected_partitions; /* that its topics have, for the supervisor; END_EXPECTED_UNKNOWN: not known */
    int64_t events;   /* committed by processes that have ended */
    int64_t left_out; /* by them: skipped, or without a handler */
    bool has_failed_to_stop; /* one crashed instead of ending */
};

/* Packs the pipeline's configuration and takes slots; starts nothing. CONFIG: no slots left. */
int unit_new(struct unit_host *host, const struct config *config, const struct config_pipeline *pipeline, int64_t now_us,
             struct unit **ret_unit, struct error *ret_error) MUST_CHECK;
struct unit *unit_free(struct unit_host *host, struct unit *unit); /* its processes have ended; accepts NULL, returns NULL */

/*
 * Starts what is due, kills what is overdue, and, if judges_life, what gives no sign of life. Returns when to call again at the
 * latest; INT64_MAX: no need.
 */
int64_t unit_turn(struct unit_host *host, struct unit *unit, int64_t now_us, bool judges_life);
/* Collects processes that have ended and decides what becomes of them. */
void unit_reap(struct unit_host *host, struct unit *unit, int64_t now_us);
/* Asks every process to end, within the shutdown time limit. */
void unit_stop(struct unit_host *host, struct unit *unit, int64_t now_us);
void unit_kill(struct unit *unit); /* at once */
/* Another configuration is in force, in which nothing has changed that its tasks would have to start anew for: running tasks get what
 * they can take over (how to log, how long to take for the end), those that start later all of it. */
int unit_adopt(const struct unit_host *host, struct unit *unit, const struct config *config, const struct config_pipeline *pipeline,
               struct error *ret_error) MUST_CHECK;

bool unit_has_ended(const struct unit *unit);                        /* no process left */
bool unit_is_fresh(const struct unit_host *host, const struct unit *unit, int64_t now_us); /* every process shows signs of life */
unsigned unit_count_running(const struct unit *unit);
int64_t unit_partitions(const struct unit *unit); /* owned by its processes */
int64_t unit_halted(const struct unit *unit);
/* Records not committed, and since when something has been missing, over the partitions owned here; -1: not known. */
int64_t unit_lag(const struct unit *unit);
int64_t unit_lag_ms(const struct unit *unit);
int64_t unit_left_out(const struct unit *unit); /* events skipped, or without a handler, since the unit began */
int64_t unit_events(const struct unit *unit); /* committed since the unit began */
/* Has every process that owns partitions reached their end, and at least one owns some? */
bool unit_is_at_end(const struct unit *unit);

#endif
