/* A column whose id is not its index. */
#include "defect.h"

static void spoil(void)
{
    things[NOTE].id = N_THINGS;
}
