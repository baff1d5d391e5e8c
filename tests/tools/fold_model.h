/*
 * fold_model - what the fold must come to: tables, keys, and a store that takes one operation at a time and knows no batches.
 *
 * Shared with no code of src/fold: values are kept as plain numbers and bytes, rows in a small fixed grid, so that a mistake of
 * the fold is not repeated here. For tests only.
 */
#ifndef TESTS_FOLD_MODEL_H
#define TESTS_FOLD_MODEL_H

#include "base/error.h"
#include "fold/table.h"

enum { MODEL_TABLES = 4, MODEL_KEYS = 5, MODEL_COLUMNS = 13, MODEL_DATA_SIZE = 24, MODEL_SHARED = 3 };

struct model_value {
    bool is_null;
    uint8_t size;
    int128 number;      /* int, decimal at the column's scale, timestamp, date, bool; wraps around */
    long double rough;  /* the same, roughly, but without wrapping */
    double real;
    char data[MODEL_DATA_SIZE]; /* text, json, bytes, uuid */
};

struct model_row {
    bool exists;
    struct model_value values[MODEL_COLUMNS];
};

struct model {
    struct model_row rows[MODEL_TABLES][MODEL_KEYS];
};

enum model_kind { MODEL_SET, MODEL_APPLY, MODEL_REMOVE, MODEL_GET, MODEL_EXISTS };

struct model_operation {
    enum model_kind kind;
    uint32_t table;
    uint32_t key;
    uint32_t column;
    uint32_t operation;   /* MODEL_APPLY */
    uint32_t type;        /* of the value; 0: null */
    int32_t scale;        /* decimals: of `coefficient` */
    int128 coefficient;
    struct model_value value;
    struct rs_value given; /* as the handler gives it; points into value.data */
};

extern const struct table model_tables[MODEL_TABLES];

/* The key columns' values of a row of the grid. Returns their number. */
uint32_t model_key(uint32_t table, uint32_t key, struct rs_value ret_values[RS_MAX_KEYS]);

/* A value of the type at random, often at an edge; fills everything but kind, table, key, column and operation. */
void model_random_value(struct model_operation *operation, uint32_t type, uint64_t random);

/* 0 or the class that the fold must answer with, whatever the rows hold. */
int model_judge(const struct model_operation *operation);

/* Does the operation to a row; a judged one that is neither get nor exists. */
void model_apply(struct model *model, const struct model_operation *operation);

/* Does the value fit its column, as a store would say? */
bool model_fits(uint32_t table, uint32_t column, const struct model_value *value);
bool model_is_same(const struct model_value *a, const struct model_value *b, enum rs_type type);

/* From a cell of a closed batch, and from what a handler reads. */
struct model_value model_of_cell(enum rs_type type, const struct cell *cell);
struct model_value model_of_value(const struct column *column, const struct rs_value *value);
/* As a store hands it over; points into value. */
struct cell model_to_cell(enum rs_type type, const struct model_value *value);

/* A new row. */
void model_fill(uint32_t table, struct model_row *row);

/* Adds, or keeps the greater or the lesser. */
void model_merge(enum rs_type type, uint32_t operation, struct model_value *value, const struct model_value *other);

#endif
