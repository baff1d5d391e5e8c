/*
 * field - see field.h. Called once or more an event, in a task's one thread.
 */
#include "event/field.h"

#include "base/decimal.h"
#include "base/text.h"

#include <string.h>

enum { SHOWN_MAX = 60 };

static const int64_t last_millisecond = INT64_C(253402300799999), first_millisecond = INT64_C(-62135596800000);

const char *field_type_name(uint32_t type)
{
    static const char *const names[] = {
        [RS_INT] = "an integer within 64 bits", [RS_REAL] = "a number", [RS_DECIMAL] = "a decimal of at most 38 digits",
        [RS_TEXT] = "a string", [RS_BOOL] = "true or false", [RS_BYTES] = "a string in base64", [RS_JSON] = "valid JSON",
        [RS_TIMESTAMP] = "a time in RFC 3339 with a zone and at most microseconds", [RS_DATE] = "a date YYYY-MM-DD",
        [RS_UUID] = "a UUID",
    };

    return type < sizeof names / sizeof names[0] && names[type] != NULL ? names[type] : "of a type that exists";
}

int field_shown(const char *data, size_t size)
{
    if (size <= SHOWN_MAX)
        return (int)size;
    size = SHOWN_MAX;
    while (size > 0 && ((unsigned char)data[size] & 0xc0) == 0x80)
        size--;
    return (int)size;
}

static int refuse_text(const char *data, size_t size, const char *path, uint32_t type, struct error *ret_error)
{
    int shown = field_shown(data, size);

    return error_set(ret_error, ERROR_POISON, "field %s: \"%.*s\"%s is not %s", path[0] == '\0' ? "(the whole)" : path, shown,
                     data, (size_t)shown < size ? "..." : "", field_type_name(type));
}

static int refuse(const struct json_value *value, const char *path, uint32_t type, struct error *ret_error)
{
    static const char *const names[] = {[JSON_NULL] = "null", [JSON_ARRAY] = "an array", [JSON_OBJECT] = "an object"};
    enum json_type is = json_type(value);
    struct rs_text text;

    if (path[0] == '\0')
        path = "(the whole)";
    if (is == JSON_STRING) {
        text = json_text(value);
        return refuse_text(text.data, text.size, path, type, ret_error);
    }
    if (is == JSON_NUMBER) {
        text = json_text(value);
        return error_set(ret_error, ERROR_POISON, "field %s: %.*s is not %s", path, field_shown(text.data, text.size), text.data,
                         field_type_name(type));
    }
    if (is == JSON_BOOL)
        return error_set(ret_error, ERROR_POISON, "field %s: %s is not %s", path, json_is_true(value) ? "true" : "false",
                         field_type_name(type));
    return error_set(ret_error, ERROR_POISON, "field %s: %s is not %s", path, names[is], field_type_name(type));
}

/* Text from a string may be looser than a JSON number: "+1", "007". */
static bool read_decimal(const char *data, size_t size, struct rs_decimal *ret_decimal)
{
    size_t at = size > 0 && data[0] == '-';

    if (at >= size || data[at] < '0' || data[at] > '9')
        return false;
    if (data[at] == '0' && at + 1 < size && data[at + 1] >= '0' && data[at + 1] <= '9')
        return false;
    return decimal_parse(data, size, ret_decimal);
}

static bool read_bytes(const char *data, size_t size, struct arena *arena, struct rs_bytes *ret_bytes)
{
    uint8_t *bytes = arena_alloc(arena, size / 4 * 3 + 1);
    size_t n;

    if (bytes == NULL || !text_read_base64(data, size, bytes, &n))
        return false;
    *ret_bytes = (struct rs_bytes){.data = bytes, .size = n};
    return true;
}

/* The types that JSON writes as strings. False: another type, or not readable as it. */
static bool read_string(const char *data, size_t size, uint32_t type, struct arena *arena, struct rs_value *value)
{
    switch (type) {
    case RS_TEXT:
        value->as.text = (struct rs_text){.data = data, .size = size};
        return memchr(data, '\0', size) == NULL;
    case RS_DECIMAL:
        return read_decimal(data, size, &value->as.decimal);
    case RS_TIMESTAMP:
        return text_read_timestamp(data, size, &value->as.timestamp.microseconds);
    case RS_DATE:
        return text_read_date(data, size, &value->as.date.days);
    case RS_UUID:
        return text_read_uuid(data, size, value->as.uuid.bytes);
    case RS_BYTES:
        return read_bytes(data, size, arena, &value->as.bytes);
    default:
        return false;
    }
}

static bool read_number(const char *data, size_t size, uint32_t type, struct rs_value *value)
{
    switch (type) {
    case RS_INT:
        return text_read_int(data, size, &value->as.integer);
    case RS_REAL:
        return text_read_real(data, size, &value->as.real);
    case RS_DECIMAL:
        return decimal_parse(data, size, &value->as.decimal);
    default:
        return false;
    }
}

int field_read(const struct json_value *value, const char *path, uint32_t type, struct arena *arena, struct rs_value *ret_value,
               struct error *ret_error)
{
    struct rs_value read = {.type = type};
    enum json_type is = json_type(value);
    struct rs_text text;
    bool is_read = false;
    int result;

    if (type == RS_JSON) {
        result = json_print(value, arena, &read.as.json, ret_error);
        if (result != 0)
            return result;
        is_read = true;
    } else if (is == JSON_STRING) {
        text = json_text(value);
        is_read = read_string(text.data, text.size, type, arena, &read);
        if (!is_read && type == RS_TEXT)
            return error_set(ret_error, ERROR_POISON, "field %s: the string holds a NUL character", path);
    } else if (is == JSON_NUMBER) {
        text = json_text(value);
        is_read = read_number(text.data, text.size, type, &read);
    } else if (is == JSON_BOOL && type == RS_BOOL) {
        read.boolean = json_is_true(value);
        is_read = true;
    }
    if (!is_read)
        return refuse(value, path, type, ret_error);
    *ret_value = read;
    return 0;
}

int field_read_text(const char *data, size_t size, const char *path, uint32_t type, struct arena *arena,
                    struct rs_value *ret_value, struct error *ret_error)
{
    struct rs_value read = {.type = type};
    bool is_read;

    if (type == RS_BOOL) {
        read.boolean = size == 4 && memcmp(data, "true", 4) == 0;
        is_read = read.boolean || (size == 5 && memcmp(data, "false", 5) == 0);
    } else if (type == RS_TEXT) {
        is_read = text_is_utf8(data, size, NULL);
        read.as.text = (struct rs_text){.data = data, .size = size};
    } else if (type == RS_INT || type == RS_REAL) {
        is_read = read_number(data, size, type, &read);
    } else {
        is_read = read_string(data, size, type, arena, &read);
    }
    if (!is_read)
        return refuse_text(data, size, path, type, ret_error);
    *ret_value = read;
    return 0;
}

bool field_read_time(struct rs_text text, bool is_number, int64_t *ret_microseconds)
{
    int64_t milliseconds;

    if (!is_number)
        return text_read_timestamp(text.data, text.size, ret_microseconds);
    return text_read_int(text.data, text.size, &milliseconds) && field_take_milliseconds(milliseconds, ret_microseconds);
}

bool field_take_milliseconds(int64_t milliseconds, int64_t *ret_microseconds)
{
    if (milliseconds < first_millisecond || milliseconds > last_millisecond)
        return false;
    *ret_microseconds = milliseconds * 1000;
    return true;
}
