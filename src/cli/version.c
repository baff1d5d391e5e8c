/*
 * version - `readside version'.
 */
#include "cli/cli.h"
#include "readside/plugin.h"
#include "store/store.h"

#include <stdio.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown" /* built without configure */
#endif

static int run_version(int argc, char **argv)
{
    struct cli_arguments arguments;
    int exit_code;

    if (!cli_parse(&cli_command_version, argc, argv, &arguments, &exit_code))
        return exit_code;
    printf("readside %s\nplugin ABI %d.%d\nstores", PACKAGE_VERSION, RS_ABI_MAJOR, RS_ABI_MINOR);
    for (const char *const *kind = store_kinds(); *kind != NULL; kind++)
        printf(" %s", *kind);
    putchar('\n');
    return EXIT_CODE_OK;
}

const struct cli_command cli_command_version = {
    .name = "version",
    .arguments = "",
    .summary = "Print the version, the plugin ABI and the kinds of stores built in",
    .run = run_version,
};
