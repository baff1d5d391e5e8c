/*
 * story - see story.h.
 */
#include "story.h"

#include <poll.h>

/* ---- The story ---- */

void fold_event_of(struct scene *scene, const char *name)
{
    struct rs_message message = {.topic = "out", .header_size = sizeof(struct rs_header)};

    apply(scene, account(scene, name), EVENTS, RS_ADD, rs_value_int(1));
    apply(scene, account(scene, name), BALANCE, RS_ADD, money(150));
    apply(scene, total(scene, 20000), COUNT, RS_ADD, rs_value_int(1));
    OK(scene, batch_emit(scene->batch, &message, &scene->error));
}

void fold_event(struct scene *scene)
{
    fold_event_of(scene, "acc-1");
    set(scene, account(scene, "acc-2"), OWNER, text("Bob"));
}

void check_story(struct scene *scene, int64_t next)
{
    char expected[32];

    assert_int_equal(scene->positions[0].next_offset, next);
    snprintf(expected, sizeof expected, "%lld", (long long)next);
    LOOK(scene, expected, "SELECT next_offset FROM readside_positions WHERE part = 0");
    LOOK(scene, expected, "SELECT coalesce(sum(events), 0) FROM accounts");
    LOOK(scene, expected, "SELECT floor(coalesce(sum(balance), 0) / 1.5) FROM accounts");
    LOOK(scene, expected, "SELECT coalesce(sum(count), 0) FROM totals");
    LOOK(scene, expected, "SELECT count(*) FROM readside_outbox");
}

/* After a write that ended in `result` at `base`: asks the store as a task does, and compares with what the result had promised. */
void resolve_story(struct scene *scene, int64_t base, int result)
{
    int64_t next;

    scene_settle(scene, 0, 0);
    if (!store_is_connected(scene->store))
        OK(scene, scene_connect(scene));
    OK(scene, scene_resolve(scene));
    next = scene->positions[0].next_offset;
    if (result == 0)
        assert_int_equal(next, base + 1);
    else if (result == ERROR_UNKNOWN)
        assert_true(next == base || next == base + 1);
    else
        assert_int_equal(next, base);
    check_story(scene, next);
}

void write_well(struct scene *scene)
{
    int64_t base = scene->positions[0].next_offset;

    fold_event(scene);
    OK(scene, scene_write(scene, 1));
    check_story(scene, base + 1);
}

/* ---- Waiting ---- */

void pause_a_little(void)
{
    (void)poll(NULL, 0, 2);
}

void wait_until(struct scene *scene, const char *expected, const char *sql)
{
    int64_t end_us = scene_now_us() + 10000000;

    while (strcmp(scene_look(scene, sql), expected) != 0) {
        if (scene_now_us() > end_us)
            fail_msg("%s is %s and never became %s", sql, scene->shown, expected);
        pause_a_little();
    }
}

/* ---- The network ---- */

struct relay *relay_before(struct scene *scene, char relayed[512])
{
    const char *host = strchr(scene->uri, '@'), *port = host == NULL ? NULL : strrchr(host, ':');
    struct relay *relay;
    char *rest;

    assert_non_null(port);
    relay = relay_new((int)strtol(port + 1, &rest, 10));
    assert_non_null(relay);
    snprintf(relayed, 512, "%.*s:%d%s", (int)(port - scene->uri), scene->uri, relay_port(relay), rest);
    return relay;
}

/* The driver's way leads through the relay from now on. */
void go_through(struct scene *scene, const char *relayed)
{
    scene->settings.uri = relayed;
    OK(scene, scene_open(scene));
    OK(scene, scene_connect(scene));
    OK(scene, scene_claim(scene));
}

void add_many(struct scene *scene, int n)
{
    for (int i = 0; i < n; i++) {
        char name[32];

        snprintf(name, sizeof name, "many-%d", i);
        set(scene, account(scene, name), OWNER, text("a name that makes the batch larger than one segment"));
    }
}

int write_into_break(struct scene *scene, struct relay *relay, int other, int *n_done)
{
    int64_t base = scene->positions[0].next_offset;
    int result = scene_write(scene, 1);

    relay_heal(relay);
    if (result != 0 && result != ERROR_UNKNOWN && result != other)
        fail_msg("%s: %s", error_class_name(result), scene->error.text);
    resolve_story(scene, base, result);
    *n_done += scene->positions[0].next_offset > base;
    return result;
}

void vanish_while_sending(struct scene *scene)
{
    char relayed[512];
    struct relay *relay = relay_before(scene, relayed);
    int64_t began_us;
    int result;

    scene->settings.statement_timeout_us = 600000000;
    go_through(scene, relayed);
    write_well(scene);
    relay_vanish(relay);
    began_us = scene_now_us();
    fold_event(scene);
    result = scene_write(scene, 1);
    assert_true(result == ERROR_TRANSIENT || result == ERROR_UNKNOWN);
    assert_false(store_is_connected(scene->store));
    assert_true(scene_now_us() - began_us < 60000000); /* ten seconds, and what a busy machine adds */
    relay_free(relay);
    scene->settings.uri = scene->uri;
    OK(scene, scene_open(scene));
    resolve_story(scene, 1, result);
}

/* How many bytes a write sends once its statements are prepared. */
size_t measure_write(struct scene *scene, struct relay *relay)
{
    for (int i = 0; i < 2; i++) {
        relay_heal(relay);
        add_many(scene, 200);
        write_well(scene);
    }
    return relay_passed(relay);
}

/* ---- Connecting ---- */

int connect_to(struct scene *scene, const char *uri, const char *password)
{
    int result;

    scene->settings.uri = uri;
    scene->settings.password = password;
    result = scene_open(scene);
    return result != 0 ? result : scene_connect(scene);
}

/* The URI with another part: from is replaced by to. */
const char *replaced(const struct scene *scene, const char *from, const char *to)
{
    static char uri[512];
    const char *found = strstr(scene->uri, from);

    assert_non_null(found);
    snprintf(uri, sizeof uri, "%.*s%s%s", (int)(found - scene->uri), scene->uri, to, found + strlen(from));
    return uri;
}
