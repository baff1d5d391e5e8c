/*
 * bank_event - the bank example's events, as bench/fill makes them, read by yyjson alone.
 */
#ifndef BENCH_BANK_EVENT_H
#define BENCH_BANK_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bank_event { /* valid until the next one is parsed; the texts are terminated */
    const char *account;
    size_t account_size;
    const char *amount; /* "12.50", without a sign */
    const char *at;     /* "2026-11-23T04:00:00.000Z" */
    bool is_withdrawal;
};

/* What is no such event ends the program. */
void bank_event_parse(const void *data, size_t size, struct bank_event *ret_event);
/* What is added to the balance. */
int64_t bank_event_cents(const struct bank_event *event);

#endif
