/*
 * postgres_schema - the tables on PostgreSQL: printed and made. Blocking; for start-up and commands.
 */
#include "store/postgres.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- The host's tables ---- */

const char *pg_host_type(enum host_type type)
{
    static const char *const names[] = {[HOST_NUMBER] = "bigint", [HOST_INT] = "integer", [HOST_BIGINT] = "bigint",
                                        [HOST_TEXT] = "text",     [HOST_NAME] = "text",   [HOST_UUID] = "uuid",
                                        [HOST_BYTES] = "bytea",   [HOST_JSON] = "jsonb",  [HOST_TIME] = "timestamp with time zone"};

    return names[type];
}

static void print_host_column(struct buffer *sql, const struct host_column *column)
{
    buffer_printf(sql, "    %s %s%s", column->name, pg_host_type(column->type), column->type == HOST_NAME ? " COLLATE \"C\"" : "");
    if (column->type == HOST_NUMBER)
        buffer_puts(sql, " GENERATED ALWAYS AS IDENTITY");
    else if (!column->is_null)
        buffer_puts(sql, " NOT NULL");
    if (column->fallback != NULL)
        buffer_printf(sql, " DEFAULT %s", column->fallback);
    else if (column->type == HOST_TIME && !column->is_null)
        buffer_puts(sql, " DEFAULT now()");
    buffer_puts(sql, ",\n");
}

/* Rows that are updated by each batch stay in their page where it has room for versions of them. */
static void print_host_table(struct buffer *sql, const struct host_table *table)
{
    buffer_printf(sql, "CREATE TABLE IF NOT EXISTS %s (\n", table->name);
    for (size_t i = 0; i < table->n_columns; i++)
        if (host_column_is_of(&table->columns[i], "postgresql"))
            print_host_column(sql, &table->columns[i]);
    buffer_puts(sql, "    PRIMARY KEY (");
    for (size_t i = 0; table->keys[i] != NULL; i++)
        buffer_printf(sql, "%s%s", i > 0 ? ", " : "", table->keys[i]);
    buffer_printf(sql, ")\n)%s", table->is_hot ? " WITH (fillfactor = 20)" : "");
}

/* ---- DDL ---- */

/* Escaped where the server's settings could read it otherwise. */
static void print_literal(struct buffer *sql, const char *text, size_t size)
{
    bool is_plain = true;

    for (size_t i = 0; i < size; i++)
        is_plain = is_plain && text[i] != '\\' && (unsigned char)text[i] >= ' ';
    buffer_puts(sql, is_plain ? "'" : "E'");
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < ' ')
            buffer_printf(sql, "\\x%02x", (unsigned char)text[i]);
        else
            buffer_printf(sql, text[i] == '\'' ? "''" : text[i] == '\\' ? "\\\\" : "%c", text[i]);
    buffer_putc(sql, '\'');
}

void pg_print_fallback(struct buffer *sql, const struct column *column)
{
    const struct cell *cell = &column->fallback;
    char text[64] = "";

    switch (column->type) {
    case RS_INT:
        buffer_printf(sql, "%" PRId64, cell->as.integer);
        return;
    case RS_BOOL:
        buffer_puts(sql, cell->as.integer != 0 ? "true" : "false");
        return;
    case RS_REAL:
        snprintf(text, sizeof text, "%.17g", cell->as.real);
        break;
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
        buffer_puts(sql, "decode('");
        for (uint32_t i = 0; i < cell->size; i++)
            buffer_printf(sql, "%02x", (unsigned char)cell->as.data[i]);
        buffer_puts(sql, "', 'hex')");
        return;
    case RS_TEXT:
    case RS_JSON:
        print_literal(sql, cell->as.data, cell->size);
        return;
    }
    print_literal(sql, text, strlen(text));
}

static void print_column(struct buffer *sql, const struct column *column)
{
    char type[32];

    buffer_printf(sql, "    \"%s\" %s%s%s", column->name, pg_type_name(column, type),
                  column->is_key && column->type == RS_TEXT ? " COLLATE \"C\"" : "",
                  column->is_key || column->is_not_null ? " NOT NULL" : "");
    if (!column->is_key && !column->fallback.is_null) {
        buffer_puts(sql, " DEFAULT ");
        pg_print_fallback(sql, column);
    }
    buffer_puts(sql, ",\n");
}

static void print_table(struct buffer *sql, const struct store_scope *scope, const struct table *table)
{
    char name[STORE_NAME_SIZE];

    store_table_name(scope, table, name);
    buffer_printf(sql, "CREATE TABLE IF NOT EXISTS \"%s\" (\n", name);
    for (uint32_t i = 0; i < table->n_columns; i++)
        print_column(sql, &table->columns[i]);
    if (!table->is_shared)
        buffer_puts(sql, "    readside_partition integer NOT NULL,\n");
    buffer_puts(sql, "    PRIMARY KEY (");
    for (uint32_t i = 0; i < table->n_keys; i++)
        buffer_printf(sql, "%s\"%s\"", i > 0 ? ", " : "", table->columns[table->keys[i]].name);
    buffer_puts(sql, ")\n)");
}

void pg_print_index(struct buffer *sql, const struct store_scope *scope, const struct table *table, const struct index *index,
                    const char *how)
{
    char name[STORE_NAME_SIZE];

    store_index_name(scope, table, index, name);
    buffer_printf(sql, "CREATE INDEX %s \"%s\" ON ", how, name);
    store_table_name(scope, table, name);
    buffer_printf(sql, "\"%s\" (", name);
    for (uint32_t i = 0; i < index->n_columns; i++)
        buffer_printf(sql, "%s\"%s\"", i > 0 ? ", " : "", table->columns[index->columns[i]].name);
    buffer_putc(sql, ')');
}

static void print_view(struct buffer *sql, const struct store_scope *scope, const struct table *table)
{
    char name[STORE_NAME_SIZE];

    store_table_name(scope, table, name);
    buffer_printf(sql, "CREATE VIEW \"%s\" AS SELECT ", table->name);
    for (uint32_t i = 0; i < table->n_columns; i++)
        buffer_printf(sql, "%s\"%s\"", i > 0 ? ", " : "", table->columns[i].name);
    buffer_printf(sql, " FROM \"%s\"", name);
}

static void print_end(struct buffer *sql)
{
    buffer_puts(sql, ";\n");
}

int pg_print_schema(const struct store_scope *scope, struct buffer *ret_sql, struct error *ret_error)
{
    for (size_t i = 0; i < HOST_TABLES; i++) {
        print_host_table(ret_sql, &host_tables[i]);
        print_end(ret_sql);
    }
    for (uint32_t i = 0; i < scope->n_tables; i++) {
        const struct table *table = &scope->tables[i];

        if (table->is_omitted)
            continue;
        print_table(ret_sql, scope, table);
        print_end(ret_sql);
        for (uint32_t j = 0; j < table->n_indexes; j++) {
            pg_print_index(ret_sql, scope, table, &table->indexes[j], "IF NOT EXISTS");
            print_end(ret_sql);
        }
        print_view(ret_sql, scope, table);
        print_end(ret_sql);
    }
    return buffer_failed(ret_sql) ? error_set(ret_error, ERROR_BUG, "out of memory") : 0;
}

/* ---- Creating ---- */

/* Runs what the buffer holds and empties it. */
static int execute(struct postgres *pg, struct buffer *sql, struct error *ret_error)
{
    int result = buffer_failed(sql) ? error_set(ret_error, ERROR_BUG, "out of memory") : pg_execute(pg, sql->data, ret_error);

    buffer_clear(sql);
    return result;
}

static bool is_missing(struct postgres *pg, const char *name, int *ret_result, struct error *ret_error)
{
    char kind = '\0';

    *ret_result = pg_relation_kind(pg, name, &kind, ret_error);
    return *ret_result == 0 && kind == '\0';
}

static int create_indexes(struct postgres *pg, const struct table *table, struct buffer *sql, struct error *ret_error)
{
    char name[STORE_NAME_SIZE];
    int result = 0;

    for (uint32_t i = 0; i < table->n_indexes && result == 0; i++) {
        store_index_name(&pg->store.scope, table, &table->indexes[i], name);
        if (is_missing(pg, name, &result, ret_error)) {
            pg_print_index(sql, &pg->store.scope, table, &table->indexes[i], "IF NOT EXISTS");
            result = execute(pg, sql, ret_error);
        }
    }
    return result;
}

static int look_for_rows(struct postgres *pg, const char *table, bool *ret_has, struct error *ret_error)
{
    char sql[STORE_NAME_SIZE + 40];
    PGresult *found;
    int class;

    snprintf(sql, sizeof sql, "SELECT 1 FROM \"%s\" LIMIT 1", table);
    found = pg_query(pg, sql, NULL, &class, ret_error);
    *ret_has = class == 0 && PQntuples(found) > 0;
    PQclear(found);
    return class;
}

/* An index on rows takes its time, and locks writers out: the check tells of it. */
static int create_table(struct postgres *pg, const struct table *table, struct buffer *sql, struct error *ret_error)
{
    const struct store_scope *scope = &pg->store.scope;
    char name[STORE_NAME_SIZE];
    bool has_rows = false;
    int result;

    store_table_name(scope, table, name);
    if (is_missing(pg, name, &result, ret_error)) {
        result = pg_refuse_missing(pg, name, ret_error);
        if (result == 0) {
            print_table(sql, scope, table);
            result = execute(pg, sql, ret_error);
        }
    } else if (result == 0) {
        result = look_for_rows(pg, name, &has_rows, ret_error);
    }
    if (result == 0 && !has_rows)
        result = create_indexes(pg, table, sql, ret_error);
    if (result == 0 && is_missing(pg, table->name, &result, ret_error)) {
        print_view(sql, scope, table);
        result = execute(pg, sql, ret_error);
    }
    return result;
}

/* Asks before it makes anything: CREATE IF NOT EXISTS wants privileges and locks even where there is nothing to do. */
static int create_all(struct postgres *pg, struct error *ret_error)
{
    const struct store_scope *scope = &pg->store.scope;
    struct buffer sql = BUFFER_INIT;
    int result = 0;

    for (size_t i = 0; i < HOST_TABLES && result == 0; i++)
        if (is_missing(pg, host_tables[i].name, &result, ret_error)) {
            print_host_table(&sql, &host_tables[i]);
            result = execute(pg, &sql, ret_error);
        }
    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++)
        if (!scope->tables[i].is_omitted)
            result = create_table(pg, &scope->tables[i], &sql, ret_error);
    buffer_free(&sql);
    return result;
}

/* Tasks start together: a lock lets one of them create at a time, and the others find it done. */
int pg_create_schema(struct store *store, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    struct error failure = {0}, ignored;
    int result = pg_execute(pg, "BEGIN", &failure);

    if (result == 0)
        result = pg_execute(pg, "SELECT pg_advisory_xact_lock(hashtext('readside schema'))", &failure);
    if (result == 0)
        result = create_all(pg, &failure);
    if (result == 0)
        result = pg_execute(pg, "COMMIT", &failure);
    if (result == 0)
        return pg_check_schema(store, ret_error);
    if (pg->is_connected && pg_execute(pg, "ROLLBACK", &ignored) != 0)
        pg->is_connected = false;
    return error_set(ret_error, result, "creating the schema: %s", failure.text);
}
