"""Kills, cuts, freezes and restarts: afterwards every account equals the oracle and every position the end of the log.

The load is eight partitions, transactional producers with aborted transactions in the log, two workers of two tasks, 200,000
events in all while the fault happens.
"""
import os
import pathlib
import random
import signal
import threading
import time

import pytest

import oracle
from servers import eventually

EVENTS, ROUNDS, ACCOUNTS = 200_000, 40, 500
# As it goes over the wire: a message of PostgreSQL's, a packet of MySQL's from its kind on.
COMMIT = {"postgresql": b"COMMIT\0", "mysql": b"\x03COMMIT"}


def pause(pid):
    os.kill(pid, signal.SIGSTOP)


def resume(pid):
    os.kill(pid, signal.SIGCONT)


def is_alive(pid):
    return pathlib.Path(f"/proc/{pid}").exists()


class Load:
    """Produces in the background: committed and aborted transactions in turn."""

    def __init__(self, made, events=EVENTS, seed=7):
        self.made = made
        self.events = events
        self.bank = oracle.Bank()
        self.seed = seed
        self.failure = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            producer = self.made.kafka.producer(f"load-{self.made.topic}")
            for i in range(ROUNDS):
                records = list(oracle.random_events(self.events // ROUNDS, ACCOUNTS, seed=self.seed * 1000 + i))
                self.made.kafka.produce(self.made.topic, records, "commit", producer)
                self.bank.feed(records)
                if i % 4 == 3:
                    junk = list(oracle.random_events(200, ACCOUNTS, seed=i))
                    self.made.kafka.produce(self.made.topic, junk, "abort", producer)
        except Exception as error:  # noqa: BLE001 - told by join()
            self.failure = error

    @property
    def is_running(self):
        return self.thread.is_alive()

    def join(self):
        self.thread.join(300)
        assert not self.thread.is_alive() and self.failure is None, self.failure
        return self.bank


@pytest.fixture
def crowd(scene):
    """crowd(store) is a scene with two workers of two tasks on eight partitions and a load on it."""
    def make(store, events=EVENTS, **keys):
        made = scene(store, partitions=8, tasks=2, **keys)
        made.worker("w1")
        made.worker("w2")
        eventually(lambda: len(made.positions()) == 8, 60)
        return made, Load(made, events)
    return make


def progress(store):
    return store.query("SELECT coalesce(sum(events), 0) FROM readside_positions")[0][0]


def wait_for_progress(store, load, events=1000, deadline=60):
    """Until so many events more are in the store, or the load ended before them."""
    start = progress(store)
    eventually(lambda: progress(store) >= start + events or not load.is_running, deadline)


def test_nothing_happens(crowd, server_store):
    made, load = crowd(server_store)
    made.agrees(load.join(), 120)


def test_twenty_kills(crowd, server_store):
    made, load = crowd(server_store)
    rng = random.Random(20)
    for _ in range(20):
        worker = rng.choice(made.workers)
        tasks = eventually(lambda: worker.tasks(), 30)
        worker.kill_task(rng.randrange(len(tasks)))
        time.sleep(rng.uniform(0.05, 0.6))  # the moment of the next kill is random
    made.agrees(load.join(), 120)


def test_a_killed_worker_leaves_no_task_behind(crowd, server_store):
    made, load = crowd(server_store, events=40_000)
    victim = made.workers.pop(0)
    tasks = victim.tasks(2)
    victim.kill()
    eventually(lambda: not any(is_alive(pid) for pid in tasks), 20)
    made.agrees(load.join(), 120)


def test_a_third_worker_joins_and_leaves(crowd, server_store):
    made, load = crowd(server_store)
    third = made.worker("w3")
    wait_for_progress(server_store, load)
    third.stop()
    made.workers.remove(third)
    made.agrees(load.join(), 120)


def test_the_server_is_restarted_immediately(crowd, server_store, server):
    made, load = crowd(server_store)
    wait_for_progress(server_store, load)
    server.restart("immediate")
    made.agrees(load.join(), 120)


def test_the_server_is_away_for_a_while(crowd, server_store, server):
    made, load = crowd(server_store)
    wait_for_progress(server_store, load)
    server.stop("immediate")
    time.sleep(8)  # longer than the session timeout: the members must stay in the group
    server.start()
    made.agrees(load.join(), 120)


def test_the_answer_to_commit_is_swallowed(crowd, proxied_server_store, server_proxy):
    proxy, end = server_proxy, COMMIT[proxied_server_store.kind]
    made, load = crowd(proxied_server_store)
    for _ in range(5):
        fired = proxy.fired
        if proxied_server_store.kind == "mysql":
            proxy.cut_after(end)  # its answer is the one that all statements have
        else:
            proxy.swallow_answer(end)
        eventually(lambda: proxy.fired > fired or not load.is_running, 30)
    assert proxy.fired >= 3
    proxy.pass_through()
    made.agrees(load.join(), 120)


def test_the_connection_is_cut_with_the_batch_in_flight(crowd, proxied_server_store, server_proxy):
    proxy, end = server_proxy, COMMIT[proxied_server_store.kind]
    made, load = crowd(proxied_server_store)
    for _ in range(5):
        fired = proxy.fired
        proxy.cut(end)
        eventually(lambda: proxy.fired > fired or not load.is_running, 30)
    assert proxy.fired >= 3
    proxy.pass_through()
    made.agrees(load.join(), 120)


def test_a_stranded_batch_arrives_late(crowd, proxied_server_store, server_proxy):
    """The whole batch sits in a socket buffer while its client is gone; it reaches the server after the next claim."""
    proxy, end = server_proxy, COMMIT[proxied_server_store.kind]
    made, load = crowd(proxied_server_store)
    for _ in range(4):
        fired = proxy.fired
        proxy.strand(end)
        eventually(lambda: proxy.fired > fired or not load.is_running, 30)
        wait_for_progress(proxied_server_store, load, 500)
        proxy.deliver_stranded()
    proxy.pass_through()
    made.agrees(load.join(), 120)


def test_every_connection_is_reset_again_and_again(crowd, proxied_server_store, server_proxy):
    made, load = crowd(proxied_server_store)
    for _ in range(12):
        server_proxy.reset()
        time.sleep(0.3)
    made.agrees(load.join(), 120)


def test_a_frozen_task_is_a_zombie_when_it_wakes(crowd, server_store):
    made, load = crowd(server_store)
    wait_for_progress(server_store, load)
    worker = made.workers[0]
    frozen = worker.tasks(2)[0]
    pause(frozen)
    time.sleep(9)  # past the session timeout of 6 s: its partitions go to others
    resume(frozen)
    made.agrees(load.join(), 120)


def test_a_whole_frozen_worker(crowd, server_store):
    made, load = crowd(server_store)
    wait_for_progress(server_store, load)
    worker = made.workers[0]
    tasks = worker.tasks(2)
    worker.freeze()
    for pid in tasks:
        pause(pid)
    time.sleep(9)
    for pid in tasks:
        resume(pid)
    worker.thaw()
    made.agrees(load.join(), 120)


def test_a_rebalance_during_a_slow_write(crowd, proxied_server_store, server_proxy):
    made, load = crowd(proxied_server_store)
    wait_for_progress(proxied_server_store, load)
    server_proxy.slow(0.4)
    third = made.worker("w3")
    time.sleep(4)
    server_proxy.pass_through()
    third.stop()
    made.workers.remove(third)
    made.agrees(load.join(), 120)


def test_connections_are_ended_by_the_server(crowd, server_store):
    made, load = crowd(server_store)
    for _ in range(10):
        server_store.end_connections()
        time.sleep(0.3)
    made.agrees(load.join(), 120)


def test_eager_assignor_with_kills(crowd, server_store):
    made, load = crowd(server_store, events=80_000, assignor="range")
    rng = random.Random(3)
    for _ in range(6):
        worker = rng.choice(made.workers)
        eventually(lambda: worker.tasks(), 30)
        worker.kill_task(0)
        time.sleep(rng.uniform(0.2, 1.0))
    made.agrees(load.join(), 120)


def test_readers_never_see_a_half_applied_transfer(scene, server_store):
    """Each event of one account changes balance and count together: every snapshot has balance = events."""
    made = scene(server_store, partitions=1)
    made.produce([oracle.deposited("a", "1.00") for _ in range(20000)])
    made.worker()
    eventually(lambda: made.positions(), 40)
    seen = set()

    def look():
        for balance, events in server_store.query("SELECT balance, events FROM accounts"):
            assert balance == events
            seen.add(events)
        return made.positions().get(0, (0,))[0] == 20000
    end = time.monotonic() + 60
    while not look():
        assert time.monotonic() < end
    made.reaches_end()
