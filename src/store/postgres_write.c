/*
 * postgres_write - one batch: BEGIN, compare-and-set of the positions, rows, messages, COMMIT, in one pipeline with one Sync.
 *
 * The compare-and-set raises in the server when its count is wrong, so that the COMMIT behind it is skipped; which statement
 * failed tells what it means (design section 6).
 */
#include "store/postgres.h"
#include "store/refusals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Positions ---- */

static const char compare_and_set[] =
    "WITH moved AS (UPDATE readside_positions p SET next_offset = u.next, commit_seq = p.commit_seq + 1, "
    "events = p.events + u.events, leader_epoch = u.leader_epoch, "
    "state = CASE WHEN u.halt_kind IS NULL THEN 'running' ELSE 'halted' END, halt_kind = u.halt_kind, "
    "halt_reason = u.halt_reason, updated_at = now() "
    "FROM unnest($4::text[], $5::int4[], $6::int8[], $7::int8[], $8::int8[], $9::int8[], $10::int4[], $11::text[], $12::text[]) "
    "AS u(topic, part, base, next, epoch, events, leader_epoch, halt_kind, halt_reason) "
    "WHERE p.pipeline = $1 AND p.version = $2 AND p.topic = u.topic AND p.part = u.part AND p.owner = $3 "
    "AND p.epoch = u.epoch AND p.next_offset = u.base RETURNING 1) "
    "SELECT 1 / (CASE WHEN count(*) = $13 THEN 1 ELSE 0 END) FROM moved";

static void put_places(struct pg_parameters *parameters, const struct store_move *moves, size_t n)
{
    pg_begin_array(parameters, PG_TEXT_ARRAY, PG_TEXT, n);
    for (size_t i = 0; i < n; i++)
        pg_element_text(parameters, moves[i].topic);
    pg_end_array(parameters);
    pg_begin_array(parameters, PG_INT4_ARRAY, PG_INT4, n);
    for (size_t i = 0; i < n; i++)
        pg_element_int4(parameters, moves[i].partition);
    pg_end_array(parameters);
}

static void put_moves(struct pg_parameters *parameters, const struct store_move *moves, size_t n)
{
    put_places(parameters, moves, n);
    for (int column = 0; column < 4; column++) {
        pg_begin_array(parameters, PG_INT8_ARRAY, PG_INT8, n);
        for (size_t i = 0; i < n; i++)
            pg_element_int8(parameters, column == 0   ? moves[i].base
                                        : column == 1 ? moves[i].next
                                        : column == 2 ? moves[i].epoch
                                                      : moves[i].events);
        pg_end_array(parameters);
    }
    pg_begin_array(parameters, PG_INT4_ARRAY, PG_INT4, n);
    for (size_t i = 0; i < n; i++)
        pg_element_int4(parameters, moves[i].leader_epoch);
    pg_end_array(parameters);
    pg_begin_array(parameters, PG_TEXT_ARRAY, PG_TEXT, n);
    for (size_t i = 0; i < n; i++)
        pg_element_text(parameters, moves[i].halt_kind);
    pg_end_array(parameters);
    pg_begin_array(parameters, PG_TEXT_ARRAY, PG_TEXT, n);
    for (size_t i = 0; i < n; i++)
        pg_element_words(parameters, moves[i].halt_reason);
    pg_end_array(parameters);
}

/* An update of several rows locks them in no particular order, so they are locked before: two tasks that meet (a claim, a zombie)
 * then wait for each other and cannot deadlock. */
static int send_lock(struct postgres *pg, const struct store_write *write, struct error *ret_error)
{
    if (write->n_moves < 2)
        return 0;
    pg_put_scope(&pg->parameters, &pg->store.scope);
    put_places(&pg->parameters, write->moves, write->n_moves);
    pg_put_uuid(&pg->parameters, pg->store.scope.owner);
    return pg_send(pg, pg_lock_mine, &pg->parameters, true, ret_error);
}

static int send_moves(struct postgres *pg, const struct store_write *write, struct error *ret_error)
{
    if (write->n_moves == 0)
        return 0;
    pg_put_scope(&pg->parameters, &pg->store.scope);
    pg_put_uuid(&pg->parameters, pg->store.scope.owner);
    put_moves(&pg->parameters, write->moves, write->n_moves);
    pg_put_int8(&pg->parameters, (int64_t)write->n_moves);
    return pg_send(pg, compare_and_set, &pg->parameters, true, ret_error);
}

/* ---- Rows ---- */

static int reserve_group_ends(struct postgres *pg, size_t n, struct error *ret_error)
{
    size_t *grown;

    if (n <= pg->group_ends_capacity)
        return 0;
    grown = realloc(pg->group_ends, n * sizeof *grown);
    if (grown == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory for %zu groups of rows", n);
    pg->group_ends = grown;
    pg->group_ends_capacity = n;
    return 0;
}

static int send_rows(struct postgres *pg, const struct batch *batch, struct error *ret_error)
{
    size_t n_groups, n_messages;
    const struct change_group *groups = batch_groups(batch, &n_groups);
    const struct outbox_message *messages = batch_outbox(batch, &n_messages);
    int result = 0;

    for (size_t i = 0; i < n_groups && result == 0; i++) {
        bool is_first = i == 0 || groups[i - 1].table != groups[i].table || groups[i - 1].change == CHANGE_DELETE;

        if (is_first && pg_is_of_new_rows(pg, &groups[i])) /* upserts of one table follow one another: one guard is for all */
            result = pg_send_key_guard(pg, groups[i].table, ret_error);
        if (result == 0)
            result = pg_send_group(pg, &groups[i], ret_error);
        pg->group_ends[i] = pg->n_sent;
    }
    return n_messages > 0 && result == 0 ? pg_send_messages(pg, messages, n_messages, ret_error) : result;
}

/* ---- The end ---- */

/* The rows whose statement failed; NULL: it was another's, before or behind them all. */
static const struct change_group *failed_group(const struct postgres *pg, size_t failed)
{
    size_t n_groups = 0;
    const struct change_group *groups = pg->write.batch == NULL ? NULL : batch_groups(pg->write.batch, &n_groups);

    if (failed < pg->first_statement)
        return NULL;
    for (size_t i = 0; i < n_groups; i++)
        if (failed < pg->group_ends[i])
            return &groups[i];
    return NULL;
}

static int judge_failure(struct postgres *pg, struct error *ret_failure)
{
    size_t failed = pg_failed_at(pg);
    const PGresult *result = pg->results[failed];
    const struct store_move *first = pg->write.n_moves > 0 ? pg->write.moves : NULL;
    const struct change_group *group = failed_group(pg, failed);
    char words[PG_WORDS_SIZE];

    if (pg_raised_words(result, words))
        return refuse_foreign_row(words, ret_failure);
    pg_error_of(result, ret_failure);
    if (failed < pg->first_statement && strcmp(ret_failure->code, "22012") == 0) /* the compare-and-set counted too few */
        return error_set(ret_failure, ERROR_FENCED, "%s/%d%s: the position is no longer this task's, or has been moved",
                         first == NULL ? "" : first->topic, first == NULL ? 0 : (int)first->partition,
                         pg->write.n_moves > 1 ? " or another of the batch" : "");
    if (failed >= pg->first_statement && failed + 1 < pg->n_sent)
        error_wrap(ret_failure, "table %s", group == NULL ? "readside_outbox" : group->table->name);
    return ret_failure->class;
}

static int write_again(struct postgres *pg, struct error *ret_error)
{
    int result = pg_start_write(&pg->store, &pg->write, ret_error);

    return result == 0 ? STORE_BUSY : result;
}

/*
 * A row was taken for a new one: the first of its table that is there. Where the key has been made a deferred one since, only COMMIT
 * finds that, and does not say of which table; an upsert refuses such a key.
 */
static bool is_known_after_all(struct postgres *pg, size_t failed)
{
    size_t n_groups = 0;
    const struct change_group *groups = pg->write.batch == NULL ? NULL : batch_groups(pg->write.batch, &n_groups);
    const struct change_group *culprit = failed_group(pg, failed);
    bool is_commit = failed + 1 == pg->n_sent, is_known = false;

    for (size_t i = 0; i < n_groups && pg_has_state(pg->results[failed], "23505"); i++) /* unique_violation */
        if ((is_commit || &groups[i] == culprit) && pg_is_of_new_rows(pg, &groups[i])) {
            pg->met[groups[i].table->id] = PG_MET_KNOWN;
            is_known = true;
        }
    return is_known;
}

/* By what the asking upserts have answered. */
static void learn_what_was_met(struct postgres *pg)
{
    size_t n_groups = 0;
    const struct change_group *groups = pg->write.batch == NULL ? NULL : batch_groups(pg->write.batch, &n_groups);

    for (size_t i = 0; i < n_groups; i++) {
        const PGresult *result = pg->results[pg->group_ends[i] - 1];
        uint8_t *met = &pg->met[groups[i].table->id];

        if (groups[i].change != CHANGE_UPSERT || PQntuples(result) != 1)
            continue;
        if (pg_read_int8(result, 0, 0) > 0)
            *met = PG_MET_KNOWN;
        else if (*met == PG_MET_NOTHING)
            *met = PG_MET_NEW;
    }
}

static int written(struct postgres *pg, struct error *ret_error)
{
    struct error failure = {0};
    size_t failed = pg_failed_at(pg);

    if (pg_has_committed(pg)) {
        pg->may_have_committed = false;
        learn_what_was_met(pg);
        return 0;
    }
    if (failed < pg->n_sent && is_known_after_all(pg, failed))
        return pg_roll_back_then(pg, write_again, ret_error);
    if (failed < pg->n_sent)
        judge_failure(pg, &failure);
    else /* COMMIT of a transaction that had failed answers ROLLBACK */
        error_set(&failure, ERROR_TRANSIENT, "PostgreSQL answered COMMIT with %s", PQcmdStatus(pg->results[pg->n_sent - 1]));
    return pg_roll_back(pg, &failure, ret_error);
}

int pg_start_write(struct store *store, const struct store_write *write, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    size_t n_groups = 0;
    int result;

    if (!pg->is_connected)
        return pg_not_connected(ret_error);
    if (write->batch != NULL)
        (void)batch_groups(write->batch, &n_groups);
    result = reserve_group_ends(pg, n_groups, ret_error);
    if (result != 0)
        return result;
    pg->write = *write;
    pg_begin_exchange(pg);
    result = pg_send_begin(pg, ret_error);
    if (result == 0)
        result = send_lock(pg, write, ret_error);
    if (result == 0)
        result = send_moves(pg, write, ret_error);
    pg->first_statement = pg->n_sent;
    if (result == 0 && write->batch != NULL)
        result = send_rows(pg, write->batch, ret_error);
    if (result == 0) {
        pg->may_have_committed = true;
        result = pg_send(pg, "COMMIT", NULL, false, ret_error);
    }
    return result == 0 ? pg_sync(pg, written, ret_error) : result;
}
