/* A descriptor that is shorter than its version's. */
#include "defect.h"

static void spoil(void)
{
    projection.size = sizeof(struct rs_projection) - sizeof(void *);
}
