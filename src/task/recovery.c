/*
 * recovery - see recovery.h.
 */
#include "task/recovery.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const uint8_t no_topic_id[16];

static bool is_retried(const struct store_position *position)
{
    return strcmp(position->halt_kind, "poison") == 0 || strcmp(position->halt_kind, "unhandled") == 0;
}

static bool has_other_topic_id(const struct store_position *position, const struct partition_facts *facts)
{
    return memcmp(position->topic_id, no_topic_id, 16) != 0 && memcmp(facts->topic_id, no_topic_id, 16) != 0 &&
           memcmp(position->topic_id, facts->topic_id, 16) != 0;
}

enum claim_verdict recovery_judge_claim(const struct store_position *position, const struct partition_facts *facts,
                                        const char *cluster_id, const char **ret_kind, char *ret_reason, size_t reason_size)
{
    if (position->is_halted && !is_retried(position))
        return CLAIM_STAYS_HALTED;
    if (strcmp(position->cluster_id, cluster_id) != 0) {
        *ret_kind = "identity";
        snprintf(ret_reason, reason_size,
                 "the position belongs to Kafka cluster %s, this is cluster %s: offsets do not translate; connect to the right "
                 "cluster, or rebuild with a new `version'",
                 position->cluster_id, cluster_id);
        return CLAIM_HALT;
    }
    if (has_other_topic_id(position, facts)) {
        *ret_kind = "identity";
        snprintf(ret_reason, reason_size,
                 "topic %s has been deleted and created again since: its offsets name other events; rebuild with a new `version', "
                 "or `readside positions ... set' with --reason",
                 position->topic);
        return CLAIM_HALT;
    }
    if (position->next_offset < facts->low) {
        *ret_kind = "range";
        snprintf(ret_reason, reason_size,
                 "events from offset %" PRId64 " to %" PRId64 " are gone from the topic (retention) and were never applied; restore "
                 "them, or accept the loss: readside positions ... set %s %d %" PRId64 " --accept-loss",
                 position->next_offset, facts->low - 1, position->topic, (int)position->partition, facts->low);
        return CLAIM_HALT;
    }
    if (position->next_offset > facts->high) {
        *ret_kind = "range";
        snprintf(ret_reason, reason_size,
                 "the log ends at offset %" PRId64 ", before the position %" PRId64 ": it was truncated or replaced after its events "
                 "had been applied; rebuild with a new `version', or set the position with --accept-duplicates",
                 facts->high, position->next_offset);
        return CLAIM_HALT;
    }
    return CLAIM_RUN;
}

enum resolve_verdict recovery_judge_resolved(const struct store_position *position, int64_t base, int64_t sent)
{
    if (position->is_missing)
        return RESOLVE_FENCED;
    if (position->next_offset == sent)
        return sent == base ? RESOLVE_RERUN : RESOLVE_DONE;
    if (position->next_offset == base)
        return RESOLVE_RERUN;
    return position->next_offset < base ? RESOLVE_WENT_BACK : RESOLVE_FENCED;
}
