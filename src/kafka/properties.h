/*
 * properties - librdkafka's configuration properties, set and checked with errors a person can act on.
 */
#ifndef KAFKA_PROPERTIES_H
#define KAFKA_PROPERTIES_H

#include "base/error.h"

/*
 * Would librdkafka take this name and value for a consumer? CONFIG when it does not know the name, refuses the value, or when
 * Readside sets the property itself (group.id, auto.offset.reset, isolation.level, ...). Needs no broker.
 */
int property_check(const char *name, const char *value, struct error *ret_error) MUST_CHECK;

#endif
