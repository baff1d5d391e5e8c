/*
 * end - see end.h. Asked by the supervisor at every turn of `run --until-end'.
 */
#include "worker/end.h"

enum { COUNT_AGAIN_US = 1000 * 1000 };

void end_add(struct end_view *view, const struct end_facts *facts)
{
    view->is_empty = false;
    view->is_at_end &= facts->is_at_end;
    view->is_counted &= facts->is_counted;
    view->is_complete &= facts->partitions >= facts->expected; /* of its own: another's surplus makes up for nothing */
    view->partitions += facts->partitions;
    view->events += facts->events;
}

bool end_is_reached(struct end_watch *watch, const struct end_view *view, int64_t now_us, int64_t settle_us)
{
    if (view->is_empty || !view->is_at_end) {
        watch->since_us = 0;
        return false;
    }
    if (watch->since_us == 0 || view->partitions != watch->partitions || view->events != watch->events)
        *watch = (struct end_watch){
            .partitions = view->partitions, .events = view->events, .since_us = now_us, .count_at_us = watch->count_at_us};
    return view->is_complete || now_us - watch->since_us >= settle_us;
}

bool end_shall_count(const struct end_watch *watch, const struct end_view *view, int64_t now_us)
{
    return !view->is_empty && view->is_at_end && !view->is_counted && now_us >= watch->count_at_us;
}

void end_put_off_count(struct end_watch *watch, int64_t now_us)
{
    watch->count_at_us = now_us + COUNT_AGAIN_US;
}
