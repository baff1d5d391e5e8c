/*
 * arena - bump allocation with one common end of life: of a process, a batch or an event.
 *
 * Not thread-safe; one owner. Blocks are kept at reset, up to keep_bytes, so that a steady state allocates nothing.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena;

/* block_bytes: the size of one block; larger requests get a block of their own. NULL: out of memory. */
struct arena *arena_new(size_t block_bytes, size_t keep_bytes);
struct arena *arena_free(struct arena *arena); /* accepts NULL, returns NULL */

/* Aligned to 16 bytes, not zeroed. NULL: out of memory. */
void *arena_alloc(struct arena *arena, size_t size_bytes);
void *arena_zalloc(struct arena *arena, size_t size_bytes);
/* A copy of size bytes and a terminating NUL behind it. */
char *arena_copy(struct arena *arena, const void *data, size_t size_bytes);

void arena_reset(struct arena *arena);              /* everything in it is gone */
size_t arena_used_bytes(const struct arena *arena); /* since the last reset */

#endif
