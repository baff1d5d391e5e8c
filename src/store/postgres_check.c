/*
 * postgres_check - the tables as they are, compared with what the plugin declares.
 *
 * Blocking; for start-up and commands. Never changes anything.
 */
#include "store/findings.h"
#include "store/postgres.h"

#include <stdio.h>
#include <string.h>

/* ---- Questions ---- */

PGresult *pg_query_about(struct postgres *pg, const char *sql, const char *name, int *ret_class, struct error *ret_error)
{
    struct pg_parameters parameters = {0};
    PGresult *result;

    pg_put_text(&parameters, name);
    result = pg_query(pg, sql, &parameters, ret_class, ret_error);
    buffer_free(&parameters.bytes);
    return result;
}

int pg_relation_kind(struct postgres *pg, const char *name, char *ret_kind, struct error *ret_error)
{
    int class;
    PGresult *result = pg_query_about(pg, "SELECT relkind::text FROM pg_class WHERE oid = to_regclass(quote_ident($1))", name,
                                      &class, ret_error);

    if (result == NULL)
        return class;
    *ret_kind = PQntuples(result) == 1 ? PQgetvalue(result, 0, 0)[0] : '\0';
    PQclear(result);
    return 0;
}

int pg_view_shows(struct postgres *pg, const char *view, const char *name, bool *ret_shows, struct error *ret_error)
{
    struct pg_parameters parameters = {0};
    PGresult *result;
    int class;

    pg_put_text(&parameters, name);
    pg_put_text(&parameters, view);
    result = pg_query(pg,
                      "SELECT 1 FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class "
                      "WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND v.relkind = 'v' "
                      "AND d.refobjid = to_regclass(quote_ident($1)) AND v.oid = to_regclass(quote_ident($2)) LIMIT 1",
                      &parameters, &class, ret_error);
    buffer_free(&parameters.bytes);
    if (result == NULL)
        return class;
    *ret_shows = PQntuples(result) > 0;
    PQclear(result);
    return 0;
}

/* ---- One table ---- */

enum { NAME, TYPE, IS_NOT_NULL, HAS_DEFAULT, DEFAULT, IS_COMPUTED, IS_EXACT };

static const char select_columns[] =
    "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull::text, (d.adbin IS NOT NULL)::text, "
    "COALESCE(pg_get_expr(d.adbin, d.adrelid), ''), (a.attgenerated <> '' OR a.attidentity <> '')::text, "
    "COALESCE(c.collisdeterministic, true)::text "
    "FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
    "LEFT JOIN pg_collation c ON c.oid = a.attcollation "
    "WHERE a.attrelid = to_regclass(quote_ident($1)) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

static bool is_true(const PGresult *result, int row, int field)
{
    return strcmp(PQgetvalue(result, row, field), "true") == 0;
}

static int find_column(const PGresult *result, const char *name)
{
    for (int row = 0; row < PQntuples(result); row++)
        if (strcmp(PQgetvalue(result, row, NAME), name) == 0)
            return row;
    return -1;
}

/* What is wanted of a column, and by whom: "the plugin declares". */
struct wanted {
    const char *name;
    const char *type;
    bool is_not_null;
    bool is_exact;    /* it must compare byte by byte */
    bool has_default;
    const char *by;
};

static void compare_one(struct buffer *out, const struct wanted *wanted, const PGresult *found)
{
    int row = find_column(found, wanted->name);

    if (row < 0) {
        buffer_printf(out, "; column %s is missing", wanted->name);
        return;
    }
    if (strcmp(PQgetvalue(found, row, TYPE), wanted->type) != 0)
        buffer_printf(out, "; column %s is %s, %s %s", wanted->name, PQgetvalue(found, row, TYPE), wanted->by, wanted->type);
    if (is_true(found, row, IS_NOT_NULL) != wanted->is_not_null)
        buffer_printf(out, "; column %s is %s, %s %s", wanted->name, wanted->is_not_null ? "nullable" : "not null", wanted->by,
                      wanted->is_not_null ? "not null" : "nullable");
    if (wanted->has_default && !is_true(found, row, IS_COMPUTED) && !is_true(found, row, HAS_DEFAULT))
        buffer_printf(out, "; column %s has no default", wanted->name);
    if (wanted->is_exact && !is_true(found, row, IS_EXACT))
        buffer_printf(out, "; column %s has a collation in which different texts can be equal", wanted->name);
}

static void compare_column(struct buffer *out, const struct column *column, const PGresult *found)
{
    int row = find_column(found, column->name);
    char type[32];
    const struct wanted wanted = {.name = column->name,
                                  .type = pg_type_name(column, type),
                                  .is_not_null = column->is_key || column->is_not_null,
                                  .is_exact = column->is_key,
                                  .has_default = !column->is_key && !column->fallback.is_null,
                                  .by = "the plugin declares"};

    compare_one(out, &wanted, found);
    if (row >= 0 && is_true(found, row, IS_COMPUTED))
        buffer_printf(out, "; column %s is computed by the server", column->name);
}

/* Nobody gives it a value. */
static void tell_undeclared(struct buffer *out, const PGresult *found, int row)
{
    if (is_true(found, row, IS_NOT_NULL) && !is_true(found, row, HAS_DEFAULT) && !is_true(found, row, IS_COMPUTED))
        buffer_printf(out, "; column %s is not declared, is not null and has no default", PQgetvalue(found, row, NAME));
}

static bool is_declared(const struct table *table, const char *name)
{
    for (uint32_t i = 0; i < table->n_columns; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return true;
    return !table->is_shared && strcmp(name, "readside_partition") == 0;
}

static void compare_columns(struct buffer *out, const struct table *table, const PGresult *found)
{
    int hidden = find_column(found, "readside_partition");

    for (uint32_t i = 0; i < table->n_columns; i++)
        compare_column(out, &table->columns[i], found);
    if (!table->is_shared && hidden < 0)
        buffer_puts(out, "; column readside_partition is missing");
    else if (!table->is_shared && (strcmp(PQgetvalue(found, hidden, TYPE), "integer") != 0 || !is_true(found, hidden, IS_NOT_NULL)))
        buffer_puts(out, "; column readside_partition is not integer NOT NULL");
    for (int row = 0; row < PQntuples(found); row++)
        if (!is_declared(table, PQgetvalue(found, row, NAME)))
            tell_undeclared(out, found, row);
}

/* ---- Defaults ---- */

/* Does the column's default stand in the table, and has to be compared? */
static int default_of(const struct column *column, const PGresult *found)
{
    int row = find_column(found, column->name);

    return !column->is_key && row >= 0 && is_true(found, row, HAS_DEFAULT) && !is_true(found, row, IS_COMPUTED) ? row : -1;
}

/* SELECT (their default) IS NOT DISTINCT FROM (ours), ...: the server says whether two ways of writing mean the same. */
static int print_comparison(struct buffer *sql, const struct table *table, const PGresult *found)
{
    char type[32];
    int n = 0;

    buffer_puts(sql, "SELECT ");
    for (uint32_t i = 0; i < table->n_columns; i++) {
        const struct column *column = &table->columns[i];
        int row = default_of(column, found);

        if (row < 0)
            continue;
        pg_type_name(column, type);
        buffer_printf(sql, "%s((%s)::%s IS NOT DISTINCT FROM (", n++ > 0 ? ", " : "", PQgetvalue(found, row, DEFAULT), type);
        if (column->fallback.is_null)
            buffer_puts(sql, "NULL");
        else
            pg_print_fallback(sql, column);
        buffer_printf(sql, ")::%s)::text", type);
    }
    return n;
}

static void tell_defaults(struct buffer *out, const struct table *table, const PGresult *found, const PGresult *same)
{
    int n = 0;

    for (uint32_t i = 0; i < table->n_columns; i++) {
        int row = default_of(&table->columns[i], found);

        if (row < 0 || (same != NULL && is_true(same, 0, n++)))
            continue;
        buffer_printf(out, "; column %s has the default %s, the plugin declares ", table->columns[i].name,
                      PQgetvalue(found, row, DEFAULT));
        if (table->columns[i].fallback.is_null)
            buffer_puts(out, "none");
        else
            pg_print_fallback(out, &table->columns[i]);
    }
}

/* Read-only: a default may be a call that changes something, a sequence's next number. It fails then, and differs. */
static int compare_defaults(struct postgres *pg, const struct table *table, const PGresult *found, struct buffer *out,
                            struct error *ret_error)
{
    struct buffer sql = BUFFER_INIT;
    struct error ignored;
    PGresult *same = NULL;
    int class = 0, n = print_comparison(&sql, table, found);

    if (buffer_failed(&sql))
        class = error_set(ret_error, ERROR_BUG, "out of memory");
    if (n == 0 || class != 0)
        goto out;
    class = pg_execute(pg, "BEGIN READ ONLY", ret_error);
    if (class != 0)
        goto out;
    same = pg_query(pg, sql.data, NULL, &class, &ignored);
    class = pg_execute(pg, "ROLLBACK", ret_error);
    if (class == 0)
        tell_defaults(out, table, found, same);
out:
    PQclear(same);
    buffer_free(&sql);
    return class;
}

/* ---- Key, view ---- */

/* names: as declared, NULL behind the last. by: who declares them. */
static int compare_key(struct postgres *pg, const char *table, const char *const *names, const char *by, struct buffer *out,
                       struct error *ret_error)
{
    int class, n = 0;
    PGresult *found = pg_query_about(pg,
                                     "SELECT a.attname::text, i.indimmediate::text FROM pg_index i JOIN pg_attribute a "
                                     "ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) "
                                     "WHERE i.indrelid = to_regclass(quote_ident($1)) AND i.indisprimary "
                                     "ORDER BY array_position(i.indkey::int2[], a.attnum)",
                                     table, &class, ret_error);

    if (found == NULL)
        return class;
    while (names[n] != NULL && n < PQntuples(found) && strcmp(PQgetvalue(found, n, 0), names[n]) == 0)
        n++;
    if (names[n] != NULL || n < PQntuples(found))
        buffer_printf(out, "; the primary key is another than %s", by);
    else if (!is_true(found, 0, 1))
        buffer_puts(out, "; the primary key is deferrable");
    PQclear(found);
    return 0;
}

/* A view of another version is not ours to judge. */
static int compare_view(struct postgres *pg, const struct table *table, const char *name, struct buffer *out,
                        struct error *ret_error)
{
    char kind = '\0';
    bool shows = false;
    PGresult *found = NULL;
    int result = pg_relation_kind(pg, table->name, &kind, ret_error);

    if (result == 0 && kind != '\0' && kind != 'v')
        return error_set(ret_error, ERROR_CONFIG,
                         "something named %s exists and is not a view; Readside shows its table under this name: rename or drop it",
                         table->name);
    if (result == 0 && kind == '\0')
        buffer_printf(out, "; the view %s is missing", table->name);
    if (result == 0 && kind == 'v')
        result = pg_view_shows(pg, table->name, name, &shows, ret_error);
    if (result != 0 || !shows)
        return result;
    found = pg_query_about(pg, select_columns, table->name, &result, ret_error);
    for (uint32_t i = 0; i < table->n_columns && found != NULL; i++)
        if (find_column(found, table->columns[i].name) < 0)
            buffer_printf(out, "; the view %s lacks column %s", table->name, table->columns[i].name);
    PQclear(found);
    return result;
}

/* What has the name of the index, if anything has: is it one of the table's, and whole? */
static int find_index(struct postgres *pg, const char *table, const char *index, bool *ret_is_well, enum index_fault *ret_fault,
                      struct error *ret_error)
{
    struct pg_parameters parameters = {0};
    PGresult *found;
    int class;

    pg_put_text(&parameters, table);
    pg_put_text(&parameters, index);
    found = pg_query(pg,
                     "SELECT (i.indexrelid IS NOT NULL)::text, COALESCE(i.indisvalid, false)::text FROM pg_class t JOIN pg_class c "
                     "ON c.relnamespace = t.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid AND i.indrelid = t.oid "
                     "WHERE t.oid = to_regclass(quote_ident($1)) AND c.relname = $2",
                     &parameters, &class, ret_error);
    buffer_free(&parameters.bytes);
    if (found == NULL)
        return class;
    *ret_is_well = PQntuples(found) > 0 && is_true(found, 0, 1);
    *ret_fault = PQntuples(found) == 0 ? INDEX_IS_MISSING : is_true(found, 0, 0) ? INDEX_IS_INVALID : INDEX_IS_ELSEWHERE;
    PQclear(found);
    return 0;
}

/* An index changes no row: one that is missing is told, not refused. */
static int look_for_indexes(struct postgres *pg, const struct table *table, const char *name, struct error *ret_error)
{
    int result = 0;

    for (uint32_t i = 0; i < table->n_indexes && result == 0; i++) {
        struct buffer sql = BUFFER_INIT;
        char index[STORE_NAME_SIZE];
        enum index_fault fault = INDEX_IS_MISSING;
        bool is_well = false;

        store_index_name(&pg->store.scope, table, &table->indexes[i], index);
        result = find_index(pg, name, index, &is_well, &fault, ret_error);
        pg_print_index(&sql, &pg->store.scope, table, &table->indexes[i], "CONCURRENTLY");
        if (result == 0 && !is_well && !buffer_failed(&sql))
            store_advise_index(&pg->store, name, index, fault, sql.data);
        buffer_free(&sql);
    }
    return result;
}

/* ---- The whole ---- */

static int compare_table(struct postgres *pg, const struct table *table, struct findings *findings, struct error *ret_error)
{
    char name[STORE_NAME_SIZE];
    const char *keys[RS_MAX_KEYS + 1] = {0};
    struct buffer out = BUFFER_INIT;
    PGresult *found;
    int class;

    store_table_name(&pg->store.scope, table, name);
    found = pg_query_about(pg, select_columns, name, &class, ret_error);
    if (found == NULL)
        return class;
    if (PQntuples(found) == 0) {
        class = pg_refuse_missing(pg, name, ret_error);
        if (class == 0)
            findings_note_missing(findings, name);
        goto out;
    }
    compare_columns(&out, table, found);
    for (uint32_t i = 0; i < table->n_keys; i++)
        keys[i] = table->columns[table->keys[i]].name;
    class = compare_key(pg, name, keys, "the plugin declares", &out, ret_error);
    if (class == 0 && out.size == 0) /* behind other differences the expressions may not even fit */
        class = compare_defaults(pg, table, found, &out, ret_error);
    if (class == 0)
        class = compare_view(pg, table, name, &out, ret_error);
    if (class == 0)
        class = look_for_indexes(pg, table, name, ret_error);
    if (class == 0 && buffer_failed(&out))
        class = error_set(ret_error, ERROR_BUG, "out of memory");
    if (class == 0 && out.size > 0)
        findings_note_drift(findings, name, out.data);
out:
    PQclear(found);
    buffer_free(&out);
    return class;
}

static bool is_host_column(const struct host_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (host_column_is_of(&table->columns[i], "postgresql") && strcmp(table->columns[i].name, name) == 0)
            return true;
    return false;
}

static void compare_host_columns(struct buffer *out, const struct host_table *table, const PGresult *found)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        const struct host_column *column = &table->columns[i];
        const struct wanted wanted = {.name = column->name,
                                      .type = pg_host_type(column->type),
                                      .is_not_null = !column->is_null,
                                      .is_exact = column->type == HOST_NAME,
                                      .has_default = column->fallback != NULL || column->type == HOST_NUMBER ||
                                                     (column->type == HOST_TIME && !column->is_null),
                                      .by = "Readside needs"};

        if (host_column_is_of(column, "postgresql"))
            compare_one(out, &wanted, found);
    }
    for (int row = 0; row < PQntuples(found); row++)
        if (!is_host_column(table, PQgetvalue(found, row, NAME)))
            tell_undeclared(out, found, row);
}

static int check_host_table(struct postgres *pg, const struct host_table *table, struct findings *findings, struct error *ret_error)
{
    struct buffer out = BUFFER_INIT;
    int class;
    PGresult *found = pg_query_about(pg, select_columns, table->name, &class, ret_error);

    if (found == NULL)
        return class;
    if (PQntuples(found) == 0) {
        findings_note_missing(findings, table->name);
    } else {
        compare_host_columns(&out, table, found);
        class = compare_key(pg, table->name, table->keys, "Readside needs", &out, ret_error);
        if (class == 0 && buffer_failed(&out))
            class = error_set(ret_error, ERROR_BUG, "out of memory");
        if (class == 0 && out.size > 0)
            findings_note_host_drift(findings, table->name, out.data);
    }
    PQclear(found);
    buffer_free(&out);
    return class;
}

int pg_check_schema(struct store *store, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    struct findings findings = {0};
    int result = 0;

    for (size_t i = 0; i < HOST_TABLES && result == 0; i++)
        result = check_host_table(pg, &host_tables[i], &findings, ret_error);
    for (uint32_t i = 0; i < store->scope.n_tables && result == 0; i++) {
        struct error failure = {0};

        if (store->scope.tables[i].is_omitted)
            continue;
        result = compare_table(pg, &store->scope.tables[i], &findings, &failure);
        result = findings_take(&findings, result, &failure, pg->is_connected, ret_error);
    }
    if (result == 0 && findings.n_missing == 0 && !findings.has_host_drift)
        result = pg_check_version(pg, &findings, ret_error);
    if (result == 0)
        return findings_judge(&findings, NULL, ret_error);
    findings_free(&findings);
    return result;
}
