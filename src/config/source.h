/*
 * source - the text of a config file with its includes put in, and where each line of it came from.
 *
 * Includes are resolved here rather than by libconfig, whose older versions cannot include absolute paths and end the process
 * when a file cannot be read. `@include "path"` stands on a line of its own; a relative path counts from the including file.
 */
#ifndef CONFIG_SOURCE_H
#define CONFIG_SOURCE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"

#include <stddef.h>

enum { SOURCE_MAX_DEPTH = 8, SOURCE_MAX_FILES = 256, SOURCE_MAX_BYTES = 4 << 20 };

/* Consecutive lines that come from one file. */
struct source_part {
    unsigned line; /* first line in the text, counted from 1 */
    const char *file;
    unsigned file_line;
};

struct source {
    struct arena *arena; /* the caller's; holds the names */
    const char *path;
    struct buffer text;
    struct source_part *parts;
    size_t n_parts;
    size_t parts_capacity;
    size_t n_files;
};

/* source->arena and source->path are set by the caller, the rest is zero. CONFIG with file:line. Free it in any case. */
int source_read(struct source *source, struct error *ret_error) MUST_CHECK;
void source_free(struct source *source);

/* "file:line" of a line of the text; "file" for 0. */
void source_print_place(const struct source *source, unsigned line, struct buffer *ret_text);

/* path as seen from the directory of the file `from`: in the arena, or path itself when it is absolute. NULL: out of memory. */
const char *source_resolve(struct arena *arena, const char *from, const char *path);

#endif
