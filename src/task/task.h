/*
 * task - one process of a pipeline: builds plugin, store and consumer from the config and runs the sink loop until told to stop.
 *
 * Ends when control_fd becomes readable or its other end closes (the supervisor is gone or asks for it), or on SIGTERM. Nothing is
 * lost by ending at any point, and nothing but the store and the log remembers that the task was there.
 */
#ifndef TASK_TASK_H
#define TASK_TASK_H

#include "base/error.h"
#include "config/config.h"
#include "task/status.h"

#include <stdbool.h>

struct task_settings {
    const struct config *config;
    const struct config_pipeline *pipeline;
    unsigned index;                 /* of the task within the pipeline, from 0 */
    struct task_status *status;     /* where the supervisor looks; never NULL */
    int control_fd;
    const char *bootstrap_servers;  /* instead of the config's: the embedded broker's address; NULL: the config's */
};

/*
 * 0 after a clean stop; CONFIG: a person must change something before it can run; else worth a restart. *ret_is_over: false when
 * the Kafka client could not leave its group in time and still runs: end the process by quick_exit(3), see consumer_close().
 */
int task_run(const struct task_settings *settings, bool *ret_is_over, struct error *ret_error) MUST_CHECK;

#endif
