/*
 * error - what went wrong and what to do now.
 *
 * A function that can fail returns 0 or a negative enum error_class and fills a struct error where the fact is known; callers on
 * the way up wrap it ("pipeline accounts: commit: server closed the connection"). The class answers "what now?". Nothing here
 * logs; only main, cli, task and worker log errors.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_at, first_at) __attribute__((format(printf, format_at, first_at)))

enum error_class {
    ERROR_TRANSIENT = -1, /* try the whole thing again, with back-off */
    ERROR_POISON = -2,    /* this input can never succeed: the error policy decides */
    ERROR_FENCED = -3,    /* somebody else owns the position */
    ERROR_CONFIG = -4,    /* refuse to start: a person must change something */
    ERROR_BUG = -5,       /* stop: an invariant failed */
    ERROR_UNKNOWN = -6,   /* the outcome of a COMMIT is not known: resolve */
    ERROR_HALT = -7,      /* stop this partition with a reason a person can act on */
};

enum { ERROR_TEXT_SIZE = 1024, ERROR_CODE_SIZE = 16 };

struct error {
    int class;                  /* enum error_class; 0: no error */
    char code[ERROR_CODE_SIZE]; /* the source's own code ("22003", "SQLITE_BUSY"), or empty */
    char text[ERROR_TEXT_SIZE]; /* one sentence that names the place and, where known, the way out; no newline */
};

/* No error, on the hot path: without clearing a kilobyte of text. */
static inline void error_clear(struct error *error)
{
    error->class = 0;
    error->code[0] = error->text[0] = '\0';
}

/* Fills the error (newlines become spaces, too long a text ends in "...") and returns the class. ret_error may be NULL. */
int error_set(struct error *ret_error, int class, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "prefix: " before the text. Returns the error's class. */
int error_wrap(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

/* "transient", "poison", ... for logs. */
const char *error_class_name(int class);

#endif
