/*
 * pack - see pack.h. Packing runs in the supervisor, unpacking in a task at its start, each in its one thread.
 *
 * The key table says what there is to carry, so that a new key needs nothing here.
 */
#include "config/pack.h"

#include "base/arena.h"
#include "config/keys.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK = 16 * 1024, MAX_ITEMS = 1 << 20 };

/* ---- Packing ---- */

static void put_number(struct buffer *bytes, int64_t number)
{
    buffer_put_be64(bytes, (uint64_t)number);
}

/* The length with its NUL, 0 for NULL; then the text. */
static void put_text(struct buffer *bytes, const char *text)
{
    size_t size = text == NULL ? 0 : strlen(text) + 1;

    put_number(bytes, (int64_t)size);
    if (size > 0)
        buffer_append(bytes, text, size);
}

static void put_strings(struct buffer *bytes, const struct config_strings *strings)
{
    put_number(bytes, (int64_t)strings->n);
    for (size_t i = 0; i < strings->n; i++)
        put_text(bytes, strings->items[i]);
}

static void put_pairs(struct buffer *bytes, const struct config_pairs *pairs)
{
    put_number(bytes, (int64_t)pairs->n);
    for (size_t i = 0; i < pairs->n; i++) {
        put_text(bytes, pairs->items[i].name);
        put_text(bytes, pairs->items[i].value);
        put_text(bytes, pairs->items[i].place);
        put_number(bytes, pairs->items[i].is_secret);
    }
}

static void put_member(struct buffer *bytes, enum key_type type, const void *member)
{
    switch (type) {
    case KEY_BOOL:
        put_number(bytes, *(const bool *)member);
        break;
    case KEY_INT:
    case KEY_DURATION:
    case KEY_SIZE:
        put_number(bytes, *(const int64_t *)member);
        break;
    case KEY_TEXT:
    case KEY_CHOICE:
        put_text(bytes, *(const char *const *)member);
        break;
    case KEY_LIST:
        put_strings(bytes, member);
        break;
    case KEY_PAIRS:
        put_pairs(bytes, member);
        break;
    case KEY_STORE: /* travels beside the pipeline */
        break;
    }
}

/* A key that stands for a client property is in the list of properties already. */
static void put_group(struct buffer *bytes, enum key_group_id id, const void *object)
{
    const struct key_group *group = &key_groups[id];

    for (size_t i = 0; i < group->n_keys; i++)
        if (group->keys[i].property == NULL)
            put_member(bytes, group->keys[i].type, (const char *)object + group->keys[i].offset);
}

void config_pack(const struct config *config, const struct config_pipeline *pipeline, struct buffer *ret_bytes)
{
    put_text(ret_bytes, config->path);
    put_group(ret_bytes, GROUP_WORKER, &config->worker);
    put_group(ret_bytes, GROUP_KAFKA, &config->kafka);
    put_text(ret_bytes, pipeline->store->name);
    put_text(ret_bytes, pipeline->store->place);
    put_group(ret_bytes, GROUP_STORE, pipeline->store);
    put_text(ret_bytes, pipeline->name);
    put_text(ret_bytes, pipeline->place);
    put_group(ret_bytes, GROUP_PIPELINE, pipeline);
}

/* ---- Unpacking: the first thing that does not fit sticks ---- */

struct unpacked {
    struct config config; /* first: the two are one object */
    struct arena *arena;
    struct config_store store;
    struct config_pipeline pipeline;
};

struct reader {
    const unsigned char *data;
    size_t size;
    struct arena *arena;
    bool has_failed;
};

static int64_t get_number(struct reader *reader)
{
    uint64_t number = 0;

    if (reader->has_failed || reader->size < 8) {
        reader->has_failed = true;
        return 0;
    }
    for (int i = 0; i < 8; i++)
        number = number << 8 | reader->data[i];
    reader->data += 8;
    reader->size -= 8;
    return (int64_t)number;
}

static const char *get_text(struct reader *reader)
{
    int64_t size = get_number(reader);
    const char *text;

    if (reader->has_failed || size == 0)
        return NULL;
    if (size < 0 || (uint64_t)size > reader->size || reader->data[size - 1] != '\0') {
        reader->has_failed = true;
        return NULL;
    }
    text = arena_copy(reader->arena, reader->data, (size_t)size - 1);
    reader->has_failed |= text == NULL;
    reader->data += size;
    reader->size -= (size_t)size;
    return text;
}

/* Memory for a list, whose length comes first. */
static void *get_items(struct reader *reader, size_t item_size, size_t *ret_n)
{
    int64_t n = get_number(reader);
    void *items;

    if (n < 0 || n > MAX_ITEMS)
        reader->has_failed = true;
    if (reader->has_failed || n == 0)
        return NULL;
    items = arena_zalloc(reader->arena, (size_t)n * item_size);
    reader->has_failed |= items == NULL;
    if (items != NULL)
        *ret_n = (size_t)n;
    return items;
}

static struct config_strings get_strings(struct reader *reader)
{
    size_t n = 0;
    const char **items = get_items(reader, sizeof *items, &n);

    for (size_t i = 0; i < n; i++)
        items[i] = get_text(reader);
    return (struct config_strings){.items = items, .n = n};
}

static struct config_pairs get_pairs(struct reader *reader)
{
    size_t n = 0;
    struct config_pair *items = get_items(reader, sizeof *items, &n);

    for (size_t i = 0; i < n; i++) {
        items[i].name = get_text(reader);
        items[i].value = get_text(reader);
        items[i].place = get_text(reader);
        items[i].is_secret = get_number(reader) != 0;
    }
    return (struct config_pairs){.items = items, .n = n};
}

static void get_member(struct reader *reader, enum key_type type, void *member)
{
    switch (type) {
    case KEY_BOOL:
        *(bool *)member = get_number(reader) != 0;
        break;
    case KEY_INT:
    case KEY_DURATION:
    case KEY_SIZE:
        *(int64_t *)member = get_number(reader);
        break;
    case KEY_TEXT:
    case KEY_CHOICE:
        *(const char **)member = get_text(reader);
        break;
    case KEY_LIST:
        *(struct config_strings *)member = get_strings(reader);
        break;
    case KEY_PAIRS:
        *(struct config_pairs *)member = get_pairs(reader);
        break;
    case KEY_STORE:
        break;
    }
}

static void get_group(struct reader *reader, enum key_group_id id, void *object)
{
    const struct key_group *group = &key_groups[id];

    for (size_t i = 0; i < group->n_keys; i++)
        if (group->keys[i].property == NULL)
            get_member(reader, group->keys[i].type, (char *)object + group->keys[i].offset);
}

int config_unpack(const void *bytes, size_t size, struct config **ret_config, struct error *ret_error)
{
    struct unpacked *unpacked = calloc(1, sizeof *unpacked);
    struct reader reader = {.data = bytes, .size = size};

    if (unpacked != NULL)
        reader.arena = unpacked->arena = arena_new(ARENA_BLOCK, 0);
    if (reader.arena == NULL) {
        free(unpacked);
        return error_set(ret_error, ERROR_BUG, "out of memory");
    }
    unpacked->config = (struct config){.stores = &unpacked->store, .n_stores = 1, .pipelines = &unpacked->pipeline, .n_pipelines = 1};
    unpacked->config.path = get_text(&reader);
    get_group(&reader, GROUP_WORKER, &unpacked->config.worker);
    get_group(&reader, GROUP_KAFKA, &unpacked->config.kafka);
    unpacked->store.name = get_text(&reader);
    unpacked->store.place = get_text(&reader);
    get_group(&reader, GROUP_STORE, &unpacked->store);
    unpacked->pipeline.name = get_text(&reader);
    unpacked->pipeline.place = get_text(&reader);
    get_group(&reader, GROUP_PIPELINE, &unpacked->pipeline);
    unpacked->pipeline.store = &unpacked->store;
    if (reader.has_failed || reader.size > 0 || unpacked->pipeline.name == NULL) {
        config_free_unpacked(&unpacked->config);
        return error_set(ret_error, ERROR_BUG, "the packed configuration is damaged");
    }
    *ret_config = &unpacked->config;
    return 0;
}

struct config *config_free_unpacked(struct config *config)
{
    struct unpacked *unpacked = (struct unpacked *)config;

    if (unpacked != NULL) {
        arena_free(unpacked->arena);
        free(unpacked);
    }
    return NULL;
}
