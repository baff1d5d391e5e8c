"""What a task may touch when topics, workers and operators change around it."""
import contextlib
import decimal

import oracle
from servers import eventually
from worker import readside


def running(worker, topic, partition):
    return worker.lines(f"partition claimed.*topic={topic} partition={partition} ")


def test_a_topic_that_a_pattern_finds_later_is_read_from_its_beginning(scene, server_store, kafka, name):
    made = scene(server_store, start="latest", assignor="range", partitions=2, topics=[f"^{name}_.*"])
    made.produce(list(oracle.random_events(100, 20)))
    worker = made.worker()
    eventually(lambda: running(worker, made.topic, 0) and running(worker, made.topic, 1))
    later = kafka.create_topic(f"{name}_later", 2)
    records = list(oracle.random_events(200, 20, seed=2))
    kafka.produce(later, records)
    bank = oracle.Bank(records)
    eventually(lambda: bank.difference(made.accounts()) == "", 60)


def test_equal_numbers_of_two_topics_run_together_or_not_at_all(scene, server_store, kafka, name):
    """One worker knows one of two topics that feed the same table, the other knows both: a rolling change."""
    made = scene(server_store, assignor="range", partitions=2, group_id=name)
    other = kafka.create_topic(f"{name}_other", 2)
    old = made.worker("old")
    eventually(lambda: running(old, made.topic, 1))
    new = made.worker("new", topics=[made.topic, other])
    eventually(lambda: new.lines(f"a partition waits.*topic={other}.*other_topic={made.topic}"), 60)
    records = list(oracle.random_events(300, 20))
    made.produce(records)
    kafka.produce(other, records)
    bank = oracle.Bank(records).feed(records)
    assert old.stop() == 0
    eventually(lambda: bank.difference(made.accounts()) == "", 60)


def test_a_reset_before_the_first_positions(scene, store, kafka, name):
    """The task has made the tables and waits for a topic when somebody drops them."""
    made = scene(store, assignor="range", topics=[f"^{name}_late.*"])
    worker = made.worker()

    def is_made():
        with contextlib.suppress(Exception):
            return store.query("SELECT count(*) FROM accounts") == [(0,)]
    eventually(is_made)
    assert readside("reset", "--yes", worker.config, "bank").returncode == 0
    topic = kafka.create_topic(f"{name}_late", 2)
    records = list(oracle.random_events(200, 20))
    kafka.produce(topic, records)
    bank = oracle.Bank(records)
    eventually(lambda: running(worker, topic, 0) and running(worker, topic, 1), 60)
    eventually(lambda: bank.difference(made.accounts()) == "", 60)
    assert worker.is_running()


def test_resets_while_a_task_starts(scene, store):
    """What it looks at may be half gone; each of the two spoils one look at most."""
    made = scene(store)
    worker = made.worker()
    for _ in range(2):
        eventually(lambda: readside("reset", "--yes", worker.config, "bank").returncode == 0)
    records = list(oracle.random_events(200, 20))
    made.produce(records)
    bank = oracle.Bank(records)

    def agrees():
        with contextlib.suppress(Exception):  # the tables may be gone still
            return bank.difference(made.accounts()) == ""
    eventually(agrees, 60)
    assert worker.is_running()


def test_topics_of_a_pattern_must_have_equally_many_partitions(scene, server_store, kafka, name):
    made = scene(server_store, assignor="range", partitions=2, topics=[f"^{name}_.*"])
    kafka.create_topic(f"{name}_more", 3)
    worker = made.worker()
    eventually(lambda: worker.lines("partition counts must be equal"), 30)
    assert made.accounts() == []


def test_resume_is_noticed_while_other_partitions_are_busy(scene, server_store):
    made = scene(server_store, partitions=2)
    made.produce([("a", "junk", 0), ("b", oracle.deposited("b", "1.00")[1], 1)])
    worker = made.worker()
    eventually(lambda: made.positions().get(0, (0, ""))[1] == "halted")
    first = len(worker.lines("partition halted"))
    assert readside("resume", worker.config, "bank", made.topic, "0").returncode == 0

    def noticed():
        made.produce([("b", oracle.deposited("b", "1.00")[1], 1) for _ in range(20)])
        return len(worker.lines("partition halted")) > first  # it has tried the event again
    eventually(noticed, 40)


TOO_LATE = {"postgresql": "statement timeout", "mariadb": "max_statement_time exceeded", "mysql": "the connection to the server"}


def test_a_batch_that_takes_too_long_becomes_smaller(scene, server_store):
    made = scene(server_store, partitions=1)
    made.produce([oracle.deposited("first", "1.00")])
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    # MySQL limits no writes by time: there the connection is cut 5 s later.
    n, milliseconds = (600, 14) if server_store.server.kind == "mysql" else (1000, 4)
    server_store.slow_inserts("accounts__v1", milliseconds)
    made.produce([oracle.deposited(f"a{i}", "1.00") for i in range(n)])
    worker = made.worker("slow", store={"statement_timeout": "1s", "lock_timeout": "1s", "allow_constraints": True})
    made.reaches_end()
    assert len(made.accounts()) == n + 1
    assert worker.lines(TOO_LATE[server_store.server.kind])


def test_an_event_that_the_store_refuses_is_named_with_its_key(scene, server_store):
    made = scene(server_store, partitions=1)
    made.produce([oracle.deposited("a", "1.00")])
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    server_store.query("ALTER TABLE accounts__v1 ADD CONSTRAINT positive CHECK (balance >= 0)")
    made.produce([oracle.deposited("b", "1.00"), oracle.withdrawn("poor", "1.00"), oracle.deposited("b", "1.00")])
    made.worker("w2", store={"allow_constraints": True})
    eventually(lambda: made.positions()[0][1] == "halted", 60)
    offset, _, reason = made.positions()[0]
    assert offset == 2 and "offset 2, key poor:" in reason and "positive" in reason
    assert dict((row[0], row[2]) for row in made.accounts()) == {"a": decimal.Decimal("1.00"), "b": decimal.Decimal("1.00")}


def test_a_member_without_partitions_leaves_its_group_too(scene, server_store, kafka, name):
    made = scene(server_store, partitions=1, tasks=2, group_id=name)
    worker = made.worker()
    eventually(lambda: kafka.group(name) == ("Stable", 2) and running(worker, made.topic, 0))
    assert worker.stop() == 0
    assert kafka.group(name) == ("Empty", 0)  # otherwise the next ones wait until its session is over


def test_static_members_stay_in_their_group(scene, server_store, kafka, name):
    made = scene(server_store, partitions=1, tasks=2, group_id=name, group_instance_id="bank")
    worker = made.worker()
    eventually(lambda: kafka.group(name) == ("Stable", 2) and running(worker, made.topic, 0))
    assert worker.stop() == 0
    assert kafka.group(name) == ("Stable", 2)  # also the one without a partition: they may be back in a moment


def test_a_task_ends_while_its_join_waits_for_other_members(scene, server_store, kafka, name):
    made = scene(server_store, partitions=2, group_id=name)
    worker = made.worker()
    eventually(lambda: running(worker, made.topic, 1))
    with kafka.slow_member(name, made.topic) as joined:  # the worker gives it a partition up, and joins again for it to be assigned
        eventually(joined.is_set)
        eventually(lambda: kafka.group(name) == ("PreparingRebalance", 2))
        assert worker.stop() == 0
    assert worker.lines("the broker did not let this member go in time")
    assert worker.lines("task stopped.*exit code 0") and not worker.lines("killed by signal")
