/*
 * bare - the limits to compare with: what is left of the work when everything that Readside adds is taken away.
 *
 *     bare BOOTSTRAP TOPIC EVENTS [fold|consume]
 *
 * fold (the default): consume, parse, and fold `balance += amount' per account in a hash table. consume: take the records, and
 * nothing else. No store, no types, no checks, no positions. Reads the topic from its first offset in one thread and prints one
 * JSON line: events a second (meter.h); CPU seconds of the whole process, librdkafka's threads among them.
 */
#include "bank_event.h"
#include "meter.h"
#include "topic.h"

#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_FIRST = 1 << 10, TAKE_MAX = 2048 };

struct account {
    uint64_t hash; /* 0: free */
    int64_t cents;
    int64_t events;
};

static struct account *accounts; /* n_slots is a power of two; at most half are taken */
static size_t n_slots, n_accounts;

static struct account *find(uint64_t hash)
{
    size_t slot = hash & (n_slots - 1);

    while (accounts[slot].hash != 0 && accounts[slot].hash != hash)
        slot = (slot + 1) & (n_slots - 1);
    return &accounts[slot];
}

static void grow(void)
{
    struct account *old = accounts;
    size_t n_old = n_slots;

    n_slots = n_old == 0 ? SLOTS_FIRST : n_old * 2;
    accounts = calloc(n_slots, sizeof *accounts);
    if (accounts == NULL)
        die("out of memory");
    for (size_t i = 0; i < n_old; i++)
        if (old[i].hash != 0)
            *find(old[i].hash) = old[i];
    free(old);
}

static void fold(const rd_kafka_message_t *message)
{
    struct bank_event event;
    struct account *account;
    uint64_t hash;

    bank_event_parse(message->payload, message->len, &event);
    hash = hash_bytes(event.account, event.account_size, 0) | UINT64_C(1) << 63;
    if (n_accounts * 2 >= n_slots)
        grow();
    account = find(hash);
    n_accounts += account->hash == 0;
    account->hash = hash;
    account->cents += bank_event_cents(&event);
    account->events++;
}

/* Returns how many were taken. */
static int64_t run(struct topic *topic, int64_t wanted, bool is_fold, struct meter_rate *rate)
{
    rd_kafka_message_t *messages[TAKE_MAX];
    int64_t taken = 0;

    while (taken < wanted) {
        size_t n = topic_take(topic, messages, TAKE_MAX);

        meter_look(rate, taken);
        for (size_t i = 0; i < n; i++) {
            if (is_fold)
                fold(messages[i]);
            rd_kafka_message_destroy(messages[i]);
        }
        taken += (int64_t)n;
    }
    return taken;
}

int main(int argc, char **argv)
{
    const char *what = argc > 4 ? argv[4] : "fold";
    bool is_fold = strcmp(what, "fold") == 0;
    struct topic topic;
    struct meter_rate rate;
    int64_t wanted, taken;

    if (argc < 4 || argc > 5 || (!is_fold && strcmp(what, "consume") != 0)) {
        fprintf(stderr, "usage: bare BOOTSTRAP TOPIC EVENTS [fold|consume]\n");
        return 2;
    }
    topic_open(&topic, argv[1], argv[2], "bare");
    wanted = meter_count(argv[3], 1);
    meter_begin(&rate, wanted);
    taken = run(&topic, wanted, is_fold, &rate);
    printf("{\"what\": \"%s\", \"events\": %" PRId64 ", \"events_per_second\": %.0f, \"cpu_seconds\": %.4f, \"peak_mib\": %.1f}\n", what,
           taken, meter_rate_of(&rate, taken), meter_cpu(), meter_peak_mib());
    topic_close(&topic);
    free(accounts);
    return 0;
}
