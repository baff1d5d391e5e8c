/*
 * config - `readside config': the effective configuration, a commented sample, the manual page's list of keys.
 */
#include "cli/cli.h"
#include "cli/context.h"

#include <stdio.h>

static const struct cli_option options[] = {
    {.name = "dump", .summary = "print the effective configuration of CONFIG, secrets hidden (this is the default)"},
    {.name = "sample", .summary = "print a commented sample with every key; takes no CONFIG"},
    {.name = "manual", .summary = "print the list of keys as the manual page has it; takes no CONFIG"},
};

static int print_text(struct buffer *text)
{
    int exit_code = EXIT_CODE_OK;

    if (buffer_failed(text)) {
        cli_complain("out of memory");
        exit_code = EXIT_CODE_BUG;
    } else if (text->size > 0) {
        fwrite(text->data, 1, text->size, stdout);
    }
    buffer_free(text);
    return exit_code;
}

static int run_config(int argc, char **argv)
{
    struct cli_arguments arguments;
    struct context context = {0};
    struct buffer text = BUFFER_INIT;
    bool wants_sample, wants_manual;
    int exit_code;

    if (!cli_parse(&cli_command_config, argc, argv, &arguments, &exit_code))
        return exit_code;
    wants_sample = cli_value(&cli_command_config, &arguments, "sample") != NULL;
    wants_manual = cli_value(&cli_command_config, &arguments, "manual") != NULL;
    if (arguments.n_words != (wants_sample || wants_manual ? 0 : 1))
        return cli_misuse(&cli_command_config, arguments.n_words == 0 ? "config: which file?" : "config: this option takes no file");
    if (wants_sample) {
        config_print_sample(&text);
    } else if (wants_manual) {
        config_print_manual(&text);
    } else {
        exit_code = context_load(&context, arguments.words[0]);
        if (exit_code == EXIT_CODE_OK)
            context_dump(&context, &text);
        context_close(&context);
    }
    return exit_code == EXIT_CODE_OK ? print_text(&text) : exit_code;
}

const struct cli_command cli_command_config = {
    .name = "config",
    .arguments = "CONFIG [--dump] | --sample",
    .summary = "Print what a config file comes to, with all defaults, or a sample of every key",
    .options = options,
    .n_options = 3,
    .max_words = 1,
    .run = run_config,
};
