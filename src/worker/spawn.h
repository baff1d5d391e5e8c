/*
 * spawn - starts a task process: this binary again, with three descriptors of ours and no others.
 */
#ifndef WORKER_SPAWN_H
#define WORKER_SPAWN_H

#include "base/error.h"

#include <sys/types.h>

/* Where the task finds them. */
enum { SPAWN_CONTROL_FD = 3, SPAWN_STATUS_FD = 4, SPAWN_CONFIG_FD = 5 };

/*
 * arguments: argv, NULL-terminated. The task reads the control pipe's end, and so notices when we close ret_control_fd or are
 * gone; status_fd and config_fd are the status block and the packed configuration. TRANSIENT: no process or descriptor to be had.
 */
int spawn_task(char *const *arguments, int status_fd, int config_fd, pid_t *ret_pid, int *ret_control_fd,
               struct error *ret_error) MUST_CHECK;

#endif
