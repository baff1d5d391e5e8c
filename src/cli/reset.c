/*
 * reset - `readside reset': drops the tables and positions of a pipeline's version, after confirmation.
 */
#include "cli/cli.h"
#include "cli/context.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct cli_option options[] = {
    {.name = "yes", .summary = "do not ask"},
};

static int confirm(const struct config_pipeline *pipeline)
{
    char answer[128];

    if (!isatty(STDIN_FILENO)) {
        cli_complain("reset drops the tables and positions of pipeline %s; say --yes if that is meant", pipeline->name);
        return EXIT_CODE_USAGE;
    }
    printf("This drops the tables of pipeline %s, version %" PRId64 ", in store %s, and its positions.\n"
           "The next start builds them anew from the topics. To go on, type the pipeline's name: ",
           pipeline->name, pipeline->version, pipeline->store->name);
    fflush(stdout);
    if (fgets(answer, sizeof answer, stdin) == NULL)
        answer[0] = '\0';
    answer[strcspn(answer, "\n")] = '\0';
    if (strcmp(answer, pipeline->name) == 0)
        return EXIT_CODE_OK;
    cli_complain("nothing was changed");
    return EXIT_CODE_USAGE;
}

static int run_reset(int argc, char **argv)
{
    struct cli_arguments arguments;
    struct context context = {0};
    struct error failure = {0};
    char actor[256];
    int exit_code;

    if (!cli_parse(&cli_command_reset, argc, argv, &arguments, &exit_code))
        return exit_code;
    exit_code = context_load(&context, arguments.words[0]);
    if (exit_code == EXIT_CODE_OK)
        exit_code = context_find_pipeline(&context, arguments.words[1]);
    if (exit_code == EXIT_CODE_OK)
        exit_code = context_open_plugin(&context); /* which tables there are, it knows */
    if (exit_code == EXIT_CODE_OK && cli_value(&cli_command_reset, &arguments, "yes") == NULL)
        exit_code = confirm(context.pipeline);
    if (exit_code == EXIT_CODE_OK)
        exit_code = context_open_store(&context);
    if (exit_code == EXIT_CODE_OK && context.store == NULL) {
        printf("pipeline %s, version %" PRId64 ": there is nothing to drop\n", context.pipeline->name, context.pipeline->version);
    } else if (exit_code == EXIT_CODE_OK) {
        context_print_actor(actor, sizeof actor);
        if (store_reset(context.store, actor, &failure) != 0)
            exit_code = cli_fail(&failure);
        else
            printf("pipeline %s, version %" PRId64 ": tables and positions are gone\n", context.pipeline->name,
                   context.pipeline->version);
    }
    context_close(&context);
    return exit_code;
}

const struct cli_command cli_command_reset = {
    .name = "reset",
    .arguments = "[--yes] CONFIG PIPELINE",
    .summary = "Drop a pipeline's tables and positions, so that it begins anew",
    .details = "Asks for the pipeline's name, unless --yes is given. Stop the workers that run the pipeline first, and start them when it\n"
               "shall begin anew: a task that still runs is fenced at its next write and starts again by itself. With schema = \"create\" it\n"
               "then builds the tables anew at once, with whatever plugin and options it runs on; with schema = \"check\" the pipeline stops\n"
               "until somebody has made the tables and restarts the worker.",
    .options = options,
    .n_options = 1,
    .min_words = 2,
    .max_words = 2,
    .run = run_reset,
};
