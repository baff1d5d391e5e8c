/*
 * postgres_operate - what commands do: list positions, move or resume one, drop a version. Blocking.
 *
 * Owner and epoch change in the same statement as the position, so that no running task survives the change (design 7.8).
 */
#include "store/postgres.h"
#include "store/refusals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Listing ---- */

int pg_list_positions(struct store *store, const struct store_position **ret_positions, size_t *ret_n, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    struct pg_parameters parameters = {0};
    struct store_position *list;
    PGresult *result;
    int class;

    pg_put_scope(&parameters, &store->scope);
    result = pg_query(pg,
                      "SELECT " PG_POSITION_COLUMNS " "
                      "FROM readside_positions WHERE pipeline = $1 AND version = $2 ORDER BY topic, part",
                      &parameters, &class, ret_error);
    buffer_free(&parameters.bytes);
    if (result == NULL)
        return pg_note_missing(class, ret_error);
    list = realloc(pg->list, ((size_t)PQntuples(result) + 1) * sizeof *list);
    if (list == NULL) {
        PQclear(result);
        return error_set(ret_error, ERROR_BUG, "out of memory");
    }
    PQclear(pg->list_result);
    pg->list_result = result;
    pg->list = list;
    for (int row = 0; row < PQntuples(result); row++) {
        list[row] = (struct store_position){.topic = PQgetvalue(result, row, 0), .partition = pg_read_int4(result, row, 1)};
        pg_read_position(result, row, &list[row]);
    }
    *ret_positions = list;
    *ret_n = (size_t)PQntuples(result);
    return 0;
}

/* ---- One position ---- */

/* Both answer the offset that was found and whether it was changed: no row where there is no such position. */
static const char set_position[] =
    "WITH old AS (SELECT * FROM readside_positions WHERE pipeline = $1 AND version = $2 AND topic = $3 AND part = $4 FOR UPDATE), "
    "changed AS (UPDATE readside_positions p SET next_offset = $5, owner = NULL, epoch = p.epoch + 1, state = 'running', "
    "halt_kind = NULL, halt_reason = NULL, leader_epoch = -1, cluster_id = $6, topic_id = $7, updated_at = now() FROM old "
    "WHERE p.pipeline = old.pipeline AND p.version = old.version AND p.topic = old.topic AND p.part = old.part "
    "AND old.next_offset = $8 RETURNING 1), "
    "noted AS (INSERT INTO readside_audit (actor, action, pipeline, version, topic, part, old_offset, new_offset, reason) "
    "SELECT $9, $10, $1, $2, $3, $4, old.next_offset, $5, $11 FROM old, changed RETURNING 1) "
    "SELECT old.next_offset, (SELECT count(*) FROM noted) FROM old";

static const char resume_position[] =
    "WITH old AS (SELECT * FROM readside_positions WHERE pipeline = $1 AND version = $2 AND topic = $3 AND part = $4 "
    "AND state = 'halted' FOR UPDATE), changed AS (UPDATE readside_positions p SET owner = NULL, epoch = p.epoch + 1, "
    "state = 'running', halt_kind = NULL, halt_reason = NULL, updated_at = now() FROM old "
    "WHERE p.pipeline = old.pipeline AND p.version = old.version AND p.topic = old.topic AND p.part = old.part RETURNING 1), "
    "noted AS (INSERT INTO readside_audit (actor, action, pipeline, version, topic, part, old_offset, new_offset, reason) "
    "SELECT $5, $6, $1, $2, $3, $4, old.next_offset, old.next_offset, $7 FROM old, changed RETURNING 1) "
    "SELECT old.next_offset, (SELECT count(*) FROM noted) FROM old";

int pg_operate(struct store *store, const struct store_operation *operation, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    struct pg_parameters parameters = {0};
    bool is_set = operation->kind != STORE_RESUME;
    PGresult *result;
    int class;

    pg_put_scope(&parameters, &store->scope);
    pg_put_text(&parameters, operation->topic);
    pg_put_int4(&parameters, operation->partition);
    if (is_set) {
        pg_put_int8(&parameters, operation->next_offset);
        pg_put_text(&parameters, operation->cluster_id);
        pg_put_uuid(&parameters, operation->topic_id);
        pg_put_int8(&parameters, operation->base);
    }
    pg_put_words(&parameters, operation->actor);
    pg_put_text(&parameters, store_operation_name(operation));
    pg_put_words(&parameters, operation->reason);
    result = pg_query(pg, is_set ? set_position : resume_position, &parameters, &class, ret_error);
    buffer_free(&parameters.bytes);
    if (result == NULL)
        return class;
    if (PQntuples(result) == 0)
        class = refuse_operation(operation, ret_error);
    else if (pg_read_int8(result, 0, 1) == 0)
        class = refuse_moved(operation, pg_read_int8(result, 0, 0), ret_error);
    PQclear(result);
    return class;
}

/* ---- A whole version ---- */

/* name: NAME__vN. The view NAME goes only where it shows this version. */
static int drop_table(struct postgres *pg, const char *name, struct error *ret_error)
{
    char view[STORE_NAME_SIZE], sql[STORE_NAME_SIZE + 40];
    bool shows = false;
    int result;

    store_view_name(&pg->store.scope, name, view);
    result = pg_view_shows(pg, view, name, &shows, ret_error);
    if (result == 0 && shows) {
        snprintf(sql, sizeof sql, "DROP VIEW \"%s\"", view);
        result = pg_execute(pg, sql, ret_error);
    }
    if (result != 0)
        return result;
    snprintf(sql, sizeof sql, "DROP TABLE IF EXISTS \"%s\"", name);
    return pg_execute(pg, sql, ret_error);
}

/* Those that the version fills, whatever the plugin's options say today, and none of another pipeline. */
static int drop_tables(struct postgres *pg, struct error *ret_error)
{
    int class;
    PGresult *names = pg_enter_tables(pg, &class, ret_error);

    for (int i = 0; class == 0 && i < PQntuples(names); i++)
        class = drop_table(pg, PQgetvalue(names, i, 0), ret_error);
    PQclear(names);
    return class;
}

static int execute_scoped(struct postgres *pg, const char *sql, const char *actor, struct error *ret_error)
{
    struct pg_parameters parameters = {0};
    int class;

    pg_put_scope(&parameters, &pg->store.scope);
    if (actor != NULL)
        pg_put_words(&parameters, actor);
    PQclear(pg_query(pg, sql, &parameters, &class, ret_error));
    buffer_free(&parameters.bytes);
    return class;
}

static int drop_version(struct postgres *pg, const char *actor, struct error *ret_error)
{
    static const char lock[] = "SELECT 1 FROM readside_positions WHERE pipeline = $1 AND version = $2 ORDER BY topic, part FOR UPDATE";
    static const char *const statements[] = {
        "DELETE FROM readside_positions WHERE pipeline = $1 AND version = $2",
        "DELETE FROM readside_outbox WHERE pipeline = $1 AND version = $2",
        "DELETE FROM readside_tables WHERE pipeline = $1 AND version = $2",
        "DELETE FROM readside_projections WHERE pipeline = $1 AND version = $2",
    };
    int result = execute_scoped(pg, lock, NULL, ret_error);

    if (result == 0)
        result = drop_tables(pg, ret_error);
    for (size_t i = 0; i < sizeof statements / sizeof statements[0] && result == 0; i++)
        result = execute_scoped(pg, statements[i], NULL, ret_error);
    if (result == 0)
        result = execute_scoped(pg,
                                "INSERT INTO readside_audit (actor, action, pipeline, version, reason) "
                                "VALUES ($3, 'reset', $1, $2, 'tables and positions dropped')",
                                actor, ret_error);
    return result;
}

int pg_reset(struct store *store, const char *actor, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    struct error ignored;
    int result = pg_execute(pg, "BEGIN", ret_error);

    if (result == 0)
        result = drop_version(pg, actor, ret_error);
    if (result == 0)
        return pg_execute(pg, "COMMIT", ret_error);
    if (pg->is_connected && pg_execute(pg, "ROLLBACK", &ignored) != 0)
        pg->is_connected = false;
    return result;
}
