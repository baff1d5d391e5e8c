/*
 * client_property - which of librdkafka's properties a config may set, and why not the others.
 *
 * Constant; used by config/ and for the manual page. Whether librdkafka likes a value is asked by kafka/properties.h.
 */
#ifndef CONFIG_CLIENT_PROPERTY_H
#define CONFIG_CLIENT_PROPERTY_H

#include <stddef.h>

/* Allowed ones, by their names with underscores, in alphabetical order. */
extern const char *const client_properties[];
extern const size_t n_client_properties;

/* Why the property (with underscores) is refused, as the end of a sentence; NULL: allowed, or not known at all. */
const char *client_property_refusal(const char *name);

#endif
