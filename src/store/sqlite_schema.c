/*
 * sqlite_schema - the tables in an SQLite file: printed, made, dropped. Blocking; for start-up and commands.
 *
 * The comment behind each column says the plugin's type: SQLite keeps it, people read it, sqlite_check.c compares it. A table of
 * rows is a tree by its key (WITHOUT ROWID).
 */
#include "store/sqlite.h"

#include <stdio.h>
#include <string.h>

/* ---- The host's tables ---- */

const char *sqlite_host_type(enum host_type type)
{
    static const char *const names[] = {[HOST_NUMBER] = "INTEGER", [HOST_INT] = "INTEGER", [HOST_BIGINT] = "INTEGER",
                                        [HOST_TEXT] = "TEXT",      [HOST_NAME] = "TEXT",   [HOST_UUID] = "TEXT",
                                        [HOST_BYTES] = "BLOB",     [HOST_JSON] = "TEXT",   [HOST_TIME] = "TEXT"};

    return names[type];
}

static void print_host_table(struct buffer *sql, const struct host_table *table)
{
    bool is_numbered = table->columns[0].type == HOST_NUMBER;
    size_t n = 0;

    buffer_printf(sql, "CREATE TABLE IF NOT EXISTS %s (", table->name);
    for (size_t i = 0; i < table->n_columns; i++) {
        const struct host_column *column = &table->columns[i];

        if (!host_column_is_of(column, "sqlite"))
            continue;
        buffer_printf(sql, "%s\n    %s %s%s", n++ > 0 ? "," : "", column->name, sqlite_host_type(column->type),
                      column->type == HOST_NUMBER ? " PRIMARY KEY AUTOINCREMENT" : column->is_null ? "" : " NOT NULL");
        if (column->fallback != NULL)
            buffer_printf(sql, " DEFAULT %s", column->fallback);
    }
    for (size_t i = 0; table->keys[i] != NULL && !is_numbered; i++)
        buffer_printf(sql, "%s%s", i == 0 ? ",\n    PRIMARY KEY (" : ", ", table->keys[i]);
    buffer_puts(sql, is_numbered ? "\n) STRICT;\n" : ")\n) STRICT, WITHOUT ROWID;\n");
}

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
}

void sqlite_print_index(struct buffer *sql, const struct store_scope *scope, const struct table *table, const struct index *index)
{
    char name[STORE_NAME_SIZE];

    store_table_name(scope, table, name);
    buffer_printf(sql, "CREATE INDEX IF NOT EXISTS \"%s_%s\" ON \"%s\" (", name, index->name, name);
    for (uint32_t i = 0; i < index->n_columns; i++)
        buffer_printf(sql, "%s\"%s\"", i > 0 ? ", " : "", table->columns[index->columns[i]].name);
    buffer_putc(sql, ')');
}

static void print_indexes(struct buffer *sql, const struct store_scope *scope, const struct table *table)
{
    for (uint32_t i = 0; i < table->n_indexes; i++) {
        sqlite_print_index(sql, scope, table, &table->indexes[i]);
        buffer_puts(sql, ";\n");
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
    for (size_t i = 0; i < HOST_TABLES; i++)
        print_host_table(ret_sql, &host_tables[i]);
    for (uint32_t i = 0; i < scope->n_tables; i++)
        if (!scope->tables[i].is_omitted) {
            print_table(ret_sql, scope, &scope->tables[i]);
            print_indexes(ret_sql, scope, &scope->tables[i]);
            print_view(ret_sql, scope, &scope->tables[i]);
        }
    return buffer_failed(ret_sql) ? sqlite_out_of_memory(ret_error) : 0;
}

/* ---- Making ---- */

/* What is missing of a table. An index on rows takes its time, and locks writers out: the check tells of it. */
static int print_missing(struct sqlite *lite, const struct table *table, struct buffer *sql, struct error *ret_error)
{
    const struct store_scope *scope = &lite->store.scope;
    char name[STORE_NAME_SIZE], look[STORE_NAME_SIZE + 40];
    int64_t exists = 0, has_rows = 0;
    int result;

    store_table_name(scope, table, name);
    result = sqlite_query(lite, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1", name, &exists, ret_error);
    snprintf(look, sizeof look, "SELECT EXISTS (SELECT 1 FROM \"%s\")", name);
    if (result == 0 && exists == 0)
        result = sqlite_refuse_missing(lite, name, ret_error);
    else if (result == 0)
        result = sqlite_query(lite, look, NULL, &has_rows, ret_error);
    if (result != 0)
        return result;
    print_table(sql, scope, table);
    if (has_rows == 0)
        print_indexes(sql, scope, table);
    print_view(sql, scope, table);
    return 0;
}

static int create_all(struct sqlite *lite, struct error *ret_error)
{
    const struct store_scope *scope = &lite->store.scope;
    struct buffer sql = BUFFER_INIT;
    int result = 0;

    for (size_t i = 0; i < HOST_TABLES; i++)
        print_host_table(&sql, &host_tables[i]);
    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++)
        if (!scope->tables[i].is_omitted)
            result = print_missing(lite, &scope->tables[i], &sql, ret_error);
    if (result == 0)
        result = buffer_failed(&sql) ? sqlite_out_of_memory(ret_error) : sqlite_execute(lite, sql.data, ret_error);
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
