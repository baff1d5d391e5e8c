"""The peer: Debezium's JDBC sink on a Kafka Connect worker of its own, with the settings that were the fastest of those tried."""
import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

from kafka import QUIET
from pipeline import cpu_seconds, memory_mib
from process import ROOT, Process, eventually, free_port

# The fields of bench/fill's events, the key first; each is a column. Numbers and times travel and stay as text: the sink would cast
# each by a type of its own, which costs it time and shuts out arrays.
FIELDS = {"account": ("string", "varchar(120) PRIMARY KEY"), "type": ("string", "varchar(40) NOT NULL"),
          "version": ("int32", "integer NOT NULL"), "id": ("string", "varchar(36) NOT NULL"),
          "amount": ("string", "varchar(24) NOT NULL"), "at": ("string", "varchar(32) NOT NULL")}
SCHEMA = {"type": "struct", "optional": False,
          "fields": [{"field": name, "type": kind, "optional": False} for name, (kind, _) in FIELDS.items()]}
# What was tried into MariaDB 10.11 (500,000 new rows, on a busy machine, which moves CPU less than rows a second; CPU is the sink's and the
# server's). The sink's own driver, 3.5.3, knows rewriteBatchedStatements no more, and useBulkStmts does nothing for upserts before server
# 11.5: 500,000 statements either way, 5,100 and 6,300 rows/s, 69 to 72 s of CPU. All others send 26. MySQL's driver with
# rewriteBatchedStatements, which needs no hibernate.dialect: 22,300 rows/s, 30 to 43 s. MariaDB's 2.7.12 with rewriteBatchedStatements:
# 35 s; with useBulkStmts: 21,300 rows/s, 28 to 32 s. These two ran side by side once: MySQL's took 12 % longer and 30 % more CPU.
URLS = {"postgresql": "jdbc:postgresql://127.0.0.1:{}/{}?reWriteBatchedInserts=true",
        "mariadb": "jdbc:mariadb://127.0.0.1:{}/{}?useBulkStmts=true",
        # Else MariaDB's driver, which answers to this scheme as well, could be the one.
        "mysql": "jdbc:mysql://127.0.0.1:{}/{}?rewriteBatchedStatements=true&allowPublicKeyRetrieval=true&disableMariaDbDriver"}
# Fewer rows than that a statement, and the driver does not batch: its peer would be slow for a reason of ours.
FEWEST_ROWS = 20
SAMPLE_SECONDS = 0.1
FAILURES = r"unrecoverable exception|Failed to create|Stopping after connector error"


def jars():
    """Where scripts/bootstrap puts the sink; None: it has not."""
    script = 'source scripts/lib/common.sh; echo "$(cache_dir)/mariadb-driver-$mariadb_driver_version/debezium-$debezium_version"'
    folder = pathlib.Path(subprocess.run(["bash", "-c", script], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip())
    return folder if (folder / "complete").exists() else None


class Peer(Process):
    """One Connect worker with one sink: from a topic into a table of a PostgresStore or MysqlStore, by so many tasks. Each has a folder
    and a consumer group of its own, and begins at the start of the topic. `settings` are further keys of the connector's, which win
    (`consumer.override.` reaches the consumers); `java` are options of the virtual machine."""

    def __init__(self, kafka, store, folder, topic, table, tasks=1, settings=(), java=("-Xmx2g",)):
        super().__init__("peer", tempfile.mkdtemp(prefix=f"peer-{table}-", dir=folder))
        self.kafka = kafka
        self.store = store
        self.topic = topic
        self.table = table
        self.tasks = tasks
        self.settings = settings
        self.java = java
        self.group = f"connect-{self.folder.name}"

    def worker_settings(self):
        return {
            "bootstrap.servers": self.kafka.bootstrap,
            "listeners": f"http://127.0.0.1:{free_port()}",
            "plugin.path": self.folder / "plugins",
            "plugin.discovery": "service_load",
            "offset.storage.file.filename": self.folder / "offsets",
            # Between two batches at most; the end is known that soon after the last one.
            "offset.flush.interval.ms": 100,
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            # Else the schema below is not looked at; events need not carry one.
            "value.converter.schemas.enable": "true",
            "value.converter.schema.content": json.dumps(SCHEMA),
        }

    def connector_settings(self):
        return {
            "name": self.folder.name,
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            "tasks.max": self.tasks,
            "topics": self.topic,
            "collection.name.format": self.table,
            "connection.url": URLS[self.store.server.kind].format(self.store.server.port, self.store.database),
            "connection.username": self.store.server.user,
            "connection.password": self.store.server.password,
            "insert.mode": "upsert",
            "primary.key.mode": "record_value",
            "primary.key.fields": "account",
            "schema.evolution": "none",
            # So many rows come together: 19,200 a statement on average. Batches of 5,000 or, into PostgreSQL, 2,000 were no faster.
            "batch.size": 20000,
            "use.reduction.buffer": "true",
            # 26 statements for 500,000 rows, by pg_stat_statements; reWriteBatchedInserts alone makes 3,935, as fast at 9 % more CPU.
            "dialect.postgres.unnest.insert.enabled": str(self.store.kind == "postgresql").lower(),
            "consumer.override.isolation.level": "read_committed",
            "consumer.override.max.poll.records": 20000,
            # A megabyte, the default, holds fewer events than a batch.
            "consumer.override.max.partition.fetch.bytes": 8 << 20,
            **dict(self.settings),
        }

    def write(self, name, settings):
        """A file of properties, for nobody else to read: one holds a password."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return path

    def create_table(self):
        """Anew, so that each run inserts what it inserts."""
        self.store.query(f"DROP TABLE IF EXISTS {self.table}")
        self.store.query(f"CREATE TABLE {self.table} ({', '.join(f'{name} {column}' for name, (_, column) in FIELDS.items())})")

    def spawn_worker(self):
        """Returns at once; the rows come some seconds later."""
        plugins = self.folder / "plugins"
        plugins.mkdir()
        assert jars(), "the peer's jars are missing: scripts/bootstrap bench"
        (plugins / "debezium").symlink_to(jars())
        worker = self.write("worker.properties", self.worker_settings())
        connector = self.write("connector.properties", self.connector_settings())
        return self.spawn(["java", *self.java, f"-Dorg.slf4j.simpleLogger.defaultLogLevel={os.environ.get('PEER_LOG', 'warn')}",
                           "-cp", f"{self.kafka.folder}/lib/*", "org.apache.kafka.connect.cli.ConnectStandalone", worker, connector],
                          cwd=self.folder)

    def start(self, deadline=300):
        """Into a new table; returns when its tasks have their partitions and wait for events."""
        self.create_table()
        self.spawn_worker()
        eventually(self.is_ready, deadline, "the peer's tasks are in their group", every=0.2)
        return self

    def is_ready(self):
        self.must_work()
        return self.kafka.group(self.group) == ("Stable", self.tasks)

    def must_work(self):
        """A task that has failed leaves its worker running."""
        if not self.is_running() or self.lines(FAILURES):
            raise RuntimeError(f"the peer failed; its log ends\n{self.tail()}")

    def stop(self):
        return self.terminate()

    def wait_first_row(self, deadline=300):
        """On one connection: connecting each time would slow down what is measured."""
        with contextlib.closing(self.store.server.connect(self.store.database)) as connection, connection.cursor() as cursor:
            def is_there():
                self.must_work()
                cursor.execute(f"SELECT 1 FROM {self.table} LIMIT 1")
                return cursor.fetchone()
            eventually(is_there, deadline, "the peer's first row", every=0.02)

    def wait_end(self, ends, deadline):
        """Until its group has committed these offsets, {partition: offset}; Connect does so for what the store has committed. Returns
        what was seen on the way, ten times a second: [(time.monotonic(), events)]."""
        wanted = [TopicPartition(self.topic, partition) for partition in ends]
        consumer = Consumer({"bootstrap.servers": self.kafka.bootstrap, "group.id": self.group, **QUIET})
        samples = []

        def is_reached():
            self.must_work()
            with contextlib.suppress(KafkaException):  # the coordinator is not there yet, or busy
                offsets = {at.partition: max(at.offset, 0) for at in consumer.committed(wanted, timeout=20)}  # negative: there is none
                now, ended = time.monotonic(), all(offsets[partition] >= end for partition, end in ends.items())
                if ended or not samples or now - samples[-1][0] >= SAMPLE_SECONDS:
                    samples.append((now, sum(offsets.values())))
                return ended
            return False
        with contextlib.closing(consumer):
            eventually(is_reached, deadline, "the peer's last event", every=0.05)
        return samples


def written(store):
    """(rows, statements) that the server has written so far, each row once a statement; None: it does not count statements. PostgreSQL
    does so only by an extension that must be loaded at its start, which would cost the others who are measured there."""
    if store.kind != "mysql":
        return None
    return [int(store.server.administer(f"SHOW GLOBAL STATUS LIKE '{name}'")[0][1]) for name in ("Handler_write", "Com_insert")]


def rows_per_statement(before, after, accounts):
    """Batches may hold no more rows than there are accounts."""
    rows, statements = (now - then for now, then in zip(after, before))
    if statements == 0 or rows < min(FEWEST_ROWS, accounts / 2) * statements:
        raise RuntimeError(f"the peer wrote {rows:,} rows by {statements:,} statements: its driver does not batch, its speed says nothing")
    return rows / statements


def run_peer(kafka, store, folder, topic, table, events, tasks=1, keys=None, **changes):
    """The whole topic into a new table: {"first_row_seconds": from the program's start to the first row, "peak_mib": of resident memory,
    "cpu_seconds": of the process since the first row, "looks": [(seconds since the program's start, events that its group has
    committed)], ten a second, a step for each batch, "rows_per_statement": None where the server cannot tell}. The topic holds that many events, no transactions, and so many distinct
    accounts (as many as events if `keys` is not given). `changes`: settings, java."""
    ends = kafka.end_offsets(topic)
    assert sum(ends.values()) == events, f"the topic {topic} ends at {ends}, not after {events} events"
    peer = Peer(kafka, store, folder, topic, table, tasks, **changes)
    peer.create_table()
    before = written(store)
    began = time.monotonic()
    peer.spawn_worker()
    try:
        peer.wait_first_row()
        first, spent = time.monotonic(), cpu_seconds(peer.pid)
        looks = peer.wait_end({partition: end for partition, end in ends.items() if end > 0}, deadline=3000)
        result = {"first_row_seconds": first - began, "peak_mib": memory_mib(peer.pid), "cpu_seconds": cpu_seconds(peer.pid) - spent,
                  "looks": [(0, 0)] + [(at - began, seen) for at, seen in looks]}
    finally:
        peer.stop()
    rows = store.query(f"SELECT count(*) FROM {table}")[0][0]
    assert rows == (keys or events), f"the peer made {rows} rows of {keys or events} accounts"
    return {**result, "rows_per_statement": rows_per_statement(before, written(store), rows) if before else None}
