/*
 * event_fixture - what the tests of events share: records with headers, a decoder and its one event.
 */
#ifndef UNIT_EVENT_FIXTURE_H
#define UNIT_EVENT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "event/event.h" /* before cmocka.h, whose macro fail() would hide a member */

#include <cmocka.h>

#include "base/buffer.h"

#include <string.h>

enum { TEST_DEPTH = 10 };

/* ---- A record with headers "name=value;" in a string ---- */

static inline bool find_header(const struct record *record, const char *name, struct rs_bytes *ret_value)
{
    const char *at = record->handle;
    bool found = false;

    while (at != NULL && *at != '\0') {
        size_t size = strcspn(at, ";"), name_size = strlen(name);

        if (size > name_size && strncmp(at, name, name_size) == 0 && at[name_size] == '=') {
            *ret_value = (struct rs_bytes){.data = at + name_size + 1, .size = size - name_size - 1};
            found = true;
        }
        at += size + (at[size] == ';');
    }
    return found;
}

static inline struct record record_of(const char *value, const char *headers)
{
    return (struct record){.topic = "bank", .partition = 3, .offset = 42, .timestamp_ms = 1500, .key = "k", .key_size = 1,
                           .value = value, .value_size = value == NULL ? 0 : strlen(value), .handle = headers,
                           .find_header = find_header};
}

static const struct event_settings untyped = {.max_depth = TEST_DEPTH};

struct fixture {
    struct event_decoder *decoder;
    struct record record;
    const struct event *event;
    struct error error;
};

static inline int open_event(struct fixture *fixture, const struct event_settings *settings, const char *value, const char *headers)
{
    *fixture = (struct fixture){.decoder = event_decoder_new(settings), .record = record_of(value, headers)};
    assert_non_null(fixture->decoder);
    return event_decode(fixture->decoder, &fixture->record, &fixture->event, &fixture->error);
}

static inline void must_open(struct fixture *fixture, const struct event_settings *settings, const char *value, const char *headers)
{
    if (open_event(fixture, settings, value, headers) != 0)
        fail_msg("%s: %s", value == NULL ? "tombstone" : value, fixture->error.text);
}

static inline void close_event(struct fixture *fixture)
{
    assert_null(event_decoder_free(fixture->decoder));
}

static inline void expect_poison(const struct event_settings *settings, const char *value, const char *headers, const char *part)
{
    struct fixture fixture;

    assert_int_equal(open_event(&fixture, settings, value, headers), ERROR_POISON);
    assert_null(fixture.event);
    if (strstr(fixture.error.text, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", fixture.error.text, part);
    close_event(&fixture);
}

static inline void expect_text(struct rs_text text, const char *expected)
{
    assert_int_equal(text.size, strlen(expected));
    assert_memory_equal(text.data, expected, text.size);
}

static inline void expect_at(const struct event *event, const char *path, const char *expected)
{
    struct rs_value value = {0};
    struct error error = {0};
    int result = event_get(event, path, RS_JSON, &value, &error);

    if (expected == NULL) {
        if (result != EVENT_ABSENT)
            fail_msg("%s is there", path);
        assert_false(event_has(event, path));
        return;
    }
    if (result != 0)
        fail_msg("%s: %s", path, result == EVENT_ABSENT ? "absent" : error.text);
    assert_true(event_has(event, path));
    if (value.as.json.size != strlen(expected) || memcmp(value.as.json.data, expected, value.as.json.size) != 0)
        fail_msg("%s is %.*s", path, (int)value.as.json.size, value.as.json.data);
}

#endif
