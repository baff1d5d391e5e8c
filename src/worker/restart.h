/*
 * restart - how long a task that has ended waits before it is started again. Pure.
 *
 * The delay doubles with each failure, jittered so that tasks which fail together do not come back together; a task that has run
 * for a minute counts as healthy, and its next failure as the first.
 */
#ifndef WORKER_RESTART_H
#define WORKER_RESTART_H

#include <stdint.h>

#define RESTART_HEALTHY_US INT64_C(60000000)

struct restart {
    unsigned failures; /* in a row */
    uint64_t random_state;
};

/* The task has ended after ran_us: the delay until its next start. */
int64_t restart_next_us(struct restart *restart, int64_t ran_us, int64_t base_us, int64_t max_us);

#endif
