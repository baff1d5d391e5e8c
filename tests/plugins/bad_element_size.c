/* An array whose elements are shorter than its version's. */
#include "defect.h"

static void spoil(void)
{
    tables[THINGS].column_size = sizeof(struct rs_column) - sizeof(void *);
}
