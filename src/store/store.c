/*
 * store - finds the driver and hands every call on. See store.h.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "store/driver.h"

#include "base/clock.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

static const struct store_driver *const drivers[] = {
#ifdef HAVE_POSTGRESQL
    &store_postgres,
#endif
#ifdef HAVE_MYSQL
    &store_mysql,
#endif
    &store_sqlite,
};

enum { N_DRIVERS = sizeof drivers / sizeof drivers[0] };

void store_table_name(const struct store_scope *scope, const struct table *table, char ret_name[STORE_NAME_SIZE])
{
    snprintf(ret_name, STORE_NAME_SIZE, "%s__v%d", table->name, (int)scope->version);
}

/* A long one is cut and told apart by a hash (FNV-1a). */
void store_index_name(const struct store_scope *scope, const struct table *table, const struct index *index,
                      char ret_name[STORE_NAME_SIZE])
{
    char full[3 * STORE_NAME_SIZE];
    uint32_t hash = 2166136261;
    int size;

    store_table_name(scope, table, ret_name);
    size = snprintf(full, sizeof full, "%s_%s", ret_name, index->name);
    for (const char *c = full; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619;
    if (size < STORE_NAME_SIZE)
        memcpy(ret_name, full, (size_t)size + 1);
    else
        snprintf(ret_name, STORE_NAME_SIZE, "%.54s_%08x", full, hash);
}

void store_view_name(const struct store_scope *scope, const char *table, char ret_name[STORE_NAME_SIZE])
{
    char end[16];
    int end_size = snprintf(end, sizeof end, "__v%d", (int)scope->version), size = (int)strlen(table);

    if (size > end_size && strcmp(table + size - end_size, end) == 0)
        size -= end_size;
    snprintf(ret_name, STORE_NAME_SIZE, "%.*s", size, table);
}

const char *store_operation_name(const struct store_operation *operation)
{
    static const char *const names[] = {[STORE_RESUME] = "resume", [STORE_SET] = "set", [STORE_SKIP] = "skip"};

    return names[operation->kind];
}

void store_on_wait(struct store *store, void (*on_wait)(void *context), void *context)
{
    store->on_wait = on_wait;
    store->wait_context = context;
}

void store_waits(const struct store *store)
{
    if (store->on_wait != NULL)
        store->on_wait(store->wait_context);
}

const char *const *store_kinds(void)
{
    static const char *kinds[N_DRIVERS + 1];

    for (size_t i = 0; i < N_DRIVERS; i++)
        kinds[i] = drivers[i]->kind;
    return kinds;
}

bool store_group_has(const struct change_group *group, uint32_t column)
{
    return group->table->columns[column].is_key || (group->change == CHANGE_UPSERT && group->operations[column] != CELL_NONE);
}

void store_print_headers(struct buffer *json, const struct outbox_message *message)
{
    buffer_putc(json, '[');
    for (uint32_t i = 0; i < message->n_headers; i++) {
        const struct rs_header *header = &message->headers[i];

        buffer_puts(json, i > 0 ? ",[\"" : "[\"");
        for (const char *c = header->name; *c != '\0'; c++)
            buffer_printf(json, *c == '"' || *c == '\\' ? "\\%c" : (unsigned char)*c < ' ' ? "\\u%04x" : "%c", *c);
        buffer_puts(json, header->value.data == NULL ? "\",null]" : "\",\"");
        for (size_t j = 0; header->value.data != NULL && j < header->value.size; j++)
            buffer_printf(json, "%02x", ((const unsigned char *)header->value.data)[j]);
        if (header->value.data != NULL)
            buffer_puts(json, "\"]");
    }
    buffer_putc(json, ']');
}

static const struct store_driver *find_driver(const char *kind)
{
    for (size_t i = 0; i < N_DRIVERS; i++)
        if (strcmp(drivers[i]->kind, kind) == 0)
            return drivers[i];
    return NULL;
}

static int unknown_kind(const char *kind, struct error *ret_error)
{
    char known[128] = "";
    size_t size = 0;

    for (size_t i = 0; i < N_DRIVERS; i++)
        size += (size_t)snprintf(known + size, sizeof known - size, "%s%s", i > 0 ? ", " : "", drivers[i]->kind);
    return error_set(ret_error, ERROR_CONFIG, "no driver for a store of kind \"%s\"; this build has: %s", kind, known);
}

int store_open(const struct store_settings *settings, const struct store_scope *scope, struct store **ret_store,
               struct error *ret_error)
{
    const struct store_driver *driver = find_driver(settings->kind);
    int result;

    if (driver == NULL)
        return unknown_kind(settings->kind, ret_error);
    result = driver->open(settings, scope, ret_store, ret_error);
    if (result != 0)
        return result;
    (*ret_store)->driver = driver;
    return 0;
}

struct store *store_close(struct store *store)
{
    if (store == NULL)
        return NULL;
    buffer_free(&store->advice);
    store->driver->close(store);
    return NULL;
}

/* One operation at a time: a second one is a mistake of the caller. */
static int begin(struct store *store, int result)
{
    store->is_busy = result == 0;
    return result;
}

static int check_idle(const struct store *store, struct error *ret_error)
{
    return store->is_busy ? error_set(ret_error, ERROR_BUG, "an operation of the store was started while another one runs") : 0;
}

int store_start_connect(struct store *store, struct error *ret_error)
{
    return begin(store, store->driver->start_connect(store, ret_error)); /* ends whatever was under way */
}

int store_start_claim(struct store *store, struct store_position *positions, size_t n, struct error *ret_error)
{
    int result = check_idle(store, ret_error);

    return result != 0 ? result : begin(store, store->driver->start_claim(store, positions, n, ret_error));
}

int store_start_insert(struct store *store, const struct store_start *starts, size_t n, bool is_first, struct error *ret_error)
{
    int result = check_idle(store, ret_error);

    return result != 0 ? result : begin(store, store->driver->start_insert(store, starts, n, is_first, ret_error));
}

int store_start_write(struct store *store, const struct store_write *write, struct error *ret_error)
{
    int result = check_idle(store, ret_error);

    return result != 0 ? result : begin(store, store->driver->start_write(store, write, ret_error));
}

int store_start_read(struct store *store, const struct store_read *read, struct error *ret_error)
{
    int result = check_idle(store, ret_error);

    return result != 0 ? result : begin(store, store->driver->start_read(store, read, ret_error));
}

int store_start_resolve(struct store *store, struct store_position *positions, size_t n, struct error *ret_error)
{
    int result = check_idle(store, ret_error);

    return result != 0 ? result : begin(store, store->driver->start_resolve(store, positions, n, ret_error));
}

int store_start_release(struct store *store, const struct store_position *positions, size_t n, struct error *ret_error)
{
    int result = check_idle(store, ret_error);

    return result != 0 ? result : begin(store, store->driver->start_release(store, positions, n, ret_error));
}

void store_abandon(struct store *store)
{
    if (store->is_busy && store->driver->abandon != NULL)
        store->driver->abandon(store);
    store->is_busy = false;
}

int store_poll(struct store *store, struct error *ret_error)
{
    int result;

    if (!store->is_busy)
        return error_set(ret_error, ERROR_BUG, "the store was polled with nothing to do");
    result = store->driver->poll(store, ret_error);
    store->is_busy = result == STORE_BUSY;
    return result;
}

int store_fd(const struct store *store)
{
    return store->driver->fd(store);
}

short store_events(const struct store *store)
{
    return store->driver->events(store);
}

int64_t store_deadline_us(const struct store *store)
{
    return store->driver->deadline_us(store);
}

bool store_is_connected(const struct store *store)
{
    return store->driver->is_connected(store);
}

bool store_is_busy(const struct store *store)
{
    return store->is_busy;
}

bool store_is_blocking(const struct store *store)
{
    return store->driver->is_blocking;
}

int64_t store_round_trips(const struct store *store)
{
    return atomic_load_explicit(&store->round_trips, memory_order_relaxed);
}

int store_finish(struct store *store, struct error *ret_error)
{
    int result;

    while ((result = store_poll(store, ret_error)) == STORE_BUSY) {
        struct pollfd fd = {.fd = store_fd(store), .events = store_events(store)};
        int64_t wait_us = store_deadline_us(store) - clock_system.monotonic_us(clock_system.self);

        if (wait_us > 100 * 1000)
            wait_us = 100 * 1000;
        (void)poll(&fd, 1, wait_us > 0 ? (int)((wait_us + 999) / 1000) : 0);
    }
    return result;
}

int store_preflight(struct store *store, struct error *ret_error)
{
    int result = check_idle(store, ret_error);

    return result != 0 ? result : store->driver->preflight(store, ret_error);
}

void store_advise_index(struct store *store, const char *table, const char *index, enum index_fault fault, const char *sql)
{
    struct buffer *advice = &store->advice;

    buffer_puts(advice, advice->size > 0 ? ". Also: " : "");
    switch (fault) {
    case INDEX_IS_MISSING:
        buffer_printf(advice, "table %s lacks the index %s; make it by: %s", table, index, sql);
        return;
    case INDEX_IS_ELSEWHERE:
        buffer_printf(advice, "table %s lacks the index %s, whose name something else has; rename or drop that, then make it by: %s",
                      table, index, sql);
        return;
    case INDEX_IS_INVALID:
        buffer_printf(advice,
                      "the index %s of table %s is not valid: no query uses it. Unless it is being made just now, make it anew by: "
                      "DROP INDEX CONCURRENTLY \"%s\"; %s",
                      index, table, index, sql);
        return;
    }
}

const char *store_advice(const struct store *store)
{
    return store->advice.size == 0 || buffer_failed(&store->advice) ? NULL : store->advice.data;
}

int store_create_schema(struct store *store, struct error *ret_error)
{
    int result = check_idle(store, ret_error);

    buffer_clear(&store->advice);
    return result != 0 ? result : store->driver->create_schema(store, ret_error);
}

int store_check_schema(struct store *store, struct error *ret_error)
{
    int result = check_idle(store, ret_error);

    buffer_clear(&store->advice);
    return result != 0 ? result : store->driver->check_schema(store, ret_error);
}

int store_print_schema(const struct store_settings *settings, const struct store_scope *scope, struct buffer *ret_sql,
                       struct error *ret_error)
{
    const struct store_driver *driver = find_driver(settings->kind);

    return driver == NULL ? unknown_kind(settings->kind, ret_error) : driver->print_schema(scope, ret_sql, ret_error);
}

int store_list_positions(struct store *store, const struct store_position **ret_positions, size_t *ret_n,
                         struct error *ret_error)
{
    int result = check_idle(store, ret_error);

    return result != 0 ? result : store->driver->list_positions(store, ret_positions, ret_n, ret_error);
}

int store_operate(struct store *store, const struct store_operation *operation, struct error *ret_error)
{
    int result = check_idle(store, ret_error);

    return result != 0 ? result : store->driver->operate(store, operation, ret_error);
}

int store_reset(struct store *store, const char *actor, struct error *ret_error)
{
    int result = check_idle(store, ret_error);

    return result != 0 ? result : store->driver->reset(store, actor, ret_error);
}
