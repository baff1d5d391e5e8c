/*
 * test_plugin - `readside test-plugin': folds a file of events with a plugin, without any server, and prints the tables.
 *
 * One process, one thread. Loader, decoder, plugin host and fold are those of a task; only store and log are stood in for (by
 * test_store and test_lines). Batches are small, so that rows are merged within a batch and read back from the store as well.
 */
#include "base/buffer.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/test_lines.h"
#include "cli/test_print.h"
#include "cli/test_store.h"
#include "event/event.h"
#include "fold/batch.h"
#include "plugin/host.h"
#include "plugin/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef READSIDE_PLUGINDIR
#define READSIDE_PLUGINDIR "" /* built without configure */
#endif

enum { EXIT_REFUSED = 1, EXIT_POISON = 2 }; /* of its own, so that scripts tell a bad event from a bad plugin */
enum { BATCH_EVENTS = 8, MAX_DEPTH = 64, LOAD_ROUNDS_MAX = 64 };

static const struct batch_limits limits = {.max_rows = 1000000, .max_bytes = 256 * 1024 * 1024};
static const size_t cache_bytes = 64 * 1024 * 1024;

struct arguments {
    const char *plugin;
    const char *events;
    const char *key; /* NULL: the default */
    struct plugin_setting settings[CLI_MAX_REPEATS];
    size_t n_settings;
};

/* What became of one record. */
struct outcome {
    enum { OUTCOME_DONE, OUTCOME_SKIPPED, OUTCOME_POISON } kind;
    char *type; /* of a poison event; NULL: it could not be decoded */
    char *reason;
};

struct test {
    struct projection *projection;
    struct plugin_host *host;
    struct event_decoder *decoder;
    struct batch *batch;
    struct row_cache *cache;
    struct test_store *store;
    struct test_lines lines;
    struct outcome *outcomes; /* one a record */
    size_t n_batches;
};

/* ---- Arguments ---- */

static const struct cli_option options[] = {
    {.name = "key", .argument = "FIELD", .summary = "the field of a payload that is the record key"},
    {.name = "option", .argument = "NAME=VALUE", .summary = "an option of the plugin; may be given again", .is_repeatable = true},
};

/* The texts stay the command line's; each is cut at its first '='. */
static int read_arguments(const struct cli_arguments *given, struct arguments *ret_arguments)
{
    ret_arguments->plugin = given->words[0];
    ret_arguments->events = given->words[1];
    ret_arguments->key = cli_value(&cli_command_test_plugin, given, "key");
    for (size_t i = 0; i < given->n_repeats; i++) {
        char *text = (char *)given->repeats[i], *equals = strchr(text, '=');

        if (equals == NULL || equals == text)
            return cli_misuse(&cli_command_test_plugin, "test-plugin: an option is NAME=VALUE, not %s", text);
        *equals = '\0';
        ret_arguments->settings[ret_arguments->n_settings++] =
            (struct plugin_setting){.name = text, .value = equals + 1, .place = "--option"};
    }
    return EXIT_CODE_OK;
}

/* ---- Opening ---- */

/* A file of that name here is what is meant, as with any other file argument. */
static int load(const char *name, struct projection **ret_projection, struct error *ret_error)
{
    char path[4096];

    if (strchr(name, '/') == NULL && access(name, F_OK) == 0 && snprintf(path, sizeof path, "./%s", name) < (int)sizeof path)
        return plugin_load(path, "", ret_projection, ret_error);
    return plugin_load(name, READSIDE_PLUGINDIR, ret_projection, ret_error);
}

static const char *default_key(const struct projection *projection)
{
    const struct table *table = projection->tables;

    return projection->n_tables == 0 ? NULL : table->columns[table->keys[0]].name;
}

static int open_parts(struct test *test, struct arguments *arguments, struct error *ret_error)
{
    const struct event_settings settings = {
        .type = {.kind = PLACE_PAYLOAD, .name = "type"},
        .id = {.kind = PLACE_PAYLOAD, .name = "id"},
        .version = {.kind = PLACE_PAYLOAD, .name = "version"},
        .max_depth = MAX_DEPTH,
    };
    int result = load(arguments->plugin, &test->projection, ret_error);

    if (result == 0)
        result = plugin_host_new(test->projection, arguments->settings, arguments->n_settings, &test->host, ret_error);
    if (result == 0)
        result = test_lines_read(arguments->events, arguments->key != NULL ? arguments->key : default_key(test->projection),
                                 &test->lines, ret_error);
    if (result != 0)
        return result;
    test->decoder = event_decoder_new(&settings);
    test->batch = batch_new(test->projection->tables, test->projection->n_tables, &limits, 1);
    test->cache = row_cache_new(test->projection->tables, test->projection->n_tables, cache_bytes, 2);
    test->store = test_store_new(test->projection->tables, test->projection->n_tables);
    test->outcomes = calloc(test->lines.n + 1, sizeof test->outcomes[0]);
    if (test->decoder == NULL || test->batch == NULL || test->cache == NULL || test->store == NULL || test->outcomes == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    return 0;
}

static void forget(struct outcome *outcome)
{
    free(outcome->type);
    free(outcome->reason);
    *outcome = (struct outcome){0};
}

static void close_parts(struct test *test)
{
    for (size_t i = 0; test->outcomes != NULL && i < test->lines.n; i++)
        forget(&test->outcomes[i]);
    free(test->outcomes);
    test_store_free(test->store);
    row_cache_free(test->cache);
    batch_free(test->batch);
    event_decoder_free(test->decoder);
    test_lines_free(&test->lines);
    plugin_host_free(test->host);
    projection_free(test->projection);
}

/* ---- Folding ---- */

static int load_wanted(struct test *test, struct error *ret_error)
{
    size_t n;
    const struct wanted_row *wanted = batch_wanted(test->batch, &n);
    int result = 0;

    for (size_t i = 0; i < n && result == 0; i++) {
        const struct wanted_row *row = &wanted[i];
        int32_t partition = 0;
        const struct cell *cells = test_store_find(test->store, row->table->id, row->key, row->key_size, &partition);

        result = row_cache_put(test->cache, row->table, row->key, row->key_size, cells, partition, ret_error);
    }
    batch_clear_wanted(test->batch);
    return result;
}

static int prefetch(struct test *test, size_t first, size_t n, struct error *ret_error)
{
    const struct event *event;

    for (size_t i = first; i < first + n && plugin_host_reads(test->host); i++)
        if (event_decode(test->decoder, &test->lines.records[i], &event, NULL) == 0)
            plugin_host_prefetch(test->host, event, test->batch);
    return load_wanted(test, ret_error);
}

static int note_poison(struct outcome *outcome, const struct event *event, const struct error *failure, struct error *ret_error)
{
    outcome->kind = OUTCOME_POISON;
    outcome->reason = strdup(failure->text);
    if (event != NULL)
        outcome->type = strndup(event_record(event)->type.data, event_record(event)->type.size);
    if (outcome->reason == NULL || (event != NULL && outcome->type == NULL))
        return error_set(ret_error, ERROR_BUG, "out of memory");
    return 0;
}

static int broken(const struct record *record, const struct error *failure, struct error *ret_error)
{
    return error_set(ret_error, failure->class, "line %lld (partition %d): %s", (long long)record->offset + 1, (int)record->partition,
                     failure->text);
}

/* One event into the batch. APPLY_FULL, or 0, or an error that ends the test. */
static int fold_event(struct test *test, size_t number, struct error *ret_error)
{
    const struct record *record = &test->lines.records[number];
    struct outcome *outcome = &test->outcomes[number];
    const struct event *event = NULL;
    struct error failure = {0};
    int result = event_decode(test->decoder, record, &event, &failure);

    forget(outcome);
    if (result == 0)
        result = plugin_host_apply(test->host, event, test->batch, &failure);
    for (int round = 0; result == APPLY_NEEDS_ROWS && round < LOAD_ROUNDS_MAX; round++) {
        result = load_wanted(test, &failure);
        if (result == 0)
            result = plugin_host_apply(test->host, event, test->batch, &failure);
    }
    if (result == APPLY_NEEDS_ROWS)
        result = error_set(&failure, ERROR_POISON, "the event asks for one row after another without end");
    if (result == APPLY_SKIPPED || result == APPLY_UNHANDLED)
        outcome->kind = OUTCOME_SKIPPED;
    if (result == ERROR_POISON)
        return note_poison(outcome, event, &failure, ret_error);
    if (result < 0)
        return broken(record, &failure, ret_error);
    return result == APPLY_FULL ? APPLY_FULL : 0;
}

/* Folds up to n events from `first` on and writes them. *ret_n: how many there was room for. POISON: none of them is written. */
static int run_batch(struct test *test, size_t first, size_t n, size_t *ret_n, struct error *ret_error)
{
    size_t done = 0;
    int result;

    batch_reset(test->batch, NULL, test->cache);
    result = prefetch(test, first, n, ret_error);
    while (done < n && result == 0) {
        result = fold_event(test, first + done, ret_error);
        done += result == 0;
    }
    if (result == 0 || result == APPLY_FULL)
        result = batch_close(test->batch, ret_error);
    if (result == 0)
        result = test_store_write(test->store, test->batch, ret_error);
    if (result != 0)
        return result;
    row_cache_absorb(test->cache, test->batch);
    if (++test->n_batches % 2 == 0)
        row_cache_clear(test->cache);
    *ret_n = done;
    return 0;
}

/* A batch that cannot be written for one of its events (a sum that overflows) is run again event by event, as a task does. */
static int run_singly(struct test *test, size_t first, size_t n, struct error *ret_error)
{
    int result = 0;

    for (size_t i = first; i < first + n && result == 0; i++) {
        const struct event *event = NULL;
        struct error failure = {0};
        size_t done;

        result = run_batch(test, i, 1, &done, &failure);
        if (result == ERROR_POISON) {
            row_cache_clear(test->cache);
            forget(&test->outcomes[i]);
            if (event_decode(test->decoder, &test->lines.records[i], &event, NULL) != 0)
                event = NULL;
            result = note_poison(&test->outcomes[i], event, &failure, ret_error);
        } else if (result != 0) {
            *ret_error = failure;
        }
    }
    return result;
}

static int run(struct test *test, struct error *ret_error)
{
    size_t next = 0;
    int result = 0;

    while (next < test->lines.n && result == 0) {
        size_t n = test->lines.n - next < BATCH_EVENTS ? test->lines.n - next : BATCH_EVENTS;

        result = run_batch(test, next, n, &n, ret_error);
        if (result == ERROR_POISON) {
            row_cache_clear(test->cache);
            result = run_singly(test, next, n, ret_error);
        }
        next += n;
    }
    return result;
}

/* ---- Report ---- */

static void print_poison(struct buffer *text, const struct record *record, const struct outcome *outcome)
{
    buffer_printf(text, "poison topic=%s partition=%d offset=%lld type=%s reason=", record->topic, (int)record->partition,
                  (long long)record->offset, outcome->type == NULL ? "" : outcome->type);
    test_print_quoted(text, outcome->reason);
    buffer_putc(text, '\n');
}

/* Returns the exit code. */
static int report(const struct test *test)
{
    struct buffer text = BUFFER_INIT;
    size_t n_skipped = 0, n_poison = 0;
    bool is_printed;

    test_store_print(test->store, &text);
    for (size_t i = 0; i < test->lines.n; i++)
        n_skipped += test->outcomes[i].kind == OUTCOME_SKIPPED;
    buffer_printf(&text, "skipped %zu\n", n_skipped);
    for (size_t i = 0; i < test->lines.n; i++) {
        if (test->outcomes[i].kind == OUTCOME_POISON) {
            print_poison(&text, &test->lines.records[i], &test->outcomes[i]);
            n_poison++;
        }
    }
    is_printed = !buffer_failed(&text) && fwrite(text.data, 1, text.size, stdout) == text.size && fflush(stdout) == 0;
    buffer_free(&text);
    if (!is_printed)
        return EXIT_REFUSED;
    return n_poison > 0 ? EXIT_POISON : 0;
}

static int run_test_plugin(int argc, char **argv)
{
    struct cli_arguments given;
    struct arguments arguments = {0};
    struct test test = {0};
    struct error failure = {0};
    int exit_code, result;

    if (!cli_parse(&cli_command_test_plugin, argc, argv, &given, &exit_code))
        return exit_code;
    exit_code = read_arguments(&given, &arguments);
    if (exit_code != EXIT_CODE_OK)
        return exit_code;
    result = open_parts(&test, &arguments, &failure);
    if (result == 0)
        result = run(&test, &failure);
    if (result != 0) {
        cli_complain("test-plugin: %s", failure.text);
        exit_code = EXIT_REFUSED;
    } else {
        exit_code = report(&test);
    }
    close_parts(&test);
    return exit_code;
}

const struct cli_command cli_command_test_plugin = {
    .name = "test-plugin",
    .arguments = "[--key FIELD] [--option NAME=VALUE]... PLUGIN EVENTS.jsonl",
    .summary = "Fold a file of events with a plugin, without any server, and print the tables",
    .details = "The plugin is a file, or the name of an installed one. Each line of the events is a payload in JSON, or a whole record, as\n"
               "docs/plugins.md says. The exit code is 1 when plugin or file are refused, and 2 when an event was poison.",
    .options = options,
    .n_options = 2,
    .min_words = 2,
    .max_words = 2,
    .run = run_test_plugin,
};
