/* A newer minor version of the ABI. */
#include "defect.h"

static void spoil(void)
{
    projection.abi_minor = RS_ABI_MINOR + 1;
}
