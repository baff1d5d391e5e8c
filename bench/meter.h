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
uint32_t meter_count(const char *text, uint32_t fallback);

/* The clock of what consumes: as bench/rate.py has it, it starts when a quarter of the events is done, and few count as a whole. */
struct meter_rate {
    int64_t wanted, first; /* events */
    double began;
};

void meter_begin(struct meter_rate *rate, int64_t wanted);
void meter_look(struct meter_rate *rate, int64_t done);             /* before each step */
double meter_rate_of(const struct meter_rate *rate, int64_t done); /* events a second */

/* Prints the program's name and the words, and ends it with 1. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Nothing where the result is 0; else the end, with the error's words. */
void must(int result, const struct error *error);

#endif
