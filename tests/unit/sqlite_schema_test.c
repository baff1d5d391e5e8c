/*
 * sqlite's schema: what is made and printed, every difference told in words, and what preflight refuses.
 */
#include "sqlite_scene.h"

#include "base/buffer.h"

static char *printed(struct scene *scene)
{
    struct buffer sql = BUFFER_INIT;

    OK(scene, store_print_schema(&scene->settings, &scene->scope, &sql, &scene->error));
    return sql.data;
}

static void test_what_is_printed_is_what_is_made(void **state)
{
    struct scene *scene = scene_new();
    char *sql = printed(scene);

    (void)state;
    assert_non_null(strstr(sql, "    \"owner\" TEXT NOT NULL DEFAULT 'O''Hara', -- text\n"));
    assert_non_null(strstr(sql, "    \"balance\" TEXT NOT NULL DEFAULT '0.00', -- decimal(6,2)\n"));
    assert_non_null(strstr(sql, "    \"seen\" TEXT, -- timestamp\n"));
    assert_non_null(strstr(sql, ") STRICT, WITHOUT ROWID;\n"));
    assert_non_null(strstr(sql, "CREATE INDEX IF NOT EXISTS \"accounts__v1_by_owner\" ON \"accounts__v1\" (\"owner\", \"balance\");\n"));
    execute(scene, sql); /* by hand, as with schema = "check" */
    free(sql);
    OK(scene, connect_now(scene));
    OK(scene, store_check_schema(scene->store, &scene->error));
    OK(scene, store_preflight(scene->store, &scene->error));
    OK(scene, store_create_schema(scene->store, &scene->error));
    OK(scene, store_create_schema(scene->store, &scene->error));
    assert_string_equal(look(scene, "SELECT count(*) FROM sqlite_schema WHERE type = 'view'"), "2");
    scene_free(scene);
}

static void test_an_omitted_table_is_left_out(void **state)
{
    struct scene *scene = scene_new();
    struct table copies[N_TABLES];

    (void)state;
    memcpy(copies, tables, sizeof copies);
    copies[TOTALS].is_omitted = true;
    scene->scope.tables = copies;
    open_again(scene);
    OK(scene, connect_now(scene));
    OK(scene, store_create_schema(scene->store, &scene->error));
    assert_string_equal(look(scene, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'totals%'"), "0");
    scene_free(scene);
}

static void test_no_tables_yet(void **state)
{
    struct scene *scene = scene_new();

    (void)state;
    OK(scene, connect_now(scene));
    assert_int_equal(store_check_schema(scene->store, &scene->error), ERROR_CONFIG);
    assert_says(&scene->error, "tables readside_projections, readside_tables, readside_positions, readside_outbox, readside_audit, accounts__v1, "
                               "totals__v1 do not exist; set schema = \"create\"");
    scene_free(scene);
}

/* A command that looks makes no file, and leaves one that is there as it is. */
static void test_a_look_changes_nothing(void **state)
{
    struct scene *scene = scene_new();
    const struct store_position *list;
    size_t n;

    (void)state;
    scene->settings.must_exist = true;
    open_again(scene);
    assert_int_equal(connect_now(scene), ERROR_CONFIG);
    assert_string_equal(scene->error.code, STORE_MISSING);
    assert_says(&scene->error, "there is no file ");
    assert_int_equal(access(scene->path, F_OK), -1);
    execute(scene, "CREATE TABLE t (a)"); /* the eye makes it, with the journal that SQLite makes by itself */
    OK(scene, connect_now(scene));
    assert_int_equal(store_list_positions(scene->store, &list, &n, &scene->error), ERROR_CONFIG);
    assert_string_equal(scene->error.code, STORE_MISSING);
    assert_int_equal(store_check_schema(scene->store, &scene->error), ERROR_CONFIG);
    assert_string_equal(look(scene, "PRAGMA journal_mode"), "delete");
    scene_free(scene);
}

/* The accounts table as printed, with a piece of its text exchanged: what does the check say? */
static void differs(const char *piece, const char *instead, const char *words)
{
    struct scene *scene = scene_new();
    char *sql = printed(scene), *at = strstr(sql, piece), *changed = NULL;

    if (at == NULL)
        fail_msg("the schema has no \"%s\"", piece);
    assert_true(asprintf(&changed, "%.*s%s%s", (int)(at - sql), sql, instead, at + strlen(piece)) > 0);
    execute(scene, changed);
    OK(scene, connect_now(scene));
    if (words == NULL) {
        OK(scene, store_check_schema(scene->store, &scene->error));
    } else {
        assert_int_equal(store_check_schema(scene->store, &scene->error), ERROR_CONFIG);
        assert_says(&scene->error, words);
        if (strstr(words, "named") == NULL)
            assert_says(&scene->error, "accounts__v1 differs from what the plugin declares; ");
    }
    free(sql);
    free(changed);
    scene_free(scene);
}

static void test_differences_are_told(void **state)
{
    (void)state;
    differs("\"flag\" INTEGER, -- bool", "\"flag\" TEXT, -- bool", "column flag is TEXT, the plugin declares bool, which is INTEGER");
    differs("-- decimal(6,2)", "-- decimal(6,4)", "column balance is decimal(6,4), the plugin declares decimal(6,2)");
    differs("-- timestamp", "-- uuid", "column seen is uuid, the plugin declares timestamp");
    differs("-- decimal(6,2)", "", NULL); /* by hand, without the comment */
    differs("    \"seen\" TEXT, -- timestamp\n", "", "column seen is missing");
    differs("'O''Hara'", "'O''Hare'", "column owner has the default 'O''Hare', the plugin declares 'O''Hara'");
    differs(" DEFAULT '0.00'", "", "column balance has no default, the plugin declares '0.00'");
    differs("\"events\" INTEGER", "\"events\" INTEGER DEFAULT 7", "column events has the default 7, the plugin declares none");
    differs("\"events\" INTEGER", "\"events\" INTEGER NOT NULL DEFAULT 7", "column events is not null, the plugin declares nullable");
    differs("\"owner\" TEXT NOT NULL", "\"owner\" TEXT", "column owner is nullable, the plugin declares not null");
    differs("\"account\" TEXT NOT NULL", "\"account\" TEXT NOT NULL COLLATE NOCASE", "column account compares by NOCASE");
    differs("PRIMARY KEY (\"account\")", "PRIMARY KEY (\"account\", \"owner\")", "the primary key is another");
    differs("    readside_partition INTEGER NOT NULL, -- whose events write the row\n", "", "column readside_partition is missing");
    differs("    readside_partition", "    extra TEXT NOT NULL, readside_partition",
            "column extra is not declared, is not null and has no default");
    differs("    readside_partition", "    extra TEXT, more TEXT NOT NULL DEFAULT '', readside_partition", NULL);
    differs("\"flag\" INTEGER", "\"flag\" INTEGER AS (1)", "column flag is computed");
    differs("CREATE VIEW IF NOT EXISTS \"accounts\" AS SELECT \"account\", \"owner\"",
            "CREATE VIEW IF NOT EXISTS \"accounts\" AS SELECT \"account\"", "the view accounts lacks column owner");
    differs("CREATE VIEW IF NOT EXISTS \"accounts\"", "CREATE VIEW IF NOT EXISTS \"konten\"", "the view accounts is missing");
    differs("CREATE VIEW IF NOT EXISTS \"accounts\"", "CREATE TABLE IF NOT EXISTS \"accounts\"", "something named accounts exists");
}

/* A view of another version is left as it is. */
static void test_another_version_keeps_its_view(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    scene->scope.version = 12;
    open_again(scene);
    OK(scene, connect_now(scene));
    OK(scene, store_create_schema(scene->store, &scene->error));
    assert_string_equal(look(scene, "SELECT sql LIKE '%accounts\\_\\_v1\"%' ESCAPE '\\' FROM sqlite_schema WHERE name = 'accounts'"), "1");
    scene->scope.version = 1;
    open_again(scene);
    OK(scene, connect_now(scene));
    OK(scene, store_reset(scene->store, "kim", &scene->error));
    assert_string_equal(look(scene, "SELECT count(*) FROM accounts__v12"), "0");
    assert_string_equal(look(scene, "SELECT count(*) FROM sqlite_schema WHERE name = 'accounts'"), "0");
    scene_free(scene);
}

static void refused(const char *change, const char *words)
{
    struct scene *scene = scene_ready();

    execute(scene, change);
    if (words == NULL) {
        OK(scene, store_preflight(scene->store, &scene->error));
    } else {
        assert_int_equal(store_preflight(scene->store, &scene->error), ERROR_CONFIG);
        assert_says(&scene->error, words);
        scene->settings.allow_constraints = true;
        open_again(scene);
        OK(scene, connect_now(scene));
        OK(scene, store_preflight(scene->store, &scene->error));
    }
    scene_free(scene);
}

static void test_preflight(void **state)
{
    (void)state;
    refused("CREATE TRIGGER watch AFTER INSERT ON accounts__v1 BEGIN SELECT 1; END", "accounts__v1 has the trigger watch");
    refused("CREATE UNIQUE INDEX one_owner ON accounts__v1 (owner)", "accounts__v1 has the unique index one_owner");
    refused("CREATE TRIGGER watch AFTER UPDATE ON readside_positions BEGIN SELECT 1; END", NULL); /* people watch by them */
    refused("CREATE INDEX quick ON accounts__v1 (owner)", NULL); /* and checked_at is no CHECK */
    refused("ALTER TABLE accounts__v1 ADD COLUMN more TEXT CHECK (more <> '')", "accounts__v1 has a CHECK constraint");
    refused("ALTER TABLE accounts__v1 ADD COLUMN more TEXT /* no CHECK (here) */ DEFAULT 'a CHECK (there)'", NULL);
    refused("ALTER TABLE accounts__v1 ADD COLUMN more TEXT REFERENCES accounts__v1 (account)", "foreign key to accounts__v1");
}

static void test_a_virtual_table_is_refused(void **state)
{
    struct scene *scene = scene_ready();

    (void)state;
    execute(scene, "DROP TABLE totals__v1; CREATE VIRTUAL TABLE totals__v1 USING fts5 (day)");
    scene->settings.allow_constraints = true;
    open_again(scene);
    OK(scene, connect_now(scene));
    assert_int_equal(store_preflight(scene->store, &scene->error), ERROR_CONFIG);
    assert_says(&scene->error, "totals__v1 is not an ordinary table");
    execute(scene, "DROP TABLE totals__v1; DROP TABLE readside_audit; CREATE VIRTUAL TABLE readside_audit USING fts5 (id)");
    assert_int_equal(store_preflight(scene->store, &scene->error), ERROR_CONFIG);
    assert_says(&scene->error, "readside_audit is not an ordinary table");
    scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_printed_is_what_is_made), cmocka_unit_test(test_an_omitted_table_is_left_out),
        cmocka_unit_test(test_no_tables_yet),                   cmocka_unit_test(test_differences_are_told),
        cmocka_unit_test(test_another_version_keeps_its_view),  cmocka_unit_test(test_preflight),
        cmocka_unit_test(test_a_virtual_table_is_refused),      cmocka_unit_test(test_a_look_changes_nothing),
    };

    return cmocka_run_group_tests_name("sqlite_schema", tests, NULL, NULL);
}
