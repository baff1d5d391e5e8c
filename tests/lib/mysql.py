"""Throw-away MariaDB and MySQL servers on loopback."""
import contextlib
import os
import pathlib
import secrets
import shutil
import signal
import subprocess

import pymysql

from process import ROOT, Process, eventually, free_port, give_away, temporary_folder, unprivileged

STOP_SIGNALS = {"fast": signal.SIGTERM, "immediate": signal.SIGKILL}


def cached(name):
    """Where scripts/bootstrap has put what is unpacked, not installed."""
    script = f'source scripts/lib/common.sh; echo "$(cache_dir)/{name}"'
    return pathlib.Path(subprocess.run(["bash", "-c", script], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip())


class Server(Process):
    """What both have in common. User `readside` logs in with `password` and has all rights on the databases that create_database()
    made, and none elsewhere; the superuser root comes through the socket only, which lies in the server's own folder. `ca` has signed
    the server's certificate for 127.0.0.1 and localhost. fsync is off unless asked for (a killed server process loses nothing by
    that, only a killed machine would)."""

    user = "readside"
    kind = None
    own_settings = {}

    def __init__(self, folder=None, port=None, fsync=False, settings=(), outlive=False):
        super().__init__(self.kind, folder or temporary_folder(self.kind), outlive)
        self.port = port or free_port()
        self.data = self.folder / "data"
        self.socket = self.folder / "socket"
        self.ca = self.folder / "ca.pem"
        self.settings = {
            "bind-address": "127.0.0.1", "port": self.port, "socket": self.socket, "datadir": self.data, "tmpdir": self.folder,
            "pid-file": self.folder / "pid", "max-connections": 200, "character-set-server": "utf8mb4", "skip-name-resolve": "ON",
            "innodb-buffer-pool-size": "128M", "innodb-flush-log-at-trx-commit": 1 if fsync else 2,
            "ssl-ca": self.ca, "ssl-cert": self.folder / "cert.pem", "ssl-key": self.folder / "key.pem",
            **({} if fsync else {"innodb-flush-method": "nosync", "innodb-doublewrite": "OFF"}), **self.own_settings, **dict(settings),
        }

    @classmethod
    def missing(cls):
        """What a machine lacks to run it, as a sentence; None if nothing."""
        raise NotImplementedError

    def program(self):
        """The server's command, without settings."""
        raise NotImplementedError

    def initialize(self):
        """Makes `data` with a user root who needs no password."""
        raise NotImplementedError

    @property
    def password(self):
        return (self.folder / "password").read_text().strip()

    def options(self):
        return [f"--{name}" if value is None else f"--{name}={value}" for name, value in self.settings.items()]

    def run(self, command):
        done = subprocess.run([str(word) for word in command], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, **unprivileged())
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    def make_certificate(self):
        """An authority for this server alone, and a certificate that it signs."""
        def sign(name, subject, *how):
            self.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
                      "-subj", f"/CN={subject}", "-keyout", self.folder / f"{name}key.pem", "-out", self.folder / f"{name}.pem", *how])
        sign("ca", "Readside's tests")
        sign("cert", self.name, "-CA", self.ca, "-CAkey", self.folder / "cakey.pem", "-addext",
             "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        (self.folder / "certkey.pem").rename(self.folder / "key.pem")

    def create(self):
        if (self.folder / "password").exists():
            return
        missing = self.missing()
        assert not missing, missing
        shutil.rmtree(self.data, ignore_errors=True)  # half made
        self.make_certificate()
        self.initialize()

    def create_user(self):
        """On the first start; the password's file says that all is made."""
        if (self.folder / "password").exists():
            return
        secret, password = self.folder / "password.new", secrets.token_hex(12)
        secret.touch(mode=0o600)
        secret.write_text(password)
        give_away(secret)
        for name, host in self.administer("SELECT user, host FROM mysql.user WHERE host <> 'localhost'"):
            self.administer("DROP USER %s@%s", name, host)  # MariaDB's further roots
        self.administer("CREATE USER %s@'%%' IDENTIFIED BY %s", self.user, password)
        secret.rename(self.folder / "password")

    def start(self, deadline=60):
        self.create()
        self.spawn([*self.program(), *self.options()], cwd=self.folder, **unprivileged())
        eventually(self.answers, deadline, f"{self.name} answers")
        self.create_user()
        return self

    def answers(self):
        if not self.is_running():
            raise RuntimeError(f"{self.name} did not start:\n{self.tail()}")
        try:
            self.connect(user="root").close()
            return True
        except pymysql.err.OperationalError:
            return False

    def stop(self, mode="fast"):
        return self.terminate(STOP_SIGNALS[mode])

    def restart(self, mode="fast"):
        self.stop(mode)
        return self.start()

    def connect(self, database=None, user=None, port=None, **arguments):
        """A PyMySQL connection, autocommit: through the socket, or by TCP to that port, which may be a proxy's."""
        where = {"host": "127.0.0.1", "port": port} if port else {"unix_socket": str(self.socket)}
        user = user or self.user
        return pymysql.connect(**{
            **where, "user": user, "password": "" if user == "root" else self.password, "database": database, "autocommit": True,
            "charset": "utf8mb4", "connect_timeout": 10, **arguments})

    @staticmethod
    def execute(connection, sql, parameters):
        """All rows of one statement; () if it returns none. Closes the connection."""
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters or None)
                return cursor.fetchall()
        finally:
            connection.close()

    def query(self, database, sql, *parameters, **arguments):
        return list(self.execute(self.connect(database, **arguments), sql, parameters))

    def administer(self, sql, *parameters):
        """One statement of the superuser's."""
        return list(self.execute(self.connect(user="root"), sql, parameters))

    @staticmethod
    def patterns(name):
        """What a grant, where names are patterns, says for that database and those whose names begin with it and `_`."""
        exact = name.replace("_", r"\_")
        return exact, rf"{exact}\_%"

    def create_database(self, name):
        """The user may make and drop further ones beside it, as NAME_anything."""
        self.administer(f"CREATE DATABASE `{name}`")
        for pattern in self.patterns(name):
            self.administer(f"GRANT ALL ON `{pattern}`.* TO {self.user}")
        return name

    def drop_database(self, name):
        exact, further = self.patterns(name)
        for number, in self.administer("SELECT id FROM information_schema.processlist WHERE db LIKE %s OR db LIKE %s", exact, further):
            with contextlib.suppress(pymysql.err.OperationalError):  # it has ended by itself
                self.administer(f"KILL {number}")
        for found, in self.administer(
                "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE %s OR schema_name LIKE %s", exact, further):
            self.administer(f"DROP DATABASE `{found}`")
        self.administer("DELETE FROM mysql.db WHERE db IN (%s, %s)", exact, further)
        self.administer("FLUSH PRIVILEGES")

    def uri(self, database, port=None):
        """Without the password; port: of a proxy before it."""
        return f"mysql://{self.user}@127.0.0.1:{port or self.port}/{database}"


class MariaDB(Server):
    kind = "mariadb"
    own_settings = {"innodb-log-file-size": "64M"}

    @classmethod
    def missing(cls):
        there = all(shutil.which(name) for name in ("mariadbd", "mariadb-install-db"))
        return None if there else "MariaDB is missing: scripts/bootstrap test"

    def program(self):
        return ["mariadbd", "--no-defaults"]

    def initialize(self):
        self.run(["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db",
                  "--skip-name-resolve", f"--datadir={self.data}", f"--tmpdir={self.folder}", "--innodb-flush-method=nosync",
                  *(word for word in self.options() if word.startswith("--innodb-data-"))])


class GaleraNode(MariaDB):
    """The first node of a cluster of its own; with arbitrator() it is one of two."""

    def __init__(self):
        self.address = f"127.0.0.1:{free_port()}"
        folder = temporary_folder("galera")
        self.parts = folder / "parts"
        super().__init__(folder, settings={
            "wsrep-on": "ON", "wsrep-provider": self.parts / "libgalera_smm.so", "wsrep-cluster-address": "gcomm://", "wsrep-cluster-name": "tests",
            "wsrep-node-address": "127.0.0.1", "binlog-format": "ROW", "innodb-autoinc-lock-mode": 2,
            "wsrep-provider-options": f"gmcast.listen_addr=tcp://{self.address};ist.recv_addr=127.0.0.1:{free_port()}"})

    @classmethod
    def missing(cls):
        return MariaDB.missing() or (None if cached("galera").exists() else "Galera is missing: scripts/bootstrap test")

    def create(self):
        if not self.parts.exists():
            shutil.copytree(cached("galera"), self.parts)  # the cache may be in a home that the unprivileged user cannot enter
        super().create()

    def size(self):
        return int(self.administer("SHOW GLOBAL STATUS LIKE 'wsrep_cluster_size'")[0][1])

    @contextlib.contextmanager
    def arbitrator(self):
        """A second member, which holds no data."""
        member = Process("garbd", self.folder).spawn(
            [self.parts / "garbd", "-a", f"gcomm://{self.address}", "-g", "tests", "-o",
             f"gmcast.listen_addr=tcp://127.0.0.1:{free_port()}"],
            env={**os.environ, "LD_LIBRARY_PATH": str(self.parts)}, **unprivileged())
        try:
            eventually(lambda: self.size() == 2, 30, "a cluster of two")
            yield
        finally:
            member.terminate()


class MySQL(Server):
    kind = "mysql"
    own_settings = {"innodb-redo-log-capacity": "128M", "mysqlx": "OFF", "secure-file-priv": "", "skip-log-bin": None}

    @staticmethod
    def unpacked():
        return cached("mysql")

    @classmethod
    def missing(cls):
        return None if cls.unpacked().exists() else "MySQL is missing: scripts/bootstrap test"

    def program(self):
        tree = self.folder / "server"
        if not tree.exists():
            # The cache may be in a home that the unprivileged user cannot enter.
            if os.geteuid() == 0:
                shutil.copytree(self.unpacked(), tree, symlinks=True)
            else:
                tree.symlink_to(self.unpacked())
        return [tree / "mysqld"]

    def initialize(self):
        self.run([*self.program(), "--initialize-insecure", *self.options()])
