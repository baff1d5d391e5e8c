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
#include "store/findings.h"
#include "store/host_tables.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

enum { PARAMETERS_MAX = RS_MAX_COLUMNS + 8, PG_WORDS_SIZE = 768 };

/* Types of the catalogue (pg_type.dat); their numbers never change. */
enum pg_oid {
    PG_BOOL = 16,
    PG_BYTEA = 17,
    PG_INT8 = 20,
    PG_INT4 = 23,
    PG_TEXT = 25,
    PG_FLOAT8 = 701,
    PG_BOOL_ARRAY = 1000,
    PG_BYTEA_ARRAY = 1001,
    PG_INT4_ARRAY = 1007,
    PG_TEXT_ARRAY = 1009,
    PG_INT8_ARRAY = 1016,
    PG_FLOAT8_ARRAY = 1022,
    PG_DATE = 1082,
    PG_DATE_ARRAY = 1182,
    PG_TIMESTAMPTZ = 1184,
    PG_TIMESTAMPTZ_ARRAY = 1185,
    PG_NUMERIC_ARRAY = 1231,
    PG_NUMERIC = 1700,
    PG_UUID = 2950,
    PG_UUID_ARRAY = 2951,
    PG_JSONB = 3802,
    PG_JSONB_ARRAY = 3807,
};

/*
 * What a statement of ours says when it raises on purpose: PostgreSQL's plain SQL can only do so by an expression that fails, and
 * the one that carries words is a cast of text to int, SQLSTATE 22P02. The words stand behind this mark.
 */
#define PG_MARK "readside: "

/* Of the table %s: it holds rows though the version ($1 pipeline, $2 version) has no position at all. */
#define PG_IS_FILLED                                                                                                               \
    "EXISTS (SELECT 1 FROM \"%s\") AND NOT EXISTS (SELECT 1 FROM readside_positions WHERE pipeline = $1 AND version = $2)"

enum { PG_HOST_SIZE = 256 };

/* One host of a list. NULL: not given. */
struct pg_host {
    const char *name, *address, *port;
    char name_text[PG_HOST_SIZE], address_text[PG_HOST_SIZE], port_text[PG_HOST_SIZE];
};

/* Parameters of one statement, binary. The bytes lie in one buffer; offsets become pointers when it is sent. */
struct pg_parameters {
    struct buffer bytes;
    size_t offsets[PARAMETERS_MAX];
    size_t sizes[PARAMETERS_MAX];
    Oid types[PARAMETERS_MAX];
    bool is_null[PARAMETERS_MAX];
    int n;
};

/*
 * Were the rows that this task has upserted into a table there already? ON CONFLICT costs a third of an insert. So the first upsert
 * asks; where all its rows were new, those that follow are inserted as new ones. The first that is known after all is refused by the
 * server (23505); the batch is then rolled back, written again, and the table's rows are upserted from then on. Only speed depends
 * on it.
 */
enum pg_met { PG_MET_NOTHING, PG_MET_NEW, PG_MET_KNOWN };

struct pg_statement { /* a prepared statement, by its text */
    char *sql;
    char name[40];
};

struct postgres;
typedef int (*pg_next)(struct postgres *pg, struct error *ret_error); /* STORE_BUSY: another exchange is under way */

struct postgres {
    struct store store; /* first */
    PGconn *connection;
    bool is_connecting;
    bool is_connected;
    PostgresPollingStatusType connecting;
    PQconninfoOption *options; /* of the URI */
    size_t n_hosts, host_at, hosts_left; /* in its list; which one is tried; how many are still to try with it, 0: connected, or not connecting */
    int64_t deadline_us;
    bool wants_write;

    /* the exchange under way */
    PGresult **results; /* one a statement, in order; NULL where it was skipped */
    size_t n_results, results_capacity;
    size_t n_sent;      /* statements of the exchange */
    bool is_synced;
    bool may_have_committed; /* a batch's COMMIT may have left: only the server's word tells how it ended */
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
    struct store_write write;
    size_t first_statement; /* in the exchange: claim and resolve: the lock; insert: the first look at a table; write: the first group */
    size_t n_looks;         /* insert: at tables */
    size_t *group_ends;     /* write: in the exchange, the statement behind each group */
    size_t group_ends_capacity;
    uint8_t *met;           /* one a table: enum pg_met */
    pg_next after_rollback; /* while a transaction is being rolled back; NULL: the operation ends with the failure */
    struct error failure;   /* while a transaction is being rolled back; of hosts already tried */
    struct store_position *list;
    PGresult *list_result;
};

static inline struct postgres *pg_of(struct store *store)
{
    return (struct postgres *)store;
}

/* ---- postgres.c: exchanges ---- */

int pg_not_connected(struct error *ret_error);
void pg_begin_exchange(struct postgres *pg);
/* BEGIN, and behind a pooler the session's time limits, which must not outlive the transaction there. */
int pg_send_begin(struct postgres *pg, struct error *ret_error);
/* Sends a statement with these parameters (NULL: none), which are empty afterwards. is_prepared: worth to be kept by name; pooled
 * connections keep nothing. A failure ends the connection, for half of an exchange may have left. */
int pg_send(struct postgres *pg, const char *sql, struct pg_parameters *parameters, bool is_prepared, struct error *ret_error);
/* The same with the text of a buffer, which it frees. */
int pg_send_printed(struct postgres *pg, struct buffer *sql, struct pg_parameters *parameters, bool is_prepared,
                    struct error *ret_error);
/* Ends the exchange; next is called with its results. */
int pg_sync(struct postgres *pg, pg_next next, struct error *ret_error);
/* Index of the first statement that failed; n_sent when none did. */
size_t pg_failed_at(const struct postgres *pg);
/* Gives the error the code STORE_MISSING where it is of a table that is not there. Returns the class. */
int pg_note_missing(int class, struct error *error);
/* Has the statement failed with that SQLSTATE? */
bool pg_has_state(const PGresult *result, const char *state);
/* The class and text of a failed statement's error. */
int pg_error_of(const PGresult *result, struct error *ret_error);
/* The error of the first statement that failed. */
int pg_first_error(const struct postgres *pg, struct error *ret_error);
/* Was it raised by one of our statements on purpose? Then its words, without the mark. */
bool pg_raised_words(const PGresult *result, char ret_words[PG_WORDS_SIZE]);
/* Was the last statement's answer the tag COMMIT? */
bool pg_has_committed(const struct postgres *pg);
/* The connection is of no more use. */
int pg_lost(struct postgres *pg, int class, const char *what, struct error *ret_error);
/* Rolls back, forgets prepared statements, then ends the operation with the failure. */
int pg_roll_back(struct postgres *pg, const struct error *failure, struct error *ret_error);
/* The same, but goes on with the operation. */
int pg_roll_back_then(struct postgres *pg, pg_next next, struct error *ret_error);
/* Blocking, outside of pipelines: for commands and start-up. The caller clears the result. NULL: ret_error is set. */
PGresult *pg_query(struct postgres *pg, const char *sql, struct pg_parameters *parameters, int *ret_class,
                   struct error *ret_error);
int pg_execute(struct postgres *pg, const char *sql, struct error *ret_error) MUST_CHECK;
void pg_clear_results(struct postgres *pg);
void pg_forget_statements(struct postgres *pg);
/* NAME in double quotes, so that no name can be anything else. */
void pg_print_name(struct buffer *sql, const char *name);

/* ---- postgres_hosts.c ---- */

/* A remote server must prove who it is: ret_sslmode is what to ask for beyond the URI, or NULL. CONFIG when the URI asks for
 * less, and for lists of hosts, addresses and ports that do not go together. */
int pg_check_transport(const struct store_settings *settings, const char **ret_sslmode, struct error *ret_error) MUST_CHECK;
size_t pg_count_hosts(const PQconninfoOption *options); /* at least 1 */
/* False: the URI, or what the environment adds to it, has no list of hosts, and libpq needs no help. */
bool pg_host_of(const PQconninfoOption *options, size_t at, struct pg_host *ret_host);

/* ---- postgres_connect.c ---- */

/* While connecting: goes on with the next host of the list (STORE_BUSY); at its end the class that counts. */
int pg_host_failed(struct postgres *pg, const struct error *failure, struct error *ret_error);
int pg_start_connect(struct store *store, struct error *ret_error);
/* The time limits as set_config() calls. */
void pg_print_limits(const struct store_settings *settings, bool is_local, struct buffer *sql);
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
void pg_put_bool(struct pg_parameters *parameters, bool value);
void pg_put_int4(struct pg_parameters *parameters, int32_t value);
void pg_put_int8(struct pg_parameters *parameters, int64_t value);
void pg_put_uuid(struct pg_parameters *parameters, const uint8_t uuid[16]);
void pg_put_scope(struct pg_parameters *parameters, const struct store_scope *scope); /* $1 pipeline, $2 version */

/* An array parameter: begin, then each element, then end. */
void pg_begin_array(struct pg_parameters *parameters, Oid array_oid, Oid element_oid, size_t n);
void pg_element_null(struct pg_parameters *parameters);
void pg_element_text(struct pg_parameters *parameters, const char *text); /* NULL: null */
/* Words for people, where a cut in the middle of a character must not make the statement fail; NULL: null. */
void pg_put_words(struct pg_parameters *parameters, const char *words);
void pg_element_words(struct pg_parameters *parameters, const char *words);
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

/* Locks rows of positions in the order of topic and partition, where they are mine: $1, $2 the scope, $3 topics, $4 partitions, $5
 * the owner. A statement of its own, so that the one behind it sees what others committed while it waited. */
extern const char pg_lock_mine[];
/* What pg_read_position() reads, in this order. */
#define PG_POSITION_COLUMNS                                                                                                      \
    "topic, part, next_offset, epoch, leader_epoch, state, COALESCE(halt_kind, ''), COALESCE(halt_reason, ''), cluster_id, "      \
    "COALESCE(topic_id, '00000000-0000-0000-0000-000000000000'), commit_seq, events, "                                           \
    "COALESCE(owner, '00000000-0000-0000-0000-000000000000'), "                                                                  \
    "COALESCE(to_char(claimed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), ''), "                                    \
    "to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
/* Everything but topic and partition; texts point into the result. */
void pg_read_position(const PGresult *result, int row, struct store_position *ret_position);

/* ---- postgres_version.c ---- */

/* Sends what raises when the version's rows are not this plugin's and pipeline's, or its tables others than until now. It only
 * reads. */
int pg_send_questions(struct postgres *pg, struct error *ret_error) MUST_CHECK;
/* Sends what enters the version and its tables, for the transaction of its first positions; raises as above. One transaction a
 * version passes at a time. */
int pg_send_entry(struct postgres *pg, struct error *ret_error) MUST_CHECK;
/* The error that those words mean. */
int pg_judge_version(const struct store_scope *scope, const char *words, struct error *ret_error);
/* All that pg_send_questions() would refuse; the host's tables are there. */
int pg_check_version(struct postgres *pg, struct findings *findings, struct error *ret_error) MUST_CHECK;
/* Of a table that is not there: CONFIG when the version has positions. */
int pg_refuse_missing(struct postgres *pg, const char *name, struct error *ret_error) MUST_CHECK;
/* Enters them; the names of all tables that the version fills, which the caller clears. NULL: ret_class and ret_error are set;
 * CONFIG where another pipeline fills one of those declared. */
PGresult *pg_enter_tables(struct postgres *pg, int *ret_class, struct error *ret_error);

/* ---- operations ---- */

int pg_start_claim(struct store *store, struct store_position *positions, size_t n, struct error *ret_error);
int pg_start_resolve(struct store *store, struct store_position *positions, size_t n, struct error *ret_error);
int pg_start_release(struct store *store, const struct store_position *positions, size_t n, struct error *ret_error);
int pg_start_insert(struct store *store, const struct store_start *starts, size_t n, bool is_first, struct error *ret_error);
int pg_start_write(struct store *store, const struct store_write *write, struct error *ret_error);
int pg_start_read(struct store *store, const struct store_read *read, struct error *ret_error);

/* ---- postgres_rows.c ---- */

/* In the batch's transaction. */
int pg_send_group(struct postgres *pg, const struct change_group *group, struct error *ret_error);
/* Is it taken for new rows alone? Then the guard goes before it, as a plain insert does not need the key. */
bool pg_is_of_new_rows(const struct postgres *pg, const struct change_group *group);
int pg_send_key_guard(struct postgres *pg, const struct table *table, struct error *ret_error);

/* ---- postgres_outbox.c ---- */

/* In the batch's transaction. */
int pg_send_messages(struct postgres *pg, const struct outbox_message *messages, size_t n, struct error *ret_error);

/* ---- the schema ---- */

int pg_create_schema(struct store *store, struct error *ret_error);
int pg_print_schema(const struct store_scope *scope, struct buffer *ret_sql, struct error *ret_error);
const char *pg_host_type(enum host_type type); /* "bigint" */
/* how: "IF NOT EXISTS", "CONCURRENTLY". */
void pg_print_index(struct buffer *sql, const struct store_scope *scope, const struct table *table, const struct index *index,
                    const char *how);
/* The value that a column starts from, as SQL. */
void pg_print_fallback(struct buffer *sql, const struct column *column);
int pg_check_schema(struct store *store, struct error *ret_error);
/* A query with the name of a relation as $1. The caller clears the result. NULL: ret_class and ret_error are set. */
PGresult *pg_query_about(struct postgres *pg, const char *sql, const char *name, int *ret_class, struct error *ret_error);
/* relkind of the relation ('r' table, 'v' view), or NUL when there is none. */
int pg_relation_kind(struct postgres *pg, const char *name, char *ret_kind, struct error *ret_error) MUST_CHECK;
/* Does the view show that table? */
int pg_view_shows(struct postgres *pg, const char *view, const char *name, bool *ret_shows, struct error *ret_error) MUST_CHECK;
int pg_preflight(struct store *store, struct error *ret_error);
int pg_list_positions(struct store *store, const struct store_position **ret_positions, size_t *ret_n, struct error *ret_error);
int pg_operate(struct store *store, const struct store_operation *operation, struct error *ret_error);
int pg_reset(struct store *store, const char *actor, struct error *ret_error);

#endif
