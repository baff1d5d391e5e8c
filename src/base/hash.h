/*
 * hash - a fast 64-bit hash for tables in memory. Never stored, not for secrets; seeded per process against crafted keys.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *data, size_t size, uint64_t seed);

#endif
