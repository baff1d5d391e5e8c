/*
 * sort - see sort.h. Called when a batch is closed.
 *
 * Radix sort, byte by byte, on the first eight bytes behind what all keys have in common, as a number that orders like them; only
 * rows that are equal there are compared by their whole keys. So most keys are read once, in the order of their rows.
 */
#include "fold/sort.h"

#include <stdlib.h>
#include <string.h>

enum { PREFIX_BYTES = 8, SMALL = 32 };

static int compare_keys(const struct row *a, const struct row *b)
{
    uint32_t size = a->key_size < b->key_size ? a->key_size : b->key_size;
    int order = memcmp(a->key, b->key, size);

    return order != 0 ? order : (a->key_size > b->key_size) - (a->key_size < b->key_size);
}

static int by_key(const void *a, const void *b)
{
    const struct sortable *x = a, *y = b;

    return x->prefix != y->prefix ? (x->prefix < y->prefix ? -1 : 1) : compare_keys(x->row, y->row);
}

/* Keys often begin alike ("acc-", a tenant): the bytes that tell them apart come behind. */
static uint32_t common_bytes(const struct sortable *rows, size_t n)
{
    const struct row *first = rows[0].row;
    uint32_t common = first->key_size;

    for (size_t i = 1; i < n && common > 0; i++) {
        const struct row *row = rows[i].row;
        uint32_t size = row->key_size < common ? row->key_size : common;
        uint32_t at = 0;

        while (at < size && row->key[at] == first->key[at])
            at++;
        common = at;
    }
    return common;
}

/* Shorter keys are filled up with zeros; where that makes them equal to others, the whole keys decide. */
static uint64_t prefix_behind(const struct row *row, uint32_t common)
{
    uint32_t left = row->key_size - common;
    uint8_t bytes[PREFIX_BYTES] = {0};
    uint64_t prefix;

    memcpy(bytes, row->key + common, left < PREFIX_BYTES ? left : PREFIX_BYTES);
    memcpy(&prefix, bytes, sizeof prefix);
    return __builtin_bswap64(prefix);
}

/* Least significant byte first, each pass stable; bytes that are the same in all rows need no pass. */
static void sort_by_prefix(struct sortable *rows, size_t n, struct sortable *spare)
{
    size_t counts[PREFIX_BYTES][256] = {{0}};
    struct sortable *from = rows, *to = spare;

    for (size_t i = 0; i < n; i++)
        for (int byte = 0; byte < PREFIX_BYTES; byte++)
            counts[byte][rows[i].prefix >> (8 * byte) & 0xff]++;
    for (int byte = 0; byte < PREFIX_BYTES; byte++) {
        size_t *at = counts[byte], sum = 0;
        struct sortable *swapped = from;

        if (at[from[0].prefix >> (8 * byte) & 0xff] == n)
            continue;
        for (int i = 0; i < 256; i++) {
            size_t count = at[i];

            at[i] = sum;
            sum += count;
        }
        for (size_t i = 0; i < n; i++)
            to[at[from[i].prefix >> (8 * byte) & 0xff]++] = from[i];
        from = to;
        to = swapped;
    }
    if (from != rows)
        memcpy(rows, from, n * sizeof *rows);
}

void sort_rows(struct sortable *rows, size_t n, struct sortable *spare)
{
    uint32_t common;

    if (n < 2)
        return;
    common = common_bytes(rows, n);
    for (size_t i = 0; i < n; i++)
        rows[i].prefix = prefix_behind(rows[i].row, common);
    if (n < SMALL) {
        qsort(rows, n, sizeof *rows, by_key);
        return;
    }
    sort_by_prefix(rows, n, spare);
    for (size_t start = 0, end; start < n; start = end) {
        for (end = start + 1; end < n && rows[end].prefix == rows[start].prefix; end++)
            ;
        if (end - start > 1)
            qsort(rows + start, end - start, sizeof *rows, by_key);
    }
}
