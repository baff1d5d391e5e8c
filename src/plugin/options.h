/*
 * options - the settings of a plugin's instance, and what open() may call. Used by host.c.
 */
#ifndef PLUGIN_OPTIONS_H
#define PLUGIN_OPTIONS_H

#include "plugin/host.h"

struct options;

/* Checks the settings, calls the plugin's open(), marks omitted tables. CONFIG names the setting's place and the way out. */
int options_open(struct projection *projection, const struct rs_host *host, const struct plugin_setting *settings,
                 size_t n_settings, struct options **ret_options, struct rs_instance **ret_instance,
                 struct error *ret_error) MUST_CHECK;
struct options *options_free(struct options *options); /* the instance's memory goes with it */

/* The part of the host table for open(). */
bool options_get(struct rs_setup *setup, const char *name, struct rs_value *ret_value);
void *options_alloc(struct rs_setup *setup, size_t size_bytes);
void options_omit_table(struct rs_setup *setup, uint32_t table);
int32_t options_refuse(struct rs_setup *setup, const char *text);

#endif
