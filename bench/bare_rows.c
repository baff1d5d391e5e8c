/*
 * bare_rows - the limit to compare rows_bench with: the same rows into a MySQL or MariaDB server by its client library alone.
 *
 *     bare_rows array|prepared|text HOST PORT DATABASE [ROWS [ROWS_A_BATCH [ROWS_A_STATEMENT]]]
 *
 * array: array binding (MariaDB, with its own client library). prepared: a statement of many rows, prepared once. text: the same as
 * text. A table of its own without a partition, no positions, no checks; BEGIN and COMMIT around each batch. The user is
 * STORE_USER's, the password STORE_PASSWORD's. What goes into a statement is laid out before the clock runs. Prints one line of
 * JSON, in rows per second.
 */

#include "accounts.h"
#include "meter.h"

#include <mysql.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_COLUMNS = 6, ROW_SIZE = 160 };

static MYSQL *connection;

static _Noreturn void fail(const char *words)
{
    die("%s", words);
}

static void run(const char *sql, size_t size)
{
    if (mysql_real_query(connection, sql, size) != 0)
        fail(mysql_error(connection));
}

static void run_text(const char *sql)
{
    run(sql, strlen(sql));
}

static bool is_mariadb(void)
{
    return strstr(mysql_get_server_info(connection), "MariaDB") != NULL;
}

static const char head[] = "INSERT INTO bare (account, owner, balance, events, opened_at, updated_at) VALUES ";

static const char *tail(void)
{
    return is_mariadb()
               ? " ON DUPLICATE KEY UPDATE owner = VALUES(owner), balance = bare.balance + VALUES(balance), events = bare.events + "
                 "VALUES(events), opened_at = VALUES(opened_at), updated_at = VALUES(updated_at)"
               : " AS new ON DUPLICATE KEY UPDATE owner = new.owner, balance = bare.balance + new.balance, events = bare.events "
                 "+ new.events, opened_at = new.opened_at, updated_at = new.updated_at";
}

static MYSQL_STMT *prepare(unsigned n_rows)
{
    char *sql = malloc(sizeof head + strlen(tail()) + n_rows * 24);
    MYSQL_STMT *statement = mysql_stmt_init(connection);

    if (sql == NULL || statement == NULL)
        die("out of memory");
    strcpy(sql, head);
    for (unsigned i = 0; i < n_rows; i++)
        strcat(sql, i == 0 ? "(?,?,?,?,?,?)" : ",(?,?,?,?,?,?)");
    strcat(sql, tail());
    if (mysql_stmt_prepare(statement, sql, strlen(sql)) != 0)
        fail(mysql_stmt_error(statement));
    free(sql);
    return statement;
}

/* ---- The three ways: n rows, one statement ---- */

static void by_text(const struct account *accounts, unsigned n)
{
    char *sql = malloc(sizeof head + strlen(tail()) + (size_t)n * ROW_SIZE), *at = sql;

    if (sql == NULL)
        die("out of memory");
    at = stpcpy(at, head);
    for (unsigned i = 0; i < n; i++)
        at += sprintf(at, "%s('%s','" ACCOUNT_OWNER "',%s,%lld,'%s','%s')", i == 0 ? "" : ",", accounts[i].key, accounts[i].balance,
                      (long long)accounts[i].events, accounts[i].at, accounts[i].at);
    at = stpcpy(at, tail());
    run(sql, (size_t)(at - sql));
    free(sql);
}

static void bind_text(MYSQL_BIND *bind, const char *text, unsigned long *size)
{
    *size = strlen(text);
    *bind =
        (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING, .buffer = (void *)(uintptr_t)text, .buffer_length = *size, .length = size};
}

static void by_prepared(MYSQL_STMT *statement, const struct account *accounts, unsigned n)
{
    MYSQL_BIND *binds = calloc((size_t)n * N_COLUMNS, sizeof *binds);
    unsigned long *sizes = calloc((size_t)n * N_COLUMNS, sizeof *sizes);

    if (binds == NULL || sizes == NULL)
        die("out of memory");
    for (unsigned i = 0; i < n; i++) {
        MYSQL_BIND *bind = binds + i * N_COLUMNS;
        unsigned long *size = sizes + i * N_COLUMNS;

        bind_text(&bind[0], accounts[i].key, &size[0]);
        bind_text(&bind[1], ACCOUNT_OWNER, &size[1]);
        bind_text(&bind[2], accounts[i].balance, &size[2]);
        bind[3] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = (void *)(uintptr_t)&accounts[i].events};
        bind_text(&bind[4], accounts[i].at, &size[4]);
        bind_text(&bind[5], accounts[i].at, &size[5]);
    }
    if (mysql_stmt_bind_param(statement, binds) != 0 || mysql_stmt_execute(statement) != 0)
        fail(mysql_stmt_error(statement));
    free(binds);
    free(sizes);
}

static void by_array(MYSQL_STMT *statement, const struct account *accounts, unsigned n)
{
#ifdef MYSQL_CLIENT_MARIADB
    const char **data = calloc((size_t)n * N_COLUMNS, sizeof *data);
    unsigned long *sizes = calloc((size_t)n * N_COLUMNS, sizeof *sizes);
    long long *events = calloc(n, sizeof *events);
    MYSQL_BIND binds[N_COLUMNS] = {0};

    if (data == NULL || sizes == NULL || events == NULL)
        die("out of memory");
    for (unsigned i = 0; i < n; i++) {
        const char *texts[N_COLUMNS] = {accounts[i].key, ACCOUNT_OWNER, accounts[i].balance, "", accounts[i].at, accounts[i].at};

        for (unsigned c = 0; c < N_COLUMNS; c++) {
            data[c * n + i] = texts[c];
            sizes[c * n + i] = strlen(texts[c]);
        }
        events[i] = accounts[i].events;
    }
    for (unsigned c = 0; c < N_COLUMNS; c++)
        binds[c] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING, .buffer = data + c * n, .length = sizes + c * n};
    binds[3] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = events};
    if (mysql_stmt_attr_set(statement, STMT_ATTR_ARRAY_SIZE, &n) != 0 || mysql_stmt_bind_param(statement, binds) != 0 ||
        mysql_stmt_execute(statement) != 0)
        fail(mysql_stmt_error(statement));
    free(data);
    free(sizes);
    free(events);
#else
    (void)statement, (void)accounts, (void)n;
    die("libmysqlclient binds no arrays");
#endif
}

/* ---- The whole ---- */

struct writer {
    const char *way;
    MYSQL_STMT *statement; /* of n_statement rows; NULL: text */
    uint32_t n_statement;
};

static void write_batch(void *context, const struct account *accounts, uint32_t n_batch)
{
    struct writer *writer = context;

    run_text("START TRANSACTION");
    for (uint32_t i = 0, n; i < n_batch; i += n) {
        n = n_batch - i < writer->n_statement ? n_batch - i : writer->n_statement;
        if (strcmp(writer->way, "array") == 0)
            by_array(writer->statement, accounts + i, n);
        else if (writer->statement != NULL && n == writer->n_statement)
            by_prepared(writer->statement, accounts + i, n);
        else
            by_text(accounts + i, n);
    }
    run_text("COMMIT");
}

static void connect_to(char **argv)
{
    connection = mysql_init(NULL);
    if (connection == NULL || mysql_options(connection, MYSQL_SET_CHARSET_NAME, "utf8mb4") != 0 ||
        mysql_real_connect(connection, argv[2], getenv("STORE_USER"), getenv("STORE_PASSWORD"), argv[4],
                           (unsigned)meter_count(argv[3], 0), NULL, 0) == NULL)
        fail(connection == NULL ? "out of memory" : mysql_error(connection));
    run_text("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    run_text("DROP TABLE IF EXISTS bare");
    run_text(
        "CREATE TABLE bare (account VARCHAR(120) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY, owner LONGTEXT NOT NULL, "
        "balance DECIMAL(20, 2) NOT NULL, events BIGINT NOT NULL, opened_at DATETIME(6), updated_at DATETIME(6)) ENGINE = InnoDB");
}

int main(int argc, char **argv)
{
    struct writer writer = {.way = argc > 1 ? argv[1] : ""};
    bool is_array = strcmp(writer.way, "array") == 0, is_text = strcmp(writer.way, "text") == 0;
    struct accounts_run run = {.write = write_batch, .context = &writer};
    double inserted, updated;

    if (argc < 5 || argc > 8 || (!is_array && !is_text && strcmp(writer.way, "prepared") != 0)) {
        fprintf(stderr, "usage: bare_rows array|prepared|text HOST PORT DATABASE [ROWS [ROWS_A_BATCH [ROWS_A_STATEMENT]]]\n");
        return 2;
    }
    run.n_rows = (uint32_t)meter_count(argc > 5 ? argv[5] : NULL, ACCOUNTS_ROWS);
    run.n_batch = (uint32_t)meter_count(argc > 6 ? argv[6] : NULL, ACCOUNTS_BATCH);
    writer.n_statement = (uint32_t)meter_count(argc > 7 ? argv[7] : NULL, 512);
    connect_to(argv);
    writer.statement = is_text ? NULL : prepare(is_array ? 1 : writer.n_statement);
    inserted = accounts_write_all(&run);
    updated = accounts_write_all(&run);
    printf("{\"rows\": %u, \"new\": %.0f, \"known\": %.0f}\n", (unsigned)run.n_rows, inserted, updated);
    if (writer.statement != NULL)
        mysql_stmt_close(writer.statement);
    mysql_close(connection);
    return 0;
}
