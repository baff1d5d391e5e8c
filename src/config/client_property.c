/*
 * client_property - see client_property.h. An allow-list: what is not on it is refused, named reason or not.
 */
#include "config/client_property.h"

#include <string.h>

const char *const client_properties[] = {
    "api_version_request_timeout_ms", "broker_address_family", "broker_address_ttl", "client_dns_lookup", "client_rack",
    "connections_max_idle_ms", "debug", "enable_metrics_push", "fetch_error_backoff_ms", "fetch_max_bytes",
    "fetch_message_max_bytes", "fetch_min_bytes", "fetch_queue_backoff_ms", "fetch_wait_max_ms", "heartbeat_interval_ms",
    "max_partition_fetch_bytes", "max_poll_interval_ms", "message_max_bytes", "metadata_max_age_ms",
    "metadata_recovery_rebootstrap_trigger_ms", "metadata_recovery_strategy", "queued_min_messages",
    "receive_message_max_bytes", "reconnect_backoff_max_ms", "reconnect_backoff_ms", "retry_backoff_max_ms", "retry_backoff_ms",
    "socket_connection_setup_timeout_ms", "socket_keepalive_enable", "socket_max_fails", "socket_nagle_disable",
    "socket_receive_buffer_bytes", "socket_send_buffer_bytes", "socket_timeout_ms", "ssl_cipher_suites", "ssl_crl_location",
    "ssl_curves_list", "ssl_sigalgs_list", "topic_metadata_refresh_fast_interval_ms", "topic_metadata_refresh_interval_ms",
    "topic_metadata_refresh_sparse",
};
const size_t n_client_properties = sizeof client_properties / sizeof client_properties[0];

static const char uses_key[] = "it has a key of its own in the kafka group";
static const char runs_code[] = "it would load foreign code into the worker";
static const char fetches_urls[] = "it would make the client fetch URLs that the config names";
static const char weakens_tls[] = "TLS without verification protects nothing; give ssl_ca_location for a private authority";
static const char in_store[] = "positions are kept in the store, in the transaction of the rows";

/* A name that ends in '_' stands for all that begin with it. */
static const struct {
    const char *name;
    const char *reason;
} refusals[] = {
    {"allow_auto_create_topics", "a misspelt topic must be an error, not a new topic"},
    {"auto_commit_", in_store},
    {"auto_offset_reset", "where a pipeline begins is its key start, and a lost position must stop it"},
    {"bootstrap_servers", uses_key},
    {"check_crcs", "it is always on"},
    {"client_id", "it is made from the names of worker and pipeline"},
    {"enable_auto_commit", in_store},
    {"enable_auto_offset_store", in_store},
    {"enable_partition_eof", "it is always on"},
    {"enable_ssl_certificate_verification", weakens_tls},
    {"enable_sasl_oauthbearer_", fetches_urls},
    {"group_id", "it is the key group_id of the pipeline"},
    {"group_instance_id", "it is the key group_instance_id of the pipeline"},
    {"group_protocol", "assignments are made by the classic protocol, whose rebalances Readside settles"},
    {"group_remote_assignor", "it is the key assignor of the pipeline"},
    {"https_", fetches_urls},
    {"isolation_level", "it is always read_committed: aborted transactions must not become rows"},
    {"metadata_broker_list", "it is the key bootstrap_servers of the kafka group"},
    {"offset_store_", in_store},
    {"partition_assignment_strategy", "it is the key assignor of the pipeline"},
    {"plugin_library_paths", runs_code},
    {"queued_max_messages_kbytes", "it is the key fetch_queue of the pipeline"},
    {"sasl_kerberos_", "it can run a shell command when the client is made"},
    {"sasl_mechanism", uses_key},
    {"sasl_mechanisms", "it is the key sasl_mechanism of the kafka group"},
    {"sasl_oauthbearer_", fetches_urls},
    {"sasl_password", uses_key},
    {"sasl_username", uses_key},
    {"security_protocol", uses_key},
    {"session_timeout_ms", "it is the key session_timeout of the kafka group"},
    {"ssl_ca_location", uses_key},
    {"ssl_certificate_location", uses_key},
    {"ssl_endpoint_identification_algorithm", weakens_tls},
    {"ssl_engine_", runs_code},
    {"ssl_key_location", uses_key},
    {"ssl_key_password", uses_key},
    {"ssl_providers", runs_code},
    {"statistics_interval_ms", "nobody would read them; Readside counts by itself"},
};

const char *client_property_refusal(const char *name)
{
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        size_t size = strlen(refusals[i].name);
        int is_prefix = refusals[i].name[size - 1] == '_';

        if (is_prefix ? strncmp(name, refusals[i].name, size) == 0 : strcmp(name, refusals[i].name) == 0) {
            return refusals[i].reason;
        }
    }
    return NULL;
}
