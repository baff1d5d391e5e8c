"""What most integration tests need: a topic, a store, a pipeline between them and any number of workers."""
import contextlib
import datetime
import decimal
import sqlite3

import pymysql
from pymysql.constants import FIELD_TYPE

from process import eventually
from worker import Readside, write_config

ACCOUNTS = "SELECT account, owner, balance, events, opened_at, updated_at FROM accounts"


def moment(value):
    """A time as SQLite keeps it: RFC 3339 text."""
    return datetime.datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else value


def utc(text):
    """A time as MySQL and MariaDB keep it: without a zone, in UTC."""
    return pymysql.converters.convert_datetime(text).replace(tzinfo=datetime.timezone.utc)


class ServerStore:
    """A database of a server."""

    kind = None

    def __init__(self, server, database, folder, port=None):
        """port: of a proxy before the server, for the worker only."""
        self.server = server
        self.database = database
        self.port = port
        self.password_file = folder / f"{database}.password"
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(server.password)

    def config(self):
        return {"kind": self.kind, "uri": self.server.uri(self.database, self.port), "password": f"file:{self.password_file}"}

    def query(self, sql, *parameters):
        return self.server.query(self.database, sql, *parameters)

    def uri_at(self, port):
        """Of nobody's database at a port of this machine."""
        return f"{self.kind}://nobody@127.0.0.1:{port}/none"

    def begin(self, *statements):
        """A connection with an open transaction that has run them; it ends with commit() or close()."""
        raise NotImplementedError

    def lock(self, table):
        """Writes to the table wait until the connection is closed."""
        raise NotImplementedError

    def is_waited_for(self):
        """Does somebody wait for a lock?"""
        raise NotImplementedError

    def end_connections(self):
        """Of workers."""
        raise NotImplementedError

    def slow_inserts(self, table, milliseconds):
        """Each row of that table takes so long, by a trigger."""
        raise NotImplementedError


class PostgresStore(ServerStore):
    kind = "postgresql"

    def begin(self, *statements):
        connection = self.server.connect(self.database)
        connection.autocommit = False
        for statement in statements:
            connection.cursor().execute(statement)
        return connection

    def lock(self, table):
        return self.begin(f"LOCK TABLE {table} IN EXCLUSIVE MODE")

    def is_waited_for(self):
        return self.query("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") != []

    def end_connections(self):
        self.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                   "AND application_name LIKE 'readside/%%'")

    def slow_inserts(self, table, milliseconds):
        self.query(f"CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({milliseconds / 1000}); "
                   "RETURN NEW; END $$")
        self.query(f"CREATE TRIGGER dawdle BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION dawdle()")


class MysqlStore(ServerStore):
    """Of MySQL or MariaDB, whichever the server is."""

    kind = "mysql"
    values = {**pymysql.converters.conversions, FIELD_TYPE.DATETIME: utc, FIELD_TYPE.TIMESTAMP: utc}

    def query(self, sql, *parameters):
        """Times have their zone, as PostgreSQL's; booleans are 0 and 1, JSON is text."""
        return self.server.query(self.database, sql, *parameters, conv=self.values, init_command="SET time_zone = '+00:00'")

    def begin(self, *statements):
        connection = self.server.connect(self.database, autocommit=False)
        for statement in statements:
            connection.cursor().execute(statement)
        return connection

    def lock(self, table):
        return self.begin("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", f"SELECT * FROM {table} FOR UPDATE")  # and all between

    def is_waited_for(self):
        # information_schema.innodb_trx shows old news to who asks more than ten times a second.
        return "LOCK WAIT" in self.server.administer("SHOW ENGINE INNODB STATUS")[0][2]

    def end_connections(self):
        for number, in self.server.administer("SELECT id FROM information_schema.processlist WHERE db = %s", self.database):
            with contextlib.suppress(pymysql.err.OperationalError):  # it has ended by itself
                self.server.administer(f"KILL {number}")

    def slow_inserts(self, table, milliseconds):
        self.server.administer(f"CREATE TRIGGER {self.database}.dawdle BEFORE INSERT ON {self.database}.{table} FOR EACH ROW "
                               f"DO SLEEP({milliseconds / 1000})")


class SqliteStore:
    kind = "sqlite"

    def __init__(self, path):
        self.path = path

    def config(self):
        return {"kind": self.kind, "uri": str(self.path)}

    def query(self, sql, *parameters):
        """Values are SQLite's own: decimals and times are text."""
        with contextlib.closing(sqlite3.connect(self.path, timeout=10, isolation_level=None)) as connection:
            return connection.execute(sql.replace("%s", "?"), parameters).fetchall()


class Scene:
    """One pipeline of the name `pipeline`. Keyword arguments of the constructor are keys of the pipeline."""

    def __init__(self, kafka, store, folder, topic, partitions=4, topic_config=(), plugin="bank", pipeline="bank", **keys):
        self.kafka = kafka
        self.store = store
        self.folder = folder
        self.topic = kafka.create_topic(topic, partitions, topic_config)
        self.pipeline = pipeline
        self.keys = {"topics": [topic], "plugin": plugin, **keys}
        self.bootstrap = kafka.bootstrap
        self.workers = []

    def config(self, name="w1", kafka=(), store=(), worker=(), pipelines=(), **keys):
        """Writes a worker's config into a folder of its own; further pipelines and arguments that change keys. Returns its path."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return write_config(
            folder / "readside.conf",
            {"bootstrap_servers": self.bootstrap, "session_timeout": "6s", **dict(kafka)},
            {"main": {**self.store.config(), **dict(store)}},
            {self.pipeline: {**self.keys, **keys}, **dict(pipelines)},
            {"name": name, "restart_delay": "50ms", "restart_delay_max": "1s", **dict(worker)})

    def worker(self, name="w1", *arguments, environment=(), **changes):
        """A started worker with that name."""
        started = Readside(self.config(name, **changes), name, environment).start(*arguments)
        self.workers.append(started)
        return started

    def produce(self, records, transaction=None):
        self.kafka.produce(self.topic, records, transaction)

    def positions(self):
        """{partition: (next offset, state, reason)} of the pipeline's topic; {} before there are any."""
        try:
            rows = self.store.query("SELECT part, next_offset, state, halt_reason FROM readside_positions "
                                    "WHERE pipeline = %s AND topic = %s", self.pipeline, self.topic)
        except Exception as error:  # noqa: BLE001 - each store has a class of its own for "no such table"
            if "readside_positions" in str(error):
                return {}
            raise
        return {part: tuple(rest) for part, *rest in rows}

    def accounts(self):
        """Rows as the oracle's difference() takes them, from any store."""
        return [(account, owner, decimal.Decimal(balance), events, moment(opened_at), moment(updated_at))
                for account, owner, balance, events, opened_at, updated_at in self.store.query(ACCOUNTS)]

    def reaches_end(self, deadline=60):
        """Waits until every position is at the end of its partition."""
        ends = self.kafka.end_offsets(self.topic)

        def check():
            for worker in self.workers:
                if worker.popen.poll() not in (None, 0, -9):
                    raise RuntimeError(f"{worker.name} ended with {worker.popen.returncode}; its log ends\n{worker.tail()}")
            offsets = {part: row[0] for part, row in self.positions().items()}
            assert offsets == ends, f"positions {offsets}, ends of the log {ends}"
            return True
        return eventually(check, deadline)

    def agrees(self, bank, deadline=60):
        """Waits for the end of the log; then every account must equal the oracle's."""
        self.reaches_end(deadline)
        difference = bank.difference(self.accounts())
        assert not difference, difference

    def stop(self):
        for worker in self.workers:
            if worker.is_running():
                with contextlib.suppress(ProcessLookupError):
                    worker.thaw()
                worker.terminate(deadline=10)
