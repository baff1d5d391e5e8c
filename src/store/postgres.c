/*
 * postgres - the PostgreSQL driver: connection, exchanges, errors. See postgres.h; operations live in the files beside it.
 *
 * One connection, non-blocking, always in pipeline mode but for the blocking calls of commands and start-up.
 */
#include "store/postgres.h"

#include "base/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDLE_TRANSACTION_MS = 10000, TCP_USER_TIMEOUT_MS = 10000, STATEMENTS_MAX = 2000 };

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

static void forget_statements(struct postgres *pg)
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
    forget_statements(pg);
    pg_begin_exchange(pg);
    result = pg_send(pg, "ROLLBACK", NULL, false, ret_error);
    if (result == 0 && !pg->store.settings.is_pooled)
        result = pg_send(pg, "DEALLOCATE ALL", NULL, false, ret_error);
    if (result == 0)
        result = pg_sync(pg, rolled_back, ret_error);
    return result == 0 ? STORE_BUSY : result;
}

/* ---- Connecting ---- */

static bool is_local(const char *host)
{
    return host == NULL || host[0] == '\0' || host[0] == '/' || host[0] == '@' || strcmp(host, "localhost") == 0 ||
           strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

static const char *option_of(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword != NULL; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options->val;
    return NULL;
}

/* A remote server must prove who it is, unless the config says otherwise in so many words. */
static int check_transport(const struct store_settings *settings, const char **ret_sslmode, struct error *ret_error)
{
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(settings->uri, &message);
    const char *host, *sslmode;
    bool is_remote;

    *ret_sslmode = NULL;
    if (options == NULL) {
        error_set(ret_error, ERROR_CONFIG, "uri: %s", message == NULL ? "cannot be read" : message);
        PQfreemem(message);
        return ERROR_CONFIG;
    }
    host = option_of(options, "hostaddr");
    if (host == NULL)
        host = option_of(options, "host");
    is_remote = !is_local(host);
    sslmode = option_of(options, "sslmode");
    if (is_remote && sslmode == NULL && !settings->allow_plaintext)
        *ret_sslmode = "verify-full";
    if (is_remote && sslmode != NULL && strcmp(sslmode, "verify-full") != 0 && !settings->allow_plaintext)
        error_set(ret_error, ERROR_CONFIG,
                  "uri: sslmode=%s does not verify the server %s; use verify-full (with sslrootcert), or allow_plaintext = true",
                  sslmode, host);
    else
        ret_error = NULL;
    PQconninfoFree(options);
    return ret_error == NULL ? 0 : ERROR_CONFIG;
}

/* "relation already exists, skipping" and the like: what matters comes as an error. */
static void ignore_notice(void *context, const char *message)
{
    (void)context, (void)message;
}

static int begin_connection(struct postgres *pg, const char *sslmode)
{
    const struct store_settings *settings = &pg->store.settings;
    char name[64], user_timeout[16], connect_timeout[16];
    const char *keys[16], *values[16];
    int n = 0;

    snprintf(name, sizeof name, "readside/%s v%d", pg->store.scope.pipeline, (int)pg->store.scope.version);
    snprintf(user_timeout, sizeof user_timeout, "%d", TCP_USER_TIMEOUT_MS);
    snprintf(connect_timeout, sizeof connect_timeout, "%d", (int)(settings->connect_timeout_us / 1000000) + 1);
    keys[n] = "dbname", values[n++] = settings->uri;
    if (settings->password != NULL)
        keys[n] = "password", values[n++] = settings->password;
    if (sslmode != NULL)
        keys[n] = "sslmode", values[n++] = sslmode;
    keys[n] = "application_name", values[n++] = name;
    keys[n] = "client_encoding", values[n++] = "UTF8";
    keys[n] = "connect_timeout", values[n++] = connect_timeout;
    keys[n] = "tcp_user_timeout", values[n++] = user_timeout;
    keys[n] = "keepalives_idle", values[n++] = "5";
    keys[n] = "keepalives_interval", values[n++] = "2";
    keys[n] = "keepalives_count", values[n++] = "3";
    keys[n] = NULL, values[n] = NULL;
    pg->connection = PQconnectStartParams(keys, values, 1);
    if (pg->connection == NULL || PQstatus(pg->connection) == CONNECTION_BAD)
        return -1;
    PQsetErrorVerbosity(pg->connection, PQERRORS_VERBOSE); /* brings the SQLSTATE of a refused connection */
    PQsetNoticeProcessor(pg->connection, ignore_notice, NULL);
    return 0;
}

static void disconnect(struct postgres *pg)
{
    pg_clear_results(pg);
    forget_statements(pg);
    PQclear(pg->list_result);
    pg->list_result = NULL;
    PQfinish(pg->connection);
    pg->connection = NULL;
    pg->is_connected = pg->is_connecting = false;
    pg->may_have_committed = false;
    pg->wants_write = false;
}

static int start_connect(struct store *store, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    const char *sslmode;
    int result;

    disconnect(pg);
    result = check_transport(&store->settings, &sslmode, ret_error);
    if (result != 0)
        return result;
    if (begin_connection(pg, sslmode) != 0)
        return pg_lost(pg, ERROR_TRANSIENT, "cannot connect to PostgreSQL", ret_error);
    pg->is_connecting = true;
    pg->connecting = PGRES_POLLING_WRITING;
    pg->deadline_us = now_us() + store->settings.connect_timeout_us;
    return 0;
}

/* "FATAL:  28P01: password authentication failed ...": a refusal that will not pass by itself. */
static int refused(struct postgres *pg, struct error *ret_error)
{
    const char *message = PQerrorMessage(pg->connection), *fatal = strstr(message, "FATAL:  ");
    int class = ERROR_TRANSIENT;

    if (fatal != NULL && (strncmp(fatal + 8, "28", 2) == 0 || strncmp(fatal + 8, "3D", 2) == 0 || strncmp(fatal + 8, "42", 2) == 0))
        class = ERROR_CONFIG;
    if (strstr(message, "no password supplied") != NULL || strstr(message, "root certificate") != NULL ||
        strstr(message, "certificate verify failed") != NULL || strstr(message, "does not support SSL") != NULL)
        class = ERROR_CONFIG;
    return pg_lost(pg, class, "cannot connect to PostgreSQL", ret_error);
}

static int connected(struct postgres *pg, struct error *ret_error)
{
    const PGresult *result;

    if (pg_failed_at(pg) < pg->n_sent) {
        struct error error = {0};

        pg_error_of(pg, pg->results[pg_failed_at(pg)], &error);
        pg_lost(pg, error.class, "cannot set the session up", ret_error);
        return error_set(ret_error, error.class, "cannot set the session up: %s", error.text);
    }
    result = pg->results[0];
    if (strcmp(PQgetvalue(result, 0, 0), "t") == 0 || strcmp(PQgetvalue(result, 0, 1), "on") == 0) {
        pg_lost(pg, ERROR_CONFIG, "", ret_error);
        return error_set(ret_error, ERROR_CONFIG,
                         "the server is a replica or read-only; connect to the primary (target_session_attrs=read-write)");
    }
    pg->is_connected = true;
    return 0;
}

static int set_session_up(struct postgres *pg, struct error *ret_error)
{
    const struct store_settings *settings = &pg->store.settings;
    char sql[640];
    int result;

    if (PQserverVersion(pg->connection) < 130000) {
        int version = PQserverVersion(pg->connection);

        pg_lost(pg, ERROR_CONFIG, "", ret_error);
        return error_set(ret_error, ERROR_CONFIG, "PostgreSQL %d is too old; 13 or newer is needed", version / 10000);
    }
    if (PQsetnonblocking(pg->connection, 1) != 0 || PQenterPipelineMode(pg->connection) != 1)
        return pg_lost(pg, ERROR_TRANSIENT, "cannot enter pipeline mode", ret_error);
    snprintf(sql, sizeof sql,
             "SELECT pg_is_in_recovery()::text, current_setting('transaction_read_only'), "
             "set_config('idle_in_transaction_session_timeout', '%dms', false), set_config('lock_timeout', '%lldms', false), "
             "set_config('statement_timeout', '%lldms', false), set_config('timezone', 'UTC', false), "
             "set_config('default_transaction_isolation', 'read committed', false)",
             IDLE_TRANSACTION_MS, (long long)(settings->lock_timeout_us / 1000), (long long)(settings->statement_timeout_us / 1000));
    pg_begin_exchange(pg);
    result = pg_send(pg, sql, NULL, false, ret_error);
    if (result == 0)
        result = pg_sync(pg, connected, ret_error);
    pg->deadline_us = now_us() + settings->connect_timeout_us;
    return result == 0 ? STORE_BUSY : result;
}

static int poll_connect(struct postgres *pg, struct error *ret_error)
{
    struct pollfd fd = {.fd = PQsocket(pg->connection)};

    fd.events = pg->connecting == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    if (now_us() >= pg->deadline_us)
        return pg_lost(pg, ERROR_TRANSIENT, "PostgreSQL did not answer in time while connecting", ret_error);
    if (poll(&fd, 1, 0) == 0)
        return STORE_BUSY;
    pg->connecting = PQconnectPoll(pg->connection);
    if (pg->connecting == PGRES_POLLING_FAILED)
        return refused(pg, ret_error);
    if (pg->connecting != PGRES_POLLING_OK)
        return STORE_BUSY;
    pg->is_connecting = false;
    return set_session_up(pg, ret_error);
}

/* ---- The driver ---- */

static int poll_operation(struct store *store, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    int result;

    if (pg->connection == NULL)
        return pg_not_connected(pg, ret_error);
    if (pg->is_connecting)
        return poll_connect(pg, ret_error);
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
    int result = check_transport(settings, &sslmode, ret_error);

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

    disconnect(pg);
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
    .start_connect = start_connect,
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
