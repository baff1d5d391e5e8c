/*
 * progress and recovery, by example. The simulation shows that they hold together; this shows what each of them says.
 */
#include "task/progress.h"
#include "task/recovery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static const char topic[] = "bank";

static struct partition *running(struct progress *progress, int64_t offset)
{
    struct store_position position = {.topic = topic, .next_offset = offset, .epoch = 3, .leader_epoch = 7};
    struct partition *partition;

    assert_int_equal(progress_add(progress, topic, 0, NULL), 0);
    partition = progress_find(progress, topic, 0);
    partition_claim(partition, &position);
    partition->state = PARTITION_RUNNING;
    return partition;
}

static struct record data(int64_t offset)
{
    return (struct record){.kind = RECORD_DATA, .topic = topic, .offset = offset, .leader_epoch = 7};
}

static struct record end(int64_t offset)
{
    return (struct record){.kind = RECORD_END, .topic = topic, .offset = offset, .leader_epoch = -1};
}

static void test_records_below_the_position_are_dropped(void **state)
{
    struct progress progress = {0};
    struct partition *partition = running(&progress, 10), *found = NULL;
    struct record old = data(9), expected = data(10), later = data(12);

    (void)state;
    assert_int_equal(progress_take(&progress, &old, &found), TAKE_DROP);
    assert_int_equal(progress.dropped, 1);
    assert_int_equal(progress_take(&progress, &expected, &found), TAKE_ACCEPT);
    assert_ptr_equal(found, partition);
    assert_int_equal(progress_take(&progress, &later, &found), TAKE_GAP);
    partition_advance(partition, &expected);
    assert_int_equal(progress_take(&progress, &expected, &found), TAKE_DROP);
    progress_free(&progress);
}

static void test_partitions_that_are_not_running_take_nothing(void **state)
{
    struct progress progress = {0};
    struct partition *partition = running(&progress, 10), *found = NULL;
    struct record record = data(10), mark = end(20);

    (void)state;
    partition->state = PARTITION_WAITING;
    assert_int_equal(progress_take(&progress, &record, &found), TAKE_DROP);
    partition_end(partition, &mark);
    assert_int_equal(partition->next.offset, 10);
    partition->state = PARTITION_RUNNING;
    partition_halt(partition, "poison", true, "why");
    assert_int_equal(progress_take(&progress, &record, &found), TAKE_DROP);
    progress_free(&progress);
}

static void test_a_write_moves_what_was_taken_and_no_more(void **state)
{
    struct progress progress = {0};
    struct partition *partition = running(&progress, 10);
    struct record first = data(10), second = data(11);
    struct store_move moves[1];

    (void)state;
    assert_false(progress_has_moved(&progress));
    partition_advance(partition, &first);
    assert_int_equal(progress_send(&progress, moves), 1);
    assert_int_equal(moves[0].base, 10);
    assert_int_equal(moves[0].next, 11);
    assert_int_equal(moves[0].events, 1);
    assert_int_equal(moves[0].epoch, 3);
    assert_null(moves[0].halt_kind);
    partition_advance(partition, &second); /* while the write is under way */
    progress_commit(&progress);
    assert_int_equal(partition->base.offset, 11);
    assert_int_equal(partition->next.offset, 12);
    assert_int_equal(progress_send(&progress, moves), 1);
    assert_int_equal(moves[0].base, 11);
    assert_int_equal(moves[0].next, 12);
    assert_int_equal(moves[0].events, 1);
    progress_free(&progress);
}

static void test_a_rewind_forgets_what_is_not_committed(void **state)
{
    struct progress progress = {0};
    struct partition *partition = running(&progress, 10);
    struct record record = data(10);
    struct store_move moves[1];

    (void)state;
    partition_advance(partition, &record);
    assert_int_equal(progress_send(&progress, moves), 1);
    progress_rewind(&progress);
    assert_int_equal(partition->next.offset, 10);
    assert_false(progress_has_moved(&progress));
    assert_int_equal(partition->events, 0);
    progress_free(&progress);
}

static void test_a_halt_of_an_event_is_off_after_a_rewind_another_is_not(void **state)
{
    struct progress progress = {0};
    struct partition *partition = running(&progress, 10);
    struct store_move moves[1];

    (void)state;
    partition_halt(partition, "poison", true, "the event is bad");
    assert_int_equal(progress_send(&progress, moves), 1);
    assert_string_equal(moves[0].halt_kind, "poison");
    progress_rewind(&progress);
    assert_int_equal(partition->state, PARTITION_RUNNING);
    partition_halt(partition, "identity", false, "another cluster");
    assert_int_equal(progress_send(&progress, moves), 1);
    progress_rewind(&progress);
    assert_int_equal(partition->state, PARTITION_HALTED);
    assert_int_equal(progress_send(&progress, moves), 1);
    progress_commit(&progress);
    assert_int_equal(partition->halt, HALT_WRITTEN);
    assert_false(progress_has_moved(&progress));
    progress_free(&progress);
}

static void test_the_end_is_reached_when_it_is_committed(void **state)
{
    struct progress progress = {0};
    struct partition *partition = running(&progress, 10);
    struct record mark = end(15);
    struct store_move moves[1];

    (void)state;
    assert_false(progress_is_at_end(&progress));
    partition_end(partition, &mark);
    assert_int_equal(partition->next.offset, 15);
    assert_false(progress_is_at_end(&progress));
    assert_int_equal(progress_send(&progress, moves), 1);
    progress_commit(&progress);
    assert_true(progress_is_at_end(&progress));
    progress_free(&progress);
}

static void test_removal_keeps_the_others(void **state)
{
    struct progress progress = {0};
    struct record record = {.kind = RECORD_DATA, .topic = topic, .partition = 2, .offset = 5};
    struct partition *found = NULL;

    (void)state;
    for (int i = 0; i < 40; i++)
        assert_int_equal(progress_add(&progress, topic, i, NULL), 0);
    assert_int_equal(progress_add(&progress, topic, 3, NULL), ERROR_BUG);
    progress_find(&progress, topic, 2)->state = PARTITION_RUNNING;
    progress_find(&progress, topic, 2)->next.offset = 5;
    assert_int_equal(progress_take(&progress, &record, &found), TAKE_ACCEPT);
    progress_remove(&progress, topic, 1);
    assert_int_equal(progress_take(&progress, &record, &found), TAKE_ACCEPT);
    assert_int_equal(found->partition, 2);
    progress_remove(&progress, topic, 2);
    assert_int_equal(progress_take(&progress, &record, &found), TAKE_DROP);
    assert_int_equal(progress.n, 38);
    progress_free(&progress);
}

static void test_resolve_tells_what_became_of_a_write(void **state)
{
    struct store_position position = {.next_offset = 20};

    (void)state;
    assert_int_equal(recovery_judge_resolved(&position, 10, 20), RESOLVE_DONE);
    assert_int_equal(recovery_judge_resolved(&position, 20, 30), RESOLVE_RERUN);
    assert_int_equal(recovery_judge_resolved(&position, 20, 20), RESOLVE_RERUN);
    assert_int_equal(recovery_judge_resolved(&position, 25, 30), RESOLVE_WENT_BACK);
    assert_int_equal(recovery_judge_resolved(&position, 10, 30), RESOLVE_FENCED);
    assert_int_equal(recovery_judge_resolved(&position, 10, 15), RESOLVE_FENCED);
    position.is_missing = true;
    assert_int_equal(recovery_judge_resolved(&position, 10, 20), RESOLVE_FENCED);
}

static enum claim_verdict judge(const struct store_position *position, const struct partition_facts *facts, const char **ret_kind)
{
    static char reason[HALT_REASON_SIZE];

    return recovery_judge_claim(position, facts, "cluster", ret_kind, reason, sizeof reason);
}

static void test_a_claim_is_held_against_the_broker(void **state)
{
    struct partition_facts facts = {.topic = topic, .low = 5, .high = 50, .topic_id = {1}};
    struct store_position position = {.topic = topic, .next_offset = 20, .cluster_id = "cluster", .topic_id = {1},
                                      .halt_kind = ""};
    const char *kind = NULL;

    (void)state;
    assert_int_equal(judge(&position, &facts, &kind), CLAIM_RUN);
    position.next_offset = 5;
    assert_int_equal(judge(&position, &facts, &kind), CLAIM_RUN);
    position.next_offset = 50;
    assert_int_equal(judge(&position, &facts, &kind), CLAIM_RUN);
    position.next_offset = 4;
    assert_int_equal(judge(&position, &facts, &kind), CLAIM_HALT);
    assert_string_equal(kind, "range");
    position.next_offset = 51;
    assert_int_equal(judge(&position, &facts, &kind), CLAIM_HALT);
    assert_string_equal(kind, "range");
    position.next_offset = 20;
    position.topic_id[0] = 2;
    assert_int_equal(judge(&position, &facts, &kind), CLAIM_HALT);
    assert_string_equal(kind, "identity");
    position.topic_id[0] = 0; /* a broker that had no topic ids */
    assert_int_equal(judge(&position, &facts, &kind), CLAIM_RUN);
    position.cluster_id = "another";
    assert_int_equal(judge(&position, &facts, &kind), CLAIM_HALT);
    assert_string_equal(kind, "identity");
    position.cluster_id = "cluster";
    position.is_halted = true;
    position.halt_kind = "range";
    assert_int_equal(judge(&position, &facts, &kind), CLAIM_STAYS_HALTED);
    position.halt_kind = "poison";
    assert_int_equal(judge(&position, &facts, &kind), CLAIM_RUN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_below_the_position_are_dropped),
        cmocka_unit_test(test_partitions_that_are_not_running_take_nothing),
        cmocka_unit_test(test_a_write_moves_what_was_taken_and_no_more),
        cmocka_unit_test(test_a_rewind_forgets_what_is_not_committed),
        cmocka_unit_test(test_a_halt_of_an_event_is_off_after_a_rewind_another_is_not),
        cmocka_unit_test(test_the_end_is_reached_when_it_is_committed),
        cmocka_unit_test(test_removal_keeps_the_others),
        cmocka_unit_test(test_resolve_tells_what_became_of_a_write),
        cmocka_unit_test(test_a_claim_is_held_against_the_broker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
