/*
 * table - the host's checked copy of the tables a projection declares. Plain structs, immutable after the plugin is open; store/
 * reads them to make schemas and statements.
 */
#ifndef FOLD_TABLE_H
#define FOLD_TABLE_H

#include "base/decimal.h"
#include "readside/plugin.h"

#include <stdbool.h>
#include <stdint.h>

/* One value of a column: what a set stored, a sum of adds, a max or min. */
struct cell {
    uint8_t operation; /* enum cell_operation */
    bool is_null;
    uint32_t size; /* RS_TEXT, RS_BYTES, RS_JSON: bytes at data */
    union {
        int64_t integer;  /* RS_INT; RS_TIMESTAMP in microseconds; RS_DATE in days; RS_BOOL 0 or 1 */
        double real;
        int128 decimal;   /* coefficient at the column's scale */
        int128 sum;       /* RS_INT being added to: wider than the column, judged when the batch closes */
        const char *data; /* RS_TEXT, RS_BYTES, RS_JSON: in the batch's arena */
        uint8_t uuid[16];
    } as;
};

enum cell_operation {
    CELL_NONE, /* not touched */
    CELL_SET,
    CELL_ADD,
    CELL_MAX,
    CELL_MIN,
};

struct column {
    const char *name;
    enum rs_type type;
    bool is_key;
    bool is_not_null;
    uint8_t operation; /* of a shared table: CELL_ADD, CELL_MAX or CELL_MIN; else CELL_NONE */
    uint32_t precision;
    uint32_t scale;
    uint32_t length;      /* 0: no limit */
    struct cell fallback; /* CELL_SET; value of a new row where nothing is set; keys have none */
};

enum { KEY_BYTES_MAX = 2000 }; /* of a key in canonical form: what every store can index */

struct index {
    const char *name;
    const uint32_t *columns;
    uint32_t n_columns;
};

struct table {
    const char *name;
    uint32_t id;
    bool is_shared;
    bool key_follows; /* partitioned, the first key column need not equal the record key */
    bool is_omitted;  /* left out by the plugin's open() */
    const struct column *columns;
    uint32_t n_columns;
    uint32_t keys[RS_MAX_KEYS]; /* column numbers of the key, in order */
    uint32_t n_keys;
    const struct index *indexes;
    uint32_t n_indexes;
};

#endif
