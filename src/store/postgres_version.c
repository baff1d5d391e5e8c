/*
 * postgres_version - whose rows a version's tables hold: which plugin and revision made them (readside_projections), which
 * pipeline fills which table (readside_tables).
 *
 * First positions enter the version, in their transaction; a claim asks within its own, a check at any time, and both only read. In
 * a transaction's pipeline it is the server that raises an objection.
 */
#include "store/postgres.h"
#include "store/refusals.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* The first word of an objection's words tells which it is; what it is about stands behind it, between TABS. */
#define TAB " || E'\\t' || "

/* $1 pipeline, $2 version, $3 tables, $4 plugin, $5 revision. No row where there is nothing to object to. */
static const char other_revision[] = "SELECT 'revision'" TAB "left(plugin, 200)" TAB "revision FROM readside_projections "
                                     "WHERE pipeline = $1 AND version = $2 AND (plugin, revision) <> ($4, $5)";
static const char late_table[] =
    "SELECT 'late'" TAB "t.name FROM unnest($3::text[]) AS t(name) WHERE to_regclass(quote_ident(t.name)) IS NOT NULL "
    "AND EXISTS (SELECT 1 FROM readside_positions WHERE pipeline = $1 AND version = $2) "
    "AND NOT EXISTS (SELECT 1 FROM readside_tables r WHERE r.name = t.name) ORDER BY t.name LIMIT 1";
static const char foreign_table[] = "SELECT 'foreign'" TAB "name" TAB "left(pipeline, 200)" TAB "version FROM readside_tables "
                                    "WHERE name = ANY ($3) AND (pipeline, version) <> ($1, $2) ORDER BY name LIMIT 1";
static const char left_table[] = "SELECT 'left'" TAB "name FROM readside_tables WHERE (pipeline, version) = ($1, $2) "
                                 "AND name <> ALL ($3) ORDER BY name LIMIT 1";

static const char enter_tables[] = "INSERT INTO readside_tables (name, pipeline, version) SELECT name, $1, $2 "
                                   "FROM unnest($3::text[]) AS t(name) ORDER BY name ON CONFLICT DO NOTHING";

static const char *const objections[] = {other_revision, late_table, foreign_table, left_table};

enum { N_OBJECTIONS = sizeof objections / sizeof objections[0] };

static void put_version(struct pg_parameters *parameters, const struct store_scope *scope)
{
    size_t n = 0;

    for (uint32_t i = 0; i < scope->n_tables; i++)
        n += !scope->tables[i].is_omitted;
    pg_put_scope(parameters, scope);
    pg_begin_array(parameters, PG_TEXT_ARRAY, PG_TEXT, n);
    for (uint32_t i = 0; i < scope->n_tables; i++) {
        char name[STORE_NAME_SIZE];

        if (scope->tables[i].is_omitted)
            continue;
        store_table_name(scope, &scope->tables[i], name);
        pg_element_text(parameters, name);
    }
    pg_end_array(parameters);
    pg_put_text(parameters, scope->plugin);
    pg_put_int8(parameters, scope->revision);
}

int pg_judge_version(const struct store_scope *scope, const char *words, struct error *ret_error)
{
    char copy[PG_WORDS_SIZE], *parts[4] = {"", "", "", ""}, *at = copy;
    int64_t number = 0;

    snprintf(copy, sizeof copy, "%s", words);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && at != NULL; i++)
        parts[i] = strsep(&at, "\t");
    if (strcmp(parts[0], "revision") == 0 && text_read_int(parts[2], strlen(parts[2]), &number))
        return refuse_revision(scope, parts[1], number, ret_error);
    if (strcmp(parts[0], "foreign") == 0 && text_read_int(parts[3], strlen(parts[3]), &number))
        return refuse_foreign_table(parts[1], parts[2], (int32_t)number, ret_error);
    if (strcmp(parts[0], "late") == 0)
        return refuse_late_table(scope, parts[1], ret_error);
    if (strcmp(parts[0], "left") == 0)
        return refuse_left_table(scope, parts[1], ret_error);
    return error_set(ret_error, ERROR_BUG, "PostgreSQL raised words that are not ours: %s", words);
}

/* ---- In a transaction's pipeline ---- */

static int send(struct postgres *pg, const char *sql, struct error *ret_error)
{
    put_version(&pg->parameters, &pg->store.scope);
    return pg_send(pg, sql, &pg->parameters, false, ret_error);
}

static int send_objection(struct postgres *pg, const char *objection, struct error *ret_error)
{
    struct buffer sql = BUFFER_INIT;
    int result;

    buffer_printf(&sql, "SELECT ('" PG_MARK "' || words)::int4 FROM (%s) AS o(words)", objection);
    result = buffer_failed(&sql) ? pg_lost(pg, ERROR_BUG, "out of memory for a statement", ret_error) : send(pg, sql.data, ret_error);
    buffer_free(&sql);
    return result;
}

int pg_send_questions(struct postgres *pg, struct error *ret_error)
{
    int result = 0;

    for (size_t i = 0; i < N_OBJECTIONS && result == 0; i++)
        result = send_objection(pg, objections[i], ret_error);
    return result;
}

/* The entries wait for a pipeline that makes the same ones now; one of the version that is there already is locked, by an update
 * that changes nothing, and made again where a reset has just dropped it. Which tables are late shows only before they are entered. */
int pg_send_entry(struct postgres *pg, struct error *ret_error)
{
    static const char enter_projection[] = "INSERT INTO readside_projections (pipeline, version, plugin, revision) "
                                           "VALUES ($1, $2, $4, $5) ON CONFLICT (pipeline, version) "
                                           "DO UPDATE SET version = readside_projections.version";
    int result = send(pg, enter_projection, ret_error);

    if (result == 0)
        result = send_objection(pg, other_revision, ret_error);
    if (result == 0)
        result = send_objection(pg, late_table, ret_error);
    if (result == 0)
        result = send(pg, enter_tables, ret_error);
    if (result == 0)
        result = send_objection(pg, foreign_table, ret_error);
    return result == 0 ? send_objection(pg, left_table, ret_error) : result;
}

/* ---- Blocking ---- */

static PGresult *query(struct postgres *pg, const char *sql, int *ret_class, struct error *ret_error)
{
    struct pg_parameters parameters = {0};
    PGresult *result;

    put_version(&parameters, &pg->store.scope);
    result = pg_query(pg, sql, &parameters, ret_class, ret_error);
    buffer_free(&parameters.bytes);
    return result;
}

/* 0 where it has nothing to say. */
static int ask(struct postgres *pg, const char *objection, struct error *ret_error)
{
    int class;
    PGresult *result = query(pg, objection, &class, ret_error);

    if (class == 0 && PQntuples(result) > 0)
        class = pg_judge_version(&pg->store.scope, PQgetvalue(result, 0, 0), ret_error);
    PQclear(result);
    return class;
}

int pg_check_version(struct postgres *pg, struct findings *findings, struct error *ret_error)
{
    int result = 0;

    for (size_t i = 0; i < N_OBJECTIONS && result == 0; i++) {
        struct error failure = {0};
        int class = ask(pg, objections[i], &failure);

        result = findings_take(findings, class, &failure, pg->is_connected, ret_error);
    }
    return result;
}

/* A version that has positions and entered the table has lost it; else it never had it. */
int pg_refuse_missing(struct postgres *pg, const char *name, struct error *ret_error)
{
    static const char ask_entry[] = "SELECT EXISTS (SELECT 1 FROM readside_tables WHERE name = $3)::text FROM readside_positions "
                                    "WHERE pipeline = $1 AND version = $2 LIMIT 1";
    static const char *const needed[] = {"readside_positions", "readside_tables"};
    struct pg_parameters parameters = {0};
    PGresult *found;
    int class = 0;

    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        char kind = '\0';

        class = pg_relation_kind(pg, needed[i], &kind, ret_error);
        if (class != 0 || kind == '\0')
            return class;
    }
    pg_put_scope(&parameters, &pg->store.scope);
    pg_put_text(&parameters, name);
    found = pg_query(pg, ask_entry, &parameters, &class, ret_error);
    buffer_free(&parameters.bytes);
    if (class == 0 && PQntuples(found) > 0)
        class = strcmp(PQgetvalue(found, 0, 0), "true") == 0 ? refuse_lost_table(name, ret_error)
                                                             : refuse_late_table(&pg->store.scope, name, ret_error);
    PQclear(found);
    return class;
}

PGresult *pg_enter_tables(struct postgres *pg, int *ret_class, struct error *ret_error)
{
    static const char list[] = "SELECT name FROM readside_tables WHERE pipeline = $1 AND version = $2 ORDER BY name";

    PQclear(query(pg, enter_tables, ret_class, ret_error));
    if (*ret_class == 0)
        *ret_class = ask(pg, foreign_table, ret_error);
    return *ret_class == 0 ? query(pg, list, ret_class, ret_error) : NULL;
}
