/*
 * options - the options of a plugin: text to values, held to the table that the plugin declares.
 */
#ifndef PLUGIN_OPTIONS_H
#define PLUGIN_OPTIONS_H

#include "base/arena.h"
#include "base/error.h"
#include "plugin/host.h"

/* One value as it would stand in the config, without quotes: RS_BOOL, RS_INT, RS_REAL or RS_TEXT (pointing into text). CONFIG
 * with what is wrong and what would be right, without the option's name. */
int option_read(const struct rs_option *option, const char *text, struct rs_value *ret_value, struct error *ret_error) MUST_CHECK;

/* A value for every option: the setting's or the fallback, text and secrets in the arena. CONFIG with the setting's place. */
int options_fill(const struct projection *projection, const struct plugin_setting *settings, size_t n_settings,
                 struct arena *arena, struct rs_value *ret_values, struct error *ret_error) MUST_CHECK;

#endif
