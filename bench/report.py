"""Tables and charts from what was measured: printed, and written into docs/performance.md between its marks."""
import re

STORES = {"postgresql": "PostgreSQL", "mariadb": "MariaDB", "mysql": "MySQL", "sqlite": "SQLite"}
USUAL_STORES = ("postgresql", "mariadb", "sqlite")
PEER_TASKS = (1, 4)
MARKS = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


# ---- Figures ----

def number(value, digits=None):
    """Three significant digits, or so many behind the point."""
    if value is None:
        return "-"
    if digits is not None:
        return f"{value:,.{digits}f}"
    size = len(str(int(abs(value))))
    return f"{round(value, 3 - size):,.0f}" if size > 3 else f"{value:,.{max(0, 3 - size)}f}"


def percent(ratio):
    return "-" if ratio is None else f"{ratio:.0%}"


def times(ratio):
    return "-" if ratio is None else f"{ratio:.1f}x"


def spread(results, key):
    """The median, and how far lowest and highest lie from it."""
    value = results.median(key)
    if value is None:
        return "-"
    low, high = min(results.samples[key]), max(results.samples[key])
    return number(value) if low == high else f"{number(value)} ({number(low)} to {number(high)})"


def table(heads, rows):
    """Markdown; nothing where there are no rows."""
    if not rows:
        return ""
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


# ---- Tables ----

def sink_row(results, name, prefix, limit, peers):
    """peers: of the peer's rates the best counts."""
    rate = f"{prefix}.events_per_second"
    ratios = [ratio for ratio in (results.ratio(rate, peer) for peer in peers) if ratio is not None]
    return [name, spread(results, rate), percent(results.ratio(rate, limit)), times(min(ratios, default=None)),
            number(results.median(f"{prefix}.cpu_seconds_per_million")), number(results.median(f"{prefix}.peak_mib")),
            number(results.median(f"{prefix}.round_trips_per_batch"))]


def throughput_table(section):
    def make(results):
        limit = f"{section}.limit.fold.events_per_second"
        rows = [sink_row(results, name, f"{section}.limit.{what}", limit, ())
                for what, name in (("consume", "consume alone"), ("fold", "consume, parse, fold alone"))]
        for kind, name in STORES.items():
            peers = [f"{section}.{kind}.peer.{tasks}.events_per_second" for tasks in PEER_TASKS]
            rows.append(sink_row(results, f"rows from memory into {name}", f"{section}.{kind}.memory", limit, peers))
            for tasks in (1, 2):
                rows.append(sink_row(results, f"**Readside into {name}**, {tasks} task{'s' * (tasks > 1)}",
                                     f"{section}.{kind}.readside.{tasks}", limit, peers))
            for tasks in PEER_TASKS:
                rows.append(sink_row(results, f"Debezium JDBC sink into {name}, {tasks} task{'s' * (tasks > 1)}",
                                     f"{section}.{kind}.peer.{tasks}", limit, peers))
        for way, name in (("row", "by hand: a row, a commit an event"), ("row-batch", "by hand: a row an event, a commit for 5,000"),
                          ("upsert-batch", "by hand: last states of 5,000, one statement")):
            rows.append(sink_row(results, f"{name}, into PostgreSQL", f"{section}.postgresql.naive.{way}", limit,
                                 [f"{section}.postgresql.peer.{tasks}.events_per_second" for tasks in PEER_TASKS]))
        return table(["", "events/s", "of the bare loop", "times the peer", "CPU s a million", "peak MiB", "round trips a batch"],
                     [row for row in rows if row[1] != "-"])
    return make


def memory_table(results):
    rows = []
    for kind, name in STORES.items():
        ways = [key.split(".")[3] for key in results.keys(rf"memory\.{kind}\.bare\..*\.new")]
        prefixes = {f"**Readside's driver**, {name}": f"memory.{kind}.driver",
                    **{f"{name} alone: {way}": f"memory.{kind}.bare.{way}" for way in ways}}
        known = f"memory.{kind}.bare.{ways[0]}" if ways else ""
        new = f"memory.{kind}.bare.insert" if "insert" in ways else known
        for label, prefix in prefixes.items():
            if f"{prefix}.new" in results.samples:
                rows.append([label, spread(results, f"{prefix}.new"), percent(results.ratio(f"{prefix}.new", f"{new}.new")),
                             spread(results, f"{prefix}.known"), percent(results.ratio(f"{prefix}.known", f"{known}.known"))])
    return table(["", "new rows/s", "of the bare statement", "known rows/s", "of the bare statement"], rows)


def batches_table(results):
    rows = []
    for kind, name in STORES.items():
        for key in results.keys(rf"memory\.{kind}\.batch\..*\.new"):
            prefix, batch = key.rpartition(".")[0], key.split(".")[3]
            rows.append([f"{name}, {int(batch):,} rows",
                         spread(results, f"{prefix}.new"), percent(results.median(f"{prefix}.new_share")),
                         spread(results, f"{prefix}.known"), percent(results.median(f"{prefix}.known_share"))])
    return table(["", "new rows/s", "of those without positions", "known rows/s", "of those without positions"], rows)


def costs_table(results):
    rows = []
    for key in results.keys(r"costs\..*\.events_per_second"):
        name = key.split(".")[1]
        cpu = f"costs.{name}.cpu_seconds_per_million"
        base = "many" if name.startswith("many") else "base"
        rows.append([name, spread(results, key), percent(results.ratio(key, f"costs.{base}.events_per_second")),
                     number(results.median(cpu)), number(results.median(f"costs.{name}.task_peak_mib"))])
    return table(["", "events/s", "of base, or many", "CPU s a million", "peak MiB of the task"], rows)


def latency_table(results):
    rows = []
    for name, label in (("readside", "**Readside**"), ("peer", "Debezium JDBC sink")):
        for key in results.keys(rf"latency\.{name}\.\d+\.p50_ms"):
            prefix = key.rpartition(".")[0]
            rows.append([f"{label}, {int(prefix.split('.')[2]):,} events/s",
                         *(spread(results, f"{prefix}.{mark}_ms") for mark in ("p50", "p99", "p99_9", "acked_p50", "acked_p99")),
                         percent(results.ratio(f"{prefix}.late_events", f"{prefix}.measured_events"))])
    return table(["", "p50 ms", "p99 ms", "p99.9 ms", "the producer's answer: p50", "p99", "sent late"], rows)


def growth_table(results):
    rows = []
    for key in results.keys(r"growth\..*\.readside\.events_per_second"):
        _, what, size, *_ = key.split(".")
        prefix = f"growth.{what}.{size}"
        rows.append([f"{what} {int(size):,}", spread(results, key),
                     percent(results.ratio(key, f"{prefix}.limit.events_per_second")),
                     number(results.median(f"{prefix}.readside.rows_per_event")),
                     number(results.median(f"{prefix}.readside.cpu_seconds_per_million")),
                     number(results.median(f"{prefix}.readside.task_peak_mib")),
                     number(results.median(f"{prefix}.memory.new")), number(results.median(f"{prefix}.memory.known"))])
    return table(["", "events/s", "of the bare loop", "rows an event", "CPU s a million", "peak MiB of a task", "new rows/s from memory",
                  "known rows/s from memory"], rows)


def endurance_table(results):
    events = results.median("endurance.events")
    marks = [key.rpartition(".")[2] for key in results.keys(r"endurance\.steady_mib\.\d+")]
    rows = [[f"{events * int(mark) / len(marks):,.0f}", number(results.median(f"endurance.steady_mib.{mark}"))] for mark in marks]
    return table(["events", "resident MiB"], rows)


TABLES = {"hot": throughput_table("hot"), "distinct": throughput_table("distinct"), "memory": memory_table, "batches": batches_table,
          "costs": costs_table, "latency": latency_table, "growth": growth_table, "endurance": endurance_table}


# What a run must have measured to become the page.
PAGE = [*(rf"{section}\.{kind}\.readside\.1\.events_per_second" for section in ("hot", "distinct") for kind in USUAL_STORES),
        *(rf"{section}\.{kind}\.peer\.1\.events_per_second" for section in ("hot", "distinct") for kind in ("postgresql", "mariadb")),
        *(rf"memory\.{kind}\.driver\.known" for kind in USUAL_STORES),
        r"costs\.rows-5\..*", r"latency\.peer\..*", r"growth\.size\.10000\..*", r"endurance\.peak_mib"]


def machine_words(results, machine):
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    rounds = max(map(len, results.samples.values()))
    return (f"Measured on {machine['date']}: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux "
            f"{machine['kernel']}; {versions}. Broker, server and worker share the machine. At most {rounds} "
            f"round{'s' * (rounds > 1)}{', of fewer events (--quick)' * machine['is_quick']}.\n")


def print_all(results):
    for name, make in TABLES.items():
        text = make(results)
        if text:
            print(f"\n{name}\n\n{text}", flush=True)


# ---- Charts ----

def rate(results, prefix):
    return results.median(f"{prefix}.events_per_second")


def throughput_bars(results, section):
    """[(name, events/s, is it Readside's)], fastest last."""
    bars = [("bare loop", f"{section}.limit.fold", False)]
    for kind, name in STORES.items():
        bars.append((f"Readside, {name}", f"{section}.{kind}.readside.1", True))
        peers = [f"{section}.{kind}.peer.{tasks}" for tasks in PEER_TASKS]
        bars.append((f"Debezium, {name}", max(peers, key=lambda prefix: rate(results, prefix) or 0), False))
    found = [(name, rate(results, prefix), ours) for name, prefix, ours in bars]
    return sorted((bar for bar in found if bar[1] is not None), key=lambda bar: bar[1])


def draw_bars(path, title, bars):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "readside"  # the same figures give the same file
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(8, 0.45 * len(bars) + 1))
    drawn = axes.barh([bar[0] for bar in bars], [bar[1] for bar in bars], color=["#2b6cb0" if bar[2] else "#a0aec0" for bar in bars])
    axes.bar_label(drawn, [f"{bar[1]:,.0f}" for bar in bars], padding=3, fontsize=8)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.margins(x=0.15)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def write_charts(results, folder):
    for section, title in (("hot", "Events a second, 10,000 accounts"), ("distinct", "Events a second, a new row each")):
        bars = throughput_bars(results, section)
        if bars:
            draw_bars(folder / f"performance-{section}.svg", title, bars)


def write_docs(results, machine, folder):
    """All tables anew, as one line tells the machine and the date for all: ValueError where a row that the page speaks of is missing."""
    missing = [pattern for pattern in PAGE if not results.keys(pattern)]
    if missing:
        raise ValueError(f"docs/performance.md is of a whole run; this one has no {', '.join(missing)}")

    def fill(match):
        name = match[2]
        return match[1] + (machine_words(results, machine) if name == "machine" else TABLES[name](results)) + match[3]
    page = folder / "performance.md"
    page.write_text(MARKS.sub(fill, page.read_text()))
    write_charts(results, folder)
