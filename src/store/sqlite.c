/*
 * sqlite - the SQLite driver: operations, transactions, waiting for locks, prepared statements, errors. See sqlite.h.
 *
 * One connection, in the task's one thread. The busy handler is off: a locked file answers at once and is tried again later.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "store/refusals.h"
#include "store/sqlite.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { RETRY_FIRST_US = 500, RETRY_MAX_US = 4000, ARENA_BLOCK = 16 * 1024, OPCODES_PER_LOOK = 4000 };

static int64_t now_us(void)
{
    return clock_system.monotonic_us(clock_system.self);
}

void sqlite_now(char ret_text[32])
{
    text_print_timestamp(clock_system.wall_us(clock_system.self), ret_text);
}

/* ---- Errors ---- */

int sqlite_out_of_memory(struct error *ret_error)
{
    return error_set(ret_error, ERROR_BUG, "out of memory in the SQLite driver");
}

int sqlite_not_connected(const struct sqlite *lite, struct error *ret_error)
{
    return error_set(ret_error, ERROR_TRANSIENT, "%s is not open", lite->store.settings.uri);
}

bool sqlite_is_busy(const struct sqlite *lite)
{
    int code = sqlite3_errcode(lite->connection) & 0xff;

    return code == SQLITE_BUSY || code == SQLITE_LOCKED || code == SQLITE_PROTOCOL;
}

/* What now, by result code (https://www.sqlite.org/rescode.html). Codes that are not here are an error of ours. */
static const struct meaning {
    int code;
    int class;
    const char *name;
    const char *way_out;
} meanings[] = {
    {SQLITE_BUSY, ERROR_TRANSIENT, "SQLITE_BUSY", ""},
    {SQLITE_LOCKED, ERROR_TRANSIENT, "SQLITE_LOCKED", ""},
    {SQLITE_PROTOCOL, ERROR_TRANSIENT, "SQLITE_PROTOCOL", ""},
    {SQLITE_SCHEMA, ERROR_TRANSIENT, "SQLITE_SCHEMA", ""},
    {SQLITE_IOERR, ERROR_TRANSIENT, "SQLITE_IOERR", ""},
    {SQLITE_NOMEM, ERROR_TRANSIENT, "SQLITE_NOMEM", ""},
    {SQLITE_INTERRUPT, ERROR_TRANSIENT, "SQLITE_INTERRUPT", " by statement_timeout"},
    {SQLITE_FULL, ERROR_TRANSIENT, "SQLITE_FULL", "; make room on the disk"},
    {SQLITE_CONSTRAINT, ERROR_POISON, "CONSTRAINT", ""},
    {SQLITE_TOOBIG, ERROR_POISON, "SQLITE_TOOBIG", ""},
    {SQLITE_MISMATCH, ERROR_CONFIG, "SQLITE_MISMATCH", ""},
    {SQLITE_READONLY, ERROR_CONFIG, "SQLITE_READONLY", ""},
    {SQLITE_PERM, ERROR_CONFIG, "SQLITE_PERM", ""},
    {SQLITE_AUTH, ERROR_CONFIG, "SQLITE_AUTH", ""},
    {SQLITE_CANTOPEN, ERROR_CONFIG, "SQLITE_CANTOPEN", ""},
    {SQLITE_NOTADB, ERROR_CONFIG, "SQLITE_NOTADB", "; give another path, or move that file away"},
    {SQLITE_CORRUPT, ERROR_CONFIG, "SQLITE_CORRUPT", "; look at it with PRAGMA integrity_check, and restore a backup"},
};

/* Errors that the driver's own functions raise: their words say which. */
static int function_error(const char *what, const char *message, struct error *ret_error)
{
    if (strncmp(message, "readside: partition: ", 21) == 0)
        return refuse_foreign_row(message + 21, ret_error);
    if (strncmp(message, "readside: stored: ", 18) == 0)
        return error_set(ret_error, ERROR_CONFIG, "%s; somebody else has written to the table", message + 18);
    if (strncmp(message, "readside: ", 10) == 0)
        return error_set(ret_error, ERROR_POISON, "%s: %s", what, message + 10);
    return 0;
}

/* A file that cannot be opened now, for want of what may come back, is not one that cannot be. */
static int class_of(const struct sqlite *lite, const struct meaning *meaning)
{
    static const int passing[] = {EMFILE, ENFILE, ENOSPC, EDQUOT, ENOMEM, EIO};
    int why = meaning->code == SQLITE_CANTOPEN ? sqlite3_system_errno(lite->connection) : 0;

    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
        if (passing[i] == why)
            return ERROR_TRANSIENT;
    return meaning->class;
}

int sqlite_error(const struct sqlite *lite, const char *what, struct error *ret_error)
{
    const char *message = sqlite3_errmsg(lite->connection), *path = lite->store.settings.uri;
    int code = sqlite3_errcode(lite->connection) & 0xff, class;

    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (meanings[i].code == code) {
            class = error_set(ret_error, class_of(lite, &meanings[i]), "%s: %s: %s%s", path, what, message, meanings[i].way_out);
            if (ret_error != NULL)
                snprintf(ret_error->code, sizeof ret_error->code, "%s", meanings[i].name);
            return class;
        }
    class = function_error(what, message, ret_error);
    if (class != 0)
        return class;
    if (strstr(message, "no such table") != NULL) {
        class = error_set(ret_error, ERROR_CONFIG, "%s: %s: %s", path, what, message);
        if (ret_error != NULL)
            memcpy(ret_error->code, STORE_MISSING, sizeof STORE_MISSING);
        return class;
    }
    if (strstr(message, "no such column") != NULL ||
        strstr(message, "has no column") != NULL || strstr(message, "ON CONFLICT clause does not match") != NULL)
        return error_set(ret_error, ERROR_CONFIG, "%s: %s: %s", path, what, message);
    return error_set(ret_error, ERROR_BUG, "%s: %s: %s", path, what, message);
}

/* ---- Statements ---- */

static void forget_statements(struct sqlite *lite)
{
    for (size_t i = 0; i < lite->n_statements; i++) {
        sqlite3_finalize(lite->statements[i].statement);
        free(lite->statements[i].sql);
    }
    lite->n_statements = 0;
}

static struct sqlite_statement *find_statement(struct sqlite *lite, const char *sql)
{
    for (size_t i = 0; i < lite->n_statements; i++)
        if (strcmp(lite->statements[i].sql, sql) == 0)
            return &lite->statements[i];
    return NULL;
}

/* An empty place: a new one, or that of the statement not used for longest. */
static struct sqlite_statement *take_place(struct sqlite *lite)
{
    struct sqlite_statement *oldest = &lite->statements[0];

    if (lite->n_statements < SQLITE_STATEMENTS_MAX)
        return &lite->statements[lite->n_statements++];
    for (size_t i = 1; i < lite->n_statements; i++)
        if (lite->statements[i].used_at < oldest->used_at)
            oldest = &lite->statements[i];
    sqlite3_finalize(oldest->statement);
    free(oldest->sql);
    return oldest;
}

int sqlite_prepare(struct sqlite *lite, const char *sql, sqlite3_stmt **ret_statement, struct error *ret_error)
{
    struct sqlite_statement *found = find_statement(lite, sql);
    sqlite3_stmt *statement = NULL;
    char *copy;

    if (found != NULL) {
        sqlite3_reset(found->statement);
        sqlite3_clear_bindings(found->statement);
    } else {
        if (sqlite3_prepare_v3(lite->connection, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK)
            return sqlite_error(lite, "preparing a statement", ret_error);
        copy = strdup(sql);
        if (copy == NULL) {
            sqlite3_finalize(statement);
            return sqlite_out_of_memory(ret_error);
        }
        found = take_place(lite);
        *found = (struct sqlite_statement){.sql = copy, .statement = statement};
    }
    found->used_at = ++lite->preparations;
    *ret_statement = found->statement;
    return 0;
}

void sqlite_bind_scope(struct sqlite *lite, sqlite3_stmt *statement)
{
    sqlite3_bind_text(statement, 1, lite->store.scope.pipeline, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 2, lite->store.scope.version);
}

int sqlite_run(struct sqlite *lite, sqlite3_stmt *statement, const char *what, struct error *ret_error)
{
    int code = sqlite3_step(statement), result = 0;

    if (code != SQLITE_DONE && code != SQLITE_ROW)
        result = sqlite_error(lite, what, ret_error);
    sqlite3_reset(statement);
    return result;
}

int sqlite_execute(struct sqlite *lite, const char *sql, struct error *ret_error)
{
    if (sqlite3_exec(lite->connection, sql, NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    return sqlite_error(lite, "running a statement", ret_error);
}

int sqlite_query(struct sqlite *lite, const char *sql, const char *text, int64_t *ret_value, struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(lite, sql, &statement, ret_error), code;

    if (result != 0)
        return result;
    if (text != NULL)
        sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC);
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW || code == SQLITE_DONE)
        *ret_value = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    else
        result = sqlite_error(lite, "looking at the schema", ret_error);
    sqlite3_reset(statement);
    return result;
}

/* ---- Transactions ---- */

/* An open transaction ends uncommitted with its connection. */
void sqlite_disconnect(struct sqlite *lite)
{
    forget_statements(lite);
    sqlite3_close_v2(lite->connection);
    lite->connection = NULL;
    lite->log_inode = 0;
}

void sqlite_roll_back(struct sqlite *lite)
{
    lite->limit_us = INT64_MAX;
    if (lite->connection == NULL || sqlite3_get_autocommit(lite->connection) != 0)
        return;
    (void)sqlite3_exec(lite->connection, "ROLLBACK", NULL, NULL, NULL);
    if (sqlite3_get_autocommit(lite->connection) == 0)
        sqlite_disconnect(lite);
}

/* The write-ahead log's inode; 0: there is none. */
static ino_t log_inode(const struct sqlite *lite)
{
    struct stat log;

    return stat(sqlite3_filename_wal(sqlite3_db_filename(lite->connection, "main")), &log) == 0 ? log.st_ino : 0;
}

/* A file that was moved away or replaced would take writes that nobody sees; so would its log, which others then make anew. */
static int check_still_there(struct sqlite *lite, struct error *ret_error)
{
    int has_moved = 0;

    if (sqlite3_file_control(lite->connection, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved) != SQLITE_OK)
        return 0;
    if (!has_moved && (lite->log_inode == 0 || lite->log_inode == log_inode(lite)))
        return 0;
    sqlite_disconnect(lite);
    return error_set(ret_error, ERROR_TRANSIENT, "%s%s: the file was moved, deleted or replaced while it was in use",
                     lite->store.settings.uri, has_moved ? "" : "-wal");
}

/*
 * After an I/O error at COMMIT the whole transaction may lie in the log, where a recovery after a crash would find it, although
 * this connection goes on without it: only the next transaction settles the matter. So the outcome is unknown unless COMMIT was
 * refused, by a lock or by a constraint, before it began to write.
 */
static int commit(struct sqlite *lite, struct error *ret_error)
{
    int code, result;
    bool is_busy;

    if (sqlite3_exec(lite->connection, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    code = sqlite3_errcode(lite->connection) & 0xff;
    is_busy = sqlite_is_busy(lite);
    result = sqlite_error(lite, "COMMIT", ret_error);
    if ((is_busy || code == SQLITE_CONSTRAINT) && sqlite3_get_autocommit(lite->connection) == 0) {
        sqlite_roll_back(lite);
        return is_busy ? STORE_BUSY : result;
    }
    sqlite_roll_back(lite);
    sqlite_disconnect(lite);
    if (ret_error != NULL)
        ret_error->class = ERROR_UNKNOWN;
    return ERROR_UNKNOWN;
}

int sqlite_transaction(struct sqlite *lite, sqlite_work work, struct error *ret_error)
{
    int result = check_still_there(lite, ret_error);

    if (result != 0)
        return result;
    if (sqlite3_exec(lite->connection, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return sqlite_is_busy(lite) ? STORE_BUSY : sqlite_error(lite, "BEGIN", ret_error);
    if (lite->log_inode == 0)
        lite->log_inode = log_inode(lite); /* SQLite has opened it by now, and keeps it as long as somebody is connected */
    result = work(lite, ret_error);
    if (result == 0)
        return commit(lite, ret_error);
    sqlite_roll_back(lite);
    return result;
}

/* ---- Operations: attempts, until one does not find the file locked ---- */

/* One attempt is one transaction, done in one go. A batch that is too much for its time is halved. */
static int is_late(void *context)
{
    const struct sqlite *lite = context;

    store_waits(&lite->store);
    return now_us() >= lite->limit_us;
}

void sqlite_watch_time(struct sqlite *lite)
{
    sqlite3_progress_handler(lite->connection, OPCODES_PER_LOOK, is_late, lite);
}

static int64_t limit_of(const struct sqlite *lite)
{
    int64_t limit_us;

    return __builtin_add_overflow(now_us(), lite->store.settings.statement_timeout_us, &limit_us) ? INT64_MAX : limit_us;
}

static int begin(struct sqlite *lite, sqlite_work work, struct error *ret_error)
{
    const struct store_settings *settings = &lite->store.settings;

    if (lite->connection == NULL && work != sqlite_connect)
        return sqlite_not_connected(lite, ret_error);
    lite->work = work;
    lite->timeout_us = work == sqlite_connect ? settings->connect_timeout_us : settings->lock_timeout_us;
    lite->retry_at_us = now_us();
    lite->deadline_us = lite->retry_at_us + lite->timeout_us;
    lite->retry_us = RETRY_FIRST_US;
    return 0;
}

static int give_up(const struct sqlite *lite, struct error *ret_error)
{
    error_set(ret_error, ERROR_TRANSIENT,
              "%s: another process held the lock for %lld ms (a long transaction of another program, or a stopped process?)",
              lite->store.settings.uri, (long long)(lite->timeout_us / 1000));
    if (ret_error != NULL)
        memcpy(ret_error->code, "SQLITE_BUSY", sizeof "SQLITE_BUSY");
    return ERROR_TRANSIENT;
}

static int attempt(struct sqlite *lite, struct error *ret_error)
{
    int result;

    if (now_us() < lite->retry_at_us)
        return STORE_BUSY;
    lite->limit_us = limit_of(lite);
    result = lite->work(lite, ret_error);
    lite->limit_us = INT64_MAX;
    if (result != STORE_BUSY)
        return result;
    if (now_us() >= lite->deadline_us)
        return give_up(lite, ret_error);
    lite->retry_at_us = now_us() + lite->retry_us;
    lite->retry_us = lite->retry_us * 2 < RETRY_MAX_US ? lite->retry_us * 2 : RETRY_MAX_US;
    return STORE_BUSY;
}

static int poll_operation(struct store *store, struct error *ret_error)
{
    return attempt(sqlite_of(store), ret_error);
}

int sqlite_command(struct sqlite *lite, sqlite_work work, struct error *ret_error)
{
    int result;

    result = begin(lite, work, ret_error);
    if (result != 0)
        return result;
    while ((result = attempt(lite, ret_error)) == STORE_BUSY) {
        int64_t wait_us = lite->retry_at_us - now_us();

        store_waits(&lite->store);
        (void)poll(NULL, 0, wait_us > 0 ? (int)((wait_us + 999) / 1000) : 0);
    }
    return result;
}

static int start_connect(struct store *store, struct error *ret_error)
{
    sqlite_disconnect(sqlite_of(store));
    return begin(sqlite_of(store), sqlite_connect, ret_error);
}

static int claim_now(struct sqlite *lite, struct error *ret_error)
{
    return sqlite_transaction(lite, sqlite_take_positions, ret_error);
}

static int start_take(struct store *store, struct store_position *positions, size_t n, bool is_resolve, struct error *ret_error)
{
    struct sqlite *lite = sqlite_of(store);

    lite->positions = positions;
    lite->n_positions = n;
    lite->is_resolve = is_resolve;
    return begin(lite, claim_now, ret_error);
}

static int start_claim(struct store *store, struct store_position *positions, size_t n, struct error *ret_error)
{
    return start_take(store, positions, n, false, ret_error);
}

static int start_resolve(struct store *store, struct store_position *positions, size_t n, struct error *ret_error)
{
    return start_take(store, positions, n, true, ret_error);
}

static int release_now(struct sqlite *lite, struct error *ret_error)
{
    return sqlite_transaction(lite, sqlite_release_positions, ret_error);
}

static char *keep(struct sqlite *lite, const char *text)
{
    return arena_copy(lite->arena, text, strlen(text));
}

static int start_release(struct store *store, const struct store_position *positions, size_t n, struct error *ret_error)
{
    struct sqlite *lite = sqlite_of(store);
    struct store_position *copy;

    arena_reset(lite->arena);
    copy = arena_zalloc(lite->arena, (n + 1) * sizeof *copy);
    if (copy == NULL)
        return sqlite_out_of_memory(ret_error);
    for (size_t i = 0; i < n; i++) {
        copy[i] = (struct store_position){.topic = keep(lite, positions[i].topic), .partition = positions[i].partition};
        if (copy[i].topic == NULL)
            return sqlite_out_of_memory(ret_error);
    }
    lite->positions = copy;
    lite->n_positions = n;
    return begin(lite, release_now, ret_error);
}

static int insert_now(struct sqlite *lite, struct error *ret_error)
{
    return sqlite_transaction(lite, sqlite_insert_positions, ret_error);
}

static int start_insert(struct store *store, const struct store_start *starts, size_t n, bool is_first, struct error *ret_error)
{
    struct sqlite *lite = sqlite_of(store);
    struct store_start *copy;

    arena_reset(lite->arena);
    copy = arena_zalloc(lite->arena, (n + 1) * sizeof *copy);
    if (copy == NULL)
        return sqlite_out_of_memory(ret_error);
    for (size_t i = 0; i < n; i++) {
        copy[i] = starts[i];
        copy[i].topic = keep(lite, starts[i].topic);
        copy[i].cluster_id = keep(lite, starts[i].cluster_id);
        if (copy[i].topic == NULL || copy[i].cluster_id == NULL)
            return sqlite_out_of_memory(ret_error);
    }
    lite->starts = copy;
    lite->n_starts = n;
    lite->is_first = is_first;
    return begin(lite, insert_now, ret_error);
}

static int move_and_write(struct sqlite *lite, struct error *ret_error)
{
    int result = sqlite_move_positions(lite, ret_error);

    return result == 0 ? sqlite_write_rows(lite, ret_error) : result;
}

static int write_now(struct sqlite *lite, struct error *ret_error)
{
    return sqlite_transaction(lite, move_and_write, ret_error);
}

static int start_write(struct store *store, const struct store_write *write, struct error *ret_error)
{
    struct sqlite *lite = sqlite_of(store);

    lite->write = *write;
    return begin(lite, write_now, ret_error);
}

static int start_read(struct store *store, const struct store_read *read, struct error *ret_error)
{
    struct sqlite *lite = sqlite_of(store);

    lite->read = *read;
    return begin(lite, sqlite_read_rows, ret_error);
}

/* ---- The driver ---- */

static int open_store(const struct store_settings *settings, const struct store_scope *scope, struct store **ret_store,
                      struct error *ret_error)
{
    struct sqlite *lite;
    int result = sqlite_check_path(settings->uri, ret_error);

    if (result != 0)
        return result;
    lite = calloc(1, sizeof *lite);
    if (lite == NULL)
        return sqlite_out_of_memory(ret_error);
    lite->store.settings = *settings;
    lite->store.scope = *scope;
    lite->limit_us = INT64_MAX;
    lite->arena = arena_new(ARENA_BLOCK, ARENA_BLOCK);
    if (lite->arena == NULL) {
        free(lite);
        return sqlite_out_of_memory(ret_error);
    }
    *ret_store = &lite->store;
    return 0;
}

static void close_store(struct store *store)
{
    struct sqlite *lite = sqlite_of(store);

    sqlite_disconnect(lite);
    arena_free(lite->arena);
    free(lite->list);
    free(lite);
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
    return store->is_busy ? ((const struct sqlite *)store)->retry_at_us : INT64_MAX;
}

static bool is_connected(const struct store *store)
{
    return ((const struct sqlite *)store)->connection != NULL;
}

const struct store_driver store_sqlite = {
    .kind = "sqlite",
    .is_blocking = true,
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
