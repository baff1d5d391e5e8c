/*
 * mysql_positions - first positions, claims, resolves and releases. See mysql.h.
 *
 * Each position has statements of its own, by its whole key: a list of keys would make the server look at other tasks' rows, and
 * wait for their locks. They go in one text, in the order of topic and partition, so that tasks that meet wait and cannot deadlock.
 */
#include "store/mysql.h"
#include "store/refusals.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ATTEMPTS_MAX = 6 };

#define COLUMNS                                                                                                                    \
    "topic, part, next_offset, epoch, leader_epoch, state, halt_kind, halt_reason, cluster_id, topic_id, commit_seq, events, "     \
    "owner, DATE_FORMAT(claimed_at, '%Y-%m-%dT%H:%i:%s.%fZ'), DATE_FORMAT(updated_at, '%Y-%m-%dT%H:%i:%s.%fZ')"

void my_print_scope(const struct my_store *my, struct buffer *sql)
{
    buffer_puts(sql, "pipeline = ");
    my_print_string(sql, my->store.scope.pipeline);
    buffer_printf(sql, " AND version = %" PRId32, my->store.scope.version);
}

void my_print_place(const struct my_store *my, struct buffer *sql, const char *topic, int32_t partition)
{
    my_print_scope(my, sql);
    buffer_puts(sql, " AND topic = ");
    my_print_string(sql, topic);
    buffer_printf(sql, " AND part = %" PRId32, partition);
}

void my_print_owner(const struct my_store *my, struct buffer *sql)
{
    my_print_bytes(sql, my->store.scope.owner, 16);
}

/* ---- Order ---- */

int my_put_in_order(struct my_store *my, size_t n, const char *(*topic_of)(const struct my_store *, size_t),
                    int32_t (*partition_of)(const struct my_store *, size_t), struct error *ret_error)
{
    if (n > my->order_capacity) {
        size_t *grown = realloc(my->order, n * sizeof *grown);

        if (grown == NULL)
            return my_out_of_memory(ret_error);
        my->order = grown;
        my->order_capacity = n;
    }
    for (size_t i = 0; i < n; i++) { /* few, and mostly in order already */
        size_t at = i;

        for (; at > 0; at--) {
            int order = strcmp(topic_of(my, my->order[at - 1]), topic_of(my, i));

            if (order < 0 || (order == 0 && partition_of(my, my->order[at - 1]) <= partition_of(my, i)))
                break;
            my->order[at] = my->order[at - 1];
        }
        my->order[at] = i;
    }
    my->n_order = n;
    return 0;
}

static const char *topic_of_position(const struct my_store *my, size_t i)
{
    return my->positions[i].topic;
}

static int32_t partition_of_position(const struct my_store *my, size_t i)
{
    return my->positions[i].partition;
}

/* ---- Results ---- */

static const char *keep(struct my_store *my, const char *text)
{
    const char *copy = text == NULL ? "" : arena_copy(my->arena, text, strlen(text));

    return copy == NULL ? "" : copy;
}

/* BINARY(16), or null. */
static void read_id(const char *bytes, uint8_t ret_id[16])
{
    memset(ret_id, 0, 16);
    if (bytes != NULL)
        memcpy(ret_id, bytes, 16);
}

static void read_position(struct my_store *my, MYSQL_ROW row, struct store_position *ret_position)
{
    int64_t leader_epoch = -1;

    ret_position->is_missing = false;
    (void)my_number_of(row[2], &ret_position->next_offset);
    (void)my_number_of(row[3], &ret_position->epoch);
    (void)my_number_of(row[4], &leader_epoch);
    ret_position->leader_epoch = (int32_t)leader_epoch;
    ret_position->is_halted = row[5] != NULL && strcmp(row[5], "halted") == 0;
    ret_position->halt_kind = keep(my, row[6]);
    ret_position->halt_reason = keep(my, row[7]);
    ret_position->cluster_id = keep(my, row[8]);
    read_id(row[9], ret_position->topic_id);
    (void)my_number_of(row[10], &ret_position->commit_seq);
    (void)my_number_of(row[11], &ret_position->events);
    read_id(row[12], ret_position->owner);
    snprintf(ret_position->claimed_at, sizeof ret_position->claimed_at, "%s", row[13] == NULL ? "" : row[13]);
    snprintf(ret_position->updated_at, sizeof ret_position->updated_at, "%s", row[14] == NULL ? "" : row[14]);
}

/* ---- Claim and resolve ---- */

static void miss(struct store_position *position)
{
    position->is_missing = true;
    position->halt_kind = position->halt_reason = position->cluster_id = "";
}

/* A position: its row, locked; then the change. */
static int take_result(struct my_store *my, void *context, size_t index, MYSQL_RES *rows, uint64_t n_affected,
                       struct error *ret_error)
{
    struct store_position *position = &my->positions[my->order[index / 2]];
    MYSQL_ROW row = rows == NULL ? NULL : mysql_fetch_row(rows);

    (void)context, (void)n_affected, (void)ret_error;
    if (index % 2 == 1) /* the UPDATE */
        return 0;
    miss(position);
    if (row == NULL)
        return 0;
    read_position(my, row, position);
    position->epoch++;
    memcpy(position->owner, my->store.scope.owner, 16);
    return 0;
}

static void print_take(struct my_store *my, const struct store_position *position)
{
    struct buffer *sql = &my->sql;

    buffer_puts(sql, "SELECT " COLUMNS " FROM readside_positions WHERE ");
    my_print_place(my, sql, position->topic, position->partition);
    if (my->is_resolve) {
        buffer_puts(sql, " AND owner = ");
        my_print_owner(my, sql);
    }
    buffer_puts(sql, " FOR UPDATE; UPDATE readside_positions SET epoch = epoch + 1, owner = ");
    my_print_owner(my, sql);
    buffer_puts(sql, ", backend = ");
    my_print_string(sql, my->backend[0] == '\0' ? NULL : my->backend);
    buffer_printf(sql, "%s, updated_at = UTC_TIMESTAMP(6) WHERE ", my->is_resolve ? "" : ", claimed_at = UTC_TIMESTAMP(6)");
    my_print_place(my, sql, position->topic, position->partition);
    if (my->is_resolve) {
        buffer_puts(sql, " AND owner = ");
        my_print_owner(my, sql);
    }
}

static int keep_own(struct my_store *my, void *context, size_t index, MYSQL_RES *rows, uint64_t n_affected, struct error *ret_error)
{
    size_t position = my->order[index];
    size_t *n_kept = context; /* at most index: what is overwritten has been read */

    (void)n_affected, (void)ret_error;
    if (rows != NULL && mysql_fetch_row(rows) != NULL)
        my->order[(*n_kept)++] = position;
    else
        miss(&my->positions[position]);
    return 0;
}

/* Only what is still this task's is taken again. To look is no lock: one on a row that is another's by now would keep that one
 * from writing, and waiting for it is no use. */
static int look_for_own(struct my_store *my, struct error *ret_error)
{
    size_t n_kept = 0;
    int result;

    buffer_clear(&my->sql);
    for (size_t i = 0; i < my->n_order; i++) {
        const struct store_position *position = &my->positions[my->order[i]];

        buffer_puts(&my->sql, i > 0 ? "; SELECT 1 FROM readside_positions WHERE " : "SELECT 1 FROM readside_positions WHERE ");
        my_print_place(my, &my->sql, position->topic, position->partition);
        buffer_puts(&my->sql, " AND owner = ");
        my_print_owner(my, &my->sql);
    }
    result = my->n_order == 0 ? 0 : my_script(my, &my->sql, keep_own, &n_kept, ret_error);
    my->n_order = n_kept;
    return result;
}

/* A claim asks whose version it is before the lock, so that who may not claim it disturbs nobody, and again behind what it has
 * taken: nothing keeps another from making the first positions in between. */
static int take(struct my_store *my, struct error *ret_error)
{
    int result = my_put_in_order(my, my->n_positions, topic_of_position, partition_of_position, ret_error);

    if (result == 0)
        result = my->is_resolve ? look_for_own(my, ret_error) : my_ask_version(my, ret_error);
    buffer_clear(&my->sql);
    for (size_t i = 0; i < my->n_order; i++) {
        buffer_puts(&my->sql, i > 0 ? "; " : "");
        print_take(my, &my->positions[my->order[i]]);
    }
    if (result == 0 && my->n_order > 0)
        result = my_script(my, &my->sql, take_result, NULL, ret_error);
    if (result == 0 && !my->is_resolve)
        result = my_ask_version(my, ret_error);
    return result;
}

static int kill_holder(struct my_store *my, const char *connection, struct error *ret_error)
{
    char sql[64];
    int result;

    snprintf(sql, sizeof sql, "KILL CONNECTION %s", connection);
    result = my_execute(my, sql, ret_error);
    if (result != 0 && ret_error != NULL && strcmp(ret_error->code, "1094") == 0) /* it has gone by itself */
        return 0;
    return result;
}

static int add_holder(struct my_store *my, void *context, size_t index, MYSQL_RES *rows, uint64_t n_affected,
                      struct error *ret_error)
{
    MYSQL_ROW row = rows == NULL ? NULL : mysql_fetch_row(rows);

    (void)my, (void)index, (void)n_affected, (void)ret_error;
    if (row != NULL && row[0] != NULL)
        buffer_append(context, row[0], strlen(row[0]) + 1);
    return 0;
}

/* A holder that does not let go (a frozen process with an open transaction) is ended by the lock that its connection holds. */
static int kill_holders(struct my_store *my, struct error *ret_error)
{
    struct buffer holders = BUFFER_INIT;
    int result;

    buffer_clear(&my->sql);
    for (size_t i = 0; i < my->n_positions; i++) {
        buffer_puts(&my->sql, i > 0 ? "; " : "");
        buffer_puts(&my->sql, "SELECT IS_USED_LOCK(backend) FROM readside_positions WHERE ");
        my_print_place(my, &my->sql, my->positions[i].topic, my->positions[i].partition);
        buffer_puts(&my->sql, " AND backend IS NOT NULL AND IS_USED_LOCK(backend) <> CONNECTION_ID()");
        if (my->is_resolve) {
            buffer_puts(&my->sql, " AND owner = ");
            my_print_owner(my, &my->sql);
        }
    }
    result = my_script(my, &my->sql, add_holder, &holders, ret_error);
    if (result == 0 && buffer_failed(&holders))
        result = my_out_of_memory(ret_error);
    for (size_t at = 0; result == 0 && at < holders.size; at += strlen(holders.data + at) + 1)
        result = kill_holder(my, holders.data + at, ret_error);
    buffer_free(&holders);
    return result;
}

int my_claim(struct my_store *my, struct error *ret_error)
{
    int result = 0;

    for (int i = 0; result == 0; i++) {
        struct error failure = {0};

        result = my_transaction(my, NULL, take, &failure);
        if (result == 0)
            return 0;
        if (strcmp(failure.code, "1205") != 0 || i + 1 >= ATTEMPTS_MAX || my->connection == NULL) {
            if (ret_error != NULL)
                *ret_error = failure;
            return result;
        }
        result = kill_holders(my, ret_error);
    }
    return result;
}

/* ---- Release ---- */

static int give_up(struct my_store *my, struct error *ret_error)
{
    buffer_clear(&my->sql);
    for (size_t i = 0; i < my->n_positions; i++) {
        const struct store_position *position = &my->positions[my->order[i]];

        buffer_puts(&my->sql, i > 0 ? "; " : "");
        buffer_puts(&my->sql, "UPDATE readside_positions SET owner = NULL, updated_at = UTC_TIMESTAMP(6) WHERE ");
        my_print_place(my, &my->sql, position->topic, position->partition);
        buffer_puts(&my->sql, " AND owner = ");
        my_print_owner(my, &my->sql);
    }
    return my->n_positions == 0 ? 0 : my_script(my, &my->sql, NULL, NULL, ret_error);
}

int my_release(struct my_store *my, struct error *ret_error)
{
    int result = my_put_in_order(my, my->n_positions, topic_of_position, partition_of_position, ret_error);

    return result == 0 ? my_transaction(my, NULL, give_up, ret_error) : result;
}

/* ---- First positions ---- */

int my_refuse_filled(struct my_store *my, struct error *ret_error)
{
    const struct store_scope *scope = &my->store.scope;
    int result = 0;

    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++) {
        char name[STORE_NAME_SIZE];
        int64_t has_rows = 0;

        if (scope->tables[i].is_omitted)
            continue;
        store_table_name(scope, &scope->tables[i], name);
        buffer_clear(&my->sql);
        buffer_printf(&my->sql, "SELECT EXISTS (SELECT 1 FROM `%s`) AND NOT EXISTS (SELECT 1 FROM readside_positions WHERE ", name);
        my_print_scope(my, &my->sql);
        buffer_putc(&my->sql, ')');
        result = buffer_failed(&my->sql) ? my_out_of_memory(ret_error) : my_query_number(my, my->sql.data, &has_rows, ret_error);
        if (result == 0 && has_rows != 0)
            result = refuse_filled_table(scope, name, ret_error);
    }
    return result;
}

static void print_start(struct my_store *my, const struct store_start *start)
{
    struct buffer *sql = &my->sql;

    buffer_puts(sql, "INSERT INTO readside_positions (pipeline, version, topic, part, cluster_id, topic_id, next_offset) VALUES (");
    my_print_string(sql, my->store.scope.pipeline);
    buffer_printf(sql, ", %" PRId32 ", ", my->store.scope.version);
    my_print_string(sql, start->topic);
    buffer_printf(sql, ", %" PRId32 ", ", start->partition);
    my_print_string(sql, start->cluster_id);
    buffer_puts(sql, ", ");
    my_print_bytes(sql, start->topic_id, 16);
    buffer_printf(sql, ", %" PRId64 ") ON DUPLICATE KEY UPDATE part = readside_positions.part", start->next_offset);
}

/* Another task that was first has made all of the topic's. */
static int has_topic(struct my_store *my, const char *topic, bool *ret_has, struct error *ret_error)
{
    struct buffer sql = BUFFER_INIT;
    int64_t n = 0;
    int result;

    buffer_puts(&sql, "SELECT EXISTS (SELECT 1 FROM readside_positions WHERE ");
    my_print_scope(my, &sql);
    buffer_puts(&sql, " AND topic = ");
    my_print_string(&sql, topic);
    buffer_putc(&sql, ')');
    result = buffer_failed(&sql) ? my_out_of_memory(ret_error) : my_query_number(my, sql.data, &n, ret_error);
    buffer_free(&sql);
    *ret_has = n != 0;
    return result;
}

static int insert_all(struct my_store *my, struct error *ret_error)
{
    bool is_there = false;
    int result = my_enter_version(my, ret_error);

    if (result == 0 && my->is_first)
        result = my_refuse_filled(my, ret_error);
    buffer_clear(&my->sql);
    for (size_t i = 0; i < my->n_starts && result == 0; i++) {
        const struct store_start *start = &my->starts[i];

        if (my->is_first && (i == 0 || strcmp(start->topic, my->starts[i - 1].topic) != 0))
            result = has_topic(my, start->topic, &is_there, ret_error);
        if (result != 0 || is_there)
            continue;
        buffer_puts(&my->sql, my->sql.size > 0 ? "; " : "");
        print_start(my, start);
    }
    return result == 0 && my->sql.size > 0 ? my_script(my, &my->sql, NULL, NULL, ret_error) : result;
}

static int insert_now(struct my_store *my, struct error *ret_error)
{
    return my_transaction(my, NULL, insert_all, ret_error);
}

/* Dropping tables takes several transactions here: first positions must not come between. */
int my_insert(struct my_store *my, struct error *ret_error)
{
    return my_alone(my, insert_now, ret_error);
}

/* ---- Listing ---- */

int my_list(struct my_store *my, struct error *ret_error)
{
    MYSQL_RES *rows;
    MYSQL_ROW row;
    size_t n = 0;
    int result;

    buffer_clear(&my->sql);
    buffer_puts(&my->sql, "SELECT " COLUMNS " FROM readside_positions WHERE ");
    my_print_scope(my, &my->sql);
    buffer_puts(&my->sql, " ORDER BY topic, part");
    result = buffer_failed(&my->sql) ? my_out_of_memory(ret_error) : my_query(my, my->sql.data, &rows, ret_error);
    if (result != 0)
        return result;
    my->list = arena_zalloc(my->arena, (mysql_num_rows(rows) + 1) * sizeof *my->list);
    while (my->list != NULL && (row = mysql_fetch_row(rows)) != NULL) {
        int64_t partition = 0;

        (void)my_number_of(row[1], &partition);
        my->list[n] = (struct store_position){.topic = keep(my, row[0]), .partition = (int32_t)partition};
        read_position(my, row, &my->list[n++]);
    }
    my->n_list = n;
    mysql_free_result(rows);
    return my->list == NULL ? my_out_of_memory(ret_error) : 0;
}
