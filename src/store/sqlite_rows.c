/*
 * sqlite_rows - rows and messages of a batch, one prepared statement a group, bound row by row: SQLite's bulk; and reads by key.
 */
#include "store/sqlite.h"

#include <stdio.h>
#include <string.h>

static void print_assignment(struct buffer *sql, const struct table *table, uint32_t number, uint8_t operation)
{
    const struct column *column = &table->columns[number];
    const char *name = column->name;

    buffer_printf(sql, "\"%s\" = ", name);
    if (operation == CELL_ADD && column->type == RS_INT)
        buffer_printf(sql, "readside_add_int(t.\"%s\", excluded.\"%s\", '%s.%s')", name, name, table->name, name);
    else if (operation == CELL_ADD)
        buffer_printf(sql, "readside_add(t.\"%s\", excluded.\"%s\", %u, %u, '%s.%s')", name, name, column->precision, column->scale,
                      table->name, name);
    else if ((operation == CELL_MAX || operation == CELL_MIN) && column->type == RS_DECIMAL)
        buffer_printf(sql, "readside_%s(t.\"%s\", excluded.\"%s\", %u, %u, '%s.%s')", operation == CELL_MAX ? "greatest" : "least", name,
                      name, column->precision, column->scale, table->name, name);
    else if (operation == CELL_MAX || operation == CELL_MIN)
        buffer_printf(sql, "coalesce(%s(t.\"%s\", excluded.\"%s\"), t.\"%s\", excluded.\"%s\")", operation == CELL_MAX ? "max" : "min",
                      name, name, name, name);
    else
        buffer_printf(sql, "excluded.\"%s\"", name);
}

static void print_upsert(struct buffer *sql, const struct store_scope *scope, const struct change_group *group)
{
    const struct table *table = group->table;
    char name[STORE_NAME_SIZE];
    int n = 0;

    store_table_name(scope, table, name);
    buffer_printf(sql, "INSERT INTO \"%s\" AS t (", name);
    for (uint32_t i = 0; i < table->n_columns; i++)
        if (store_group_has(group, i))
            buffer_printf(sql, "%s\"%s\"", n++ > 0 ? ", " : "", table->columns[i].name);
    buffer_puts(sql, table->is_shared ? ") VALUES (" : ", readside_partition) VALUES (");
    for (int i = 0; i < n + !table->is_shared; i++)
        buffer_printf(sql, "%s?%d", i > 0 ? ", " : "", i + 1);
    for (uint32_t i = 0; i < table->n_keys; i++) /* a conflict on another index must not pass for the row's own */
        buffer_printf(sql, "%s\"%s\"", i == 0 ? ") ON CONFLICT (" : ", ", table->columns[table->keys[i]].name);
    buffer_puts(sql, ") DO UPDATE SET ");
    n = 0;
    for (uint32_t i = 0; i < table->n_columns; i++) {
        if (table->columns[i].is_key || !store_group_has(group, i))
            continue;
        if (n++ > 0)
            buffer_puts(sql, ", ");
        print_assignment(sql, table, i, group->operations[i]);
    }
    if (!table->is_shared)
        buffer_printf(sql, ", readside_partition = readside_same(t.readside_partition, excluded.readside_partition, '%s', t.\"%s\")",
                      table->name, table->columns[table->keys[0]].name);
}

static void print_delete(struct buffer *sql, const struct store_scope *scope, const struct change_group *group)
{
    const struct table *table = group->table;
    char name[STORE_NAME_SIZE];

    store_table_name(scope, table, name);
    buffer_printf(sql, "DELETE FROM \"%s\" WHERE ", name);
    for (uint32_t i = 0; i < table->n_keys; i++)
        buffer_printf(sql, "%s\"%s\" = ?%u", i > 0 ? " AND " : "", table->columns[table->keys[i]].name, i + 1);
    buffer_printf(sql, " AND readside_same(readside_partition, ?%u, '%s', \"%s\") IS NOT NULL", table->n_keys + 1, table->name,
                  table->columns[table->keys[0]].name);
}

static int bind_row(struct sqlite *lite, sqlite3_stmt *statement, const struct change_group *group, const struct row *row,
                    struct error *ret_error)
{
    const struct table *table = group->table;
    bool is_delete = group->change == CHANGE_DELETE;
    uint32_t n = is_delete ? table->n_keys : table->n_columns;
    int at = 1, result = 0;

    for (uint32_t i = 0; i < n && result == 0; i++) {
        uint32_t column = is_delete ? table->keys[i] : i; /* keys in key order */

        if (store_group_has(group, column))
            result = sqlite_bind_cell(lite, statement, at++, &table->columns[column], &row->cells[column], ret_error);
    }
    if (!table->is_shared)
        sqlite3_bind_int(statement, at, row->partition);
    return result;
}

static int write_row(struct sqlite *lite, sqlite3_stmt *statement, const struct change_group *group, const struct row *row,
                     struct error *ret_error)
{
    char key[SQLITE_KEY_SHOWN_SIZE];
    int result = bind_row(lite, statement, group, row, ret_error);

    if (result == 0)
        result = sqlite_run(lite, statement, group->table->name, ret_error);
    if ((result == ERROR_POISON || result == ERROR_CONFIG) && ret_error != NULL)
        return error_wrap(ret_error, "row %s", sqlite_show_key(group->table, row->cells, key));
    return result;
}

static int write_group(struct sqlite *lite, const struct change_group *group, struct error *ret_error)
{
    struct buffer sql = BUFFER_INIT;
    sqlite3_stmt *statement;
    int result;

    if (group->change == CHANGE_DELETE)
        print_delete(&sql, &lite->store.scope, group);
    else
        print_upsert(&sql, &lite->store.scope, group);
    result = buffer_failed(&sql) ? sqlite_out_of_memory(ret_error) : sqlite_prepare(lite, sql.data, &statement, ret_error);
    buffer_free(&sql);
    for (size_t i = 0; i < group->n_rows && result == 0; i++)
        result = write_row(lite, statement, group, group->rows[i], ret_error);
    return result;
}

/* ---- Messages ---- */

static void bind_bytes(sqlite3_stmt *statement, int at, const struct rs_bytes *bytes)
{
    if (bytes->data == NULL)
        sqlite3_bind_null(statement, at);
    else
        sqlite3_bind_blob64(statement, at, bytes->size == 0 ? "" : bytes->data, bytes->size, SQLITE_STATIC);
}

static int write_message(struct sqlite *lite, const struct outbox_message *message, struct error *ret_error)
{
    struct buffer headers = BUFFER_INIT;
    sqlite3_stmt *statement;
    char now[32];
    int result = sqlite_prepare(lite,
                                "INSERT INTO readside_outbox (pipeline, version, topic, key, value, headers, source_topic, source_part, "
                                "source_offset, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                                &statement, ret_error);

    if (result != 0)
        return result;
    store_print_headers(&headers, message);
    sqlite_now(now);
    sqlite_bind_scope(lite, statement);
    sqlite3_bind_text(statement, 3, message->topic, -1, SQLITE_STATIC);
    bind_bytes(statement, 4, &message->key);
    bind_bytes(statement, 5, &message->value);
    sqlite3_bind_text(statement, 6, headers.data, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 7, message->source_topic, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 8, message->source_partition);
    sqlite3_bind_int64(statement, 9, message->source_offset);
    sqlite3_bind_text(statement, 10, now, -1, SQLITE_STATIC);
    result = buffer_failed(&headers) ? sqlite_out_of_memory(ret_error)
                                     : sqlite_run(lite, statement, "readside_outbox", ret_error);
    sqlite3_clear_bindings(statement);
    buffer_free(&headers);
    return result;
}

int sqlite_write_rows(struct sqlite *lite, struct error *ret_error)
{
    const struct change_group *groups;
    const struct outbox_message *messages;
    size_t n_groups, n_messages;
    int result = 0;

    if (lite->write.batch == NULL)
        return 0;
    groups = batch_groups(lite->write.batch, &n_groups);
    messages = batch_outbox(lite->write.batch, &n_messages);
    for (size_t i = 0; i < n_groups && result == 0; i++)
        result = write_group(lite, &groups[i], ret_error);
    for (size_t i = 0; i < n_messages && result == 0; i++)
        result = write_message(lite, &messages[i], ret_error);
    return result;
}

/* ---- Reading ---- */

static int prepare_select(struct sqlite *lite, const struct table *table, sqlite3_stmt **ret_statement, struct error *ret_error)
{
    struct buffer sql = BUFFER_INIT;
    char name[STORE_NAME_SIZE];
    int result;

    store_table_name(&lite->store.scope, table, name);
    buffer_puts(&sql, "SELECT ");
    for (uint32_t i = 0; i < table->n_columns; i++)
        buffer_printf(&sql, "%s\"%s\"", i > 0 ? ", " : "", table->columns[i].name);
    buffer_printf(&sql, ", readside_partition FROM \"%s\" WHERE ", name);
    for (uint32_t i = 0; i < table->n_keys; i++)
        buffer_printf(&sql, "%s\"%s\" = ?%u", i > 0 ? " AND " : "", table->columns[table->keys[i]].name, i + 1);
    result = buffer_failed(&sql) ? sqlite_out_of_memory(ret_error) : sqlite_prepare(lite, sql.data, ret_statement, ret_error);
    buffer_free(&sql);
    return result;
}

static int read_row(struct sqlite *lite, sqlite3_stmt *statement, size_t index, struct error *ret_error)
{
    const struct wanted_row *wanted = &lite->read.rows[index];
    const struct table *table = wanted->table;
    struct cell cells[RS_MAX_COLUMNS];
    int result = 0, code;

    for (uint32_t i = 0; i < table->n_keys && result == 0; i++)
        result = sqlite_bind_cell(lite, statement, (int)i + 1, &table->columns[table->keys[i]], &wanted->keys[i], ret_error);
    if (result != 0)
        return result;
    code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        result = sqlite_error(lite, table->name, ret_error);
    for (uint32_t i = 0; code == SQLITE_ROW && i < table->n_columns && result == 0; i++)
        result = sqlite_read_cell(table, i, statement, (int)i, &cells[i], ret_error);
    if (result == 0)
        result = lite->read.on_row(lite->read.context, index, code == SQLITE_ROW ? cells : NULL,
                                   code == SQLITE_ROW ? sqlite3_column_int(statement, (int)table->n_columns) : 0, ret_error);
    sqlite3_reset(statement);
    return result;
}

static int read_rows(struct sqlite *lite, struct error *ret_error)
{
    const struct table *table = NULL;
    sqlite3_stmt *statement = NULL;
    int result = 0;

    for (size_t i = 0; i < lite->read.n_rows && result == 0; i++) {
        if (lite->read.rows[i].table != table) {
            table = lite->read.rows[i].table;
            result = prepare_select(lite, table, &statement, ret_error);
        }
        if (result == 0)
            result = read_row(lite, statement, i, ret_error);
    }
    return result;
}

/* One read transaction. Its first statement takes the snapshot, which can be busy; no row has been handed on then. */
int sqlite_read_rows(struct sqlite *lite, struct error *ret_error)
{
    int result;

    if (sqlite3_exec(lite->connection, "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1", NULL, NULL, NULL) == SQLITE_OK)
        result = read_rows(lite, ret_error);
    else
        result = sqlite_is_busy(lite) ? STORE_BUSY : sqlite_error(lite, "beginning to read", ret_error);
    sqlite_roll_back(lite);
    return result;
}
