/*
 * plan - what a pipeline of the running worker has to do when another configuration comes into force. Pure.
 */
#ifndef WORKER_PLAN_H
#define WORKER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum plan_step {
    PLAN_KEEP,    /* nothing that concerns it has changed */
    PLAN_RESTART, /* other settings, or down, and the cause may be gone: stop it, then start it anew */
    PLAN_STOP,    /* not there any more, or not enabled */
    PLAN_START,   /* new */
};

struct plan_facts {
    bool is_wanted;      /* in the new configuration, and enabled */
    bool is_present;     /* in the running worker, and not being stopped already */
    bool is_down;        /* present, but a person had to change something before it could run */
    uint64_t old_fingerprint;
    uint64_t new_fingerprint;
};

enum plan_step plan_step(const struct plan_facts *facts);

#endif
