/*
 * host - see host.h. The functions behind the host table, the sticky first error, and the dispatch of events to handlers.
 *
 * The rs_event, rs_batch and rs_row that a handler sees are small handles that begin with the host table; they live in an arena
 * that is reset with each event.
 */
#include "plugin/host.h"

#include "base/text.h"
#include "plugin/check.h"
#include "plugin/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALL_BLOCK = 32 * 1024, CALL_KEEP = 256 * 1024, ALLOC_MAX = 1024 * 1024, KEY_TEXT_MAX = 64 };

struct rs_event {
    const struct rs_host *host;
    struct plugin_host *owner;
    const struct event *event;
};

struct rs_batch {
    const struct rs_host *host;
    struct plugin_host *owner;
};

struct rs_row {
    const struct rs_host *host;
    struct plugin_host *owner;
    struct row *row; /* NULL: the call that made it was refused */
};

struct plugin_host {
    struct projection *projection;
    struct rs_instance *instance;
    struct options *options;
    struct arena *arena; /* handles and rs_alloc() of one event */
    size_t alloc_bytes;
    struct rs_batch handle;
    bool reads;

    /* the event under way */
    struct batch *batch;
    const struct rs_record *record;
    int mark; /* 0, fold_result or error class: the first refusal */
    struct error *error;
};

/* ---- The first refusal counts ---- */

static bool is_marked(const struct plugin_host *host)
{
    return host->mark != 0;
}

/* Takes over a result of event or fold; the text is in host->error already. */
static void mark(struct plugin_host *host, int result)
{
    if (host->mark == 0)
        host->mark = result;
}

static void refuse(struct plugin_host *host, int class, const char *format, ...) PRINTF_LIKE(3, 4);

static void refuse(struct plugin_host *host, int class, const char *format, ...)
{
    char text[ERROR_TEXT_SIZE];
    va_list arguments;

    if (is_marked(host))
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    mark(host, error_set(host->error, class, "%s", text));
}

/* ---- Events ---- */

static const struct rs_record *on_record(const struct rs_event *event)
{
    return event->owner->record;
}

static bool on_has(const struct rs_event *event, const char *path)
{
    struct error ignored;
    uint32_t n;
    struct rs_value value;

    /* Any type will do: what matters is whether something is there. */
    return event_count(event->event, path, &n, &ignored) != EVENT_ABSENT &&
           event_get(event->event, path, RS_BOOL, &value, &ignored) != EVENT_ABSENT;
}

static bool on_get(const struct rs_event *event, const char *path, uint32_t type, bool must, struct rs_value *ret_value)
{
    struct plugin_host *host = event->owner;
    int result;

    if (is_marked(host))
        return false;
    result = event_get(event->event, path, type, ret_value, host->error);
    if (result == 0)
        return true;
    if (result != EVENT_ABSENT)
        mark(host, result);
    else if (must)
        refuse(host, ERROR_POISON, "field %s is missing", path);
    return false;
}

static uint32_t on_count(const struct rs_event *event, const char *path)
{
    struct plugin_host *host = event->owner;
    uint32_t n = 0;
    int result;

    if (is_marked(host))
        return 0;
    result = event_count(event->event, path, &n, host->error);
    if (result != 0 && result != EVENT_ABSENT)
        mark(host, result);
    return result == 0 ? n : 0;
}

static const struct rs_event *on_item(const struct rs_event *event, const char *path, uint32_t index)
{
    struct plugin_host *host = event->owner;
    struct rs_event *item;
    int result;

    if (is_marked(host))
        return event; /* never NULL; whatever is read of it is zero */
    item = arena_alloc(host->arena, sizeof *item);
    if (item == NULL) {
        refuse(host, ERROR_BUG, "out of memory");
        return event;
    }
    *item = *event;
    result = event_item(event->event, path, index, &item->event, host->error);
    if (result != 0)
        mark(host, result);
    return item;
}

static bool on_header(const struct rs_event *event, const char *name, struct rs_bytes *ret_value)
{
    return event_header(event->event, name, ret_value);
}

/* ---- Rows ---- */

/* The first key as the record key would show it. */
static size_t print_key(const struct rs_value *key, char *ret_text)
{
    switch (key->type) {
    case RS_INT:
        return (size_t)snprintf(ret_text, KEY_TEXT_MAX, "%" PRId64, key->as.integer);
    case RS_UUID:
        text_print_uuid(key->as.uuid.bytes, ret_text);
        return TEXT_UUID_SIZE - 1;
    case RS_DATE:
        text_print_date(key->as.date.days, ret_text);
        return TEXT_DATE_SIZE - 1;
    case RS_BOOL:
        return (size_t)snprintf(ret_text, KEY_TEXT_MAX, "%s", key->boolean != 0 ? "true" : "false");
    case RS_DECIMAL:
        return decimal_print(key->as.decimal, ret_text);
    case RS_TIMESTAMP:
        text_print_timestamp(key->as.timestamp.microseconds, ret_text);
        return TEXT_TIMESTAMP_SIZE - 1;
    default:
        return 0;
    }
}

static bool equals_record_key(const struct rs_bytes *record_key, const struct rs_value *key)
{
    char text[KEY_TEXT_MAX];
    size_t size;

    if (key->type == RS_TEXT || key->type == RS_BYTES)
        return key->as.text.size == record_key->size && memcmp(key->as.text.data, record_key->data, record_key->size) == 0;
    size = print_key(key, text);
    return size == record_key->size && memcmp(text, record_key->data, size) == 0;
}

/* Rows of a partitioned table belong to the partition that their key leads to: checked, not believed. */
static bool may_touch(struct plugin_host *host, uint32_t number, const struct rs_value *keys, uint32_t n_keys)
{
    const struct rs_bytes *record_key = &host->record->key;
    const struct table *table;
    int shown = record_key->size < 100 ? (int)record_key->size : 100;

    if (number >= host->projection->n_tables || n_keys == 0)
        return true; /* the fold says what is wrong */
    table = &host->projection->tables[number];
    if (table->is_shared)
        return true;
    if (record_key->data == NULL) {
        refuse(host, ERROR_POISON, "the record has no key, but touches the partitioned table %s", table->name);
        return false;
    }
    if (table->key_follows || equals_record_key(record_key, &keys[0]))
        return true;
    refuse(host, ERROR_POISON,
           "the first key of %s is not the record key \"%.*s\"; if its rows are nevertheless touched from one partition only, declare "
           "RS_KEY_FOLLOWS",
           table->name, shown, (const char *)record_key->data);
    return false;
}

static struct rs_row *on_row(struct rs_batch *batch, uint32_t table, const struct rs_value *keys, uint32_t n_keys)
{
    static struct rs_row dead = {0};
    struct plugin_host *host = batch->owner;
    struct rs_row *handle = arena_alloc(host->arena, sizeof *handle);

    if (handle == NULL) {
        refuse(host, ERROR_BUG, "out of memory");
        dead = (struct rs_row){.host = batch->host, .owner = host};
        return &dead;
    }
    *handle = (struct rs_row){.host = batch->host, .owner = host};
    if (is_marked(host) || !may_touch(host, table, keys, n_keys))
        return handle;
    mark(host, batch_row(host->batch, table, keys, n_keys, &handle->row, host->error));
    return handle;
}

static void on_set(struct rs_row *row, uint32_t column, const struct rs_value *value)
{
    struct plugin_host *host = row->owner;

    if (!is_marked(host))
        mark(host, batch_set(host->batch, row->row, column, value, host->error));
}

static void on_apply(struct rs_row *row, uint32_t column, uint32_t operation, const struct rs_value *value)
{
    struct plugin_host *host = row->owner;

    if (!is_marked(host))
        mark(host, batch_apply(host->batch, row->row, column, operation, value, host->error));
}

static bool on_row_get(struct rs_row *row, uint32_t column, uint32_t type, struct rs_value *ret_value)
{
    struct plugin_host *host = row->owner;
    struct rs_value value;
    int result;

    if (is_marked(host))
        return false;
    result = batch_get(host->batch, row->row, column, type, &value, host->error);
    mark(host, result);
    if (result != 0 || value.type == 0)
        return false;
    *ret_value = value;
    return true;
}

static bool on_exists(struct rs_row *row)
{
    struct plugin_host *host = row->owner;
    bool exists = false;

    if (!is_marked(host))
        mark(host, batch_exists(host->batch, row->row, &exists, host->error));
    return exists;
}

static void on_remove(struct rs_row *row)
{
    struct plugin_host *host = row->owner;

    if (!is_marked(host))
        mark(host, batch_remove(host->batch, row->row, host->error));
}

/* ---- The rest ---- */

static void on_emit(struct rs_batch *batch, const struct rs_message *message)
{
    struct plugin_host *host = batch->owner;

    if (!is_marked(host))
        mark(host, batch_emit(host->batch, message, host->error));
}

static enum rs_verdict on_fail(struct rs_batch *batch, uint32_t verdict, const char *text)
{
    refuse(batch->owner, verdict == RS_POISON ? ERROR_POISON : ERROR_BUG, "%s", text == NULL ? "(no reason given)" : text);
    return verdict == RS_POISON ? RS_POISON : RS_BROKEN;
}

static void *on_alloc(struct rs_batch *batch, size_t size_bytes)
{
    struct plugin_host *host = batch->owner;
    void *memory = NULL;

    if (size_bytes <= ALLOC_MAX - host->alloc_bytes)
        memory = arena_zalloc(host->arena, size_bytes);
    if (memory == NULL)
        refuse(host, ERROR_POISON, "the handler asks for more than %d bytes of memory", ALLOC_MAX);
    else
        host->alloc_bytes += size_bytes;
    return memory;
}

static const struct rs_host host_table = {.abi_major = RS_ABI_MAJOR,
                                          .abi_minor = RS_ABI_MINOR,
                                          .size = sizeof(struct rs_host),
                                          .event_record = on_record,
                                          .event_has = on_has,
                                          .event_get = on_get,
                                          .event_count = on_count,
                                          .event_item = on_item,
                                          .event_header = on_header,
                                          .row = on_row,
                                          .row_set = on_set,
                                          .row_apply = on_apply,
                                          .row_get = on_row_get,
                                          .row_exists = on_exists,
                                          .row_remove = on_remove,
                                          .emit = on_emit,
                                          .fail = on_fail,
                                          .alloc = on_alloc,
                                          .option = options_get,
                                          .setup_alloc = options_alloc,
                                          .omit_table = options_omit_table,
                                          .refuse = options_refuse};

/* ---- Dispatch ---- */

static bool takes(const struct rs_handler *handler, const struct rs_record *record)
{
    if (!rs_equals(record->type, handler->type))
        return false;
    if (handler->min_version == 0 && handler->max_version == 0)
        return true;
    return record->version >= (int64_t)handler->min_version &&
           (handler->max_version == 0 || record->version <= (int64_t)handler->max_version);
}

static const struct rs_handler *find_handler(const struct projection *projection, const struct rs_record *record)
{
    const struct rs_handler *any = NULL;

    for (uint32_t i = 0; i < projection->n_handlers; i++) {
        const struct rs_handler *handler = &projection->handlers[i];

        if (takes(handler, record))
            return handler;
        if (strcmp(handler->type, RS_ANY) == 0)
            any = handler;
    }
    return any;
}

/* What the handler said, against what was refused to it. */
static int settle(struct plugin_host *host, const struct rs_handler *handler, uint32_t verdict)
{
    if (host->mark == FOLD_NEEDS_ROW)
        return APPLY_NEEDS_ROWS;
    if (host->mark == FOLD_FULL)
        return APPLY_FULL;
    if (host->mark != 0 && verdict != RS_BROKEN)
        return host->mark;
    switch (verdict) {
    case RS_DONE:
        return APPLY_DONE;
    case RS_SKIP:
        return APPLY_SKIPPED;
    case RS_POISON:
        return error_set(host->error, ERROR_POISON, "the handler of %s says poison, and no reason", handler->type);
    case RS_BROKEN:
        if (host->mark != 0) {
            host->error->class = ERROR_BUG;
            return ERROR_BUG;
        }
        return error_set(host->error, ERROR_BUG, "the handler of %s says broken, and no reason", handler->type);
    default:
        return error_set(host->error, ERROR_BUG, "the handler of %s returns %u, which is no verdict", handler->type, verdict);
    }
}

int plugin_host_apply(struct plugin_host *host, const struct event *event, struct batch *batch, struct error *ret_error)
{
    const struct rs_record *record = event_record(event);
    const struct rs_handler *handler = find_handler(host->projection, record);
    struct rs_event handle = {.host = &host_table, .owner = host, .event = event};
    int result;

    if (handler == NULL)
        return APPLY_UNHANDLED;
    arena_reset(host->arena);
    host->alloc_bytes = 0;
    host->batch = batch;
    host->record = record;
    host->mark = 0;
    host->error = ret_error;
    batch_begin(batch, record->topic.data, record->partition, record->offset);
    result = settle(host, handler, (uint32_t)handler->function(host->instance, &handle, &host->handle));
    if (result == APPLY_DONE)
        batch_keep(batch);
    else
        batch_undo(batch);
    return result;
}

/* ---- Declared reads ---- */

static bool read_key(const struct event *event, const struct rs_record *record, const char *path, enum rs_type type,
                     struct rs_value *ret_value)
{
    struct error ignored;

    memset(ret_value, 0, sizeof *ret_value);
    if (strcmp(path, "$key") != 0)
        return event_get(event, path, type, ret_value, &ignored) == 0;
    if (record->key.data == NULL)
        return false;
    ret_value->type = type;
    if (type == RS_TEXT || type == RS_BYTES)
        ret_value->as.text = (struct rs_text){.data = record->key.data, .size = record->key.size};
    else if (type == RS_INT)
        return text_read_int(record->key.data, record->key.size, &ret_value->as.integer);
    else if (type == RS_UUID)
        return text_read_uuid(record->key.data, record->key.size, ret_value->as.uuid.bytes);
    else
        return false;
    return true;
}

static void want(struct plugin_host *host, const struct event *event, const struct rs_read *read, struct batch *batch)
{
    const struct table *table = &host->projection->tables[read->table];
    struct rs_value keys[RS_MAX_KEYS];
    struct error ignored;

    if (table->is_omitted)
        return;
    for (uint32_t i = 0; i < read->n_keys; i++)
        if (!read_key(event, event_record(event), read->keys[i], table->columns[table->keys[i]].type, &keys[i]))
            return;
    if (batch_want(batch, read->table, keys, read->n_keys, &ignored) != 0)
        return; /* the handler will meet the same error and report it */
}

void plugin_host_prefetch(struct plugin_host *host, const struct event *event, struct batch *batch)
{
    const struct rs_handler *handler = find_handler(host->projection, event_record(event));

    for (uint32_t i = 0; handler != NULL && i < handler->n_reads; i++) {
        struct rs_read read;

        check_copy_item(handler->reads, handler->read_size, i, &read, sizeof read);
        want(host, event, &read, batch);
    }
}

bool plugin_host_reads(const struct plugin_host *host)
{
    return host->reads;
}

/* ---- Life ---- */

int plugin_host_new(struct projection *projection, const struct plugin_setting *settings, size_t n_settings,
                    struct plugin_host **ret_host, struct error *ret_error)
{
    struct plugin_host *host = calloc(1, sizeof *host);
    int result;

    if (host == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    host->projection = projection;
    host->handle = (struct rs_batch){.host = &host_table, .owner = host};
    host->arena = arena_new(CALL_BLOCK, CALL_KEEP);
    result = host->arena == NULL ? error_set(ret_error, ERROR_BUG, "out of memory")
                                 : options_open(projection, &host_table, settings, n_settings, &host->options, &host->instance, ret_error);
    if (result != 0) {
        plugin_host_free(host);
        return result;
    }
    for (uint32_t i = 0; i < projection->n_handlers; i++)
        host->reads = host->reads || projection->handlers[i].n_reads > 0;
    *ret_host = host;
    return 0;
}

struct plugin_host *plugin_host_free(struct plugin_host *host)
{
    if (host == NULL)
        return NULL;
    if (host->options != NULL && host->projection->close != NULL)
        host->projection->close(host->instance);
    options_free(host->options);
    arena_free(host->arena);
    free(host);
    return NULL;
}
