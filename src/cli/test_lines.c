/*
 * test_lines - see test_lines.h. Runs in the command's one process and thread; reads one file.
 */
#include "cli/test_lines.h"

#include "base/buffer.h"
#include "base/text.h"
#include "event/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK = 64 * 1024 };

struct header {
    struct header *next; /* the one before it in the line */
    const char *name;
    struct rs_bytes value;
};

/* A line under way. */
struct reading {
    struct test_lines *lines;
    struct json *json;
    const char *path;
    const char *key;
    size_t line; /* from 0 */
    struct error *error;
};

static bool find_header(const struct record *record, const char *name, struct rs_bytes *ret_value)
{
    for (const struct header *header = record->handle; header != NULL; header = header->next) {
        if (strcmp(header->name, name) == 0) {
            *ret_value = header->value;
            return true;
        }
    }
    return false;
}

static int refuse(const struct reading *reading, const char *what)
{
    return error_set(reading->error, ERROR_CONFIG, "%s:%zu: %s", reading->path, reading->line + 1, what);
}

static int out_of_memory(const struct reading *reading)
{
    return refuse(reading, "out of memory");
}

/* A string's own text, anything else as it is written; null: no bytes. */
static int keep(const struct reading *reading, const struct json_value *value, struct rs_bytes *ret_bytes)
{
    struct rs_text text = {.data = NULL, .size = 0};
    struct rs_json printed;

    if (value != NULL && json_type(value) == JSON_STRING) {
        text = json_text(value);
    } else if (value != NULL && json_type(value) != JSON_NULL) {
        if (json_print(value, reading->lines->arena, &printed, reading->error) != 0)
            return out_of_memory(reading);
        text = (struct rs_text){.data = printed.data, .size = printed.size};
    }
    *ret_bytes = (struct rs_bytes){.data = NULL, .size = 0};
    if (text.data == NULL)
        return 0;
    ret_bytes->size = text.size;
    ret_bytes->data = arena_copy(reading->lines->arena, text.data, text.size);
    return ret_bytes->data == NULL ? out_of_memory(reading) : 0;
}

/* The last header of a name counts, so the list runs backwards. */
static int read_headers(const struct reading *reading, const struct json_value *headers, struct record *record)
{
    struct rs_text name;
    const struct json_value *value;

    if (json_type(headers) != JSON_OBJECT)
        return refuse(reading, "$headers is an object of names and texts");
    for (size_t i = 0; (value = json_member_at(headers, i, &name)) != NULL; i++) {
        struct header *header = arena_zalloc(reading->lines->arena, sizeof *header);
        int result;

        if (header == NULL)
            return out_of_memory(reading);
        header->name = arena_copy(reading->lines->arena, name.data, name.size);
        header->next = (struct header *)record->handle;
        result = header->name == NULL ? out_of_memory(reading) : keep(reading, value, &header->value);
        if (result != 0)
            return result;
        record->handle = header;
    }
    return 0;
}

static int read_partition(const struct reading *reading, const struct json_value *value, struct record *record)
{
    int64_t number;

    if (json_type(value) != JSON_NUMBER || !text_read_int(json_text(value).data, json_text(value).size, &number) || number < 0 ||
        number > INT32_MAX)
        return refuse(reading, "$partition is an integer from 0 on");
    record->partition = (int32_t)number;
    return 0;
}

static int read_member(const struct reading *reading, struct rs_text name, const struct json_value *value, struct record *record)
{
    struct rs_bytes bytes = {.data = NULL, .size = 0};
    int result = 0;

    if (rs_equals(name, "$headers"))
        return read_headers(reading, value, record);
    if (rs_equals(name, "$partition"))
        return read_partition(reading, value, record);
    if (!rs_equals(name, "$key") && !rs_equals(name, "$value"))
        return refuse(reading, "a line with $value has no members beside $key, $value, $headers and $partition");
    if (rs_equals(name, "$key") && json_type(value) != JSON_NULL && json_type(value) != JSON_STRING &&
        json_type(value) != JSON_NUMBER)
        return refuse(reading, "$key is text, a number or null");
    result = keep(reading, value, &bytes);
    if (rs_equals(name, "$key")) {
        record->key = bytes.data;
        record->key_size = bytes.size;
    } else {
        record->value = bytes.data;
        record->value_size = bytes.size;
    }
    return result;
}

static int read_whole(const struct reading *reading, const struct json_value *root, struct record *record)
{
    const struct json_value *value;
    struct rs_text name;
    int result = 0;

    for (size_t i = 0; result == 0 && (value = json_member_at(root, i, &name)) != NULL; i++)
        result = read_member(reading, name, value, record);
    return result;
}

/* What is no JSON becomes a record all the same: the decoder says why it is poison. */
static int read_line(const struct reading *reading, const char *data, size_t size, struct record *record)
{
    const struct json_value *root = NULL, *key;
    struct rs_bytes bytes;
    int result;

    *record = (struct record){.kind = RECORD_DATA, .topic = "test", .leader_epoch = -1, .offset = (int64_t)reading->line,
                              .timestamp_ms = -1, .value = data, .value_size = size, .find_header = find_header};
    if (json_read(reading->json, data, size, JSON_MAX_DEPTH, &root, NULL) != 0 || json_type(root) != JSON_OBJECT)
        return 0;
    if (json_member(root, "$value", strlen("$value")) != NULL)
        return read_whole(reading, root, record);
    key = reading->key == NULL ? NULL : json_find(reading->json, root, reading->key);
    result = keep(reading, key, &bytes);
    record->key = bytes.data;
    record->key_size = bytes.size;
    return result;
}

static int read_file(const char *path, struct buffer *ret_text, struct error *ret_error)
{
    FILE *file = fopen(path, "re");
    char part[16384];
    size_t n;
    int result = 0;

    if (file == NULL)
        return error_set(ret_error, ERROR_CONFIG, "%s: %s", path, strerror(errno));
    while ((n = fread(part, 1, sizeof part, file)) > 0)
        buffer_append(ret_text, part, n);
    if (ferror(file) != 0 || buffer_failed(ret_text))
        result = error_set(ret_error, ERROR_CONFIG, "%s: %s", path, buffer_failed(ret_text) ? "out of memory" : strerror(errno));
    fclose(file);
    return result;
}

static size_t count_lines(const char *text)
{
    size_t n = 1;

    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static int read_lines(struct reading *reading, const char *text, size_t size)
{
    struct test_lines *lines = reading->lines;
    const char *end = text + size;
    int result = 0;

    lines->records = calloc(count_lines(text) + 1, sizeof lines->records[0]);
    if (lines->records == NULL)
        return out_of_memory(reading);
    for (; text < end && result == 0; reading->line++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t length = (size_t)((stop == NULL ? end : stop) - text);

        if (length > 0 && strspn(text, " \t\r") < length)
            result = read_line(reading, text, length, &lines->records[lines->n++]);
        text += length + 1;
    }
    return result;
}

int test_lines_read(const char *path, const char *key, struct test_lines *ret_lines, struct error *ret_error)
{
    struct test_lines lines = {.arena = arena_new(ARENA_BLOCK, 0)};
    struct reading reading = {.lines = &lines, .json = json_new(), .path = path, .key = key, .error = ret_error};
    struct buffer text = BUFFER_INIT;
    char *copy = NULL;
    int result = lines.arena == NULL || reading.json == NULL ? error_set(ret_error, ERROR_CONFIG, "out of memory")
                                                             : read_file(path, &text, ret_error);

    if (result == 0) {
        copy = arena_copy(lines.arena, text.data == NULL ? "" : text.data, text.size);
        result = copy == NULL ? error_set(ret_error, ERROR_CONFIG, "out of memory") : 0;
    }
    if (result == 0 && memchr(copy, '\0', text.size) != NULL)
        result = error_set(ret_error, ERROR_CONFIG, "%s: the file holds NUL bytes: it is no text", path);
    if (result == 0)
        result = read_lines(&reading, copy, text.size);
    buffer_free(&text);
    json_free(reading.json);
    if (result == 0)
        *ret_lines = lines;
    else
        test_lines_free(&lines);
    return result;
}

void test_lines_free(struct test_lines *lines)
{
    arena_free(lines->arena);
    free(lines->records);
    *lines = (struct test_lines){0};
}
