/*
 * setup - the world of a plugin's open(): its options, its memory, the tables it leaves out.
 *
 * Runs once per instance, in the process that opens it.
 */
#include "plugin/inside.h"

#include "base/text.h"
#include "plugin/options.h"

#include <stdio.h>
#include <string.h>

enum { SETUP_MAX_BYTES = 64 * 1024 * 1024 };

static const char *const calls[] = {
    [RS_BOOL] = "rs_option_bool", [RS_INT] = "rs_option_int", [RS_REAL] = "rs_option_real", [RS_TEXT] = "rs_option_text"};

/* The first refusal stays. */
static void refuse(struct rs_setup *setup, const char *format, ...) PRINTF_LIKE(2, 3);

static void refuse(struct rs_setup *setup, const char *format, ...)
{
    char text[ERROR_TEXT_SIZE];
    va_list arguments;

    if (setup->is_refused)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    setup->is_refused = true;
    error_set(setup->error, ERROR_CONFIG, "plugin %s: %s", setup->projection->name, text);
}

bool setup_option(struct rs_setup *setup, const char *name, struct rs_value *ret_value)
{
    const struct projection *projection = setup->projection;

    for (uint32_t i = 0; i < projection->n_options; i++) {
        if (strcmp(projection->options[i].name, name) != 0)
            continue;
        if (setup->values[i].type != ret_value->type) {
            refuse(setup, "open() reads option %s by another function than %s(): mend the plugin", name,
                   calls[setup->values[i].type]);
            return false;
        }
        *ret_value = setup->values[i];
        return true;
    }
    refuse(setup, "open() asks for option %s, which the projection does not declare: declare it in its options", name);
    return false;
}

void *setup_alloc(struct rs_setup *setup, size_t size_bytes)
{
    size_t cost = size_bytes < SETUP_MAX_BYTES ? (size_bytes + 16) & ~(size_t)15 : SETUP_MAX_BYTES; /* that of nothing is not nothing */
    void *memory;

    if (size_bytes > SETUP_MAX_BYTES || cost > SETUP_MAX_BYTES - setup->alloc_bytes) {
        refuse(setup, "open() asks for more than %d MiB of memory: mend the plugin, or lower the option that sizes it",
               SETUP_MAX_BYTES / 1024 / 1024);
        return NULL;
    }
    memory = arena_zalloc(setup->arena, size_bytes);
    if (memory == NULL)
        refuse(setup, "out of memory for %zu bytes that open() asks for", size_bytes);
    else
        setup->alloc_bytes += cost;
    return memory;
}

void setup_omit_table(struct rs_setup *setup, uint32_t table)
{
    if (table >= setup->projection->n_tables)
        refuse(setup, "open() leaves out table %u; the projection has %u: mend the plugin", table, setup->projection->n_tables);
    else
        setup->projection->tables[table].is_omitted = true;
}

int32_t setup_refuse(struct rs_setup *setup, const char *text)
{
    if (text != NULL && text_is_utf8(text, strlen(text), NULL))
        refuse(setup, "%s", text);
    else
        refuse(setup, "open() refuses the options without a reason");
    return -1;
}

static void note_tables(struct projection *projection)
{
    projection->has_partitioned_table = false;
    for (uint32_t i = 0; i < projection->n_tables; i++)
        if (!projection->tables[i].is_shared && !projection->tables[i].is_omitted)
            projection->has_partitioned_table = true;
}

int setup_run(struct plugin_host *host, const struct plugin_setting *settings, size_t n_settings, struct error *ret_error)
{
    struct projection *projection = host->projection;
    struct rs_value *values = arena_alloc(host->instance_arena, (projection->n_options + 1) * sizeof *values);
    struct rs_setup setup = {
        .host = &calls_host_table, .projection = projection, .values = values, .arena = host->instance_arena, .error = ret_error};
    int result = values == NULL ? error_set(ret_error, ERROR_BUG, "out of memory")
                                : options_fill(projection, settings, n_settings, host->instance_arena, values, ret_error);

    if (result != 0)
        return result;
    for (uint32_t i = 0; i < projection->n_tables; i++)
        projection->tables[i].is_omitted = false;
    if (projection->open != NULL) {
        int32_t answer = projection->open(&setup, &host->instance);

        host->is_open = answer == 0;
        if (answer != 0)
            setup_refuse(&setup, NULL);
    }
    note_tables(projection);
    return setup.is_refused ? ERROR_CONFIG : 0;
}
