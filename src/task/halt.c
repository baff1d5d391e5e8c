/*
 * halt - a partition stops with a reason, and the search for the event that is to blame. See sink.h.
 *
 * Called by the loop and by what it calls, in the task's thread. What halts others do not feel; only people and `resume` undo it.
 */
#include "task/sink.h"

#include <inttypes.h>
#include <stdio.h>

void sink_halt(struct sink *sink, struct partition *partition, const char *kind, bool is_of_event, const char *reason)
{
    struct partition_offset place = {.topic = partition->topic, .partition = partition->partition};
    bool was_running = partition->state == PARTITION_RUNNING;
    struct error error = {0};

    partition_halt(partition, kind, is_of_event, reason);
    sink_tell(sink, SINK_HALTED, partition->topic, partition->partition, partition->next.offset, reason);
    if (!was_running)
        return;
    /* A pause that fails costs fetching in vain: records of a halted partition are dropped anyway. */
    if (sink->consumer.operations->pause(sink->consumer.self, &place, 1, &error) != 0)
        sink_tell(sink, SINK_BROKER_TROUBLE, partition->topic, partition->partition, -1, error.text);
}

void sink_halt_event(struct sink *sink, struct partition *partition, int64_t offset, const char *key, const char *kind,
                     const char *text)
{
    char reason[HALT_REASON_SIZE];

    snprintf(reason, sizeof reason, "offset %" PRId64 ", %s: %.600s", offset, key, text);
    if (partition->next.offset < offset)
        partition->next.offset = offset;
    sink_halt(sink, partition, kind, true, reason);
}

/*
 * The store refuses the batch for good. Halving the batch and committing what goes through leads to the event in as many steps as
 * the batch has binary digits, over the same write path as always; where no event fails alone, everything commits.
 */
int sink_blame(struct sink *sink, size_t n_events, const struct first_event *first, const struct error *why,
               struct error *ret_error)
{
    struct first_event culprit = *first;
    struct partition *partition;
    int result;

    if (n_events == 0)
        return error_set(ret_error, ERROR_BUG, "the store refuses a write without events: %s", why->text);
    result = sink_rewind(sink, why->text, ret_error);
    if (result != 0)
        return result;
    if (n_events > 1) {
        sink->event_limit = n_events / 2;
        return 0;
    }
    sink->event_limit = sink->settings.max_batch_events;
    partition = progress_find(&sink->progress, culprit.topic, culprit.partition);
    if (partition != NULL)
        sink_halt_event(sink, partition, culprit.offset, culprit.key, why->class == ERROR_HALT ? "partition" : "poison", why->text);
    return 0;
}
