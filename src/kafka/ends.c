/*
 * ends - where the logs end, asked of the broker now and then without blocking.
 *
 * The ends that librdkafka keeps itself come with fetched records only, so that they say nothing of a partition that is paused or
 * has stopped flowing; these are asked for (KIP-396 ListOffsets, behind the last stable record).
 *
 * Called by the task's thread through struct consumer_operations. Judges nothing: what an end means is task/lag's.
 */
#include "base/clock.h"
#include "kafka/client.h"
#include "kafka/member.h"

enum { INTERVAL_US = 2000000, FRESH_US = 15000000, TIMEOUT_MS = 10000 };

static void ask(struct member *member, const struct partition_offset *partitions, size_t n)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);
    rd_kafka_AdminOptions_t *options = member_admin_options(member, RD_KAFKA_ADMIN_OP_LISTOFFSETS, TIMEOUT_MS);
    rd_kafka_error_t *error = rd_kafka_AdminOptions_set_isolation_level(options, RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED);

    if (error)
        rd_kafka_error_destroy(error); /* impossible: the level is one of two */
    for (size_t i = 0; i < n; i++)
        rd_kafka_topic_partition_list_add(list, partitions[i].topic, partitions[i].partition)->offset =
            RD_KAFKA_OFFSET_SPEC_LATEST;
    rd_kafka_ListOffsets(member->rk, list, options, member->ends_queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_topic_partition_list_destroy(list);
    member->are_ends_asked = true;
}

/* No answer leaves the last one, until it is too old. */
static void hear(struct member *member, rd_kafka_event_t *event, int64_t now_us)
{
    const rd_kafka_ListOffsetsResultInfo_t **infos;
    size_t n = 0;

    member->are_ends_asked = false;
    if (rd_kafka_event_error(event))
        return;
    if (member->ends)
        rd_kafka_topic_partition_list_destroy(member->ends);
    infos = rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(event), &n);
    member->ends = rd_kafka_topic_partition_list_new((int)n);
    member->ends_at_us = now_us;
    for (size_t i = 0; i < n; i++) {
        const rd_kafka_topic_partition_t *info = rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);

        if (!info->err)
            rd_kafka_topic_partition_list_add(member->ends, info->topic, info->partition)->offset = info->offset;
    }
}

void member_ends(void *self, struct partition_offset *partitions, size_t n)
{
    struct member *member = self;
    int64_t now_us = clock_system.monotonic_us(clock_system.self);
    rd_kafka_event_t *event = member->are_ends_asked ? rd_kafka_queue_poll(member->ends_queue, 0) : NULL;

    if (event) {
        hear(member, event, now_us);
        rd_kafka_event_destroy(event);
    }
    if (n > 0 && !member->are_ends_asked && now_us >= member->ask_ends_at_us) {
        member->ask_ends_at_us = now_us + INTERVAL_US;
        ask(member, partitions, n);
    }
    for (size_t i = 0; i < n; i++) {
        const rd_kafka_topic_partition_t *known = NULL;

        if (member->ends && now_us - member->ends_at_us < FRESH_US)
            known = rd_kafka_topic_partition_list_find(member->ends, partitions[i].topic, partitions[i].partition);
        partitions[i].offset = known ? known->offset : -1;
    }
}
