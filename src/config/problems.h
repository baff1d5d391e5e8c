/*
 * problems - what is wrong with a config file, collected so that all of it is reported in one go.
 *
 * Belongs to one config_load(). Lines are those of the whole text, includes resolved; the source turns them into file:line.
 */
#ifndef CONFIG_PROBLEMS_H
#define CONFIG_PROBLEMS_H

#include "base/buffer.h"
#include "base/error.h"
#include "config/source.h"

#include <stdbool.h>
#include <stddef.h>

struct problem {
    unsigned line;
    size_t number; /* in the order of their finding */
    char *text;
};

struct problems {
    const struct source *source;
    struct problem *items;
    size_t n;
    size_t capacity;
    bool has_failed; /* out of memory: some may be missing */
};

/* line 0: the file as a whole. */
void problems_add(struct problems *problems, unsigned line, const char *format, ...) PRINTF_LIKE(3, 4);
bool problems_any(const struct problems *problems);
/* Appends one line each, in the order of the file, and gives a summary as the error; with ret_text NULL the summary has the first
 * of them. CONFIG. */
int problems_report(struct problems *problems, const char *path, struct buffer *ret_text, struct error *ret_error);
void problems_free(struct problems *problems);

#endif
