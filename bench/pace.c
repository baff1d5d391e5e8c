/*
 * pace - sends events at an even pace, each stamped with the moment when it is due: what latency is measured with.
 *
 *     pace BOOTSTRAP TOPIC RATE SECONDS [SETTLE]
 *
 * RATE deposits a second (at most 1,000,000, for 900 s), each of an account of its own, whose field "at" is that moment in
 * microseconds UTC; the topic must exist. Event i is due i/RATE after the start, whatever became of those before it, so the pace does
 * not drift, and what keeps the sender from its work counts as latency; after a stall what is due is sent at once, a millisecond's
 * worth between two looks at the clock. Prints one JSON line: events, seconds, failed; and of the events that were due after the first
 * SETTLE seconds (0 by default) how many they are (measured), how many were sent more than 5 ms late (late), and the milliseconds from
 * sending to the broker's answer, which are the producer's part of the latency: acked_p50_ms and acked_p99_ms.
 */
#include "meter.h"
#include "producer.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TICK_NS = 500 * 1000, LATE_NS = 5 * 1000 * 1000, MAX_RATE = 1000 * 1000, MAX_SECONDS = 900, ACCOUNT_DIGITS = 9,
       ACKED_SLOTS = 600 * 1000 };
#define SECOND_NS INT64_C(1000000000)

/* The event, made once: what differs between events stands at fixed places and is written over. */
struct form {
    char value[256];
    size_t size;
    char *id, *account, *at;
    size_t account_size;
    time_t second; /* that "at" shows */
};

struct pace {
    struct producer producer;
    struct form form;
    int64_t rate, wanted, start_ns, wall_start_ns; /* the start by both clocks */
    int64_t settle; /* so many events come before what is measured */
    int64_t sent, late;
};

static int64_t n_acked;
static int64_t acked[ACKED_SLOTS]; /* how many after so many tenths of a millisecond; the last slot holds all that took longer */

static void on_answer(void *context, const rd_kafka_message_t *message)
{
    int64_t tenths = rd_kafka_message_latency(message) / 100;

    (void)context;
    if (message->_private == NULL) /* not measured */
        return;
    n_acked++;
    acked[tenths < 0 ? 0 : tenths < ACKED_SLOTS ? tenths : ACKED_SLOTS - 1]++;
}

/* Milliseconds within which that share of the events was answered. */
static double acked_ms(double share)
{
    int64_t rest = (int64_t)(share * (double)n_acked), slot = 0;

    while (slot < ACKED_SLOTS - 1 && rest >= acked[slot])
        rest -= acked[slot++];
    return (double)slot / 10;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

static void put_digits(char *at, int width, int64_t n)
{
    while (width-- > 0) {
        at[width] = (char)('0' + n % 10);
        n /= 10;
    }
}

/* Accounts bear the run's beginning, so that those of two runs into one topic differ as well. */
static void form_init(struct form *form)
{
    char account[32];

    form->account_size = (size_t)snprintf(account, sizeof account, "acc-%" PRId64 "-%0*d",
                                          clock_ns(CLOCK_REALTIME) / (SECOND_NS / 1000), ACCOUNT_DIGITS, 0);
    form->size = (size_t)snprintf(form->value, sizeof form->value,
                                  "{\"type\":\"Deposited\",\"version\":1,\"id\":\"00000000-0000-4000-8000-000000000000\","
                                  "\"account\":\"%s\",\"amount\":\"1.00\",\"at\":\"0000-00-00T00:00:00.000000Z\"}",
                                  account);
    form->id = strstr(form->value, "8000-") + strlen("8000-");
    form->account = strstr(form->value, account);
    form->at = strstr(form->value, "0000-00-00T");
    form->second = -1;
}

static void form_fill(struct form *form, int64_t number, int64_t at_ns)
{
    time_t second = (time_t)(at_ns / SECOND_NS);
    struct tm utc;

    if (second != form->second) { /* the calendar once a second */
        gmtime_r(&second, &utc);
        strftime(form->at, sizeof "0000-00-00T00:00:00", "%Y-%m-%dT%H:%M:%S", &utc);
        form->at[strlen(form->at)] = '.';
        form->second = second;
    }
    put_digits(form->at + strlen("0000-00-00T00:00:00."), 6, at_ns % SECOND_NS / 1000);
    put_digits(form->id, 12, number);
    put_digits(form->account + form->account_size - ACCOUNT_DIGITS, ACCOUNT_DIGITS, number);
}

/* Is the next event? */
static bool is_measured(const struct pace *pace)
{
    return pace->sent >= pace->settle;
}

static void post(struct pace *pace)
{
    struct form *form = &pace->form;

    form_fill(form, pace->sent, pace->wall_start_ns + pace->sent * SECOND_NS / pace->rate);
    /* A wait is part of the latency. */
    producer_post(&pace->producer, form->account, form->account_size, form->value, form->size, is_measured(pace) ? pace : NULL);
    pace->sent++;
}

/* When an event is due. Within the bounds of rate and seconds the product fits. */
static int64_t due_ns(const struct pace *pace, int64_t number)
{
    return pace->start_ns + number * SECOND_NS / pace->rate;
}

/* Sends what is due, but a millisecond's worth at most. */
static void send_due(struct pace *pace)
{
    int64_t most = pace->rate / 1000 + 1;
    int64_t now_ns = clock_ns(CLOCK_MONOTONIC);

    for (int64_t i = 0; i < most && pace->sent < pace->wanted && due_ns(pace, pace->sent) <= now_ns; i++) {
        pace->late += is_measured(pace) && now_ns - due_ns(pace, pace->sent) > LATE_NS;
        post(pace);
    }
    producer_poll(&pace->producer);
}

/* Until the next event is due, and a tick at least: to wake for each of 100,000 a second would cost more than to send it. */
static void wait_due(const struct pace *pace)
{
    int64_t now_ns = clock_ns(CLOCK_MONOTONIC), next_ns = due_ns(pace, pace->sent);
    struct timespec until;

    if (next_ns <= now_ns)
        return;
    if (next_ns < now_ns + TICK_NS)
        next_ns = now_ns + TICK_NS;
    until = (struct timespec){.tv_sec = (time_t)(next_ns / SECOND_NS), .tv_nsec = (long)(next_ns % SECOND_NS)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

int main(int argc, char **argv)
{
    static const char *const properties[][2] = {
        {"linger.ms", "1"},
        {"acks", "1"},
        /* Few requests under way: without a limit a broker that falls behind once gets a request for almost every event, and stays
         * behind. */
        {"max.in.flight", "4"},
        {"queue.buffering.max.messages", "1000000"},
        {NULL, NULL},
    };
    static struct pace pace = {.producer.on_answer = on_answer};
    double seconds;

    if (argc < 5 || argc > 6) {
        fprintf(stderr, "usage: pace BOOTSTRAP TOPIC RATE SECONDS [SETTLE]\n");
        return 2;
    }
    pace.rate = meter_number(argv[3], 1, MAX_RATE);
    pace.wanted = pace.rate * meter_number(argv[4], 1, MAX_SECONDS);
    pace.settle = argc > 5 ? meter_number(argv[5], 0, pace.wanted / pace.rate - 1) * pace.rate : 0;
    producer_open(&pace.producer, argv[1], argv[2], properties);
    form_init(&pace.form);
    pace.start_ns = clock_ns(CLOCK_MONOTONIC);
    pace.wall_start_ns = clock_ns(CLOCK_REALTIME);
    while (pace.sent < pace.wanted) {
        wait_due(&pace);
        send_due(&pace);
    }
    seconds = (double)(clock_ns(CLOCK_MONOTONIC) - pace.start_ns) / (double)SECOND_NS;
    producer_close(&pace.producer);
    printf("{\"events\": %" PRId64 ", \"seconds\": %.3f, \"failed\": %" PRId64 ", \"measured\": %" PRId64 ", \"late\": %" PRId64
           ", \"acked_p50_ms\": %.1f, \"acked_p99_ms\": %.1f}\n",
           pace.sent, seconds, pace.producer.n_failed, pace.sent - pace.settle, pace.late, acked_ms(0.5), acked_ms(0.99));
    return pace.producer.n_failed > 0;
}
