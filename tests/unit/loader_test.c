/*
 * loader: which files may be loaded, and every rule that a descriptor is held to.
 *
 * Needs the built plugins under READSIDE_BUILD. Descriptors are spoiled one member at a time and judged without a shared object.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/loader.h" /* before cmocka.h, whose macro fail() would hide a member */
#include "plugin/descriptor.h"

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Files ---- */

static const char *built(const char *name)
{
    static char path[PATH_MAX];
    const char *build = getenv("READSIDE_BUILD");

    snprintf(path, sizeof path, "%s/%s", build == NULL ? "." : build, name);
    return path;
}

static void expect_refused(const char *name, const char *search_path, const char *part)
{
    struct projection *projection = NULL;
    struct error error = {0};

    assert_int_equal(plugin_load(name, search_path, &projection, &error), ERROR_CONFIG);
    assert_null(projection);
    if (strstr(error.text, part) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", name, error.text, part);
}

static void test_a_plugin_is_loaded_by_path_and_by_name(void **state)
{
    struct projection *projection = NULL, *again = NULL;
    char search_path[2 * PATH_MAX];
    struct error error = {0};

    (void)state;
    if (plugin_load(built("plugins/bank.so"), "", &projection, &error) != 0)
        fail_msg("%s", error.text);
    assert_string_equal(projection->name, "bank");
    assert_int_equal(projection->revision, 1);
    assert_int_equal(projection->n_tables, 2);
    assert_int_equal(projection->n_handlers, 3);
    assert_true(projection->has_partitioned_table);
    assert_string_equal(projection->tables[0].columns[2].name, "balance");
    assert_int_equal(projection->tables[0].columns[2].scale, 2);
    assert_false(projection->tables[0].columns[2].fallback.is_null);
    assert_true(projection->tables[1].is_shared);
    assert_int_equal(projection->tables[1].columns[1].operation, CELL_ADD);
    snprintf(search_path, sizeof search_path, ":/nowhere::%s:", built("plugins"));
    assert_int_equal(plugin_load("orders", search_path, &again, &error), 0);
    assert_string_equal(again->name, "orders");
    assert_int_equal(again->tables[1].n_keys, 2);
    assert_int_equal(again->tables[0].n_indexes, 1);
    assert_int_equal(again->handlers[2].n_reads, 2);
    assert_null(projection_free(again));
    assert_null(projection_free(projection));
    assert_null(projection_free(NULL));
}

/* Such a directory is passed over, wherever it stands. */
static void test_a_search_path_too_long_for_a_file_name(void **state)
{
    char name[PATH_MAX + 1], search_path[4 * PATH_MAX];
    struct projection *projection = NULL;
    struct error error = {0};

    (void)state;
    memset(name, 'a', sizeof name);
    name[PATH_MAX] = '\0';
    expect_refused(name, "/nowhere:/nowhere", "aaa");
    snprintf(search_path, sizeof search_path, "/%s", name);
    expect_refused("orders", search_path, "there is no");
    snprintf(search_path, sizeof search_path, "/%s:%s", name, built("plugins"));
    assert_int_equal(plugin_load("orders", search_path, &projection, &error), 0);
    projection_free(projection);
}

static void test_what_is_not_there_is_said_with_where_it_was_looked_for(void **state)
{
    (void)state;
    expect_refused("nix", "/nowhere:/elsewhere", "there is no nix.so in /nowhere:/elsewhere");
    expect_refused("nix", "", "the plugin path, which is empty");
    expect_refused("/nowhere/nix.so", "", "/nowhere/nix.so: No such file");
    expect_refused("/", "", "not a regular file");
}

static void test_bad_plugins_are_refused_with_the_reason(void **state)
{
    static const struct {
        const char *name, *part;
    } bad[] = {
        {"column_id", "table things, column note: its id is 2, but it is element 1"},
        {"element_size", "the element size of columns is"},
        {"fallback", "table sums, column hits: its fallback \"none\" is not an integer"},
        {"function", "the function of handler Thing is NULL"},
        {"key", "table things: no column is RS_KEY"},
        {"key_type", "table things, column id: json and real cannot be keys"},
        {"major", "abi_major is 1"},
        {"minor", "abi_minor is 2"},
        {"name", "\"Things; drop table\""},
        {"not_null", "table things, column note: RS_NOT_NULL without a fallback"},
        {"null", "readside_projection() returns NULL"},
        {"operation", "table sums, column hits: each column of a shared table"},
        {"size", "size is "},
        {"symbol", "does not export readside_projection()"},
        {"table_twice", "table things: two tables have this name"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char name[64];

        snprintf(name, sizeof name, "tests/plugins/bad_%s.so", bad[i].name);
        expect_refused(built(name), "", bad[i].part);
    }
}

/* ---- Trust ---- */

static char place[] = "/tmp/readside-loader-XXXXXX";
static char copy_path[PATH_MAX], directory_path[PATH_MAX];

static void copy_file(const char *from, const char *to)
{
    char part[65536];
    ssize_t n;
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(in >= 0 && out >= 0);
    while ((n = read(in, part, sizeof part)) > 0)
        assert_int_equal(write(out, part, (size_t)n), n);
    assert_int_equal(n, 0);
    close(in);
    close(out);
}

static int make_place(void **state)
{
    (void)state;
    if (mkdtemp(place) == NULL)
        return -1;
    snprintf(directory_path, sizeof directory_path, "%s/plugins", place);
    snprintf(copy_path, sizeof copy_path, "%s/plugins/copy.so", place);
    if (mkdir(directory_path, 0755) != 0)
        return -1;
    copy_file(built("plugins/null.so"), copy_path);
    return chmod(copy_path, 0644);
}

static int remove_place(void **state)
{
    (void)state;
    unlink(copy_path);
    rmdir(directory_path);
    return rmdir(place);
}

static void expect_loaded(const char *path)
{
    struct projection *projection = NULL;
    struct error error = {0};

    if (plugin_load(path, "", &projection, &error) != 0)
        fail_msg("%s", error.text);
    projection_free(projection);
}

static void test_files_that_others_can_change_are_refused(void **state)
{
    (void)state;
    expect_loaded(copy_path);
    assert_int_equal(chmod(copy_path, 0666), 0);
    expect_refused(copy_path, "", "the file is writable by other users: chmod go-w");
    assert_int_equal(chmod(copy_path, 0755), 0);
    expect_loaded(copy_path);
    assert_int_equal(chmod(directory_path, 0777), 0);
    expect_refused(copy_path, "", "the directory is writable by other users");
    assert_int_equal(chmod(directory_path, 01777), 0); /* as /tmp */
    expect_loaded(copy_path);
    assert_int_equal(chmod(directory_path, 0755), 0);
    assert_int_equal(chmod(place, 0777), 0); /* further up counts as well */
    expect_refused(copy_path, "", "the directory is writable by other users");
    assert_int_equal(chmod(place, 0755), 0);
    expect_loaded(copy_path);
}

static void test_links_are_followed_and_judged(void **state)
{
    char links[PATH_MAX + 8], link_path[PATH_MAX + 32];

    (void)state;
    snprintf(links, sizeof links, "%s/links", place);
    snprintf(link_path, sizeof link_path, "%s/link.so", links);
    assert_int_equal(mkdir(links, 0755), 0);
    assert_int_equal(symlink(copy_path, link_path), 0);
    expect_loaded(link_path);
    assert_int_equal(chmod(copy_path, 0666), 0);
    expect_refused(link_path, "", "the file is writable by other users");
    assert_int_equal(chmod(copy_path, 0644), 0);
    assert_int_equal(chmod(links, 0777), 0); /* who may change the link chooses the plugin */
    expect_refused(link_path, "", "the directory is writable by other users");
    expect_loaded(copy_path);
    unlink(link_path);
    rmdir(links);
}

static void test_group_and_owner(void **state)
{
    (void)state;
    assert_int_equal(chmod(copy_path, 0664), 0);
    assert_int_equal(chown(copy_path, (uid_t)-1, getegid()), 0);
    expect_loaded(copy_path); /* the own group, as with a umask of 002 */
    if (geteuid() != 0) {
        assert_int_equal(chmod(copy_path, 0644), 0);
        skip(); /* only root can give files away */
    }
    assert_int_equal(chown(copy_path, (uid_t)-1, 12345), 0);
    expect_refused(copy_path, "", "the file is writable by other users");
    assert_int_equal(setegid(12345), 0);
    expect_loaded(copy_path);
    assert_int_equal(setegid(0), 0);
    assert_int_equal(chmod(copy_path, 0644), 0);
    expect_loaded(copy_path);
    assert_int_equal(chown(copy_path, 12345, 0), 0);
    expect_refused(copy_path, "", "the file belongs to user 12345");
    assert_int_equal(chown(copy_path, 0, 0), 0);
    assert_int_equal(chown(directory_path, 12345, 0), 0);
    expect_refused(copy_path, "", "the directory belongs to user 12345");
    assert_int_equal(chown(directory_path, 0, 0), 0);
}

static void test_a_file_that_is_no_shared_object_is_refused(void **state)
{
    char path[PATH_MAX + 8];
    int fd;

    (void)state;
    snprintf(path, sizeof path, "%s/text.so", place);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "text\n", 5), 5);
    close(fd);
    expect_refused(path, "", "it cannot be loaded");
    unlink(path);
}

/* ---- Descriptors ---- */

static enum rs_verdict handle(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    (void)self, (void)event, (void)batch;
    return RS_DONE;
}

/* A descriptor that is right; a test spoils its own copy. */
struct subject {
    struct rs_column things[4], sums[4];
    uint32_t index_columns[2];
    struct rs_index indexes[2];
    struct rs_table tables[2];
    struct rs_read reads[1];
    struct rs_handler handlers[3];
    struct rs_option options[2];
    struct rs_projection projection;
};

static void make(struct subject *s)
{
    *s = (struct subject){
        .things = {{.id = 0, .name = "id", .type = RS_TEXT, .flags = RS_KEY, .length = 10},
                   {.id = 1, .name = "part", .type = RS_INT, .flags = RS_KEY},
                   {.id = 2, .name = "amount", .type = RS_DECIMAL, .precision = 5, .scale = 2, .flags = RS_NOT_NULL, .fallback = "1"},
                   {.id = 3, .name = "note", .type = RS_JSON, .fallback = " { \"a\" : 1.0 } "}},
        .sums = {{.id = 0, .name = "day", .type = RS_DATE, .flags = RS_KEY},
                 {.id = 1, .name = "hits", .type = RS_INT, .operation = RS_ADD, .flags = RS_NOT_NULL, .fallback = "0"},
                 {.id = 2, .name = "last", .type = RS_TIMESTAMP, .operation = RS_MAX},
                 {.id = 3, .name = "cost", .type = RS_DECIMAL, .precision = 38, .operation = RS_ADD}},
        .index_columns = {2, 0},
        .indexes = {{"by_amount", s->index_columns, 2, sizeof(uint32_t)}, {"by_id", s->index_columns, 1, sizeof(uint32_t)}},
        .tables = {{.id = 0, .name = "things", RS_COLUMNS(s->things), RS_INDEXES(s->indexes)},
                   {.id = 1, .name = "sums", .flags = RS_SHARED, RS_COLUMNS(s->sums)}},
        .reads = {{0, 2, {"$key", "part"}}},
        .handlers = {{"A", handle, 1, 2, RS_READS(s->reads)}, {"A", handle, 3}, {RS_ANY, handle}},
        .options = {{.name = "level", .type = RS_OPTION_INT, .fallback = "3", .min = 1, .max = 5},
                    {.name = "mode", .type = RS_OPTION_CHOICE, .fallback = "slow", .choices = "fast|slow"}},
        .projection = {RS_ABI, .revision = 1, .name = "subject", RS_TABLES(s->tables), RS_HANDLERS(s->handlers), RS_OPTIONS(s->options)},
    };
}

static void refuse(const struct subject *subject, const char *part)
{
    struct projection *projection = NULL;
    struct error error = {0};

    if (descriptor_check(&subject->projection, "subject.so", &projection, &error) == 0)
        fail_msg("taken, instead of: %s", part);
    assert_int_equal(error.class, ERROR_CONFIG);
    assert_null(projection);
    if (strstr(error.text, part) == NULL || strncmp(error.text, "plugin subject.so: ", 19) != 0)
        fail_msg("\"%s\" does not say \"%s\"", error.text, part);
}

/* Spoils one member of a fresh subject and expects the refusal. */
#define REFUSE(part, ...)                                                                                                        \
    do {                                                                                                                         \
        struct subject s;                                                                                                        \
        make(&s);                                                                                                                \
        __VA_ARGS__;                                                                                                             \
        refuse(&s, part);                                                                                                        \
    } while (0)

#define TAKE(...)                                                                                                                \
    do {                                                                                                                         \
        struct subject s;                                                                                                        \
        struct projection *taken = NULL;                                                                                         \
        struct error error = {0};                                                                                                \
        make(&s);                                                                                                                \
        __VA_ARGS__;                                                                                                             \
        if (descriptor_check(&s.projection, "subject.so", &taken, &error) != 0)                                                  \
            fail_msg("%s", error.text);                                                                                          \
        projection_free(taken);                                                                                                  \
    } while (0)

static void test_a_right_descriptor_is_copied(void **state)
{
    struct subject s;
    struct projection *projection = NULL;
    struct error error = {0};

    (void)state;
    make(&s);
    if (descriptor_check(&s.projection, "subject.so", &projection, &error) != 0)
        fail_msg("%s", error.text);
    memset(&s, 0x5a, sizeof s); /* the copy owes nothing to the plugin's memory */
    assert_string_equal(projection->tables[0].name, "things");
    assert_int_equal(projection->tables[0].n_keys, 2);
    assert_int_equal(projection->tables[0].keys[1], 1);
    assert_true(projection->tables[0].columns[2].fallback.as.decimal == 100);
    assert_int_equal(projection->tables[0].columns[3].fallback.size, strlen("{\"a\":1.0}"));
    assert_memory_equal(projection->tables[0].columns[3].fallback.as.data, "{\"a\":1.0}", 9);
    assert_true(projection->tables[1].columns[2].fallback.is_null);
    assert_true(projection->tables[1].columns[0].is_not_null);
    assert_int_equal(projection->tables[0].indexes[0].columns[0], 2);
    assert_string_equal(projection->handlers[0].reads[0].keys[0], "$key");
    assert_string_equal(projection->options[1].choices, "fast|slow");
    projection_free(projection);
}

static void test_elements_may_be_larger(void **state)
{
    struct wide {
        struct rs_column column;
        uint64_t more[3];
    } wide[2] = {{.column = {.id = 0, .name = "id", .type = RS_INT, .flags = RS_KEY}, .more = {1, 2, 3}},
                 {.column = {.id = 1, .name = "n", .type = RS_INT}, .more = {4, 5, 6}}};

    (void)state;
    TAKE(s.tables[0].columns = &wide[0].column; s.tables[0].n_columns = 2; s.tables[0].column_size = sizeof wide[0];
         s.tables[0].n_indexes = 0; s.reads[0].n_keys = 1);
    REFUSE("the element size of tables", s.projection.table_size--);
    REFUSE("the element size of columns", s.tables[0].column_size--);
    REFUSE("the element size of indexes", s.tables[0].index_size--);
    REFUSE("the element size of handlers", s.projection.handler_size--);
    REFUSE("the element size of reads", s.handlers[0].read_size = 0);
    REFUSE("the element size of options", s.projection.option_size--);
}

static void test_the_projection(void **state)
{
    (void)state;
    REFUSE("is not [a-z][a-z0-9_]*", s.projection.name = "Bank");
    REFUSE("is not [a-z][a-z0-9_]*", s.projection.name = NULL);
    REFUSE("of at most 40 bytes", s.projection.name = "a2345678901234567890123456789012345678901");
    REFUSE("revision is 0", s.projection.revision = 0);
    REFUSE("abi_major is 9", s.projection.abi_major = 9);
    REFUSE("abi_minor is 0", s.projection.abi_minor = 0);
    REFUSE("n_tables is 2, but tables is NULL", s.projection.tables = NULL);
    REFUSE("65 tables", s.projection.n_tables = 65);
    REFUSE("has no handlers", s.projection.n_handlers = 0);
    TAKE(s.projection.n_options = 0; s.projection.options = NULL);
    TAKE(s.projection.n_tables = 0; s.projection.tables = NULL; s.handlers[0].n_reads = 0);
}

static void test_tables(void **state)
{
    (void)state;
    REFUSE("the name \"\" of table 0", s.tables[0].name = NULL);
    REFUSE("the name \"1st\" of table 1", s.tables[1].name = "1st");
    REFUSE("table readside_things: names beginning with", s.tables[0].name = "readside_things");
    REFUSE("table things__v2: names beginning with", s.tables[0].name = "things__v2");
    REFUSE("table a__vx__v1: names beginning with", s.tables[0].name = "a__vx__v1");
    REFUSE("table a____v1: names beginning with", s.tables[0].name = "a____v1");
    REFUSE("table sums__v1_by_day: names beginning with readside_ or holding", s.tables[0].name = "sums__v1_by_day"); /* an index of sums */
    REFUSE("table sqlite_things: names beginning with sqlite_ or pg_ are the stores'", s.tables[0].name = "sqlite_things");
    REFUSE("table pg_class: names beginning with sqlite_ or pg_ are the stores'", s.tables[0].name = "pg_class");
    TAKE(s.tables[0].name = "things__vat");
    TAKE(s.tables[0].name = "things_v1");
    TAKE(s.tables[0].name = "sqlite");
    REFUSE("table things: two tables have this name", s.tables[1].name = "things");
    REFUSE("table sums: its id is 0, but it is element 1", s.tables[1].id = 0);
    REFUSE("table sums: its flags are 0x5", s.tables[1].flags = 5);
    REFUSE("table sums: RS_KEY_FOLLOWS is for partitioned", s.tables[1].flags = RS_SHARED | RS_KEY_FOLLOWS);
    REFUSE("table things: it has no columns", s.tables[0].n_columns = 0);
    REFUSE("things: n_columns is 4, but columns is NULL", s.tables[0].columns = NULL);
    REFUSE("things: 129 columns; 128 at most", s.tables[0].n_columns = 129);
    REFUSE("table things: no column is RS_KEY", s.things[0].flags = s.things[1].flags = 0);
    REFUSE("table things: every column is RS_KEY", s.tables[0].n_columns = 2);
}

static void test_columns(void **state)
{
    static const char *const system_columns[] = {"xmin", "xmax", "cmin", "cmax", "ctid", "tableoid", "db_row_id", "db_trx_id",
                                                 "db_roll_ptr", "fts_doc_id"};

    (void)state;
    REFUSE("table things: the name \"Note\" of column 3", s.things[3].name = "Note");
    REFUSE("table things: the name \"\" of column 3", s.things[3].name = NULL);
    REFUSE("column readside_x: names beginning", s.things[3].name = "readside_x");
    for (size_t i = 0; i < sizeof system_columns / sizeof system_columns[0]; i++)
        REFUSE("a store has a column of its own by this name", s.things[3].name = system_columns[i]);
    TAKE(s.things[3].name = "xmin_");
    TAKE(s.things[3].name = "oid");
    REFUSE("table things, column id: two columns have this name", s.things[3].name = "id");
    REFUSE("column note: its id is 1", s.things[3].id = 1);
    REFUSE("column note: its type is 0", s.things[3].type = 0);
    REFUSE("column note: its type is 11", s.things[3].type = 11);
    REFUSE("column note: its flags are 0x4", s.things[3].flags = 4);
    REFUSE("column note: a reserved member", s.things[3].reserved = 1);
    REFUSE("column amount: a decimal of precision 0", s.things[2].precision = 0);
    REFUSE("column amount: a decimal of precision 39", s.things[2].precision = 39);
    REFUSE("column amount: scale 6 is more than precision 5", s.things[2].scale = 6);
    REFUSE("column part: precision and scale are for RS_DECIMAL", s.things[1].scale = 2);
    REFUSE("column part: length is for", s.things[1].length = 2);
    REFUSE("column id: json and real cannot be keys", s.things[0].type = RS_REAL; s.things[0].length = 0);
    REFUSE("column id: a key column has no fallback", s.things[0].fallback = "");
    REFUSE("column day: a key column has no operation", s.sums[0].operation = RS_MAX);
    TAKE(s.things[0].flags = RS_KEY | RS_NOT_NULL);
}

static void test_operations(void **state)
{
    (void)state;
    REFUSE("column amount: only columns of shared tables declare", s.things[2].operation = RS_ADD);
    REFUSE("column hits: each column of a shared table", s.sums[1].operation = 0);
    REFUSE("column hits: each column of a shared table", s.sums[1].operation = 4);
    REFUSE("column last: only integers and decimals can be added", s.sums[2].operation = RS_ADD);
    REFUSE("column last: bool and json have no greatest", s.sums[2].type = RS_BOOL);
    REFUSE("column last: bool and json have no greatest", s.sums[2].type = RS_JSON; s.sums[2].operation = RS_MIN);
    REFUSE("column last: a column kept at max or min starts from null", s.sums[2].fallback = "1970-01-01T00:00:00Z");
    REFUSE("column last: RS_NOT_NULL without a fallback", s.sums[2].flags = RS_NOT_NULL);
    REFUSE("column hits: a column that is added to has the fallback 0 or none, not \"1\"", s.sums[1].fallback = "1");
    TAKE(s.sums[1].flags = 0; s.sums[1].fallback = NULL);
    TAKE(s.sums[3].fallback = "0");
    TAKE(s.sums[2].type = RS_REAL);
}

static void take_fallback(uint32_t type, const char *fallback)
{
    TAKE(s.things[3].type = type; s.things[3].fallback = fallback; s.things[3].precision = type == RS_DECIMAL ? 4 : 0);
}

static void refuse_fallback(uint32_t type, const char *fallback)
{
    REFUSE("table things, column note: its fallback", s.things[3].type = type; s.things[3].fallback = fallback;
           s.things[3].precision = type == RS_DECIMAL ? 4 : 0);
}

static void test_fallbacks(void **state)
{
    static const struct {
        uint32_t type;
        const char *right, *wrong;
    } fallbacks[] = {
        {RS_INT, "-5", "5.0"},          {RS_REAL, "1.5", "one"},
        {RS_DECIMAL, "9999", "10000"},  {RS_DECIMAL, "1", "0.5"},
        {RS_TEXT, "", "\xff"},          {RS_BOOL, "true", "yes"},
        {RS_BYTES, "AP8=", "AP8"},      {RS_JSON, "[1,2]", "[1,2"},
        {RS_DATE, "2026-02-28", "2026-02-29"}, {RS_TIMESTAMP, "2026-11-23T04:00:00Z", "2026-11-23 04:00"},
        {RS_UUID, "01234567-89ab-cdef-0123-456789abcdef", "0123"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof fallbacks / sizeof fallbacks[0]; i++) {
        take_fallback(fallbacks[i].type, fallbacks[i].right);
        refuse_fallback(fallbacks[i].type, fallbacks[i].wrong);
    }
    REFUSE("column note: its fallback does not fit it", s.things[3].type = RS_TEXT; s.things[3].length = 2; s.things[3].fallback = "abc");
}

static void test_indexes(void **state)
{
    (void)state;
    REFUSE("the name \"By\" of index 0", s.indexes[0].name = "By");
    REFUSE("two indexes are called by_id", s.indexes[0].name = "by_id");
    REFUSE("index by_amount names 0 columns", s.indexes[0].n_columns = 0);
    REFUSE("index by_amount names 0 columns", s.indexes[0].columns = NULL);
    REFUSE("index by_amount: column_size is 8", s.indexes[0].column_size = 8);
    REFUSE("index by_amount names column 4, the table has 4", s.index_columns[0] = 4);
    REFUSE("index by_amount names column amount twice", s.index_columns[1] = 2);
    REFUSE("index by_amount names column note, and json has no order", s.index_columns[1] = 3);
    REFUSE("index pkey: PostgreSQL calls the one of the primary key so", s.indexes[0].name = "pkey");
    REFUSE("things: 17 indexes", s.tables[0].n_indexes = 17);
}

static void test_handlers(void **state)
{
    (void)state;
    REFUSE("the type of handler 0 is NULL", s.handlers[0].type = NULL);
    REFUSE("the type of handler 0 is NULL, longer than 255 bytes or not UTF-8", s.handlers[0].type = "\xff");
    REFUSE("the function of handler A is NULL", s.handlers[1].function = NULL);
    REFUSE("handler A takes versions 3 to 2: swap", s.handlers[1].max_version = 2);
    REFUSE("handler 1 of type A never runs: handler 0 takes all its versions", s.handlers[1] = s.handlers[0]);
    REFUSE("handler 1 of type A never runs", s.handlers[0].min_version = s.handlers[0].max_version = 0);
    TAKE(s.handlers[1].min_version = s.handlers[1].max_version = 0); /* what handler 0 leaves */
    REFUSE("handler A reads table 2; the projection has 2", s.reads[0].table = 2);
    REFUSE("handler A reads table sums, which is shared", s.reads[0].table = 1; s.reads[0].n_keys = 1);
    REFUSE("handler A reads table things by 1 keys; it has 2", s.reads[0].n_keys = 1);
    REFUSE("the path of key column part is NULL", s.reads[0].keys[1] = NULL);
    REFUSE("A: n_reads is 1, but reads is NULL", s.handlers[0].reads = NULL);
    REFUSE("A: 4000000000 reads", s.handlers[0].n_reads = 4000000000U);
}

static void test_options(void **state)
{
    (void)state;
    REFUSE("the name \"\" of option 0", s.options[0].name = NULL);
    REFUSE("two options are called mode", s.options[0].name = "mode");
    REFUSE("option level: its type is 8", s.options[0].type = 8);
    REFUSE("option level: its flags are 0x4", s.options[0].flags = 4);
    REFUSE("option mode: min and max are for numbers", s.options[1].max = 1);
    REFUSE("option level: min is more than max", s.options[0].min = 6);
    REFUSE("option level: choices are for", s.options[0].choices = "a");
    REFUSE("option mode: choices are missing", s.options[1].choices = NULL);
    REFUSE("option mode: one of the choices", s.options[1].choices = "fast||slow");
    REFUSE("option level: RS_REQUIRED with a fallback", s.options[0].flags = RS_REQUIRED);
    REFUSE("option level: neither a fallback nor RS_REQUIRED", s.options[0].fallback = NULL);
    REFUSE("option level: its fallback: \"6\" is not within 1 and 5", s.options[0].fallback = "6");
    REFUSE("option mode: its fallback: \"middling\" is none of fast|slow", s.options[1].fallback = "middling");
    TAKE(s.options[0].flags = RS_REQUIRED; s.options[0].fallback = NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plugin_is_loaded_by_path_and_by_name),
        cmocka_unit_test(test_a_search_path_too_long_for_a_file_name),
        cmocka_unit_test(test_what_is_not_there_is_said_with_where_it_was_looked_for),
        cmocka_unit_test(test_bad_plugins_are_refused_with_the_reason),
        cmocka_unit_test(test_files_that_others_can_change_are_refused),
        cmocka_unit_test(test_links_are_followed_and_judged),
        cmocka_unit_test(test_group_and_owner),
        cmocka_unit_test(test_a_file_that_is_no_shared_object_is_refused),
        cmocka_unit_test(test_a_right_descriptor_is_copied),
        cmocka_unit_test(test_elements_may_be_larger),
        cmocka_unit_test(test_the_projection),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_fallbacks),
        cmocka_unit_test(test_indexes),
        cmocka_unit_test(test_handlers),
        cmocka_unit_test(test_options),
    };

    return cmocka_run_group_tests(tests, make_place, remove_place);
}
