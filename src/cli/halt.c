/*
 * halt - see halt.h. For `readside status'; only prints.
 */
#include "cli/halt.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WHEN_WIDTH = 36 };

enum way { WAY_NONE, WAY_SKIP_EVENT, WAY_SKIP_GAP, WAY_SET };

/* The first is for kinds that are not in the table. */
static const struct ways {
    const char *kind;
    const char *resume_when;
    enum way way; /* the other one */
    const char *way_when;
} all_ways[] = {
    {"", "Once the cause is gone:", WAY_NONE, NULL},
    {"poison", "Once plugin or data are mended:", WAY_SKIP_EVENT, "To leave the event out:"},
    {"unhandled", "Once the plugin handles it:", WAY_SKIP_EVENT, "To leave the event out:"},
    {"partition", "Once the row or its key is mended:", WAY_SKIP_EVENT, "To leave the event out:"},
    {"corrupt", "Once the record can be read again:", WAY_SKIP_EVENT, "To leave the event out:"},
    {"gap", "Once the config says gaps = \"allow\":", WAY_SKIP_GAP, "To go on behind the gap:"},
    {"range", "Once the events are restored:", WAY_SET, "To go on with what is there:"},
    {"identity", "Once it is the right topic again:", WAY_SET, "To go on in the topic as it is now:"},
};

static const struct ways *ways_of(const char *kind)
{
    for (size_t i = 1; i < sizeof all_ways / sizeof all_ways[0]; i++)
        if (strcmp(all_ways[i].kind, kind) == 0)
            return &all_ways[i];
    return &all_ways[0];
}

static void print_command(const struct context *context, const struct view_row *row, const char *when, const char *command,
                          const char *verb)
{
    printf("  %-*s readside %s %s %s%s %s %" PRId32, WHEN_WIDTH, when, command, context->config->path, context->pipeline->name, verb,
           row->position->topic, row->position->partition);
}

/* The nearest offset that the topic has; in another topic that is its first. */
static void print_set(const struct view *view, const struct view_row *row)
{
    int64_t to = view_fits(view, row) && row->position->next_offset > row->facts.high ? row->facts.high : row->facts.low;

    if (!row->has_facts) {
        printf(" OFFSET --accept-loss|--accept-duplicates");
        return;
    }
    printf(" %" PRId64 "%s%s", to, view_loses(view, row, to) ? " --accept-loss" : "",
           view_repeats(row, to) ? " --accept-duplicates" : "");
}

void halt_print_ways(const struct context *context, const struct view *view, const struct view_row *row)
{
    const struct ways *ways = ways_of(row->position->halt_kind);

    print_command(context, row, ways->resume_when, "resume", "");
    putchar('\n');
    if (ways->way == WAY_NONE)
        return;
    print_command(context, row, ways->way_when, "positions", ways->way == WAY_SET ? " set" : " skip");
    if (ways->way == WAY_SKIP_EVENT)
        printf(" --count 1 --accept-loss");
    else if (ways->way == WAY_SKIP_GAP)
        printf(" --to OFFSET --accept-loss");
    else
        print_set(view, row);
    printf(" --reason TEXT\n");
}
