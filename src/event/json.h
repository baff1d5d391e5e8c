/*
 * json - JSON documents read and printed; the only door to yyjson.
 *
 * A reader keeps its memory from one document to the next, so that a steady state allocates nothing. Numbers stay the text that
 * they are in the document: nothing goes through a double. Values live until the next json_read() of their reader.
 */
#ifndef EVENT_JSON_H
#define EVENT_JSON_H

#include "base/arena.h"
#include "base/error.h"
#include "readside/plugin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_MAX_DEPTH = 1024 };

struct json;       /* a reader */
struct json_value; /* of the reader's document */

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json *json_new(void);
struct json *json_free(struct json *json);

/*
 * Reads one document (RFC 8259, valid UTF-8, nothing behind it). max_depth: arrays and objects within one another, at most
 * JSON_MAX_DEPTH. POISON with line and column.
 */
int json_read(struct json *json, const void *data, size_t size, uint32_t max_depth, const struct json_value **ret_root,
              struct error *ret_error) MUST_CHECK;

enum json_type json_type(const struct json_value *value);
bool json_is_true(const struct json_value *value);
/* A string without its escapes (it may hold NUL), or a number as it stands in the document. */
struct rs_text json_text(const struct json_value *value);
/* Items of an array, members of an object; else 0. */
size_t json_count(const struct json_value *value);

/* The member of that name, the last one where it stands twice; NULL: none, or no object. */
const struct json_value *json_member(const struct json_value *object, const char *name, size_t name_size);
/* NULL: not so many, or no array. Asking in order costs the same for every item. */
const struct json_value *json_item(struct json *json, const struct json_value *array, size_t index);
/* A member by its number, with its name. For small objects: it counts from the first. NULL: not so many. */
const struct json_value *json_member_at(const struct json_value *object, size_t index, struct rs_text *ret_name);
/* The value at a path as in plugin.h ("lines.0.sku"); NULL: absent. value may be NULL. */
const struct json_value *json_find(struct json *json, const struct json_value *value, const char *path);

/* Compact text in the arena: members in their order, numbers by their own text. BUG: out of memory. */
int json_print(const struct json_value *value, struct arena *arena, struct rs_json *ret_text, struct error *ret_error) MUST_CHECK;

#endif
