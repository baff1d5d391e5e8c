/*
 * mysql_check - the tables as they are, compared with what the plugin declares. See mysql.h. Never changes anything.
 */
#include "store/mysql.h"

#include <stdio.h>
#include <string.h>

/* ---- Questions ---- */

int my_relation_kind(struct my_store *my, const char *name, char ret_kind[32], struct error *ret_error)
{
    MYSQL_RES *rows;
    MYSQL_ROW row;
    char sql[300];
    int result;

    snprintf(sql, sizeof sql,
             "SELECT table_type FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '%s'", name);
    result = my_query(my, sql, &rows, ret_error);
    if (result != 0)
        return result;
    row = mysql_fetch_row(rows);
    snprintf(ret_kind, 32, "%s", row == NULL || row[0] == NULL ? "" : row[0]);
    mysql_free_result(rows);
    return 0;
}

/* MySQL knows what a view uses; MariaDB only the view's text. */
int my_view_shows(struct my_store *my, const char *view, const char *name, bool *ret_shows, struct error *ret_error)
{
    char sql[500];
    int64_t n = 0;
    int result;

    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM information_schema.views WHERE table_schema = DATABASE() AND table_name = '%s' "
             "AND view_definition LIKE '%%`%s`%%'",
             view, name);
    result = my_query_number(my, sql, &n, ret_error);
    *ret_shows = n > 0;
    return result;
}

int my_has_index(struct my_store *my, const struct table *table, const struct index *index, bool *ret_has, struct error *ret_error)
{
    char name[STORE_NAME_SIZE], index_name[STORE_NAME_SIZE], sql[400];
    int64_t n = 0;
    int result;

    store_table_name(&my->store.scope, table, name);
    store_index_name(&my->store.scope, table, index, index_name);
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = '%s' "
             "AND index_name = '%s'",
             name, index_name);
    result = my_query_number(my, sql, &n, ret_error);
    *ret_has = n > 0;
    return result;
}

enum { NAME, TYPE, IS_NULLABLE, HAS_DEFAULT, EXTRA, COLLATION, DEFAULT };

static int select_columns(struct my_store *my, const char *table, MYSQL_RES **ret_rows, struct error *ret_error)
{
    char sql[900];

    /* The display width of integers is no part of the type; MariaDB tells it. */
    snprintf(sql, sizeof sql,
             "SELECT column_name, CASE WHEN data_type IN ('bigint', 'int', 'tinyint', 'smallint', 'mediumint') "
             "THEN CONCAT(data_type, IF(column_type LIKE '%%unsigned%%', ' unsigned', '')) ELSE column_type END, is_nullable, "
             "column_default IS NOT NULL AND NOT (is_nullable = 'YES' AND column_default = 'NULL'), extra, collation_name, "
             "column_default "
             "FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = '%s' ORDER BY ordinal_position",
             table);
    return my_query(my, sql, ret_rows, ret_error);
}

static MYSQL_ROW find_column(MYSQL_RES *rows, const char *name)
{
    MYSQL_ROW row;

    mysql_data_seek(rows, 0);
    while ((row = mysql_fetch_row(rows)) != NULL)
        if (strcmp(row[NAME], name) == 0)
            return row;
    return NULL;
}

static bool is_computed(MYSQL_ROW row)
{
    return row[EXTRA] != NULL && (strstr(row[EXTRA], "GENERATED") != NULL || strstr(row[EXTRA], "auto_increment") != NULL) &&
           strstr(row[EXTRA], "DEFAULT_GENERATED") == NULL;
}

static bool has_default(MYSQL_ROW row)
{
    return (row[HAS_DEFAULT] != NULL && row[HAS_DEFAULT][0] == '1') ||
           (row[EXTRA] != NULL && strstr(row[EXTRA], "DEFAULT_GENERATED") != NULL);
}

static bool is_not_null(MYSQL_ROW row)
{
    return strcmp(row[IS_NULLABLE], "NO") == 0;
}

/* ---- One table ---- */

/* What is wanted of a column, and by whom: "the plugin declares". */
struct wanted {
    const char *name;
    const char *type;
    bool is_not_null;
    bool is_exact; /* it must compare byte by byte */
    bool has_default;
    const char *by;
};

static void compare_one(struct buffer *out, const struct wanted *wanted, MYSQL_RES *found)
{
    MYSQL_ROW row = find_column(found, wanted->name);

    if (row == NULL) {
        buffer_printf(out, "; column %s is missing", wanted->name);
        return;
    }
    if (strcmp(row[TYPE], wanted->type) != 0)
        buffer_printf(out, "; column %s is %s, %s %s", wanted->name, row[TYPE], wanted->by, wanted->type);
    if (is_not_null(row) != wanted->is_not_null)
        buffer_printf(out, "; column %s is %s, %s %s", wanted->name, wanted->is_not_null ? "nullable" : "not null", wanted->by,
                      wanted->is_not_null ? "not null" : "nullable");
    if (wanted->has_default && !is_computed(row) && !has_default(row))
        buffer_printf(out, "; column %s has no default", wanted->name);
    if (wanted->is_exact && !my_is_exact_collation(row[COLLATION]))
        buffer_printf(out, "; column %s has the collation %s, in which different texts can be equal", wanted->name,
                      row[COLLATION] == NULL ? "of no text" : row[COLLATION]);
}

static bool is_text(enum rs_type type)
{
    return type == RS_TEXT || type == RS_JSON;
}

static void compare_column(struct buffer *out, const struct table *table, uint32_t number, MYSQL_RES *found)
{
    const struct column *column = &table->columns[number];
    char type[MY_TYPE_SIZE];
    MYSQL_ROW row = find_column(found, column->name);

    my_type_name(table, number, type);
    compare_one(out,
                &(struct wanted){.name = column->name,
                                 .type = type,
                                 .is_not_null = column->is_key || column->is_not_null,
                                 .is_exact = is_text(column->type),
                                 .has_default = !column->is_key && !column->fallback.is_null,
                                 .by = "the plugin declares"},
                found);
    if (row != NULL && is_computed(row))
        buffer_printf(out, "; column %s is computed by the server", column->name);
}

/* Nobody gives it a value. */
static void tell_undeclared(struct buffer *out, MYSQL_ROW row)
{
    if (is_not_null(row) && !has_default(row) && !is_computed(row))
        buffer_printf(out, "; column %s is not declared, is not null and has no default", row[NAME]);
}

static bool is_declared(const struct table *table, const char *name)
{
    for (uint32_t i = 0; i < table->n_columns; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return true;
    return !table->is_shared && strcmp(name, "readside_partition") == 0;
}

static void compare_columns(struct buffer *out, const struct table *table, MYSQL_RES *found)
{
    MYSQL_ROW row;

    for (uint32_t i = 0; i < table->n_columns; i++)
        compare_column(out, table, i, found);
    row = find_column(found, "readside_partition");
    if (!table->is_shared && row == NULL)
        buffer_puts(out, "; column readside_partition is missing");
    else if (!table->is_shared && (strcmp(row[TYPE], "int") != 0 || !is_not_null(row)))
        buffer_puts(out, "; column readside_partition is not int NOT NULL");
    mysql_data_seek(found, 0);
    while ((row = mysql_fetch_row(found)) != NULL)
        if (!is_declared(table, row[NAME]))
            tell_undeclared(out, row);
}

static int compare_defaults(struct my_store *my, const struct table *table, MYSQL_RES *found, struct buffer *out,
                            struct error *ret_error)
{
    int result = 0;

    for (uint32_t i = 0; i < table->n_columns && result == 0; i++) {
        MYSQL_ROW row = find_column(found, table->columns[i].name);

        if (row != NULL && !table->columns[i].is_key && has_default(row) && !is_computed(row))
            result = my_compare_default(my, &table->columns[i], row[DEFAULT], strstr(row[EXTRA], "DEFAULT_GENERATED") != NULL, out,
                                        ret_error);
    }
    return result;
}

/* names: as declared, NULL behind the last. by: who declares them. */
static int compare_key(struct my_store *my, const char *table, const char *const *names, const char *by, struct buffer *out,
                       struct error *ret_error)
{
    MYSQL_RES *rows;
    MYSQL_ROW row;
    char sql[400];
    bool is_other = false;
    size_t n = 0;
    int result;

    snprintf(
        sql, sizeof sql,
        "SELECT column_name, sub_part FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = '%s' "
        "AND index_name = 'PRIMARY' ORDER BY seq_in_index",
        table);
    result = my_query(my, sql, &rows, ret_error);
    if (result != 0)
        return result;
    while ((row = mysql_fetch_row(rows)) != NULL) {
        is_other = is_other || names[n] == NULL || strcmp(row[0], names[n]) != 0 || row[1] != NULL;
        n += names[n] != NULL;
    }
    if (is_other || names[n] != NULL)
        buffer_printf(out, "; the primary key is another than %s", by);
    mysql_free_result(rows);
    return 0;
}

/* A view of another version is not ours to judge. */
static int compare_view(struct my_store *my, const struct table *table, const char *name, struct buffer *out,
                        struct error *ret_error)
{
    MYSQL_RES *found;
    bool shows = false;
    char kind[32];
    int result = my_relation_kind(my, table->name, kind, ret_error);

    if (result != 0)
        return result;
    if (kind[0] == '\0') {
        buffer_printf(out, "; the view %s is missing", table->name);
        return 0;
    }
    if (strcmp(kind, "VIEW") != 0)
        return error_set(ret_error, ERROR_CONFIG,
                         "something named %s exists and is not a view; Readside shows its table under this name: rename or drop it",
                         table->name);
    result = my_view_shows(my, table->name, name, &shows, ret_error);
    if (result != 0 || !shows)
        return result;
    result = select_columns(my, table->name, &found, ret_error);
    for (uint32_t i = 0; i < table->n_columns && result == 0; i++)
        if (find_column(found, table->columns[i].name) == NULL)
            buffer_printf(out, "; the view %s lacks column %s", table->name, table->columns[i].name);
    if (result == 0)
        mysql_free_result(found);
    return result;
}

/* An index changes no row: one that is missing is told, not refused. */
static int look_for_indexes(struct my_store *my, const struct table *table, const char *name, struct error *ret_error)
{
    int result = 0;

    for (uint32_t i = 0; i < table->n_indexes && result == 0; i++) {
        char index[STORE_NAME_SIZE];
        bool is_there = false;

        store_index_name(&my->store.scope, table, &table->indexes[i], index);
        result = my_has_index(my, table, &table->indexes[i], &is_there, ret_error);
        buffer_clear(&my->sql);
        my_print_index(&my->sql, &my->store.scope, table, &table->indexes[i]);
        if (result == 0 && !is_there && !buffer_failed(&my->sql))
            store_advise_index(&my->store, name, index, INDEX_IS_MISSING, my->sql.data);
    }
    return result;
}

/* ---- The whole ---- */

static int compare_found(struct my_store *my, const struct table *table, const char *name, MYSQL_RES *found, struct buffer *out,
                         struct error *ret_error)
{
    const char *keys[RS_MAX_KEYS + 1] = {0};
    int result;

    compare_columns(out, table, found);
    for (uint32_t i = 0; i < table->n_keys; i++)
        keys[i] = table->columns[table->keys[i]].name;
    result = compare_defaults(my, table, found, out, ret_error);
    if (result == 0)
        result = compare_key(my, name, keys, "the plugin declares", out, ret_error);
    if (result == 0)
        result = compare_view(my, table, name, out, ret_error);
    return result == 0 ? look_for_indexes(my, table, name, ret_error) : result;
}

static int compare_table(struct my_store *my, const struct table *table, struct findings *findings, struct error *ret_error)
{
    char name[STORE_NAME_SIZE];
    struct buffer out = BUFFER_INIT;
    MYSQL_RES *found;
    int result;

    store_table_name(&my->store.scope, table, name);
    result = select_columns(my, name, &found, ret_error);
    if (result != 0)
        return result;
    if (mysql_num_rows(found) > 0)
        result = compare_found(my, table, name, found, &out, ret_error);
    else if ((result = my_refuse_missing(my, name, ret_error)) == 0)
        findings_note_missing(findings, name);
    if (result == 0 && buffer_failed(&out))
        result = my_out_of_memory(ret_error);
    if (result == 0 && out.size > 0)
        findings_note_drift(findings, name, out.data);
    mysql_free_result(found);
    buffer_free(&out);
    return result;
}

static bool is_host_column(const struct host_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (host_column_is_of(&table->columns[i], "mysql") && strcmp(table->columns[i].name, name) == 0)
            return true;
    return false;
}

static void compare_host_columns(struct buffer *out, const struct host_table *table, MYSQL_RES *found)
{
    MYSQL_ROW row;

    for (size_t i = 0; i < table->n_columns; i++) {
        const struct host_column *column = &table->columns[i];

        if (host_column_is_of(column, "mysql"))
            compare_one(out,
                        &(struct wanted){.name = column->name,
                                         .type = my_host_type(table, column),
                                         .is_not_null = !column->is_null,
                                         .is_exact = column->type == HOST_NAME || column->type == HOST_TEXT,
                                         .has_default = column->fallback != NULL || column->type == HOST_NUMBER ||
                                                        (column->type == HOST_TIME && !column->is_null),
                                         .by = "Readside needs"},
                        found);
    }
    mysql_data_seek(found, 0);
    while ((row = mysql_fetch_row(found)) != NULL)
        if (!is_host_column(table, row[NAME]))
            tell_undeclared(out, row);
}

static int check_host_table(struct my_store *my, const struct host_table *table, struct findings *findings, struct error *ret_error)
{
    struct buffer out = BUFFER_INIT;
    MYSQL_RES *found;
    int result = select_columns(my, table->name, &found, ret_error);

    if (result != 0)
        return result;
    if (mysql_num_rows(found) == 0) {
        findings_note_missing(findings, table->name);
    } else {
        compare_host_columns(&out, table, found);
        result = compare_key(my, table->name, table->keys, "Readside needs", &out, ret_error);
        if (result == 0 && buffer_failed(&out))
            result = my_out_of_memory(ret_error);
        if (result == 0 && out.size > 0)
            findings_note_host_drift(findings, table->name, out.data);
    }
    mysql_free_result(found);
    buffer_free(&out);
    return result;
}

int my_check(struct my_store *my, struct error *ret_error)
{
    const struct store_scope *scope = &my->store.scope;
    struct findings findings = {0};
    int result = 0;

    for (size_t i = 0; i < HOST_TABLES && result == 0; i++)
        result = check_host_table(my, &host_tables[i], &findings, ret_error);
    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++) {
        struct error failure = {0};

        if (scope->tables[i].is_omitted)
            continue;
        result = compare_table(my, &scope->tables[i], &findings, &failure);
        result = findings_take(&findings, result, &failure, my->connection != NULL, ret_error);
    }
    if (result == 0 && findings.n_missing == 0 && !findings.has_host_drift)
        result = my_check_version(my, &findings, ret_error);
    if (result == 0)
        return findings_judge(&findings, NULL, ret_error);
    findings_free(&findings);
    return result;
}
