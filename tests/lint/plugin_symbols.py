#!/usr/bin/python3
"""A shipped plugin exports readside_projection and nothing else, and needs nothing of ours."""
import os
import pathlib
import subprocess

import house

BUILD = pathlib.Path(os.environ.get("READSIDE_BUILD", house.ROOT / "build"))


def symbols(path, *options):
    done = subprocess.run(["nm", "-D", *options, path], check=True, capture_output=True, text=True)
    return {line.split()[-1].split("@")[0] for line in done.stdout.splitlines()}


plugins = sorted((BUILD / "plugins").glob("*.so"))
problems = []
for path in plugins:
    exported = {name for name in symbols(path, "--defined-only") if not name.startswith(("__asan", "__odr_asan"))}
    if exported != {"readside_projection"}:
        problems.append(f"{path.name} exports {sorted(exported)}")
    ours = {name for name in symbols(path, "--undefined-only") if name.startswith(("rs_", "readside_"))}
    if ours:
        problems.append(f"{path.name} needs {sorted(ours)} of the host")
house.report(problems, len(plugins))
