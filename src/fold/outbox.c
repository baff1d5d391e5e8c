/*
 * outbox - the messages that handlers emit, kept in their order until the batch is written.
 *
 * Called by the plugin host for the event under way, in the task's one thread. Copies everything; never looks into a message.
 */
#include "base/text.h"
#include "fold/inside.h"

#include <string.h>

static const size_t message_bytes_max = (size_t)64 << 20; /* far above what a broker takes */

enum { HEADERS_MAX = 1000, TOPIC_SIZE_MAX = 249 };

/* NULL stays NULL: it means no key, or a tombstone. */
static bool copy_bytes(struct arena *arena, struct rs_bytes *bytes)
{
    if (bytes->data != NULL)
        bytes->data = arena_copy(arena, bytes->data, bytes->size);
    else
        bytes->size = 0;
    return bytes->size == 0 || bytes->data != NULL;
}

/* The plugin may have been built with a longer struct rs_header. */
static const struct rs_header *header_at(const struct rs_message *message, uint32_t index)
{
    const char *at = (const char *)message->headers + (size_t)index * message->header_size;

    return (const struct rs_header *)at;
}

/* Kafka's rule (org.apache.kafka.common.internals.Topic): what breaks it would be found when the message is relayed, too late. */
static bool is_topic(const char *name)
{
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    return strlen(name) <= TOPIC_SIZE_MAX && name[strspn(name, legal)] == '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int check(const struct rs_message *message, struct error *ret_error)
{
    size_t size = message->key.size;

    if (message->topic == NULL || message->topic[0] == '\0')
        return error_set(ret_error, ERROR_BUG, "a message without a topic");
    if (!is_topic(message->topic))
        return error_set(ret_error, ERROR_POISON,
                         "a message to a topic of an illegal name (letters, digits, '.', '_' and '-', at most %d)", TOPIC_SIZE_MAX);
    if (message->n_headers > HEADERS_MAX)
        return error_set(ret_error, ERROR_BUG, "a message to %s with %u headers; at most %d", message->topic, message->n_headers,
                         HEADERS_MAX);
    if (message->n_headers > 0 && (message->headers == NULL || message->header_size < sizeof(struct rs_header)))
        return error_set(ret_error, ERROR_BUG, "a message to %s whose headers are NULL or of %u bytes each", message->topic,
                         message->header_size);
    if (__builtin_add_overflow(size, message->value.size, &size) || size > message_bytes_max)
        return error_set(ret_error, ERROR_POISON, "a message to %s of more than %zu bytes", message->topic, message_bytes_max);
    for (uint32_t i = 0; i < message->n_headers; i++) {
        if (header_at(message, i)->name == NULL)
            return error_set(ret_error, ERROR_BUG, "a message to %s with a header without a name", message->topic);
        if (!text_is_utf8(header_at(message, i)->name, strlen(header_at(message, i)->name), NULL))
            return error_set(ret_error, ERROR_POISON, "a message to %s with a header whose name is not UTF-8", message->topic);
        if (__builtin_add_overflow(size, header_at(message, i)->value.size, &size) || size > message_bytes_max)
            return error_set(ret_error, ERROR_POISON, "a message to %s of more than %zu bytes", message->topic,
                             message_bytes_max);
    }
    return 0;
}

static bool copy_headers(struct arena *arena, const struct rs_message *message, struct outbox_message *copy)
{
    struct rs_header *headers;

    if (message->n_headers == 0)
        return true;
    headers = arena_alloc(arena, message->n_headers * sizeof *headers);
    if (headers == NULL)
        return false;
    for (uint32_t i = 0; i < message->n_headers; i++) {
        headers[i] = *header_at(message, i);
        headers[i].name = arena_copy(arena, headers[i].name, strlen(headers[i].name));
        if (headers[i].name == NULL || !copy_bytes(arena, &headers[i].value))
            return false;
    }
    copy->headers = headers;
    copy->n_headers = message->n_headers;
    return true;
}

/* Most messages of a batch have the same topics: one copy serves its neighbours. */
static const char *keep_text(struct arena *arena, const char *text, const char *kept)
{
    return kept != NULL && strcmp(kept, text) == 0 ? kept : arena_copy(arena, text, strlen(text));
}

int batch_emit(struct batch *batch, const struct rs_message *message, struct error *ret_error)
{
    const struct outbox_message *last = batch->n_outbox > 0 ? &batch->outbox[batch->n_outbox - 1] : NULL;
    struct outbox_message copy = {.key = message->key,
                                  .value = message->value,
                                  .source_partition = batch->event_partition,
                                  .source_offset = batch->event_offset};
    int result = check(message, ret_error);

    if (result != 0)
        return result;
    if (batch->n_changes++ >= EVENT_CHANGES_MAX)
        return error_set(ret_error, ERROR_POISON, "the event makes more than %d changes", EVENT_CHANGES_MAX);
    if (!batch_has_room(batch))
        return FOLD_FULL;
    copy.topic = keep_text(batch->arena, message->topic, last == NULL ? NULL : last->topic);
    copy.source_topic = keep_text(batch->arena, batch->event_topic, last == NULL ? NULL : last->source_topic);
    if (copy.topic == NULL || copy.source_topic == NULL || !copy_bytes(batch->arena, &copy.key) ||
        !copy_bytes(batch->arena, &copy.value) || !copy_headers(batch->arena, message, &copy) ||
        !grow_array(&batch->outbox, batch->n_outbox, &batch->outbox_capacity, sizeof batch->outbox[0]))
        return fold_out_of_memory(ret_error);
    batch->outbox[batch->n_outbox++] = copy;
    return 0;
}

const struct outbox_message *batch_outbox(const struct batch *batch, size_t *ret_n)
{
    *ret_n = batch->n_outbox;
    return batch->outbox;
}
