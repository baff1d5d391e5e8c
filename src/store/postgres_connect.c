/*
 * postgres_connect - making a connection, step by step without blocking, and setting its session up. See postgres.h.
 */
#include "store/postgres.h"

#include "base/clock.h"
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum {
    IDLE_TRANSACTION_MS = 10000,
    TCP_USER_TIMEOUT_MS = 10000,
    SERVER_MIN = 130000,
    PAIRS_MAX = 96, /* libpq knows some 50 */
};

static int64_t now_us(void)
{
    return clock_system.monotonic_us(clock_system.self);
}

/* "relation already exists, skipping" and the like: what matters comes as an error. */
static void ignore_notice(void *context, const char *message)
{
    (void)context, (void)message;
}

/* Names and values for PQconnectStartParams(); a later one stands for an earlier one. */
struct parameters {
    const char *names[PAIRS_MAX + 1];
    const char *values[PAIRS_MAX + 1];
    size_t n;
};

static void put(struct parameters *parameters, const char *name, const char *value)
{
    if (value == NULL || parameters->n == PAIRS_MAX)
        return;
    parameters->names[parameters->n] = name;
    parameters->values[parameters->n++] = value;
}

/* The URI's words, which stand for the defaults put before it; of a list of hosts the one whose turn it is. */
static void put_uri(struct parameters *parameters, const struct postgres *pg, struct pg_host *host)
{
    bool is_list = pg_host_of(pg->options, pg->host_at, host);

    for (const PQconninfoOption *option = pg->options; option->keyword != NULL; option++)
        if (!is_list || (strncmp(option->keyword, "host", 4) != 0 && strcmp(option->keyword, "port") != 0))
            put(parameters, option->keyword, option->val);
    if (!is_list)
        return;
    put(parameters, "host", host->name);
    put(parameters, "hostaddr", host->address);
    put(parameters, "port", host->port);
}

static int begin_connection(struct postgres *pg, const char *sslmode)
{
    const struct store_settings *settings = &pg->store.settings;
    struct parameters parameters = {.n = 0};
    char name[64], user_timeout[16], connect_timeout[16];
    struct pg_host host;

    snprintf(name, sizeof name, "readside/%.40s v%d", pg->store.scope.pipeline, (int)pg->store.scope.version);
    snprintf(user_timeout, sizeof user_timeout, "%d", TCP_USER_TIMEOUT_MS);
    snprintf(connect_timeout, sizeof connect_timeout, "%d", (int)(settings->connect_timeout_us / 1000000) + 1);
    put(&parameters, "connect_timeout", connect_timeout);
    put(&parameters, "tcp_user_timeout", user_timeout);
    put(&parameters, "keepalives_idle", "4");
    put(&parameters, "keepalives_interval", "2");
    put(&parameters, "keepalives_count", "3");
    put(&parameters, "target_session_attrs", "read-write");
    put_uri(&parameters, pg, &host);
    put(&parameters, "password", settings->password);
    put(&parameters, "sslmode", sslmode);
    put(&parameters, "application_name", name);
    put(&parameters, "client_encoding", "UTF8");
    pg->connection = PQconnectStartParams(parameters.names, parameters.values, 0);
    if (pg->connection == NULL || PQstatus(pg->connection) == CONNECTION_BAD)
        return -1;
    PQsetErrorVerbosity(pg->connection, PQERRORS_VERBOSE); /* brings the SQLSTATE of a refused connection */
    PQsetNoticeProcessor(pg->connection, ignore_notice, NULL);
    return 0;
}

void pg_disconnect(struct postgres *pg)
{
    pg_clear_results(pg);
    pg_forget_statements(pg);
    PQclear(pg->list_result);
    pg->list_result = NULL;
    PQfinish(pg->connection);
    pg->connection = NULL;
    PQconninfoFree(pg->options);
    pg->options = NULL;
    pg->is_connected = pg->is_connecting = false;
    pg->hosts_left = 0;
    pg->may_have_committed = false;
    pg->wants_write = false;
}

/* The last "  28P01: " of "FATAL:  28P01: password authentication failed ...", whatever the server's language; NULL: none. */
static const char *find_state(const char *message)
{
    const char *found = NULL;

    for (const char *at = strstr(message, ":  "); at != NULL; at = strstr(at + 1, ":  "))
        if (strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && at[8] == ':')
            found = at + 3;
    return found;
}

/* A refusal that will not pass by itself? */
static int refused(struct postgres *pg, struct error *ret_error)
{
    static const char *const lasting[] = {"28", "3D", "42"}; /* SQLSTATE: authentication, no such database, privileges */
    static const char *const words[] = {"no password supplied", "root certificate",       "certificate verify failed",
                                        "does not support SSL", "server certificate for", "private key file",
                                        "certificate file",     "invalid port number",    "invalid integer value",
                                        " value: \""};
    const char *message = PQerrorMessage(pg->connection), *state = find_state(message);
    int class = ERROR_TRANSIENT;

    for (size_t i = 0; i < sizeof lasting / sizeof lasting[0] && state != NULL; i++)
        if (strncmp(state, lasting[i], 2) == 0)
            class = ERROR_CONFIG;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(message, words[i]) != NULL)
            class = ERROR_CONFIG;
    if (strstr(message, "session is read-only") != NULL || strstr(message, "hot standby mode") != NULL) /* a switch-over? */
        error_set(ret_error, class, "cannot connect to PostgreSQL: the server is a replica or read-only; name the primary in the uri");
    else
        pg_lost(pg, class, "cannot connect to PostgreSQL", ret_error);
    pg->is_connecting = false;
    return class;
}

static int try_host(struct postgres *pg, struct error *ret_error);

/* The primary may be the host that is away, whatever the others are: that one's failure counts, and the others' are told. */
static void note_failure(struct postgres *pg, const struct error *failure)
{
    struct error first = pg->failure;
    bool is_first = first.class == ERROR_TRANSIENT;

    if (!is_first)
        pg->failure = *failure;
    if (first.class != 0)
        error_set(&pg->failure, pg->failure.class, "%s; another host of the list: %s", is_first ? first.text : failure->text,
                  is_first ? failure->text : first.text);
}

/* The end when it was the last of the list. A later attempt begins behind the host that failed. */
int pg_host_failed(struct postgres *pg, const struct error *failure, struct error *ret_error)
{
    note_failure(pg, failure);
    pg->host_at = (pg->host_at + 1) % pg->n_hosts;
    if (--pg->hosts_left > 0)
        return try_host(pg, ret_error);
    if (ret_error != NULL)
        *ret_error = pg->failure;
    return pg->failure.class;
}

/* STORE_BUSY, or what became of it and of the hosts behind it. */
static int try_host(struct postgres *pg, struct error *ret_error)
{
    struct error failure = {0};
    const char *sslmode;
    int result = pg_check_transport(&pg->store.settings, &sslmode, ret_error);

    if (result != 0)
        return result;
    PQfinish(pg->connection);
    if (begin_connection(pg, sslmode) != 0) {
        if (pg->connection == NULL)
            return error_set(ret_error, ERROR_BUG, "out of memory");
        refused(pg, &failure);
        return pg_host_failed(pg, &failure, ret_error);
    }
    pg->is_connecting = true;
    pg->connecting = PGRES_POLLING_WRITING;
    pg->deadline_us = now_us() + pg->store.settings.connect_timeout_us;
    return STORE_BUSY;
}

int pg_start_connect(struct store *store, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    int result;

    pg_disconnect(pg);
    pg->failure = (struct error){0};
    pg->options = PQconninfoParse(store->settings.uri, NULL);
    if (pg->options == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    pg->n_hosts = pg->hosts_left = pg_count_hosts(pg->options);
    result = try_host(pg, ret_error);
    return result == STORE_BUSY ? 0 : result;
}

/* ---- The session ---- */

static int refuse_session(struct postgres *pg, const struct error *why, struct error *ret_error)
{
    struct error failure = {0};

    pg->is_connected = false;
    pg_clear_results(pg);
    error_set(&failure, why->class, "cannot set the session up: %s", why->text);
    return pg_host_failed(pg, &failure, ret_error);
}

static int connected(struct postgres *pg, struct error *ret_error)
{
    struct error why = {0};

    if (pg_failed_at(pg) < pg->n_sent)
        pg_first_error(pg, &why);
    else if (strcmp(PQgetvalue(pg->results[0], 0, 0), "true") == 0 || strcmp(PQgetvalue(pg->results[0], 0, 1), "on") == 0)
        error_set(&why, ERROR_TRANSIENT, "the server is a replica or read-only; name the primary in the uri");
    else if (strcmp(PQgetvalue(pg->results[0], 0, 2), "UTF8") != 0 && strcmp(PQgetvalue(pg->results[0], 0, 2), "SQL_ASCII") != 0)
        error_set(&why, ERROR_CONFIG, "the database's encoding is %s, which cannot hold every text; it must be UTF8",
                  PQgetvalue(pg->results[0], 0, 2));
    if (why.class != 0)
        return refuse_session(pg, &why, ret_error);
    pg->is_connected = true;
    pg->hosts_left = 0;
    return 0;
}

void pg_print_limits(const struct store_settings *settings, bool is_local_setting, struct buffer *sql)
{
    const char *scope = is_local_setting ? "true" : "false";

    buffer_printf(sql,
                  "set_config('idle_in_transaction_session_timeout', '%dms', %s), set_config('lock_timeout', '%lldms', %s), "
                  "set_config('statement_timeout', '%lldms', %s)",
                  IDLE_TRANSACTION_MS, scope, (long long)(settings->lock_timeout_us / 1000), scope,
                  (long long)(settings->statement_timeout_us / 1000), scope);
}

static int set_session_up(struct postgres *pg, struct error *ret_error)
{
    struct buffer sql = BUFFER_INIT;
    struct error why = {0};
    int result;

    if (PQserverVersion(pg->connection) < SERVER_MIN) {
        error_set(&why, ERROR_CONFIG, "PostgreSQL %d is too old; 13 or newer is needed", PQserverVersion(pg->connection) / 10000);
        return refuse_session(pg, &why, ret_error);
    }
    if (PQsetnonblocking(pg->connection, 1) != 0 || PQenterPipelineMode(pg->connection) != 1) {
        pg_lost(pg, ERROR_TRANSIENT, "cannot enter pipeline mode", &why);
        return pg_host_failed(pg, &why, ret_error);
    }
    buffer_puts(&sql, "SELECT pg_is_in_recovery()::text, current_setting('transaction_read_only'), current_setting('server_encoding')");
    if (!pg->store.settings.is_pooled) {
        buffer_puts(&sql, ", ");
        pg_print_limits(&pg->store.settings, false, &sql);
    }
    pg_begin_exchange(pg);
    result = buffer_failed(&sql) ? pg_lost(pg, ERROR_BUG, "out of memory", &why) : pg_send(pg, sql.data, NULL, false, &why);
    buffer_free(&sql);
    if (result == 0)
        result = pg_sync(pg, connected, &why);
    pg->deadline_us = now_us() + pg->store.settings.connect_timeout_us;
    return result == 0 ? STORE_BUSY : pg_host_failed(pg, &why, ret_error);
}

int pg_poll_connect(struct postgres *pg, struct error *ret_error)
{
    struct pollfd fd = {.fd = PQsocket(pg->connection)};
    struct error failure = {0};

    fd.events = pg->connecting == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    if (now_us() >= pg->deadline_us) {
        pg_lost(pg, ERROR_TRANSIENT, "PostgreSQL did not answer in time while connecting", &failure);
        return pg_host_failed(pg, &failure, ret_error);
    }
    if (poll(&fd, 1, 0) == 0)
        return STORE_BUSY;
    pg->connecting = PQconnectPoll(pg->connection);
    if (pg->connecting == PGRES_POLLING_FAILED) {
        refused(pg, &failure);
        return pg_host_failed(pg, &failure, ret_error);
    }
    if (pg->connecting != PGRES_POLLING_OK)
        return STORE_BUSY;
    pg->is_connecting = false;
    return set_session_up(pg, ret_error);
}
