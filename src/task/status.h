/*
 * status - the block of memory that a worker shares with its tasks: each task writes its slot, the supervisor reads it. The other
 * way round go the few settings that a reload changes under running tasks.
 *
 * A memfd, inherited by the task over a fixed descriptor. Counters are C11 atomics; one writer each. Nothing in it decides
 * anything about data: it serves logs, watchdog and people.
 */
#ifndef TASK_STATUS_H
#define TASK_STATUS_H

#include "base/error.h"

#include <stdatomic.h>
#include <stdint.h>

enum task_state { TASK_STARTING, TASK_CONNECTING, TASK_RUNNING, TASK_WAITING_STORE, TASK_IDLE, TASK_STOPPING, TASK_STOPPED };

enum { STATUS_TEXT_SIZE = 256 };

struct task_status {
    _Atomic int64_t heartbeat_us;   /* monotonic, each turn of the loop: the watchdog's food */
    _Atomic int state;              /* enum task_state */
    _Atomic int64_t events;         /* committed */
    _Atomic int64_t skipped;
    _Atomic int64_t unhandled;
    _Atomic int64_t batches;
    _Atomic int64_t rows;
    _Atomic int64_t lag;            /* records not committed, over owned partitions; -1: not known */
    _Atomic int64_t lag_ms;         /* since when something has been missing; -1: not known */
    _Atomic int partitions;         /* owned; read before at_end */
    _Atomic int halted;             /* owned and halted */
    _Atomic int at_end;             /* 1: every owned partition has reached its end and is committed; taken back before others come */
    _Atomic int64_t rewinds;
    _Atomic int64_t dropped;        /* records below the expected offset */
    _Atomic int64_t fenced;

    /* the supervisor's word to the task, which heeds it each turn */
    _Atomic int log_level;          /* enum log_level */
    _Atomic int log_format;         /* enum log_format */
    _Atomic int64_t shutdown_timeout_us;
};

struct status_block;

/* All slots zero. NULL with an error. */
struct status_block *status_block_new(unsigned n_slots, struct error *ret_error);
/* In the task: takes the descriptor over. NULL with an error; then the descriptor stays the caller's. */
struct status_block *status_block_attach(int fd, struct error *ret_error);
struct status_block *status_block_free(struct status_block *block); /* accepts NULL, returns NULL */
int status_block_fd(const struct status_block *block);
/* NULL: there is no such slot. */
struct task_status *status_block_slot(struct status_block *block, unsigned slot);

#endif
