/*
 * mysql_schema - tables: printed, made, dropped. See mysql.h.
 *
 * Each statement of DDL commits what is before it, so none stands in a transaction with data. What is half done is completed by
 * doing it again: making passes over what is there, dropping locks all tables and begins with the positions, so that running tasks
 * are fenced, and ends with the entries that say which tables were to go.
 */
#include "store/mysql.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { INDEX_CHARACTERS = 191 };

/* Other row formats, which a server can have for its default, take keys of 767 bytes only. */
static const char behind_columns[] = ")\n) ENGINE = InnoDB ROW_FORMAT = DYNAMIC";

/* ---- The host's tables ---- */

static bool is_in_key(const struct host_table *table, const char *name)
{
    for (size_t i = 0; table->keys[i] != NULL; i++)
        if (strcmp(table->keys[i], name) == 0)
            return true;
    return false;
}

const char *my_host_type(const struct host_table *table, const struct host_column *column)
{
    static const char *const names[] = {[HOST_NUMBER] = "bigint",  [HOST_INT] = "int",           [HOST_BIGINT] = "bigint",
                                        [HOST_TEXT] = "longtext",  [HOST_NAME] = "varchar(255)", [HOST_UUID] = "binary(16)",
                                        [HOST_BYTES] = "longblob", [HOST_JSON] = "longtext",     [HOST_TIME] = "datetime(6)"};

    if (column->type == HOST_TEXT && (is_in_key(table, column->name) || column->fallback != NULL))
        return names[HOST_NAME];
    return names[column->type];
}

static void print_host_column(struct buffer *sql, const struct host_table *table, const struct host_column *column)
{
    const char *type = my_host_type(table, column);

    buffer_printf(sql, "    `%s` %s", column->name, type);
    if (column->type == HOST_TEXT || column->type == HOST_NAME || column->type == HOST_JSON)
        buffer_printf(sql, " %s", my_text_collation);
    buffer_puts(sql, column->is_null ? "" : " NOT NULL");
    if (column->type == HOST_NUMBER)
        buffer_puts(sql, " AUTO_INCREMENT");
    if (column->fallback != NULL)
        buffer_printf(sql, " DEFAULT %s", column->fallback);
    else if (column->type == HOST_TIME && !column->is_null)
        buffer_puts(sql, " DEFAULT (UTC_TIMESTAMP(6))");
    buffer_puts(sql, ",\n");
}

void my_print_host_table(struct buffer *sql, const struct host_table *table)
{
    buffer_printf(sql, "CREATE TABLE IF NOT EXISTS %s (\n", table->name);
    for (size_t i = 0; i < table->n_columns; i++)
        if (host_column_is_of(&table->columns[i], "mysql"))
            print_host_column(sql, table, &table->columns[i]);
    for (size_t i = 0; table->keys[i] != NULL; i++)
        buffer_printf(sql, "%s`%s`", i == 0 ? "    PRIMARY KEY (" : ", ", table->keys[i]);
    buffer_puts(sql, behind_columns);
}

/* ---- The projection's ---- */

static void print_fallback(struct buffer *sql, const struct column *column)
{
    buffer_puts(sql, " DEFAULT (");
    my_print_cell(sql, column, &column->fallback);
    buffer_putc(sql, ')');
}

static void print_table(struct buffer *sql, const struct store_scope *scope, const struct table *table)
{
    char name[STORE_NAME_SIZE];

    store_table_name(scope, table, name);
    buffer_printf(sql, "CREATE TABLE IF NOT EXISTS `%s` (\n", name);
    for (uint32_t i = 0; i < table->n_columns; i++) {
        const struct column *column = &table->columns[i];

        buffer_printf(sql, "    `%s` ", column->name);
        my_print_type(sql, table, i);
        buffer_puts(sql, column->is_key || column->is_not_null ? " NOT NULL" : "");
        if (!column->is_key && !column->fallback.is_null)
            print_fallback(sql, column);
        buffer_puts(sql, ",\n");
    }
    if (!table->is_shared)
        buffer_puts(sql, "    readside_partition int NOT NULL,\n");
    for (uint32_t i = 0; i < table->n_keys; i++)
        buffer_printf(sql, "%s`%s`", i == 0 ? "    PRIMARY KEY (" : ", ", table->columns[table->keys[i]].name);
    buffer_puts(sql, behind_columns);
}

/* Of text and bytes outside the key the beginning is indexed. */
void my_print_index(struct buffer *sql, const struct store_scope *scope, const struct table *table, const struct index *index)
{
    uint32_t share = my_key_share(table, index->columns, index->n_columns);
    char name[STORE_NAME_SIZE];

    store_index_name(scope, table, index, name);
    buffer_printf(sql, "CREATE INDEX `%s` ON ", name);
    store_table_name(scope, table, name);
    buffer_printf(sql, "`%s` (", name);
    for (uint32_t i = 0; i < index->n_columns; i++) {
        const struct column *column = &table->columns[index->columns[i]];
        uint32_t most = column->type == RS_TEXT ? share / 4 : share;

        buffer_printf(sql, "%s`%s`", i > 0 ? ", " : "", column->name);
        if (!column->is_key && (column->type == RS_TEXT || column->type == RS_BYTES))
            buffer_printf(sql, "(%u)", most > INDEX_CHARACTERS ? INDEX_CHARACTERS : most < 1 ? 1 : most);
    }
    buffer_putc(sql, ')');
}

/* UUIDs as people write them; JSON as the server's own type, where it has one. What that type does not take, such as a number that
 * no double holds, is shown as a string of its text: one such row must not keep the others from being read. */
static void print_view(struct buffer *sql, const struct store_scope *scope, const struct table *table)
{
    char name[STORE_NAME_SIZE];

    store_table_name(scope, table, name);
    buffer_printf(sql, "CREATE VIEW `%s` AS SELECT ", table->name);
    for (uint32_t i = 0; i < table->n_columns; i++) {
        const char *column = table->columns[i].name;

        buffer_puts(sql, i > 0 ? ", " : "");
        if (table->columns[i].type == RS_UUID)
            buffer_printf(sql, "/*!80017 BIN_TO_UUID(`%s`) */ /*M! CAST(`%s` AS UUID) */ AS `%s`", column, column, column);
        else if (table->columns[i].type == RS_JSON)
            buffer_printf(sql,
                          "/*!80017 CAST(IF(JSON_VALID(`%s`), */ `%s` /*!80017 , JSON_QUOTE(`%s`)) AS JSON) */ AS `%s`",
                          column, column, column, column);
        else
            buffer_printf(sql, "`%s`", column);
    }
    buffer_printf(sql, " FROM `%s`", name);
}

int my_print_schema(const struct store_scope *scope, struct buffer *ret_sql, struct error *ret_error)
{
    static const char end[] = ";\n";

    for (size_t i = 0; i < HOST_TABLES; i++) {
        my_print_host_table(ret_sql, &host_tables[i]);
        buffer_puts(ret_sql, end);
    }
    for (uint32_t i = 0; i < scope->n_tables; i++) {
        const struct table *table = &scope->tables[i];

        if (table->is_omitted)
            continue;
        print_table(ret_sql, scope, table);
        buffer_puts(ret_sql, end);
        for (uint32_t j = 0; j < table->n_indexes; j++) {
            my_print_index(ret_sql, scope, table, &table->indexes[j]);
            buffer_puts(ret_sql, end);
        }
        print_view(ret_sql, scope, table);
        buffer_puts(ret_sql, end);
    }
    return buffer_failed(ret_sql) ? my_out_of_memory(ret_error) : 0;
}

/* ---- Making ---- */

static int run_ddl(struct my_store *my, struct error *ret_error)
{
    return buffer_failed(&my->sql) ? my_out_of_memory(ret_error) : my_execute(my, my->sql.data, ret_error);
}

static bool is_missing(struct my_store *my, const char *name, int *ret_result, struct error *ret_error)
{
    char kind[32];

    *ret_result = my_relation_kind(my, name, kind, ret_error);
    return *ret_result == 0 && kind[0] == '\0';
}

static int create_indexes(struct my_store *my, const struct table *table, struct error *ret_error)
{
    int result = 0;

    for (uint32_t i = 0; i < table->n_indexes && result == 0; i++) {
        bool is_there = false;

        result = my_has_index(my, table, &table->indexes[i], &is_there, ret_error);
        if (result != 0 || is_there)
            continue;
        buffer_clear(&my->sql);
        my_print_index(&my->sql, &my->store.scope, table, &table->indexes[i]);
        result = run_ddl(my, ret_error);
    }
    return result;
}

/* An index on rows takes its time: the check tells of it. */
static int create_table(struct my_store *my, const struct table *table, struct error *ret_error)
{
    const struct store_scope *scope = &my->store.scope;
    char name[STORE_NAME_SIZE], sql[STORE_NAME_SIZE + 60];
    int64_t has_rows = 0;
    int result;

    store_table_name(scope, table, name);
    snprintf(sql, sizeof sql, "SELECT EXISTS (SELECT 1 FROM `%s`)", name);
    if (is_missing(my, name, &result, ret_error)) {
        result = my_refuse_missing(my, name, ret_error);
        buffer_clear(&my->sql);
        print_table(&my->sql, scope, table);
        if (result == 0)
            result = run_ddl(my, ret_error);
    } else if (result == 0) {
        result = my_query_number(my, sql, &has_rows, ret_error);
    }
    if (result == 0 && has_rows == 0)
        result = create_indexes(my, table, ret_error);
    if (result == 0 && is_missing(my, table->name, &result, ret_error)) {
        buffer_clear(&my->sql);
        print_view(&my->sql, scope, table);
        result = run_ddl(my, ret_error);
    }
    return result;
}

static int create_all(struct my_store *my, struct error *ret_error)
{
    const struct store_scope *scope = &my->store.scope;
    int result = 0;

    for (size_t i = 0; i < HOST_TABLES && result == 0; i++)
        if (is_missing(my, host_tables[i].name, &result, ret_error)) {
            buffer_clear(&my->sql);
            my_print_host_table(&my->sql, &host_tables[i]);
            result = run_ddl(my, ret_error);
        }
    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++)
        if (!scope->tables[i].is_omitted)
            result = create_table(my, &scope->tables[i], ret_error);
    return result;
}

int my_create(struct my_store *my, struct error *ret_error)
{
    struct error failure = {0};
    int result = my_alone(my, create_all, &failure);

    if (result != 0)
        return error_set(ret_error, result, "creating the schema: %s", failure.text);
    return my_check(my, ret_error);
}

/* ---- Dropping a version ---- */

static int execute_scoped(struct my_store *my, const char *sql, struct error *ret_error)
{
    buffer_clear(&my->sql);
    buffer_puts(&my->sql, sql);
    my_print_scope(my, &my->sql);
    return run_ddl(my, ret_error);
}

/* What of the version is there, as statements. */
struct going {
    struct buffer locks, tables, views;
};

static int add_going(struct my_store *my, const char *name, struct going *going, struct error *ret_error)
{
    char kind[32], view[STORE_NAME_SIZE];
    bool shows = false;
    int result = my_relation_kind(my, name, kind, ret_error);

    if (result == 0 && kind[0] != '\0' && strcmp(kind, "VIEW") != 0) {
        buffer_printf(&going->locks, ", `%s` WRITE", name);
        buffer_printf(&going->tables, "%s `%s`", going->tables.size == 0 ? "DROP TABLE" : ",", name);
    }
    store_view_name(&my->store.scope, name, view);
    if (result == 0)
        result = my_view_shows(my, view, name, &shows, ret_error);
    if (shows) /* this version, and no other */
        buffer_printf(&going->views, "DROP VIEW IF EXISTS `%s`; ", view);
    return result;
}

/* The tables that the version has filled, and those that it declares. */
static int find_going(struct my_store *my, struct going *going, struct error *ret_error)
{
    const struct store_scope *scope = &my->store.scope;
    MYSQL_RES *names;
    MYSQL_ROW row;
    int result;

    buffer_puts(&going->locks, "SET SESSION autocommit = 0; LOCK TABLES");
    for (size_t i = 0; i < HOST_TABLES; i++)
        buffer_printf(&going->locks, "%s %s WRITE", i > 0 ? "," : "", host_tables[i].name);
    buffer_clear(&my->sql);
    buffer_puts(&my->sql, "SELECT name FROM readside_tables WHERE ");
    my_print_scope(my, &my->sql);
    for (uint32_t i = 0; i < scope->n_tables; i++) {
        char name[STORE_NAME_SIZE];

        store_table_name(scope, &scope->tables[i], name);
        if (!scope->tables[i].is_omitted)
            buffer_printf(&my->sql, " UNION SELECT '%s'", name);
    }
    result = buffer_failed(&my->sql) ? my_out_of_memory(ret_error) : my_query(my, my->sql.data, &names, ret_error);
    if (result != 0)
        return result;
    while (result == 0 && (row = mysql_fetch_row(names)) != NULL)
        result = add_going(my, row[0], going, ret_error);
    mysql_free_result(names);
    return result;
}

/* All at once, before anything is changed: who reads one of them for long would else keep a version without positions from losing
 * its tables. The host's are locked as well, or no statement could touch them meanwhile. */
static int lock_tables(struct my_store *my, const struct going *going, struct error *ret_error)
{
    int result = my_script(my, &going->locks, NULL, NULL, ret_error);

    if (result != 0 && ret_error != NULL && strcmp(ret_error->code, "1205") == 0)
        error_wrap(ret_error, "another connection's transaction uses one of the tables; it must end before the reset is run again");
    if (result != 0)
        error_wrap(ret_error, "nothing was changed");
    return result;
}

/* From here on the version's tasks are fenced. */
static int drop_positions(struct my_store *my, struct error *ret_error)
{
    int result = execute_scoped(my, "DELETE FROM readside_positions WHERE ", ret_error);

    if (result == 0)
        result = execute_scoped(my, "DELETE FROM readside_outbox WHERE ", ret_error);
    if (result != 0)
        return result;
    buffer_clear(&my->sql);
    buffer_puts(&my->sql, "INSERT INTO readside_audit (actor, action, pipeline, version, reason) VALUES (");
    my_print_string(&my->sql, my->actor);
    buffer_puts(&my->sql, ", 'reset', ");
    my_print_string(&my->sql, my->store.scope.pipeline);
    buffer_printf(&my->sql, ", %" PRId32 ", 'tables and positions dropped')", my->store.scope.version);
    result = run_ddl(my, ret_error);
    return result == 0 ? my_execute(my, "COMMIT", ret_error) : result;
}

/* START TRANSACTION would let the tables go, so autocommit is off meanwhile. */
static void unlock_tables(struct my_store *my)
{
    struct buffer sql = BUFFER_INIT;

    buffer_puts(&sql, "ROLLBACK; UNLOCK TABLES; SET SESSION autocommit = 1");
    if (my->connection != NULL && my_script(my, &sql, NULL, NULL, NULL) != 0)
        my_disconnect(my);
    buffer_free(&sql);
}

/* No view can be dropped while tables are locked. The entries go last: they tell a second reset what the first one has left. */
static int drop_rest(struct my_store *my, struct going *going, struct error *ret_error)
{
    int result = going->tables.size == 0 ? 0 : my_script(my, &going->tables, NULL, NULL, ret_error);

    unlock_tables(my);
    buffer_puts(&going->views, "DELETE FROM readside_tables WHERE ");
    my_print_scope(my, &going->views);
    if (result == 0)
        result = my_script(my, &going->views, NULL, NULL, ret_error);
    if (result == 0)
        result = execute_scoped(my, "DELETE FROM readside_projections WHERE ", ret_error);
    if (result != 0)
        error_wrap(ret_error, "the positions are dropped, but not all of the tables; run the reset again");
    return result;
}

static int drop_version(struct my_store *my, struct error *ret_error)
{
    struct going going = {BUFFER_INIT, BUFFER_INIT, BUFFER_INIT};
    int result = my_refuse_foreign(my, ret_error);

    if (result == 0)
        result = find_going(my, &going, ret_error);
    if (result == 0)
        result = lock_tables(my, &going, ret_error);
    if (result == 0)
        result = drop_positions(my, ret_error);
    if (result == 0)
        result = drop_rest(my, &going, ret_error);
    else
        unlock_tables(my);
    buffer_free(&going.locks);
    buffer_free(&going.tables);
    buffer_free(&going.views);
    return result;
}

int my_reset(struct my_store *my, struct error *ret_error)
{
    return my_alone(my, drop_version, ret_error);
}
