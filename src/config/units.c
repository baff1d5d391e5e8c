/*
 * units - see units.h. Called for the dump and for messages about ranges.
 */
#include "config/units.h"

#include <inttypes.h>
#include <stdio.h>

const char *units_print_duration(int64_t microseconds, char ret_text[UNITS_TEXT_SIZE])
{
    static const struct {
        int64_t factor;
        const char *name;
    } units[] = {
        {INT64_C(86400000000), "d"}, {INT64_C(3600000000), "h"}, {60000000, "min"}, {1000000, "s"}, {1000, "ms"}, {1, "us"}};
    unsigned i = 0;

    if (microseconds == 0) {
        snprintf(ret_text, UNITS_TEXT_SIZE, "0");
        return ret_text;
    }
    while (microseconds % units[i].factor != 0) {
        i++;
    }
    snprintf(ret_text, UNITS_TEXT_SIZE, "%" PRId64 "%s", microseconds / units[i].factor, units[i].name);
    return ret_text;
}

const char *units_print_size(int64_t bytes, char ret_text[UNITS_TEXT_SIZE])
{
    static const char *const names[] = {"", "KiB", "MiB", "GiB"};
    unsigned i = 0;

    while (i < 3 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        i++;
    }
    snprintf(ret_text, UNITS_TEXT_SIZE, "%" PRId64 "%s", bytes, names[i]);
    return ret_text;
}
