/* A plugin that refuses its options. */
#include "defect.h"

static int32_t refuse(struct rs_setup *setup, struct rs_instance **ret_self)
{
    (void)ret_self;
    return rs_refuse(setup, "things and sums do not go together: set one of them");
}

static void spoil(void)
{
    projection.open = refuse;
}
