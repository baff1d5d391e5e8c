/*
 * host_tables - the tables of Readside's own beside the projections' (design section 6), the same in every store but for the
 * names of types. As data: drivers print them and compare what they find with them.
 */
#ifndef STORE_HOST_TABLES_H
#define STORE_HOST_TABLES_H

#include <stdbool.h>
#include <stddef.h>

enum host_type {
    HOST_NUMBER, /* counted by the store, from 1; the key alone */
    HOST_INT,    /* 32 bits */
    HOST_BIGINT, /* 64 bits */
    HOST_TEXT,
    HOST_NAME,   /* text that is compared byte by byte */
    HOST_UUID,
    HOST_BYTES,
    HOST_JSON,
    HOST_TIME,   /* not null: the time of the insert, where a store can give it by itself */
};

enum { HOST_TABLES = 5, HOST_KEYS_MAX = 4 };

struct host_column {
    const char *name;
    enum host_type type;
    bool is_null;         /* may it be? */
    const char *fallback; /* SQL; NULL: none */
    const char *only;     /* the kind of store that alone has it; NULL: all */
};

struct host_table {
    const char *name;
    const struct host_column *columns;
    size_t n_columns;
    const char *keys[HOST_KEYS_MAX + 1]; /* NULL-terminated */
    bool is_hot; /* its rows change with each batch */
};

extern const struct host_table host_tables[HOST_TABLES];

/* Does a store of that kind have the column? */
bool host_column_is_of(const struct host_column *column, const char *kind);

#endif
