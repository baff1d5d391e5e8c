"""The benchmarks by section, all in one run on the same servers; see scripts/bench."""
import argparse
import pathlib
import signal
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

import costs  # noqa: E402
import endurance  # noqa: E402
import growth  # noqa: E402
import latency  # noqa: E402
import memory  # noqa: E402
import report  # noqa: E402
import throughput  # noqa: E402
from measure import STORES, Bench  # noqa: E402
from results import Results, describe_machine  # noqa: E402

SECTIONS = {
    "hot": lambda *what: throughput.measure(*what[:2], "hot", what[2]),
    "distinct": lambda *what: throughput.measure(*what[:2], "distinct", what[2]),
    "memory": memory.measure,
    "costs": costs.measure,
    "latency": latency.measure,
    "growth": growth.measure,
    "endurance": endurance.measure,
}


def read_options():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures Readside beside the machine's limits, its peer and what "
                                     "a team would write by hand: the same topics, the same servers, in turn.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer events, one round: under 8 minutes")
    parser.add_argument("--store", dest="stores", action="append", choices=STORES,
                        help=f"this store only; may be repeated (default: {', '.join(report.USUAL_STORES)})")
    parser.add_argument("--rounds", type=int, help="how often all is measured in turn (default 3; quick: 1)")
    parser.add_argument("--events", type=int, help="instead of the usual number of each section")
    parser.add_argument("--accounts", type=int, help="of hot and distinct")
    parser.add_argument("--seconds", type=int, help=f"of latency, at each rate (default {latency.SECONDS}; quick: {latency.QUICK_SECONDS})")
    parser.add_argument("--no-peer", dest="peers", action="store_false", help="without the peer and what is written by hand")
    parser.add_argument("--json", metavar="FILE", help="all samples, by keys that stay")
    parser.add_argument("--docs", action="store_true", help="rewrite the tables and charts of docs/performance.md")
    parser.add_argument("--from", dest="sources", metavar="FILE", action="append",
                        help="measure nothing, take the --json of an earlier run; repeated: of several, with sections of their own")
    options = parser.parse_args()
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"there is no section {unknown[0]}; there are {', '.join(SECTIONS)}")
    options.sections = options.sections or list(SECTIONS)
    options.stores = options.stores or report.USUAL_STORES
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (latency.QUICK_SECONDS if options.quick else latency.SECONDS)
    options.peer_rounds = min(options.rounds, 3)
    began = time.monotonic()
    options.say = lambda text: print(f"[{time.monotonic() - began:6.0f} s] {text}", file=sys.stderr, flush=True)
    return options


def measure(options):
    """What is measured is kept section by section: a long run may be cut short."""
    results, machine, failed = Results(), {}, []
    with Bench() as bench:
        for section in options.sections:
            try:
                SECTIONS[section](bench, results, options)
            except Exception:  # noqa: BLE001 - hours of the other sections must not be lost
                traceback.print_exc()
                if options.exit_status is not None:  # it failed while it was being unwound
                    sys.exit(options.exit_status)
                failed.append(section)
            bench.forget_topics()
            machine = {**describe_machine(bench.versions()), "is_quick": options.quick}
            if options.json:
                results.write(options.json, machine)
    return results, machine, failed


def tidy_up_when_interrupted(options):
    """Unwinds the `with` blocks, which end the servers and remove gigabytes; not for what the caller ignores, as nohup does."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    options.exit_status = None

    def interrupted(number, _):
        for other in numbers:  # a second one would cut the tidying short
            signal.signal(other, signal.SIG_IGN)
        options.exit_status = 128 + number
        sys.exit(options.exit_status)
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupted)


def main():
    options = read_options()
    tidy_up_when_interrupted(options)
    results, machine, failed = (*Results.read(options.sources), []) if options.sources else measure(options)
    report.print_all(results)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")
    if options.docs:
        try:
            report.write_docs(results, machine, ROOT / "docs")
        except ValueError as error:
            sys.exit(f"--docs: {error}")


main()
