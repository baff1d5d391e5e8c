"""A topic into a store, beside the bare loop on the same topic; see scripts/bench."""
import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from measure import start_store  # noqa: E402
from process import BUILD, eventually  # noqa: E402
from scene import Scene, moment  # noqa: E402
from servers import Kafka  # noqa: E402


def bare(kafka, topic, events):
    """Seconds that consuming, parsing and folding alone take."""
    out = subprocess.run([BUILD / "bench" / "bare", kafka.bootstrap, topic, str(events)], check=True, capture_output=True, text=True)
    return json.loads(out.stdout)["seconds"]


def memory_mib(pid):
    """Peak resident memory of a process."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def readside(scene, store, events, version):
    """One run into new tables: seconds from the first claim to the last commit, and what the task used."""
    began = time.monotonic()
    worker = scene.worker(f"w{version}", version=version)

    def figures():
        rows = store.query("SELECT coalesce(sum(events), 0), min(claimed_at), max(updated_at) FROM readside_positions "
                           "WHERE version = %s", version)
        return rows[0] if rows[0][0] == events else None

    def started():
        try:
            return store.query("SELECT 1 FROM readside_positions WHERE version = %s AND events > 0", version)
        except Exception as error:
            if "readside_positions" in str(error):
                return None
            raise
    eventually(started, 60, "the first commit", every=0.01)
    first = time.monotonic() - began
    _, claimed, updated = eventually(figures, 600, "the last event", every=0.02)
    task = worker.tasks(1)[0]
    result = {"seconds": (moment(updated) - moment(claimed)).total_seconds(), "first_commit_seconds": first, "peak_mib": memory_mib(task),
              "cpu_seconds": cpu_seconds(task)}
    asked = time.monotonic()
    worker.stop()
    result["stop_seconds"] = time.monotonic() - asked
    scene.workers.remove(worker)
    total = store.query(f"SELECT sum(events) FROM accounts__v{version}")[0][0]
    assert total == events, f"{total} events counted, {events} produced"
    return result


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench hot|distinct")
    parser.add_argument("what", choices=["hot", "distinct"])
    parser.add_argument("--store", choices=["postgresql", "mariadb", "mysql", "sqlite"], default="postgresql")
    parser.add_argument("--events", type=int)
    parser.add_argument("--accounts", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    options = parser.parse_args()
    events = options.events or (2_000_000 if options.what == "hot" else 1_000_000)
    accounts = options.accounts or (10_000 if options.what == "hot" else events)
    with contextlib.ExitStack() as undo:
        folder = pathlib.Path(undo.enter_context(tempfile.TemporaryDirectory()))
        kafka = Kafka(memory="1g")
        undo.callback(kafka.remove)
        kafka.start()
        store = start_store(options.store, folder, undo)
        scene = Scene(kafka, store, folder, "bank")
        subprocess.run([BUILD / "bench" / "fill", kafka.bootstrap, "bank", str(events), str(accounts)], check=True)
        bare(kafka, "bank", events)  # the broker's file cache is warm for both then
        rounds = []
        for i in range(1, options.rounds + 1):
            limit, ours = bare(kafka, "bank", events), readside(scene, store, events, i)
            rounds.append({"bare_seconds": limit, **ours})
            print(f"round {i}: bare loop {events / limit:12,.0f} events/s   readside {events / ours['seconds']:12,.0f} "
                  f"events/s   first commit after {ours['first_commit_seconds']:.2f} s   peak {ours['peak_mib']:.0f} MiB   "
                  f"cpu {ours['cpu_seconds']:.2f} s   stop {ours['stop_seconds']:.2f} s", flush=True)
        limit = statistics.median(r["bare_seconds"] for r in rounds)
        ours = statistics.median(r["seconds"] for r in rounds)
        print(f"\n{events:,} events over {accounts:,} accounts into {options.store}: {events / ours:,.0f} events/s, {limit / ours:.0%} of "
              "the bare loop (medians)")
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(
                {"store": options.store, "events": events, "accounts": accounts, "ratio": limit / ours, "rounds": rounds}, indent=2))


main()
