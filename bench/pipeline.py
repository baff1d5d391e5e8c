"""One pipeline of Readside over a topic that is full already, and what it used."""
import contextlib
import dataclasses
import os
import pathlib
import re
import time

from process import eventually
from rate import steady_rate
from worker import Readside, write_config


@dataclasses.dataclass
class Run:
    """Times are seconds; memory is MiB."""
    events_per_second: float     # see rate.py; None: the tasks were never all at work for half of the events
    first_commit_seconds: float  # from the start of the worker
    stop_seconds: float          # from SIGTERM to its exit
    cpu_seconds: float           # of all processes
    peak_mib: float              # of all processes: pages that they share count in each
    task_peak_mib: float         # of the largest task
    steady_mib: float            # of the largest task at the end
    batches: int
    rows: int                    # written, each once a batch
    round_trips: int             # to the store, to write the batches

    def figures(self, events):
        """By the names that results have."""
        return {"events_per_second": self.events_per_second, "cpu_seconds_per_million": self.cpu_seconds / events * 1e6,
                "peak_mib": self.peak_mib, "task_peak_mib": self.task_peak_mib, "steady_mib": self.steady_mib, "batches": self.batches,
                "rows_per_event": self.rows / events, "round_trips_per_batch": self.round_trips / self.batches,
                "first_commit_seconds": self.first_commit_seconds, "stop_seconds": self.stop_seconds}


def memory_mib(pid, what="VmHWM"):
    """Resident memory of a process: its peak, or what it is now (VmRSS)."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    return 0


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start_worker(bench, store, topic, tasks=1, plugin="bank", kafka=(), **keys):
    """A worker with one pipeline. keys: of the pipeline."""
    folder = bench.new_folder("worker")
    config = write_config(folder / "readside.conf", {"bootstrap_servers": bench.kafka.bootstrap, "session_timeout": "6s", **dict(kafka)},
                          {"main": store.config()},
                          {"bench": {"topics": [topic], "plugin": plugin, "tasks": tasks, "group_id": folder.name, **keys}},
                          {"name": "bench"})
    return Readside(config, "worker").start()


def ask(store, sql):
    """Its rows; [] while the first claim is still to make the tables."""
    try:
        return store.query(sql)
    except Exception as error:  # noqa: BLE001 - each store has a class of its own for "no such table"
        if "readside_positions" in str(error):
            return []
        raise


@contextlib.contextmanager
def watching(store):
    """A function that counts (events in the store, tasks that own a partition), on one connection: to log in for each question would take
    from what is measured."""
    sql = "SELECT sum(events), count(DISTINCT owner) FROM readside_positions"

    def count(rows):
        return int(rows[0][0] or 0), rows[0][1]
    if store.kind == "sqlite":
        yield lambda: count(ask(store, sql) or [(0, 0)])
        return
    with contextlib.closing(store.server.connect(store.database)) as connection, connection.cursor() as cursor:
        def look():
            cursor.execute(sql)
            return count(cursor.fetchall())
        yield look


def counters(worker):
    """(batches, rows, round trips) as the log of the ended worker counts them over all its tasks."""
    lines = worker.lines("task ends")
    return tuple(sum(int(re.search(rf"\b{name}=\"?(\d+)", line).group(1)) for line in lines) for name in ("batches", "rows", "round_trips"))


def watch(store, events, tasks, began, deadline):
    """Looks for steady_rate(), until the store holds all events. Of several tasks only those from when each owns a partition: before that
    the first has all, and gives some away."""
    looks = [(began, 0)] if tasks == 1 else []
    with watching(store) as look:
        def is_complete():
            counted, owners = look()
            if owners < tasks:
                looks.clear()
            else:
                looks.append((time.monotonic(), counted))
            return counted >= events
        eventually(is_complete, deadline, "the last event", every=0.02)
        assert look()[0] == events, f"{look()[0]} events were counted, {events} produced"
    return looks if looks and looks[0][1] <= events / 2 else None


def run_pipeline(bench, store, topic, events, tasks=1, deadline=900, **keys):
    """From a topic's first record to its last, into an empty store; every event must be counted."""
    began = time.monotonic()
    worker = start_worker(bench, store, topic, tasks, **keys)
    try:
        eventually(lambda: ask(store, "SELECT 1 FROM readside_positions WHERE events > 0"), 60, "the first commit", every=0.05)
        first = time.monotonic() - began
        looks = watch(store, events, tasks, began, deadline)
        task_pids = worker.tasks(tasks)
        pids = [worker.pid, *task_pids]
        used = {"cpu_seconds": sum(map(cpu_seconds, pids)), "peak_mib": sum(map(memory_mib, pids)),
                "task_peak_mib": max(map(memory_mib, task_pids)), "steady_mib": max(memory_mib(pid, "VmRSS") for pid in task_pids)}
        asked = time.monotonic()
        assert worker.stop() == 0, worker.tail()
        batches, rows, round_trips = counters(worker)
        return Run(looks and steady_rate(looks, events), first, time.monotonic() - asked, batches=batches, rows=rows,
                   round_trips=round_trips, **used)
    finally:
        worker.remove()
