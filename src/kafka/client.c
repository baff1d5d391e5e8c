/*
 * client - what every librdkafka client of this folder shares: properties, the log hook, errors.
 *
 * Called by consumer, facts and embedded in the task's thread; the log hook also from librdkafka's own threads. Holds one piece
 * of process-wide state, the hook, because librdkafka logs before a client exists. Never logs by itself.
 */
#include "kafka/client.h"

#include "kafka/consumer.h"
#include "kafka/properties.h"

#include <stdatomic.h>
#include <string.h>

typedef void log_hook(int level, const char *facility, const char *text);

static _Atomic(log_hook *) hook;

void consumer_set_log(void (*log)(int level, const char *facility, const char *text))
{
    atomic_store(&hook, log);
}

void client_log(int level, const char *facility, const char *text)
{
    log_hook *log = atomic_load(&hook);

    if (log)
        log(level, facility, text);
}

/* librdkafka begins its lines with the thread that speaks: of no use to the reader. */
static const char *skip_thread(const char *text)
{
    const char *end = strncmp(text, "[thrd:", 6) == 0 ? strstr(text, "]: ") : NULL;

    return end ? end + 3 : text;
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    client_log(level, facility, skip_thread(text));
}

void client_log_to_hook(rd_kafka_conf_t *conf)
{
    rd_kafka_conf_set_log_cb(conf, on_log);
}

int client_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct error *ret_error)
{
    char text[512] = "";

    switch (rd_kafka_conf_set(conf, name, value, text, sizeof(text))) {
    case RD_KAFKA_CONF_OK:
        return 0;
    case RD_KAFKA_CONF_UNKNOWN:
        return error_set(ret_error, ERROR_CONFIG, "the Kafka client knows no property %s; see librdkafka's CONFIGURATION.md",
                         name);
    default:
        return error_set(ret_error, ERROR_CONFIG, "the Kafka client refuses the property %s: %s", name, text);
    }
}

/* The lowest byte of librdkafka's number tells release candidates apart. */
int client_check_version(int version, struct error *ret_error)
{
    if (version >> 8 >= CLIENT_VERSION_MIN)
        return 0;
    return error_set(ret_error, ERROR_CONFIG,
                     "the librdkafka found at run time is %d.%d.%d, but %d.%d.%d or newer is needed: older ones lose end marks "
                     "and get rebalances wrong; install a newer one, or let the dynamic loader find it first (ldd tells which it "
                     "takes)",
                     version >> 24 & 0xff, version >> 16 & 0xff, version >> 8 & 0xff, CLIENT_VERSION_MIN >> 16 & 0xff,
                     CLIENT_VERSION_MIN >> 8 & 0xff, CLIENT_VERSION_MIN & 0xff);
}

int client_error_class(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_UNRELEASED_INSTANCE_ID:
        return ERROR_FENCED;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
        return ERROR_CONFIG;
    default:
        return ERROR_TRANSIENT;
    }
}

int client_error(rd_kafka_error_t *error, const char *doing, struct error *ret_error)
{
    int class;

    if (!error)
        return 0;
    class = rd_kafka_error_is_fatal(error) ? ERROR_BUG : client_error_class(rd_kafka_error_code(error));
    class = error_set(ret_error, class, "%s: %s", doing, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return class;
}

int client_code(rd_kafka_resp_err_t code, const char *doing, struct error *ret_error)
{
    return code ? error_set(ret_error, client_error_class(code), "%s: %s", doing, rd_kafka_err2str(code)) : 0;
}
