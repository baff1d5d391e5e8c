/*
 * print - aligned columns and JSON for the commands' output.
 */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { COLUMNS_MAX = 12 };

/* A table of text, printed once all cells are known. */
struct columns {
    struct buffer cells; /* each with its NUL */
    size_t n_columns;
    size_t n_cells;
    size_t widths[COLUMNS_MAX]; /* in code points */
    bool is_right[COLUMNS_MAX]; /* numbers: aligned to the right */
};

void columns_put(struct columns *columns, const char *text); /* the next cell; "-" for NULL or empty */
void columns_put_number(struct columns *columns, int64_t number);
void columns_print(struct columns *columns); /* to standard output, and frees it */

/* A JSON string (RFC 8259), quotes included; NULL: null. Bytes that are not UTF-8 become U+FFFD. */
void json_put_text(struct buffer *json, const char *text);

#endif
