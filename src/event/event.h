/*
 * event - one decoded record: its type, id, version, time, and its payload by path.
 *
 * Owned by a task; one decoder is reused for every record, its memory with it, so that decoding allocates nothing in a steady
 * state. What the getters return lives until the next event_decode() on the same decoder.
 */
#ifndef EVENT_EVENT_H
#define EVENT_EVENT_H

#include "base/error.h"
#include "kafka/record.h"
#include "readside/plugin.h"

#include <stdbool.h>
#include <stdint.h>

/* Where one fact about an event is found. */
enum place_kind { PLACE_NONE, PLACE_PAYLOAD, PLACE_HEADER };

struct place {
    enum place_kind kind;
    const char *name; /* payload path or header name */
};

struct event_settings {
    struct place type;    /* PLACE_NONE: every event is of type "" unless fixed_type is set */
    struct place id;      /* absent in an event: empty */
    struct place version; /* absent: 1 */
    struct place time;    /* PLACE_NONE or absent: the record's timestamp, 0 without one. RFC 3339 text, or integer milliseconds
                             since 1970 */
    const char *fixed_type; /* every event has this type; NULL: use `type` */
    uint32_t max_depth;   /* of nesting; deeper payloads are poison */
};

struct event_decoder;
struct event; /* of a decoder; an item of an array is one too */

struct event_decoder *event_decoder_new(const struct event_settings *settings);
struct event_decoder *event_decoder_free(struct event_decoder *decoder);

/*
 * Decodes a record. The event's type is RS_TOMBSTONE when the value is NULL, and only then. POISON: not JSON (with line and column
 * or byte), not an object, type missing, not text or RS_TOMBSTONE, version not an integer, time malformed or beyond the year 9999,
 * nested too deep.
 */
int event_decode(struct event_decoder *decoder, const struct record *record, const struct event **ret_event,
                 struct error *ret_error) MUST_CHECK;

const struct rs_record *event_record(const struct event *event);
bool event_header(const struct event *event, const char *name, struct rs_bytes *ret_value);

enum { EVENT_ABSENT = 1 };

/* Is the field there and not null? */
bool event_has(const struct event *event, const char *path);

/*
 * The field as a value of that type (rules in plugin.h at the getters). 0; EVENT_ABSENT: absent or null; POISON: another type or
 * not readable as one ("field amount: \"12,50\" is not a decimal").
 */
int event_get(const struct event *event, const char *path, uint32_t type, struct rs_value *ret_value,
              struct error *ret_error) MUST_CHECK;
/* Number of items of the array at path; EVENT_ABSENT; POISON when it is no array. */
int event_count(const struct event *event, const char *path, uint32_t *ret_n, struct error *ret_error) MUST_CHECK;
/* An item as an event of its own; POISON when the array or item is not there. */
int event_item(const struct event *event, const char *path, uint32_t index, const struct event **ret_item,
               struct error *ret_error) MUST_CHECK;

#endif
