/*
 * sqlite_operate - what commands do: list positions, move or resume one, drop a version. Blocking.
 *
 * Owner and epoch change with the position, in one transaction, so that no running task survives the change (design 7.8).
 */
#include "store/sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Listing ---- */

static int list_row(struct sqlite *sq, sqlite3_stmt *statement, struct error *ret_error)
{
    struct store_position *position, *grown = realloc(sq->list, (sq->n_positions + 1) * sizeof *grown);

    if (grown == NULL)
        return sqlite_out_of_memory(ret_error);
    sq->list = grown;
    position = &grown[sq->n_positions++];
    *position = (struct store_position){.topic = sqlite_copy_text(sq, statement, 0),
                                        .partition = sqlite3_column_int(statement, 1)};
    return position->topic == NULL ? sqlite_out_of_memory(ret_error) : sqlite_take_position(sq, statement, position, ret_error);
}

/* An attempt without a transaction of its own. */
static int list_all(struct sqlite *sq, struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(sq,
                                "SELECT " SQLITE_POSITION_COLUMNS " FROM readside_positions "
                                "WHERE pipeline = ?1 AND version = ?2 ORDER BY topic, part",
                                &statement, ret_error);

    if (result != 0)
        return result;
    sq->n_positions = 0;
    sqlite_bind_scope(sq, statement);
    while ((result = sqlite_step(sq, statement, ret_error)) > 0) {
        result = list_row(sq, statement, ret_error);
        if (result != 0)
            break;
    }
    (void)sqlite3_reset(statement);
    return result;
}

int sqlite_list_positions(struct store *store, const struct store_position **ret_positions, size_t *ret_n,
                          struct error *ret_error)
{
    struct sqlite *sq = sqlite_of(store);
    int result;

    arena_reset(sq->arena);
    result = sqlite_run(sq, list_all, NULL, ret_error);
    if (result != 0)
        return result;
    *ret_positions = sq->list;
    *ret_n = sq->n_positions;
    return 0;
}

/* ---- The record ---- */

static int record(struct sqlite *sq, const char *action, const char *actor, const struct store_operation *operation,
                  int64_t old_offset, const char *reason, struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(sq,
                                "INSERT INTO readside_audit (pipeline, version, at, actor, action, topic, part, old_offset, "
                                "new_offset, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                                &statement, ret_error);

    if (result != 0)
        return result;
    (void)sqlite3_clear_bindings(statement);
    sqlite_bind_scope(sq, statement);
    sqlite_bind_now(sq, statement, 3);
    sqlite_bind_text(statement, 4, actor);
    sqlite_bind_text(statement, 5, action);
    if (operation != NULL) {
        sqlite_bind_text(statement, 6, operation->topic);
        (void)sqlite3_bind_int(statement, 7, operation->partition);
        (void)sqlite3_bind_int64(statement, 8, old_offset);
        (void)sqlite3_bind_int64(statement, 9, operation->kind == STORE_SET ? operation->next_offset : old_offset);
    }
    sqlite_bind_text(statement, 10, reason);
    return sqlite_execute(sq, statement, ret_error);
}

/* ---- One position ---- */

static int find_old(struct sqlite *sq, const struct store_operation *operation, int64_t *ret_offset, struct error *ret_error)
{
    bool is_set = operation->kind == STORE_SET;
    sqlite3_stmt *statement;
    int result = sqlite_prepare(sq,
                                "SELECT next_offset FROM readside_positions WHERE pipeline = ?1 AND version = ?2 AND topic = ?3 "
                                "AND part = ?4 AND (?5 OR state = 'halted')",
                                &statement, ret_error);

    if (result != 0)
        return result;
    sqlite_bind_scope(sq, statement);
    sqlite_bind_text(statement, 3, operation->topic);
    (void)sqlite3_bind_int(statement, 4, operation->partition);
    (void)sqlite3_bind_int(statement, 5, is_set);
    result = sqlite_step(sq, statement, ret_error);
    if (result < 0)
        return result;
    if (result == 0)
        return error_set(ret_error, ERROR_CONFIG, "%s/%d %s", operation->topic, (int)operation->partition,
                         is_set ? "has no position in this version" : "has no halted position in this version");
    *ret_offset = sqlite3_column_int64(statement, 0);
    (void)sqlite3_reset(statement);
    return 0;
}

static const char resume_one[] =
    "UPDATE readside_positions SET owner = NULL, epoch = epoch + 1, state = 'running', halt_kind = NULL, halt_reason = NULL, "
    "updated_at = ?5 WHERE pipeline = ?1 AND version = ?2 AND topic = ?3 AND part = ?4";

static const char set_one[] =
    "UPDATE readside_positions SET owner = NULL, epoch = epoch + 1, state = 'running', halt_kind = NULL, halt_reason = NULL, "
    "updated_at = ?5, next_offset = ?6, cluster_id = ?7, topic_id = ?8, leader_epoch = -1 "
    "WHERE pipeline = ?1 AND version = ?2 AND topic = ?3 AND part = ?4";

static int operate(struct sqlite *sq, struct error *ret_error)
{
    const struct store_operation *operation = sq->operation;
    bool is_set = operation->kind == STORE_SET;
    sqlite3_stmt *statement;
    int64_t old_offset = 0;
    int result = find_old(sq, operation, &old_offset, ret_error);

    if (result == 0)
        result = sqlite_prepare(sq, is_set ? set_one : resume_one, &statement, ret_error);
    if (result != 0)
        return result;
    sqlite_bind_scope(sq, statement);
    sqlite_bind_text(statement, 3, operation->topic);
    (void)sqlite3_bind_int(statement, 4, operation->partition);
    sqlite_bind_now(sq, statement, 5);
    if (is_set) {
        (void)sqlite3_bind_int64(statement, 6, operation->next_offset);
        sqlite_bind_text(statement, 7, operation->cluster_id);
        sqlite_bind_uuid(sq, statement, 8, operation->topic_id);
    }
    result = sqlite_execute(sq, statement, ret_error);
    if (result == 0)
        result = record(sq, is_set ? "set" : "resume", operation->actor, operation, old_offset, operation->reason, ret_error);
    return result;
}

int sqlite_operate(struct store *store, const struct store_operation *operation, struct error *ret_error)
{
    struct sqlite *sq = sqlite_of(store);

    arena_reset(sq->arena);
    sq->operation = operation;
    return sqlite_run(sq, sqlite_transact, operate, ret_error);
}

/* ---- A whole version ---- */

static int execute_scoped(struct sqlite *sq, const char *sql, struct error *ret_error)
{
    sqlite3_stmt *statement;
    int result = sqlite_prepare(sq, sql, &statement, ret_error);

    if (result != 0)
        return result;
    sqlite_bind_scope(sq, statement);
    return sqlite_execute(sq, statement, ret_error);
}

/* The view goes only where it shows this version. */
static int drop_table(struct sqlite *sq, const struct table *table, struct error *ret_error)
{
    char name[STORE_NAME_SIZE], sql[2 * STORE_NAME_SIZE + 64];
    bool shows = false;
    int result = sqlite_view_shows(sq, table, &shows, ret_error);

    if (result != 0)
        return result;
    store_table_name(&sq->store.scope, table, name);
    if (shows)
        snprintf(sql, sizeof sql, "DROP VIEW \"%s\"; DROP TABLE IF EXISTS \"%s\"", table->name, name);
    else
        snprintf(sql, sizeof sql, "DROP TABLE IF EXISTS \"%s\"", name);
    return sqlite_script(sq, sql, "dropping a table", ret_error);
}

static int drop_version(struct sqlite *sq, struct error *ret_error)
{
    static const char *const statements[] = {"DELETE FROM readside_positions WHERE pipeline = ?1 AND version = ?2",
                                             "DELETE FROM readside_outbox WHERE pipeline = ?1 AND version = ?2",
                                             "DELETE FROM readside_projections WHERE pipeline = ?1 AND version = ?2"};
    const struct store_scope *scope = &sq->store.scope;
    int result = 0;

    for (size_t i = 0; i < sizeof statements / sizeof statements[0] && result == 0; i++)
        result = execute_scoped(sq, statements[i], ret_error);
    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++)
        result = drop_table(sq, &scope->tables[i], ret_error);
    if (result == 0)
        result = record(sq, "reset", sq->actor, NULL, 0, "tables and positions dropped", ret_error);
    return result;
}

int sqlite_reset(struct store *store, const char *actor, struct error *ret_error)
{
    struct sqlite *sq = sqlite_of(store);

    arena_reset(sq->arena);
    sq->actor = actor;
    return sqlite_run(sq, sqlite_transact, drop_version, ret_error);
}
