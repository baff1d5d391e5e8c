#!/usr/bin/python3
"""Functions that have no place in this house, and files that grew past one noun."""
import re

import house

MAX_LINES = 600
MAX_TEST_LINES = 1200  # a test file repeats its set-up; still one noun
BANNED = {
    "strcpy": "memcpy with a known length", "strcat": "struct buffer", "stpcpy": "struct buffer", "sprintf": "snprintf",
    "vsprintf": "vsnprintf", "gets": "fgets", "strtok": "text functions of base/text.h", "strtok_r": "text functions of base/text.h",
    "atoi": "text_read_*", "atol": "text_read_*", "atoll": "text_read_*", "atof": "text_read_*",
    "strtol": "text_read_*", "strtoul": "text_read_*", "strtoll": "text_read_*", "strtoull": "text_read_*",
    "strtod": "text_read_real", "sscanf": "text_read_*", "strncpy": "memcpy with a known length", "tmpnam": "mkstemp",
    "mktemp": "mkstemp", "alloca": "an arena", "sleep": "a wait for an event with a deadline", "usleep": "the same",
    "system": "posix_spawn", "popen": "posix_spawn", "rand": "base/hash.h", "gmtime": "gmtime_r", "localtime": "no local time",
}
# The one place that wraps it, with every check.
EXEMPT = {("src/base/text.c", "strtod")}

pattern = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
problems = []
checked = house.files("src", "plugins", "include")
for path in checked:
    text = house.code(path)
    for match in pattern.finditer(text):
        if (house.name(path), match[1]) not in EXEMPT:
            line = text.count("\n", 0, match.start()) + 1
            problems.append(f"{house.name(path)}:{line}: {match[1]}() is banned; use {BANNED[match[1]]}")
for path in checked + house.files("tests", "bench", suffixes=(".c", ".h", ".cc", ".py")):
    lines = path.read_text().count("\n")
    limit = MAX_TEST_LINES if "tests" in house.name(path) else MAX_LINES
    if lines > limit and path.name != "plugin.h":  # the whole contract is one file by design
        problems.append(f"{house.name(path)} has {lines} lines; more than {limit} are perhaps two nouns")
house.report(problems, len(checked))
