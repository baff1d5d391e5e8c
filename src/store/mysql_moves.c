/*
 * mysql_moves - the compare-and-set of a write: positions move with its rows, or nothing does. See mysql.h.
 *
 * In the same text as BEGIN, each by its whole key, in the order of topic and partition.
 */
#include "store/mysql.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* An error of both servers (1242) where the condition before it does not hold, so that no statement behind it is run. */
#define OR_END_HERE ", 1, (SELECT 1 UNION SELECT 2))"
#define ENDED_HERE "1242"

static const char *topic_of_move(const struct my_store *my, size_t i)
{
    return my->write.moves[i].topic;
}

static int32_t partition_of_move(const struct my_store *my, size_t i)
{
    return my->write.moves[i].partition;
}

static void print_move_place(struct my_store *my, const struct store_move *move)
{
    my_print_place(my, &my->sql, move->topic, move->partition);
    buffer_printf(&my->sql, " AND epoch = %" PRId64 " AND next_offset = %" PRId64 " AND owner = ", move->epoch, move->base);
    my_print_owner(my, &my->sql);
}

static void print_move(struct my_store *my, const struct store_move *move)
{
    struct buffer *sql = &my->sql;

    buffer_printf(sql,
                  "; UPDATE readside_positions SET next_offset = %" PRId64
                  ", commit_seq = commit_seq + 1, events = events + %" PRId64 ", leader_epoch = %" PRId32
                  ", state = '%s', halt_kind = ",
                  move->next, move->events, move->leader_epoch, move->halt_kind == NULL ? "running" : "halted");
    my_print_string(sql, move->halt_kind);
    buffer_puts(sql, ", halt_reason = ");
    my_print_words(sql, move->halt_reason);
    buffer_puts(sql, ", updated_at = UTC_TIMESTAMP(6) WHERE ");
    print_move_place(my, move);
}

/* A text that arrives late, when its sender has been fenced, must lock nothing: an update that had to wait keeps the row locked
 * though its condition finds none. So a look comes first, without a lock, and ends the text. */
static void print_moves(struct my_store *my)
{
    buffer_puts(&my->sql, "; SELECT IF((SELECT COUNT(*) FROM readside_positions WHERE ");
    for (size_t i = 0; i < my->n_order; i++) {
        buffer_puts(&my->sql, i > 0 ? " OR " : "");
        print_move_place(my, &my->write.moves[my->order[i]]);
    }
    buffer_printf(&my->sql, ") = %zu" OR_END_HERE, my->n_order);
    for (size_t i = 0; i < my->n_order; i++)
        print_move(my, &my->write.moves[my->order[i]]);
}

static int refuse_move(const struct store_move *move, struct error *ret_error)
{
    return error_set(ret_error, ERROR_FENCED, "%s/%" PRId32 ": the position is no longer this task's, or has been moved",
                     move->topic, move->partition);
}

/* The look, then an update each. */
static int judge_moves(struct my_store *my, void *context, size_t index, MYSQL_RES *rows, uint64_t n_affected,
                       struct error *ret_error)
{
    (void)context, (void)rows;
    my->is_found = true; /* else the look would have ended the text */
    return index == 0 || n_affected == 1 ? 0 : refuse_move(&my->write.moves[my->order[index - 1]], ret_error);
}

static int judge_look(struct my_store *my, void *context, size_t index, MYSQL_RES *rows, uint64_t n_affected,
                      struct error *ret_error)
{
    (void)context, (void)n_affected;
    return rows != NULL && mysql_fetch_row(rows) != NULL ? 0 : refuse_move(&my->write.moves[my->order[index]], ret_error);
}

/* Which of them it is that the look did not find. */
static int name_fenced(struct my_store *my, struct error *ret_error)
{
    int result;

    buffer_clear(&my->sql);
    for (size_t i = 0; i < my->n_order; i++) {
        buffer_puts(&my->sql, i > 0 ? "; SELECT 1 FROM readside_positions WHERE " : "SELECT 1 FROM readside_positions WHERE ");
        print_move_place(my, &my->write.moves[my->order[i]]);
    }
    result = my_script(my, &my->sql, judge_look, NULL, ret_error);
    return result == 0 ? refuse_move(&my->write.moves[my->order[0]], ret_error) : result;
}

int my_move(struct my_store *my, my_job work, struct error *ret_error)
{
    static const struct my_opening moves = {.print = print_moves, .on_result = judge_moves};
    struct error failure = {0};
    int result = my_put_in_order(my, my->write.n_moves, topic_of_move, partition_of_move, ret_error);

    if (result != 0)
        return result;
    my->is_found = my->n_order == 0;
    result = my_transaction(my, my->n_order == 0 ? NULL : &moves, work, &failure);
    if (result == ERROR_BUG && !my->is_found && strcmp(failure.code, ENDED_HERE) == 0)
        return name_fenced(my, ret_error);
    if (result != 0 && ret_error != NULL)
        *ret_error = failure;
    return result;
}
