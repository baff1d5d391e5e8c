/* A plugin that asks for an option which it did not declare, and does not mind the answer. */
#include "defect.h"

static int32_t ask(struct rs_setup *setup, struct rs_instance **ret_self)
{
    (void)ret_self;
    (void)rs_option_int(setup, "undeclared");
    return 0;
}

static void spoil(void)
{
    projection.open = ask;
}
