/* NOTE (lead, 08:11): my version and the SQLite engineer's met here. Mine stands (sqlite.c, _positions, _rows, _schema, _types);
 * yours is kept in /tmp/helper9. Do not rewrite it: run the tests on it and mend it in place, taking from yours what is better.
 * This note goes before the commit. */
/*
 * sqlite - what the files of the SQLite driver share. Only store/sqlite* includes sqlite3.h.
 *
 * An operation is one short transaction, done within one store_poll(): a local write. What another process locks is waited for by
 * polling again, until the lock time limit; nothing blocks.
 */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include "base/buffer.h"
#include "store/driver.h"

#include <sqlite3.h>
#include <stdint.h>

struct sqlite_statement { /* prepared once, by its text */
    char *sql;
    sqlite3_stmt *statement;
};

struct sqlite;
typedef int (*sqlite_work)(struct sqlite *store, struct error *ret_error);

struct sqlite {
    struct store store; /* first */
    sqlite3 *connection;
    sqlite_work work; /* the operation under way */
    int64_t deadline_us;
    int64_t retry_at_us;
    struct sqlite_statement *statements;
    size_t n_statements, statements_capacity;
    struct arena *arena; /* text of results, until the next operation */

    struct store_position *positions;
    size_t n_positions;
    bool is_resolve;
    const struct store_start *starts;
    size_t n_starts;
    bool is_first;
    struct store_write write;
    struct store_read read;
    struct store_position *list;
};

static inline struct sqlite *sqlite_of(struct store *store)
{
    return (struct sqlite *)store;
}

/* ---- sqlite.c ---- */

/* The class and text of the connection's last error. TRANSIENT for a lock of another process. */
int sqlite_error(const struct sqlite *store, const char *what, struct error *ret_error);
int sqlite_execute(struct sqlite *store, const char *sql, struct error *ret_error) MUST_CHECK;
/* A prepared statement, reset and without bindings; kept for the life of the connection. */
int sqlite_prepare(struct sqlite *store, const char *sql, sqlite3_stmt **ret_statement, struct error *ret_error) MUST_CHECK;
void sqlite_bind_scope(struct sqlite *store, sqlite3_stmt *statement); /* ?1 pipeline, ?2 version */
/* Steps a statement that returns no rows. */
int sqlite_run(struct sqlite *store, sqlite3_stmt *statement, const char *what, struct error *ret_error) MUST_CHECK;
/* Runs work between BEGIN IMMEDIATE and COMMIT; rolls back on any error. */
int sqlite_transaction(struct sqlite *store, sqlite_work work, struct error *ret_error) MUST_CHECK;
void sqlite_now(char ret_text[32]);

/* ---- sqlite_types.c ---- */

const char *sqlite_type_name(const struct column *column);
void sqlite_bind_cell(sqlite3_stmt *statement, int at, const struct column *column, const struct cell *cell);
/* Text stays the statement's. CONFIG when the stored value is not of the column's type. */
int sqlite_read_cell(const struct column *column, sqlite3_stmt *statement, int at, struct cell *ret_cell, struct error *ret_error);
/* readside_add(a, b, precision, scale) and readside_greatest/least(a, b, scale) for decimals, readside_add_int(a, b): exact,
 * overflow refused. */
int sqlite_add_functions(sqlite3 *connection);

/* ---- sqlite_positions.c, sqlite_rows.c, sqlite_schema.c ---- */

int sqlite_take_positions(struct sqlite *store, struct error *ret_error);
int sqlite_release_positions(struct sqlite *store, struct error *ret_error);
int sqlite_insert_positions(struct sqlite *store, struct error *ret_error);
int sqlite_move_positions(struct sqlite *store, struct error *ret_error);
int sqlite_list_positions(struct store *store, const struct store_position **ret_positions, size_t *ret_n,
                          struct error *ret_error);
int sqlite_operate(struct store *store, const struct store_operation *operation, struct error *ret_error);
int sqlite_write_rows(struct sqlite *store, struct error *ret_error);
int sqlite_read_rows(struct sqlite *store, struct error *ret_error);
int sqlite_print_schema(const struct store_scope *scope, struct buffer *ret_sql, struct error *ret_error);
int sqlite_create_schema(struct store *store, struct error *ret_error);
int sqlite_check_schema(struct store *store, struct error *ret_error);
int sqlite_preflight(struct store *store, struct error *ret_error);
int sqlite_reset_version(struct store *store, const char *actor, struct error *ret_error);

#endif
