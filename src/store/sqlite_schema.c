/*
 * sqlite_schema - the tables in an SQLite file: made, compared with what the plugin declares, judged, dropped. Blocking.
 */
#include "store/sqlite.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static const char host_tables[] =
    "CREATE TABLE IF NOT EXISTS readside_projections (\n"
    "    pipeline TEXT NOT NULL,\n    version INTEGER NOT NULL,\n    plugin TEXT NOT NULL,\n    revision INTEGER NOT NULL,\n"
    "    state TEXT NOT NULL DEFAULT 'live',\n    created_at TEXT NOT NULL,\n    switched_at TEXT,\n"
    "    PRIMARY KEY (pipeline, version)\n) STRICT;\n"
    "CREATE TABLE IF NOT EXISTS readside_positions (\n"
    "    pipeline TEXT NOT NULL,\n    version INTEGER NOT NULL,\n    topic TEXT NOT NULL,\n    part INTEGER NOT NULL,\n"
    "    cluster_id TEXT NOT NULL,\n    topic_id BLOB,\n    next_offset INTEGER NOT NULL,\n"
    "    leader_epoch INTEGER NOT NULL DEFAULT -1,\n    epoch INTEGER NOT NULL DEFAULT 0,\n    owner BLOB,\n"
    "    commit_seq INTEGER NOT NULL DEFAULT 0,\n    events INTEGER NOT NULL DEFAULT 0,\n"
    "    state TEXT NOT NULL DEFAULT 'running',\n    halt_kind TEXT,\n    halt_reason TEXT,\n    claimed_at TEXT,\n"
    "    updated_at TEXT NOT NULL,\n    PRIMARY KEY (pipeline, version, topic, part)\n) STRICT;\n"
    "CREATE TABLE IF NOT EXISTS readside_outbox (\n"
    "    position INTEGER PRIMARY KEY AUTOINCREMENT,\n    pipeline TEXT NOT NULL,\n    version INTEGER NOT NULL,\n"
    "    topic TEXT NOT NULL,\n    key BLOB,\n    value BLOB,\n    headers TEXT NOT NULL,\n    source_topic TEXT NOT NULL,\n"
    "    source_part INTEGER NOT NULL,\n    source_offset INTEGER NOT NULL,\n    created_at TEXT NOT NULL\n) STRICT;\n"
    "CREATE TABLE IF NOT EXISTS readside_audit (\n"
    "    id INTEGER PRIMARY KEY AUTOINCREMENT,\n    at TEXT NOT NULL,\n    actor TEXT NOT NULL,\n    action TEXT NOT NULL,\n"
    "    pipeline TEXT NOT NULL,\n    version INTEGER NOT NULL,\n    topic TEXT,\n    part INTEGER,\n    old_offset INTEGER,\n"
    "    new_offset INTEGER,\n    reason TEXT NOT NULL\n) STRICT;\n";

/* ---- DDL ---- */

static void print_literal(struct buffer *sql, const char *text, size_t size)
{
    buffer_putc(sql, '\'');
    for (size_t i = 0; i < size; i++)
        buffer_printf(sql, text[i] == '\'' ? "''" : "%c", text[i]);
    buffer_putc(sql, '\'');
}

static void print_fallback(struct buffer *sql, const struct column *column)
{
    const struct cell *cell = &column->fallback;
    char text[64] = "";

    buffer_puts(sql, " DEFAULT ");
    switch (column->type) {
    case RS_INT:
    case RS_BOOL:
        buffer_printf(sql, "%lld", (long long)cell->as.integer);
        return;
    case RS_REAL:
        buffer_printf(sql, "%.17g", cell->as.real);
        return;
    case RS_BYTES:
        buffer_puts(sql, "x'");
        for (uint32_t i = 0; i < cell->size; i++)
            buffer_printf(sql, "%02x", (unsigned char)cell->as.data[i]);
        buffer_puts(sql, "'");
        return;
    case RS_DECIMAL:
        decimal_print(decimal_make(cell->as.decimal, (int32_t)column->scale), text);
        break;
    case RS_TIMESTAMP:
        text_print_timestamp(cell->as.integer, text);
        break;
    case RS_DATE:
        text_print_date((int32_t)cell->as.integer, text);
        break;
    case RS_UUID:
        text_print_uuid(cell->as.uuid, text);
        break;
    default:
        print_literal(sql, cell->as.data, cell->size);
        return;
    }
    print_literal(sql, text, strlen(text));
}

static void print_table(struct buffer *sql, const struct store_scope *scope, const struct table *table)
{
    char name[STORE_NAME_SIZE];

    store_table_name(scope, table, name);
    buffer_printf(sql, "CREATE TABLE IF NOT EXISTS \"%s\" (\n", name);
    for (uint32_t i = 0; i < table->n_columns; i++) {
        const struct column *column = &table->columns[i];

        buffer_printf(sql, "    \"%s\" %s%s", column->name, sqlite_type_name(column), column->is_not_null ? " NOT NULL" : "");
        if (!column->is_key && !column->fallback.is_null)
            print_fallback(sql, column);
        buffer_puts(sql, ",\n");
    }
    if (!table->is_shared)
        buffer_puts(sql, "    readside_partition INTEGER NOT NULL,\n");
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
    return buffer_failed(ret_sql) ? error_set(ret_error, ERROR_BUG, "out of memory") : 0;
}

/* ---- A blocking transaction ---- */

static int begin_blocking(struct sqlite *store, struct error *ret_error)
{
    int result;

    if (store->connection == NULL)
        return error_set(ret_error, ERROR_TRANSIENT, "not connected to SQLite");
    sqlite3_busy_timeout(store->connection, (int)(store->store.settings.lock_timeout_us / 1000));
    result = sqlite_execute(store, "BEGIN IMMEDIATE", ret_error);
    sqlite3_busy_timeout(store->connection, 0);
    return result;
}

static int end_blocking(struct sqlite *store, int result, struct error *ret_error)
{
    if (result == 0)
        return sqlite_execute(store, "COMMIT", ret_error);
    (void)sqlite3_exec(store->connection, "ROLLBACK", NULL, NULL, NULL);
    return result;
}

int sqlite_create_schema(struct store *base, struct error *ret_error)
{
    struct sqlite *store = sqlite_of(base);
    struct buffer sql = BUFFER_INIT;
    int result = sqlite_print_schema(&base->scope, &sql, ret_error);

    if (result == 0)
        result = begin_blocking(store, ret_error);
    if (result == 0)
        result = end_blocking(store, sqlite_execute(store, sql.data, ret_error), ret_error);
    buffer_free(&sql);
    if (result != 0)
        return error_wrap(ret_error, "creating the schema");
    return sqlite_check_schema(base, ret_error);
}

/* ---- Checking ---- */

static int object_type(struct sqlite *store, const char *name, char ret_type[16], struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(store, "SELECT type FROM sqlite_schema WHERE name = ?1", &statement, ret_error);

    ret_type[0] = '\0';
    if (result != 0)
        return result;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW)
        snprintf(ret_type, 16, "%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_reset(statement);
    return 0;
}

/* The row of pragma_table_info for a column: type, not null, default, place in the key. */
static int compare_column(struct sqlite *store, const char *table, const struct column *column, struct buffer *out,
                          struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(store, "SELECT type, \"notnull\", dflt_value IS NOT NULL, pk FROM pragma_table_info(?1) WHERE name = ?2",
                                &statement, ret_error);

    if (result != 0)
        return result;
    sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, column->name, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) != SQLITE_ROW) {
        buffer_printf(out, "; column %s is missing", column->name);
    } else {
        const char *type = (const char *)sqlite3_column_text(statement, 0);

        if (strcmp(type, sqlite_type_name(column)) != 0)
            buffer_printf(out, "; column %s is %s, the plugin declares %s", column->name, type, sqlite_type_name(column));
        if ((sqlite3_column_int(statement, 1) != 0) != column->is_not_null)
            buffer_printf(out, "; column %s is %s, the plugin declares %s", column->name, column->is_not_null ? "nullable" : "not null",
                          column->is_not_null ? "not null" : "nullable");
        if (!column->is_key && !column->fallback.is_null && sqlite3_column_int(statement, 2) == 0)
            buffer_printf(out, "; column %s has no default", column->name);
        if ((sqlite3_column_int(statement, 3) > 0) != column->is_key)
            buffer_puts(out, "; the primary key is another than the plugin declares");
    }
    sqlite3_reset(statement);
    return 0;
}

static bool is_declared(const struct table *table, const char *name)
{
    for (uint32_t i = 0; i < table->n_columns; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return true;
    return !table->is_shared && strcmp(name, "readside_partition") == 0;
}

static int compare_strangers(struct sqlite *store, const struct table *table, const char *name, struct buffer *out,
                             struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(store, "SELECT name, \"notnull\" <> 0 AND dflt_value IS NULL FROM pragma_table_info(?1)", &statement,
                                ret_error);
    bool has_partition = table->is_shared;

    if (result != 0)
        return result;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const char *column = (const char *)sqlite3_column_text(statement, 0);

        has_partition = has_partition || strcmp(column, "readside_partition") == 0;
        if (!is_declared(table, column) && sqlite3_column_int(statement, 1) != 0)
            buffer_printf(out, "; column %s is not declared, is not null and has no default", column);
    }
    sqlite3_reset(statement);
    if (!has_partition)
        buffer_puts(out, "; column readside_partition is missing");
    return 0;
}

static int missing_table(const char *name, struct error *ret_error)
{
    return error_set(ret_error, ERROR_CONFIG, "table %s does not exist; set schema = \"create\", or run what `readside schema' prints", name);
}

static int compare_table(struct sqlite *store, const struct table *table, struct error *ret_error)
{
    struct buffer out = BUFFER_INIT;
    char name[STORE_NAME_SIZE], type[16];
    int result;

    store_table_name(&store->store.scope, table, name);
    result = object_type(store, name, type, ret_error);
    if (result == 0 && strcmp(type, "table") != 0)
        return missing_table(name, ret_error);
    for (uint32_t i = 0; i < table->n_columns && result == 0; i++)
        result = compare_column(store, name, &table->columns[i], &out, ret_error);
    if (result == 0)
        result = compare_strangers(store, table, name, &out, ret_error);
    if (result == 0 && out.size > 0)
        result = error_set(ret_error, ERROR_CONFIG,
                           "table %s differs from what the plugin declares%s. Raise the pipeline's `version' to have new tables beside it",
                           name, out.data);
    buffer_free(&out);
    if (result == 0)
        result = object_type(store, table->name, type, ret_error);
    if (result == 0 && type[0] != '\0' && strcmp(type, "view") != 0)
        result = error_set(ret_error, ERROR_CONFIG,
                           "a %s named %s exists and is not a view; Readside shows its table under this name: rename or drop it", type,
                           table->name);
    return result;
}

int sqlite_check_schema(struct store *base, struct error *ret_error)
{
    static const char *const names[] = {"readside_projections", "readside_positions", "readside_outbox", "readside_audit"};
    struct sqlite *store = sqlite_of(base);
    char type[16];
    int result = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0] && result == 0; i++) {
        result = object_type(store, names[i], type, ret_error);
        if (result == 0 && strcmp(type, "table") != 0)
            result = missing_table(names[i], ret_error);
    }
    for (uint32_t i = 0; i < base->scope.n_tables && result == 0; i++)
        if (!base->scope.tables[i].is_omitted)
            result = compare_table(store, &base->scope.tables[i], ret_error);
    return result;
}

/* ---- Preflight ---- */

static int refuse_if(struct sqlite *store, const char *sql, const char *table, const char *what, struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(store, sql, &statement, ret_error);

    if (result != 0)
        return result;
    sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW)
        result = error_set(ret_error, ERROR_CONFIG,
                           "table %s has the %s %s; whether a batch is accepted would depend on how events are batched: drop it, or "
                           "allow_constraints = true",
                           table, what, (const char *)sqlite3_column_text(statement, 0));
    sqlite3_reset(statement);
    return result;
}

int sqlite_preflight(struct store *base, struct error *ret_error)
{
    struct sqlite *store = sqlite_of(base);
    int result = 0;

    if (base->settings.allow_constraints)
        return 0;
    for (uint32_t i = 0; i < base->scope.n_tables && result == 0; i++) {
        char name[STORE_NAME_SIZE];

        if (base->scope.tables[i].is_omitted)
            continue;
        store_table_name(&base->scope, &base->scope.tables[i], name);
        result = refuse_if(store, "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1", name, "trigger", ret_error);
        if (result == 0)
            result = refuse_if(store, "SELECT name FROM pragma_index_list(?1) WHERE \"unique\" <> 0 AND origin <> 'pk'", name,
                               "unique index", ret_error);
        if (result == 0)
            result = refuse_if(store, "SELECT \"table\" FROM pragma_foreign_key_list(?1)", name, "foreign key to", ret_error);
        if (result == 0)
            result = refuse_if(store, "SELECT 'constraint' FROM sqlite_schema WHERE name = ?1 AND sql LIKE '%CHECK%(%'", name, "CHECK",
                               ret_error);
    }
    return result;
}

/* ---- Dropping a version ---- */

static int drop_view(struct sqlite *store, const struct table *table, const char *name, struct error *ret_error)
{
    char pattern[128], sql[200];
    sqlite3_stmt *statement;
    bool is_ours;
    int result = sqlite_prepare(store, "SELECT 1 FROM sqlite_schema WHERE type = 'view' AND name = ?1 AND sql LIKE ?2", &statement,
                                ret_error);

    if (result != 0)
        return result;
    snprintf(pattern, sizeof pattern, "%%FROM \"%s\"%%", name);
    sqlite3_bind_text(statement, 1, table->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, pattern, -1, SQLITE_STATIC);
    is_ours = sqlite3_step(statement) == SQLITE_ROW;
    sqlite3_reset(statement);
    snprintf(sql, sizeof sql, "DROP VIEW \"%s\"", table->name);
    return is_ours ? sqlite_execute(store, sql, ret_error) : 0;
}

static int drop_version(struct sqlite *store, const char *actor, struct error *ret_error)
{
    static const char *const statements[] = {
        "DELETE FROM readside_positions WHERE pipeline = ?1 AND version = ?2",
        "DELETE FROM readside_outbox WHERE pipeline = ?1 AND version = ?2",
        "DELETE FROM readside_projections WHERE pipeline = ?1 AND version = ?2",
        "INSERT INTO readside_audit (actor, action, pipeline, version, at, reason) "
        "VALUES (?3, 'reset', ?1, ?2, ?4, 'tables and positions dropped')"};
    const struct store_scope *scope = &store->store.scope;
    int result = 0;
    char now[32];

    sqlite_now(now);
    for (size_t i = 0; i < sizeof statements / sizeof statements[0] && result == 0; i++) {
        sqlite3_stmt *statement;

        result = sqlite_prepare(store, statements[i], &statement, ret_error);
        if (result != 0)
            break;
        sqlite_bind_scope(store, statement);
        if (sqlite3_bind_parameter_count(statement) > 2) {
            sqlite3_bind_text(statement, 3, actor, -1, SQLITE_STATIC);
            sqlite3_bind_text(statement, 4, now, -1, SQLITE_STATIC);
        }
        result = sqlite_run(store, statement, "dropping a version", ret_error);
    }
    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++) {
        char name[STORE_NAME_SIZE], sql[200];

        store_table_name(scope, &scope->tables[i], name);
        result = drop_view(store, &scope->tables[i], name, ret_error);
        snprintf(sql, sizeof sql, "DROP TABLE IF EXISTS \"%s\"", name);
        if (result == 0)
            result = sqlite_execute(store, sql, ret_error);
    }
    return result;
}

int sqlite_reset_version(struct store *base, const char *actor, struct error *ret_error)
{
    struct sqlite *store = sqlite_of(base);
    int result = begin_blocking(store, ret_error);

    return result != 0 ? result : end_blocking(store, drop_version(store, actor, ret_error), ret_error);
}
