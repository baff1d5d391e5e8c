/*
 * test_print - values as `readside test-plugin' prints them, one line a row, columns separated by tabs. Pure.
 */
#ifndef CLI_TEST_PRINT_H
#define CLI_TEST_PRINT_H

#include "base/buffer.h"
#include "fold/table.h"

/* Tab, line feed and backslash as \t, \n, \\. */
void test_print_text(struct buffer *text, const char *data, size_t size);

/* A cell as a store keeps it. Null: \N; decimals with the column's scale; bytes in hex; JSON with the escapes of text. */
void test_print_cell(struct buffer *text, const struct column *column, const struct cell *cell);

/* "..." with backslashes before quotes and backslashes. */
void test_print_quoted(struct buffer *text, const char *string);

#endif
