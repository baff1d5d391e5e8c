#!/usr/bin/python3
"""A folder includes only folders above it in the list (design section 4); of one another kafka, event, fold and store include only the
plain structs that they hand on."""
import house

SHARED = {"kafka/record.h", "event/event.h", "fold/table.h", "fold/batch.h"}
PEERS = {"kafka", "event", "fold", "store"}

problems, checked = [], 0
for path in house.files("src"):
    where = house.name(path).split("/")
    if len(where) == 2:  # main.c
        continue
    folder = where[1]
    if folder not in house.FOLDERS:
        problems.append(f"{house.name(path)}: the house has no room {folder}")
        continue
    for line, header, is_ours in house.includes(path):
        if not is_ours or header == "config.h":
            continue
        checked += 1
        other = header.split("/")[0]
        place = f"{house.name(path)}:{line}: "
        if other == "readside":
            continue
        if "/" not in header or not (house.SRC / header).exists():
            problems.append(place + f'"{header}" is not named from src/, as FOLDER/FILE.h')
        elif other == folder:
            continue
        elif house.FOLDERS.index(other) > house.FOLDERS.index(folder):
            problems.append(place + f"{folder}/ must not know {other}/")
        elif {folder, other} <= PEERS and header not in SHARED:
            problems.append(place + f"of {other}/ only {', '.join(sorted(SHARED))} may be included here")
house.report(problems, checked)
