/*
 * units - durations and sizes as people write them, the other way round than base/text.h reads them. Pure.
 */
#ifndef CONFIG_UNITS_H
#define CONFIG_UNITS_H

#include <stdint.h>

enum { UNITS_TEXT_SIZE = 32 };

/* In the largest unit that divides it: "90s", "2min", "0". */
const char *units_print_duration(int64_t microseconds, char ret_text[UNITS_TEXT_SIZE]);
/* "16MiB", "1000". */
const char *units_print_size(int64_t bytes, char ret_text[UNITS_TEXT_SIZE]);

#endif
