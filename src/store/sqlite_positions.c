/*
 * sqlite_positions - positions in an SQLite file: claim, resolve, release, first positions, moves, and what commands do to them.
 *
 * BEGIN IMMEDIATE lets one writer in at a time, so a claim never meets a transaction of the old owner: it waits for it. A killed
 * process's lock ends with it.
 */
#include "store/refusals.h"
#include "store/sqlite.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char columns[] = "topic, part, next_offset, epoch, leader_epoch, state, coalesce(halt_kind, ''), "
                              "coalesce(halt_reason, ''), cluster_id, topic_id, commit_seq, events, owner, "
                              "coalesce(claimed_at, ''), updated_at";

static const char *copy_column(struct sqlite *lite, sqlite3_stmt *statement, int at)
{
    const char *text = (const char *)sqlite3_column_text(statement, at), *copy;

    copy = text == NULL ? NULL : arena_copy(lite->arena, text, strlen(text));
    return copy == NULL ? "" : copy;
}

static void copy_id(sqlite3_stmt *statement, int at, uint8_t ret_id[16])
{
    const char *text = (const char *)sqlite3_column_text(statement, at);

    if (text == NULL || !text_read_uuid(text, strlen(text), ret_id))
        memset(ret_id, 0, 16);
}

static void take_row(struct sqlite *lite, sqlite3_stmt *statement, struct store_position *position)
{
    position->is_missing = false;
    position->next_offset = sqlite3_column_int64(statement, 2);
    position->epoch = sqlite3_column_int64(statement, 3);
    position->leader_epoch = sqlite3_column_int(statement, 4);
    position->is_halted = strcmp((const char *)sqlite3_column_text(statement, 5), "halted") == 0;
    position->halt_kind = copy_column(lite, statement, 6);
    position->halt_reason = copy_column(lite, statement, 7);
    position->cluster_id = copy_column(lite, statement, 8);
    copy_id(statement, 9, position->topic_id);
    position->commit_seq = sqlite3_column_int64(statement, 10);
    position->events = sqlite3_column_int64(statement, 11);
    copy_id(statement, 12, position->owner);
    snprintf(position->claimed_at, sizeof position->claimed_at, "%s", (const char *)sqlite3_column_text(statement, 13));
    snprintf(position->updated_at, sizeof position->updated_at, "%s", (const char *)sqlite3_column_text(statement, 14));
}

static void bind_place(sqlite3_stmt *statement, int at, const char *topic, int32_t partition)
{
    sqlite3_bind_text(statement, at, topic, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, at + 1, partition);
}

/* ---- Claim, resolve, release ---- */

static int take_one(struct sqlite *lite, struct store_position *position, const char *sql, struct error *ret_error)
{
    sqlite3_stmt *statement;
    char now[32];
    int result = sqlite_prepare(lite, sql, &statement, ret_error), code;

    if (result != 0)
        return result;
    sqlite_now(now);
    sqlite_bind_scope(lite, statement);
    bind_place(statement, 3, position->topic, position->partition);
    sqlite_bind_id(lite, statement, 5, lite->store.scope.owner);
    sqlite3_bind_text(statement, 6, now, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 7, (int64_t)getpid());
    position->is_missing = true;
    position->halt_kind = position->halt_reason = position->cluster_id = "";
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        take_row(lite, statement, position);
    else if (code != SQLITE_DONE)
        result = sqlite_error(lite, "claiming a position", ret_error);
    while (code == SQLITE_ROW)
        code = sqlite3_step(statement);
    sqlite3_reset(statement);
    return result;
}

int sqlite_take_positions(struct sqlite *lite, struct error *ret_error)
{
    char sql[800];
    int result = lite->is_resolve ? 0 : sqlite_ask_version(lite, ret_error);

    snprintf(sql, sizeof sql,
             "UPDATE readside_positions SET owner = ?5, epoch = epoch + 1, backend_pid = ?7, %s updated_at = ?6 "
             "WHERE pipeline = ?1 AND version = ?2 AND topic = ?3 AND part = ?4 %s RETURNING %s",
             lite->is_resolve ? "" : "claimed_at = ?6,", lite->is_resolve ? "AND owner = ?5" : "", columns);
    arena_reset(lite->arena);
    for (size_t i = 0; i < lite->n_positions && result == 0; i++)
        result = take_one(lite, &lite->positions[i], sql, ret_error);
    return result;
}

int sqlite_release_positions(struct sqlite *lite, struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(lite,
                                "UPDATE readside_positions SET owner = NULL WHERE pipeline = ?1 AND version = ?2 AND topic = ?3 "
                                "AND part = ?4 AND owner = ?5",
                                &statement, ret_error);

    for (size_t i = 0; i < lite->n_positions && result == 0; i++) {
        sqlite_bind_scope(lite, statement);
        bind_place(statement, 3, lite->positions[i].topic, lite->positions[i].partition);
        sqlite_bind_id(lite, statement, 5, lite->store.scope.owner);
        result = sqlite_run(lite, statement, "giving a position up", ret_error);
    }
    return result;
}

/* ---- First positions ---- */

static int count(struct sqlite *lite, const char *sql, int64_t *ret_n, struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(lite, sql, &statement, ret_error);

    if (result != 0)
        return result;
    sqlite_bind_scope(lite, statement);
    if (sqlite3_step(statement) == SQLITE_ROW)
        *ret_n = sqlite3_column_int64(statement, 0);
    else
        result = sqlite_error(lite, "counting", ret_error);
    sqlite3_reset(statement);
    return result;
}

int sqlite_refuse_filled(struct sqlite *lite, struct error *ret_error)
{
    const struct store_scope *scope = &lite->store.scope;
    int64_t n = 0;
    int result = count(lite, "SELECT count(*) FROM readside_positions WHERE pipeline = ?1 AND version = ?2", &n, ret_error);

    if (result != 0 || n > 0)
        return result;
    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++) {
        char name[STORE_NAME_SIZE], sql[200];

        if (scope->tables[i].is_omitted)
            continue;
        store_table_name(scope, &scope->tables[i], name);
        snprintf(sql, sizeof sql, "SELECT EXISTS (SELECT 1 FROM \"%s\")", name);
        result = count(lite, sql, &n, ret_error);
        if (result == 0 && n > 0)
            result = refuse_filled_table(scope, name, ret_error);
    }
    return result;
}

static int topic_has_positions(struct sqlite *lite, const char *topic, bool *ret_has, struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(lite,
                                "SELECT EXISTS (SELECT 1 FROM readside_positions WHERE pipeline = ?1 AND version = ?2 AND topic = ?3)",
                                &statement, ret_error);

    if (result != 0)
        return result;
    sqlite_bind_scope(lite, statement);
    sqlite3_bind_text(statement, 3, topic, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW)
        *ret_has = sqlite3_column_int(statement, 0) != 0;
    else
        result = sqlite_error(lite, "readside_positions", ret_error);
    sqlite3_reset(statement);
    return result;
}

static int insert_one(struct sqlite *lite, const struct store_start *start, struct error *ret_error)
{
    sqlite3_stmt *statement;
    char now[32];
    int result = sqlite_prepare(lite,
                                "INSERT INTO readside_positions (pipeline, version, topic, part, cluster_id, topic_id, next_offset, "
                                "updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
                                &statement, ret_error);

    if (result != 0)
        return result;
    sqlite_now(now);
    sqlite_bind_scope(lite, statement);
    bind_place(statement, 3, start->topic, start->partition);
    sqlite3_bind_text(statement, 5, start->cluster_id, -1, SQLITE_STATIC);
    sqlite_bind_id(lite, statement, 6, start->topic_id);
    sqlite3_bind_int64(statement, 7, start->next_offset);
    sqlite3_bind_text(statement, 8, now, -1, SQLITE_STATIC);
    return sqlite_run(lite, statement, "inserting a position", ret_error);
}

/* A topic that has positions before the first insert is left alone: another task was first. */
int sqlite_insert_positions(struct sqlite *lite, struct error *ret_error)
{
    bool *has = arena_zalloc(lite->arena, lite->n_starts + 1);
    int result = has == NULL ? sqlite_out_of_memory(ret_error) : sqlite_enter_version(lite, ret_error);

    if (result == 0 && lite->is_first)
        result = sqlite_refuse_filled(lite, ret_error);
    for (size_t i = 0; i < lite->n_starts && result == 0 && lite->is_first; i++)
        result = topic_has_positions(lite, lite->starts[i].topic, &has[i], ret_error);
    for (size_t i = 0; i < lite->n_starts && result == 0; i++)
        if (!has[i])
            result = insert_one(lite, &lite->starts[i], ret_error);
    return result;
}

/* ---- Moves: the compare-and-set ---- */

static int move_one(struct sqlite *lite, sqlite3_stmt *statement, const struct store_move *move, const char *now,
                    struct error *ret_error)
{
    int result;

    sqlite_bind_scope(lite, statement);
    bind_place(statement, 3, move->topic, move->partition);
    sqlite_bind_id(lite, statement, 5, lite->store.scope.owner);
    sqlite3_bind_int64(statement, 6, move->epoch);
    sqlite3_bind_int64(statement, 7, move->base);
    sqlite3_bind_int64(statement, 8, move->next);
    sqlite3_bind_int64(statement, 9, move->events);
    sqlite3_bind_int(statement, 10, move->leader_epoch);
    sqlite3_bind_text(statement, 11, move->halt_kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 12, move->halt_reason, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 13, now, -1, SQLITE_STATIC);
    result = sqlite_run(lite, statement, "moving a position", ret_error);
    if (result == 0 && sqlite3_changes(lite->connection) != 1)
        result = error_set(ret_error, ERROR_FENCED, "the position of %s/%d is no longer this task's at offset %lld and epoch %lld",
                           move->topic, (int)move->partition, (long long)move->base, (long long)move->epoch);
    return result;
}

int sqlite_move_positions(struct sqlite *lite, struct error *ret_error)
{
    sqlite3_stmt *statement;
    char now[32];
    int result = sqlite_prepare(lite,
                                "UPDATE readside_positions SET next_offset = ?8, commit_seq = commit_seq + 1, events = events + ?9, "
                                "leader_epoch = ?10, state = CASE WHEN ?11 IS NULL THEN 'running' ELSE 'halted' END, "
                                "halt_kind = ?11, halt_reason = ?12, updated_at = ?13 WHERE pipeline = ?1 AND version = ?2 "
                                "AND topic = ?3 AND part = ?4 AND owner = ?5 AND epoch = ?6 AND next_offset = ?7",
                                &statement, ret_error);

    sqlite_now(now);
    for (size_t i = 0; i < lite->write.n_moves && result == 0; i++)
        result = move_one(lite, statement, &lite->write.moves[i], now, ret_error);
    return result;
}

/* ---- Commands ---- */

int sqlite_list_positions(struct store *store, const struct store_position **ret_positions, size_t *ret_n,
                          struct error *ret_error)
{
    struct sqlite *lite = sqlite_of(store);
    sqlite3_stmt *statement;
    size_t n = 0, capacity = 0;
    char sql[600];
    int result, code;

    if (lite->connection == NULL)
        return sqlite_not_connected(lite, ret_error);
    snprintf(sql, sizeof sql, "SELECT %s FROM readside_positions WHERE pipeline = ?1 AND version = ?2 ORDER BY topic, part", columns);
    result = sqlite_prepare(lite, sql, &statement, ret_error);
    if (result != 0)
        return result;
    arena_reset(lite->arena);
    sqlite_bind_scope(lite, statement);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW && result == 0) {
        if (n == capacity) {
            struct store_position *grown = realloc(lite->list, (capacity = capacity * 2 + 16) * sizeof *grown);

            if (grown == NULL)
                result = sqlite_out_of_memory(ret_error);
            else
                lite->list = grown;
        }
        if (result == 0) {
            lite->list[n] = (struct store_position){.topic = copy_column(lite, statement, 0),
                                                     .partition = sqlite3_column_int(statement, 1)};
            take_row(lite, statement, &lite->list[n++]);
        }
    }
    if (result == 0 && code != SQLITE_DONE)
        result = sqlite_error(lite, "listing positions", ret_error);
    sqlite3_reset(statement);
    *ret_positions = lite->list;
    *ret_n = n;
    return result;
}

static int audit(struct sqlite *lite, const struct store_operation *operation, struct error *ret_error)
{
    sqlite3_stmt *statement;
    char now[32];
    int result = sqlite_prepare(lite,
                                "INSERT INTO readside_audit (at, actor, action, pipeline, version, topic, part, old_offset, new_offset, "
                                "reason) SELECT ?5, ?6, ?7, pipeline, version, topic, part, next_offset, coalesce(?8, next_offset), ?9 "
                                "FROM readside_positions WHERE pipeline = ?1 AND version = ?2 AND topic = ?3 AND part = ?4",
                                &statement, ret_error);

    if (result != 0)
        return result;
    sqlite_now(now);
    sqlite_bind_scope(lite, statement);
    bind_place(statement, 3, operation->topic, operation->partition);
    sqlite3_bind_text(statement, 5, now, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 6, operation->actor, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 7, store_operation_name(operation), -1, SQLITE_STATIC);
    if (operation->kind != STORE_RESUME)
        sqlite3_bind_int64(statement, 8, operation->next_offset);
    sqlite3_bind_text(statement, 9, operation->reason, -1, SQLITE_STATIC);
    return sqlite_run(lite, statement, "readside_audit", ret_error);
}

/* Nothing fits: there is no such position, or it is not halted, or elsewhere than the operator saw it. */
static int not_changed(struct sqlite *lite, const struct store_operation *operation, struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result, code;

    if (operation->kind == STORE_RESUME)
        return refuse_operation(operation, ret_error);
    result = sqlite_prepare(lite,
                            "SELECT next_offset FROM readside_positions WHERE pipeline = ?1 AND version = ?2 AND topic = ?3 "
                            "AND part = ?4",
                            &statement, ret_error);
    if (result != 0)
        return result;
    sqlite_bind_scope(lite, statement);
    bind_place(statement, 3, operation->topic, operation->partition);
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        result = refuse_moved(operation, sqlite3_column_int64(statement, 0), ret_error);
    else if (code == SQLITE_DONE)
        result = refuse_operation(operation, ret_error);
    else
        result = sqlite_error(lite, "looking at a position", ret_error);
    sqlite3_reset(statement);
    return result;
}

static int change_position(struct sqlite *lite, const struct store_operation *operation, struct error *ret_error)
{
    bool is_set = operation->kind != STORE_RESUME;
    sqlite3_stmt *statement;
    char now[32];
    int result = sqlite_prepare(lite,
                                is_set ? "UPDATE readside_positions SET owner = NULL, epoch = epoch + 1, state = 'running', "
                                         "halt_kind = NULL, halt_reason = NULL, updated_at = ?5, next_offset = ?6, leader_epoch = -1, "
                                         "cluster_id = ?7, topic_id = ?8 WHERE pipeline = ?1 AND version = ?2 AND topic = ?3 AND part = ?4 "
                                         "AND next_offset = ?9"
                                       : "UPDATE readside_positions SET owner = NULL, epoch = epoch + 1, state = 'running', "
                                         "halt_kind = NULL, halt_reason = NULL, updated_at = ?5 WHERE pipeline = ?1 AND version = ?2 "
                                         "AND topic = ?3 AND part = ?4 AND state = 'halted'",
                                &statement, ret_error);

    if (result != 0)
        return result;
    sqlite_now(now);
    sqlite_bind_scope(lite, statement);
    bind_place(statement, 3, operation->topic, operation->partition);
    sqlite3_bind_text(statement, 5, now, -1, SQLITE_STATIC);
    if (is_set) {
        sqlite3_bind_int64(statement, 6, operation->next_offset);
        sqlite3_bind_text(statement, 7, operation->cluster_id, -1, SQLITE_STATIC);
        sqlite_bind_id(lite, statement, 8, operation->topic_id);
        sqlite3_bind_int64(statement, 9, operation->base);
    }
    result = sqlite_run(lite, statement, "changing a position", ret_error);
    if (result == 0 && sqlite3_changes(lite->connection) != 1)
        result = not_changed(lite, operation, ret_error);
    return result;
}

static int operate(struct sqlite *lite, struct error *ret_error)
{
    int result = audit(lite, lite->command, ret_error);

    return result == 0 ? change_position(lite, lite->command, ret_error) : result;
}

static int operate_now(struct sqlite *lite, struct error *ret_error)
{
    return sqlite_transaction(lite, operate, ret_error);
}

int sqlite_operate(struct store *store, const struct store_operation *operation, struct error *ret_error)
{
    struct sqlite *lite = sqlite_of(store);

    lite->command = operation;
    return sqlite_command(lite, operate_now, ret_error);
}
