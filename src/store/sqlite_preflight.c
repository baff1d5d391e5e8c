/*
 * sqlite_preflight - what would make a batch's result depend on how events are batched, or could not be rolled back: triggers,
 * further unique indexes, checks, foreign keys, virtual tables.
 *
 * Blocking; for start-up and commands. Never changes anything.
 */
#include "store/sqlite.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const char allow[] = "whether a batch is accepted would depend on how events are batched: drop it, or allow_constraints = true";

/* Behind a quoted word, a comment or any other character. */
static const char *skip_token(const char *at)
{
    static const char opening[] = "'\"`[", closing[] = "'\"`]";
    const char *found = strchr(opening, *at), *end;

    if (found != NULL && *at != '\0') {
        end = strchr(at + 1, closing[found - opening]);
        return end == NULL ? at + strlen(at) : end + 1;
    }
    if (at[0] == '-' && at[1] == '-') {
        end = strchr(at, '\n');
        return end == NULL ? at + strlen(at) : end;
    }
    if (at[0] == '/' && at[1] == '*') {
        end = strstr(at + 2, "*/");
        return end == NULL ? at + strlen(at) : end + 2;
    }
    return at + 1;
}

/* No pragma tells of CHECKs, so the word is looked for in the table's own text. */
static bool has_check(const char *sql)
{
    while (*sql != '\0') {
        size_t size = 0;

        while (isalnum((unsigned char)sql[size]) || sql[size] == '_')
            size++;
        if (size == 5 && strncasecmp(sql, "CHECK", size) == 0)
            return true;
        sql = size > 0 ? sql + size : skip_token(sql);
    }
    return false;
}

/* The query's first row says what is wrong with the table ?1: behind "the ", or the table's own text, which is searched. */
static int refuse_if(struct sqlite *lite, const char *name, const char *sql, bool is_text, struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(lite, sql, &statement, ret_error), code;
    const char *text;

    if (result != 0)
        return result;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    code = sqlite3_step(statement);
    text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        result = sqlite_error(lite, "looking at the schema", ret_error);
    else if (text != NULL && is_text && has_check(text))
        result = error_set(ret_error, ERROR_CONFIG, "table %s has a CHECK constraint; %s", name, allow);
    else if (text != NULL && !is_text)
        result = error_set(ret_error, ERROR_CONFIG, "table %s has the %s; %s", name, text, allow);
    sqlite3_reset(statement);
    return result;
}

/* is_judged: by what could refuse a row, too. */
static int preflight_table(struct sqlite *lite, const char *name, bool is_judged, struct error *ret_error)
{
    static const char *const queries[] = {
        "SELECT 'trigger ' || name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE",
        "SELECT 'unique index ' || name FROM pragma_index_list(?1) WHERE \"unique\" AND origin <> 'pk'",
        "SELECT 'foreign key to ' || \"table\" FROM pragma_foreign_key_list(?1)",
    };
    int64_t is_virtual = 0;
    int result = sqlite_query(lite, "SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE "
                                      "AND type <> 'table'", name, &is_virtual, ret_error);

    if (result == 0 && is_virtual != 0)
        result = error_set(ret_error, ERROR_CONFIG, "%s is not an ordinary table, so that it may not roll back with its positions",
                           name);
    for (size_t i = 0; i < sizeof queries / sizeof queries[0] && result == 0 && is_judged; i++)
        result = refuse_if(lite, name, queries[i], false, ret_error);
    if (result == 0 && is_judged)
        result = refuse_if(lite, name, "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE", true,
                           ret_error);
    return result;
}

static int preflight_all(struct sqlite *lite, struct error *ret_error)
{
    const struct store_scope *scope = &lite->store.scope;
    int result = 0;

    for (size_t i = 0; i < HOST_TABLES && result == 0; i++) /* their triggers are let be: people watch positions by them */
        result = preflight_table(lite, host_tables[i].name, false, ret_error);
    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++) {
        char name[STORE_NAME_SIZE];

        if (scope->tables[i].is_omitted)
            continue;
        store_table_name(scope, &scope->tables[i], name);
        result = preflight_table(lite, name, !lite->store.settings.allow_constraints, ret_error);
    }
    return result == 0 ? sqlite_refuse_filled(lite, ret_error) : result;
}

int sqlite_preflight(struct store *store, struct error *ret_error)
{
    return sqlite_command(sqlite_of(store), preflight_all, ret_error);
}
