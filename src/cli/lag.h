/*
 * lag - how old the first event is that is not committed: read from the topics, since nothing else knows it for certain.
 */
#ifndef CLI_LAG_H
#define CLI_LAG_H

#include "cli/view.h"

/*
 * Fills lag_ms of the rows. Reads one record of each partition that lags, without joining a group, for at most LAG_TIMEOUT_MS
 * together; what has not come by then is not known, nor is the age of what the topic no longer has.
 */
enum { LAG_TIMEOUT_MS = 3000 };
void lag_read(const struct context *context, struct view *view);

#endif
