/*
 * plugins - `readside plugins': which projections there are, with their tables and options.
 */
#include "cli/cli.h"
#include "cli/context.h"
#include "plugin/loader.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifndef READSIDE_PLUGINDIR
#define READSIDE_PLUGINDIR "/usr/local/lib/readside/plugins" /* built without configure */
#endif

static const char *const option_types[] = {
    [RS_OPTION_BOOL] = "bool",         [RS_OPTION_INT] = "int",   [RS_OPTION_REAL] = "real",     [RS_OPTION_TEXT] = "text",
    [RS_OPTION_DURATION] = "duration", [RS_OPTION_SIZE] = "size", [RS_OPTION_CHOICE] = "choice",
};

static const char *const column_types[] = {
    [RS_INT] = "int",     [RS_REAL] = "real",   [RS_DECIMAL] = "decimal",     [RS_TEXT] = "text", [RS_BOOL] = "bool",
    [RS_BYTES] = "bytes", [RS_JSON] = "json",   [RS_TIMESTAMP] = "timestamp", [RS_DATE] = "date", [RS_UUID] = "uuid",
};

static void print_table(const struct table *table)
{
    printf("  table %s%s:", table->name, table->is_shared ? " (shared)" : "");
    for (uint32_t i = 0; i < table->n_columns; i++) {
        const struct column *column = &table->columns[i];

        printf("%s %s %s", i > 0 ? "," : "", column->name, column_types[column->type]);
        if (column->type == RS_DECIMAL)
            printf("(%" PRIu32 ",%" PRIu32 ")", column->precision, column->scale);
        if (column->is_key)
            fputs(" key", stdout);
    }
    putchar('\n');
}

static void print_option(const struct rs_option *option)
{
    printf("  option %s: %s", option->name, option_types[option->type]);
    if (option->choices != NULL)
        printf(" %s", option->choices);
    if (option->flags & RS_REQUIRED)
        fputs(", required", stdout);
    else if (option->fallback != NULL)
        printf(", default %s", option->fallback[0] != '\0' ? option->fallback : "\"\"");
    printf("%s%s\n", option->summary != NULL ? "; " : "", option->summary != NULL ? option->summary : "");
}

static int print_plugin(const char *name_or_path, const char *search_path)
{
    struct projection *projection = NULL;
    struct error failure = {0};

    if (plugin_load(name_or_path, search_path, &projection, &failure) != 0) {
        printf("%s\n", name_or_path);
        return cli_fail(&failure);
    }
    printf("%s, revision %" PRIu32 "%s%s\n  file %s\n", projection->name, projection->revision,
           projection->summary != NULL ? ": " : "", projection->summary != NULL ? projection->summary : "", projection->path);
    for (uint32_t i = 0; i < projection->n_tables; i++)
        print_table(&projection->tables[i]);
    fputs("  events", stdout);
    for (uint32_t i = 0; i < projection->n_handlers; i++)
        printf("%s %s", i > 0 ? "," : "", projection->handlers[i].type);
    putchar('\n');
    for (uint32_t i = 0; i < projection->n_options; i++)
        print_option(&projection->options[i]);
    projection_free(projection);
    return EXIT_CODE_OK;
}

static int is_plugin_file(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);

    return entry->d_name[0] != '.' && size > 3 && strcmp(entry->d_name + size - 3, ".so") == 0;
}

static int print_directory(const char *directory)
{
    struct dirent **entries = NULL;
    int n = scandir(directory, &entries, is_plugin_file, alphasort);
    int exit_code = EXIT_CODE_OK;

    if (n < 0) {
        cli_complain("cannot list the directory %s: %m", directory);
        return EXIT_CODE_CONFIG;
    }
    if (n == 0)
        printf("no plugin in %s\n", directory);
    for (int i = 0; i < n; i++) {
        char path[4096];
        int size = snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
        int result = size > 0 && (size_t)size < sizeof path ? print_plugin(path, "") : EXIT_CODE_CONFIG;

        exit_code = result != EXIT_CODE_OK ? result : exit_code;
        free(entries[i]);
    }
    free(entries);
    return exit_code;
}

/* Every directory of a search path that is there. */
static int print_search_path(const char *search_path)
{
    char *copy = strdup(search_path);
    char *rest = copy;
    char *directory;
    int exit_code = EXIT_CODE_OK;

    while (rest != NULL && (directory = strsep(&rest, ":")) != NULL) {
        int result = directory[0] != '\0' ? print_directory(directory) : EXIT_CODE_OK;

        exit_code = result != EXIT_CODE_OK ? result : exit_code;
    }
    free(copy);
    return exit_code;
}

static int print_of_config(const char *config_path)
{
    struct context context = {0};
    int exit_code = context_load(&context, config_path);

    if (exit_code == EXIT_CODE_OK) {
        exit_code = print_search_path(context.config->worker.plugin_path);
        for (size_t i = 0; i < context.config->n_pipelines; i++)
            if (strchr(context.config->pipelines[i].plugin, '/') != NULL) {
                int result = print_plugin(context.config->pipelines[i].plugin, "");

                exit_code = result != EXIT_CODE_OK ? result : exit_code;
            }
    }
    context_close(&context);
    return exit_code;
}

static int run_plugins(int argc, char **argv)
{
    struct cli_arguments arguments;
    struct stat facts;
    const char *word;
    int exit_code;

    if (!cli_parse(&cli_command_plugins, argc, argv, &arguments, &exit_code))
        return exit_code;
    if (arguments.n_words == 0)
        return print_directory(READSIDE_PLUGINDIR);
    word = arguments.words[0];
    if (stat(word, &facts) != 0) /* a name, or a path whose absence the loader explains */
        return print_plugin(word, READSIDE_PLUGINDIR);
    if (S_ISDIR(facts.st_mode))
        return print_directory(word);
    if (strlen(word) > 3 && strcmp(word + strlen(word) - 3, ".so") == 0) {
        char path[4096];

        snprintf(path, sizeof path, "%s%s", strchr(word, '/') == NULL ? "./" : "", word);
        return print_plugin(path, "");
    }
    return print_of_config(word);
}

const struct cli_command cli_command_plugins = {
    .name = "plugins",
    .arguments = "[CONFIG | DIRECTORY | FILE.so | NAME]",
    .summary = "List projection plugins with their tables, events and options",
    .details = "Of a config file: those in its plugin_path and those its pipelines name by path. Without an argument: the installed ones.",
    .max_words = 1,
    .run = run_plugins,
};
