"""What the benchmarks share: real servers, topics that are filled once, a store of its own for each run."""
import contextlib
import json
import os
import pathlib
import sqlite3
import subprocess
import tempfile

import kafka
import peer
from mysql import MariaDB, MySQL
from process import BUILD
from scene import MysqlStore, PostgresStore, SqliteStore
from servers import Kafka, Postgres

SERVERS = {"postgresql": Postgres, "mariadb": MariaDB, "mysql": MySQL}
STORES = [*SERVERS, "sqlite"]
# The servers' own defaults would measure their smallest buffers.
SETTINGS = {"postgresql": {"shared_buffers": "1GB", "max_wal_size": "4GB"},
            "mariadb": {"innodb-buffer-pool-size": "1G", "innodb-log-file-size": "1G"},
            "mysql": {"innodb-buffer-pool-size": "1G", "innodb-redo-log-capacity": "1G"}}


class Bench:
    """A broker and servers that start when they are first asked for, and end with the `with` block."""

    def __init__(self):
        self._undo = contextlib.ExitStack()
        self._kafka = None
        self._servers = {}
        self._topics = {}
        self._n = 0

    def __enter__(self):
        self.folder = pathlib.Path(self._undo.enter_context(tempfile.TemporaryDirectory(prefix="readside-bench-")))
        return self

    def __exit__(self, *error):
        self._undo.close()

    def new_name(self, what):
        self._n += 1
        return f"{what}{self._n}"

    def new_folder(self, what):
        folder = self.folder / self.new_name(what)
        folder.mkdir()
        return folder

    @property
    def kafka(self):
        if self._kafka is None:
            self._kafka = Kafka(memory="1g")
            self._undo.callback(self._kafka.remove)
            self._kafka.start()
        return self._kafka

    def server(self, kind, **settings):
        """One that flushes at each commit, as in earnest. settings: beside the usual ones; then it is one of its own."""
        key = (kind, *settings.items())
        if key not in self._servers:
            server = self._servers[key] = SERVERS[kind](fsync=True, settings={**SETTINGS[kind], **settings})
            self._undo.callback(server.remove)
            server.start()
        return self._servers[key]

    def versions(self):
        """{name: version} of what has taken part."""
        asked = {kind: server.query("postgres" if kind == "postgresql" else "information_schema", "SELECT version()")[0][0]
                 for (kind, *_), server in self._servers.items()}
        client = subprocess.run(["pkg-config", "--modversion", "rdkafka"], check=True, capture_output=True, text=True).stdout.strip()
        return {"Readside": run_program("readside", "version", text=True).split()[1], "librdkafka": client, "Kafka": kafka.jars().name.partition("-")[2],
                "SQLite": sqlite3.sqlite_version, **({"Debezium": peer.jars().name.partition("-")[2]} if peer.jars() else {}),
                **{kind: version.replace("PostgreSQL ", "").split("-")[0].split()[0] for kind, version in asked.items()}}

    @contextlib.contextmanager
    def store(self, kind, **settings):
        """An empty one, gone behind the block: what a run leaves behind must not be vacuumed or flushed in the next."""
        if kind == "sqlite":
            yield SqliteStore(self.new_folder("sqlite") / "store.db")
            return
        server, name = self.server(kind, **settings), self.new_name("bench")
        server.create_database(name)
        try:
            yield (PostgresStore if kind == "postgresql" else MysqlStore)(server, name, self.folder)
        finally:
            server.drop_database(name)

    def topic(self, events, accounts, partitions=4, size=0, fields=0):
        """The name of a topic with those events, filled once (bench/fill.c)."""
        key = (events, accounts, partitions, size, fields)
        if key not in self._topics:
            name = self._topics[key] = self.kafka.create_topic(self.new_name("bank"), partitions)
            run_program("bench/fill", self.kafka.bootstrap, name, events, accounts, *([size, fields] if size or fields else []))
            bare(self.kafka, name, events)  # the broker's file cache is warm for all then
        return self._topics[key]

    def forget_topics(self):
        """Their space is needed."""
        for name in self._topics.values():
            self.kafka.delete_topic(name)
        self._topics.clear()


def run_program(program, *arguments, text=False, **run):
    """Of the build; its line of JSON, or with text its output as it is."""
    done = subprocess.run([str(word) for word in (BUILD / program, *arguments)], check=True, stdout=subprocess.PIPE, text=True, **run)
    return done.stdout if text or not done.stdout.startswith("{") else json.loads(done.stdout)


def bare(kafka, topic, events, what="fold"):
    """The limit: consuming alone, or consuming, parsing and folding, in one minimal loop (bench/bare.c)."""
    return run_program("bench/bare", kafka.bootstrap, topic, events, what)


def with_password(server):
    """The environment of programs that log in."""
    return dict(os.environ, STORE_USER=server.user, STORE_PASSWORD=server.password)
