/*
 * sqlite_function - the arithmetic that SQLite lacks, as SQL functions of the connection: sums that are exact and refuse overflow,
 * where SQLite itself would turn to floating point, and decimals compared by value.
 *
 * Called by SQLite while a statement of the driver runs, in the thread of the store. What is raised here begins with "readside: ",
 * and sqlite_error() takes its class from the word behind it.
 */
#include "store/sqlite.h"

#include <stdio.h>
#include <string.h>

static const char *text_of(sqlite3_value *value)
{
    const char *text = (const char *)sqlite3_value_text(value);

    return text == NULL ? "null" : text;
}

/* The coefficient at that scale; null counts as zero. */
static bool read_decimal(sqlite3_value *value, uint32_t precision, uint32_t scale, int128 *ret_coefficient)
{
    const char *text = (const char *)sqlite3_value_text(value);
    struct rs_decimal decimal;

    *ret_coefficient = 0;
    if (sqlite3_value_type(value) == SQLITE_NULL)
        return true;
    return text != NULL && decimal_parse(text, (size_t)sqlite3_value_bytes(value), &decimal) &&
           decimal_rescale(decimal, precision, scale, ret_coefficient);
}

/* readside_add(now, delta, precision, scale, name) */
static void add_decimals(sqlite3_context *context, int n, sqlite3_value **values)
{
    uint32_t precision = (uint32_t)sqlite3_value_int(values[2]), scale = (uint32_t)sqlite3_value_int(values[3]);
    int128 now, delta, sum, limit = decimal_power(precision);
    char text[320];

    (void)n;
    if (!read_decimal(values[0], precision, scale, &now) || !read_decimal(values[1], precision, scale, &delta)) {
        snprintf(text, sizeof text, "readside: stored: %s: %.60s is no decimal(%u,%u)", text_of(values[4]), text_of(values[0]),
                 precision, scale);
        sqlite3_result_error(context, text, -1);
    } else if (__builtin_add_overflow(now, delta, &sum) || sum >= limit || sum <= -limit) {
        snprintf(text, sizeof text, "readside: %s: the sum of %.60s and %.60s does not fit decimal(%u,%u)", text_of(values[4]),
                 text_of(values[0]), text_of(values[1]), precision, scale);
        sqlite3_result_error(context, text, -1);
    } else {
        sqlite3_result_text(context, text, (int)decimal_print(decimal_make(sum, (int32_t)scale), text), SQLITE_TRANSIENT);
    }
}

/* readside_add_int(now, delta, name) */
static void add_integers(sqlite3_context *context, int n, sqlite3_value **values)
{
    int64_t now = sqlite3_value_int64(values[0]), delta = sqlite3_value_int64(values[1]), sum;
    char text[320];

    (void)n;
    if (!__builtin_add_overflow(now, delta, &sum)) {
        sqlite3_result_int64(context, sum);
        return;
    }
    snprintf(text, sizeof text, "readside: %s: the sum of %lld and %lld exceeds 64 bits", text_of(values[2]), (long long)now,
             (long long)delta);
    sqlite3_result_error(context, text, -1);
}

/* readside_greatest(now, other, precision, scale, name) and readside_least: by value, not as text. Null gives way. */
static void choose_decimal(sqlite3_context *context, sqlite3_value **values, bool is_greatest)
{
    uint32_t precision = (uint32_t)sqlite3_value_int(values[2]), scale = (uint32_t)sqlite3_value_int(values[3]);
    bool is_null = sqlite3_value_type(values[0]) == SQLITE_NULL;
    int128 now, other;
    char text[200];

    if (is_null || sqlite3_value_type(values[1]) == SQLITE_NULL) {
        sqlite3_result_value(context, values[is_null]);
    } else if (!read_decimal(values[0], precision, scale, &now) || !read_decimal(values[1], precision, scale, &other)) {
        snprintf(text, sizeof text, "readside: stored: %s: %.60s is no decimal(%u,%u)", text_of(values[4]), text_of(values[0]),
                 precision, scale);
        sqlite3_result_error(context, text, -1);
    } else {
        sqlite3_result_value(context, values[is_greatest ? other > now : other < now]);
    }
}

static void greatest(sqlite3_context *context, int n, sqlite3_value **values)
{
    (void)n;
    choose_decimal(context, values, true);
}

static void least(sqlite3_context *context, int n, sqlite3_value **values)
{
    (void)n;
    choose_decimal(context, values, false);
}

/* readside_same(theirs, ours, table, key): the partition that a row belongs to, or an error that stops ours. */
static void same_partition(sqlite3_context *context, int n, sqlite3_value **values)
{
    char text[320];

    (void)n;
    if (sqlite3_value_int64(values[0]) == sqlite3_value_int64(values[1])) {
        sqlite3_result_value(context, values[0]);
        return;
    }
    snprintf(text, sizeof text, "readside: partition: row %.100s of %s belongs to partition %lld, and an event of partition %lld touches it",
             text_of(values[3]), text_of(values[2]), (long long)sqlite3_value_int64(values[0]),
             (long long)sqlite3_value_int64(values[1]));
    sqlite3_result_error(context, text, -1);
}

int sqlite_add_functions(sqlite3 *connection)
{
    static const struct {
        const char *name;
        int n_values;
        void (*function)(sqlite3_context *, int, sqlite3_value **);
    } functions[] = {
        {"readside_add", 5, add_decimals}, {"readside_add_int", 3, add_integers}, {"readside_greatest", 5, greatest},
        {"readside_least", 5, least},      {"readside_same", 4, same_partition},
    };
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
    int code = SQLITE_OK;

    for (size_t i = 0; i < sizeof functions / sizeof functions[0] && code == SQLITE_OK; i++)
        code = sqlite3_create_function(connection, functions[i].name, functions[i].n_values, flags, NULL, functions[i].function,
                                       NULL, NULL);
    return code;
}
