/*
 * client - what every librdkafka client of this folder shares: setting properties, the log hook, librdkafka's errors as ours.
 * Internal to kafka/: it shows librdkafka's types.
 */
#ifndef KAFKA_CLIENT_H
#define KAFKA_CLIENT_H

#include "base/error.h"

/* Its header has a qualifier that -Wextra reports. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-qualifiers"
#include <librdkafka/rdkafka.h>
#pragma GCC diagnostic pop

enum { CLIENT_VERSION_MIN = 0x020d02 }; /* 2.13.2, as configure.ac has it: a byte each */

/* Is the librdkafka that the program runs with (rd_kafka_version(), so not the one it was built with) new enough? Or CONFIG. */
int client_check_version(int version, struct error *ret_error) MUST_CHECK;

/* One property of a client under construction. CONFIG with librdkafka's words. */
int client_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct error *ret_error) MUST_CHECK;

/* Sends the client's log lines to the hook of consumer_set_log(), from whatever thread they come. */
void client_log_to_hook(rd_kafka_conf_t *conf);
void client_log(int level, const char *facility, const char *text);

/* What a librdkafka error means for the caller: CONFIG where a person must act, FENCED, TRANSIENT otherwise. */
int client_error_class(rd_kafka_resp_err_t code);

/* Fills ret_error from an error object and destroys it; NULL is success and gives 0. */
int client_error(rd_kafka_error_t *error, const char *doing, struct error *ret_error) MUST_CHECK;
/* The same for a bare code. */
int client_code(rd_kafka_resp_err_t code, const char *doing, struct error *ret_error) MUST_CHECK;

#endif
