/*
 * supervisor - see supervisor.h. One thread, besides those of the embedded broker where there is one.
 *
 * The loop: wait for a signal or the next due time, take signals, give every unit its turn, tell the service manager.
 */
#include "worker/supervisor.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker/broker.h"
#include "worker/end.h"
#include "worker/exit.h"
#include "worker/notify.h"
#include "worker/plan.h"
#include "worker/probe.h"
#include "worker/signals.h"
#include "worker/unit.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TURN_US = 1000 * 1000,          /* how often signs of life are looked at */
    END_TURN_US = 20 * 1000,        /* the same when waiting for the end */
    LATE_US = 5 * 1000 * 1000,      /* a turn so late means that we were stopped ourselves */
    COUNT_TIMEOUT_MS = 2000,
    STATUS_TEXT = 512,
};

struct supervisor {
    struct config *config;
    bool until_end;
    bool is_stopping;
    int exit_code;
    int signal_fd;
    struct notify notify;
    struct unit_host host;
    struct unit *units;
    struct embedded *embedded;
    struct end_watch end;
    int64_t turned_us;
    int64_t notified_us;
    int64_t patience_until_us; /* signs of life are not judged before: nobody could give any */
};

static int64_t now(void)
{
    return clock_system.monotonic_us(clock_system.self);
}

/* ---- Putting a configuration in force ---- */

void supervisor_setup_log(const struct config_worker *worker)
{
    log_setup(log_level_named(worker->log_level), log_format_named(worker->log_format));
}

static struct unit *find_unit(const struct supervisor *supervisor, const char *name)
{
    for (struct unit *unit = supervisor->units; unit != NULL; unit = unit->next)
        if (!unit->is_leaving && strcmp(unit->name, name) == 0)
            return unit;
    return NULL;
}

static int add_unit(struct supervisor *supervisor, const struct config *config, const struct config_pipeline *pipeline,
                    struct error *ret_error)
{
    struct unit *unit = NULL;
    int result = unit_new(&supervisor->host, config, pipeline, now(), &unit, ret_error);

    if (result != 0)
        return result;
    unit->next = supervisor->units;
    supervisor->units = unit;
    return 0;
}

static void put_in_force(struct supervisor *supervisor, const struct config *config, const struct config_pipeline *pipeline)
{
    struct unit *unit = find_unit(supervisor, pipeline->name);
    struct plan_facts facts = {.is_wanted = pipeline->is_enabled,
                               .is_present = unit != NULL,
                               .is_down = unit != NULL && unit->is_down,
                               .old_fingerprint = unit != NULL ? unit->fingerprint : 0,
                               .new_fingerprint = config_pipeline_fingerprint(config, pipeline)};
    enum plan_step step = plan_step(&facts);
    struct error failure = {0};

    if (step == PLAN_KEEP && unit != NULL && unit_adopt(&supervisor->host, unit, config, pipeline, &failure) != 0)
        log_warn("tasks that start later do so by the old configuration", "pipeline", pipeline->name, "reason", failure.text, NULL);
    if (step == PLAN_STOP || step == PLAN_RESTART)
        unit_stop(&supervisor->host, unit, now());
    if (step == PLAN_STOP)
        log_info("pipeline is not enabled any more; stopping it", "pipeline", pipeline->name, NULL);
    if (step == PLAN_RESTART)
        log_info(facts.is_down ? "pipeline is down; trying it again" : "pipeline has other settings; starting it anew", "pipeline",
                 pipeline->name, NULL);
    if ((step == PLAN_START || step == PLAN_RESTART) && add_unit(supervisor, config, pipeline, &failure) != 0) {
        log_error("pipeline cannot start", "pipeline", pipeline->name, "reason", failure.text, NULL);
        supervisor->exit_code = exit_code_of(failure.class);
    }
}

static int start_broker(struct supervisor *supervisor, const struct config *config, struct error *ret_error)
{
    int result;

    if (!broker_is_wanted(config)) {
        supervisor->host.bootstrap_servers = NULL;
        return 0;
    }
    if (supervisor->embedded == NULL) {
        result = broker_start(config, &supervisor->embedded, ret_error);
        if (result != 0)
            return result;
    }
    supervisor->host.bootstrap_servers = embedded_bootstrap_servers(supervisor->embedded);
    return 0;
}

/* Takes the configuration over, also when it fails to be put in force. */
static int apply(struct supervisor *supervisor, struct config *config, struct error *ret_error)
{
    int result = start_broker(supervisor, config, ret_error);

    if (result != 0) {
        if (config != supervisor->config)
            config_free(config);
        return result;
    }
    supervisor_setup_log(&config->worker);
    supervisor->host.limits = config->worker;
    for (struct unit *unit = supervisor->units; unit != NULL; unit = unit->next)
        if (!unit->is_leaving && config_find_pipeline(config, unit->name) == NULL) {
            log_info("pipeline is not in the configuration any more; stopping it", "pipeline", unit->name, NULL);
            unit_stop(&supervisor->host, unit, now());
        }
    for (size_t i = 0; i < config->n_pipelines; i++)
        put_in_force(supervisor, config, &config->pipelines[i]);
    if (supervisor->config != config)
        config_free(supervisor->config);
    supervisor->config = config;
    return 0;
}

/* ---- Signals ---- */

static void log_problems(struct buffer *problems)
{
    char *rest = problems->data;
    char *line;

    while (rest != NULL && (line = strsep(&rest, "\n")) != NULL)
        if (line[0] != '\0')
            log_error("configuration", "problem", line, NULL);
}

static void reload(struct supervisor *supervisor)
{
    struct buffer problems = BUFFER_INIT;
    struct config *config = NULL;
    struct error failure = {0};

    log_info("reloading the configuration", "config", supervisor->config->path, NULL);
    notify_send_reloading(&supervisor->notify, now());
    if (config_load(supervisor->config->path, &config, &problems, &failure) != 0) {
        log_problems(&problems);
        log_error("the new configuration is refused; the worker goes on with the old one", "reason", failure.text, NULL);
    } else if (apply(supervisor, config, &failure) != 0) {
        log_error("the new configuration cannot be put in force; the worker goes on with the old one", "reason", failure.text, NULL);
    } else {
        log_info("configuration reloaded", NULL);
    }
    buffer_free(&problems);
    notify_send(&supervisor->notify, "READY=1");
}

static void begin_stop(struct supervisor *supervisor)
{
    supervisor->is_stopping = true;
    notify_send(&supervisor->notify, "STOPPING=1\nSTATUS=stopping");
    for (struct unit *unit = supervisor->units; unit != NULL; unit = unit->next)
        unit_stop(&supervisor->host, unit, now());
}

static void heed_stops(struct supervisor *supervisor, unsigned stops)
{
    for (; stops > 0; stops--) {
        if (!supervisor->is_stopping) {
            log_info("told to end; the tasks finish what they are writing", NULL);
            begin_stop(supervisor);
            continue;
        }
        log_warn("told to end at once; the tasks are killed, which loses nothing", NULL);
        for (struct unit *unit = supervisor->units; unit != NULL; unit = unit->next)
            unit_kill(unit);
    }
}

static void heed_signals(struct supervisor *supervisor)
{
    struct signals_seen seen = signals_take(supervisor->signal_fd);

    if (seen.child)
        for (struct unit *unit = supervisor->units; unit != NULL; unit = unit->next)
            unit_reap(&supervisor->host, unit, now());
    if (seen.reload && !supervisor->is_stopping)
        reload(supervisor);
    heed_stops(supervisor, seen.stops);
}

/* ---- Units ---- */

static bool has_predecessor(const struct supervisor *supervisor, const struct unit *unit)
{
    for (const struct unit *other = supervisor->units; other != NULL; other = other->next)
        if (other != unit && other->is_leaving && strcmp(other->name, unit->name) == 0)
            return true;
    return false;
}

static void drop_ended(struct supervisor *supervisor)
{
    struct unit **link = &supervisor->units;

    while (*link != NULL) {
        struct unit *unit = *link;

        if (unit->is_leaving && unit_has_ended(unit)) {
            log_info("pipeline stopped", "pipeline", unit->name, "events", log_number(unit_events(unit)), "left_out",
                     log_number(unit_left_out(unit)), NULL);
            if (unit->has_failed_to_stop)
                supervisor->exit_code = EXIT_CODE_BUG;
            if (unit->is_down && supervisor->is_stopping)
                supervisor->exit_code = EXIT_CODE_CONFIG;
            *link = unit->next;
            unit_free(&supervisor->host, unit);
        } else {
            link = &unit->next;
        }
    }
}

static int64_t turn_units(struct supervisor *supervisor)
{
    int64_t turn_us = supervisor->until_end ? END_TURN_US : TURN_US;
    int64_t next_us = now() + turn_us;

    if (supervisor->turned_us > 0 && now() - supervisor->turned_us > LATE_US + turn_us)
        supervisor->patience_until_us = now() + supervisor->host.limits.stall_timeout_us; /* the whole group may have been stopped */
    supervisor->turned_us = now();
    drop_ended(supervisor);
    for (struct unit *unit = supervisor->units; unit != NULL; unit = unit->next) {
        int64_t due_us;

        if (!unit->is_started && !unit->is_leaving && !has_predecessor(supervisor, unit))
            unit->is_started = true;
        due_us = unit_turn(&supervisor->host, unit, now(), now() >= supervisor->patience_until_us);
        next_us = due_us < next_us ? due_us : next_us;
    }
    return next_us;
}

/* ---- The end ---- */

/*
 * How many partitions the topics of a pipeline have, which ends the wait sooner. Not for one that is down: its topics may be what
 * is wrong with it.
 */
static int count_expected(struct supervisor *supervisor, struct consumer *probe, struct unit *unit, struct error *ret_error)
{
    const struct config_pipeline *pipeline = config_find_pipeline(supervisor->config, unit->name);
    int64_t n = 0;
    int result;

    if (unit->is_down || unit->is_leaving || unit->is_counted || pipeline == NULL)
        return 0;
    result = probe_count_partitions(probe, pipeline, COUNT_TIMEOUT_MS, &n, ret_error);
    if (result != 0)
        return result;
    unit->is_counted = true;
    unit->expected_partitions = n > 0 ? n : END_EXPECTED_UNKNOWN;
    return 0;
}

static void count_all(struct supervisor *supervisor)
{
    struct consumer probe = {0};
    struct error failure = {0};
    int result = probe_open(supervisor->config, supervisor->host.bootstrap_servers, &probe, &failure);

    for (struct unit *unit = supervisor->units; result == 0 && unit != NULL; unit = unit->next)
        result = count_expected(supervisor, &probe, unit, &failure);
    probe_close(&probe);
    if (result != 0)
        log_warn("cannot count the partitions; trying again", "reason", failure.text, NULL);
    end_put_off_count(&supervisor->end, now());
}

/* Nothing runs, and nothing will without a person. */
static bool is_finished(struct supervisor *supervisor)
{
    if (supervisor->units == NULL)
        return supervisor->is_stopping; /* otherwise a reload may bring some */
    for (const struct unit *unit = supervisor->units; unit != NULL; unit = unit->next)
        if (!unit->is_down || !unit_has_ended(unit))
            return false;
    log_error("no pipeline can run; the worker ends", NULL);
    supervisor->exit_code = EXIT_CODE_CONFIG;
    return true;
}

/* False: one that is down has yet to end. */
static bool view_units(const struct supervisor *supervisor, struct end_view *view)
{
    for (const struct unit *unit = supervisor->units; unit != NULL; unit = unit->next) {
        struct end_facts facts = {.partitions = unit_partitions(unit),
                                  .expected = unit->expected_partitions,
                                  .events = unit_events(unit),
                                  .is_counted = unit->is_counted};

        if (unit->is_down && !unit_has_ended(unit))
            return false;
        facts.is_at_end = unit_is_at_end(unit); /* after the partitions: what has come in between is not at its end */
        if (!unit->is_down)
            end_add(view, &facts);
    }
    return true;
}

static void end_for_good(struct supervisor *supervisor, int64_t partitions)
{
    int64_t halted = 0;

    for (const struct unit *unit = supervisor->units; unit != NULL; unit = unit->next) {
        halted += unit_halted(unit);
        if (unit->is_down)
            log_error("pipeline is down and has not reached the end", "pipeline", unit->name, NULL);
    }
    if (halted > 0) {
        log_error("the end is reached, but for halted partitions: `readside status' says why", "halted", log_number(halted), NULL);
        supervisor->exit_code = EXIT_CODE_DATA;
    } else {
        log_info("the tasks have committed up to the end; stopping", "partitions", log_number(partitions), NULL);
    }
    begin_stop(supervisor);
}

static void look_for_end(struct supervisor *supervisor)
{
    struct end_view view = END_VIEW_INIT;

    if (!view_units(supervisor, &view))
        return;
    if (end_is_reached(&supervisor->end, &view, now(), supervisor->config->kafka.session_timeout_us))
        end_for_good(supervisor, view.partitions);
    else if (end_shall_count(&supervisor->end, &view, now()))
        count_all(supervisor);
}

/* ---- Telling the service manager ---- */

/* What is not known (-1) makes the whole unknown. */
static int64_t add_lag(int64_t sum, int64_t lag)
{
    return sum < 0 || lag < 0 ? -1 : sum + lag;
}

static int64_t longer_lag(int64_t longest, int64_t lag_ms)
{
    return longest < 0 || lag_ms < 0 ? -1 : longest > lag_ms ? longest : lag_ms;
}

static void print_status(const struct supervisor *supervisor, char *ret_text, size_t size)
{
    unsigned n_units = 0, n_down = 0, n_tasks = 0, n_running = 0;
    int64_t partitions = 0, halted = 0, events = 0, left_out = 0, lag = 0, lag_ms = 0;
    char behind[64] = "unknown";

    for (const struct unit *unit = supervisor->units; unit != NULL; unit = unit->next) {
        n_units++;
        n_down += unit->is_down ? 1 : 0;
        n_tasks += unit->n_children;
        n_running += unit_count_running(unit);
        partitions += unit_partitions(unit);
        halted += unit_halted(unit);
        events += unit_events(unit);
        left_out += unit_left_out(unit);
        lag = add_lag(lag, unit_lag(unit));
        lag_ms = longer_lag(lag_ms, unit_lag_ms(unit));
    }
    if (lag >= 0 && lag_ms >= 0)
        snprintf(behind, sizeof behind, "%lld records, %lld s", (long long)lag, (long long)((lag_ms + 999) / 1000));
    else if (lag >= 0)
        snprintf(behind, sizeof behind, "%lld records", (long long)lag);
    snprintf(ret_text, size,
             "pipelines: %u, down: %u; tasks running: %u of %u; partitions: %lld, halted: %lld; events committed: %lld, left out: %lld; lag: %s",
             n_units, n_down, n_running, n_tasks, (long long)partitions, (long long)halted, (long long)events, (long long)left_out, behind);
}

static void tell_service_manager(struct supervisor *supervisor)
{
    int64_t interval_us = supervisor->notify.watchdog_us > 0 ? supervisor->notify.watchdog_us / 3 : 10 * TURN_US;
    char text[STATUS_TEXT], message[STATUS_TEXT + 64];
    bool is_fresh = true;

    if (supervisor->notify.fd < 0 || now() - supervisor->notified_us < interval_us)
        return;
    supervisor->notified_us = now();
    for (const struct unit *unit = supervisor->units; unit != NULL; unit = unit->next)
        is_fresh &= unit_is_fresh(&supervisor->host, unit, now());
    print_status(supervisor, text, sizeof text);
    snprintf(message, sizeof message, "%sSTATUS=%s", is_fresh ? "WATCHDOG=1\n" : "", text);
    notify_send(&supervisor->notify, message);
}

/* ---- The loop ---- */

static void wait_until(struct supervisor *supervisor, int64_t next_us)
{
    struct pollfd fd = {.fd = supervisor->signal_fd, .events = POLLIN};
    int64_t left_us = next_us - now();

    if (supervisor->notify.watchdog_us > 0 && left_us > supervisor->notify.watchdog_us / 4)
        left_us = supervisor->notify.watchdog_us / 4;
    if (poll(&fd, 1, left_us > 0 ? (int)((left_us + 999) / 1000) : 0) < 0)
        return; /* interrupted: the next turn looks again */
}

static void loop(struct supervisor *supervisor)
{
    for (;;) {
        int64_t next_us = turn_units(supervisor);

        if (supervisor->until_end && !supervisor->is_stopping)
            look_for_end(supervisor);
        if (is_finished(supervisor))
            return;
        tell_service_manager(supervisor);
        wait_until(supervisor, next_us);
        heed_signals(supervisor);
    }
}

static int open_parts(struct supervisor *supervisor, struct error *ret_error)
{
    int result = signals_open(&supervisor->signal_fd, ret_error);

    if (result != 0)
        return result;
    supervisor->host.block = status_block_new(UNIT_MAX_SLOTS, ret_error);
    if (supervisor->host.block == NULL)
        return ret_error->class;
    return apply(supervisor, supervisor->config, ret_error);
}

static void close_parts(struct supervisor *supervisor)
{
    while (supervisor->units != NULL) {
        struct unit *unit = supervisor->units;

        supervisor->units = unit->next;
        unit_free(&supervisor->host, unit);
    }
    embedded_stop(supervisor->embedded);
    status_block_free(supervisor->host.block);
    notify_close(&supervisor->notify);
    if (supervisor->signal_fd >= 0)
        close(supervisor->signal_fd);
    config_free(supervisor->config);
}

int supervisor_run(const struct supervisor_settings *settings)
{
    struct supervisor supervisor = {.config = settings->config,
                                    .until_end = settings->until_end,
                                    .signal_fd = -1};
    struct error failure = {0};
    int64_t started_us = now();

    supervisor_setup_log(&settings->config->worker);
    notify_open(&supervisor.notify);
    log_info("worker starts", "worker", settings->config->worker.name, "config", settings->config->path, "pid",
             log_number(getpid()), NULL);
    if (geteuid() == 0)
        log_warn("the worker runs as root, and so do its plugins; a user of its own is safer", NULL);
    if (open_parts(&supervisor, &failure) != 0) {
        log_error("the worker cannot start", "reason", failure.text, NULL);
        supervisor.exit_code = exit_code_of(failure.class);
    } else if (supervisor.units == NULL) {
        log_error("no pipeline is enabled: there is nothing to do", "config", settings->config->path, NULL);
        supervisor.exit_code = EXIT_CODE_CONFIG;
    } else {
        notify_send(&supervisor.notify, "READY=1");
        loop(&supervisor);
    }
    log_info("worker ends", "exit_code", log_number(supervisor.exit_code), "ran_s", log_number((now() - started_us) / 1000000), NULL);
    close_parts(&supervisor);
    return supervisor.exit_code;
}
