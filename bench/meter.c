/*
 * meter - see meter.h.
 */
#include "meter.h"

#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

double meter_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

double meter_cpu(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/* Not getrusage: its peak is, after an exec, still that of the program which was there before. */
double meter_peak_mib(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    int64_t kib = 0;

    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        char *digits = strncmp(line, "VmHWM:", 6) == 0 ? line + 6 + strspn(line + 6, " \t") : NULL;

        if (digits != NULL && text_read_int(digits, strspn(digits, "0123456789"), &kib))
            break;
    }
    if (status != NULL)
        fclose(status);
    return (double)kib / 1024;
}

int64_t meter_number(const char *text, int64_t least, int64_t most)
{
    int64_t number;

    if (!text_read_int(text, strlen(text), &number) || number < least || number > most)
        die("'%s' is no number from %" PRId64 " to %" PRId64, text, least, most);
    return number;
}

uint32_t meter_count(const char *text, uint32_t fallback)
{
    return text == NULL ? fallback : (uint32_t)meter_number(text, 1, UINT32_MAX);
}

void meter_begin(struct meter_rate *rate, int64_t wanted)
{
    *rate = (struct meter_rate){.wanted = wanted, .first = -1};
}

void meter_look(struct meter_rate *rate, int64_t done)
{
    if (rate->first >= 0 && (rate->first * 4 >= rate->wanted || done * 4 < rate->wanted))
        return;
    rate->first = done;
    rate->began = meter_now();
}

double meter_rate_of(const struct meter_rate *rate, int64_t done)
{
    return (double)(done - rate->first) / (meter_now() - rate->began);
}

void die(const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

void must(int result, const struct error *error)
{
    if (result != 0)
        die("%s", error->text);
}
