/*
 * driver - what a read store implements. store.c dispatches; the contract of each function is the one of its namesake in store.h.
 */
#ifndef STORE_DRIVER_H
#define STORE_DRIVER_H

#include "store/store.h"

#include <stdatomic.h>

struct store_driver {
    const char *kind;
    bool is_blocking; /* operations run within start and poll(): the task folds nothing meanwhile */
    int (*open)(const struct store_settings *settings, const struct store_scope *scope, struct store **ret_store,
                struct error *ret_error);
    void (*close)(struct store *store);

    int (*start_connect)(struct store *store, struct error *ret_error);
    int (*start_claim)(struct store *store, struct store_position *positions, size_t n, struct error *ret_error);
    int (*start_insert)(struct store *store, const struct store_start *starts, size_t n, bool is_first, struct error *ret_error);
    int (*start_write)(struct store *store, const struct store_write *write, struct error *ret_error);
    int (*start_read)(struct store *store, const struct store_read *read, struct error *ret_error);
    int (*start_resolve)(struct store *store, struct store_position *positions, size_t n, struct error *ret_error);
    int (*start_release)(struct store *store, const struct store_position *positions, size_t n, struct error *ret_error);
    void (*abandon)(struct store *store); /* NULL: requests are touched in start and poll() alone */
    int (*poll)(struct store *store, struct error *ret_error);

    int (*fd)(const struct store *store);
    short (*events)(const struct store *store);
    int64_t (*deadline_us)(const struct store *store);
    bool (*is_connected)(const struct store *store);

    int (*preflight)(struct store *store, struct error *ret_error);
    int (*create_schema)(struct store *store, struct error *ret_error);
    int (*check_schema)(struct store *store, struct error *ret_error);
    int (*print_schema)(const struct store_scope *scope, struct buffer *ret_sql, struct error *ret_error);
    int (*list_positions)(struct store *store, const struct store_position **ret_positions, size_t *ret_n,
                          struct error *ret_error);
    int (*operate)(struct store *store, const struct store_operation *operation, struct error *ret_error);
    int (*reset)(struct store *store, const char *actor, struct error *ret_error);
};

/* Drivers embed it as their first member. */
struct store {
    const struct store_driver *driver;
    struct store_settings settings;
    struct store_scope scope;
    bool is_busy;
    _Atomic int64_t round_trips; /* a driver's thread may count them: store_count_round_trip() */
    struct buffer advice; /* of the last check; drivers note, store.c empties it */
    void (*on_wait)(void *context);
    void *wait_context;
};

/* Does a statement for the group name the column? Keys, and what an upsert touches. */
bool store_group_has(const struct change_group *group, uint32_t column);
/* [["name", "base16"], ...]: header values are bytes, names may repeat, order matters. */
void store_print_headers(struct buffer *json, const struct outbox_message *message);

enum index_fault {
    INDEX_IS_MISSING,
    INDEX_IS_ELSEWHERE, /* its name is taken, by something that is no index of this table */
    INDEX_IS_INVALID,   /* half made: written to, and never used */
};

/* Of an index that a table lacks, with the statement that makes it. */
void store_advise_index(struct store *store, const char *table, const char *index, enum index_fault fault, const char *sql);

/* Each time that something is sent whose answer must be waited for. */
static inline void store_count_round_trip(struct store *store)
{
    atomic_fetch_add_explicit(&store->round_trips, 1, memory_order_relaxed);
}

/* Drivers call it now and then while they do not return: between statements, and several times a second within long ones. */
void store_waits(const struct store *store);

extern const struct store_driver store_postgres;
extern const struct store_driver store_sqlite;
extern const struct store_driver store_mysql;

/* "resume", "set", "skip": for the record. */
const char *store_operation_name(const struct store_operation *operation);
/* "accounts__v1": the table of that version. Names are checked by the plugin loader, so that they need no quoting but quotes. */
enum { STORE_NAME_SIZE = 64 };
void store_table_name(const struct store_scope *scope, const struct table *table, char ret_name[STORE_NAME_SIZE]);
/* "accounts__v1_by_owner", of at most 63 bytes; SQLite, where names have no limit, does without. */
void store_index_name(const struct store_scope *scope, const struct table *table, const struct index *index,
                      char ret_name[STORE_NAME_SIZE]);
/* "accounts", of "accounts__v1". */
void store_view_name(const struct store_scope *scope, const char *table, char ret_name[STORE_NAME_SIZE]);

#endif
