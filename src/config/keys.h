/*
 * keys - the typed table of every key of the config file (design D8).
 *
 * Parsing, defaults, ranges, the dump, the sample file and the manual page all follow this table. Constant; used by config/ only.
 */
#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H

#include <stddef.h>
#include <stdint.h>

enum key_type {
    KEY_BOOL,     /* bool */
    KEY_INT,      /* int64_t */
    KEY_TEXT,     /* const char *; not empty */
    KEY_DURATION, /* int64_t, microseconds */
    KEY_SIZE,     /* int64_t, bytes */
    KEY_CHOICE,   /* const char *, one of `choices` */
    KEY_LIST,     /* struct config_strings; a single text is a list of one */
    KEY_PAIRS,    /* struct config_pairs; a group of names and scalars */
    KEY_STORE,    /* const struct config_store *, named in the file */
};

enum key_flag {
    KEY_REQUIRED = 1,
    KEY_SECRET = 2,     /* "env:NAME" or "file:PATH"; never printed */
    KEY_FROM_ENV = 4,   /* "env:NAME" is allowed */
    KEY_PATH = 8,       /* relative to the config file's directory */
    KEY_PATHS = 16,     /* several of them, separated by ':' */
    KEY_RELOADABLE = 32 /* a reload applies it without restarting a task */
};

struct key {
    const char *name;
    enum key_type type;
    unsigned flags;
    const char *fallback;      /* default as in the file, without quotes; NULL: none, or computed (then default_note says how) */
    const char *default_note;  /* for people, where fallback is NULL */
    int64_t min, max;          /* INT, DURATION, SIZE: inclusive */
    const char *choices;       /* CHOICE: words separated by '|' */
    size_t offset;             /* into the group's struct; unused where `property` is set */
    const char *property;      /* TEXT and CHOICE of kafka: the librdkafka property that takes the value; NULL: none */
    const char *example;       /* value for the sample file as it stands there; NULL: the default's */
    const char *summary;       /* one line */
    const char *details;       /* further sentences for the manual page and the sample; NULL: none */
};

enum key_group_id { GROUP_WORKER, GROUP_KAFKA, GROUP_STORE, GROUP_PIPELINE, N_GROUPS };

struct key_group {
    const char *name;         /* of the group in the file: "worker", "stores" */
    const char *sample_name;  /* a name for the sample where the group holds named groups ("main"); NULL: it holds the keys */
    const char *summary;
    const struct key *keys;
    size_t n_keys;
    size_t object_size;       /* of the struct that the offsets are in */
};

extern const struct key_group key_groups[N_GROUPS];

/* NULL: no such key. */
const struct key *key_find(const struct key_group *group, const char *name);

/* The nearest of n names to a misspelt one, names[i] = *(const char **)(first + i * stride); NULL: none is near. */
const char *key_nearest(const char *name, const char *const *first, size_t n, size_t stride);

/* How a type is called for people: "number", "text". */
const char *key_type_name(enum key_type type);

#endif
