#!/usr/bin/python3
"""Every header compiles alone, and plugin.h in C11 and C++17 as well."""
import os
import shlex
import subprocess
import sys

import house

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"]
has_libmariadb = subprocess.run(["pkg-config", "--exists", "libmariadb"], check=False).returncode == 0
packages = subprocess.run(["pkg-config", "--cflags", "rdkafka", "yyjson", "libconfig", "sqlite3", "libpq",
                           "libmariadb" if has_libmariadb else "mysqlclient"], capture_output=True, text=True)
if packages.returncode != 0:
    sys.exit(f"{packages.stderr}PKG_CONFIG_PATH must be that of scripts/bootstrap")
flags = [*shlex.split(packages.stdout), f"-I{house.SRC}", f"-I{house.ROOT / 'include'}"]


def compiles(header, compiler, *more):
    done = subprocess.run([*shlex.split(compiler), *more, *WARNINGS, *flags, *([] if "++" in more[0] else ["-D_GNU_SOURCE="]), "-fsyntax-only", "-x",
                           "c++" if "++" in more[0] else "c", "-include", header, "/dev/null"], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr


cc, cxx = os.environ.get("CC", "cc"), os.environ.get("CXX", "c++")
todo = [(path, cc, "-std=gnu17") for path in house.files("src", suffixes=(".h",))]
plugin = house.ROOT / "include/readside/plugin.h"
todo += [(plugin, cc, "-std=gnu11"), (plugin, cxx, "-std=gnu++17"), (plugin, cxx, "-std=gnu++20")]
problems = [f"{house.name(path)} does not compile alone with {compiler} {standard}:\n{text}"
            for path, compiler, standard in todo if (text := compiles(path, compiler, standard))]
house.report(problems, len(todo))
