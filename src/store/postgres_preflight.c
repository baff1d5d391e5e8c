/*
 * postgres_preflight - what would make a batch's result depend on how events are batched, could not be rolled back with its
 * positions, or would fail later.
 *
 * Blocking; for start-up and commands. Never changes anything.
 */
#include "store/postgres.h"
#include "store/refusals.h"

#include <stdio.h>
#include <string.h>

struct objection {
    const char *sql; /* about the relation $1: a row with the end of a sentence for each thing that is wrong with it */
    const char *way_out;
};

static const char crash[] = "after a crash it would be empty while its positions are kept: make it LOGGED";
static const char ordinary[] = "rows of such a table are not where statements look for them: make it an ordinary table";
static const char batching[] = "whether a batch is accepted would depend on how events are batched: drop it, or allow_constraints = true";

static const struct objection lasting[] = {
    {"SELECT 'is not logged' FROM pg_class WHERE oid = to_regclass(quote_ident($1)) AND relpersistence <> 'p'", crash},
    {"SELECT 'is not an ordinary table' FROM pg_class WHERE oid = to_regclass(quote_ident($1)) AND relkind <> 'r'", ordinary},
    {"SELECT 'takes part in inheritance' FROM pg_inherits WHERE to_regclass(quote_ident($1)) IN (inhrelid, inhparent)", ordinary},
    {"SELECT 'has the rule ' || rulename FROM pg_rewrite WHERE ev_class = to_regclass(quote_ident($1)) AND rulename <> '_RETURN'",
     "a rule can do something else than what is written: drop it"},
    {"SELECT 'has row security' FROM pg_class WHERE oid = to_regclass(quote_ident($1)) AND row_security_active(oid)",
     "rows would be passed over in silence: exempt this user (BYPASSRLS), or make it the owner"},
};

static const struct objection allowable[] = {
    {"SELECT 'has the trigger ' || tgname FROM pg_trigger WHERE tgrelid = to_regclass(quote_ident($1)) AND NOT tgisinternal "
     "AND tgenabled <> 'D'", batching},
    {"SELECT 'has the constraint ' || conname FROM pg_constraint WHERE conrelid = to_regclass(quote_ident($1)) "
     "AND contype IN ('c', 'f', 'u', 'x')", batching},
    {"SELECT 'is referenced by the foreign key ' || conname FROM pg_constraint WHERE confrelid = to_regclass(quote_ident($1))",
     batching},
    {"SELECT 'has the unique index ' || indexrelid::regclass FROM pg_index WHERE indrelid = to_regclass(quote_ident($1)) "
     "AND indisunique AND NOT indisprimary", batching},
};

static int refuse_if(struct postgres *pg, const char *name, const struct objection *objection, struct error *ret_error)
{
    int class;
    PGresult *result = pg_query_about(pg, objection->sql, name, &class, ret_error);

    if (result == NULL)
        return class;
    if (PQntuples(result) > 0)
        class = error_set(ret_error, ERROR_CONFIG, "table %s %s; %s", name, PQgetvalue(result, 0, 0), objection->way_out);
    PQclear(result);
    return class;
}

/* privileges: "SELECT,INSERT", as has_table_privilege() takes them one by one. */
static int check_privileges(struct postgres *pg, const char *name, const char *privileges, struct error *ret_error)
{
    struct pg_parameters parameters = {0};
    PGresult *result;
    int class;

    pg_put_text(&parameters, name);
    pg_put_text(&parameters, privileges);
    result = pg_query(pg,
                      "SELECT string_agg(p, ', '), current_user::text FROM unnest(string_to_array($2, ',')) p "
                      "WHERE NOT has_table_privilege(to_regclass(quote_ident($1)), p) HAVING count(*) > 0",
                      &parameters, &class, ret_error);
    buffer_free(&parameters.bytes);
    if (result == NULL)
        return class;
    if (PQntuples(result) > 0)
        class = error_set(ret_error, ERROR_CONFIG, "table %s does not grant %s to the user %s; GRANT %s ON \"%s\" TO \"%s\"", name,
                          PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1), PQgetvalue(result, 0, 0), name,
                          PQgetvalue(result, 0, 1));
    PQclear(result);
    return class;
}

static int preflight_table(struct postgres *pg, const char *name, const char *privileges, bool is_judged, struct error *ret_error)
{
    int result = check_privileges(pg, name, privileges, ret_error);

    for (size_t i = 0; i < sizeof lasting / sizeof lasting[0] && result == 0; i++)
        result = refuse_if(pg, name, &lasting[i], ret_error);
    for (size_t i = 0; i < sizeof allowable / sizeof allowable[0] && result == 0 && is_judged; i++)
        result = refuse_if(pg, name, &allowable[i], ret_error);
    return result;
}

static int refuse_filled(struct postgres *pg, const char *name, struct error *ret_error)
{
    struct pg_parameters parameters = {0};
    PGresult *result;
    char sql[400];
    int class;

    snprintf(sql, sizeof sql, "SELECT 1 WHERE " PG_IS_FILLED, name);
    pg_put_scope(&parameters, &pg->store.scope);
    result = pg_query(pg, sql, &parameters, &class, ret_error);
    buffer_free(&parameters.bytes);
    if (result == NULL)
        return class;
    if (PQntuples(result) > 0)
        class = refuse_filled_table(&pg->store.scope, name, ret_error);
    PQclear(result);
    return class;
}

/* Of the host's tables the triggers are let be: people watch positions by them. */
int pg_preflight(struct store *store, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    int result = preflight_table(pg, "readside_positions", "SELECT,INSERT,UPDATE", false, ret_error);

    if (result == 0)
        result = preflight_table(pg, "readside_projections", "SELECT,INSERT,UPDATE", false, ret_error);
    if (result == 0)
        result = preflight_table(pg, "readside_tables", "SELECT,INSERT", false, ret_error);
    if (result == 0)
        result = preflight_table(pg, "readside_outbox", "INSERT", false, ret_error);
    for (uint32_t i = 0; i < store->scope.n_tables && result == 0; i++) {
        char name[STORE_NAME_SIZE];

        if (store->scope.tables[i].is_omitted)
            continue;
        store_table_name(&store->scope, &store->scope.tables[i], name);
        result = preflight_table(pg, name, "SELECT,INSERT,UPDATE,DELETE", !store->settings.allow_constraints, ret_error);
        if (result == 0)
            result = refuse_filled(pg, name, ret_error);
    }
    return result;
}
