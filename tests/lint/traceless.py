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
if home not in ("/", "/tmp", "/var/tmp", "/home", "/root", "/usr", "/usr/local", "/opt", "/srv"):  # every machine has these
    needles[home + "/"] = "a path of this machine"
listing = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=house.ROOT, capture_output=True, text=True) \
    if shutil.which("git") else None
if listing and listing.returncode == 0:
    names = listing.stdout.splitlines()
else:  # an unpacked archive, or a clone of somebody else's
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
