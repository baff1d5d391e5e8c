"""Event-to-commit latency into PostgreSQL, of Readside and of its peer.

The server runs with track_commit_timestamp=on, and bench/pace stamps each event with the moment when it is due. Both are this
machine's clock, and every event becomes a row of its own; so what PostgreSQL knows of a row's transaction gives the latency of
every single event, and nobody has to ask while it is measured. PostgreSQL takes that time as it begins to commit: the flush itself,
alike for all sinks, comes on top.
"""
import os

from measure import run_program
from peer import Peer
from pipeline import ask, start_worker
from process import eventually
from results import Results

RATES = (1_000, 10_000, 100_000)
QUICK_RATES = (10_000,)
PEER_RATES = (1_000, 10_000)  # what it takes in at all
SECONDS = 20
QUICK_SECONDS = 10
SETTLE = 0.4      # of these seconds are left out, of sinks and producer alike: what is new, of either sink, is still being compiled
WARM_UP = (100_000, 10_000, 10_000)  # events/s, before all: the broker compiles itself for a minute, and holds a core meanwhile
QUICK_WARM_UP = (100_000,)
PARTITIONS = 4

# The time column may be text.
QUERY = """
WITH times AS (SELECT "{column}"::timestamptz AS sent, pg_xact_commit_timestamp(xmin) AS committed FROM "{table}"),
     waits AS (SELECT extract(epoch FROM committed - sent)::float8 * 1000 AS ms FROM times
               WHERE sent >= (SELECT min(sent) FROM times) + make_interval(secs => %s))
SELECT count(*), percentile_cont(ARRAY[0.5, 0.99, 0.999, 1]) WITHIN GROUP (ORDER BY ms) FROM waits
"""


def latencies(store, table, column, settle, events):
    """Milliseconds from the time in the column to the commit of its row, of the events that are measured; so many there must be."""
    (rows, marks), = store.query(QUERY.format(table=table, column=column), settle)
    assert rows == events, f"{rows} rows of {table} are from after the first {settle} s, {events} events were due then"
    return dict(zip(("p50_ms", "p99_ms", "p99_9_ms", "max_ms"), marks))


def through(bench, topic, rate, seconds, store, table, column, deadline=300):
    """One run through a sink that stands ready and feeds an empty table from the topic. late_events are those of measured_events that the
    producer could not send on time: where they are many, it was not the sink that was measured."""
    settle = int(seconds * SETTLE)
    sent = run_program("bench/pace", bench.kafka.bootstrap, topic, rate, seconds, settle)

    def arrived():
        rows = store.query(f'SELECT count(*) FROM "{table}"')[0][0]
        assert rows == sent["events"], f"{rows} rows of {sent['events']} events in {table}"
        return True
    eventually(arrived, deadline, every=0.5)
    return {"measured_events": sent["measured"], "late_events": sent["late"],
            "acked_p50_ms": sent["acked_p50_ms"], "acked_p99_ms": sent["acked_p99_ms"],
            **latencies(store, table, column, settle, sent["measured"])}


def readside(bench, store, topic, rate, seconds):
    worker = start_worker(bench, store, topic)
    try:
        eventually(lambda: ask(store, "SELECT count(*) FROM readside_positions WHERE owner IS NOT NULL") == [(PARTITIONS,)], 60,
                   "every partition is claimed")
        return through(bench, topic, rate, seconds, store, "accounts__v1", "updated_at")
    finally:
        worker.stop()
        worker.remove()


def peer(bench, store, topic, rate, seconds):
    sink = Peer(bench.kafka, store, bench.new_folder("peer"), topic, "accounts").start()
    try:
        return through(bench, topic, rate, seconds, store, "accounts", "at")
    finally:
        sink.stop()


def measure_sink(bench, results, name, sink, rate, seconds):
    topic = bench.kafka.create_topic(bench.new_name("pace"), PARTITIONS)
    with bench.store("postgresql", track_commit_timestamp="on") as store:
        os.sync()  # what earlier runs left to be written would be flushed in this one's transactions
        results.add_all(f"latency.{name}.{rate}", sink(bench, store, topic, rate, seconds))
    bench.kafka.delete_topic(topic)


def measure(bench, results, options):
    for rate in WARM_UP if not options.quick else QUICK_WARM_UP:
        options.say(f"latency: warm-up, {rate:,} events/s")
        measure_sink(bench, Results(), "warm-up", readside, rate, options.seconds)
    for number in range(1, options.rounds + 1):
        for rate in RATES if not options.quick else QUICK_RATES:
            options.say(f"latency: {rate:,} events/s, round {number} of {options.rounds}")
            measure_sink(bench, results, "readside", readside, rate, options.seconds)
            if options.peers and rate in PEER_RATES and number <= options.peer_rounds:
                measure_sink(bench, results, "peer", peer, rate, options.seconds)
