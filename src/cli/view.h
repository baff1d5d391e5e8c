/*
 * view - the positions of one pipeline as the store has them, beside where the topics end as the broker says.
 */
#ifndef CLI_VIEW_H
#define CLI_VIEW_H

#include "cli/context.h"

#include <stdbool.h>
#include <stdint.h>

enum { VIEW_TIMEOUT_MS = 5000 };

struct view_row {
    const struct store_position *position; /* until the store's next operation */
    bool has_facts;
    struct partition_facts facts;
    bool awaits_record; /* while lag.c asks */
    int64_t lag_ms; /* how old the first event is that is not committed; 0: there is none; -1: not known */
};

struct view {
    struct view_row *rows;
    size_t n;
    const char *cluster_id; /* NULL: the broker was not asked or has not answered */
    char trouble[ERROR_TEXT_SIZE]; /* why there are no facts; empty: there are */
};

/* An error class; the broker's silence is none, it is in trouble. The context has a store, and a probe where has_probe. */
int view_read(struct context *context, bool has_probe, struct view *ret_view, struct error *ret_error) MUST_CHECK;
void view_free(struct view *view);

int64_t view_lag(const struct view_row *row); /* -1: not known */
/* Are cluster and topic those of the position, as far as they can be told apart? */
bool view_fits(const struct view *view, const struct view_row *row);
/* Would events never be applied, or be applied again, if the position went to that offset? The row has facts. */
bool view_loses(const struct view *view, const struct view_row *row, int64_t next_offset);
bool view_repeats(const struct view_row *row, int64_t next_offset);
const char *view_state(const struct view_row *row); /* "halted", "running" (somebody owns it) or "free" */
bool view_is_owned(const struct view_row *row);
const struct view_row *view_find(const struct view *view, const char *topic, int32_t partition); /* NULL: none */

#endif
