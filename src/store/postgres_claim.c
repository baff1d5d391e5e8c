/*
 * postgres_claim - taking positions over, asking what is committed, giving positions up, making first positions.
 *
 * Rows of readside_positions are locked in the order of topic and partition, by a statement of its own, so that the statement
 * behind it sees what the old owner has committed meanwhile (READ COMMITTED takes a new snapshot per statement).
 */
#include "store/postgres.h"
#include "store/refusals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ATTEMPTS_MAX = 6 };

const char pg_lock_mine[] = "SELECT 1 FROM readside_positions WHERE pipeline = $1 AND version = $2 AND owner = $5 "
                            "AND (topic, part) IN (SELECT * FROM unnest($3::text[], $4::int4[])) ORDER BY topic, part FOR UPDATE";
static const char lock_all[] = "SELECT 1 FROM readside_positions WHERE pipeline = $1 AND version = $2 "
                               "AND (topic, part) IN (SELECT * FROM unnest($3::text[], $4::int4[])) ORDER BY topic, part FOR UPDATE";

static void put_places(struct postgres *pg, const struct store_position *positions, size_t n)
{
    pg_put_scope(&pg->parameters, &pg->store.scope);
    pg_begin_array(&pg->parameters, PG_TEXT_ARRAY, PG_TEXT, n);
    for (size_t i = 0; i < n; i++)
        pg_element_text(&pg->parameters, positions[i].topic);
    pg_end_array(&pg->parameters);
    pg_begin_array(&pg->parameters, PG_INT4_ARRAY, PG_INT4, n);
    for (size_t i = 0; i < n; i++)
        pg_element_int4(&pg->parameters, positions[i].partition);
    pg_end_array(&pg->parameters);
}

void pg_read_position(const PGresult *result, int row, struct store_position *ret_position)
{
    ret_position->is_missing = false;
    ret_position->next_offset = pg_read_int8(result, row, 2);
    ret_position->epoch = pg_read_int8(result, row, 3);
    ret_position->leader_epoch = pg_read_int4(result, row, 4);
    ret_position->is_halted = strcmp(PQgetvalue(result, row, 5), "halted") == 0;
    ret_position->halt_kind = PQgetvalue(result, row, 6);
    ret_position->halt_reason = PQgetvalue(result, row, 7);
    ret_position->cluster_id = PQgetvalue(result, row, 8);
    memcpy(ret_position->topic_id, PQgetvalue(result, row, 9), 16);
    ret_position->commit_seq = pg_read_int8(result, row, 10);
    ret_position->events = pg_read_int8(result, row, 11);
    memcpy(ret_position->owner, PQgetvalue(result, row, 12), 16);
    snprintf(ret_position->claimed_at, sizeof ret_position->claimed_at, "%s", PQgetvalue(result, row, 13));
    snprintf(ret_position->updated_at, sizeof ret_position->updated_at, "%s", PQgetvalue(result, row, 14));
}

/* ---- Endings ---- */

/* The first error of the exchange; in our words when the version's entry raised it. */
static int judge_failure(const struct postgres *pg, struct error *ret_failure)
{
    char words[PG_WORDS_SIZE];

    if (pg_raised_words(pg->results[pg_failed_at(pg)], words))
        return pg_judge_version(&pg->store.scope, words, ret_failure);
    return pg_note_missing(pg_first_error(pg, ret_failure), ret_failure);
}

/* COMMIT of a transaction that had failed answers ROLLBACK. */
static int not_committed(const struct postgres *pg, struct error *ret_error)
{
    return error_set(ret_error, ERROR_TRANSIENT, "PostgreSQL answered COMMIT with %s", PQcmdStatus(pg->results[pg->n_sent - 1]));
}

/* ---- Claim and resolve ---- */

static int send_lock(struct postgres *pg, struct error *ret_error)
{
    put_places(pg, pg->positions, pg->n_positions);
    if (pg->is_resolve)
        pg_put_uuid(&pg->parameters, pg->store.scope.owner);
    return pg_send(pg, pg->is_resolve ? pg_lock_mine : lock_all, &pg->parameters, false, ret_error);
}

/* Behind a pooler the backend is not this task's: others must not terminate it. */
static int send_take(struct postgres *pg, struct error *ret_error)
{
    static const char backend[] = "pg_backend_pid(), (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())";
    char sql[1600];

    snprintf(sql, sizeof sql,
             "UPDATE readside_positions SET owner = $5, epoch = epoch + 1, (backend_pid, backend_start) = (SELECT %s), %s "
             "updated_at = now() WHERE pipeline = $1 AND version = $2 "
             "AND (topic, part) IN (SELECT * FROM unnest($3::text[], $4::int4[])) %s RETURNING " PG_POSITION_COLUMNS,
             pg->store.settings.is_pooled ? "NULL::int4, NULL::timestamptz" : backend, pg->is_resolve ? "" : "claimed_at = now(),",
             pg->is_resolve ? "AND owner = $5" : "");
    put_places(pg, pg->positions, pg->n_positions);
    pg_put_uuid(&pg->parameters, pg->store.scope.owner);
    return pg_send(pg, sql, &pg->parameters, false, ret_error);
}

static void take_rows(struct postgres *pg, const PGresult *result)
{
    for (size_t i = 0; i < pg->n_positions; i++) {
        struct store_position *position = &pg->positions[i];

        position->is_missing = true;
        position->halt_kind = position->halt_reason = position->cluster_id = "";
        for (int row = 0; row < PQntuples(result); row++)
            if (pg_read_int4(result, row, 1) == position->partition && strcmp(PQgetvalue(result, row, 0), position->topic) == 0)
                pg_read_position(result, row, position);
    }
}

static int begin_take(struct postgres *pg, struct error *ret_error);

/* The old holders have been told to end, if they could be; the lock will be free in a moment. */
static int terminated(struct postgres *pg, struct error *ret_error)
{
    return begin_take(pg, ret_error);
}

/* A holder that does not let go (a frozen process with an open transaction) is ended by its recorded backend: the same process id
 * and start, and in a transaction that has touched positions. */
static int terminate_holders(struct postgres *pg, struct error *ret_error)
{
    static const char terminate[] =
        "SELECT pg_terminate_backend(pid) FROM (SELECT DISTINCT a.pid FROM pg_stat_activity a JOIN readside_positions p "
        "ON a.pid = p.backend_pid AND a.backend_start = p.backend_start JOIN pg_locks l ON l.pid = a.pid "
        "AND l.relation = 'readside_positions'::regclass WHERE pipeline = $1 AND version = $2 "
        "AND (topic, part) IN (SELECT * FROM unnest($3::text[], $4::int4[])) AND a.pid <> pg_backend_pid() "
        "AND (NOT $5 OR owner = $6)) AS holders";
    int result;

    pg_begin_exchange(pg);
    put_places(pg, pg->positions, pg->n_positions);
    pg_put_bool(&pg->parameters, pg->is_resolve);
    pg_put_uuid(&pg->parameters, pg->store.scope.owner);
    result = pg_send(pg, terminate, &pg->parameters, false, ret_error);
    if (result == 0)
        result = pg_sync(pg, terminated, ret_error);
    return result == 0 ? STORE_BUSY : result;
}

static int lock_free(struct postgres *pg, struct error *ret_error)
{
    return pg_failed_at(pg) < pg->n_sent ? pg_first_error(pg, ret_error) : terminate_holders(pg, ret_error);
}

static int take_failed(struct postgres *pg, struct error *ret_error)
{
    bool is_of_lock = pg_failed_at(pg) == pg->first_statement;
    struct error failure = {0};
    int result;

    judge_failure(pg, &failure);
    if (strcmp(failure.code, "55P03") != 0 || !is_of_lock || ++pg->attempts >= ATTEMPTS_MAX)
        return pg_roll_back(pg, &failure, ret_error);
    pg_begin_exchange(pg);
    result = pg_send(pg, "ROLLBACK", NULL, false, ret_error);
    if (result == 0)
        result = pg_sync(pg, lock_free, ret_error);
    return result == 0 ? STORE_BUSY : result;
}

static int taken(struct postgres *pg, struct error *ret_error)
{
    if (pg_failed_at(pg) < pg->n_sent)
        return take_failed(pg, ret_error);
    if (!pg_has_committed(pg))
        return not_committed(pg, ret_error);
    take_rows(pg, pg->results[pg->first_statement + 1]);
    return 0;
}

/* A claim asks whose version it is before the lock, so that who may not claim it disturbs nobody, and again behind what it has
 * taken: nothing keeps another from making the first positions in between. */
static int begin_take(struct postgres *pg, struct error *ret_error)
{
    int result;

    pg_begin_exchange(pg);
    result = pg_send_begin(pg, ret_error);
    if (result == 0 && !pg->is_resolve)
        result = pg_send_questions(pg, ret_error);
    pg->first_statement = pg->n_sent;
    if (result == 0)
        result = send_lock(pg, ret_error);
    if (result == 0)
        result = send_take(pg, ret_error);
    if (result == 0 && !pg->is_resolve)
        result = pg_send_questions(pg, ret_error);
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
        return pg_not_connected(ret_error);
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

static int released(struct postgres *pg, struct error *ret_error)
{
    struct error failure = {0};

    if (pg_failed_at(pg) == pg->n_sent)
        return pg_has_committed(pg) ? 0 : not_committed(pg, ret_error);
    pg_first_error(pg, &failure);
    return pg_roll_back(pg, &failure, ret_error);
}

int pg_start_release(struct store *store, const struct store_position *positions, size_t n, struct error *ret_error)
{
    static const char give_up[] = "UPDATE readside_positions SET owner = NULL, updated_at = now() WHERE pipeline = $1 "
                                  "AND version = $2 AND (topic, part) IN (SELECT * FROM unnest($3::text[], $4::int4[])) AND owner = $5";
    const char *const statements[] = {pg_lock_mine, give_up};
    struct postgres *pg = pg_of(store);
    int result;

    if (!pg->is_connected)
        return pg_not_connected(ret_error);
    pg_begin_exchange(pg);
    result = pg_send_begin(pg, ret_error);
    for (size_t i = 0; i < sizeof statements / sizeof statements[0] && result == 0; i++) {
        put_places(pg, positions, n);
        pg_put_uuid(&pg->parameters, store->scope.owner);
        result = pg_send(pg, statements[i], &pg->parameters, false, ret_error);
    }
    if (result == 0)
        result = pg_send(pg, "COMMIT", NULL, false, ret_error);
    return result == 0 ? pg_sync(pg, released, ret_error) : result;
}

/* ---- First positions ---- */

/* The table of that look, omitted ones have none. */
static void name_looked_at(const struct store_scope *scope, size_t look, char ret_name[STORE_NAME_SIZE])
{
    ret_name[0] = '\0';
    for (uint32_t i = 0; i < scope->n_tables; i++)
        if (!scope->tables[i].is_omitted && look-- == 0)
            store_table_name(scope, &scope->tables[i], ret_name);
}

static int inserted(struct postgres *pg, struct error *ret_error)
{
    size_t failed = pg_failed_at(pg);
    struct error failure = {0};
    char name[STORE_NAME_SIZE];

    if (failed == pg->n_sent)
        return pg_has_committed(pg) ? 0 : not_committed(pg, ret_error);
    judge_failure(pg, &failure);
    name_looked_at(&pg->store.scope, failed - pg->first_statement, name);
    if (strcmp(failure.code, "22012") == 0 && failed >= pg->first_statement && failed < pg->first_statement + pg->n_looks)
        refuse_filled_table(&pg->store.scope, name, &failure);
    return pg_roll_back(pg, &failure, ret_error);
}

/* Each raises when its table holds rows though the version has no position at all. */
static int send_looks(struct postgres *pg, struct error *ret_error)
{
    const struct store_scope *scope = &pg->store.scope;
    int result = 0;

    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++) {
        char name[STORE_NAME_SIZE], sql[400];

        if (scope->tables[i].is_omitted)
            continue;
        store_table_name(scope, &scope->tables[i], name);
        snprintf(sql, sizeof sql, "SELECT 1 / (CASE WHEN " PG_IS_FILLED " THEN 0 ELSE 1 END)", name);
        pg_put_scope(&pg->parameters, scope);
        result = pg_send(pg, sql, &pg->parameters, false, ret_error);
        pg->n_looks++;
    }
    return result;
}

static int send_starts(struct postgres *pg, const struct store_start *starts, size_t n, bool is_first, struct error *ret_error)
{
    char sql[800];

    pg_put_scope(&pg->parameters, &pg->store.scope);
    pg_begin_array(&pg->parameters, PG_TEXT_ARRAY, PG_TEXT, n);
    for (size_t i = 0; i < n; i++)
        pg_element_text(&pg->parameters, starts[i].topic);
    pg_end_array(&pg->parameters);
    pg_begin_array(&pg->parameters, PG_INT4_ARRAY, PG_INT4, n);
    for (size_t i = 0; i < n; i++)
        pg_element_int4(&pg->parameters, starts[i].partition);
    pg_end_array(&pg->parameters);
    pg_begin_array(&pg->parameters, PG_TEXT_ARRAY, PG_TEXT, n);
    for (size_t i = 0; i < n; i++)
        pg_element_text(&pg->parameters, starts[i].cluster_id);
    pg_end_array(&pg->parameters);
    pg_begin_array(&pg->parameters, PG_UUID_ARRAY, PG_UUID, n);
    for (size_t i = 0; i < n; i++)
        pg_element_bytes(&pg->parameters, starts[i].topic_id, 16);
    pg_end_array(&pg->parameters);
    pg_begin_array(&pg->parameters, PG_INT8_ARRAY, PG_INT8, n);
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
        return pg_not_connected(ret_error);
    pg_begin_exchange(pg);
    result = pg_send_begin(pg, ret_error);
    if (result == 0)
        result = pg_send_entry(pg, ret_error);
    pg->first_statement = pg->n_sent;
    pg->n_looks = 0;
    if (result == 0 && is_first)
        result = send_looks(pg, ret_error);
    if (result == 0)
        result = send_starts(pg, starts, n, is_first, ret_error);
    if (result == 0)
        result = pg_send(pg, "COMMIT", NULL, false, ret_error);
    return result == 0 ? pg_sync(pg, inserted, ret_error) : result;
}
