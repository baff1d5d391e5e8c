/*
 * arena - blocks of memory that end together.
 *
 * Called by whoever owns the arena, in one thread. Small requests are cut from the current block; a request larger than a block
 * has one of its own, so that the rest of the current block stays in use. Never gives single pieces back.
 */
#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONS 1
#endif
#endif
#ifdef ARENA_POISONS /* so that the sanitizer sees a use after arena_reset() */
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, size) ((void)(data), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(data, size) ((void)(data), (void)(size))
#endif

enum { ALIGNMENT = 16, MIN_BLOCK = 256 };

struct block {
    struct block *next;
    size_t capacity; /* bytes of data */
    _Alignas(ALIGNMENT) char data[];
};

struct arena {
    char *at;             /* free bytes of the current block */
    char *end;
    struct block *used;   /* the first is the current block, if at is not NULL */
    struct block *larges; /* blocks of one request each */
    struct block *spare;  /* kept from before the last reset */
    struct block *spare_larges;
    size_t used_bytes;
    size_t block_bytes;
    size_t keep_bytes;
};

static size_t round_up(size_t size_bytes)
{
    return (size_bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

struct arena *arena_new(size_t block_bytes, size_t keep_bytes)
{
    struct arena *arena = calloc(1, sizeof *arena);

    if (arena != NULL) {
        arena->block_bytes = round_up(block_bytes < MIN_BLOCK ? MIN_BLOCK : block_bytes);
        arena->keep_bytes = keep_bytes;
    }
    return arena;
}

static void free_blocks(struct block *block)
{
    while (block != NULL) {
        struct block *next = block->next;

        ASAN_UNPOISON_MEMORY_REGION(block->data, block->capacity);
        free(block);
        block = next;
    }
}

struct arena *arena_free(struct arena *arena)
{
    if (arena != NULL) {
        free_blocks(arena->used);
        free_blocks(arena->larges);
        free_blocks(arena->spare);
        free_blocks(arena->spare_larges);
        free(arena);
    }
    return NULL;
}

/* A block of at least capacity bytes, out of the spare ones (the first that fits) or new, put in front of *list. */
static struct block *add_block(struct block **list, struct block **spare, size_t capacity)
{
    struct block *block;

    while (*spare != NULL && (*spare)->capacity < capacity) {
        spare = &(*spare)->next;
    }
    block = *spare;
    if (block != NULL) {
        *spare = block->next;
    } else {
        block = malloc(sizeof *block + capacity);
        if (block == NULL) {
            return NULL;
        }
        block->capacity = capacity;
        ASAN_POISON_MEMORY_REGION(block->data, capacity);
    }
    block->next = *list;
    *list = block;
    return block;
}

/* size_bytes is rounded. */
static void *alloc_slow(struct arena *arena, size_t size_bytes)
{
    struct block *block;

    if (size_bytes > arena->block_bytes) {
        block = add_block(&arena->larges, &arena->spare_larges, size_bytes);
        return block == NULL ? NULL : block->data;
    }
    block = add_block(&arena->used, &arena->spare, arena->block_bytes);
    if (block == NULL) {
        return NULL;
    }
    arena->at = block->data + size_bytes;
    arena->end = block->data + block->capacity;
    return block->data;
}

void *arena_alloc(struct arena *arena, size_t size_bytes)
{
    size_t rounded = round_up(size_bytes == 0 ? 1 : size_bytes);
    void *data;

    if (rounded < size_bytes || rounded > SIZE_MAX - sizeof(struct block)) {
        return NULL;
    }
    if ((size_t)(arena->end - arena->at) >= rounded) {
        data = arena->at;
        arena->at += rounded;
    } else {
        data = alloc_slow(arena, rounded);
        if (data == NULL) {
            return NULL;
        }
    }
    arena->used_bytes += rounded;
    ASAN_UNPOISON_MEMORY_REGION(data, size_bytes);
    return data;
}

void *arena_zalloc(struct arena *arena, size_t size_bytes)
{
    void *data = arena_alloc(arena, size_bytes);

    if (data != NULL) {
        memset(data, 0, size_bytes);
    }
    return data;
}

char *arena_copy(struct arena *arena, const void *data, size_t size_bytes)
{
    char *copy;

    if (size_bytes == SIZE_MAX) {
        return NULL;
    }
    copy = arena_alloc(arena, size_bytes + 1);
    if (copy != NULL) {
        if (size_bytes > 0) { /* data may be NULL then */
            memcpy(copy, data, size_bytes);
        }
        copy[size_bytes] = '\0';
    }
    return copy;
}

/* Moves blocks from a used list to its spare list as long as the budget lasts; the others are freed. */
static void recycle(struct block **list, struct block **spare, size_t *kept_bytes, size_t keep_bytes)
{
    struct block *block = *list;

    *list = NULL;
    while (block != NULL) {
        struct block *next = block->next;

        if (block->capacity <= keep_bytes - *kept_bytes) {
            *kept_bytes += block->capacity;
            ASAN_POISON_MEMORY_REGION(block->data, block->capacity);
            block->next = *spare;
            *spare = block;
        } else {
            block->next = NULL;
            free_blocks(block);
        }
        block = next;
    }
}

void arena_reset(struct arena *arena)
{
    struct block *spare = arena->spare;
    struct block *spare_larges = arena->spare_larges;
    size_t kept_bytes = 0;

    /* What was in use goes first, so that large spare blocks of sizes no longer asked for are the ones to go. */
    arena->spare = NULL;
    arena->spare_larges = NULL;
    recycle(&arena->used, &arena->spare, &kept_bytes, arena->keep_bytes);
    recycle(&arena->larges, &arena->spare_larges, &kept_bytes, arena->keep_bytes);
    recycle(&spare, &arena->spare, &kept_bytes, arena->keep_bytes);
    recycle(&spare_larges, &arena->spare_larges, &kept_bytes, arena->keep_bytes);
    arena->at = NULL;
    arena->end = NULL;
    arena->used_bytes = 0;
}

size_t arena_used_bytes(const struct arena *arena)
{
    return arena->used_bytes;
}
