/*
 * properties - checks librdkafka properties before a client is made of them.
 *
 * Called by consumer_open() and by `readside check`, in any process; pure but for librdkafka's own tables. Never connects.
 */
#include "kafka/properties.h"

#include "kafka/client.h"

#include <strings.h>

/* The guarantees rest on these: consumer_open() sets them, and nobody else. */
static const char *const own_properties[] = {
    "allow.auto.create.topics", "auto.offset.reset", "bootstrap.servers", "check.crcs", "client.id", "enable.auto.commit",
    "enable.auto.offset.store", "enable.partition.eof", "group.id", "group.instance.id", "group.protocol", "isolation.level",
    "log.queue", "metadata.broker.list", "partition.assignment.strategy", "queued.max.messages.kbytes", "session.timeout.ms",
};

int property_check(const char *name, const char *value, struct error *ret_error)
{
    rd_kafka_conf_t *conf;
    int result;

    for (size_t i = 0; i < sizeof(own_properties) / sizeof(own_properties[0]); i++)
        if (strcasecmp(name, own_properties[i]) == 0)
            return error_set(ret_error, ERROR_CONFIG, "Readside sets the Kafka client's property %s itself; leave it out", name);
    conf = rd_kafka_conf_new();
    result = client_set(conf, name, value, ret_error);
    rd_kafka_conf_destroy(conf);
    return result;
}
