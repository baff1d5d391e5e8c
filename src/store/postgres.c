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

enum {
    STATEMENTS_MAX = 256,               /* further shapes are sent as text each time */
    PATIENCE_US = 5 * 1000 * 1000,      /* beyond the server's own time limits, until the connection counts as dead */
};

static int64_t now_us(void)
{
    return clock_system.monotonic_us(clock_system.self);
}

/* ---- Errors ---- */

int pg_not_connected(struct error *ret_error)
{
    return error_set(ret_error, ERROR_TRANSIENT, "not connected to PostgreSQL");
}

/* What now, by SQLSTATE (PostgreSQL manual, appendix A); the first that matches. What is not here is an error of ours. */
static int class_of(const char *sqlstate)
{
    static const struct {
        const char *prefix;
        int class;
    } classes[] = {
        {"40", ERROR_TRANSIENT},    {"55P03", ERROR_TRANSIENT}, {"57014", ERROR_TRANSIENT}, {"57P0", ERROR_TRANSIENT},
        {"25P0", ERROR_TRANSIENT},  {"08", ERROR_TRANSIENT},    {"53", ERROR_TRANSIENT},    {"58", ERROR_TRANSIENT},
        {"26000", ERROR_TRANSIENT}, {"0A000", ERROR_TRANSIENT}, {"25006", ERROR_TRANSIENT}, {"72000", ERROR_TRANSIENT},
        {"22", ERROR_POISON},       {"23", ERROR_POISON},       {"54", ERROR_POISON},       {"44000", ERROR_POISON},
        {"P0001", ERROR_POISON},    {"28", ERROR_CONFIG},       {"2B", ERROR_CONFIG},       {"3D", ERROR_CONFIG},
        {"3F", ERROR_CONFIG},       {"42", ERROR_CONFIG},       {"55000", ERROR_CONFIG},
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

/* A way out where the code alone tells it. */
static const char *hint_of(const char *state)
{
    if (strcmp(state, "26000") == 0 || strcmp(state, "42P05") == 0)
        return " (is a pooler between? then set pooled = true)";
    if (strcmp(state, "42501") == 0)
        return " (grant it, or connect as another user)";
    return "";
}

bool pg_has_state(const PGresult *result, const char *state)
{
    return strcmp(field(result, PG_DIAG_SQLSTATE), state) == 0;
}

int pg_error_of(const PGresult *result, struct error *ret_error)
{
    const char *state = field(result, PG_DIAG_SQLSTATE), *detail = field(result, PG_DIAG_MESSAGE_DETAIL);
    int class = class_of(state);

    if (state[0] == '\0') /* libpq's own words: the connection */
        return error_set(ret_error, ERROR_TRANSIENT, "PostgreSQL: %s", PQresultErrorMessage(result));
    error_set(ret_error, class, "PostgreSQL says %s: %s%s%s%s", state, field(result, PG_DIAG_MESSAGE_PRIMARY),
              detail[0] != '\0' ? "; " : "", detail, hint_of(state));
    if (ret_error != NULL)
        snprintf(ret_error->code, sizeof ret_error->code, "%s", state);
    return class;
}

int pg_first_error(const struct postgres *pg, struct error *ret_error)
{
    return pg_error_of(pg->results[pg_failed_at(pg)], ret_error);
}

int pg_note_missing(int class, struct error *error)
{
    if (error != NULL && strcmp(error->code, "42P01") == 0) /* undefined_table */
        memcpy(error->code, STORE_MISSING, sizeof STORE_MISSING);
    return class;
}

/* invalid input syntax for type integer: "readside: ...", in the server's language */
bool pg_raised_words(const PGresult *result, char ret_words[PG_WORDS_SIZE])
{
    const char *start = strstr(field(result, PG_DIAG_MESSAGE_PRIMARY), PG_MARK);
    char *end;

    if (strcmp(field(result, PG_DIAG_SQLSTATE), "22P02") != 0 || start == NULL)
        return false;
    snprintf(ret_words, PG_WORDS_SIZE, "%s", start + strlen(PG_MARK));
    end = strrchr(ret_words, '"');
    if (end != NULL)
        *end = '\0';
    return true;
}

int pg_lost(struct postgres *pg, int class, const char *what, struct error *ret_error)
{
    char reason[512];

    snprintf(reason, sizeof reason, "%s", pg->connection == NULL ? "" : PQerrorMessage(pg->connection));
    reason[strcspn(reason, "\n")] = '\0';
    pg->is_connected = pg->is_connecting = false;
    pg_clear_results(pg);
    return error_set(ret_error, class, "%s%s%s", what, reason[0] != '\0' ? ": " : "", reason);
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
    return pg_lost(pg, pg->may_have_committed ? ERROR_UNKNOWN : ERROR_TRANSIENT, "sending to PostgreSQL failed", ret_error);
}

static const char *find_statement(const struct postgres *pg, const char *sql)
{
    for (size_t i = 0; i < pg->n_statements; i++)
        if (strcmp(pg->statements[i].sql, sql) == 0)
            return pg->statements[i].name;
    return NULL;
}

static bool has_room(struct postgres *pg)
{
    size_t capacity = pg->statements_capacity == 0 ? 32 : pg->statements_capacity * 2;
    struct pg_statement *grown;

    if (pg->n_statements < pg->statements_capacity)
        return true;
    if (capacity > STATEMENTS_MAX)
        return false;
    grown = realloc(pg->statements, capacity * sizeof *grown);
    if (grown == NULL)
        return false;
    pg->statements = grown;
    pg->statements_capacity = capacity;
    return true;
}

/* Prepares it in the same exchange, just before its first use. NULL without a sign of failure: no room, send it as text. The name
 * is this task's alone: behind a pooler that the config does not tell of, another's statement must not be taken for ours. */
static const char *prepare(struct postgres *pg, const char *sql, const struct pg_parameters *parameters, bool *ret_has_failed)
{
    struct pg_statement *statement;
    const uint8_t *owner = pg->store.scope.owner;

    if (!has_room(pg))
        return NULL;
    statement = &pg->statements[pg->n_statements];
    snprintf(statement->name, sizeof statement->name, "rs%02x%02x%02x%02x_%u_%zu", owner[0], owner[1], owner[2], owner[3],
             pg->generation, pg->n_statements);
    statement->sql = strdup(sql);
    if (statement->sql == NULL)
        return NULL;
    if (PQsendPrepare(pg->connection, statement->name, sql, parameters->n, parameters->types) == 0) {
        free(statement->sql);
        *ret_has_failed = true;
        return NULL;
    }
    pg->n_statements++;
    pg->n_sent++;
    return statement->name;
}

static int send_with(struct postgres *pg, const char *sql, const struct pg_parameters *parameters, const char *name)
{
    const char *values[PARAMETERS_MAX];
    int sizes[PARAMETERS_MAX], formats[PARAMETERS_MAX];

    for (int i = 0; i < parameters->n; i++) {
        values[i] = parameters->is_null[i]      ? NULL
                    : parameters->sizes[i] == 0 ? ""
                                                : parameters->bytes.data + parameters->offsets[i];
        sizes[i] = (int)parameters->sizes[i];
        formats[i] = 1;
    }
    if (name != NULL)
        return PQsendQueryPrepared(pg->connection, name, parameters->n, values, sizes, formats, 1);
    return PQsendQueryParams(pg->connection, sql, parameters->n, parameters->types, values, sizes, formats, 1);
}

int pg_send(struct postgres *pg, const char *sql, struct pg_parameters *parameters, bool is_prepared, struct error *ret_error)
{
    static const struct pg_parameters none;
    const struct pg_parameters *given = parameters == NULL ? &none : parameters;
    const char *name = NULL;
    bool has_failed = false;

    if (buffer_failed(&given->bytes) || given->bytes.size > INT32_MAX)
        return pg_lost(pg, ERROR_BUG, "the parameters of a statement exceed the memory", ret_error);
    if (is_prepared && !pg->store.settings.is_pooled) {
        name = find_statement(pg, sql);
        if (name == NULL)
            name = prepare(pg, sql, given, &has_failed);
    }
    if (has_failed || send_with(pg, sql, given, name) == 0 || PQsendFlushRequest(pg->connection) == 0)
        return send_failed(pg, ret_error);
    pg->n_sent++;
    if (parameters != NULL)
        pg_parameters_clear(parameters);
    return 0;
}

int pg_send_printed(struct postgres *pg, struct buffer *sql, struct pg_parameters *parameters, bool is_prepared,
                    struct error *ret_error)
{
    int result = buffer_failed(sql) ? pg_lost(pg, ERROR_BUG, "out of memory for a statement", ret_error)
                                    : pg_send(pg, sql->data, parameters, is_prepared, ret_error);

    buffer_free(sql);
    return result;
}

int pg_send_begin(struct postgres *pg, struct error *ret_error)
{
    struct buffer sql = BUFFER_INIT;
    int result = pg_send(pg, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", NULL, false, ret_error);

    if (result != 0 || !pg->store.settings.is_pooled)
        return result;
    buffer_puts(&sql, "SELECT ");
    pg_print_limits(&pg->store.settings, true, &sql);
    return pg_send_printed(pg, &sql, NULL, false, ret_error);
}

/* The server ends each statement in its time, and each answer is sent at once: a little later it does not answer any more. */
static void await_sign(struct postgres *pg)
{
    int64_t limit = pg->store.settings.statement_timeout_us;

    if (limit <= 0 || __builtin_add_overflow(now_us() + PATIENCE_US, limit, &pg->deadline_us))
        pg->deadline_us = INT64_MAX;
}

int pg_sync(struct postgres *pg, pg_next next, struct error *ret_error)
{
    if (PQpipelineSync(pg->connection) == 0)
        return send_failed(pg, ret_error);
    store_count_round_trip(&pg->store);
    pg->next = next;
    await_sign(pg);
    pg->wants_write = PQflush(pg->connection) == 1;
    return 0;
}

bool pg_has_committed(const struct postgres *pg)
{
    return pg_failed_at(pg) == pg->n_sent && strcmp(PQcmdStatus(pg->results[pg->n_sent - 1]), "COMMIT") == 0;
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

static int keep_result(struct postgres *pg, PGresult *result)
{
    if (pg->n_results == pg->results_capacity) {
        size_t capacity = pg->results_capacity == 0 ? 32 : pg->results_capacity * 2;
        PGresult **grown = realloc(pg->results, capacity * sizeof *grown);

        if (grown == NULL) {
            PQclear(result);
            return ERROR_TRANSIENT;
        }
        pg->results = grown;
        pg->results_capacity = capacity;
    }
    pg->results[pg->n_results++] = result;
    return 0;
}

static bool can_write(const struct postgres *pg)
{
    struct pollfd fd = {.fd = PQsocket(pg->connection), .events = POLLOUT};

    return poll(&fd, 1, 0) == 1 && (fd.revents & POLLOUT) != 0;
}

/* Takes in what has come. 0: the Sync has been answered; STORE_BUSY: more is to come; else the connection is of no more use. */
static int receive(struct postgres *pg)
{
    int n_nothing = 0;

    if (pg->wants_write && can_write(pg)) { /* what was sent before has been taken */
        int flushed = PQflush(pg->connection);

        if (flushed < 0)
            return ERROR_TRANSIENT;
        pg->wants_write = flushed == 1;
        await_sign(pg);
    }
    if (PQconsumeInput(pg->connection) == 0)
        return ERROR_TRANSIENT;
    while (!pg->is_synced && PQisBusy(pg->connection) == 0) {
        PGresult *received = PQgetResult(pg->connection);

        if (received == NULL) { /* the end of one statement's results; again and again: the answer to Sync is lost */
            if (PQstatus(pg->connection) == CONNECTION_BAD || ++n_nothing > 3)
                return ERROR_TRANSIENT;
            continue;
        }
        n_nothing = 0;
        await_sign(pg);
        if (PQresultStatus(received) == PGRES_PIPELINE_SYNC) {
            PQclear(received);
            pg->is_synced = true;
        } else if (keep_result(pg, received) != 0) {
            return ERROR_TRANSIENT;
        }
        if (PQstatus(pg->connection) == CONNECTION_BAD)
            return ERROR_TRANSIENT;
    }
    return pg->is_synced ? 0 : STORE_BUSY;
}

static int broke(struct postgres *pg, const char *how, struct error *ret_error)
{
    struct error words = {0}, lost = {0};

    if (pg_failed_at(pg) < pg->n_results)
        pg_first_error(pg, &words);
    pg_lost(pg, pg->may_have_committed ? ERROR_UNKNOWN : ERROR_TRANSIENT, how, &lost);
    if (words.class != 0)
        error_wrap(&lost, "%s", words.text);
    if (ret_error != NULL)
        *ret_error = lost;
    return lost.class;
}

/* 0, STORE_BUSY, or the class of what ended the exchange and the connection. */
static int advance(struct postgres *pg, struct error *ret_error)
{
    int result = receive(pg);

    if (result == STORE_BUSY && now_us() >= pg->deadline_us)
        return broke(pg, "PostgreSQL did not answer in time", ret_error);
    return result == 0 || result == STORE_BUSY ? result : broke(pg, "the connection to PostgreSQL broke", ret_error);
}

/* ---- Rolling back ---- */

static int rolled_back(struct postgres *pg, struct error *ret_error)
{
    if (pg_failed_at(pg) < pg->n_sent)
        return broke(pg, "ROLLBACK failed", ret_error);
    pg->may_have_committed = false;
    if (pg->after_rollback != NULL)
        return pg->after_rollback(pg, ret_error);
    if (strcmp(pg->failure.code, "25006") == 0) /* the primary has become a replica: find the new one */
        return pg_lost(pg, ERROR_TRANSIENT, pg->failure.text, ret_error);
    if (ret_error != NULL)
        *ret_error = pg->failure;
    return pg->failure.class;
}

/* Statements that were to be prepared behind the failure do not exist; so all are forgotten. */
int pg_roll_back_then(struct postgres *pg, pg_next next, struct error *ret_error)
{
    int result;

    pg->after_rollback = next;
    pg_forget_statements(pg);
    pg_begin_exchange(pg);
    result = pg_send(pg, "ROLLBACK", NULL, false, ret_error);
    if (result == 0 && !pg->store.settings.is_pooled)
        result = pg_send(pg, "DEALLOCATE ALL", NULL, false, ret_error);
    if (result == 0)
        result = pg_sync(pg, rolled_back, ret_error);
    return result == 0 ? STORE_BUSY : result;
}

int pg_roll_back(struct postgres *pg, const struct error *failure, struct error *ret_error)
{
    pg->failure = *failure;
    return pg_roll_back_then(pg, NULL, ret_error);
}

/* ---- The driver ---- */

static int poll_operation(struct store *store, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    struct error failure = {0};
    int result;

    if (pg->connection == NULL)
        return pg_not_connected(ret_error);
    if (pg->is_connecting)
        return pg_poll_connect(pg, ret_error);
    result = advance(pg, &failure);
    if (result == 0)
        return pg->next(pg, ret_error);
    if (result != STORE_BUSY && pg->hosts_left > 0) /* it took the login, and then no statement */
        return pg_host_failed(pg, &failure, ret_error);
    if (result != STORE_BUSY && ret_error != NULL)
        *ret_error = failure;
    return result;
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
    pg->met = calloc(scope->n_tables + 1, sizeof pg->met[0]);
    if (pg->met == NULL) {
        free(pg);
        return error_set(ret_error, ERROR_BUG, "out of memory");
    }
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
    free(pg->group_ends);
    free(pg->met);
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

static int wait_for_results(struct postgres *pg, struct error *ret_error)
{
    int result;

    while ((result = advance(pg, ret_error)) == STORE_BUSY) {
        struct pollfd fd = {.fd = PQsocket(pg->connection), .events = events_of(&pg->store)};

        store_waits(&pg->store);
        (void)poll(&fd, 1, 100);
    }
    return result;
}

PGresult *pg_query(struct postgres *pg, const char *sql, struct pg_parameters *parameters, int *ret_class,
                   struct error *ret_error)
{
    PGresult *result = NULL;

    *ret_class = pg->is_connected ? 0 : pg_not_connected(ret_error);
    if (*ret_class != 0)
        return NULL;
    pg_begin_exchange(pg);
    *ret_class = pg_send(pg, sql, parameters, false, ret_error);
    if (*ret_class == 0)
        *ret_class = pg_sync(pg, NULL, ret_error);
    if (*ret_class == 0)
        *ret_class = wait_for_results(pg, ret_error);
    if (*ret_class == 0 && pg_failed_at(pg) < pg->n_sent) {
        *ret_class = pg_first_error(pg, ret_error);
        pg_clear_results(pg);
    }
    if (*ret_class == 0) {
        result = pg->results[0];
        pg->n_results = 0;
    }
    return result;
}

void pg_print_name(struct buffer *sql, const char *name)
{
    buffer_putc(sql, '"');
    for (; *name != '\0'; name++)
        buffer_printf(sql, *name == '"' ? "\"\"" : "%c", *name);
    buffer_putc(sql, '"');
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
