/* Two tables of one name. */
#include "defect.h"

static void spoil(void)
{
    tables[SUMS].name = tables[THINGS].name;
}
