#!/usr/bin/python3
"""The tree names no registry's or mirror's host that this system uses and no path of the machine it lies on."""
import re
import shutil
import subprocess

import house

needles = {}
targets = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE)"], capture_output=True, text=True).stdout \
    if shutil.which("apt-get") else ""
for host in re.findall(r"^[a-z]+://(?:[^/@]*@)?([^/:\s]+)", targets, re.M):
    needles[host] = "a package registry's host"
home = str(house.ROOT.parent)
if len(home) > 1:
    needles[home + "/"] = "a path of this machine"
if shutil.which("git") and (house.ROOT / ".git").exists():
    listing = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=house.ROOT, check=True, capture_output=True, text=True)
    names = listing.stdout.splitlines()
else:
    folders = [house.ROOT / name for name in "src include plugins tests bench conf docs scripts .ci".split()]
    names = [house.name(path) for folder in folders for path in folder.rglob("*") if "__pycache__" not in path.parts]
problems, checked = [], 0
for each in names:
    path = house.ROOT / each
    if path.is_file():
        checked += 1
        text = path.read_text(errors="replace")
        problems += [f"{each} names {needle}: {what}" for needle, what in needles.items() if needle in text]
house.report(problems, checked)
