/* A column that is not null and has no fallback. */
#include "defect.h"

static void spoil(void)
{
    things[NOTE].flags = RS_NOT_NULL;
}
