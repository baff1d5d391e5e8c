/*
 * inside - what the files of the plugin host share: the handles that a handler sees, and the event under way.
 */
#ifndef PLUGIN_INSIDE_H
#define PLUGIN_INSIDE_H

#include "base/arena.h"
#include "plugin/dispatch.h"
#include "plugin/host.h"

/* How the struct of the ABI begins, and what the host keeps behind it. */
struct rs_event {
    const struct rs_host *host;
    struct plugin_host *owner;
    const struct event *event; /* NULL: an item that could not be had */
};

struct rs_batch {
    const struct rs_host *host;
    struct plugin_host *owner;
};

struct rs_row {
    const struct rs_host *host;
    struct plugin_host *owner;
    struct row *row; /* NULL: the call that made it was refused or needs a row to be loaded */
};

struct rs_setup {
    const struct rs_host *host;
    struct projection *projection;
    const struct rs_value *values; /* one an option */
    struct arena *arena;           /* of the instance */
    struct error *error;
    size_t alloc_bytes;
    bool is_refused;
};

enum { HANDLES = 32 }; /* rows that most events get along with */

struct plugin_host {
    struct projection *projection;
    struct dispatch *dispatch;
    struct arena *instance_arena;
    struct rs_instance *instance;
    bool is_open;
    bool reads;

    /* The event under way. */
    struct batch *batch;
    const struct event *event;
    struct rs_event root, dead_event;
    struct rs_batch batch_handle;
    struct rs_row dead_row;
    struct rs_row handles[HANDLES];
    uint32_t n_rows;
    struct arena *arena; /* further handles, rs_alloc() */
    size_t alloc_bytes;
    bool needs_rows; /* nothing of this run counts; it goes on so that all its rows are found at once */
    int stop;        /* FOLD_FULL or an error class: calls do nothing any more */
    struct error error;
};

extern const struct rs_host calls_host_table;

/* setup.c: the four calls of open(), for the host table. */
bool setup_option(struct rs_setup *setup, const char *name, struct rs_value *ret_value);
void *setup_alloc(struct rs_setup *setup, size_t size_bytes);
void setup_omit_table(struct rs_setup *setup, uint32_t table);
int32_t setup_refuse(struct rs_setup *setup, const char *text);

/* Reads the options, calls open(), leaves omitted tables marked. CONFIG. host->is_open tells whether close() is due. */
int setup_run(struct plugin_host *host, const struct plugin_setting *settings, size_t n_settings,
              struct error *ret_error) MUST_CHECK;

#endif
