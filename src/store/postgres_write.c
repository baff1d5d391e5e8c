/*
 * postgres_write - one batch: BEGIN, compare-and-set of the positions, rows, messages, COMMIT, in one pipeline with one Sync.
 *
 * The compare-and-set raises in the server when its count is wrong, so that the COMMIT behind it is skipped; which statement
 * failed tells what it means (design section 6).
 */
#include "store/postgres.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char marker[] = "readside: ";

/* ---- Positions ---- */

static const char compare_and_set[] =
    "WITH moved AS (UPDATE readside_positions p SET next_offset = u.next, commit_seq = p.commit_seq + 1, "
    "events = p.events + u.events, leader_epoch = u.leader_epoch, "
    "state = CASE WHEN u.halt_kind IS NULL THEN 'running' ELSE 'halted' END, halt_kind = u.halt_kind, "
    "halt_reason = u.halt_reason, updated_at = now() "
    "FROM unnest($4::text[], $5::int4[], $6::int8[], $7::int8[], $8::int8[], $9::int8[], $10::int4[], $11::text[], $12::text[]) "
    "AS u(topic, part, base, next, epoch, events, leader_epoch, halt_kind, halt_reason) "
    "WHERE p.pipeline = $1 AND p.version = $2 AND p.topic = u.topic AND p.part = u.part AND p.owner = $3 "
    "AND p.epoch = u.epoch AND p.next_offset = u.base RETURNING 1) "
    "SELECT 1 / (CASE WHEN count(*) = $13 THEN 1 ELSE 0 END) FROM moved";

static void put_moves(struct pg_parameters *parameters, const struct store_move *moves, size_t n)
{
    pg_begin_array(parameters, 1009, 25, n);
    for (size_t i = 0; i < n; i++)
        pg_element_text(parameters, moves[i].topic);
    pg_end_array(parameters);
    pg_begin_array(parameters, 1007, 23, n);
    for (size_t i = 0; i < n; i++)
        pg_element_int4(parameters, moves[i].partition);
    pg_end_array(parameters);
    for (int column = 0; column < 4; column++) {
        pg_begin_array(parameters, 1016, 20, n);
        for (size_t i = 0; i < n; i++)
            pg_element_int8(parameters, column == 0   ? moves[i].base
                                        : column == 1 ? moves[i].next
                                        : column == 2 ? moves[i].epoch
                                                      : moves[i].events);
        pg_end_array(parameters);
    }
    pg_begin_array(parameters, 1007, 23, n);
    for (size_t i = 0; i < n; i++)
        pg_element_int4(parameters, moves[i].leader_epoch);
    pg_end_array(parameters);
    pg_begin_array(parameters, 1009, 25, n);
    for (size_t i = 0; i < n; i++)
        pg_element_text(parameters, moves[i].halt_kind);
    pg_end_array(parameters);
    pg_begin_array(parameters, 1009, 25, n);
    for (size_t i = 0; i < n; i++)
        pg_element_text(parameters, moves[i].halt_reason);
    pg_end_array(parameters);
}

static int send_moves(struct postgres *pg, const struct store_write *write, struct error *ret_error)
{
    struct pg_parameters *parameters = &pg->parameters;

    pg_put_text(parameters, pg->store.scope.pipeline);
    pg_put_int4(parameters, pg->store.scope.version);
    pg_put_uuid(parameters, pg->store.scope.owner);
    put_moves(parameters, write->moves, write->n_moves);
    pg_put_int8(parameters, (int64_t)write->n_moves);
    return pg_send(pg, compare_and_set, parameters, true, ret_error);
}

/* ---- Rows ---- */

static bool is_in_group(const struct change_group *group, uint32_t column)
{
    return group->table->columns[column].is_key ||
           (group->change == CHANGE_UPSERT && group->operations[column] != CELL_NONE);
}

/* One array a column of the group, and the partition's. */
static void put_rows(struct pg_parameters *parameters, const struct change_group *group)
{
    const struct table *table = group->table;

    for (uint32_t i = 0; i < table->n_columns; i++) {
        const struct pg_type *type = pg_type_of(table->columns[i].type);

        if (!is_in_group(group, i))
            continue;
        pg_begin_array(parameters, type->array_oid, type->oid, group->n_rows);
        for (size_t j = 0; j < group->n_rows; j++)
            pg_element_cell(parameters, &table->columns[i], &group->rows[j]->cells[i]);
        pg_end_array(parameters);
    }
    if (table->is_shared)
        return;
    pg_begin_array(parameters, 1007, 23, group->n_rows);
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
        if (is_in_group(group, i)) {
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
        if (is_in_group(group, i)) {
            buffer_printf(sql, "%s\"%s\"", is_first ? "" : ", ", group->table->columns[i].name);
            is_first = false;
        }
    if (!group->table->is_shared)
        buffer_puts(sql, ", readside_partition");
}

/* An expression that cannot be cast, with words for a person: PostgreSQL's way to raise within plain SQL. */
static void print_mismatch(struct buffer *sql, const struct table *table, const char *theirs)
{
    buffer_printf(sql, "('%srow ' || t.\"%s\"::text || ' of %s belongs to partition ' || t.readside_partition || "
                       "', and an event of partition ' || %s || ' touches it')::int",
                  marker, table->columns[table->keys[0]].name, table->name, theirs);
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
    default:
        buffer_printf(sql, "\"%s\" = EXCLUDED.\"%s\"", name, name);
        break;
    }
}

static void print_keys(struct buffer *sql, const struct table *table)
{
    for (uint32_t i = 0; i < table->n_keys; i++)
        buffer_printf(sql, "%s\"%s\"", i > 0 ? ", " : "", table->columns[table->keys[i]].name);
}

static void print_upsert(struct buffer *sql, const struct store_scope *scope, const struct change_group *group)
{
    const struct table *table = group->table;
    char name[STORE_NAME_SIZE];
    bool is_first = true;

    store_table_name(scope, table, name);
    buffer_printf(sql, "INSERT INTO \"%s\" AS t (", name);
    print_names(sql, group);
    buffer_puts(sql, ") SELECT * FROM ");
    print_unnest(sql, group);
    buffer_puts(sql, " ON CONFLICT (");
    print_keys(sql, table);
    buffer_puts(sql, ") DO UPDATE SET ");
    for (uint32_t i = 0; i < table->n_columns; i++) {
        if (table->columns[i].is_key || !is_in_group(group, i))
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
    buffer_printf(sql, " RETURNING d.\"%s\", d.readside_partition, u.readside_partition AS theirs) "
                       "SELECT count(CASE WHEN t.readside_partition <> t.theirs THEN ",
                  table->columns[table->keys[0]].name);
    print_mismatch(sql, table, "t.theirs");
    buffer_puts(sql, " END) FROM t");
}

static int send_group(struct postgres *pg, const struct change_group *group, struct error *ret_error)
{
    struct buffer sql = BUFFER_INIT;
    int result;

    if (group->change == CHANGE_DELETE)
        print_delete(&sql, &pg->store.scope, group);
    else
        print_upsert(&sql, &pg->store.scope, group);
    put_rows(&pg->parameters, group);
    result = buffer_failed(&sql) ? error_set(ret_error, ERROR_BUG, "out of memory for a statement")
                                 : pg_send(pg, sql.data, &pg->parameters, true, ret_error);
    buffer_free(&sql);
    return result;
}

/* ---- Messages ---- */

static const char insert_messages[] =
    "INSERT INTO readside_outbox (pipeline, version, topic, key, value, headers, source_topic, source_part, source_offset) "
    "SELECT $1, $2, * FROM unnest($3::text[], $4::bytea[], $5::bytea[], $6::jsonb[], $7::text[], $8::int4[], $9::int8[])";

static void put_bytes_column(struct pg_parameters *parameters, const struct outbox_message *messages, size_t n, bool is_key)
{
    pg_begin_array(parameters, 1001, 17, n);
    for (size_t i = 0; i < n; i++) {
        const struct rs_bytes *bytes = is_key ? &messages[i].key : &messages[i].value;

        if (bytes->data == NULL)
            pg_element_null(parameters);
        else
            pg_element_bytes(parameters, bytes->data, bytes->size);
    }
    pg_end_array(parameters);
}

/* [["name", "base16"], ...]: header values are bytes, names may repeat, order matters. */
static void put_headers(struct pg_parameters *parameters, const struct outbox_message *message)
{
    struct buffer json = BUFFER_INIT;
    struct column column = {.type = RS_JSON};
    struct cell cell = {.operation = CELL_SET};

    buffer_putc(&json, '[');
    for (uint32_t i = 0; i < message->n_headers; i++) {
        const struct rs_header *header = &message->headers[i];

        buffer_puts(&json, i > 0 ? ",[\"" : "[\"");
        for (const char *c = header->name; *c != '\0'; c++)
            buffer_printf(&json, *c == '"' || *c == '\\' ? "\\%c" : (unsigned char)*c < ' ' ? "\\u%04x" : "%c", *c);
        buffer_puts(&json, header->value.data == NULL ? "\",null]" : "\",\"");
        for (size_t j = 0; header->value.data != NULL && j < header->value.size; j++)
            buffer_printf(&json, "%02x", ((const unsigned char *)header->value.data)[j]);
        if (header->value.data != NULL)
            buffer_puts(&json, "\"]");
    }
    buffer_putc(&json, ']');
    cell.as.data = json.data;
    cell.size = (uint32_t)json.size;
    if (buffer_failed(&json))
        parameters->bytes.has_failed = true;
    else
        pg_element_cell(parameters, &column, &cell);
    buffer_free(&json);
}

static int send_messages(struct postgres *pg, const struct outbox_message *messages, size_t n, struct error *ret_error)
{
    struct pg_parameters *parameters = &pg->parameters;

    pg_put_text(parameters, pg->store.scope.pipeline);
    pg_put_int4(parameters, pg->store.scope.version);
    pg_begin_array(parameters, 1009, 25, n);
    for (size_t i = 0; i < n; i++)
        pg_element_text(parameters, messages[i].topic);
    pg_end_array(parameters);
    put_bytes_column(parameters, messages, n, true);
    put_bytes_column(parameters, messages, n, false);
    pg_begin_array(parameters, 3807, 3802, n);
    for (size_t i = 0; i < n; i++)
        put_headers(parameters, &messages[i]);
    pg_end_array(parameters);
    pg_begin_array(parameters, 1009, 25, n);
    for (size_t i = 0; i < n; i++)
        pg_element_text(parameters, messages[i].source_topic);
    pg_end_array(parameters);
    pg_begin_array(parameters, 1007, 23, n);
    for (size_t i = 0; i < n; i++)
        pg_element_int4(parameters, messages[i].source_partition);
    pg_end_array(parameters);
    pg_begin_array(parameters, 1016, 20, n);
    for (size_t i = 0; i < n; i++)
        pg_element_int8(parameters, messages[i].source_offset);
    pg_end_array(parameters);
    return pg_send(pg, insert_messages, parameters, true, ret_error);
}

/* ---- The end ---- */

/* The words between the quotes of: invalid input syntax for type integer: "readside: row ..." */
static bool take_mismatch(struct error *error)
{
    char *start = strstr(error->text, marker), *end;
    char words[512];

    if (strcmp(error->code, "22P02") != 0 || start == NULL)
        return false;
    snprintf(words, sizeof words, "%s", start + strlen(marker));
    end = strrchr(words, '"');
    if (end != NULL)
        *end = '\0';
    error_set(error, ERROR_HALT, "%s; rows of a partitioned table belong to one partition (do two producers use different partitioners?)",
              words);
    return true;
}

static int written(struct postgres *pg, struct error *ret_error)
{
    size_t failed = pg_failed_at(pg);
    struct error failure = {0};
    const PGresult *result;

    if (failed == pg->n_sent) {
        pg->may_have_committed = false;
        if (strcmp(PQcmdStatus(pg->results[pg->n_sent - 1]), "COMMIT") == 0)
            return 0;
        /* COMMIT of a transaction that had failed answers ROLLBACK: nothing is committed. */
        return error_set(ret_error, ERROR_TRANSIENT, "PostgreSQL answered COMMIT with %s",
                         PQcmdStatus(pg->results[pg->n_sent - 1]));
    }
    result = pg->results[failed];
    pg_error_of(pg, result, &failure);
    if (failed < pg->first_group && strcmp(failure.code, "22012") == 0)
        error_set(&failure, ERROR_FENCED, "the positions are no longer this task's");
    else if (!take_mismatch(&failure) && failure.class == ERROR_BUG)
        error_wrap(&failure, "an error that the driver does not know");
    return pg_roll_back(pg, &failure, ret_error);
}

int pg_start_write(struct store *store, const struct store_write *write, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    const struct change_group *groups = NULL;
    const struct outbox_message *messages = NULL;
    size_t n_messages = 0;
    int result;

    if (!pg->is_connected)
        return pg_not_connected(pg, ret_error);
    pg->n_groups = 0;
    if (write->batch != NULL) {
        groups = batch_groups(write->batch, &pg->n_groups);
        messages = batch_outbox(write->batch, &n_messages);
    }
    pg_begin_exchange(pg);
    result = pg_send(pg, "BEGIN ISOLATION LEVEL READ COMMITTED", NULL, false, ret_error);
    if (result == 0)
        result = send_moves(pg, write, ret_error);
    pg->first_group = pg->n_sent;
    for (size_t i = 0; i < pg->n_groups && result == 0; i++)
        result = send_group(pg, &groups[i], ret_error);
    if (n_messages > 0 && result == 0)
        result = send_messages(pg, messages, n_messages, ret_error);
    if (result == 0) {
        pg->may_have_committed = true;
        result = pg_send(pg, "COMMIT", NULL, false, ret_error);
    }
    if (result == 0)
        result = pg_sync(pg, written, ret_error);
    return result;
}
