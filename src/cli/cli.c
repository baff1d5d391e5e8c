/*
 * cli - see cli.h: dispatch, parsing and complaints. In the process of the command, before anything else runs.
 */
#include "cli/cli.h"

#include "base/text.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct cli_command *const cli_commands[] = {
    &cli_command_run,       &cli_command_check,  &cli_command_config, &cli_command_plugins,     &cli_command_schema,
    &cli_command_status,    &cli_command_positions, &cli_command_resume, &cli_command_reset,    &cli_command_test_plugin,
    &cli_command_task,      &cli_command_version,   &cli_command_help,   NULL,
};

const struct cli_command *cli_find(const char *name)
{
    for (size_t i = 0; cli_commands[i] != NULL; i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    return NULL;
}

/* ---- Complaints ---- */

static void PRINTF_LIKE(1, 0) complain(const char *format, va_list arguments)
{
    fflush(stdout); /* what was said before comes before */
    fputs("readside: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void cli_complain(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
}

int cli_fail(const struct error *failure)
{
    cli_complain("%s", failure->text);
    return exit_code_of(failure->class);
}

int cli_misuse(const struct cli_command *command, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
    fprintf(stderr, "usage: readside %s %s\n`readside help %s' says more.\n", command->name, command->arguments, command->name);
    return EXIT_CODE_USAGE;
}

/* ---- Parsing ---- */

/* A name so near that it may be meant; NULL: none. */
static const char *nearest(const char *word, const char *(*name_at)(const void *table, size_t i), const void *table)
{
    const char *found = NULL;
    unsigned best = strlen(word) < 4 ? 2 : 3;

    for (size_t i = 0; name_at(table, i) != NULL; i++) {
        unsigned distance = text_distance(word, name_at(table, i));

        if (distance < best) {
            best = distance;
            found = name_at(table, i);
        }
    }
    return found;
}

static const char *option_name(const void *table, size_t i)
{
    const struct cli_command *command = table;

    return i < command->n_options ? command->options[i].name : NULL;
}

static const char *command_name(const void *table, size_t i)
{
    (void)table;
    return cli_commands[i] != NULL ? cli_commands[i]->name : NULL;
}

static int unknown_option(const struct cli_command *command, const char *word)
{
    char name[64];
    const char *meant;

    snprintf(name, sizeof name, "%.*s", (int)strcspn(word + strspn(word, "-"), "="), word + strspn(word, "-"));
    meant = nearest(name, option_name, command);
    if (meant != NULL)
        return cli_misuse(command, "%s: unknown option %s; did you mean --%s?", command->name, word, meant);
    return cli_misuse(command, "%s: unknown option %s", command->name, word);
}

static int check_words(const struct cli_command *command, const struct cli_arguments *arguments)
{
    if (arguments->n_words < command->min_words)
        return cli_misuse(command, "%s: an argument is missing", command->name);
    if (arguments->n_words > command->max_words)
        return cli_misuse(command, "%s: `%s' is one argument too many", command->name, arguments->words[command->max_words]);
    return EXIT_CODE_OK;
}

/* getopt's answer for one option; anything but EXIT_CODE_OK ends the command. */
static int take_option(const struct cli_command *command, int found, char **argv, struct cli_arguments *arguments)
{
    const struct cli_option *option;

    if (found == ':')
        return cli_misuse(command, "%s: %s needs a value", command->name, argv[optind - 1]);
    if (found == '?' || found == 0)
        return unknown_option(command, argv[optind - 1]);
    option = &command->options[found - 1000];
    if (option->is_repeatable && arguments->n_repeats == CLI_MAX_REPEATS)
        return cli_misuse(command, "%s: more than %d times --%s", command->name, CLI_MAX_REPEATS, option->name);
    if (option->is_repeatable)
        arguments->repeats[arguments->n_repeats++] = optarg;
    else if (optarg != NULL && arguments->values[found - 1000] != NULL)
        return cli_misuse(command, "%s: --%s is given twice", command->name, option->name);
    arguments->values[found - 1000] = optarg != NULL ? optarg : "";
    return EXIT_CODE_OK;
}

bool cli_parse(const struct cli_command *command, int argc, char **argv, struct cli_arguments *ret_arguments, int *ret_exit)
{
    struct option options[CLI_MAX_OPTIONS + 2] = {{0}};
    struct cli_arguments arguments = {0};
    int found;

    for (unsigned i = 0; i < command->n_options; i++)
        options[i] = (struct option){.name = command->options[i].name,
                                     .has_arg = command->options[i].argument != NULL ? required_argument : no_argument,
                                     .val = 1000 + (int)i};
    options[command->n_options] = (struct option){.name = "help", .val = 'h'};
    opterr = 0;
    optind = 0; /* start anew, also after an earlier parse */
    *ret_exit = EXIT_CODE_OK;
    while ((found = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (found == 'h') {
            cli_print_help(command);
            return false;
        }
        *ret_exit = take_option(command, found, argv, &arguments);
        if (*ret_exit != EXIT_CODE_OK)
            return false;
    }
    arguments.words = argv + optind;
    arguments.n_words = argc - optind;
    *ret_exit = check_words(command, &arguments);
    if (*ret_exit != EXIT_CODE_OK)
        return false;
    *ret_arguments = arguments;
    return true;
}

const char *cli_value(const struct cli_command *command, const struct cli_arguments *arguments, const char *name)
{
    for (unsigned i = 0; i < command->n_options; i++)
        if (strcmp(command->options[i].name, name) == 0)
            return arguments->values[i];
    return NULL;
}

/* ---- The program ---- */

int cli_main(int argc, char **argv)
{
    const struct cli_command *command;
    const char *meant;

    if (argc < 2) {
        cli_print_overview();
        return EXIT_CODE_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        cli_print_overview();
        return EXIT_CODE_OK;
    }
    if (strcmp(argv[1], "--version") == 0)
        argv[1] = (char *)"version";
    command = cli_find(argv[1]);
    if (command != NULL)
        return command->run(argc - 1, argv + 1);
    meant = nearest(argv[1], command_name, NULL);
    if (meant != NULL)
        cli_complain("no command `%s'; did you mean `%s'? `readside help' lists them", argv[1], meant);
    else
        cli_complain("no command `%s'; `readside help' lists them", argv[1]);
    return EXIT_CODE_USAGE;
}
