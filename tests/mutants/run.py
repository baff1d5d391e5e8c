#!/usr/bin/python3
"""Removes one guard at a time from the sink and looks whether the simulation goes red: a checker that cannot fail proves nothing.

    tests/mutants/run.py [NAME...]

Each mutant is one replacement in one file, compiled into a simulation of its own. A mutant that survives fails the run.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEEDS = "12000"

MUTANTS = {
    "records below the position count": (
        "src/task/progress.c", "record->kind == RECORD_DATA && record->offset < partition->next.offset", "false"),
    "an unknown commit is taken for lost": (
        "src/task/sink.c", "if (failure->class == ERROR_UNKNOWN || !store_is_connected(sink->store))",
        "if (failure->class != ERROR_UNKNOWN && !store_is_connected(sink->store))",
        "if (failure->class == ERROR_TRANSIENT)", "if (failure->class == ERROR_TRANSIENT || failure->class == ERROR_UNKNOWN)"),
    "no resolve after a reconnect": (
        "src/task/sink.c", "        sink->phase = SINK_RESOLVING;\n        sink->has_connected = true;",
        "        sink->phase = SINK_READY;\n        sink->has_connected = true;"),
    "a rewind keeps the batches": (
        "src/task/sink.c", "int sink_rewind(struct sink *sink, const char *why, struct error *ret_error)\n{\n    forget_batches(sink);",
        "int sink_rewind(struct sink *sink, const char *why, struct error *ret_error)\n{\n    sink_drop_records(sink);"),
    "a rewind does not seek": (
        "src/task/intake.c", "result = sink->consumer.operations->seek(sink->consumer.self, sink->places, n, &failure);", "result = 0;"),
    "batches dropped without a rewind": (
        "src/task/sink.c", "    sink->must_rewind = true;", "    sink->must_rewind = false;"),
    "the row cache outlives a rewind": (
        "src/task/sink.c", "    row_cache_clear(sink->cache);\n", ""),
    "a claimed partition stays paused": (
        "src/task/claim.c", "result = sink->consumer.operations->resume(sink->consumer.self, places, n, ret_error);", "result = 0;"),
    "a fenced task goes on": (
        "src/task/recovery.c", "    if (position->is_missing)\n        return RESOLVE_FENCED;\n", ""),
    "what grew while flooded waits": (
        "src/task/intake.c", "        if (sink->is_flooded)\n            *ret_has_worked = true;", "        if (false)\n            *ret_has_worked = true;"),
    "claimed at the wrong offset": (
        "src/task/progress.c", "    partition->sent = partition->next = partition->base;\n",
        "    partition->sent = partition->next = partition->base; partition->next.offset++;\n"),
    "the database that went back is not followed": (
        "src/task/claim.c",
        "        partition->base = (struct mark){.offset = position->next_offset, .leader_epoch = position->leader_epoch};\n", ""),
    "a partition that falls silent is left alone": (
        "src/task/lag.c", "            return nudge(sink, &sink->progress.items[i], sink->places[i].offset, ret_error);", "            ;"),
    "a partition that stays silent is fetched anew for ever": (
        "src/task/lag.c", "    if (partition->is_nudged)\n", "    if (false)\n"),
    "what comes after a failed seek counts": (
        "src/task/intake.c", "    sink->is_paused = result != 0;\n", "    sink->is_paused = false;\n"),
    "an end mark moves a partition that is not running": (
        "src/task/progress.c", "    if (partition == NULL || partition->state != PARTITION_RUNNING)\n        return TAKE_DROP;",
        "    if (partition == NULL)\n        return TAKE_DROP;"),
}


def build(folder, mutant):
    """Compiles the simulation with the mutant in place of the original."""
    path, *pairs = mutant
    text = (ROOT / path).read_text()
    for old, new in zip(pairs[::2], pairs[1::2]):
        if text.count(old) < 1:
            sys.exit(f"tests/mutants: {path} no longer holds: {old}")
        text = text.replace(old, new)
    changed = pathlib.Path(folder) / pathlib.Path(path).name
    changed.write_text(text)
    sources = [*(ROOT / "src/base").glob("*.c"), *(ROOT / "src/fold").glob("*.c"), *(ROOT / "tests/simulation").glob("*.c")]
    sources += [ROOT / "src/task" / f"{name}.c" for name in ("claim", "halt", "intake", "lag", "progress", "recovery", "sink")]
    sources = [changed if source == ROOT / path else source for source in sources]
    binary = pathlib.Path(folder) / "simulation"
    subprocess.run([os.environ.get("CC", "gcc"), "-std=gnu17", "-O1", "-D_GNU_SOURCE", "-w", f"-I{ROOT / 'src'}", f"-I{ROOT / 'include'}",
                    f"-I{ROOT / 'tests/simulation'}", *map(str, sources), "-o", str(binary), "-lm"], check=True)
    return binary


def is_caught(mutant):
    with tempfile.TemporaryDirectory() as folder:
        binary = build(folder, mutant)
        try:
            done = subprocess.run([binary, "--seeds", SEEDS], capture_output=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            return True  # it never comes to rest
        return done.returncode != 0


def main():
    names = sys.argv[1:] or list(MUTANTS)
    survivors = []
    for name in names:
        caught = is_caught(MUTANTS[name])
        print(f"{'ok    ' if caught else 'not ok'} {name}", flush=True)
        if not caught:
            survivors.append(name)
    print(f"{len(names) - len(survivors)} of {len(names)} mutants caught")
    return 1 if survivors else 0


sys.exit(main())
