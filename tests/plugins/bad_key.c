/* A table without key. */
#include "defect.h"

static void spoil(void)
{
    things[ID].flags = 0;
}
