/*
 * postgres_connect - making a connection, step by step without blocking, and setting its session up. See postgres.h.
 */
#include "store/postgres.h"

#include "base/clock.h"
#include "base/text.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDLE_TRANSACTION_MS = 10000, TCP_USER_TIMEOUT_MS = 10000, SERVER_MIN = 130000, HOST_SIZE = 256 };

static int64_t now_us(void)
{
    return clock_system.monotonic_us(clock_system.self);
}

/* Nothing, a path and an abstract name are sockets of this machine. */
static bool is_local_host(const char *host, size_t size)
{
    return size == 0 || host[0] == '/' || host[0] == '@' || text_is_local_host(host, size);
}

/* A comma-separated list is local when each of its hosts is. */
static bool is_local(const char *hosts)
{
    for (const char *at = hosts == NULL ? "" : hosts;; at++) {
        size_t size = strcspn(at, ",");

        if (!is_local_host(at, size))
            return false;
        at += size;
        if (*at == '\0')
            return true;
    }
}

static const char *option_of(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword != NULL; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options->val;
    return NULL;
}

/* Where libpq would connect to; what the environment adds to the URI counts. A service file is somebody else's word: remote. */
static const char *hosts_of(const PQconninfoOption *options)
{
    const char *hosts = option_of(options, "hostaddr");

    if (option_of(options, "service") != NULL || getenv("PGSERVICE") != NULL)
        return "of a service file";
    if (hosts == NULL)
        hosts = getenv("PGHOSTADDR");
    if (hosts == NULL)
        hosts = option_of(options, "host");
    return hosts == NULL ? getenv("PGHOST") : hosts;
}

/* libpq quotes what it cannot read, and that may be a piece of a password. */
static int refuse_uri(const char *uri, const char *message, struct error *ret_error)
{
    bool may_tell = strcasestr(uri, "pass") == NULL && strchr(uri, '@') == NULL && message != NULL;

    return error_set(ret_error, ERROR_CONFIG, "uri: %s",
                     may_tell ? message
                              : "cannot be read, neither as postgresql://user@host:port/database nor as key=value pairs (quote values "
                                "that hold blanks)");
}

int pg_check_transport(const struct store_settings *settings, const char **ret_sslmode, struct error *ret_error)
{
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(settings->uri, &message);
    const char *hosts, *sslmode;
    int result = 0;

    *ret_sslmode = NULL;
    if (options == NULL) {
        result = refuse_uri(settings->uri, message, ret_error);
        PQfreemem(message);
        return result;
    }
    hosts = hosts_of(options);
    sslmode = option_of(options, "sslmode");
    if (!is_local(hosts) && !settings->allow_plaintext) {
        if (sslmode == NULL)
            *ret_sslmode = "verify-full";
        else if (strcmp(sslmode, "verify-full") != 0)
            result = error_set(ret_error, ERROR_CONFIG,
                               "uri: sslmode=%s does not verify the server %s; use verify-full (with sslrootcert), or "
                               "allow_plaintext = true",
                               sslmode, hosts);
    }
    PQconninfoFree(options);
    return result;
}

/* ---- Hosts of a list, one after the other ---- */

/* Those libpq would try, by one deadline for all of them where nobody waits for it: a host that is silent would hide the others. */
static size_t count_hosts(const PQconninfoOption *options)
{
    const char *hosts = hosts_of(options);
    size_t n = 1;

    for (; hosts != NULL && *hosts != '\0'; hosts++)
        n += *hosts == ',';
    return n;
}

/* The list's item; its only one, where it has one. NULL: there is no list. */
static const char *item_of(const char *list, size_t at, char ret_item[HOST_SIZE])
{
    const char *item = list;

    if (list == NULL || strchr(list, ',') == NULL)
        return list;
    for (; at > 0 && item[strcspn(item, ",")] == ','; at--)
        item += strcspn(item, ",") + 1;
    snprintf(ret_item, HOST_SIZE, "%.*s", (int)strcspn(item, ","), item);
    return ret_item;
}

static const char *listed(const PQconninfoOption *options, const char *keyword, const char *variable, size_t at, char ret_item[HOST_SIZE])
{
    const char *list = option_of(options, keyword);

    return item_of(list != NULL ? list : getenv(variable), at, ret_item);
}

/* "relation already exists, skipping" and the like: what matters comes as an error. */
static void ignore_notice(void *context, const char *message)
{
    (void)context, (void)message;
}

/* What stands before the URI gives way to it, what stands behind it does not. */
static int begin_connection(struct postgres *pg, const char *sslmode)
{
    const struct store_settings *settings = &pg->store.settings;
    char name[64], user_timeout[16], connect_timeout[16], host[HOST_SIZE], address[HOST_SIZE], port[HOST_SIZE];
    bool is_list = pg->n_hosts > 1;
    const char *const pairs[][2] = {
        {"connect_timeout", connect_timeout},
        {"tcp_user_timeout", user_timeout},
        {"keepalives_idle", "5"},
        {"keepalives_interval", "2"},
        {"keepalives_count", "3"},
        {"target_session_attrs", "read-write"},
        {"dbname", settings->uri},
        {"host", is_list ? listed(pg->options, "host", "PGHOST", pg->host_at, host) : NULL},
        {"hostaddr", is_list ? listed(pg->options, "hostaddr", "PGHOSTADDR", pg->host_at, address) : NULL},
        {"port", is_list ? listed(pg->options, "port", "PGPORT", pg->host_at, port) : NULL},
        {"password", settings->password},
        {"sslmode", sslmode},
        {"application_name", name},
        {"client_encoding", "UTF8"},
    };
    const char *keys[sizeof pairs / sizeof pairs[0] + 1] = {0}, *values[sizeof pairs / sizeof pairs[0] + 1] = {0};
    size_t n = 0;

    snprintf(name, sizeof name, "readside/%.40s v%d", pg->store.scope.pipeline, (int)pg->store.scope.version);
    snprintf(user_timeout, sizeof user_timeout, "%d", TCP_USER_TIMEOUT_MS);
    snprintf(connect_timeout, sizeof connect_timeout, "%d", (int)(settings->connect_timeout_us / 1000000) + 1);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (pairs[i][1] != NULL)
            keys[n] = pairs[i][0], values[n++] = pairs[i][1];
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
    PQconninfoFree(pg->options);
    pg->options = NULL;
    pg->is_connected = pg->is_connecting = false;
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
    static const char *const words[] = {"no password supplied",     "root certificate",     "certificate verify failed",
                                        "does not support SSL",     "session is read-only", "hot standby mode",
                                        "server certificate for",   "private key file",     "certificate file",
                                        "invalid port number",      "invalid integer value", " value: \""};
    const char *message = PQerrorMessage(pg->connection), *state = find_state(message);
    int class = ERROR_TRANSIENT;

    for (size_t i = 0; i < sizeof lasting / sizeof lasting[0] && state != NULL; i++)
        if (strncmp(state, lasting[i], 2) == 0)
            class = ERROR_CONFIG;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(message, words[i]) != NULL)
            class = ERROR_CONFIG;
    if (strstr(message, "session is read-only") != NULL || strstr(message, "hot standby mode") != NULL)
        error_set(ret_error, class, "cannot connect to PostgreSQL: the server is a replica or read-only; name the primary in the uri");
    else
        pg_lost(pg, class, "cannot connect to PostgreSQL", ret_error);
    pg->is_connecting = false;
    return class;
}

static int try_host(struct postgres *pg, struct error *ret_error);

/* The end when it was the last of the list. A later attempt begins behind the host that failed. */
static int host_failed(struct postgres *pg, const struct error *failure, struct error *ret_error)
{
    pg->host_at = (pg->host_at + 1) % pg->n_hosts;
    if (pg->failure.class != ERROR_TRANSIENT) /* the primary may be the host that is away, whatever the others are */
        pg->failure = *failure;
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
        return host_failed(pg, &failure, ret_error);
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
    pg->n_hosts = pg->hosts_left = count_hosts(pg->options);
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
    return host_failed(pg, &failure, ret_error);
}

static int connected(struct postgres *pg, struct error *ret_error)
{
    struct error why = {0};

    if (pg_failed_at(pg) < pg->n_sent)
        pg_first_error(pg, &why);
    else if (strcmp(PQgetvalue(pg->results[0], 0, 0), "true") == 0 || strcmp(PQgetvalue(pg->results[0], 0, 1), "on") == 0)
        error_set(&why, ERROR_CONFIG, "the server is a replica or read-only; name the primary in the uri");
    else if (strcmp(PQgetvalue(pg->results[0], 0, 2), "UTF8") != 0 && strcmp(PQgetvalue(pg->results[0], 0, 2), "SQL_ASCII") != 0)
        error_set(&why, ERROR_CONFIG, "the database's encoding is %s, which cannot hold every text; it must be UTF8",
                  PQgetvalue(pg->results[0], 0, 2));
    if (why.class != 0)
        return refuse_session(pg, &why, ret_error);
    pg->is_connected = true;
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
    if (PQsetnonblocking(pg->connection, 1) != 0 || PQenterPipelineMode(pg->connection) != 1)
        return pg_lost(pg, ERROR_TRANSIENT, "cannot enter pipeline mode", ret_error);
    buffer_puts(&sql, "SELECT pg_is_in_recovery()::text, current_setting('transaction_read_only'), current_setting('server_encoding')");
    if (!pg->store.settings.is_pooled) {
        buffer_puts(&sql, ", ");
        pg_print_limits(&pg->store.settings, false, &sql);
    }
    pg_begin_exchange(pg);
    result = buffer_failed(&sql) ? pg_lost(pg, ERROR_BUG, "out of memory", ret_error) : pg_send(pg, sql.data, NULL, false, ret_error);
    buffer_free(&sql);
    if (result == 0)
        result = pg_sync(pg, connected, ret_error);
    pg->deadline_us = now_us() + pg->store.settings.connect_timeout_us;
    return result == 0 ? STORE_BUSY : result;
}

int pg_poll_connect(struct postgres *pg, struct error *ret_error)
{
    struct pollfd fd = {.fd = PQsocket(pg->connection)};
    struct error failure = {0};

    fd.events = pg->connecting == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    if (now_us() >= pg->deadline_us) {
        pg_lost(pg, ERROR_TRANSIENT, "PostgreSQL did not answer in time while connecting", &failure);
        return host_failed(pg, &failure, ret_error);
    }
    if (poll(&fd, 1, 0) == 0)
        return STORE_BUSY;
    pg->connecting = PQconnectPoll(pg->connection);
    if (pg->connecting == PGRES_POLLING_FAILED) {
        refused(pg, &failure);
        return host_failed(pg, &failure, ret_error);
    }
    if (pg->connecting != PGRES_POLLING_OK)
        return STORE_BUSY;
    pg->is_connecting = false;
    return set_session_up(pg, ret_error);
}
