/*
 * mysql_query - statements, their results, errors, and transactions. Blocking; called by jobs. See mysql.h.
 */
#include "store/mysql.h"

#include "base/clock.h"
#include "base/text.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <string.h>

enum { PATIENCE_US = 5 * 1000 * 1000 }; /* beyond the server's own time limits, until the connection counts as dead */

/* ---- Errors ---- */

/* What now, by the server's number (MySQL and MariaDB manuals, server error reference; 2000 and more: the client library's). */
static int class_of_number(unsigned number)
{
    static const struct {
        int class;
        uint16_t numbers[16];
    } classes[] = {
        {ERROR_TRANSIENT, {1205, 1206, 1213, 1020, 3572}}, /* locks: 1205 leaves a transaction open, so all of it is rolled back */
        {ERROR_TRANSIENT, {1615}},                         /* of a prepared statement whose table has changed */
        {ERROR_TRANSIENT, {1317, 1969, 3024}},             /* interrupted, too late */
        {ERROR_TRANSIENT, {1180, 1181, 1030, 1114, 1021}}, /* of the engine; table full, disk full */
        {ERROR_TRANSIENT, {1037, 1038, 1041}},             /* memory */
        {ERROR_TRANSIENT, {1040, 1203, 1226, 1461}},       /* too many connections, too many prepared statements */
        {ERROR_TRANSIENT, {1290, 1792, 1836}},             /* read-only: find the new primary */
        {ERROR_TRANSIENT, {1053, 1927, 3032, 4031}},       /* on its way out */
        {ERROR_POISON, {1048, 1062, 1264, 1292, 1300, 1366, 1367, 1406, 1441, 1690, 3140}}, /* values */
        {ERROR_POISON, {3819, 4025, 1644, 1153}},                   /* CHECK, SIGNAL; too large for a packet */
        {ERROR_CONFIG, {1044, 1045, 1049, 1095, 1142, 1143, 1227}}, /* login and privileges */
        {ERROR_CONFIG, {1130, 1820, 1862, 3118, 4151}},                   /* host not allowed, password expired, account locked */
        {ERROR_CONFIG, {1054, 1146, 1115, 1193, 1273, 1364, 1665, 1709}}, /* what the server, or the schema, lacks */
        {ERROR_CONFIG, {2019, 2059, 2061, 3159}},                   /* character set, ways to log in */
        {ERROR_BUG, {1064}},                                        /* syntax */
    };

    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        for (const uint16_t *known = classes[i].numbers; *known != 0; known++)
            if (*known == number)
                return classes[i].class;
    return 0;
}

/* By the class of SQLSTATE, where the number says nothing. What is not here is an error of ours. */
static int class_of_state(const char *state)
{
    static const struct {
        const char *prefix;
        int class;
    } classes[] = {{"22", ERROR_POISON},       {"23", ERROR_POISON}, {"40", ERROR_TRANSIENT}, {"08", ERROR_TRANSIENT},
                   {"70100", ERROR_TRANSIENT}, {"42", ERROR_CONFIG}, {"28", ERROR_CONFIG}};

    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (strncmp(state, classes[i].prefix, strlen(classes[i].prefix)) == 0)
            return classes[i].class;
    return ERROR_BUG;
}

static bool is_lost(unsigned number)
{
    return number == CR_SERVER_GONE_ERROR || number == CR_SERVER_LOST || number == 2055 || number == CR_COMMANDS_OUT_OF_SYNC ||
           number == CR_SSL_CONNECTION_ERROR || number == CR_MALFORMED_PACKET || number == 1053 || number == 1927 || number == 3032 || number == 4031 ||
           number == 1153; /* it closes the connection behind that one */
}

/* A way out where the number alone tells it. */
static const char *hint_of(unsigned number)
{
    switch (number) {
    case 1153:
        return " (raise max_allowed_packet on the server)";
    case 1095:
        return " (all workers of a pipeline must log in as the same user)";
    case 1142:
    case 1044:
    case 1227:
        return " (grant it, or connect as another user)";
    case 1290:
    case 1836:
        return " (the server is read-only; name the primary in the uri)";
    case 1130:
        return " (the account must be allowed from this host)";
    case 1820:
    case 1862:
        return " (give the account a new password)";
    case 3118:
    case 4151:
        return " (unlock the account)";
    case 3159:
        return " (ask for TLS by tls=verified in the uri)";
    case 1709:
        return " (give the table ROW_FORMAT = DYNAMIC)";
    case 2059:
        return " (this client library lacks the account's way to log in; MariaDB's library knows it)";
    default:
        return "";
    }
}

static int judge(struct my_store *my, unsigned number, const char *state, const char *words, struct error *ret_error)
{
    int class = class_of_number(number);
    bool is_missing = number == 1146, is_ours = number >= 2000 && number < 3000;

    if (class == 0)
        class = is_lost(number) ? ERROR_TRANSIENT : class_of_state(state);
    if (is_ours)
        error_set(ret_error, class, "the connection to the server: %s (%u)%s", words, number, hint_of(number));
    else
        error_set(ret_error, class, "%s says %u: %s%s", my->server == NULL ? "the server" : my->server, number, words, hint_of(number));
    if (ret_error != NULL && is_missing)
        memcpy(ret_error->code, STORE_MISSING, sizeof STORE_MISSING);
    else if (ret_error != NULL)
        snprintf(ret_error->code, sizeof ret_error->code, "%u", number);
    if (is_lost(number) || number == 1290 || number == 1836)
        my_disconnect(my);
    return class;
}

int my_error(struct my_store *my, struct error *ret_error)
{
    return judge(my, mysql_errno(my->connection), mysql_sqlstate(my->connection), mysql_error(my->connection), ret_error);
}

int my_statement_error(struct my_store *my, MYSQL_STMT *statement, struct error *ret_error)
{
    return judge(my, mysql_stmt_errno(statement), mysql_stmt_sqlstate(statement), mysql_stmt_error(statement), ret_error);
}

/* ---- Statements ---- */

void my_await(struct my_store *my)
{
    int64_t limit_us = my_statement_us(my), deadline_us;

    if (limit_us <= 0 || __builtin_add_overflow(clock_system.monotonic_us(clock_system.self) + PATIENCE_US, limit_us, &deadline_us))
        deadline_us = INT64_MAX;
    my_thread_await(my->thread, deadline_us);
}

static int run(struct my_store *my, const char *sql, size_t size, struct error *ret_error)
{
    if (my->connection == NULL)
        return my_not_connected(ret_error);
    my_await(my);
    store_count_round_trip(&my->store);
    return mysql_real_query(my->connection, sql, size) == 0 ? 0 : my_error(my, ret_error);
}

int my_query(struct my_store *my, const char *sql, MYSQL_RES **ret_result, struct error *ret_error)
{
    int result = run(my, sql, strlen(sql), ret_error);

    *ret_result = NULL;
    if (result != 0)
        return result;
    *ret_result = mysql_store_result(my->connection);
    return *ret_result != NULL || mysql_field_count(my->connection) == 0 ? 0 : my_error(my, ret_error);
}

int my_execute(struct my_store *my, const char *sql, struct error *ret_error)
{
    MYSQL_RES *rows;
    int result = my_query(my, sql, &rows, ret_error);

    mysql_free_result(rows);
    return result;
}

int my_number_of(const char *text, int64_t *ret_number)
{
    *ret_number = 0;
    return text != NULL && text_read_int(text, strlen(text), ret_number) ? 0 : -1;
}

int my_query_number(struct my_store *my, const char *sql, int64_t *ret_number, struct error *ret_error)
{
    MYSQL_RES *rows;
    MYSQL_ROW row;
    int result = my_query(my, sql, &rows, ret_error);

    *ret_number = 0;
    if (result == 0 && rows != NULL && (row = mysql_fetch_row(rows)) != NULL && row[0] != NULL &&
        my_number_of(row[0], ret_number) != 0)
        result = error_set(ret_error, ERROR_BUG, "the server answered \"%.40s\" where a number was asked for", row[0]);
    mysql_free_result(rows);
    return result;
}

/* What comes behind is taken in, so that the next statement finds the connection in step. 0, or -1: some of it failed. */
static int drain(struct my_store *my)
{
    while (my->connection != NULL && mysql_more_results(my->connection)) {
        if (mysql_next_result(my->connection) > 0)
            return -1;
        mysql_free_result(mysql_store_result(my->connection));
    }
    return 0;
}

int my_send(struct my_store *my, const struct buffer *sql, struct error *ret_error)
{
    if (buffer_failed(sql))
        return my_out_of_memory(ret_error);
    if (my->connection == NULL)
        return my_not_connected(ret_error);
    my_await(my);
    store_count_round_trip(&my->store);
    return mysql_send_query(my->connection, sql->data, sql->size) == 0 ? 0 : my_error(my, ret_error);
}

static int take_result(struct my_store *my, my_on_result on_result, void *context, size_t index, struct error *ret_error)
{
    MYSQL_RES *rows = mysql_store_result(my->connection);
    int result = 0;

    if (rows == NULL && mysql_field_count(my->connection) != 0)
        return my_error(my, ret_error);
    if (on_result != NULL)
        result = on_result(my, context, index, rows, mysql_affected_rows(my->connection), ret_error);
    mysql_free_result(rows);
    return result;
}

int my_receive(struct my_store *my, my_on_result on_result, void *context, struct error *ret_error)
{
    int result = 0, next = 0;

    if (mysql_read_query_result(my->connection) != 0)
        return my_error(my, ret_error);
    for (size_t i = 0; result == 0 && next == 0; i++) {
        result = take_result(my, on_result, context, i, ret_error);
        if (result != 0)
            break;
        my_await(my);
        next = mysql_next_result(my->connection);
        if (next > 0)
            return my_error(my, ret_error);
    }
    if (result != 0)
        (void)drain(my);
    return result;
}

int my_script(struct my_store *my, const struct buffer *sql, my_on_result on_result, void *context, struct error *ret_error)
{
    int result = my_send(my, sql, ret_error);

    return result == 0 ? my_receive(my, on_result, context, ret_error) : result;
}

/* ---- Transactions ---- */

/* A session may be idle for long, as a topic may; one with an open transaction not, as its locks stand in others' way when its task
 * is frozen. Only MariaDB has a limit for that alone, so the session's own is lowered meanwhile, on both. */
#define BEGIN "SET SESSION wait_timeout = " MY_IDLE_IN_TRANSACTION "; START TRANSACTION"
#define AND_LET_IDLE "; SET SESSION wait_timeout = " MY_IDLE

enum { N_BEGIN = 2 }; /* statements of BEGIN */

static int take_opening(struct my_store *my, void *context, size_t index, MYSQL_RES *rows, uint64_t n_affected,
                        struct error *ret_error)
{
    const struct my_opening *opening = context;

    if (index < N_BEGIN || opening == NULL)
        return 0;
    return opening->on_result(my, NULL, index - N_BEGIN, rows, n_affected, ret_error);
}

static int open_transaction(struct my_store *my, const struct my_opening *opening, struct error *ret_error)
{
    buffer_clear(&my->sql);
    buffer_puts(&my->sql, BEGIN);
    if (opening != NULL)
        opening->print(my);
    return my_script(my, &my->sql, take_opening, (void *)(uintptr_t)opening, ret_error);
}

/* What cannot be rolled back ends with its connection. */
static void roll_back(struct my_store *my)
{
    if (my->connection == NULL)
        return;
    my_await(my);
    store_count_round_trip(&my->store);
    if (mysql_query(my->connection, "ROLLBACK" AND_LET_IDLE) != 0 || drain(my) != 0)
        my_disconnect(my);
}

/* Whatever the server says to COMMIT but yes: it may have been done when the answer was lost, and has not when it refuses. */
static int commit(struct my_store *my, struct error *ret_error)
{
    int result;

    if ((my->connection->server_status & SERVER_STATUS_IN_TRANS) == 0) {
        my_disconnect(my);
        return error_set(ret_error, ERROR_UNKNOWN,
                         "the transaction had ended before COMMIT (does something in the database commit?)");
    }
    result = run(my, "COMMIT" AND_LET_IDLE, strlen("COMMIT" AND_LET_IDLE), ret_error);
    if (result == 0) {
        if (drain(my) != 0) /* it is done all the same */
            my_disconnect(my);
        return 0;
    }
    if (my->connection != NULL && result == ERROR_TRANSIENT) {
        roll_back(my);
        return result;
    }
    my_disconnect(my);
    if (ret_error != NULL)
        ret_error->class = ERROR_UNKNOWN;
    return ERROR_UNKNOWN;
}

int my_transaction(struct my_store *my, const struct my_opening *opening, my_job work, struct error *ret_error)
{
    int result = open_transaction(my, opening, ret_error);

    if (result == 0)
        result = work(my, ret_error);
    if (result == 0)
        return commit(my, ret_error);
    roll_back(my);
    return result;
}

int my_alone(struct my_store *my, my_job work, struct error *ret_error)
{
    int64_t seconds = (my->store.settings.lock_timeout_us + 999999) / 1000000, is_mine = 0;
    char sql[160];
    int result;

    snprintf(sql, sizeof sql, "SELECT GET_LOCK(CONCAT('readside:', LEFT(SHA2(DATABASE(), 256), 32)), %lld)",
             (long long)(seconds < 1 ? 1 : seconds));
    result = my_query_number(my, sql, &is_mine, ret_error);
    if (result == 0 && is_mine != 1)
        return error_set(ret_error, ERROR_TRANSIENT, "another task or command is making or dropping tables of this database");
    if (result != 0)
        return result;
    result = work(my, ret_error);
    if (my->connection != NULL &&
        my_execute(my, "DO RELEASE_LOCK(CONCAT('readside:', LEFT(SHA2(DATABASE(), 256), 32)))", NULL) != 0)
        my_disconnect(my);
    return result;
}
