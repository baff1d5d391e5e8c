"""What a run of the benchmarks has measured: samples by key, in one flat file of JSON with stable names."""
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess


class Results:
    """A key is SECTION.STORE.WHO[.VARIANT].FIGURE, such as hot.postgresql.readside.1.events_per_second."""

    def __init__(self):
        self.samples = {}

    def add(self, key, value):
        self.samples.setdefault(key, []).append(value)

    def add_all(self, prefix, figures):
        """figures: {name: value}; None where there is none to tell."""
        for name, value in figures.items():
            if value is not None:
                self.add(f"{prefix}.{name}", value)

    def median(self, key):
        """None where nothing was measured."""
        return statistics.median(self.samples[key]) if key in self.samples else None

    def ratio(self, key, other):
        ours, theirs = self.median(key), self.median(other)
        return ours / theirs if ours is not None and theirs else None

    def keys(self, pattern):
        """Those that match as a whole, in the order of measuring."""
        return [key for key in self.samples if re.fullmatch(pattern, key)]

    def write(self, path, machine):
        figures = {key: {"median": statistics.median(values), "min": min(values), "max": max(values), "samples": values}
                   for key, values in self.samples.items()}
        pathlib.Path(path).write_text(json.dumps({"machine": machine, "figures": figures}, indent=1) + "\n")

    @classmethod
    def read(cls, paths):
        """(results, machine) of files that write() has written, all of one machine; the last tells the date, and of what two have
        measured."""
        documents = [json.loads(pathlib.Path(path).read_text()) for path in paths]
        if len({tuple(document["machine"][what] for what in ("cpu", "cores", "kernel")) for document in documents}) != 1:
            raise ValueError(f"{', '.join(paths)} are of different machines")
        results = cls()
        for document in documents:
            results.samples.update({key: figure["samples"] for key, figure in document["figures"].items()})
        machine = documents[-1]["machine"]
        versions = {name: version for document in documents for name, version in document["machine"]["versions"].items()}
        return results, {**machine, "versions": versions, "is_quick": any(document["machine"].get("is_quick") for document in documents)}


def first_line(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0].strip()


def describe_machine(versions):
    """What a reader needs beside the figures. versions: {name: version} of what took part."""
    cpu = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal: *(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {"date": datetime.date.today().isoformat(), "cpu": cpu.group(1) if cpu else platform.machine(), "cores": os.cpu_count(),
            "memory_gib": round(int(memory.group(1)) / 1048576), "kernel": platform.release().split("-")[0], "versions": versions}
