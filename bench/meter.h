/*
 * meter - what the programs here measure with, and their way out.
 */
#ifndef BENCH_METER_H
#define BENCH_METER_H

#include "base/error.h"

#include <stdint.h>

double meter_now(void);      /* seconds, of a clock that never goes back */
double meter_cpu(void);      /* seconds that all threads of this process have computed, in the kernel too */
double meter_peak_mib(void); /* of resident memory */

/* A number within these bounds. Anything else ends the program. */
int64_t meter_number(const char *text, int64_t least, int64_t most);
/* A number of 1 or more; text NULL: the fallback. Anything else ends the program. */
int64_t meter_count(const char *text, int64_t fallback);

/* Prints the program's name and the words, and ends it with 1. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Nothing where the result is 0; else the end, with the error's words. */
void must(int result, const struct error *error);

#endif
