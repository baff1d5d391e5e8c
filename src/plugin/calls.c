/*
 * calls - what a handler may call, as the functions of the host table: events, rows, messages, memory.
 *
 * Runs inside a handler, in the task's one thread. Errors stick: after the first refused call nothing happens any more. A call
 * that needs a row of the store only notes it, and the run goes on, so that one run finds all the rows it needs; nothing of it
 * counts.
 */
#include "plugin/inside.h"

#include "base/text.h"
#include "plugin/record_key.h"

#include <stdio.h>
#include <string.h>

enum { ALLOC_MAX = 1024 * 1024, ROWS_MAX = 100000 };

/* ---- What sticks ---- */

/* Notes a result of event or fold, whose text is in host->error already. True: 0. */
static bool settle(struct plugin_host *host, int result)
{
    if (result == 0)
        return true;
    if (result == FOLD_NEEDS_ROW)
        host->needs_rows = true;
    else
        host->stop = result;
    return false;
}

/* ---- Events ---- */

static const struct rs_record *get_record(const struct rs_event *event)
{
    return event_record(event->owner->event);
}

static bool has_field(const struct rs_event *event, const char *path)
{
    return event->event != NULL && event->owner->stop == 0 && event_has(event->event, path);
}

static bool get_field(const struct rs_event *event, const char *path, uint32_t type, bool must, struct rs_value *ret_value)
{
    struct plugin_host *host = event->owner;
    int result;

    if (host->stop != 0)
        return false;
    result = event_get(event->event, path, type, ret_value, &host->error);
    if (result == 0)
        return true;
    if (result != EVENT_ABSENT)
        host->stop = result;
    else if (must)
        host->stop = error_set(&host->error, ERROR_POISON, "field %s is missing", path[0] == '\0' ? "(the whole)" : path);
    return false;
}

static uint32_t count_items(const struct rs_event *event, const char *path)
{
    struct plugin_host *host = event->owner;
    uint32_t n = 0;
    int result = host->stop != 0 ? EVENT_ABSENT : event_count(event->event, path, &n, &host->error);

    if (result == 0)
        return n;
    if (result != EVENT_ABSENT)
        host->stop = result;
    return 0;
}

static const struct rs_event *get_item(const struct rs_event *event, const char *path, uint32_t index)
{
    struct plugin_host *host = event->owner;
    struct rs_event *item;

    if (host->stop != 0)
        return &host->dead_event;
    item = arena_alloc(host->arena, sizeof *item);
    if (item == NULL) {
        host->stop = error_set(&host->error, ERROR_BUG, "out of memory");
        return &host->dead_event;
    }
    *item = *event;
    host->stop = event_item(event->event, path, index, &item->event, &host->error);
    return host->stop != 0 ? &host->dead_event : item;
}

static bool get_header(const struct rs_event *event, const char *name, struct rs_bytes *ret_value)
{
    return event->owner->stop == 0 && event_header(event->owner->event, name, ret_value);
}

/* ---- Rows ---- */

/* NULL: no memory, or more than an event may name. */
static struct rs_row *new_handle(struct plugin_host *host)
{
    uint32_t number = host->n_rows++;
    struct rs_row *handle;

    if (number < HANDLES)
        return &host->handles[number];
    if (number >= ROWS_MAX) {
        host->stop = error_set(&host->error, ERROR_POISON, "the event touches more than %d rows", ROWS_MAX);
        return NULL;
    }
    handle = arena_alloc(host->arena, sizeof *handle);
    if (handle == NULL)
        host->stop = error_set(&host->error, ERROR_BUG, "out of memory");
    else
        *handle = host->dead_row;
    return handle;
}

/* The fold judges values; who may touch which row is judged here. */
static int check_key(const struct plugin_host *host, uint32_t number, const struct rs_value *keys, uint32_t n_keys,
                     struct error *ret_error)
{
    const struct table *table = &host->projection->tables[number];
    int result;

    if (number >= host->projection->n_tables || table->is_omitted || n_keys != table->n_keys)
        return 0; /* the fold says what is wrong */
    result = record_key_check_types(table, keys, ret_error);
    return result != 0 ? result : record_key_check(table, &event_record(host->event)->key, &keys[0], ret_error);
}

static struct rs_row *get_row(struct rs_batch *batch, uint32_t number, const struct rs_value *keys, uint32_t n_keys)
{
    struct plugin_host *host = batch->owner;
    struct rs_row *handle = host->stop != 0 ? NULL : new_handle(host);

    if (handle == NULL)
        return &host->dead_row;
    handle->row = NULL;
    host->stop = check_key(host, number, keys, n_keys, &host->error);
    if (host->stop != 0 || !settle(host, batch_row(host->batch, number, keys, n_keys, &handle->row, &host->error)))
        return &host->dead_row;
    return handle;
}

/* The dead row does nothing even where the run goes on because a row is to be loaded. */
static bool is_usable(const struct rs_row *row)
{
    return row->owner->stop == 0 && row->row != NULL;
}

static void set_column(struct rs_row *row, uint32_t column, const struct rs_value *value)
{
    struct plugin_host *host = row->owner;

    if (is_usable(row))
        settle(host, batch_set(host->batch, row->row, column, value, &host->error));
}

static void apply_column(struct rs_row *row, uint32_t column, uint32_t operation, const struct rs_value *value)
{
    struct plugin_host *host = row->owner;

    if (is_usable(row))
        settle(host, batch_apply(host->batch, row->row, column, operation, value, &host->error));
}

static bool get_column(struct rs_row *row, uint32_t column, uint32_t type, struct rs_value *ret_value)
{
    struct plugin_host *host = row->owner;
    struct rs_value value;

    if (!is_usable(row) || !settle(host, batch_get(host->batch, row->row, column, type, &value, &host->error)) || value.type == 0)
        return false;
    *ret_value = value;
    return true;
}

static bool does_exist(struct rs_row *row)
{
    struct plugin_host *host = row->owner;
    bool exists = false;

    return is_usable(row) && settle(host, batch_exists(host->batch, row->row, &exists, &host->error)) && exists;
}

static void remove_row(struct rs_row *row)
{
    struct plugin_host *host = row->owner;

    if (is_usable(row))
        settle(host, batch_remove(host->batch, row->row, &host->error));
}

/* ---- The rest ---- */

static void emit(struct rs_batch *batch, const struct rs_message *message)
{
    struct plugin_host *host = batch->owner;

    if (host->stop == 0)
        settle(host, batch_emit(host->batch, message, &host->error));
}

static enum rs_verdict fail(struct rs_batch *batch, uint32_t verdict, const char *text)
{
    struct plugin_host *host = batch->owner;
    int class = verdict == RS_POISON ? ERROR_POISON : ERROR_BUG;

    if (verdict == RS_SKIP)
        return RS_SKIP;
    if (host->stop == 0)
        host->stop = error_set(&host->error, class, "%s",
                               text != NULL && text_is_utf8(text, strlen(text), NULL) ? text : "the handler gives no readable reason");
    return verdict == RS_POISON ? RS_POISON : RS_BROKEN;
}

/* Gives memory after a refused call as well, so that a handler need not look for one. */
static void *allocate(struct rs_batch *batch, size_t size_bytes)
{
    struct plugin_host *host = batch->owner;
    size_t cost = size_bytes < ALLOC_MAX ? (size_bytes + 16) & ~(size_t)15 : ALLOC_MAX; /* that of nothing is not nothing */
    void *memory = NULL;

    if (size_bytes <= ALLOC_MAX && cost <= ALLOC_MAX - host->alloc_bytes)
        memory = arena_zalloc(host->arena, size_bytes);
    if (memory != NULL)
        host->alloc_bytes += cost;
    else if (host->stop == 0)
        host->stop = error_set(&host->error, ERROR_POISON, "the handler asks for more than %d bytes of memory", ALLOC_MAX);
    return memory;
}

const struct rs_host calls_host_table = {
    .abi_major = RS_ABI_MAJOR,
    .abi_minor = RS_ABI_MINOR,
    .size = sizeof(struct rs_host),
    .event_record = get_record,
    .event_has = has_field,
    .event_get = get_field,
    .event_count = count_items,
    .event_item = get_item,
    .event_header = get_header,
    .row = get_row,
    .row_set = set_column,
    .row_apply = apply_column,
    .row_get = get_column,
    .row_exists = does_exist,
    .row_remove = remove_row,
    .emit = emit,
    .fail = fail,
    .alloc = allocate,
    .option = setup_option,
    .setup_alloc = setup_alloc,
    .omit_table = setup_omit_table,
    .refuse = setup_refuse,
};
