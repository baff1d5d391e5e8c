#!/usr/bin/python3
"""Each third-party library is included behind one door (design D7)."""
import re

import house

DOORS = {
    r"librdkafka/.*": r"src/kafka/.*",
    r"libpq-fe\.h|libpq/.*|pg_.*|catalog/.*|server/.*": r"src/store/postgres[^/]*",
    r"mysql.*|mariadb.*|errmsg\.h": r"src/store/mysql[^/]*",
    r"sqlite3.*": r"src/store/sqlite[^/]*",
    r"libconfig.*": r"src/config/.*",
    r"yyjson.*": r"src/event/json[^/]*",
    r"dlfcn\.h": r"src/plugin/loader[^/]*",
    r"microhttpd.*": r"src/admin/http[^/]*",
}

problems, checked = [], 0
for path in house.files("src"):
    for line, header, is_ours in house.includes(path):
        checked += 1
        for library, door in DOORS.items():
            if not is_ours and re.fullmatch(library, header) and not re.fullmatch(door, house.name(path)):
                problems.append(f"{house.name(path)}:{line}: <{header}> is included in {door} only")
house.report(problems, checked)
