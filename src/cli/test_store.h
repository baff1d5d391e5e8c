/*
 * test_store - a read store in memory, for `readside test-plugin': it takes what a closed batch would write, and gives rows back.
 */
#ifndef CLI_TEST_STORE_H
#define CLI_TEST_STORE_H

#include "base/buffer.h"
#include "base/error.h"
#include "fold/batch.h"

struct test_store;

struct test_store *test_store_new(const struct table *tables, uint32_t n_tables);
struct test_store *test_store_free(struct test_store *store);

/* All groups of a closed batch and its messages, or none of them. POISON: a sum does not fit; HALT: another partition's row. */
int test_store_write(struct test_store *store, const struct batch *batch, struct error *ret_error) MUST_CHECK;

/* One cell a column, as the store keeps them, and whose events have written the row; NULL: no such row. */
const struct cell *test_store_find(const struct test_store *store, uint32_t table, const uint8_t *key, uint32_t key_size,
                                   int32_t *ret_partition);

/* The tables and the outbox, as text. */
void test_store_print(const struct test_store *store, struct buffer *ret_text);

#endif
