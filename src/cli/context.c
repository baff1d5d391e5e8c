/*
 * context - see context.h. Builds the same parts that a task does, so that commands meet what it would meet.
 */
#include "cli/context.h"

#include "base/text.h"
#include "cli/cli.h"
#include "task/parts.h"
#include "worker/probe.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int context_load(struct context *context, const char *config_path)
{
    struct buffer problems = BUFFER_INIT;
    struct error failure = {0};
    int result = config_load(config_path, &context->config, &problems, &failure);

    if (result != 0) {
        if (problems.size > 0)
            fputs(problems.data, stderr);
        cli_fail(&failure);
    }
    buffer_free(&problems);
    return exit_code_of(result);
}

/* The plugin asked last: options come pipeline by pipeline. */
struct asked {
    const struct config *config;
    const struct config_pipeline *pipeline;
    struct projection *projection; /* NULL: it cannot be loaded, which is for `check' to say */
};

static bool is_plain(void *context, const struct config_pipeline *pipeline, const char *option)
{
    struct asked *asked = context;
    struct error failure = {0};

    if (asked->pipeline != pipeline) {
        asked->pipeline = pipeline;
        asked->projection = projection_free(asked->projection);
        if (plugin_load(pipeline->plugin, asked->config->worker.plugin_path, &asked->projection, &failure) != 0)
            asked->projection = NULL;
    }
    for (uint32_t i = 0; asked->projection != NULL && i < asked->projection->n_options; i++)
        if (strcmp(asked->projection->options[i].name, option) == 0)
            return (asked->projection->options[i].flags & RS_SECRET) == 0;
    return false;
}

void context_dump(const struct context *context, struct buffer *ret_text)
{
    struct asked asked = {.config = context->config};

    config_dump(context->config, is_plain, &asked, ret_text);
    projection_free(asked.projection);
}

int context_find_pipeline(struct context *context, const char *name)
{
    const struct config *config = context->config;
    const char *near = NULL;
    unsigned best = 3;

    context->pipeline = config_find_pipeline(config, name);
    if (context->pipeline != NULL)
        return EXIT_CODE_OK;
    for (size_t i = 0; i < config->n_pipelines; i++)
        if (text_distance(name, config->pipelines[i].name) < best) {
            best = text_distance(name, config->pipelines[i].name);
            near = config->pipelines[i].name;
        }
    if (near == NULL && config->n_pipelines == 1)
        near = config->pipelines[0].name;
    cli_complain("%s defines no pipeline `%s'%s%s%s", config->path, name, near != NULL ? "; did you mean `" : "",
                 near != NULL ? near : "", near != NULL ? "'?" : "");
    return EXIT_CODE_USAGE;
}

int context_open_plugin(struct context *context)
{
    struct error failure = {0};
    int result = parts_open_plugin(context->config, context->pipeline, &context->projection, &context->host, &failure);

    if (result != 0) {
        error_wrap(&failure, "pipeline %s", context->pipeline->name);
        cli_fail(&failure);
    }
    return exit_code_of(result);
}

bool context_is_missing(const struct error *failure)
{
    return strcmp(failure->code, STORE_MISSING) == 0;
}

/* Commands claim nothing, so their scope needs no owner. */
int context_make_store(struct context *context, struct error *ret_error)
{
    static const struct projection positions_only = {.name = ""};
    const struct projection *projection = context->projection != NULL ? context->projection : &positions_only;
    struct store_settings settings;
    struct store_scope scope;

    parts_store_settings(context->pipeline, &settings);
    parts_store_scope(context->config, context->pipeline, projection, &scope);
    settings.must_exist = true;
    return store_open(&settings, &scope, &context->store, ret_error);
}

int context_connect_store(struct context *context, struct error *ret_error)
{
    int result = context_make_store(context, ret_error);

    if (result == 0)
        result = store_start_connect(context->store, ret_error);
    if (result == 0)
        result = store_finish(context->store, ret_error);
    return result;
}

int context_try_store(struct context *context, struct error *ret_error)
{
    struct error failure = {0};
    int result = context_connect_store(context, &failure);

    if (result != 0)
        context_close_store(context);
    if (result == 0 || context_is_missing(&failure))
        return 0;
    *ret_error = failure;
    return error_wrap(ret_error, "store %s", context->pipeline->store->name);
}

int context_open_store(struct context *context)
{
    struct error failure = {0};

    return context_try_store(context, &failure) != 0 ? cli_fail(&failure) : EXIT_CODE_OK;
}

void context_close_store(struct context *context)
{
    context->store = store_close(context->store);
}

int context_open_probe(struct context *context)
{
    struct error failure = {0};
    int result = probe_open(context->config, NULL, &context->probe, &failure);

    return result != 0 ? cli_fail(&failure) : EXIT_CODE_OK;
}

void context_close(struct context *context)
{
    probe_close(&context->probe);
    context_close_store(context);
    plugin_host_free(context->host);
    projection_free(context->projection);
    config_free(context->config);
    *context = (struct context){0};
}

int context_list_positions(struct context *context, const struct store_position **ret_positions, size_t *ret_n,
                           struct error *ret_error)
{
    struct error failure = {0};
    int result;

    *ret_positions = NULL;
    *ret_n = 0;
    if (context->store == NULL)
        return 0;
    result = store_list_positions(context->store, ret_positions, ret_n, &failure);
    if (result == 0 || context_is_missing(&failure))
        return 0;
    *ret_error = failure;
    return result;
}

void context_print_actor(char *ret_text, size_t size)
{
    const struct passwd *user = getpwuid(geteuid());
    char host[128] = "localhost";

    if (gethostname(host, sizeof host - 1) != 0)
        snprintf(host, sizeof host, "localhost");
    snprintf(ret_text, size, "%s@%s", user != NULL ? user->pw_name : "unknown", host);
}
