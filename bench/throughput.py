"""Hot keys and distinct rows, end to end: Readside, the limits, the peer, and what a team would write by hand, in turn."""
from measure import bare, run_program, with_password
from memory import BATCH, driver
from peer import run_peer
from pipeline import run_pipeline
from rate import steady_rate

EVENTS = {"hot": 2_000_000, "distinct": 1_000_000}
MORE = 3                                      # times as many for several tasks: a share of them goes by until all are at work
ACCOUNTS = {"hot": 10_000, "distinct": None}  # None: each event has one of its own
PEER_TASKS = (1, 4)                           # over hot keys it gains by more of them, over distinct rows it does not
PEER_STORES = ("postgresql", "mariadb")       # it has no dialect for SQLite
# By hand, into PostgreSQL: events that are enough to see the speed of a way that takes a round trip an event.
NAIVE = {"row": 40_000, "row-batch": 200_000, "upsert-batch": None}


def limits(bench, results, section, topic, events):
    for what in ("consume", "fold"):
        found = bare(bench.kafka, topic, events, what)
        results.add_all(f"{section}.limit.{what}", {"events_per_second": found["events_per_second"], "peak_mib": found["peak_mib"],
                                                    "cpu_seconds_per_million": found["cpu_seconds"] / events * 1e6})


def readside(bench, results, section, kind, topic, events, tasks):
    with bench.store(kind) as store:
        run = run_pipeline(bench, store, topic, events, tasks)
        counted = store.query("SELECT sum(events) FROM accounts")[0][0]
        assert int(counted) == events, f"{counted} events in the rows, {events} produced"
    results.add_all(f"{section}.{kind}.readside.{tasks}", run.figures(events))


def peer(bench, results, section, kind, topic, events, accounts, tasks=1):
    with bench.store(kind) as store:
        used = run_peer(bench.kafka, store, bench.new_folder("peer"), topic, "accounts", events, tasks, keys=accounts)
    results.add_all(f"{section}.{kind}.peer.{tasks}", {
        "events_per_second": steady_rate(used["looks"], events), "peak_mib": used["peak_mib"], "first_row_seconds": used["first_row_seconds"],
        "rows_per_statement": used["rows_per_statement"],
        "cpu_seconds_per_million": used["cpu_seconds"] / events * 1e6})


def naive(bench, results, section, topic, events):
    """At least once, without positions in the store (bench/naive.c)."""
    for way, enough in NAIVE.items():
        wanted = min(events, enough or events)
        with bench.store("postgresql") as store:
            server = store.server
            used = run_program("bench/naive", bench.kafka.bootstrap, topic, wanted, server.uri(store.database), way,
                               env=with_password(server))
        results.add_all(f"{section}.postgresql.naive.{way}", {
            "events_per_second": used["events_per_second"], "peak_mib": used["peak_mib"],
            "cpu_seconds_per_million": used["cpu_seconds"] / used["events"] * 1e6})


def from_memory(bench, results, section, kind, rows):
    """The same rows without Kafka: what the store can take."""
    with bench.store(kind) as store:
        found = driver(store, rows, BATCH)
    results.add(f"{section}.{kind}.memory.events_per_second", found["new"])


def measure(bench, results, section, options):
    """section: hot or distinct."""
    events = options.events or EVENTS[section] // (4 if options.quick else 1)
    accounts = min(options.accounts or ACCOUNTS[section] or events, events)
    topic = bench.topic(events, accounts)
    tasks_of = (1, 2) if section == "hot" or not options.quick else (1,)
    more = bench.topic(events * MORE, events * MORE if accounts == events else accounts) if 2 in tasks_of else None
    for number in range(1, options.rounds + 1):
        options.say(f"{section}: round {number} of {options.rounds}, {events:,} events")
        limits(bench, results, section, topic, events)
        for kind in options.stores:
            if section == "distinct":
                from_memory(bench, results, section, kind, events)
            for tasks in tasks_of:
                readside(bench, results, section, kind, *((topic, events) if tasks == 1 else (more, events * MORE)), tasks)
            if kind in PEER_STORES and options.peers and number <= options.peer_rounds:
                for tasks in PEER_TASKS if not options.quick else PEER_TASKS[:1]:
                    peer(bench, results, section, kind, topic, events, accounts, tasks)
        if options.peers and "postgresql" in options.stores and number == 1:
            naive(bench, results, section, topic, events)
