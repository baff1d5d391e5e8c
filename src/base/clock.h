/*
 * clock - time behind an interface, so that loops and back-off run in tests without waiting.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct clock {
    int64_t (*monotonic_us)(void *self); /* for intervals */
    int64_t (*wall_us)(void *self);      /* microseconds since 1970, UTC; for people only */
    void *self;
};

extern const struct clock clock_system;

/* Deterministic pseudo-random numbers (splitmix64): jitter and simulations, nothing secret. */
uint64_t random_next(uint64_t *state);

/* Fills 16 bytes from the kernel's random source (getrandom), as a version 4 UUID (RFC 9562). Returns 0 or a negative errno. */
int random_uuid(uint8_t ret_uuid[16]);

/*
 * The delay before attempt n (0, 1, ...): base * 2^n up to max, each with full jitter between half and all of it.
 */
int64_t backoff_us(unsigned attempt, int64_t base_us, int64_t max_us, uint64_t *random_state);

#endif
