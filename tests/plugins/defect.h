/*
 * defect.h - a small projection without fault, for the plugins that the loader must refuse.
 *
 * A file bad_*.c includes it and defines spoil(), which puts in the one defect. Everything is writable here for that reason alone.
 */
#include <readside/plugin.h>

enum table { THINGS, SUMS };
enum thing { ID, NOTE, N_THINGS };
enum sum { NAME, HITS };

static void spoil(void);

static enum rs_verdict nothing(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    (void)self, (void)event, (void)batch;
    return RS_DONE;
}

static struct rs_column things[] = {
    {.id = ID, .name = "id", .type = RS_TEXT, .flags = RS_KEY},
    {.id = NOTE, .name = "note", .type = RS_TEXT},
};

static struct rs_column sums[] = {
    {.id = NAME, .name = "name", .type = RS_TEXT, .flags = RS_KEY},
    {.id = HITS, .name = "hits", .type = RS_INT, .operation = RS_ADD, .flags = RS_NOT_NULL, .fallback = "0"},
};

static struct rs_table tables[] = {
    {.id = THINGS, .name = "things", RS_COLUMNS(things)},
    {.id = SUMS, .name = "sums", .flags = RS_SHARED, RS_COLUMNS(sums)},
};

static struct rs_handler handlers[] = {{"Thing", nothing}};

static struct rs_projection projection = {
    RS_ABI,
    .revision = 1,
    .name = "defect",
    RS_TABLES(tables),
    RS_HANDLERS(handlers),
};

const struct rs_projection *readside_projection(void)
{
    spoil();
    return &projection;
}
