/*
 * sort - puts rows in the order of their keys. Pure.
 */
#ifndef FOLD_SORT_H
#define FOLD_SORT_H

#include "fold/batch.h"

struct sortable {
    uint64_t prefix; /* filled by sort_rows() */
    struct row *row;
};

/* Of one table. spare: room for n more; its contents are of no meaning before and after. */
void sort_rows(struct sortable *rows, size_t n, struct sortable *spare);

#endif
