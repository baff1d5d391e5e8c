/*
 * check - `readside check': everything that can be known before a start, one line a finding.
 *
 * Changes nothing: no table is made, no group is joined.
 */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "task/parts.h"
#include "worker/probe.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BROKER_TIMEOUT_MS = 10000 };

static const struct cli_option options[] = {
    {.name = "dump", .summary = "print the effective configuration as well, secrets hidden"},
    {.name = "offline", .summary = "connect to no store and no broker"},
};

struct check {
    struct context context;
    bool is_offline;
    unsigned n_wrong;
};

static void PRINTF_LIKE(2, 3) found_well(const char *what, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    printf("ok     %s: ", what);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
}

static void found_advice(const char *what, const char *advice)
{
    printf("note   %s: %s\n", what, advice);
}

static void found_wrong(struct check *check, const char *what, const struct error *failure)
{
    check->n_wrong++;
    printf("wrong  %s: %s\n", what, failure->text);
}

static void check_plugin(struct check *check)
{
    struct context *context = &check->context;
    struct error failure = {0};
    char what[192];

    snprintf(what, sizeof what, "pipeline %s, plugin", context->pipeline->name);
    if (parts_open_plugin(context->config, context->pipeline, &context->projection, &context->host, &failure) != 0) {
        context->projection = projection_free(context->projection); /* unusable when its options are refused */
        found_wrong(check, what, &failure);
        return;
    }
    found_well(what, "%s, revision %" PRIu32 ", from %s", context->projection->name, context->projection->revision,
               context->projection->path);
}

static void check_store(struct check *check)
{
    struct context *context = &check->context;
    const struct config_store *store = context->pipeline->store;
    struct error failure = {0};
    bool is_fresh = false;
    char what[256];
    int result;

    snprintf(what, sizeof what, "pipeline %s, store %s", context->pipeline->name, store->name);
    if (check->is_offline) {
        result = context_make_store(context, &failure);
    } else {
        result = context_connect_store(context, &failure);
        if (result == 0)
            result = store_check_schema(context->store, &failure);
        /* What schema = "create" will make is not wrong yet. */
        is_fresh = result != 0 && context_is_missing(&failure) && strcmp(store->schema, "create") == 0;
        if (result == 0)
            result = store_preflight(context->store, &failure);
    }
    if (is_fresh)
        found_well(what, "reachable; what is missing will be made at the start");
    else if (result != 0)
        found_wrong(check, what, &failure);
    else if (check->is_offline)
        found_well(what, "%s, by its settings", store->kind);
    else
        found_well(what, "reachable; the tables fit");
    if (result == 0 && context->store != NULL && store_advice(context->store) != NULL)
        found_advice(what, store_advice(context->store));
    context_close_store(context);
}

static void check_topics(struct check *check)
{
    const struct config_pipeline *pipeline = check->context.pipeline;
    struct error failure = {0};
    int64_t n_partitions = 0;
    char what[192];
    int result;

    snprintf(what, sizeof what, "pipeline %s, topics", pipeline->name);
    result = parts_check_topics(pipeline, check->context.projection, &check->context.probe, BROKER_TIMEOUT_MS, &failure);
    if (result == 0)
        result = probe_count_partitions(&check->context.probe, pipeline, BROKER_TIMEOUT_MS, &n_partitions, &failure);
    if (result != 0)
        found_wrong(check, what, &failure);
    else if (n_partitions == 0)
        found_well(what, "patterns; what they match shows when the pipeline runs");
    else
        found_well(what, "all there; partitions: %" PRId64, n_partitions);
}

/* False: no need to ask it about topics. */
static bool check_broker(struct check *check)
{
    const struct config *config = check->context.config;
    struct error failure = {0};
    const char *cluster_id = NULL;
    int result;

    if (check->is_offline)
        return false;
    if (strcmp(config->kafka.bootstrap_servers, "embedded") == 0) {
        found_well("kafka", "embedded: the broker starts with the worker, and so do its topics");
        return false;
    }
    result = probe_open(config, NULL, &check->context.probe, &failure);
    if (result == 0)
        result = probe_facts(&check->context.probe, NULL, 0, BROKER_TIMEOUT_MS, &cluster_id, &failure);
    if (result != 0) {
        found_wrong(check, "kafka", &failure);
        return false;
    }
    found_well("kafka", "%s answers, cluster %s", config->kafka.bootstrap_servers, cluster_id);
    return true;
}

static void check_pipeline(struct check *check, bool has_broker)
{
    struct context *context = &check->context;

    context->projection = NULL;
    check_plugin(check);
    if (context->projection != NULL)
        check_store(check);
    if (context->projection != NULL && has_broker)
        check_topics(check);
    context->host = plugin_host_free(context->host);
    context->projection = projection_free(context->projection);
}

static int run_check(int argc, char **argv)
{
    struct cli_arguments arguments;
    struct check check = {0};
    struct buffer dump = BUFFER_INIT;
    bool has_broker;
    int exit_code;

    if (!cli_parse(&cli_command_check, argc, argv, &arguments, &exit_code))
        return exit_code;
    check.is_offline = cli_value(&cli_command_check, &arguments, "offline") != NULL;
    exit_code = context_load(&check.context, arguments.words[0]);
    if (exit_code != EXIT_CODE_OK)
        return exit_code;
    found_well("config", "%s: pipelines: %zu, stores: %zu", arguments.words[0], check.context.config->n_pipelines,
               check.context.config->n_stores);
    has_broker = check_broker(&check);
    for (size_t i = 0; i < check.context.config->n_pipelines; i++) {
        check.context.pipeline = &check.context.config->pipelines[i];
        check_pipeline(&check, has_broker);
    }
    if (cli_value(&cli_command_check, &arguments, "dump") != NULL) {
        context_dump(&check.context, &dump);
        printf("\n%s", dump.size > 0 ? dump.data : "");
        buffer_free(&dump);
    }
    context_close(&check.context);
    return check.n_wrong > 0 ? EXIT_CODE_CONFIG : EXIT_CODE_OK;
}

const struct cli_command cli_command_check = {
    .name = "check",
    .arguments = "[--offline] [--dump] CONFIG",
    .summary = "Test config, plugins, stores and broker, and say what is wrong",
    .details = "Prints one line for each finding, beginning with `ok', `wrong', or `note' for what does no harm. Changes nothing. The exit\n"
               "code is 78 when anything is wrong.",
    .options = options,
    .n_options = 2,
    .min_words = 1,
    .max_words = 1,
    .run = run_check,
};
