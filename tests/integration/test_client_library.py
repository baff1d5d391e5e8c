"""The MySQL store by Oracle's client library instead of MariaDB's: built with its headers, run beside its libraries by their loader."""
import functools
import subprocess

import pytest

from build import build
from servers import MySQL
from test_store_contract import environment, run_all, run_each, surroundings

PROGRAMS = ["store_contract", "version_contract", "mysql_contract"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(the folder of the build, what a program of it is called by)"""
    if missing := MySQL.missing():
        pytest.skip(missing)
    folder, tree = tmp_path_factory.mktemp("build"), MySQL.unpacked()
    theirs = next(tree.glob("usr/lib/*-linux-*"))
    library = next(theirs.glob("libmysqlclient.so.*"))
    (folder / "lib").mkdir()
    (folder / "lib" / "libmysqlclient.so").symlink_to(library)  # alone: their libc is not the one that is built with
    (folder / "mysqlclient.pc").write_text(f"Name: mysqlclient\nDescription: unpacked\nVersion: 24\n"
                                           f"Cflags: -isystem{tree}/usr/include/mysql -isystem{tree}/usr/include\n"
                                           f"Libs: -L{folder}/lib -lmysqlclient\n")
    # The libc that their library needs is newer than the one at hand; the loader below brings it.
    build(folder, " ".join(f"tests/contract/{name}" for name in PROGRAMS),
          "--with-mysql=mysqlclient CFLAGS=-O0 LDFLAGS=-Wl,--unresolved-symbols=ignore-in-shared-libs",
          f"PKG_CONFIG_PATH={folder}:${{PKG_CONFIG_PATH:-}}")
    ours = subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True, check=True).stdout.strip()
    return folder, [next(theirs.glob("ld-linux*.so.*")), "--library-path", f"{theirs}:/usr/lib/{ours}"]


@pytest.mark.parametrize("store", ["mysql"], indirect=True)
@pytest.mark.parametrize("program", PROGRAMS)
def test_contract(built, store, program):
    folder, loader = built
    words = [*loader, folder / "tests/contract" / program]
    if program == "version_contract":
        run_all(words, **environment(store))
    else:
        run_each(words, functools.partial(surroundings, store))
