/*
 * event_bench - what decoding an event and applying it costs, without Kafka or a store.
 *
 *     event_bench PLUGIN.so     for example plugins/bank.so
 *
 * Prints nanoseconds per bank event of about 150 bytes over 10,000 accounts: decoding alone, with three fields read, and with the
 * plugin's handler run over the fold. The best of many short rounds, since what disturbs a round only makes it slower. One thread.
 */
#include "meter.h"

#include "event/event.h"
#include "fold/batch.h"
#include "plugin/host.h"
#include "plugin/loader.h"

#include <stdio.h>

enum { EVENTS = 20000, ACCOUNTS = 10000, VALUE_MAX = 256, KEY_MAX = 24, ROUNDS = 100, ROUND_EVENTS = 5000 };

static char values[EVENTS][VALUE_MAX], keys[EVENTS][KEY_MAX];
static struct record records[EVENTS];

typedef int work_function(struct event_decoder *decoder, struct plugin_host *host, struct batch *batch, const struct record *record,
                          struct error *ret_error);

static void make_events(void)
{
    for (int i = 0; i < EVENTS; i++) {
        unsigned account = (unsigned)i * 2654435761U % ACCOUNTS;

        records[i] = (struct record){.topic = "bank", .offset = i, .timestamp_ms = 1, .key = keys[i], .value = values[i]};
        records[i].key_size = (size_t)snprintf(keys[i], KEY_MAX, "acc-%u", account);
        records[i].value_size = (size_t)snprintf(
            values[i], VALUE_MAX,
            "{\"type\":\"%s\",\"version\":1,\"id\":\"00000000-0000-4000-8000-%012d\",\"account\":\"acc-%u\",\"amount\":\"%d.%02d\","
            "\"at\":\"2026-11-23T04:%02d:%02d.%03dZ\"}",
            i % 2 == 0 ? "Deposited" : "Withdrawn", i, account, i % 1000, i % 100, i / 60 % 60, i % 60, i % 1000);
    }
}

static int decode(struct event_decoder *decoder, struct plugin_host *host, struct batch *batch, const struct record *record,
                  struct error *ret_error)
{
    const struct event *event;

    (void)host, (void)batch;
    return event_decode(decoder, record, &event, ret_error);
}

static int read_fields(struct event_decoder *decoder, struct plugin_host *host, struct batch *batch, const struct record *record,
                       struct error *ret_error)
{
    const struct event *event;
    struct rs_value value;
    int result = event_decode(decoder, record, &event, ret_error);

    (void)host, (void)batch;
    if (result == 0)
        result = event_get(event, "account", RS_TEXT, &value, ret_error);
    if (result == 0)
        result = event_get(event, "amount", RS_DECIMAL, &value, ret_error);
    return result != 0 ? result : event_get(event, "at", RS_TIMESTAMP, &value, ret_error);
}

static int apply(struct event_decoder *decoder, struct plugin_host *host, struct batch *batch, const struct record *record,
                 struct error *ret_error)
{
    const struct event *event;
    int result = event_decode(decoder, record, &event, ret_error);

    return result != 0 ? result : plugin_host_apply(host, event, batch, ret_error);
}

static int measure(const char *name, work_function *work, struct event_decoder *decoder, struct plugin_host *host, struct batch *batch,
                   struct error *ret_error)
{
    double best = 1e18;

    for (int round = 0; round < ROUNDS; round++) {
        const struct record *first = &records[(round * ROUND_EVENTS) % EVENTS];
        double start = meter_now(), spent;

        for (int i = 0; i < ROUND_EVENTS; i++) {
            int result = work(decoder, host, batch, &first[i], ret_error);

            if (result != 0)
                return result;
        }
        spent = (meter_now() - start) * 1e9;
        if (spent < best)
            best = spent;
    }
    printf("%-16s %6.1f ns an event\n", name, best / ROUND_EVENTS);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct event_settings settings = {.type = {PLACE_PAYLOAD, "type"}, .id = {PLACE_PAYLOAD, "id"},
                                                   .version = {PLACE_PAYLOAD, "version"}, .max_depth = 64};
    static const struct batch_limits limits = {.max_rows = 1000000, .max_bytes = 1 << 28};
    struct projection *projection = NULL;
    struct plugin_host *host = NULL;
    struct event_decoder *decoder = event_decoder_new(&settings);
    struct batch *batch = NULL;
    struct error error = {.text = "usage: event_bench PLUGIN.so"};
    int result = argc != 2 || decoder == NULL ? -1 : plugin_load(argv[1], "", &projection, &error);

    make_events();
    if (result == 0)
        result = plugin_host_new(projection, NULL, 0, &host, &error);
    if (result == 0) {
        batch = batch_new(projection->tables, projection->n_tables, &limits, 1);
        if (batch == NULL)
            result = error_set(&error, ERROR_BUG, "out of memory");
        else
            batch_reset(batch, NULL, NULL);
    }
    if (result == 0)
        result = measure("decode", decode, decoder, host, batch, &error);
    if (result == 0)
        result = measure("and three fields", read_fields, decoder, host, batch, &error);
    if (result == 0)
        result = measure("decode and apply", apply, decoder, host, batch, &error);
    if (result != 0)
        fprintf(stderr, "event_bench: %s\n", error.text);
    batch_free(batch);
    event_decoder_free(decoder);
    plugin_host_free(host);
    projection_free(projection);
    return result == 0 ? 0 : 1;
}
