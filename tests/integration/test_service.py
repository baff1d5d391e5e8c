"""A worker as a service: what it tells its manager, how it ends frozen tasks, when it commits."""
import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import time

import pytest

import oracle
from process import BUILD
from servers import eventually
from test_main_job import bank_scene
from worker import Readside, command, readside


class Manager:
    """systemd's side of sd_notify(3)."""

    def __init__(self, folder, watchdog_us=600000):
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(0.2)
        self.environment = {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": str(watchdog_us)}

    def hear(self, seconds=0.0):
        """The messages of so many seconds, at least one wait's."""
        until, heard = time.monotonic() + seconds, []
        while not heard or time.monotonic() < until:
            try:
                heard.append(self.socket.recv(4096).decode())
            except TimeoutError:
                if time.monotonic() >= until:
                    break
        return heard

    def forget(self):
        """Makes room: the kernel keeps ten messages for us, and those that come then are lost."""
        self.socket.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.recv(4096)
        self.socket.settimeout(0.2)

    def waits_for(self, pattern, deadline=20):
        """The first message from now on that the pattern is in."""
        def check():
            return next((found for found in (re.search(pattern, text) for text in self.hear()) if found), None)
        return eventually(check, deadline, f"a message with {pattern}")


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path)
    yield made
    made.socket.close()


def lock_accounts(store):
    """Writes wait until the connection is closed."""
    return store.lock("accounts__v1")


def waits_for_a_lock(store):
    eventually(store.is_waited_for, 20, "a write that waits")


def test_the_manager_hears_of_readiness_lag_and_stopping(scene, server_store, manager):
    made, bank = bank_scene(scene, server_store)
    worker = made.worker(environment=manager.environment)
    manager.waits_for("READY=1")
    made.agrees(bank)
    manager.waits_for("WATCHDOG=1\nSTATUS=.*lag: 0 records, 0 s")
    blocker = lock_accounts(server_store)
    more = list(oracle.random_events(700, 50, seed=3))
    made.produce(more)
    manager.waits_for("lag: 7[0-9]{2} records, [1-9][0-9]* s")  # and what marks the transaction's end
    blocker.close()
    made.agrees(bank.feed(more))
    manager.waits_for("lag: 0 records, 0 s")
    worker.send_signal(signal.SIGTERM)
    manager.waits_for("STOPPING=1")


def test_what_was_left_out_is_told_whoever_left_it_out(scene, server_store, manager):
    made, bank = bank_scene(scene, server_store)
    made.produce([("a", json.dumps({"type": "Unheard", "id": f"u-{i}"})) for i in range(3)])
    worker = made.worker(environment=manager.environment)
    manager.waits_for("left out: 3;")
    made.agrees(bank)
    worker.kill_task()
    made.produce([("a", json.dumps({"type": "Unheard", "id": "u-3"}))])
    manager.waits_for("left out: 4;", 60)
    made.agrees(bank)
    worker.stop()
    assert worker.lines("task ends.*skipped=0 unhandled=1")
    assert worker.lines("pipeline stopped.*left_out=4")


def test_a_frozen_task_is_killed_and_its_work_goes_on(scene, server_store):
    made, bank = bank_scene(scene, server_store)
    worker = made.worker(worker={"stall_timeout": "2s"})
    made.agrees(bank)
    frozen = worker.tasks(1)[0]
    os.kill(frozen, signal.SIGSTOP)
    eventually(lambda: frozen not in worker.tasks(), 20, "the frozen task's end")
    assert "gives no sign of life" in worker.log.read_text()
    more = list(oracle.random_events(100, 50, seed=4))
    made.produce(more)
    made.agrees(bank.feed(more))


def test_reload_restarts_what_has_changed_and_nothing_else(scene, server_store, manager):
    made, bank = bank_scene(scene, server_store, tasks=2)
    worker = made.worker(environment=manager.environment)
    made.agrees(bank)
    before = worker.tasks(2)
    made.config(worker={"log_level": "debug"})
    manager.forget()
    worker.reload()
    manager.waits_for("RELOADING=1")
    manager.waits_for("READY=1")
    assert worker.tasks(2) == before
    made.config(tasks=1)
    worker.reload()
    manager.waits_for("RELOADING=1")
    manager.waits_for("READY=1")
    eventually(lambda: len(worker.tasks()) == 1, 20, "one task in place of two")
    more = list(oracle.random_events(300, 50, seed=5))
    made.produce(more)
    made.agrees(bank.feed(more))


def test_reload_of_a_broken_config_changes_nothing(scene, server_store):
    made, bank = bank_scene(scene, server_store)
    worker = made.worker()
    made.agrees(bank)
    before = worker.tasks(1)
    worker.config.write_text(worker.config.read_text().replace("plugin = ", "plugni = "))
    worker.reload()
    eventually(lambda: "plugni" in worker.log.read_text(), 10, "a word about the misspelt key")
    assert re.search(r"readside\.conf:\d+", worker.log.read_text())
    more = list(oracle.random_events(300, 50, seed=6))
    made.produce(more)
    made.agrees(bank.feed(more))
    assert worker.tasks(1) == before


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_reload_of_a_pipe_in_which_nobody_writes(scene, store):
    made, bank = bank_scene(scene, store)
    worker = made.worker()
    made.agrees(bank)
    worker.config.unlink()
    os.mkfifo(worker.config)
    worker.reload()
    worker.wait_log("a pipe in which nobody writes", 30)
    more = list(oracle.random_events(100, 50, seed=12))
    made.produce(more)
    made.agrees(bank.feed(more))


def test_reload_changes_the_log_level_of_running_tasks(scene, server_store):
    made, bank = bank_scene(scene, server_store)
    worker = made.worker()
    made.agrees(bank)
    before = worker.tasks(1)
    made.config(worker={"log_level": "debug"})
    worker.reload()
    eventually(lambda: worker.lines("level=debug msg=.log settings changed.*task=0"), 20)
    assert worker.tasks(1) == before
    made.config(worker={"log_level": "debug", "log_format": "json"})
    worker.reload()
    eventually(lambda: worker.lines('"msg":"log settings changed"'), 20)
    worker.kill_task()
    eventually(lambda: worker.lines('"msg":"task started"'), 30)  # the one that takes its place, with
    assert len(worker.lines('"msg":"log settings changed"')) == 1  # these settings from its beginning: it had nothing to change


def test_reload_reaches_a_task_that_waits_for_its_store(scene, server_store):
    made = scene(server_store)
    with socket.create_server(("127.0.0.1", 0)) as hole:
        away = {"uri": server_store.uri_at(hole.getsockname()[1]), "connect_timeout": "60s"}
        worker = made.worker(store=away)
        connection, _ = hole.accept()
        with connection:
            made.config(store=away, worker={"log_level": "debug"})
            worker.reload()
            eventually(lambda: worker.lines("level=debug msg=.log settings changed.*task=0"), 20)


def test_a_task_that_waits_for_its_store_shows_life(scene, server_store):
    made = scene(server_store)
    with socket.socket() as closed:  # bound, and nobody listens: connections are refused
        closed.bind(("127.0.0.1", 0))
        worker = made.worker(store={"uri": server_store.uri_at(closed.getsockname()[1])},
                             worker={"stall_timeout": "1s"})
        worker.wait_log("cannot start yet", 60, count=6)  # the pauses between them have become longer than that
        assert not worker.lines("gives no sign of life")


def test_a_hangup_of_the_whole_group_does_not_kill_tasks(scene, server_store):
    made, bank = bank_scene(scene, server_store)
    worker = Readside(made.config())
    made.workers.append(worker)
    worker.spawn(command("run", worker.config))
    made.agrees(bank)
    before = worker.tasks(1)
    os.killpg(worker.pid, signal.SIGHUP)
    worker.wait_log("configuration reloaded")
    more = list(oracle.random_events(100, 50, seed=7))
    made.produce(more)
    made.agrees(bank.feed(more))
    assert worker.tasks(1) == before


def test_a_changed_pipeline_begins_when_its_old_tasks_have_ended(scene, server_store):
    made, bank = bank_scene(scene, server_store)
    keys = {"worker": {"log_level": "debug"}, "store": {"lock_timeout": "60s"}}
    worker = made.worker(**keys)
    made.agrees(bank)
    blocker = lock_accounts(server_store)
    more = list(oracle.random_events(100, 50, seed=10))
    made.produce(more)
    waits_for_a_lock(server_store)
    made.config(batch_rows=500, **keys)
    worker.reload()
    worker.wait_log("task process started", count=2)
    blocker.close()
    told = [re.search("task process started|pipeline stopped", line) for line in worker.lines()]
    assert [found[0] for found in told if found] == ["task process started", "pipeline stopped", "task process started"]
    made.agrees(bank.feed(more))


def test_a_reload_starts_what_was_down_with_all_its_tasks(scene, server_store, tmp_path):
    late = tmp_path / "bank.so"
    made, bank = bank_scene(scene, server_store, tasks=3, plugin=str(late))
    worker = made.worker(pipelines={"idle": {"topics": [made.topic], "plugin": "null"}})
    eventually(lambda: worker.lines("pipeline stays down.*pipeline=bank"))
    shutil.copy(BUILD / "plugins" / "bank.so", late)
    worker.reload()
    eventually(lambda: len(worker.tasks()) == 4, 20, "all tasks of both pipelines")
    made.agrees(bank)


def test_a_store_that_never_answers_does_not_hold_up_the_end(scene, tmp_path, server_store):
    with socket.create_server(("127.0.0.1", 0)) as hole:
        made = scene(server_store)
        worker = made.worker(store={"uri": server_store.uri_at(hole.getsockname()[1]), "connect_timeout": "60s"},
                             worker={"shutdown_timeout": "30s"})
        connection, _ = hole.accept()
        with connection:
            assert worker.stop() == 0
            assert not worker.lines("killed")


def cpu_ticks(pid):
    """None: it is gone."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[11]) + int(fields[12])


def test_a_task_that_ends_waits_for_the_store_without_work(scene, server_store):
    made, bank = bank_scene(scene, server_store)
    worker = made.worker(worker={"shutdown_timeout": "6s"}, store={"lock_timeout": "60s"})
    made.agrees(bank)
    task, blocker = worker.tasks(1)[0], lock_accounts(server_store)
    made.produce(list(oracle.random_events(10, 5, seed=8)))
    waits_for_a_lock(server_store)
    used = [cpu_ticks(task)]
    worker.send_signal(signal.SIGTERM)

    def has_ended():
        used.append(cpu_ticks(task))
        return used[-1] is None
    eventually(has_ended, 20, "the task's end")
    blocker.close()
    assert used[-2] - used[0] < os.sysconf("SC_CLK_TCK")  # one second of the three that it waits


def test_reload_tells_running_tasks_how_long_they_may_take_to_end(scene, server_store):
    made, bank = bank_scene(scene, server_store)
    store = {"lock_timeout": "60s"}
    worker = made.worker(worker={"shutdown_timeout": "1h"}, store=store)
    made.agrees(bank)
    blocker = lock_accounts(server_store)
    made.produce(list(oracle.random_events(10, 5, seed=11)))
    waits_for_a_lock(server_store)
    made.config(worker={"shutdown_timeout": "10s"}, store=store)
    worker.reload()
    worker.wait_log("configuration reloaded")
    assert worker.stop() == 0
    blocker.close()
    assert worker.lines("task stopped.*exit code 0")  # of itself: it has given the write up in time
    assert not worker.lines("killed")


def test_two_workers_run_until_the_end(scene, server_store):
    made, bank = bank_scene(scene, server_store)
    assert made.worker("first", "--until-end").wait(60) == 0
    blocker = lock_accounts(server_store)
    more = list(oracle.random_events(700, 50, seed=9))
    made.produce(more)
    workers = [made.worker(name, "--until-end") for name in ("one", "two")]
    for worker in workers:
        worker.wait_log("partition claimed")  # before either is at an end: each has a part only
    blocker.close()
    assert [worker.wait(60) for worker in workers] == [0, 0]
    made.agrees(bank.feed(more))


def test_until_end_tells_which_pipeline_is_down(scene, server_store):
    made, bank = bank_scene(scene, server_store)
    worker = made.worker("w1", "--until-end", pipelines={"lost": {"topics": [made.topic], "plugin": "no_such_plugin"}})
    assert worker.popen.wait(60) == 78
    assert worker.lines("pipeline is down and has not reached the end.*pipeline=lost")
    made.workers.remove(worker)
    made.agrees(bank)


def commits(store):
    return store.query("SELECT COALESCE(sum(commit_seq), 0) FROM readside_positions")[0][0]


def test_commit_interval_holds_commits_apart(scene, server_store):
    made = scene(server_store, partitions=1, commit_interval="2s")
    bank = oracle.Bank()
    made.worker()
    made.reaches_end()
    before, started = commits(server_store), time.monotonic()
    for seed in range(20):
        records = list(oracle.random_events(20, 10, seed=seed))
        made.produce(records)
        bank.feed(records)
        time.sleep(0.2)
    made.agrees(bank)
    elapsed = time.monotonic() - started
    assert 1 <= commits(server_store) - before <= elapsed / 2 + 2


@pytest.mark.parametrize("bounds", [{"batch_rows": 10}, {"batch_bytes": "64KiB"}])
def test_batches_keep_their_bounds(scene, server_store, bounds):
    made, bank = bank_scene(scene, server_store, n=5000, accounts=4000, partitions=1, **bounds)
    made.worker()
    made.agrees(bank)
    rows = len(bank.rows())
    assert commits(server_store) >= (rows / 10 if "batch_rows" in bounds else 5)


def test_a_worker_told_to_end_with_records_waiting_ends_cleanly(scene, server_store):
    made = scene(server_store, tasks=2)
    records = list(oracle.random_events(40000, 50))
    bank = oracle.Bank()
    for i in range(6):
        made.produce(records)
        bank.feed(records)
        worker = made.worker(f"w{i}")
        worker.wait_log("partition claimed", 30)
        assert worker.stop() == 0, worker.tail(5)
    made.worker()
    made.agrees(bank, 120)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_file_that_may_not_grow_is_waited_for(scene, store):
    made, bank = bank_scene(scene, store)
    worker = made.worker()
    made.agrees(bank)
    task = worker.tasks(1)[0]
    before = resource.prlimit(task, resource.RLIMIT_FSIZE)
    resource.prlimit(task, resource.RLIMIT_FSIZE, (500_000, before[1]))
    more = [oracle.opened(f"long-{i}", "o" * 1000) for i in range(2000)]
    made.produce(more)
    eventually(lambda: worker.lines("what was not committed is fetched again|does not take the work now"), 30)
    assert worker.tasks(1)[0] == task
    resource.prlimit(task, resource.RLIMIT_FSIZE, before)
    made.agrees(bank.feed(more))


def test_status_reads_the_lag_of_a_long_backlog(scene, server_store):
    made = scene(server_store)
    made.produce(list(oracle.random_events(200, 50)))
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    made.produce(list(oracle.random_events(40000, 50)))
    for _ in range(5):
        status = readside("status", "--json", worker.config)
        assert status.returncode == 0, status.stderr
        assert json.loads(status.stdout)["pipelines"][0]["lag"] == 40000


def test_closed_standard_descriptors_are_nobody_elses(scene, server_store):
    made, bank = bank_scene(scene, server_store)
    config = made.config("w1")
    closed = made.folder / "closed.sh"
    closed.write_text('exec "$@" <&- >&- 2>&-\n')
    worker = Readside(config, "w1")
    made.workers.append(worker.spawn(["sh", closed, *command("run", config)], env=worker.environment, cwd=worker.folder))
    made.agrees(bank)
    for pid in [worker.pid, *worker.tasks(1)]:
        assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)] == ["/dev/null"] * 3
    assert worker.stop() == 0
