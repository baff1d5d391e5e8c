"""Is a task's memory flat over many events? Hot keys into PostgreSQL, its resident memory looked at on the way."""
from pipeline import ask, memory_mib, start_worker
from process import eventually

EVENTS = 50_000_000
ACCOUNTS = 10_000
LOOKS = 10


def counted(store):
    rows = ask(store, "SELECT sum(events) FROM readside_positions")
    return int(rows[0][0] or 0) if rows else 0


def measure(bench, results, options):
    events = options.events or EVENTS // (40 if options.quick else 1)
    options.say(f"endurance: {events:,} events")
    topic = bench.topic(events, ACCOUNTS)
    with bench.store("postgresql") as store:
        worker = start_worker(bench, store, topic)
        try:
            pid = worker.tasks(1)[0]
            for look in range(1, LOOKS + 1):
                wanted = events * look // LOOKS
                eventually(lambda wanted=wanted: counted(store) >= wanted, 900, f"{wanted:,} events", every=0.5)
                results.add(f"endurance.steady_mib.{look}", memory_mib(pid, "VmRSS"))
            results.add("endurance.events", counted(store))
            results.add("endurance.peak_mib", memory_mib(pid))
        finally:
            worker.stop()
            worker.remove()
