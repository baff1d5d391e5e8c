/*
 * postgres - what the files of the PostgreSQL driver share. Only store/postgres* includes libpq.
 *
 * Every operation is one or more exchanges: statements sent in libpq's pipeline mode with one Sync at the end, and their results
 * collected as they come. When the Sync's answer is there, the operation's next function looks at the results and either ends the
 * operation or sends the next exchange.
 */
#ifndef STORE_POSTGRES_H
#define STORE_POSTGRES_H

#include "base/buffer.h"
#include "store/driver.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

enum { PARAMETERS_MAX = RS_MAX_COLUMNS + 8 };

/* Parameters of one statement, binary. The bytes lie in one buffer; offsets become pointers when it is sent. */
struct pg_parameters {
    struct buffer bytes;
    size_t offsets[PARAMETERS_MAX];
    size_t sizes[PARAMETERS_MAX];
    Oid types[PARAMETERS_MAX];
    bool is_null[PARAMETERS_MAX];
    int n;
};

struct pg_statement { /* a prepared statement, by its text */
    char *sql;
    char name[24];
};

struct postgres;
typedef int (*pg_next)(struct postgres *pg, struct error *ret_error); /* STORE_BUSY: another exchange is under way */

struct postgres {
    struct store store; /* first */
    PGconn *connection;
    bool is_connecting;
    bool is_connected;
    PostgresPollingStatusType connecting;
    int64_t deadline_us;
    bool wants_write;

    /* the exchange under way */
    PGresult **results; /* one a statement, in order; NULL where it was skipped */
    size_t n_results, results_capacity;
    size_t n_sent;      /* statements of the exchange */
    bool is_synced;
    bool may_have_committed; /* a COMMIT may have left */
    pg_next next;
    struct pg_parameters parameters; /* scratch for the statement being built */

    struct pg_statement *statements;
    size_t n_statements, statements_capacity;
    unsigned generation; /* of statement names */

    /* the operation under way */
    struct store_position *positions;
    size_t n_positions;
    bool is_resolve;
    unsigned attempts;
    struct store_read read;
    size_t first_group; /* index of the first group's statement in the exchange */
    size_t n_groups;
    const struct change_group *groups;
    struct error failure; /* while a transaction is being rolled back */
    struct store_position *list;
    PGresult *list_result;
};

static inline struct postgres *pg_of(struct store *store)
{
    return (struct postgres *)store;
}

/* ---- postgres.c: exchanges ---- */

int pg_not_connected(const struct postgres *pg, struct error *ret_error);
void pg_begin_exchange(struct postgres *pg);
/* Sends a statement with the scratch parameters (or none, parameters NULL). Prepared by name unless the connection is pooled. */
int pg_send(struct postgres *pg, const char *sql, struct pg_parameters *parameters, bool is_prepared, struct error *ret_error);
/* Ends the exchange; next is called with its results. */
int pg_sync(struct postgres *pg, pg_next next, struct error *ret_error);
/* Index of the first statement that failed; n_sent when none did. */
size_t pg_failed_at(const struct postgres *pg);
/* The class and text of a failed statement's error. */
int pg_error_of(const struct postgres *pg, const PGresult *result, struct error *ret_error);
/* The connection is of no more use. */
int pg_lost(struct postgres *pg, int class, const char *what, struct error *ret_error);
/* Rolls back, forgets prepared statements, then ends the operation with the failure. */
int pg_roll_back(struct postgres *pg, const struct error *failure, struct error *ret_error);
/* Blocking, outside of pipelines: for commands and start-up. The caller clears the result. NULL: ret_error is set. */
PGresult *pg_query(struct postgres *pg, const char *sql, struct pg_parameters *parameters, int *ret_class,
                   struct error *ret_error);
int pg_execute(struct postgres *pg, const char *sql, struct error *ret_error) MUST_CHECK;
void pg_clear_results(struct postgres *pg);

void pg_forget_statements(struct postgres *pg);

/* ---- postgres_connect.c ---- */

/* A remote server must prove who it is: ret_sslmode is what to ask for beyond the URI, or NULL. CONFIG when the URI asks for less. */
int pg_check_transport(const struct store_settings *settings, const char **ret_sslmode, struct error *ret_error) MUST_CHECK;
int pg_start_connect(struct store *store, struct error *ret_error);
int pg_poll_connect(struct postgres *pg, struct error *ret_error);
void pg_disconnect(struct postgres *pg);

/* ---- postgres_types.c: binary values and arrays ---- */

struct pg_type {
    Oid oid;
    Oid array_oid;
    const char *name; /* in DDL and casts; numeric(p,s) by pg_type_name */
};

const struct pg_type *pg_type_of(enum rs_type type);
/* "numeric(20,2)", "bigint", ... into a buffer of 32 bytes. */
const char *pg_type_name(const struct column *column, char *ret_name);

void pg_parameters_clear(struct pg_parameters *parameters);
void pg_put_text(struct pg_parameters *parameters, const char *text); /* NULL: null */
void pg_put_int4(struct pg_parameters *parameters, int32_t value);
void pg_put_int8(struct pg_parameters *parameters, int64_t value);
void pg_put_uuid(struct pg_parameters *parameters, const uint8_t uuid[16]);

/* An array parameter: begin, then each element, then end. */
void pg_begin_array(struct pg_parameters *parameters, Oid array_oid, Oid element_oid, size_t n);
void pg_element_null(struct pg_parameters *parameters);
void pg_element_text(struct pg_parameters *parameters, const char *text); /* NULL: null */
void pg_element_bytes(struct pg_parameters *parameters, const void *data, size_t size);
void pg_element_int4(struct pg_parameters *parameters, int32_t value);
void pg_element_int8(struct pg_parameters *parameters, int64_t value);
void pg_element_cell(struct pg_parameters *parameters, const struct column *column, const struct cell *cell);
void pg_end_array(struct pg_parameters *parameters);

/* A binary result field as a cell; text points into the result. BUG when it is not what the column says. */
int pg_read_cell(const struct column *column, const PGresult *result, int row, int field, struct cell *ret_cell,
                 struct error *ret_error);
int64_t pg_read_int8(const PGresult *result, int row, int field);
int32_t pg_read_int4(const PGresult *result, int row, int field);

/* ---- the operations ---- */

int pg_start_claim(struct store *store, struct store_position *positions, size_t n, struct error *ret_error);
int pg_start_resolve(struct store *store, struct store_position *positions, size_t n, struct error *ret_error);
int pg_start_release(struct store *store, const struct store_position *positions, size_t n, struct error *ret_error);
int pg_start_insert(struct store *store, const struct store_start *starts, size_t n, bool is_first, struct error *ret_error);
int pg_start_write(struct store *store, const struct store_write *write, struct error *ret_error);
int pg_start_read(struct store *store, const struct store_read *read, struct error *ret_error);

int pg_create_schema(struct store *store, struct error *ret_error);
int pg_check_schema(struct store *store, struct error *ret_error);
int pg_print_schema(const struct store_scope *scope, struct buffer *ret_sql, struct error *ret_error);
int pg_preflight(struct store *store, struct error *ret_error);
int pg_list_positions(struct store *store, const struct store_position **ret_positions, size_t *ret_n, struct error *ret_error);
int pg_operate(struct store *store, const struct store_operation *operation, struct error *ret_error);
int pg_reset(struct store *store, const char *actor, struct error *ret_error);

#endif
