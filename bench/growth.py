"""How cost grows with partitions, keys, the size of events and tasks, into PostgreSQL.

More keys fold less: the rows an event tell how much, and the same rows from memory what the store alone makes of it.
"""
from measure import bare
from memory import KNOWN_ROWS, rows_by_keys
from pipeline import run_pipeline

EVENTS = 2_000_000
ACCOUNTS = 10_000
PARTITIONS = (1, 4, 16, 64)
KEYS = (10_000, 100_000, 1_000_000, 10_000_000)
SIZES = {150: EVENTS, 1_000: 500_000, 10_000: 100_000, 100_000: 10_000}  # bytes: events
EVENTS_AN_ACCOUNT = 100                                                  # where the number of events differs
TASKS = (1, 2, 3, 4)
TASKS_EVENTS = 8_000_000                                                 # of which a share goes by until all tasks are at work
QUICK = {"partitions.1", "partitions.64", "keys.10000", "keys.100000", "size.10000"}


def measure_point(bench, results, name, events, accounts, tasks=1, **topic):
    """With the bare loop beside it, which meets the same topic."""
    topic = bench.topic(events, accounts, **topic)
    limit = bare(bench.kafka, topic, events)
    results.add(f"growth.{name}.limit.events_per_second", limit["events_per_second"])
    with bench.store("postgresql") as store:
        run = run_pipeline(bench, store, topic, events, tasks)
    results.add_all(f"growth.{name}.readside", run.figures(events))


def points(options):
    """(name, events, accounts, tasks, what is particular to the topic)"""
    def scaled(events):
        return options.events or events // (2 if options.quick else 1)
    for partitions in PARTITIONS:
        yield f"partitions.{partitions}", scaled(EVENTS), ACCOUNTS, 1, {"partitions": partitions}
    for keys in KEYS:
        yield f"keys.{keys}", options.events or max(scaled(EVENTS), keys), keys, 1, {}
    for size, events in SIZES.items():
        yield f"size.{size}", scaled(events), max(1, scaled(events) // EVENTS_AN_ACCOUNT), 1, {"size": size}
    for tasks in TASKS:
        yield f"tasks.{tasks}", scaled(TASKS_EVENTS), ACCOUNTS, tasks, {}


def measure_rows(bench, results, name, keys, options):
    """The store alone: so many rows that are new, then known ones all over them."""
    with bench.store("postgresql") as store:
        results.add_all(f"growth.{name}.memory", rows_by_keys(store, keys, options.events or KNOWN_ROWS))


def measure(bench, results, options):
    for name, events, accounts, tasks, topic in points(options):
        if options.quick and name not in QUICK:
            continue
        for number in range(1, options.rounds + 1):
            options.say(f"growth: {name}, round {number} of {options.rounds}")
            measure_point(bench, results, name, events, accounts, tasks, **topic)
        if name.startswith("keys"):
            measure_rows(bench, results, name, accounts, options)
        bench.forget_topics()
