/*
 * source - reads a config file and what it includes. See source.h.
 *
 * Called by config_load(), in one thread. Knows of the syntax only comments, strings and @include; never judges the rest.
 */
#include "config/source.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum scan_state { SCAN_CODE, SCAN_LINE_COMMENT, SCAN_BLOCK_COMMENT, SCAN_STRING };

/* One file while it is copied. */
struct scan {
    const char *file;
    const char *at;
    unsigned line;
    unsigned depth;
    enum scan_state state;
    unsigned state_line; /* where the comment or string begins */
    bool at_line_start;  /* only blanks so far on this line */
};

static int copy_file(struct source *source, const char *file, const struct scan *from, struct error *ret_error);

static int out_of_memory(const struct source *source, struct error *ret_error)
{
    return error_set(ret_error, ERROR_CONFIG, "%s: out of memory", source->path);
}

const char *source_resolve(struct arena *arena, const char *from, const char *path)
{
    const char *slash = strrchr(from, '/');
    size_t size = slash == NULL ? 0 : (size_t)(slash - from) + 1;
    char *resolved;

    if (path[0] == '/' || size == 0) {
        return path;
    }
    resolved = arena_alloc(arena, size + strlen(path) + 1);
    if (resolved != NULL) {
        memcpy(resolved, from, size);
        memcpy(resolved + size, path, strlen(path) + 1);
    }
    return resolved;
}

static unsigned count_lines(const char *text)
{
    unsigned n = 0;

    for (; (text = strchr(text, '\n')) != NULL; text++) {
        n++;
    }
    return n;
}

/* The number of the first line that is not UTF-8, counted from 1; 0: all is well. */
static unsigned find_bad_line(const struct buffer *bytes)
{
    const char *at = bytes->data;
    const char *end = at + bytes->size;

    for (unsigned line = 1; at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline == NULL ? end : newline;

        if (!text_is_utf8(at, (size_t)(stop - at), NULL)) {
            return line;
        }
        at = stop + 1;
    }
    return 0;
}

/* From here on the text comes from that place. */
static int begin_part(struct source *source, const char *file, unsigned file_line, struct error *ret_error)
{
    unsigned line = 1 + (source->text.data == NULL ? 0 : count_lines(source->text.data));

    if (source->n_parts == source->parts_capacity) {
        size_t capacity = source->parts_capacity == 0 ? 8 : source->parts_capacity * 2;
        struct source_part *parts = realloc(source->parts, capacity * sizeof *parts);

        if (parts == NULL) {
            return out_of_memory(source, ret_error);
        }
        source->parts = parts;
        source->parts_capacity = capacity;
    }
    source->parts[source->n_parts++] = (struct source_part){.line = line, .file = file, .file_line = file_line};
    return 0;
}

enum { PIPE_WAIT_MS = 5000 };

/* The file itself may be a pipe (a shell's <(...)), an included one may not: nobody would notice that the worker waits for it. */
static int open_file(const char *file, bool is_included, struct error *ret_error)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0) {
        error_set(ret_error, ERROR_CONFIG, "cannot read %s: %s", file, strerror(errno));
    } else if (is_included && !S_ISREG(status.st_mode)) {
        error_set(ret_error, ERROR_CONFIG, "cannot read %s: not a regular file", file);
    } else {
        return fd;
    }
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

/* A pipe has its time, so that one in which nobody writes does not hold a reload up for ever. */
static bool has_something(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    return poll(&ready, 1, PIPE_WAIT_MS) > 0;
}

static int read_bytes(const struct source *source, const char *file, int fd, struct buffer *ret_bytes, struct error *ret_error)
{
    enum { STEP = 16384 };
    ssize_t got;

    do {
        size_t before = ret_bytes->size;
        char *room = buffer_extend(ret_bytes, STEP);

        if (room == NULL) {
            return out_of_memory(source, ret_error);
        }
        if (!has_something(fd)) {
            return error_set(ret_error, ERROR_CONFIG, "cannot read %s: a pipe in which nobody writes", file);
        }
        got = read(fd, room, STEP);
        ret_bytes->size = before + (got > 0 ? (size_t)got : 0);
        ret_bytes->data[ret_bytes->size] = '\0';
        if (ret_bytes->size + source->text.size > SOURCE_MAX_BYTES) {
            return error_set(ret_error, ERROR_CONFIG, "%s is too large: a config has at most %d MiB, includes and all", file,
                             SOURCE_MAX_BYTES >> 20);
        }
    } while (got > 0 || (got < 0 && errno == EINTR));
    return got == 0 ? 0 : error_set(ret_error, ERROR_CONFIG, "cannot read %s: %s", file, strerror(errno));
}

/* The bytes of a file, checked to be text. */
static int slurp(const struct source *source, const char *file, bool is_included, struct buffer *ret_bytes,
                 struct error *ret_error)
{
    int fd = open_file(file, is_included, ret_error);
    unsigned bad_line;
    int result;

    if (fd < 0) {
        return ERROR_CONFIG;
    }
    result = read_bytes(source, file, fd, ret_bytes, ret_error);
    close(fd);
    bad_line = result == 0 ? find_bad_line(ret_bytes) : 0;
    if (bad_line > 0) {
        result = error_set(ret_error, ERROR_CONFIG, "%s:%u: not valid UTF-8 text", file, bad_line);
    }
    return result;
}

/* Is this the directive? Then its path, and the text behind it. */
static bool match_include(const char *at, const char **ret_path, size_t *ret_size, const char **ret_rest)
{
    static const char directive[] = "@include";
    const char *path;
    size_t size;

    if (strncmp(at, directive, sizeof directive - 1) != 0) {
        return false;
    }
    at += sizeof directive - 1;
    path = at + strspn(at, " \t");
    if (path == at || *path != '"') {
        return false;
    }
    path++;
    size = strcspn(path, "\"\\\n");
    if (path[size] != '"' || size == 0) {
        return false;
    }
    *ret_path = path;
    *ret_size = size;
    *ret_rest = path + size + 1;
    return true;
}

static int include(struct source *source, struct scan *scan, const char *path, size_t size, struct error *ret_error)
{
    const char *copy = arena_copy(source->arena, path, size);
    const char *file = copy == NULL ? NULL : source_resolve(source->arena, scan->file, copy);
    int result;

    if (file == NULL) {
        return out_of_memory(source, ret_error);
    }
    if (scan->depth + 1 >= SOURCE_MAX_DEPTH) {
        return error_set(ret_error, ERROR_CONFIG,
                         "%s:%u: %s would be included %d files deep; does a file include itself?", scan->file, scan->line, file,
                         SOURCE_MAX_DEPTH);
    }
    result = copy_file(source, file, scan, ret_error);
    if (result < 0) {
        return result;
    }
    buffer_putc(&source->text, '\n');
    return begin_part(source, scan->file, scan->line, ret_error);
}

/* What state the text at `at` begins or ends; returns how many bytes belong together. */
static size_t step(struct scan *scan, const char *at)
{
    switch (scan->state) {
    case SCAN_CODE:
        scan->state_line = scan->line;
        if (at[0] == '"') {
            scan->state = SCAN_STRING;
        } else if (at[0] == '#' || (at[0] == '/' && at[1] == '/')) {
            scan->state = SCAN_LINE_COMMENT;
        } else if (at[0] == '/' && at[1] == '*') {
            scan->state = SCAN_BLOCK_COMMENT;
            return 2;
        }
        return 1;
    case SCAN_LINE_COMMENT:
        scan->state = at[0] == '\n' ? SCAN_CODE : SCAN_LINE_COMMENT;
        return 1;
    case SCAN_BLOCK_COMMENT:
        if (at[0] == '*' && at[1] == '/') {
            scan->state = SCAN_CODE;
            return 2;
        }
        return 1;
    case SCAN_STRING:
        if (at[0] == '\\' && at[1] != '\0' && at[1] != '\n') {
            return 2;
        }
        scan->state = at[0] == '"' ? SCAN_CODE : SCAN_STRING;
        return 1;
    }
    return 1;
}

static int copy_text(struct source *source, struct scan *scan, struct error *ret_error)
{
    while (*scan->at != '\0') {
        const char *path;
        const char *rest;
        size_t size;

        if (scan->state == SCAN_CODE && scan->at_line_start && match_include(scan->at, &path, &size, &rest)) {
            int result = include(source, scan, path, size, ret_error);

            if (result < 0) {
                return result;
            }
            scan->at = rest;
            continue;
        }
        scan->at_line_start = *scan->at == '\n' || (scan->at_line_start && (*scan->at == ' ' || *scan->at == '\t'));
        size = step(scan, scan->at);
        buffer_append(&source->text, scan->at, size);
        scan->line += *scan->at == '\n';
        scan->at += size;
    }
    if (scan->state == SCAN_STRING || scan->state == SCAN_BLOCK_COMMENT) {
        return error_set(ret_error, ERROR_CONFIG, "%s:%u: the %s that begins here does not end", scan->file, scan->state_line,
                         scan->state == SCAN_STRING ? "text (\")" : "comment (/*)");
    }
    return 0;
}

/* from: the file and line that includes it; NULL for the config file itself. */
static int copy_file(struct source *source, const char *file, const struct scan *from, struct error *ret_error)
{
    struct scan scan = {.file = file, .line = 1, .depth = from == NULL ? 0 : from->depth + 1, .at_line_start = true};
    struct buffer bytes = BUFFER_INIT;
    int result;

    if (++source->n_files > SOURCE_MAX_FILES) {
        return error_set(ret_error, ERROR_CONFIG, "%s: more than %d files are included", source->path, SOURCE_MAX_FILES);
    }
    result = slurp(source, file, from != NULL, &bytes, ret_error);
    if (result < 0 && from != NULL) {
        error_wrap(ret_error, "%s:%u", from->file, from->line);
    }
    if (result == 0) {
        result = begin_part(source, file, 1, ret_error);
    }
    if (result == 0) {
        scan.at = bytes.data;
        result = copy_text(source, &scan, ret_error);
    }
    if (result == 0 && buffer_failed(&source->text)) {
        result = out_of_memory(source, ret_error);
    }
    buffer_free(&bytes);
    return result;
}

int source_read(struct source *source, struct error *ret_error)
{
    return copy_file(source, source->path, NULL, ret_error);
}

void source_free(struct source *source)
{
    buffer_free(&source->text);
    free(source->parts);
    source->parts = NULL;
    source->n_parts = 0;
}

void source_print_place(const struct source *source, unsigned line, struct buffer *ret_text)
{
    size_t i = source->n_parts;

    while (i > 0 && source->parts[i - 1].line > line) {
        i--;
    }
    if (line == 0 || i == 0) {
        buffer_puts(ret_text, source->path);
        return;
    }
    i--;
    buffer_printf(ret_text, "%s:%u", source->parts[i].file, source->parts[i].file_line + (line - source->parts[i].line));
}
