/*
 * check_table - the tables, columns and indexes of a descriptor: judged, and turned into the fold's structs.
 *
 * Called by descriptor_check() only.
 */
#include "plugin/descriptor.h"

#include "base/text.h"
#include "event/field.h"
#include "fold/value.h"

#include <string.h>

/* A table's name and "__v1000000" are within the 63 bytes of PostgreSQL and the 64 of MySQL. */
enum { TABLE_NAME_MAX = 40, COLUMN_NAME_MAX = 48, MAX_INDEXES = 16, HOST_PREFIX_SIZE = 9 };

static const char host_prefix[] = "readside_";

/* A table or column under judgement, for messages. */
struct place {
    const struct check *check;
    const struct rs_table *table;
    const struct rs_column *column;
};

#define REFUSE_COLUMN(place, format, ...)                                                                                        \
    check_refuse((place)->check, "table %s, column %s: " format, (place)->table->name, (place)->column->name __VA_OPT__(, ) __VA_ARGS__)
#define REFUSE_TABLE(place, format, ...)                                                                                         \
    check_refuse((place)->check, "table %s: " format, (place)->table->name __VA_OPT__(, ) __VA_ARGS__)

/* ---- Names that a store keeps for itself: refused for all, so that a plugin goes with each ---- */

/* PostgreSQL's columns of every table, then InnoDB's. */
static bool is_system_column(const char *name)
{
    static const char *const names[] = {"cmax", "cmin", "ctid", "tableoid", "xmax", "xmin",
                                        "db_roll_ptr", "db_row_id", "db_trx_id", "fts_doc_id"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* SQLite refuses the one; the other would be hidden by a table of PostgreSQL's catalog. */
static bool has_store_prefix(const char *name)
{
    return strncmp(name, "sqlite_", 7) == 0 || strncmp(name, "pg_", 3) == 0;
}

/* "accounts__v1" is how the store calls version 1 of accounts, "accounts__v1_by_day" its index. */
static bool looks_versioned(const char *name)
{
    for (const char *at = strstr(name, "__v"); at != NULL; at = strstr(at + 1, "__v"))
        if (at[3] >= '0' && at[3] <= '9')
            return true;
    return false;
}

/* ---- Columns ---- */

static int judge_name(const struct place *place, uint32_t number)
{
    const char *name = place->column->name;

    if (name == NULL || !text_is_name(name, COLUMN_NAME_MAX))
        return REFUSE_TABLE(place, "the name \"%s\" of column %u is not [a-z][a-z0-9_]* of at most %d bytes: rename it",
                            name == NULL ? "" : name, number, COLUMN_NAME_MAX);
    if (strncmp(name, host_prefix, HOST_PREFIX_SIZE) == 0)
        return REFUSE_COLUMN(place, "names beginning with %s are the host's: rename it", host_prefix);
    if (is_system_column(name))
        return REFUSE_COLUMN(place, "a store has a column of its own by this name: rename it");
    if (place->column->id != number)
        return REFUSE_COLUMN(place, "its id is %u, but it is element %u of the array: bring enumerators and columns into one order",
                             place->column->id, number);
    return 0;
}

static int judge_type(const struct place *place)
{
    const struct rs_column *column = place->column;

    if (column->type < RS_INT || column->type > RS_UUID)
        return REFUSE_COLUMN(place, "its type is %u, which is none of enum rs_type: set .type", column->type);
    if ((column->flags & ~(uint32_t)(RS_KEY | RS_NOT_NULL)) != 0)
        return REFUSE_COLUMN(place, "its flags are %#x: only RS_KEY and RS_NOT_NULL exist", column->flags);
    if (column->reserved != 0)
        return REFUSE_COLUMN(place, "a reserved member is not zero: leave it out");
    if (column->type == RS_DECIMAL && (column->precision < 1 || column->precision > RS_MAX_DIGITS))
        return REFUSE_COLUMN(place, "a decimal of precision %u: state 1 to %d digits", column->precision, RS_MAX_DIGITS);
    if (column->type == RS_DECIMAL && column->scale > column->precision)
        return REFUSE_COLUMN(place, "scale %u is more than precision %u: lower it", column->scale, column->precision);
    if (column->type != RS_DECIMAL && (column->precision != 0 || column->scale != 0))
        return REFUSE_COLUMN(place, "precision and scale are for RS_DECIMAL: leave them out");
    if (column->type != RS_TEXT && column->type != RS_BYTES && column->length != 0)
        return REFUSE_COLUMN(place, "length is for RS_TEXT and RS_BYTES: leave it out");
    return 0;
}

static int judge_key(const struct place *place)
{
    const struct rs_column *column = place->column;

    if (column->type == RS_JSON || column->type == RS_REAL)
        return REFUSE_COLUMN(place, "json and real cannot be keys: take another type, or another key");
    if (column->fallback != NULL)
        return REFUSE_COLUMN(place, "a key column has no fallback: leave it out");
    if (column->operation != 0)
        return REFUSE_COLUMN(place, "a key column has no operation: leave it out");
    return 0;
}

static int judge_operation(const struct place *place)
{
    const struct rs_column *column = place->column;
    bool is_shared = (place->table->flags & RS_SHARED) != 0;

    if (!is_shared && column->operation != 0)
        return REFUSE_COLUMN(place, "only columns of shared tables declare an operation: leave it out, or make the table RS_SHARED");
    if (is_shared && (column->operation < RS_ADD || column->operation > RS_MIN))
        return REFUSE_COLUMN(place, "each column of a shared table that is no key declares RS_ADD, RS_MAX or RS_MIN: set .operation");
    if (column->operation == RS_ADD && column->type != RS_INT && column->type != RS_DECIMAL)
        return REFUSE_COLUMN(place, "only integers and decimals can be added to: take another type or operation");
    if ((column->operation == RS_MAX || column->operation == RS_MIN) && (column->type == RS_BOOL || column->type == RS_JSON))
        return REFUSE_COLUMN(place, "bool and json have no greatest or least value: take another type");
    if ((column->operation == RS_MAX || column->operation == RS_MIN) && column->fallback != NULL)
        return REFUSE_COLUMN(place, "a column kept at max or min starts from null: leave the fallback out");
    if ((column->flags & RS_NOT_NULL) != 0 && column->fallback == NULL)
        return REFUSE_COLUMN(place, "RS_NOT_NULL without a fallback: give it one (.fallback), or let the column be null");
    return 0;
}

/* A fallback of RS_JSON is one document; the others are read as the getters read strings. */
static int read_fallback(const struct place *place, struct rs_value *ret_value)
{
    const struct rs_column *column = place->column;
    struct arena *arena = place->check->projection->arena;
    const struct json_value *root;
    size_t size = strlen(column->fallback);
    int result;

    if (column->type == RS_JSON) {
        *ret_value = (struct rs_value){.type = RS_JSON};
        result = json_read(place->check->json, column->fallback, size, JSON_MAX_DEPTH, &root, NULL);
        if (result == 0)
            result = json_print(root, arena, &ret_value->as.json, NULL);
    } else {
        result = field_read_text(column->fallback, size, "fallback", column->type, arena, ret_value, NULL);
    }
    return result == 0 ? 0
                       : REFUSE_COLUMN(place, "its fallback \"%.100s\" is not %s: write a value of the column's type",
                                       column->fallback, field_type_name(column->type));
}

static int judge_fallback(const struct place *place, const struct table *table, struct column *column)
{
    struct rs_value value = {0};
    struct error reason = {0};
    int result = 0;

    if (place->column->fallback != NULL)
        result = read_fallback(place, &value);
    if (result != 0)
        return result;
    if (value.type == 0) {
        column->fallback = (struct cell){.operation = CELL_SET, .is_null = true};
        return 0;
    }
    if (value_fit(table, place->column->id, &value, &column->fallback, &reason) != 0)
        return REFUSE_COLUMN(place, "its fallback does not fit it: %s", reason.text);
    if (place->column->operation == RS_ADD && column->fallback.as.sum != 0)
        return REFUSE_COLUMN(place, "a column that is added to has the fallback 0 or none, not \"%s\"", place->column->fallback);
    return 0;
}

static uint8_t fold_operation(uint32_t operation)
{
    static const uint8_t operations[] = {CELL_NONE, [RS_ADD] = CELL_ADD, [RS_MAX] = CELL_MAX, [RS_MIN] = CELL_MIN};

    return operations[operation];
}

static int take_column(struct place *place, struct table *table, struct column *columns, uint32_t number)
{
    struct rs_column given;
    struct column *column = &columns[number];
    bool is_key;
    int result;

    check_copy(&given, sizeof given, place->table->columns, number, place->table->column_size);
    place->column = &given;
    is_key = (given.flags & RS_KEY) != 0;
    result = judge_name(place, number);
    if (result == 0)
        result = judge_type(place);
    if (result == 0)
        result = is_key ? judge_key(place) : judge_operation(place);
    if (result == 0 && (!check_keep(place->check, &given.name) || !check_keep(place->check, &given.fallback)))
        result = check_refuse(place->check, "out of memory");
    if (result != 0)
        return result;
    for (uint32_t i = 0; i < number; i++)
        if (strcmp(columns[i].name, given.name) == 0)
            return REFUSE_COLUMN(place, "two columns have this name: rename one");
    if (is_key && table->n_keys == RS_MAX_KEYS)
        return REFUSE_COLUMN(place, "more than %d key columns: use fewer", RS_MAX_KEYS);
    *column = (struct column){
        .name = given.name,
        .type = (enum rs_type)given.type,
        .is_key = is_key,
        .is_not_null = is_key || (given.flags & RS_NOT_NULL) != 0,
        .operation = fold_operation(given.operation),
        .precision = given.precision,
        .scale = given.scale,
        .length = given.length,
    };
    if (is_key)
        table->keys[table->n_keys++] = number;
    table->n_columns = number + 1;
    return is_key ? 0 : judge_fallback(place, table, column);
}

static int take_columns(struct place *place, struct table *table)
{
    const struct check *check = place->check;
    const struct rs_table *given = place->table;
    struct column *columns = arena_zalloc(check->projection->arena, (given->n_columns + 1) * sizeof *columns);
    int result = 0;

    if (columns == NULL)
        return check_refuse(check, "out of memory");
    table->columns = columns;
    for (uint32_t i = 0; i < given->n_columns && result == 0; i++)
        result = take_column(place, table, columns, i);
    if (result != 0)
        return result;
    if (table->n_keys == 0)
        return REFUSE_TABLE(place, "no column is RS_KEY: a row needs a key");
    if (table->n_keys == table->n_columns)
        return REFUSE_TABLE(place, "every column is RS_KEY: a row is made by setting a column beside its key, so add one");
    return 0;
}

/* ---- Indexes ---- */

static int take_index(const struct place *place, const struct table *table, struct index *indexes, uint32_t number)
{
    const struct check *check = place->check;
    struct rs_index given;
    uint32_t *columns;

    check_copy(&given, sizeof given, place->table->indexes, number, place->table->index_size);
    if (given.name == NULL || !text_is_name(given.name, COLUMN_NAME_MAX))
        return REFUSE_TABLE(place, "the name \"%s\" of index %u is not [a-z][a-z0-9_]* of at most %d bytes: rename it",
                            given.name == NULL ? "" : given.name, number, COLUMN_NAME_MAX);
    if (strcmp(given.name, "pkey") == 0)
        return REFUSE_TABLE(place, "index pkey: PostgreSQL calls the one of the primary key so: rename it");
    for (uint32_t i = 0; i < number; i++)
        if (strcmp(indexes[i].name, given.name) == 0)
            return REFUSE_TABLE(place, "two indexes are called %s: rename one", given.name);
    if (given.columns == NULL || given.n_columns == 0 || given.n_columns > table->n_columns)
        return REFUSE_TABLE(place, "index %s names %u columns: name one or more, each once", given.name,
                            given.columns == NULL ? 0 : given.n_columns);
    if (given.column_size != sizeof given.columns[0])
        return REFUSE_TABLE(place, "index %s: column_size is %u: fill it by RS_COLUMNS()", given.name, given.column_size);
    columns = arena_alloc(check->projection->arena, given.n_columns * sizeof *columns);
    if (columns == NULL || !check_keep(check, &given.name))
        return check_refuse(check, "out of memory");
    for (uint32_t i = 0; i < given.n_columns; i++) {
        columns[i] = given.columns[i];
        if (columns[i] >= table->n_columns)
            return REFUSE_TABLE(place, "index %s names column %u, the table has %u", given.name, columns[i], table->n_columns);
        if (table->columns[columns[i]].type == RS_JSON)
            return REFUSE_TABLE(place, "index %s names column %s, and json has no order: keep what is searched for in a column of its own",
                                given.name, table->columns[columns[i]].name);
        for (uint32_t j = 0; j < i; j++)
            if (columns[j] == columns[i])
                return REFUSE_TABLE(place, "index %s names column %s twice", given.name, table->columns[columns[i]].name);
    }
    indexes[number] = (struct index){.name = given.name, .columns = columns, .n_columns = given.n_columns};
    return 0;
}

static int take_indexes(const struct place *place, struct table *table)
{
    struct index *indexes = arena_zalloc(place->check->projection->arena, (place->table->n_indexes + 1) * sizeof *indexes);
    int result = 0;

    if (indexes == NULL)
        return check_refuse(place->check, "out of memory");
    for (uint32_t i = 0; i < place->table->n_indexes && result == 0; i++)
        result = take_index(place, table, indexes, i);
    table->indexes = indexes;
    table->n_indexes = place->table->n_indexes;
    return result;
}

/* ---- Tables ---- */

static int judge_table(const struct check *check, const struct rs_table *given, uint32_t number)
{
    const struct place place = {.check = check, .table = given};
    int result;

    if (given->name == NULL || !text_is_name(given->name, TABLE_NAME_MAX))
        return check_refuse(check, "the name \"%s\" of table %u is not [a-z][a-z0-9_]* of at most %d bytes: rename it",
                            given->name == NULL ? "" : given->name, number, TABLE_NAME_MAX);
    if (strncmp(given->name, host_prefix, HOST_PREFIX_SIZE) == 0 || looks_versioned(given->name))
        return REFUSE_TABLE(&place, "names beginning with %s or holding __v and a digit are the host's: rename it", host_prefix);
    if (has_store_prefix(given->name))
        return REFUSE_TABLE(&place, "names beginning with sqlite_ or pg_ are the stores': rename it");
    for (uint32_t i = 0; i < number; i++)
        if (strcmp(check->projection->tables[i].name, given->name) == 0)
            return REFUSE_TABLE(&place, "two tables have this name: rename one");
    if (given->id != number)
        return REFUSE_TABLE(&place, "its id is %u, but it is element %u of the array: bring enumerators and tables into one order",
                            given->id, number);
    if ((given->flags & ~(uint32_t)(RS_SHARED | RS_KEY_FOLLOWS)) != 0)
        return REFUSE_TABLE(&place, "its flags are %#x: only RS_SHARED and RS_KEY_FOLLOWS exist", given->flags);
    if (given->flags == (RS_SHARED | RS_KEY_FOLLOWS))
        return REFUSE_TABLE(&place, "RS_KEY_FOLLOWS is for partitioned tables, RS_SHARED for the others: leave one out");
    if (given->n_columns == 0)
        return REFUSE_TABLE(&place, "it has no columns: declare them by RS_COLUMNS()");
    result = check_array(check, given->name, "columns", given->columns, given->n_columns, RS_MAX_COLUMNS, given->column_size,
                         check->sizes->column);
    if (result == 0)
        result = check_array(check, given->name, "indexes", given->indexes, given->n_indexes, MAX_INDEXES, given->index_size,
                             check->sizes->index);
    return result;
}

static int take_table(const struct check *check, const struct rs_projection *given, uint32_t number)
{
    struct table *table = &check->projection->tables[number];
    struct rs_table judged;
    struct place place = {.check = check, .table = &judged};
    int result;

    check_copy(&judged, sizeof judged, given->tables, number, given->table_size);
    result = judge_table(check, &judged, number);
    if (result != 0)
        return result;
    if (!check_keep(check, &judged.name))
        return check_refuse(check, "out of memory");
    *table = (struct table){
        .name = judged.name,
        .id = number,
        .is_shared = (judged.flags & RS_SHARED) != 0,
        .key_follows = (judged.flags & RS_KEY_FOLLOWS) != 0,
    };
    result = take_columns(&place, table);
    return result != 0 ? result : take_indexes(&place, table);
}

int check_tables(const struct check *check, const struct rs_projection *given)
{
    struct projection *projection = check->projection;
    int result = check_array(check, "the projection", "tables", given->tables, given->n_tables, RS_MAX_TABLES, given->table_size,
                             check->sizes->table);

    if (result != 0)
        return result;
    projection->tables = arena_zalloc(projection->arena, (given->n_tables + 1) * sizeof projection->tables[0]);
    if (projection->tables == NULL)
        return check_refuse(check, "out of memory");
    for (uint32_t i = 0; i < given->n_tables && result == 0; i++) {
        result = take_table(check, given, i);
        if (result == 0 && !projection->tables[i].is_shared)
            projection->has_partitioned_table = true;
        projection->n_tables = i + 1;
    }
    return result;
}
