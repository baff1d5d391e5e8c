/*
 * positions - `readside positions': lists where a pipeline stands, and moves it when a person says so (design 7.8).
 *
 * A move changes owner and epoch in the same statement, so that no running task survives it. It names what it costs, events lost
 * or applied twice, and is refused without that word; who did it and why is recorded in readside_audit.
 */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/print.h"
#include "cli/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct cli_option options[] = {
    {.name = "to", .argument = "OFFSET", .summary = "skip: go on at this offset"},
    {.name = "count", .argument = "NUMBER", .summary = "skip: leave out so many offsets"},
    {.name = "accept-loss", .summary = "moving forward: the events between are never applied"},
    {.name = "accept-duplicates", .summary = "moving back: the events between are applied once more"},
    {.name = "reason", .argument = "TEXT", .summary = "why, for the record"},
};

/* What the words ask for. */
struct move {
    const char *topic;
    int32_t partition;
    int64_t next_offset; /* of `set', and of `skip --to' */
    int64_t count;       /* of `skip --count'; 0: not given */
    bool is_skip;        /* else it is `set' */
    bool accepts_loss;
    bool accepts_duplicates;
    const char *reason;
};

static bool read_number(const char *text, int64_t max, int64_t *ret_number)
{
    return text_read_int(text, strlen(text), ret_number) && *ret_number >= 0 && *ret_number <= max;
}

static int read_skip(const char *to, const char *count, struct move *move)
{
    const struct cli_command *command = &cli_command_positions;

    if ((to == NULL) == (count == NULL))
        return cli_misuse(command, "positions skip: say either --to OFFSET or --count NUMBER");
    if (to != NULL && !read_number(to, INT64_MAX, &move->next_offset))
        return cli_misuse(command, "positions skip: --to %s is no offset", to);
    if (count != NULL && (!read_number(count, INT32_MAX, &move->count) || move->count == 0))
        return cli_misuse(command, "positions skip: --count %s is no number of events", count);
    return EXIT_CODE_OK;
}

static int read_move(const struct cli_arguments *arguments, struct move *move)
{
    const struct cli_command *command = &cli_command_positions;
    char **words = arguments->words + 2;
    int n_words = arguments->n_words - 2;
    int64_t partition;
    bool is_set = strcmp(words[0], "set") == 0;

    move->is_skip = strcmp(words[0], "skip") == 0;
    if (!move->is_skip && !is_set)
        return cli_misuse(command, "positions: `%s' is neither skip nor set", words[0]);
    if (n_words != (is_set ? 4 : 3))
        return cli_misuse(command, "positions %s: wants TOPIC PARTITION%s", words[0], is_set ? " OFFSET" : "");
    move->topic = words[1];
    if (!read_number(words[2], INT32_MAX, &partition))
        return cli_misuse(command, "positions %s: `%s' is no partition", words[0], words[2]);
    move->partition = (int32_t)partition;
    if (is_set && !read_number(words[3], INT64_MAX, &move->next_offset))
        return cli_misuse(command, "positions set: `%s' is no offset", words[3]);
    move->accepts_loss = cli_value(command, arguments, "accept-loss") != NULL;
    move->accepts_duplicates = cli_value(command, arguments, "accept-duplicates") != NULL;
    move->reason = cli_value(command, arguments, "reason");
    if (move->reason == NULL || move->reason[0] == '\0')
        return cli_misuse(command, "positions %s: say --reason TEXT: it is recorded", words[0]);
    return is_set ? EXIT_CODE_OK
                  : read_skip(cli_value(command, arguments, "to"), cli_value(command, arguments, "count"), move);
}

/* Setting it where it stands writes the ids of cluster and topic, and lets it go on. */
static bool is_worth_setting(const struct view *view, const struct view_row *row, const struct move *move)
{
    return !move->is_skip && (row->position->is_halted || !view_fits(view, row));
}

/* Is the move what the operator accepts, and is there anything where it goes? */
static int judge_move(const struct view *view, const struct view_row *row, const struct move *move)
{
    int64_t now = row->position->next_offset;

    if (move->next_offset == now && !is_worth_setting(view, row, move)) {
        cli_complain("%s[%" PRId32 "] stands at offset %" PRId64 " already", move->topic, move->partition, now);
        return EXIT_CODE_USAGE;
    }
    if (move->next_offset < row->facts.low || move->next_offset > row->facts.high) {
        cli_complain("%s[%" PRId32 "] holds the offsets %" PRId64 " to %" PRId64 "; %" PRId64 " is outside", move->topic, move->partition,
                     row->facts.low, row->facts.high, move->next_offset);
        return EXIT_CODE_USAGE;
    }
    if (move->is_skip && move->next_offset < now) {
        cli_complain("%s[%" PRId32 "] is at offset %" PRId64 ", so skipping to %" PRId64 " would go back; `positions set' does that",
                     move->topic, move->partition, now, move->next_offset);
        return EXIT_CODE_USAGE;
    }
    if (view_loses(view, row, move->next_offset) && !move->accepts_loss) {
        cli_complain("the events at offsets %" PRId64 " to %" PRId64 " of %s[%" PRId32 "] would never be applied; say --accept-loss if that "
                     "is meant",
                     view_fits(view, row) ? now : row->facts.low, move->next_offset - 1, move->topic, move->partition);
        return EXIT_CODE_USAGE;
    }
    if (view_repeats(row, move->next_offset) && !move->accepts_duplicates) {
        cli_complain("the events at offsets %" PRId64 " to %" PRId64 " of %s[%" PRId32 "] would be applied again to rows that hold them "
                     "already; say --accept-duplicates if that is meant, or begin anew by `readside reset'",
                     move->next_offset, now - 1, move->topic, move->partition);
        return EXIT_CODE_USAGE;
    }
    return EXIT_CODE_OK;
}

static int carry_out(struct context *context, const struct view *view, const struct view_row *row, const struct move *move)
{
    int64_t old_offset = row->position->next_offset;
    struct store_operation operation = {.kind = move->is_skip ? STORE_SKIP : STORE_SET,
                                        .topic = move->topic,
                                        .partition = move->partition,
                                        .base = old_offset,
                                        .next_offset = move->next_offset,
                                        .cluster_id = view->cluster_id,
                                        .reason = move->reason};
    struct error failure = {0};
    char actor[256];

    context_print_actor(actor, sizeof actor);
    operation.actor = actor;
    memcpy(operation.topic_id, row->facts.topic_id, sizeof operation.topic_id);
    if (store_operate(context->store, &operation, &failure) != 0)
        return cli_fail(&failure);
    printf("%s[%" PRId32 "]: offset %" PRId64 " -> %" PRId64 "; a running task picks it up by itself\n", move->topic, move->partition,
           old_offset, move->next_offset);
    return EXIT_CODE_OK;
}

static int make_move(struct context *context, struct move *move)
{
    struct view view = {0};
    struct error failure = {0};
    const struct view_row *row = NULL;
    int exit_code = context_open_probe(context);

    if (exit_code == EXIT_CODE_OK && view_read(context, true, &view, &failure) != 0)
        exit_code = cli_fail(&failure);
    if (exit_code != EXIT_CODE_OK)
        goto out;
    row = view_find(&view, move->topic, move->partition);
    if (row == NULL) {
        cli_complain("pipeline %s has no position of %s[%" PRId32 "]; `readside positions %s %s' lists them", context->pipeline->name,
                     move->topic, move->partition, context->config->path, context->pipeline->name);
        exit_code = EXIT_CODE_USAGE;
        goto out;
    }
    if (!row->has_facts) {
        cli_complain("no move without the broker's word on where the topic begins and ends: %s", view.trouble);
        exit_code = EXIT_CODE_TRANSIENT;
        goto out;
    }
    if (move->count > 0)
        move->next_offset = row->position->next_offset + move->count;
    exit_code = judge_move(&view, row, move);
    if (exit_code == EXIT_CODE_OK)
        exit_code = carry_out(context, &view, row, move);
out:
    view_free(&view);
    return exit_code;
}

static int list(struct context *context)
{
    static const char *const headings[] = {"TOPIC", "PARTITION", "NEXT", "EVENTS", "EPOCH", "STATE", "CLAIMED", "UPDATED"};
    struct columns columns = {.n_columns = 8, .is_right = {[1] = true, [2] = true, [3] = true, [4] = true}};
    struct view view = {0};
    struct error failure = {0};

    if (view_read(context, false, &view, &failure) != 0)
        return cli_fail(&failure);
    for (size_t i = 0; i < sizeof headings / sizeof headings[0]; i++)
        columns_put(&columns, headings[i]);
    for (size_t i = 0; i < view.n; i++) {
        const struct store_position *position = view.rows[i].position;

        columns_put(&columns, position->topic);
        columns_put_number(&columns, position->partition);
        columns_put_number(&columns, position->next_offset);
        columns_put_number(&columns, position->events);
        columns_put_number(&columns, position->epoch);
        columns_put(&columns, view_state(&view.rows[i]));
        columns_put(&columns, position->claimed_at);
        columns_put(&columns, position->updated_at);
    }
    columns_print(&columns);
    view_free(&view);
    return EXIT_CODE_OK;
}

static int run_positions(int argc, char **argv)
{
    struct cli_arguments arguments;
    struct context context = {0};
    struct move move = {0};
    int exit_code;

    if (!cli_parse(&cli_command_positions, argc, argv, &arguments, &exit_code))
        return exit_code;
    if (arguments.n_words > 2)
        exit_code = read_move(&arguments, &move);
    if (exit_code == EXIT_CODE_OK)
        exit_code = context_load(&context, arguments.words[0]);
    if (exit_code == EXIT_CODE_OK)
        exit_code = context_find_pipeline(&context, arguments.words[1]);
    if (exit_code == EXIT_CODE_OK)
        exit_code = context_open_store(&context);
    if (exit_code == EXIT_CODE_OK)
        exit_code = arguments.n_words > 2 ? make_move(&context, &move) : list(&context);
    context_close(&context);
    return exit_code;
}

const struct cli_command cli_command_positions = {
    .name = "positions",
    .arguments = "CONFIG PIPELINE [skip TOPIC PARTITION (--to OFFSET | --count NUMBER) | set TOPIC PARTITION OFFSET]",
    .summary = "List a pipeline's positions, or move one",
    .details = "skip goes forward and needs --accept-loss: the events between are never applied. set goes anywhere; back it needs\n"
               "--accept-duplicates: the events between are applied once more. Both need --reason, which is recorded with your name in\n"
               "the table readside_audit, and let a halted partition go on. Running tasks notice by themselves. Set to where it stands, a\n"
               "halted partition takes the topic as it is now for its own: the way out when it was created again.\n"
               "When a task moves the position between your look and your word, nothing is changed.",
    .options = options,
    .n_options = 5,
    .min_words = 2,
    .max_words = 6,
    .run = run_positions,
};
