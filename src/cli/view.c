/*
 * view - see view.h. For commands; reads only.
 */
#include "cli/view.h"

#include "worker/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The facts of one topic's partitions, which stand together. */
static int ask_topic(struct context *context, struct view_row *rows, size_t n, const char **ret_cluster_id, struct error *ret_error)
{
    struct partition_facts *facts = calloc(n, sizeof *facts);
    int result;

    if (facts == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    for (size_t i = 0; i < n; i++)
        facts[i] = (struct partition_facts){.topic = rows[i].position->topic, .partition = rows[i].position->partition};
    result = probe_facts(&context->probe, facts, n, VIEW_TIMEOUT_MS, ret_cluster_id, ret_error);
    for (size_t i = 0; result == 0 && i < n; i++) {
        rows[i].has_facts = true;
        rows[i].facts = facts[i];
    }
    free(facts);
    return result;
}

static void ask_broker(struct context *context, struct view *view)
{
    struct error failure = {0};

    for (size_t first = 0, end; first < view->n; first = end) {
        for (end = first + 1; end < view->n && strcmp(view->rows[end].position->topic, view->rows[first].position->topic) == 0; end++)
            ;
        if (ask_topic(context, &view->rows[first], end - first, &view->cluster_id, &failure) == 0)
            continue;
        snprintf(view->trouble, sizeof view->trouble, "%s", failure.text);
        if (failure.class != ERROR_CONFIG)
            return; /* it does not answer: no need to wait for it again */
    }
}

int view_read(struct context *context, bool has_probe, struct view *ret_view, struct error *ret_error)
{
    const struct store_position *positions;
    struct view view = {0};
    int result = context_list_positions(context, &positions, &view.n, ret_error);

    if (result != 0)
        return result;
    view.rows = calloc(view.n + 1, sizeof *view.rows);
    if (view.rows == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    for (size_t i = 0; i < view.n; i++)
        view.rows[i] = (struct view_row){.position = &positions[i], .lag_ms = -1};
    if (has_probe)
        ask_broker(context, &view);
    *ret_view = view;
    return 0;
}

void view_free(struct view *view)
{
    free(view->rows);
    *view = (struct view){0};
}

int64_t view_lag(const struct view_row *row)
{
    if (!row->has_facts)
        return -1;
    return row->facts.high > row->position->next_offset ? row->facts.high - row->position->next_offset : 0;
}

bool view_fits(const struct view *view, const struct view_row *row)
{
    static const uint8_t unknown[16];
    const struct store_position *position = row->position;

    if (view->cluster_id != NULL && strcmp(position->cluster_id, view->cluster_id) != 0)
        return false;
    return !row->has_facts || memcmp(position->topic_id, unknown, sizeof unknown) == 0 ||
           memcmp(row->facts.topic_id, unknown, sizeof unknown) == 0 ||
           memcmp(position->topic_id, row->facts.topic_id, sizeof unknown) == 0;
}

/* Of another topic no event is applied yet. */
bool view_loses(const struct view *view, const struct view_row *row, int64_t next_offset)
{
    return next_offset > (view_fits(view, row) ? row->position->next_offset : row->facts.low);
}

bool view_repeats(const struct view_row *row, int64_t next_offset)
{
    return next_offset < row->position->next_offset;
}

bool view_is_owned(const struct view_row *row)
{
    static const uint8_t nobody[16];

    return memcmp(row->position->owner, nobody, sizeof nobody) != 0;
}

const char *view_state(const struct view_row *row)
{
    if (row->position->is_halted)
        return "halted";
    return view_is_owned(row) ? "running" : "free";
}

const struct view_row *view_find(const struct view *view, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < view->n; i++)
        if (view->rows[i].position->partition == partition && strcmp(view->rows[i].position->topic, topic) == 0)
            return &view->rows[i];
    return NULL;
}
