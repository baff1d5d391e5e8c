/*
 * print - see print.h. Pure but for columns_print().
 */
#include "cli/print.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static size_t width_of(const char *text)
{
    size_t n = 0;

    return text_is_utf8(text, strlen(text), &n) ? n : strlen(text);
}

void columns_put(struct columns *columns, const char *text)
{
    const char *shown = text == NULL || text[0] == '\0' ? "-" : text;
    size_t *width = &columns->widths[columns->n_cells++ % columns->n_columns];

    buffer_append(&columns->cells, shown, strlen(shown) + 1);
    if (width_of(shown) > *width)
        *width = width_of(shown);
}

void columns_put_number(struct columns *columns, int64_t number)
{
    char text[32];

    snprintf(text, sizeof text, "%" PRId64, number);
    columns_put(columns, text);
}

void columns_print(struct columns *columns)
{
    const char *cell = columns->cells.data;

    for (size_t i = 0; i < columns->n_cells && !buffer_failed(&columns->cells); i++) {
        size_t column = i % columns->n_columns;
        bool is_last = column + 1 == columns->n_columns;
        int padding = (int)(columns->widths[column] - width_of(cell));

        if (columns->is_right[column])
            printf("%*s%s%s", padding, "", cell, is_last ? "\n" : "  ");
        else if (is_last)
            printf("%s\n", cell);
        else
            printf("%s%*s  ", cell, padding, "");
        cell += strlen(cell) + 1;
    }
    buffer_free(&columns->cells);
    *columns = (struct columns){0};
}

void json_put_text(struct buffer *json, const char *text)
{
    if (text == NULL) {
        buffer_puts(json, "null");
        return;
    }
    buffer_putc(json, '"');
    while (*text != '\0') {
        unsigned char c = (unsigned char)*text;
        size_t size = text_character_size(text);

        if (size == 0)
            buffer_puts(json, "\xef\xbf\xbd");
        else if (c == '"' || c == '\\')
            buffer_printf(json, "\\%c", c);
        else if (c < 0x20)
            buffer_printf(json, "\\u%04x", c);
        else
            buffer_append(json, text, size);
        text += size == 0 ? 1 : size;
    }
    buffer_putc(json, '"');
}
