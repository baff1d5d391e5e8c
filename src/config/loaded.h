/*
 * loaded - a config while it is read, and what is kept beside the public struct: where each key stood and how secrets were named.
 *
 * Internal to config/. The steps of config_load(): read.c (file to structs by the key table), derive.c (computed defaults, paths,
 * references), check.c (what single keys cannot tell).
 */
#ifndef CONFIG_LOADED_H
#define CONFIG_LOADED_H

#include "base/arena.h"
#include "config/config.h"
#include "config/keys.h"
#include "config/problems.h"

#include <stdbool.h>

struct config_setting_t; /* libconfig's */

/* One group of the file and the struct it fills. */
struct section {
    const struct key_group *group;
    const char *path;         /* "kafka", "pipelines.accounts" */
    void *object;             /* of group->object_size bytes; inside struct config in the end */
    unsigned line;            /* 0: the group is not in the file */
    struct section_key {
        unsigned line;         /* 0: not in the file */
        const char *text;      /* value of a key that fills a property or names a store; NULL: none */
        const char *reference; /* "env:..." or "file:..." that the value came from; NULL: it stood in the file */
        unsigned *pair_lines;  /* PAIRS: the line of each */
    } *keys;                  /* one for each of the group */
};

struct loaded {
    struct config config; /* first: the two are one object */
    struct arena *arena;
    struct section worker;
    struct section kafka;
    struct section *stores; /* as many as config.n_stores; the same order */
    struct section *pipelines;
};

/* What the steps share while they run. */
struct loading {
    struct loaded *loaded;
    struct arena *arena;
    struct problems *problems;
    const struct source *source;
    bool allow_literal_secrets;
};

static inline void *section_member(const struct section *section, const struct key *key)
{
    return (char *)section->object + key->offset;
}

/* The key of that name, which the group has. */
const struct key *section_find(const struct section *section, const char *name, struct section_key **ret_key);
/* The line of a key; of its group where it is not in the file. */
unsigned section_line(const struct section *section, const char *name);
bool section_has(const struct section *section, const char *name); /* is it in the file? */
const char *section_text(const struct section *section, const char *name);

/* Arena memory; NULL is noted as a problem. */
void *loading_alloc(struct loading *loading, size_t size_bytes);
const char *loading_copy(struct loading *loading, const char *text);
const char *loading_format(struct loading *loading, const char *format, ...) PRINTF_LIKE(2, 3);

/* read.c; CONFIG only for a syntax error (with its place), everything else becomes a problem. */
int read_settings(struct loading *loading, const char *text, struct error *ret_error) MUST_CHECK;
/* value.c */
void value_read(struct loading *loading, const struct section *section, const struct key *key,
                const struct config_setting_t *setting);
void value_set_default(struct loading *loading, const struct section *section, const struct key *key);
/* derive.c */
void derive_settings(struct loading *loading);
/* check.c */
void check_settings(struct loading *loading);

#endif
