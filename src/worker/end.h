/*
 * end - has a worker that shall run until the end come there? Pure.
 *
 * Being at the end of what one owns says nothing while more may come: a task that joins has nothing yet, and so has one that has
 * just given something up. So either a pipeline has every partition of its topics here; or other workers of the group have the
 * rest, and what is owned here, and committed, has not changed for a while.
 */
#ifndef WORKER_END_H
#define WORKER_END_H

#include <stdbool.h>
#include <stdint.h>

#define END_EXPECTED_UNKNOWN INT64_MAX

/* What one pipeline that is not down says, taken in this order: partitions first, then whether it is at their end. */
struct end_facts {
    int64_t partitions; /* owned here */
    int64_t expected;   /* all that its topics have; END_EXPECTED_UNKNOWN: not asked yet, or given by a pattern */
    int64_t events;     /* committed since it began */
    bool is_counted;    /* asked for what its topics have */
    bool is_at_end;     /* every process that owns partitions has reached their end, and at least one owns some */
};

/* All of them at one look; begins as END_VIEW_INIT. */
struct end_view {
    bool is_empty;    /* no pipeline is up: the end is not what is waited for */
    bool is_at_end;
    bool is_complete; /* each has all that its own topics have */
    bool is_counted;
    int64_t partitions;
    int64_t events;
};

#define END_VIEW_INIT {.is_empty = true, .is_at_end = true, .is_complete = true, .is_counted = true}

/* From look to look; zeros at the beginning. */
struct end_watch {
    int64_t partitions;
    int64_t events;
    int64_t since_us; /* nothing of it has changed since then, at the end of all partitions; 0: not at the end */
    int64_t count_at_us; /* no partitions are counted before */
};

void end_add(struct end_view *view, const struct end_facts *facts);
/* settle_us: for how long nothing may change before what other workers have is taken as theirs. */
bool end_is_reached(struct end_watch *watch, const struct end_view *view, int64_t now_us, int64_t settle_us);
/*
 * Shall the partitions be counted now? Only at the end, where the answer is of use, and after a failure not at once again: asking
 * blocks while the broker is silent. end_put_off_count() is told when an attempt is over, since that is when time is given back.
 */
bool end_shall_count(const struct end_watch *watch, const struct end_view *view, int64_t now_us);
void end_put_off_count(struct end_watch *watch, int64_t now_us);

#endif
