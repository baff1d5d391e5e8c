/*
 * check - see check.h. Runs once per plugin, at load.
 */
#include "plugin/check.h"

#include "base/text.h"
#include "fold/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_SIZE = 48, TABLE_NAME_MAX = 40 };

void check_copy_item(const void *array, uint32_t item_size, uint32_t n, void *ret_item, size_t host_size)
{
    memset(ret_item, 0, host_size);
    memcpy(ret_item, (const char *)array + (size_t)n * item_size, item_size < host_size ? item_size : host_size);
}

/* ---- Columns ---- */

static int bad_column(const struct rs_table *table, const struct rs_column *column, const char *rule, struct error *ret_error)
{
    return error_set(ret_error, ERROR_CONFIG, "table %s, column %s: %s", table->name, column->name, rule);
}

/* The fallback's text as a value of the column's type, through the same readers as events. */
static bool read_fallback(const struct rs_column *column, struct rs_value *ret_value)
{
    const char *text = column->fallback;
    size_t size = strlen(text);

    memset(ret_value, 0, sizeof *ret_value);
    ret_value->type = column->type;
    switch (column->type) {
    case RS_INT:
        return text_read_int(text, size, &ret_value->as.integer);
    case RS_REAL:
        return text_read_real(text, size, &ret_value->as.real);
    case RS_DECIMAL:
        return decimal_parse(text, size, &ret_value->as.decimal);
    case RS_BOOL:
        ret_value->boolean = strcmp(text, "true") == 0;
        return ret_value->boolean || strcmp(text, "false") == 0;
    case RS_TIMESTAMP:
        return text_read_timestamp(text, size, &ret_value->as.timestamp.microseconds);
    case RS_DATE:
        return text_read_date(text, size, &ret_value->as.date.days);
    case RS_UUID:
        return text_read_uuid(text, size, ret_value->as.uuid.bytes);
    default:
        ret_value->as.text = (struct rs_text){.data = text, .size = size};
        return true;
    }
}

static bool is_zero(const struct cell *cell, enum rs_type type)
{
    return type == RS_INT ? cell->as.integer == 0 : cell->as.decimal == 0;
}

static int check_fallback(const struct rs_table *declared, const struct rs_column *source, const struct table *table,
                          uint32_t number, struct column *column, struct error *ret_error)
{
    struct rs_value value;
    struct cell cell;

    column->fallback = (struct cell){.operation = CELL_SET, .is_null = true};
    if (source->fallback == NULL)
        return column->is_not_null && !column->is_key
                   ? bad_column(declared, source, "RS_NOT_NULL needs a fallback, so that a partial upsert can insert", ret_error)
                   : 0;
    if (column->is_key)
        return bad_column(declared, source, "a key column has no fallback", ret_error);
    if (!read_fallback(source, &value))
        return error_set(ret_error, ERROR_CONFIG, "table %s, column %s: the fallback \"%s\" is not of the column's type",
                         declared->name, source->name, source->fallback);
    if (value_fit(table, number, &value, &cell, ret_error) != 0) {
        error_wrap(ret_error, "the fallback of table %s, column %s", declared->name, source->name);
        ret_error->class = ERROR_CONFIG;
        return ERROR_CONFIG;
    }
    if (column->type == RS_INT)
        cell.as.integer = (int64_t)cell.as.sum;
    column->fallback = cell;
    return 0;
}

static int check_operation(const struct rs_table *table, const struct rs_column *source, const struct column *column,
                           struct error *ret_error)
{
    bool is_shared = (table->flags & RS_SHARED) != 0;

    if (column->is_key || !is_shared)
        return source->operation == 0 ? 0
                                      : bad_column(table, source, "only the columns of a shared table declare an operation", ret_error);
    if (source->operation != RS_ADD && source->operation != RS_MAX && source->operation != RS_MIN)
        return bad_column(table, source, "a column of a shared table declares RS_ADD, RS_MAX or RS_MIN", ret_error);
    if (source->operation == RS_ADD && column->type != RS_INT && column->type != RS_DECIMAL)
        return bad_column(table, source, "only RS_INT and RS_DECIMAL can be added to", ret_error);
    if (source->operation == RS_ADD && !column->fallback.is_null && !is_zero(&column->fallback, column->type))
        return bad_column(table, source, "a column that is added to needs a fallback of zero or null", ret_error);
    if (source->operation != RS_ADD && (column->type == RS_BOOL || column->type == RS_JSON))
        return bad_column(table, source, "RS_BOOL and RS_JSON have no greatest value", ret_error);
    if (source->operation != RS_ADD && !column->fallback.is_null)
        return bad_column(table, source, "a column kept at max or min needs null as fallback", ret_error);
    return 0;
}

static int check_type(const struct rs_table *table, const struct rs_column *source, struct error *ret_error)
{
    if (source->type < RS_INT || source->type > RS_UUID)
        return bad_column(table, source, "no such type", ret_error);
    if ((source->flags & ~(uint32_t)(RS_KEY | RS_NOT_NULL)) != 0)
        return bad_column(table, source, "unknown flags", ret_error);
    if (source->type == RS_DECIMAL &&
        (source->precision < 1 || source->precision > RS_MAX_DIGITS || source->scale > source->precision))
        return bad_column(table, source, "RS_DECIMAL needs a precision of 1 to 38 and a scale of at most that", ret_error);
    if (source->type != RS_DECIMAL && (source->precision != 0 || source->scale != 0))
        return bad_column(table, source, "only RS_DECIMAL has precision and scale", ret_error);
    if (source->length != 0 && source->type != RS_TEXT && source->type != RS_BYTES)
        return bad_column(table, source, "only RS_TEXT and RS_BYTES have a length", ret_error);
    if ((source->flags & RS_KEY) != 0 && (source->type == RS_REAL || source->type == RS_JSON))
        return bad_column(table, source, "RS_REAL and RS_JSON cannot be keys", ret_error);
    return 0;
}

static int check_column(const struct rs_table *declared, const struct rs_column *source, struct table *table, uint32_t number,
                        struct column *columns, struct error *ret_error)
{
    struct column *column = &columns[number];
    int result;

    if (source->name == NULL || !text_is_name(source->name, NAME_MAX_SIZE))
        return error_set(ret_error, ERROR_CONFIG, "table %s, column %u: the name must be [a-z][a-z0-9_]* of at most %d bytes",
                         declared->name, number, NAME_MAX_SIZE);
    if (source->id != number)
        return error_set(ret_error, ERROR_CONFIG, "table %s, column %s: its id is %u, but it stands at index %u", declared->name,
                         source->name, source->id, number);
    if (strncmp(source->name, "readside_", 9) == 0)
        return bad_column(declared, source, "names that begin with readside_ are the host's", ret_error);
    for (uint32_t i = 0; i < number; i++)
        if (strcmp(columns[i].name, source->name) == 0)
            return bad_column(declared, source, "the name stands twice", ret_error);
    result = check_type(declared, source, ret_error);
    if (result != 0)
        return result;
    *column = (struct column){.name = source->name,
                              .type = (enum rs_type)source->type,
                              .is_key = (source->flags & RS_KEY) != 0,
                              .is_not_null = (source->flags & (RS_KEY | RS_NOT_NULL)) != 0,
                              .operation = source->operation == 0 ? CELL_NONE : (uint8_t)(source->operation + CELL_ADD - RS_ADD),
                              .precision = source->precision,
                              .scale = source->scale,
                              .length = source->length};
    if (column->is_key) {
        if (table->n_keys == RS_MAX_KEYS)
            return bad_column(declared, source, "more than 8 key columns", ret_error);
        table->keys[table->n_keys++] = number;
    }
    result = check_fallback(declared, source, table, number, column, ret_error);
    return result != 0 ? result : check_operation(declared, source, column, ret_error);
}

/* ---- Tables ---- */

static int check_array(const char *what, const void *array, uint32_t n, uint32_t item_size, uint32_t max, uint32_t min_size,
                       struct error *ret_error)
{
    if (n > max)
        return error_set(ret_error, ERROR_CONFIG, "%s: %u of them; at most %u are possible", what, n, max);
    if (n > 0 && array == NULL)
        return error_set(ret_error, ERROR_CONFIG, "%s: a count of %u, but no array", what, n);
    if (n > 0 && item_size < min_size)
        return error_set(ret_error, ERROR_CONFIG,
                         "%s: an element size of %u, at least %u is needed; fill arrays by the macros of plugin.h", what, item_size,
                         min_size);
    return 0;
}

static int check_index(const struct rs_table *source, const struct table *table, uint32_t number, struct index *ret_index,
                       struct error *ret_error)
{
    struct rs_index index;

    check_copy_item(source->indexes, source->index_size, number, &index, sizeof index);
    if (index.name == NULL || !text_is_name(index.name, NAME_MAX_SIZE))
        return error_set(ret_error, ERROR_CONFIG, "table %s, index %u: the name must be [a-z][a-z0-9_]*", source->name, number);
    if (index.n_columns == 0 || index.columns == NULL || index.column_size != sizeof index.columns[0])
        return error_set(ret_error, ERROR_CONFIG, "table %s, index %s: it names no columns", source->name, index.name);
    for (uint32_t i = 0; i < index.n_columns; i++)
        if (index.columns[i] >= table->n_columns)
            return error_set(ret_error, ERROR_CONFIG, "table %s, index %s: there is no column %u", source->name, index.name,
                             index.columns[i]);
    *ret_index = (struct index){.name = index.name, .columns = index.columns, .n_columns = index.n_columns};
    return 0;
}

static int check_columns(const struct rs_table *source, struct table *table, struct error *ret_error)
{
    struct column *columns = calloc(source->n_columns + 1, sizeof *columns);
    int result = columns == NULL ? error_set(ret_error, ERROR_BUG, "out of memory") : 0;

    table->columns = columns;
    table->n_columns = source->n_columns;
    for (uint32_t i = 0; i < source->n_columns && result == 0; i++) {
        struct rs_column column;

        check_copy_item(source->columns, source->column_size, i, &column, sizeof column);
        result = check_column(source, &column, table, i, columns, ret_error);
    }
    return result;
}

static int check_table(const struct rs_projection *descriptor, uint32_t number, struct table *tables, struct error *ret_error)
{
    struct table *table = &tables[number];
    struct rs_table source;
    struct index *indexes;
    int result;

    check_copy_item(descriptor->tables, descriptor->table_size, number, &source, sizeof source);
    if (source.name == NULL || !text_is_name(source.name, TABLE_NAME_MAX) || strncmp(source.name, "readside_", 9) == 0)
        return error_set(ret_error, ERROR_CONFIG,
                         "table %u: the name must be [a-z][a-z0-9_]* of at most %d bytes and not begin with readside_", number,
                         TABLE_NAME_MAX);
    if (source.id != number)
        return error_set(ret_error, ERROR_CONFIG, "table %s: its id is %u, but it stands at index %u", source.name, source.id, number);
    if ((source.flags & ~(uint32_t)(RS_SHARED | RS_KEY_FOLLOWS)) != 0)
        return error_set(ret_error, ERROR_CONFIG, "table %s: unknown flags", source.name);
    for (uint32_t i = 0; i < number; i++)
        if (strcmp(tables[i].name, source.name) == 0)
            return error_set(ret_error, ERROR_CONFIG, "table %s is declared twice", source.name);
    *table = (struct table){.name = source.name, .id = number, .is_shared = (source.flags & RS_SHARED) != 0,
                            .key_follows = (source.flags & RS_KEY_FOLLOWS) != 0};
    result = check_array(source.name, source.columns, source.n_columns, source.column_size, RS_MAX_COLUMNS,
                         offsetof(struct rs_column, summary), ret_error);
    if (result == 0)
        result = check_columns(&source, table, ret_error);
    if (result != 0)
        return result;
    if (table->n_keys == 0)
        return error_set(ret_error, ERROR_CONFIG, "table %s has no key column (RS_KEY)", source.name);
    if (table->n_keys == table->n_columns)
        return error_set(ret_error, ERROR_CONFIG, "table %s has only key columns; a row comes to be by setting another one", source.name);
    result = check_array(source.name, source.indexes, source.n_indexes, source.index_size, 16, sizeof(struct rs_index), ret_error);
    indexes = calloc(source.n_indexes + 1, sizeof *indexes);
    if (indexes == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    table->indexes = indexes;
    for (; table->n_indexes < source.n_indexes && result == 0; table->n_indexes++)
        result = check_index(&source, table, table->n_indexes, &indexes[table->n_indexes], ret_error);
    return result;
}

/* ---- Handlers ---- */

static bool overlap(const struct rs_handler *a, const struct rs_handler *b)
{
    uint32_t a_max = a->max_version == 0 ? UINT32_MAX : a->max_version, b_max = b->max_version == 0 ? UINT32_MAX : b->max_version;

    return strcmp(a->type, b->type) == 0 && a->min_version <= b_max && b->min_version <= a_max;
}

static int check_read(const struct projection *projection, const struct rs_handler *handler, uint32_t number,
                      struct error *ret_error)
{
    const struct table *table;
    struct rs_read read;

    check_copy_item(handler->reads, handler->read_size, number, &read, sizeof read);
    if (read.table >= projection->n_tables)
        return error_set(ret_error, ERROR_CONFIG, "handler of %s: it reads table %u, which does not exist", handler->type, read.table);
    table = &projection->tables[read.table];
    if (table->is_shared)
        return error_set(ret_error, ERROR_CONFIG, "handler of %s: it reads table %s, which is shared", handler->type, table->name);
    if (read.n_keys != table->n_keys)
        return error_set(ret_error, ERROR_CONFIG, "handler of %s: it reads table %s by %u keys; the table has %u", handler->type,
                         table->name, read.n_keys, table->n_keys);
    for (uint32_t i = 0; i < read.n_keys; i++)
        if (read.keys[i] == NULL)
            return error_set(ret_error, ERROR_CONFIG, "handler of %s: key %u of its read of %s is NULL", handler->type, i, table->name);
    return 0;
}

static int check_handler(const struct projection *projection, struct rs_handler *handlers, uint32_t number,
                         struct error *ret_error)
{
    const struct rs_handler *handler = &handlers[number];
    int result;

    if (handler->type == NULL || handler->type[0] == '\0')
        return error_set(ret_error, ERROR_CONFIG, "handler %u names no event type", number);
    if (handler->function == NULL)
        return error_set(ret_error, ERROR_CONFIG, "the handler of %s has no function", handler->type);
    if (handler->max_version != 0 && handler->max_version < handler->min_version)
        return error_set(ret_error, ERROR_CONFIG, "the handler of %s takes versions %u to %u", handler->type, handler->min_version,
                         handler->max_version);
    for (uint32_t i = 0; i < number; i++)
        if (overlap(&handlers[i], handler))
            return error_set(ret_error, ERROR_CONFIG, "two handlers take the same versions of %s", handler->type);
    result = check_array(handler->type, handler->reads, handler->n_reads, handler->read_size, 16, sizeof(struct rs_read), ret_error);
    for (uint32_t i = 0; i < handler->n_reads && result == 0; i++)
        result = check_read(projection, handler, i, ret_error);
    return result;
}

/* ---- Options ---- */

static bool is_choice(const char *choices, const char *text)
{
    size_t size = strlen(text);

    for (const char *at = choices; at != NULL && *at != '\0';) {
        size_t word = strcspn(at, "|");

        if (word == size && strncmp(at, text, size) == 0)
            return true;
        at += word + (at[word] == '|');
    }
    return false;
}

static bool in_range(const struct rs_option *option, int64_t value, char *ret_reason, size_t reason_size)
{
    if ((option->min == 0 && option->max == 0) || (value >= option->min && value <= option->max))
        return true;
    snprintf(ret_reason, reason_size, "is not between %" PRId64 " and %" PRId64, option->min, option->max);
    return false;
}

static bool read_integer(const struct rs_option *option, const char *text, int64_t *ret_value)
{
    if (option->type == RS_OPTION_DURATION)
        return text_read_duration(text, ret_value);
    return option->type == RS_OPTION_SIZE ? text_read_size(text, ret_value) : text_read_int(text, strlen(text), ret_value);
}

bool check_option_value(const struct rs_option *option, const char *text, struct rs_value *ret_value, char *ret_reason,
                        size_t reason_size)
{
    const char *kind = "";

    memset(ret_value, 0, sizeof *ret_value);
    switch (option->type) {
    case RS_OPTION_BOOL:
        ret_value->type = RS_BOOL;
        ret_value->boolean = strcmp(text, "true") == 0;
        if (ret_value->boolean || strcmp(text, "false") == 0)
            return true;
        kind = "true or false";
        break;
    case RS_OPTION_INT:
    case RS_OPTION_DURATION:
    case RS_OPTION_SIZE:
        ret_value->type = RS_INT;
        if (read_integer(option, text, &ret_value->as.integer))
            return in_range(option, ret_value->as.integer, ret_reason, reason_size);
        kind = option->type == RS_OPTION_INT        ? "an integer"
               : option->type == RS_OPTION_DURATION ? "a duration such as 250ms, 5s or 2min"
                                                    : "a size such as 64KiB or 16MiB";
        break;
    case RS_OPTION_REAL:
        ret_value->type = RS_REAL;
        if (text_read_real(text, strlen(text), &ret_value->as.real))
            return true;
        kind = "a number";
        break;
    default:
        ret_value->type = RS_TEXT;
        ret_value->as.text = rs_string(text);
        if (option->type == RS_OPTION_TEXT || is_choice(option->choices, text))
            return true;
        snprintf(ret_reason, reason_size, "is not one of %s", option->choices);
        return false;
    }
    snprintf(ret_reason, reason_size, "is not %s", kind);
    return false;
}

static int check_option(const struct rs_option *options, uint32_t number, struct error *ret_error)
{
    const struct rs_option *option = &options[number];
    struct rs_value value;
    char reason[128];

    if (option->name == NULL || !text_is_name(option->name, NAME_MAX_SIZE))
        return error_set(ret_error, ERROR_CONFIG, "option %u: the name must be [a-z][a-z0-9_]*", number);
    for (uint32_t i = 0; i < number; i++)
        if (strcmp(options[i].name, option->name) == 0)
            return error_set(ret_error, ERROR_CONFIG, "option %s is declared twice", option->name);
    if (option->type < RS_OPTION_BOOL || option->type > RS_OPTION_CHOICE ||
        (option->type == RS_OPTION_CHOICE && option->choices == NULL))
        return error_set(ret_error, ERROR_CONFIG, "option %s: no such type, or a choice without choices", option->name);
    if ((option->flags & RS_REQUIRED) != 0 || option->fallback == NULL)
        return (option->flags & RS_REQUIRED) != 0 && option->fallback == NULL
                   ? 0
                   : error_set(ret_error, ERROR_CONFIG, "option %s: either RS_REQUIRED or a fallback", option->name);
    if (!check_option_value(option, option->fallback, &value, reason, sizeof reason))
        return error_set(ret_error, ERROR_CONFIG, "option %s: the fallback \"%s\" %s", option->name, option->fallback, reason);
    return 0;
}

/* ---- The whole ---- */

static void *copy_items(const void *array, uint32_t n, uint32_t item_size, size_t host_size)
{
    char *items = calloc((size_t)n + 1, host_size);

    for (uint32_t i = 0; items != NULL && i < n; i++)
        check_copy_item(array, item_size, i, items + (size_t)i * host_size, host_size);
    return items;
}

static int check_parts(const struct rs_projection *descriptor, struct projection *projection, struct error *ret_error)
{
    struct rs_handler *handlers = copy_items(descriptor->handlers, descriptor->n_handlers, descriptor->handler_size, sizeof *handlers);
    struct rs_option *options = copy_items(descriptor->options, descriptor->n_options, descriptor->option_size, sizeof *options);
    int result = 0;

    projection->tables = calloc((size_t)descriptor->n_tables + 1, sizeof *projection->tables);
    projection->handlers = handlers;
    projection->options = options;
    if (projection->tables == NULL || handlers == NULL || options == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    for (; projection->n_tables < descriptor->n_tables && result == 0; projection->n_tables++)
        result = check_table(descriptor, projection->n_tables, projection->tables, ret_error);
    for (; projection->n_handlers < descriptor->n_handlers && result == 0; projection->n_handlers++)
        result = check_handler(projection, handlers, projection->n_handlers, ret_error);
    for (; projection->n_options < descriptor->n_options && result == 0; projection->n_options++)
        result = check_option(options, projection->n_options, ret_error);
    return result;
}

int check_projection(const struct rs_projection *descriptor, struct projection *ret_projection, struct error *ret_error)
{
    int result;

    if (descriptor->name == NULL || !text_is_name(descriptor->name, TABLE_NAME_MAX))
        return error_set(ret_error, ERROR_CONFIG, "the projection's name must be [a-z][a-z0-9_]* of at most %d bytes", TABLE_NAME_MAX);
    if (descriptor->revision < 1 || descriptor->revision > INT32_MAX)
        return error_set(ret_error, ERROR_CONFIG, "the revision is %u; it begins at 1", descriptor->revision);
    result = check_array("tables", descriptor->tables, descriptor->n_tables, descriptor->table_size, RS_MAX_TABLES,
                         offsetof(struct rs_table, summary), ret_error);
    if (result == 0)
        result = check_array("handlers", descriptor->handlers, descriptor->n_handlers, descriptor->handler_size, 1024,
                             offsetof(struct rs_handler, reads), ret_error);
    if (result == 0 && descriptor->n_handlers == 0)
        result = error_set(ret_error, ERROR_CONFIG, "the projection has no handler");
    if (result == 0)
        result = check_array("options", descriptor->options, descriptor->n_options, descriptor->option_size, 256,
                             offsetof(struct rs_option, summary), ret_error);
    ret_projection->name = descriptor->name;
    ret_projection->summary = descriptor->summary == NULL ? "" : descriptor->summary;
    ret_projection->revision = descriptor->revision;
    ret_projection->open = descriptor->open;
    ret_projection->close = descriptor->close;
    if (result == 0)
        result = check_parts(descriptor, ret_projection, ret_error);
    return result;
}
