/*
 * fill - fills a topic with bank events, as fast as the broker takes them.
 *
 *     fill BOOTSTRAP TOPIC EVENTS ACCOUNTS [SIZE [FIELDS]]
 *
 * Deposits and withdrawals of about 150 bytes, keyed by account; the topic must exist. The same arguments give the same events.
 * FIELDS (0 to 20) adds so many text fields of 12 characters, f00, f01 and so on. An event that is smaller than SIZE bytes (at most
 * 900,000) is filled up by a field "note" of random text: to SIZE exactly, or a few bytes more where the bare field is more than what
 * is missing. Neither changes the other fields.
 */
#include "meter.h"
#include "producer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAX_SIZE = 900000, MAX_FIELDS = 20, FIELD_CHARACTERS = 12, ROOM = 2048 };

/* One event in the making. */
struct draft {
    char key[32];
    int key_size;
    char value[MAX_SIZE + ROOM];
    size_t size;
};

static uint64_t next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Six random bits a character, so that compression saves a quarter and no more. */
static void append_text(struct draft *draft, uint64_t *random, size_t n)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t bits = 0;

    for (size_t i = 0; i < n; i++, bits >>= 6) {
        if (i % 10 == 0)
            bits = next(random);
        draft->value[draft->size++] = letters[bits & 63];
    }
}

static void append_string(struct draft *draft, const char *string)
{
    size_t n = strlen(string);

    memcpy(draft->value + draft->size, string, n);
    draft->size += n;
}

/* What every event has, but for the closing brace. */
static void begin(struct draft *draft, int64_t i, uint64_t x, uint64_t account)
{
    draft->key_size = snprintf(draft->key, sizeof draft->key, "acc-%" PRIu64, account);
    draft->size = (size_t)snprintf(
        draft->value, sizeof draft->value,
        "{\"type\":\"%s\",\"version\":1,\"id\":\"%08" PRIx32 "-0000-4000-8000-%012" PRIx64
        "\",\"account\":\"%s\",\"amount\":\"%d.%02d\",\"at\":\"2026-11-23T04:%02d:%02d.%03dZ\"",
        (x >> 60) % 4 == 0 ? "Withdrawn" : "Deposited", (uint32_t)i, (uint64_t)i, draft->key, (int)((x >> 8) % 500),
        (int)((x >> 20) % 100), (int)(i / 60000 % 60), (int)(i / 1000 % 60), (int)(i % 1000));
}

/* Its text is from x, a sequence of its own: all else is the same at every size. */
static void finish(struct draft *draft, uint64_t x, int64_t size, int64_t fields)
{
    char name[16];

    for (int64_t i = 0; i < fields; i++) {
        snprintf(name, sizeof name, ",\"f%02d\":\"", (int)i);
        append_string(draft, name);
        append_text(draft, &x, FIELD_CHARACTERS);
        append_string(draft, "\"");
    }
    if ((size_t)size > draft->size + 1) {
        append_string(draft, ",\"note\":\"");
        append_text(draft, &x, (size_t)size > draft->size + 2 ? (size_t)size - draft->size - 2 : 0);
        append_string(draft, "\"");
    }
    append_string(draft, "}");
}

int main(int argc, char **argv)
{
    static const char *const properties[][2] = {
        {"linger.ms", "20"},
        {"batch.size", "262144"},
        {"queue.buffering.max.messages", "500000"},
        {"queue.buffering.max.kbytes", "262144"},
        {"acks", "1"},
        {NULL, NULL},
    };
    static struct draft draft;
    struct producer producer = {0};
    uint64_t random = 42;
    int64_t events, accounts, size, fields;

    if (argc < 5 || argc > 7) {
        fprintf(stderr, "usage: fill BOOTSTRAP TOPIC EVENTS ACCOUNTS [SIZE [FIELDS]]\n");
        return 2;
    }
    events = meter_number(argv[3], 0, INT64_MAX);
    accounts = meter_number(argv[4], 1, INT64_MAX);
    size = argc > 5 ? meter_number(argv[5], 0, MAX_SIZE) : 0;
    fields = argc > 6 ? meter_number(argv[6], 0, MAX_FIELDS) : 0;
    producer_open(&producer, argv[1], argv[2], properties);
    for (int64_t i = 0; i < events; i++) {
        uint64_t x = next(&random);

        begin(&draft, i, x, accounts >= events ? (uint64_t)i : x % (uint64_t)accounts);
        finish(&draft, x, size, fields);
        producer_post(&producer, draft.key, (size_t)draft.key_size, draft.value, draft.size, NULL);
        if (i % 1000 == 0)
            producer_poll(&producer);
    }
    producer_close(&producer);
    if (producer.n_failed > 0)
        die("%" PRId64 " events were not delivered", producer.n_failed);
    return 0;
}
