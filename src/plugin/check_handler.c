/*
 * check_handler - the handlers, their reads, and the options of a descriptor: judged and copied.
 *
 * Called by descriptor_check() only.
 */
#include "plugin/descriptor.h"

#include "base/text.h"
#include "plugin/options.h"

#include <string.h>

enum { MAX_HANDLERS = 1024, MAX_READS = 16, MAX_OPTIONS = 256, TYPE_MAX = 255, OPTION_NAME_MAX = 48, PATH_MAX_BYTES = 1000 };

/* ---- Handlers ---- */

static int judge_read(const struct check *check, const struct rs_handler *handler, struct rs_read *read)
{
    const struct table *table;

    if (read->table >= check->projection->n_tables)
        return check_refuse(check, "handler %s reads table %u; the projection has %u: name one of them", handler->type, read->table,
                            check->projection->n_tables);
    table = &check->projection->tables[read->table];
    if (table->is_shared)
        return check_refuse(check, "handler %s reads table %s, which is shared: rows of shared tables cannot be read", handler->type,
                            table->name);
    if (read->n_keys != table->n_keys)
        return check_refuse(check, "handler %s reads table %s by %u keys; it has %u key columns: name a path for each",
                            handler->type, table->name, read->n_keys, table->n_keys);
    for (uint32_t i = 0; i < read->n_keys; i++) {
        if (read->keys[i] == NULL || strlen(read->keys[i]) > PATH_MAX_BYTES)
            return check_refuse(check, "handler %s reads table %s: the path of key column %s is %s: name a field of the event",
                                handler->type, table->name, table->columns[table->keys[i]].name,
                                read->keys[i] == NULL ? "NULL" : "too long");
        if (!check_keep(check, &read->keys[i]))
            return check_refuse(check, "out of memory");
    }
    return 0;
}

static int take_reads(const struct check *check, struct rs_handler *handler)
{
    struct rs_read *reads = arena_zalloc(check->projection->arena, (handler->n_reads % (MAX_READS + 1) + 1) * sizeof *reads);
    int result = check_array(check, handler->type, "reads", handler->reads, handler->n_reads, MAX_READS, handler->read_size,
                             check->sizes->read);

    if (reads == NULL)
        return check_refuse(check, "out of memory");
    for (uint32_t i = 0; i < handler->n_reads && result == 0; i++) {
        check_copy(&reads[i], sizeof reads[i], handler->reads, i, handler->read_size);
        result = judge_read(check, handler, &reads[i]);
    }
    handler->reads = reads;
    handler->read_size = sizeof reads[0];
    return result;
}

/* Does the first handler take every version that the second one takes? */
static bool covers(const struct rs_handler *first, const struct rs_handler *second)
{
    uint32_t first_end = first->max_version == 0 ? UINT32_MAX : first->max_version;
    uint32_t second_end = second->max_version == 0 ? UINT32_MAX : second->max_version;

    return first->min_version <= second->min_version && first_end >= second_end;
}

static int judge_handler(const struct check *check, const struct rs_handler *handlers, uint32_t number)
{
    const struct rs_handler *handler = &handlers[number];

    if (handler->type == NULL || strlen(handler->type) > TYPE_MAX || !text_is_utf8(handler->type, strlen(handler->type), NULL))
        return check_refuse(check, "the type of handler %u is NULL, longer than %d bytes or not UTF-8: name the event type", number,
                            TYPE_MAX);
    if (handler->function == NULL)
        return check_refuse(check, "the function of handler %s is NULL: name the function", handler->type);
    if (handler->max_version != 0 && handler->min_version > handler->max_version)
        return check_refuse(check, "handler %s takes versions %u to %u: swap them", handler->type, handler->min_version,
                            handler->max_version);
    for (uint32_t i = 0; i < number; i++)
        if (strcmp(handlers[i].type, handler->type) == 0 && covers(&handlers[i], handler))
            return check_refuse(check,
                                "handler %u of type %s never runs: handler %u takes all its versions before it: remove one, or state "
                                "version ranges that do not overlap",
                                number, handler->type, i);
    return 0;
}

int check_handlers(const struct check *check, const struct rs_projection *given)
{
    struct rs_handler *handlers;
    int result = check_array(check, "the projection", "handlers", given->handlers, given->n_handlers, MAX_HANDLERS,
                             given->handler_size, check->sizes->handler);

    if (result != 0)
        return result;
    if (given->n_handlers == 0)
        return check_refuse(check, "the projection has no handlers: declare one or more by RS_HANDLERS()");
    handlers = arena_zalloc(check->projection->arena, given->n_handlers * sizeof *handlers);
    if (handlers == NULL)
        return check_refuse(check, "out of memory");
    for (uint32_t i = 0; i < given->n_handlers && result == 0; i++) {
        check_copy(&handlers[i], sizeof handlers[i], given->handlers, i, given->handler_size);
        result = judge_handler(check, handlers, i);
        if (result == 0 && !check_keep(check, &handlers[i].type))
            result = check_refuse(check, "out of memory");
        if (result == 0)
            result = take_reads(check, &handlers[i]);
    }
    check->projection->handlers = handlers;
    check->projection->n_handlers = given->n_handlers;
    return result;
}

/* ---- Options ---- */

static int judge_choices(const struct check *check, const struct rs_option *option)
{
    const char *at = option->choices;

    if (option->type != RS_OPTION_CHOICE)
        return at == NULL ? 0 : check_refuse(check, "option %s: choices are for RS_OPTION_CHOICE: leave them out", option->name);
    if (at == NULL)
        return check_refuse(check, "option %s: choices are missing: write \"one|two\"", option->name);
    for (;;) {
        size_t size = strcspn(at, "|");

        if (size == 0)
            return check_refuse(check, "option %s: one of the choices \"%s\" is empty", option->name, option->choices);
        if (at[size] == '\0')
            return 0;
        at += size + 1;
    }
}

static int judge_option(const struct check *check, const struct rs_option *option)
{
    bool has_bounds = option->min != 0 || option->max != 0;
    struct rs_value value;
    struct error reason = {0};
    int result;

    if (option->type < RS_OPTION_BOOL || option->type > RS_OPTION_CHOICE)
        return check_refuse(check, "option %s: its type is %u, which is none of enum rs_option_type: set .type", option->name,
                            option->type);
    if ((option->flags & ~(uint32_t)(RS_REQUIRED | RS_SECRET)) != 0)
        return check_refuse(check, "option %s: its flags are %#x: only RS_REQUIRED and RS_SECRET exist", option->name, option->flags);
    if (has_bounds && option->type != RS_OPTION_INT && option->type != RS_OPTION_DURATION && option->type != RS_OPTION_SIZE)
        return check_refuse(check, "option %s: min and max are for numbers, durations and sizes: leave them out", option->name);
    if (option->min > option->max)
        return check_refuse(check, "option %s: min is more than max: swap them", option->name);
    result = judge_choices(check, option);
    if (result != 0)
        return result;
    if ((option->flags & RS_REQUIRED) != 0)
        return option->fallback == NULL ? 0 : check_refuse(check, "option %s: RS_REQUIRED with a fallback: leave one out", option->name);
    if (option->fallback == NULL)
        return check_refuse(check, "option %s: neither a fallback nor RS_REQUIRED: give one", option->name);
    if (option_read(option, option->fallback, &value, &reason) != 0)
        return check_refuse(check, "option %s: its fallback: %s", option->name, reason.text);
    return 0;
}

static int take_option(const struct check *check, struct rs_option *options, uint32_t number)
{
    struct rs_option *option = &options[number];

    if (option->name == NULL || !text_is_name(option->name, OPTION_NAME_MAX))
        return check_refuse(check, "the name \"%s\" of option %u is not [a-z][a-z0-9_]* of at most %d bytes: rename it",
                            option->name == NULL ? "" : option->name, number, OPTION_NAME_MAX);
    for (uint32_t i = 0; i < number; i++)
        if (strcmp(options[i].name, option->name) == 0)
            return check_refuse(check, "two options are called %s: rename one", option->name);
    if (!check_keep(check, &option->name) || !check_keep(check, &option->fallback) || !check_keep(check, &option->choices) ||
        !check_keep(check, &option->summary))
        return check_refuse(check, "out of memory");
    return judge_option(check, option);
}

int check_options(const struct check *check, const struct rs_projection *given)
{
    struct rs_option *options;
    int result = check_array(check, "the projection", "options", given->options, given->n_options, MAX_OPTIONS, given->option_size,
                             check->sizes->option);

    if (result != 0)
        return result;
    options = arena_zalloc(check->projection->arena, (given->n_options + 1) * sizeof *options);
    if (options == NULL)
        return check_refuse(check, "out of memory");
    for (uint32_t i = 0; i < given->n_options && result == 0; i++) {
        check_copy(&options[i], sizeof options[i], given->options, i, given->option_size);
        result = take_option(check, options, i);
    }
    check->projection->options = options;
    check->projection->n_options = given->n_options;
    return result;
}
