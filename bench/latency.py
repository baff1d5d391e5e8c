"""Event-to-commit latency into PostgreSQL, of Readside and of any other sink that fills a table.

The server runs with track_commit_timestamp=on (SETTINGS), and bench/pace stamps each event with the moment of its sending. Both are
this machine's clock, and every event becomes a row of its own; so what PostgreSQL knows of a row's transaction gives the latency of
every single event, and nobody has to ask while it is measured. PostgreSQL takes that time as it begins to commit: the flush itself,
alike for all sinks, comes on top.
"""
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from process import BUILD, eventually  # noqa: E402
from scene import Scene  # noqa: E402

SETTINGS = {"track_commit_timestamp": "on"}
PARTITIONS = 4

# The time column may be text.
QUERY = """
WITH times AS (SELECT "{column}"::timestamptz AS sent, pg_xact_commit_timestamp(xmin) AS committed FROM "{table}"),
     waits AS (SELECT extract(epoch FROM committed - sent)::float8 * 1000 AS ms FROM times
               WHERE sent >= (SELECT min(sent) FROM times) + make_interval(secs => %s))
SELECT count(*), percentile_cont(ARRAY[0.5, 0.99, 0.999, 1]) WITHIN GROUP (ORDER BY ms) FROM waits
"""


def latencies(store, table, column, warm_up=2):
    """Milliseconds from the time in the column to the commit of its row; the first seconds of the run are left out."""
    (rows, marks), = store.query(QUERY.format(table=table, column=column), warm_up)
    assert rows > 0, f"no row of {table} is from after the first {warm_up} s"
    return {"rows": rows, **dict(zip(("p50_ms", "p99_ms", "p99_9_ms", "max_ms"), (round(mark, 3) for mark in marks)))}


def pace(kafka, topic, rate, seconds):
    """Sends at that rate; what bench/pace says."""
    out = subprocess.run([BUILD / "bench" / "pace", kafka.bootstrap, topic, str(rate), str(seconds)], check=True, stdout=subprocess.PIPE,
                         text=True)
    return json.loads(out.stdout)


def measure(kafka, topic, rate, seconds, store, table, column, deadline=300):
    """One run through a sink that stands ready and feeds an empty table from the topic, or makes the table with the first event."""
    sent = pace(kafka, topic, rate, seconds)

    def arrived():
        assert store.query("SELECT to_regclass(%s)", f'"{table}"') != [(None,)], f"there is no table {table}"
        rows = store.query(f'SELECT count(*) FROM "{table}"')[0][0]
        assert rows == sent["events"], f"{rows} rows of {sent['events']} events in {table}"
        return True
    eventually(arrived, deadline, every=0.5)
    return {"rate": rate, **sent, **latencies(store, table, column)}


def readside(kafka, store, folder, rate, seconds=12, version=1, **keys):
    """The same of Readside, in a topic and tables of their own; `keys` are of the pipeline."""
    scene = Scene(kafka, store, folder, f"pace-{version}", PARTITIONS, version=version, **keys)
    try:
        scene.worker(f"latency{version}")
        eventually(lambda: len(scene.positions()) == PARTITIONS, 60, "every partition is claimed")
        return measure(kafka, scene.topic, rate, seconds, store, f"accounts__v{version}", "updated_at")
    finally:
        scene.stop()
