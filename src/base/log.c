/*
 * log - one line per fact to stderr, the only writer there.
 *
 * Called by main, cli, task and worker, from any thread. A line is put together on the stack and leaves in one write(2), so that
 * lines of several processes do not mix. Never allocates, never fails, keeps errno.
 */
#include "base/log.h"
#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_SIZE = 8192,
    CLOSING_SIZE = 16, /* room that only the end of a line may use: dots, quote, brace, newline */
    MAX_PAIRS = 8,
    KEY_SIZE = 32,
    VALUE_SIZE = 256,
    NUMBERS = 16,
};

struct line {
    char data[LINE_SIZE];
    size_t size;
    bool is_full;
    bool is_json;
};

struct pair {
    char key[KEY_SIZE];
    char value[VALUE_SIZE];
};

static atomic_int current_level = LOG_LEVEL_INFO;
static atomic_int current_format = LOG_FORMAT_LOGFMT;
static pthread_mutex_t context_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two below */
static struct pair context[MAX_PAIRS];
static size_t n_context;

enum log_level log_level_named(const char *name)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum log_level)i;
    return LOG_LEVEL_INFO;
}

enum log_format log_format_named(const char *name)
{
    return strcmp(name, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_LOGFMT;
}

void log_setup(enum log_level level, enum log_format format)
{
    atomic_store(&current_level, level);
    atomic_store(&current_format, format);
}

static void copy_text(char *to, size_t to_size, const char *from)
{
    size_t size = strnlen(from, to_size - 1);

    memcpy(to, from, size);
    to[size] = '\0';
}

void log_context(const char *key, const char *value)
{
    size_t i;

    pthread_mutex_lock(&context_lock);
    for (i = 0; i < n_context && strncmp(context[i].key, key, KEY_SIZE - 1) != 0; i++) {
    }
    if (i < MAX_PAIRS) {
        copy_text(context[i].key, KEY_SIZE, key);
        copy_text(context[i].value, VALUE_SIZE, value == NULL ? "" : value);
        n_context = i == n_context ? n_context + 1 : n_context;
    }
    pthread_mutex_unlock(&context_lock);
}

/* All of it or nothing: a cut never falls into an escape or a character. */
static void put(struct line *line, const char *data, size_t size)
{
    if (line->is_full || size > LINE_SIZE - CLOSING_SIZE - line->size) {
        line->is_full = true;
        return;
    }
    memcpy(line->data + line->size, data, size);
    line->size += size;
}

/* For the ends of strings and lines, which must come. */
static void close_with(struct line *line, const char *closing)
{
    size_t size = strlen(closing);

    if (size <= LINE_SIZE - line->size) {
        memcpy(line->data + line->size, closing, size);
        line->size += size;
    }
}

/* The inside of a quoted string, JSON's escapes in both formats; bytes that are not UTF-8 become U+FFFD. */
static void put_escaped(struct line *line, const char *text)
{
    while (*text != '\0' && !line->is_full) {
        unsigned char c = (unsigned char)*text;
        char escape[8];

        if (c == '"' || c == '\\') {
            escape[0] = '\\';
            escape[1] = (char)c;
            put(line, escape, 2);
        } else if (c == '\n') {
            put(line, "\\n", 2);
        } else if (c < 0x20 || c == 0x7f) {
            snprintf(escape, sizeof escape, "\\u%04x", c);
            put(line, escape, 6);
        } else {
            size_t size = text_character_size(text);

            if (size == 0) {
                put(line, "\xef\xbf\xbd", 3);
                size = 1;
            } else {
                put(line, text, size);
            }
            text += size;
            continue;
        }
        text++;
    }
    if (line->is_full) {
        close_with(line, "...");
    }
}

static bool is_plain(const char *text)
{
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f) {
            return false;
        }
    }
    return true;
}

static void put_pair(struct line *line, const char *key, const char *value)
{
    /* Room for the worst case of the key, so that it is never cut. */
    if (line->is_full || strlen(key) * 6 + 8 > LINE_SIZE - CLOSING_SIZE - line->size) {
        line->is_full = true;
        return;
    }
    value = value == NULL ? "" : value;
    if (line->is_json) {
        put(line, line->size == 0 ? "{\"" : ",\"", 2);
        put_escaped(line, key);
        put(line, "\":\"", 3);
    } else {
        put(line, " ", line->size == 0 ? 0 : 1);
        put(line, key, strlen(key));
        put(line, "=", 1);
        if (is_plain(value) && strlen(value) <= LINE_SIZE - CLOSING_SIZE - line->size) {
            put(line, value, strlen(value));
            return;
        }
        put(line, "\"", 1);
    }
    put_escaped(line, value);
    close_with(line, "\"");
}

static void put_context(struct line *line)
{
    pthread_mutex_lock(&context_lock);
    for (size_t i = 0; i < n_context; i++) {
        put_pair(line, context[i].key, context[i].value);
    }
    pthread_mutex_unlock(&context_lock);
}

static void write_line(const struct line *line)
{
    size_t done = 0;

    while (done < line->size) {
        ssize_t written = write(STDERR_FILENO, line->data + done, line->size - done);

        if (written < 0 && errno != EINTR) {
            return; /* nowhere left to tell it */
        }
        done += written > 0 ? (size_t)written : 0;
    }
}

void log_line(enum log_level level, const char *message, ...)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    int saved_errno = errno;
    char time[TEXT_TIMESTAMP_SIZE];
    struct line line;
    va_list pairs;
    const char *key;

    if ((int)level > atomic_load_explicit(&current_level, memory_order_relaxed)) {
        return;
    }
    line.size = 0;
    line.is_full = false;
    line.is_json = atomic_load_explicit(&current_format, memory_order_relaxed) == LOG_FORMAT_JSON;
    text_print_timestamp(clock_system.wall_us(clock_system.self), time);
    memcpy(time + sizeof "2026-11-23T04:00:00.123" - 1, "Z", 2); /* milliseconds are enough for people */
    put_pair(&line, "ts", time);
    put_pair(&line, "level", levels[level]);
    put_pair(&line, "msg", message);
    put_context(&line);
    va_start(pairs, message);
    while ((key = va_arg(pairs, const char *)) != NULL) {
        put_pair(&line, key, va_arg(pairs, const char *));
    }
    va_end(pairs);
    close_with(&line, line.is_json ? "}\n" : "\n");
    write_line(&line);
    errno = saved_errno;
}

const char *log_number(int64_t number)
{
    static _Thread_local char ring[NUMBERS][24];
    static _Thread_local unsigned next;
    char *text = ring[next++ % NUMBERS];

    snprintf(text, sizeof ring[0], "%lld", (long long)number);
    return text;
}
