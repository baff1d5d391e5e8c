/*
 * sqlite_schema - the tables in an SQLite file: printed, made, dropped. Blocking; for start-up and commands.
 *
 * The comment behind each column says the plugin's type: SQLite keeps it, people read it, sqlite_check.c compares it. A table of
 * rows is a tree by its key (WITHOUT ROWID).
 */
#include "store/sqlite.h"

#include <stdio.h>
#include <string.h>

static const char host_tables[] =
    "CREATE TABLE IF NOT EXISTS readside_projections (\n"
    "    pipeline TEXT NOT NULL,\n    version INTEGER NOT NULL,\n    plugin TEXT NOT NULL,\n    revision INTEGER NOT NULL,\n"
    "    state TEXT NOT NULL DEFAULT 'live',\n    created_at TEXT NOT NULL,\n    switched_at TEXT,\n"
    "    PRIMARY KEY (pipeline, version)\n) STRICT, WITHOUT ROWID;\n"
    "CREATE TABLE IF NOT EXISTS readside_tables (\n"
    "    name TEXT PRIMARY KEY,\n    pipeline TEXT NOT NULL,\n    version INTEGER NOT NULL\n) STRICT, WITHOUT ROWID;\n"
    "CREATE TABLE IF NOT EXISTS readside_positions (\n"
    "    pipeline TEXT NOT NULL,\n    version INTEGER NOT NULL,\n    topic TEXT NOT NULL,\n    part INTEGER NOT NULL,\n"
    "    cluster_id TEXT NOT NULL,\n    topic_id TEXT,\n    next_offset INTEGER NOT NULL,\n"
    "    leader_epoch INTEGER NOT NULL DEFAULT -1,\n    epoch INTEGER NOT NULL DEFAULT 0,\n    owner TEXT,\n"
    "    commit_seq INTEGER NOT NULL DEFAULT 0,\n    events INTEGER NOT NULL DEFAULT 0,\n"
    "    backend_pid INTEGER, -- the process that claimed it\n    state TEXT NOT NULL DEFAULT 'running',\n    halt_kind TEXT,\n    halt_reason TEXT,\n    claimed_at TEXT,\n"
    "    updated_at TEXT NOT NULL,\n    PRIMARY KEY (pipeline, version, topic, part)\n) STRICT, WITHOUT ROWID;\n"
    "CREATE TABLE IF NOT EXISTS readside_outbox (\n"
    "    position INTEGER PRIMARY KEY AUTOINCREMENT,\n    pipeline TEXT NOT NULL,\n    version INTEGER NOT NULL,\n"
    "    topic TEXT NOT NULL,\n    key BLOB,\n    value BLOB,\n    headers TEXT NOT NULL,\n    source_topic TEXT NOT NULL,\n"
    "    source_part INTEGER NOT NULL,\n    source_offset INTEGER NOT NULL,\n    created_at TEXT NOT NULL\n) STRICT;\n"
    "CREATE TABLE IF NOT EXISTS readside_audit (\n"
    "    id INTEGER PRIMARY KEY AUTOINCREMENT,\n    at TEXT NOT NULL,\n    actor TEXT NOT NULL,\n    action TEXT NOT NULL,\n"
    "    pipeline TEXT NOT NULL,\n    version INTEGER NOT NULL,\n    topic TEXT,\n    part INTEGER,\n    old_offset INTEGER,\n"
    "    new_offset INTEGER,\n    reason TEXT NOT NULL\n) STRICT;\n";

/* ---- DDL ---- */

static void print_table(struct buffer *sql, const struct store_scope *scope, const struct table *table)
{
    char name[STORE_NAME_SIZE], type[SQLITE_TYPE_SIZE];

    store_table_name(scope, table, name);
    buffer_printf(sql, "CREATE TABLE IF NOT EXISTS \"%s\" (\n", name);
    for (uint32_t i = 0; i < table->n_columns; i++) {
        const struct column *column = &table->columns[i];

        buffer_printf(sql, "    \"%s\" %s%s", column->name, sqlite_storage_name(column->type),
                      column->is_key || column->is_not_null ? " NOT NULL" : "");
        if (!column->is_key && !column->fallback.is_null) {
            buffer_puts(sql, " DEFAULT ");
            sqlite_print_fallback(sql, column);
        }
        buffer_printf(sql, ", -- %s\n", sqlite_type_name(column, type));
    }
    if (!table->is_shared)
        buffer_puts(sql, "    readside_partition INTEGER NOT NULL, -- whose events write the row\n");
    buffer_puts(sql, "    PRIMARY KEY (");
    for (uint32_t i = 0; i < table->n_keys; i++)
        buffer_printf(sql, "%s\"%s\"", i > 0 ? ", " : "", table->columns[table->keys[i]].name);
    buffer_puts(sql, ")\n) STRICT, WITHOUT ROWID;\n");
    for (uint32_t i = 0; i < table->n_indexes; i++) {
        buffer_printf(sql, "CREATE INDEX IF NOT EXISTS \"%s_%s\" ON \"%s\" (", name, table->indexes[i].name, name);
        for (uint32_t j = 0; j < table->indexes[i].n_columns; j++)
            buffer_printf(sql, "%s\"%s\"", j > 0 ? ", " : "", table->columns[table->indexes[i].columns[j]].name);
        buffer_puts(sql, ");\n");
    }
}

static void print_view(struct buffer *sql, const struct store_scope *scope, const struct table *table)
{
    char name[STORE_NAME_SIZE];

    store_table_name(scope, table, name);
    buffer_printf(sql, "CREATE VIEW IF NOT EXISTS \"%s\" AS SELECT ", table->name);
    for (uint32_t i = 0; i < table->n_columns; i++)
        buffer_printf(sql, "%s\"%s\"", i > 0 ? ", " : "", table->columns[i].name);
    buffer_printf(sql, " FROM \"%s\";\n", name);
}

int sqlite_print_schema(const struct store_scope *scope, struct buffer *ret_sql, struct error *ret_error)
{
    buffer_puts(ret_sql, host_tables);
    for (uint32_t i = 0; i < scope->n_tables; i++)
        if (!scope->tables[i].is_omitted) {
            print_table(ret_sql, scope, &scope->tables[i]);
            print_view(ret_sql, scope, &scope->tables[i]);
        }
    return buffer_failed(ret_sql) ? sqlite_out_of_memory(ret_error) : 0;
}

/* ---- Making ---- */

static int refuse_missing_tables(struct sqlite *lite, struct error *ret_error)
{
    const struct store_scope *scope = &lite->store.scope;
    int result = 0;

    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++) {
        char name[STORE_NAME_SIZE];
        int64_t n = 0;

        store_table_name(scope, &scope->tables[i], name);
        if (!scope->tables[i].is_omitted)
            result = sqlite_query(lite, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1", name, &n, ret_error);
        if (result == 0 && n == 0 && !scope->tables[i].is_omitted)
            result = sqlite_refuse_missing(lite, name, ret_error);
    }
    return result;
}

static int create_all(struct sqlite *lite, struct error *ret_error)
{
    struct buffer sql = BUFFER_INIT;
    int result = refuse_missing_tables(lite, ret_error);

    if (result == 0)
        result = sqlite_print_schema(&lite->store.scope, &sql, ret_error);

    if (result == 0)
        result = sqlite_execute(lite, sql.data, ret_error);
    buffer_free(&sql);
    return result;
}

static int create_now(struct sqlite *lite, struct error *ret_error)
{
    return sqlite_transaction(lite, create_all, ret_error);
}

int sqlite_create_schema(struct store *store, struct error *ret_error)
{
    int result = sqlite_command(sqlite_of(store), create_now, ret_error);

    if (result != 0)
        return ret_error == NULL ? result : error_wrap(ret_error, "creating the schema");
    return sqlite_check_schema(store, ret_error);
}

/* ---- Dropping a version ---- */

/* name: NAME__vN. The view NAME goes only where it shows this version. */
static int drop_table(struct sqlite *lite, const char *name, struct error *ret_error)
{
    char view[STORE_NAME_SIZE], sql[2 * STORE_NAME_SIZE + 64];
    bool shows = false;
    int result;

    store_view_name(&lite->store.scope, name, view);
    result = sqlite_view_shows(lite, view, name, &shows, ret_error);
    if (result != 0)
        return result;
    if (shows)
        snprintf(sql, sizeof sql, "DROP VIEW \"%s\"; DROP TABLE IF EXISTS \"%s\"", view, name);
    else
        snprintf(sql, sizeof sql, "DROP TABLE IF EXISTS \"%s\"", name);
    return sqlite_execute(lite, sql, ret_error);
}

/* The version's first table that is still entered; "" when there is none. */
static int next_table(struct sqlite *lite, char ret_name[STORE_NAME_SIZE], struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(lite, "SELECT name FROM readside_tables WHERE pipeline = ?1 AND version = ?2 LIMIT 1", &statement,
                                ret_error);
    int code;

    if (result != 0)
        return result;
    sqlite_bind_scope(lite, statement);
    code = sqlite3_step(statement);
    snprintf(ret_name, STORE_NAME_SIZE, "%s", code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : "");
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        result = sqlite_error(lite, "readside_tables", ret_error);
    sqlite3_reset(statement); /* a table cannot be dropped while anything is being read */
    return result;
}

static int forget_table(struct sqlite *lite, const char *name, struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(lite, "DELETE FROM readside_tables WHERE name = ?1", &statement, ret_error);

    if (result != 0)
        return result;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    return sqlite_run(lite, statement, "readside_tables", ret_error);
}

/* Those that the version fills, whatever the plugin's options say today, and none of another pipeline. */
static int drop_tables(struct sqlite *lite, struct error *ret_error)
{
    char name[STORE_NAME_SIZE] = "";
    int result = sqlite_enter_tables(lite, ret_error);

    for (;;) {
        if (result == 0)
            result = next_table(lite, name, ret_error);
        if (result != 0 || name[0] == '\0')
            return result;
        result = drop_table(lite, name, ret_error);
        if (result == 0)
            result = forget_table(lite, name, ret_error);
    }
}

static int run_scoped(struct sqlite *lite, const char *sql, const char *now, struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(lite, sql, &statement, ret_error);

    if (result != 0)
        return result;
    sqlite_bind_scope(lite, statement);
    if (sqlite3_bind_parameter_count(statement) > 2) {
        sqlite3_bind_text(statement, 3, lite->actor, -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 4, now, -1, SQLITE_STATIC);
    }
    return sqlite_run(lite, statement, "dropping a version", ret_error);
}

static int drop_version(struct sqlite *lite, struct error *ret_error)
{
    static const char record[] = "INSERT INTO readside_audit (actor, action, pipeline, version, at, reason) "
                                 "VALUES (?3, 'reset', ?1, ?2, ?4, 'tables and positions dropped')";
    static const char *const statements[] = {
        "DELETE FROM readside_positions WHERE pipeline = ?1 AND version = ?2",
        "DELETE FROM readside_outbox WHERE pipeline = ?1 AND version = ?2",
        "DELETE FROM readside_projections WHERE pipeline = ?1 AND version = ?2",
        record,
    };
    int result = drop_tables(lite, ret_error);
    char now[32];

    sqlite_now(now);
    for (size_t i = 0; i < sizeof statements / sizeof statements[0] && result == 0; i++)
        result = run_scoped(lite, statements[i], now, ret_error);
    return result;
}

static int drop_now(struct sqlite *lite, struct error *ret_error)
{
    return sqlite_transaction(lite, drop_version, ret_error);
}

int sqlite_reset_version(struct store *store, const char *actor, struct error *ret_error)
{
    struct sqlite *lite = sqlite_of(store);

    arena_reset(lite->arena);
    lite->actor = actor;
    return sqlite_command(lite, drop_now, ret_error);
}
