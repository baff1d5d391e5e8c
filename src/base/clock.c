/*
 * clock - the system's clocks, random numbers and back-off.
 *
 * Called from every process and thread; keeps no state of its own. Never waits.
 */
#include "base/clock.h"

#include <errno.h>
#include <stddef.h>
#include <sys/random.h>
#include <time.h>

static int64_t read_clock_us(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_monotonic_us(void *self)
{
    (void)self;
    return read_clock_us(CLOCK_MONOTONIC);
}

static int64_t system_wall_us(void *self)
{
    (void)self;
    return read_clock_us(CLOCK_REALTIME);
}

const struct clock clock_system = {.monotonic_us = system_monotonic_us, .wall_us = system_wall_us};

/* Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014). */
uint64_t random_next(uint64_t *state)
{
    uint64_t z;

    *state += UINT64_C(0x9e3779b97f4a7c15);
    z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int random_uuid(uint8_t ret_uuid[16])
{
    uint8_t bytes[16];
    size_t size = 0;

    while (size < sizeof bytes) {
        ssize_t got = getrandom(bytes + size, sizeof bytes - size, 0);

        if (got < 0 && errno != EINTR) {
            return -errno;
        }
        size += got > 0 ? (size_t)got : 0;
    }
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < sizeof bytes; i++) {
        ret_uuid[i] = bytes[i];
    }
    return 0;
}

int64_t backoff_us(unsigned attempt, int64_t base_us, int64_t max_us, uint64_t *random_state)
{
    int64_t full = base_us < max_us ? base_us : max_us;
    int64_t half;

    while (attempt-- > 0 && full < max_us) {
        full = full > max_us / 2 ? max_us : full * 2;
    }
    if (full <= 0) {
        return 0;
    }
    half = full / 2;
    return half + (int64_t)(random_next(random_state) % (uint64_t)(full - half + 1));
}
