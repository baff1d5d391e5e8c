/*
 * host - the plugin's view of an event and a batch: fills the host table of plugin.h, runs handlers, keeps the first error.
 *
 * One per task, used from its one thread.
 */
#ifndef PLUGIN_HOST_H
#define PLUGIN_HOST_H

#include "base/error.h"
#include "event/event.h"
#include "fold/batch.h"
#include "plugin/loader.h"

struct plugin_host;

/* A plugin option as the config gives it: name and the text of its value. */
struct plugin_setting {
    const char *name;
    const char *value;
    const char *place; /* "file:line" for messages; may be NULL */
    bool no_literal_secret; /* a secret must be an env: or file: reference */
};

/*
 * Opens an instance: checks the settings against the options (unknown name with the nearest valid one, type, range, required),
 * calls the plugin's open(), marks omitted tables in projection->tables. CONFIG.
 */
int plugin_host_new(struct projection *projection, const struct plugin_setting *settings, size_t n_settings,
                    struct plugin_host **ret_host, struct error *ret_error) MUST_CHECK;
struct plugin_host *plugin_host_free(struct plugin_host *host);

enum apply_result {
    APPLY_DONE = 0,
    APPLY_SKIPPED = 1,    /* the handler said so */
    APPLY_UNHANDLED = 2,  /* no handler takes the type and version */
    APPLY_NEEDS_ROWS = 3, /* undone: load batch_wanted(), then apply again */
    APPLY_FULL = 4,       /* undone: write the batch, then apply again */
};

/*
 * Runs the handler of the event over the batch, all or nothing. Below 0: POISON (refused calls, RS_POISON, a record without key
 * touching a partitioned table, a first key column that is not the record key), HALT (another partition's row), BUG (RS_BROKEN, an
 * unknown verdict, a refused use of the ABI); the text is the first reason.
 */
int plugin_host_apply(struct plugin_host *host, const struct event *event, struct batch *batch, struct error *ret_error) MUST_CHECK;

/* Asks the batch for the rows that the event's handler declares to read, without running it. Errors in the paths are ignored:
 * apply reports them. */
void plugin_host_prefetch(struct plugin_host *host, const struct event *event, struct batch *batch);

bool plugin_host_reads(const struct plugin_host *host); /* does any handler declare reads? */

#endif
