"""What every store driver promises, on each store: the programs of tests/contract, and what a server does to the one of PostgreSQL."""
import os
import subprocess

import pytest

from process import BUILD
from worker import command


def run(program, **environment):
    done = subprocess.run(command(program=BUILD / "tests/contract" / program), env=dict(os.environ, **environment), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    print(done.stdout)
    assert done.returncode == 0, f"{program} ended with {done.returncode}"
    assert "[  PASSED  ]" in done.stdout and "SKIPPED" not in done.stdout


def server(postgres, database):
    return {"STORE_KIND": "postgresql", "STORE_URI": postgres.uri(database), "STORE_PASSWORD": postgres.password}


@pytest.mark.parametrize("program", ["store_contract", "version_contract"])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_contract(kind, program, request):
    if kind == "sqlite":
        run(program, STORE_KIND="sqlite")
    else:
        run(program, **server(request.getfixturevalue("postgres"), request.getfixturevalue("database")))


def test_server_faults(postgres, database):
    run("postgres_contract", **server(postgres, database))
