"""Rows that lie in memory, through a store's driver and by the client library alone; see scripts/bench."""
import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from measure import start_server  # noqa: E402
from process import BUILD  # noqa: E402

# The best way that the client library has: array binding, or many rows to a statement prepared once.
WAYS = {"mariadb": ("array", 20_000), "mysql": ("prepared", 512)}


def run(server, program, *arguments):
    environment = dict(os.environ, STORE_USER=server.user, STORE_PASSWORD=server.password)
    out = subprocess.run([BUILD / "bench" / program, *map(str, arguments)], env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(out.stdout)


def measure(server, kind, number, rows, batch):
    """One round, in turn: the library alone, the driver, the driver without positions."""
    way, statement = WAYS[kind]

    def driver(name, fence):
        server.create_database(f"{name}{number}")
        return run(server, "rows_bench", "mysql", server.uri(f"{name}{number}"), rows, batch, fence)
    return {"bare": run(server, "bare_rows", way, "127.0.0.1", server.port, "bench", rows, batch, statement),
            "driver": driver("fenced", "fence"), "free": driver("free", "free")}


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench rows")
    parser.add_argument("--store", choices=sorted(WAYS), required=True)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--batch", type=int, default=20_000, help="rows of a transaction")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    options = parser.parse_args()
    with contextlib.ExitStack() as undo:
        server = start_server(options.store, undo)
        server.create_database("bench")
        rounds = []
        for i in range(1, options.rounds + 1):
            rounds.append(measure(server, options.store, i, options.rows, options.batch))
            print(f"round {i}:", "   ".join(f"{name} {' '.join(f'{what} {speed:,.0f}' for what, speed in figures.items() if what != 'rows')}"
                                            for name, figures in rounds[-1].items()), flush=True)

    def median(name, what):
        return statistics.median(r[name][what] for r in rounds)
    ratios = {what: median("driver", what) / median("bare", what) for what in ("new", "known")}
    ratios["fence"] = 1 - median("driver", "new") / median("free", "new")
    print(f"\n{options.rows:,} rows into {options.store}, {WAYS[options.store][0]} (medians): new rows {ratios['new']:.0%} and known rows "
          f"{ratios['known']:.0%} of the client library alone; the fence costs {ratios['fence']:.1%} of new rows")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"store": options.store, "rows": options.rows, "ratios": ratios, "rounds": rounds},
                                                         indent=2))


main()
