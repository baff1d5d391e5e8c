/*
 * recovery - what the store and the broker say, and what follows from it. Pure.
 *
 * The two judgements on which exactly-once rests: may a claimed partition run from the stored position (design 7.2), and what has
 * become of a write whose outcome was not known (design 7.6).
 */
#ifndef TASK_RECOVERY_H
#define TASK_RECOVERY_H

#include "kafka/consumer.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum claim_verdict {
    CLAIM_RUN,
    CLAIM_STAYS_HALTED, /* as the store says; waits for a person */
    CLAIM_HALT,         /* a reason found now: to be written */
};

/*
 * Compares the position with the broker's facts. ret_kind and reason (a sentence with the way out) are set for CLAIM_HALT. A
 * halt of kind "poison" or "unhandled" is tried again: a better plugin may have come.
 */
enum claim_verdict recovery_judge_claim(const struct store_position *position, const struct partition_facts *facts,
                                        const char *cluster_id, const char **ret_kind, char *ret_reason, size_t reason_size);

enum resolve_verdict {
    RESOLVE_DONE,      /* the write in flight has committed */
    RESOLVE_RERUN,     /* it has not */
    RESOLVE_WENT_BACK, /* the database is older than what it had confirmed: start there, raise an alarm */
    RESOLVE_FENCED,    /* somebody else owns it; or has moved it, and a late claim of ours has only got it back since */
};

/* base: what the store had confirmed; sent: what the write in flight would have made of it (base when there was none). */
enum resolve_verdict recovery_judge_resolved(const struct store_position *position, int64_t base, int64_t sent);

#endif
