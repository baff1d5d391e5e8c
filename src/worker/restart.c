/*
 * restart - see restart.h. Called by the supervisor, one struct a task.
 */
#include "worker/restart.h"

#include "base/clock.h"

int64_t restart_next_us(struct restart *restart, int64_t ran_us, int64_t base_us, int64_t max_us)
{
    if (ran_us >= RESTART_HEALTHY_US)
        restart->failures = 0;
    return backoff_us(restart->failures++, base_us, max_us > base_us ? max_us : base_us, &restart->random_state);
}
