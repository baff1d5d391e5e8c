/*
 * scene - what the contract tests share: tables with every type, a store of the kind under test, and a second connection beside the
 * driver's (the eye) that looks at what it did and gets in its way.
 *
 * STORE_KIND and STORE_URI (and STORE_PASSWORD) say which store; without them it is an SQLite file. Each scene has a schema or a
 * file of its own, gone with it.
 */
#ifndef SCENE_H
#define SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "fold/batch.h"
#include "store/store.h"

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACCOUNTS, PLACES, TOTALS, N_TABLES };
enum { ACCOUNT, OWNER, BALANCE, EVENTS, SEEN, DAY, ID, FLAG, RATIO, DATA, DOC, HIGH, N_ACCOUNT_COLUMNS };
enum { PLACE_ID, PLACE_DAY, PLACE_AT, PLACE_NUMBER, PLACE_UUID, PLACE_BYTES, PLACE_FLAG, PLACE_TEXT, NAME, N_PLACE_COLUMNS };
enum { TOTAL_DAY, AMOUNT, TOP, LEAST, COUNT, LAST, LAST_BYTES, LAST_UUID, FIRST_AT, N_TOTAL_COLUMNS };
enum { N_PARTITIONS = 4 };

extern const struct table scene_tables[N_TABLES];

struct scene {
    char space[64], uri[512]; /* the schema's or file's name, and the store's address with it */
    struct store_settings settings;
    struct store_scope scope;
    struct store *store;
    struct batch *batch;
    struct store_position positions[N_PARTITIONS]; /* of topic events, claimed */
    struct store_move moves[N_PARTITIONS];
    struct store_write write;
    struct error error;
    void *eye;
    int32_t read_partition; /* of the row read last */
    char shown[1024];
};

const char *scene_kind(void); /* "sqlite", "postgresql", "mysql" */
bool scene_is_sqlite(void);
bool scene_is_mysql(void);
/* What is said in the store's own dialect. */
const char *scene_in(const char *sqlite, const char *postgres, const char *mysql);
const char *scene_server_uri(void); /* as given by STORE_URI */

struct scene *scene_new(void);   /* nothing in it; not connected */
struct scene *scene_ready(void); /* connected, tables made, four partitions inserted and claimed */
void scene_free(struct scene *scene);
/* Another task with an owner of its own in the same space: connected, nothing claimed. scene_close() ends it. */
struct scene *scene_beside(const struct scene *scene, uint8_t owner);
void scene_close(struct scene *scene);

/* Expects 0, and says the driver's words where it is not. */
#define OK(scene, call)                                                                                                          \
    do {                                                                                                                         \
        int result_ = (call);                                                                                                    \
        if (result_ != 0)                                                                                                        \
            fail_msg("%s: %s: %s", #call, error_class_name(result_), (scene)->error.text);                                       \
    } while (0)

/* Expects this class, and these words in the error's text. */
#define FAILS(scene, class_, words, call)                                                                                        \
    do {                                                                                                                         \
        int result_ = (call);                                                                                                    \
        if (result_ != (class_) || strstr((scene)->error.text, words) == NULL)                                                   \
            fail_msg("%s: %s: \"%s\" instead of %s with \"%s\"", #call, result_ == 0 ? "0" : error_class_name(result_),           \
                     result_ == 0 ? "" : (scene)->error.text, error_class_name(class_), words);                                  \
    } while (0)

/* The first field of the first row, as text. */
#define LOOK(scene, expected, sql) assert_string_equal(scene_look(scene, sql), expected)

const char *scene_look(struct scene *scene, const char *sql);
void scene_execute(struct scene *scene, const char *sql);
int64_t scene_now_us(void);

/* ---- Operations, to their ends ---- */
int scene_open(struct scene *scene); /* again, with the scene's settings */
int scene_connect(struct scene *scene);
int scene_insert(struct scene *scene, const struct store_start *starts, size_t n, bool is_first);
int scene_insert_all(struct scene *scene);
int scene_claim(struct scene *scene);
int scene_resolve(struct scene *scene);
int scene_release(struct scene *scene);
/* Moves n partitions by one event each and writes the batch; a new batch begins. */
int scene_write(struct scene *scene, size_t n);
/* Only begins to. The batch stays until scene_settle(). */
int scene_start_write(struct scene *scene, size_t n);
int scene_finish(struct scene *scene);
void scene_settle(struct scene *scene, size_t n, int result);

/* ---- Rows ---- */
struct row *scene_row(struct scene *scene, uint32_t table, const struct rs_value *keys, uint32_t n_keys);
struct row *account(struct scene *scene, const char *name);
struct row *account_of(struct scene *scene, int32_t partition, const char *name);
struct row *total(struct scene *scene, int32_t day);
void set(struct scene *scene, struct row *row, uint32_t column, struct rs_value value);
void apply(struct scene *scene, struct row *row, uint32_t column, uint32_t operation, struct rs_value value);
void take_away(struct scene *scene, struct row *row);
struct rs_value money(int64_t cents);
struct rs_value text(const char *data);
struct rs_value bytes(const void *data, size_t size);
struct rs_value json(const char *data);
struct rs_value at(int64_t microseconds);
struct rs_value on(int32_t days);
struct rs_value uuid(uint8_t first);

/* As a batch would ask for the account of that name. */
struct wanted_row scene_wanted_account(const struct cell *name);
/* The account as the store gives it back; false: there is none. Texts live until the next call. */
bool scene_read_account(struct scene *scene, const char *name, struct cell ret_cells[N_ACCOUNT_COLUMNS]);
/* "12.34"; "none" where there is no such account. */
const char *balance_of(struct scene *scene, const char *name);

/* What a program's arguments ask for: with a name, that test alone runs; --list prints the names, and nothing is left to do (true). */
bool scene_lists(int argc, char **argv, const struct CMUnitTest *tests, size_t n_tests);

#endif
