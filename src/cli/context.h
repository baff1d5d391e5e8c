/*
 * context - what most commands need: the config, a pipeline of it, its projection, its store, the broker.
 *
 * Each step prints what is wrong on standard error and returns an exit code (worker/exit.h), 0 when all is well.
 */
#ifndef CLI_CONTEXT_H
#define CLI_CONTEXT_H

#include "config/config.h"
#include "kafka/consumer.h"
#include "plugin/host.h"
#include "store/store.h"

struct context {
    struct config *config;
    const struct config_pipeline *pipeline;
    struct projection *projection;
    struct plugin_host *host;
    struct store *store;
    struct consumer probe;
};

int context_load(struct context *context, const char *config_path);
/* The effective configuration for people. Asks the plugins which of their options are secret; where a plugin cannot be loaded, or
 * has no such option, the value is hidden. */
void context_dump(const struct context *context, struct buffer *ret_text);
int context_find_pipeline(struct context *context, const char *name);
/* Loads the plugin with the pipeline's options. */
int context_open_plugin(struct context *context);
/* Makes the store's object, and so judges its settings; no I/O. Without context_open_plugin(): for positions only. */
int context_make_store(struct context *context, struct error *ret_error) MUST_CHECK;
/*
 * Connects to the store as it is; nothing is made in it, nor an SQLite file. Works without context_open_plugin(): then for positions
 * only. Prints nothing: 0 or an error class, CONFIG with STORE_MISSING when there is no such file.
 */
int context_connect_store(struct context *context, struct error *ret_error) MUST_CHECK;
/* The same, where what is not there yet is no error: the context has no store then, and nothing is in it. */
int context_try_store(struct context *context, struct error *ret_error) MUST_CHECK;
int context_open_store(struct context *context); /* the same as a step: prints what is wrong */
void context_close_store(struct context *context);
int context_open_probe(struct context *context);
void context_close(struct context *context);

/* Is something not there yet (STORE_MISSING), and all else well? */
bool context_is_missing(const struct error *failure);

/* The positions of the pipeline's version; none when nothing was ever started. They live until the store's next operation. */
int context_list_positions(struct context *context, const struct store_position **ret_positions, size_t *ret_n,
                           struct error *ret_error) MUST_CHECK;

/* "user@host", for the record of what operators did. */
void context_print_actor(char *ret_text, size_t size);

#endif
