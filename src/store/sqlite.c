/*
 * sqlite - the SQLite driver: the file, transactions, waiting for locks, errors. See sqlite.h.
 *
 * One connection, in the task's one thread. The busy handler is off: a locked file answers at once and is tried again later.
 */
#include "store/sqlite.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_US = 3000, ARENA_BLOCK = 16 * 1024 };

static int64_t now_us(void)
{
    return clock_system.monotonic_us(clock_system.self);
}

void sqlite_now(char ret_text[32])
{
    text_print_timestamp(clock_system.wall_us(clock_system.self), ret_text);
}

/* ---- Errors ---- */

int sqlite_error(const struct sqlite *store, const char *what, struct error *ret_error)
{
    const char *message = sqlite3_errmsg(store->connection), *path = store->store.settings.uri;

    switch (sqlite3_errcode(store->connection) & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
        return error_set(ret_error, ERROR_TRANSIENT, "%s: %s: %s", path, what, message);
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
        return error_set(ret_error, ERROR_POISON, "%s: %s: %s", path, what, message);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_SCHEMA:
        return error_set(ret_error, ERROR_CONFIG, "%s: %s: %s", path, what, message);
    default:
        break;
    }
    if (strncmp(message, "readside: partition: ", 21) == 0)
        return error_set(ret_error, ERROR_HALT,
                         "%s; rows of a partitioned table belong to one partition (do two producers use different partitioners?)",
                         message + 21);
    if (strncmp(message, "readside: ", 10) == 0)
        return error_set(ret_error, ERROR_POISON, "%s: %s", what, message + 10);
    if (strstr(message, "no such table") != NULL || strstr(message, "no such column") != NULL ||
        strstr(message, "has no column") != NULL)
        return error_set(ret_error, ERROR_CONFIG, "%s: %s: %s", path, what, message);
    return error_set(ret_error, ERROR_BUG, "%s: %s: %s", path, what, message);
}

/* ---- Statements ---- */

static void forget_statements(struct sqlite *store)
{
    for (size_t i = 0; i < store->n_statements; i++) {
        sqlite3_finalize(store->statements[i].statement);
        free(store->statements[i].sql);
    }
    store->n_statements = 0;
}

int sqlite_prepare(struct sqlite *store, const char *sql, sqlite3_stmt **ret_statement, struct error *ret_error)
{
    struct sqlite_statement *statement;

    for (size_t i = 0; i < store->n_statements; i++)
        if (strcmp(store->statements[i].sql, sql) == 0) {
            *ret_statement = store->statements[i].statement;
            sqlite3_reset(*ret_statement);
            sqlite3_clear_bindings(*ret_statement);
            return 0;
        }
    if (store->n_statements == store->statements_capacity) {
        size_t capacity = store->statements_capacity == 0 ? 32 : store->statements_capacity * 2;
        struct sqlite_statement *grown = realloc(store->statements, capacity * sizeof *grown);

        if (grown == NULL)
            return error_set(ret_error, ERROR_BUG, "out of memory");
        store->statements = grown;
        store->statements_capacity = capacity;
    }
    statement = &store->statements[store->n_statements];
    if (sqlite3_prepare_v3(store->connection, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement->statement, NULL) != SQLITE_OK)
        return sqlite_error(store, "preparing a statement", ret_error);
    statement->sql = strdup(sql);
    if (statement->sql == NULL) {
        sqlite3_finalize(statement->statement);
        return error_set(ret_error, ERROR_BUG, "out of memory");
    }
    store->n_statements++;
    *ret_statement = statement->statement;
    return 0;
}

void sqlite_bind_scope(struct sqlite *store, sqlite3_stmt *statement)
{
    sqlite3_bind_text(statement, 1, store->store.scope.pipeline, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 2, store->store.scope.version);
}

int sqlite_run(struct sqlite *store, sqlite3_stmt *statement, const char *what, struct error *ret_error)
{
    int code = sqlite3_step(statement), result = 0;

    if (code != SQLITE_DONE && code != SQLITE_ROW)
        result = sqlite_error(store, what, ret_error);
    sqlite3_reset(statement);
    return result;
}

int sqlite_execute(struct sqlite *store, const char *sql, struct error *ret_error)
{
    if (sqlite3_exec(store->connection, sql, NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    return sqlite_error(store, "running a statement", ret_error);
}

/* ---- Transactions ---- */

static int not_connected(struct error *ret_error)
{
    return error_set(ret_error, ERROR_TRANSIENT, "not connected to SQLite");
}

static void roll_back(struct sqlite *store)
{
    if (sqlite3_get_autocommit(store->connection) == 0)
        (void)sqlite3_exec(store->connection, "ROLLBACK", NULL, NULL, NULL);
}

/* A failed COMMIT leaves the transaction open, or has ended it; autocommit tells, and only a finished COMMIT has committed. */
static int commit(struct sqlite *store, struct error *ret_error)
{
    int code = sqlite3_exec(store->connection, "COMMIT", NULL, NULL, NULL), result;

    if (code == SQLITE_OK)
        return 0;
    result = sqlite_error(store, "COMMIT", ret_error);
    if (sqlite3_get_autocommit(store->connection) != 0) {
        ret_error->class = ERROR_UNKNOWN;
        return ERROR_UNKNOWN;
    }
    roll_back(store);
    return result;
}

int sqlite_transaction(struct sqlite *store, sqlite_work work, struct error *ret_error)
{
    int result = sqlite_execute(store, "BEGIN IMMEDIATE", ret_error);

    if (result != 0)
        return result;
    result = work(store, ret_error);
    if (result == 0)
        return commit(store, ret_error);
    roll_back(store);
    return result;
}

/* ---- Connecting ---- */

static void disconnect(struct sqlite *store)
{
    forget_statements(store);
    sqlite3_close_v2(store->connection);
    store->connection = NULL;
}

static int set_up(struct sqlite *store, struct error *ret_error)
{
    static const char pragmas[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; "
                                  "PRAGMA trusted_schema = OFF;";
    int result = sqlite_execute(store, pragmas, ret_error);

    if (result == 0 && sqlite3_db_readonly(store->connection, "main") == 1)
        result = error_set(ret_error, ERROR_CONFIG, "%s is read-only for this user", store->store.settings.uri);
    if (result == 0 && sqlite_add_functions(store->connection) != SQLITE_OK)
        result = sqlite_error(store, "adding functions", ret_error);
    return result;
}

static int connect_now(struct sqlite *store, struct error *ret_error)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int result;

    disconnect(store);
    if (sqlite3_open_v2(store->store.settings.uri, &store->connection, flags, NULL) != SQLITE_OK) {
        result = store->connection == NULL ? error_set(ret_error, ERROR_BUG, "out of memory")
                                           : error_set(ret_error, ERROR_CONFIG, "cannot open %s: %s (is the folder there and writable?)",
                                                       store->store.settings.uri, sqlite3_errmsg(store->connection));
        disconnect(store);
        return result;
    }
    sqlite3_extended_result_codes(store->connection, 1);
    sqlite3_busy_timeout(store->connection, 0);
    result = set_up(store, ret_error);
    if (result != 0)
        disconnect(store);
    return result;
}

/* ---- The driver ---- */

static int begin(struct sqlite *store, sqlite_work work, struct error *ret_error)
{
    if (store->connection == NULL && work != connect_now)
        return not_connected(ret_error);
    store->work = work;
    store->deadline_us = now_us() + store->store.settings.lock_timeout_us;
    store->retry_at_us = now_us();
    return 0;
}

static int poll_operation(struct store *base, struct error *ret_error)
{
    struct sqlite *store = sqlite_of(base);
    int result;

    if (now_us() < store->retry_at_us)
        return STORE_BUSY;
    result = store->work(store, ret_error);
    if (result == ERROR_TRANSIENT && now_us() < store->deadline_us) {
        store->retry_at_us = now_us() + RETRY_US; /* rolled back: the whole work again, once the other process has let go */
        return STORE_BUSY;
    }
    return result;
}

static int start_connect(struct store *base, struct error *ret_error)
{
    return begin(sqlite_of(base), connect_now, ret_error);
}

static int claim_now(struct sqlite *store, struct error *ret_error)
{
    return sqlite_transaction(store, sqlite_take_positions, ret_error);
}

static int start_take(struct store *base, struct store_position *positions, size_t n, bool is_resolve, struct error *ret_error)
{
    struct sqlite *store = sqlite_of(base);

    store->positions = positions;
    store->n_positions = n;
    store->is_resolve = is_resolve;
    return begin(store, claim_now, ret_error);
}

static int start_claim(struct store *base, struct store_position *positions, size_t n, struct error *ret_error)
{
    return start_take(base, positions, n, false, ret_error);
}

static int start_resolve(struct store *base, struct store_position *positions, size_t n, struct error *ret_error)
{
    return start_take(base, positions, n, true, ret_error);
}

static int release_now(struct sqlite *store, struct error *ret_error)
{
    return sqlite_transaction(store, sqlite_release_positions, ret_error);
}

static int start_release(struct store *base, const struct store_position *positions, size_t n, struct error *ret_error)
{
    struct sqlite *store = sqlite_of(base);

    store->positions = (struct store_position *)positions;
    store->n_positions = n;
    return begin(store, release_now, ret_error);
}

static int insert_now(struct sqlite *store, struct error *ret_error)
{
    int result = sqlite_transaction(store, sqlite_insert_positions, ret_error);

    if (result == ERROR_TRANSIENT)
        return result;
    free((void *)store->starts);
    store->starts = NULL;
    return result;
}

static int start_insert(struct store *base, const struct store_start *starts, size_t n, bool is_first, struct error *ret_error)
{
    struct sqlite *store = sqlite_of(base);
    struct store_start *copy = malloc((n + 1) * sizeof *copy);

    if (copy == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    memcpy(copy, starts, n * sizeof *copy);
    free((void *)store->starts);
    store->starts = copy;
    store->n_starts = n;
    store->is_first = is_first;
    return begin(store, insert_now, ret_error);
}

static int move_and_write(struct sqlite *store, struct error *ret_error)
{
    int result = sqlite_move_positions(store, ret_error);

    return result == 0 ? sqlite_write_rows(store, ret_error) : result;
}

static int write_now(struct sqlite *store, struct error *ret_error)
{
    return sqlite_transaction(store, move_and_write, ret_error);
}

static int start_write(struct store *base, const struct store_write *write, struct error *ret_error)
{
    struct sqlite *store = sqlite_of(base);

    store->write = *write;
    return begin(store, write_now, ret_error);
}

static int start_read(struct store *base, const struct store_read *read, struct error *ret_error)
{
    struct sqlite *store = sqlite_of(base);

    store->read = *read;
    return begin(store, sqlite_read_rows, ret_error);
}

static int open_store(const struct store_settings *settings, const struct store_scope *scope, struct store **ret_store,
                      struct error *ret_error)
{
    struct sqlite *store;

    if (settings->uri[0] == '\0' || strcmp(settings->uri, ":memory:") == 0)
        return error_set(ret_error, ERROR_CONFIG, "uri: an SQLite store is a file; give its path");
    if (sqlite3_libversion_number() < 3040000)
        return error_set(ret_error, ERROR_CONFIG, "SQLite %s is too old; 3.40 or newer is needed", sqlite3_libversion());
    store = calloc(1, sizeof *store);
    if (store == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    store->store.settings = *settings;
    store->store.scope = *scope;
    store->deadline_us = INT64_MAX;
    store->arena = arena_new(ARENA_BLOCK, ARENA_BLOCK);
    if (store->arena == NULL) {
        free(store);
        return error_set(ret_error, ERROR_BUG, "out of memory");
    }
    *ret_store = &store->store;
    return 0;
}

static void close_store(struct store *base)
{
    struct sqlite *store = sqlite_of(base);

    disconnect(store);
    arena_free(store->arena);
    free(store->statements);
    free((void *)store->starts);
    free(store->list);
    free(store);
}

static int fd_of(const struct store *store)
{
    (void)store;
    return -1;
}

static short events_of(const struct store *store)
{
    (void)store;
    return 0;
}

static int64_t deadline_of(const struct store *store)
{
    return ((const struct sqlite *)store)->retry_at_us;
}

static bool is_connected(const struct store *store)
{
    return ((const struct sqlite *)store)->connection != NULL;
}

const struct store_driver store_sqlite = {
    .kind = "sqlite",
    .open = open_store,
    .close = close_store,
    .start_connect = start_connect,
    .start_claim = start_claim,
    .start_insert = start_insert,
    .start_write = start_write,
    .start_read = start_read,
    .start_resolve = start_resolve,
    .start_release = start_release,
    .poll = poll_operation,
    .fd = fd_of,
    .events = events_of,
    .deadline_us = deadline_of,
    .is_connected = is_connected,
    .preflight = sqlite_preflight,
    .create_schema = sqlite_create_schema,
    .check_schema = sqlite_check_schema,
    .print_schema = sqlite_print_schema,
    .list_positions = sqlite_list_positions,
    .operate = sqlite_operate,
    .reset = sqlite_reset_version,
};
