/*
 * loader - finds, checks and opens projection plugins; the only dlopen.
 *
 * A plugin stays loaded until the process ends. Checks stop strangers, not honest users: the file is owned by root or the user,
 * is not writable by others, and so are its directories (sticky ones such as /tmp pass).
 */
#ifndef PLUGIN_LOADER_H
#define PLUGIN_LOADER_H

#include "base/arena.h"
#include "base/error.h"
#include "fold/table.h"
#include "readside/plugin.h"

#include <stdbool.h>

/* A loaded projection: the host's checked copy of the descriptor, so that a misbehaving plugin cannot change it later. */
struct projection {
    const char *path;
    const char *name;
    const char *summary;
    uint32_t revision;
    struct table *tables; /* is_omitted is set by plugin_host_new() */
    uint32_t n_tables;
    const struct rs_option *options; /* by element size of this host */
    uint32_t n_options;
    const struct rs_handler *handlers;
    uint32_t n_handlers;
    bool has_partitioned_table; /* omitted ones do not count */
    struct arena *arena;        /* holds all of the above */
    int32_t (*open)(struct rs_setup *setup, struct rs_instance **ret_self);
    void (*close)(struct rs_instance *self);
};

/*
 * name_or_path: a path if it contains '/', else NAME.so in each directory of search_path (colon-separated). CONFIG with a sentence
 * that says what to do: not found (lists where it looked), permissions, no symbol, ABI that differs, descriptor that is wrong
 * (names table, column and rule).
 */
int plugin_load(const char *name_or_path, const char *search_path, struct projection **ret_projection,
                struct error *ret_error) MUST_CHECK;

/* Frees the copy; the shared object stays loaded. */
struct projection *projection_free(struct projection *projection);

#endif
