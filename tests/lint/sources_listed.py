#!/usr/bin/python3
"""Every C file is built: the makefile names each source, unit test and plugin that the tree holds, and no other."""
import re

import house

makefile = (house.ROOT / "Makefile.am").read_text().replace("\\\n", " ")
listed = set(re.findall(r"(?<![\w/.])(src/[\w/]+\.c|tests/simulation/\w+\.c)\b", makefile))
present = {house.name(path) for path in house.files("src", "tests/simulation", suffixes=(".c",))}
for folder, variable, suffix in (("tests/unit", "unit_tests", ""), ("plugins", "plugins", ".so"), ("tests/plugins", "test_plugins", ".so")):
    words = " ".join(re.findall(rf"^{variable} \+?=(.*)$", makefile, re.M)).split()
    listed |= {word[:len(word) - len(suffix)] for word in words}
    present |= {house.name(path.with_suffix("")) for path in house.files(folder, suffixes=(".c", ".cc"))}
problems = [f"{name} is not listed in Makefile.am" for name in sorted(present - listed)]
problems += [f"{name} is listed in Makefile.am and not there" for name in sorted(listed - present)]
house.report(problems, len(present))
