"""The main job on real servers: events of a topic become rows, with the position in the same transaction."""
import datetime
import decimal
import json
import time
import uuid

import pytest

import oracle
from scene import PostgresStore
from servers import eventually
from worker import readside


def bank_scene(scene, store, n=2000, accounts=50, **keys):
    """A topic with events and what they add up to."""
    made = scene(store, **keys)
    records = list(oracle.random_events(n, accounts))
    made.produce(records)
    return made, oracle.Bank(records)


def test_events_become_rows(scene, store):
    made, bank = bank_scene(scene, store)
    made.worker()
    if store.kind == "postgresql":
        made.agrees(bank)
    else:
        made.reaches_end()
        rows = {row[0]: (row[1], decimal.Decimal(row[2]), row[3]) for row in made.accounts()}
        assert rows == {name: row[:3] for name, row in bank.rows().items()}


def test_rows_and_position_go_on_after_a_restart(scene, server_store):
    made, bank = bank_scene(scene, server_store)
    first = made.worker()
    made.reaches_end()
    assert first.stop() == 0
    more = list(oracle.random_events(1000, 50, seed=2))
    made.produce(more)
    made.worker()
    made.agrees(bank.feed(more))


def test_daily_totals_are_shared_by_all_partitions(scene, server_store):
    made, bank = bank_scene(scene, server_store, options={"daily_totals": True}, tasks=2)
    made.worker()
    made.agrees(bank)
    rows = server_store.query("SELECT day, deposited, withdrawn, events FROM daily_totals")
    assert bank.daily_difference(rows) == ""


def test_aborted_transactions_do_not_count(scene, server_store):
    made = scene(server_store)
    bank = oracle.Bank()
    for i in range(6):
        records = list(oracle.random_events(200, 20, seed=i))
        made.produce(records, "abort" if i % 2 else "commit")
        if i % 2 == 0:
            bank.feed(records)
    made.worker()
    made.agrees(bank)  # the position passes the markers of the aborted ones as well


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_are_read(scene, server_store, kafka, codec):
    made = scene(server_store)
    records = list(oracle.random_events(500, 20))
    kafka.produce(made.topic, records, producer=kafka.producer(compression_type=codec))
    made.worker()
    made.agrees(oracle.Bank(records))


def test_a_large_event_is_read(scene, server_store):
    """Larger than the fetch queue and than what Kafka's defaults fetch of a partition at once."""
    made = scene(server_store, partitions=1, fetch_queue="64KiB", topic_config={"max.message.bytes": "12000000"})
    event = oracle.deposited("a", "1.00")[1]
    big = made.kafka.producer(message_max_bytes=12000000)
    made.kafka.produce(made.topic, [("a", {**event, "note": "x" * 9000000}), ("a", event)], producer=big)
    made.worker()
    made.reaches_end()
    assert server_store.query("SELECT balance FROM accounts") == [(decimal.Decimal("2.00"),)]


def test_a_deposit_before_the_opening_makes_the_row(scene, server_store):
    made = scene(server_store)
    made.produce([oracle.deposited("early", "12.50")])
    made.worker()
    made.reaches_end()
    assert server_store.query("SELECT owner, balance, opened_at FROM accounts") == [("", decimal.Decimal("12.50"), None)]


def test_amounts_are_exact_as_numbers_and_as_text(scene, server_store):
    made = scene(server_store)
    made.produce([oracle.deposited("a", "0.10"), oracle.deposited("a", 0.2), oracle.deposited("a", 999999999999999999.99)][:2])
    made.produce([("a", '{"type":"Deposited","account":"a","amount":100000000000000000.01,"at":"2026-11-23T04:00:00Z","extra":[1]}')])
    made.worker()
    made.reaches_end()
    assert server_store.query("SELECT balance FROM accounts") == [(decimal.Decimal("100000000000000000.31"),)]


def test_two_workers_of_two_tasks_share_the_partitions(scene, server_store):
    made, bank = bank_scene(scene, server_store, n=4000, partitions=8, tasks=2)
    made.worker("w1")
    made.worker("w2")

    def all_tasks_own_something():
        owners = server_store.query("SELECT DISTINCT owner FROM readside_positions WHERE owner IS NOT NULL")
        return len(owners) == 4
    eventually(lambda: len(made.positions()) == 8, 40)
    eventually(all_tasks_own_something, 40)
    more = list(oracle.random_events(2000, 50, seed=3))
    made.produce(more)
    made.agrees(bank.feed(more))


@pytest.mark.parametrize("assignor", ["cooperative-sticky", "range", "roundrobin"])
def test_assignors(scene, server_store, assignor):
    made, bank = bank_scene(scene, server_store, n=1500, partitions=6, assignor=assignor)
    made.worker("w1")
    made.worker("w2")
    more = list(oracle.random_events(1500, 50, seed=4))
    made.produce(more)
    made.agrees(bank.feed(more))


def test_static_membership_survives_a_quick_restart(scene, server_store, name):
    made, bank = bank_scene(scene, server_store, group_instance_id="bank", group_id=name)
    first = made.worker()
    made.reaches_end()
    first.stop()
    more = list(oracle.random_events(500, 50, seed=5))
    made.produce(more)
    made.worker()
    made.agrees(bank.feed(more))


def test_until_end_ends_by_itself(scene, store):
    made, _bank = bank_scene(scene, store, n=500)
    worker = made.worker("w1", "--until-end")
    assert worker.wait(40) == 0
    made.reaches_end(5)


def test_start_latest_skips_what_was_there(scene, server_store):
    made, _bank = bank_scene(scene, server_store, n=300, start="latest")
    made.worker()
    made.reaches_end()
    assert server_store.query("SELECT count(*) FROM accounts") == [(0,)]
    made.produce([oracle.deposited("new", "1.00")])
    made.reaches_end()
    assert server_store.query("SELECT account FROM accounts") == [("new",)]


def test_start_at_a_time(scene, server_store):
    tomorrow = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    made, _bank = bank_scene(scene, server_store, n=300, start=tomorrow)
    made.worker()
    made.reaches_end()
    assert server_store.query("SELECT count(*) FROM accounts") == [(0,)]


def test_a_pattern_of_topics(scene, server_store, name):
    made = scene(server_store, assignor="range")
    made.keys["topics"] = [f"^{name}_.*"]
    records = list(oracle.random_events(300, 20))
    made.produce(records)
    made.worker()
    made.agrees(oracle.Bank(records))


def test_unhandled_types_are_skipped_and_told_once(scene, server_store):
    made = scene(server_store)
    made.produce([oracle.event("Frozen", "a"), oracle.event("Frozen", "b"), oracle.deposited("a", "1.00")])
    worker = made.worker()
    made.reaches_end()
    assert server_store.query("SELECT balance FROM accounts") == [(decimal.Decimal("1.00"),)]
    assert len(worker.lines("no handler takes.*Frozen")) == 1


def test_unhandled_stop_halts_the_partition(scene, server_store):
    made = scene(server_store, partitions=1, unhandled="stop")
    made.produce([oracle.deposited("a", "1.00"), oracle.event("Frozen", "a"), oracle.deposited("a", "2.00")])
    made.worker()
    eventually(lambda: made.positions().get(0, (0, ""))[1] == "halted")
    assert made.positions()[0][0] == 1
    assert server_store.query("SELECT balance FROM accounts") == [(decimal.Decimal("1.00"),)]


def test_the_type_in_a_header(scene, server_store):
    made = scene(server_store, type_from="header:ce_type")
    value = {"account": "a", "amount": "3.00", "at": "2026-11-23T04:00:00Z"}
    made.produce([("a", value, None, [("ce_type", b"Deposited")])])
    made.worker()
    made.reaches_end()
    assert server_store.query("SELECT balance FROM accounts") == [(decimal.Decimal("3.00"),)]


def test_the_null_plugin_moves_positions_only(scene, store):
    made, _bank = bank_scene(scene, store, n=500, plugin="null")
    made.worker()
    made.reaches_end()


def place_order(order, *skus):
    lines = [{"sku": sku, "quantity": 1, "amount": "2.50"} for sku in skus]
    return order, {"type": "OrderPlaced", "order_id": order, "customer": "Alice", "at": "2026-11-23T04:00:00Z",
                   "shipping": {"city": "Oslo"}, "lines": lines}


def order_event(kind, order, **fields):
    return order, {"type": kind, "order_id": order, "at": "2026-11-23T04:05:00Z", **fields}


def test_handlers_that_read(scene, server_store):
    made = scene(server_store, plugin="orders", row_cache="64KiB")
    orders = [f"o-{i}" for i in range(300)]
    made.produce([place_order(order, "tea", "cup") for order in orders])
    made.produce([order_event("LineAdded", order, sku="pot", quantity=1, amount="5.00") for order in orders])
    made.produce([order_event("OrderCancelled", order) for order in orders[:100]])
    made.produce([order_event("OrderCompleted", order) for order in orders[100:]])
    made.worker()
    made.reaches_end()
    totals = server_store.query("SELECT status, count(*), sum(total) FROM orders GROUP BY status ORDER BY status")
    assert [row[:2] for row in totals] == [("cancelled", 100), ("completed", 200)]
    assert dict((row[0], row[2]) for row in totals)["completed"] == decimal.Decimal("2000.00")
    assert server_store.query("SELECT count(*) FROM order_lines") == [(600,)]


def test_handlers_read_what_a_restart_has_forgotten(scene, server_store):
    made = scene(server_store, plugin="orders")
    made.produce([place_order("o-1", "tea")])
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    made.produce([order_event("OrderCompleted", "o-1")])
    made.worker()
    made.reaches_end()
    assert server_store.query("SELECT status, total FROM orders") == [("completed", decimal.Decimal("2.50"))]


def test_messages_go_to_the_outbox_with_the_rows(scene, server_store):
    made = scene(server_store, plugin="orders", options={"completed_topic": "totals"})
    made.produce([place_order("o-1", "tea"), order_event("OrderCompleted", "o-1")])
    made.worker()
    made.reaches_end()
    [(topic, key, value)] = server_store.query("SELECT o.topic, o.key, o.value FROM readside_outbox o")
    assert (topic, bytes(key)) == ("totals", b"o-1")
    assert json.loads(bytes(value))["total"] == "2.50"


def test_tombstones_remove_rows(scene, server_store):
    made = scene(server_store, plugin="orders")
    made.produce([place_order("o-1", "tea"), place_order("o-2", "tea"), ("o-1", None)])
    made.worker()
    made.reaches_end()
    assert server_store.query("SELECT order_id FROM orders") == [("o-2",)]
    assert server_store.query("SELECT order_id FROM order_lines") == [("o-2",)]


def test_kafka_shows_the_committed_position_for_lag_tools(scene, server_store, kafka):
    made, _bank = bank_scene(scene, server_store, n=500)
    made.worker()
    made.reaches_end()
    eventually(lambda: kafka.committed("readside-bank-v1", made.topic) == kafka.end_offsets(made.topic))


def test_two_pipelines_in_one_worker(scene, server_store, kafka, name):
    made, bank = bank_scene(scene, server_store, n=500)
    path = made.config("both")
    text = path.read_text()
    other = '''
    second: { topics = ["%s"]; plugin = "null"; store = "main"; };
};
''' % made.topic
    path.write_text(text.rstrip()[:-2] + other)
    from worker import Readside
    worker = Readside(path, "both").start()
    made.workers.append(worker)
    made.agrees(bank)
    eventually(lambda: server_store.query("SELECT count(*) FROM readside_positions WHERE pipeline = 'second' AND events > 0")[0][0] > 0)


def test_a_version_has_its_own_tables_and_positions(scene, server_store):
    made, bank = bank_scene(scene, server_store, n=300)
    first = made.worker()
    made.agrees(bank)
    first.stop()
    made.worker("w2", version=2)
    eventually(lambda: server_store.query("SELECT count(*) FROM readside_positions WHERE version = 2 AND events > 0")[0][0] > 0)
    eventually(lambda: server_store.query("SELECT sum(events) FROM accounts__v2") == server_store.query("SELECT sum(events) FROM accounts__v1"))


def test_status_and_positions_read_store_and_broker(scene, store):
    made, _bank = bank_scene(scene, store, n=200)
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    config = worker.config
    status = readside("status", config)
    assert status.returncode == 0, status.stderr
    assert made.topic in status.stdout
    positions = readside("positions", config, "bank")
    assert positions.returncode == 0 and made.topic in positions.stdout, positions.stderr


def test_status_tells_how_old_the_first_waiting_event_is(scene, store, kafka):
    made, _bank = bank_scene(scene, store, n=200)
    worker = made.worker()
    made.reaches_end()
    worker.stop()
    pipeline = json.loads(readside("status", "--json", worker.config).stdout)["pipelines"][0]
    assert (pipeline["lag"], pipeline["lag_seconds"], pipeline["error"]) == (0, 0, None)
    key, value = oracle.deposited("a", "1.00")
    producer = kafka.producer()
    for partition in range(3):  # the fourth has nothing new; the second event is younger and does not count
        for age in (3600 * (partition + 1), 60):
            producer.produce(made.topic, key=key, value=json.dumps(value), partition=partition, timestamp=int((time.time() - age) * 1000))
    assert producer.flush(30) == 0
    status = readside("status", "--json", worker.config)
    pipeline = json.loads(status.stdout)["pipelines"][0]
    hours = {row["partition"]: row["lag_seconds"] // 3600 for row in pipeline["positions"]}
    assert (hours, pipeline["lag"], pipeline["lag_seconds"] // 3600) == ({0: 1, 1: 2, 2: 3, 3: 0}, 6, 3), status.stdout
    assert " SECONDS " in readside("status", worker.config).stdout
