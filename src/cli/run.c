/*
 * run - `readside run': the worker.
 */
#include "cli/cli.h"
#include "cli/context.h"
#include "worker/supervisor.h"

static const struct cli_option options[] = {
    {.name = "until-end", .summary = "end once everything that is in the topics has been committed"},
};

static int run_worker(int argc, char **argv)
{
    struct cli_arguments arguments;
    struct context context = {0};
    struct supervisor_settings settings;
    int exit_code;

    if (!cli_parse(&cli_command_run, argc, argv, &arguments, &exit_code))
        return exit_code;
    exit_code = context_load(&context, arguments.words[0]);
    if (exit_code != EXIT_CODE_OK)
        return exit_code;
    settings = (struct supervisor_settings){
        .config = context.config,
        .until_end = cli_value(&cli_command_run, &arguments, "until-end") != NULL,
    };
    return supervisor_run(&settings);
}

const struct cli_command cli_command_run = {
    .name = "run",
    .arguments = "[--until-end] CONFIG",
    .summary = "Run the pipelines of a config file",
    .details = "Logs to standard error. SIGTERM or SIGINT ends it after the tasks have finished what they are writing, a second one at\n"
               "once; nothing is lost either way. SIGHUP reads the config again: pipelines that have changed start anew, and a config\n"
               "with a mistake is refused while the old one stays in force.",
    .options = options,
    .n_options = 1,
    .min_words = 1,
    .max_words = 1,
    .run = run_worker,
};
