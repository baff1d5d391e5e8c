#!/usr/bin/python3
"""The tree names no registry's or mirror's host that this system uses and no path of the machine it lies on."""
import re
import subprocess

import house

SKIP = {".git", ".deps", "build-aux", "autom4te.cache", "__pycache__"}
needles = {}
targets = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE)"], capture_output=True, text=True).stdout \
    if house.pathlib.Path("/usr/bin/apt-get").exists() else ""
for host in re.findall(r"^[a-z]+://(?:[^/@]*@)?([^/:\s]+)", targets, re.M):
    needles[host] = "a package registry's host"
home = str(house.ROOT.parent)
if home.count("/") > 1 or len(home) > 6:
    needles[home + "/"] = "a path of this machine"
listing = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=house.ROOT, capture_output=True, text=True)
names = listing.stdout.split("\n")[:-1] if listing.returncode == 0 else \
    [house.name(path) for path in house.ROOT.rglob("*") if path.is_file() and not SKIP & set(path.parts)]
problems, checked = [], 0
for each in names:
    path = house.ROOT / each
    if path.is_file():
        checked += 1
        text = path.read_text(errors="replace")
        problems += [f"{each} names {needle}: {what}" for needle, what in needles.items() if needle in text]
house.report(problems, checked)
