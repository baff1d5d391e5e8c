/*
 * field - a JSON value as a value of one of the ABI's types: the rules at the getters of plugin.h. Pure but for the arena.
 */
#ifndef EVENT_FIELD_H
#define EVENT_FIELD_H

#include "base/arena.h"
#include "base/error.h"
#include "event/json.h"
#include "readside/plugin.h"

/*
 * value: not null. path: for messages. The arena takes what has to be made (bytes, JSON text); the rest points into the document.
 * POISON: another type, or not readable as one.
 */
int field_read(const struct json_value *value, const char *path, uint32_t type, struct arena *arena, struct rs_value *ret_value,
               struct error *ret_error) MUST_CHECK;

/* The same from plain text: what a JSON string gives, and for numbers, bool and json what stands in the document. POISON. */
int field_read_text(const char *data, size_t size, const char *path, uint32_t type, struct arena *arena,
                    struct rs_value *ret_value, struct error *ret_error) MUST_CHECK;

/* "an integer within 64 bits", "a string", ... for messages. */
const char *field_type_name(uint32_t type);

/* Milliseconds since 1970 as text, or RFC 3339. */
bool field_read_time(struct rs_text text, bool is_number, int64_t *ret_microseconds);
/* False: outside the years 0001 to 9999. */
bool field_take_milliseconds(int64_t milliseconds, int64_t *ret_microseconds);

/* As many bytes as a message shows, up to 60 and no part of a character. */
int field_shown(const char *data, size_t size);

#endif
