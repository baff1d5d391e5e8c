/*
 * postgres - the PostgreSQL driver: exchanges and errors. See postgres.h; operations live in the files beside it.
 *
 * One connection, non-blocking, always in pipeline mode but for the blocking calls of commands and start-up.
 */
#include "store/postgres.h"

#include "base/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATEMENTS_MAX = 2000 };

static int64_t now_us(void)
{
    return clock_system.monotonic_us(clock_system.self);
}

/* ---- Errors ---- */

int pg_not_connected(const struct postgres *pg, struct error *ret_error)
{
    (void)pg;
    return error_set(ret_error, ERROR_TRANSIENT, "not connected to PostgreSQL");
}

/* What now, by SQLSTATE (PostgreSQL manual, appendix A). */
static int class_of(const char *sqlstate)
{
    static const struct {
        const char *prefix;
        int class;
    } classes[] = {
        {"40", ERROR_TRANSIENT},    {"55P03", ERROR_TRANSIENT}, {"57014", ERROR_TRANSIENT}, {"57P0", ERROR_TRANSIENT},
        {"25P0", ERROR_TRANSIENT},  {"08", ERROR_TRANSIENT},    {"53", ERROR_TRANSIENT},    {"58", ERROR_TRANSIENT},
        {"26000", ERROR_TRANSIENT}, {"0A000", ERROR_TRANSIENT}, {"25006", ERROR_TRANSIENT}, {"XX00", ERROR_TRANSIENT},
        {"22", ERROR_POISON},       {"23", ERROR_POISON},       {"21000", ERROR_BUG},       {"42501", ERROR_CONFIG},
        {"42P01", ERROR_CONFIG},    {"42703", ERROR_CONFIG},    {"42P10", ERROR_CONFIG},    {"42804", ERROR_CONFIG},
        {"28", ERROR_CONFIG},       {"3D000", ERROR_CONFIG},    {"3F000", ERROR_CONFIG},    {"42", ERROR_CONFIG},
    };

    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (strncmp(sqlstate, classes[i].prefix, strlen(classes[i].prefix)) == 0)
            return classes[i].class;
    return ERROR_BUG;
}

static const char *field(const PGresult *result, int code)
{
    const char *text = PQresultErrorField(result, code);

    return text == NULL ? "" : text;
}

int pg_error_of(const struct postgres *pg, const PGresult *result, struct error *ret_error)
{
    const char *state = field(result, PG_DIAG_SQLSTATE), *detail = field(result, PG_DIAG_MESSAGE_DETAIL);
    int class = class_of(state);

    (void)pg;
    if (state[0] == '\0') /* libpq's own words: the connection */
        return error_set(ret_error, ERROR_TRANSIENT, "PostgreSQL: %s", PQresultErrorMessage(result));
    error_set(ret_error, class, "PostgreSQL says %s: %s%s%s", state, field(result, PG_DIAG_MESSAGE_PRIMARY),
              detail[0] != '\0' ? "; " : "", detail);
    snprintf(ret_error->code, sizeof ret_error->code, "%s", state);
    return class;
}

int pg_lost(struct postgres *pg, int class, const char *what, struct error *ret_error)
{
    char reason[512];

    snprintf(reason, sizeof reason, "%s", pg->connection == NULL ? "" : PQerrorMessage(pg->connection));
    pg->is_connected = pg->is_connecting = false;
    pg_clear_results(pg);
    return error_set(ret_error, class, "%s: %s", what, reason);
}

/* ---- Exchanges ---- */

void pg_clear_results(struct postgres *pg)
{
    for (size_t i = 0; i < pg->n_results; i++)
        PQclear(pg->results[i]);
    pg->n_results = 0;
}

void pg_begin_exchange(struct postgres *pg)
{
    pg_clear_results(pg);
    pg->n_sent = 0;
    pg->is_synced = false;
    pg->deadline_us = INT64_MAX;
    pg_parameters_clear(&pg->parameters);
}

void pg_forget_statements(struct postgres *pg)
{
    for (size_t i = 0; i < pg->n_statements; i++)
        free(pg->statements[i].sql);
    pg->n_statements = 0;
    pg->generation++;
}

static int send_failed(struct postgres *pg, struct error *ret_error)
{
    return pg_lost(pg, ERROR_TRANSIENT, "sending to PostgreSQL failed", ret_error);
}

static const char *find_statement(const struct postgres *pg, const char *sql)
{
    for (size_t i = 0; i < pg->n_statements; i++)
        if (strcmp(pg->statements[i].sql, sql) == 0)
            return pg->statements[i].name;
    return NULL;
}

/* Prepares it in the same exchange, just before its first use. */
static const char *prepare(struct postgres *pg, const char *sql, const struct pg_parameters *parameters)
{
    struct pg_statement *statement;

    if (pg->n_statements == pg->statements_capacity) {
        size_t capacity = pg->statements_capacity == 0 ? 32 : pg->statements_capacity * 2;
        struct pg_statement *grown = realloc(pg->statements, capacity * sizeof *grown);

        if (grown == NULL || capacity > STATEMENTS_MAX)
            return NULL;
        pg->statements = grown;
        pg->statements_capacity = capacity;
    }
    statement = &pg->statements[pg->n_statements];
    snprintf(statement->name, sizeof statement->name, "rs%u_%zu", pg->generation, pg->n_statements);
    statement->sql = strdup(sql);
    if (statement->sql == NULL || PQsendPrepare(pg->connection, statement->name, sql, parameters->n, parameters->types) == 0) {
        free(statement->sql);
        return NULL;
    }
    pg->n_statements++;
    pg->n_sent++;
    return statement->name;
}

int pg_send(struct postgres *pg, const char *sql, struct pg_parameters *parameters, bool is_prepared, struct error *ret_error)
{
    static struct pg_parameters none;
    const char *values[PARAMETERS_MAX];
    int sizes[PARAMETERS_MAX], formats[PARAMETERS_MAX];
    const char *name = NULL;
    int is_sent;

    if (parameters == NULL)
        parameters = &none;
    if (buffer_failed(&parameters->bytes))
        return error_set(ret_error, ERROR_BUG, "out of memory for a statement's parameters");
    for (int i = 0; i < parameters->n; i++) {
        values[i] = parameters->is_null[i] ? NULL : parameters->bytes.data + parameters->offsets[i];
        if (values[i] != NULL && parameters->sizes[i] == 0)
            values[i] = "";
        sizes[i] = (int)parameters->sizes[i];
        formats[i] = 1;
    }
    if (is_prepared && !pg->store.settings.is_pooled) {
        name = find_statement(pg, sql);
        if (name == NULL)
            name = prepare(pg, sql, parameters);
        if (name == NULL)
            return send_failed(pg, ret_error);
    }
    is_sent = name != NULL ? PQsendQueryPrepared(pg->connection, name, parameters->n, values, sizes, formats, 1)
                           : PQsendQueryParams(pg->connection, sql, parameters->n, parameters->types, values, sizes, formats, 1);
    if (is_sent == 0)
        return send_failed(pg, ret_error);
    pg->n_sent++;
    pg_parameters_clear(&pg->parameters);
    return 0;
}

int pg_sync(struct postgres *pg, pg_next next, struct error *ret_error)
{
    if (PQpipelineSync(pg->connection) == 0)
        return send_failed(pg, ret_error);
    pg->next = next;
    pg->wants_write = PQflush(pg->connection) == 1;
    return 0;
}

size_t pg_failed_at(const struct postgres *pg)
{
    for (size_t i = 0; i < pg->n_results; i++) {
        ExecStatusType status = PQresultStatus(pg->results[i]);

        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
            return i;
    }
    return pg->n_sent;
}

static int keep_result(struct postgres *pg, PGresult *result, struct error *ret_error)
{
    if (pg->n_results == pg->results_capacity) {
        size_t capacity = pg->results_capacity == 0 ? 32 : pg->results_capacity * 2;
        PGresult **grown = realloc(pg->results, capacity * sizeof *grown);

        if (grown == NULL) {
            PQclear(result);
            return error_set(ret_error, ERROR_BUG, "out of memory for results");
        }
        pg->results = grown;
        pg->results_capacity = capacity;
    }
    pg->results[pg->n_results++] = result;
    return 0;
}

/* Takes in what has come. 0: the Sync has been answered; STORE_BUSY: more is to come. */
static int receive(struct postgres *pg, struct error *ret_error)
{
    int result;

    if (pg->wants_write) {
        int flushed = PQflush(pg->connection);

        if (flushed < 0)
            return ERROR_TRANSIENT;
        pg->wants_write = flushed == 1;
    }
    if (PQconsumeInput(pg->connection) == 0)
        return ERROR_TRANSIENT;
    while (!pg->is_synced && PQisBusy(pg->connection) == 0) {
        PGresult *received = PQgetResult(pg->connection);

        if (received == NULL) { /* the end of one statement's results */
            if (PQstatus(pg->connection) == CONNECTION_BAD)
                return ERROR_TRANSIENT;
            continue;
        }
        if (PQresultStatus(received) == PGRES_PIPELINE_SYNC) {
            PQclear(received);
            pg->is_synced = true;
        } else {
            result = keep_result(pg, received, ret_error);
            if (result != 0)
                return result;
        }
        if (PQstatus(pg->connection) == CONNECTION_BAD)
            return ERROR_TRANSIENT;
    }
    return pg->is_synced ? 0 : STORE_BUSY;
}

static int connection_broke(struct postgres *pg, struct error *ret_error)
{
    struct error words = {0};

    if (pg->n_results > 0 && pg_failed_at(pg) < pg->n_results)
        pg_error_of(pg, pg->results[pg_failed_at(pg)], &words);
    pg_lost(pg, pg->may_have_committed ? ERROR_UNKNOWN : ERROR_TRANSIENT, "the connection to PostgreSQL broke", ret_error);
    if (words.class != 0)
        error_wrap(ret_error, "%s", words.text);
    return ret_error->class;
}

/* ---- Rolling back ---- */

static int rolled_back(struct postgres *pg, struct error *ret_error)
{
    if (pg_failed_at(pg) < pg->n_sent)
        return pg_lost(pg, ERROR_TRANSIENT, "ROLLBACK failed", ret_error);
    pg->may_have_committed = false;
    *ret_error = pg->failure;
    return ret_error->class;
}

/* Statements that were to be prepared behind the failure do not exist; so all are forgotten. */
int pg_roll_back(struct postgres *pg, const struct error *failure, struct error *ret_error)
{
    int result;

    pg->failure = *failure;
    pg_forget_statements(pg);
    pg_begin_exchange(pg);
    result = pg_send(pg, "ROLLBACK", NULL, false, ret_error);
    if (result == 0 && !pg->store.settings.is_pooled)
        result = pg_send(pg, "DEALLOCATE ALL", NULL, false, ret_error);
    if (result == 0)
        result = pg_sync(pg, rolled_back, ret_error);
    return result == 0 ? STORE_BUSY : result;
}

/* ---- The driver ---- */

static int poll_operation(struct store *store, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    int result;

    if (pg->connection == NULL)
        return pg_not_connected(pg, ret_error);
    if (pg->is_connecting)
        return pg_poll_connect(pg, ret_error);
    result = receive(pg, ret_error);
    if (result == STORE_BUSY && now_us() >= pg->deadline_us)
        return pg_lost(pg, ERROR_TRANSIENT, "PostgreSQL did not answer in time", ret_error);
    if (result == STORE_BUSY)
        return STORE_BUSY;
    if (result != 0)
        return connection_broke(pg, ret_error);
    return pg->next(pg, ret_error);
}

static int open_store(const struct store_settings *settings, const struct store_scope *scope, struct store **ret_store,
                      struct error *ret_error)
{
    struct postgres *pg;
    const char *sslmode;
    int result = pg_check_transport(settings, &sslmode, ret_error);

    if (result != 0)
        return result;
    pg = calloc(1, sizeof *pg);
    if (pg == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    pg->store.settings = *settings;
    pg->store.scope = *scope;
    pg->deadline_us = INT64_MAX;
    *ret_store = &pg->store;
    return 0;
}

static void close_store(struct store *store)
{
    struct postgres *pg = pg_of(store);

    pg_disconnect(pg);
    buffer_free(&pg->parameters.bytes);
    free(pg->results);
    free(pg->statements);
    free(pg->list);
    free(pg);
}

static int fd_of(const struct store *store)
{
    const struct postgres *pg = (const struct postgres *)store;

    return pg->connection == NULL ? -1 : PQsocket(pg->connection);
}

static short events_of(const struct store *store)
{
    const struct postgres *pg = (const struct postgres *)store;

    if (pg->is_connecting)
        return pg->connecting == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    return pg->wants_write ? POLLIN | POLLOUT : POLLIN;
}

static int64_t deadline_of(const struct store *store)
{
    return ((const struct postgres *)store)->deadline_us;
}

static bool is_connected(const struct store *store)
{
    return ((const struct postgres *)store)->is_connected;
}

/* ---- Blocking ---- */

PGresult *pg_query(struct postgres *pg, const char *sql, struct pg_parameters *parameters, int *ret_class,
                   struct error *ret_error)
{
    PGresult *result = NULL;

    if (!pg->is_connected) {
        *ret_class = pg_not_connected(pg, ret_error);
        return NULL;
    }
    pg_begin_exchange(pg);
    *ret_class = pg_send(pg, sql, parameters, false, ret_error);
    if (*ret_class == 0)
        *ret_class = pg_sync(pg, NULL, ret_error);
    if (*ret_class != 0)
        return NULL;
    while ((*ret_class = receive(pg, ret_error)) == STORE_BUSY) {
        struct pollfd fd = {.fd = PQsocket(pg->connection), .events = events_of(&pg->store)};

        (void)poll(&fd, 1, 1000);
    }
    if (*ret_class != 0) {
        *ret_class = connection_broke(pg, ret_error);
        return NULL;
    }
    if (pg_failed_at(pg) < pg->n_sent) {
        *ret_class = pg_error_of(pg, pg->results[pg_failed_at(pg)], ret_error);
        pg_clear_results(pg);
        return NULL;
    }
    result = pg->results[0];
    pg->n_results = 0;
    return result;
}

int pg_execute(struct postgres *pg, const char *sql, struct error *ret_error)
{
    int class;

    PQclear(pg_query(pg, sql, NULL, &class, ret_error));
    return class;
}

const struct store_driver store_postgres = {
    .kind = "postgresql",
    .open = open_store,
    .close = close_store,
    .start_connect = pg_start_connect,
    .start_claim = pg_start_claim,
    .start_insert = pg_start_insert,
    .start_write = pg_start_write,
    .start_read = pg_start_read,
    .start_resolve = pg_start_resolve,
    .start_release = pg_start_release,
    .poll = poll_operation,
    .fd = fd_of,
    .events = events_of,
    .deadline_us = deadline_of,
    .is_connected = is_connected,
    .preflight = pg_preflight,
    .create_schema = pg_create_schema,
    .check_schema = pg_check_schema,
    .print_schema = pg_print_schema,
    .list_positions = pg_list_positions,
    .operate = pg_operate,
    .reset = pg_reset,
};
