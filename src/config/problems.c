/*
 * problems - see problems.h. Called while a file is read and checked, in one thread.
 */
#include "config/problems.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void problems_add(struct problems *problems, unsigned line, const char *format, ...)
{
    struct buffer text = BUFFER_INIT;
    char message[ERROR_TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    if (vsnprintf(message, sizeof message, format, arguments) < 0) {
        message[0] = '\0';
    }
    va_end(arguments);
    if (problems->n == problems->capacity) {
        size_t capacity = problems->capacity == 0 ? 16 : problems->capacity * 2;
        struct problem *items = realloc(problems->items, capacity * sizeof *items);

        if (items == NULL) {
            problems->has_failed = true;
            return;
        }
        problems->items = items;
        problems->capacity = capacity;
    }
    source_print_place(problems->source, line, &text);
    buffer_puts(&text, ": ");
    buffer_puts(&text, message);
    if (buffer_failed(&text)) {
        buffer_free(&text);
        problems->has_failed = true;
        return;
    }
    problems->items[problems->n] = (struct problem){.line = line, .number = problems->n, .text = text.data};
    problems->n++;
}

bool problems_any(const struct problems *problems)
{
    return problems->n > 0 || problems->has_failed;
}

static int compare(const void *left, const void *right)
{
    const struct problem *a = left;
    const struct problem *b = right;

    if (a->line != b->line) {
        return a->line < b->line ? -1 : 1;
    }
    return a->number < b->number ? -1 : a->number > b->number;
}

int problems_report(struct problems *problems, const char *path, struct buffer *ret_text, struct error *ret_error)
{
    if (problems->has_failed) {
        return error_set(ret_error, ERROR_CONFIG, "%s: out of memory", path);
    }
    qsort(problems->items, problems->n, sizeof problems->items[0], compare);
    for (size_t i = 0; i < problems->n && ret_text != NULL; i++) {
        buffer_puts(ret_text, problems->items[i].text);
        buffer_putc(ret_text, '\n');
    }
    if (ret_text != NULL) {
        return error_set(ret_error, ERROR_CONFIG, "%s has %zu problem%s", path, problems->n, problems->n == 1 ? "" : "s");
    }
    if (problems->n == 1) {
        return error_set(ret_error, ERROR_CONFIG, "%s", problems->items[0].text);
    }
    return error_set(ret_error, ERROR_CONFIG, "%s has %zu problems; the first: %s", path, problems->n, problems->items[0].text);
}

void problems_free(struct problems *problems)
{
    for (size_t i = 0; i < problems->n; i++) {
        free(problems->items[i].text);
    }
    free(problems->items);
    *problems = (struct problems){.source = problems->source};
}
