/*
 * task - see task.h. One thread. Logs what the sink reports; this file is the task's only voice.
 */
#include "task/task.h"

#include "base/clock.h"
#include "base/log.h"
#include "task/parts.h"
#include "task/sink.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    TOPICS_TIMEOUT_MS = 2000,
    RETRY_BASE_US = 200 * 1000,
    RETRY_MAX_US = 5 * 1000 * 1000,
    CLOSE_TIMEOUT_MS = 1500,
    CONNECT_TURN_US = 100 * 1000,
    LOOKS = 3,
};

struct task {
    const struct task_settings *settings;
    struct projection *projection;
    struct plugin_host *host;
    struct event_decoder *decoder;
    struct store *store;
    struct consumer consumer;
    struct sink *sink;
    int signal_fd;
    unsigned refusals; /* of the store's tables, while getting ready */
    bool must_stop;
    int log_level, log_format; /* as last heeded */
    uint64_t random_state;
};

/* ---- Facts and status ---- */

/* What a reload has changed for tasks that run. */
static void heed_settings(struct task *task)
{
    int level = atomic_load_explicit(&task->settings->status->log_level, memory_order_relaxed);
    int format = atomic_load_explicit(&task->settings->status->log_format, memory_order_relaxed);

    if (level == task->log_level && format == task->log_format)
        return;
    task->log_level = level;
    task->log_format = format;
    log_setup((enum log_level)level, (enum log_format)format);
    log_debug("log settings changed", NULL);
}

/* A sign of life, and an ear for the supervisor: in every turn, while getting ready too. */
static void beat(struct task *task, enum task_state state)
{
    struct task_status *status = task->settings->status;

    atomic_store_explicit(&status->heartbeat_us, clock_system.monotonic_us(clock_system.self), memory_order_relaxed);
    atomic_store_explicit(&status->state, (int)state, memory_order_relaxed);
    heed_settings(task);
}

static void on_store_wait(void *context)
{
    struct task *task = context;

    beat(task, (enum task_state)atomic_load_explicit(&task->settings->status->state, memory_order_relaxed));
}

static void log_fact(enum sink_fact fact, const char *topic, const char *partition, const char *offset, const char *text)
{
    switch (fact) {
    case SINK_CONNECTED:
        log_info("connected to the read store", NULL);
        break;
    case SINK_STORE_AWAY:
        log_warn("the read store does not take the work now; trying again", "reason", text, NULL);
        break;
    case SINK_CLAIMED:
        log_info("partition claimed", "topic", topic, "partition", partition, "offset", offset, NULL);
        break;
    case SINK_RELEASED:
        log_info("partition given up", "topic", topic, "partition", partition, NULL);
        break;
    case SINK_HALTED:
        log_error("partition halted; it goes on after `readside positions ... skip', or `readside resume' once the cause is gone",
                  "topic", topic, "partition", partition, "offset", offset, "reason", text, NULL);
        break;
    case SINK_REWOUND:
        log_info("what was not committed is fetched again", "reason", text, NULL);
        break;
    case SINK_FENCED:
        log_warn("fenced: somebody else owns the position; the task ends and is started anew", "topic", topic, "partition",
                 partition, NULL);
        break;
    case SINK_WENT_BACK:
        log_error("the read store is older than what it had confirmed (a failover or restore?); applying the missing events again",
                  "topic", topic, "partition", partition, "offset", offset, NULL);
        break;
    case SINK_UNHANDLED:
        log_warn("no handler takes this type of event; such events are skipped and counted", "type", text, "topic", topic,
                 "partition", partition, "offset", offset, NULL);
        break;
    case SINK_BROKER_TROUBLE:
        log_warn("the broker does not answer as it should; trying again", "reason", text, NULL);
        break;
    case SINK_UNPAIRED:
        log_warn("a partition waits: the one of the same number in another topic is another task's. Do all workers of the group have the "
                 "same `topics' and assignor = \"range\"?",
                 "topic", topic, "partition", partition, "other_topic", text, NULL);
        break;
    case SINK_STALLED:
        log_warn("a partition stands still; fetching it anew", "topic", topic, "partition", partition, "offset", offset, "reason", text,
                 NULL);
        break;
    case SINK_TOPIC_STARTED:
        log_info("first claim of a topic by this version", "topic", topic, NULL);
        break;
    }
}

static void on_fact(void *context, enum sink_fact fact, const char *topic, int32_t partition, int64_t offset, const char *text)
{
    (void)context;
    log_fact(fact, topic, log_number(partition), log_number(offset), text);
}

static void on_client_log(int level, const char *facility, const char *text)
{
    log_line(level <= 4 ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "kafka client", "facility", facility, "text", text, NULL);
}

static void log_counters(const struct sink_counters *counters)
{
    log_info("task ends", "events", log_number(counters->events), "batches", log_number(counters->batches), "rows",
             log_number(counters->rows), "skipped", log_number(counters->skipped), "unhandled", log_number(counters->unhandled),
             "rewinds", log_number(counters->rewinds), "round_trips", log_number(counters->round_trips), NULL);
}

static void publish(struct task *task)
{
    struct task_status *status = task->settings->status;
    const struct sink *sink = task->sink;
    bool is_at_end = sink_is_at_end(sink);

    atomic_store_explicit(&status->events, sink->counters.events, memory_order_relaxed);
    atomic_store_explicit(&status->skipped, sink->counters.skipped, memory_order_relaxed);
    atomic_store_explicit(&status->unhandled, sink->counters.unhandled, memory_order_relaxed);
    atomic_store_explicit(&status->batches, sink->counters.batches, memory_order_relaxed);
    atomic_store_explicit(&status->rows, sink->counters.rows, memory_order_relaxed);
    atomic_store_explicit(&status->rewinds, sink->counters.rewinds, memory_order_relaxed);
    atomic_store_explicit(&status->dropped, sink->progress.dropped, memory_order_relaxed);
    atomic_store_explicit(&status->fenced, sink->counters.fenced, memory_order_relaxed);
    atomic_store_explicit(&status->lag, sink->lag, memory_order_relaxed);
    atomic_store_explicit(&status->lag_ms, sink->lag_ms, memory_order_relaxed);
    if (!is_at_end) /* before partitions that have come are seen */
        atomic_store_explicit(&status->at_end, 0, memory_order_relaxed);
    atomic_store_explicit(&status->partitions, (int)sink->progress.n, memory_order_release);
    atomic_store_explicit(&status->halted, (int)progress_count(&sink->progress, PARTITION_HALTED), memory_order_relaxed);
    atomic_store_explicit(&status->at_end, is_at_end, memory_order_release);
    beat(task, sink->phase != SINK_READY ? TASK_WAITING_STORE : sink->progress.n == 0 ? TASK_IDLE : TASK_RUNNING);
}

/* ---- Waiting ---- */

/* The word to end stays readable once it has come; what is waited for while ending is the store. */
static void wait_for(struct task *task, int store_fd, short store_events, bool wants_records, int64_t timeout_us)
{
    struct pollfd fds[4] = {{.fd = task->must_stop ? -1 : task->settings->control_fd, .events = POLLIN},
                            {.fd = task->must_stop ? -1 : task->signal_fd, .events = POLLIN},
                            {.fd = store_fd, .events = store_events},
                            {.fd = wants_records ? consumer_fd(&task->consumer) : -1, .events = POLLIN}};
    int timeout_ms = (int)((timeout_us + 999) / 1000);

    if (poll(fds, 4, timeout_ms) > 0 && (fds[0].revents != 0 || fds[1].revents != 0))
        task->must_stop = true;
}

static void on_wait(void *self, int store_fd, short store_events, bool wants_records, int64_t timeout_us)
{
    wait_for(self, store_fd, store_events, wants_records, timeout_us);
}

/* ---- Getting ready ---- */

/* One turn of waiting while getting ready, for the store (-1: for nothing but time), which ends when the task shall. */
static void wait_a_turn(struct task *task, int store_fd, short store_events, int64_t until_us)
{
    int64_t left_us = until_us - clock_system.monotonic_us(clock_system.self);

    beat(task, TASK_CONNECTING);
    wait_for(task, store_fd, store_events, false, left_us < 0 ? 0 : left_us < CONNECT_TURN_US ? left_us : CONNECT_TURN_US);
}

static void pause_before_retry(struct task *task, unsigned attempt, const struct error *failure)
{
    int64_t until_us = clock_system.monotonic_us(clock_system.self) +
                       backoff_us(attempt, RETRY_BASE_US, RETRY_MAX_US, &task->random_state);

    log_warn("cannot start yet; trying again", "reason", failure->text, NULL);
    while (!task->must_stop && clock_system.monotonic_us(clock_system.self) < until_us)
        wait_a_turn(task, -1, 0, until_us);
}

/* Waiting for a store that is slow to answer is a sign of life, and ends when the task shall. */
static int finish_connect(struct task *task, struct error *ret_error)
{
    int result;

    while ((result = store_poll(task->store, ret_error)) == STORE_BUSY && !task->must_stop)
        wait_a_turn(task, store_fd(task->store), store_events(task->store), store_deadline_us(task->store));
    return result == STORE_BUSY ? error_set(ret_error, ERROR_TRANSIENT, "told to end while connecting") : result;
}

static int prepare_tables(struct task *task, struct error *ret_error)
{
    const struct config_store *store = task->settings->pipeline->store;
    int result = strcmp(store->schema, "create") == 0 ? store_create_schema(task->store, ret_error)
                                                      : store_check_schema(task->store, ret_error);

    if (result == 0 && store_advice(task->store) != NULL)
        log_warn("the read store could be better", "advice", store_advice(task->store), NULL);
    beat(task, TASK_CONNECTING);
    return result == 0 ? store_preflight(task->store, ret_error) : result;
}

/* Tables that are dropped or changed while they are looked at (a reset, a migration) may look wrong: only those that still do at
 * the last look are a person's to mend. */
static int try_store(struct task *task, struct error *ret_error)
{
    int result = store_start_connect(task->store, ret_error);

    if (result == 0)
        result = finish_connect(task, ret_error);
    beat(task, TASK_CONNECTING);
    if (result == 0) {
        result = prepare_tables(task, ret_error);
        if (result == ERROR_CONFIG && ++task->refusals < LOOKS)
            result = ret_error->class = ERROR_TRANSIENT;
    }
    if (result != 0)
        error_wrap(ret_error, "store %s", task->settings->pipeline->store->name);
    return result;
}

static int try_topics(struct task *task, struct error *ret_error)
{
    return parts_check_topics(task->settings->pipeline, task->projection, &task->consumer, TOPICS_TIMEOUT_MS, ret_error);
}

/* Store and broker may come up after us: what may pass is waited for, what a person must mend is not. */
static int insist(struct task *task, enum task_state state, int (*try)(struct task *, struct error *), struct error *ret_error)
{
    for (unsigned attempt = 0; !task->must_stop; attempt++) {
        struct error failure = {0};
        int result;

        beat(task, state);
        result = try(task, &failure);
        if (result == 0 || task->must_stop)
            return 0;
        if (result != ERROR_TRANSIENT && result != ERROR_UNKNOWN) {
            *ret_error = failure;
            return result;
        }
        pause_before_retry(task, attempt, &failure);
    }
    return 0;
}

static int open_signals(struct task *task, struct error *ret_error)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGINT, SIG_IGN); /* a terminal sends them to the whole group; the supervisor decides */
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a store's file that may not grow */
    task->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (task->signal_fd < 0)
        return error_set(ret_error, ERROR_BUG, "signalfd: %s", strerror(errno));
    return 0;
}

static int open_sink(struct task *task, struct error *ret_error)
{
    const struct config_pipeline *pipeline = task->settings->pipeline;
    struct sink_settings settings;
    struct sink_parts parts = {.consumer = task->consumer,
                               .store = task->store,
                               .host = task->host,
                               .decoder = task->decoder,
                               .projection = task->projection,
                               .clock = &clock_system,
                               .waiter = {.wait = on_wait, .self = task},
                               .report = {.fact = on_fact},
                               .cache_bytes = (size_t)pipeline->row_cache_bytes};
    int result = parts_sink_settings(pipeline, task->projection, task->settings->config->kafka.session_timeout_us, &settings,
                                     ret_error);

    if (result != 0)
        return result;
    settings.random_seed = random_next(&task->random_state);
    return sink_new(&settings, &parts, &task->sink, ret_error);
}

static int open_parts(struct task *task, struct error *ret_error)
{
    const struct task_settings *settings = task->settings;
    int result;

    result = open_signals(task, ret_error);
    if (result == 0)
        result = parts_open_plugin(settings->config, settings->pipeline, &task->projection, &task->host, ret_error);
    if (result == 0)
        result = parts_open_store(settings->config, settings->pipeline, task->projection, &task->store, ret_error);
    if (result == 0) {
        store_on_wait(task->store, on_store_wait, task);
        result = insist(task, TASK_CONNECTING, try_store, ret_error);
    }
    if (result != 0 || task->must_stop)
        return result;
    consumer_set_log(on_client_log);
    result = parts_open_consumer(settings->config, settings->pipeline, settings->index, settings->bootstrap_servers,
                                 &task->consumer, ret_error);
    if (result == 0)
        result = insist(task, TASK_CONNECTING, try_topics, ret_error);
    if (result != 0)
        return result;
    task->decoder = parts_new_decoder(settings->pipeline);
    if (task->decoder == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    return open_sink(task, ret_error);
}

/* ---- The loop ---- */

static int run(struct task *task, struct error *ret_error)
{
    int result = 0;

    while (result == 0 && !task->must_stop) {
        result = sink_step(task->sink, ret_error);
        publish(task);
        wait_for(task, -1, 0, false, 0); /* only a look: is it time to stop? */
    }
    return result;
}

/* False: the Kafka client goes on without us. */
static bool close_parts(struct task *task)
{
    bool is_over = task->consumer.self == NULL || consumer_close(&task->consumer, CLOSE_TIMEOUT_MS);

    if (!is_over)
        log_warn("the broker did not let this member go in time: the group waits for it until session_timeout is over",
                   NULL);
    store_close(task->store); /* before the batch that it may be writing */
    sink_free(task->sink);
    event_decoder_free(task->decoder);
    plugin_host_free(task->host);
    projection_free(task->projection);
    if (task->signal_fd >= 0)
        close(task->signal_fd);
    return is_over;
}

int task_run(const struct task_settings *settings, bool *ret_is_over, struct error *ret_error)
{
    struct task task = {.settings = settings, .signal_fd = -1};
    int result;

    task.log_level = (int)log_level_named(settings->config->worker.log_level);
    task.log_format = (int)log_format_named(settings->config->worker.log_format);
    task.random_state = (uint64_t)clock_system.wall_us(clock_system.self) ^ ((uint64_t)getpid() << 32);
    log_context("pipeline", settings->pipeline->name);
    log_context("task", log_number(settings->index));
    beat(&task, TASK_STARTING);
    result = open_parts(&task, ret_error);
    if (result == 0 && !task.must_stop) {
        log_info("task started", "plugin", task.projection->path, "version", log_number(settings->pipeline->version), NULL);
        result = run(&task, ret_error);
    }
    beat(&task, TASK_STOPPING);
    if (task.sink != NULL)
        sink_stop(task.sink, atomic_load_explicit(&settings->status->shutdown_timeout_us, memory_order_relaxed) / 2);
    if (task.sink != NULL) {
        publish(&task);
        log_counters(&task.sink->counters);
    }
    *ret_is_over = close_parts(&task);
    beat(&task, TASK_STOPPED);
    return result;
}
