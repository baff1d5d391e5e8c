/*
 * event_fuzz - a record value of arbitrary bytes, decoded and read by every getter at paths that are found in it.
 *
 * libFuzzer: clang -fsanitize=fuzzer,address,undefined with src/event and src/base. What is printed as JSON must read back to the
 * same text, and what one getter gives must be what the value says.
 */
#include "event/event.h"
#include "event/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH = 32, PATH_BYTES = 64 };

static struct event_decoder *decoder, *again;

static void print_again(const struct rs_json *text)
{
    struct record record = {.topic = "fuzz", .value = text->data, .value_size = text->size};
    const struct event *event;
    struct rs_value value;
    struct error error;

    if (event_decode(again, &record, &event, &error) != 0 || event_get(event, "", RS_JSON, &value, &error) != 0 ||
        value.as.json.size != text->size || memcmp(value.as.json.data, text->data, text->size) != 0)
        abort();
}

static void read_all(const struct event *event, const char *path)
{
    struct rs_value value;
    struct error error;
    const struct event *item;
    uint32_t n;
    bool is_there = event_has(event, path);

    for (uint32_t type = 0; type <= RS_UUID + 1; type++) {
        int result = event_get(event, path, type, &value, &error);

        if ((result == EVENT_ABSENT) == is_there || (result != 0 && result != EVENT_ABSENT && result != ERROR_POISON))
            abort();
        if (result == 0 && value.type != type)
            abort();
        if (result == 0 && type == RS_TEXT && memchr(value.as.text.data, '\0', value.as.text.size) != NULL)
            abort();
    }
    if (event_count(event, path, &n, &error) != 0)
        return;
    for (uint32_t i = 0; i < n && i < 8; i++)
        if (event_item(event, path, i, &item, &error) != 0 || event_record(item) != event_record(event))
            abort();
    if (event_item(event, path, n, &item, &error) != ERROR_POISON)
        abort();
}

/* The first byte says how long a path stands in front of the value. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct event_settings settings = {.max_depth = DEPTH, .id = {PLACE_PAYLOAD, "id"}, .time = {PLACE_PAYLOAD, "at"},
                                                   .version = {PLACE_PAYLOAD, "v"}};
    static const struct event_settings plain = {.max_depth = DEPTH};
    size_t path_size = size == 0 ? 0 : data[0] % PATH_BYTES;
    char path[PATH_BYTES + 1] = "";
    struct record record = {.topic = "fuzz", .timestamp_ms = 1};
    const struct event *event;
    struct rs_value value;
    struct error error;

    if (decoder == NULL) {
        decoder = event_decoder_new(&settings);
        again = event_decoder_new(&plain);
    }
    if (decoder == NULL || again == NULL || size < path_size + 1)
        return 0;
    memcpy(path, data + 1, path_size);
    record.value_size = size - path_size - 1;
    record.value = data + 1 + path_size;
    if (event_decode(decoder, &record, &event, &error) != 0)
        return 0;
    read_all(event, path);
    read_all(event, "");
    if (event_get(event, "", RS_JSON, &value, &error) != 0)
        abort();
    print_again(&value.as.json);
    return 0;
}
