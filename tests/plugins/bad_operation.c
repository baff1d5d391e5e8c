/* A column of a shared table that declares no operation. */
#include "defect.h"

static void spoil(void)
{
    sums[HITS].operation = 0;
}
