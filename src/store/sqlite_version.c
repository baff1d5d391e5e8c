/*
 * sqlite_version - whose rows a version's tables hold: which plugin and revision made them (readside_projections), which pipeline
 * fills which table (readside_tables).
 *
 * First positions enter the version, in their transaction; a claim asks within its own, a check at any time, and both only read.
 */
#include "store/refusals.h"
#include "store/sqlite.h"

#include <string.h>

/* ---- Questions ---- */

/* A row of the statement says what is wrong. */
typedef int (*row_judge)(struct sqlite *lite, sqlite3_stmt *row, struct error *ret_error);

/* ?1 pipeline, ?2 version, and ?3 the name where there is one. 0 when no row comes. */
static int ask(struct sqlite *lite, const char *sql, const char *name, row_judge judge, struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(lite, sql, &statement, ret_error), code = SQLITE_ROW;

    if (result != 0)
        return result;
    sqlite_bind_scope(lite, statement);
    if (name != NULL)
        sqlite3_bind_text(statement, 3, name, -1, SQLITE_STATIC);
    while (result == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW)
        result = judge(lite, statement, ret_error);
    if (result == 0 && code != SQLITE_DONE)
        result = sqlite_error(lite, "readside_tables", ret_error);
    sqlite3_reset(statement);
    return result;
}

/* The same question about each table that is declared. */
static int ask_each(struct sqlite *lite, const char *sql, row_judge judge, struct error *ret_error)
{
    const struct store_scope *scope = &lite->store.scope;
    int result = 0;

    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++) {
        char name[STORE_NAME_SIZE];

        store_table_name(scope, &scope->tables[i], name);
        if (!scope->tables[i].is_omitted)
            result = ask(lite, sql, name, judge, ret_error);
    }
    return result;
}

static const char *text_of(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);

    return text == NULL ? "" : text;
}

/* ---- Objections ---- */

static int judge_revision(struct sqlite *lite, sqlite3_stmt *row, struct error *ret_error)
{
    const struct store_scope *scope = &lite->store.scope;

    if (strcmp(text_of(row, 0), scope->plugin) == 0 && sqlite3_column_int64(row, 1) == (int64_t)scope->revision)
        return 0;
    return refuse_revision(scope, text_of(row, 0), sqlite3_column_int64(row, 1), ret_error);
}

static int other_revision(struct sqlite *lite, struct error *ret_error)
{
    return ask(lite, "SELECT plugin, revision FROM readside_projections WHERE pipeline = ?1 AND version = ?2", NULL, judge_revision,
               ret_error);
}

static int judge_late(struct sqlite *lite, sqlite3_stmt *row, struct error *ret_error)
{
    return refuse_late_table(&lite->store.scope, text_of(row, 0), ret_error);
}

static int late_table(struct sqlite *lite, struct error *ret_error)
{
    return ask_each(lite,
                    "SELECT ?3 WHERE EXISTS (SELECT 1 FROM readside_positions WHERE pipeline = ?1 AND version = ?2) "
                    "AND EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?3) "
                    "AND NOT EXISTS (SELECT 1 FROM readside_tables WHERE name = ?3)",
                    judge_late, ret_error);
}

static int judge_foreign(struct sqlite *lite, sqlite3_stmt *row, struct error *ret_error)
{
    (void)lite;
    return refuse_foreign_table(text_of(row, 0), text_of(row, 1), sqlite3_column_int(row, 2), ret_error);
}

static int foreign_table(struct sqlite *lite, struct error *ret_error)
{
    return ask_each(lite, "SELECT name, pipeline, version FROM readside_tables WHERE name = ?3 AND (pipeline, version) <> (?1, ?2)",
                    judge_foreign, ret_error);
}

static bool is_filled(const struct store_scope *scope, const char *name)
{
    for (uint32_t i = 0; i < scope->n_tables; i++) {
        char declared[STORE_NAME_SIZE];

        store_table_name(scope, &scope->tables[i], declared);
        if (!scope->tables[i].is_omitted && strcmp(declared, name) == 0)
            return true;
    }
    return false;
}

static int judge_left(struct sqlite *lite, sqlite3_stmt *row, struct error *ret_error)
{
    const struct store_scope *scope = &lite->store.scope;

    return is_filled(scope, text_of(row, 0)) ? 0 : refuse_left_table(scope, text_of(row, 0), ret_error);
}

static int left_table(struct sqlite *lite, struct error *ret_error)
{
    return ask(lite, "SELECT name FROM readside_tables WHERE pipeline = ?1 AND version = ?2 ORDER BY name", NULL, judge_left, ret_error);
}

static const sqlite_work objections[] = {other_revision, late_table, foreign_table, left_table};

enum { N_OBJECTIONS = sizeof objections / sizeof objections[0] };

int sqlite_ask_version(struct sqlite *lite, struct error *ret_error)
{
    int result = 0;

    for (size_t i = 0; i < N_OBJECTIONS && result == 0; i++)
        result = objections[i](lite, ret_error);
    return result;
}

int sqlite_check_version(struct sqlite *lite, struct findings *findings, struct error *ret_error)
{
    int result = 0;

    for (size_t i = 0; i < N_OBJECTIONS && result == 0; i++) {
        struct error failure = {0};
        int class = objections[i](lite, &failure);

        result = findings_take(findings, class, &failure, lite->connection != NULL, ret_error);
    }
    return result;
}

/* ---- With first positions ---- */

static int enter_projection(struct sqlite *lite, struct error *ret_error)
{
    sqlite3_stmt *statement;
    char now[32];
    int result = sqlite_prepare(lite,
                                "INSERT INTO readside_projections (pipeline, version, plugin, revision, created_at) "
                                "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
                                &statement, ret_error);

    if (result != 0)
        return result;
    sqlite_now(now);
    sqlite_bind_scope(lite, statement);
    sqlite3_bind_text(statement, 3, lite->store.scope.plugin, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 4, lite->store.scope.revision);
    sqlite3_bind_text(statement, 5, now, -1, SQLITE_STATIC);
    return sqlite_run(lite, statement, "readside_projections", ret_error);
}

int sqlite_enter_tables(struct sqlite *lite, struct error *ret_error)
{
    int result = ask_each(lite, "INSERT INTO readside_tables (pipeline, version, name) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING", NULL,
                          ret_error);

    return result == 0 ? foreign_table(lite, ret_error) : result;
}

/* Which tables are late shows only before they are entered. */
int sqlite_enter_version(struct sqlite *lite, struct error *ret_error)
{
    int result = enter_projection(lite, ret_error);

    if (result == 0)
        result = other_revision(lite, ret_error);
    if (result == 0)
        result = late_table(lite, ret_error);
    if (result == 0)
        result = sqlite_enter_tables(lite, ret_error);
    return result == 0 ? left_table(lite, ret_error) : result;
}

/* ---- Of a table that is not there ---- */

static int judge_missing(struct sqlite *lite, sqlite3_stmt *row, struct error *ret_error)
{
    return sqlite3_column_int(row, 0) != 0 ? refuse_lost_table(text_of(row, 1), ret_error)
                                           : refuse_late_table(&lite->store.scope, text_of(row, 1), ret_error);
}

/* A version that has positions and entered the table has lost it; else it never had it. */
int sqlite_refuse_missing(struct sqlite *lite, const char *name, struct error *ret_error)
{
    int64_t n = 0;
    int result = sqlite_query(lite,
                              "SELECT count(*) FROM sqlite_schema WHERE type = 'table' "
                              "AND name IN ('readside_positions', 'readside_tables')",
                              NULL, &n, ret_error);

    if (result != 0 || n < 2)
        return result;
    return ask(lite,
               "SELECT EXISTS (SELECT 1 FROM readside_tables WHERE name = ?3), ?3 FROM readside_positions "
               "WHERE pipeline = ?1 AND version = ?2 LIMIT 1",
               name, judge_missing, ret_error);
}
