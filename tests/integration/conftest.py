"""Fixtures: real servers for the whole run; topics, databases and workers for each test."""
import os
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from servers import Kafka, MariaDB, MySQL, Postgres, Proxy  # noqa: E402
from scene import MysqlStore, PostgresStore, Scene, SqliteStore  # noqa: E402

# What `store` and, SQLite apart, `server` go through.
STORES = ["postgresql", "mariadb", "mysql", "sqlite"]
SERVERS = [kind for kind in STORES if kind != "sqlite"]
SERVER_FIXTURES = {"postgresql": "postgres", "mariadb": "mariadb", "mysql": "mysql"}


def store_of(server, database, folder, port=None):
    return (PostgresStore if isinstance(server, Postgres) else MysqlStore)(server, database, folder, port)


@pytest.fixture(scope="session")
def kafka():
    server = Kafka()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres():
    server = Postgres()
    try:
        yield server.start()
    finally:
        server.remove()


def run_if_there(family):
    if missing := family.missing():
        pytest.skip(missing)
    server = family()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(scope="session")
def mariadb():
    yield from run_if_there(MariaDB)


@pytest.fixture(scope="session")
def mysql():
    yield from run_if_there(MySQL)


@pytest.fixture(params=SERVERS)
def server(request):
    """Each server in turn. @pytest.mark.parametrize("server", ["mariadb"], indirect=True) chooses."""
    return request.getfixturevalue(SERVER_FIXTURES[request.param])


@pytest.fixture
def name(request):
    """A name for what belongs to this test alone; fits topics, databases and files."""
    return re.sub(r"[^a-z0-9]+", "_", request.node.name.lower()).strip("_")[:40] + f"_{os.urandom(3).hex()}"


@pytest.fixture
def make_database(name):
    """make_database(server) makes one that ends with the test."""
    servers = []

    def make(server):
        servers.append(server)
        return server.create_database(name)
    yield make
    for server in servers:
        if not server.is_running():
            server.start()
        server.drop_database(name)


@pytest.fixture
def make_proxy():
    """make_proxy(server) makes one before that server; it ends with the test."""
    made = []

    def make(server):
        made.append(Proxy(server.port))
        return made[-1]
    yield make
    for each in made:
        each.close()


@pytest.fixture(params=STORES)
def store(request, make_database, tmp_path):
    """Each store in turn. @pytest.mark.parametrize("store", ["sqlite"], indirect=True) chooses."""
    if request.param == "sqlite":
        return SqliteStore(tmp_path / "views.db")
    server = request.getfixturevalue(SERVER_FIXTURES[request.param])
    return store_of(server, make_database(server), tmp_path)


@pytest.fixture
def server_store(server, make_database, tmp_path):
    """A store on each server in turn; `server` chooses."""
    return store_of(server, make_database(server), tmp_path)


@pytest.fixture
def server_proxy(server, make_proxy):
    """A proxy before `server`."""
    return make_proxy(server)


@pytest.fixture
def proxied_server_store(server, make_database, tmp_path, server_proxy):
    """A store on `server`, which workers reach through `server_proxy`."""
    return store_of(server, make_database(server), tmp_path, server_proxy.port)


@pytest.fixture
def scene(request, kafka, name, tmp_path):
    """scene(store, **keys) makes a topic with a pipeline to a store; its workers end with the test."""
    made = request.node.scenes = []

    def make(store, **keys):
        made.append(Scene(kafka, store, tmp_path, f"{name}_{len(made)}", **keys))
        return made[-1]
    yield make
    for each in made:
        each.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed and call.when == "call":
        for each in getattr(item, "scenes", []):
            for worker in each.workers:
                report.sections.append((f"log of {worker.name}", worker.tail(60)))
    # In CI everything needed is there: a test that cannot run has failed.
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
