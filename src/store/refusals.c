/*
 * refusals - see refusals.h. Used by all drivers; pure.
 */
#include "store/refusals.h"

#include <inttypes.h>

int refuse_revision(const struct store_scope *scope, const char *plugin, int64_t revision, struct error *ret_error)
{
    return error_set(ret_error, ERROR_CONFIG,
                     "version %d of pipeline %s was filled by plugin %.200s revision %" PRId64 ", this is %s revision %u: other rows "
                     "would come of the same events; raise the pipeline's `version' to rebuild beside it",
                     (int)scope->version, scope->pipeline, plugin, revision, scope->plugin, scope->revision);
}

int refuse_foreign_table(const char *name, const char *pipeline, int32_t version, struct error *ret_error)
{
    return error_set(ret_error, ERROR_CONFIG,
                     "table %s belongs to pipeline %.200s version %d: two pipelines cannot write the same rows; give this one a "
                     "store (or schema) of its own, or another `version'",
                     name, pipeline, (int)version);
}

int refuse_lost_table(const char *name, struct error *ret_error)
{
    return error_set(ret_error, ERROR_CONFIG,
                     "table %s does not exist, but this version has positions: made now, it would lack what the events before them gave. "
                     "Bring it back from a backup together with readside_positions, start over with `readside reset', or raise the "
                     "pipeline's `version'",
                     name);
}

int refuse_late_table(const struct store_scope *scope, const char *name, struct error *ret_error)
{
    return error_set(ret_error, ERROR_CONFIG,
                     "version %d of pipeline %s has run without table %s, which would lack what the events until now gave (has an "
                     "option of the plugin changed, or has readside_tables been emptied?): undo that, raise the pipeline's "
                     "`version', or start over with `readside reset'",
                     (int)scope->version, scope->pipeline, name);
}

int refuse_left_table(const struct store_scope *scope, const char *name, struct error *ret_error)
{
    return error_set(ret_error, ERROR_CONFIG,
                     "version %d of pipeline %s has filled table %s until now, and the plugin with these options leaves it out, so "
                     "that it would miss the events from here on: change the option back, raise the pipeline's `version', or start "
                     "over with `readside reset'",
                     (int)scope->version, scope->pipeline, name);
}

int refuse_filled_table(const struct store_scope *scope, const char *name, struct error *ret_error)
{
    return error_set(ret_error, ERROR_CONFIG,
                     "version %d of pipeline %s has no positions yet, but table %s holds rows: their events would count twice; empty "
                     "the tables (readside reset), or raise `version'",
                     (int)scope->version, scope->pipeline, name);
}

int refuse_foreign_row(const char *words, struct error *ret_error)
{
    return error_set(ret_error, ERROR_HALT,
                     "%s; rows of a partitioned table belong to one partition (do two producers use different partitioners?)", words);
}

int refuse_operation(const struct store_operation *operation, struct error *ret_error)
{
    return error_set(ret_error, ERROR_CONFIG, "%s/%d has no %sposition in this version", operation->topic, (int)operation->partition,
                     operation->kind == STORE_RESUME ? "halted " : "");
}

int refuse_moved(const struct store_operation *operation, int64_t now, struct error *ret_error)
{
    return error_set(ret_error, ERROR_FENCED,
                     "%s/%d was at offset %" PRId64 " and has moved meanwhile (now %" PRId64 "); nothing was changed: look again",
                     operation->topic, (int)operation->partition, operation->base, now);
}
