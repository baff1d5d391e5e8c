/*
 * The command line: the table of commands, parsing by it, the manual page beside it, columns and JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/halt.h"

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/print.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What goes to a stream while a function runs. */
static char captured[16384];

static FILE *capture_begin(int fd, int *ret_saved)
{
    FILE *file = tmpfile();

    fflush(NULL);
    assert_non_null(file);
    *ret_saved = dup(fd);
    dup2(fileno(file), fd);
    return file;
}

static void capture_end(FILE *file, int fd, int saved)
{
    size_t n;

    fflush(NULL);
    dup2(saved, fd);
    close(saved);
    rewind(file);
    n = fread(captured, 1, sizeof captured - 1, file);
    captured[n] = '\0';
    fclose(file);
}

static int run(int fd, int argc, char **argv)
{
    int saved, exit_code;
    FILE *file = capture_begin(fd, &saved);

    exit_code = cli_main(argc, argv);
    capture_end(file, fd, saved);
    return exit_code;
}

#define RUN(fd, ...) run(fd, (int)(sizeof((char *[]){"readside", __VA_ARGS__}) / sizeof(char *)), (char *[]){"readside", __VA_ARGS__, NULL})

/* ---- The table ---- */

static void test_every_command_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const struct cli_command *command = cli_commands[i];
        unsigned n_repeatable = 0;

        assert_ptr_equal(cli_find(command->name), command); /* no name twice */
        assert_non_null(command->arguments);
        assert_true(strlen(command->summary) > 10);
        assert_int_not_equal(command->summary[strlen(command->summary) - 1], '.');
        assert_non_null(command->run);
        assert_true(command->n_options <= CLI_MAX_OPTIONS);
        assert_true(command->min_words <= command->max_words);
        for (unsigned j = 0; j < command->n_options; j++) {
            assert_non_null(command->options[j].summary);
            n_repeatable += command->options[j].is_repeatable;
            assert_true(!command->options[j].is_repeatable || command->options[j].argument != NULL);
        }
        assert_true(n_repeatable <= 1);
    }
    assert_null(cli_find("nonsense"));
}

static char manual[1 << 18];

static void read_manual(void)
{
    const char *source = getenv("READSIDE_SOURCE");
    char path[4096];
    FILE *file;

    snprintf(path, sizeof path, "%s/docs/readside.1", source != NULL ? source : ".");
    file = fopen(path, "r");
    if (file == NULL)
        fail_msg("cannot open %s", path);
    assert_true(fread(manual, 1, sizeof manual - 1, file) > 0);
    fclose(file);
}

/* Where the section ends: at the next heading of either kind. */
static const char *section_end(const char *section)
{
    const char *sub = strstr(section + 1, "\n.Ss "), *next = strstr(section + 1, "\n.Sh ");

    return sub != NULL && sub < next ? sub : next;
}

/* Each command has a section ".Ss NAME" which names each of its options as ".It Fl -NAME". */
static void test_the_manual_names_every_command_and_option(void **state)
{
    (void)state;
    read_manual();
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        char wanted[128];
        const char *section, *end;

        if (cli_commands[i]->is_hidden)
            continue;
        snprintf(wanted, sizeof wanted, "\n.Ss %s\n", cli_commands[i]->name);
        section = strstr(manual, wanted);
        if (section == NULL)
            fail_msg("docs/readside.1 has no section \".Ss %s\"", cli_commands[i]->name);
        end = section_end(section);
        assert_non_null(end);
        for (unsigned j = 0; j < cli_commands[i]->n_options; j++) {
            const char *found;

            snprintf(wanted, sizeof wanted, "\n.It Fl -%s", cli_commands[i]->options[j].name);
            found = strstr(section, wanted);
            if (found == NULL || found > end)
                fail_msg("docs/readside.1, section %s, does not name --%s", cli_commands[i]->name, cli_commands[i]->options[j].name);
        }
    }
}

static void test_help(void **state)
{
    (void)state;
    assert_int_equal(RUN(STDOUT_FILENO, "help"), 0);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        char wanted[64];

        snprintf(wanted, sizeof wanted, "\n  %s ", cli_commands[i]->name);
        assert_int_equal(strstr(captured, wanted) != NULL, !cli_commands[i]->is_hidden);
    }
    assert_int_equal(RUN(STDOUT_FILENO, "--help"), 0);
    assert_int_equal(RUN(STDOUT_FILENO, "status", "--help"), 0);
    assert_non_null(strstr(captured, "usage: readside status"));
    assert_non_null(strstr(captured, "--json"));
    assert_int_equal(RUN(STDOUT_FILENO, "help", "run"), 0);
    assert_non_null(strstr(captured, "--until-end"));
    assert_int_equal(RUN(STDERR_FILENO, "help", "nonsense"), 64);
}

/* ---- Mistakes ---- */

static void test_mistakes_name_the_way_out(void **state)
{
    (void)state;
    assert_int_equal(RUN(STDERR_FILENO, "stauts"), 64);
    assert_non_null(strstr(captured, "did you mean `status'?"));
    assert_int_equal(RUN(STDERR_FILENO, "frobnicate"), 64);
    assert_non_null(strstr(captured, "`readside help' lists them"));
    assert_int_equal(RUN(STDERR_FILENO, "status", "--jsn", "x.conf"), 64);
    assert_non_null(strstr(captured, "unknown option --jsn; did you mean --json?"));
    assert_non_null(strstr(captured, "`readside help status' says more"));
    assert_int_equal(RUN(STDERR_FILENO, "status", "-x", "x.conf"), 64);
    assert_non_null(strstr(captured, "unknown option -x"));
    assert_int_equal(RUN(STDERR_FILENO, "status"), 64);
    assert_non_null(strstr(captured, "an argument is missing"));
    assert_int_equal(RUN(STDERR_FILENO, "status", "a", "b", "c"), 64);
    assert_non_null(strstr(captured, "`c' is one argument too many"));
    assert_int_equal(RUN(STDERR_FILENO, "positions", "a", "b", "skip", "t", "0", "--to"), 64);
    assert_non_null(strstr(captured, "--to needs a value"));
    assert_int_equal(RUN(STDERR_FILENO, "status", "--json=yes", "x.conf"), 64);
    assert_int_equal(RUN(STDERR_FILENO, "positions", "a", "b", "skip", "t", "0", "--to", "1", "--to", "2"), 64);
    assert_non_null(strstr(captured, "--to is given twice"));
    assert_int_equal(RUN(STDERR_FILENO, "test-plugin", "--optoin", "a=b", "x.so", "x.jsonl"), 64);
    assert_non_null(strstr(captured, "did you mean --option?"));
    assert_int_equal(RUN(STDERR_FILENO, "test-plugin", "--option", "a", "x.so", "x.jsonl"), 64);
    assert_non_null(strstr(captured, "an option is NAME=VALUE, not a"));
}

static void test_positions_says_what_it_wants(void **state)
{
    (void)state;
    assert_int_equal(RUN(STDERR_FILENO, "positions", "c", "p", "jump", "t", "0"), 64);
    assert_non_null(strstr(captured, "neither skip nor set"));
    assert_int_equal(RUN(STDERR_FILENO, "positions", "c", "p", "skip", "t", "0", "--count", "1", "--accept-loss"), 64);
    assert_non_null(strstr(captured, "--reason"));
    assert_int_equal(RUN(STDERR_FILENO, "positions", "c", "p", "skip", "t", "0", "--reason", "r", "--accept-loss"), 64);
    assert_non_null(strstr(captured, "either --to OFFSET or --count NUMBER"));
    assert_int_equal(RUN(STDERR_FILENO, "positions", "c", "p", "skip", "t", "0", "--count", "0", "--reason", "r"), 64);
    assert_int_equal(RUN(STDERR_FILENO, "positions", "c", "p", "skip", "t", "x", "--count", "1", "--reason", "r"), 64);
    assert_non_null(strstr(captured, "`x' is no partition"));
    assert_int_equal(RUN(STDERR_FILENO, "positions", "c", "p", "set", "t", "0", "--reason", "r"), 64);
    assert_int_equal(RUN(STDERR_FILENO, "positions", "c", "p", "set", "t", "0", "1e3", "--reason", "r"), 64);
    assert_int_equal(RUN(STDERR_FILENO, "resume", "c", "p", "t"), 64);
    assert_int_equal(RUN(STDERR_FILENO, "config"), 64);
    assert_int_equal(RUN(STDERR_FILENO, "config", "--sample", "x"), 64);
    assert_int_equal(RUN(STDERR_FILENO, "task"), 64);
}

static void test_a_missing_config_is_named(void **state)
{
    (void)state;
    assert_int_equal(RUN(STDERR_FILENO, "run", "/nonexistent/x.conf"), 78);
    assert_non_null(strstr(captured, "/nonexistent/x.conf"));
    assert_int_equal(RUN(STDERR_FILENO, "status", "/nonexistent/x.conf"), 78);
    assert_int_equal(RUN(STDERR_FILENO, "check", "/nonexistent/x.conf"), 78);
}

static void write_config(const char *path, const char *uri)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fprintf(file,
            "worker = { plugin_path = \"%s/plugins\"; };\n"
            "kafka = { bootstrap_servers = \"localhost:1\"; };\n"
            "stores = { main = { kind = \"postgresql\"; uri = \"%s\"; }; };\n"
            "pipelines = { p = { topics = [ \"t\" ]; plugin = \"null\"; }; };\n",
            getenv("READSIDE_BUILD"), uri);
    fclose(file);
}

/* Of the stores, too, as far as their settings and this build say it. */
static void test_check_offline(void **state)
{
    char path[] = "/tmp/readside-cli-XXXXXX";
    int file = mkstemp(path);

    (void)state;
    assert_true(file >= 0);
    close(file);
    write_config(path, "postgresql://db.example/views?sslmode=require");
    assert_int_equal(RUN(STDOUT_FILENO, "check", "--offline", path), 78);
    assert_non_null(strstr(captured, "ok     pipeline p, plugin: null"));
    assert_non_null(strstr(captured, "wrong  pipeline p, store main: "));
    write_config(path, "postgresql://localhost:1/views");
#ifdef HAVE_POSTGRESQL
    assert_int_equal(RUN(STDOUT_FILENO, "check", "--offline", path), 0);
    assert_non_null(strstr(captured, "ok     pipeline p, store main: postgresql"));
#else
    assert_int_equal(RUN(STDOUT_FILENO, "check", "--offline", path), 78);
    assert_non_null(strstr(captured, "no driver for a store of kind \"postgresql\"; this build has: "));
#endif
    unlink(path);
}

static void write_options(const char *path, const char *plugin, const char *options)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fprintf(file,
            "worker = { plugin_path = \"%s/tests/plugins\"; };\n"
            "kafka = { bootstrap_servers = \"localhost:1\"; };\n"
            "stores = { main = { kind = \"sqlite\"; uri = \"rows.db\"; }; };\n"
            "pipelines = { p = { topics = [ \"t\" ]; plugin = \"%s\"; options = { %s }; }; };\n",
            getenv("READSIDE_BUILD"), plugin, options);
    fclose(file);
}

static void expect_options(char *path, const char *plugin, const char *options, const char *shown)
{
    write_options(path, plugin, options);
    RUN(STDOUT_FILENO, "config", path);
    assert_non_null(strstr(captured, shown));
    assert_null(strstr(captured, "40175"));
    RUN(STDOUT_FILENO, "check", "--offline", "--dump", path);
    assert_non_null(strstr(captured, shown));
    assert_null(strstr(captured, "40175"));
}

/* Shown is what the plugin declares and does not call a secret; a literal secret is refused, but not before the dump. */
static void test_dumps_hide_what_the_plugin_calls_secret(void **state)
{
    char path[] = "/tmp/readside-cli-XXXXXX";
    int file = mkstemp(path);

    (void)state;
    assert_true(file >= 0);
    close(file);
    expect_options(path, "naughty", "on_open = \"nothing\"; pin = 40175; pni = 40175;",
                   "options = { on_open = \"nothing\"; pin = \"(hidden)\"; pni = \"(hidden)\"; }");
    expect_options(path, "naughty", "on_open = \"nothing\"; pin = \"env:PIN\";",
                   "options = { on_open = \"nothing\"; pin = \"env:PIN\"; }");
    expect_options(path, "not_there", "on_open = \"nothing\"; pin = 40175; other = \"file:pin\";",
                   "options = { on_open = \"(hidden)\"; pin = \"(hidden)\"; other = \"file:pin\"; }");
    unlink(path);
}

static void test_version(void **state)
{
    (void)state;
    assert_int_equal(RUN(STDOUT_FILENO, "version"), 0);
    assert_non_null(strstr(captured, "readside "));
    assert_non_null(strstr(captured, "sqlite"));
    assert_int_equal(RUN(STDOUT_FILENO, "--version"), 0);
    assert_non_null(strstr(captured, "plugin ABI"));
}

static void test_words_and_options_in_any_order(void **state)
{
    char *argv[] = {"status", "a.conf", "--json", "accounts", NULL};
    struct cli_arguments arguments;
    int exit_code;

    (void)state;
    assert_true(cli_parse(cli_find("status"), 4, argv, &arguments, &exit_code));
    assert_int_equal(arguments.n_words, 2);
    assert_string_equal(arguments.words[0], "a.conf");
    assert_string_equal(arguments.words[1], "accounts");
    assert_string_equal(cli_value(cli_find("status"), &arguments, "json"), "");
    assert_null(cli_value(cli_find("status"), &arguments, "nonsense"));
}

static void test_an_option_given_again_and_again(void **state)
{
    char *argv[2 * (CLI_MAX_REPEATS + 1) + 4] = {"test-plugin", "--option", "a=1", "x.so", "--option=b=2", "x.jsonl"};
    struct cli_arguments arguments;
    int saved, exit_code, argc = 6;
    FILE *file;

    (void)state;
    assert_true(cli_parse(cli_find("test-plugin"), argc, argv, &arguments, &exit_code));
    assert_int_equal(arguments.n_words, 2);
    assert_int_equal(arguments.n_repeats, 2);
    assert_string_equal(arguments.repeats[0], "a=1");
    assert_string_equal(arguments.repeats[1], "b=2");
    for (int i = 2; i <= CLI_MAX_REPEATS; i++) {
        argv[argc++] = "--option";
        argv[argc++] = "c=3";
    }
    file = capture_begin(STDERR_FILENO, &saved);
    assert_false(cli_parse(cli_find("test-plugin"), argc, argv, &arguments, &exit_code));
    capture_end(file, STDERR_FILENO, saved);
    assert_int_equal(exit_code, 64);
    assert_non_null(strstr(captured, "more than 64 times --option"));
}

/* ---- Status ---- */

/* The lines that status prints for a halt at offset 5 of a topic that holds 3 to 9. */
static void ways_out(const char *kind, int64_t low, int64_t high, bool is_same_topic, bool has_facts)
{
    const struct config config = {.path = "c.conf"};
    const struct config_pipeline pipeline = {.name = "bank"};
    const struct context context = {.config = (struct config *)&config, .pipeline = &pipeline};
    const struct store_position position = {.topic = "t", .partition = 2, .is_halted = true, .halt_kind = kind, .halt_reason = "",
                                            .cluster_id = "c", .topic_id = {1}, .next_offset = 5};
    struct view_row row = {.position = &position, .has_facts = has_facts,
                           .facts = {.topic_id = {is_same_topic ? 1 : 2}, .low = low, .high = high}};
    const struct view view = {.rows = &row, .n = 1, .cluster_id = has_facts ? "c" : NULL};
    int saved;
    FILE *file = capture_begin(STDOUT_FILENO, &saved);

    halt_print_ways(&context, &view, &row);
    capture_end(file, STDOUT_FILENO, saved);
    assert_non_null(strstr(captured, "readside resume c.conf bank t 2\n"));
}

static void test_each_halt_has_its_ways_out(void **state)
{
    static const char *const of_an_event[] = {"poison", "unhandled", "partition", "corrupt"};

    (void)state;
    for (size_t i = 0; i < sizeof of_an_event / sizeof of_an_event[0]; i++) {
        ways_out(of_an_event[i], 3, 9, true, true);
        assert_non_null(strstr(captured, "readside positions c.conf bank skip t 2 --count 1 --accept-loss --reason TEXT\n"));
    }
    ways_out("gap", 3, 9, true, true);
    assert_non_null(strstr(captured, "readside positions c.conf bank skip t 2 --to OFFSET --accept-loss --reason TEXT\n"));
    ways_out("range", 7, 9, true, true); /* retention was quicker */
    assert_non_null(strstr(captured, "readside positions c.conf bank set t 2 7 --accept-loss --reason TEXT\n"));
    ways_out("range", 0, 4, true, true); /* the log was cut */
    assert_non_null(strstr(captured, "readside positions c.conf bank set t 2 4 --accept-duplicates --reason TEXT\n"));
    ways_out("range", 0, 0, false, false);
    assert_non_null(strstr(captured, "set t 2 OFFSET --accept-loss|--accept-duplicates --reason TEXT\n"));
    ways_out("identity", 0, 9, false, true); /* created again, with other events */
    assert_non_null(strstr(captured, "readside positions c.conf bank set t 2 0 --accept-duplicates --reason TEXT\n"));
    ways_out("identity", 5, 5, false, true);
    assert_non_null(strstr(captured, "readside positions c.conf bank set t 2 5 --reason TEXT\n"));
    ways_out("operator", 3, 9, true, true);
    assert_null(strstr(captured, "positions"));
}

/* Where another topic has taken the name, what lies before an offset was never applied. */
static void test_what_a_move_costs(void **state)
{
    const struct store_position position = {.cluster_id = "c", .topic_id = {1}, .next_offset = 5};
    struct view_row row = {.position = &position, .has_facts = true, .facts = {.topic_id = {1}, .low = 3, .high = 9}};
    struct view view = {.rows = &row, .n = 1, .cluster_id = "c"};

    (void)state;
    assert_true(view_fits(&view, &row));
    assert_false(view_loses(&view, &row, 5));
    assert_true(view_loses(&view, &row, 6));
    assert_true(view_repeats(&row, 4));
    assert_false(view_repeats(&row, 5));
    row.facts.topic_id[0] = 0; /* a broker that knows no ids */
    assert_true(view_fits(&view, &row));
    row.facts.topic_id[0] = 2;
    assert_false(view_fits(&view, &row));
    assert_true(view_loses(&view, &row, 5));
    assert_false(view_loses(&view, &row, 3));
    row.facts.topic_id[0] = 1;
    view.cluster_id = "another";
    assert_false(view_fits(&view, &row));
}

static const char two_stores[] = "kafka = { bootstrap_servers = \"embedded\"; };\n"
                                 "stores = { bad = { kind = \"sqlite\"; uri = \"%1$s\"; };\n"
                                 "           good = { kind = \"sqlite\"; uri = \"%1$s/views.db\"; }; };\n"
                                 "pipelines = { first = { topics = [ \"t\" ]; plugin = \"bank\"; store = \"bad\"; };\n"
                                 "              second = { topics = [ \"t\" ]; plugin = \"bank\"; store = \"good\"; }; };\n";

static void test_a_store_that_is_down_hides_no_other(void **state)
{
    char folder[] = "/tmp/readside-cli-XXXXXX", config[64], views[64];
    FILE *file;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(config, sizeof config, "%s/readside.conf", folder);
    snprintf(views, sizeof views, "%s/views.db", folder);
    file = fopen(config, "w");
    assert_non_null(file);
    fprintf(file, two_stores, folder);
    fclose(file);
    assert_int_equal(RUN(STDOUT_FILENO, "status", "--json", config), 78);
    assert_non_null(strstr(captured, "{\"pipelines\":[{\"name\":\"first\""));
    assert_non_null(strstr(captured, "\"positions\":[],\"halted\":null,\"lag\":null,\"lag_seconds\":null"));
    assert_non_null(strstr(captured, "\"error\":\"store bad: "));
    assert_non_null(strstr(captured, "{\"name\":\"second\""));
    assert_non_null(strstr(captured, "\"positions\":[],\"halted\":0,\"lag\":0,"));
    assert_non_null(strstr(captured, "\"error\":null}]}"));
    assert_int_equal(RUN(STDOUT_FILENO, "status", config), 78);
    assert_non_null(strstr(captured, "its positions cannot be read: store bad: "));
    assert_non_null(strstr(captured, "no positions yet"));
    assert_int_equal(RUN(STDOUT_FILENO, "positions", config, "second"), 0);
    assert_int_equal(RUN(STDOUT_FILENO, "resume", config, "second"), 0);
    assert_int_equal(access(views, F_OK), -1); /* a look makes no file */
    unlink(config);
    assert_int_equal(rmdir(folder), 0);
}

/* ---- Output ---- */

static void test_columns_are_aligned(void **state)
{
    struct columns columns = {.n_columns = 3, .is_right = {[1] = true}};
    int saved;
    FILE *file;

    (void)state;
    columns_put(&columns, "TOPIC");
    columns_put(&columns, "N");
    columns_put(&columns, "STATE");
    columns_put(&columns, "straße");
    columns_put_number(&columns, 12345);
    columns_put(&columns, NULL);
    file = capture_begin(STDOUT_FILENO, &saved);
    columns_print(&columns);
    capture_end(file, STDOUT_FILENO, saved);
    assert_string_equal(captured, "TOPIC       N  STATE\nstraße  12345  -\n");
}

static void test_json_text(void **state)
{
    struct buffer json = BUFFER_INIT;

    (void)state;
    json_put_text(&json, "a\"b\\c\nd\x01 \xc3\xa9 \xff");
    json_put_text(&json, NULL);
    json_put_text(&json, "");
    assert_string_equal(json.data, "\"a\\\"b\\\\c\\u000ad\\u0001 \xc3\xa9 \xef\xbf\xbd\"null\"\"");
    buffer_free(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_command_is_whole),
        cmocka_unit_test(test_the_manual_names_every_command_and_option),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_mistakes_name_the_way_out),
        cmocka_unit_test(test_positions_says_what_it_wants),
        cmocka_unit_test(test_a_missing_config_is_named),
        cmocka_unit_test(test_check_offline),
        cmocka_unit_test(test_dumps_hide_what_the_plugin_calls_secret),
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_words_and_options_in_any_order),
        cmocka_unit_test(test_an_option_given_again_and_again),
        cmocka_unit_test(test_each_halt_has_its_ways_out),
        cmocka_unit_test(test_what_a_move_costs),
        cmocka_unit_test(test_a_store_that_is_down_hides_no_other),
        cmocka_unit_test(test_columns_are_aligned),
        cmocka_unit_test(test_json_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
