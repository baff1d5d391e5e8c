/*
 * hash - 64-bit hash by multiplying and folding.
 *
 * Called per event and row by tables in memory, in any thread. The idea (the 128-bit product of two halves, folded by xor) is
 * that of wyhash; an attacker who does not know the seed cannot choose a factor to be zero. Never stored.
 */
#include "base/hash.h"

#include <string.h>

static inline uint64_t load64(const unsigned char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint64_t load32(const unsigned char *at)
{
    uint32_t word;

    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_bytes(const void *data, size_t size, uint64_t seed)
{
    const unsigned char *at = data;
    uint64_t first = seed ^ UINT64_C(0xd1b54a32d192ed03);
    uint64_t second = ((seed << 29) | (seed >> 35)) ^ UINT64_C(0xaef17502108ef2d9);
    uint64_t state = UINT64_C(0x9fb21c651e98df25) ^ size;
    uint64_t a = 0;
    uint64_t b = 0;
    size_t left = size;

    while (left > 16) {
        state = fold(load64(at) ^ first ^ state, load64(at + 8) ^ second);
        at += 16;
        left -= 16;
    }
    if (size > 16) { /* the last 16 bytes, which may overlap what is done */
        a = load64(at + left - 16);
        b = load64(at + left - 8);
    } else if (left >= 8) {
        a = load64(at);
        b = load64(at + left - 8);
    } else if (left >= 4) {
        a = load32(at);
        b = load32(at + left - 4);
    } else if (left > 0) {
        a = (uint64_t)at[0] << 16 | (uint64_t)at[left >> 1] << 8 | at[left - 1];
    }
    state = fold(a ^ first ^ state, b ^ second);
    return fold(state ^ second, first ^ UINT64_C(0x9e3779b97f4a7c15));
}
