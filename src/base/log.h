/*
 * log - one line per fact, logfmt or JSON, to stderr; the only writer there.
 *
 *     log_info("task started", "pipeline", "accounts", "task", "0", NULL);
 *     ts=2026-11-23T04:00:00.123Z level=info msg="task started" pipeline=accounts task=0
 *
 * Each line is one write(2) of at most 8 KiB. Context pairs set once per process are added to every line. Keys and values are
 * text; NULL ends the list. A NULL value prints an empty string. log_number() formats into a small ring of buffers for use as an
 * argument. Level and format can change at run time. Called from any thread.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

/* By the names that the config uses; INFO and LOGFMT for others. */
enum log_level log_level_named(const char *name);
enum log_format log_format_named(const char *name);
void log_setup(enum log_level level, enum log_format format);
void log_context(const char *key, const char *value); /* both copied; at most 8 pairs, the same key replaces */

void log_line(enum log_level level, const char *message, ...) __attribute__((sentinel));
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

const char *log_number(int64_t number); /* valid for the next 15 calls in this thread */

#endif
