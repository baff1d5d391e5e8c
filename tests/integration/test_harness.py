"""The tools of the other tests do what they say: a checker that cannot go red proves nothing."""
import threading

import psycopg2
import pytest

import oracle
from servers import eventually


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
