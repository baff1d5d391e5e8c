/*
 * help - `readside help': what the table of commands says, for people.
 */
#include "cli/cli.h"

#include <stdio.h>

enum { NAME_WIDTH = 14, OPTION_WIDTH = 24 };

static void print_option(const char *name, const char *argument, const char *summary)
{
    char left[64];

    snprintf(left, sizeof left, "--%s%s%s", name, argument != NULL ? " " : "", argument != NULL ? argument : "");
    printf("  %-*s %s\n", OPTION_WIDTH, left, summary);
}

void cli_print_help(const struct cli_command *command)
{
    printf("usage: readside %s %s\n\n%s.\n", command->name, command->arguments, command->summary);
    if (command->details != NULL)
        printf("\n%s\n", command->details);
    printf("\nOptions:\n");
    for (unsigned i = 0; i < command->n_options; i++)
        print_option(command->options[i].name, command->options[i].argument, command->options[i].summary);
    print_option("help", NULL, "print this text");
}

void cli_print_overview(void)
{
    printf("Readside keeps tables up to date from Kafka events: each event counts exactly once.\n\n"
           "usage: readside COMMAND [ARGUMENT...]\n\nCommands:\n");
    for (size_t i = 0; cli_commands[i] != NULL; i++)
        if (!cli_commands[i]->is_hidden)
            printf("  %-*s %s\n", NAME_WIDTH, cli_commands[i]->name, cli_commands[i]->summary);
    printf("\n`readside help COMMAND' says more about one. Manual pages: readside(1), readside.conf(5).\n");
}

static int run_help(int argc, char **argv)
{
    struct cli_arguments arguments;
    const struct cli_command *command;
    int exit_code;

    if (!cli_parse(&cli_command_help, argc, argv, &arguments, &exit_code))
        return exit_code;
    if (arguments.n_words == 0) {
        cli_print_overview();
        return EXIT_CODE_OK;
    }
    command = cli_find(arguments.words[0]);
    if (command == NULL) {
        cli_complain("no command `%s'; `readside help' lists them", arguments.words[0]);
        return EXIT_CODE_USAGE;
    }
    cli_print_help(command);
    return EXIT_CODE_OK;
}

const struct cli_command cli_command_help = {
    .name = "help",
    .arguments = "[COMMAND]",
    .summary = "Say what the commands do, or one of them",
    .max_words = 1,
    .run = run_help,
};
