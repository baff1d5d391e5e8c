"""What every store driver promises, on each store: the programs of tests/contract, and what servers do to their drivers."""
import os
import subprocess

import pytest

from process import BUILD
from scene import MysqlStore
from servers import MariaDB, MySQL
from worker import command


def run(program, **environment):
    done = subprocess.run(command(program=BUILD / "tests/contract" / program), env=dict(os.environ, **environment), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    print(done.stdout)
    assert done.returncode == 0, f"{program} ended with {done.returncode}"
    assert "[  PASSED  ]" in done.stdout and "SKIPPED" not in done.stdout


def environment(store):
    if store.kind == "sqlite":
        return {"STORE_KIND": store.kind}  # the program makes its files
    authority = {"STORE_CA": str(store.server.ca)} if store.kind == "mysql" else {}
    return {"STORE_KIND": store.kind, "STORE_URI": store.server.uri(store.database), "STORE_PASSWORD": store.server.password, **authority}


@pytest.mark.parametrize("program", ["store_contract", "version_contract"])
def test_contract(program, store):
    run(program, **environment(store))


@pytest.mark.parametrize("program", ["postgres_contract", "postgres_network_contract"])
@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_postgresql_faults(program, store):
    run(program, **environment(store))


@pytest.fixture(params=[MariaDB, MySQL], ids=lambda family: family.kind)
def perverse_server(request):
    """Each of its defaults would change what is written or read."""
    server = request.param()
    if missing := server.missing():
        pytest.skip(missing)
    transaction = "tx" if server.kind == "mariadb" else "transaction"
    try:
        server.start()
        for name, value in {
                "sql_mode": "", "completion_type": "CHAIN", "time_zone": "+05:00", "sql_select_limit": 1, "sql_safe_updates": 1,
                "max_join_size": 1, "default_storage_engine": "MyISAM", "innodb_default_row_format": "compact",
                f"{transaction}_isolation": "SERIALIZABLE", "autocommit": 0,
                "init_connect": "SET NAMES latin1; SET sql_mode = 'NO_BACKSLASH_ESCAPES', time_zone = '+07:00'"}.items():
            server.administer(f"SET GLOBAL {name} = %s", value)
        yield server
    finally:
        server.remove()


def test_a_servers_defaults_change_nothing(perverse_server, tmp_path):
    run("store_contract", **environment(MysqlStore(perverse_server, perverse_server.create_database("perverse"), tmp_path)))


@pytest.mark.parametrize("store", ["mariadb", "mysql"], indirect=True)
def test_mysql_faults(store):
    """Over TLS, where the client library tells of connections that end in more ways; test_client_library.py has the plain ones."""
    given = environment(store)
    given["STORE_URI"] += f"?tls=verified&ssl-ca={store.server.ca}"
    run("mysql_contract", **given)
