"""The tools of the other tests do what they say: a checker that cannot go red proves nothing."""
import datetime
import decimal
import subprocess
import threading

import psycopg2
import pymysql
import pytest

import oracle
from scene import MysqlStore
from servers import eventually


@pytest.fixture
def database(postgres, make_database):
    return make_database(postgres)


@pytest.fixture
def proxy(postgres, make_proxy):
    return make_proxy(postgres)


def connect(postgres, database, port):
    connection = psycopg2.connect(host="127.0.0.1", port=port, user=postgres.user, password=postgres.password, dbname=database)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS t (i int)")
    connection.commit()
    return connection


def insert(connection):
    connection.cursor().execute("INSERT INTO t VALUES (1)")
    connection.commit()


def count(postgres, database):
    return postgres.query(database, "SELECT count(*) FROM t")[0][0]


def test_oracle_sees_a_wrong_account():
    records = list(oracle.random_events(500, accounts=20))
    bank, other = oracle.Bank(records), oracle.Bank(records + [oracle.deposited("acc-1", "0.01")])
    rows = [(name, *row) for name, row in bank.rows().items()]
    assert bank.difference(rows) == ""
    assert "acc-1" in other.difference(rows)
    assert bank.difference(rows[1:]) != ""
    assert bank.difference(rows + [("stranger", "", 0, 0, None, None)]) != ""
    assert sum(bank.days[day][2] for day in bank.days) + sum(value["type"] == "AccountOpened" for _, value in records) == 500


def test_aborted_records_are_in_the_log_and_not_in_the_data(kafka, name):
    kafka.create_topic(name, 2)
    kafka.produce(name, [("a", "1", 0)])
    kafka.produce(name, [("a", "2", 0), ("b", "3", 1)], transaction="abort")
    kafka.produce(name, [("a", "4", 0)], transaction="commit")
    # Each transaction ends with a marker in every partition that it touched.
    assert eventually(lambda: kafka.end_offsets(name) == {0: 5, 1: 2})


def test_a_log_ends_behind_the_marks_of_its_transactions(kafka, name):
    kafka.create_topic(name, 1)
    producer = kafka.producer(f"late-{name}")
    producer.begin_transaction()
    producer.produce(name, b"1")
    producer.flush(10)
    end = threading.Timer(1, producer.abort_transaction)
    end.start()
    try:
        assert kafka.end_offsets(name) == {0: 2}
    finally:
        end.join()


def test_topics_grow_shrink_and_go(kafka, name):
    kafka.create_topic(name, 1)
    kafka.produce(name, [("a", str(i), 0) for i in range(10)])
    kafka.delete_records(name, {0: 4})
    assert kafka.watermarks(name) == {0: (4, 10)}
    kafka.add_partitions(name, 3)
    assert kafka.partitions(name) == 3
    kafka.delete_topic(name)
    assert kafka.partitions(name) == 0


def test_a_swallowed_answer_commits_unseen(postgres, database, proxy):
    connection = connect(postgres, database, proxy.port)
    proxy.swallow_answer(rb"COMMIT\0")
    with pytest.raises(psycopg2.OperationalError):
        insert(connection)
    assert (proxy.fired, count(postgres, database)) == (1, 1)


def test_a_cut_request_does_not_commit(postgres, database, proxy):
    connection = connect(postgres, database, proxy.port)
    proxy.cut(rb"COMMIT")
    with pytest.raises(psycopg2.OperationalError):
        insert(connection)
    assert (proxy.fired, count(postgres, database)) == (1, 0)


def test_a_stranded_request_commits_late(postgres, database, proxy):
    connection = connect(postgres, database, proxy.port)
    proxy.strand(rb"COMMIT")
    with pytest.raises(psycopg2.OperationalError):
        insert(connection)
    assert count(postgres, database) == 0
    assert proxy.deliver_stranded() == 1
    assert count(postgres, database) == 1


def test_a_frozen_proxy_delivers_after_the_thaw(postgres, database, proxy):
    connection = connect(postgres, database, proxy.port)
    proxy.freeze()
    late = threading.Thread(target=insert, args=(connection,))
    late.start()
    late.join(0.3)
    assert late.is_alive() and count(postgres, database) == 0
    proxy.pass_through()
    late.join(10)
    assert not late.is_alive()
    proxy.refuse()
    with pytest.raises(psycopg2.OperationalError):
        connect(postgres, database, proxy.port)
    proxy.accept()
    proxy.reset()
    with pytest.raises(psycopg2.OperationalError):
        insert(connection)
    assert count(postgres, database) == 1


def test_postgres_comes_back_with_what_was_committed(postgres, database):
    connection = connect(postgres, database, postgres.port)
    insert(connection)
    postgres.restart("immediate")
    assert count(postgres, database) == 1


on_both = pytest.mark.parametrize("server", ["mariadb", "mysql"], indirect=True)


@on_both
def test_mysql_comes_back_with_what_was_committed(server, make_database):
    database = make_database(server)
    server.query(database, "CREATE TABLE t (i int) ENGINE = InnoDB")
    server.query(database, "INSERT INTO t VALUES (1)")
    server.restart("immediate")
    assert count(server, database) == 1
    server.restart()
    assert count(server, database) == 1
    server.query(database, f"CREATE DATABASE {database}_2")
    assert server.query(f"{database}_2", "SELECT database()") == [(f"{database}_2",)]
    server.drop_database(database)
    for gone in database, f"{database}_2":
        with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
            server.connect(gone)


@on_both
def test_mysql_lets_in_who_may(server, make_database):
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        server.connect(make_database(server), password="wrong")
    for port in server.port, None:
        with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
            server.connect("mysql", port=port)
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        server.connect(user="root", port=server.port)


@on_both
def test_mysql_shows_a_certificate_that_can_be_checked(server, tmp_path):
    def cipher(**tls):
        return server.query(None, "SHOW STATUS LIKE 'Ssl_cipher'", port=server.port, **tls)[0][1]
    assert cipher() == "" and cipher(ssl={"ca": str(server.ca)}) != ""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=stranger",
                    "-keyout", tmp_path / "key.pem", "-out", tmp_path / "ca.pem"], check=True, capture_output=True)
    with pytest.raises(pymysql.err.OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
        cipher(ssl={"ca": str(tmp_path / "ca.pem")})


@on_both
def test_mysql_lets_users_end_their_own_connections(server, make_database):
    database = make_database(server)
    stuck = server.connect(database)
    server.query(database, f"KILL {stuck.thread_id()}")
    with pytest.raises(pymysql.err.OperationalError):
        stuck.ping(reconnect=False)


@on_both
def test_mysql_keeps_what_postgres_keeps(server, make_database, tmp_path):
    store = MysqlStore(server, make_database(server), tmp_path)
    moment = datetime.datetime(2026, 3, 29, 1, 30, 0, 123456, datetime.timezone.utc)
    row = (1, decimal.Decimal("12.34"), "Zoë 🦊", moment)
    store.query("CREATE TABLE t (i bigint, d decimal(38,2), s longtext, t datetime(6)) CHARACTER SET utf8mb4")
    store.query("INSERT INTO t VALUES (%s, %s, %s, %s)", *row)
    assert store.query("SELECT * FROM t") == [row]
    assert store.config()["uri"] == f"mysql://readside@127.0.0.1:{server.port}/{store.database}"


@on_both
def test_mysql_commits_or_not_behind_the_proxy(server, server_proxy, make_database):
    database = make_database(server)
    server.query(database, "CREATE TABLE t (i int) ENGINE = InnoDB")

    def commits():
        connection = server.connect(database, port=server_proxy.port)
        connection.cursor().execute("START TRANSACTION")
        insert(connection)

    server_proxy.cut(rb"COMMIT")
    with pytest.raises(pymysql.err.OperationalError):
        commits()
    assert count(server, database) == 0
    server_proxy.cut_after(rb"COMMIT")
    with pytest.raises(pymysql.err.OperationalError):
        commits()
    assert eventually(lambda: count(server, database) == 1)
    server_proxy.strand(rb"COMMIT")
    with pytest.raises(pymysql.err.OperationalError):
        commits()
    assert (server_proxy.deliver_stranded(), server_proxy.fired) == (1, 3)
    assert eventually(lambda: count(server, database) == 2)
