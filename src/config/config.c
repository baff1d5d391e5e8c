/*
 * config - loading, freeing and looking things up; the steps are in read.c, derive.c and check.c.
 *
 * Called by main and the supervisor at start and reload, and by every task at its start; one thread. See config.h.
 */
#include "config/config.h"
#include "config/loaded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK = 16 * 1024 };

void *loading_alloc(struct loading *loading, size_t size_bytes)
{
    void *data = arena_zalloc(loading->arena, size_bytes);

    if (data == NULL) {
        loading->problems->has_failed = true;
    }
    return data;
}

const char *loading_copy(struct loading *loading, const char *text)
{
    const char *copy = arena_copy(loading->arena, text, strlen(text));

    if (copy == NULL) {
        loading->problems->has_failed = true;
    }
    return copy;
}

const char *loading_format(struct loading *loading, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return loading_copy(loading, text);
}

const struct key *section_find(const struct section *section, const char *name, struct section_key **ret_key)
{
    const struct key *key = key_find(section->group, name);

    *ret_key = &section->keys[key - section->group->keys];
    return key;
}

unsigned section_line(const struct section *section, const char *name)
{
    struct section_key *key;

    section_find(section, name, &key);
    return key->line > 0 ? key->line : section->line;
}

bool section_has(const struct section *section, const char *name)
{
    struct section_key *key;

    section_find(section, name, &key);
    return key->line > 0;
}

const char *section_text(const struct section *section, const char *name)
{
    struct section_key *key;

    section_find(section, name, &key);
    return key->text;
}

static struct loaded *loaded_new(const char *path)
{
    struct loaded *loaded = calloc(1, sizeof *loaded);

    if (loaded == NULL) {
        return NULL;
    }
    loaded->arena = arena_new(ARENA_BLOCK, 0);
    loaded->config.path = loaded->arena == NULL ? NULL : arena_copy(loaded->arena, path, strlen(path));
    if (loaded->config.path == NULL) {
        config_free(&loaded->config);
        return NULL;
    }
    return loaded;
}

int config_load(const char *path, struct config **ret_config, struct buffer *ret_problems, struct error *ret_error)
{
    struct loaded *loaded = loaded_new(path);
    struct source source = {.path = path};
    struct problems problems = {.source = &source};
    struct loading loading = {.loaded = loaded, .problems = &problems, .source = &source};
    struct error error;
    int result;

    if (loaded == NULL) {
        return error_set(ret_error, ERROR_CONFIG, "%s: out of memory", path);
    }
    loading.arena = source.arena = loaded->arena;
    result = source_read(&source, &error);
    if (result < 0) {
        if (ret_problems != NULL) {
            buffer_printf(ret_problems, "%s\n", error.text);
            error_set(&error, result, "%s has 1 problem", path);
        }
        error_set(ret_error, result, "%s", error.text);
        goto out;
    }
    result = read_settings(&loading, source.text.data == NULL ? "" : source.text.data, ret_error);
    if (result == 0 && !problems.has_failed) {
        derive_settings(&loading);
    }
    if (result == 0 && !problems.has_failed) {
        check_settings(&loading);
    }
    if (problems_any(&problems)) {
        result = problems_report(&problems, path, ret_problems, ret_error);
    }
out:
    problems_free(&problems);
    source_free(&source);
    if (result < 0) {
        config_free(&loaded->config);
    } else {
        *ret_config = &loaded->config;
    }
    return result;
}

struct config *config_free(struct config *config)
{
    struct loaded *loaded = (struct loaded *)config;

    if (loaded != NULL) {
        arena_free(loaded->arena);
        free(loaded);
    }
    return NULL;
}

const struct config_pipeline *config_find_pipeline(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->n_pipelines; i++) {
        if (strcmp(config->pipelines[i].name, name) == 0) {
            return &config->pipelines[i];
        }
    }
    return NULL;
}
