"""The benchmarks run, and write what docs/performance.md takes; how fast, nobody asks here."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess

import pytest

from process import BUILD, ROOT, Process, eventually, give_away, temporary_folder

# Not scripts/bench, which would make the build that is tested anew with other flags.
SUITE = ["/usr/bin/python3", ROOT / "bench" / "suite.py"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A few events on PostgreSQL and SQLite; the peer's jars are for who measures."""
    path = tmp_path_factory.mktemp("bench") / "results.json"
    done = subprocess.run([*SUITE, "--quick", "--no-peer", "--store", "postgresql", "--store", "sqlite", "--events", "2000",
                           "--accounts", "100", "--seconds", "3", "--json", path], cwd=ROOT, capture_output=True, text=True, timeout=250,
                          env={**os.environ, "READSIDE_BUILD": str(BUILD)}, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    return path, done.stdout


def test_each_section_has_its_figures(measured):
    path, said = measured
    figures = json.loads(path.read_text())["figures"]
    for key in ("hot.limit.fold.events_per_second", "hot.postgresql.readside.1.events_per_second", "hot.sqlite.readside.2.peak_mib",
                "hot.postgresql.readside.1.round_trips_per_batch", "memory.postgresql.bare.unnest-partition.new",
                "memory.sqlite.driver.known", "endurance.steady_mib.10", "distinct.sqlite.memory.events_per_second",
                "costs.reads-warm.events_per_second", "latency.readside.10000.p99_ms", "growth.partitions.64.readside.task_peak_mib",
                "growth.keys.10000.memory.known"):
        assert figures[key]["min"] <= figures[key]["median"] <= figures[key]["max"] and figures[key]["median"] > 0, key
    assert "| **Readside into PostgreSQL**, 1 task |" in said


def processes_with(variable):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended, or is not ours
            if variable.encode() in path.read_bytes().split(b"\0"):
                found.append(path.parent.name)
    return found


@pytest.mark.parametrize("send, number", [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)], ids=["Ctrl-C", "SIGTERM"])
def test_who_interrupts_it_finds_nothing_left_behind(send, number):
    folder = temporary_folder("interrupted")
    bench = Process("bench", folder)
    (folder / "tmp").mkdir()
    give_away(folder / "tmp")
    bench.spawn(["/usr/bin/env", "--default-signal=INT", *SUITE, "hot", "--quick", "--no-peer", "--store", "postgresql", "--events", "2000",
                 "--accounts", "100"], cwd=ROOT,
                env={**os.environ, "READSIDE_BUILD": str(BUILD), "TMPDIR": str(folder / "tmp")})
    try:
        eventually(lambda: any(log.stat().st_size for log in (folder / "tmp").glob("*/worker*/worker.log")), 120, "the bench runs a worker")
        send(bench.pid, number)
        assert bench.wait() == 128 + number, bench.tail()
        assert not list((folder / "tmp").iterdir()) and "Traceback" not in bench.text()
        eventually(lambda: not processes_with(f"TMPDIR={folder / 'tmp'}"), 10, "its processes end")
    finally:
        bench.remove()


def rows_bench(path, *arguments):
    """What it prints, and what it leaves in an SQLite file: (events of the positions, rows), for it removes what it wrote."""
    done = subprocess.run([BUILD / "bench" / "rows_bench", "sqlite", path, *map(str, arguments)], check=True, capture_output=True, text=True)
    with contextlib.closing(sqlite3.connect(path)) as store:
        positions = [events for events, in store.execute("SELECT events FROM readside_positions ORDER BY part")]
        return json.loads(done.stdout), positions, store.execute("SELECT count(*) FROM accounts").fetchone()[0]


def test_rows_from_memory_move_the_positions_of_several_partitions(tmp_path):
    said, positions, rows = rows_bench(tmp_path / "fence.db", 3000, 1000)
    assert said["rows"] == 3000 and min(said[name] for name in ("new", "known", "read", "removed")) > 0
    assert len(positions) == 4 and min(positions) > 0 and sum(positions) == 3 * 3000 + 1 and rows == 0
    assert said["new_share"] is None and said["known_share"] is None


@pytest.mark.parametrize("batches, moving", [(2, 1), (3, 1), (4, 2), (5, 3)])
def test_rows_from_memory_where_every_second_batch_moves_no_positions(tmp_path, batches, moving):
    """With, without, without, with, and again, in each phase: new rows, the single one, known rows, removals. Four batches make a share."""
    said, positions, rows = rows_bench(tmp_path / "paired.db", batches * 1000, 1000, "paired")
    assert sum(positions) == 3 * moving * 1000 + 1 and rows == 0
    assert {said["new_share"] is None, said["known_share"] is None} == {batches < 4}


@pytest.mark.parametrize("store, way", [("mariadb", "array-partition"), ("mariadb", "array"), ("mariadb", "text"), ("mysql", "prepared"),
                                        ("mysql", "text")], indirect=["store"])
def test_rows_by_the_client_library_alone(store, way):
    """The program looks itself whether all of them are there."""
    server = store.server
    done = subprocess.run([BUILD / "bench" / "bare_rows", way, "127.0.0.1", str(server.port), store.database, "3000", "1000"],
                          env={**os.environ, "STORE_USER": server.user, "STORE_PASSWORD": server.password}, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["known"] > 0


@pytest.mark.parametrize("keys", [100, 997, 5000])
def test_rows_from_memory_go_round_over_as_many_keys(tmp_path, keys):
    """The positions count all events: of new rows, of known ones and one before them, and of those removed."""
    said, positions, rows = rows_bench(tmp_path / "keys.db", 2000, 300, "fence", keys)
    assert (said["rows"], said["keys"]) == (2000, keys)
    assert sum(positions) == keys + 1 + 2000 + min(keys, 2000) and rows == max(0, keys - 2000)


def with_peer(path, folder):
    document = json.loads(path.read_text())
    for key in [f"{section}.{kind}.{who}.1.events_per_second" for section in ("hot", "distinct") for kind in ("postgresql", "mariadb")
                for who in ("peer", "readside")] + ["memory.mariadb.driver.known", "latency.peer.10000.p50_ms"]:
        document["figures"].setdefault(key, {"samples": [1]})
    for key, value in {"new": 1000, "new_share": 0.5, "known": 2000, "known_share": 0.25}.items():  # which a quick run leaves out
        document["figures"][f"memory.sqlite.batch.100.{key}"] = {"samples": [value]}
    changed = folder / "with_peer.json"
    changed.write_text(json.dumps(document))
    return changed


def test_a_page_of_half_a_run_is_refused(measured, tmp_path):
    path, _ = measured
    for folder in ("bench", "tests/lib", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    done = subprocess.run(["/usr/bin/python3", tmp_path / "bench" / "suite.py", "--from", path, "--docs"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 1 and r"this one has no hot\.mariadb\.readside" in done.stderr
    assert (tmp_path / "docs" / "performance.md").read_text() == (ROOT / "docs" / "performance.md").read_text()


def test_tables_and_charts_are_written_from_them(measured, tmp_path):
    """Nothing is built for it. The peer, which is not measured here, is put in."""
    path, _ = measured
    path = with_peer(path, tmp_path)
    for folder in ("bench", "tests/lib", "docs", "scripts"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    before = (tmp_path / "docs" / "performance.md").read_text()
    subprocess.run([tmp_path / "scripts" / "bench", "--from", path, "--docs"], check=True, capture_output=True)
    assert not (tmp_path / "build").exists()
    after = (tmp_path / "docs" / "performance.md").read_text()

    def tables(text):
        return dict(re.findall(r"<!-- table (\S+) -->\n(.*?)<!-- end -->", text, re.DOTALL))
    assert tables(before).keys() == tables(after).keys() >= {"machine", "hot", "distinct", "memory", "costs", "latency", "growth", "endurance"}
    assert "| **Readside into SQLite**, 1 task |" in tables(after)["hot"]
    assert "| partitions 64 |" in tables(after)["growth"] and "| Debezium JDBC sink into MariaDB, 1 task | 1.00 |" in tables(after)["hot"]
    assert "| SQLite, 100 rows | 1,000 | 50% | 2,000 | 25% |" in tables(after)["batches"]
    assert (tmp_path / "docs" / "performance-hot.svg").read_text().count("Readside, SQLite") == 1
