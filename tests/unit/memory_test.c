/*
 * arena and buffer: growth, reuse, and what happens when memory runs out.
 *
 * The allocator fails on demand: the linker option --wrap sends the calls of the modules under test here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buffer.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *data, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *data, size_t size);

static long allocations_left = -1; /* negative: without end */
static long allocations;

static bool may_allocate(void)
{
    allocations++;
    return allocations_left < 0 || allocations_left-- > 0;
}

void *__wrap_malloc(size_t size)
{
    return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return may_allocate() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *data, size_t size)
{
    return may_allocate() ? __real_realloc(data, size) : NULL;
}

static void test_pieces_are_aligned_and_apart(void **state)
{
    struct arena *arena = arena_new(1024, 4096);
    char *pieces[200];

    (void)state;
    for (size_t i = 0; i < 200; i++) {
        pieces[i] = arena_alloc(arena, i);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++) {
        for (size_t at = 0; at < i; at++) {
            assert_int_equal((unsigned char)pieces[i][at], i);
        }
    }
    assert_true(arena_used_bytes(arena) >= 200 * 199 / 2);
    assert_null(arena_free(arena));
    assert_null(arena_free(NULL));
}

static void test_large_requests_leave_the_block_in_use(void **state)
{
    struct arena *arena = arena_new(1024, 0);
    char *first = arena_alloc(arena, 16);
    char *large = arena_zalloc(arena, 100000);
    char *second = arena_alloc(arena, 16);

    (void)state;
    assert_ptr_equal(second, first + 16);
    assert_int_equal(large[0] + large[99999], 0);
    arena_free(arena);
}

static void test_copies_end_in_nul(void **state)
{
    struct arena *arena = arena_new(256, 0);
    char *copy = arena_copy(arena, "a\0b", 3);

    (void)state;
    assert_memory_equal(copy, "a\0b", 4);
    assert_string_equal(arena_copy(arena, NULL, 0), "");
    arena_free(arena);
}

static void test_absurd_sizes_are_refused(void **state)
{
    struct arena *arena = arena_new(256, 0);

    (void)state;
    assert_null(arena_alloc(arena, SIZE_MAX));
    assert_null(arena_alloc(arena, SIZE_MAX - 15));
    assert_null(arena_copy(arena, "", SIZE_MAX));
    assert_non_null(arena_alloc(arena, 1));
    arena_free(arena);
}

static void fill(struct arena *arena)
{
    for (int i = 0; i < 100; i++) {
        assert_non_null(arena_alloc(arena, 100));
    }
    assert_non_null(arena_alloc(arena, 5000));
    assert_non_null(arena_alloc(arena, 9000));
}

static void test_a_steady_state_allocates_nothing(void **state)
{
    struct arena *arena = arena_new(1024, 64 * 1024);
    long before;

    (void)state;
    fill(arena);
    arena_reset(arena);
    assert_int_equal(arena_used_bytes(arena), 0);
    before = allocations;
    for (int round = 0; round < 10; round++) {
        fill(arena);
        arena_reset(arena);
    }
    assert_int_equal(allocations, before);
    arena_free(arena);
}

static void test_reset_keeps_no_more_than_it_may(void **state)
{
    struct arena *arena = arena_new(1024, 0);
    long before;

    (void)state;
    assert_non_null(arena_alloc(arena, 10));
    arena_reset(arena);
    before = allocations;
    assert_non_null(arena_alloc(arena, 10));
    assert_int_equal(allocations, before + 1);
    arena_free(arena);
}

static void test_arena_survives_every_failed_allocation(void **state)
{
    bool has_failed = true;

    (void)state;
    for (long nth = 0; has_failed; nth++) {
        struct arena *arena;

        assert_true(nth < 100);
        allocations_left = nth;
        arena = arena_new(256, 1024);
        has_failed = arena == NULL;
        for (int round = 0; round < 2 && arena != NULL; round++) {
            for (size_t i = 0; i < 20; i++) {
                char *piece = arena_alloc(arena, 50 * i);

                has_failed = has_failed || piece == NULL;
                if (piece != NULL) {
                    memset(piece, 1, 50 * i);
                }
            }
            arena_reset(arena);
        }
        allocations_left = -1;
        arena_free(arena);
    }
}

static void test_buffer_appends(void **state)
{
    struct buffer buffer = BUFFER_INIT;
    char *room;

    (void)state;
    buffer_puts(&buffer, "one ");
    buffer_putc(&buffer, '2');
    buffer_append(&buffer, "\0x", 2);
    buffer_printf(&buffer, " %d-%s", 3, "three");
    assert_int_equal(buffer.size, 15);
    assert_memory_equal(buffer.data, "one 2\0x 3-three", 16);
    room = buffer_extend(&buffer, 3);
    memcpy(room, "end", 3);
    assert_memory_equal(buffer.data + 15, "end", 4);
    buffer_clear(&buffer);
    assert_int_equal(buffer.size, 0);
    assert_string_equal(buffer.data, "");
    buffer_free(&buffer);
    assert_null(buffer.data);
    buffer_free(&buffer);
    buffer_free(NULL);
}

static void test_numbers_are_in_network_order(void **state)
{
    struct buffer buffer = BUFFER_INIT;

    (void)state;
    buffer_put_be16(&buffer, 0x0102);
    buffer_put_be32(&buffer, 0x03040506);
    buffer_put_be64(&buffer, 0x0708090a0b0c0d0e);
    assert_int_equal(buffer.size, 14);
    assert_memory_equal(buffer.data, "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e", 15);
    buffer_free(&buffer);
}

static void test_printf_grows_at_every_length(void **state)
{
    char text[300];

    (void)state;
    for (int size = 0; size < 299; size++) {
        struct buffer buffer = BUFFER_INIT;

        memset(text, 'x', sizeof text);
        text[size] = '\0';
        buffer_printf(&buffer, "%s", text);
        buffer_printf(&buffer, "%s|", text);
        assert_int_equal(buffer.size, 2 * size + 1);
        assert_int_equal(strlen(buffer.data), 2 * size + 1);
        assert_int_equal(buffer.data[2 * size], '|');
        buffer_free(&buffer);
    }
}

static void test_buffer_failure_sticks(void **state)
{
    struct buffer buffer = BUFFER_INIT;

    (void)state;
    assert_false(buffer_failed(&buffer));
    buffer_puts(&buffer, "kept");
    assert_null(buffer_extend(&buffer, SIZE_MAX));
    assert_true(buffer_failed(&buffer));
    buffer_puts(&buffer, "lost");
    buffer_printf(&buffer, "lost");
    assert_string_equal(buffer.data, "kept");
    buffer_clear(&buffer);
    assert_false(buffer_failed(&buffer));
    buffer_free(&buffer);
}

static void test_buffer_survives_every_failed_allocation(void **state)
{
    bool has_failed = true;

    (void)state;
    for (long nth = 0; has_failed; nth++) {
        struct buffer buffer = BUFFER_INIT;

        assert_true(nth < 100);
        allocations_left = nth;
        for (int i = 0; i < 50; i++) {
            buffer_printf(&buffer, "%d:", i);
            buffer_puts(&buffer, "some text to make it grow ");
            buffer_put_be32(&buffer, 7);
        }
        has_failed = buffer_failed(&buffer);
        allocations_left = -1;
        buffer_free(&buffer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_aligned_and_apart),
        cmocka_unit_test(test_large_requests_leave_the_block_in_use),
        cmocka_unit_test(test_copies_end_in_nul),
        cmocka_unit_test(test_absurd_sizes_are_refused),
        cmocka_unit_test(test_a_steady_state_allocates_nothing),
        cmocka_unit_test(test_reset_keeps_no_more_than_it_may),
        cmocka_unit_test(test_arena_survives_every_failed_allocation),
        cmocka_unit_test(test_buffer_appends),
        cmocka_unit_test(test_numbers_are_in_network_order),
        cmocka_unit_test(test_printf_grows_at_every_length),
        cmocka_unit_test(test_buffer_failure_sticks),
        cmocka_unit_test(test_buffer_survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
