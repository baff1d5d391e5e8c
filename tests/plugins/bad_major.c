/* Another major version of the ABI. */
#include "defect.h"

static void spoil(void)
{
    projection.abi_major = RS_ABI_MAJOR + 1;
}
