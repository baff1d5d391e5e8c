/*
 * naive - what a team would write by hand: a topic of bank events into PostgreSQL, with positions in Kafka.
 *
 *     naive BOOTSTRAP TOPIC EVENTS CONNINFO row|row-batch|upsert-batch
 *
 * row: an event, a statement that adds to the balance, committed at once. row-batch: the same, a transaction a batch. upsert-batch:
 * of a batch's events the last of each account, as they are (nothing is added up), in one statement of arrays. Each commits to
 * PostgreSQL, then its positions to Kafka: at least once, so that a crash between the two adds the same amounts again. Waits for
 * every answer. Makes its table naive anew. The password is STORE_PASSWORD's. Prints one line of JSON; events a second as meter.h has it.
 */
#include "bank_event.h"
#include "meter.h"
#include "session.h"
#include "topic.h"

#include "base/hash.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POLL_ROWS = 500, BATCH_ROWS = 5000, SLOTS = 16384, KEY_SIZE = 120 };
enum { ACCOUNT, AMOUNT, AT, N_COLUMNS };

static const struct column columns[N_COLUMNS] = {
    [ACCOUNT] = {.type = RS_TEXT}, [AMOUNT] = {.type = RS_DECIMAL, .scale = 2}, [AT] = {.type = RS_TIMESTAMP}};

static const char table[] =
    "CREATE TABLE naive (account text COLLATE \"C\" PRIMARY KEY, owner text NOT NULL DEFAULT '', balance numeric(20,2) NOT NULL "
    "DEFAULT 0.00, events bigint NOT NULL DEFAULT 0, opened_at timestamp with time zone, updated_at timestamp with time zone)";

static const char add_one[] =
    "INSERT INTO naive (account, balance, events, updated_at) VALUES ($1, $2, 1, $3) ON CONFLICT (account) DO UPDATE SET "
    "balance = naive.balance + EXCLUDED.balance, events = naive.events + 1, updated_at = EXCLUDED.updated_at";

static const char set_many[] =
    "INSERT INTO naive (account, balance, updated_at) SELECT * FROM unnest($1::text[], $2::numeric[], $3::timestamp with time zone[]) "
    "ON CONFLICT (account) DO UPDATE SET balance = EXCLUDED.balance, updated_at = EXCLUDED.updated_at";

struct state {
    char account[KEY_SIZE];
    size_t account_size;
    int64_t cents, at_us;
};

struct naive;

struct way {
    const char *name;
    const char *sql;
    void (*write)(struct naive *naive, rd_kafka_message_t *const *messages, size_t n);
    size_t n_batch;
};

struct naive {
    const struct way *way;
    struct topic topic;
    PGconn *session;
    struct pg_parameters parameters;
    struct state states[BATCH_ROWS]; /* upsert-batch: the last of each account */
    size_t n_states;
    uint16_t slots[SLOTS]; /* into states, plus one; 0: free */
};

/* ---- States ---- */

static void read_state(const rd_kafka_message_t *message, struct state *ret_state)
{
    struct bank_event event;

    bank_event_parse(message->payload, message->len, &event);
    if (event.account_size > KEY_SIZE || !text_read_timestamp(event.at, strlen(event.at), &ret_state->at_us))
        die("a record is no event of bench/fill: account %s, at %s", event.account, event.at);
    memcpy(ret_state->account, event.account, event.account_size);
    ret_state->account_size = event.account_size;
    ret_state->cents = bank_event_cents(&event);
}

static struct cell cell_of(const struct state *state, int column)
{
    if (column == ACCOUNT)
        return (struct cell){.as.data = state->account, .size = (uint32_t)state->account_size};
    return column == AMOUNT ? (struct cell){.as.decimal = state->cents} : (struct cell){.as.integer = state->at_us};
}

/* ---- A statement an event ---- */

static void add_each(struct naive *naive, rd_kafka_message_t *const *messages, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct state state;

        read_state(messages[i], &state);
        pg_parameters_clear(&naive->parameters);
        for (int c = 0; c < N_COLUMNS; c++) {
            struct cell cell = cell_of(&state, c);

            session_put(&naive->parameters, &columns[c], &cell);
        }
        session_execute(naive->session, "write", &naive->parameters);
    }
}

static void add_batch(struct naive *naive, rd_kafka_message_t *const *messages, size_t n)
{
    session_run(naive->session, "BEGIN");
    add_each(naive, messages, n);
    session_run(naive->session, "COMMIT");
}

/* ---- A statement a batch ---- */

static bool is_of(const struct state *a, const struct state *b)
{
    return a->account_size == b->account_size && memcmp(a->account, b->account, a->account_size) == 0;
}

static void keep_last(struct naive *naive, const struct state *state)
{
    size_t slot = hash_bytes(state->account, state->account_size, 0) % SLOTS;

    while (naive->slots[slot] != 0 && !is_of(&naive->states[naive->slots[slot] - 1], state))
        slot = (slot + 1) % SLOTS;
    if (naive->slots[slot] == 0)
        naive->slots[slot] = (uint16_t)++naive->n_states;
    naive->states[naive->slots[slot] - 1] = *state;
}

static void put_states(struct naive *naive)
{
    pg_parameters_clear(&naive->parameters);
    for (int c = 0; c < N_COLUMNS; c++) {
        const struct pg_type *type = pg_type_of(columns[c].type);

        pg_begin_array(&naive->parameters, type->array_oid, type->oid, naive->n_states);
        for (size_t i = 0; i < naive->n_states; i++) {
            struct cell cell = cell_of(&naive->states[i], c);

            pg_element_cell(&naive->parameters, &columns[c], &cell);
        }
        pg_end_array(&naive->parameters);
    }
}

static void upsert_batch(struct naive *naive, rd_kafka_message_t *const *messages, size_t n)
{
    memset(naive->slots, 0, sizeof naive->slots);
    naive->n_states = 0;
    for (size_t i = 0; i < n; i++) {
        struct state state;

        read_state(messages[i], &state);
        keep_last(naive, &state);
    }
    put_states(naive);
    session_execute(naive->session, "write", &naive->parameters); /* a transaction of its own */
}

static const struct way ways[] = {
    {"row", add_one, add_each, POLL_ROWS},
    {"row-batch", add_one, add_batch, BATCH_ROWS},
    {"upsert-batch", set_many, upsert_batch, BATCH_ROWS},
};

/* ---- The whole ---- */

static const struct way *find_way(const char *name)
{
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (strcmp(ways[i].name, name) == 0)
            return &ways[i];
    return NULL;
}

static void open_all(struct naive *naive, char **argv)
{
    naive->session = session_open(argv[4]);
    session_run(naive->session, "DROP TABLE IF EXISTS naive");
    session_run(naive->session, table);
    session_prepare(naive->session, "write", naive->way->sql);
    topic_open(&naive->topic, argv[1], argv[2], "naive");
    topic_find_coordinator(&naive->topic);
}

/* Returns how many were written. */
static int64_t run(struct naive *naive, int64_t wanted, struct meter_rate *rate)
{
    rd_kafka_message_t *messages[BATCH_ROWS];
    int64_t done = 0;

    while (done < wanted) {
        size_t left = (size_t)(wanted - done), max = left < naive->way->n_batch ? left : naive->way->n_batch;
        size_t n = topic_take(&naive->topic, messages, max);

        meter_look(rate, done);
        naive->way->write(naive, messages, n);
        for (size_t i = 0; i < n; i++)
            rd_kafka_message_destroy(messages[i]);
        topic_commit(&naive->topic);
        done += (int64_t)n;
    }
    return done;
}

int main(int argc, char **argv)
{
    static struct naive naive;
    struct meter_rate rate;
    int64_t done;

    naive.way = argc == 6 ? find_way(argv[5]) : NULL;
    if (naive.way == NULL) {
        fprintf(stderr, "usage: naive BOOTSTRAP TOPIC EVENTS CONNINFO row|row-batch|upsert-batch\n");
        return 2;
    }
    done = meter_count(argv[3], 1);
    open_all(&naive, argv);
    meter_begin(&rate, done);
    done = run(&naive, done, &rate);
    printf("{\"way\": \"%s\", \"events\": %" PRId64 ", \"events_per_second\": %.0f, \"cpu_seconds\": %.4f, \"peak_mib\": %.1f}\n",
           naive.way->name, done, meter_rate_of(&rate, done), meter_cpu(), meter_peak_mib());
    topic_close(&naive.topic);
    PQfinish(naive.session);
    buffer_free(&naive.parameters.bytes);
    return 0;
}
