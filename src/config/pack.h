/*
 * pack - one pipeline's part of a loaded config as bytes, from the worker to a task.
 *
 * A task runs on exactly what its worker has checked and put in force, however the files have changed since. The bytes hold
 * secrets: they travel in anonymous memory, never through a file. Both ends are the same binary, so the form is not versioned.
 */
#ifndef CONFIG_PACK_H
#define CONFIG_PACK_H

#include "base/buffer.h"
#include "base/error.h"
#include "config/config.h"

#include <stddef.h>

/* Worker, kafka, the pipeline and its store. Out of memory sticks in the buffer. */
void config_pack(const struct config *config, const struct config_pipeline *pipeline, struct buffer *ret_bytes);

/* A config with that one pipeline and store; all it points to is in its own memory. BUG when the bytes are not a packed config. */
int config_unpack(const void *bytes, size_t size, struct config **ret_config, struct error *ret_error) MUST_CHECK;
struct config *config_free_unpacked(struct config *config); /* accepts NULL, returns NULL */

#endif
