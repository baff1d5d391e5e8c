"""Fixtures: real servers for the whole run; topics, databases and workers for each test."""
import os
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from servers import Kafka, Postgres, Proxy  # noqa: E402
from scene import PostgresStore, Scene, SqliteStore  # noqa: E402


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


@pytest.fixture
def name(request):
    """A name for what belongs to this test alone; fits topics, databases and files."""
    return re.sub(r"[^a-z0-9]+", "_", request.node.name.lower()).strip("_")[:40] + f"_{os.urandom(3).hex()}"


@pytest.fixture
def database(postgres, name):
    postgres.create_database(name)
    yield name
    if not postgres.is_running():
        postgres.start()
    postgres.drop_database(name)


@pytest.fixture
def proxy(postgres):
    """A proxy before PostgreSQL."""
    between = Proxy(postgres.port)
    yield between
    between.close()


@pytest.fixture(params=["postgresql", "sqlite"])
def store(request, name, tmp_path):
    """Each store in turn. @pytest.mark.parametrize("store", ["sqlite"], indirect=True) chooses."""
    if request.param == "sqlite":
        return SqliteStore(tmp_path / "views.db")
    return PostgresStore(request.getfixturevalue("postgres"), request.getfixturevalue("database"), tmp_path)


@pytest.fixture
def pg_store(postgres, database, tmp_path):
    return PostgresStore(postgres, database, tmp_path)


@pytest.fixture
def proxied_store(postgres, database, tmp_path, proxy):
    """PostgreSQL, which workers reach through `proxy`."""
    return PostgresStore(postgres, database, tmp_path, proxy.port)


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
