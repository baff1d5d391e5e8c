/*
 * status - `readside status': how far each pipeline is, from store and broker; works from any machine, also with the worker down.
 */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/halt.h"
#include "cli/lag.h"
#include "cli/print.h"
#include "cli/view.h"
#include "worker/probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct cli_option options[] = {
    {.name = "json", .summary = "print JSON, for programs"},
};

/* ---- For people ---- */

static void put_row(struct columns *columns, const struct view_row *row)
{
    char owner[TEXT_UUID_SIZE] = "", seconds[32] = "?";

    if (view_is_owned(row)) {
        text_print_uuid(row->position->owner, owner);
        owner[8] = '\0'; /* enough to tell them apart */
    }
    columns_put(columns, row->position->topic);
    columns_put_number(columns, row->position->partition);
    columns_put_number(columns, row->position->next_offset);
    if (row->has_facts) {
        columns_put_number(columns, row->facts.high);
        columns_put_number(columns, view_lag(row));
    } else {
        columns_put(columns, "?");
        columns_put(columns, "?");
    }
    if (row->lag_ms >= 0)
        snprintf(seconds, sizeof seconds, "%" PRId64 ".%" PRId64, row->lag_ms / 1000, row->lag_ms % 1000 / 100);
    columns_put(columns, seconds);
    columns_put_number(columns, row->position->events);
    columns_put(columns, view_state(row));
    columns_put(columns, owner);
    columns_put(columns, row->position->updated_at);
}

static void print_table(const struct view *view)
{
    static const char *const headings[] = {"TOPIC", "PARTITION", "NEXT", "END", "LAG", "SECONDS", "EVENTS", "STATE", "OWNER", "UPDATED"};
    struct columns columns = {.n_columns = 10, .is_right = {[1] = true, [2] = true, [3] = true, [4] = true, [5] = true, [6] = true}};

    for (size_t i = 0; i < sizeof headings / sizeof headings[0]; i++)
        columns_put(&columns, headings[i]);
    for (size_t i = 0; i < view->n; i++)
        put_row(&columns, &view->rows[i]);
    columns_print(&columns);
}

static void print_halts(const struct context *context, const struct view *view)
{
    for (size_t i = 0; i < view->n; i++) {
        const struct store_position *position = view->rows[i].position;

        if (!position->is_halted)
            continue;
        printf("\n%s[%" PRId32 "] is halted at offset %" PRId64 " (%s): %s\n", position->topic, position->partition,
               position->next_offset, position->halt_kind, position->halt_reason);
        halt_print_ways(context, view, &view->rows[i]);
    }
}

/* failure: why there is nothing to be shown; NULL: there is. */
static void print_view(const struct context *context, const struct view *view, const struct error *failure)
{
    const struct config_pipeline *pipeline = context->pipeline;

    printf("pipeline %s, version %" PRId64 ", plugin %s, store %s%s\n", pipeline->name, pipeline->version, pipeline->plugin,
           pipeline->store->name, pipeline->is_enabled ? "" : " (not enabled)");
    if (failure != NULL) {
        printf("its positions cannot be read: %s\n", failure->text);
        return;
    }
    if (view->n == 0)
        printf("no positions yet: it has not run\n");
    else
        print_table(view);
    print_halts(context, view);
    if (view->trouble[0] != '\0')
        printf("\nthe ends are not known: %s\n", view->trouble);
}

/* ---- For programs ---- */

/* Milliseconds as seconds; negative: null. */
static void put_seconds(struct buffer *json, int64_t ms)
{
    if (ms >= 0)
        buffer_printf(json, "%" PRId64 ".%03" PRId64, ms / 1000, ms % 1000);
    else
        buffer_puts(json, "null");
}

static void put_position(struct buffer *json, const struct view_row *row)
{
    const struct store_position *position = row->position;
    char owner[TEXT_UUID_SIZE];

    buffer_puts(json, "{\"topic\":");
    json_put_text(json, position->topic);
    buffer_printf(json, ",\"partition\":%" PRId32 ",\"next_offset\":%" PRId64, position->partition, position->next_offset);
    if (row->has_facts)
        buffer_printf(json, ",\"low_offset\":%" PRId64 ",\"end_offset\":%" PRId64 ",\"lag\":%" PRId64, row->facts.low, row->facts.high,
                      view_lag(row));
    else
        buffer_puts(json, ",\"low_offset\":null,\"end_offset\":null,\"lag\":null");
    buffer_puts(json, ",\"lag_seconds\":");
    put_seconds(json, row->lag_ms);
    text_print_uuid(position->owner, owner);
    buffer_printf(json, ",\"events\":%" PRId64 ",\"epoch\":%" PRId64 ",\"state\":\"%s\",\"owner\":", position->events, position->epoch,
                  view_state(row));
    json_put_text(json, view_is_owned(row) ? owner : NULL);
    buffer_puts(json, ",\"halt\":");
    if (position->is_halted) {
        buffer_puts(json, "{\"kind\":");
        json_put_text(json, position->halt_kind);
        buffer_puts(json, ",\"reason\":");
        json_put_text(json, position->halt_reason);
        buffer_putc(json, '}');
    } else {
        buffer_puts(json, "null");
    }
    buffer_puts(json, ",\"claimed_at\":");
    json_put_text(json, position->claimed_at[0] != '\0' ? position->claimed_at : NULL);
    buffer_puts(json, ",\"updated_at\":");
    json_put_text(json, position->updated_at[0] != '\0' ? position->updated_at : NULL);
    buffer_putc(json, '}');
}

/* What the positions come to together. Without them it is not known. */
static void put_sums(struct buffer *json, const struct view *view, bool is_known)
{
    int64_t lag = 0, lag_ms = 0, halted = 0;

    for (size_t i = 0; i < view->n; i++) {
        const struct view_row *row = &view->rows[i];

        lag = lag < 0 || view_lag(row) < 0 ? -1 : lag + view_lag(row);
        if (lag_ms >= 0 && (row->lag_ms < 0 || row->lag_ms > lag_ms))
            lag_ms = row->lag_ms;
        halted += row->position->is_halted ? 1 : 0;
    }
    if (is_known)
        buffer_printf(json, ",\"halted\":%" PRId64 ",\"lag\":", halted);
    else
        buffer_puts(json, ",\"halted\":null,\"lag\":");
    if (is_known && lag >= 0)
        buffer_printf(json, "%" PRId64, lag);
    else
        buffer_puts(json, "null");
    buffer_puts(json, ",\"lag_seconds\":");
    put_seconds(json, is_known ? lag_ms : -1);
}

/* failure as in print_view(). */
static void put_view(struct buffer *json, const struct context *context, const struct view *view, const struct error *failure)
{
    const struct config_pipeline *pipeline = context->pipeline;

    buffer_puts(json, "{\"name\":");
    json_put_text(json, pipeline->name);
    buffer_printf(json, ",\"version\":%" PRId64 ",\"enabled\":%s,\"group_id\":", pipeline->version,
                  pipeline->is_enabled ? "true" : "false");
    json_put_text(json, pipeline->group_id);
    buffer_puts(json, ",\"plugin\":");
    json_put_text(json, pipeline->plugin);
    buffer_puts(json, ",\"store\":");
    json_put_text(json, pipeline->store->name);
    buffer_puts(json, ",\"positions\":[");
    for (size_t i = 0; i < view->n; i++) {
        if (i > 0)
            buffer_putc(json, ',');
        put_position(json, &view->rows[i]);
    }
    buffer_putc(json, ']');
    put_sums(json, view, failure == NULL);
    buffer_puts(json, ",\"broker_trouble\":");
    json_put_text(json, view->trouble[0] != '\0' ? view->trouble : NULL);
    buffer_puts(json, ",\"error\":");
    json_put_text(json, failure != NULL ? failure->text : NULL);
    buffer_putc(json, '}');
}

/* ---- The command ---- */

static int show_pipeline(struct context *context, bool has_probe, const char *trouble, struct buffer *json)
{
    struct view view = {0};
    struct error failure = {0};
    int result = context_try_store(context, &failure);

    if (result == 0)
        result = view_read(context, has_probe, &view, &failure);
    if (result == 0 && has_probe)
        lag_read(context, &view);
    if (!has_probe)
        snprintf(view.trouble, sizeof view.trouble, "%s", trouble);
    if (json == NULL)
        print_view(context, &view, result != 0 ? &failure : NULL);
    else
        put_view(json, context, &view, result != 0 ? &failure : NULL);
    view_free(&view);
    context_close_store(context);
    return exit_code_of(result);
}

static int show_all(struct context *context, const char *only, struct buffer *json)
{
    struct error failure = {0};
    bool has_probe = probe_open(context->config, NULL, &context->probe, &failure) == 0;
    int exit_code = EXIT_CODE_OK;
    bool is_first = true;

    for (size_t i = 0; i < context->config->n_pipelines; i++) {
        int result;

        context->pipeline = &context->config->pipelines[i];
        if (only != NULL && strcmp(only, context->pipeline->name) != 0)
            continue;
        if (!is_first && json != NULL)
            buffer_putc(json, ',');
        else if (!is_first)
            putchar('\n');
        is_first = false;
        result = show_pipeline(context, has_probe, failure.text, json);
        if (result != EXIT_CODE_OK)
            exit_code = result; /* the others may be well */
    }
    return exit_code;
}

static int run_status(int argc, char **argv)
{
    struct cli_arguments arguments;
    struct context context = {0};
    struct buffer json = BUFFER_INIT;
    const char *only;
    bool wants_json;
    int exit_code;

    if (!cli_parse(&cli_command_status, argc, argv, &arguments, &exit_code))
        return exit_code;
    wants_json = cli_value(&cli_command_status, &arguments, "json") != NULL;
    only = arguments.n_words > 1 ? arguments.words[1] : NULL;
    exit_code = context_load(&context, arguments.words[0]);
    if (exit_code == EXIT_CODE_OK && only != NULL)
        exit_code = context_find_pipeline(&context, only);
    if (exit_code == EXIT_CODE_OK) {
        exit_code = show_all(&context, only, wants_json ? &json : NULL);
        if (wants_json)
            printf("{\"pipelines\":[%s]}\n", json.size > 0 ? json.data : "");
    }
    buffer_free(&json);
    context_close(&context);
    return exit_code;
}

const struct cli_command cli_command_status = {
    .name = "status",
    .arguments = "[--json] CONFIG [PIPELINE]",
    .summary = "Show how far each pipeline is, what lags and what is halted",
    .details = "Reads the store and the broker, so it works from any machine and while no worker runs. NEXT is the next offset to be\n"
               "applied, END where the topic ends, LAG what is between them, SECONDS how old the first event is that waits there; EVENTS counts\n"
               "those applied. A partition is running when a task owns it, free when none does, and halted when it waits for a person. A\n"
               "pipeline whose store does not answer is shown with the reason, and the exit code tells.",
    .options = options,
    .n_options = 1,
    .min_words = 1,
    .max_words = 2,
    .run = run_status,
};
