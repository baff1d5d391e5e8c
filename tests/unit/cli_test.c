/*
 * The command line: the table of commands, parsing by it, the manual page beside it, columns and JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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

        assert_ptr_equal(cli_find(command->name), command); /* no name twice */
        assert_non_null(command->arguments);
        assert_true(strlen(command->summary) > 10);
        assert_int_not_equal(command->summary[strlen(command->summary) - 1], '.');
        assert_non_null(command->run);
        assert_true(command->n_options <= CLI_MAX_OPTIONS);
        assert_true(command->min_words <= command->max_words);
        for (unsigned j = 0; j < command->n_options; j++)
            assert_non_null(command->options[j].summary);
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
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_words_and_options_in_any_order),
        cmocka_unit_test(test_columns_are_aligned),
        cmocka_unit_test(test_json_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
