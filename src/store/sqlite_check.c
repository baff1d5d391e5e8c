/*
 * sqlite_check - the tables as they are, compared with what the plugin declares, and judged fit for exactly-once.
 *
 * Blocking; for start-up and commands. Never changes anything.
 */
#include "store/sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- One table ---- */

struct found { /* a column as PRAGMA table_xinfo tells it */
    const char *name, *type, *fallback; /* fallback may be NULL */
    bool is_not_null;
    bool is_computed;
    int key_at; /* 1, 2, ...; 0: not in the key */
    bool is_declared;
};

struct inspection {
    struct sqlite *lite;
    const struct table *table;
    char name[STORE_NAME_SIZE];
    const char *sql; /* as it was created; in the arena */
    struct found *found;
    int n_found;
    struct buffer out; /* the differences */
};

static const char *copy_text(struct sqlite *lite, sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    return text == NULL ? "" : arena_copy(lite->arena, text, strlen(text));
}

/* The text of CREATE for a table or view; "" when there is none. In the arena. */
static int find_sql(struct sqlite *lite, const char *type, const char *name, const char **ret_sql, struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(lite, "SELECT sql FROM sqlite_schema WHERE type = ?1 AND name = ?2 COLLATE NOCASE", &statement,
                                ret_error);
    int code;

    if (result != 0)
        return result;
    sqlite3_bind_text(statement, 1, type, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, name, -1, SQLITE_STATIC);
    code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        result = sqlite_error(lite, "looking at the schema", ret_error);
    else
        *ret_sql = code == SQLITE_ROW ? copy_text(lite, statement, 0) : "";
    sqlite3_reset(statement);
    return result == 0 && *ret_sql == NULL ? sqlite_out_of_memory(ret_error) : result;
}

static void take_column(struct sqlite *lite, sqlite3_stmt *statement, struct found *found)
{
    *found = (struct found){
        .name = copy_text(lite, statement, 0),
        .type = copy_text(lite, statement, 1),
        .is_not_null = sqlite3_column_int(statement, 2) != 0,
        .fallback = sqlite3_column_type(statement, 3) == SQLITE_NULL ? NULL : copy_text(lite, statement, 3),
        .key_at = sqlite3_column_int(statement, 4),
        .is_computed = sqlite3_column_int(statement, 5) != 0,
    };
}

static int find_columns(struct inspection *in, struct error *ret_error)
{
    static const char query[] = "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1)";
    struct sqlite *lite = in->lite;
    sqlite3_stmt *statement;
    int64_t n = 0;
    int code = SQLITE_ROW, result = sqlite_query(lite, "SELECT count(*) FROM pragma_table_xinfo(?1)", in->name, &n, ret_error);

    if (result == 0)
        result = sqlite_prepare(lite, query, &statement, ret_error);
    if (result != 0)
        return result;
    in->found = arena_zalloc(lite->arena, ((size_t)n + 1) * sizeof in->found[0]);
    sqlite3_bind_text(statement, 1, in->name, -1, SQLITE_STATIC);
    while (in->found != NULL && result == 0 && in->n_found < n && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct found *found = &in->found[in->n_found++];

        take_column(lite, statement, found);
        if (found->name == NULL || found->type == NULL)
            result = sqlite_out_of_memory(ret_error);
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        result = sqlite_error(lite, "looking at a table", ret_error);
    sqlite3_reset(statement);
    return in->found == NULL ? sqlite_out_of_memory(ret_error) : result;
}

static struct found *find_column(struct inspection *in, const char *name)
{
    for (int i = 0; i < in->n_found; i++)
        if (strcasecmp(in->found[i].name, name) == 0)
            return &in->found[i];
    return NULL;
}

/* The comment behind the column in our own DDL says its type. False where somebody has written the table without. */
static bool find_comment(const struct inspection *in, const char *column, char ret_type[SQLITE_TYPE_SIZE])
{
    char start[STORE_NAME_SIZE + 8];
    const char *at, *end;
    size_t size;

    snprintf(start, sizeof start, "\n    \"%s\" ", column);
    at = strstr(in->sql, start);
    end = at == NULL ? NULL : strchr(at + 1, '\n');
    if (end == NULL)
        return false;
    for (at = end; at > in->sql && *at != ' '; at--)
        ;
    size = (size_t)(end - at - 1);
    if (at - in->sql < 3 || memcmp(at - 2, "--", 2) != 0 || size >= SQLITE_TYPE_SIZE)
        return false;
    memcpy(ret_type, at + 1, size);
    ret_type[size] = '\0';
    return true;
}

static void compare_fallback(struct inspection *in, const struct column *column, const struct found *found)
{
    struct buffer wanted = BUFFER_INIT;

    if (column->is_key || column->fallback.is_null) {
        if (!column->is_key && found->fallback != NULL && strcasecmp(found->fallback, "null") != 0)
            buffer_printf(&in->out, "; column %s has the default %s, the plugin declares none", column->name, found->fallback);
        return;
    }
    sqlite_print_fallback(&wanted, column);
    if (buffer_failed(&wanted))
        in->out.has_failed = true;
    else if (found->fallback == NULL)
        buffer_printf(&in->out, "; column %s has no default, the plugin declares %s", column->name, wanted.data);
    else if (strcmp(found->fallback, wanted.data) != 0)
        buffer_printf(&in->out, "; column %s has the default %s, the plugin declares %s", column->name, found->fallback,
                      wanted.data);
    buffer_free(&wanted);
}

static void compare_collation(struct inspection *in, const char *column)
{
    const char *collation = NULL;
    int code = sqlite3_table_column_metadata(in->lite->connection, "main", in->name, column, NULL, &collation, NULL, NULL, NULL);

    if (code == SQLITE_OK && collation != NULL && strcasecmp(collation, "BINARY") != 0)
        buffer_printf(&in->out, "; column %s compares by %s, where different texts can be equal", column, collation);
}

static void compare_column(struct inspection *in, const struct column *column)
{
    struct found *found = find_column(in, column->name);
    const char *storage = sqlite_storage_name(column->type);
    bool is_not_null = column->is_key || column->is_not_null;
    char type[SQLITE_TYPE_SIZE], comment[SQLITE_TYPE_SIZE];

    if (found == NULL) {
        buffer_printf(&in->out, "; column %s is missing", column->name);
        return;
    }
    found->is_declared = true;
    sqlite_type_name(column, type);
    if (strcasecmp(found->type, storage) != 0)
        buffer_printf(&in->out, "; column %s is %s, the plugin declares %s, which is %s", column->name,
                      found->type[0] == '\0' ? "without type" : found->type, type, storage);
    else if (find_comment(in, column->name, comment) && strcmp(comment, type) != 0)
        buffer_printf(&in->out, "; column %s is %s, the plugin declares %s", column->name, comment, type);
    if (found->is_computed)
        buffer_printf(&in->out, "; column %s is computed", column->name);
    if (found->is_not_null != is_not_null)
        buffer_printf(&in->out, "; column %s is %s, the plugin declares %s", column->name, is_not_null ? "nullable" : "not null",
                      is_not_null ? "not null" : "nullable");
    compare_fallback(in, column, found);
    compare_collation(in, column->name);
}

static void compare_key(struct inspection *in)
{
    const struct table *table = in->table;
    uint32_t n = 0;
    bool is_same = true;

    for (int i = 0; i < in->n_found; i++)
        n += in->found[i].key_at > 0;
    for (uint32_t i = 0; i < table->n_keys && is_same; i++) {
        const struct found *found = find_column(in, table->columns[table->keys[i]].name);

        is_same = found != NULL && found->key_at == (int)i + 1;
    }
    if (!is_same || n != table->n_keys)
        buffer_puts(&in->out, "; the primary key is another than the plugin declares");
}

static void compare_hidden(struct inspection *in)
{
    struct found *found = find_column(in, "readside_partition");

    if (found != NULL)
        found->is_declared = !in->table->is_shared;
    if (!in->table->is_shared && found == NULL)
        buffer_puts(&in->out, "; column readside_partition is missing");
    else if (!in->table->is_shared && (strcasecmp(found->type, "INTEGER") != 0 || !found->is_not_null))
        buffer_puts(&in->out, "; column readside_partition is not INTEGER NOT NULL");
}

/* Nobody gives them a value. */
static void tell_undeclared(struct inspection *in)
{
    for (int i = 0; i < in->n_found; i++)
        if (!in->found[i].is_declared && in->found[i].is_not_null && !in->found[i].is_computed && in->found[i].fallback == NULL)
            buffer_printf(&in->out, "; column %s is not declared, is not null and has no default", in->found[i].name);
}

/* ---- The view ---- */

/* Is the name in the text as a whole word? */
static bool names_word(const char *text, const char *word)
{
    size_t size = strlen(word);

    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        char before = at == text ? ' ' : at[-1], behind = at[size];

        if (strchr("\"`[ .\t\n", before) != NULL && (behind == '\0' || strchr("\"`] ;,)\t\n", behind) != NULL))
            return true;
    }
    return false;
}

int sqlite_view_shows(struct sqlite *lite, const char *view, const char *name, bool *ret_shows, struct error *ret_error)
{
    const char *sql = "";
    int result = find_sql(lite, "view", view, &sql, ret_error);

    if (result == 0)
        *ret_shows = names_word(sql, name);
    return result;
}

/* A view of another version is not ours to judge. */
static int compare_view(struct inspection *in, struct error *ret_error)
{
    const struct table *table = in->table;
    struct sqlite *lite = in->lite;
    int64_t n = 0;
    bool shows = false;
    int result = sqlite_query(lite, "SELECT 1 FROM sqlite_schema WHERE type <> 'view' AND name = ?1 COLLATE NOCASE", table->name, &n,
                              ret_error);

    if (result == 0 && n > 0)
        return error_set(ret_error, ERROR_CONFIG,
                         "something named %s exists and is not a view; Readside shows its table under this name: rename or drop it",
                         table->name);
    if (result == 0)
        result = sqlite_query(lite, "SELECT 1 FROM sqlite_schema WHERE type = 'view' AND name = ?1 COLLATE NOCASE", table->name, &n,
                              ret_error);
    if (result == 0 && n == 0)
        buffer_printf(&in->out, "; the view %s is missing", table->name);
    if (result == 0)
        result = sqlite_view_shows(lite, table->name, in->name, &shows, ret_error);
    for (uint32_t i = 0; i < table->n_columns && result == 0 && shows; i++) {
        struct buffer sql = BUFFER_INIT;

        buffer_printf(&sql, "SELECT count(*) FROM pragma_table_xinfo(?1) WHERE name = '%s' COLLATE NOCASE", table->columns[i].name);
        result = buffer_failed(&sql) ? sqlite_out_of_memory(ret_error) : sqlite_query(lite, sql.data, table->name, &n, ret_error);
        if (result == 0 && n == 0)
            buffer_printf(&in->out, "; the view %s lacks column %s", table->name, table->columns[i].name);
        buffer_free(&sql);
    }
    return result;
}

/* What has the name of the index, if anything has: is it one of the table's? */
static int find_index(struct inspection *in, const char *name, bool *ret_is_well, enum index_fault *ret_fault,
                      struct error *ret_error)
{
    static const char query[] = "SELECT type = 'index' AND tbl_name = ?2 COLLATE NOCASE FROM sqlite_schema "
                                "WHERE type <> 'trigger' AND name = ?1 COLLATE NOCASE";
    sqlite3_stmt *statement;
    int result = sqlite_prepare(in->lite, query, &statement, ret_error), code;

    if (result != 0)
        return result;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, in->name, -1, SQLITE_STATIC);
    code = sqlite3_step(statement);
    *ret_is_well = code == SQLITE_ROW && sqlite3_column_int(statement, 0) != 0;
    *ret_fault = code == SQLITE_ROW ? INDEX_IS_ELSEWHERE : INDEX_IS_MISSING;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        result = sqlite_error(in->lite, "looking at the schema", ret_error);
    sqlite3_reset(statement);
    return result;
}

/* An index changes no row: one that is missing is told, not refused. */
static int look_for_indexes(struct inspection *in, struct error *ret_error)
{
    const struct table *table = in->table;
    int result = 0;

    for (uint32_t i = 0; i < table->n_indexes && result == 0; i++) {
        struct buffer sql = BUFFER_INIT;
        char name[2 * STORE_NAME_SIZE];
        enum index_fault fault = INDEX_IS_MISSING;
        bool is_well = false;

        snprintf(name, sizeof name, "%s_%s", in->name, table->indexes[i].name);
        result = find_index(in, name, &is_well, &fault, ret_error);
        sqlite_print_index(&sql, &in->lite->store.scope, table, &table->indexes[i]);
        if (result == 0 && !is_well && !buffer_failed(&sql))
            store_advise_index(&in->lite->store, in->name, name, fault, sql.data);
        buffer_free(&sql);
    }
    return result;
}

static int compare_table(struct sqlite *lite, const struct table *table, struct findings *findings, struct error *ret_error)
{
    struct inspection in = {.lite = lite, .table = table, .sql = "", .out = BUFFER_INIT};
    int result;

    store_table_name(&lite->store.scope, table, in.name);
    result = find_sql(lite, "table", in.name, &in.sql, ret_error);
    if (result == 0 && in.sql[0] == '\0') {
        result = sqlite_refuse_missing(lite, in.name, ret_error);
        if (result == 0)
            findings_note_missing(findings, in.name);
        return result;
    }
    if (result == 0)
        result = find_columns(&in, ret_error);
    if (result == 0) {
        for (uint32_t i = 0; i < table->n_columns; i++)
            compare_column(&in, &table->columns[i]);
        compare_hidden(&in);
        tell_undeclared(&in);
        compare_key(&in);
        if (in.out.size == 0) /* a view on columns that are missing cannot even be looked at */
            result = compare_view(&in, ret_error);
    }
    if (result == 0)
        result = look_for_indexes(&in, ret_error);
    if (result == 0 && buffer_failed(&in.out))
        result = sqlite_out_of_memory(ret_error);
    if (result == 0 && in.out.size > 0)
        findings_note_drift(findings, in.name, in.out.data);
    buffer_free(&in.out);
    return result;
}

/* ---- The host's tables ---- */

static bool is_host_key(const struct host_table *table, const struct found *found)
{
    for (int i = 0; table->keys[i] != NULL; i++)
        if (strcmp(table->keys[i], found->name) == 0)
            return found->key_at == i + 1;
    return found->key_at == 0;
}

static void compare_host_column(struct inspection *in, const struct host_table *table, const struct host_column *column)
{
    struct found *found = find_column(in, column->name);
    bool is_not_null = !column->is_null && column->type != HOST_NUMBER; /* of those the store sees to it by itself */

    if (found == NULL) {
        buffer_printf(&in->out, "; column %s is missing", column->name);
        return;
    }
    found->is_declared = true;
    if (strcasecmp(found->type, sqlite_host_type(column->type)) != 0)
        buffer_printf(&in->out, "; column %s is %s, Readside needs %s", column->name, found->type, sqlite_host_type(column->type));
    if (found->is_not_null != is_not_null)
        buffer_printf(&in->out, "; column %s is %s, Readside needs %s", column->name, is_not_null ? "nullable" : "not null",
                      is_not_null ? "not null" : "nullable");
    if (column->fallback != NULL && found->fallback == NULL)
        buffer_printf(&in->out, "; column %s has no default", column->name);
    if (column->type == HOST_NAME)
        compare_collation(in, column->name);
    if (!is_host_key(table, found))
        buffer_puts(&in->out, "; the primary key is another than Readside needs");
}

static int check_host_table(struct sqlite *lite, const struct host_table *table, struct findings *findings, struct error *ret_error)
{
    struct inspection in = {.lite = lite, .sql = "", .out = BUFFER_INIT};
    int result;

    snprintf(in.name, sizeof in.name, "%s", table->name);
    result = find_sql(lite, "table", in.name, &in.sql, ret_error);
    if (result == 0 && in.sql[0] == '\0') {
        findings_note_missing(findings, table->name);
        return 0;
    }
    if (result == 0)
        result = find_columns(&in, ret_error);
    for (size_t i = 0; i < table->n_columns && result == 0; i++)
        if (host_column_is_of(&table->columns[i], "sqlite"))
            compare_host_column(&in, table, &table->columns[i]);
    tell_undeclared(&in);
    if (result == 0 && buffer_failed(&in.out))
        result = sqlite_out_of_memory(ret_error);
    if (result == 0 && in.out.size > 0)
        findings_note_host_drift(findings, table->name, in.out.data);
    buffer_free(&in.out);
    return result;
}

/* ---- The whole ---- */

static int check_all(struct sqlite *lite, struct error *ret_error)
{
    const struct store_scope *scope = &lite->store.scope;
    struct findings findings = {0};
    int result = 0;

    for (size_t i = 0; i < HOST_TABLES && result == 0; i++)
        result = check_host_table(lite, &host_tables[i], &findings, ret_error);
    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++) {
        struct error failure = {0};

        if (scope->tables[i].is_omitted)
            continue;
        result = compare_table(lite, &scope->tables[i], &findings, &failure);
        result = findings_take(&findings, result, &failure, lite->connection != NULL, ret_error);
    }
    if (result == 0 && findings.n_missing == 0 && !findings.has_host_drift)
        result = sqlite_check_version(lite, &findings, ret_error);
    if (result == 0)
        return findings_judge(&findings, lite->store.settings.uri, ret_error);
    findings_free(&findings);
    return result;
}

int sqlite_check_schema(struct store *store, struct error *ret_error)
{
    arena_reset(sqlite_of(store)->arena);
    return sqlite_command(sqlite_of(store), check_all, ret_error);
}
