/*
 * sqlite under faults: a lock held by others, a COMMIT whose outcome nobody knows, a process killed at any moment, a file that is
 * moved away, files that cannot be a store.
 */
#include "sqlite_scene.h"

#include <sys/resource.h>

/* ---- A VFS between SQLite and the disk, which fails a flush of the log when told to ---- */

static bool flush_fails;
static const sqlite3_io_methods *disk_methods;
static sqlite3_io_methods log_methods;
static int (*disk_open)(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags);

static int flush(sqlite3_file *file, int flags)
{
    return flush_fails ? SQLITE_IOERR_FSYNC : disk_methods->xSync(file, flags);
}

static int open_through(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    int code = disk_open(vfs, name, file, flags, ret_flags);

    if (code == SQLITE_OK && (flags & SQLITE_OPEN_WAL) != 0) {
        disk_methods = file->pMethods;
        log_methods = *file->pMethods;
        log_methods.xSync = flush;
        file->pMethods = &log_methods;
    }
    return code;
}

static int install_faults(void **state)
{
    static sqlite3_vfs vfs;

    (void)state;
    vfs = *sqlite3_vfs_find(NULL);
    disk_open = vfs.xOpen;
    vfs.zName = "faults";
    vfs.xOpen = open_through;
    return sqlite3_vfs_register(&vfs, 1);
}

static int remove_faults(void **state)
{
    (void)state;
    flush_fails = false;
    return sqlite3_vfs_unregister(sqlite3_vfs_find("faults"));
}

static void test_a_commit_whose_flush_failed_is_unknown(void **state)
{
    struct scene *scene = scene_ready();
    int64_t epoch;

    (void)state;
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    flush_fails = true;
    assert_int_equal(write_now(scene, 1), ERROR_UNKNOWN);
    assert_int_equal(scene->error.class, ERROR_UNKNOWN);
    assert_string_equal(scene->error.code, "SQLITE_IOERR");
    assert_false(store_is_connected(scene->store));
    assert_int_equal(resolve(scene), ERROR_TRANSIENT); /* connect comes first */
    flush_fails = false;
    epoch = 1;
    OK(scene, connect_now(scene));
    OK(scene, resolve(scene));
    assert_false(scene->position.is_missing);
    assert_int_equal(scene->position.epoch, epoch + 1);
    /* Rows and position agree, whichever it was. */
    assert_int_equal(scene->position.next_offset, strtoll(look(scene, "SELECT count(*) FROM accounts"), NULL, 10));
    scene_free(scene);
}

static void test_a_refused_commit_is_poison(void **state)
{
    struct scene *scene = scene_new();

    (void)state;
    scene->settings.allow_constraints = true;
    open_again(scene);
    OK(scene, connect_now(scene));
    execute(scene, "CREATE TABLE owners (owner TEXT PRIMARY KEY)");
    execute(scene, "CREATE TABLE accounts__v1 (account TEXT PRIMARY KEY, owner TEXT NOT NULL DEFAULT '' REFERENCES owners (owner) "
                   "DEFERRABLE INITIALLY DEFERRED, balance TEXT NOT NULL DEFAULT '0.00', readside_partition INTEGER NOT NULL)");
    /* Makes the rest; the table is not all that is declared, which it says. */
    assert_int_equal(store_create_schema(scene->store, &scene->error), ERROR_CONFIG);
    OK(scene, insert_first(scene));
    OK(scene, claim(scene));
    set(scene, account(scene, "acc-1"), OWNER, rs_value_string("Alice"));
    assert_int_equal(write_now(scene, 1), ERROR_POISON);
    assert_says(&scene->error, "COMMIT: FOREIGN KEY constraint failed");
    execute(scene, "INSERT INTO owners VALUES ('Alice')");
    set(scene, account(scene, "acc-1"), OWNER, rs_value_string("Alice"));
    OK(scene, write_now(scene, 1));
    scene_free(scene);
}

/* ---- Locks ---- */

static void test_a_lock_of_others_is_waited_for_without_blocking(void **state)
{
    struct scene *scene = scene_ready();
    int64_t began_us;
    int result;

    (void)state;
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    execute(scene, "BEGIN IMMEDIATE");
    OK(scene, write_batch(scene, 1, true));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(store_poll(scene->store, &scene->error), STORE_BUSY);
        assert_int_equal(store_fd(scene->store), -1);
        began_us = store_deadline_us(scene->store);
        assert_in_range(began_us, now_us() - 1000000, now_us() + 10000);
        while (now_us() < began_us)
            (void)poll(NULL, 0, 1);
    }
    execute(scene, "COMMIT");
    OK(scene, store_finish(scene->store, &scene->error));
    assert_true(store_deadline_us(scene->store) == INT64_MAX);
    assert_string_equal(look(scene, "SELECT balance FROM accounts"), "1.00");
    batch_reset(scene->batch, NULL, NULL);
    scene->position.next_offset = 1;
    scene->settings.lock_timeout_us = 30000;
    open_again(scene);
    OK(scene, connect_now(scene));
    OK(scene, claim(scene));
    execute(scene, "BEGIN IMMEDIATE");
    began_us = now_us();
    result = write_now(scene, 1);
    assert_int_equal(result, ERROR_TRANSIENT);
    assert_in_range(now_us() - began_us, 30000, 5000000);
    assert_string_equal(scene->error.code, "SQLITE_BUSY");
    assert_says(&scene->error, "held the lock for 30 ms");
    assert_true(store_is_connected(scene->store));
    assert_int_equal(claim(scene), ERROR_TRANSIENT);
    assert_int_equal(store_reset(scene->store, "kim", &scene->error), ERROR_TRANSIENT);
    execute(scene, "ROLLBACK");
    OK(scene, claim(scene));
    scene_free(scene);
}

static void count_waits(void *context)
{
    ++*(int *)context;
}

static void change_many(struct scene *scene)
{
    char name[16];

    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "acc-%d", i);
        set(scene, account(scene, name), BALANCE, money(100));
    }
}

static void test_a_write_has_its_time(void **state)
{
    struct scene *scene = scene_ready();
    int n_waits = 0;

    (void)state;
    scene->settings.statement_timeout_us = 1000;
    open_again(scene);
    OK(scene, connect_now(scene));
    OK(scene, claim(scene));
    store_on_wait(scene->store, count_waits, &n_waits);
    change_many(scene);
    assert_int_equal(write_now(scene, 1), ERROR_TRANSIENT);
    assert_says(&scene->error, "interrupted by statement_timeout");
    assert_true(n_waits > 0);
    assert_true(store_is_connected(scene->store));
    assert_string_equal(look(scene, "SELECT count(*) FROM accounts"), "0");
    scene->settings.statement_timeout_us = 30000000;
    open_again(scene);
    OK(scene, connect_now(scene));
    OK(scene, claim(scene));
    change_many(scene);
    OK(scene, write_now(scene, 1));
    assert_string_equal(look(scene, "SELECT count(*) FROM accounts"), "5000");
    scene_free(scene);
}

static int count_rows(void *context, size_t index, const struct cell *cells, int32_t partition, struct error *ret_error)
{
    (void)index, (void)partition, (void)ret_error;
    ++*(int *)context;
    return cells == NULL ? 0 : -1;
}

static void test_a_reader_waits_for_nobody(void **state)
{
    struct scene *scene = scene_ready();
    struct cell key = {.operation = CELL_SET, .as.data = "nobody", .size = 6};
    struct wanted_row row = {.table = &tables[ACCOUNTS], .keys = &key};
    int n = 0;
    struct store_read request = {.rows = &row, .n_rows = 1, .on_row = count_rows, .context = &n};

    (void)state;
    execute(scene, "BEGIN IMMEDIATE; INSERT INTO accounts__v1 (account, readside_partition) VALUES ('nobody', 0)");
    OK(scene, store_start_read(scene->store, &request, &scene->error));
    OK(scene, store_poll(scene->store, &scene->error));
    assert_int_equal(n, 1);
    execute(scene, "ROLLBACK");
    scene_free(scene);
}

/* ---- Death ---- */

/* A child that has begun, written more than its cache holds, and not committed. */
static void write_and_hang(struct scene *scene, int ready)
{
    sqlite3 *db;

    if (sqlite3_open(scene->path, &db) != SQLITE_OK ||
        sqlite3_exec(db,
                     "PRAGMA cache_size = 5; BEGIN IMMEDIATE; UPDATE readside_positions SET next_offset = 1000; "
                     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
                     "INSERT INTO accounts__v1 (account, owner, readside_partition) SELECT 'acc-' || i, hex(zeroblob(100)), 0 FROM n",
                     NULL, NULL, NULL) != SQLITE_OK ||
        write(ready, "!", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static void test_a_killed_process_leaves_nothing_behind(void **state)
{
    struct scene *scene = scene_ready();
    int ready[2], status;
    char c;
    pid_t child;

    (void)state;
    scene->store = store_close(scene->store); /* no connection is carried over a fork */
    assert_int_equal(pipe(ready), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        write_and_hang(scene, ready[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    scene->settings.lock_timeout_us = 20000;
    open_again(scene);
    OK(scene, connect_now(scene));
    assert_int_equal(resolve(scene), ERROR_TRANSIENT); /* its lock holds as long as it lives */
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    close(ready[0]);
    OK(scene, resolve(scene));
    assert_false(scene->position.is_missing);
    assert_int_equal(scene->position.next_offset, 0);
    assert_string_equal(look(scene, "SELECT count(*) FROM accounts"), "0");
    assert_string_equal(look(scene, "PRAGMA integrity_check"), "ok");
    scene_free(scene);
}

/* Writes batches until it is killed: each event adds 0.01 to one account. A byte tells of each. */
static void write_for_ever(struct scene *scene, int has_written)
{
    open_again(scene);
    if (connect_now(scene) != 0 || claim(scene) != 0)
        _exit(1);
    for (unsigned i = 0;; i++) {
        char name[16];

        for (unsigned j = 0; j < 200; j++) {
            snprintf(name, sizeof name, "acc-%u", (i * 7 + j) % 400);
            apply(scene, account(scene, name), BALANCE, RS_ADD, money(1));
        }
        if (write_now(scene, 200) != 0 || write(has_written, "", 1) < 0)
            _exit(1);
    }
}

static void test_killed_at_any_time_rows_and_position_agree(void **state)
{
    struct scene *scene = scene_ready();
    uint64_t random = 42;

    (void)state;
    for (int round = 0; round < 12; round++) {
        struct timespec pause = {0};
        int status, pipes[2];
        pid_t child;
        char byte;

        scene->store = store_close(scene->store);
        sqlite3_close(scene->eye);
        scene->eye = NULL;
        assert_int_equal(pipe(pipes), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0)
            write_for_ever(scene, pipes[1]);
        close(pipes[1]);
        if (round % 2 == 0) /* the other half may die before their first commit */
            assert_int_equal(read(pipes[0], &byte, 1), 1);
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        pause.tv_nsec = (long)(random >> 40) % 80000000;
        nanosleep(&pause, NULL); /* the moment of death is the point, not a wait for anything */
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        close(pipes[0]);
        open_again(scene);
        OK(scene, connect_now(scene));
        OK(scene, resolve(scene));
        assert_false(scene->position.is_missing);
        assert_int_equal(strtoll(look(scene, "SELECT CAST(round(sum(balance) * 100) AS INTEGER) FROM accounts"), NULL, 10),
                         scene->position.next_offset);
        assert_int_equal(strtoll(look(scene, "SELECT events FROM readside_positions"), NULL, 10), scene->position.next_offset);
    }
    assert_true(scene->position.next_offset > 0);
    scene_free(scene);
}

/* ---- The file ---- */

static void test_a_file_that_is_moved_away(void **state)
{
    struct scene *scene = scene_ready();
    char moved[128];

    (void)state;
    snprintf(moved, sizeof moved, "%s/moved.db", scene->folder);
    assert_int_equal(rename(scene->path, moved), 0);
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    assert_int_equal(write_now(scene, 1), ERROR_TRANSIENT);
    assert_says(&scene->error, "was moved, deleted or replaced");
    assert_false(store_is_connected(scene->store));
    assert_int_equal(connect_now(scene), ERROR_TRANSIENT); /* and no empty one is made in its place */
    assert_says(&scene->error, "is gone; put it back");
    assert_int_not_equal(access(scene->path, F_OK), 0);
    assert_int_equal(rename(moved, scene->path), 0);
    OK(scene, connect_now(scene));
    OK(scene, resolve(scene));
    assert_int_equal(scene->position.next_offset, 0);
    scene_free(scene);
}

/* Another process would make a new one, and two logs of one file ruin it. */
static void test_a_log_that_is_deleted(void **state)
{
    struct scene *scene = scene_ready();
    char log[128], index[128];

    (void)state;
    snprintf(log, sizeof log, "%s-wal", scene->path);
    snprintf(index, sizeof index, "%s-shm", scene->path);
    set(scene, account(scene, "acc-1"), BALANCE, money(100));
    OK(scene, write_now(scene, 1));
    assert_int_equal(unlink(log), 0);
    assert_int_equal(unlink(index), 0);
    set(scene, account(scene, "acc-1"), BALANCE, money(200));
    assert_int_equal(write_now(scene, 1), ERROR_TRANSIENT);
    assert_says(&scene->error, "-wal: the file was moved, deleted or replaced");
    assert_false(store_is_connected(scene->store));
    OK(scene, connect_now(scene));
    scene_free(scene);
}

static void refuse_path(struct scene *scene, const char *path, const char *words)
{
    struct store *store = NULL;
    int result;

    scene->settings.uri = path;
    result = store_open(&scene->settings, &scene->scope, &store, &scene->error);
    if (result == 0)
        result = store_start_connect(store, &scene->error);
    if (result == 0)
        result = store_finish(store, &scene->error);
    assert_int_equal(result, ERROR_CONFIG);
    assert_says(&scene->error, words);
    if (store != NULL)
        assert_false(store_is_connected(store));
    store_close(store);
}

static void make_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void test_paths_that_cannot_be_a_store(void **state)
{
    struct scene *scene = scene_new();

    (void)state;
    refuse_path(scene, NULL, "needs the path");
    refuse_path(scene, "", "needs the path");
    refuse_path(scene, ":memory:", "would forget its positions");
    refuse_path(scene, "file:/tmp/x.db", "not a URI");
    refuse_path(scene, "/nowhere/at/all/read.db", "the folder /nowhere/at/all does not exist");
    refuse_path(scene, scene->folder, "is not a regular file");
    refuse_path(scene, "/proc/read.db", "/proc");
    make_file(scene->path, "This is a letter, long enough to be looked at as a database, and no database at all. "
                           "This is a letter, long enough to be looked at as a database, and no database at all.");
    refuse_path(scene, scene->path, "give another path, or move that file away");
    unlink(scene->path);
    execute(scene, "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (a)");
    refuse_path(scene, scene->path, "PRAGMA encoding");
    scene_free(scene);
}

static void test_a_file_that_cannot_be_written(void **state)
{
    struct scene *scene = scene_ready();
    pid_t child;
    int status;

    (void)state;
    scene->store = store_close(scene->store);
    assert_int_equal(chmod(scene->path, 0444), 0);
    assert_int_equal(chmod(scene->folder, 0755), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(2);
        scene->settings.uri = scene->path;
        status = store_open(&scene->settings, &scene->scope, &scene->store, &scene->error) == 0 && connect_now(scene) == ERROR_CONFIG &&
                         (strstr(scene->error.text, "may not write in the folder") != NULL ||
                          strstr(scene->error.text, "may not read and write the file") != NULL)
                     ? 0
                     : 1;
        scene_free(scene); /* the child's own blocks; where it is not root, the files with them */
        _exit(status);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    scene_free(scene);
}

/* Descriptors come back; a path that cannot be opened does not. */
static void test_a_file_that_cannot_be_opened_now(void **state)
{
    struct scene *scene = scene_ready();
    struct rlimit before, none;

    (void)state;
    scene->store = store_close(scene->store);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    OK(scene, store_open(&scene->settings, &scene->scope, &scene->store, &scene->error));
    none = before;
    none.rlim_cur = (rlim_t)dup(0); /* the first free number */
    close((int)none.rlim_cur);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(connect_now(scene), ERROR_TRANSIENT);
    assert_non_null(strstr(scene->error.text, "unable to open"));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    OK(scene, connect_now(scene));
    scene_free(scene);
}

static void test_what_is_called_out_of_order(void **state)
{
    struct scene *scene = scene_new();
    const struct store_position *list;
    size_t n;

    (void)state;
    assert_int_equal(claim(scene), ERROR_TRANSIENT);
    assert_int_equal(store_list_positions(scene->store, &list, &n, &scene->error), ERROR_TRANSIENT);
    assert_int_equal(store_check_schema(scene->store, &scene->error), ERROR_TRANSIENT);
    OK(scene, connect_now(scene));
    assert_int_equal(claim(scene), ERROR_CONFIG); /* no tables yet */
    assert_says(&scene->error, "no such table: readside_projections");
    OK(scene, store_create_schema(scene->store, &scene->error));
    OK(scene, insert_first(scene));
    OK(scene, connect_now(scene));
    OK(scene, claim(scene));
    OK(scene, store_start_claim(scene->store, &scene->position, 1, &scene->error));
    assert_int_equal(store_reset(scene->store, "kim", &scene->error), ERROR_BUG);
    OK(scene, store_finish(scene->store, &scene->error));
    assert_int_equal(scene->position.epoch, 2);
    scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_commit_whose_flush_failed_is_unknown, install_faults, remove_faults),
        cmocka_unit_test(test_a_refused_commit_is_poison),
        cmocka_unit_test(test_a_lock_of_others_is_waited_for_without_blocking),
        cmocka_unit_test(test_a_write_has_its_time),
        cmocka_unit_test(test_a_reader_waits_for_nobody),
        cmocka_unit_test(test_a_killed_process_leaves_nothing_behind),
        cmocka_unit_test(test_killed_at_any_time_rows_and_position_agree),
        cmocka_unit_test(test_a_file_that_is_moved_away),
        cmocka_unit_test(test_a_log_that_is_deleted),
        cmocka_unit_test(test_paths_that_cannot_be_a_store),
        cmocka_unit_test(test_a_file_that_cannot_be_written),
        cmocka_unit_test(test_a_file_that_cannot_be_opened_now),
        cmocka_unit_test(test_what_is_called_out_of_order),
    };

    return cmocka_run_group_tests_name("sqlite_fault", tests, NULL, NULL);
}
