/*
 * mysql - what the files of the MySQL and MariaDB driver share. Only store/mysql* includes the client library's headers.
 *
 * The client library blocks, so a thread of the driver owns the connection: an operation's start hands it a job, polls look whether
 * the job has ended. A job is an ordinary function that talks to the server; while one runs, the task's thread touches nothing of
 * the store but what mysql_thread.c guards. Once a job's time is over its socket is shut down, and the job ends by that.
 *
 * One code for both families of servers: dialects differ in few places, told by the server that is found (is_mariadb).
 */
#ifndef STORE_MYSQL_H
#define STORE_MYSQL_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/text.h"
#include "store/driver.h"
#include "store/findings.h"
#include "store/host_tables.h"

#include <mysql.h>

enum {
    MY_BACKEND_SIZE = 64,
    MY_TYPE_SIZE = 96,
    MY_KEY_BYTES = 3072, /* of all columns of an InnoDB key together (MySQL manual, "InnoDB Limits") */
    MY_STATEMENT_BYTES = 1 << 20,
};

/* Seconds that a session may be idle: between transactions, and within one. */
#define MY_IDLE "604800"
#define MY_IDLE_IN_TRANSACTION "10"

struct my_store;
typedef int (*my_job)(struct my_store *my, struct error *ret_error);
struct my_thread;

/* What a URI says. Strings are the struct's own. */
struct my_uri {
    char *host, *user, *password, *database, *socket, *ca, *certificate, *key;
    unsigned port;
    bool is_plain;      /* tls=off */
    bool is_unverified; /* tls=unverified */
    bool is_verified;   /* tls=verified, also where that is not the default */
};

/* A row that a read has found. */
struct my_found {
    size_t index;
    const struct cell *cells; /* NULL: there is none */
    int32_t partition;
};

/* Some of a group's rows, in one statement. */
struct my_rows {
    const struct change_group *group;
    size_t first, n;
};

enum { MY_STATEMENTS_MAX = 64 }; /* prepared shapes; when there are more, all are prepared anew */

struct my_statement {
    char *sql;
    MYSQL_STMT *handle;
};

struct my_store {
    struct store store; /* first */
    struct my_uri uri;
    char *password; /* a copy: a login may outlive its caller; NULL: none is given */
    struct my_thread *thread;

    /* the job's, while one runs */
    MYSQL *connection; /* NULL: none */
    bool is_mariadb;
    const char *server; /* "MariaDB", "MySQL"; NULL: none has let us in yet */
    bool is_connected;
    uint64_t packet_bytes;         /* of one statement, at most */
    char backend[MY_BACKEND_SIZE]; /* the name of the lock that this connection holds as long as it lives; "": none yet */
    struct arena *arena;           /* of results, until the next operation */
    struct buffer sql;             /* scratch for the statement being built */
    struct buffer ahead;           /* one that waits for its turn */
    struct my_statement statements[MY_STATEMENTS_MAX];
    size_t n_statements;

    /* the operation under way */
    struct store_position *positions;
    size_t n_positions;
    size_t *order; /* of positions or moves, by topic and partition */
    size_t n_order, order_capacity;
    bool is_resolve;
    struct store_start *starts;
    size_t n_starts;
    bool is_first;
    struct store_write write;
    bool is_found; /* its positions, as they must be */
    struct store_read read;
    struct my_found *found;
    size_t n_found, found_capacity;
    bool is_reading;    /* rows wait in found[] for poll() to hand them on */
    bool is_connecting; /* the last job posted is my_connect */
    struct store_position *list;
    size_t n_list;
    const struct store_operation *command;
    const char *actor;
};

static inline struct my_store *my_of(struct store *store)
{
    return (struct my_store *)store;
}

int my_out_of_memory(struct error *ret_error);
int my_not_connected(struct error *ret_error);
void my_free(struct my_store *my); /* all of it; its thread has ended */

/* ---- mysql_thread.c ---- */

int my_thread_start(struct my_store *my, struct error *ret_error);
/* Cuts a job short and waits for the thread's end. False: the job does not let itself be cut; the thread frees the store once it is
 * over. */
bool my_thread_stop(struct my_store *my);
void my_thread_free(struct my_thread *thread);
int my_thread_fd(const struct my_thread *thread);
int64_t my_thread_deadline_us(struct my_thread *thread);
void my_thread_post(struct my_thread *thread, my_job job, int64_t deadline_us);
/* Cuts the job under way short, if there is one; its end is forgotten. */
void my_thread_cancel(struct my_thread *thread);
bool my_thread_is_busy(struct my_thread *thread);
/* STORE_BUSY, or what the job has ended with. */
int my_thread_poll(struct my_thread *thread, struct error *ret_error);
/* For jobs: until when the server must answer now; and the socket to be shut down then (-1: none). */
void my_thread_await(struct my_thread *thread, int64_t deadline_us);
void my_thread_watch(struct my_thread *thread, int socket_fd);
/* Runs a job to its end, with signs of life: for commands and start-up. */
int my_run(struct my_store *my, my_job job, struct error *ret_error);

/* ---- mysql_uri.c ---- */

/* mysql://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?socket=PATH&tls=...&ssl-ca=FILE&ssl-cert=FILE&ssl-key=FILE]. CONFIG. */
int my_uri_read(const char *text, struct my_uri *ret_uri, struct error *ret_error) MUST_CHECK;
void my_uri_free(struct my_uri *uri);
bool my_uri_is_local(const struct my_uri *uri);

/* ---- mysql_client.c: where the two client libraries differ ---- */

/* Before connecting: no TLS where is_plain, else as the URI has it, verified unless it says otherwise. CONFIG. */
int my_client_set_tls(MYSQL *connection, const struct my_uri *uri, bool is_plain, struct error *ret_error) MUST_CHECK;
/* The connection's descriptor, which stays the client library's. */
int my_client_socket(MYSQL *connection);

/* ---- mysql_connect.c ---- */

int my_connect(struct my_store *my, struct error *ret_error); /* a job */
void my_disconnect(struct my_store *my);
/* The server's time for a statement; 0: no limit. More than for a lock, whatever the settings say: that limit must be the one that
 * ends a claim's wait, as a claim ends the holder then. */
int64_t my_statement_us(const struct my_store *my);

/* ---- mysql_query.c ---- */

/* The last error of the connection, or the statement: its class and words. A connection that is lost is dropped. */
int my_error(struct my_store *my, struct error *ret_error);
int my_statement_error(struct my_store *my, MYSQL_STMT *statement, struct error *ret_error);
/* The server has its time for a statement, from now on. */
void my_await(struct my_store *my);
int my_execute(struct my_store *my, const char *sql, struct error *ret_error) MUST_CHECK;
/* A query's whole result; NULL in *ret_result where the statement has none. */
int my_query(struct my_store *my, const char *sql, MYSQL_RES **ret_result, struct error *ret_error) MUST_CHECK;
/* The first column of the first row as a number; 0 when there is no row, or null. */
int my_query_number(struct my_store *my, const char *sql, int64_t *ret_number, struct error *ret_error) MUST_CHECK;
/* Runs the statements of sql, separated by ';'. on_result: of each, in order; result NULL where it has none. */
typedef int (*my_on_result)(struct my_store *my, void *context, size_t index, MYSQL_RES *result, uint64_t n_affected,
                            struct error *ret_error);
int my_script(struct my_store *my, const struct buffer *sql, my_on_result on_result, void *context,
              struct error *ret_error) MUST_CHECK;
/* Its two halves: the server works in between, and sql is free. */
int my_send(struct my_store *my, const struct buffer *sql, struct error *ret_error) MUST_CHECK;
int my_receive(struct my_store *my, my_on_result on_result, void *context, struct error *ret_error) MUST_CHECK;
/* Statements that go to the server with BEGIN, in one text: print adds them to my->sql, each behind a "; ". */
struct my_opening {
    void (*print)(struct my_store *my);
    my_on_result on_result;
};
/* BEGIN with the opening (NULL: none), the work, COMMIT; or ROLLBACK and the failure. UNKNOWN: the answer to COMMIT did not come.
 */
int my_transaction(struct my_store *my, const struct my_opening *opening, my_job work, struct error *ret_error) MUST_CHECK;
/* Runs the work while no other connection makes or drops tables of this database, nor makes first positions. TRANSIENT: another
 * does. */
int my_alone(struct my_store *my, my_job work, struct error *ret_error) MUST_CHECK;
int my_number_of(const char *text, int64_t *ret_number); /* of a result; 0 or -1 */

/* ---- mysql_types.c ---- */

/* The type as DDL has it, and as information_schema tells it. */
void my_print_type(struct buffer *sql, const struct table *table, uint32_t column);
void my_type_name(const struct table *table, uint32_t column, char ret_name[MY_TYPE_SIZE]);
/* How many characters or bytes of a text or bytes column without a length of its own fit a key or index beside the others. */
uint32_t my_key_share(const struct table *table, const uint32_t *columns, uint32_t n_columns);
/* POISON where a key's text is longer than its column: the server cuts blanks at its end without a word, whatever sql_mode says,
 * and would write another row. What a statement compares with is not cut. */
int my_check_keys(const struct change_group *group, struct error *ret_error) MUST_CHECK;
void my_print_text(struct buffer *sql, const char *data, size_t size); /* in quotes */
void my_print_string(struct buffer *sql, const char *string);          /* NULL: NULL */
void my_print_words(struct buffer *sql, const char *words);            /* of people or a plugin: may be no UTF-8 */
void my_print_bytes(struct buffer *sql, const void *data, size_t size);
void my_time_of(const struct column *column, const struct cell *cell, MYSQL_TIME *ret_time); /* of a timestamp or date */
void my_print_cell(struct buffer *sql, const struct column *column, const struct cell *cell);
int my_read_cell(struct my_store *my, const struct column *column, const char *data, size_t size, struct cell *ret_cell,
                 struct error *ret_error) MUST_CHECK;
extern const char my_text_collation[]; /* for both dialects, in DDL */
bool my_is_exact_collation(const char *name);

/* ---- mysql_positions.c ---- */

int my_claim(struct my_store *my, struct error *ret_error); /* jobs */
int my_insert(struct my_store *my, struct error *ret_error);
/* CONFIG where a table holds rows though the version has no position at all. */
int my_refuse_filled(struct my_store *my, struct error *ret_error);
int my_release(struct my_store *my, struct error *ret_error);
int my_list(struct my_store *my, struct error *ret_error);
/* my->order: indexes of n items by topic and partition. */
int my_put_in_order(struct my_store *my, size_t n, const char *(*topic_of)(const struct my_store *, size_t),
                    int32_t (*partition_of)(const struct my_store *, size_t), struct error *ret_error) MUST_CHECK;
void my_print_owner(const struct my_store *my, struct buffer *sql);
void my_print_scope(const struct my_store *my, struct buffer *sql); /* pipeline = ... AND version = ... */
void my_print_place(const struct my_store *my, struct buffer *sql, const char *topic, int32_t partition); /* ... AND topic = ... */

/* ---- mysql_moves.c ---- */

/* The compare-and-set of a write: runs the work in a transaction that it opens. FENCED: it does not hold. */
int my_move(struct my_store *my, my_job work, struct error *ret_error) MUST_CHECK;

/* ---- mysql_operate.c ---- */

int my_operate(struct my_store *my, struct error *ret_error); /* a job */

/* ---- mysql_version.c ---- */

int my_ask_version(struct my_store *my, struct error *ret_error);
int my_enter_version(struct my_store *my, struct error *ret_error);
int my_refuse_foreign(struct my_store *my, struct error *ret_error); /* CONFIG where a table is another pipeline's */
int my_check_version(struct my_store *my, struct findings *findings, struct error *ret_error);
/* CONFIG where the version has had the table, or never had it though it has positions. */
int my_refuse_missing(struct my_store *my, const char *name, struct error *ret_error);

/* ---- mysql_schema.c, mysql_check.c, mysql_preflight.c ---- */

int my_print_schema(const struct store_scope *scope, struct buffer *ret_sql, struct error *ret_error);
int my_create(struct my_store *my, struct error *ret_error); /* jobs */
int my_check(struct my_store *my, struct error *ret_error);
int my_preflight(struct my_store *my, struct error *ret_error);
int my_reset(struct my_store *my, struct error *ret_error);
const char *my_host_type(const struct host_table *table, const struct host_column *column);
void my_print_index(struct buffer *sql, const struct store_scope *scope, const struct table *table, const struct index *index);
void my_print_host_table(struct buffer *sql, const struct host_table *table);
/* "BASE TABLE", "VIEW", or "" */
int my_relation_kind(struct my_store *my, const char *name, char ret_kind[32], struct error *ret_error);
int my_has_index(struct my_store *my, const struct table *table, const struct index *index, bool *ret_has, struct error *ret_error);
int my_view_shows(struct my_store *my, const char *view, const char *name, bool *ret_shows, struct error *ret_error);

/* ---- mysql_defaults.c ---- */

/* told: column_default of information_schema; is_expression: of MySQL, whether it was given as one. What differs goes to out. */
int my_compare_default(struct my_store *my, const struct column *column, const char *told, bool is_expression, struct buffer *out,
                       struct error *ret_error) MUST_CHECK;

/* ---- mysql_bulk.c: array binding, MariaDB's ---- */

bool my_can_bulk(const struct my_store *my);
/* Runs the statement, which has a place for each column of the group (and the partition, but for shared tables), with those rows.
 */
int my_bulk(struct my_store *my, const char *sql, const struct my_rows *rows, struct error *ret_error) MUST_CHECK;
void my_forget_statements(struct my_store *my);

/* ---- mysql_write.c, mysql_read.c ---- */

int my_write(struct my_store *my, struct error *ret_error); /* jobs */
int my_read(struct my_store *my, struct error *ret_error);
void my_print_key(struct buffer *sql, const struct table *table, const struct cell *const *keys);
/* How long a statement of many rows may become; one of a single long row may be longer, to the server's own limit. */
size_t my_statement_bytes(const struct my_store *my);

#endif
