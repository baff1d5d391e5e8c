"""What single things cost, end to end over hot keys: reads, exact decimals, fields of the event, rows of an event (bench/load.c)."""
from measure import BUILD
from pipeline import run_pipeline

# By name: options of the plugin, keys of the pipeline. Each is compared with "base", those over many accounts with "many".
VARIANTS = {
    "base": ({}, {}),
    "int": ({"amounts": "int"}, {}),
    "reads-warm": ({"reads": True}, {}),
    "many": ({}, {}),
    "many-reads": ({"reads": True}, {}),
    "many-reads-cold": ({"reads": True}, {"row_cache": "1MiB"}),
    **{f"fields-{n}": ({"fields": n}, {}) for n in (5, 10, 20)},
    **{f"rows-{n}": ({"rows": n}, {}) for n in (2, 3, 4, 5)},
}
FIELDS = 20
EVENTS = 1_000_000
ACCOUNTS = 10_000
MANY_ACCOUNTS = 200_000  # far more rows than the smallest cache holds; the usual one is filled


def measure_variant(bench, results, name, topic, events):
    options, keys = VARIANTS[name]
    with bench.store("postgresql") as store:
        run = run_pipeline(bench, store, topic, events, plugin=str(BUILD / "bench" / "load.so"),
                           **({"options": options} if options else {}), **keys)
    results.add_all(f"costs.{name}", run.figures(events))


def measure(bench, results, options):
    events = options.events or EVENTS // (2 if options.quick else 1)
    topic = bench.topic(events, ACCOUNTS, fields=FIELDS)
    many = bench.topic(events // 2, MANY_ACCOUNTS, fields=FIELDS)
    names = list(VARIANTS) if not options.quick else ["base", "int", "reads-warm", "fields-20", "rows-5"]
    for number in range(1, options.rounds + 1):
        options.say(f"costs: round {number} of {options.rounds}")
        for name in names:
            has_many = name.startswith("many")
            measure_variant(bench, results, name, many if has_many else topic, events // 2 if has_many else events)
