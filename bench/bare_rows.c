/*
 * bare_rows - the limit to compare rows_bench with: the same rows into a MySQL or MariaDB server by its client library alone.
 *
 *     bare_rows WAY HOST PORT DATABASE [ROWS [ROWS_A_BATCH [ROWS_A_STATEMENT]]]
 *
 * All rows new, then all of them once more. A table of its own, no positions; a transaction a batch, which its first statement begins
 * (autocommit is off), so that no round trip does.
 *
 *     array-partition  array binding (MariaDB, by its own client library), with the partition and its check: what Readside sends there
 *     array            the same without the partition
 *     prepared         a statement of many rows, prepared once
 *     text             a statement of many rows, printed while the server works on the one before: what Readside sends to MySQL, without
 *                      its partition
 *
 * Laying out what a statement takes counts, making the rows does not. The user is STORE_USER's, the password STORE_PASSWORD's.
 * Prints one line of JSON, in rows per second.
 */
#include "accounts.h"
#include "meter.h"

#include "base/buffer.h"
#include "base/text.h"

#include <mysql.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAMES "account, balance, events, updated_at"
#define HEAD "INSERT INTO bare (" NAMES ") VALUES "
#define HEAD_PARTITION "INSERT INTO bare (" NAMES ", readside_partition) VALUES "
#define CHECK_PARTITION ", readside_partition = IF(bare.readside_partition = VALUES(readside_partition), VALUES(readside_partition), NULL)"

enum { MOST_COLUMNS = N_ACCOUNTS_WRITTEN + 1 }; /* the partition is the last */

struct writer;

struct way {
    const char *name;
    void (*write)(struct writer *writer, const struct account *accounts, uint32_t n); /* one statement */
    uint32_t n_statement; /* rows of a statement, unless told otherwise: what the driver sends */
    bool is_array, is_text, has_partition;
};

struct writer {
    const struct way *way;
    MYSQL *connection;
    MYSQL_STMT *statement; /* NULL: text */
    uint32_t n_statement;
    /* What a statement binds: of each row, or of each column one after the other. */
    MYSQL_BIND *binds;
    const void **data;
    unsigned long *sizes;
    long long *events;
    MYSQL_TIME *times;
    int *partitions;
    /* Text: what is printed, and what the server works on. */
    struct buffer sql, sent;
    bool is_under_way;
};

static _Noreturn void fail(const struct writer *writer)
{
    const char *words = writer->statement == NULL ? "" : mysql_stmt_error(writer->statement);

    die("%s", *words != '\0' ? words : mysql_error(writer->connection));
}

static void run_sql(const struct writer *writer, const char *sql)
{
    if (mysql_real_query(writer->connection, sql, strlen(sql)) != 0)
        fail(writer);
}

static void *allocate(size_t n, size_t size)
{
    void *items = calloc(n, size);

    if (items == NULL)
        die("out of memory");
    return items;
}

static const char *tail(const struct writer *writer)
{
    return strstr(mysql_get_server_info(writer->connection), "MariaDB") != NULL
               ? " ON DUPLICATE KEY UPDATE balance = bare.balance + VALUES(balance), events = bare.events + VALUES(events), "
                 "updated_at = VALUES(updated_at)"
               : " AS new ON DUPLICATE KEY UPDATE balance = bare.balance + new.balance, events = bare.events + new.events, "
                 "updated_at = new.updated_at";
}

/* ---- Prepared statements ---- */

static void prepare(struct writer *writer, uint32_t n_rows)
{
    struct buffer sql = BUFFER_INIT;

    buffer_puts(&sql, writer->way->has_partition ? HEAD_PARTITION "(?,?,?,?,?)" : HEAD "(?,?,?,?)");
    for (uint32_t i = 1; i < n_rows; i++)
        buffer_puts(&sql, ",(?,?,?,?)");
    buffer_puts(&sql, tail(writer));
    if (writer->way->has_partition)
        buffer_puts(&sql, CHECK_PARTITION);
    writer->statement = mysql_stmt_init(writer->connection);
    if (buffer_failed(&sql) || writer->statement == NULL)
        die("out of memory");
    if (mysql_stmt_prepare(writer->statement, sql.data, sql.size) != 0)
        fail(writer);
    buffer_free(&sql);
}

/* The columns as accounts_written has them. */
enum { KEY, BALANCE, EVENTS, AT };

static void bind_column(MYSQL_BIND *bind, uint32_t column, const void *data, unsigned long *sizes)
{
    static const enum enum_field_types types[N_ACCOUNTS_WRITTEN] = {
        [KEY] = MYSQL_TYPE_STRING, [BALANCE] = MYSQL_TYPE_STRING, [EVENTS] = MYSQL_TYPE_LONGLONG, [AT] = MYSQL_TYPE_DATETIME};

    *bind = (MYSQL_BIND){.buffer_type = types[column], .buffer = (void *)(uintptr_t)data, .length = sizes};
}

static void put_time(MYSQL_TIME *ret_time, int64_t at_us)
{
    time_t second = (time_t)(at_us / 1000000);
    struct tm when;

    gmtime_r(&second, &when);
    *ret_time = (MYSQL_TIME){.year = (unsigned)when.tm_year + 1900,
                             .month = (unsigned)when.tm_mon + 1,
                             .day = (unsigned)when.tm_mday,
                             .hour = (unsigned)when.tm_hour,
                             .minute = (unsigned)when.tm_min,
                             .second = (unsigned)when.tm_sec,
                             .second_part = (unsigned long)(at_us % 1000000),
                             .time_type = MYSQL_TIMESTAMP_DATETIME};
}

/* Of one row: at[column * step]. */
static void lay_out(struct writer *writer, const struct account *account, size_t row, size_t first, size_t step)
{
    const char *texts[] = {[KEY] = account->key, [BALANCE] = account->balance};

    for (uint32_t c = KEY; c <= BALANCE; c++) {
        writer->data[first + c * step] = texts[c];
        writer->sizes[first + c * step] = strlen(texts[c]);
    }
    writer->events[row] = account->events;
    put_time(&writer->times[row], account->at_us);
    writer->data[first + EVENTS * step] = &writer->events[row];
    writer->data[first + AT * step] = &writer->times[row];
}

static void by_prepared(struct writer *writer, const struct account *accounts, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        size_t first = (size_t)i * N_ACCOUNTS_WRITTEN;

        lay_out(writer, &accounts[i], i, first, 1);
        for (uint32_t c = 0; c < N_ACCOUNTS_WRITTEN; c++)
            bind_column(&writer->binds[first + c], c, writer->data[first + c], &writer->sizes[first + c]);
    }
    if (mysql_stmt_bind_param(writer->statement, writer->binds) != 0 || mysql_stmt_execute(writer->statement) != 0)
        fail(writer);
}

static void by_array(struct writer *writer, const struct account *accounts, uint32_t n)
{
#ifdef MYSQL_CLIENT_MARIADB
    unsigned size = n;

    for (uint32_t i = 0; i < n; i++)
        lay_out(writer, &accounts[i], i, i, n);
    for (uint32_t c = 0; c < N_ACCOUNTS_WRITTEN; c++)
        bind_column(&writer->binds[c], c, writer->data + (size_t)c * n, writer->sizes + (size_t)c * n);
    writer->binds[EVENTS].buffer = writer->events; /* numbers lie in the array itself */
    if (writer->way->has_partition) {
        for (uint32_t i = 0; i < n; i++)
            writer->partitions[i] = accounts[i].partition;
        writer->binds[N_ACCOUNTS_WRITTEN] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_LONG, .buffer = writer->partitions};
    }
    if (mysql_stmt_attr_set(writer->statement, STMT_ATTR_ARRAY_SIZE, &size) != 0 ||
        mysql_stmt_bind_param(writer->statement, writer->binds) != 0 || mysql_stmt_execute(writer->statement) != 0)
        fail(writer);
#else
    (void)writer, (void)accounts, (void)n;
    die("libmysqlclient binds no arrays");
#endif
}

/* ---- Text ---- */

static void settle(struct writer *writer)
{
    if (writer->is_under_way && mysql_read_query_result(writer->connection) != 0)
        fail(writer);
    writer->is_under_way = false;
}

static void by_text(struct writer *writer, const struct account *accounts, uint32_t n)
{
    struct buffer printed;

    buffer_clear(&writer->sql);
    buffer_puts(&writer->sql, HEAD);
    for (uint32_t i = 0; i < n; i++)
        buffer_printf(&writer->sql, "%s('%s',%s,%lld,'%s')", i == 0 ? "" : ",", accounts[i].key, accounts[i].balance,
                      (long long)accounts[i].events, accounts[i].at);
    buffer_puts(&writer->sql, tail(writer));
    if (buffer_failed(&writer->sql))
        die("out of memory");
    settle(writer);
    printed = writer->sql;
    writer->sql = writer->sent;
    writer->sent = printed;
    if (mysql_send_query(writer->connection, printed.data, printed.size) != 0)
        fail(writer);
    writer->is_under_way = true;
}

static const struct way ways[] = {
    {"array-partition", by_array, .n_statement = 8192, .is_array = true, .has_partition = true},
    {"array", by_array, .n_statement = 8192, .is_array = true},
    {"prepared", by_prepared, .n_statement = 512},
    {"text", by_text, .n_statement = 512, .is_text = true},
};

enum { N_WAYS = sizeof ways / sizeof ways[0] };

/* ---- The whole ---- */

/* What is left for a statement that was prepared for more rows goes as text. */
static void write_batch(void *context, const struct account *accounts, uint32_t n_batch)
{
    struct writer *writer = context;

    for (uint32_t i = 0, n; i < n_batch; i += n) {
        n = n_batch - i < writer->n_statement ? n_batch - i : writer->n_statement;
        if (n < writer->n_statement && !writer->way->is_array)
            by_text(writer, accounts + i, n);
        else
            writer->way->write(writer, accounts + i, n);
    }
    settle(writer);
    run_sql(writer, "COMMIT");
}

static void connect_to(struct writer *writer, char **argv)
{
    writer->connection = mysql_init(NULL);
    if (writer->connection == NULL)
        die("out of memory");
    if (mysql_options(writer->connection, MYSQL_SET_CHARSET_NAME, "utf8mb4") != 0 ||
        mysql_real_connect(writer->connection, argv[2], getenv("STORE_USER"), getenv("STORE_PASSWORD"), argv[4],
                           meter_count(argv[3], 0), NULL, 0) == NULL)
        fail(writer);
    run_sql(writer, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    run_sql(writer, "SET SESSION autocommit = 0");
    run_sql(writer, "DROP TABLE IF EXISTS bare");
    run_sql(writer, "CREATE TABLE bare (account VARCHAR(120) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY, owner LONGTEXT "
                    "NOT NULL DEFAULT (''), balance DECIMAL(20, 2) NOT NULL, events BIGINT NOT NULL, opened_at DATETIME(6), "
                    "updated_at DATETIME(6)) ENGINE = InnoDB");
    if (writer->way->has_partition)
        run_sql(writer, "ALTER TABLE bare ADD readside_partition INT NOT NULL");
}

static void set_up(struct writer *writer)
{
    size_t n = writer->n_statement;

    writer->binds = allocate(n * MOST_COLUMNS, sizeof *writer->binds);
    writer->data = allocate(n * N_ACCOUNTS_WRITTEN, sizeof *writer->data);
    writer->sizes = allocate(n * N_ACCOUNTS_WRITTEN, sizeof *writer->sizes);
    writer->events = allocate(n, sizeof *writer->events);
    writer->times = allocate(n, sizeof *writer->times);
    writer->partitions = allocate(n, sizeof *writer->partitions);
    if (!writer->way->is_text)
        prepare(writer, writer->way->is_array ? 1 : writer->n_statement);
}

static void tear_down(struct writer *writer)
{
    if (writer->statement != NULL)
        mysql_stmt_close(writer->statement);
    mysql_close(writer->connection);
    buffer_free(&writer->sql);
    buffer_free(&writer->sent);
    free(writer->binds);
    free(writer->data);
    free(writer->sizes);
    free(writer->events);
    free(writer->times);
    free(writer->partitions);
}

static int64_t ask(const struct writer *writer, const char *sql)
{
    MYSQL_RES *rows;
    MYSQL_ROW row;
    int64_t value;

    run_sql(writer, sql);
    rows = mysql_store_result(writer->connection);
    row = rows == NULL ? NULL : mysql_fetch_row(rows);
    if (row == NULL || row[0] == NULL || !text_read_int(row[0], strlen(row[0]), &value))
        die("%s: no number", sql);
    mysql_free_result(rows);
    return value;
}

static int usage(void)
{
    fprintf(stderr, "usage: bare_rows WAY HOST PORT DATABASE [ROWS [ROWS_A_BATCH [ROWS_A_STATEMENT]]]\nways:");
    for (size_t i = 0; i < N_WAYS; i++)
        fprintf(stderr, " %s", ways[i].name);
    fprintf(stderr, "\n");
    return 2;
}

static const struct way *find_way(const char *name)
{
    for (size_t i = 0; i < N_WAYS; i++)
        if (strcmp(ways[i].name, name) == 0)
            return &ways[i];
    return NULL;
}

int main(int argc, char **argv)
{
    struct writer writer = {.way = argc > 1 ? find_way(argv[1]) : NULL};
    struct accounts_run run = {.write = write_batch, .context = &writer};
    double new, known;

    if (argc < 5 || argc > 8 || writer.way == NULL)
        return usage();
    run.n_rows = meter_count(argc > 5 ? argv[5] : NULL, ACCOUNTS_ROWS);
    run.n_batch = meter_count(argc > 6 ? argv[6] : NULL, ACCOUNTS_BATCH);
    writer.n_statement = meter_count(argc > 7 ? argv[7] : NULL, writer.way->n_statement);
    connect_to(&writer, argv);
    set_up(&writer);
    new = accounts_write_all(&run);
    known = accounts_write_all(&run);
    accounts_check(&run, ask(&writer, "SELECT COUNT(*) FROM bare"), ask(&writer, "SELECT SUM(events) FROM bare"), 2);
    run_sql(&writer, "DROP TABLE bare");
    accounts_print(&run, writer.way->name, new, known);
    tear_down(&writer);
    return 0;
}
