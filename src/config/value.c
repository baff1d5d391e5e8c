/*
 * value - one setting of the file as one member of a struct, by its key's type.
 *
 * Called by read.c while a file is read. What does not fit becomes a problem and leaves the member zero.
 */
#include "base/text.h"
#include "config/loaded.h"
#include "config/secrets.h"
#include "config/units.h"

#include <inttypes.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* One value on its way: which key of which section, and where it stands. */
struct value {
    struct loading *loading;
    const struct section *section;
    const struct key *key;
    const config_setting_t *setting;
    unsigned line;
};

#define PROBLEM(value, format, ...) \
    problems_add((value)->loading->problems, (value)->line, "%s.%s" format, (value)->section->path, (value)->key->name, \
                 ##__VA_ARGS__)

static void set_number(const struct value *value, int64_t number)
{
    const struct key *key = value->key;
    char first[UNITS_TEXT_SIZE];
    char low[UNITS_TEXT_SIZE];
    char high[UNITS_TEXT_SIZE];

    if (number >= key->min && number <= key->max) {
        memcpy(section_member(value->section, key), &number, sizeof number);
        return;
    }
    if (key->type == KEY_DURATION) {
        PROBLEM(value, " = %s is out of range: %s to %s", units_print_duration(number, first),
                units_print_duration(key->min, low), units_print_duration(key->max, high));
    } else if (key->type == KEY_SIZE) {
        PROBLEM(value, " = %s is out of range: %s to %s", units_print_size(number, first), units_print_size(key->min, low),
                units_print_size(key->max, high));
    } else {
        PROBLEM(value, " = %" PRId64 " is out of range: %" PRId64 " to %" PRId64, number, key->min, key->max);
    }
}

/* Is it one of "a|b|c"? */
static bool is_choice(const char *choices, const char *text)
{
    size_t size = strlen(text);

    for (const char *word = choices; word != NULL; word = strchr(word, '|')) {
        word += *word == '|';
        if (strncmp(word, text, size) == 0 && (word[size] == '|' || word[size] == '\0')) {
            return size > 0;
        }
    }
    return false;
}

/* A list of paths as PATH has it, each made relative to the config file. */
static const char *resolve_paths(struct loading *loading, const char *paths)
{
    struct buffer resolved = BUFFER_INIT;
    const char *result = NULL;

    for (const char *at = paths;; at++) {
        size_t size = strcspn(at, ":");
        const char *one = arena_copy(loading->arena, at, size);
        const char *path = one == NULL ? NULL : source_resolve(loading->arena, loading->source->path, one);

        if (path == NULL) {
            loading->problems->has_failed = true;
            break;
        }
        buffer_puts(&resolved, path);
        at += size;
        if (*at == '\0') {
            break;
        }
        buffer_putc(&resolved, ':');
    }
    if (buffer_failed(&resolved) || resolved.data == NULL) {
        loading->problems->has_failed = true;
    } else {
        result = loading_copy(loading, resolved.data);
    }
    buffer_free(&resolved);
    return result;
}

static void put_text(const struct value *value, const char *text)
{
    struct section_key *slot;

    section_find(value->section, value->key->name, &slot);
    if (value->key->property != NULL || value->key->type == KEY_STORE) {
        slot->text = text;
    } else {
        memcpy(section_member(value->section, value->key), &text, sizeof text);
    }
}

/* The value behind a reference, or the text itself where it may stand in the file. NULL: a problem was noted. */
static const char *open_reference(const struct value *value, const char *text)
{
    bool is_env = strncmp(text, "env:", 4) == 0;
    bool is_secret = (value->key->flags & KEY_SECRET) != 0;
    struct section_key *slot;
    struct error error;
    const char *opened = NULL;

    if (!(is_secret ? secret_is_reference(text) : (value->key->flags & KEY_FROM_ENV) != 0 && is_env)) {
        if (is_secret && !value->loading->allow_literal_secrets) {
            PROBLEM(value, " holds the secret itself; refer to it by \"env:NAME\" or \"file:/path\" (or set "
                           "worker.allow_literal_secrets = true)");
            return NULL;
        }
        return loading_copy(value->loading, text);
    }
    section_find(value->section, value->key->name, &slot);
    slot->reference = loading_copy(value->loading, text);
    if (secret_read(value->loading->arena, text, value->loading->source->path, &opened, &error) < 0) {
        PROBLEM(value, ": %s", error.text);
        return NULL;
    }
    return opened;
}

static void set_text(const struct value *value, const char *text)
{
    const char *taken;

    if (*text == '\0') {
        PROBLEM(value, " is empty%s", (value->key->flags & KEY_REQUIRED) != 0 ? "" : "; leave the key out for its default");
        return;
    }
    taken = open_reference(value, text);
    if (taken != NULL && (value->key->flags & KEY_PATHS) != 0) {
        taken = resolve_paths(value->loading, taken);
    } else if (taken != NULL && (value->key->flags & KEY_PATH) != 0) {
        taken = source_resolve(value->loading->arena, value->loading->source->path, taken);
        value->loading->problems->has_failed |= taken == NULL;
    }
    if (taken != NULL) {
        put_text(value, taken);
    }
}

static void set_choice(const struct value *value, const char *text)
{
    struct buffer words = BUFFER_INIT;
    const char *copy;

    if (is_choice(value->key->choices, text)) {
        copy = loading_copy(value->loading, text);
        if (copy != NULL) {
            put_text(value, copy);
        }
        return;
    }
    for (const char *at = value->key->choices; *at != '\0'; at++) {
        buffer_puts(&words, *at == '|' ? ", " : (char[]){*at, '\0'});
    }
    PROBLEM(value, " = \"%s\" is not known; it is one of: %s", text, buffer_failed(&words) ? "" : words.data);
    buffer_free(&words);
}

static void set_from_text(const struct value *value, const char *text)
{
    int64_t number;

    switch (value->key->type) {
    case KEY_DURATION:
        if (text_read_duration(text, &number)) {
            set_number(value, number);
        } else {
            PROBLEM(value, " = \"%s\" is no duration; write a number and us, ms, s, min, h or d, such as \"5s\"", text);
        }
        break;
    case KEY_SIZE:
        if (text_read_size(text, &number)) {
            set_number(value, number);
        } else {
            PROBLEM(value, " = \"%s\" is no size; write a number and KiB, MiB, GiB, kB, MB or GB, such as \"16MiB\"", text);
        }
        break;
    case KEY_CHOICE:
        set_choice(value, text);
        break;
    case KEY_TEXT:
    case KEY_STORE:
        set_text(value, text);
        break;
    case KEY_INT: /* in a default only */
        if (text_read_int(text, strlen(text), &number)) {
            set_number(value, number);
        }
        break;
    case KEY_BOOL: /* likewise */
        *(bool *)section_member(value->section, value->key) = strcmp(text, "true") == 0;
        break;
    case KEY_LIST:
    case KEY_PAIRS:
        break;
    }
}

static bool is_integer(const config_setting_t *setting)
{
    return config_setting_type(setting) == CONFIG_TYPE_INT || config_setting_type(setting) == CONFIG_TYPE_INT64;
}

static int64_t integer_of(const config_setting_t *setting)
{
    return config_setting_type(setting) == CONFIG_TYPE_INT ? config_setting_get_int(setting) : config_setting_get_int64(setting);
}

/* "a list": what the file has in the value's place. */
static const char *shape_name(const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_GROUP:
        return "a group";
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return "a whole number";
    case CONFIG_TYPE_FLOAT:
        return "a number";
    case CONFIG_TYPE_STRING:
        return "a text";
    case CONFIG_TYPE_BOOL:
        return "a boolean";
    default:
        return "a list";
    }
}

static void complain_of_shape(const struct value *value)
{
    static const char *const wanted[] = {
        [KEY_BOOL] = "true or false, without quotes", [KEY_INT] = "a whole number, without quotes",
        [KEY_TEXT] = "a text in quotes", [KEY_DURATION] = "a duration in quotes, such as \"5s\"",
        [KEY_SIZE] = "a size in quotes, such as \"16MiB\", or a whole number of bytes", [KEY_CHOICE] = "a text in quotes",
        [KEY_LIST] = "a list of texts: [ \"a\", \"b\" ]", [KEY_PAIRS] = "a group: { name = value; }",
        [KEY_STORE] = "the name of a store, in quotes",
    };

    PROBLEM(value, " is %s; it must be %s", shape_name(value->setting), wanted[value->key->type]);
}

static void read_scalar(const struct value *value)
{
    enum key_type type = value->key->type;
    bool is_text = config_setting_type(value->setting) == CONFIG_TYPE_STRING;

    if (type == KEY_BOOL && config_setting_type(value->setting) == CONFIG_TYPE_BOOL) {
        *(bool *)section_member(value->section, value->key) = config_setting_get_bool(value->setting) != 0;
    } else if ((type == KEY_INT || type == KEY_SIZE || (type == KEY_DURATION && integer_of(value->setting) == 0)) &&
               is_integer(value->setting)) {
        set_number(value, integer_of(value->setting));
    } else if (type == KEY_DURATION && is_integer(value->setting)) {
        PROBLEM(value, " = %" PRId64 " has no unit; write \"%" PRId64 "s\" or \"%" PRId64 "ms\"", integer_of(value->setting),
                integer_of(value->setting), integer_of(value->setting));
    } else if (is_text && type != KEY_BOOL && type != KEY_INT) {
        set_from_text(value, config_setting_get_string(value->setting));
    } else {
        complain_of_shape(value);
    }
}

static void read_list(const struct value *value)
{
    int type = config_setting_type(value->setting);
    size_t n = type == CONFIG_TYPE_STRING ? 1 : (size_t)config_setting_length(value->setting);
    const char **items;

    if (type != CONFIG_TYPE_STRING && type != CONFIG_TYPE_ARRAY && type != CONFIG_TYPE_LIST) {
        complain_of_shape(value);
        return;
    }
    if (n == 0) {
        PROBLEM(value, " is an empty list");
        return;
    }
    items = loading_alloc(value->loading, n * sizeof *items);
    for (size_t i = 0; i < n && items != NULL; i++) {
        const char *text = type == CONFIG_TYPE_STRING ? config_setting_get_string(value->setting)
                                                      : config_setting_get_string_elem(value->setting, (int)i);

        if (text == NULL) {
            complain_of_shape(value);
            return;
        }
        if (*text == '\0') {
            PROBLEM(value, " holds an empty text");
            return;
        }
        items[i] = loading_copy(value->loading, text);
    }
    *(struct config_strings *)section_member(value->section, value->key) = (struct config_strings){.items = items, .n = n};
}

/* The shortest text that reads back as the same number. */
static const char *print_real(struct loading *loading, double number)
{
    char text[40];

    for (int digits = 15; digits <= 17; digits++) {
        double again;

        snprintf(text, sizeof text, "%.*g", digits, number);
        if (text_read_real(text, strlen(text), &again) && again == number) {
            break;
        }
    }
    return loading_copy(loading, text);
}

/* NULL: not a scalar, or out of memory. */
static const char *scalar_text(struct loading *loading, const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_BOOL:
        return config_setting_get_bool(setting) ? "true" : "false";
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return loading_format(loading, "%" PRId64, integer_of(setting));
    case CONFIG_TYPE_FLOAT:
        return print_real(loading, config_setting_get_float(setting));
    case CONFIG_TYPE_STRING:
        return loading_copy(loading, config_setting_get_string(setting));
    default:
        return NULL;
    }
}

/* The plugin alone knows which options are secret; a dump hides these as well, whatever it says. */
static bool sounds_secret(const char *name)
{
    return strcasestr(name, "password") != NULL || strcasestr(name, "secret") != NULL || strcasestr(name, "token") != NULL;
}

static const char *place_of(const struct value *value, unsigned line)
{
    struct buffer place = BUFFER_INIT;
    const char *copy = NULL;

    source_print_place(value->loading->source, line, &place);
    if (buffer_failed(&place)) {
        value->loading->problems->has_failed = true;
    } else {
        copy = loading_copy(value->loading, place.data);
    }
    buffer_free(&place);
    return copy;
}

static void read_pairs(const struct value *value)
{
    size_t n = config_setting_type(value->setting) == CONFIG_TYPE_GROUP ? (size_t)config_setting_length(value->setting) : 0;
    unsigned *lines = loading_alloc(value->loading, (n + 1) * sizeof *lines);
    struct section_key *slot;
    struct config_pair *items;

    if (config_setting_type(value->setting) != CONFIG_TYPE_GROUP) {
        complain_of_shape(value);
        return;
    }
    items = loading_alloc(value->loading, (n + 1) * sizeof *items);
    for (size_t i = 0; i < n && items != NULL && lines != NULL; i++) {
        const config_setting_t *member = config_setting_get_elem((config_setting_t *)value->setting, (unsigned)i);
        const char *text;

        if (config_setting_is_aggregate(member)) {
            problems_add(value->loading->problems, config_setting_source_line(member),
                         "%s.%s.%s is %s; it must be a text, a number or a boolean", value->section->path, value->key->name,
                         config_setting_name(member), shape_name(member));
            text = "";
        } else {
            text = scalar_text(value->loading, member);
        }
        if (text != NULL && (value->key->flags & KEY_PATH) != 0) {
            text = source_resolve(value->loading->arena, value->loading->source->path, text);
        }
        items[i] = (struct config_pair){.name = loading_copy(value->loading, config_setting_name(member)),
                                        .value = text,
                                        .place = place_of(value, config_setting_source_line(member)),
                                        .is_secret = sounds_secret(config_setting_name(member))};
        lines[i] = config_setting_source_line(member);
        if (text == NULL) {
            value->loading->problems->has_failed = true;
        }
    }
    section_find(value->section, value->key->name, &slot);
    slot->pair_lines = lines;
    *(struct config_pairs *)section_member(value->section, value->key) = (struct config_pairs){.items = items, .n = n};
}

void value_read(struct loading *loading, const struct section *section, const struct key *key,
                const struct config_setting_t *setting)
{
    struct value value = {.loading = loading, .section = section, .key = key, .setting = setting,
                          .line = config_setting_source_line(setting)};

    if (key->type == KEY_LIST) {
        read_list(&value);
    } else if (key->type == KEY_PAIRS) {
        read_pairs(&value);
    } else {
        read_scalar(&value);
    }
}

void value_set_default(struct loading *loading, const struct section *section, const struct key *key)
{
    struct value value = {.loading = loading, .section = section, .key = key, .line = section->line};

    if (key->fallback != NULL) {
        set_from_text(&value, key->fallback);
    }
}
