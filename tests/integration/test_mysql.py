"""What is MySQL's and MariaDB's own, on both."""
import contextlib
import subprocess

import pymysql
import pytest

import oracle
from mysql import GaleraNode
from scene import MysqlStore
from servers import MariaDB, MySQL, eventually
from worker import readside

both = pytest.mark.parametrize("store", ["mariadb", "mysql"], indirect=True)


@both
def test_a_read_only_server_is_waited_for(scene, store):
    """A switch-over: the old primary refuses even COMMIT."""
    made = scene(store)
    records = list(oracle.random_events(2000, 50))
    bank = oracle.Bank(records)
    made.produce(records)
    worker = made.worker()
    made.reaches_end()
    store.server.administer("SET GLOBAL read_only = ON")
    try:
        more = list(oracle.random_events(500, 50, seed=2))
        made.produce(more)
        eventually(lambda: worker.lines("the read store does not take the work now.*read-only"), 30)
    finally:
        store.server.administer("SET GLOBAL read_only = OFF")
    made.agrees(bank.feed(more))
    assert worker.is_running()


@both
def test_a_start_waits_for_a_read_only_server(scene, store):
    """A task that begins within the switch-over ends nothing."""
    made = scene(store, tasks=2)
    records = list(oracle.random_events(1000, 50))
    made.produce(records)
    worker = made.worker()
    made.reaches_end()
    store.server.administer("SET GLOBAL read_only = ON")
    try:
        worker.kill_task()
        eventually(lambda: worker.lines("cannot start yet; trying again.*replica or read-only; name the primary"), 30)
        refused = readside("check", worker.config)
        assert refused.returncode == 78 and "name the primary in the uri" in refused.stdout, refused
    finally:
        store.server.administer("SET GLOBAL read_only = OFF")
    more = list(oracle.random_events(500, 50, seed=2))
    made.produce(more)
    made.agrees(oracle.Bank(records).feed(more))
    assert worker.is_running()


@both
def test_a_replica_that_takes_writes_is_refused(scene, store):
    """Where the user may see that it is one. One that has been a replica is a server like others."""
    is_mariadb = store.server.kind == "mariadb"
    source, host, privilege = ("MASTER", "MASTER", "REPLICA MONITOR") if is_mariadb else ("REPLICATION SOURCE", "SOURCE", "REPLICATION CLIENT")
    config = scene(store).config()
    store.server.administer(f"CHANGE {source} TO {host}_HOST = '127.0.0.1', {host}_PORT = 1, {host}_USER = 'nobody'")
    store.server.administer(f"GRANT {privilege} ON *.* TO {store.server.user}")
    try:
        store.server.administer("START REPLICA")
        refused = readside("check", config)
        assert refused.returncode == 78 and "replicates from another" in refused.stdout + refused.stderr, refused
        store.server.administer("STOP REPLICA")
        assert readside("check", config).returncode == 0
    finally:
        store.server.administer("STOP REPLICA")
        store.server.administer("RESET REPLICA ALL")
        store.server.administer(f"REVOKE {privilege} ON *.* FROM {store.server.user}")


@both
def test_the_certificate_is_verified(scene, store, tmp_path):
    made = scene(store)
    uri, stranger = store.config()["uri"], tmp_path / "stranger.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=stranger", "-days", "2", "-keyout",
                    tmp_path / "key.pem", "-out", stranger], check=True, capture_output=True)
    records = list(oracle.random_events(100, 10))
    made.produce(records)
    refused = readside("check", made.config("w0", store={"uri": f"{uri}?ssl-ca={stranger}"}))
    assert refused.returncode == 78 and "certificate" in refused.stdout.lower() + refused.stderr.lower(), refused
    made.worker("w1", store={"uri": f"{uri}?tls=verified&ssl-ca={store.server.ca}"})
    made.agrees(oracle.Bank(records))


@both
def test_a_restart_is_waited_for_over_tls(scene, store):
    """The client library tells of a connection that ended as an error of TLS."""
    made = scene(store)
    records = list(oracle.random_events(20000, 500))
    made.produce(records)
    worker = made.worker(store={"uri": f"{store.config()['uri']}?tls=verified&ssl-ca={store.server.ca}"})
    eventually(lambda: any(row[0] > 0 for row in made.positions().values()), 30)
    store.server.restart("immediate")
    made.produce(more := list(oracle.random_events(20000, 500, seed=2)))
    made.agrees(oracle.Bank(records).feed(more))
    assert worker.is_running()


@both
@pytest.mark.parametrize("way", ["plain", "tls", "socket"])
def test_ways_to_log_in(scene, store, way):
    """Both with a password that MySQL has to ask for and with one that it remembers."""
    account = store.server.administer("SELECT plugin FROM mysql.user WHERE user = %s", store.server.user)[0][0]
    assert account == ("caching_sha2_password" if store.server.kind == "mysql" else "mysql_native_password")
    uri = {"plain": store.config()["uri"], "tls": f"{store.config()['uri']}?tls=verified&ssl-ca={store.server.ca}",
           "socket": f"mysql://{store.server.user}@localhost/{store.database}?socket={store.server.socket}"}[way]
    config = scene(store).config(store={"uri": uri})
    store.server.administer("FLUSH PRIVILEGES")
    for _ in range(2):
        checked = readside("check", config)
        assert checked.returncode == 0, checked


@both
@pytest.mark.parametrize("change, words", [("PASSWORD EXPIRE", "give the account a new password"), ("ACCOUNT LOCK", "unlock the account")])
def test_refused_accounts(scene, store, tmp_path, change, words):
    """What a person must do is said."""
    password, name = tmp_path / "password", f"{store.database}_refused"[-32:]
    password.touch(mode=0o600)
    password.write_text("secret")
    config = scene(store).config(store={"uri": f"mysql://{name}@127.0.0.1:{store.server.port}/{store.database}", "password": f"file:{password}"})
    store.server.administer("CREATE USER %s@'%%' IDENTIFIED BY 'secret'", name)
    try:
        store.server.administer(f"GRANT ALL ON `{store.database}`.* TO %s@'%%'", name)
        checked = readside("check", config)
        assert checked.returncode == 0, checked
        store.server.administer(f"ALTER USER %s@'%%' {change}", name)
        refused = readside("check", config)
        assert refused.returncode == 78 and words in refused.stdout, refused
    finally:
        store.server.administer("DROP USER %s@'%%'", name)


@pytest.mark.parametrize("store", ["mysql"], indirect=True)
def test_a_server_that_wants_tls(scene, store):
    """MariaDB says no more than that access is denied."""
    store.server.administer("SET GLOBAL require_secure_transport = ON")
    try:
        refused = readside("check", scene(store).config())
        assert refused.returncode == 78 and "the server says 3159" in refused.stdout and "ask for TLS by tls=verified" in refused.stdout, refused
    finally:
        store.server.administer("SET GLOBAL require_secure_transport = OFF")


@both
def test_the_privileges_of_daily_work(scene, store):
    """With tables that are there already, and schema = "check"."""
    made = scene(store)
    records = list(oracle.random_events(200, 50))
    bank = oracle.Bank(records)
    made.produce(records)
    made.worker("w1").wait_log("partition claimed", 30)
    made.agrees(bank)
    made.workers.pop().stop()
    database, user = store.server.patterns(store.database)[0], store.server.user
    store.server.administer(f"REVOKE ALL ON `{database}`.* FROM {user}")
    store.server.administer(f"GRANT SELECT, INSERT, UPDATE, DELETE, SHOW VIEW ON `{database}`.* TO {user}")
    refused = readside("check", made.config("w2", store={"schema": "check"}))
    assert refused.returncode == 78 and "may have triggers that this user cannot see" in refused.stdout + refused.stderr, refused
    store.server.administer(f"GRANT TRIGGER ON `{database}`.* TO {user}")
    more = list(oracle.random_events(100, 50, seed=2))
    made.produce(more)
    made.worker("w2", store={"schema": "check"})
    made.agrees(bank.feed(more))
    store.server.administer(f"CREATE TRIGGER {store.database}.interferes BEFORE UPDATE ON {store.database}.accounts__v1 FOR EACH ROW "
                            "SET NEW.balance = 0")
    refused = readside("check", made.config("w3", store={"schema": "check"}))
    assert refused.returncode == 78 and "has the trigger interferes" in refused.stdout + refused.stderr, refused


@both
def test_a_missing_privilege_is_named(scene, store):
    made = scene(store)
    records = list(oracle.random_events(200, 50))
    bank = oracle.Bank(records)
    made.produce(records)
    worker = made.worker()
    made.agrees(bank)
    database = store.server.patterns(store.database)[0]
    store.server.administer(f"REVOKE INSERT, UPDATE ON `{database}`.* FROM {store.server.user}")
    store.end_connections()  # to those that are open the servers say it later
    more = list(oracle.random_events(100, 50, seed=2))
    made.produce(more)
    assert worker.popen.wait(30) == 78  # its only pipeline is down
    made.workers.remove(worker)
    assert worker.lines("denied to user.*grant it")
    for granted in ("INSERT", "UPDATE"):  # the other one is still missing
        store.server.administer(f"GRANT {granted} ON `{database}`.* TO {store.server.user}")
        checked = readside("check", worker.config)
        assert checked.returncode == 78 and "denied" in checked.stdout + checked.stderr, checked
        store.server.administer(f"REVOKE {granted} ON `{database}`.* FROM {store.server.user}")
    store.server.administer(f"GRANT INSERT, UPDATE ON `{database}`.* TO {store.server.user}")
    made.worker("w2")
    made.agrees(bank.feed(more))


@pytest.fixture(params=[MariaDB, MySQL], ids=lambda family: family.kind)
def small_server(request):
    """All its tables are in one file that does not grow."""
    server = request.param(settings={"innodb-file-per-table": "OFF", "innodb-data-file-path": "ibdata1:96M"})
    try:
        yield server.start()
    finally:
        server.remove()


def drop_in_full_space(store, table):
    """That takes a page of its own, which may be there only once the worker's transaction is undone."""
    try:
        store.query(f"DROP TABLE {table}")
    except pymysql.err.OperationalError as error:
        if error.args[0] != 1114:
            raise
        return False
    return True


def test_a_full_table_space_is_waited_for(scene, small_server, tmp_path):
    store = MysqlStore(small_server, small_server.create_database("small"), tmp_path)
    store.query("CREATE TABLE filler (data LONGBLOB) ENGINE = InnoDB")
    for _ in range(60):
        store.query("INSERT INTO filler VALUES (REPEAT('x', 1000000))")
    made = scene(store, batch_rows=500)
    records = [oracle.opened(f"acc-{i}", "o" * 15000) for i in range(3000)]
    made.produce(records)
    worker = made.worker()
    eventually(lambda: worker.lines("what was not committed is fetched again.*1114: The table .* is full"), 60)
    eventually(lambda: drop_in_full_space(store, "filler"), 60)
    made.agrees(oracle.Bank(records), 120)
    assert worker.is_running()


@contextlib.contextmanager
def running(server):
    if missing := server.missing():
        pytest.skip(missing)
    try:
        yield server.start()
    finally:
        server.remove()


def test_several_galera_nodes_are_refused(scene, tmp_path):
    """What two of them accept may be undone at COMMIT; the fence stands on locks. One alone is a server like others."""
    with running(GaleraNode()) as node:
        config = scene(MysqlStore(node, node.create_database("galera"), tmp_path)).config()
        alone = readside("check", config)
        assert alone.returncode == 0, alone
        with node.arbitrator():
            refused = readside("check", config)
            assert refused.returncode == 78 and "one of 2 nodes of a Galera cluster" in refused.stdout + refused.stderr, refused


def test_several_primaries_are_refused(scene, tmp_path):
    settings = {"plugin-load-add": "group_replication.so", "loose-group-replication-start-on-boot": "OFF"}
    with running(MySQL(settings={**settings, "loose-group-replication-single-primary-mode": "OFF"})) as server:
        config = scene(MysqlStore(server, server.create_database("grouped"), tmp_path)).config()
        refused = readside("check", config)
        assert refused.returncode == 78 and "several primaries" in refused.stdout + refused.stderr, refused
        server.administer("SET GLOBAL group_replication_single_primary_mode = ON")
        assert readside("check", config).returncode == 0
