/*
 * orders - the worked example: two tables, decisions on what the rows say, deletes, arrays, tombstones and messages.
 *
 * Events are JSON with the order as record key:
 *
 *     {"type":"OrderPlaced","order_id":"o-1","customer":"Alice","at":"2026-11-23T04:00:00Z","shipping":{"city":"Oslo"},
 *      "lines":[{"sku":"tea","quantity":2,"amount":"9.80"},{"sku":"cup","quantity":1,"amount":4.5}]}
 *     {"type":"LineAdded","order_id":"o-1","sku":"pot","quantity":1,"amount":"25.00","at":"2026-11-23T04:01:00Z"}
 *     {"type":"LineRemoved","order_id":"o-1","line":2,"at":"2026-11-23T04:02:00Z"}
 *     {"type":"OrderCompleted","order_id":"o-1","at":"2026-11-23T04:03:00Z"}
 *     {"type":"OrderCancelled","order_id":"o-1","at":"2026-11-23T04:03:00Z"}
 *
 * and a tombstone, which forgets the order. Lines are numbered from 1 in the order of their coming and a number is not used again;
 * the order's row counts them. So whoever has read that row knows the keys of all its lines and removes them without reading any.
 *
 * An order is open, completed or cancelled; only an open one changes, and what comes against that is poison. By the option
 * completed_topic a completed order sends a message {"type":"OrderTotalled","order_id":"o-1","total":"34.80"}.
 */
#include <readside/plugin.h>

#include <stdio.h>

enum table { ORDERS, ORDER_LINES };
enum order { ORDER, CUSTOMER, STATUS, TOTAL, LINES, SHIPPING, PLACED_AT, UPDATED_AT };
enum order_line { LINE_ORDER, LINE, SKU, QUANTITY, AMOUNT };

struct rs_instance {
    const char *completed_topic; /* NULL: no messages */
};

static const struct rs_column order_columns[] = {
    {.id = ORDER, .name = "order_id", .type = RS_TEXT, .flags = RS_KEY, .length = 60},
    {.id = CUSTOMER, .name = "customer", .type = RS_TEXT, .flags = RS_NOT_NULL, .fallback = ""},
    {.id = STATUS, .name = "status", .type = RS_TEXT, .flags = RS_NOT_NULL, .fallback = "open", .length = 20},
    {.id = TOTAL, .name = "total", .type = RS_DECIMAL, .precision = 20, .scale = 2, .flags = RS_NOT_NULL, .fallback = "0.00"},
    {.id = LINES, .name = "lines", .type = RS_INT, .flags = RS_NOT_NULL, .fallback = "0", .summary = "lines ever added"},
    {.id = SHIPPING, .name = "shipping", .type = RS_JSON},
    {.id = PLACED_AT, .name = "placed_at", .type = RS_TIMESTAMP},
    {.id = UPDATED_AT, .name = "updated_at", .type = RS_TIMESTAMP},
};

static const struct rs_column line_columns[] = {
    {.id = LINE_ORDER, .name = "order_id", .type = RS_TEXT, .flags = RS_KEY, .length = 60},
    {.id = LINE, .name = "line", .type = RS_INT, .flags = RS_KEY},
    {.id = SKU, .name = "sku", .type = RS_TEXT, .flags = RS_NOT_NULL, .fallback = "", .length = 40},
    {.id = QUANTITY, .name = "quantity", .type = RS_INT, .flags = RS_NOT_NULL, .fallback = "0"},
    {.id = AMOUNT, .name = "amount", .type = RS_DECIMAL, .precision = 20, .scale = 2, .flags = RS_NOT_NULL, .fallback = "0.00"},
};

static const uint32_t by_status[] = {STATUS, UPDATED_AT};
static const uint32_t by_sku[] = {SKU};

static const struct rs_index order_indexes[] = {{.name = "by_status", RS_COLUMNS(by_status)}};
static const struct rs_index line_indexes[] = {{.name = "by_sku", RS_COLUMNS(by_sku)}};

static const struct rs_table tables[] = {
    {.id = ORDERS, .name = "orders", RS_COLUMNS(order_columns), RS_INDEXES(order_indexes), .summary = "one row an order"},
    {.id = ORDER_LINES, .name = "order_lines", RS_COLUMNS(line_columns), RS_INDEXES(line_indexes),
     .summary = "one row a line of an order"},
};

static const struct rs_option options[] = {
    {.name = "completed_topic", .type = RS_OPTION_TEXT, .fallback = "",
     .summary = "topic for a message about each completed order; empty: none"},
};

/* The rows that each handler reads. */
static const struct rs_read order_read[] = {{ORDERS, 1, {"order_id"}}};
static const struct rs_read line_reads[] = {{ORDERS, 1, {"order_id"}}, {ORDER_LINES, 2, {"order_id", "line"}}};
static const struct rs_read tombstone_read[] = {{ORDERS, 1, {"$key"}}};

/* The event's order when it is open; NULL after a reason was given. */
static struct rs_row *open_order(const struct rs_event *event, struct rs_batch *batch)
{
    struct rs_row *order = rs_row(batch, ORDERS, rs_text(event, "order_id"));

    if (!rs_exists(order)) {
        rs_fail(batch, RS_POISON, "no such order");
        return NULL;
    }
    if (!rs_equals(rs_get_text(order, STATUS), "open")) {
        rs_fail(batch, RS_POISON, "the order is not open");
        return NULL;
    }
    rs_set_timestamp(order, UPDATED_AT, rs_timestamp(event, "at"));
    return order;
}

/* Adds a line, which is the event itself or an item of its array. */
static void add_line(struct rs_batch *batch, struct rs_row *order, struct rs_text id, const struct rs_event *source)
{
    int64_t number = rs_get_int(order, LINES) + 1;
    struct rs_row *line = rs_row(batch, ORDER_LINES, id, number);
    struct rs_decimal amount = rs_decimal(source, "amount");

    rs_set_text(line, SKU, rs_text(source, "sku"));
    rs_set_int(line, QUANTITY, rs_int_or(source, "quantity", 1));
    rs_set_decimal(line, AMOUNT, amount);
    rs_add_decimal(order, TOTAL, amount);
    rs_set_int(order, LINES, number);
}

static void remove_lines(struct rs_batch *batch, struct rs_row *order, struct rs_text id)
{
    int64_t last = rs_get_int(order, LINES);

    for (int64_t number = 1; number <= last; number++)
        rs_remove(rs_row(batch, ORDER_LINES, id, number));
}

static enum rs_verdict placed(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    struct rs_text id = rs_text(event, "order_id");
    struct rs_row *order = rs_row(batch, ORDERS, id);
    uint32_t n_lines = rs_count(event, "lines");

    (void)self;
    if (rs_exists(order))
        return rs_fail(batch, RS_POISON, "the order exists already");
    rs_set_text(order, CUSTOMER, rs_text(event, "customer"));
    rs_set_timestamp(order, PLACED_AT, rs_timestamp(event, "at"));
    rs_set_timestamp(order, UPDATED_AT, rs_timestamp(event, "at"));
    if (rs_has(event, "shipping"))
        rs_set_json(order, SHIPPING, rs_json(event, "shipping"));
    for (uint32_t i = 0; i < n_lines; i++)
        add_line(batch, order, id, rs_item(event, "lines", i));
    return RS_DONE;
}

static enum rs_verdict line_added(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    struct rs_row *order = open_order(event, batch);

    (void)self;
    if (order == NULL)
        return RS_POISON;
    add_line(batch, order, rs_text(event, "order_id"), event);
    return RS_DONE;
}

static enum rs_verdict line_removed(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    struct rs_row *order = open_order(event, batch);
    struct rs_row *line = rs_row(batch, ORDER_LINES, rs_text(event, "order_id"), rs_int(event, "line"));

    (void)self;
    if (order == NULL)
        return RS_POISON;
    if (!rs_exists(line))
        return rs_fail(batch, RS_POISON, "no such line");
    rs_subtract_decimal(order, TOTAL, rs_get_decimal(line, AMOUNT));
    rs_remove(line);
    return RS_DONE;
}

/* What is text already comes as JSON from rs_json(), quotes and escapes included. */
static void emit_total(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch, struct rs_row *order)
{
    struct rs_text key = rs_text(event, "order_id");
    struct rs_json id = rs_json(event, "order_id");
    struct rs_text total = rs_decimal_text(batch, rs_get_decimal(order, TOTAL));
    size_t size = id.size + total.size + 64;
    char *value = rs_alloc(batch, size);
    int length;

    if (value == NULL)
        return;
    length = snprintf(value, size, "{\"type\":\"OrderTotalled\",\"order_id\":%.*s,\"total\":\"%.*s\"}", (int)id.size, id.data,
                      (int)total.size, total.data);
    rs_emit(batch, &(struct rs_message){
                       .topic = self->completed_topic,
                       .key = {key.data, key.size},
                       .value = {value, (size_t)length},
                   });
}

static enum rs_verdict completed(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    struct rs_row *order = open_order(event, batch);

    if (order == NULL)
        return RS_POISON;
    rs_set_text(order, STATUS, rs_string("completed"));
    if (self->completed_topic != NULL)
        emit_total(self, event, batch, order);
    return RS_DONE;
}

static enum rs_verdict cancelled(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    struct rs_row *order = rs_row(batch, ORDERS, rs_text(event, "order_id"));

    (void)self;
    if (rs_equals(rs_get_text(order, STATUS), "cancelled"))
        return RS_SKIP; /* said twice */
    order = open_order(event, batch);
    if (order == NULL)
        return RS_POISON;
    remove_lines(batch, order, rs_text(event, "order_id"));
    rs_set_text(order, STATUS, rs_string("cancelled"));
    rs_set_decimal(order, TOTAL, rs_decimal_of(0, 2));
    return RS_DONE;
}

/* A tombstone has no fields: the record key says which order. */
static enum rs_verdict forgotten(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
{
    struct rs_bytes key = rs_record(event)->key;
    struct rs_text id = {key.data, key.size};
    struct rs_row *order = rs_row(batch, ORDERS, id);

    (void)self;
    remove_lines(batch, order, id);
    rs_remove(order);
    return RS_DONE;
}

static const struct rs_handler handlers[] = {
    {"OrderPlaced", placed, RS_READS(order_read)},
    {"LineAdded", line_added, RS_READS(order_read)},
    {"LineRemoved", line_removed, RS_READS(line_reads)},
    {"OrderCompleted", completed, RS_READS(order_read)},
    {"OrderCancelled", cancelled, RS_READS(order_read)},
    {RS_TOMBSTONE, forgotten, RS_READS(tombstone_read)},
};

static int32_t orders_open(struct rs_setup *setup, struct rs_instance **ret_self)
{
    struct rs_instance *self = rs_setup_alloc(setup, sizeof *self);
    struct rs_text topic = rs_option_text(setup, "completed_topic");
    char *copy = rs_setup_alloc(setup, topic.size + 1);

    if (self == NULL || copy == NULL)
        return rs_refuse(setup, "out of memory");
    if (topic.size > 0) {
        __builtin_memcpy(copy, topic.data, topic.size);
        self->completed_topic = copy;
    }
    *ret_self = self;
    return 0;
}

static const struct rs_projection orders = {
    RS_ABI,
    .revision = 1,
    .name = "orders",
    .summary = "orders and their lines",
    RS_TABLES(tables),
    RS_HANDLERS(handlers),
    RS_OPTIONS(options),
    .open = orders_open,
};

const struct rs_projection *readside_projection(void)
{
    return &orders;
}
