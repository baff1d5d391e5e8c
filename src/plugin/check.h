/*
 * check - turns a plugin's descriptor into the host's own tables, holding it to every rule of plugin.h.
 */
#ifndef PLUGIN_CHECK_H
#define PLUGIN_CHECK_H

#include "plugin/loader.h"

/* CONFIG with one sentence that names table, column and rule. What is made lives as long as the process. */
int check_projection(const struct rs_projection *descriptor, struct projection *ret_projection, struct error *ret_error) MUST_CHECK;

/* The n-th item of an array whose elements are item_size bytes, copied into a host struct of host_size, zero-extended. */
void check_copy_item(const void *array, uint32_t item_size, uint32_t n, void *ret_item, size_t host_size);

/* An option's text as a value of its type: RS_BOOL, RS_INT, RS_REAL or RS_TEXT. False with a reason ("is not a duration ..."). */
bool check_option_value(const struct rs_option *option, const char *text, struct rs_value *ret_value, char *ret_reason,
                        size_t reason_size);

#endif
