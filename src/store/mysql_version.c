/*
 * mysql_version - whose rows a version's tables hold: which plugin and revision made them (readside_projections), which pipeline
 * fills which table (readside_tables).
 *
 * First positions enter the version, in their transaction; a claim asks within its own, a check at any time, and both only read.
 */
#include "store/mysql.h"
#include "store/refusals.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The first row of the query in my->sql, judged; no row: nothing to object to. */
typedef int (*row_judge)(const struct store_scope *scope, MYSQL_ROW row, struct error *ret_error);

static int ask(struct my_store *my, row_judge judge, struct error *ret_error)
{
    MYSQL_RES *rows;
    MYSQL_ROW row;
    int result = buffer_failed(&my->sql) ? my_out_of_memory(ret_error) : my_query(my, my->sql.data, &rows, ret_error);

    if (result != 0)
        return result;
    row = mysql_fetch_row(rows);
    if (row != NULL)
        result = judge(&my->store.scope, row, ret_error);
    mysql_free_result(rows);
    return result;
}

/* ('accounts__v1', 'totals__v1'): those that the plugin declares and does not omit. */
static void print_names(const struct store_scope *scope, struct buffer *sql)
{
    bool is_first = true;

    buffer_putc(sql, '(');
    for (uint32_t i = 0; i < scope->n_tables; i++) {
        char name[STORE_NAME_SIZE];

        if (scope->tables[i].is_omitted)
            continue;
        store_table_name(scope, &scope->tables[i], name);
        buffer_printf(sql, "%s'%s'", is_first ? "" : ", ", name);
        is_first = false;
    }
    buffer_puts(sql, is_first ? "'')" : ")");
}

static int judge_revision(const struct store_scope *scope, MYSQL_ROW row, struct error *ret_error)
{
    int64_t revision = 0;

    (void)my_number_of(row[1], &revision);
    return refuse_revision(scope, row[0], revision, ret_error);
}

static int other_revision(struct my_store *my, struct error *ret_error)
{
    buffer_clear(&my->sql);
    buffer_puts(&my->sql, "SELECT plugin, revision FROM readside_projections WHERE ");
    my_print_scope(my, &my->sql);
    buffer_puts(&my->sql, " AND NOT (BINARY plugin = ");
    my_print_string(&my->sql, my->store.scope.plugin);
    buffer_printf(&my->sql, " AND revision = %" PRIu32 ")", my->store.scope.revision);
    return ask(my, judge_revision, ret_error);
}

static int judge_late(const struct store_scope *scope, MYSQL_ROW row, struct error *ret_error)
{
    return refuse_late_table(scope, row[0], ret_error);
}

static int late_table(struct my_store *my, struct error *ret_error)
{
    buffer_clear(&my->sql);
    buffer_puts(&my->sql,
                "SELECT t.table_name FROM information_schema.tables t WHERE t.table_schema = DATABASE() AND t.table_name IN ");
    print_names(&my->store.scope, &my->sql);
    buffer_puts(&my->sql, " AND EXISTS (SELECT 1 FROM readside_positions WHERE ");
    my_print_scope(my, &my->sql);
    buffer_printf(
        &my->sql,
        ") AND NOT EXISTS (SELECT 1 FROM readside_tables r WHERE BINARY r.name = BINARY t.table_name) ORDER BY 1 LIMIT 1");
    return ask(my, judge_late, ret_error);
}

static int judge_foreign(const struct store_scope *scope, MYSQL_ROW row, struct error *ret_error)
{
    int64_t version = 0;

    (void)scope;
    (void)my_number_of(row[2], &version);
    return refuse_foreign_table(row[0], row[1], (int32_t)version, ret_error);
}

int my_refuse_foreign(struct my_store *my, struct error *ret_error)
{
    buffer_clear(&my->sql);
    buffer_puts(&my->sql, "SELECT name, pipeline, version FROM readside_tables WHERE name IN ");
    print_names(&my->store.scope, &my->sql);
    buffer_puts(&my->sql, " AND NOT (");
    my_print_scope(my, &my->sql);
    buffer_puts(&my->sql, ") ORDER BY name LIMIT 1");
    return ask(my, judge_foreign, ret_error);
}

static int judge_left(const struct store_scope *scope, MYSQL_ROW row, struct error *ret_error)
{
    return refuse_left_table(scope, row[0], ret_error);
}

static int left_table(struct my_store *my, struct error *ret_error)
{
    buffer_clear(&my->sql);
    buffer_puts(&my->sql, "SELECT name FROM readside_tables WHERE ");
    my_print_scope(my, &my->sql);
    buffer_puts(&my->sql, " AND name NOT IN ");
    print_names(&my->store.scope, &my->sql);
    buffer_puts(&my->sql, " ORDER BY name LIMIT 1");
    return ask(my, judge_left, ret_error);
}

static const my_job objections[] = {other_revision, late_table, my_refuse_foreign, left_table};

enum { N_OBJECTIONS = sizeof objections / sizeof objections[0] };

int my_ask_version(struct my_store *my, struct error *ret_error)
{
    int result = 0;

    for (size_t i = 0; i < N_OBJECTIONS && result == 0; i++)
        result = objections[i](my, ret_error);
    return result;
}

int my_check_version(struct my_store *my, struct findings *findings, struct error *ret_error)
{
    int result = 0;

    for (size_t i = 0; i < N_OBJECTIONS && result == 0; i++) {
        struct error failure = {0};
        int class = objections[i](my, &failure);

        result = findings_take(findings, class, &failure, my->connection != NULL, ret_error);
    }
    return result;
}

/* ---- With first positions ---- */

/* The entry waits for a pipeline that makes the same one now; one that is there already is locked, by an update that changes
 * nothing, and made again where a reset has just dropped it. */
static int enter_projection(struct my_store *my, struct error *ret_error)
{
    const struct store_scope *scope = &my->store.scope;

    buffer_clear(&my->sql);
    buffer_puts(&my->sql, "INSERT INTO readside_projections (pipeline, version, plugin, revision) VALUES (");
    my_print_string(&my->sql, scope->pipeline);
    buffer_printf(&my->sql, ", %" PRId32 ", ", scope->version);
    my_print_string(&my->sql, scope->plugin);
    buffer_printf(&my->sql, ", %" PRIu32 ") ON DUPLICATE KEY UPDATE version = readside_projections.version", scope->revision);
    return buffer_failed(&my->sql) ? my_out_of_memory(ret_error) : my_execute(my, my->sql.data, ret_error);
}

static int enter_tables(struct my_store *my, struct error *ret_error)
{
    const struct store_scope *scope = &my->store.scope;
    int result = 0;

    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++) {
        char name[STORE_NAME_SIZE];

        if (scope->tables[i].is_omitted)
            continue;
        store_table_name(scope, &scope->tables[i], name);
        buffer_clear(&my->sql);
        buffer_printf(&my->sql, "INSERT INTO readside_tables (name, pipeline, version) VALUES ('%s', ", name);
        my_print_string(&my->sql, scope->pipeline);
        buffer_printf(&my->sql, ", %" PRId32 ") ON DUPLICATE KEY UPDATE name = readside_tables.name", scope->version);
        result = buffer_failed(&my->sql) ? my_out_of_memory(ret_error) : my_execute(my, my->sql.data, ret_error);
    }
    return result;
}

int my_enter_version(struct my_store *my, struct error *ret_error)
{
    static const my_job steps[] = {enter_projection, other_revision, late_table, enter_tables, my_refuse_foreign, left_table};
    int result = 0;

    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && result == 0; i++)
        result = steps[i](my, ret_error);
    return result;
}

/* ---- Of a table that is not there ---- */

/* A version that has positions and entered the table has lost it; else it never had it. */
int my_refuse_missing(struct my_store *my, const char *name, struct error *ret_error)
{
    int64_t n = 0, n_entered = 0;
    int result = my_query_number(my,
                                 "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() "
                                 "AND table_name IN ('readside_positions', 'readside_tables')",
                                 &n, ret_error);

    if (result != 0 || n < 2)
        return result;
    buffer_clear(&my->sql);
    buffer_puts(&my->sql, "SELECT EXISTS (SELECT 1 FROM readside_positions WHERE ");
    my_print_scope(my, &my->sql);
    buffer_putc(&my->sql, ')');
    result = buffer_failed(&my->sql) ? my_out_of_memory(ret_error) : my_query_number(my, my->sql.data, &n, ret_error);
    if (result != 0 || n == 0)
        return result;
    buffer_clear(&my->sql);
    buffer_printf(&my->sql, "SELECT EXISTS (SELECT 1 FROM readside_tables WHERE name = '%s')", name);
    result = buffer_failed(&my->sql) ? my_out_of_memory(ret_error) : my_query_number(my, my->sql.data, &n_entered, ret_error);
    if (result != 0)
        return result;
    return n_entered != 0 ? refuse_lost_table(name, ret_error) : refuse_late_table(&my->store.scope, name, ret_error);
}
