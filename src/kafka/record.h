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
    RECORD_ERROR, /* the partition cannot go on: error says what it is, error_text why */
};

enum record_error {
    RECORD_ERROR_NONE,     /* of RECORD_DATA and RECORD_END */
    RECORD_ERROR_RANGE,    /* the log does not have the offset: expired, or truncated */
    RECORD_ERROR_IDENTITY, /* the topic or partition is gone, or another of that name has taken its place */
    RECORD_ERROR_CORRUPT,  /* what is there cannot be read: damaged, too large, in an unknown format or codec */
};

struct record {
    enum record_kind kind;
    enum record_error error;
    const char *topic;      /* the same pointer for every record of a topic; lives as long as the consumer */
    int32_t partition;
    int32_t leader_epoch;   /* -1: unknown (KIP-320) */
    int64_t offset;         /* of RECORD_ERROR: where it cannot go on; -1: not known */
    int64_t timestamp_ms;   /* the record's own (CreateTime or LogAppendTime); -1: none */
    const void *key;        /* NULL: no key */
    size_t key_size;
    const void *value;      /* NULL: tombstone */
    size_t value_size;
    const char *error_text; /* RECORD_ERROR only: a sentence with the offset, where known, and the way out */
    const void *handle;     /* for find_header */
    /* The last header of that name; false: none. */
    bool (*find_header)(const struct record *record, const char *name, struct rs_bytes *ret_value);
};

/* The word for it where a person reads of the halt: one of the kinds of struct store_position. */
static inline const char *record_error_name(enum record_error error)
{
    switch (error) {
    case RECORD_ERROR_IDENTITY:
        return "identity";
    case RECORD_ERROR_CORRUPT:
        return "corrupt";
    default:
        return "range";
    }
}

#endif
