/*
 * mysql - the driver for MySQL and MariaDB: operations as jobs of the thread that owns the connection. See mysql.h.
 */
#include "store/mysql.h"

#include "base/clock.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK = 64 * 1024, ARENA_KEEP = 1024 * 1024 };

int my_out_of_memory(struct error *ret_error)
{
    return error_set(ret_error, ERROR_BUG, "out of memory");
}

int my_not_connected(struct error *ret_error)
{
    return error_set(ret_error, ERROR_TRANSIENT, "not connected to the server");
}

/* ---- Operations ---- */

static int64_t in_us(int64_t us)
{
    return clock_system.monotonic_us(clock_system.self) + us;
}

/* The job begins; how long the server may take for each statement is its own business (mysql_query.c). */
static int begin(struct my_store *my, my_job job, struct error *ret_error)
{
    if (!my->is_connected)
        return my_not_connected(ret_error);
    my->is_connecting = false;
    my_thread_post(my->thread, job, INT64_MAX);
    return 0;
}

static void abandon(struct store *store)
{
    struct my_store *my = my_of(store);

    my->is_reading = false;
    if (!my->is_connecting) /* that one has been handed nothing */
        my_thread_cancel(my->thread);
}

static int start_connect(struct store *store, struct error *ret_error)
{
    struct my_store *my = my_of(store);

    (void)ret_error;
    if (my->is_connecting && my_thread_is_busy(my->thread)) /* a login that was walked away from: it does not let itself be cut */
        return 0;
    my_thread_cancel(my->thread); /* what was abandoned must not go on */
    my->is_reading = my->is_connected = false;
    my->is_connecting = true;
    my_thread_post(my->thread, my_connect, in_us(store->settings.connect_timeout_us));
    return 0;
}

static int start_take(struct store *store, struct store_position *positions, size_t n, bool is_resolve, my_job job,
                      struct error *ret_error)
{
    struct my_store *my = my_of(store);

    arena_reset(my->arena);
    my->positions = positions;
    my->n_positions = n;
    my->is_resolve = is_resolve;
    return begin(my, job, ret_error);
}

static int start_claim(struct store *store, struct store_position *positions, size_t n, struct error *ret_error)
{
    return start_take(store, positions, n, false, my_claim, ret_error);
}

static int start_resolve(struct store *store, struct store_position *positions, size_t n, struct error *ret_error)
{
    return start_take(store, positions, n, true, my_claim, ret_error);
}

/* The caller's array may be gone before the job runs. */
static int start_release(struct store *store, const struct store_position *positions, size_t n, struct error *ret_error)
{
    struct my_store *my = my_of(store);
    struct store_position *copy;

    arena_reset(my->arena);
    copy = arena_alloc(my->arena, (n + 1) * sizeof *copy);
    if (copy == NULL)
        return my_out_of_memory(ret_error);
    for (size_t i = 0; i < n; i++) {
        copy[i] = positions[i];
        copy[i].topic = arena_copy(my->arena, positions[i].topic, strlen(positions[i].topic));
        if (copy[i].topic == NULL)
            return my_out_of_memory(ret_error);
    }
    my->positions = copy;
    my->n_positions = n;
    return begin(my, my_release, ret_error);
}

static int start_insert(struct store *store, const struct store_start *starts, size_t n, bool is_first, struct error *ret_error)
{
    struct my_store *my = my_of(store);

    arena_reset(my->arena);
    my->starts = arena_alloc(my->arena, (n + 1) * sizeof *my->starts);
    if (my->starts == NULL)
        return my_out_of_memory(ret_error);
    for (size_t i = 0; i < n; i++) {
        my->starts[i] = starts[i];
        my->starts[i].topic = arena_copy(my->arena, starts[i].topic, strlen(starts[i].topic));
        my->starts[i].cluster_id = arena_copy(my->arena, starts[i].cluster_id, strlen(starts[i].cluster_id));
        if (my->starts[i].topic == NULL || my->starts[i].cluster_id == NULL)
            return my_out_of_memory(ret_error);
    }
    my->n_starts = n;
    my->is_first = is_first;
    return begin(my, my_insert, ret_error);
}

static int start_write(struct store *store, const struct store_write *write, struct error *ret_error)
{
    struct my_store *my = my_of(store);

    arena_reset(my->arena);
    my->write = *write;
    return begin(my, my_write, ret_error);
}

static int start_read(struct store *store, const struct store_read *read, struct error *ret_error)
{
    struct my_store *my = my_of(store);
    int result;

    arena_reset(my->arena);
    my->read = *read;
    result = begin(my, my_read, ret_error);
    my->is_reading = result == 0;
    return result;
}

/* In the caller's thread: what on_row does is the caller's. */
static int hand_on(struct my_store *my, struct error *ret_error)
{
    int result = 0;

    for (size_t i = 0; i < my->n_found && result == 0; i++)
        result = my->read.on_row(my->read.context, my->found[i].index, my->found[i].cells, my->found[i].partition, ret_error);
    return result;
}

static int poll_store(struct store *store, struct error *ret_error)
{
    struct my_store *my = my_of(store);
    int result = my_thread_poll(my->thread, ret_error);
    bool is_read = my->is_reading;

    if (result == STORE_BUSY)
        return STORE_BUSY;
    my->is_reading = false;
    return is_read && result == 0 ? hand_on(my, ret_error) : result;
}

/* ---- Commands ---- */

static int run(struct store *store, my_job job, struct error *ret_error)
{
    struct my_store *my = my_of(store);

    if (!my->is_connected)
        return my_not_connected(ret_error);
    arena_reset(my->arena);
    return my_run(my, job, ret_error);
}

static int preflight(struct store *store, struct error *ret_error)
{
    return run(store, my_preflight, ret_error);
}

static int create_schema(struct store *store, struct error *ret_error)
{
    return run(store, my_create, ret_error);
}

static int check_schema(struct store *store, struct error *ret_error)
{
    return run(store, my_check, ret_error);
}

static int list_positions(struct store *store, const struct store_position **ret_positions, size_t *ret_n, struct error *ret_error)
{
    struct my_store *my = my_of(store);
    int result = run(store, my_list, ret_error);

    if (result != 0)
        return result;
    *ret_positions = my->list;
    *ret_n = my->n_list;
    return 0;
}

static int operate(struct store *store, const struct store_operation *operation, struct error *ret_error)
{
    my_of(store)->command = operation;
    return run(store, my_operate, ret_error);
}

static int reset(struct store *store, const char *actor, struct error *ret_error)
{
    my_of(store)->actor = actor;
    return run(store, my_reset, ret_error);
}

/* ---- Life ---- */

static int check_transport(const struct store_settings *settings, const struct my_uri *uri, struct error *ret_error)
{
    if (my_uri_is_local(uri) || settings->allow_plaintext || (!uri->is_plain && !uri->is_unverified))
        return 0;
    return error_set(ret_error, ERROR_CONFIG,
                     "uri: tls=%s does not verify the server %s; leave it out (with ssl-ca, where the "
                     "certificate is of a CA of your own), or allow_plaintext = true",
                     uri->is_plain ? "off" : "unverified", uri->host);
}

void my_free(struct my_store *my)
{
    my_thread_free(my->thread);
    my_forget_statements(my);
    if (my->connection != NULL)
        mysql_close(my->connection);
    my_uri_free(&my->uri);
    free(my->password);
    arena_free(my->arena);
    buffer_free(&my->sql);
    buffer_free(&my->ahead);
    free(my->order);
    free(my->found);
    free(my);
}

static void close_store(struct store *store)
{
    if (my_thread_stop(my_of(store)))
        my_free(my_of(store));
}

/* Given by itself, or in the URI. */
static int copy_password(struct my_store *my, struct error *ret_error)
{
    const char *password = my->store.settings.password != NULL ? my->store.settings.password : my->uri.password;

    my->password = password == NULL ? NULL : strdup(password);
    return password != NULL && my->password == NULL ? my_out_of_memory(ret_error) : 0;
}

static int open_store(const struct store_settings *settings, const struct store_scope *scope, struct store **ret_store,
                      struct error *ret_error)
{
    struct my_store *my = calloc(1, sizeof *my);
    int result;

    if (my == NULL)
        return my_out_of_memory(ret_error);
    my->store.settings = *settings;
    my->store.scope = *scope;
    my->arena = arena_new(ARENA_BLOCK, ARENA_KEEP);
    result = my->arena == NULL || mysql_library_init(0, NULL, NULL) != 0 ? my_out_of_memory(ret_error) : 0;
    if (result == 0)
        result = my_uri_read(settings->uri, &my->uri, ret_error);
    if (result == 0)
        result = check_transport(settings, &my->uri, ret_error);
    if (result == 0)
        result = copy_password(my, ret_error);
    if (result == 0)
        result = my_thread_start(my, ret_error);
    if (result != 0) {
        close_store(&my->store);
        return result;
    }
    *ret_store = &my->store;
    return 0;
}

static int store_descriptor(const struct store *store)
{
    return my_thread_fd(((const struct my_store *)store)->thread);
}

static short descriptor_events(const struct store *store)
{
    (void)store;
    return POLLIN;
}

static int64_t deadline_us(const struct store *store)
{
    return my_thread_deadline_us(((const struct my_store *)store)->thread);
}

static bool is_connected(const struct store *store)
{
    return ((const struct my_store *)store)->is_connected;
}

const struct store_driver store_mysql = {
    .kind = "mysql",
    .open = open_store,
    .close = close_store,
    .start_connect = start_connect,
    .start_claim = start_claim,
    .start_insert = start_insert,
    .start_write = start_write,
    .start_read = start_read,
    .start_resolve = start_resolve,
    .start_release = start_release,
    .abandon = abandon,
    .poll = poll_store,
    .fd = store_descriptor,
    .events = descriptor_events,
    .deadline_us = deadline_us,
    .is_connected = is_connected,
    .preflight = preflight,
    .create_schema = create_schema,
    .check_schema = check_schema,
    .print_schema = my_print_schema,
    .list_positions = list_positions,
    .operate = operate,
    .reset = reset,
};
