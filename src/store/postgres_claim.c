/*
 * postgres_claim - taking positions over, asking what is committed, giving positions up, making first positions.
 *
 * Rows of readside_positions are locked in the order of topic and partition, by a statement of its own, so that the statement
 * behind it sees what the old owner has committed meanwhile (READ COMMITTED takes a new snapshot per statement).
 */
#include "store/postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ATTEMPTS_MAX = 6 };

static const char select_mine[] = "pipeline = $1 AND version = $2";

static void put_scope(struct postgres *pg)
{
    pg_put_text(&pg->parameters, pg->store.scope.pipeline);
    pg_put_int4(&pg->parameters, pg->store.scope.version);
}

static void put_places(struct postgres *pg, const struct store_position *positions, size_t n)
{
    pg_begin_array(&pg->parameters, 1009, 25, n);
    for (size_t i = 0; i < n; i++)
        pg_element_text(&pg->parameters, positions[i].topic);
    pg_end_array(&pg->parameters);
    pg_begin_array(&pg->parameters, 1007, 23, n);
    for (size_t i = 0; i < n; i++)
        pg_element_int4(&pg->parameters, positions[i].partition);
    pg_end_array(&pg->parameters);
}

/* ---- The version's entry ---- */

static int send_projection(struct postgres *pg, struct error *ret_error)
{
    int result;

    put_scope(pg);
    pg_put_text(&pg->parameters, pg->store.scope.plugin);
    pg_put_int4(&pg->parameters, (int32_t)pg->store.scope.revision);
    result = pg_send(pg,
                     "INSERT INTO readside_projections (pipeline, version, plugin, revision) VALUES ($1, $2, $3, $4) "
                     "ON CONFLICT DO NOTHING",
                     &pg->parameters, false, ret_error);
    if (result != 0)
        return result;
    put_scope(pg);
    return pg_send(pg, "SELECT plugin, revision FROM readside_projections WHERE pipeline = $1 AND version = $2 FOR UPDATE",
                   &pg->parameters, false, ret_error);
}

static int check_projection(const struct postgres *pg, const PGresult *result, struct error *ret_error)
{
    const struct store_scope *scope = &pg->store.scope;
    int32_t revision = PQntuples(result) == 1 ? pg_read_int4(result, 0, 1) : -1;
    const char *plugin = PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : "";

    if (strcmp(plugin, scope->plugin) == 0 && revision == (int32_t)scope->revision)
        return 0;
    return error_set(ret_error, ERROR_CONFIG,
                     "version %d of pipeline %s was filled by plugin %s revision %d, this is %s revision %u: other rows would come "
                     "of the same events; raise the pipeline's `version' to rebuild beside it",
                     (int)scope->version, scope->pipeline, plugin, (int)revision, scope->plugin, scope->revision);
}

/* ---- Claim and resolve ---- */

static int send_lock(struct postgres *pg, struct error *ret_error)
{
    put_scope(pg);
    put_places(pg, pg->positions, pg->n_positions);
    return pg_send(pg,
                   "SELECT 1 FROM readside_positions WHERE pipeline = $1 AND version = $2 "
                   "AND (topic, part) IN (SELECT * FROM unnest($3::text[], $4::int4[])) ORDER BY topic, part FOR UPDATE",
                   &pg->parameters, false, ret_error);
}

static int send_take(struct postgres *pg, struct error *ret_error)
{
    char sql[1200];

    snprintf(sql, sizeof sql,
             "UPDATE readside_positions SET owner = $5, epoch = epoch + 1, backend_pid = pg_backend_pid(), backend_start = "
             "(SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()), %s updated_at = now() "
             "WHERE %s AND (topic, part) IN (SELECT * FROM unnest($3::text[], $4::int4[])) %s "
             "RETURNING topic, part, next_offset, epoch, leader_epoch, state, COALESCE(halt_kind, ''), COALESCE(halt_reason, ''), "
             "cluster_id, COALESCE(topic_id, '00000000-0000-0000-0000-000000000000'), commit_seq, events",
             pg->is_resolve ? "" : "claimed_at = now(),", select_mine, pg->is_resolve ? "AND owner = $5" : "");
    put_scope(pg);
    put_places(pg, pg->positions, pg->n_positions);
    pg_put_uuid(&pg->parameters, pg->store.scope.owner);
    return pg_send(pg, sql, &pg->parameters, false, ret_error);
}

static void take_row(struct store_position *position, const PGresult *result, int row)
{
    position->is_missing = false;
    position->next_offset = pg_read_int8(result, row, 2);
    position->epoch = pg_read_int8(result, row, 3);
    position->leader_epoch = pg_read_int4(result, row, 4);
    position->is_halted = strcmp(PQgetvalue(result, row, 5), "halted") == 0;
    position->halt_kind = PQgetvalue(result, row, 6);
    position->halt_reason = PQgetvalue(result, row, 7);
    position->cluster_id = PQgetvalue(result, row, 8);
    memcpy(position->topic_id, PQgetvalue(result, row, 9), 16);
    position->commit_seq = pg_read_int8(result, row, 10);
    position->events = pg_read_int8(result, row, 11);
}

static void take_rows(struct postgres *pg, const PGresult *result)
{
    for (size_t i = 0; i < pg->n_positions; i++) {
        struct store_position *position = &pg->positions[i];

        position->is_missing = true;
        position->halt_kind = position->halt_reason = position->cluster_id = "";
        for (int row = 0; row < PQntuples(result); row++)
            if (strcmp(PQgetvalue(result, row, 0), position->topic) == 0 && pg_read_int4(result, row, 1) == position->partition)
                take_row(position, result, row);
    }
}

static int begin_take(struct postgres *pg, struct error *ret_error);

/* The old holders have been told to end; the lock will be free in a moment. */
static int terminated(struct postgres *pg, struct error *ret_error)
{
    if (pg_failed_at(pg) < pg->n_sent)
        return pg_error_of(pg, pg->results[pg_failed_at(pg)], ret_error);
    return begin_take(pg, ret_error);
}

/* A holder that does not let go (a frozen process with an open transaction) is ended by its recorded backend. */
static int terminate_holders(struct postgres *pg, struct error *ret_error)
{
    int result;

    pg_begin_exchange(pg);
    put_scope(pg);
    put_places(pg, pg->positions, pg->n_positions);
    result = pg_send(pg,
                     "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN readside_positions p "
                     "ON a.pid = p.backend_pid AND a.backend_start = p.backend_start WHERE pipeline = $1 AND version = $2 "
                     "AND (topic, part) IN (SELECT * FROM unnest($3::text[], $4::int4[])) AND a.pid <> pg_backend_pid()",
                     &pg->parameters, false, ret_error);
    if (result == 0)
        result = pg_sync(pg, terminated, ret_error);
    return result == 0 ? STORE_BUSY : result;
}

static int lock_free(struct postgres *pg, struct error *ret_error)
{
    return pg_failed_at(pg) < pg->n_sent ? pg_error_of(pg, pg->results[pg_failed_at(pg)], ret_error)
                                         : terminate_holders(pg, ret_error);
}

static int take_failed(struct postgres *pg, struct error *ret_error)
{
    struct error failure = {0};
    int result;

    pg_error_of(pg, pg->results[pg_failed_at(pg)], &failure);
    if (strcmp(failure.code, "55P03") != 0 || ++pg->attempts >= ATTEMPTS_MAX)
        return pg_roll_back(pg, &failure, ret_error);
    pg_begin_exchange(pg);
    result = pg_send(pg, "ROLLBACK", NULL, false, ret_error);
    if (result == 0)
        result = pg_sync(pg, lock_free, ret_error);
    return result == 0 ? STORE_BUSY : result;
}

/* BEGIN, [projection, projection], lock, take, COMMIT */
static int taken(struct postgres *pg, struct error *ret_error)
{
    size_t take = pg->n_sent - 2;

    if (pg_failed_at(pg) < pg->n_sent)
        return take_failed(pg, ret_error);
    if (strcmp(PQcmdStatus(pg->results[pg->n_sent - 1]), "COMMIT") != 0)
        return error_set(ret_error, ERROR_TRANSIENT, "PostgreSQL answered COMMIT with %s",
                         PQcmdStatus(pg->results[pg->n_sent - 1]));
    if (!pg->is_resolve) {
        int result = check_projection(pg, pg->results[2], ret_error);

        if (result != 0)
            return result;
    }
    take_rows(pg, pg->results[take]);
    return 0;
}

static int begin_take(struct postgres *pg, struct error *ret_error)
{
    int result;

    pg_begin_exchange(pg);
    result = pg_send(pg, "BEGIN ISOLATION LEVEL READ COMMITTED", NULL, false, ret_error);
    if (result == 0 && !pg->is_resolve)
        result = send_projection(pg, ret_error);
    if (result == 0)
        result = send_lock(pg, ret_error);
    if (result == 0)
        result = send_take(pg, ret_error);
    if (result == 0)
        result = pg_send(pg, "COMMIT", NULL, false, ret_error);
    if (result == 0)
        result = pg_sync(pg, taken, ret_error);
    return result == 0 ? STORE_BUSY : result;
}

static int start_take(struct store *store, struct store_position *positions, size_t n, bool is_resolve, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    int result;

    if (!pg->is_connected)
        return pg_not_connected(pg, ret_error);
    pg->positions = positions;
    pg->n_positions = n;
    pg->is_resolve = is_resolve;
    pg->attempts = 0;
    result = begin_take(pg, ret_error);
    return result == STORE_BUSY ? 0 : result;
}

int pg_start_claim(struct store *store, struct store_position *positions, size_t n, struct error *ret_error)
{
    return start_take(store, positions, n, false, ret_error);
}

int pg_start_resolve(struct store *store, struct store_position *positions, size_t n, struct error *ret_error)
{
    return start_take(store, positions, n, true, ret_error);
}

/* ---- Release ---- */

static int simply_done(struct postgres *pg, struct error *ret_error)
{
    if (pg_failed_at(pg) < pg->n_sent)
        return pg_error_of(pg, pg->results[pg_failed_at(pg)], ret_error);
    return 0;
}

int pg_start_release(struct store *store, const struct store_position *positions, size_t n, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    int result;

    if (!pg->is_connected)
        return pg_not_connected(pg, ret_error);
    pg_begin_exchange(pg);
    put_scope(pg);
    put_places(pg, positions, n);
    pg_put_uuid(&pg->parameters, store->scope.owner);
    result = pg_send(pg,
                     "UPDATE readside_positions SET owner = NULL, updated_at = now() WHERE pipeline = $1 AND version = $2 "
                     "AND (topic, part) IN (SELECT * FROM unnest($3::text[], $4::int4[])) AND owner = $5",
                     &pg->parameters, false, ret_error);
    return result == 0 ? pg_sync(pg, simply_done, ret_error) : result;
}

/* ---- First positions ---- */

static int insert_failed(struct postgres *pg, struct error *ret_error)
{
    size_t failed = pg_failed_at(pg);
    struct error failure = {0};

    pg_error_of(pg, pg->results[failed], &failure);
    if (strcmp(failure.code, "22012") == 0 && failed >= pg->first_group && failed < pg->first_group + pg->n_groups)
        error_set(&failure, ERROR_CONFIG,
                  "version %d of pipeline %s has no positions yet, but one of its tables holds rows: their events would count "
                  "twice; empty the tables (readside reset), or raise `version'",
                  (int)pg->store.scope.version, pg->store.scope.pipeline);
    return pg_roll_back(pg, &failure, ret_error);
}

static int inserted(struct postgres *pg, struct error *ret_error)
{
    return pg_failed_at(pg) < pg->n_sent ? insert_failed(pg, ret_error) : 0;
}

/* Raises when the table holds rows though the version has no position at all. */
static int send_empty_checks(struct postgres *pg, struct error *ret_error)
{
    const struct store_scope *scope = &pg->store.scope;
    int result = 0;

    pg->first_group = pg->n_sent;
    pg->n_groups = 0;
    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++) {
        char name[STORE_NAME_SIZE], sql[512];

        if (scope->tables[i].is_omitted)
            continue;
        store_table_name(scope, &scope->tables[i], name);
        snprintf(sql, sizeof sql,
                 "SELECT 1 / (CASE WHEN EXISTS (SELECT 1 FROM \"%s\") AND NOT EXISTS (SELECT 1 FROM readside_positions WHERE %s) "
                 "THEN 0 ELSE 1 END)",
                 name, select_mine);
        put_scope(pg);
        result = pg_send(pg, sql, &pg->parameters, false, ret_error);
        pg->n_groups++;
    }
    return result;
}

static int send_starts(struct postgres *pg, const struct store_start *starts, size_t n, bool is_first, struct error *ret_error)
{
    char sql[800];

    put_scope(pg);
    pg_begin_array(&pg->parameters, 1009, 25, n);
    for (size_t i = 0; i < n; i++)
        pg_element_text(&pg->parameters, starts[i].topic);
    pg_end_array(&pg->parameters);
    pg_begin_array(&pg->parameters, 1007, 23, n);
    for (size_t i = 0; i < n; i++)
        pg_element_int4(&pg->parameters, starts[i].partition);
    pg_end_array(&pg->parameters);
    pg_begin_array(&pg->parameters, 1009, 25, n);
    for (size_t i = 0; i < n; i++)
        pg_element_text(&pg->parameters, starts[i].cluster_id);
    pg_end_array(&pg->parameters);
    pg_begin_array(&pg->parameters, 2951, 2950, n);
    for (size_t i = 0; i < n; i++)
        pg_element_bytes(&pg->parameters, starts[i].topic_id, 16);
    pg_end_array(&pg->parameters);
    pg_begin_array(&pg->parameters, 1016, 20, n);
    for (size_t i = 0; i < n; i++)
        pg_element_int8(&pg->parameters, starts[i].next_offset);
    pg_end_array(&pg->parameters);
    snprintf(sql, sizeof sql,
             "INSERT INTO readside_positions (pipeline, version, topic, part, cluster_id, topic_id, next_offset) "
             "SELECT $1, $2, u.* FROM unnest($3::text[], $4::int4[], $5::text[], $6::uuid[], $7::int8[]) AS u(topic, part, c, i, o) "
             "%s ON CONFLICT DO NOTHING",
             is_first ? "WHERE NOT EXISTS (SELECT 1 FROM readside_positions q WHERE q.pipeline = $1 AND q.version = $2 "
                        "AND q.topic = u.topic)"
                      : "");
    return pg_send(pg, sql, &pg->parameters, false, ret_error);
}

int pg_start_insert(struct store *store, const struct store_start *starts, size_t n, bool is_first, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    int result;

    if (!pg->is_connected)
        return pg_not_connected(pg, ret_error);
    pg_begin_exchange(pg);
    result = pg_send(pg, "BEGIN ISOLATION LEVEL READ COMMITTED", NULL, false, ret_error);
    if (result == 0)
        result = send_projection(pg, ret_error); /* its row lock lets one first claim pass at a time */
    pg->first_group = pg->n_groups = 0;
    if (result == 0 && is_first)
        result = send_empty_checks(pg, ret_error);
    if (result == 0)
        result = send_starts(pg, starts, n, is_first, ret_error);
    if (result == 0)
        result = pg_send(pg, "COMMIT", NULL, false, ret_error);
    return result == 0 ? pg_sync(pg, inserted, ret_error) : result;
}
