/*
 * row - what the operations do to one row, column by column: the merging rules of batch.h.
 */
#include "fold/inside.h"

#include "fold/value.h"

#include <stdlib.h>
#include <string.h>

enum { OPERATIONS_MAX = 100000 };

/* ---- Reading ---- */

/* A stored cell as the fold keeps it: integers in the wide member. */
static struct cell widen(const struct table *table, uint32_t column, struct cell cell)
{
    if (table->columns[column].type == RS_INT && !cell.is_null)
        cell.as.sum = cell.as.integer;
    cell.operation = CELL_SET;
    return cell;
}

static struct cell base_value(const struct row *row, uint32_t column)
{
    return widen(row->table, column,
                 row->base == BASE_PRESENT ? row->base_cells[column] : row->table->columns[column].fallback);
}

static void add(struct cell *cell, const struct cell *delta)
{
    if (cell->is_null)
        *cell = *delta;
    else
        cell->as.sum += delta->as.sum; /* the same bytes as as.decimal */
    cell->operation = CELL_SET;
}

struct cell row_value(const struct row *row, uint32_t column)
{
    const struct cell *cell = &row->cells[column];
    struct cell value;

    if (cell->operation == CELL_SET)
        return *cell;
    value = base_value(row, column);
    if (cell->operation == CELL_ADD) {
        add(&value, cell);
    } else if (cell->operation != CELL_NONE) {
        int order = value.is_null ? 0 : value_compare(row->table->columns[column].type, cell, &value);

        if (value.is_null || (cell->operation == CELL_MAX ? order > 0 : order < 0))
            value = *cell;
    }
    value.operation = CELL_SET;
    return value;
}

bool row_exists(const struct row *row)
{
    return row->has_values || row->base == BASE_PRESENT;
}

bool batch_final_cells(const struct row *row, struct cell *ret_cells)
{
    if (row->base == BASE_UNKNOWN || !row_exists(row))
        return false;
    for (uint32_t i = 0; i < row->table->n_columns; i++) {
        ret_cells[i] = row_value(row, i);
        if (row->table->columns[i].type == RS_INT && !ret_cells[i].is_null)
            ret_cells[i].as.integer = (int64_t)ret_cells[i].as.sum;
    }
    return true;
}

static int refuse_shared(const struct row *row, const char *what, struct error *ret_error)
{
    return error_set(ret_error, ERROR_BUG, "table %s is shared by partitions: %s is not possible there", row->table->name, what);
}

static int check_column(const struct row *row, uint32_t column, struct error *ret_error)
{
    if (column >= row->table->n_columns)
        return error_set(ret_error, ERROR_BUG, "the handler names column %u of table %s, which has %u", column, row->table->name,
                         row->table->n_columns);
    return 0;
}

static void give(const struct column *column, const struct cell *cell, struct rs_value *ret_value)
{
    memset(ret_value, 0, sizeof *ret_value);
    if (cell->is_null)
        return;
    ret_value->type = column->type;
    switch (column->type) {
    case RS_INT:
        ret_value->as.integer = (int64_t)cell->as.sum;
        break;
    case RS_REAL:
        ret_value->as.real = cell->as.real;
        break;
    case RS_DECIMAL:
        ret_value->as.decimal = decimal_make(cell->as.decimal, (int32_t)column->scale);
        break;
    case RS_BOOL:
        ret_value->boolean = cell->as.integer != 0;
        break;
    case RS_TIMESTAMP:
        ret_value->as.timestamp.microseconds = cell->as.integer;
        break;
    case RS_DATE:
        ret_value->as.date.days = (int32_t)cell->as.integer;
        break;
    case RS_UUID:
        memcpy(ret_value->as.uuid.bytes, cell->as.uuid, sizeof cell->as.uuid);
        break;
    default:
        ret_value->as.text.data = cell->as.data;
        ret_value->as.text.size = cell->size;
        break;
    }
}

static bool fits_int64(int128 value)
{
    return value >= INT64_MIN && value <= INT64_MAX;
}

int batch_get(struct batch *batch, struct row *row, uint32_t number, uint32_t type, struct rs_value *ret_value,
              struct error *ret_error)
{
    const struct column *column;
    struct cell cell;
    int result = check_column(row, number, ret_error);

    if (result != 0)
        return result;
    if (row->table->is_shared)
        return refuse_shared(row, "reading", ret_error);
    column = &row->table->columns[number];
    if (type != 0 && type != (uint32_t)column->type)
        return error_set(ret_error, ERROR_BUG, "%s.%s is read as type %u, the column is of type %u", row->table->name,
                         column->name, type, (unsigned)column->type);
    if (row->cells[number].operation != CELL_SET || column->is_key) {
        result = row_find_base(batch, row, ret_error);
        if (result != 0)
            return result;
        if (!row_exists(row)) {
            memset(ret_value, 0, sizeof *ret_value);
            return 0;
        }
    }
    cell = row_value(row, number);
    if (column->type == RS_INT && !cell.is_null && !fits_int64(cell.as.sum))
        return error_set(ret_error, ERROR_POISON, "%s.%s: the sum exceeds 64 bits", row->table->name, column->name);
    give(column, &cell, ret_value);
    return 0;
}

int batch_exists(struct batch *batch, struct row *row, bool *ret_exists, struct error *ret_error)
{
    int result = 0;

    if (row->table->is_shared)
        return refuse_shared(row, "asking whether a row exists", ret_error);
    if (!row->has_values)
        result = row_find_base(batch, row, ret_error);
    if (result == 0)
        *ret_exists = row_exists(row);
    return result;
}

/* ---- Changing ---- */

/* Remembers the cell and the row's state, so that the event can be undone. */
static int remember(struct batch *batch, struct row *row, uint32_t column, struct error *ret_error)
{
    if (batch->n_undo >= OPERATIONS_MAX)
        return error_set(ret_error, ERROR_POISON, "the event makes more than %d changes", OPERATIONS_MAX);
    if (!grow_array(&batch->undo, batch->n_undo, &batch->undo_capacity, sizeof batch->undo[0]))
        return error_set(ret_error, ERROR_BUG, "out of memory in a batch");
    batch->undo[batch->n_undo++] = (struct undo){.row = row,
                                                 .column = column,
                                                 .is_removed = row->is_removed,
                                                 .is_written = row->is_written,
                                                 .has_values = row->has_values,
                                                 .base = row->base,
                                                 .base_cells = row->base_cells,
                                                 .cell = row->cells[column]};
    return 0;
}

static bool is_same(const struct table *table, uint32_t column, const struct cell *a, const struct cell *b)
{
    if (a->operation != b->operation || a->is_null != b->is_null)
        return false;
    return a->is_null || value_compare(table->columns[column].type, a, b) == 0;
}

static int store_cell(struct batch *batch, struct row *row, uint32_t column, struct cell *cell, struct error *ret_error)
{
    int result;

    if (row->is_written && row->has_values && is_same(row->table, column, &row->cells[column], cell))
        return 0; /* nothing changes: no copy, no undo */
    result = remember(batch, row, column, ret_error);
    if (result != 0)
        return result;
    if (!cell_copy_data(batch->arena, row->table, column, cell))
        return error_set(ret_error, ERROR_BUG, "out of memory in a batch");
    row->cells[column] = *cell;
    row->is_written = row->has_values = true;
    return 0;
}

static int check_change(const struct row *row, uint32_t number, struct error *ret_error)
{
    int result = check_column(row, number, ret_error);

    if (result != 0)
        return result;
    if (row->table->columns[number].is_key)
        return error_set(ret_error, ERROR_BUG, "%s.%s is a key column: the key is given to rs_row() and does not change",
                         row->table->name, row->table->columns[number].name);
    return 0;
}

int batch_set(struct batch *batch, struct row *row, uint32_t column, const struct rs_value *value, struct error *ret_error)
{
    struct cell cell;
    int result = check_change(row, column, ret_error);

    if (result != 0)
        return result;
    if (row->table->is_shared)
        return refuse_shared(row, "setting", ret_error);
    result = value_fit(row->table, column, value, &cell, ret_error);
    return result != 0 ? result : store_cell(batch, row, column, &cell, ret_error);
}

static int check_operation(const struct row *row, uint32_t number, uint8_t operation, struct error *ret_error)
{
    const struct column *column = &row->table->columns[number];
    const char *name = row->table->name;

    if (operation != CELL_ADD && operation != CELL_MAX && operation != CELL_MIN)
        return error_set(ret_error, ERROR_BUG, "%s.%s: an operation that does not exist", name, column->name);
    if (column->operation != CELL_NONE && column->operation != operation)
        return error_set(ret_error, ERROR_BUG, "%s.%s: the column declares another operation", name, column->name);
    if (operation == CELL_ADD && column->type != RS_INT && column->type != RS_DECIMAL)
        return error_set(ret_error, ERROR_BUG, "%s.%s: only integers and decimals can be added to", name, column->name);
    if (operation == CELL_ADD && !column->fallback.is_null &&
        (column->type == RS_INT ? column->fallback.as.integer != 0 : column->fallback.as.decimal != 0))
        return error_set(ret_error, ERROR_BUG, "%s.%s: a column that is added to needs a fallback of zero or null", name,
                         column->name);
    if (operation != CELL_ADD && (column->type == RS_BOOL || column->type == RS_JSON))
        return error_set(ret_error, ERROR_BUG, "%s.%s: bool and json have no greatest value", name, column->name);
    if (operation != CELL_ADD && !column->fallback.is_null)
        return error_set(ret_error, ERROR_BUG, "%s.%s: a column kept at max or min needs null as fallback", name, column->name);
    return 0;
}

/* Null counts as zero when adding and gives way to max and min. */
static int merge(struct batch *batch, const struct row *row, uint32_t column, struct cell *change, const struct cell *now,
                 struct error *ret_error)
{
    int order;

    if (now->operation == CELL_NONE || now->is_null) {
        if (now->operation == CELL_SET)
            change->operation = CELL_SET;
        return 0;
    }
    if (change->operation == CELL_ADD) {
        if (__builtin_add_overflow(now->as.sum, change->as.sum, &change->as.sum)) {
            if (batch->n_kept > 0)
                return FOLD_FULL;
            return error_set(ret_error, ERROR_POISON, "%s.%s: the sum exceeds 38 digits", row->table->name,
                             row->table->columns[column].name);
        }
        change->operation = now->operation;
        return 0;
    }
    order = value_compare(row->table->columns[column].type, change, now);
    if (change->operation == CELL_MAX ? order <= 0 : order >= 0)
        *change = *now;
    else
        change->operation = now->operation;
    return 0;
}

int batch_apply(struct batch *batch, struct row *row, uint32_t column, uint32_t operation, const struct rs_value *value,
                struct error *ret_error)
{
    struct cell change, now;
    int result = check_change(row, column, ret_error);

    if (result == 0)
        result = check_operation(row, column, (uint8_t)(operation + CELL_ADD - RS_ADD), ret_error);
    if (result == 0 && value->type == 0)
        result = error_set(ret_error, ERROR_BUG, "%s.%s: null cannot be added or compared", row->table->name,
                           row->table->columns[column].name);
    if (result == 0)
        result = value_fit(row->table, column, value, &change, ret_error);
    if (result != 0)
        return result;
    change.operation = (uint8_t)(operation + CELL_ADD - RS_ADD);
    now = row->cells[column];
    if (now.operation != CELL_NONE && now.operation != CELL_SET && now.operation != change.operation) {
        result = row_find_base(batch, row, ret_error); /* add over max and the like: only the value itself tells */
        if (result != 0)
            return result;
        now = row_value(row, column);
    } else if (now.operation == CELL_NONE && row->is_removed) {
        now = base_value(row, column); /* a new row starts from its fallbacks */
    }
    result = merge(batch, row, column, &change, &now, ret_error);
    return result != 0 ? result : store_cell(batch, row, column, &change, ret_error);
}

int batch_remove(struct batch *batch, struct row *row, struct error *ret_error)
{
    bool never_was = row->base == BASE_ABSENT && !row->is_removed;

    if (row->table->is_shared)
        return refuse_shared(row, "removing rows", ret_error);
    for (uint32_t i = 0; i < row->table->n_columns; i++) {
        int result = remember(batch, row, i, ret_error);

        if (result != 0)
            return result;
        if (!row->table->columns[i].is_key)
            row->cells[i] = (struct cell){.operation = CELL_NONE};
    }
    row->has_values = false;
    row->is_written = !never_was;
    row->is_removed = !never_was;
    row->base = BASE_ABSENT;
    row->base_cells = NULL;
    return 0;
}
