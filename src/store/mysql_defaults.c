/*
 * mysql_defaults - are a table's defaults those that the plugin declares? See mysql.h.
 *
 * A row that is inserted takes them for what no event has set. The server is asked whether two ways of writing a value mean the
 * same.
 */
#include "store/mysql.h"

#include <stdio.h>
#include <string.h>

/* In this form two ways of writing the same value are the same. */
static const char *form_of(const struct my_store *my, enum rs_type type)
{
    switch (type) {
    case RS_TIMESTAMP:
        return "CAST((%s) AS DATETIME(6))";
    case RS_DATE:
        return "CAST((%s) AS DATE)";
    case RS_TEXT:
    case RS_JSON:
    case RS_BYTES:
        return "CAST((%s) AS BINARY)";
    case RS_UUID:
        return my->is_mariadb ? "CAST(CAST((%s) AS UUID) AS CHAR)" : "CAST((%s) AS BINARY)";
    default:
        return "((%s) + 0)";
    }
}

static void print_formed(struct buffer *sql, const char *form, const struct buffer *value)
{
    const char *at = strstr(form, "%s");

    buffer_append(sql, form, (size_t)(at - form));
    buffer_append(sql, value->data, value->size);
    buffer_puts(sql, at + 2);
}

/* MariaDB tells an expression; so does MySQL, escaped once more, where it was given one, and else the bare value. */
static void print_theirs(const struct my_store *my, struct buffer *sql, const char *told, bool is_expression)
{
    if (my->is_mariadb) {
        buffer_puts(sql, told);
    } else if (!is_expression) {
        my_print_string(sql, told);
    } else {
        for (; *told != '\0'; told++)
            buffer_putc(sql, told[0] == '\\' && told[1] != '\0' ? *++told : *told);
    }
}

static void print_ours(struct buffer *sql, const struct column *column)
{
    if (column->fallback.is_null)
        buffer_puts(sql, "NULL");
    else
        my_print_cell(sql, column, &column->fallback);
}

int my_compare_default(struct my_store *my, const struct column *column, const char *told, bool is_expression, struct buffer *out,
                       struct error *ret_error)
{
    struct buffer theirs = BUFFER_INIT, ours = BUFFER_INIT;
    struct error failure = {0};
    int64_t is_same = 0;
    int result;

    print_theirs(my, &theirs, told, is_expression);
    print_ours(&ours, column);
    buffer_clear(&my->sql);
    buffer_puts(&my->sql, "SELECT ");
    print_formed(&my->sql, form_of(my, column->type), &theirs);
    buffer_puts(&my->sql, " <=> ");
    print_formed(&my->sql, form_of(my, column->type), &ours);
    if (buffer_failed(&theirs) || buffer_failed(&ours) || buffer_failed(&my->sql))
        result = my_out_of_memory(&failure);
    else
        result = my_query_number(my, my->sql.data, &is_same, &failure);
    if (result != 0 && (my->connection == NULL || failure.code[0] == '\0')) {
        if (ret_error != NULL)
            *ret_error = failure;
    } else { /* what the server cannot compare differs */
        if (result != 0 || is_same == 0)
            buffer_printf(out, "; column %s has the default %s, the plugin declares %s", column->name, told,
                          column->fallback.is_null ? "none" : ours.data);
        result = 0;
    }
    buffer_free(&theirs);
    buffer_free(&ours);
    return result;
}
