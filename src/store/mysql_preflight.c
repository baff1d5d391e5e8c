/*
 * mysql_preflight - what would make a batch's result depend on how events are batched, could not be rolled back with its positions,
 * or would fail later. See mysql.h. Never changes anything.
 */
#include "store/mysql.h"

#include <stdio.h>
#include <string.h>

struct objection {
    const char *sql; /* about the table %s: a row with the end of a sentence for each thing that is wrong with it */
    const char *way_out;
};

static const char batching[] =
    "whether a batch is accepted would depend on how events are batched: drop it, or allow_constraints = true";

static const struct objection lasting[] = {
    {"SELECT CONCAT('is of the engine ', engine) FROM information_schema.tables WHERE table_schema = DATABASE() "
     "AND table_name = '%s' AND engine <> 'InnoDB'",
     "its rows would not be rolled back with their positions: ALTER TABLE ... ENGINE = InnoDB"},
    {"SELECT 'is temporary or a sequence' FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '%s' "
     "AND table_type NOT IN ('BASE TABLE', 'SYSTEM VERSIONED')",
     "make it an ordinary table"},
};

/* Who lacks it is shown no triggers; of privileges that come by a role the server tells nothing. */
#define MINE "grantee = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''') AND privilege_type = 'TRIGGER'"

static const struct objection allowable[] = {
    {"SELECT 'may have triggers that this user cannot see' FROM DUAL WHERE "
     "NOT EXISTS (SELECT 1 FROM information_schema.user_privileges WHERE " MINE ") AND "
     "NOT EXISTS (SELECT 1 FROM information_schema.schema_privileges WHERE " MINE " AND DATABASE() LIKE table_schema) AND "
     "NOT EXISTS (SELECT 1 FROM information_schema.table_privileges WHERE " MINE " AND table_schema = DATABASE() AND "
     "table_name = '%s')",
     "grant the user TRIGGER on the database, or allow_constraints = true"},
    {"SELECT CONCAT('has the trigger ', trigger_name) FROM information_schema.triggers WHERE event_object_schema = DATABASE() "
     "AND event_object_table = '%s'",
     batching},
    {"SELECT CONCAT('has the constraint ', constraint_name) FROM information_schema.table_constraints WHERE table_schema = "
     "DATABASE() "
     "AND table_name = '%s' AND constraint_type IN ('CHECK', 'FOREIGN KEY')",
     batching},
    {"SELECT CONCAT('is referenced by the foreign key ', constraint_name) FROM information_schema.referential_constraints "
     "WHERE unique_constraint_schema = DATABASE() AND referenced_table_name = '%s'",
     batching},
    {"SELECT CONCAT('has the unique index ', index_name) FROM information_schema.statistics WHERE table_schema = DATABASE() "
     "AND table_name = '%s' AND non_unique = 0 AND index_name <> 'PRIMARY'",
     batching},
};

static int refuse_if(struct my_store *my, const char *name, const struct objection *objection, struct error *ret_error)
{
    MYSQL_RES *rows;
    MYSQL_ROW row;
    char sql[1000];
    const char *place = strstr(objection->sql, "%s");
    int result;

    snprintf(sql, sizeof sql, "%.*s%s%s", (int)(place - objection->sql), objection->sql, name, place + 2);
    result = my_query(my, sql, &rows, ret_error);
    if (result != 0)
        return result;
    row = mysql_fetch_row(rows);
    if (row != NULL)
        result = error_set(ret_error, ERROR_CONFIG, "table %s %s; %s", name, row[0] == NULL ? "is not as it should be" : row[0],
                           objection->way_out);
    mysql_free_result(rows);
    return result;
}

/* Statements that touch no row: the server looks at privileges before it does anything. column: any of the table's. */
static int check_privileges(struct my_store *my, const char *name, const char *column, bool may_delete, struct error *ret_error)
{
    struct buffer sql = BUFFER_INIT;
    int result;

    buffer_printf(&sql, "SELECT 1 FROM `%s` WHERE false FOR UPDATE", name);
    if (may_delete)
        buffer_printf(&sql, "; DELETE FROM `%s` WHERE false", name);
    buffer_printf(&sql, "; INSERT INTO `%s` SELECT * FROM `%s` WHERE false; UPDATE `%s` SET `%s` = `%s` WHERE false", name, name,
                  name, column, column);
    result = my_script(my, &sql, NULL, NULL, ret_error);
    buffer_free(&sql);
    return result;
}

static int preflight_table(struct my_store *my, const char *name, const char *column, bool is_projection, struct error *ret_error)
{
    bool is_judged = is_projection && !my->store.settings.allow_constraints;
    int result = check_privileges(my, name, column, is_projection, ret_error);

    for (size_t i = 0; i < sizeof lasting / sizeof lasting[0] && result == 0; i++)
        result = refuse_if(my, name, &lasting[i], ret_error);
    for (size_t i = 0; i < sizeof allowable / sizeof allowable[0] && result == 0 && is_judged; i++)
        result = refuse_if(my, name, &allowable[i], ret_error);
    return result;
}

int my_preflight(struct my_store *my, struct error *ret_error)
{
    const struct store_scope *scope = &my->store.scope;
    int result = 0;

    for (size_t i = 0; i < HOST_TABLES && result == 0; i++)
        if (strcmp(host_tables[i].name, "readside_audit") != 0) /* operators' */
            result = preflight_table(my, host_tables[i].name, host_tables[i].keys[0], false, ret_error);
    for (uint32_t i = 0; i < scope->n_tables && result == 0; i++) {
        const struct table *table = &scope->tables[i];
        char name[STORE_NAME_SIZE];

        if (table->is_omitted)
            continue;
        store_table_name(scope, table, name);
        result = preflight_table(my, name, table->columns[table->keys[0]].name, true, ret_error);
    }
    return result == 0 ? my_refuse_filled(my, ret_error) : result;
}
