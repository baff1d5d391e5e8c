/*
 * postgres_rows - the rows of a batch: one statement a group, prepared once a shape, with one array a column. Called by postgres_write.c.
 *
 * Three statements upsert: one that asks whether the rows were there, a plain insert for rows taken for new ones, and ON CONFLICT
 * (enum pg_met in postgres.h).
 */
#include "store/postgres.h"

/* One array a column of the group, and the partition's. */
static void put_rows(struct pg_parameters *parameters, const struct change_group *group)
{
    const struct table *table = group->table;

    for (uint32_t i = 0; i < table->n_columns; i++) {
        const struct pg_type *type = pg_type_of(table->columns[i].type);

        if (!store_group_has(group, i))
            continue;
        pg_begin_array(parameters, type->array_oid, type->oid, group->n_rows);
        for (size_t j = 0; j < group->n_rows; j++)
            pg_element_cell(parameters, &table->columns[i], &group->rows[j]->cells[i]);
        pg_end_array(parameters);
    }
    if (table->is_shared)
        return;
    pg_begin_array(parameters, PG_INT4_ARRAY, PG_INT4, group->n_rows);
    for (size_t j = 0; j < group->n_rows; j++)
        pg_element_int4(parameters, group->rows[j]->partition);
    pg_end_array(parameters);
}

/* unnest($1::bigint[], ...) over the columns of the group. */
static void print_unnest(struct buffer *sql, const struct change_group *group)
{
    int n = 0;

    buffer_puts(sql, "unnest(");
    for (uint32_t i = 0; i < group->table->n_columns; i++)
        if (store_group_has(group, i)) {
            buffer_printf(sql, "%s$%d::%s[]", n > 0 ? ", " : "", n + 1, pg_type_of(group->table->columns[i].type)->name);
            n++;
        }
    if (!group->table->is_shared)
        buffer_printf(sql, "%s$%d::int4[]", n > 0 ? ", " : "", n + 1);
    buffer_puts(sql, ")");
}

static void print_names(struct buffer *sql, const struct change_group *group)
{
    bool is_first = true;

    for (uint32_t i = 0; i < group->table->n_columns; i++)
        if (store_group_has(group, i)) {
            buffer_printf(sql, "%s\"%s\"", is_first ? "" : ", ", group->table->columns[i].name);
            is_first = false;
        }
    if (!group->table->is_shared)
        buffer_puts(sql, ", readside_partition");
}

/* An expression that cannot be cast, with words for a person: the row's key, and whose it is. */
static void print_mismatch(struct buffer *sql, const struct table *table, const char *theirs)
{
    buffer_puts(sql, "('" PG_MARK "row '");
    for (uint32_t i = 0; i < table->n_keys; i++) {
        buffer_puts(sql, i > 0 ? " || ', ' || left(t." : " || left(t.");
        pg_print_name(sql, table->columns[table->keys[i]].name);
        buffer_puts(sql, "::text, 80)");
    }
    buffer_printf(sql, " || ' of %s belongs to partition ' || t.readside_partition || ', and an event of partition ' || %s || "
                       "' touches it')::int4",
                  table->name, theirs);
}

static void print_assignment(struct buffer *sql, const struct column *column, uint8_t operation)
{
    const char *collate = column->type == RS_TEXT ? " COLLATE \"C\"" : "", *name = column->name;

    switch (operation) {
    case CELL_ADD:
        buffer_printf(sql, "\"%s\" = COALESCE(t.\"%s\", 0) + EXCLUDED.\"%s\"", name, name, name);
        break;
    case CELL_MAX:
        buffer_printf(sql, "\"%s\" = GREATEST(t.\"%s\"%s, EXCLUDED.\"%s\")", name, name, collate, name);
        break;
    case CELL_MIN:
        buffer_printf(sql, "\"%s\" = LEAST(t.\"%s\"%s, EXCLUDED.\"%s\")", name, name, collate, name);
        break;
    default: /* CELL_SET */
        buffer_printf(sql, "\"%s\" = EXCLUDED.\"%s\"", name, name);
        break;
    }
}

static void print_keys(struct buffer *sql, const struct table *table)
{
    for (uint32_t i = 0; i < table->n_keys; i++)
        buffer_printf(sql, "%s\"%s\"", i > 0 ? ", " : "", table->columns[table->keys[i]].name);
}

static void print_insert(struct buffer *sql, const struct store_scope *scope, const struct change_group *group)
{
    char name[STORE_NAME_SIZE];

    store_table_name(scope, group->table, name);
    buffer_printf(sql, "INSERT INTO \"%s\" AS t (", name);
    print_names(sql, group);
    buffer_puts(sql, ") SELECT * FROM ");
    print_unnest(sql, group);
}

static void print_upsert(struct buffer *sql, const struct store_scope *scope, const struct change_group *group)
{
    const struct table *table = group->table;
    bool is_first = true;

    print_insert(sql, scope, group);
    buffer_puts(sql, " ON CONFLICT (");
    print_keys(sql, table);
    buffer_puts(sql, ") DO UPDATE SET ");
    for (uint32_t i = 0; i < table->n_columns; i++) {
        if (table->columns[i].is_key || !store_group_has(group, i))
            continue;
        if (!is_first)
            buffer_puts(sql, ", ");
        print_assignment(sql, &table->columns[i], group->operations[i]);
        is_first = false;
    }
    if (table->is_shared)
        return;
    buffer_puts(sql, ", readside_partition = CASE WHEN t.readside_partition = EXCLUDED.readside_partition "
                     "THEN t.readside_partition ELSE ");
    print_mismatch(sql, table, "EXCLUDED.readside_partition");
    buffer_puts(sql, " END");
}

static void print_delete(struct buffer *sql, const struct store_scope *scope, const struct change_group *group)
{
    const struct table *table = group->table;
    char name[STORE_NAME_SIZE];

    store_table_name(scope, table, name);
    buffer_printf(sql, "WITH t AS (DELETE FROM \"%s\" d USING ", name);
    print_unnest(sql, group);
    buffer_puts(sql, " AS u(");
    print_names(sql, group);
    buffer_puts(sql, ") WHERE ");
    for (uint32_t i = 0; i < table->n_keys; i++) {
        const char *key = table->columns[table->keys[i]].name;

        buffer_printf(sql, "%sd.\"%s\" = u.\"%s\"", i > 0 ? " AND " : "", key, key);
    }
    buffer_puts(sql, " RETURNING ");
    for (uint32_t i = 0; i < table->n_keys; i++)
        buffer_printf(sql, "d.\"%s\", ", table->columns[table->keys[i]].name);
    buffer_puts(sql, "d.readside_partition, u.readside_partition AS readside_theirs) "
                     "SELECT count(CASE WHEN t.readside_partition <> t.readside_theirs THEN ");
    print_mismatch(sql, table, "t.readside_theirs");
    buffer_puts(sql, " END) FROM t");
}

/* The upsert, and how many of the rows were there: what ON CONFLICT has updated was locked first, and keeps the mark of it. */
static void print_asking_upsert(struct buffer *sql, const struct store_scope *scope, const struct change_group *group)
{
    buffer_puts(sql, "WITH w AS (");
    print_upsert(sql, scope, group);
    buffer_puts(sql, " RETURNING t.xmax) SELECT count(*) FILTER (WHERE xmax <> 0) FROM w");
}

/*
 * A plain insert would go through in a table that has lost its key. This inserts nothing, but the planner refuses it without the key
 * (42P10), as it does an upsert; and it holds the table, so that the key stays until the transaction ends.
 */
static void print_key_guard(struct buffer *sql, const struct store_scope *scope, const struct table *table)
{
    char name[STORE_NAME_SIZE];

    store_table_name(scope, table, name);
    buffer_printf(sql, "INSERT INTO \"%s\" (", name);
    print_keys(sql, table);
    buffer_puts(sql, ") SELECT ");
    print_keys(sql, table);
    buffer_printf(sql, " FROM \"%s\" WHERE false ON CONFLICT (", name);
    print_keys(sql, table);
    buffer_puts(sql, ") DO NOTHING");
}

int pg_send_key_guard(struct postgres *pg, const struct table *table, struct error *ret_error)
{
    struct buffer sql = BUFFER_INIT;

    print_key_guard(&sql, &pg->store.scope, table);
    return pg_send_printed(pg, &sql, NULL, true, ret_error);
}

/* Rows of shared tables are there nearly always. */
static enum pg_met met_in(const struct postgres *pg, const struct change_group *group)
{
    return group->table->is_shared ? PG_MET_KNOWN : (enum pg_met)pg->met[group->table->id];
}

bool pg_is_of_new_rows(const struct postgres *pg, const struct change_group *group)
{
    return group->change == CHANGE_UPSERT && met_in(pg, group) == PG_MET_NEW;
}

int pg_send_group(struct postgres *pg, const struct change_group *group, struct error *ret_error)
{
    struct buffer sql = BUFFER_INIT;
    bool is_asking = group->change == CHANGE_UPSERT && met_in(pg, group) == PG_MET_NOTHING;

    if (group->change == CHANGE_DELETE)
        print_delete(&sql, &pg->store.scope, group);
    else if (is_asking)
        print_asking_upsert(&sql, &pg->store.scope, group);
    else if (pg_is_of_new_rows(pg, group))
        print_insert(&sql, &pg->store.scope, group);
    else
        print_upsert(&sql, &pg->store.scope, group);
    put_rows(&pg->parameters, group);
    return pg_send_printed(pg, &sql, &pg->parameters, !is_asking, ret_error);
}
