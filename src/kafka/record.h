/*
 * record - one Kafka record, or a mark in the log, as the consumer hands it on. A plain struct: the one header of kafka/ that
 * event/ includes as well.
 */
#ifndef KAFKA_RECORD_H
#define KAFKA_RECORD_H

#include "readside/plugin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum record_kind {
    RECORD_DATA,
    RECORD_END,   /* end of the partition reached: offset is the position behind the last record and control record */
    RECORD_ERROR, /* the partition cannot go on (offset out of range, log truncated, topic gone): error_text says why */
};

struct record {
    enum record_kind kind;
    const char *topic;      /* the same pointer for every record of a topic; lives as long as the consumer */
    int32_t partition;
    int32_t leader_epoch;   /* -1: unknown (KIP-320) */
    int64_t offset;
    int64_t timestamp_ms;   /* the record's own (CreateTime or LogAppendTime); -1: none */
    const void *key;        /* NULL: no key */
    size_t key_size;
    const void *value;      /* NULL: tombstone */
    size_t value_size;
    const char *error_text; /* RECORD_ERROR only */
    const void *handle;     /* for find_header */
    /* The last header of that name; false: none. */
    bool (*find_header)(const struct record *record, const char *name, struct rs_bytes *ret_value);
};

#endif
