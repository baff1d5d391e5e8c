/*
 * options - see options.h.
 */
#include "plugin/options.h"

#include "base/text.h"
#include "plugin/check.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK = 4096 };

struct rs_setup {
    const struct rs_host *host;
    struct options *options;
};

struct options {
    struct rs_setup setup;
    struct projection *projection;
    struct rs_value *values; /* one an option */
    struct arena *arena;     /* of the instance */
    struct error *error;     /* while open() runs */
    int result;
};

static const struct rs_option *find_option(const struct projection *projection, const char *name, uint32_t *ret_number)
{
    for (uint32_t i = 0; i < projection->n_options; i++)
        if (strcmp(projection->options[i].name, name) == 0) {
            *ret_number = i;
            return &projection->options[i];
        }
    return NULL;
}

/* ---- Settings ---- */

static int unknown_option(const struct projection *projection, const struct plugin_setting *setting, const char *place,
                          struct error *ret_error)
{
    const char *nearest = NULL;
    unsigned best = 4;

    for (uint32_t i = 0; i < projection->n_options; i++) {
        unsigned distance = text_distance(projection->options[i].name, setting->name);

        if (distance < best) {
            best = distance;
            nearest = projection->options[i].name;
        }
    }
    if (nearest != NULL)
        return error_set(ret_error, ERROR_CONFIG, "%s: plugin %s has no option `%s'; did you mean `%s'?", place, projection->name,
                         setting->name, nearest);
    return error_set(ret_error, ERROR_CONFIG, "%s: plugin %s has no option `%s' (`readside plugins' lists them)", place,
                     projection->name, setting->name);
}

static int take_setting(struct options *options, const struct plugin_setting *setting, struct error *ret_error)
{
    const char *place = setting->place == NULL ? "options" : setting->place;
    const struct rs_option *option;
    uint32_t number;
    char reason[160], *copy;

    option = find_option(options->projection, setting->name, &number);
    if (option == NULL)
        return unknown_option(options->projection, setting, place, ret_error);
    copy = arena_copy(options->arena, setting->value, strlen(setting->value));
    if (copy == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    if (!check_option_value(option, copy, &options->values[number], reason, sizeof reason))
        return error_set(ret_error, ERROR_CONFIG, "%s: option %s of plugin %s: \"%s\" %s", place, option->name,
                         options->projection->name, (option->flags & RS_SECRET) != 0 ? "(secret)" : setting->value, reason);
    return 0;
}

static int take_fallbacks(struct options *options, struct error *ret_error)
{
    const struct projection *projection = options->projection;
    char reason[160];

    for (uint32_t i = 0; i < projection->n_options; i++) {
        const struct rs_option *option = &projection->options[i];

        if (options->values[i].type != 0)
            continue;
        if (option->fallback == NULL)
            return error_set(ret_error, ERROR_CONFIG, "plugin %s needs the option %s (%s)", projection->name, option->name,
                             option->summary == NULL ? "no description" : option->summary);
        if (!check_option_value(option, option->fallback, &options->values[i], reason, sizeof reason))
            return error_set(ret_error, ERROR_BUG, "option %s: its fallback %s", option->name, reason);
    }
    return 0;
}

/* ---- What open() may call ---- */

static void complain(struct options *options, const char *what, const char *name)
{
    if (options->result == 0)
        options->result = error_set(options->error, ERROR_CONFIG, "plugin %s: its open() %s %s", options->projection->name, what, name);
}

bool options_get(struct rs_setup *setup, const char *name, struct rs_value *ret_value)
{
    struct options *options = setup->options;
    uint32_t number;

    if (find_option(options->projection, name, &number) == NULL) {
        complain(options, "asks for an option that the plugin does not declare:", name);
        return false;
    }
    if (options->values[number].type != ret_value->type) {
        complain(options, "asks by the wrong function for the option", name);
        return false;
    }
    *ret_value = options->values[number];
    return true;
}

void *options_alloc(struct rs_setup *setup, size_t size_bytes)
{
    return arena_zalloc(setup->options->arena, size_bytes);
}

void options_omit_table(struct rs_setup *setup, uint32_t table)
{
    struct options *options = setup->options;

    if (table >= options->projection->n_tables)
        complain(options, "omits a table", "that does not exist");
    else
        options->projection->tables[table].is_omitted = true;
}

int32_t options_refuse(struct rs_setup *setup, const char *text)
{
    struct options *options = setup->options;

    if (options->result == 0)
        options->result = error_set(options->error, ERROR_CONFIG, "plugin %s refuses its options: %s", options->projection->name,
                                    text == NULL ? "(no reason given)" : text);
    return -1;
}

/* ---- Life ---- */

static int call_open(struct options *options, struct rs_instance **ret_instance, struct error *ret_error)
{
    struct rs_instance *instance = NULL;

    if (options->projection->open == NULL)
        return 0;
    options->error = ret_error;
    if (options->projection->open(&options->setup, &instance) != 0 && options->result == 0)
        options->result = error_set(ret_error, ERROR_CONFIG, "plugin %s: its open() fails and gives no reason",
                                    options->projection->name);
    options->error = NULL;
    if (options->result == 0)
        *ret_instance = instance;
    return options->result;
}

int options_open(struct projection *projection, const struct rs_host *host, const struct plugin_setting *settings,
                 size_t n_settings, struct options **ret_options, struct rs_instance **ret_instance, struct error *ret_error)
{
    struct options *options = calloc(1, sizeof *options);
    int result = 0;

    if (options == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    options->setup = (struct rs_setup){.host = host, .options = options};
    options->projection = projection;
    options->values = calloc((size_t)projection->n_options + 1, sizeof *options->values);
    options->arena = arena_new(ARENA_BLOCK, 0);
    if (options->values == NULL || options->arena == NULL)
        result = error_set(ret_error, ERROR_BUG, "out of memory");
    for (size_t i = 0; i < n_settings && result == 0; i++)
        result = take_setting(options, &settings[i], ret_error);
    if (result == 0)
        result = take_fallbacks(options, ret_error);
    if (result == 0)
        result = call_open(options, ret_instance, ret_error);
    if (result != 0) {
        options_free(options);
        return result;
    }
    *ret_options = options;
    return 0;
}

struct options *options_free(struct options *options)
{
    if (options == NULL)
        return NULL;
    free(options->values);
    arena_free(options->arena);
    free(options);
    return NULL;
}
