/*
 * parts - what a task is made of, built from the config: projection, plugin host, event decoder, store, consumer.
 *
 * `readside check' and other commands build the same parts, so that what they find is what a task would meet.
 */
#ifndef TASK_PARTS_H
#define TASK_PARTS_H

#include "base/error.h"
#include "config/config.h"
#include "event/event.h"
#include "kafka/consumer.h"
#include "plugin/host.h"
#include "store/store.h"
#include "task/sink.h"

/* Loads the pipeline's plugin and opens an instance with the pipeline's options. */
int parts_open_plugin(const struct config *config, const struct config_pipeline *pipeline, struct projection **ret_projection,
                      struct plugin_host **ret_host, struct error *ret_error) MUST_CHECK;

/* What a driver has to know; owner stays zero. Everything they point to stays the config's and the projection's. */
void parts_store_settings(const struct config_pipeline *pipeline, struct store_settings *ret_settings);
void parts_store_scope(const struct config *config, const struct config_pipeline *pipeline, const struct projection *projection,
                       struct store_scope *ret_scope);

/* Fills the scope and opens the store; no connection yet. worker: the connection's name. */
int parts_open_store(const struct config *config, const struct config_pipeline *pipeline, const struct projection *projection,
                     struct store **ret_store, struct error *ret_error) MUST_CHECK;

/* Opens a consumer for the pipeline's topics. index: of the task; bootstrap_servers as in task_settings. It joins the group. */
int parts_open_consumer(const struct config *config, const struct config_pipeline *pipeline, unsigned index,
                        const char *bootstrap_servers, struct consumer *ret_consumer, struct error *ret_error) MUST_CHECK;

struct event_decoder *parts_new_decoder(const struct config_pipeline *pipeline);

int parts_sink_settings(const struct config_pipeline *pipeline, const struct projection *projection, int64_t session_timeout_us,
                        struct sink_settings *ret_settings, struct error *ret_error) MUST_CHECK;

/*
 * Asks the broker for every topic named in the pipeline: TRANSIENT: no answer; CONFIG: a topic is missing, or several topics feed
 * partitioned tables with unequal partition counts or another assignor than range.
 */
int parts_check_topics(const struct config_pipeline *pipeline, const struct projection *projection,
                       const struct consumer *consumer, int timeout_ms, struct error *ret_error) MUST_CHECK;

#endif
