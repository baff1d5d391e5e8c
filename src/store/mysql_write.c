/*
 * mysql_write - one batch: the compare-and-set of the positions, rows, messages, in one transaction. See mysql.h.
 *
 * Rows go as upserts of many rows, by array binding where there is such a thing, cut where a statement becomes long. A row of
 * another partition makes its statement fail: it sets readside_partition to null, which the column refuses; then the row is looked
 * for, and named.
 */
#include "store/mysql.h"
#include "store/refusals.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Rows of one statement: more is no faster; and of a delete each row that is found is compared with all that are named. */
enum { UPSERTS_MAX = 512, DELETES_MAX = 64, BULK_MAX = 8192 };

size_t my_statement_bytes(const struct my_store *my)
{
    return my->packet_bytes / 4 < MY_STATEMENT_BYTES ? my->packet_bytes / 4 : MY_STATEMENT_BYTES;
}

static int refuse_size(const struct my_store *my, const char *what, struct error *ret_error)
{
    return error_set(ret_error, ERROR_POISON,
                     "%s takes more than the %" PRIu64 " bytes of a statement; raise max_allowed_packet on the server", what,
                     my->packet_bytes);
}

static int refuse_row(const struct my_store *my, const struct table *table, struct error *ret_error)
{
    char what[STORE_NAME_SIZE + 20];

    snprintf(what, sizeof what, "table %s: a row", table->name);
    return refuse_size(my, what, ret_error);
}

/* ---- Printing ---- */

void my_print_key(struct buffer *sql, const struct table *table, const struct cell *const *keys)
{
    for (uint32_t i = 0; i < table->n_keys; i++) {
        const struct column *column = &table->columns[table->keys[i]];

        buffer_printf(sql, "%s`%s` = ", i > 0 ? " AND " : "", column->name);
        my_print_cell(sql, column, keys[i]);
    }
}

static void print_row_key(struct buffer *sql, const struct row *row)
{
    const struct cell *keys[RS_MAX_KEYS];

    for (uint32_t i = 0; i < row->table->n_keys; i++)
        keys[i] = &row->cells[row->table->keys[i]];
    my_print_key(sql, row->table, keys);
}

static void print_assignment(struct buffer *sql, bool is_mariadb, const char *table, const char *name, uint8_t operation)
{
    char given[2 * STORE_NAME_SIZE], kept[2 * STORE_NAME_SIZE];

    snprintf(given, sizeof given, is_mariadb ? "VALUES(`%s`)" : "new.`%s`", name);
    snprintf(kept, sizeof kept, "`%s`.`%s`", table, name);
    buffer_printf(sql, "`%s` = ", name);
    switch (operation) {
    case CELL_ADD:
        buffer_printf(sql, "COALESCE(%s, 0) + %s", kept, given);
        break;
    case CELL_MAX:
    case CELL_MIN:
        buffer_printf(sql, "COALESCE(%s(%s, %s), %s, %s)", operation == CELL_MAX ? "GREATEST" : "LEAST", kept, given, kept, given);
        break;
    default: /* CELL_SET */
        buffer_puts(sql, given);
        break;
    }
}

static void print_upsert_head(struct my_store *my, const struct change_group *group)
{
    const struct table *table = group->table;
    char name[STORE_NAME_SIZE];
    bool is_first = true;

    store_table_name(&my->store.scope, table, name);
    buffer_printf(&my->sql, "INSERT INTO `%s` (", name);
    for (uint32_t i = 0; i < table->n_columns; i++)
        if (store_group_has(group, i)) {
            buffer_printf(&my->sql, "%s`%s`", is_first ? "" : ", ", table->columns[i].name);
            is_first = false;
        }
    buffer_puts(&my->sql, table->is_shared ? ") VALUES " : ", readside_partition) VALUES ");
}

static void print_upsert_tail(struct my_store *my, const struct change_group *group)
{
    const struct table *table = group->table;
    char name[STORE_NAME_SIZE];
    bool is_first = true;

    store_table_name(&my->store.scope, table, name);
    buffer_printf(&my->sql, "%s ON DUPLICATE KEY UPDATE ", my->is_mariadb ? "" : " AS new");
    for (uint32_t i = 0; i < table->n_columns; i++) {
        if (table->columns[i].is_key || !store_group_has(group, i))
            continue;
        buffer_puts(&my->sql, is_first ? "" : ", ");
        print_assignment(&my->sql, my->is_mariadb, name, table->columns[i].name, group->operations[i]);
        is_first = false;
    }
    if (!table->is_shared) {
        const char *given = my->is_mariadb ? "VALUES(readside_partition)" : "new.readside_partition";

        buffer_printf(&my->sql, "%sreadside_partition = IF(`%s`.readside_partition = %s, %s, NULL)", is_first ? "" : ", ", name,
                      given, given);
    } else if (is_first) {
        buffer_printf(&my->sql, "`%s` = `%s`.`%s`", table->columns[table->keys[0]].name, name, table->columns[table->keys[0]].name);
    }
}

static void print_values(struct my_store *my, const struct change_group *group, const struct row *row)
{
    const struct table *table = group->table;
    bool is_first = true;

    buffer_putc(&my->sql, '(');
    for (uint32_t i = 0; i < table->n_columns; i++) {
        if (!store_group_has(group, i))
            continue;
        buffer_puts(&my->sql, is_first ? "" : ", ");
        my_print_cell(&my->sql, &table->columns[i], &row->cells[i]);
        is_first = false;
    }
    if (!table->is_shared)
        buffer_printf(&my->sql, ", %" PRId32, row->partition);
    buffer_putc(&my->sql, ')');
}

/* ---- Rows of other partitions ---- */

static void show_key(const struct table *table, const struct row *row, char *ret_text, size_t size)
{
    struct buffer text = BUFFER_INIT;

    for (uint32_t i = 0; i < table->n_keys; i++) {
        const struct column *column = &table->columns[table->keys[i]];
        const struct cell *cell = &row->cells[table->keys[i]];

        buffer_puts(&text, i > 0 ? ", " : "");
        if (column->type == RS_TEXT)
            buffer_append(&text, cell->as.data, cell->size < 80 ? cell->size : 80);
        else
            my_print_cell(&text, column, cell);
    }
    snprintf(ret_text, size, "%.*s", (int)text.size, text.data == NULL ? "" : text.data);
    buffer_free(&text);
}

static int name_foreign(struct my_store *my, void *context, size_t index, MYSQL_RES *rows, uint64_t n_affected,
                        struct error *ret_error)
{
    const struct my_rows *run = context;
    const struct row *row = run->group->rows[run->first + index];
    MYSQL_ROW found = rows == NULL ? NULL : mysql_fetch_row(rows);
    char key[200], words[500];

    (void)my, (void)n_affected;
    if (found == NULL)
        return 0;
    show_key(row->table, row, key, sizeof key);
    snprintf(words, sizeof words, "row %s of %s belongs to partition %s, and an event of partition %" PRId32 " touches it", key,
             row->table->name, found[0], row->partition);
    return refuse_foreign_row(words, ret_error);
}

/* HALT, and which row it is; 0 when there is none. */
static int look_for_foreign(struct my_store *my, struct my_rows *run, struct error *ret_error)
{
    char name[STORE_NAME_SIZE];

    store_table_name(&my->store.scope, run->group->table, name);
    buffer_clear(&my->sql);
    for (size_t i = 0; i < run->n; i++) {
        const struct row *row = run->group->rows[run->first + i];

        buffer_printf(&my->sql, "%sSELECT readside_partition FROM `%s` WHERE ", i > 0 ? "; " : "", name);
        print_row_key(&my->sql, row);
        buffer_printf(&my->sql, " AND readside_partition <> %" PRId32, row->partition);
    }
    return my_script(my, &my->sql, name_foreign, run, ret_error);
}

/* ---- Statements ---- */

static int count_affected(struct my_store *my, void *context, size_t index, MYSQL_RES *rows, uint64_t n_affected,
                          struct error *ret_error)
{
    uint64_t *n = context;

    (void)my, (void)index, (void)rows, (void)ret_error;
    *n += n_affected;
    return 0;
}

/* What an upsert has failed with, or the row of another partition that made it fail. */
static int judge_upsert(struct my_store *my, struct my_rows *run, int result, const struct error *why, struct error *ret_error)
{
    struct error failure = *why, foreign = {0};

    if (result == 0)
        return 0;
    if (strcmp(failure.code, "1048") == 0 && !run->group->table->is_shared && my->connection != NULL) {
        int found = look_for_foreign(my, run, &foreign);

        if (found != 0) {
            if (ret_error != NULL)
                *ret_error = foreign;
            return found;
        }
    }
    if (ret_error != NULL)
        *ret_error = failure;
    return result;
}

/* Fewer than there are rows: some were not there, or are another partition's. */
static int judge_delete(struct my_store *my, struct my_rows *run, int result, uint64_t n_affected, const struct error *why,
                        struct error *ret_error)
{
    if (result != 0 && ret_error != NULL)
        *ret_error = *why;
    return result == 0 && n_affected < run->n ? look_for_foreign(my, run, ret_error) : result;
}

static int judge_run(struct my_store *my, struct my_rows *run, int result, uint64_t n_affected, const struct error *why,
                     struct error *ret_error)
{
    result = run->group->change == CHANGE_UPSERT ? judge_upsert(my, run, result, why, ret_error)
                                                 : judge_delete(my, run, result, n_affected, why, ret_error);
    if (result != 0 && result != ERROR_HALT && ret_error != NULL)
        error_wrap(ret_error, "table %s", run->group->table->name);
    return result;
}

static void print_row(struct my_store *my, const struct my_rows *run, size_t at)
{
    const struct row *row = run->group->rows[at];
    bool is_first = at == run->first;
    char name[STORE_NAME_SIZE];

    if (run->group->change == CHANGE_UPSERT) {
        if (is_first)
            print_upsert_head(my, run->group);
        else
            buffer_putc(&my->sql, ',');
        print_values(my, run->group, row);
        return;
    }
    store_table_name(&my->store.scope, run->group->table, name);
    buffer_printf(&my->sql, is_first ? "DELETE FROM `%s` WHERE (" : " OR (", name);
    print_row_key(&my->sql, row);
    buffer_printf(&my->sql, " AND readside_partition = %" PRId32 ")", row->partition);
}

/* ---- How many ---- */

/* At most, but for text of which each character is escaped, and bytes in digits: those take twice theirs in a statement's text. */
static size_t row_bytes(const struct change_group *group, const struct row *row)
{
    size_t bytes = 16;

    for (uint32_t i = 0; i < group->table->n_columns; i++)
        if (store_group_has(group, i))
            bytes += 48 + row->cells[i].size;
    return bytes;
}

/* From the first on: so many rows as the bytes hold, one in any case. */
static struct my_rows cut_run(const struct change_group *group, size_t first, size_t n_max, size_t bytes_max)
{
    struct my_rows run = {.group = group, .first = first};
    size_t bytes = 0;

    while (first + run.n < group->n_rows && run.n < n_max) {
        bytes += row_bytes(group, group->rows[first + run.n]);
        if (run.n > 0 && bytes > bytes_max)
            break;
        run.n++;
    }
    return run;
}

/* ---- Array binding ---- */

static void print_places(struct my_store *my, const struct change_group *group)
{
    uint32_t n = !group->table->is_shared;

    for (uint32_t i = 0; i < group->table->n_columns; i++)
        n += store_group_has(group, i);
    for (uint32_t i = 0; i < n; i++)
        buffer_puts(&my->sql, i == 0 ? "(?" : ", ?");
    buffer_putc(&my->sql, ')');
}

static int bulk_upsert(struct my_store *my, struct my_rows *run, struct error *ret_error)
{
    struct error failure = {0};
    int result;

    if (run->n == 1 && row_bytes(run->group, run->group->rows[run->first]) >= my->packet_bytes)
        return refuse_row(my, run->group->table, ret_error);
    buffer_clear(&my->sql);
    print_upsert_head(my, run->group);
    print_places(my, run->group);
    print_upsert_tail(my, run->group);
    result = buffer_failed(&my->sql) ? my_out_of_memory(&failure) : my_bulk(my, my->sql.data, run, &failure);
    return judge_run(my, run, result, 0, &failure, ret_error);
}

static int bulk_group(struct my_store *my, const struct change_group *group, struct error *ret_error)
{
    int result = 0;

    for (size_t i = 0; i < group->n_rows && result == 0;) {
        struct my_rows run = cut_run(group, i, BULK_MAX, my->packet_bytes / 4);

        i += run.n;
        result = bulk_upsert(my, &run, ret_error);
    }
    return result;
}

/* ---- As text ---- */

/* The answer to the run that is under way, if one is. */
static int settle(struct my_store *my, struct my_rows *run, struct error *ret_error)
{
    struct error failure = {0};
    uint64_t n_affected = 0;
    int result;

    if (run->n == 0)
        return 0;
    result = my_receive(my, count_affected, &n_affected, &failure);
    result = judge_run(my, run, result, n_affected, &failure, ret_error);
    run->n = 0;
    return result;
}

/* Once the run before has been settled. */
static int send_run(struct my_store *my, const struct my_rows *run, struct my_rows *under_way, struct error *ret_error)
{
    struct buffer printed;
    int result;

    buffer_clear(&my->sql);
    for (size_t i = 0; i < run->n; i++)
        print_row(my, run, run->first + i);
    if (run->group->change == CHANGE_UPSERT)
        print_upsert_tail(my, run->group);
    printed = my->sql;
    my->sql = my->ahead;
    my->ahead = printed;
    result = settle(my, under_way, ret_error);
    if (result != 0)
        return result;
    if (my->ahead.size >= my->packet_bytes)
        return refuse_row(my, run->group->table, ret_error);
    result = my_send(my, &my->ahead, ret_error);
    if (result == 0)
        *under_way = *run;
    return result;
}

/* While the server works on a statement the next one is printed. */
static int text_group(struct my_store *my, const struct change_group *group, struct error *ret_error)
{
    size_t n_max = group->change == CHANGE_UPSERT ? UPSERTS_MAX : DELETES_MAX;
    struct my_rows under_way = {.group = group};
    int result = 0;

    for (size_t i = 0; i < group->n_rows && result == 0;) {
        struct my_rows run = cut_run(group, i, n_max, my_statement_bytes(my) / 2);

        i += run.n;
        result = send_run(my, &run, &under_way, ret_error);
    }
    return result == 0 ? settle(my, &under_way, ret_error) : result;
}

/* ---- Messages ---- */

static void print_nullable(struct buffer *sql, const struct rs_bytes *bytes)
{
    if (bytes->data == NULL)
        buffer_puts(sql, "NULL");
    else
        my_print_bytes(sql, bytes->data, bytes->size);
}

static void print_message(struct my_store *my, struct buffer *sql, const struct outbox_message *message)
{
    struct buffer headers = BUFFER_INIT;

    store_print_headers(&headers, message);
    buffer_putc(sql, '(');
    my_print_string(sql, my->store.scope.pipeline);
    buffer_printf(sql, ", %" PRId32 ", ", my->store.scope.version);
    my_print_string(sql, message->topic);
    buffer_puts(sql, ", ");
    print_nullable(sql, &message->key);
    buffer_puts(sql, ", ");
    print_nullable(sql, &message->value);
    buffer_puts(sql, ", ");
    my_print_text(sql, headers.data, headers.size);
    buffer_puts(sql, ", ");
    my_print_string(sql, message->source_topic);
    buffer_printf(sql, ", %" PRId32 ", %" PRId64 ")", message->source_partition, message->source_offset);
    buffer_free(&headers);
}

static int send_messages(struct my_store *my, struct error *ret_error)
{
    int result = 0;

    if (my->sql.size >= my->packet_bytes)
        return refuse_size(my, "a message", ret_error);
    if (my->sql.size > 0)
        result = my_script(my, &my->sql, NULL, NULL, ret_error);
    buffer_clear(&my->sql);
    return result;
}

static int write_messages(struct my_store *my, const struct outbox_message *messages, size_t n, struct error *ret_error)
{
    int result = 0;

    buffer_clear(&my->sql);
    for (size_t i = 0; i < n && result == 0; i++) {
        buffer_clear(&my->ahead);
        print_message(my, &my->ahead, &messages[i]);
        if (buffer_failed(&my->ahead))
            return my_out_of_memory(ret_error);
        if (my->sql.size + my->ahead.size > my_statement_bytes(my))
            result = send_messages(my, ret_error);
        buffer_puts(&my->sql, my->sql.size > 0 ? ", "
                                               : "INSERT INTO readside_outbox (pipeline, version, topic, `key`, `value`, headers, "
                                                 "source_topic, source_part, source_offset) VALUES ");
        buffer_append(&my->sql, my->ahead.data, my->ahead.size);
    }
    return result == 0 ? send_messages(my, ret_error) : result;
}

/* ---- The whole ---- */

static int write_group(struct my_store *my, const struct change_group *group, struct error *ret_error)
{
    int result = my_check_keys(group, ret_error);

    if (result != 0)
        return result;
    return group->change == CHANGE_UPSERT && my_can_bulk(my) ? bulk_group(my, group, ret_error) : text_group(my, group, ret_error);
}

static int write_rows(struct my_store *my, struct error *ret_error)
{
    const struct change_group *groups;
    const struct outbox_message *messages;
    size_t n_groups, n_messages;
    int result = 0;

    if (my->write.batch == NULL)
        return 0;
    groups = batch_groups(my->write.batch, &n_groups);
    messages = batch_outbox(my->write.batch, &n_messages);
    for (size_t i = 0; i < n_groups && result == 0; i++)
        result = write_group(my, &groups[i], ret_error);
    return n_messages > 0 && result == 0 ? write_messages(my, messages, n_messages, ret_error) : result;
}

int my_write(struct my_store *my, struct error *ret_error)
{
    return my_move(my, write_rows, ret_error);
}
