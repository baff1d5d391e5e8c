/*
 * test_print - see test_print.h.
 */
#include "cli/test_print.h"

#include "base/decimal.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DECIMAL_MAX = 48, REAL_MAX = 40 };

void test_print_text(struct buffer *text, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\t')
            buffer_puts(text, "\\t");
        else if (data[i] == '\n')
            buffer_puts(text, "\\n");
        else if (data[i] == '\\')
            buffer_puts(text, "\\\\");
        else
            buffer_putc(text, data[i]);
    }
}

void test_print_quoted(struct buffer *text, const char *string)
{
    buffer_putc(text, '"');
    for (; *string != '\0'; string++) {
        if (*string == '"' || *string == '\\')
            buffer_putc(text, '\\');
        buffer_putc(text, *string);
    }
    buffer_putc(text, '"');
}

/* The shortest of the usual forms that reads back as the same number. */
static void print_real(struct buffer *text, double real)
{
    char digits[REAL_MAX];
    double again;

    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, real);
        if (text_read_real(digits, strlen(digits), &again) && again == real)
            break;
    }
    buffer_puts(text, digits);
}

static void print_hex(struct buffer *text, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buffer_printf(text, "%02x", (unsigned)(unsigned char)data[i]);
}

static void print_decimal(struct buffer *text, const struct column *column, const struct cell *cell)
{
    char digits[DECIMAL_MAX];
    size_t size = decimal_print(decimal_make(cell->as.decimal, (int32_t)column->scale), digits);

    buffer_append(text, digits, size);
}

void test_print_cell(struct buffer *text, const struct column *column, const struct cell *cell)
{
    char time[TEXT_TIMESTAMP_SIZE], date[TEXT_DATE_SIZE], uuid[TEXT_UUID_SIZE];

    if (cell->is_null) {
        buffer_puts(text, "\\N");
        return;
    }
    switch (column->type) {
    case RS_INT:
        buffer_printf(text, "%" PRId64, cell->as.integer);
        break;
    case RS_REAL:
        print_real(text, cell->as.real);
        break;
    case RS_DECIMAL:
        print_decimal(text, column, cell);
        break;
    case RS_BOOL:
        buffer_puts(text, cell->as.integer != 0 ? "true" : "false");
        break;
    case RS_BYTES:
        print_hex(text, cell->as.data, cell->size);
        break;
    case RS_TIMESTAMP:
        text_print_timestamp(cell->as.integer, time);
        buffer_puts(text, time);
        break;
    case RS_DATE:
        text_print_date((int32_t)cell->as.integer, date);
        buffer_puts(text, date);
        break;
    case RS_UUID:
        text_print_uuid(cell->as.uuid, uuid);
        buffer_puts(text, uuid);
        break;
    default:
        test_print_text(text, cell->as.data, cell->size);
        break;
    }
}
