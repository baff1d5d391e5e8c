/*
 * mysql_connect - making a connection, setting its session up, and refusing servers that cannot be exactly-once. See mysql.h.
 */
#include <config.h>

#include "store/mysql.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MARIADB_MIN = 101100, MYSQL_MIN = 80020, TCP_USER_TIMEOUT_MS = 10000, PATIENCE_SECONDS = 5 };

#define NO_LIMIT "18446744073709551615"

void my_disconnect(struct my_store *my)
{
    my->is_connected = false;
    my->backend[0] = '\0';
    if (my->connection == NULL)
        return;
    my_thread_watch(my->thread, -1);
    my_forget_statements(my);
    mysql_close(my->connection);
    my->connection = NULL;
}

static unsigned seconds_of(int64_t us)
{
    int64_t seconds = (us + 999999) / 1000000;

    return seconds < 1 ? 1 : seconds > 86400 ? 86400 : (unsigned)seconds;
}

/* Locks are waited for in whole seconds. */
int64_t my_statement_us(const struct my_store *my)
{
    const struct store_settings *settings = &my->store.settings;
    int64_t lock_us = (int64_t)(seconds_of(settings->lock_timeout_us) + 1) * 1000000;

    if (settings->statement_timeout_us <= 0)
        return 0;
    return settings->statement_timeout_us < lock_us ? lock_us : settings->statement_timeout_us;
}

/* ---- The connection ---- */

/* The client library does not say which file it is that it cannot read. */
static int check_files(const struct my_uri *uri, struct error *ret_error)
{
    const struct {
        const char *name, *path;
    } files[] = {{"ssl-ca", uri->ca}, {"ssl-cert", uri->certificate}, {"ssl-key", uri->key}};

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (files[i].path != NULL && access(files[i].path, R_OK) != 0)
            return error_set(ret_error, ERROR_CONFIG, "uri: the file %s of %s cannot be read: %s", files[i].path, files[i].name,
                             strerror(errno));
    return 0;
}

static int set_options(struct my_store *my, struct error *ret_error)
{
    const struct store_settings *settings = &my->store.settings;
    unsigned connect = seconds_of(settings->connect_timeout_us), local_infile = 0, protocol = MYSQL_PROTOCOL_TCP;
    unsigned answer = seconds_of(my_statement_us(my)) + PATIENCE_SECONDS;
    bool is_asked = my->uri.ca != NULL || my->uri.certificate != NULL || my->uri.key != NULL || my->uri.is_verified ||
                    my->uri.is_unverified;
    bool is_plain = my->uri.is_plain || (my_uri_is_local(&my->uri) && !is_asked);
    MYSQL *connection = my->connection;

    answer = settings->statement_timeout_us <= 0 ? 0 : answer < connect ? connect : answer;
    if (mysql_options(connection, MYSQL_OPT_CONNECT_TIMEOUT, &connect) != 0 ||
        mysql_options(connection, MYSQL_OPT_READ_TIMEOUT, &answer) != 0 ||
        mysql_options(connection, MYSQL_OPT_WRITE_TIMEOUT, &answer) != 0 ||
        mysql_options(connection, MYSQL_OPT_LOCAL_INFILE, &local_infile) != 0 ||
        mysql_options(connection, MYSQL_SET_CHARSET_NAME, "utf8mb4") != 0)
        return error_set(ret_error, ERROR_BUG, "the client library refuses an option: %s", mysql_error(connection));
    if (my->uri.socket == NULL && mysql_options(connection, MYSQL_OPT_PROTOCOL, &protocol) != 0) /* "localhost" is no socket here */
        return error_set(ret_error, ERROR_BUG, "the client library refuses an option: %s", mysql_error(connection));
    if (!is_plain && check_files(&my->uri, ret_error) != 0)
        return ERROR_CONFIG;
    return my_client_set_tls(connection, &my->uri, is_plain, ret_error);
}

/* A machine that vanishes must not keep us waiting for as long as TCP would: idle, too, it is noticed within ten seconds. */
static void watch_peer(int fd)
{
    const int on = 1, idle = 4, interval = 2, count = 3, user_timeout = TCP_USER_TIMEOUT_MS;

    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof user_timeout);
}

/* What a person must see to; a TLS connection that breaks while it is made says something of the network. */
static bool is_tls_refused(const char *words)
{
    static const char *const reasons[] = {"certificate", "required", "alert", "protocol", "file", "key"};

    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (strcasestr(words, reasons[i]) != NULL)
            return true;
    return false;
}

static int class_of_login(int class, const struct error *failure)
{
    if (strcmp(failure->code, "2026") == 0 && is_tls_refused(failure->text))
        return ERROR_CONFIG;
    return class == ERROR_BUG ? ERROR_TRANSIENT : class;
}

static int open_connection(struct my_store *my, struct error *ret_error)
{
    const struct my_uri *uri = &my->uri;
    struct error failure = {0};
    int result;

    my->connection = mysql_init(NULL);
    if (my->connection == NULL)
        return my_out_of_memory(ret_error);
    result = set_options(my, ret_error);
    if (result == 0 &&
        mysql_real_connect(my->connection, uri->socket != NULL ? NULL : uri->host, uri->user, my->password, uri->database,
                           uri->port, uri->socket, CLIENT_MULTI_STATEMENTS | CLIENT_FOUND_ROWS) == NULL) {
        result = class_of_login(my_error(my, &failure), &failure);
        result = error_set(ret_error, result, "cannot connect to %s%s%s: %s", uri->socket != NULL ? "the socket " : "",
                           uri->socket != NULL ? uri->socket : uri->host, my->password == NULL ? " (no password is given)" : "",
                           failure.text);
    }
    if (result != 0) {
        my_disconnect(my);
        return result;
    }
    if (uri->socket == NULL)
        watch_peer(my_client_socket(my->connection));
    my_thread_watch(my->thread, my_client_socket(my->connection));
    return 0;
}

/* ---- The server ---- */

static int check_version(struct my_store *my, struct error *ret_error)
{
    unsigned long version = mysql_get_server_version(my->connection);

    my->is_mariadb = strstr(mysql_get_server_info(my->connection), "MariaDB") != NULL;
    my->server = my->is_mariadb ? "MariaDB" : "MySQL";
    if (version >= (my->is_mariadb ? MARIADB_MIN : MYSQL_MIN))
        return 0;
    return error_set(ret_error, ERROR_CONFIG, "%s %s is too old; MariaDB 10.11 or MySQL 8.0.20 or newer is needed",
                     my->server, mysql_get_server_info(my->connection));
}

/* Whatever the server's defaults and its init_connect are. */
static int set_session(struct my_store *my, struct error *ret_error)
{
    const struct store_settings *settings = &my->store.settings;
    struct buffer sql = BUFFER_INIT;
    int result;

    buffer_puts(&sql, "SET NAMES utf8mb4; SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
                      "NO_ENGINE_SUBSTITUTION', SESSION time_zone = '+00:00', SESSION autocommit = 1, SESSION completion_type = 0, "
                      "SESSION sql_select_limit = " NO_LIMIT ", SESSION sql_safe_updates = 0, SESSION sql_big_selects = 1, "
                      "SESSION wait_timeout = " MY_IDLE);
    buffer_printf(&sql, ", SESSION innodb_lock_wait_timeout = %u, SESSION lock_wait_timeout = %u",
                  seconds_of(settings->lock_timeout_us), seconds_of(settings->lock_timeout_us));
    if (my->is_mariadb)
        buffer_printf(&sql, ", SESSION max_statement_time = %.3f", (double)my_statement_us(my) / 1e6);
    else /* it is for SELECT alone */
        buffer_puts(&sql, ", SESSION max_execution_time = 0");
    buffer_puts(&sql, "; SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE");
    result = my_script(my, &sql, NULL, NULL, ret_error);
    buffer_free(&sql);
    return result;
}

/* Read back: what a proxy between has swallowed would be silently wrong. */
static int check_session(struct my_store *my, struct error *ret_error)
{
    char sql[400];
    MYSQL_RES *rows;
    MYSQL_ROW row;
    int result;

    snprintf(sql, sizeof sql,
             "SELECT @@max_allowed_packet, @@%s = 'READ-COMMITTED' AND @@sql_mode LIKE '%%STRICT_ALL_TABLES%%' AND "
             "@@time_zone = '+00:00' AND @@character_set_client = 'utf8mb4' AND @@character_set_results = 'utf8mb4' AND "
             "@@sql_select_limit = " NO_LIMIT,
             my->is_mariadb ? "tx_isolation" : "transaction_isolation");
    result = my_query(my, sql, &rows, ret_error);
    if (result != 0)
        return result;
    row = mysql_fetch_row(rows);
    if (row == NULL || my_number_of(row[0], (int64_t *)&my->packet_bytes) != 0)
        result = error_set(ret_error, ERROR_CONFIG, "the server does not say how it is set up");
    else if (row[1] == NULL || row[1][0] != '1')
        result = error_set(ret_error, ERROR_CONFIG,
                           "the session is not as it was set up (isolation, sql_mode, time zone, character set or "
                           "sql_select_limit): does something between change it?");
    mysql_free_result(rows);
    return result;
}

/* ---- What cannot be exactly-once ---- */

/* That class, and those words, where the query answers anything. */
static int refuse_if(struct my_store *my, const char *sql, int class, const char *words, struct error *ret_error)
{
    MYSQL_RES *rows;
    int result = my_query(my, sql, &rows, ret_error);

    if (result == 0 && rows != NULL && mysql_num_rows(rows) > 0)
        result = error_set(ret_error, class, "%s", words);
    mysql_free_result(rows);
    return result;
}

/* It may be so for the time of a switch-over only. Asked in this way, for newer MariaDB has more than two answers and SELECT gives
 * them other names. */
static int refuse_read_only(struct my_store *my, struct error *ret_error)
{
    return refuse_if(my, "SHOW GLOBAL VARIABLES WHERE variable_name IN ('read_only', 'innodb_read_only') AND value <> 'OFF'",
                     ERROR_TRANSIENT, "the server is a replica or read-only; name the primary in the uri", ret_error);
}

static bool is_running(MYSQL_RES *rows, MYSQL_ROW row)
{
    MYSQL_FIELD *fields = mysql_fetch_fields(rows);

    for (unsigned i = 0; i < mysql_num_fields(rows); i++)
        if ((strstr(fields[i].name, "_IO_Running") != NULL || strstr(fields[i].name, "_SQL_Running") != NULL) &&
            strstr(fields[i].name, "_State") == NULL && row[i] != NULL && strcmp(row[i], "No") != 0)
            return true;
    return false;
}

/* What another server writes here passes by the fence, also where this one takes writes as well. Who may not see it (1227) is let
 * be, as nobody needs that privilege else. */
static int refuse_replica(struct my_store *my, struct error *ret_error)
{
    struct error failure = {0};
    MYSQL_RES *rows;
    MYSQL_ROW row;
    int result = my_query(my, my->is_mariadb ? "SHOW ALL REPLICAS STATUS" : "SHOW REPLICA STATUS", &rows, &failure);

    if (result != 0 && (strcmp(failure.code, "1227") == 0 || strcmp(failure.code, "1064") == 0)) /* 1064: MySQL before 8.0.22 */
        return 0;
    if (result != 0) {
        if (ret_error != NULL)
            *ret_error = failure;
        return result;
    }
    while (result == 0 && (row = mysql_fetch_row(rows)) != NULL)
        if (is_running(rows, row))
            result = error_set(ret_error, ERROR_CONFIG, "the server replicates from another one; name the primary in the uri");
    mysql_free_result(rows);
    return result;
}

/* Two nodes that both accept writes settle conflicts at COMMIT, not by the locks that the fence stands on. */
static int refuse_several_primaries(struct my_store *my, struct error *ret_error)
{
    MYSQL_RES *rows;
    MYSQL_ROW row;
    int64_t size = 0;
    int result = my_query(my, "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_size'", &rows, ret_error);

    if (result != 0)
        return result;
    row = rows == NULL ? NULL : mysql_fetch_row(rows);
    if (row != NULL && row[1] != NULL && my_number_of(row[1], &size) == 0 && size > 1)
        result = error_set(ret_error, ERROR_CONFIG,
                           "the server is one of %lld nodes of a Galera cluster, whose conflicts show only at "
                           "COMMIT; use a server with one primary",
                           (long long)size);
    mysql_free_result(rows);
    if (result != 0)
        return result;
    return refuse_if(my, "SHOW GLOBAL VARIABLES WHERE variable_name = 'group_replication_single_primary_mode' AND value = 'OFF'",
                     ERROR_CONFIG, "group replication runs with several primaries; set it to single-primary mode", ret_error);
}

/* Positions record this lock's name: who finds them held asks which connection has it, and can end that one. Connection numbers
 * alone would not do, they begin again with each start of the server. */
static int name_backend(struct my_store *my, struct error *ret_error)
{
    const uint8_t *owner = my->store.scope.owner;
    char name[MY_BACKEND_SIZE], sql[MY_BACKEND_SIZE + 40];
    int64_t is_mine = 0;
    size_t size = (size_t)snprintf(name, sizeof name, "readside:");
    int result;

    for (size_t i = 0; i < 16; i++)
        size += (size_t)snprintf(name + size, sizeof name - size, "%02x", owner[i]);
    snprintf(name + size, sizeof name - size, ":%lu", mysql_thread_id(my->connection));
    snprintf(sql, sizeof sql, "SELECT GET_LOCK('%s', 0)", name);
    result = my_query_number(my, sql, &is_mine, ret_error);
    if (result == 0 && is_mine == 1)
        memcpy(my->backend, name, sizeof name);
    return result; /* of another connection's lock of that name: it is let be, and this one cannot be ended by others */
}

int my_connect(struct my_store *my, struct error *ret_error)
{
    static int (*const steps[])(struct my_store *, struct error *) = {
        open_connection,  check_version,  set_session,              check_session,
        refuse_read_only, refuse_replica, refuse_several_primaries, name_backend,
    };
    int result = 0;

    my_disconnect(my);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && result == 0; i++)
        result = steps[i](my, ret_error);
    if (result != 0)
        my_disconnect(my);
    my->is_connected = result == 0;
    return result;
}
