/*
 * failure - why a partition cannot go on: a kind, a place in the log, and librdkafka's words with the way out.
 *
 * A partition that has ended keeps its failure until it is given up, because whoever took the record may have had to throw it
 * away (a rewind, a store that is away). So it is told again after each seek.
 *
 * Called by take.c, identity.c and rebalance.c in the task's thread. Never decides what becomes of the partition: that is the
 * task's.
 */
#include "kafka/client.h"
#include "kafka/member.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAID_MAX = 400 }; /* of librdkafka's words: the way out must still fit where the reason is kept */

bool member_ends_partition(rd_kafka_resp_err_t code, enum record_error *ret_kind)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__LOG_TRUNCATION:
        *ret_kind = RECORD_ERROR_RANGE;
        return true;
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
        *ret_kind = RECORD_ERROR_IDENTITY;
        return true;
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
    case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE:
        *ret_kind = RECORD_ERROR_CORRUPT;
        return true;
    default:
        return false;
    }
}

static const char *way_out(enum record_error kind, rd_kafka_resp_err_t code)
{
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return "raise fetch_message_max_bytes and receive_message_max_bytes in kafka.properties, then `readside resume'";
    switch (kind) {
    case RECORD_ERROR_IDENTITY:
        return "the offsets of a topic created anew name other events: rebuild with a new `version'; if it is the same topic "
               "after all, `readside resume'";
    case RECORD_ERROR_CORRUPT:
        return "repair the log, then `readside resume'; or leave events out: `readside positions ... skip' with --accept-loss";
    default:
        return "rebuild with a new `version', or set a position that the log still has: `readside positions ... set' with "
               "--accept-loss or --accept-duplicates";
    }
}

bool member_end_partition(struct member *member, struct member_partition *partition, const struct member_failure *failure)
{
    char place[32] = "";
    char text[ERROR_TEXT_SIZE];
    struct member_failure *kept = malloc(sizeof(*kept));

    if (failure->offset >= 0)
        snprintf(place, sizeof(place), "offset %lld: ", (long long)failure->offset);
    snprintf(text, sizeof(text), "%s%.*s; %s", place, SAID_MAX, failure->text, way_out(failure->kind, failure->code));
    if (kept) {
        *kept = *failure;
        kept->next = NULL;
        kept->text = strdup(text);
    }
    if (!kept || !kept->text) {
        free(kept);
        error_set(&member->trouble, ERROR_BUG, "out of memory for the failure of %s[%d]: %s", partition->topic,
                  (int)partition->partition, text);
        return false;
    }
    partition->failure = kept;
    partition->must_tell = true;
    return true;
}

void member_tell_failure(struct member_partition *partition, struct record *record)
{
    const struct member_failure *failure = partition->failure;

    partition->must_tell = false;
    *record = (struct record){
        .kind = RECORD_ERROR,
        .error = failure->kind,
        .topic = partition->topic,
        .partition = partition->partition,
        .leader_epoch = -1,
        .offset = failure->offset,
        .timestamp_ms = -1,
        .error_text = failure->text,
    };
}

size_t member_tell_failures(struct member *member, struct record *records, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < member->n_started && n < max; i++)
        if (member->started[i].must_tell)
            member_tell_failure(&member->started[i], &records[n++]);
    return n;
}

void member_forget_failure(struct member *member, struct member_partition *partition)
{
    if (!partition->failure)
        return;
    partition->failure->next = member->spent;
    member->spent = partition->failure;
    partition->failure = NULL;
    partition->must_tell = false;
}

void member_free_spent(struct member *member)
{
    while (member->spent) {
        struct member_failure *next = member->spent->next;

        free(member->spent->text);
        free(member->spent);
        member->spent = next;
    }
}
