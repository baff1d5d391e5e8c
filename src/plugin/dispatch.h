/*
 * dispatch - which handler takes an event: decided by type and version, prepared once a projection.
 */
#ifndef PLUGIN_DISPATCH_H
#define PLUGIN_DISPATCH_H

#include "base/arena.h"
#include "readside/plugin.h"

struct dispatch;

/* In the arena; the handlers stay the caller's. NULL: out of memory. */
struct dispatch *dispatch_new(struct arena *arena, const struct rs_handler *handlers, uint32_t n_handlers);

/* The first handler whose type and versions fit, one of RS_ANY after all others; NULL: none. */
const struct rs_handler *dispatch_find(const struct dispatch *dispatch, struct rs_text type, int64_t version);

#endif
