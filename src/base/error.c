/*
 * error - filling and wrapping struct error.
 *
 * Called wherever something can fail, in every process and thread; an error belongs to one caller. Never allocates, never logs.
 */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

static const char ellipsis[] = "...";

/* One line, ended by "..." when it did not fit. length is what the whole text would have taken. */
static void finish_text(char *text, int length)
{
    if (length < 0) {
        text[0] = '\0';
        return;
    }
    if (length >= ERROR_TEXT_SIZE) {
        size_t cut = ERROR_TEXT_SIZE - sizeof ellipsis;

        while (cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80) { /* not inside a UTF-8 sequence */
            cut--;
        }
        memcpy(text + cut, ellipsis, sizeof ellipsis);
    }
    for (char *at = text; *at != '\0'; at++) {
        if (*at == '\n' || *at == '\r') {
            *at = ' ';
        }
    }
    for (size_t size = strlen(text); size > 0 && text[size - 1] == ' '; size--) { /* libraries end theirs in a newline */
        text[size - 1] = '\0';
    }
}

int error_set(struct error *ret_error, int class, const char *format, ...)
{
    /* A local copy first: an argument may be the text of the same error. */
    char text[ERROR_TEXT_SIZE];
    va_list arguments;

    if (ret_error == NULL) {
        return class;
    }
    va_start(arguments, format);
    finish_text(text, vsnprintf(text, sizeof text, format, arguments));
    va_end(arguments);
    ret_error->class = class;
    ret_error->code[0] = '\0';
    memcpy(ret_error->text, text, strlen(text) + 1);
    return class;
}

int error_wrap(struct error *error, const char *format, ...)
{
    char prefix[ERROR_TEXT_SIZE];
    char text[ERROR_TEXT_SIZE];
    va_list arguments;
    int length;

    if (error == NULL) {
        return 0;
    }
    va_start(arguments, format);
    finish_text(prefix, vsnprintf(prefix, sizeof prefix, format, arguments));
    va_end(arguments);
    memcpy(text, error->text, strnlen(error->text, sizeof text - 1) + 1);
    text[sizeof text - 1] = '\0';
    length = snprintf(error->text, sizeof error->text, "%s: %s", prefix, text);
    finish_text(error->text, length);
    return error->class;
}

const char *error_class_name(int class)
{
    static const char *const names[] = {
        "none", "transient", "poison", "fenced", "config", "bug", "unknown outcome", "halt",
    };

    if (class > 0 || class < ERROR_HALT) {
        return "unknown class";
    }
    return names[-class];
}
