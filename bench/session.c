/*
 * session - see session.h.
 */
#include "session.h"

#include "meter.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static _Noreturn void fail(PGconn *session, const PGresult *result, const char *what)
{
    const char *words = result == NULL ? PQerrorMessage(session) : PQresultErrorMessage(result);

    die("%s: %.*s", what, (int)strcspn(words, "\n"), words);
}

PGconn *session_open(const char *conninfo)
{
    const char *const names[] = {"password", "application_name", "dbname", NULL};
    const char *const values[] = {getenv("STORE_PASSWORD"), "readside bench", conninfo, NULL}; /* the last one counts */
    PGconn *session = PQconnectdbParams(names, values, 1);

    if (PQstatus(session) != CONNECTION_OK)
        fail(session, NULL, "connecting");
    session_run(session, "SET client_min_messages = warning");
    return session;
}

/* Takes the answer to one statement; false: there is none. */
static bool take(PGconn *session, const char *what)
{
    PGresult *result = PQgetResult(session);
    ExecStatusType status = PQresultStatus(result);

    if (result == NULL)
        return false;
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_PIPELINE_SYNC)
        fail(session, result, what);
    PQclear(result);
    return true;
}

static void take_all(PGconn *session, const char *what)
{
    while (take(session, what))
        ;
}

static void check(PGconn *session, int is_good, const char *what)
{
    if (is_good != 1)
        fail(session, NULL, what);
}

void session_run(PGconn *session, const char *sql)
{
    check(session, PQsendQuery(session, sql), sql);
    take_all(session, sql);
}

void session_copy(PGconn *session, const char *sql, const struct buffer *rows)
{
    static const char head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0", tail[] = "\377\377"; /* the manual's page on COPY */
    PGresult *result = PQexec(session, sql);

    if (PQresultStatus(result) != PGRES_COPY_IN)
        fail(session, result, sql);
    PQclear(result);
    if (buffer_failed(rows))
        die("out of memory");
    check(session, PQputCopyData(session, head, 19), sql);
    check(session, PQputCopyData(session, rows->data, (int)rows->size), sql);
    check(session, PQputCopyData(session, tail, 2), sql);
    check(session, PQputCopyEnd(session, NULL), sql);
    take_all(session, sql);
}

int64_t session_ask(PGconn *session, const char *sql)
{
    PGresult *result = PQexec(session, sql);
    int64_t value = 0;

    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail(session, result, sql);
    if (PQntuples(result) == 0 || !text_read_int(PQgetvalue(result, 0, 0), strlen(PQgetvalue(result, 0, 0)), &value))
        die("%s: no number", sql);
    PQclear(result);
    return value;
}

void session_prepare(PGconn *session, const char *name, const char *sql)
{
    check(session, PQsendPrepare(session, name, sql, 0, NULL), sql);
    take_all(session, sql);
}

void session_send(PGconn *session, const char *name, const struct pg_parameters *parameters)
{
    const char *values[PARAMETERS_MAX];
    int sizes[PARAMETERS_MAX], formats[PARAMETERS_MAX];

    if (buffer_failed(&parameters->bytes))
        die("out of memory");
    for (int i = 0; i < parameters->n; i++) {
        values[i] = parameters->bytes.data + parameters->offsets[i];
        sizes[i] = (int)parameters->sizes[i];
        formats[i] = 1;
    }
    check(session, PQsendQueryPrepared(session, name, parameters->n, values, sizes, formats, 1), name);
}

void session_execute(PGconn *session, const char *name, const struct pg_parameters *parameters)
{
    session_send(session, name, parameters);
    take_all(session, name);
}

/* ---- Pipelines ---- */

static void send_text(PGconn *session, const char *sql)
{
    check(session, PQsendQueryParams(session, sql, 0, NULL, NULL, NULL, NULL, 1), sql);
}

void session_begin(PGconn *session)
{
    check(session, PQenterPipelineMode(session), "a pipeline");
    send_text(session, "BEGIN");
}

/* The answers are one a statement, an end behind each, and that of the Sync. */
void session_commit(PGconn *session)
{
    bool is_synced = false;

    send_text(session, "COMMIT");
    check(session, PQpipelineSync(session), "a pipeline");
    while (!is_synced) {
        PGresult *result = PQgetResult(session);
        ExecStatusType status = PQresultStatus(result);

        is_synced = status == PGRES_PIPELINE_SYNC;
        if (result != NULL && !is_synced && status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
            fail(session, result, "a batch in a pipeline");
        PQclear(result);
    }
    check(session, PQexitPipelineMode(session), "a pipeline");
}

void session_put(struct pg_parameters *parameters, const struct column *column, const struct cell *cell)
{
    size_t began = parameters->bytes.size + sizeof(uint32_t); /* an element's size, which a parameter has beside it */

    pg_element_cell(parameters, column, cell);
    parameters->offsets[parameters->n] = began;
    parameters->sizes[parameters->n] = parameters->bytes.size - began;
    parameters->types[parameters->n] = pg_type_of(column->type)->oid;
    parameters->n++;
}
