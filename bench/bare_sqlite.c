/*
 * bare_sqlite - the limit to compare rows_bench with: the same rows into an SQLite file by the library alone.
 *
 *     bare_sqlite row|row-commit FILE [ROWS [ROWS_A_BATCH]]
 *
 * One prepared upsert, bound row by row; row: a transaction a batch; row-commit: a transaction a row. All rows new, then all of them
 * once more. The file is set up as the driver does it (store/sqlite_connect.c: a write-ahead log, flushed at each commit). A table
 * of its own without a partition, no positions, no checks, and sums in SQLite's own arithmetic, which rounds. Binding counts, making
 * the rows does not. Prints one line of JSON, in rows per second.
 */
#include "accounts.h"
#include "meter.h"

#include <sqlite3.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PATIENCE_MS = 10000 };

static const char set_up[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864; "
    "PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY; DROP TABLE IF EXISTS bare; "
    "CREATE TABLE bare (account TEXT NOT NULL, owner TEXT NOT NULL DEFAULT '', balance TEXT NOT NULL DEFAULT '0.00', "
    "events INTEGER NOT NULL DEFAULT 0, opened_at TEXT, updated_at TEXT, PRIMARY KEY (account)) STRICT, WITHOUT ROWID";

static const char upsert[] =
    "INSERT INTO bare AS t (account, balance, events, updated_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (account) DO UPDATE SET "
    "balance = t.balance + excluded.balance, events = t.events + excluded.events, updated_at = excluded.updated_at";

struct writer {
    sqlite3 *connection;
    sqlite3_stmt *statement;
};

static _Noreturn void fail(const struct writer *writer, const char *what)
{
    die("%s: %s", what, sqlite3_errmsg(writer->connection));
}

static void run_sql(const struct writer *writer, const char *sql)
{
    if (sqlite3_exec(writer->connection, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail(writer, sql);
}

static void bind_text(const struct writer *writer, int at, const char *text)
{
    if (sqlite3_bind_text(writer->statement, at, text, -1, SQLITE_STATIC) != SQLITE_OK)
        fail(writer, "binding");
}

/* Outside of a transaction each statement is one of its own. */
static void each_alone(void *context, const struct account *accounts, uint32_t n)
{
    struct writer *writer = context;

    for (uint32_t i = 0; i < n; i++) {
        bind_text(writer, 1, accounts[i].key);
        bind_text(writer, 2, accounts[i].balance);
        sqlite3_bind_int64(writer->statement, 3, accounts[i].events);
        bind_text(writer, 4, accounts[i].at);
        if (sqlite3_step(writer->statement) != SQLITE_DONE)
            fail(writer, "writing a row");
        sqlite3_reset(writer->statement);
    }
}

static void as_batch(void *context, const struct account *accounts, uint32_t n)
{
    struct writer *writer = context;

    run_sql(writer, "BEGIN IMMEDIATE");
    each_alone(writer, accounts, n);
    run_sql(writer, "COMMIT");
}

static void open_file(struct writer *writer, const char *file)
{
    if (sqlite3_open_v2(file, &writer->connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        fail(writer, file);
    sqlite3_busy_timeout(writer->connection, PATIENCE_MS);
    run_sql(writer, set_up);
    if (sqlite3_prepare_v3(writer->connection, upsert, -1, SQLITE_PREPARE_PERSISTENT, &writer->statement, NULL) != SQLITE_OK)
        fail(writer, "preparing a statement");
}

static int64_t ask(const struct writer *writer, const char *sql)
{
    sqlite3_stmt *statement;
    int64_t value;

    if (sqlite3_prepare_v2(writer->connection, sql, -1, &statement, NULL) != SQLITE_OK || sqlite3_step(statement) != SQLITE_ROW)
        fail(writer, sql);
    value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

int main(int argc, char **argv)
{
    bool is_each_alone = argc > 1 && strcmp(argv[1], "row-commit") == 0;
    struct writer writer = {0};
    struct accounts_run run = {.write = is_each_alone ? each_alone : as_batch, .context = &writer};
    double new, known;

    if (argc < 3 || argc > 5 || (!is_each_alone && strcmp(argv[1], "row") != 0)) {
        fprintf(stderr, "usage: bare_sqlite row|row-commit FILE [ROWS [ROWS_A_BATCH]]\n");
        return 2;
    }
    run.n_rows = meter_count(argc > 3 ? argv[3] : NULL, ACCOUNTS_ROWS);
    run.n_batch = meter_count(argc > 4 ? argv[4] : NULL, ACCOUNTS_BATCH);
    open_file(&writer, argv[2]);
    new = accounts_write_all(&run);
    known = accounts_write_all(&run);
    accounts_check(&run, ask(&writer, "SELECT count(*) FROM bare"), ask(&writer, "SELECT sum(events) FROM bare"), 2);
    accounts_print(&run, argv[1], new, known);
    sqlite3_finalize(writer.statement);
    sqlite3_close(writer.connection);
    return 0;
}
