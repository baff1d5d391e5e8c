/*
 * plan - see plan.h. Asked by the supervisor once for every pipeline, old or new, at a reload.
 */
#include "worker/plan.h"

enum plan_step plan_step(const struct plan_facts *facts)
{
    if (!facts->is_wanted)
        return facts->is_present ? PLAN_STOP : PLAN_KEEP;
    if (!facts->is_present)
        return PLAN_START;
    return facts->is_down || facts->old_fingerprint != facts->new_fingerprint ? PLAN_RESTART : PLAN_KEEP;
}
