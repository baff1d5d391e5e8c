/* A plugin that returns no descriptor. */
#include <readside/plugin.h>

const struct rs_projection *readside_projection(void)
{
    return NULL;
}
