/*
 * event - see event.h: where an event's type, id, version and time are found, and its fields by path.
 *
 * Owned by a task and its one thread. Knows nothing of JSON's text (json) nor of the rules of the types (field).
 */
#include "event/event.h"

#include "base/arena.h"
#include "base/text.h"
#include "event/field.h"
#include "event/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK = 16 * 1024, ARENA_KEEP = 256 * 1024 };

struct event {
    struct event_decoder *decoder;
    const struct json_value *value; /* NULL: a tombstone */
};

struct event_decoder {
    struct event_settings settings; /* its names are the decoder's own */
    struct json *json;
    struct arena *names;
    struct arena *arena; /* of the event */
    const struct record *record;
    struct rs_record facts;
    struct event event;
};

/* ---- Life ---- */

static bool copy_name(struct arena *arena, const char **name)
{
    if (*name != NULL)
        *name = arena_copy(arena, *name, strlen(*name));
    return *name != NULL;
}

static bool copy_settings(struct event_decoder *decoder, const struct event_settings *settings)
{
    struct event_settings *copy = &decoder->settings;
    struct place *places[] = {&copy->type, &copy->id, &copy->version, &copy->time};

    *copy = *settings;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (places[i]->kind != PLACE_NONE && !copy_name(decoder->names, &places[i]->name))
            return false;
    return copy->fixed_type == NULL || copy_name(decoder->names, &copy->fixed_type);
}

struct event_decoder *event_decoder_new(const struct event_settings *settings)
{
    struct event_decoder *decoder = calloc(1, sizeof *decoder);

    if (decoder == NULL)
        return NULL;
    decoder->json = json_new();
    decoder->names = arena_new(0, 0);
    decoder->arena = arena_new(ARENA_BLOCK, ARENA_KEEP);
    decoder->event.decoder = decoder;
    decoder->facts.size = sizeof decoder->facts;
    if (decoder->json == NULL || decoder->names == NULL || decoder->arena == NULL || !copy_settings(decoder, settings))
        return event_decoder_free(decoder);
    return decoder;
}

struct event_decoder *event_decoder_free(struct event_decoder *decoder)
{
    if (decoder == NULL)
        return NULL;
    json_free(decoder->json);
    arena_free(decoder->names);
    arena_free(decoder->arena);
    free(decoder);
    return NULL;
}

/* ---- Facts ---- */

static const char *place_name(const struct place *place)
{
    return place->kind == PLACE_HEADER ? "header" : "field";
}

/* What stands at the place. False: nothing, or null. is_scalar: a string or number, else ret_text is empty. */
static bool look(struct event_decoder *decoder, const struct place *place, struct rs_text *ret_text, enum json_type *ret_type)
{
    const struct json_value *value;
    struct rs_bytes bytes;

    if (place->kind == PLACE_NONE)
        return false;
    if (place->kind == PLACE_HEADER) {
        if (!event_header(&decoder->event, place->name, &bytes) || bytes.data == NULL)
            return false;
        *ret_text = (struct rs_text){.data = bytes.data, .size = bytes.size};
        *ret_type = JSON_STRING;
        return true;
    }
    value = json_find(decoder->json, decoder->event.value, place->name);
    if (value == NULL)
        return false;
    *ret_type = json_type(value);
    if (*ret_type == JSON_STRING || *ret_type == JSON_NUMBER)
        *ret_text = json_text(value);
    return *ret_type != JSON_NULL;
}

static int find_type(struct event_decoder *decoder, struct error *ret_error)
{
    const struct place *place = &decoder->settings.type;
    struct rs_text text;
    enum json_type type;

    if (decoder->event.value == NULL) {
        decoder->facts.type = rs_string(RS_TOMBSTONE);
        return 0;
    }
    if (decoder->settings.fixed_type != NULL || place->kind == PLACE_NONE) {
        decoder->facts.type = rs_string(decoder->settings.fixed_type != NULL ? decoder->settings.fixed_type : "");
        return 0;
    }
    if (!look(decoder, place, &text, &type))
        return error_set(ret_error, ERROR_POISON, "no event type: the %s %s is missing", place_name(place), place->name);
    if (type != JSON_STRING || memchr(text.data, '\0', text.size) != NULL ||
        (place->kind == PLACE_HEADER && !text_is_utf8(text.data, text.size, NULL)))
        return error_set(ret_error, ERROR_POISON, "no event type: the %s %s is not text", place_name(place), place->name);
    if (rs_equals(text, RS_TOMBSTONE)) /* would run the handler that removes */
        return error_set(ret_error, ERROR_POISON, "the event's type: the %s %s is " RS_TOMBSTONE
                         ", which is kept for records whose value is null", place_name(place), place->name);
    decoder->facts.type = text;
    return 0;
}

static int find_id(struct event_decoder *decoder, struct error *ret_error)
{
    const struct place *place = &decoder->settings.id;
    struct rs_text text;
    enum json_type type;

    if (!look(decoder, place, &text, &type))
        return 0;
    if ((type != JSON_STRING && type != JSON_NUMBER) ||
        (place->kind == PLACE_HEADER && !text_is_utf8(text.data, text.size, NULL)))
        return error_set(ret_error, ERROR_POISON, "the event's id: the %s %s is not text", place_name(place), place->name);
    decoder->facts.id = text;
    return 0;
}

static int find_version(struct event_decoder *decoder, struct error *ret_error)
{
    const struct place *place = &decoder->settings.version;
    struct rs_text text;
    enum json_type type;

    if (!look(decoder, place, &text, &type))
        return 0;
    if (type != (place->kind == PLACE_HEADER ? JSON_STRING : JSON_NUMBER) ||
        !text_read_int(text.data, text.size, &decoder->facts.version))
        return error_set(ret_error, ERROR_POISON, "the event's version: the %s %s is not an integer", place_name(place),
                         place->name);
    return 0;
}

/* A producer may put any number there; one without a date harms only events that state no time of their own. */
static int take_record_time(struct event_decoder *decoder, struct error *ret_error)
{
    int64_t timestamp_ms = decoder->record->timestamp_ms;

    if (timestamp_ms < 0 || field_take_milliseconds(timestamp_ms, &decoder->facts.time.microseconds))
        return 0;
    return error_set(ret_error, ERROR_POISON,
                     "the event's time: the record's timestamp, %" PRId64 " milliseconds since 1970, lies after the year 9999",
                     timestamp_ms);
}

static int find_time(struct event_decoder *decoder, struct error *ret_error)
{
    const struct place *place = &decoder->settings.time;
    int64_t *moment = &decoder->facts.time.microseconds;
    struct rs_text text = {.data = "", .size = 0};
    enum json_type type;

    if (!look(decoder, place, &text, &type))
        return take_record_time(decoder, ret_error);
    if (type == JSON_STRING && field_read_time(text, false, moment))
        return 0;
    if ((type == JSON_NUMBER || place->kind == PLACE_HEADER) && field_read_time(text, true, moment))
        return 0;
    return error_set(ret_error, ERROR_POISON,
                     "the event's time: the %s %s is neither a time in RFC 3339 with a zone nor milliseconds since 1970",
                     place_name(place), place->name);
}

/* ---- Decoding ---- */

/* What is not found in the event; the type always is. Field by field, as a literal would be cleared as a whole first. */
static void note_record(struct event_decoder *decoder, const struct record *record)
{
    struct rs_record *facts = &decoder->facts;

    decoder->record = record;
    facts->partition = record->partition;
    facts->offset = record->offset;
    facts->topic = rs_string(record->topic);
    facts->key = (struct rs_bytes){.data = record->key, .size = record->key_size};
    facts->value = (struct rs_bytes){.data = record->value, .size = record->value_size};
    facts->id = (struct rs_text){.data = "", .size = 0};
    facts->version = 1;
    facts->time.microseconds = 0;
}

int event_decode(struct event_decoder *decoder, const struct record *record, const struct event **ret_event,
                 struct error *ret_error)
{
    int result;

    if (arena_used_bytes(decoder->arena) > 0)
        arena_reset(decoder->arena);
    note_record(decoder, record);
    decoder->event.value = NULL;
    if (record->value != NULL) {
        result = json_read(decoder->json, record->value, record->value_size, decoder->settings.max_depth, &decoder->event.value,
                           ret_error);
        if (result != 0)
            return result;
        if (json_type(decoder->event.value) != JSON_OBJECT)
            return error_set(ret_error, ERROR_POISON, "the value is JSON, but not an object");
    }
    result = find_type(decoder, ret_error);
    if (result == 0)
        result = find_id(decoder, ret_error);
    if (result == 0)
        result = find_version(decoder, ret_error);
    if (result == 0)
        result = find_time(decoder, ret_error);
    if (result == 0)
        *ret_event = &decoder->event;
    return result;
}

const struct rs_record *event_record(const struct event *event)
{
    return &event->decoder->facts;
}

bool event_header(const struct event *event, const char *name, struct rs_bytes *ret_value)
{
    const struct record *record = event->decoder->record;

    return record->find_header != NULL && record->find_header(record, name, ret_value);
}

/* ---- Fields ---- */

/* NULL: absent or null. */
static const struct json_value *find(const struct event *event, const char *path)
{
    const struct json_value *value = json_find(event->decoder->json, event->value, path);

    return value == NULL || json_type(value) == JSON_NULL ? NULL : value;
}

bool event_has(const struct event *event, const char *path)
{
    return find(event, path) != NULL;
}

int event_get(const struct event *event, const char *path, uint32_t type, struct rs_value *ret_value, struct error *ret_error)
{
    const struct json_value *value = find(event, path);

    return value == NULL ? EVENT_ABSENT : field_read(value, path, type, event->decoder->arena, ret_value, ret_error);
}

int event_count(const struct event *event, const char *path, uint32_t *ret_n, struct error *ret_error)
{
    const struct json_value *value = find(event, path);

    if (value == NULL)
        return EVENT_ABSENT;
    if (json_type(value) != JSON_ARRAY)
        return error_set(ret_error, ERROR_POISON, "field %s is not an array", path[0] == '\0' ? "(the whole)" : path);
    *ret_n = (uint32_t)json_count(value);
    return 0;
}

int event_item(const struct event *event, const char *path, uint32_t index, const struct event **ret_item,
               struct error *ret_error)
{
    const char *name = path[0] == '\0' ? "(the whole)" : path;
    const struct json_value *array = find(event, path), *value;
    struct event *item;

    if (array == NULL)
        return error_set(ret_error, ERROR_POISON, "field %s is missing", name);
    if (json_type(array) != JSON_ARRAY)
        return error_set(ret_error, ERROR_POISON, "field %s is not an array", name);
    value = json_item(event->decoder->json, array, index);
    if (value == NULL)
        return error_set(ret_error, ERROR_POISON, "field %s has %zu items; item %u is asked for, counted from 0", name,
                         json_count(array), index);
    item = arena_alloc(event->decoder->arena, sizeof *item);
    if (item == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory for an item of field %s", name);
    *item = (struct event){.decoder = event->decoder, .value = value};
    *ret_item = item;
    return 0;
}
