/*
 * The fold against a model that takes one operation at a time (fold_model.h): random events over four tables, kept, undone and
 * refused; reads with rows from the store, from the batch in flight and from the cache; full batches; batches that fail. The
 * groups of each batch are applied to a store, which must then equal the model.
 *
 *     fold_property_test [SEQUENCES [FIRST_SEED]]
 *
 * A failing sequence prints its seed; `fold_property_test 1 SEED` runs it alone.
 */
#include "fold/batch.h"

#include "../tools/fold_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

enum { QUICK_SEQUENCES = 20000, EVENTS_PER_SEQUENCE = 25, OPERATIONS_MAX = 6, ATTEMPTS_MAX = 40, PAIRS = 4, FILLERS_MAX = 2500 };

struct event {
    struct model_operation operations[OPERATIONS_MAX];
    int n_operations;
    bool is_undone; /* the handler ends well, but says that the event is not to count */
    bool is_prefetched;
};

struct world {
    uint64_t random_state;
    struct batch *pairs[PAIRS][2]; /* of other bounds each */
    struct row_cache *cache;
    struct batch *fold;
    struct batch *other; /* in flight, or idle */
    bool is_in_flight;
    int n_kept;         /* events in fold */
    bool has_extremes;  /* a sum in fold may have passed its bounds on the way */
    struct model now;   /* after every event that counts */
    struct model sent;  /* when the batch in flight was closed */
    struct model store; /* committed */
    struct {
        long events, operations, kept, undone, refused, loads, full, poisoned, rolled_back, rows;
    } counts;
};

static long wanted_sequences = QUICK_SEQUENCES;
static uint64_t first_seed = 1;

static uint64_t random_next(struct world *world)
{
    uint64_t z = (world->random_state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static bool chance(struct world *world, unsigned percent)
{
    return random_next(world) % 100 < percent;
}

/* ---- Events ---- */

static void make_operation(struct world *world, struct model_operation *operation)
{
    static const enum model_kind kinds[] = {MODEL_SET,   MODEL_SET,   MODEL_SET,   MODEL_SET, MODEL_APPLY,  MODEL_APPLY,
                                            MODEL_APPLY, MODEL_APPLY, MODEL_APPLY, MODEL_GET, MODEL_REMOVE, MODEL_EXISTS};
    const struct table *table;
    const struct column *column;
    uint32_t type;

    *operation = (struct model_operation){.kind = kinds[random_next(world) % 12]};
    operation->table = (uint32_t)(random_next(world) % 5 % MODEL_TABLES);
    operation->key = (uint32_t)(random_next(world) % 7 % MODEL_KEYS);
    table = &model_tables[operation->table];
    if (table->is_shared && !chance(world, 1))
        operation->kind = MODEL_APPLY;
    operation->column = (uint32_t)(random_next(world) % table->n_columns);
    while (table->columns[operation->column].is_key && !chance(world, 2))
        operation->column = (uint32_t)(random_next(world) % table->n_columns);
    column = &table->columns[operation->column];
    operation->operation =
        table->is_shared ? (uint32_t)(column->operation - CELL_ADD + RS_ADD) : RS_ADD + (uint32_t)(random_next(world) % 3);
    type = chance(world, 95) ? column->type : (uint32_t)(random_next(world) % 12);
    model_random_value(operation, type, random_next(world));
    if (operation->kind == MODEL_SET && chance(world, 10))
        model_random_value(operation, 0, 0);
    if (chance(world, 1))
        operation->column = (uint32_t)(random_next(world) % 15);
}

/* Most events do nothing that is refused, or nearly all would be. */
static void make_event(struct world *world, struct event *event)
{
    bool is_careless = chance(world, 15);

    event->n_operations = 1 + (int)(random_next(world) % OPERATIONS_MAX);
    event->is_undone = chance(world, 15);
    event->is_prefetched = chance(world, 20);
    for (int i = 0; i < event->n_operations; i++)
        do
            make_operation(world, &event->operations[i]);
        while (!is_careless && model_judge(&event->operations[i]) != 0);
    for (int i = 0; i < event->n_operations; i++) { /* the event has moved its texts */
        struct model_operation *operation = &event->operations[i];

        if (operation->type == RS_TEXT || operation->type == RS_JSON || operation->type == RS_BYTES)
            operation->given.as.text.data = operation->value.data;
    }
}

/* ---- The store ---- */

static uint32_t find_key(const struct row *row)
{
    const struct table *table = row->table;

    for (uint32_t key = 0; key < MODEL_KEYS; key++) {
        struct rs_value values[RS_MAX_KEYS];
        uint32_t n = model_key(table->id, key, values), same = 0;

        for (uint32_t i = 0; i < n; i++) {
            const struct column *column = &table->columns[table->keys[i]];
            struct model_value a = model_of_value(column, &values[i]),
                               b = model_of_cell(column->type, &row->cells[table->keys[i]]);

            same += model_is_same(&a, &b, column->type);
        }
        if (same == n)
            return key;
    }
    fail_msg("a row of %s whose key nobody gave", table->name);
    return 0;
}

static uint32_t operation_of(uint8_t operation)
{
    return operation == CELL_ADD ? RS_ADD : operation == CELL_MAX ? RS_MAX : RS_MIN;
}

/* False: a sum does not fit its column. */
static bool upsert(struct model_row *target, const struct change_group *group, const struct row *row)
{
    uint32_t table = group->table->id;
    bool fits = true;

    if (!target->exists)
        model_fill(table, target);
    for (uint32_t i = 0; i < group->table->n_columns; i++) {
        enum rs_type type = group->table->columns[i].type;
        struct model_value value = model_of_cell(type, &row->cells[i]);

        assert_int_equal(group->operations[i], row->cells[i].operation);
        if (group->table->columns[i].is_key || group->operations[i] == CELL_NONE)
            continue;
        if (group->operations[i] == CELL_SET)
            target->values[i] = value;
        else
            model_merge(type, operation_of(group->operations[i]), &target->values[i], &value);
        fits = fits && model_fits(table, i, &target->values[i]) && model_fits(table, i, &value);
    }
    return fits;
}

static bool write_batch(struct world *world, const struct batch *batch, struct model *store)
{
    size_t n, n_rows = 0;
    const struct change_group *groups = batch_groups(batch, &n);
    bool fits = true;

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < groups[i].n_rows; j++) {
            const struct row *row = groups[i].rows[j];
            struct model_row *target = &store->rows[groups[i].table->id][find_key(row)];

            if (groups[i].change == CHANGE_DELETE)
                target->exists = false;
            else
                fits = upsert(target, &groups[i], row) && fits;
        }
        n_rows += groups[i].n_rows;
    }
    assert_int_equal(n_rows, batch_rows(batch));
    world->counts.rows += (long)n_rows;
    return fits;
}

static void check_group(const struct change_group *group, bool *ret_is_seen)
{
    assert_true(group->n_rows > 0);
    for (size_t i = 0; i < group->n_rows; i++) {
        uint32_t key = find_key(group->rows[i]);

        assert_ptr_equal(group->rows[i]->table, group->table);
        assert_false(ret_is_seen[key]);
        ret_is_seen[key] = true;
        if (i > 0)
            assert_true(find_key(group->rows[i - 1]) < key); /* the model's keys ascend */
    }
    for (uint32_t i = 0; i < group->table->n_columns; i++)
        if (group->table->columns[i].is_key)
            assert_int_equal(group->operations[i], CELL_SET);
        else if (group->table->is_shared)
            assert_int_equal(group->operations[i], group->table->columns[i].operation);
}

/* Tables in order, the shared one last and in one group; deletes first; no shape twice. */
static void check_groups(const struct batch *batch)
{
    bool is_seen[MODEL_TABLES][MODEL_KEYS] = {{false}};
    size_t n;
    const struct change_group *groups = batch_groups(batch, &n);

    for (size_t i = 0; i < n; i++) {
        check_group(&groups[i], is_seen[groups[i].table->id]);
        for (size_t j = 0; j < i; j++) {
            assert_true(groups[j].table->id <= groups[i].table->id);
            if (groups[j].table != groups[i].table)
                continue;
            assert_false(groups[i].table->is_shared);
            assert_int_equal(groups[i].change, CHANGE_UPSERT);
            if (groups[j].change == CHANGE_UPSERT)
                assert_int_not_equal(memcmp(groups[j].operations, groups[i].operations, groups[i].table->n_columns), 0);
        }
    }
}

static bool has_misfit(const struct model *model)
{
    for (uint32_t t = 0; t < MODEL_TABLES; t++)
        for (uint32_t k = 0; k < MODEL_KEYS; k++)
            for (uint32_t c = 0; c < model_tables[t].n_columns && model->rows[t][k].exists; c++)
                if (!model_fits(t, c, &model->rows[t][k].values[c]))
                    return true;
    return false;
}

static void check_same(const struct model *store, const struct model *model)
{
    for (uint32_t t = 0; t < MODEL_TABLES; t++)
        for (uint32_t k = 0; k < MODEL_KEYS; k++) {
            const struct model_row *a = &store->rows[t][k], *b = &model->rows[t][k];

            if (a->exists != b->exists)
                fail_msg("row %u of %s: the store says %d, the model %d", k, model_tables[t].name, a->exists, b->exists);
            for (uint32_t c = 0; c < model_tables[t].n_columns && a->exists; c++)
                if (!model_tables[t].columns[c].is_key &&
                    !model_is_same(&a->values[c], &b->values[c], model_tables[t].columns[c].type))
                    fail_msg("%s.%s of row %u differs from the model", model_tables[t].name, model_tables[t].columns[c].name, k);
        }
}

/* ---- Batches ---- */

static void roll_back(struct world *world)
{
    world->counts.rolled_back++;
    world->is_in_flight = false;
    world->now = world->store;
    world->n_kept = 0;
    world->has_extremes = false;
    batch_reset(world->fold, NULL, world->cache);
    batch_reset(world->other, NULL, world->cache);
    row_cache_clear(world->cache);
}

/* The batch in flight commits or fails. */
static void settle(struct world *world)
{
    static struct model written;

    if (!world->is_in_flight)
        return;
    written = world->store;
    if (!write_batch(world, world->other, &written)) {
        assert_true(has_misfit(&world->sent));
        roll_back(world);
        return;
    }
    check_same(&written, &world->sent);
    if (chance(world, 8)) {
        roll_back(world);
        return;
    }
    world->store = written;
    world->is_in_flight = false;
    row_cache_absorb(world->cache, world->other);
    batch_forget_earlier(world->fold);
}

static void close_batch(struct world *world)
{
    struct batch *closed = world->fold;
    struct error error = {0};
    int result;

    settle(world);
    result = batch_close(closed, &error);
    if (result != 0) {
        assert_int_equal(result, ERROR_POISON);
        assert_true(world->has_extremes || has_misfit(&world->now));
        world->counts.poisoned++;
        roll_back(world);
        return;
    }
    check_groups(closed);
    world->fold = world->other;
    world->other = closed;
    world->is_in_flight = true;
    world->sent = world->now;
    world->n_kept = 0;
    world->has_extremes = false;
    batch_reset(world->fold, closed, world->cache);
}

static void load(struct world *world)
{
    struct cell cells[MODEL_COLUMNS];
    const struct wanted_row *wanted;
    struct error error;
    size_t n;
    bool by_cache = chance(world, 50);

    wanted = batch_wanted(world->fold, &n);
    for (size_t i = 0; i < n; i++) {
        const struct table *table = wanted[i].table;
        uint32_t key = find_key(wanted[i].row);
        const struct model_row *row = &world->store.rows[table->id][key];
        struct rs_value keys[RS_MAX_KEYS];

        for (size_t j = 0; j < i; j++)
            assert_ptr_not_equal(wanted[j].key, wanted[i].key);
        model_key(table->id, key, keys);
        for (uint32_t c = 0; c < table->n_columns; c++)
            cells[c] = model_to_cell(table->columns[c].type, &row->values[c]);
        for (uint32_t j = 0; j < table->n_keys; j++)
            cells[table->keys[j]] = wanted[i].keys[j];
        if (by_cache)
            assert_int_equal(
                row_cache_put(world->cache, table, wanted[i].key, wanted[i].key_size, row->exists ? cells : NULL, 0, &error), 0);
        else
            assert_int_equal(batch_load(world->fold, i, row->exists ? cells : NULL, 0, &error), 0);
        world->counts.loads++;
    }
    batch_clear_wanted(world->fold);
}

/* ---- Folding ---- */

static int call(struct world *world, const struct model_operation *operation, struct rs_value *ret_value, bool *ret_exists,
                struct error *ret_error)
{
    struct batch *batch = world->fold;
    struct rs_value keys[RS_MAX_KEYS];
    uint32_t n = model_key(operation->table, operation->key, keys);
    struct row *row;
    int result = batch_row(batch, operation->table, keys, n, &row, ret_error);

    if (result != 0) {
        assert_int_equal(result, FOLD_FULL);
        return result;
    }
    switch (operation->kind) {
    case MODEL_SET:
        return batch_set(batch, row, operation->column, &operation->given, ret_error);
    case MODEL_APPLY:
        return batch_apply(batch, row, operation->column, operation->operation, &operation->given, ret_error);
    case MODEL_REMOVE:
        return batch_remove(batch, row, ret_error);
    case MODEL_GET:
        return batch_get(batch, row, operation->column, operation->type, ret_value, ret_error);
    default:
        return batch_exists(batch, row, ret_exists, ret_error);
    }
}

/* May a sum of such values leave its column's bounds although the row stays within? */
static bool is_extreme(const struct model_operation *operation)
{
    const int128 large = operation->type == RS_INT ? INT64_C(1) << 60 : 1000000;
    int128 value = operation->type == RS_INT ? operation->value.number : operation->coefficient;

    return operation->kind == MODEL_APPLY && operation->operation == RS_ADD && (value > large || value < -large);
}

/* What a read gives must be what the model has, unless that is a sum which does not fit. */
static void check_read(const struct model_operation *operation, const struct model *model, const struct rs_value *value,
                       bool exists, int result)
{
    const struct model_row *row = &model->rows[operation->table][operation->key];
    const struct column *column = &model_tables[operation->table].columns[operation->column];
    struct model_value nothing = {.is_null = true}, read;

    if (operation->kind == MODEL_EXISTS) {
        assert_int_equal(result, 0);
        assert_int_equal(exists, row->exists);
        return;
    }
    if (column->is_key) {
        assert_int_equal(value->type != 0, row->exists);
        return;
    }
    if (result != 0) {
        assert_true(row->exists && !model_fits(operation->table, operation->column, &row->values[operation->column]));
        return;
    }
    read = model_of_value(column, value);
    assert_true(model_is_same(&read, row->exists ? &row->values[operation->column] : &nothing, column->type));
    assert_true(!row->exists || model_fits(operation->table, operation->column, &row->values[operation->column]));
}

/* Hints, right or wrong, must change nothing. */
static void look_ahead(struct world *world, const struct model_operation *operation)
{
    const struct table *table = &model_tables[operation->table];
    struct rs_value keys[RS_MAX_KEYS] = {{0}};
    bool is_text = model_key(table->id, operation->key, keys) > 0 && keys[0].type == RS_TEXT;

    batch_fetch(world->fold, is_text ? batch_expect(world->fold, keys[0].as.text.data, keys[0].as.text.size)
                                     : batch_expect(world->fold, NULL, 0));
}

static int run_operation(struct world *world, const struct model_operation *operation, struct model *model)
{
    struct error error = {0};
    struct rs_value value;
    bool exists = false;
    int expected = model_judge(operation);
    int result = call(world, operation, &value, &exists, &error);
    bool is_read = operation->kind == MODEL_GET || operation->kind == MODEL_EXISTS;

    world->counts.operations++;
    assert_true(result != FOLD_FULL || world->n_kept > 0); /* never for the first event */
    if (result < 0)
        assert_true(error.class == result && error.text[0] != '\0');
    if (expected != 0) {
        assert_true(result == expected || result == FOLD_FULL);
        return result;
    }
    world->has_extremes = world->has_extremes || is_extreme(operation);
    if (result == FOLD_NEEDS_ROW)
        return result;
    if (is_read && (result == 0 || operation->kind == MODEL_GET) && !(result == FOLD_FULL && batch_is_full(world->fold)))
        check_read(operation, model, &value, exists, result);
    else if (result == ERROR_POISON)
        assert_true(world->n_kept == 0 && world->has_extremes);
    else if (result != FOLD_FULL)
        assert_int_equal(result, 0);
    if (result == 0 && !is_read)
        model_apply(model, operation);
    return result;
}

static void prefetch(struct world *world, const struct event *event)
{
    for (int i = 0; i < event->n_operations; i++) {
        struct rs_value keys[RS_MAX_KEYS];
        uint32_t n = model_key(event->operations[i].table, event->operations[i].key, keys);
        bool is_shared = model_tables[event->operations[i].table].is_shared;
        struct error error;
        int result = batch_want(world->fold, event->operations[i].table, keys, n, &error);

        assert_true(result == 0 || (is_shared && result == ERROR_BUG));
    }
}

static int attempt(struct world *world, const struct event *event)
{
    static struct model model;
    int result = 0;

    model = world->now;
    for (int i = 0; i < event->n_operations; i++)
        look_ahead(world, &event->operations[i]);
    batch_begin(world->fold, "topic", 0, world->counts.events);
    for (int i = 0; i < event->n_operations && result == 0; i++)
        result = run_operation(world, &event->operations[i], &model);
    if (result != 0 || event->is_undone) {
        batch_undo(world->fold);
        world->counts.undone++;
        return result;
    }
    batch_keep(world->fold);
    world->n_kept++;
    world->counts.kept++;
    world->now = model;
    return 0;
}

static void run_event(struct world *world)
{
    static struct event event;
    int attempts = 0, result;

    make_event(world, &event);
    world->counts.events++;
    do {
        if (attempts++ > ATTEMPTS_MAX)
            fail_msg("the event never ends");
        result = attempt(world, &event);
        if (result == FOLD_NEEDS_ROW) {
            settle(world);
            if (event.is_prefetched)
                prefetch(world, &event);
            load(world);
        } else if (result == FOLD_FULL) {
            world->counts.full++;
            close_batch(world);
        } else if (result != 0) {
            world->counts.refused++;
        }
    } while (result > 0);
}

/* Rows that no event asks for: enough to make the rest of the cache old, or to push it out. */
static void fill_cache(struct world *world)
{
    uint32_t n = (uint32_t)(random_next(world) % FILLERS_MAX);

    for (uint32_t i = 0; i < n; i++) {
        uint8_t key[600] = {'z', (uint8_t)(i >> 8), (uint8_t)i};
        struct error error;

        assert_int_equal(row_cache_put(world->cache, &model_tables[0], key, sizeof key, NULL, 0, &error), 0);
    }
}

static void run_sequence(struct world *world, uint64_t seed)
{
    struct batch *const *pair;
    int filled_at = seed % 25 == 0 ? EVENTS_PER_SEQUENCE / 2 : -1;

    world->random_state = seed;
    pair = world->pairs[random_next(world) % PAIRS];
    world->fold = pair[0];
    world->other = pair[1];
    memset(&world->store, 0, sizeof world->store);
    roll_back(world);
    for (int i = 0; i < EVENTS_PER_SEQUENCE; i++) {
        run_event(world);
        if (batch_is_full(world->fold) || chance(world, 10))
            close_batch(world);
        if (chance(world, 20))
            settle(world);
        if (chance(world, 1))
            row_cache_clear(world->cache);
        if (i == filled_at)
            fill_cache(world);
    }
    close_batch(world);
    settle(world);
}

static uint64_t running_seed;

static void report_seed(void)
{
    if (running_seed != 0)
        print_message("seed %llu: run `fold_property_test 1 %llu`\n", (unsigned long long)running_seed,
                      (unsigned long long)running_seed);
}

static void test_the_fold_equals_its_model(void **state)
{
    static const struct batch_limits limits[PAIRS] = {{100, 1 << 20}, {3, 1 << 20}, {100, 3000}, {1, 1}};
    static struct world world;

    (void)state;
    for (int i = 0; i < PAIRS; i++)
        for (int j = 0; j < 2; j++) {
            world.pairs[i][j] = batch_new(model_tables, MODEL_TABLES, &limits[i], (uint64_t)(2 * i + j));
            assert_non_null(world.pairs[i][j]);
        }
    world.cache = row_cache_new(model_tables, MODEL_TABLES, 0, 99);
    assert_non_null(world.cache);
    for (long i = 0; i < wanted_sequences; i++) {
        running_seed = first_seed + (uint64_t)i;
        run_sequence(&world, running_seed);
    }
    running_seed = 0;
    print_message("%ld events, %ld operations: %ld kept, %ld undone, %ld refused, %ld rows loaded, %ld times full, %ld poisoned, "
                  "%ld rolled back, %ld rows written\n",
                  world.counts.events, world.counts.operations, world.counts.kept, world.counts.undone, world.counts.refused,
                  world.counts.loads, world.counts.full, world.counts.poisoned, world.counts.rolled_back, world.counts.rows);
    if (wanted_sequences >= QUICK_SEQUENCES) /* the paths were taken */
        assert_true(world.counts.kept > 0 && world.counts.undone > 0 && world.counts.refused > 0 && world.counts.loads > 0 &&
                    world.counts.full > 0 && world.counts.poisoned > 0 && world.counts.rows > 0);
    for (int i = 0; i < PAIRS; i++)
        for (int j = 0; j < 2; j++)
            batch_free(world.pairs[i][j]);
    row_cache_free(world.cache);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_fold_equals_its_model),
    };
    int result;

    if (argc > 1)
        wanted_sequences = strtoll(argv[1], NULL, 10);
    if (argc > 2)
        first_seed = strtoull(argv[2], NULL, 10);
    result = cmocka_run_group_tests(tests, NULL, NULL);
    report_seed();
    return result;
}
