/* A fallback that is not a value of the column's type. */
#include "defect.h"

static void spoil(void)
{
    sums[HITS].fallback = "none";
}
