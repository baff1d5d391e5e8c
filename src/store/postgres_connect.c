/*
 * postgres_connect - making a connection, step by step without blocking, and setting its session up. See postgres.h.
 */
#include "store/postgres.h"

#include "base/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDLE_TRANSACTION_MS = 10000, TCP_USER_TIMEOUT_MS = 10000 };

static int64_t now_us(void)
{
    return clock_system.monotonic_us(clock_system.self);
}

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
int pg_check_transport(const struct store_settings *settings, const char **ret_sslmode, struct error *ret_error)
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

void pg_disconnect(struct postgres *pg)
{
    pg_clear_results(pg);
    pg_forget_statements(pg);
    PQclear(pg->list_result);
    pg->list_result = NULL;
    PQfinish(pg->connection);
    pg->connection = NULL;
    pg->is_connected = pg->is_connecting = false;
    pg->may_have_committed = false;
    pg->wants_write = false;
}

int pg_start_connect(struct store *store, struct error *ret_error)
{
    struct postgres *pg = pg_of(store);
    const char *sslmode;
    int result;

    pg_disconnect(pg);
    result = pg_check_transport(&store->settings, &sslmode, ret_error);
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

int pg_poll_connect(struct postgres *pg, struct error *ret_error)
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
