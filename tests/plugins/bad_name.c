/* A table name that is no identifier. */
#include "defect.h"

static void spoil(void)
{
    tables[THINGS].name = "Things; drop table";
}
