/*
 * mysql_operate - what operators do to positions, recorded in readside_audit. See mysql.h.
 */
#include "store/mysql.h"
#include "store/refusals.h"

#include <inttypes.h>
#include <string.h>

static void print_change(struct my_store *my, const struct store_operation *operation, int64_t old_offset)
{
    bool is_set = operation->kind != STORE_RESUME;
    struct buffer *sql = &my->sql;

    buffer_puts(sql, "UPDATE readside_positions SET owner = NULL, epoch = epoch + 1, state = 'running', halt_kind = NULL, "
                     "halt_reason = NULL, updated_at = UTC_TIMESTAMP(6)");
    if (is_set) {
        buffer_printf(sql, ", next_offset = %" PRId64 ", leader_epoch = -1, cluster_id = ", operation->next_offset);
        my_print_string(sql, operation->cluster_id);
        buffer_puts(sql, ", topic_id = ");
        my_print_bytes(sql, operation->topic_id, 16);
    }
    buffer_puts(sql, " WHERE ");
    my_print_place(my, sql, operation->topic, operation->partition);
    buffer_puts(
        sql,
        "; INSERT INTO readside_audit (actor, action, pipeline, version, topic, part, old_offset, new_offset, reason) VALUES (");
    my_print_words(sql, operation->actor);
    buffer_printf(sql, ", '%s', ", store_operation_name(operation));
    my_print_string(sql, my->store.scope.pipeline);
    buffer_printf(sql, ", %" PRId32 ", ", my->store.scope.version);
    my_print_string(sql, operation->topic);
    buffer_printf(sql, ", %" PRId32 ", %" PRId64 ", %" PRId64 ", ", operation->partition, old_offset,
                  is_set ? operation->next_offset : old_offset);
    my_print_words(sql, operation->reason);
    buffer_putc(sql, ')');
}

/* Where the position is now, locked; refused where it is not what the operator saw. */
static int look_at_position(struct my_store *my, const struct store_operation *operation, int64_t *ret_now, struct error *ret_error)
{
    MYSQL_RES *rows;
    MYSQL_ROW row;
    int result;

    buffer_clear(&my->sql);
    buffer_puts(&my->sql, "SELECT next_offset FROM readside_positions WHERE ");
    my_print_place(my, &my->sql, operation->topic, operation->partition);
    buffer_printf(&my->sql, "%s FOR UPDATE", operation->kind == STORE_RESUME ? " AND state = 'halted'" : "");
    result = buffer_failed(&my->sql) ? my_out_of_memory(ret_error) : my_query(my, my->sql.data, &rows, ret_error);
    if (result != 0)
        return result;
    row = mysql_fetch_row(rows);
    if (row == NULL || my_number_of(row[0], ret_now) != 0)
        result = refuse_operation(operation, ret_error);
    else if (operation->kind != STORE_RESUME && *ret_now != operation->base)
        result = refuse_moved(operation, *ret_now, ret_error);
    mysql_free_result(rows);
    return result;
}

static int operate(struct my_store *my, struct error *ret_error)
{
    int64_t now = -1;
    int result = look_at_position(my, my->command, &now, ret_error);

    if (result != 0)
        return result;
    buffer_clear(&my->sql);
    print_change(my, my->command, now);
    return my_script(my, &my->sql, NULL, NULL, ret_error);
}

int my_operate(struct my_store *my, struct error *ret_error)
{
    return my_transaction(my, NULL, operate, ret_error);
}
