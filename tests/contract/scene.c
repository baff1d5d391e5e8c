/*
 * scene - see scene.h.
 */
#include "scene.h"

#ifdef HAVE_MYSQL
#include <mysql.h>
#endif
#ifdef HAVE_POSTGRESQL
#include <libpq-fe.h>
#endif
#include <sqlite3.h>
#include <time.h>
#include <unistd.h>

#define SETS(...) {.operation = CELL_SET, __VA_ARGS__}
#define NOTHING SETS(.is_null = true)
#define KEY .is_key = true, .is_not_null = true

static const struct column account_columns[N_ACCOUNT_COLUMNS] = {
    {.name = "account", .type = RS_TEXT, KEY},
    {.name = "owner", .type = RS_TEXT, .is_not_null = true, .fallback = SETS(.as.data = "O'Hara;\n\\", .size = 9)},
    {.name = "balance", .type = RS_DECIMAL, .precision = 20, .scale = 2, .is_not_null = true, .fallback = SETS(.as.decimal = 0)},
    {.name = "events", .type = RS_INT, .fallback = NOTHING},
    {.name = "seen", .type = RS_TIMESTAMP, .fallback = NOTHING},
    {.name = "day", .type = RS_DATE, .fallback = SETS(.as.integer = -1)},
    {.name = "id", .type = RS_UUID, .fallback = NOTHING},
    {.name = "flag", .type = RS_BOOL, .fallback = SETS(.as.integer = 1)},
    {.name = "ratio", .type = RS_REAL, .fallback = SETS(.as.real = -0.5)},
    {.name = "data", .type = RS_BYTES, .fallback = SETS(.as.data = "\x00\xff", .size = 2)},
    {.name = "doc", .type = RS_JSON, .fallback = SETS(.as.data = "{\"a\":[]}", .size = 8)},
    {.name = "high", .type = RS_TEXT, .fallback = NOTHING},
};

static const struct column place_columns[N_PLACE_COLUMNS] = {
    {.name = "id", .type = RS_INT, KEY},
    {.name = "day", .type = RS_DATE, KEY},
    {.name = "at", .type = RS_TIMESTAMP, KEY},
    {.name = "number", .type = RS_DECIMAL, .precision = 38, .scale = 10, KEY},
    {.name = "uuid", .type = RS_UUID, KEY},
    {.name = "bytes", .type = RS_BYTES, KEY},
    {.name = "flag", .type = RS_BOOL, KEY},
    {.name = "text", .type = RS_TEXT, KEY},
    {.name = "name", .type = RS_TEXT, .fallback = NOTHING},
};

static const struct column total_columns[N_TOTAL_COLUMNS] = {
    {.name = "day", .type = RS_DATE, KEY},
    {.name = "amount", .type = RS_DECIMAL, .operation = CELL_ADD, .precision = 38, .scale = 2, .fallback = NOTHING},
    {.name = "top", .type = RS_DECIMAL, .operation = CELL_MAX, .precision = 10, .scale = 2, .fallback = NOTHING},
    {.name = "least", .type = RS_DECIMAL, .operation = CELL_MIN, .precision = 10, .scale = 2, .fallback = NOTHING},
    {.name = "count", .type = RS_INT, .operation = CELL_ADD, .fallback = SETS(.as.integer = 0)},
    {.name = "last", .type = RS_TEXT, .operation = CELL_MAX, .fallback = NOTHING},
    {.name = "last_bytes", .type = RS_BYTES, .operation = CELL_MAX, .fallback = NOTHING},
    {.name = "last_uuid", .type = RS_UUID, .operation = CELL_MAX, .fallback = NOTHING},
    {.name = "first_at", .type = RS_TIMESTAMP, .operation = CELL_MIN, .fallback = NOTHING},
};

static const uint32_t by_owner[] = {OWNER, BALANCE};
static const struct index account_indexes[] = {{.name = "by_owner", .columns = by_owner, .n_columns = 2}};

const struct table scene_tables[N_TABLES] = {
    {.name = "accounts", .id = ACCOUNTS, .columns = account_columns, .n_columns = N_ACCOUNT_COLUMNS, .keys = {ACCOUNT}, .n_keys = 1,
     .indexes = account_indexes, .n_indexes = 1},
    {.name = "places", .id = PLACES, .columns = place_columns, .n_columns = N_PLACE_COLUMNS,
     .keys = {PLACE_TEXT, PLACE_ID, PLACE_DAY, PLACE_AT, PLACE_NUMBER, PLACE_UUID, PLACE_BYTES, PLACE_FLAG}, .n_keys = 8,
     .key_follows = true},
    {.name = "totals", .id = TOTALS, .is_shared = true, .columns = total_columns, .n_columns = N_TOTAL_COLUMNS, .keys = {TOTAL_DAY},
     .n_keys = 1},
};

/* ---- The eye ---- */

const char *scene_kind(void)
{
    const char *kind = getenv("STORE_KIND");

    return kind == NULL ? "sqlite" : kind;
}

bool scene_is_sqlite(void)
{
    return strcmp(scene_kind(), "sqlite") == 0;
}

bool scene_is_mysql(void)
{
    return strcmp(scene_kind(), "mysql") == 0;
}

const char *scene_server_uri(void)
{
    const char *uri = getenv("STORE_URI");

    return uri == NULL ? "" : uri;
}

int64_t scene_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static void show(struct scene *scene, const char *value)
{
    snprintf(scene->shown, sizeof scene->shown, "%s", value);
}

static void sqlite_look(struct scene *scene, const char *sql)
{
    sqlite3_stmt *statement;
    const char *tail = sql;

    show(scene, "(none)");
    while (*tail != '\0') {
        if (sqlite3_prepare_v2(scene->eye, tail, -1, &statement, &tail) != SQLITE_OK)
            fail_msg("%s: %s", sql, sqlite3_errmsg(scene->eye));
        if (sqlite3_step(statement) == SQLITE_ROW) {
            const char *value = (const char *)sqlite3_column_text(statement, 0);

            show(scene, value == NULL ? "(null)" : value);
        }
        if (sqlite3_finalize(statement) != SQLITE_OK)
            fail_msg("%s: %s", sql, sqlite3_errmsg(scene->eye));
    }
}

static void open_sqlite(struct scene *scene)
{
    sqlite3 *eye;

    assert_int_equal(sqlite3_open(scene->uri, &eye), SQLITE_OK);
    sqlite3_busy_timeout(eye, 5000);
    scene->eye = eye;
}

static void make_file(struct scene *scene)
{
    snprintf(scene->space, sizeof scene->space, "/tmp/readside-contract-XXXXXX");
    assert_non_null(mkdtemp(scene->space));
    snprintf(scene->uri, sizeof scene->uri, "%s/views.db", scene->space);
}

static void remove_file(const struct scene *scene)
{
    static const char *const ends[] = {"", "-wal", "-shm"};

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char path[600];

        snprintf(path, sizeof path, "%s%s", scene->uri, ends[i]);
        unlink(path);
    }
    rmdir(scene->space);
}

static void close_sqlite(struct scene *scene, bool is_last)
{
    sqlite3_close(scene->eye);
    if (is_last)
        remove_file(scene);
}

#ifdef HAVE_POSTGRESQL
static void postgres_look(struct scene *scene, const char *sql)
{
    PGresult *result = PQexec(scene->eye, sql);

    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(scene->eye));
    show(scene, PQntuples(result) == 0 ? "(none)" : PQgetisnull(result, 0, 0) ? "(null)" : PQgetvalue(result, 0, 0));
    PQclear(result);
}

static void ignore_notice(void *context, const char *message)
{
    (void)context, (void)message;
}

static void open_postgres(struct scene *scene)
{
    const char *keys[] = {"dbname", "password", NULL};
    const char *values[] = {scene->uri, getenv("STORE_PASSWORD"), NULL};
    PGconn *eye = PQconnectdbParams(keys, values, 1);

    if (PQstatus(eye) != CONNECTION_OK)
        fail_msg("%s: %s", scene->uri, PQerrorMessage(eye));
    PQsetNoticeProcessor(eye, ignore_notice, NULL);
    scene->eye = eye;
}

static void make_schema(struct scene *scene)
{
    static unsigned number;
    const char *server = scene_server_uri();
    char sql[200];

    snprintf(scene->space, sizeof scene->space, "contract_%d_%u", (int)getpid(), number++);
    snprintf(scene->uri, sizeof scene->uri, "%s%coptions=-csearch_path%%3D%s", server, strchr(server, '?') == NULL ? '?' : '&',
             scene->space);
    open_postgres(scene);
    snprintf(sql, sizeof sql, "CREATE SCHEMA %s", scene->space);
    scene_execute(scene, sql);
}

static void close_postgres(struct scene *scene, bool is_last)
{
    char sql[200];

    snprintf(sql, sizeof sql, "ROLLBACK; DROP SCHEMA %s CASCADE", scene->space);
    if (is_last && scene->eye != NULL)
        PQclear(PQexec(scene->eye, sql));
    PQfinish(scene->eye);
}
#else
static void postgres_look(struct scene *scene, const char *sql)
{
    (void)scene, (void)sql;
}
static void open_postgres(struct scene *scene)
{
    (void)scene;
}
static void make_schema(struct scene *scene)
{
    (void)scene;
    fail_msg("built without PostgreSQL");
}
static void close_postgres(struct scene *scene, bool is_last)
{
    (void)scene, (void)is_last;
}
#endif

#ifdef HAVE_MYSQL
/* The last statement's first value. */
static void mysql_look(struct scene *scene, const char *sql)
{
    int next = mysql_query(scene->eye, sql);

    show(scene, "(none)");
    while (next == 0) {
        MYSQL_RES *rows = mysql_store_result(scene->eye);
        MYSQL_ROW row = rows == NULL ? NULL : mysql_fetch_row(rows);

        if (row != NULL)
            show(scene, row[0] == NULL ? "(null)" : row[0]);
        mysql_free_result(rows);
        next = mysql_next_result(scene->eye);
    }
    if (next > 0)
        fail_msg("%s: %s", sql, mysql_error(scene->eye));
}

/* mysql://user@127.0.0.1:port/database, as the harness gives it; parameters are the driver's. */
static void open_mysql(struct scene *scene)
{
    char user[64] = "", host[64] = "", database[128] = "";
    unsigned port = 0;
    MYSQL *eye = mysql_init(NULL);

    assert_int_equal(sscanf(scene->uri, "mysql://%63[^@]@%63[^:]:%u/%127[^?]", user, host, &port, database), 4);
    if (mysql_real_connect(eye, host, user, getenv("STORE_PASSWORD"), NULL, port, NULL, CLIENT_MULTI_STATEMENTS) == NULL)
        fail_msg("%s: %s", scene->uri, mysql_error(eye));
    scene->eye = eye;
    scene_execute(scene, "SET NAMES utf8mb4; SET sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES', time_zone = '+00:00', autocommit = 1, "
                         "completion_type = 0, sql_safe_updates = 0, sql_big_selects = 1; SET SESSION TRANSACTION READ WRITE");
    if (mysql_select_db(eye, database) != 0 && strcmp(database, scene->space) != 0)
        fail_msg("%s: %s", scene->uri, mysql_error(eye));
}

static void make_database(struct scene *scene)
{
    static unsigned number;
    const char *server = scene_server_uri(), *database = strchr(strchr(server, '@'), '/') + 1;
    int size = (int)strcspn(database, "?");
    char sql[200];

    snprintf(scene->space, sizeof scene->space, "%.*s_%d_%u", size < 47 ? size : 47, database, (int)getpid(), number++);
    snprintf(scene->uri, sizeof scene->uri, "%.*s%s%s", (int)(database - server), server, scene->space, database + size);
    open_mysql(scene);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s; USE %s", scene->space, scene->space);
    scene_execute(scene, sql);
}

static void close_mysql(struct scene *scene, bool is_last)
{
    char sql[200];

    snprintf(sql, sizeof sql, "DROP DATABASE %s", scene->space);
    if (scene->eye == NULL)
        return;
    if (is_last && mysql_rollback(scene->eye) == 0)
        (void)mysql_query(scene->eye, sql);
    mysql_close(scene->eye);
}
#else
static void mysql_look(struct scene *scene, const char *sql)
{
    (void)scene, (void)sql;
}
static void open_mysql(struct scene *scene)
{
    (void)scene;
}
static void make_database(struct scene *scene)
{
    (void)scene;
    fail_msg("built without MySQL");
}
static void close_mysql(struct scene *scene, bool is_last)
{
    (void)scene, (void)is_last;
}
#endif

/* ---- Which one ---- */

static const struct eye {
    const char *kind;
    void (*make)(struct scene *scene);
    void (*open)(struct scene *scene);
    void (*look)(struct scene *scene, const char *sql);
    void (*close)(struct scene *scene, bool is_last);
} eyes[] = {
    {"sqlite", make_file, open_sqlite, sqlite_look, close_sqlite},
    {"postgresql", make_schema, open_postgres, postgres_look, close_postgres},
    {"mysql", make_database, open_mysql, mysql_look, close_mysql},
};

static const struct eye *eye_of_kind(void)
{
    for (size_t i = 0; i < sizeof eyes / sizeof eyes[0]; i++)
        if (strcmp(eyes[i].kind, scene_kind()) == 0)
            return &eyes[i];
    fail_msg("STORE_KIND=%s is none that is known here", scene_kind());
    return NULL;
}

const char *scene_in(const char *sqlite, const char *postgres, const char *mysql)
{
    return scene_is_sqlite() ? sqlite : scene_is_mysql() ? mysql : postgres;
}

const char *scene_look(struct scene *scene, const char *sql)
{
    if (scene->eye == NULL)
        eye_of_kind()->open(scene);
    eye_of_kind()->look(scene, sql);
    return scene->shown;
}

void scene_execute(struct scene *scene, const char *sql)
{
    (void)scene_look(scene, sql);
}

/* ---- Life ---- */

int scene_open(struct scene *scene)
{
    scene->store = store_close(scene->store);
    return store_open(&scene->settings, &scene->scope, &scene->store, &scene->error);
}

static void begin_batch(struct scene *scene)
{
    scene->batch = batch_new(scene_tables, N_TABLES, &(struct batch_limits){.max_rows = 1000000, .max_bytes = 1 << 30}, 7);
    assert_non_null(scene->batch);
    batch_reset(scene->batch, NULL, NULL);
    batch_begin(scene->batch, "events", 0, 0);
}

struct scene *scene_new(void)
{
    struct scene *scene = calloc(1, sizeof *scene);

    assert_non_null(scene);
    eye_of_kind()->make(scene);
    scene->settings = (struct store_settings){.kind = scene_kind(), .uri = scene->uri,
                                              .password = getenv("STORE_PASSWORD"), .connect_timeout_us = 5000000,
                                              .lock_timeout_us = 2000000, .statement_timeout_us = 30000000};
    scene->scope = (struct store_scope){.pipeline = "bank", .version = 1, .plugin = "bank", .revision = 3, .tables = scene_tables,
                                        .n_tables = N_TABLES, .owner = {1, 2, 3, 4}, .worker = "test"};
    begin_batch(scene);
    OK(scene, scene_open(scene));
    return scene;
}

struct scene *scene_beside(const struct scene *scene, uint8_t owner)
{
    struct scene *other = calloc(1, sizeof *other);

    assert_non_null(other);
    snprintf(other->uri, sizeof other->uri, "%s", scene->uri);
    snprintf(other->space, sizeof other->space, "%s", scene->space);
    other->settings = scene->settings;
    other->settings.uri = other->uri;
    other->scope = scene->scope;
    other->scope.owner[0] = owner;
    begin_batch(other);
    OK(other, scene_open(other));
    OK(other, scene_connect(other));
    return other;
}

static void close_scene(struct scene *scene, bool is_last)
{
    store_close(scene->store);
    batch_free(scene->batch);
    eye_of_kind()->close(scene, is_last);
    free(scene);
}

void scene_close(struct scene *scene)
{
    close_scene(scene, false);
}

void scene_free(struct scene *scene)
{
    close_scene(scene, true);
}

struct scene *scene_ready(void)
{
    struct scene *scene = scene_new();

    OK(scene, scene_connect(scene));
    OK(scene, store_create_schema(scene->store, &scene->error));
    OK(scene, scene_insert_all(scene));
    OK(scene, scene_claim(scene));
    for (size_t i = 0; i < N_PARTITIONS; i++)
        assert_false(scene->positions[i].is_missing);
    return scene;
}

/* ---- Operations ---- */

int scene_finish(struct scene *scene)
{
    return store_finish(scene->store, &scene->error);
}

int scene_connect(struct scene *scene)
{
    int result = store_start_connect(scene->store, &scene->error);

    return result != 0 ? result : scene_finish(scene);
}

int scene_insert(struct scene *scene, const struct store_start *starts, size_t n, bool is_first)
{
    struct store_start *given = malloc(n * sizeof *given); /* gone before the operation runs */
    int result;

    assert_non_null(given);
    memcpy(given, starts, n * sizeof *given);
    result = store_start_insert(scene->store, given, n, is_first, &scene->error);
    free(given);
    return result != 0 ? result : scene_finish(scene);
}

int scene_insert_all(struct scene *scene)
{
    struct store_start starts[N_PARTITIONS];

    for (int32_t i = 0; i < N_PARTITIONS; i++)
        starts[i] = (struct store_start){.topic = "events", .partition = i, .cluster_id = "cluster", .topic_id = {9},
                                         .next_offset = 100 * i};
    return scene_insert(scene, starts, N_PARTITIONS, true);
}

/* In no order, so that the driver has to find its own. */
static void name_positions(struct scene *scene)
{
    static const int32_t order[N_PARTITIONS] = {0, 3, 1, 2};

    for (size_t i = 0; i < N_PARTITIONS; i++)
        scene->positions[i] = (struct store_position){.topic = "events", .partition = order[i]};
}

int scene_claim(struct scene *scene)
{
    int result;

    name_positions(scene);
    result = store_start_claim(scene->store, scene->positions, N_PARTITIONS, &scene->error);
    return result != 0 ? result : scene_finish(scene);
}

int scene_resolve(struct scene *scene)
{
    int result;

    name_positions(scene);
    result = store_start_resolve(scene->store, scene->positions, N_PARTITIONS, &scene->error);
    return result != 0 ? result : scene_finish(scene);
}

int scene_release(struct scene *scene)
{
    int result = store_start_release(scene->store, scene->positions, N_PARTITIONS, &scene->error);

    return result != 0 ? result : scene_finish(scene);
}

int scene_start_write(struct scene *scene, size_t n)
{
    batch_keep(scene->batch);
    OK(scene, batch_close(scene->batch, &scene->error));
    for (size_t i = 0; i < n; i++)
        scene->moves[i] = (struct store_move){.topic = "events", .partition = scene->positions[i].partition,
                                              .base = scene->positions[i].next_offset, .next = scene->positions[i].next_offset + 1,
                                              .epoch = scene->positions[i].epoch, .events = 1, .leader_epoch = 5};
    scene->write = (struct store_write){.moves = scene->moves, .n_moves = n, .batch = scene->batch};
    return store_start_write(scene->store, &scene->write, &scene->error);
}

void scene_settle(struct scene *scene, size_t n, int result)
{
    for (size_t i = 0; i < n && result == 0; i++)
        scene->positions[i].next_offset++;
    batch_reset(scene->batch, NULL, NULL);
    batch_begin(scene->batch, "events", 0, 0);
}

int scene_write(struct scene *scene, size_t n)
{
    int result = scene_start_write(scene, n);

    if (result == 0)
        result = scene_finish(scene);
    scene_settle(scene, n, result);
    return result;
}

/* ---- Rows ---- */

struct row *scene_row(struct scene *scene, uint32_t table, const struct rs_value *keys, uint32_t n_keys)
{
    struct row *row = NULL;

    OK(scene, batch_row(scene->batch, table, keys, n_keys, &row, &scene->error));
    return row;
}

struct row *account(struct scene *scene, const char *name)
{
    return scene_row(scene, ACCOUNTS, (const struct rs_value[]){text(name)}, 1);
}

struct row *account_of(struct scene *scene, int32_t partition, const char *name)
{
    batch_keep(scene->batch);
    batch_begin(scene->batch, "events", partition, 0);
    return account(scene, name);
}

struct row *total(struct scene *scene, int32_t day)
{
    return scene_row(scene, TOTALS, (const struct rs_value[]){on(day)}, 1);
}

void set(struct scene *scene, struct row *row, uint32_t column, struct rs_value value)
{
    OK(scene, batch_set(scene->batch, row, column, &value, &scene->error));
}

void apply(struct scene *scene, struct row *row, uint32_t column, uint32_t operation, struct rs_value value)
{
    OK(scene, batch_apply(scene->batch, row, column, operation, &value, &scene->error));
}

void take_away(struct scene *scene, struct row *row)
{
    OK(scene, batch_remove(scene->batch, row, &scene->error));
}

struct rs_value money(int64_t cents)
{
    return rs_value_decimal(rs_decimal_of(cents, 2));
}

struct rs_value text(const char *data)
{
    return rs_value_string(data);
}

struct rs_value bytes(const void *data, size_t size)
{
    return (struct rs_value){.type = RS_BYTES, .as.bytes = {data, size}};
}

struct rs_value json(const char *data)
{
    return (struct rs_value){.type = RS_JSON, .as.json = {data, strlen(data)}};
}

struct rs_value at(int64_t microseconds)
{
    return (struct rs_value){.type = RS_TIMESTAMP, .as.timestamp.microseconds = microseconds};
}

struct rs_value on(int32_t days)
{
    return (struct rs_value){.type = RS_DATE, .as.date.days = days};
}

struct rs_value uuid(uint8_t first)
{
    struct rs_value value = {.type = RS_UUID};

    for (uint8_t i = 0; i < 16; i++)
        value.as.uuid.bytes[i] = (uint8_t)(first + i);
    return value;
}

/* ---- Reading back ---- */

struct kept {
    bool exists;
    int32_t partition;
    struct cell *cells;
};

static int keep_account(void *context, size_t index, const struct cell *cells, int32_t partition, struct error *ret_error)
{
    static char texts[N_ACCOUNT_COLUMNS][4096];
    struct kept *kept = context;

    (void)ret_error;
    assert_int_equal(index, 0);
    kept->exists = cells != NULL;
    kept->partition = partition;
    for (size_t i = 0; i < N_ACCOUNT_COLUMNS && cells != NULL; i++) {
        enum rs_type type = account_columns[i].type;

        kept->cells[i] = cells[i];
        if (cells[i].is_null || (type != RS_TEXT && type != RS_BYTES && type != RS_JSON))
            continue;
        assert_in_range(cells[i].size, 0, sizeof texts[i] - 1);
        memcpy(texts[i], cells[i].as.data, cells[i].size);
        texts[i][cells[i].size] = '\0';
        kept->cells[i].as.data = texts[i];
    }
    return 0;
}

struct wanted_row scene_wanted_account(const struct cell *name)
{
    return (struct wanted_row){.table = &scene_tables[ACCOUNTS], .keys = name, .key = (const uint8_t *)name->as.data,
                               .key_size = name->size};
}

bool scene_read_account(struct scene *scene, const char *name, struct cell ret_cells[N_ACCOUNT_COLUMNS])
{
    struct cell key = {.operation = CELL_SET, .as.data = name, .size = (uint32_t)strlen(name)};
    struct wanted_row row = scene_wanted_account(&key);
    struct kept kept = {.cells = ret_cells};
    struct store_read read = {.rows = &row, .n_rows = 1, .on_row = keep_account, .context = &kept};

    OK(scene, store_start_read(scene->store, &read, &scene->error));
    OK(scene, scene_finish(scene));
    scene->read_partition = kept.partition;
    return kept.exists;
}

const char *balance_of(struct scene *scene, const char *name)
{
    static char shown[64];
    struct cell cells[N_ACCOUNT_COLUMNS];

    if (!scene_read_account(scene, name, cells))
        return "none";
    decimal_print(decimal_make(cells[BALANCE].as.decimal, 2), shown);
    return shown;
}

/* ---- Choosing ---- */

bool scene_lists(int argc, char **argv, const struct CMUnitTest *tests, size_t n_tests)
{
    if (argc < 2)
        return false;
    if (strcmp(argv[1], "--list") != 0) {
        cmocka_set_test_filter(argv[1]);
        return false;
    }
    for (size_t i = 0; i < n_tests; i++)
        puts(tests[i].name);
    return true;
}
