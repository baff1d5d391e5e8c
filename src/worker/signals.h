/*
 * signals - the supervisor's signals as a descriptor: nothing runs in a handler.
 */
#ifndef WORKER_SIGNALS_H
#define WORKER_SIGNALS_H

#include "base/error.h"

#include <stdbool.h>

struct signals_seen {
    unsigned stops; /* TERM and INT */
    bool reload;    /* HUP */
    bool child;     /* CHLD */
};

/* Blocks the signals for every thread started from now on, and returns a descriptor that is readable when one has come. */
int signals_open(int *ret_fd, struct error *ret_error) MUST_CHECK;
/* Takes what has come; never waits. */
struct signals_seen signals_take(int fd);

#endif
