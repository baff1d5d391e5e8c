/* A handler without function. */
#include "defect.h"

static void spoil(void)
{
    handlers[0].function = NULL;
}
