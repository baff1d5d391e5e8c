/*
 * progress - see progress.h. Plain arithmetic on an array of partitions; used by the sink loop and by the simulation.
 */
#include "task/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void free_texts(struct partition *partition)
{
    free(partition->topic);
    free(partition->halt_reason);
}

void progress_free(struct progress *progress)
{
    for (size_t i = 0; i < progress->n; i++)
        free_texts(&progress->items[i]);
    free(progress->items);
    *progress = (struct progress){0};
}

struct partition *progress_find(struct progress *progress, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < progress->n; i++) {
        struct partition *item = &progress->items[i];

        if (item->partition == partition && strcmp(item->topic, topic) == 0)
            return item;
    }
    return NULL;
}

static int grow(struct progress *progress)
{
    size_t capacity = progress->capacity == 0 ? 16 : progress->capacity * 2;
    struct partition *items;

    if (progress->n < progress->capacity)
        return 0;
    items = realloc(progress->items, capacity * sizeof *items);
    if (items == NULL)
        return -1;
    progress->items = items;
    progress->capacity = capacity;
    return 0;
}

int progress_add(struct progress *progress, const char *topic, int32_t partition, struct error *ret_error)
{
    struct partition *item;
    char *copy;

    if (progress_find(progress, topic, partition) != NULL)
        return error_set(ret_error, ERROR_BUG, "partition %s/%d was assigned twice", topic, (int)partition);
    copy = strdup(topic);
    if (copy == NULL || grow(progress) != 0) {
        free(copy);
        return error_set(ret_error, ERROR_BUG, "out of memory");
    }
    item = &progress->items[progress->n++];
    *item = (struct partition){.topic = copy,
                               .partition = partition,
                               .state = PARTITION_WAITING,
                               .end = -1,
                               .base = {.leader_epoch = -1},
                               .sent = {.leader_epoch = -1},
                               .next = {.leader_epoch = -1}};
    return 0;
}

void progress_remove(struct progress *progress, const char *topic, int32_t partition)
{
    struct partition *item = progress_find(progress, topic, partition);
    size_t at;

    if (item == NULL)
        return;
    free_texts(item);
    at = (size_t)(item - progress->items);
    memmove(item, item + 1, (progress->n - at - 1) * sizeof *item);
    progress->n--;
    progress->memo = 0;
    progress->topic = NULL;
}

size_t progress_count(const struct progress *progress, enum partition_state state)
{
    size_t count = 0;

    for (size_t i = 0; i < progress->n; i++)
        count += progress->items[i].state == state;
    return count;
}

void partition_claim(struct partition *partition, const struct store_position *position)
{
    partition->epoch = position->epoch;
    partition->base = (struct mark){.offset = position->next_offset, .leader_epoch = position->leader_epoch};
    partition->sent = partition->next = partition->base;
    partition->events = partition->sent_events = 0;
    partition->end = -1;
    partition->is_nudged = false;
    partition->seen_next = partition->mirrored = -1;
    partition->halt = HALT_NONE;
    partition->state = PARTITION_CLAIMED;
}

/* Records of one partition come in runs, so the last place found is right nearly always. */
static struct partition *find_of_record(struct progress *progress, const struct record *record)
{
    struct partition *item;

    if (progress->memo < progress->n && progress->topic == record->topic &&
        progress->items[progress->memo].partition == record->partition)
        return &progress->items[progress->memo];
    item = progress_find(progress, record->topic, record->partition);
    if (item != NULL) {
        progress->memo = (size_t)(item - progress->items);
        progress->topic = record->topic;
    }
    return item;
}

enum take_result progress_take(struct progress *progress, const struct record *record, struct partition **ret_partition)
{
    struct partition *partition = find_of_record(progress, record);

    if (partition == NULL || partition->state != PARTITION_RUNNING)
        return TAKE_DROP;
    if (record->kind == RECORD_DATA && record->offset < partition->next.offset) {
        progress->dropped++;
        return TAKE_DROP;
    }
    *ret_partition = partition;
    return record->kind == RECORD_DATA && record->offset > partition->next.offset ? TAKE_GAP : TAKE_ACCEPT;
}

void partition_advance(struct partition *partition, const struct record *record)
{
    partition->next.offset = record->offset + 1;
    partition->events++;
    if (record->leader_epoch >= 0)
        partition->next.leader_epoch = record->leader_epoch;
    if (record->timestamp_ms > 0)
        partition->next.timestamp_ms = record->timestamp_ms;
}

void partition_end(struct partition *partition, const struct record *record)
{
    if (partition->state != PARTITION_RUNNING)
        return;
    if (record->offset > partition->next.offset)
        partition->next.offset = record->offset;
    if (record->offset > partition->end)
        partition->end = record->offset;
}

void partition_halt(struct partition *partition, const char *kind, bool is_of_event, const char *reason)
{
    partition->state = PARTITION_HALTED;
    partition->halt = HALT_PENDING;
    partition->halt_is_of_event = is_of_event;
    partition->halt_kind = kind;
    if (partition->halt_reason == NULL)
        partition->halt_reason = malloc(HALT_REASON_SIZE);
    if (partition->halt_reason != NULL)
        snprintf(partition->halt_reason, HALT_REASON_SIZE, "%s", reason);
}

static bool has_moved(const struct partition *partition)
{
    if (partition->state != PARTITION_RUNNING && partition->state != PARTITION_HALTED)
        return false;
    return partition->next.offset != partition->sent.offset || partition->halt == HALT_PENDING;
}

bool progress_has_moved(const struct progress *progress)
{
    for (size_t i = 0; i < progress->n; i++)
        if (has_moved(&progress->items[i]))
            return true;
    return false;
}

bool progress_has_events(const struct progress *progress)
{
    for (size_t i = 0; i < progress->n; i++)
        if (progress->items[i].events > 0 || progress->items[i].halt == HALT_PENDING)
            return true;
    return false;
}

size_t progress_send(struct progress *progress, struct store_move *moves)
{
    size_t n = 0;

    for (size_t i = 0; i < progress->n; i++) {
        struct partition *item = &progress->items[i];

        if (!has_moved(item))
            continue;
        moves[n++] = (struct store_move){.topic = item->topic,
                                         .partition = item->partition,
                                         .base = item->base.offset,
                                         .next = item->next.offset,
                                         .epoch = item->epoch,
                                         .events = item->events,
                                         .leader_epoch = item->next.leader_epoch,
                                         .halt_kind = item->halt == HALT_PENDING ? item->halt_kind : NULL,
                                         .halt_reason = item->halt != HALT_PENDING       ? NULL
                                                        : item->halt_reason == NULL ? "out of memory for the reason"
                                                                                    : item->halt_reason};
        item->sent = item->next;
        item->sent_events = item->events;
        item->events = 0;
        if (item->halt == HALT_PENDING)
            item->halt = HALT_SENT;
    }
    return n;
}

void progress_commit(struct progress *progress)
{
    for (size_t i = 0; i < progress->n; i++) {
        struct partition *item = &progress->items[i];

        item->base = item->sent;
        item->sent_events = 0;
        if (item->halt == HALT_SENT)
            item->halt = HALT_WRITTEN;
    }
}

void progress_rewind(struct progress *progress)
{
    for (size_t i = 0; i < progress->n; i++) {
        struct partition *item = &progress->items[i];

        if (item->state != PARTITION_RUNNING && item->state != PARTITION_HALTED)
            continue;
        item->next = item->sent = item->base;
        item->events = item->sent_events = 0;
        item->end = -1;
        if (item->halt != HALT_PENDING && item->halt != HALT_SENT)
            continue;
        item->halt = item->halt_is_of_event ? HALT_NONE : HALT_PENDING;
        if (item->halt_is_of_event)
            item->state = PARTITION_RUNNING;
    }
}

bool progress_is_at_end(const struct progress *progress)
{
    for (size_t i = 0; i < progress->n; i++) {
        const struct partition *item = &progress->items[i];
        bool has_halted = item->state == PARTITION_HALTED && item->halt == HALT_WRITTEN;

        if (!has_halted && (item->state != PARTITION_RUNNING || item->end < 0 || item->base.offset < item->end))
            return false;
    }
    return progress->n > 0;
}
