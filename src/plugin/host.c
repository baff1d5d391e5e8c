/*
 * host - see host.h: an instance of a projection, and what becomes of an event that its handler has seen.
 *
 * One per task, used from its one thread. What a handler may call is in calls.c, what open() may call in setup.c.
 */
#include "plugin/host.h"

#include "plugin/inside.h"
#include "plugin/record_key.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK = 16 * 1024, ARENA_KEEP = 256 * 1024 };

/* ---- Life ---- */

/* Of tables that open() has left in. */
static bool reads_rows(const struct projection *projection)
{
    for (uint32_t i = 0; i < projection->n_handlers; i++)
        for (uint32_t j = 0; j < projection->handlers[i].n_reads; j++)
            if (!projection->tables[projection->handlers[i].reads[j].table].is_omitted)
                return true;
    return false;
}

int plugin_host_new(struct projection *projection, const struct plugin_setting *settings, size_t n_settings,
                    struct plugin_host **ret_host, struct error *ret_error)
{
    struct plugin_host *host = calloc(1, sizeof *host);
    int result;

    if (host == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    host->projection = projection;
    host->instance_arena = arena_new(ARENA_BLOCK, 0);
    host->arena = arena_new(ARENA_BLOCK, ARENA_KEEP);
    if (host->instance_arena != NULL)
        host->dispatch = dispatch_new(host->instance_arena, projection->handlers, projection->n_handlers);
    if (host->arena == NULL || host->dispatch == NULL) {
        plugin_host_free(host);
        return error_set(ret_error, ERROR_BUG, "out of memory");
    }
    host->root = host->dead_event = (struct rs_event){.host = &calls_host_table, .owner = host};
    host->batch_handle = (struct rs_batch){.host = &calls_host_table, .owner = host};
    host->dead_row = (struct rs_row){.host = &calls_host_table, .owner = host};
    for (uint32_t i = 0; i < HANDLES; i++)
        host->handles[i] = host->dead_row;
    result = setup_run(host, settings, n_settings, ret_error);
    if (result != 0) {
        plugin_host_free(host);
        return result;
    }
    host->reads = reads_rows(projection);
    *ret_host = host;
    return 0;
}

struct plugin_host *plugin_host_free(struct plugin_host *host)
{
    if (host == NULL)
        return NULL;
    if (host->is_open && host->projection->close != NULL && host->instance != NULL)
        host->projection->close(host->instance);
    arena_free(host->arena);
    arena_free(host->instance_arena);
    free(host);
    return NULL;
}

/* ---- One event ---- */

static const struct rs_handler *find_handler(const struct plugin_host *host, const struct event *event)
{
    const struct rs_record *record = event_record(event);

    return dispatch_find(host->dispatch, record->type, record->version);
}

static void begin(struct plugin_host *host, const struct event *event, struct batch *batch)
{
    const struct rs_record *record = event_record(event);

    if (host->alloc_bytes > 0 || arena_used_bytes(host->arena) > 0)
        arena_reset(host->arena);
    host->alloc_bytes = 0;
    host->n_rows = 0;
    host->event = host->root.event = event;
    host->batch = batch;
    host->needs_rows = false;
    host->stop = 0;
    batch_begin(batch, record->topic.data, record->partition, record->offset);
}

/* What the calls and the verdict come to. Errors have their text in host->error. */
static int judge(struct plugin_host *host, const struct rs_handler *handler, uint32_t verdict)
{
    if (host->needs_rows)
        return APPLY_NEEDS_ROWS;
    if (host->stop == FOLD_FULL)
        return APPLY_FULL;
    if (host->stop != 0) {
        host->error.class = verdict == RS_BROKEN ? ERROR_BUG : host->stop;
        return host->error.class;
    }
    switch (verdict) {
    case RS_DONE:
        return APPLY_DONE;
    case RS_SKIP:
        return APPLY_SKIPPED;
    case RS_POISON:
        return error_set(&host->error, ERROR_POISON, "the handler of %s calls the event poison without a reason", handler->type);
    case RS_BROKEN:
        return error_set(&host->error, ERROR_BUG, "the handler of %s says that the plugin is broken, without a reason",
                         handler->type);
    default:
        return error_set(&host->error, ERROR_BUG, "the handler of %s returns %u, which is no verdict: mend the plugin",
                         handler->type, verdict);
    }
}

int plugin_host_apply(struct plugin_host *host, const struct event *event, struct batch *batch, struct error *ret_error)
{
    const struct rs_handler *handler = find_handler(host, event);
    int result;

    if (handler == NULL)
        return APPLY_UNHANDLED;
    begin(host, event, batch);
    result = judge(host, handler, (uint32_t)handler->function(host->instance, &host->root, &host->batch_handle));
    if (result == APPLY_DONE)
        batch_keep(batch);
    else
        batch_undo(batch);
    if (result < 0 && ret_error != NULL)
        *ret_error = host->error;
    return result;
}

/* ---- Declared reads ---- */

static bool read_key(struct plugin_host *host, const struct event *event, const char *path, enum rs_type type,
                     struct rs_value *ret_value)
{
    if (strcmp(path, "$key") == 0)
        return record_key_read(&event_record(event)->key, type, host->arena, ret_value);
    return event_get(event, path, type, ret_value, NULL) == 0;
}

static void want(struct plugin_host *host, const struct event *event, const struct rs_read *read, struct batch *batch)
{
    const struct table *table = &host->projection->tables[read->table];
    struct rs_value keys[RS_MAX_KEYS];

    if (table->is_omitted)
        return;
    for (uint32_t i = 0; i < read->n_keys; i++)
        if (!read_key(host, event, read->keys[i], table->columns[table->keys[i]].type, &keys[i]))
            return;
    /* A row that the event may not touch is not read either. What is wrong is told when the event is applied. */
    if (record_key_check(table, &event_record(event)->key, &keys[0], NULL) != 0 ||
        batch_want(batch, read->table, keys, read->n_keys, NULL) != 0)
        return;
}

void plugin_host_prefetch(struct plugin_host *host, const struct event *event, struct batch *batch)
{
    const struct rs_handler *handler = find_handler(host, event);

    for (uint32_t i = 0; handler != NULL && i < handler->n_reads; i++)
        want(host, event, &handler->reads[i], batch);
    if (arena_used_bytes(host->arena) > 0)
        arena_reset(host->arena);
}

bool plugin_host_reads(const struct plugin_host *host)
{
    return host->reads;
}
