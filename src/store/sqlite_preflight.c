/*
 * sqlite_preflight - what would make a batch's result depend on how events are batched, or could not be rolled back: triggers,
 * further unique indexes, checks, foreign keys, virtual tables.
 *
 * Blocking; for start-up and commands. Never changes anything.
 */
#include "store/sqlite.h"

#include <ctype.h>
#include <stdio.h>
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

/* The query's first row says what is wrong with the table ?1. */
static int refuse_if(struct sqlite *sq, const char *name, const char *sql, struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(sq, sql, &statement, ret_error);

    if (result != 0)
        return result;
    sqlite_bind_text(statement, 1, name);
    result = sqlite_step(sq, statement, ret_error);
    if (result > 0) {
        result = error_set(ret_error, ERROR_CONFIG, "table %s has the %s; %s", name,
                           (const char *)sqlite3_column_text(statement, 0), allow);
        (void)sqlite3_reset(statement);
    }
    return result;
}

static int refuse_check(struct sqlite *sq, const char *name, struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(sq, "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE", &statement,
                                ret_error);
    const char *sql;

    if (result != 0)
        return result;
    sqlite_bind_text(statement, 1, name);
    result = sqlite_step(sq, statement, ret_error);
    if (result <= 0)
        return result;
    sql = (const char *)sqlite3_column_text(statement, 0);
    result = sql != NULL && has_check(sql) ? error_set(ret_error, ERROR_CONFIG, "table %s has a CHECK; %s", name, allow) : 0;
    (void)sqlite3_reset(statement);
    return result;
}

static int preflight_table(struct sqlite *sq, const char *name, struct error *ret_error)
{
    static const char *const queries[] = {
        "SELECT 'trigger ' || name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE",
        "SELECT 'unique index ' || name FROM pragma_index_list(?1) WHERE \"unique\" AND origin <> 'pk'",
        "SELECT 'foreign key to ' || \"table\" FROM pragma_foreign_key_list(?1)",
    };
    int64_t is_virtual = 0;
    int result = sqlite_query_int(sq, "SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE "
                                      "AND type <> 'table'", name, &is_virtual, ret_error);

    if (result == 0 && is_virtual != 0)
        result = error_set(ret_error, ERROR_CONFIG, "%s is not an ordinary table, so that it may not roll back with its positions",
                           name);
    if (sq->store.settings.allow_constraints)
        return result;
    for (size_t i = 0; i < sizeof queries / sizeof queries[0] && result == 0; i++)
        result = refuse_if(sq, name, queries[i], ret_error);
    return result != 0 ? result : refuse_check(sq, name, ret_error);
}

/* An attempt without a transaction of its own. */
static int preflight_all(struct sqlite *sq, struct error *ret_error)
{
    const struct store_scope *scope = &sq->store.scope;
    int result = 0;

    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++) {
        char name[STORE_NAME_SIZE];

        if (scope->tables[i].is_omitted)
            continue;
        store_table_name(scope, &scope->tables[i], name);
        result = preflight_table(sq, name, ret_error);
    }
    return result;
}

int sqlite_preflight(struct store *store, struct error *ret_error)
{
    arena_reset(sqlite_of(store)->arena);
    return sqlite_run(sqlite_of(store), preflight_all, NULL, ret_error);
}
