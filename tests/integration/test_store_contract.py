"""What every store driver promises, on each store: the programs of tests/contract, and what servers do to their drivers."""
import concurrent.futures
import contextlib
import functools
import itertools
import os
import subprocess

import pytest

from process import BUILD
from scene import MysqlStore
from servers import MariaDB, MySQL
from worker import command

AT_ONCE = 8  # tests of one program, which wait for time limits of the server's and the driver's for most of their time


def contract(name):
    return command(program=BUILD / "tests/contract" / name)


def run(words, **environment):
    """One that hangs is ended before pytest gives up on the test and with it on what the others have said."""
    words = ["timeout", "--signal=KILL", "200", *map(str, words)]
    return subprocess.run(words, env=dict(os.environ, **environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)


def run_all(words, **environment):
    done = run(words, **environment)
    print(done.stdout)
    assert done.returncode == 0, f"{words} ended with {done.returncode}"
    assert "[  PASSED  ]" in done.stdout and "SKIPPED" not in done.stdout


def run_each(words, around, alone=()):
    """Each test of a program in a process of its own, several at once; alone: those that change the whole server, after the others.
    around(): a context that gives a test's environment."""
    def run_one(name):
        with around() as environment:
            return name, run([*words, name], **environment)
    with around() as environment:
        names = run([*words, "--list"], **environment).stdout.split()
    assert names and set(alone) <= set(names)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(run_one, [name for name in names if name not in alone]))
    done += [run_one(name) for name in alone]
    for _, each in done:
        print(each.stdout)
    bad = [name for name, each in done if each.returncode != 0 or "[  PASSED  ] 1 test(s)." not in each.stdout or "SKIPPED" in each.stdout]
    assert not bad, f"{words}: {bad}"


def environment(store):
    if store.kind == "sqlite":
        return {"STORE_KIND": store.kind}  # the program makes its files
    authority = {"STORE_CA": str(store.server.ca)} if store.kind == "mysql" else {}
    return {"STORE_KIND": store.kind, "STORE_URI": store.server.uri(store.database), "STORE_PASSWORD": store.server.password, **authority}


NUMBERS = itertools.count()


@contextlib.contextmanager
def surroundings(store):
    """The environment of one test. On PostgreSQL it has a database of its own: tables are made under a lock that is one for each."""
    if store.kind != "postgresql":
        yield environment(store)
        return
    database = store.server.create_database(f"{store.database}_{next(NUMBERS)}")
    try:
        yield {**environment(store), "STORE_URI": store.server.uri(database)}
    finally:
        store.server.drop_database(database)


def test_contract(store):
    run_each(contract("store_contract"), functools.partial(surroundings, store))


def test_contract_of_versions(store):
    run_all(contract("version_contract"), **environment(store))


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_postgresql_faults(store):
    run_each(contract("postgres_contract"), functools.partial(surroundings, store), alone=["test_a_commit_that_waits_for_a_standby"])


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_postgresql_network(store):
    run_each(contract("postgres_network_contract"), functools.partial(surroundings, store))


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
    store = MysqlStore(perverse_server, perverse_server.create_database("perverse"), tmp_path)
    run_each(contract("store_contract"), functools.partial(surroundings, store))


@pytest.mark.parametrize("store", ["mariadb", "mysql"], indirect=True)
def test_mysql_faults(store):
    """Over TLS, where the client library tells of connections that end in more ways; test_client_library.py has the plain ones."""
    given = environment(store)
    given["STORE_URI"] += f"?tls=verified&ssl-ca={store.server.ca}"
    run_each(contract("mysql_contract"), lambda: contextlib.nullcontext(given))
