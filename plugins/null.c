/*
 * null - takes every event and writes nothing.
 *
 * It measures the pipeline: what remains is Kafka, decoding, and the position's commit. It is the least that a plugin can be, too:
 * no table, no option, one handler for every type, tombstones included. Any event will do:
 *
 *     {"type":"Anything"}
 */
#include <readside/plugin.h>

static enum rs_verdict taken(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    (void)self, (void)event, (void)batch;
    return RS_DONE;
}

static const struct rs_handler handlers[] = {
    {RS_ANY, taken},
};

static const struct rs_projection null_projection = {
    RS_ABI,
    .revision = 1,
    .name = "null",
    .summary = "takes every event and writes nothing",
    RS_HANDLERS(handlers),
};

const struct rs_projection *readside_projection(void)
{
    return &null_projection;
}
