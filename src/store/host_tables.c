/*
 * host_tables - see host_tables.h. Data; used by all drivers.
 */
#include "store/host_tables.h"

#include <string.h>

#define COLUMNS(array) .columns = array, .n_columns = sizeof array / sizeof array[0]

/* Which plugin and revision a version's rows are made by. */
static const struct host_column projections[] = {
    {.name = "pipeline", .type = HOST_TEXT},
    {.name = "version", .type = HOST_INT},
    {.name = "plugin", .type = HOST_TEXT},
    {.name = "revision", .type = HOST_BIGINT},
    {.name = "state", .type = HOST_TEXT, .fallback = "'live'"},
    {.name = "created_at", .type = HOST_TIME},
    {.name = "switched_at", .type = HOST_TIME, .is_null = true},
};

/* Which tables a version fills: no two may fill the same. */
static const struct host_column tables[] = {
    {.name = "name", .type = HOST_NAME},
    {.name = "pipeline", .type = HOST_TEXT},
    {.name = "version", .type = HOST_INT},
};

/* What has been applied, and who may go on. */
static const struct host_column positions[] = {
    {.name = "pipeline", .type = HOST_TEXT},
    {.name = "version", .type = HOST_INT},
    {.name = "topic", .type = HOST_NAME},
    {.name = "part", .type = HOST_INT},
    {.name = "cluster_id", .type = HOST_TEXT},
    {.name = "topic_id", .type = HOST_UUID, .is_null = true},
    {.name = "next_offset", .type = HOST_BIGINT},
    {.name = "leader_epoch", .type = HOST_INT, .fallback = "-1"},
    {.name = "epoch", .type = HOST_BIGINT, .fallback = "0"},
    {.name = "owner", .type = HOST_UUID, .is_null = true},
    {.name = "commit_seq", .type = HOST_BIGINT, .fallback = "0"},
    {.name = "events", .type = HOST_BIGINT, .fallback = "0"},
    {.name = "backend_pid", .type = HOST_INT, .is_null = true}, /* of PostgreSQL; the task, in SQLite */
    {.name = "backend_start", .type = HOST_TIME, .is_null = true, .only = "postgresql"},
    {.name = "backend", .type = HOST_TEXT, .is_null = true, .only = "mysql"},
    {.name = "state", .type = HOST_TEXT, .fallback = "'running'"},
    {.name = "halt_kind", .type = HOST_TEXT, .is_null = true},
    {.name = "halt_reason", .type = HOST_TEXT, .is_null = true},
    {.name = "claimed_at", .type = HOST_TIME, .is_null = true},
    {.name = "updated_at", .type = HOST_TIME},
};

/* Messages that handlers have emitted, until they are relayed. */
static const struct host_column outbox[] = {
    {.name = "position", .type = HOST_NUMBER},
    {.name = "pipeline", .type = HOST_TEXT},
    {.name = "version", .type = HOST_INT},
    {.name = "topic", .type = HOST_TEXT},
    {.name = "key", .type = HOST_BYTES, .is_null = true},
    {.name = "value", .type = HOST_BYTES, .is_null = true},
    {.name = "headers", .type = HOST_JSON},
    {.name = "source_topic", .type = HOST_TEXT},
    {.name = "source_part", .type = HOST_INT},
    {.name = "source_offset", .type = HOST_BIGINT},
    {.name = "created_at", .type = HOST_TIME},
};

/* What operators have done, and why. */
static const struct host_column audit[] = {
    {.name = "id", .type = HOST_NUMBER},
    {.name = "at", .type = HOST_TIME},
    {.name = "actor", .type = HOST_TEXT},
    {.name = "action", .type = HOST_TEXT},
    {.name = "pipeline", .type = HOST_TEXT},
    {.name = "version", .type = HOST_INT},
    {.name = "topic", .type = HOST_TEXT, .is_null = true},
    {.name = "part", .type = HOST_INT, .is_null = true},
    {.name = "old_offset", .type = HOST_BIGINT, .is_null = true},
    {.name = "new_offset", .type = HOST_BIGINT, .is_null = true},
    {.name = "reason", .type = HOST_TEXT},
};

const struct host_table host_tables[HOST_TABLES] = {
    {.name = "readside_projections", COLUMNS(projections), .keys = {"pipeline", "version"}},
    {.name = "readside_tables", COLUMNS(tables), .keys = {"name"}},
    {.name = "readside_positions", COLUMNS(positions), .keys = {"pipeline", "version", "topic", "part"}, .is_hot = true},
    {.name = "readside_outbox", COLUMNS(outbox), .keys = {"position"}},
    {.name = "readside_audit", COLUMNS(audit), .keys = {"id"}},
};

bool host_column_is_of(const struct host_column *column, const char *kind)
{
    return column->only == NULL || strcmp(column->only, kind) == 0;
}
