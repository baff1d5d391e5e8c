#!/usr/bin/python3
"""Each shipped plugin folds its golden events into exactly the tables that the oracle in expect.py found, and so again.

    golden_test.py [CASE...]
"""
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE / "golden"
BUILD = pathlib.Path(os.environ.get("READSIDE_BUILD", HERE.parents[1] / "build"))


def fold(plugin, options):
    words = [word for option in options for word in ("--option", option)]
    return subprocess.run([BUILD / "readside", "test-plugin", *words, BUILD / "plugins" / f"{plugin}.so", GOLDEN / f"{plugin}.jsonl"],
                          capture_output=True, text=True)


def differences(expected, found):
    """A reason of "*" stands for any."""
    expected, found = expected.splitlines(), found.splitlines()
    for number, wanted in enumerate(expected, 1):
        got = found[number - 1] if number <= len(found) else "(end)"
        if wanted.endswith('reason="*"'):
            got = re.sub(r'reason=".+"$', 'reason="*"', got)
        if got != wanted:
            yield f"line {number}: expected\n    {wanted}\nfound\n    {got}"
    if len(found) > len(expected):
        yield f"unexpected: {found[len(expected)]}"


failed = checked = 0
for line in (GOLDEN / "cases").read_text().splitlines():
    name, plugin, *options = line.split("#")[0].split() or [None, None]
    if name is None or sys.argv[1:] and name not in sys.argv[1:]:
        continue
    checked += 1
    first, second = fold(plugin, options), fold(plugin, options)
    wrong = list(differences((GOLDEN / f"{name}.expected").read_text(), first.stdout))
    if first.returncode not in (0, 2):
        wrong.append(f"exit code {first.returncode}: {first.stderr}")
    if first.stdout != second.stdout:
        wrong.append("a second run printed something else")
    failed += bool(wrong)
    print(f"{'FAILED' if wrong else 'ok'} {name}", *wrong[:5], sep="\n    " if wrong else "")
print(f"{checked} cases, {failed} failed")
sys.exit(1 if failed or not checked else 0)
