/*
 * resume - `readside resume': lets halted partitions go on where they stand, once the cause is gone.
 */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option options[] = {
    {.name = "reason", .argument = "TEXT", .summary = "why, for the record"},
};

struct target {
    char *topic;
    int32_t partition;
};

/* Copies what is to be resumed: the view ends with the store's next operation. */
static size_t copy_halted(const struct view *view, const char *topic, int64_t partition, struct target *targets)
{
    size_t n = 0;

    for (size_t i = 0; i < view->n; i++) {
        const struct store_position *position = view->rows[i].position;

        if (!position->is_halted || (topic != NULL && (strcmp(topic, position->topic) != 0 || partition != position->partition)))
            continue;
        targets[n].topic = strdup(position->topic);
        targets[n].partition = position->partition;
        n += targets[n].topic != NULL ? 1 : 0;
    }
    return n;
}

static int resume_one(struct context *context, const struct target *target, const char *reason)
{
    struct error failure = {0};
    struct store_operation operation = {.kind = STORE_RESUME, .topic = target->topic, .partition = target->partition, .reason = reason};
    char actor[256];

    context_print_actor(actor, sizeof actor);
    operation.actor = actor;
    if (store_operate(context->store, &operation, &failure) != 0)
        return cli_fail(&failure);
    printf("%s[%" PRId32 "] goes on\n", target->topic, target->partition);
    return EXIT_CODE_OK;
}

static int resume_all(struct context *context, const char *topic, int64_t partition, const char *reason)
{
    struct view view = {0};
    struct error failure = {0};
    struct target *targets = NULL;
    size_t n = 0;
    int exit_code = EXIT_CODE_OK;

    if (view_read(context, false, &view, &failure) != 0)
        return cli_fail(&failure);
    targets = calloc(view.n + 1, sizeof *targets);
    if (targets != NULL)
        n = copy_halted(&view, topic, partition, targets);
    view_free(&view);
    if (n == 0 && topic != NULL) {
        cli_complain("pipeline %s has no halted partition %s[%" PRId64 "]", context->pipeline->name, topic, partition);
        exit_code = EXIT_CODE_CONFIG;
    } else if (n == 0) {
        printf("no partition of pipeline %s is halted\n", context->pipeline->name);
    }
    for (size_t i = 0; i < n; i++) {
        int result = resume_one(context, &targets[i], reason);

        exit_code = result != EXIT_CODE_OK ? result : exit_code;
        free(targets[i].topic);
    }
    free(targets);
    return exit_code;
}

static int run_resume(int argc, char **argv)
{
    struct cli_arguments arguments;
    struct context context = {0};
    const char *topic = NULL, *reason;
    int64_t partition = 0;
    int exit_code;

    if (!cli_parse(&cli_command_resume, argc, argv, &arguments, &exit_code))
        return exit_code;
    if (arguments.n_words == 3)
        return cli_misuse(&cli_command_resume, "resume: which partition of %s?", arguments.words[2]);
    if (arguments.n_words == 4) {
        topic = arguments.words[2];
        if (!text_read_int(arguments.words[3], strlen(arguments.words[3]), &partition) || partition < 0 || partition > INT32_MAX)
            return cli_misuse(&cli_command_resume, "resume: `%s' is no partition", arguments.words[3]);
    }
    reason = cli_value(&cli_command_resume, &arguments, "reason");
    exit_code = context_load(&context, arguments.words[0]);
    if (exit_code == EXIT_CODE_OK)
        exit_code = context_find_pipeline(&context, arguments.words[1]);
    if (exit_code == EXIT_CODE_OK)
        exit_code = context_open_store(&context);
    if (exit_code == EXIT_CODE_OK)
        exit_code = resume_all(&context, topic, partition, reason != NULL ? reason : "");
    context_close(&context);
    return exit_code;
}

const struct cli_command cli_command_resume = {
    .name = "resume",
    .arguments = "[--reason TEXT] CONFIG PIPELINE [TOPIC PARTITION]",
    .summary = "Let halted partitions go on where they stand",
    .details = "All of the pipeline's, or one. Nothing is skipped: the event that halted it is tried again. Running tasks notice by\n"
               "themselves.",
    .options = options,
    .n_options = 1,
    .min_words = 2,
    .max_words = 4,
    .run = run_resume,
};
