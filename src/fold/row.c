/*
 * row - what the operations do to one row, column by column: the merging rules of batch.h.
 *
 * Called by the plugin host for the event under way, in the task's one thread: the hot path. Every change is logged first, so
 * that the event can be undone; text and bytes are copied only where they differ from what is there.
 */
#include "fold/inside.h"

#include "fold/value.h"

/* ---- The log of changes ---- */

/* Filled but for what was in the cell. NULL: out of memory. */
static struct undo *next_undo(struct batch *batch, struct row *row, uint32_t column)
{
    struct undo *undo;

    if (batch->n_undo == batch->undo_capacity &&
        !grow_array(&batch->undo, batch->n_undo, &batch->undo_capacity, sizeof batch->undo[0]))
        return NULL;
    undo = &batch->undo[batch->n_undo++];
    undo->row = row;
    undo->column = column;
    undo->base = row->base;
    undo->is_removed = row->is_removed;
    undo->is_written = row->is_written;
    undo->has_values = row->has_values;
    return undo;
}

/* The cell as the event leaves it; data still where the handler has it. */
static int store_cell(struct batch *batch, struct row *row, uint32_t number, struct cell *cell, struct error *ret_error)
{
    const struct column *column = &row->table->columns[number];
    struct cell *now = &row->cells[number];
    struct undo *undo;

    if (value_has_data(column->type) && !cell->is_null) {
        if (now->operation == cell->operation && !now->is_null && value_compare(column->type, now, cell) == 0)
            return 0; /* an operation on the column means that the row is written already */
        if (!batch_has_room(batch))
            return FOLD_FULL;
        if (!cell_copy_data(batch->arena, column, cell))
            return fold_out_of_memory(ret_error);
    }
    undo = next_undo(batch, row, number);
    if (undo == NULL)
        return fold_out_of_memory(ret_error);
    undo->was.cell = *now;
    *now = *cell;
    row->is_written = row->has_values = true;
    return 0;
}

/* What every change goes through: the column is one that changes, and the event has not made too many. */
static int check_change(struct batch *batch, const struct row *row, uint32_t number, struct error *ret_error)
{
    if (number >= row->table->n_columns)
        return row_refuse_column(row, number, ret_error);
    if (row->table->columns[number].is_key)
        return error_set(ret_error, ERROR_BUG, "%s.%s is a key column: the key is given to rs_row() and does not change",
                         row->table->name, row->table->columns[number].name);
    if (batch->n_changes++ >= EVENT_CHANGES_MAX)
        return error_set(ret_error, ERROR_POISON, "the event makes more than %d changes", EVENT_CHANGES_MAX);
    return 0;
}

/* ---- Set ---- */

int batch_set(struct batch *batch, struct row *row, uint32_t column, const struct rs_value *value, struct error *ret_error)
{
    struct cell cell;
    int result = check_change(batch, row, column, ret_error);

    if (result != 0)
        return result;
    if (row->table->is_shared)
        return row_refuse_shared(row, "setting a column", ret_error);
    result = value_fit(row->table, column, value, &cell, ret_error);
    return result != 0 ? result : store_cell(batch, row, column, &cell, ret_error);
}

/* ---- Add, max, min ---- */

static const char *operation_name(uint8_t operation)
{
    static const char *const names[] = {"set", "set", "added to", "kept at max", "kept at min"};

    return names[operation];
}

/* Says why may_apply() said no. */
static int refuse_operation(const struct row *row, const struct column *column, uint8_t operation, struct error *ret_error)
{
    char text[VALUE_SHOWN_SIZE];
    struct cell fallback = value_widen(column, &column->fallback);
    const char *table = row->table->name;

    if (row->table->is_shared && column->operation != operation)
        return error_set(ret_error, ERROR_BUG, "%s.%s: the column declares that it is %s; it cannot be %s", table, column->name,
                         operation_name(column->operation), operation_name(operation));
    if (operation == CELL_ADD && column->type != RS_INT && column->type != RS_DECIMAL)
        return error_set(ret_error, ERROR_BUG, "%s.%s is of type %s; only int and decimal can be added to", table, column->name,
                         value_type_name(column->type));
    if (column->type == RS_BOOL || column->type == RS_JSON)
        return error_set(ret_error, ERROR_BUG, "%s.%s is of type %s, which has no greatest or least value", table, column->name,
                         value_type_name(column->type));
    value_print(column, &fallback, text);
    return error_set(ret_error, ERROR_BUG, "%s.%s starts at %s; a column that is %s needs a fallback of %s", table, column->name,
                     text, operation_name(operation), operation == CELL_ADD ? "0 or null" : "null");
}

/*
 * A fallback other than null or zero would make the result depend on how events are batched: an insert takes the operation's own
 * value, an update applies it to what is stored.
 */
static bool may_apply(const struct row *row, const struct column *column, uint8_t operation)
{
    if (row->table->is_shared && column->operation != operation)
        return false;
    if (operation == CELL_ADD) /* the low half tells: a fallback is within 38 digits, and INT has no more */
        return column->fallback.is_null ? column->type == RS_INT || column->type == RS_DECIMAL
               : column->type == RS_INT ? column->fallback.as.integer == 0
                                        : column->type == RS_DECIMAL && column->fallback.as.decimal == 0;
    return column->fallback.is_null && column->type != RS_BOOL && column->type != RS_JSON;
}

/*
 * The cell that the operation meets, in ret_now: as it is where it is set or changed by the same operation; nothing, CELL_NONE,
 * where what is stored decides; else its value. Null counts as zero when adding and gives way to max and min.
 */
static int meet(struct batch *batch, struct row *row, uint32_t column, uint8_t operation, struct cell *ret_now,
                struct error *ret_error)
{
    int result;

    *ret_now = row->cells[column];
    if (ret_now->operation == CELL_SET || ret_now->operation == operation)
        return 0;
    if (ret_now->operation == CELL_NONE) {
        if (row->is_removed) /* a new row starts from its fallbacks */
            *ret_now = row_base_value(row, column);
        return 0;
    }
    result = row_find_base(batch, row, ret_error); /* add over max and the like: only the value itself tells */
    if (result == 0 && !row_value(row, column, ret_now))
        result = row_sum_misfit(batch, row, column, NULL, ret_error);
    return result;
}

/* The usual case: there is a sum, or a value, to add to. */
static int add_to_sum(struct batch *batch, struct row *row, uint32_t column, const struct cell *change, struct error *ret_error)
{
    struct cell *now = &row->cells[column];
    struct undo *undo;
    int128 sum;

    if (__builtin_add_overflow(now->as.sum, change->as.sum, &sum))
        return row_sum_misfit(batch, row, column, NULL, ret_error);
    undo = next_undo(batch, row, column);
    if (undo == NULL)
        return fold_out_of_memory(ret_error);
    undo->was.cell = *now;
    now->as.sum = sum;
    return 0;
}

static int add(struct batch *batch, struct row *row, uint32_t column, struct cell *change, struct error *ret_error)
{
    struct cell now = row->cells[column];
    int result;

    if ((now.operation == CELL_ADD || now.operation == CELL_SET) && !now.is_null)
        return add_to_sum(batch, row, column, change, ret_error);
    result = meet(batch, row, column, CELL_ADD, &now, ret_error);
    if (result != 0)
        return result;
    change->operation = now.operation == CELL_NONE ? CELL_ADD : now.operation;
    if (now.operation != CELL_NONE && !now.is_null && __builtin_add_overflow(now.as.sum, change->as.sum, &change->as.sum))
        return row_sum_misfit(batch, row, column, NULL, ret_error);
    return store_cell(batch, row, column, change, ret_error);
}

static int keep(struct batch *batch, struct row *row, uint32_t column, uint8_t operation, struct cell *change,
                struct error *ret_error)
{
    struct cell now;
    int order, result = meet(batch, row, column, operation, &now, ret_error);

    if (result != 0)
        return result;
    change->operation = now.operation == CELL_NONE ? operation : now.operation;
    if (now.operation != CELL_NONE && !now.is_null) {
        order = value_compare(row->table->columns[column].type, change, &now);
        if (operation == CELL_MAX ? order <= 0 : order >= 0)
            *change = now;
    }
    return store_cell(batch, row, column, change, ret_error);
}

int batch_apply(struct batch *batch, struct row *row, uint32_t number, uint32_t operation, const struct rs_value *value,
                struct error *ret_error)
{
    static const uint8_t cell_operations[] = {[RS_ADD] = CELL_ADD, [RS_MAX] = CELL_MAX, [RS_MIN] = CELL_MIN};
    const struct column *column;
    struct cell change;
    uint8_t wanted;
    int result = check_change(batch, row, number, ret_error);

    if (result != 0)
        return result;
    column = &row->table->columns[number];
    if (operation < RS_ADD || operation > RS_MIN)
        return error_set(ret_error, ERROR_BUG, "%s.%s: operation %u does not exist", row->table->name, column->name, operation);
    wanted = cell_operations[operation];
    if (!may_apply(row, column, wanted))
        return refuse_operation(row, column, wanted, ret_error);
    if (value->type == 0) /* columns that take null take it by being set */
        return error_set(ret_error, ERROR_BUG, "%s.%s: null cannot be added or compared", row->table->name, column->name);
    result = value_fit(row->table, number, value, &change, ret_error);
    if (result != 0)
        return result;
    return wanted == CELL_ADD ? add(batch, row, number, &change, ret_error)
                              : keep(batch, row, number, wanted, &change, ret_error);
}

/* ---- Remove ---- */

/* A row that is known not to be in the store, and was made in this batch, vanishes without a statement. */
int batch_remove(struct batch *batch, struct row *row, struct error *ret_error)
{
    bool never_was = row->base == BASE_ABSENT && !row->is_removed;
    struct undo *undo;

    if (row->table->is_shared)
        return row_refuse_shared(row, "removing rows", ret_error);
    batch->n_changes += row->table->n_columns; /* as many as it may have to log, whatever the row holds now */
    if (batch->n_changes > EVENT_CHANGES_MAX)
        return error_set(ret_error, ERROR_POISON, "the event makes more than %d changes", EVENT_CHANGES_MAX);
    for (uint32_t i = 0; i < row->table->n_columns; i++) {
        if (row->cells[i].operation == CELL_NONE || row->table->columns[i].is_key)
            continue;
        undo = next_undo(batch, row, i);
        if (undo == NULL)
            return fold_out_of_memory(ret_error);
        undo->was.cell = row->cells[i];
        row->cells[i] = (struct cell){.operation = CELL_NONE};
    }
    undo = next_undo(batch, row, UNDO_REMOVED);
    if (undo == NULL)
        return fold_out_of_memory(ret_error);
    undo->was.base_cells = row->base_cells;
    /* Base ABSENT from here on: reads find nothing, and what is set makes a new row. */
    row->has_values = false;
    row->is_written = row->is_removed = !never_was;
    row->base = BASE_ABSENT;
    row->base_cells = NULL;
    return 0;
}
