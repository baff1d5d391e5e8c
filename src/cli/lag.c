/*
 * lag - see lag.h. For `readside status', in its one thread; a consumer of its own, so that partitions are started only once.
 */
#include "cli/lag.h"

#include "base/clock.h"
#include "worker/probe.h"

#include <stdlib.h>

enum { MAX_RECORDS = 64 };

static int64_t now_ms(void)
{
    return clock_system.monotonic_us(clock_system.self) / 1000;
}

/* Is the first event to be read where the position says? */
static bool is_readable(const struct view *view, const struct view_row *row)
{
    return view_lag(row) > 0 && row->position->next_offset >= row->facts.low && view_fits(view, row);
}

static struct partition_offset place_of(const struct view_row *row)
{
    return (struct partition_offset){.topic = row->position->topic, .partition = row->position->partition, .leader_epoch = -1,
                                     .offset = row->position->next_offset};
}

/* The first record of a partition tells, later ones do not count. True: it was the first. */
static bool take_record(struct view_row *row, const struct record *record)
{
    int64_t age_ms = clock_system.wall_us(clock_system.self) / 1000 - record->timestamp_ms;

    if (row == NULL || !row->awaits_record)
        return false;
    row->awaits_record = false;
    if (record->kind == RECORD_END)
        row->lag_ms = 0; /* control records only: nothing to be applied */
    else if (record->kind == RECORD_DATA && record->timestamp_ms >= 0)
        row->lag_ms = age_ms > 0 ? age_ms : 0;
    return true;
}

static struct view_row *find_row(struct view *view, const struct record *record)
{
    const struct view_row *row = view_find(view, record->topic, record->partition);

    return row == NULL ? NULL : &view->rows[row - view->rows];
}

static void read_records(struct consumer *reader, struct view *view, size_t n_awaited)
{
    int64_t deadline_ms = now_ms() + LAG_TIMEOUT_MS;
    struct record records[MAX_RECORDS];
    struct error ignored = {0};

    while (n_awaited > 0 && now_ms() < deadline_ms) {
        size_t n = 0;

        if (reader->operations->take(reader->self, (int)(deadline_ms - now_ms()), records, MAX_RECORDS, &n, &ignored) != 0 &&
            ignored.class != ERROR_TRANSIENT)
            return;
        for (size_t i = 0; i < n; i++) {
            const struct partition_offset place = {.topic = records[i].topic, .partition = records[i].partition};

            if (!take_record(find_row(view, &records[i]), &records[i]))
                continue;
            n_awaited--;
            if (reader->operations->pause(reader->self, &place, 1, &ignored) != 0) /* no more of it */
                return;
        }
    }
}

void lag_read(const struct context *context, struct view *view)
{
    struct partition_offset *places = calloc(view->n + 1, sizeof *places);
    struct consumer reader = {0};
    struct error ignored = {0};
    size_t n = 0;

    for (size_t i = 0; i < view->n && places != NULL; i++) {
        struct view_row *row = &view->rows[i];

        row->awaits_record = is_readable(view, row);
        if (row->awaits_record)
            places[n++] = place_of(row);
        else if (view_lag(row) == 0 && view_fits(view, row))
            row->lag_ms = 0;
    }
    if (n > 0 && probe_open(context->config, NULL, &reader, &ignored) == 0 &&
        reader.operations->start(reader.self, places, n, &ignored) == 0)
        read_records(&reader, view, n);
    probe_close(&reader);
    free(places);
}
