/*
 * broker - the embedded broker of a worker whose config says bootstrap_servers = "embedded": started, filled, kept.
 */
#ifndef WORKER_BROKER_H
#define WORKER_BROKER_H

#include "base/error.h"
#include "config/config.h"
#include "kafka/embedded.h"

#include <stdbool.h>

bool broker_is_wanted(const struct config *config);

/* Makes the topics that the config and its enabled pipelines name and fills them from their files. */
int broker_start(const struct config *config, struct embedded **ret_embedded, struct error *ret_error) MUST_CHECK;

#endif
