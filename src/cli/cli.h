/*
 * cli - the commands: one table of what each is called, takes and does, and the parsing of arguments by that table.
 *
 * The table drives dispatch, every help text, the parsing, and a test that the manual page names each command and option.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/error.h"
#include "worker/exit.h"

#include <stdbool.h>
#include <stddef.h>

enum { CLI_MAX_OPTIONS = 16, CLI_MAX_REPEATS = 64 };

struct cli_option {
    const char *name;     /* without the dashes */
    const char *argument; /* what its value is called in help texts; NULL: it takes none */
    const char *summary;
    bool is_repeatable; /* may be given again and again; one option of a command at most */
};

struct cli_command {
    const char *name;
    const char *arguments; /* for the usage line, without options */
    const char *summary;   /* one line */
    const char *details;   /* paragraphs for `help COMMAND'; may be NULL */
    const struct cli_option *options;
    unsigned n_options;
    int min_words, max_words; /* positional arguments */
    bool is_hidden;
    int (*run)(int argc, char **argv); /* argv[0]: the command's name. Returns the exit code */
};

extern const struct cli_command *const cli_commands[]; /* NULL-terminated */

const struct cli_command *cli_find(const char *name); /* NULL: no such command */

/* What was given. */
struct cli_arguments {
    const char *values[CLI_MAX_OPTIONS]; /* by number in the option table: NULL: not given; "" for an option without value */
    const char *repeats[CLI_MAX_REPEATS]; /* all values of the repeatable option, in order */
    size_t n_repeats;
    char **words;                        /* positional arguments */
    int n_words;
};

/*
 * Parses argv by the command's table. False: the command is over (--help, or a mistake, which is on standard error by now with the
 * way out); *ret_exit is the exit code.
 */
bool cli_parse(const struct cli_command *command, int argc, char **argv, struct cli_arguments *ret_arguments, int *ret_exit);

/* The value of an option of the table, or NULL. */
const char *cli_value(const struct cli_command *command, const struct cli_arguments *arguments, const char *name);

/* "readside: TEXT" on standard error. */
void cli_complain(const char *format, ...) PRINTF_LIKE(1, 2);
/* The same for an error; returns its exit code. */
int cli_fail(const struct error *failure);
/* Wrong arguments: complains, names the help, returns EXIT_CODE_USAGE. */
int cli_misuse(const struct cli_command *command, const char *format, ...) PRINTF_LIKE(2, 3);

void cli_print_help(const struct cli_command *command);
void cli_print_overview(void);

/* argv of the program to the exit code. */
int cli_main(int argc, char **argv);

/* ---- The commands ---- */

extern const struct cli_command cli_command_run, cli_command_check, cli_command_config, cli_command_plugins, cli_command_schema,
    cli_command_status, cli_command_positions, cli_command_resume, cli_command_reset, cli_command_test_plugin, cli_command_task,
    cli_command_version, cli_command_help;

#endif
