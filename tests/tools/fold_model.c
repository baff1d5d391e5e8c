/*
 * fold_model - see fold_model.h.
 */
#include "fold_model.h"

#include <math.h>
#include <string.h>

#define NO_VALUE                                                                                                                 \
    {                                                                                                                            \
        .operation = CELL_SET, .is_null = true                                                                                   \
    }
#define ZERO                                                                                                                     \
    {                                                                                                                            \
        .operation = CELL_SET                                                                                                    \
    }

static const struct column wide_columns[MODEL_COLUMNS] = {
    {.name = "id", .type = RS_TEXT, .is_key = true, .is_not_null = true, .length = 8},
    {.name = "n", .type = RS_INT, .fallback = NO_VALUE},
    {.name = "total", .type = RS_INT, .is_not_null = true, .fallback = ZERO},
    {.name = "amount", .type = RS_DECIMAL, .is_not_null = true, .precision = 8, .scale = 2, .fallback = ZERO},
    {.name = "label", .type = RS_TEXT, .length = 5, .fallback = NO_VALUE},
    {.name = "note", .type = RS_TEXT, .is_not_null = true, .fallback = {.operation = CELL_SET, .size = 3, .as.data = "new"}},
    {.name = "at", .type = RS_TIMESTAMP, .fallback = NO_VALUE},
    {.name = "five", .type = RS_INT, .is_not_null = true, .fallback = {.operation = CELL_SET, .as.integer = 5}},
    {.name = "ratio", .type = RS_REAL, .fallback = NO_VALUE},
    {.name = "flag", .type = RS_BOOL, .is_not_null = true, .fallback = {.operation = CELL_SET, .as.integer = 1}},
    {.name = "doc", .type = RS_JSON, .fallback = NO_VALUE},
    {.name = "uid", .type = RS_UUID, .fallback = NO_VALUE},
    {.name = "blob", .type = RS_BYTES, .length = 6, .fallback = NO_VALUE},
};

static const struct column pair_columns[] = {
    {.name = "number", .type = RS_INT, .is_key = true, .is_not_null = true},
    {.name = "value", .type = RS_DECIMAL, .precision = 38, .scale = 0, .fallback = NO_VALUE},
    {.name = "name", .type = RS_TEXT, .is_key = true, .is_not_null = true},
    {.name = "day", .type = RS_DATE, .fallback = NO_VALUE},
    {.name = "count", .type = RS_INT, .fallback = NO_VALUE},
};

static const struct column odd_columns[] = {
    {.name = "sum", .type = RS_DECIMAL, .precision = 20, .scale = 4, .fallback = NO_VALUE},
    {.name = "raw", .type = RS_BYTES, .is_key = true, .is_not_null = true},
    {.name = "price", .type = RS_DECIMAL, .is_key = true, .is_not_null = true, .precision = 10, .scale = 3},
    {.name = "is_new", .type = RS_BOOL, .is_key = true, .is_not_null = true},
    {.name = "seen", .type = RS_TIMESTAMP, .fallback = NO_VALUE},
    {.name = "title", .type = RS_TEXT, .fallback = NO_VALUE},
};

static const struct column shared_columns[] = {
    {.name = "day", .type = RS_DATE, .is_key = true, .is_not_null = true},
    {.name = "events", .type = RS_INT, .is_not_null = true, .operation = CELL_ADD, .fallback = ZERO},
    {.name = "money", .type = RS_DECIMAL, .precision = 10, .scale = 2, .operation = CELL_ADD, .fallback = NO_VALUE},
    {.name = "latest", .type = RS_TIMESTAMP, .operation = CELL_MAX, .fallback = NO_VALUE},
    {.name = "least", .type = RS_TEXT, .operation = CELL_MIN, .fallback = NO_VALUE},
};

#define COLUMNS(array) .columns = (array), .n_columns = sizeof(array) / sizeof((array)[0])

const struct table model_tables[MODEL_TABLES] = {
    {.name = "wide", .id = 0, COLUMNS(wide_columns), .keys = {0}, .n_keys = 1},
    {.name = "pair", .id = 1, COLUMNS(pair_columns), .keys = {0, 2}, .n_keys = 2},
    {.name = "odd", .id = 2, COLUMNS(odd_columns), .keys = {1, 2, 3}, .n_keys = 3},
    {.name = "totals", .id = MODEL_SHARED, .is_shared = true, COLUMNS(shared_columns), .keys = {0}, .n_keys = 1},
};

/* ---- Keys: those of a table in ascending order ---- */

static struct rs_value bytes(const char *data, size_t size)
{
    return rs_value_bytes((struct rs_bytes){.data = data, .size = size});
}

uint32_t model_key(uint32_t table, uint32_t key, struct rs_value ret_values[RS_MAX_KEYS])
{
    static const char *const ids[MODEL_KEYS] = {"", "a", "a b", "ab", "\xc3\xa9"};
    static const int64_t numbers[MODEL_KEYS] = {INT64_MIN, -1, 7, 7, INT64_MAX};
    static const char *const names[MODEL_KEYS] = {"x", "", "", "a", "a"};
    static const int32_t days[MODEL_KEYS] = {-719162, -1, 0, 20000, 2932896};

    switch (table) {
    case 0:
        ret_values[0] = rs_value_string(ids[key]);
        return 1;
    case 1:
        ret_values[0] = rs_value_int(numbers[key]);
        ret_values[1] = rs_value_string(names[key]);
        return 2;
    case 2:
        ret_values[0] = key < 1 ? bytes("", 0) : key < 3 ? bytes("\0", 1) : bytes("\0\xff", 2);
        ret_values[1] = rs_value_decimal(key == 1 ? rs_decimal_of(-15, 1) : rs_decimal_of(2, 0));
        ret_values[2] = rs_value_bool(key != 3);
        return 3;
    default:
        ret_values[0] = rs_value_date((struct rs_date){.days = days[key]});
        return 1;
    }
}

/* ---- Values ---- */

static int128 power(int32_t digits)
{
    int128 result = 1;

    while (digits-- > 0)
        result *= 10;
    return result;
}

static void random_decimal(struct model_operation *operation, uint64_t random)
{
    static const int64_t coefficients[] = {0, 1, -1, 25, 100, -999, 4200, 99999999, -100000000};

    operation->scale = (int32_t)(random % 4);
    operation->coefficient = coefficients[random / 4 % 9];
    if (random / 64 % 16 == 0) {
        operation->scale = 0;
        operation->coefficient = 5 * power(37) * (random / 2048 % 2 == 0 ? 1 : -1);
    }
    operation->given = rs_value_decimal(decimal_make(operation->coefficient, operation->scale));
}

static void random_data(struct model_operation *operation, uint32_t type, uint64_t random)
{
    static const char *const texts[] = {"", "a", "ab", "\xc3\xa9\xc3\xa9", "abcde", "abcdef", "\xff", "zz"};
    static const char *const documents[] = {"1", "{}", "[1,2]", "\"a\"", "", "null", "{}", "[]"};
    const char *text = type == RS_JSON ? documents[random % 8] : texts[random % 8];
    struct model_value *value = &operation->value;

    value->size = (uint8_t)strlen(text);
    memcpy(value->data, text, value->size);
    if (type == RS_UUID) {
        memset(value->data, (int)(random % 3), 16);
        value->size = 16;
        memcpy(operation->given.as.uuid.bytes, value->data, 16);
    } else {
        if (type == RS_BYTES && random / 8 % 4 == 0)
            value->size = (uint8_t)(random / 32 % 8); /* NUL and what else is there */
        operation->given.as.text = (struct rs_text){.data = value->data, .size = value->size};
    }
}

void model_random_value(struct model_operation *operation, uint32_t type, uint64_t random)
{
    static const int64_t integers[] = {0, 1, -1, 5, 1000, -7, INT64_MAX, INT64_MIN};
    static const double reals[] = {0.0, -0.0, 1.5, -2.25, INFINITY, NAN, 1e300, 5e-324};
    struct model_value *value = &operation->value;

    operation->type = type;
    memset(value, 0, sizeof *value);
    value->is_null = type == 0;
    memset(&operation->given, 0, sizeof operation->given);
    operation->given.type = type;
    switch (type) {
    case 0:
        break;
    case RS_INT: /* the extremes are rare */
        value->number = operation->given.as.integer = integers[random % (random / 8 % 8 == 0 ? 8 : 6)];
        break;
    case RS_REAL:
        operation->given.as.real = reals[random % 8];
        value->real = operation->given.as.real == 0 ? 0 : operation->given.as.real;
        break;
    case RS_DECIMAL:
        random_decimal(operation, random);
        break;
    case RS_BOOL:
        value->number = operation->given.boolean = random % 2;
        break;
    case RS_TIMESTAMP:
        value->number = operation->given.as.timestamp.microseconds =
            random % 16 == 0 ? INT64_C(253402300800000000) : (int64_t)(random % 5) * 1000000 - 2000000;
        break;
    case RS_DATE:
        value->number = operation->given.as.date.days = random % 16 == 0 ? -719163 : (int32_t)(random % 5) - 2;
        break;
    default:
        random_data(operation, type, random);
        break;
    }
    value->rough = (long double)value->number;
}

/* ---- What must be refused ---- */

static bool utf8_fits(const struct model_value *value, uint32_t length)
{
    uint32_t characters = 0;

    for (uint32_t i = 0; i < value->size; i++) {
        if (value->data[i] == '\0' || value->data[i] == '\xff')
            return false; /* the only faults that the values have */
        characters += (value->data[i] & 0xc0) != 0x80;
    }
    return length == 0 || characters <= length;
}

static bool value_fits(const struct column *column, const struct model_operation *operation)
{
    const struct model_value *value = &operation->value;
    int128 coefficient = operation->coefficient;

    switch (column->type) {
    case RS_REAL:
        return isfinite(value->real);
    case RS_DECIMAL:
        for (int32_t scale = operation->scale; scale > (int32_t)column->scale; scale--) {
            if (coefficient % 10 != 0)
                return false;
            coefficient /= 10;
        }
        for (int32_t scale = operation->scale; scale < (int32_t)column->scale; scale++) {
            if (coefficient > power(37) || coefficient < -power(37))
                return false;
            coefficient *= 10;
        }
        return coefficient < power((int32_t)column->precision) && coefficient > -power((int32_t)column->precision);
    case RS_TEXT:
        return utf8_fits(value, column->length);
    case RS_JSON:
        return value->size > 0 && utf8_fits(value, 0);
    case RS_BYTES:
        return column->length == 0 || value->size <= column->length;
    case RS_TIMESTAMP:
        return value->number < INT64_C(253402300800000000);
    case RS_DATE:
        return value->number >= -719162;
    default:
        return true;
    }
}

static bool may_apply(const struct table *table, const struct column *column, uint32_t operation)
{
    bool is_number = column->type == RS_INT || column->type == RS_DECIMAL;
    bool starts_at_zero = column->fallback.is_null || (is_number && strcmp(column->name, "five") != 0);

    if (operation < RS_ADD || operation > RS_MIN)
        return false;
    if (table->is_shared)
        return column->operation == (operation == RS_ADD ? CELL_ADD : operation == RS_MAX ? CELL_MAX : CELL_MIN);
    if (operation == RS_ADD)
        return is_number && starts_at_zero;
    return column->fallback.is_null && column->type != RS_BOOL && column->type != RS_JSON;
}

int model_judge(const struct model_operation *operation)
{
    const struct table *table = &model_tables[operation->table];
    const struct column *column = &table->columns[operation->column];

    if (operation->kind == MODEL_REMOVE || operation->kind == MODEL_EXISTS)
        return table->is_shared ? ERROR_BUG : 0;
    if (operation->column >= table->n_columns)
        return ERROR_BUG;
    if (operation->kind == MODEL_GET)
        return table->is_shared || (operation->type != 0 && operation->type != (uint32_t)column->type) ? ERROR_BUG : 0;
    if (column->is_key)
        return ERROR_BUG;
    if (operation->kind == MODEL_SET ? table->is_shared : !may_apply(table, column, operation->operation))
        return ERROR_BUG;
    if (operation->type == 0)
        return operation->kind == MODEL_APPLY ? ERROR_BUG : column->is_not_null ? ERROR_POISON : 0;
    if (operation->type != (uint32_t)column->type)
        return ERROR_BUG;
    return value_fits(column, operation) ? 0 : ERROR_POISON;
}

/* ---- What operations do ---- */

static struct model_value at_scale(const struct column *column, const struct model_operation *operation)
{
    struct model_value value = operation->value;

    if (column->type != RS_DECIMAL || value.is_null)
        return value;
    value.number = operation->coefficient;
    for (int32_t scale = operation->scale; scale > (int32_t)column->scale; scale--)
        value.number /= 10;
    for (int32_t scale = operation->scale; scale < (int32_t)column->scale; scale++)
        value.number *= 10;
    value.rough = (long double)value.number;
    return value;
}

static int compare(enum rs_type type, const struct model_value *a, const struct model_value *b)
{
    size_t size = a->size < b->size ? a->size : b->size;
    int order;

    if (type == RS_REAL)
        return (a->real > b->real) - (a->real < b->real);
    if (a->number != b->number)
        return a->number > b->number ? 1 : -1;
    order = memcmp(a->data, b->data, size);
    return order != 0 ? order : (int)a->size - (int)b->size;
}

void model_merge(enum rs_type type, uint32_t operation, struct model_value *value, const struct model_value *other)
{
    int order;

    if (other->is_null)
        return;
    if (value->is_null) {
        *value = *other;
        return;
    }
    if (operation == RS_ADD) {
        value->number = (int128)((unsigned __int128)value->number + (unsigned __int128)other->number);
        value->rough += other->rough;
        return;
    }
    order = compare(type, other, value);
    if (operation == RS_MAX ? order > 0 : order < 0)
        *value = *other;
}

void model_fill(uint32_t table, struct model_row *row)
{
    const struct table *columns = &model_tables[table];

    memset(row, 0, sizeof *row);
    row->exists = true;
    for (uint32_t i = 0; i < columns->n_columns; i++) {
        if (columns->columns[i].is_key)
            continue;
        row->values[i] = model_of_cell(columns->columns[i].type, &columns->columns[i].fallback);
        if (columns->columns[i].operation == CELL_ADD) /* each write of a shared row adds to all its sums, be it zero */
            row->values[i].is_null = false;
    }
}

void model_apply(struct model *model, const struct model_operation *operation)
{
    const struct column *column = &model_tables[operation->table].columns[operation->column];
    struct model_row *row = &model->rows[operation->table][operation->key];
    struct model_value value;

    if (operation->kind == MODEL_REMOVE) {
        row->exists = false;
        return;
    }
    value = at_scale(column, operation);
    if (!row->exists)
        model_fill(operation->table, row);
    if (operation->kind == MODEL_SET)
        row->values[operation->column] = value;
    else
        model_merge(column->type, operation->operation, &row->values[operation->column], &value);
}

bool model_fits(uint32_t table, uint32_t number, const struct model_value *value)
{
    const struct column *column = &model_tables[table].columns[number];
    int128 limit;

    if (value->is_null || (column->type != RS_INT && column->type != RS_DECIMAL))
        return true;
    if (value->rough > 1.2e38L || value->rough < -1.2e38L)
        return false;
    if (column->type == RS_INT)
        return value->number >= INT64_MIN && value->number <= INT64_MAX;
    limit = power((int32_t)column->precision);
    return value->number < limit && value->number > -limit;
}

bool model_is_same(const struct model_value *a, const struct model_value *b, enum rs_type type)
{
    if (a->is_null || b->is_null)
        return a->is_null == b->is_null;
    return compare(type, a, b) == 0 && !(type == RS_REAL && signbit(a->real) != signbit(b->real));
}

/* ---- From and to the fold ---- */

struct model_value model_of_cell(enum rs_type type, const struct cell *cell)
{
    struct model_value value = {.is_null = cell->is_null};

    if (cell->is_null)
        return value;
    if (type == RS_DECIMAL) {
        value.number = cell->as.decimal;
    } else if (type == RS_REAL) {
        value.real = cell->as.real;
    } else if (type == RS_UUID) {
        value.size = 16;
        memcpy(value.data, cell->as.uuid, 16);
    } else if (type == RS_TEXT || type == RS_JSON || type == RS_BYTES) {
        value.size = (uint8_t)cell->size;
        for (uint32_t i = 0; i < cell->size; i++)
            value.data[i] = cell->as.data[i];
    } else {
        value.number = cell->as.integer;
    }
    value.rough = (long double)value.number;
    return value;
}

struct model_value model_of_value(const struct column *column, const struct rs_value *given)
{
    struct model_operation operation = {.type = given->type};
    struct model_value *value = &operation.value;

    value->is_null = given->type == 0;
    switch (given->type) {
    case RS_INT:
        value->number = given->as.integer;
        break;
    case RS_REAL:
        value->real = given->as.real;
        break;
    case RS_DECIMAL:
        operation.coefficient = decimal_coefficient(given->as.decimal);
        operation.scale = given->as.decimal.scale;
        return at_scale(column, &operation);
    case RS_BOOL:
        value->number = given->boolean;
        break;
    case RS_TIMESTAMP:
        value->number = given->as.timestamp.microseconds;
        break;
    case RS_DATE:
        value->number = given->as.date.days;
        break;
    case RS_UUID:
        value->size = 16;
        memcpy(value->data, given->as.uuid.bytes, 16);
        break;
    case RS_TEXT:
    case RS_JSON:
    case RS_BYTES:
        value->size = (uint8_t)given->as.text.size;
        for (uint32_t i = 0; i < value->size; i++)
            value->data[i] = given->as.text.data[i];
        break;
    }
    value->rough = (long double)value->number;
    return *value;
}

struct cell model_to_cell(enum rs_type type, const struct model_value *value)
{
    struct cell cell = {.operation = CELL_SET, .is_null = value->is_null};

    if (value->is_null)
        return cell;
    if (type == RS_DECIMAL) {
        cell.as.decimal = value->number;
    } else if (type == RS_REAL) {
        cell.as.real = value->real;
    } else if (type == RS_UUID) {
        memcpy(cell.as.uuid, value->data, 16);
    } else if (type == RS_TEXT || type == RS_JSON || type == RS_BYTES) {
        cell.size = value->size;
        cell.as.data = value->data;
    } else {
        cell.as.integer = (int64_t)value->number;
    }
    return cell;
}
