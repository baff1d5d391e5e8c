"""A throw-away PostgreSQL server on loopback."""
import pathlib
import secrets
import shutil
import signal
import subprocess

import psycopg2
import psycopg2.extensions

from process import Process, eventually, free_port, give_away, temporary_folder, unprivileged

STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class Postgres(Process):
    """user `readside`, who owns the databases, logs in with `password`; fsync is off unless asked for (a killed server process
    loses nothing by that, only a killed machine would)."""

    kind = "postgresql"

    user = "readside"

    def __init__(self, folder=None, port=None, fsync=False, settings=(), outlive=False):
        super().__init__("postgres", folder or temporary_folder("postgres"), outlive)
        self.port = port or free_port()
        self.data = self.folder / "data"
        self.settings = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.folder, "max_connections": 200,
            "fsync": "on" if fsync else "off", "shared_buffers": "128MB", "max_prepared_transactions": 10, **dict(settings),
        }

    @staticmethod
    def program(name):
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
        path = str(found[-1]) if found else shutil.which(name)
        assert path, "PostgreSQL is missing: scripts/bootstrap test"
        return path

    @property
    def password(self):
        return (self.folder / "password").read_text().strip()

    def create(self):
        if self.data.exists():
            return
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_hex(12))
        give_away(secret)
        done = subprocess.run(
            [self.program("initdb"), "-D", self.data, "-U", self.user, "--pwfile", secret, "--auth=scram-sha-256",
             "--auth-local=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"],
            cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, **unprivileged())
        assert done.returncode == 0, f"initdb: {done.stdout}{done.stderr}"

    def start(self, deadline=60):
        self.create()
        settings = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        self.spawn([self.program("postgres"), "-D", self.data, *settings], cwd=self.folder, **unprivileged())
        eventually(self.answers, deadline, "PostgreSQL answers")
        return self

    def answers(self):
        if not self.is_running():
            raise RuntimeError(f"PostgreSQL did not start:\n{self.tail()}")
        try:
            self.connect("postgres").close()
            return True
        except psycopg2.OperationalError:
            return False

    def stop(self, mode="fast"):
        return self.terminate(STOP_SIGNALS[mode])

    def restart(self, mode="fast"):
        self.stop(mode)
        return self.start()

    def connect(self, database="postgres", **arguments):
        """A psycopg2 connection, autocommit."""
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user=self.user, password=self.password, dbname=database,
            connect_timeout=10, **arguments)
        connection.autocommit = True
        return connection

    def query(self, database, sql, *parameters):
        """All rows of one statement; [] if it returns none."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def create_database(self, name):
        self.query("postgres", f'CREATE DATABASE "{name}"')
        return name

    def drop_database(self, name):
        self.query("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def uri(self, database="postgres", port=None):
        """Without the password; port: of a proxy before it."""
        return f"postgresql://{self.user}@127.0.0.1:{port or self.port}/{database}"
