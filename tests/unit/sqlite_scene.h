/*
 * sqlite_scene - what the SQLite tests share: two tables, a file in a folder of its own, short ways to write and look.
 */
#ifndef SQLITE_SCENE_H
#define SQLITE_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "fold/batch.h"
#include "store/store.h"

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ACCOUNTS, TOTALS, N_TABLES };
enum { ACCOUNT, OWNER, BALANCE, EVENTS, SEEN, DAY, ID, FLAG, RATIO, DATA, DOC, CHECKED, N_COLUMNS };
enum { TOTAL_DAY, AMOUNT, HIGH, LOW, COUNT, LAST };

#define SETS(...) {.operation = CELL_SET, __VA_ARGS__}

static const struct column account_columns[] = {
    {.name = "account", .type = RS_TEXT, .is_key = true, .is_not_null = true},
    {.name = "owner", .type = RS_TEXT, .is_not_null = true, .fallback = SETS(.as.data = "O'Hara", .size = 6)},
    {.name = "balance", .type = RS_DECIMAL, .precision = 6, .scale = 2, .is_not_null = true, .fallback = SETS(.as.decimal = 0)},
    {.name = "events", .type = RS_INT, .fallback = SETS(.is_null = true)},
    {.name = "seen", .type = RS_TIMESTAMP, .fallback = SETS(.is_null = true)},
    {.name = "day", .type = RS_DATE, .fallback = SETS(.is_null = true)},
    {.name = "id", .type = RS_UUID, .fallback = SETS(.is_null = true)},
    {.name = "flag", .type = RS_BOOL, .fallback = SETS(.is_null = true)},
    {.name = "ratio", .type = RS_REAL, .fallback = SETS(.is_null = true)},
    {.name = "data", .type = RS_BYTES, .fallback = SETS(.is_null = true)},
    {.name = "doc", .type = RS_JSON, .fallback = SETS(.is_null = true)},
    {.name = "checked_at", .type = RS_INT, .fallback = SETS(.is_null = true)},
};

static const struct column total_columns[] = {
    {.name = "day", .type = RS_DATE, .is_key = true, .is_not_null = true},
    {.name = "amount", .type = RS_DECIMAL, .operation = CELL_ADD, .precision = 38, .scale = 2, .fallback = SETS(.is_null = true)},
    {.name = "high", .type = RS_DECIMAL, .operation = CELL_MAX, .precision = 10, .scale = 2, .fallback = SETS(.is_null = true)},
    {.name = "low", .type = RS_DECIMAL, .operation = CELL_MIN, .precision = 10, .scale = 2, .fallback = SETS(.is_null = true)},
    {.name = "count", .type = RS_INT, .operation = CELL_ADD, .fallback = SETS(.as.integer = 0)},
    {.name = "last", .type = RS_TEXT, .operation = CELL_MAX, .fallback = SETS(.is_null = true)},
};

static const uint32_t by_owner[] = {OWNER, BALANCE};
static const struct index account_indexes[] = {{.name = "by_owner", .columns = by_owner, .n_columns = 2}};

static const struct table tables[N_TABLES] = {
    {.name = "accounts", .id = ACCOUNTS, .columns = account_columns, .n_columns = N_COLUMNS, .keys = {ACCOUNT}, .n_keys = 1,
     .indexes = account_indexes, .n_indexes = 1},
    {.name = "totals", .id = TOTALS, .is_shared = true, .columns = total_columns, .n_columns = 6, .keys = {TOTAL_DAY}, .n_keys = 1},
};

struct scene {
    char folder[64], path[96];
    struct store_settings settings;
    struct store_scope scope;
    struct store *store;
    struct batch *batch;
    struct store_position position;
    struct error error;
    sqlite3 *eye; /* a connection beside the driver's, when asked for */
    char shown[512];
};

static inline int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

/* Expects 0, and says the driver's words where it is not. */
#define OK(scene, call)                                                                                                          \
    do {                                                                                                                         \
        int result_ = (call);                                                                                                    \
        if (result_ != 0)                                                                                                        \
            fail_msg("%s: %d: %s", #call, result_, (scene)->error.text);                                                         \
    } while (0)

static inline void assert_says(const struct error *error, const char *words)
{
    if (strstr(error->text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error->text, words);
}

static inline void open_again(struct scene *scene)
{
    scene->store = store_close(scene->store);
    OK(scene, store_open(&scene->settings, &scene->scope, &scene->store, &scene->error));
}

static inline int connect_now(struct scene *scene)
{
    int result = store_start_connect(scene->store, &scene->error);

    return result != 0 ? result : store_finish(scene->store, &scene->error);
}

static inline struct scene *scene_new(void)
{
    static struct scene zero;
    struct scene *scene = malloc(sizeof *scene);

    assert_non_null(scene);
    *scene = zero;
    snprintf(scene->folder, sizeof scene->folder, "/tmp/readside-sqlite-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    snprintf(scene->path, sizeof scene->path, "%s/read.db", scene->folder);
    scene->settings = (struct store_settings){.kind = "sqlite", .uri = scene->path, .connect_timeout_us = 2000000,
                                              .lock_timeout_us = 2000000, .statement_timeout_us = 2000000};
    scene->scope = (struct store_scope){.pipeline = "bank", .version = 1, .plugin = "bank", .revision = 3, .tables = tables,
                                        .n_tables = N_TABLES, .owner = {1, 2, 3, 4}, .worker = "test"};
    scene->batch = batch_new(tables, N_TABLES, &(struct batch_limits){100000, 64 << 20}, 7);
    assert_non_null(scene->batch);
    batch_reset(scene->batch, NULL, NULL);
    open_again(scene);
    return scene;
}

static inline void scene_free(struct scene *scene)
{
    static const char *const names[] = {"read.db", "read.db-wal", "read.db-shm", "moved.db", "moved.db-wal", "moved.db-shm"};

    store_close(scene->store);
    batch_free(scene->batch);
    sqlite3_close(scene->eye);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];

        snprintf(path, sizeof path, "%s/%s", scene->folder, names[i]);
        unlink(path);
    }
    rmdir(scene->folder);
    free(scene);
}

/* The first column of the first row, as the sqlite3 shell would show it. */
static inline const char *look(struct scene *scene, const char *sql)
{
    sqlite3_stmt *statement;

    if (scene->eye == NULL)
        assert_int_equal(sqlite3_open(scene->path, &scene->eye), SQLITE_OK);
    if (sqlite3_prepare_v2(scene->eye, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(scene->eye));
    snprintf(scene->shown, sizeof scene->shown, "(none)");
    if (sqlite3_step(statement) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);

        snprintf(scene->shown, sizeof scene->shown, "%s", text == NULL ? "(null)" : text);
    }
    sqlite3_finalize(statement);
    return scene->shown;
}

static inline void execute(struct scene *scene, const char *sql)
{
    if (scene->eye == NULL)
        assert_int_equal(sqlite3_open(scene->path, &scene->eye), SQLITE_OK);
    if (sqlite3_exec(scene->eye, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(scene->eye));
}

/* ---- Short ways ---- */

static inline int insert_first(struct scene *scene)
{
    struct store_start start = {.topic = "events", .partition = 0, .cluster_id = "cluster", .topic_id = {9}, .next_offset = 0};
    int result = store_start_insert(scene->store, &start, 1, true, &scene->error);

    return result != 0 ? result : store_finish(scene->store, &scene->error);
}

static inline int claim(struct scene *scene)
{
    int result;

    scene->position = (struct store_position){.topic = "events"};
    result = store_start_claim(scene->store, &scene->position, 1, &scene->error);
    return result != 0 ? result : store_finish(scene->store, &scene->error);
}

static inline int resolve(struct scene *scene)
{
    int result;

    scene->position = (struct store_position){.topic = "events"};
    result = store_start_resolve(scene->store, &scene->position, 1, &scene->error);
    return result != 0 ? result : store_finish(scene->store, &scene->error);
}

/* A store with its tables and the claimed position events/0. */
static inline struct scene *scene_ready(void)
{
    struct scene *scene = scene_new();

    OK(scene, connect_now(scene));
    OK(scene, store_create_schema(scene->store, &scene->error));
    OK(scene, insert_first(scene));
    OK(scene, claim(scene));
    assert_false(scene->position.is_missing);
    return scene;
}

static inline struct row *row_of(struct scene *scene, uint32_t table, struct rs_value key)
{
    struct row *row = NULL;

    OK(scene, batch_row(scene->batch, table, &key, 1, &row, &scene->error));
    return row;
}

static inline struct row *account(struct scene *scene, const char *name)
{
    return row_of(scene, ACCOUNTS, rs_value_string(name));
}

static inline void set(struct scene *scene, struct row *row, uint32_t column, struct rs_value value)
{
    OK(scene, batch_set(scene->batch, row, column, &value, &scene->error));
}

static inline void apply(struct scene *scene, struct row *row, uint32_t column, uint32_t operation, struct rs_value value)
{
    OK(scene, batch_apply(scene->batch, row, column, operation, &value, &scene->error));
}

static inline struct rs_value money(int64_t cents)
{
    return rs_value_decimal(rs_decimal_of(cents, 2));
}

static inline int write_batch(struct scene *scene, int64_t events, bool is_asynchronous)
{
    static struct store_move move;
    struct store_write write = {.moves = &move, .n_moves = 1, .batch = scene->batch};
    int result;

    move = (struct store_move){.topic = "events", .base = scene->position.next_offset, .next = scene->position.next_offset + events,
                               .epoch = scene->position.epoch, .events = events, .leader_epoch = 5};
    OK(scene, batch_close(scene->batch, &scene->error));
    result = store_start_write(scene->store, &write, &scene->error);
    return result != 0 || is_asynchronous ? result : store_finish(scene->store, &scene->error);
}

/* Writes the batch as the next `events` events, and begins another. */
static inline int write_now(struct scene *scene, int64_t events)
{
    int result = write_batch(scene, events, false);

    if (result == 0)
        scene->position.next_offset += events;
    batch_reset(scene->batch, NULL, NULL);
    return result;
}

#endif
