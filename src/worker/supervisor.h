/*
 * supervisor - the worker process: starts a process for each task of each pipeline, keeps them running and ends them together.
 *
 * It touches neither events nor stores. It holds no state that matters: kill it at any moment, and the tasks notice and end.
 */
#ifndef WORKER_SUPERVISOR_H
#define WORKER_SUPERVISOR_H

#include "config/config.h"

#include <stdbool.h>

struct supervisor_settings {
    struct config *config; /* taken over and freed */
    bool until_end;        /* end by itself once every task has committed up to the end of its partitions */
};

/* Runs until it is told to end. Returns the exit code (worker/exit.h); everything worth saying is in the log. */
int supervisor_run(const struct supervisor_settings *settings);

/* Log level and form from the configuration. */
void supervisor_setup_log(const struct config_worker *worker);

#endif
