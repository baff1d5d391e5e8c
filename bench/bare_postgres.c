/*
 * bare_postgres - the limit to compare rows_bench with: the same rows into PostgreSQL by libpq alone, in the ways there are.
 *
 *     bare_postgres WAY CONNINFO [ROWS [ROWS_A_BATCH]]
 *
 * All rows new, then all of them once more. A table of its own, no positions; a transaction a batch.
 *
 *     unnest            one statement of binary arrays: what Readside sends where rows may be there, without its partition
 *     unnest-partition  with the partition and its check
 *     unnest-2          two statements of half a batch each, in one pipeline
 *     unnest-hashed     rows in the order of their hashes, in place of their keys'
 *     copy-merge        COPY to a temporary table, and INSERT ... ON CONFLICT from there
 *     pipelined         a statement a row, none waited for
 *     row               a statement a row, each waited for
 *     row-commit        the same, a transaction a row
 *     insert            arrays without ON CONFLICT, with the partition: what Readside sends where all have been new
 *     copy              COPY to the table itself: new rows only
 *
 * Laying out bytes counts, making the rows does not. The password is STORE_PASSWORD's. Prints one line of JSON, in rows per second.
 */
#include "accounts.h"
#include "meter.h"
#include "session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAMES "\"account\", \"balance\", \"events\", \"updated_at\""
#define INSERT "INSERT INTO \"bare\" AS t (" NAMES ") "
#define INSERT_PARTITION "INSERT INTO \"bare\" AS t (" NAMES ", readside_partition) "
#define ARRAYS "SELECT * FROM unnest($1::text[], $2::numeric[], $3::bigint[], $4::timestamp with time zone[]"
#define ON_CONFLICT                                                                                                              \
    " ON CONFLICT (\"account\") DO UPDATE SET \"balance\" = COALESCE(t.\"balance\", 0) + EXCLUDED.\"balance\", "                 \
    "\"events\" = COALESCE(t.\"events\", 0) + EXCLUDED.\"events\", \"updated_at\" = EXCLUDED.\"updated_at\""
#define CHECK_PARTITION                                                                                                          \
    ", readside_partition = CASE WHEN t.readside_partition = EXCLUDED.readside_partition THEN t.readside_partition ELSE "        \
    "('readside: row ' || left(t.\"account\"::text, 80) || ' of accounts belongs to partition ' || t.readside_partition || "     \
    "', and an event of partition ' || EXCLUDED.readside_partition || ' touches it')::int4 END"
#define COLUMNS                                                                                                                  \
    "\"account\" text COLLATE \"C\" NOT NULL, \"owner\" text NOT NULL DEFAULT '', \"balance\" numeric(20,2) NOT NULL DEFAULT 0.00, " \
    "\"events\" bigint NOT NULL DEFAULT 0, \"opened_at\" timestamp with time zone, \"updated_at\" timestamp with time zone"

static const char upsert_row[] = INSERT "VALUES ($1, $2, $3, $4)" ON_CONFLICT;
static const char upsert_arrays[] = INSERT ARRAYS ")" ON_CONFLICT;

struct writer;
typedef void (*put_rows)(struct writer *writer, const struct account *accounts, uint32_t n);
typedef void (*write_batch)(void *writer, const struct account *accounts, uint32_t n);

struct way {
    const char *name;
    const char *sql;
    write_batch write;
    put_rows put;          /* the parameters of one statement */
    uint32_t n_statements; /* of a batch in a pipeline; 0: one a row */
    bool is_new_only, is_hashed, has_partition;
};

struct writer {
    const struct way *way;
    PGconn *session;
    struct pg_parameters parameters;
};

/* ---- Bytes ---- */

static struct cell cell_of(const struct account *account, uint32_t column)
{
    switch (column) {
    case ACCOUNTS_ACCOUNT:
        return (struct cell){.as.data = account->key, .size = (uint32_t)strlen(account->key)};
    case ACCOUNTS_BALANCE:
        return (struct cell){.as.decimal = account->cents};
    case ACCOUNTS_EVENTS:
        return (struct cell){.as.integer = account->events};
    default:
        return (struct cell){.as.integer = account->at_us};
    }
}

static void put_arrays(struct writer *writer, const struct account *accounts, uint32_t n)
{
    struct pg_parameters *parameters = &writer->parameters;

    for (uint32_t c = 0; c < N_ACCOUNTS_WRITTEN; c++) {
        const struct column *column = &accounts_columns[accounts_written[c]];
        const struct pg_type *type = pg_type_of(column->type);

        pg_begin_array(parameters, type->array_oid, type->oid, n);
        for (uint32_t i = 0; i < n; i++) {
            struct cell cell = cell_of(&accounts[i], accounts_written[c]);

            pg_element_cell(parameters, column, &cell);
        }
        pg_end_array(parameters);
    }
    if (!writer->way->has_partition)
        return;
    pg_begin_array(parameters, PG_INT4_ARRAY, PG_INT4, n);
    for (uint32_t i = 0; i < n; i++)
        pg_element_int4(parameters, accounts[i].partition);
    pg_end_array(parameters);
}

static void put_row(struct writer *writer, const struct account *accounts, uint32_t n)
{
    (void)n;
    for (uint32_t c = 0; c < N_ACCOUNTS_WRITTEN; c++) {
        struct cell cell = cell_of(accounts, accounts_written[c]);

        session_put(&writer->parameters, &accounts_columns[accounts_written[c]], &cell);
    }
}

/* ---- Batches ---- */

static void by_pipeline(void *context, const struct account *accounts, uint32_t n)
{
    struct writer *writer = context;
    uint32_t n_statements = writer->way->n_statements, step = n_statements == 0 ? 1 : (n + n_statements - 1) / n_statements;

    session_begin(writer->session);
    for (uint32_t i = 0; i < n; i += step) {
        pg_parameters_clear(&writer->parameters);
        writer->way->put(writer, accounts + i, n - i < step ? n - i : step);
        session_send(writer->session, "rows", &writer->parameters);
    }
    session_commit(writer->session);
}

static void each_alone(void *context, const struct account *accounts, uint32_t n)
{
    struct writer *writer = context;

    for (uint32_t i = 0; i < n; i++) {
        pg_parameters_clear(&writer->parameters);
        writer->way->put(writer, accounts + i, 1);
        session_execute(writer->session, "rows", &writer->parameters);
    }
}

static void one_by_one(void *context, const struct account *accounts, uint32_t n)
{
    struct writer *writer = context;

    session_run(writer->session, "BEGIN");
    each_alone(writer, accounts, n);
    session_run(writer->session, "COMMIT");
}

static void by_copy(void *context, const struct account *accounts, uint32_t n)
{
    struct writer *writer = context;

    pg_parameters_clear(&writer->parameters);
    for (uint32_t i = 0; i < n; i++) {
        buffer_put_be16(&writer->parameters.bytes, N_ACCOUNTS_WRITTEN);
        for (uint32_t c = 0; c < N_ACCOUNTS_WRITTEN; c++) {
            struct cell cell = cell_of(&accounts[i], accounts_written[c]);

            pg_element_cell(&writer->parameters, &accounts_columns[accounts_written[c]], &cell); /* an array's element is as a field of COPY */
        }
    }
    session_copy(writer->session, writer->way->sql, &writer->parameters.bytes);
}

static const struct way ways[] = {
    {"unnest", upsert_arrays, by_pipeline, put_arrays, .n_statements = 1},
    {"unnest-partition", INSERT_PARTITION ARRAYS ", $5::int4[])" ON_CONFLICT CHECK_PARTITION, by_pipeline, put_arrays,
     .n_statements = 1, .has_partition = true},
    {"unnest-2", upsert_arrays, by_pipeline, put_arrays, .n_statements = 2},
    {"unnest-hashed", upsert_arrays, by_pipeline, put_arrays, .n_statements = 1, .is_hashed = true},
    {"copy-merge", "BEGIN; COPY fresh (" NAMES ") FROM STDIN (FORMAT binary); " INSERT "SELECT " NAMES " FROM fresh" ON_CONFLICT "; COMMIT", by_copy, NULL},
    {"pipelined", upsert_row, by_pipeline, put_row},
    {"row", upsert_row, one_by_one, put_row},
    {"row-commit", upsert_row, each_alone, put_row},
    {"insert", INSERT_PARTITION ARRAYS ", $5::int4[])", by_pipeline, put_arrays, .n_statements = 1, .is_new_only = true,
     .has_partition = true},
    {"copy", "COPY bare (" NAMES ") FROM STDIN (FORMAT binary)", by_copy, NULL, .is_new_only = true},
};

enum { N_WAYS = sizeof ways / sizeof ways[0] };

/* ---- The whole ---- */

static const struct way *find_way(const char *name)
{
    for (size_t i = 0; i < N_WAYS; i++)
        if (strcmp(ways[i].name, name) == 0)
            return &ways[i];
    return NULL;
}

static int usage(void)
{
    fprintf(stderr, "usage: bare_postgres WAY CONNINFO [ROWS [ROWS_A_BATCH]]\nways:");
    for (size_t i = 0; i < N_WAYS; i++)
        fprintf(stderr, " %s", ways[i].name);
    fprintf(stderr, "\n");
    return 2;
}

/* What COPY brings lies in a temporary table, which is empty again after each transaction. */
static void prepare(struct writer *writer)
{
    session_run(writer->session, "DROP TABLE IF EXISTS bare");
    session_run(writer->session, writer->way->has_partition
                                     ? "CREATE TABLE bare (" COLUMNS ", readside_partition integer NOT NULL, PRIMARY KEY (\"account\"))"
                                     : "CREATE TABLE bare (" COLUMNS ", PRIMARY KEY (\"account\"))");
    session_run(writer->session, "CREATE TEMPORARY TABLE fresh (" COLUMNS ") ON COMMIT DELETE ROWS");
    if (writer->way->put != NULL)
        session_prepare(writer->session, "rows", writer->way->sql);
}

static void check(struct writer *writer, const struct accounts_run *run)
{
    accounts_check(run, session_ask(writer->session, "SELECT count(*) FROM bare"),
                   session_ask(writer->session, "SELECT sum(events) FROM bare"), writer->way->is_new_only ? 1 : 2);
    session_run(writer->session, "DROP TABLE bare");
}

int main(int argc, char **argv)
{
    struct writer writer = {.way = argc > 1 ? find_way(argv[1]) : NULL};
    struct accounts_run run = {.context = &writer};
    double new, known = 0;

    if (writer.way == NULL || argc < 3 || argc > 5)
        return usage();
    run.n_rows = meter_count(argc > 3 ? argv[3] : NULL, ACCOUNTS_ROWS);
    run.n_batch = meter_count(argc > 4 ? argv[4] : NULL, ACCOUNTS_BATCH);
    run.is_hashed = writer.way->is_hashed;
    run.write = writer.way->write;
    writer.session = session_open(argv[2]);
    prepare(&writer);
    new = accounts_write_all(&run);
    if (!writer.way->is_new_only)
        known = accounts_write_all(&run);
    check(&writer, &run);
    accounts_print(&run, writer.way->name, new, known);
    PQfinish(writer.session);
    buffer_free(&writer.parameters.bytes);
    return 0;
}
