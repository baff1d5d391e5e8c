/*
 * guard - ends a task process whose supervisor is gone, even when its one thread is stuck in a plugin.
 */
#ifndef WORKER_GUARD_H
#define WORKER_GUARD_H

#include "base/error.h"

#include <stdatomic.h>
#include <stdint.h>

/* Watches the control pipe from a thread: when its other end has closed, the process may live for *grace_us more. */
int guard_start(int control_fd, const _Atomic int64_t *grace_us, struct error *ret_error) MUST_CHECK;

#endif
