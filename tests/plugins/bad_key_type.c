/* A key column of a type that cannot be one. */
#include "defect.h"

static void spoil(void)
{
    things[ID].type = RS_JSON;
}
