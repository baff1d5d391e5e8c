/*
 * session - a connection to PostgreSQL by libpq alone, which waits for all it asks. Whatever fails ends the program.
 *
 * Binary values are encoded by the driver's own functions (store/postgres.h): how bytes are laid out is not what is measured.
 */
#ifndef BENCH_SESSION_H
#define BENCH_SESSION_H

#include "store/postgres.h"

#include <stddef.h>
#include <stdint.h>

/* The password is STORE_PASSWORD's, where the connection string has none. */
PGconn *session_open(const char *conninfo);
/* SQL without parameters, several statements if need be. */
void session_run(PGconn *session, const char *sql);
/* The same where COPY ... FROM STDIN (FORMAT binary) is among them, with these rows, each a count of fields and the fields. */
void session_copy(PGconn *session, const char *sql, const struct buffer *rows);
/* The one value that a query answers. */
int64_t session_ask(PGconn *session, const char *sql);

/* A statement, prepared under that name. */
void session_prepare(PGconn *session, const char *name, const char *sql);
void session_execute(PGconn *session, const char *name, const struct pg_parameters *parameters);

/* In a pipeline, which begins and ends a transaction. */
void session_begin(PGconn *session);
void session_send(PGconn *session, const char *name, const struct pg_parameters *parameters);
void session_commit(PGconn *session);

/* A parameter that is one value. */
void session_put(struct pg_parameters *parameters, const struct column *column, const struct cell *cell);

#endif
