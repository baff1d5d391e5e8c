/*
 * sqlite - what the files of the SQLite driver share. Only store/sqlite* includes sqlite3.h.
 *
 * An operation is one short transaction, done within one store_poll(): a local write. Its statements together take at most
 * statement_timeout; flushing to disk at COMMIT, and a checkpoint, take what the disk takes. What another process locks is waited for
 * by polling again, until the lock time limit; nothing blocks. Only "busy" is tried again, where nothing has happened yet.
 */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "store/driver.h"
#include "store/findings.h"
#include "store/host_tables.h"

#include <sqlite3.h>
#include <sys/types.h>
#include <stdint.h>

enum {
    SQLITE_STATEMENTS_MAX = 64,  /* prepared and kept; the one not used for longest gives way */
    SQLITE_TYPE_SIZE = 24,       /* "decimal(38,38)" */
    SQLITE_VALUE_SIZE = 48,      /* a number, time or uuid as text */
    SQLITE_KEY_SHOWN_SIZE = 200, /* a key in a message */
};

struct sqlite_statement { /* prepared once, by its text */
    char *sql;
    sqlite3_stmt *statement;
    uint64_t used_at; /* count of preparations */
};

struct sqlite;
/* 0, an error class, or STORE_BUSY: the lock is not free and nothing has happened. */
typedef int (*sqlite_work)(struct sqlite *lite, struct error *ret_error);

struct sqlite {
    struct store store; /* first */
    sqlite3 *connection;
    ino_t log_inode;    /* of the write-ahead log; 0: not known yet */
    bool was_connected; /* once: a file that is gone since is not made again */
    sqlite_work work;   /* the operation under way */
    int64_t timeout_us;
    int64_t deadline_us;
    int64_t retry_at_us;
    int64_t retry_us; /* the pause before the next attempt */
    int64_t limit_us; /* when the attempt under way is given up */
    struct sqlite_statement statements[SQLITE_STATEMENTS_MAX];
    size_t n_statements;
    uint64_t preparations;
    struct arena *arena; /* text of results, until the next operation */
    char values[RS_MAX_COLUMNS + 16][SQLITE_VALUE_SIZE]; /* bound values, as long as their statement runs */

    struct store_position *positions;
    size_t n_positions;
    bool is_resolve;
    const struct store_start *starts;
    size_t n_starts;
    bool is_first;
    struct store_write write;
    struct store_read read;
    struct store_position *list;
    const struct store_operation *command; /* of an operator */
    const char *actor;
};

static inline struct sqlite *sqlite_of(struct store *store)
{
    return (struct sqlite *)store;
}

/* ---- sqlite.c ---- */

/* The class and text of the connection's last error. TRANSIENT for a lock of another process. */
int sqlite_error(const struct sqlite *lite, const char *what, struct error *ret_error);
int sqlite_execute(struct sqlite *lite, const char *sql, struct error *ret_error) MUST_CHECK;
/* The first column of a query's first row, as a number; 0 when there is none. ?1 is the text (NULL: no parameter). */
int sqlite_query(struct sqlite *lite, const char *sql, const char *text, int64_t *ret_value, struct error *ret_error) MUST_CHECK;
/* A prepared statement, reset and without bindings; kept for the life of the connection. */
int sqlite_prepare(struct sqlite *lite, const char *sql, sqlite3_stmt **ret_statement, struct error *ret_error) MUST_CHECK;
void sqlite_bind_scope(struct sqlite *lite, sqlite3_stmt *statement); /* ?1 pipeline, ?2 version */
/* Steps a statement that returns no rows. */
int sqlite_run(struct sqlite *lite, sqlite3_stmt *statement, const char *what, struct error *ret_error) MUST_CHECK;
/* Runs work between BEGIN IMMEDIATE and COMMIT; rolls back on any error. STORE_BUSY: another process holds the lock. */
int sqlite_transaction(struct sqlite *lite, sqlite_work work, struct error *ret_error) MUST_CHECK;
/* The same for commands: waits for the lock, up to the lock time limit. */
int sqlite_command(struct sqlite *lite, sqlite_work work, struct error *ret_error) MUST_CHECK;
void sqlite_roll_back(struct sqlite *lite); /* disconnects where SQLite cannot prove it */
void sqlite_disconnect(struct sqlite *lite);
void sqlite_watch_time(struct sqlite *lite); /* statements end, interrupted, when their attempt's time is over */
bool sqlite_is_busy(const struct sqlite *lite); /* was that the last error? */
int sqlite_not_connected(const struct sqlite *lite, struct error *ret_error);
int sqlite_out_of_memory(struct error *ret_error);
void sqlite_now(char ret_text[32]);

/* ---- sqlite_connect.c ---- */

int sqlite_check_path(const char *path, struct error *ret_error) MUST_CHECK; /* what it tells before anything is opened */
int sqlite_connect(struct sqlite *lite, struct error *ret_error) MUST_CHECK; /* STORE_BUSY as above */

/* ---- sqlite_types.c ---- */

const char *sqlite_storage_name(enum rs_type type); /* INTEGER, REAL, TEXT, BLOB */
/* "decimal(20,2)", "timestamp", ...: the plugin's type, in the comment behind the column. */
const char *sqlite_type_name(const struct column *column, char ret_name[SQLITE_TYPE_SIZE]);
void sqlite_print_fallback(struct buffer *sql, const struct column *column); /* as a literal */
/* Nothing is copied: the cell stays as it is until the statement has run. */
int sqlite_bind_cell(struct sqlite *lite, sqlite3_stmt *statement, int at, const struct column *column, const struct cell *cell,
                     struct error *ret_error) MUST_CHECK;
void sqlite_bind_id(struct sqlite *lite, sqlite3_stmt *statement, int at, const uint8_t id[16]); /* as a uuid's text */
/* Text stays the statement's. CONFIG when the stored value is not of the column's type. */
int sqlite_read_cell(const struct table *table, uint32_t number, sqlite3_stmt *statement, int at, struct cell *ret_cell,
                     struct error *ret_error) MUST_CHECK;
/* The key for people: "acc-1", "2026-11-23, 7". cells: a row's, all columns. */
const char *sqlite_show_key(const struct table *table, const struct cell *cells, char ret_text[SQLITE_KEY_SHOWN_SIZE]);

/* ---- sqlite_version.c ---- */

/* CONFIG when the version's rows are not this plugin's and pipeline's, or its tables others than until now. Only reads. */
int sqlite_ask_version(struct sqlite *lite, struct error *ret_error) MUST_CHECK;
/* Enters the version and its tables; CONFIG as above. In the transaction of its first positions. */
int sqlite_enter_version(struct sqlite *lite, struct error *ret_error) MUST_CHECK;
/* The tables alone; CONFIG when another pipeline fills one of them. */
int sqlite_enter_tables(struct sqlite *lite, struct error *ret_error) MUST_CHECK;
/* All that sqlite_ask_version() would refuse; the host's tables are there. */
int sqlite_check_version(struct sqlite *lite, struct findings *findings, struct error *ret_error) MUST_CHECK;
/* Of a table that is not there: CONFIG when the version has positions. */
int sqlite_refuse_missing(struct sqlite *lite, const char *name, struct error *ret_error) MUST_CHECK;

/* ---- sqlite_function.c ---- */

/* readside_add, readside_add_int, readside_greatest, readside_least, readside_same. An SQLite code. */
int sqlite_add_functions(sqlite3 *connection);

/* ---- sqlite_positions.c, sqlite_rows.c, sqlite_schema.c, sqlite_check.c, sqlite_preflight.c ---- */

int sqlite_take_positions(struct sqlite *lite, struct error *ret_error);
int sqlite_release_positions(struct sqlite *lite, struct error *ret_error);
int sqlite_insert_positions(struct sqlite *lite, struct error *ret_error);
/* CONFIG where a table holds rows though the version has no position at all. */
int sqlite_refuse_filled(struct sqlite *lite, struct error *ret_error);
int sqlite_move_positions(struct sqlite *lite, struct error *ret_error);
int sqlite_list_positions(struct store *store, const struct store_position **ret_positions, size_t *ret_n,
                          struct error *ret_error);
int sqlite_operate(struct store *store, const struct store_operation *operation, struct error *ret_error);
int sqlite_write_rows(struct sqlite *lite, struct error *ret_error);
int sqlite_read_rows(struct sqlite *lite, struct error *ret_error);
const char *sqlite_host_type(enum host_type type); /* "INTEGER" */
int sqlite_print_schema(const struct store_scope *scope, struct buffer *ret_sql, struct error *ret_error);
void sqlite_print_index(struct buffer *sql, const struct store_scope *scope, const struct table *table, const struct index *index);
int sqlite_create_schema(struct store *store, struct error *ret_error);
int sqlite_check_schema(struct store *store, struct error *ret_error);
int sqlite_preflight(struct store *store, struct error *ret_error);
/* Does the view show that table? False when there is no such view. */
int sqlite_view_shows(struct sqlite *lite, const char *view, const char *name, bool *ret_shows, struct error *ret_error) MUST_CHECK;
int sqlite_reset_version(struct store *store, const char *actor, struct error *ret_error);

#endif
