"""Bad events, configs, plugins, servers: a message that names the place and the way out; nothing is lost or skipped unasked."""
import decimal
import json
import os
import signal
import subprocess

import pytest

import oracle
from servers import eventually
from worker import command, readside


def one_partition(scene, store, *records, **keys):
    made = scene(store, partitions=1, **keys)
    made.produce(records)
    return made


def halted(made, partition=0, deadline=30):
    """(next offset, reason) once the partition is halted."""
    def check():
        row = made.positions().get(partition)
        return row if row and row[1] == "halted" else None
    row = eventually(check, deadline, f"partition {partition} is halted")
    return row[0], row[2]


BAD_EVENTS = {
    "not JSON": (("a", "{this is not json"), "JSON"),
    "not an object": (("a", "[1, 2]"), "object"),
    "no type": (("a", {"account": "a", "amount": "1.00", "at": "2026-11-23T04:00:00Z"}), "type"),
    "type is a number": (("a", '{"type":{"x":1},"account":"a"}'), "type"),
    "no key": ((None, oracle.deposited("a", "1.00")[1]), "key"),
    "another key": (("b", oracle.deposited("a", "1.00")[1]), "record key"),
    "field missing": (("a", {"type": "Deposited", "account": "a", "at": "2026-11-23T04:00:00Z"}), "amount"),
    "field of another type": (("a", {"type": "Deposited", "account": "a", "amount": True, "at": "2026-11-23T04:00:00Z"}), "amount"),
    "text that is no decimal": (("a", {"type": "Deposited", "account": "a", "amount": "12,50", "at": "2026-11-23T04:00:00Z"}), "12,50"),
    "three decimals": (("a", {"type": "Deposited", "account": "a", "amount": "1.005", "at": "2026-11-23T04:00:00Z"}), "1.005"),
    "too large for the column": (("a", {"type": "Deposited", "account": "a", "amount": "1" + "0" * 18, "at": "2026-11-23T04:00:00Z"}),
                                 "balance"),
    "time without a zone": (("a", {"type": "Deposited", "account": "a", "amount": "1.00", "at": "2026-11-23T04:00:00"}), "at"),
    "account too long": (("x" * 200, {"type": "Deposited", "account": "x" * 200, "amount": "1.00", "at": "2026-11-23T04:00:00Z"}),
                         "account"),
}


@pytest.mark.parametrize("what", sorted(BAD_EVENTS))
def test_a_poison_event_stops_its_partition_and_no_other(scene, server_store, what):
    record, word = BAD_EVENTS[what]
    made = scene(server_store, partitions=2)
    made.produce([("a", oracle.deposited("a", "5.00")[1], 0), (*record, 0), ("a", oracle.deposited("a", "7.00")[1], 0)])
    made.produce([("b", oracle.deposited("b", "9.00")[1], 1)])
    worker = made.worker()
    offset, reason = halted(made)
    assert offset == 1 and "offset 1" in reason and word in reason, reason
    eventually(lambda: made.positions()[1][0] == 1)
    assert dict((row[0], row[2]) for row in made.accounts()) == {"a": decimal.Decimal("5.00"), "b": decimal.Decimal("9.00")}
    line = worker.lines("halted")[-1]
    assert f"topic={made.topic}" in line and "partition=0" in line and "offset=1" in line
    status = readside("status", worker.config)
    assert "halted" in status.stdout and word in status.stdout, status.stdout


def test_skip_lets_the_partition_go_on(scene, store):
    made = one_partition(scene, store, oracle.deposited("a", "5.00"), ("a", "junk"), oracle.deposited("a", "7.00"))
    worker = made.worker()
    assert halted(made)[0] == 1
    refused = readside("positions", worker.config, "bank", "skip", made.topic, "0", "--to", "2", "--reason", "junk")
    assert refused.returncode != 0 and "--accept-loss" in refused.stderr
    skipped = readside("positions", worker.config, "bank", "skip", made.topic, "0", "--to", "2", "--accept-loss", "--reason", "junk")
    assert skipped.returncode == 0, skipped.stderr
    made.reaches_end()
    assert [decimal.Decimal(row[2]) for row in made.accounts()] == [decimal.Decimal("12.00")]
    assert store.query("SELECT action, old_offset, new_offset, reason FROM readside_audit") == [("skip", 1, 2, "junk")]


def test_set_back_needs_to_accept_duplicates(scene, server_store):
    made = one_partition(scene, server_store, oracle.deposited("a", "5.00"))
    worker = made.worker()
    made.reaches_end()
    refused = readside("positions", worker.config, "bank", "set", made.topic, "0", "0", "--reason", "again")
    assert refused.returncode != 0 and "--accept-duplicates" in refused.stderr
    done = readside("positions", worker.config, "bank", "set", made.topic, "0", "0", "--accept-duplicates", "--reason", "again")
    assert done.returncode == 0, done.stderr
    eventually(lambda: server_store.query("SELECT balance FROM accounts") == [(decimal.Decimal("10.00"),)], 40)


def test_a_task_that_commits_meanwhile_wins_over_a_move(scene, server_store):
    made = one_partition(scene, server_store, oracle.deposited("a", "5.00"), oracle.deposited("a", "7.00"))
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    task = server_store.begin("UPDATE readside_positions SET next_offset = 1")  # stands in for one that is about to commit
    words = ("positions", worker.config, "bank", "set", made.topic, "0", "1", "--accept-duplicates", "--reason", "once more")
    move = subprocess.Popen([str(word) for word in command(*words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        eventually(server_store.is_waited_for, 30, "the move waits")
        task.commit()
        _, complaint = move.communicate(timeout=30)
    finally:
        task.close()
        move.kill()
    assert move.returncode == 77 and "has moved meanwhile (now 1)" in complaint, complaint
    assert server_store.query("SELECT count(*) FROM readside_audit") == [(0,)]


def test_resume_tries_a_poison_event_again(scene, server_store):
    made = one_partition(scene, server_store, ("a", "junk"))
    worker = made.worker()
    halted(made)
    first = len(worker.lines("partition halted"))
    done = readside("resume", worker.config, "bank", made.topic, "0")
    assert done.returncode == 0, done.stderr
    eventually(lambda: len(worker.lines("partition halted")) > first, 30)
    assert halted(made)[0] == 0


def test_a_sum_that_overflows_names_the_culprit(scene, store):
    big = "9" * 17 + "9.00"
    records = [oracle.deposited("ok", "1.00") for _ in range(50)]
    made = one_partition(scene, store, *records, oracle.deposited("a", big), oracle.deposited("a", big), oracle.deposited("ok", "1.00"))
    made.worker()
    offset, reason = halted(made, deadline=60)
    assert offset == 51, reason
    rows = {row[0]: decimal.Decimal(row[2]) for row in made.accounts()}
    assert rows == {"ok": decimal.Decimal("50.00"), "a": decimal.Decimal(big)}


def test_a_constraint_of_the_database_names_the_culprit(scene, server_store):
    made = one_partition(scene, server_store, oracle.deposited("a", "1.00"))
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    server_store.query("ALTER TABLE accounts__v1 ADD CONSTRAINT positive CHECK (balance >= 0)")
    made.produce([oracle.deposited("b", "1.00") for _ in range(30)] + [oracle.withdrawn("c", "1.00")] +
                 [oracle.deposited("b", "1.00") for _ in range(5)])
    made.worker("w2", store={"allow_constraints": True})
    offset, reason = halted(made, deadline=60)
    assert offset == 31 and "positive" in reason, reason
    assert dict((row[0], row[2]) for row in made.accounts())["b"] == decimal.Decimal("30.00")


def test_a_row_of_two_partitions_stops_the_second(scene, server_store):
    made = scene(server_store, partitions=2)
    made.produce([("a", oracle.deposited("a", "1.00")[1], 0)])
    made.worker()
    eventually(lambda: made.positions().get(0, (0,))[0] == 1)
    made.produce([("a", oracle.deposited("a", "1.00")[1], 1)])
    _, reason = halted(made, 1, 60)
    assert "belongs to" in reason or "touched from partition" in reason, reason
    assert server_store.query("SELECT balance FROM accounts") == [(decimal.Decimal("1.00"),)]


def test_a_crashing_plugin_harms_its_pipeline_only(scene, server_store):
    made = one_partition(scene, server_store, ("a", {"type": "Crash", "account": "a"}), plugin="naughty")
    worker = made.worker()
    worker.wait_log("task|signal", 20)
    assert worker.is_running()


@pytest.mark.parametrize("event, word", [("UnknownColumn", ""), ("UnknownVerdict", "")])
def test_a_broken_plugin_is_told(scene, server_store, event, word):
    made = one_partition(scene, server_store, ("a", {"type": event, "account": "a"}), plugin="naughty")
    worker = made.worker()
    worker.wait_log("level=(error|warn)", 20)
    assert worker.is_running()
    assert made.positions().get(0, (0,))[0] == 0


# ---- Configuration, plugins, servers ----

def check(made, **changes):
    return readside("check", made.config("checked", **changes))


def test_check_says_ok(scene, store):
    made = one_partition(scene, store, oracle.deposited("a", "1.00"))
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    result = readside("check", worker.config)
    assert result.returncode == 0, result.stdout + result.stderr


def test_an_unknown_key_is_refused_with_place_and_nearest_name(scene, store):
    made = one_partition(scene, store)
    result = check(made, tpoics=["x"])
    assert result.returncode == 78
    assert "tpoics" in result.stdout + result.stderr and "topics" in result.stdout + result.stderr
    assert "readside.conf:" in result.stdout + result.stderr


def test_a_missing_plugin(scene, store):
    result = check(one_partition(scene, store), plugin="nowhere")
    assert result.returncode == 78 and "nowhere.so" in result.stdout + result.stderr


def test_a_plugin_of_another_abi(scene, store):
    result = check(one_partition(scene, store), plugin="bad_major")
    assert result.returncode == 78 and "compile the plugin again" in result.stdout + result.stderr


def test_a_plugin_without_the_function(scene, store):
    result = check(one_partition(scene, store), plugin="bad_symbol")
    assert result.returncode == 78 and "readside_projection" in result.stdout + result.stderr


def test_an_unknown_plugin_option(scene, store):
    result = check(one_partition(scene, store), options={"daily_total": True})
    assert result.returncode == 78 and "daily_totals" in result.stdout + result.stderr


def test_an_unreachable_broker(scene, store):
    made = one_partition(scene, store)
    made.bootstrap = "127.0.0.1:1"
    result = check(made)
    assert result.returncode != 0 and "127.0.0.1:1" in result.stdout + result.stderr


def test_an_unreachable_store(scene, server_store):
    result = check(one_partition(scene, server_store), store={"uri": server_store.uri_at(1)})
    assert result.returncode != 0 and "127.0.0.1" in result.stdout + result.stderr


def test_a_wrong_password(scene, server_store, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("not it")
    result = check(one_partition(scene, server_store), store={"password": f"file:{wrong}"})
    assert result.returncode == 78 and "password" in result.stdout + result.stderr


def test_a_missing_topic(scene, store):
    made = one_partition(scene, store)
    result = check(made, topics=["there_is_no_such_topic"])
    assert result.returncode != 0 and "there_is_no_such_topic" in result.stdout + result.stderr


def test_a_missing_topic_ends_the_pipeline_with_a_reason(scene, server_store):
    made = one_partition(scene, server_store)
    worker = made.worker("w1", topics=["there_is_no_such_topic"])
    worker.wait_log("there_is_no_such_topic", 30)


def test_a_table_that_differs(scene, store):
    made = one_partition(scene, store, oracle.deposited("a", "1.00"))
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    store.query("ALTER TABLE accounts__v1 RENAME COLUMN owner TO holder")
    result = check(made)
    assert result.returncode == 78
    assert "accounts__v1" in result.stdout + result.stderr and "owner" in result.stdout + result.stderr


def test_a_table_that_differs_is_looked_at_again_before_the_task_gives_up(scene, store):
    """It may be about to be dropped or altered; what stays wrong ends the task."""
    made = one_partition(scene, store, oracle.deposited("a", "1.00"))
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    store.query("ALTER TABLE accounts__v1 RENAME COLUMN owner TO holder")
    worker = made.worker("w2")
    worker.wait_log("task cannot go on.*column owner is missing", 30)
    assert len(worker.lines("trying again.*column owner is missing")) == 2


def test_schema_check_does_not_create(scene, store):
    made = one_partition(scene, store)
    result = check(made, store={"schema": "check"})
    assert result.returncode != 0 and "schema" in result.stdout + result.stderr


def test_check_and_status_make_nothing(scene, store):
    made = one_partition(scene, store)
    result = check(made)
    assert result.returncode == 0 and "what is missing will be made at the start" in result.stdout, result.stdout + result.stderr
    status = readside("status", made.config("looked"))
    assert status.returncode == 0 and "no positions yet" in status.stdout, status.stderr
    if store.kind == "sqlite":
        assert not store.path.exists()
    elif store.kind == "mysql":
        assert store.query("SHOW TABLES") == []
    else:
        assert store.query("SELECT relname FROM pg_class WHERE relname LIKE 'readside%%' OR relname LIKE 'accounts%%'") == []


def test_check_looks_behind_a_missing_table(scene, store):
    made = one_partition(scene, store, oracle.deposited("a", "1.00"))
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    store.query("DROP TABLE readside_audit")
    assert check(made).returncode == 0
    store.query("ALTER TABLE accounts__v1 RENAME COLUMN owner TO holder")
    result = check(made)
    assert result.returncode == 78 and "column owner is missing" in result.stdout and "readside_audit" in result.stdout, result.stdout


NOT_EXACTLY_ONCE = {"postgresql": ("ALTER TABLE accounts__v1 SET UNLOGGED", "LOGGED"),
                    "mysql": ("ALTER TABLE accounts__v1 ENGINE = MyISAM", "InnoDB")}


def test_a_table_that_does_not_keep_its_rows_is_refused(scene, server_store):
    change, word = NOT_EXACTLY_ONCE[server_store.kind]
    made = one_partition(scene, server_store, oracle.deposited("a", "1.00"))
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    server_store.query(change)
    result = check(made)
    assert result.returncode == 78 and word in result.stdout + result.stderr


def test_a_unique_index_is_refused_unless_allowed(scene, server_store):
    made = one_partition(scene, server_store, oracle.deposited("a", "1.00"))
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    server_store.query("CREATE UNIQUE INDEX extra ON accounts__v1 (owner%s)" % ("(20)" if server_store.kind == "mysql" else ""))
    result = check(made)
    assert result.returncode == 78 and "extra" in result.stdout + result.stderr
    assert check(made, store={"allow_constraints": True}).returncode == 0


def test_another_revision_is_refused(scene, server_store):
    made = one_partition(scene, server_store, oracle.deposited("a", "1.00"))
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    server_store.query("UPDATE readside_projections SET revision = 7")
    other = made.worker("w2")
    other.wait_log("revision", 30)
    assert server_store.query("SELECT max(epoch) FROM readside_positions")  # nothing else to see: it must not have gone on
    assert server_store.query("SELECT count(*) FROM accounts") == [(1,)]


def test_a_topic_created_again_stops_the_partition(scene, server_store, kafka):
    made = one_partition(scene, server_store, oracle.deposited("a", "1.00"))
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    kafka.delete_topic(made.topic)
    kafka.create_topic(made.topic, 1)
    made.produce([oracle.deposited("a", "1.00") for _ in range(5)])
    made.worker("w2")
    _, reason = halted(made)
    assert "created again" in reason
    assert server_store.query("SELECT balance FROM accounts") == [(decimal.Decimal("1.00"),)]


def test_an_empty_topic_created_again_is_taken_up_where_it_stands(scene, store, kafka):
    made = one_partition(scene, store)
    worker = made.worker()
    eventually(lambda: made.positions().get(0), 30, "a position")
    worker.stop()
    refused = readside("positions", worker.config, "bank", "set", made.topic, "0", "0", "--reason", "no need")
    assert refused.returncode == 64 and "already" in refused.stderr
    kafka.delete_topic(made.topic)
    kafka.create_topic(made.topic, 1)
    made.worker("w2")
    assert halted(made)[0] == 0
    status = readside("status", worker.config)
    assert f"set {made.topic} 0 0 --reason TEXT" in status.stdout, status.stdout
    done = readside("positions", worker.config, "bank", "set", made.topic, "0", "0", "--reason", "recreated on purpose")
    assert done.returncode == 0, done.stderr
    made.produce([oracle.deposited("a", "1.00")])
    made.reaches_end()
    assert [decimal.Decimal(row[2]) for row in made.accounts()] == [decimal.Decimal("1.00")]


def test_a_topic_created_again_under_a_running_task_stops_the_partition(scene, server_store, kafka):
    made = one_partition(scene, server_store, oracle.deposited("a", "1.00"))
    worker = made.worker()
    made.reaches_end()
    task = worker.tasks(1)[0]
    os.kill(task, signal.SIGSTOP)  # it sees the new log only when that is as long as the old one
    kafka.delete_topic(made.topic)
    kafka.create_topic(made.topic, 1)
    made.produce([oracle.deposited("a", "1.00")])
    os.kill(task, signal.SIGCONT)
    _, reason = halted(made, deadline=60)
    assert "created anew" in reason and "rebuild" in reason
    assert server_store.query("SELECT halt_kind FROM readside_positions") == [("identity",)]


def test_events_deleted_by_retention_stop_the_partition(scene, server_store, kafka):
    made = one_partition(scene, server_store, oracle.deposited("a", "1.00"))
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    made.produce([oracle.deposited("a", "1.00") for _ in range(5)])
    kafka.delete_records(made.topic, {0: 4})
    made.worker("w2")
    offset, reason = halted(made)
    assert offset == 1 and "--accept-loss" in reason


def test_added_partitions_stop_a_partitioned_pipeline(scene, server_store, kafka):
    made = one_partition(scene, server_store, oracle.deposited("a", "1.00"))
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    kafka.add_partitions(made.topic, 2)
    other = made.worker("w2")
    other.wait_log("has grown", 40)
    assert len(other.lines("first claim of a topic")) <= 1


def test_another_cluster_stops_the_partition(scene, server_store):
    made = one_partition(scene, server_store, oracle.deposited("a", "1.00"))
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    server_store.query("UPDATE readside_positions SET cluster_id = 'another'")
    made.worker("w2")
    _, reason = halted(made)
    assert "cluster" in reason


def test_two_group_ids_on_one_pipeline_do_not_count_twice(scene, server_store):
    records = list(oracle.random_events(3000, 30))
    made = scene(server_store)
    made.produce(records)
    made.worker("w1")
    made.worker("w2", group_id="another-group")
    made.agrees(oracle.Bank(records), 60)


def test_reset_drops_the_version(scene, store):
    made = one_partition(scene, store, oracle.deposited("a", "1.00"))
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    assert readside("reset", worker.config, "bank").returncode != 0  # not without a confirmation
    done = readside("reset", worker.config, "bank", "--yes")
    assert done.returncode == 0, done.stderr
    assert made.positions() == {}
    made.worker("w2")
    made.reaches_end()
    assert [decimal.Decimal(row[2]) for row in made.accounts()] == [decimal.Decimal("1.00")]


def test_reset_under_a_running_worker_builds_anew(scene, store):
    made = one_partition(scene, store, oracle.deposited("a", "1.00"))
    worker = made.worker()
    made.reaches_end()
    assert readside("reset", worker.config, "bank", "--yes").returncode == 0
    made.produce([oracle.deposited("a", "2.00")])
    made.reaches_end()
    assert [decimal.Decimal(row[2]) for row in made.accounts()] == [decimal.Decimal("3.00")]


def test_gaps_forbid_stops_at_a_gap(scene, server_store):
    made = scene(server_store, partitions=1, gaps="forbid")
    made.produce([oracle.deposited("a", "1.00")])
    made.produce([oracle.deposited("a", "1.00")], "commit")
    made.produce([oracle.deposited("a", "1.00")])
    made.worker()
    offset, reason = halted(made)
    assert offset in (2, 3) and "gaps" in reason  # the marker of the transaction may come before or after the last record
