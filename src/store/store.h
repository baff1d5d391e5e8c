/*
 * store - a read store behind one interface: positions, rows and outbox messages in one transaction.
 *
 * One store object is one connection, owned by one task (or one command) and used from its one thread. Everything the loop does
 * while it runs is an operation with a start, polls and an end, one at a time, so that polling Kafka never waits for the store:
 *
 *     store_start_write(store, &write, &error);
 *     while ((result = store_poll(store, &error)) == STORE_BUSY)
 *         poll(2) on store_fd(), store_events(), store_deadline_us();
 *
 * After TRANSIENT with the connection gone, or UNKNOWN, the caller starts connect and then resolve (design 7.6); nothing else is
 * allowed on a connection that was lost before resolve has run. A driver never retries a statement by itself.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buffer.h"
#include "base/error.h"
#include "fold/batch.h"
#include "fold/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

enum { STORE_BUSY = 1 };

/* Whose positions and tables: the same for the life of a store object. Strings stay the caller's. */
struct store_scope {
    const char *pipeline;
    int32_t version;      /* of the projection's tables: NAME__vN */
    const char *plugin;   /* the projection's name */
    uint32_t revision;    /* the projection's */
    const struct table *tables; /* the omitted ones are skipped */
    uint32_t n_tables;
    uint8_t owner[16];    /* random, for this task process; claims write it */
    const char *worker;   /* for people, and the connection's name */
};

struct store_settings {
    const char *kind;      /* one of store_kinds() */
    const char *uri;       /* PostgreSQL: URI or key words; MySQL: mysql://...; SQLite: path of the file */
    const char *password;  /* NULL: none given here */
    bool allow_plaintext;  /* permit a remote server without verified TLS */
    bool allow_constraints; /* permit CHECKs, foreign keys, triggers and unique indexes on the tables */
    bool is_pooled;        /* behind PgBouncer in transaction mode: no named prepared statements */
    bool must_exist;       /* for commands: connecting makes nothing; a file that is not there is CONFIG with STORE_MISSING */
    int64_t connect_timeout_us;
    int64_t lock_timeout_us;
    int64_t statement_timeout_us; /* of one statement; of a whole transaction where that is done in one go (SQLite) */
};

/* The error's code where what is missing is all that is wrong: the file, or tables that store_create_schema() would make. Claims, inserts
 * and reads give it too: somebody has dropped them since. */
#define STORE_MISSING "missing"

/* ---- Requests and results ---- */

/* One position as the store holds it. Text members live until the next operation starts. */
struct store_position {
    const char *topic;
    int32_t partition;
    bool is_missing;        /* claim and resolve: no such row (claim), or no longer mine (resolve: fenced) */
    bool is_halted;
    const char *halt_kind;  /* "poison", "unhandled", "partition", "gap", "range", "identity", "corrupt", "" */
    const char *halt_reason;
    const char *cluster_id;
    uint8_t topic_id[16];
    int64_t next_offset;
    int64_t epoch;
    int64_t commit_seq;
    int64_t events;         /* counted so far */
    int32_t leader_epoch;
    uint8_t owner[16];      /* zeros: nobody */
    char claimed_at[32];    /* RFC 3339, for people; empty: never */
    char updated_at[32];
};

/* A position to be made: first claim of a version, or an added partition. */
struct store_start {
    const char *topic;
    int32_t partition;
    const char *cluster_id;
    uint8_t topic_id[16];
    int64_t next_offset;
};

/* In one write: a position that moves, halts, or both. */
struct store_move {
    const char *topic;
    int32_t partition;
    int64_t base;             /* what next_offset must be now */
    int64_t next;             /* what it becomes; may equal base when only halting */
    int64_t epoch;            /* what epoch must be now */
    int64_t events;           /* added to the count */
    int32_t leader_epoch;     /* of the record before next; -1: unknown */
    const char *halt_kind;    /* NULL: goes on; else the partition halts at next */
    const char *halt_reason;
};

struct store_write {
    const struct store_move *moves;
    size_t n_moves;
    const struct batch *batch; /* closed; NULL: positions only */
};

/* Rows to load, of partitioned tables: result rows go to on_row as they are in the store now (no earlier write is in flight). */
struct store_read {
    const struct wanted_row *rows;
    size_t n_rows;
    /* cells: one a column of rows[index].table, valid during the call; NULL: there is no such row. partition: whose events have
     * written the row. Non-zero stops the read. */
    int (*on_row)(void *context, size_t index, const struct cell *cells, int32_t partition, struct error *ret_error);
    void *context;
};

/* What an operator does to one position; owner and epoch change in the same statement (design 7.8). */
struct store_operation {
    const char *topic;
    int32_t partition;
    /* RESUME: a halted partition goes on where it stands; SET and SKIP: at next_offset. Each is recorded by its name. */
    enum { STORE_RESUME, STORE_SET, STORE_SKIP } kind;
    int64_t base;           /* SET, SKIP: where the operator saw it, so what next_offset must be now */
    int64_t next_offset;
    const char *cluster_id; /* SET, SKIP: the cluster and topic that the operator meant, as the broker names them now */
    uint8_t topic_id[16];
    const char *reason; /* of the operator; recorded in readside_audit */
    const char *actor;
};

/* ---- Life ---- */

/* Makes the object; no I/O. CONFIG: unknown kind (names the kinds built in), bad URI, plain-text password over the network, ... */
int store_open(const struct store_settings *settings, const struct store_scope *scope, struct store **ret_store,
               struct error *ret_error) MUST_CHECK;
struct store *store_close(struct store *store); /* drops the connection; accepts NULL, returns NULL */
const char *const *store_kinds(void);           /* NULL-terminated */
/* Called now and then where the store does not return soon: in store_poll() of a store that works within it (SQLite), in what
 * blocks. For signs of life; it must not touch the store. */
void store_on_wait(struct store *store, void (*on_wait)(void *context), void *context);

/* ---- Operations: start, then poll until it is not STORE_BUSY ---- */

/*
 * Connects and sets the session up (time limits, isolation, read-write check). TRANSIENT: not reachable now, or read-only, as in a
 * switch-over. CONFIG: wrong password, unknown database, a server too old, settings that cannot be exactly-once.
 */
int store_start_connect(struct store *store, struct error *ret_error) MUST_CHECK;

/*
 * Takes owner and epoch (epoch + 1) of the positions, in sorted order, in one transaction; waits for the old owner's work, at most
 * lock_timeout a try, and terminates a holder that does not let go by its recorded backend. positions[] is filled in place:
 * topic and partition are in, the rest is out; is_missing where there is no row. A halted position is claimed as well; the caller
 * decides what becomes of it. Writes nothing but positions. CONFIG, and nobody is fenced, when whose rows these are says no:
 * another plugin or revision filled the version (readside_projections); another pipeline or version fills one of the tables
 * (foreign), the version fills one that is not declared (left), or has positions and does not fill one that is there and
 * declared (late; all three by readside_tables).
 */
int store_start_claim(struct store *store, struct store_position *positions, size_t n, struct error *ret_error) MUST_CHECK;

/*
 * Inserts positions (owned by nobody) in one transaction, and enters with them what the version is filled by: its plugin and
 * revision in readside_projections, the declared tables in readside_tables, where they stay until a reset. CONFIG as for a claim,
 * whatever has happened since the claim. is_first: the first claim of these topics; a topic of which the version has positions
 * already is left alone (another task was first), and CONFIG when the version has no position at all but a projection table
 * holds rows. Not is_first: added partitions; rows that exist are left alone.
 */
int store_start_insert(struct store *store, const struct store_start *starts, size_t n, bool is_first,
                       struct error *ret_error) MUST_CHECK;

/*
 * One transaction: compare-and-set of every move (owner, epoch, base), then the batch's groups in order, outbox messages, COMMIT.
 * The request, and the batch, stay unchanged until it ends. 0: committed. FENCED: a compare-and-set failed. POISON: rolled back
 * by an error that would come again (overflow, constraint); text has the server's words. HALT: a row belongs to another
 * partition (text names table, key and both partitions). TRANSIENT: proven rolled back, run it again. UNKNOWN: resolve.
 * CONFIG: rolled back because the schema or privileges do not fit (missing table or column).
 */
int store_start_write(struct store *store, const struct store_write *write, struct error *ret_error) MUST_CHECK;

int store_start_read(struct store *store, const struct store_read *read, struct error *ret_error) MUST_CHECK;

/*
 * After a lost COMMIT answer, a failed compare-and-set and every reconnect: UPDATE ... SET epoch = epoch + 1, backend = mine
 * WHERE owner = me, reading next_offset in that transaction; it waits for or fences the old connection's work, terminating the
 * old backend if need be. positions[] as in claim: is_missing means fenced.
 */
int store_start_resolve(struct store *store, struct store_position *positions, size_t n, struct error *ret_error) MUST_CHECK;

/* Gives positions up (owner = nobody) where they are still mine: a courtesy that makes hand-over quick. */
int store_start_release(struct store *store, const struct store_position *positions, size_t n, struct error *ret_error) MUST_CHECK;

/*
 * Walks away from the operation under way, if there is one: what was handed over with it (batch, positions, rows) is not touched any
 * more, and the connection is not to be used before store_start_connect(). What becomes of it in the store is unknown.
 */
void store_abandon(struct store *store);

/* STORE_BUSY, 0, or the class of the error that ended the operation. Never blocks longer than a local write to disk: its
 * statements take statement_timeout at most, flushing takes what the disk takes. */
int store_poll(struct store *store, struct error *ret_error) MUST_CHECK;

int store_fd(const struct store *store);              /* -1: none to wait for (poll again at the deadline) */
short store_events(const struct store *store);        /* POLLIN, POLLOUT */
int64_t store_deadline_us(const struct store *store); /* monotonic; poll again then at the latest; INT64_MAX: none */
bool store_is_connected(const struct store *store);
bool store_is_busy(const struct store *store);
/* Do its operations run in the caller's time, so that nothing is gained by starting one early? */
bool store_is_blocking(const struct store *store);
/* How often the server's answer was waited for, since the store was opened; none where there is no server. */
int64_t store_round_trips(const struct store *store);

/* Polls until the operation ends, sleeping in poll(2): for commands and start-up, not for the loop. */
int store_finish(struct store *store, struct error *ret_error) MUST_CHECK;

/* ---- Commands and start-up: they block, within the settings' time limits ---- */

/* What cannot be exactly-once or would fail later: tables that cannot roll back, triggers, missing privileges, tables that hold rows
 * though the version has no position. Needs tables. */
int store_preflight(struct store *store, struct error *ret_error) MUST_CHECK;

/* schema = "create": makes what is missing (host tables, NAME__vN, view NAME unless another version shows there), but for indexes of
 * tables that hold rows, which would keep readers and writers waiting; then checks. */
int store_create_schema(struct store *store, struct error *ret_error) MUST_CHECK;
/* CONFIG with a readable list of differences (missing table, column, type, key, null, collation, extra column without default,
 * view), of all tables, the host's own too; its code is STORE_MISSING when whole tables are missing and nothing else is wrong. */
int store_check_schema(struct store *store, struct error *ret_error) MUST_CHECK;
/* What the last check would have otherwise, though it does no harm (an index that is missing, or not valid); NULL: nothing. Until
 * the next one. */
const char *store_advice(const struct store *store);
/* The DDL that store_create_schema would run on an empty store, for `readside schema`. No connection needed. */
int store_print_schema(const struct store_settings *settings, const struct store_scope *scope, struct buffer *ret_sql,
                       struct error *ret_error) MUST_CHECK;

/* Every position of the pipeline's version, by topic and partition. The array lives until the next operation. CONFIG with
 * STORE_MISSING: there is no table of positions yet. */
int store_list_positions(struct store *store, const struct store_position **ret_positions, size_t *ret_n,
                         struct error *ret_error) MUST_CHECK;
/* CONFIG when there is no such position, or RESUME finds it not halted. FENCED when it is no longer at base: nothing was changed. */
int store_operate(struct store *store, const struct store_operation *operation, struct error *ret_error) MUST_CHECK;
/* Drops the version's tables, view (if it shows this version), positions and outbox messages not yet relayed. Running tasks are
 * fenced by it. */
int store_reset(struct store *store, const char *actor, struct error *ret_error) MUST_CHECK;

#endif
