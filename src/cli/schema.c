/*
 * schema - `readside schema': the statements that make a pipeline's tables, for those who make them by hand.
 */
#include "cli/cli.h"
#include "cli/context.h"
#include "task/parts.h"

#include <stdio.h>

static int run_schema(int argc, char **argv)
{
    struct cli_arguments arguments;
    struct context context = {0};
    struct store_settings settings;
    struct store_scope scope;
    struct buffer sql = BUFFER_INIT;
    struct error failure = {0};
    int exit_code;

    if (!cli_parse(&cli_command_schema, argc, argv, &arguments, &exit_code))
        return exit_code;
    exit_code = context_load(&context, arguments.words[0]);
    if (exit_code == EXIT_CODE_OK)
        exit_code = context_find_pipeline(&context, arguments.words[1]);
    if (exit_code == EXIT_CODE_OK)
        exit_code = context_open_plugin(&context);
    if (exit_code == EXIT_CODE_OK) {
        parts_store_settings(context.pipeline, &settings);
        parts_store_scope(context.config, context.pipeline, context.projection, &scope);
        if (store_print_schema(&settings, &scope, &sql, &failure) != 0)
            exit_code = cli_fail(&failure);
        else
            fwrite(sql.data, 1, sql.size, stdout);
    }
    buffer_free(&sql);
    context_close(&context);
    return exit_code;
}

const struct cli_command cli_command_schema = {
    .name = "schema",
    .arguments = "CONFIG PIPELINE",
    .summary = "Print the SQL that makes a pipeline's tables",
    .details = "Needs no connection. With schema = \"check\" in the config, somebody runs this before the first start.",
    .min_words = 2,
    .max_words = 2,
    .run = run_schema,
};
