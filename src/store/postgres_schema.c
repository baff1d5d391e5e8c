/*
 * postgres_schema - the tables on PostgreSQL: made, compared with what the plugin declares, and judged fit for exactly-once.
 *
 * Blocking; for start-up and commands.
 */
#include "store/postgres.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char host_tables[] =
    "CREATE TABLE IF NOT EXISTS readside_projections (\n"
    "    pipeline text NOT NULL,\n"
    "    version integer NOT NULL,\n"
    "    plugin text NOT NULL,\n"
    "    revision integer NOT NULL,\n"
    "    state text NOT NULL DEFAULT 'live',\n"
    "    created_at timestamp with time zone NOT NULL DEFAULT now(),\n"
    "    switched_at timestamp with time zone,\n"
    "    PRIMARY KEY (pipeline, version)\n"
    ");\n"
    "CREATE TABLE IF NOT EXISTS readside_positions (\n"
    "    pipeline text NOT NULL,\n"
    "    version integer NOT NULL,\n"
    "    topic text COLLATE \"C\" NOT NULL,\n"
    "    part integer NOT NULL,\n"
    "    cluster_id text NOT NULL,\n"
    "    topic_id uuid,\n"
    "    next_offset bigint NOT NULL,\n"
    "    leader_epoch integer NOT NULL DEFAULT -1,\n"
    "    epoch bigint NOT NULL DEFAULT 0,\n"
    "    owner uuid,\n"
    "    commit_seq bigint NOT NULL DEFAULT 0,\n"
    "    events bigint NOT NULL DEFAULT 0,\n"
    "    backend_pid integer,\n"
    "    backend_start timestamp with time zone,\n"
    "    state text NOT NULL DEFAULT 'running',\n"
    "    halt_kind text,\n"
    "    halt_reason text,\n"
    "    claimed_at timestamp with time zone,\n"
    "    updated_at timestamp with time zone NOT NULL DEFAULT now(),\n"
    "    PRIMARY KEY (pipeline, version, topic, part)\n"
    ") WITH (fillfactor = 20);\n"
    "CREATE TABLE IF NOT EXISTS readside_outbox (\n"
    "    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
    "    pipeline text NOT NULL,\n"
    "    version integer NOT NULL,\n"
    "    topic text NOT NULL,\n"
    "    key bytea,\n"
    "    value bytea,\n"
    "    headers jsonb NOT NULL,\n"
    "    source_topic text NOT NULL,\n"
    "    source_part integer NOT NULL,\n"
    "    source_offset bigint NOT NULL,\n"
    "    created_at timestamp with time zone NOT NULL DEFAULT now()\n"
    ");\n"
    "CREATE TABLE IF NOT EXISTS readside_audit (\n"
    "    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
    "    at timestamp with time zone NOT NULL DEFAULT now(),\n"
    "    actor text NOT NULL,\n"
    "    action text NOT NULL,\n"
    "    pipeline text NOT NULL,\n"
    "    version integer NOT NULL,\n"
    "    topic text,\n"
    "    part integer,\n"
    "    old_offset bigint,\n"
    "    new_offset bigint,\n"
    "    reason text NOT NULL\n"
    ");\n";

/* ---- DDL ---- */

static void print_text_literal(struct buffer *sql, const char *text, size_t size)
{
    buffer_putc(sql, '\'');
    for (size_t i = 0; i < size; i++)
        buffer_printf(sql, text[i] == '\'' ? "''" : "%c", text[i]);
    buffer_putc(sql, '\'');
}

static void print_fallback(struct buffer *sql, const struct column *column)
{
    const struct cell *cell = &column->fallback;
    char text[64];

    buffer_puts(sql, " DEFAULT ");
    switch (column->type) {
    case RS_INT:
        buffer_printf(sql, "%lld", (long long)cell->as.integer);
        return;
    case RS_BOOL:
        buffer_puts(sql, cell->as.integer != 0 ? "true" : "false");
        return;
    case RS_REAL:
        buffer_printf(sql, "%.17g", cell->as.real);
        return;
    case RS_DECIMAL:
        decimal_print(decimal_make(cell->as.decimal, (int32_t)column->scale), text);
        buffer_puts(sql, text);
        return;
    case RS_TIMESTAMP:
        text_print_timestamp(cell->as.integer, text);
        break;
    case RS_DATE:
        text_print_date((int32_t)cell->as.integer, text);
        break;
    case RS_UUID:
        text_print_uuid(cell->as.uuid, text);
        break;
    case RS_BYTES:
        buffer_puts(sql, "'\\x");
        for (uint32_t i = 0; i < cell->size; i++)
            buffer_printf(sql, "%02x", (unsigned char)cell->as.data[i]);
        buffer_puts(sql, "'");
        return;
    default:
        print_text_literal(sql, cell->as.data, cell->size);
        return;
    }
    print_text_literal(sql, text, strlen(text));
}

static void print_table(struct buffer *sql, const struct store_scope *scope, const struct table *table)
{
    char name[STORE_NAME_SIZE], type[32];

    store_table_name(scope, table, name);
    buffer_printf(sql, "CREATE TABLE IF NOT EXISTS \"%s\" (\n", name);
    for (uint32_t i = 0; i < table->n_columns; i++) {
        const struct column *column = &table->columns[i];

        buffer_printf(sql, "    \"%s\" %s%s%s", column->name, pg_type_name(column, type),
                      column->is_key && column->type == RS_TEXT ? " COLLATE \"C\"" : "",
                      column->is_key || column->is_not_null ? " NOT NULL" : "");
        if (!column->is_key && !column->fallback.is_null)
            print_fallback(sql, column);
        buffer_puts(sql, ",\n");
    }
    if (!table->is_shared)
        buffer_puts(sql, "    readside_partition integer NOT NULL,\n");
    buffer_puts(sql, "    PRIMARY KEY (");
    for (uint32_t i = 0; i < table->n_keys; i++)
        buffer_printf(sql, "%s\"%s\"", i > 0 ? ", " : "", table->columns[table->keys[i]].name);
    buffer_puts(sql, ")\n);\n");
    for (uint32_t i = 0; i < table->n_indexes; i++) {
        buffer_printf(sql, "CREATE INDEX IF NOT EXISTS \"%.30s_%.28s\" ON \"%s\" (", name, table->indexes[i].name, name);
        for (uint32_t j = 0; j < table->indexes[i].n_columns; j++)
            buffer_printf(sql, "%s\"%s\"", j > 0 ? ", " : "", table->columns[table->indexes[i].columns[j]].name);
        buffer_puts(sql, ");\n");
    }
}

static void print_view(struct buffer *sql, const struct store_scope *scope, const struct table *table)
{
    char name[STORE_NAME_SIZE];

    store_table_name(scope, table, name);
    buffer_printf(sql, "CREATE VIEW \"%s\" AS SELECT ", table->name);
    for (uint32_t i = 0; i < table->n_columns; i++)
        buffer_printf(sql, "%s\"%s\"", i > 0 ? ", " : "", table->columns[i].name);
    buffer_printf(sql, " FROM \"%s\";\n", name);
}

int pg_print_schema(const struct store_scope *scope, struct buffer *ret_sql, struct error *ret_error)
{
    buffer_puts(ret_sql, host_tables);
    for (uint32_t i = 0; i < scope->n_tables; i++)
        if (!scope->tables[i].is_omitted) {
            print_table(ret_sql, scope, &scope->tables[i]);
            print_view(ret_sql, scope, &scope->tables[i]);
        }
    return buffer_failed(ret_sql) ? error_set(ret_error, ERROR_BUG, "out of memory") : 0;
}

/* ---- Creating ---- */

/* One statement after another: the server takes one a message, and literals hold no semicolon at a line's end. */
static int execute_all(struct postgres *pg, const char *sql, struct error *ret_error)
{
    char *copy = strdup(sql), *at = copy, *end;
    int result = 0;

    if (copy == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    while (result == 0 && (end = strstr(at, ";\n")) != NULL) {
        *end = '\0';
        result = pg_execute(pg, at, ret_error);
        at = end + 2;
    }
    free(copy);
    return result;
}

static PGresult *query_about(struct postgres *pg, const char *sql, const char *table, int *ret_class, struct error *ret_error)
{
    struct pg_parameters parameters = {0};
    PGresult *result;

    pg_put_text(&parameters, table);
    result = pg_query(pg, sql, &parameters, ret_class, ret_error);
    buffer_free(&parameters.bytes);
    return result;
}

/* relkind of the relation ('r' table, 'v' view), or NUL when there is none. */
static int relation_kind(struct postgres *pg, const char *name, char *ret_kind, struct error *ret_error)
{
    int class;
    PGresult *result = query_about(pg, "SELECT relkind::text FROM pg_class WHERE oid = to_regclass(quote_ident($1))", name, &class,
                                   ret_error);

    if (result == NULL)
        return class;
    *ret_kind = PQntuples(result) == 1 ? PQgetvalue(result, 0, 0)[0] : '\0';
    PQclear(result);
    return 0;
}

static int create_view(struct postgres *pg, const struct table *table, struct error *ret_error)
{
    struct buffer sql = BUFFER_INIT;
    char kind;
    int result = relation_kind(pg, table->name, &kind, ret_error);

    if (result == 0 && kind == '\0') {
        print_view(&sql, &pg->store.scope, table);
        result = execute_all(pg, sql.data, ret_error);
    } else if (result == 0 && kind != 'v') {
        result = error_set(ret_error, ERROR_CONFIG,
                           "a relation named %s exists and is not a view; Readside shows its table under this name: rename or drop it",
                           table->name);
    }
    buffer_free(&sql);
    return result;
}

static int create_all(struct postgres *pg, struct error *ret_error)
{
    const struct store_scope *scope = &pg->store.scope;
    int result = execute_all(pg, host_tables, ret_error);

    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++) {
        struct buffer sql = BUFFER_INIT;

        if (scope->tables[i].is_omitted)
            continue;
        print_table(&sql, scope, &scope->tables[i]);
        result = buffer_failed(&sql) ? error_set(ret_error, ERROR_BUG, "out of memory") : execute_all(pg, sql.data, ret_error);
        buffer_free(&sql);
        if (result == 0)
            result = create_view(pg, &scope->tables[i], ret_error);
    }
    return result;
}

/* Tasks start together: a lock lets one of them create at a time, and the others find it done. */
int pg_create_schema(struct store *store, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    struct error ignored;
    int result = pg_execute(pg, "BEGIN", ret_error);

    if (result == 0)
        result = pg_execute(pg, "SELECT pg_advisory_xact_lock(hashtext('readside schema'))", ret_error);
    if (result == 0)
        result = create_all(pg, ret_error);
    if (result == 0)
        result = pg_execute(pg, "COMMIT", ret_error);
    if (result != 0) {
        error_wrap(ret_error, "creating the schema");
        if (pg->is_connected && pg_execute(pg, "ROLLBACK", &ignored) != 0)
            return result;
        return result;
    }
    return pg_check_schema(store, ret_error);
}

/* ---- Checking ---- */

static int find_column(const PGresult *result, const char *name)
{
    for (int row = 0; row < PQntuples(result); row++)
        if (strcmp(PQgetvalue(result, row, 0), name) == 0)
            return row;
    return -1;
}

static void compare_column(struct buffer *out, const struct column *column, const PGresult *result)
{
    int row = find_column(result, column->name);
    bool is_not_null = column->is_key || column->is_not_null;
    char type[32];

    pg_type_name(column, type);
    if (row < 0) {
        buffer_printf(out, "; column %s is missing", column->name);
        return;
    }
    if (strcmp(PQgetvalue(result, row, 1), type) != 0)
        buffer_printf(out, "; column %s is %s, the plugin declares %s", column->name, PQgetvalue(result, row, 1), type);
    if ((strcmp(PQgetvalue(result, row, 2), "t") == 0) != is_not_null)
        buffer_printf(out, "; column %s is %s, the plugin declares %s", column->name, is_not_null ? "nullable" : "not null",
                      is_not_null ? "not null" : "nullable");
    if (!column->is_key && !column->fallback.is_null && strcmp(PQgetvalue(result, row, 3), "t") != 0)
        buffer_printf(out, "; column %s has no default", column->name);
}

static bool is_declared(const struct table *table, const char *name)
{
    for (uint32_t i = 0; i < table->n_columns; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return true;
    return !table->is_shared && strcmp(name, "readside_partition") == 0;
}

static int compare_key(struct postgres *pg, const struct table *table, const char *name, struct buffer *out,
                       struct error *ret_error)
{
    int class;
    PGresult *result = query_about(pg,
                                   "SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid "
                                   "AND a.attnum = ANY (i.indkey) WHERE i.indrelid = to_regclass(quote_ident($1)) AND i.indisprimary "
                                   "ORDER BY array_position(i.indkey::int2[], a.attnum)",
                                   name, &class, ret_error);
    bool is_same;

    if (result == NULL)
        return class;
    is_same = PQntuples(result) == (int)table->n_keys;
    for (uint32_t i = 0; i < table->n_keys && is_same; i++)
        is_same = strcmp(PQgetvalue(result, (int)i, 0), table->columns[table->keys[i]].name) == 0;
    if (!is_same)
        buffer_puts(out, "; the primary key is another than the plugin declares");
    PQclear(result);
    return 0;
}

static int compare_table(struct postgres *pg, const struct table *table, struct error *ret_error)
{
    char name[STORE_NAME_SIZE];
    struct buffer out = BUFFER_INIT;
    PGresult *result;
    int class;

    store_table_name(&pg->store.scope, table, name);
    result = query_about(pg,
                         "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull::text::char, atthasdef::text::char "
                         "FROM pg_attribute WHERE attrelid = to_regclass(quote_ident($1)) AND attnum > 0 AND NOT attisdropped "
                         "ORDER BY attnum",
                         name, &class, ret_error);
    if (result == NULL)
        return class;
    if (PQntuples(result) == 0) {
        PQclear(result);
        return error_set(ret_error, ERROR_CONFIG,
                         "table %s does not exist; set schema = \"create\", or run what `readside schema' prints", name);
    }
    for (uint32_t i = 0; i < table->n_columns; i++)
        compare_column(&out, &table->columns[i], result);
    if (!table->is_shared && find_column(result, "readside_partition") < 0)
        buffer_puts(&out, "; column readside_partition is missing");
    for (int row = 0; row < PQntuples(result); row++)
        if (!is_declared(table, PQgetvalue(result, row, 0)) && strcmp(PQgetvalue(result, row, 2), "t") == 0 &&
            strcmp(PQgetvalue(result, row, 3), "t") != 0)
            buffer_printf(&out, "; column %s is not declared, is not null and has no default", PQgetvalue(result, row, 0));
    PQclear(result);
    class = compare_key(pg, table, name, &out, ret_error);
    if (class == 0 && out.size > 0)
        class = error_set(ret_error, ERROR_CONFIG,
                          "table %s differs from what the plugin declares%s. Raise the pipeline's `version' to have new tables beside it",
                          name, out.data);
    buffer_free(&out);
    return class;
}

static int check_host_tables(struct postgres *pg, struct error *ret_error)
{
    static const char *const names[] = {"readside_projections", "readside_positions", "readside_outbox", "readside_audit"};
    int result = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0] && result == 0; i++) {
        char kind = '\0';

        result = relation_kind(pg, names[i], &kind, ret_error);
        if (result == 0 && kind == '\0')
            result = error_set(ret_error, ERROR_CONFIG,
                               "table %s does not exist; set schema = \"create\", or run what `readside schema' prints", names[i]);
    }
    return result;
}

int pg_check_schema(struct store *store, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    int result = check_host_tables(pg, ret_error);

    for (uint32_t i = 0; i < store->scope.n_tables && result == 0; i++)
        if (!store->scope.tables[i].is_omitted)
            result = compare_table(pg, &store->scope.tables[i], ret_error);
    return result;
}

/* ---- Preflight ---- */

/* Each query returns one row with a sentence's end for each thing that is wrong with table $1. */
static int refuse_if(struct postgres *pg, const char *name, const char *sql, const char *way_out, struct error *ret_error)
{
    int class;
    PGresult *result = query_about(pg, sql, name, &class, ret_error);

    if (result == NULL)
        return class;
    if (PQntuples(result) > 0)
        class = error_set(ret_error, ERROR_CONFIG, "table %s %s; %s", name, PQgetvalue(result, 0, 0), way_out);
    PQclear(result);
    return class;
}

static int preflight_table(struct postgres *pg, const char *name, bool is_projection, struct error *ret_error)
{
    static const char allow[] = "whether a batch is accepted would depend on how events are batched: drop it, or allow_constraints = true";
    int result;

    result = refuse_if(pg, name,
                       "SELECT 'is not an ordinary logged table' FROM pg_class WHERE oid = to_regclass(quote_ident($1)) "
                       "AND (relpersistence <> 'p' OR relkind <> 'r')",
                       "after a crash it would be empty while its positions are kept; make it LOGGED", ret_error);
    if (result == 0)
        result = refuse_if(pg, name,
                           "SELECT 'does not grant ' || p || ' to user ' || current_user FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', "
                           "'DELETE']) p WHERE NOT has_table_privilege(to_regclass(quote_ident($1)), p)",
                           "grant it", ret_error);
    if (result != 0 || !is_projection || pg->store.settings.allow_constraints)
        return result;
    result = refuse_if(pg, name,
                       "SELECT 'has the trigger ' || tgname FROM pg_trigger WHERE tgrelid = to_regclass(quote_ident($1)) "
                       "AND NOT tgisinternal",
                       allow, ret_error);
    if (result == 0)
        result = refuse_if(pg, name,
                           "SELECT 'has the constraint ' || conname FROM pg_constraint WHERE conrelid = to_regclass(quote_ident($1)) "
                           "AND contype IN ('c', 'f', 'u', 'x')",
                           allow, ret_error);
    if (result == 0)
        result = refuse_if(pg, name,
                           "SELECT 'has the unique index ' || indexrelid::regclass FROM pg_index "
                           "WHERE indrelid = to_regclass(quote_ident($1)) AND indisunique AND NOT indisprimary",
                           allow, ret_error);
    return result;
}

int pg_preflight(struct store *store, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    int result = preflight_table(pg, "readside_positions", false, ret_error);

    if (result == 0)
        result = preflight_table(pg, "readside_outbox", false, ret_error);
    for (uint32_t i = 0; i < store->scope.n_tables && result == 0; i++) {
        char name[STORE_NAME_SIZE];

        if (store->scope.tables[i].is_omitted)
            continue;
        store_table_name(&store->scope, &store->scope.tables[i], name);
        result = preflight_table(pg, name, true, ret_error);
    }
    return result;
}
