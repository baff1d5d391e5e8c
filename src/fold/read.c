/*
 * read - what a row is after the operations so far: the reads of handlers, and the values that other files of the fold need.
 *
 * Called by the plugin host for the event under way and when a batch is closed, in the task's one thread. Changes no row but for
 * its base.
 */
#include "fold/inside.h"

#include "fold/key.h"
#include "fold/value.h"

#include <string.h>

/* ---- Refusals that reading and changing share ---- */

int row_refuse_shared(const struct row *row, const char *what, struct error *ret_error)
{
    return error_set(ret_error, ERROR_BUG, "table %s is shared by partitions: %s is not possible there", row->table->name, what);
}

int row_refuse_column(const struct row *row, uint32_t column, struct error *ret_error)
{
    return error_set(ret_error, ERROR_BUG, "the handler names column %u of table %s, which has %u", column, row->table->name,
                     row->table->n_columns);
}

int row_sum_misfit(const struct batch *batch, const struct row *row, uint32_t number, const struct cell *sum,
                   struct error *ret_error)
{
    const struct column *column = &row->table->columns[number];
    char key[VALUE_SHOWN_SIZE * 2], text[VALUE_SHOWN_SIZE];

    if (batch->n_kept > 0 && !batch->is_closed)
        return FOLD_FULL; /* whose fault it is shows when the events before are written on their own */
    key_print(row->table, row->cells, key, sizeof key);
    if (sum == NULL)
        return error_set(ret_error, ERROR_POISON, "%s.%s of %s: the sum has more than 38 digits", row->table->name, column->name,
                         key);
    value_print(column, sum, text);
    if (column->type == RS_INT)
        return error_set(ret_error, ERROR_POISON, "%s.%s of %s: the sum %s exceeds 64 bits", row->table->name, column->name, key,
                         text);
    return error_set(ret_error, ERROR_POISON, "%s.%s of %s: the sum %s has more than %u digits before the point",
                     row->table->name, column->name, key, text, column->precision - column->scale);
}

/* ---- Values ---- */

/* A row that is not there yet starts from its fallbacks: for reads and for sums that is the same as having them stored. */
struct cell row_base_value(const struct row *row, uint32_t column)
{
    return row->base == BASE_PRESENT ? row->base_cells[column]
                                     : value_widen(&row->table->columns[column], &row->table->columns[column].fallback);
}

/* A row that only has sums or extremes needs what they are applied to; of equal values the stored one stays, as in the stores. */
bool row_value(const struct row *row, uint32_t column, struct cell *ret_cell)
{
    const struct cell *cell = &row->cells[column];
    struct cell value;
    int order;

    if (cell->operation == CELL_SET) {
        *ret_cell = *cell;
        return true;
    }
    value = row_base_value(row, column);
    if (cell->operation == CELL_ADD) {
        if (value.is_null)
            value = *cell;
        else if (__builtin_add_overflow(value.as.sum, cell->as.sum, &value.as.sum))
            return false;
    } else if (cell->operation != CELL_NONE) {
        order = value.is_null ? 0 : value_compare(row->table->columns[column].type, cell, &value);
        if (value.is_null || (cell->operation == CELL_MAX ? order > 0 : order < 0))
            value = *cell;
    }
    value.operation = CELL_SET;
    *ret_cell = value;
    return true;
}

bool batch_final_cells(const struct row *row, struct cell *ret_cells)
{
    if (row->base == BASE_UNKNOWN || !row_exists(row))
        return false;
    for (uint32_t i = 0; i < row->table->n_columns; i++)
        if (!row_value(row, i, &ret_cells[i]))
            return false; /* not in a closed batch */
    return true;
}

/* ---- Handlers ---- */

static int check_get(const struct row *row, uint32_t number, uint32_t type, struct error *ret_error)
{
    const struct column *column;

    if (number >= row->table->n_columns)
        return row_refuse_column(row, number, ret_error);
    column = &row->table->columns[number];
    if (row->table->is_shared)
        return row_refuse_shared(row, "reading", ret_error);
    if (type != 0 && type != (uint32_t)column->type)
        return error_set(ret_error, ERROR_BUG, "%s.%s: the handler reads a value of type %s, the column is of type %s",
                         row->table->name, column->name, value_type_name(type), value_type_name(column->type));
    return 0;
}

int batch_get(struct batch *batch, struct row *row, uint32_t number, uint32_t type, struct rs_value *ret_value,
              struct error *ret_error)
{
    const struct column *column;
    struct cell cell;
    bool is_known;
    int result = check_get(row, number, type, ret_error);

    if (result != 0)
        return result;
    column = &row->table->columns[number];
    /* What this batch set needs no stored row; the key is as good, but a row that does not exist reads as null. */
    is_known = row->has_values && row->cells[number].operation == CELL_SET;
    if (!is_known) {
        result = row_find_base(batch, row, ret_error);
        if (result != 0)
            return result;
        if (!row_exists(row)) {
            memset(ret_value, 0, sizeof *ret_value);
            return 0;
        }
    }
    if (!row_value(row, number, &cell))
        return row_sum_misfit(batch, row, number, NULL, ret_error);
    if (!value_sum_fits(column, &cell))
        return row_sum_misfit(batch, row, number, &cell, ret_error);
    value_give(column, &cell, ret_value);
    return 0;
}

/* A column that was touched has made the row, if it was not there: no need to know which. */
int batch_exists(struct batch *batch, struct row *row, bool *ret_exists, struct error *ret_error)
{
    int result = 0;

    if (row->table->is_shared)
        return row_refuse_shared(row, "asking whether a row exists", ret_error);
    if (!row->has_values)
        result = row_find_base(batch, row, ret_error);
    if (result == 0)
        *ret_exists = row_exists(row);
    return result;
}
