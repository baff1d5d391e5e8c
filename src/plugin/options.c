/*
 * options - see options.h. Called while a plugin is loaded and opened; reads files and the environment for secrets only.
 */
#include "plugin/options.h"

#include "base/text.h"
#include "config/keys.h"
#include "config/secrets.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int wrong(struct error *ret_error, const struct rs_option *option, const char *text, const char *right)
{
    if ((option->flags & RS_SECRET) != 0)
        return error_set(ret_error, ERROR_CONFIG, "the secret is not %s", right);
    return error_set(ret_error, ERROR_CONFIG, "\"%.200s\" is not %s", text, right);
}

static bool is_choice(const char *choices, const char *text)
{
    size_t text_size = strlen(text);

    for (;;) {
        size_t size = strcspn(choices, "|");

        if (size == text_size && memcmp(choices, text, size) == 0)
            return true;
        if (choices[size] == '\0')
            return false;
        choices += size + 1;
    }
}

static int read_text(const struct rs_option *option, const char *text, struct rs_value *ret_value, struct error *ret_error)
{
    if (!text_is_utf8(text, strlen(text), NULL))
        return error_set(ret_error, ERROR_CONFIG, "the text is not valid UTF-8");
    if (option->type == RS_OPTION_CHOICE && !is_choice(option->choices, text))
        return error_set(ret_error, ERROR_CONFIG, "\"%.200s\" is none of %.500s", (option->flags & RS_SECRET) != 0 ? "***" : text,
                         option->choices);
    *ret_value = (struct rs_value){.type = RS_TEXT, .as.text = rs_string(text)};
    return 0;
}

static int read_number(const struct rs_option *option, const char *text, struct rs_value *ret_value, struct error *ret_error)
{
    char bounds[80];
    int64_t number;

    if (option->type == RS_OPTION_INT && !text_read_int(text, strlen(text), &number))
        return wrong(ret_error, option, text, "an integer");
    if (option->type == RS_OPTION_DURATION && !text_read_duration(text, &number))
        return wrong(ret_error, option, text, "a duration such as \"5s\" or \"250ms\"");
    if (option->type == RS_OPTION_SIZE && !text_read_size(text, &number))
        return wrong(ret_error, option, text, "a size such as \"16MiB\"");
    if ((option->min != 0 || option->max != 0) && (number < option->min || number > option->max)) {
        snprintf(bounds, sizeof bounds, "within %" PRId64 " and %" PRId64 "%s", option->min, option->max,
                 option->type == RS_OPTION_DURATION ? " microseconds"
                 : option->type == RS_OPTION_SIZE   ? " bytes"
                                                    : "");
        return wrong(ret_error, option, text, bounds);
    }
    *ret_value = (struct rs_value){.type = RS_INT, .as.integer = number};
    return 0;
}

int option_read(const struct rs_option *option, const char *text, struct rs_value *ret_value, struct error *ret_error)
{
    double real;

    switch (option->type) {
    case RS_OPTION_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return wrong(ret_error, option, text, "true or false");
        *ret_value = (struct rs_value){.type = RS_BOOL, .boolean = text[0] == 't'};
        return 0;
    case RS_OPTION_REAL:
        if (!text_read_real(text, strlen(text), &real))
            return wrong(ret_error, option, text, "a number");
        *ret_value = (struct rs_value){.type = RS_REAL, .as.real = real};
        return 0;
    case RS_OPTION_TEXT:
    case RS_OPTION_CHOICE:
        return read_text(option, text, ret_value, ret_error);
    default:
        return read_number(option, text, ret_value, ret_error);
    }
}

/* ---- Settings ---- */

static const struct rs_option *find(const struct projection *projection, const char *name)
{
    for (uint32_t i = 0; i < projection->n_options; i++)
        if (strcmp(projection->options[i].name, name) == 0)
            return &projection->options[i];
    return NULL;
}

static const char *place_of(const struct plugin_setting *setting)
{
    return setting->place == NULL ? "options" : setting->place;
}

static int unknown(const struct projection *projection, const struct plugin_setting *setting, struct error *ret_error)
{
    const struct rs_option *options = projection->options;
    const char *nearest = NULL;

    if (projection->n_options > 0)
        nearest = key_nearest(setting->name, &options[0].name, projection->n_options, sizeof options[0]);
    if (nearest != NULL)
        return error_set(ret_error, ERROR_CONFIG, "%s: plugin %s has no option `%s'; did you mean `%s'?", place_of(setting),
                         projection->name, setting->name, nearest);
    return error_set(ret_error, ERROR_CONFIG, "%s: plugin %s has no option `%s'%s", place_of(setting), projection->name,
                     setting->name, projection->n_options == 0 ? ": it has none at all" : "");
}

/* "file:line" without the line: where a secret's relative path counts from. */
static const char *file_of(struct arena *arena, const char *place)
{
    const char *colon = place == NULL ? NULL : strrchr(place, ':');

    return colon == NULL ? NULL : arena_copy(arena, place, (size_t)(colon - place));
}

static int read_setting(const struct rs_option *option, const struct plugin_setting *setting, struct arena *arena,
                        struct rs_value *ret_value, struct error *ret_error)
{
    const char *text = setting->value;
    int result = 0;

    if ((option->flags & RS_SECRET) != 0 && setting->no_literal_secret && !secret_is_reference(text)) {
        result = error_set(ret_error, ERROR_CONFIG,
                           "the config holds the secret itself; refer to it by \"env:NAME\" or \"file:/path\" (or set "
                           "worker.allow_literal_secrets = true)");
    } else if ((option->flags & RS_SECRET) != 0 && secret_is_reference(text)) {
        result = secret_read(arena, setting->value, file_of(arena, setting->place), &text, ret_error);
    } else {
        text = arena_copy(arena, text, strlen(text));
        if (text == NULL)
            return error_set(ret_error, ERROR_BUG, "out of memory");
    }
    if (result == 0)
        result = option_read(option, text, ret_value, ret_error);
    return result == 0 ? 0 : error_wrap(ret_error, "%s: option %s", place_of(setting), option->name);
}

int options_fill(const struct projection *projection, const struct plugin_setting *settings, size_t n_settings,
                 struct arena *arena, struct rs_value *ret_values, struct error *ret_error)
{
    int result = 0;

    memset(ret_values, 0, projection->n_options * sizeof ret_values[0]);
    for (size_t i = 0; i < n_settings && result == 0; i++) {
        const struct rs_option *option = find(projection, settings[i].name);

        if (option == NULL)
            return unknown(projection, &settings[i], ret_error);
        result = read_setting(option, &settings[i], arena, &ret_values[option - projection->options], ret_error);
    }
    for (uint32_t i = 0; i < projection->n_options && result == 0; i++) {
        const struct rs_option *option = &projection->options[i];

        if (ret_values[i].type != 0)
            continue;
        if (option->fallback == NULL)
            return error_set(ret_error, ERROR_CONFIG, "plugin %s needs the option %s (%s): set it in the pipeline's options",
                             projection->name, option->name, option->summary == NULL ? "no summary" : option->summary);
        result = option_read(option, option->fallback, &ret_values[i], ret_error);
    }
    return result;
}
