"""Distinct rows that lie in memory: through a store's driver, and by the client library alone in every way there is."""
from measure import run_program, with_password

ROWS = 400_000
BATCH = 30_000  # rows of a transaction, wherever rows from memory are measured: as many as the batches of distinct rows come to
BATCHES = (100, 1_000, 10_000, BATCH)
MOST_BATCHES = 200  # where batches with positions and without are compared, half of them with
MOST_TIMES_ROWS = 4  # nor more rows than so many times those of a way: 13 quartets (rows_bench.c) of the largest batches
KNOWN_ROWS = 200_000  # where the number of keys is what changes
# Ways of the client library, the one that the driver goes first, into PostgreSQL two: for known rows and for new ones.
WAYS = {
    "postgresql": ["unnest-partition", "insert", "unnest", "unnest-2", "unnest-hashed", "copy", "copy-merge", "pipelined", "row",
                   "row-commit"],
    "mariadb": ["array-partition", "array"],
    "mysql": ["text", "prepared"],
    "sqlite": ["row", "row-commit"],
}
# Those that send each row alone get no more rows than some five seconds' worth.
FEWER = {("postgresql", "pipelined"): 100_000, ("postgresql", "row"): 20_000, ("postgresql", "row-commit"): 10_000,
         ("sqlite", "row-commit"): 10_000}


def bare_rows(store, kind, way, rows, batch):
    if kind == "sqlite":
        return run_program("bench/bare_sqlite", way, store.path.with_name("bare.db"), rows, batch)
    server, environment = store.server, with_password(store.server)
    if kind == "postgresql":
        return run_program("bench/bare_postgres", way, store.server.uri(store.database), rows, batch, env=environment)
    return run_program("bench/bare_rows", way, "127.0.0.1", server.port, store.database, rows, batch, env=environment)


def driver(store, rows, batch, mode="fence", *keys):
    uri, env = (store.path, None) if store.kind == "sqlite" else (store.server.uri(store.database), with_password(store.server))
    return run_program("bench/rows_bench", store.kind, uri, rows, batch, mode, *keys, env=env)


def rows_by_keys(store, keys, rows=KNOWN_ROWS):
    """Through the driver, in rows per second: {"new": while an empty table is filled with so many keys, "known": of rows that are spread
    over all of them, none twice in a batch}."""
    found = driver(store, rows, BATCH, "fence", keys)
    return {name: found[name] for name in ("new", "known")}


def add(results, prefix, figures):
    """Those in rows per second, and shares; a way that cannot do one says null."""
    results.add_all(prefix, {name: figures.get(name) for name in ("new", "known", "read", "removed", "new_share", "known_share")})


def measure_store(bench, results, kind, rows, ways):
    for way in ways:
        fewer = min(rows, FEWER.get((kind, way), rows))
        with bench.store(kind) as store:
            add(results, f"memory.{kind}.bare.{way}", bare_rows(store, kind, way, fewer, BATCH))
    with bench.store(kind) as store:
        add(results, f"memory.{kind}.driver", driver(store, rows, BATCH))


def measure_batches(bench, results, kind, rows):
    """One large transaction, or many, and what positions cost beside them."""
    for batch in BATCHES:
        with bench.store(kind) as store:
            add(results, f"memory.{kind}.batch.{batch}", driver(store, min(MOST_TIMES_ROWS * rows, batch * MOST_BATCHES), batch, "paired"))


def measure(bench, results, options):
    rows = (options.events or ROWS) // (4 if options.quick else 1)
    for number in range(1, options.rounds + 1):
        options.say(f"memory: round {number} of {options.rounds}, {rows:,} rows")
        for kind in options.stores:
            measure_store(bench, results, kind, rows, WAYS[kind] if not options.quick else WAYS[kind][:2])
            if not options.quick:
                measure_batches(bench, results, kind, rows)
