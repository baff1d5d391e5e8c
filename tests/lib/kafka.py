"""A throw-away Kafka broker (KRaft, one node) on loopback, and what tests do to topics."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import threading
import uuid

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

from process import ROOT, Process, eventually, free_port, give_away, temporary_folder, unprivileged

QUIET = {"log_level": 0, "log.connection.close": False}


def jars():
    """Where scripts/bootstrap put Kafka."""
    script = 'source scripts/lib/common.sh; echo "$(cache_dir)/kafka-$kafka_version"'
    folder = subprocess.run(["bash", "-c", script], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    assert (pathlib.Path(folder) / "complete").exists(), "Kafka's jars are missing: scripts/bootstrap test"
    return pathlib.Path(folder)


class Kafka(Process):
    """`bootstrap` is the address. Topics are made by create_topic() only."""

    def __init__(self, folder=None, port=None, settings=(), memory="512m", outlive=False):
        super().__init__("kafka", folder or temporary_folder("kafka"), outlive)
        self.port = port or free_port()
        self.controller_port = free_port()  # counts only until the folder has its server.properties
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.memory = memory
        self.settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "transaction.max.timeout.ms": 900000,
            # A killed broker may be back before its session is over; it waits for that.
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
            **dict(settings),
        }
        self._admin = None
        self._producer = None

    def java(self, program, *arguments):
        lib = self.folder / "lib"
        if not lib.exists():
            # The cache may be in a home that the unprivileged user cannot enter.
            if os.geteuid() == 0:
                shutil.copytree(jars(), lib)
            else:
                lib.symlink_to(jars())
        return ["java", f"-Xmx{self.memory}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=4", "-Xshare:auto",
                f"-Dorg.slf4j.simpleLogger.defaultLogLevel={os.environ.get('KAFKA_LOG', 'warn')}",
                "-cp", f"{lib}/*", program, *arguments]

    def run(self, program, *arguments, text=None):
        """A Kafka command line tool, by its class."""
        done = subprocess.run([str(word) for word in self.java(program, *arguments)], cwd=self.folder, input=text or "",
                              capture_output=True, text=True, **unprivileged())
        assert done.returncode == 0, f"{program} {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def create(self):
        if (self.folder / "server.properties").exists():
            return
        properties = self.folder / "server.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in self.settings.items()))
        give_away(properties)
        self.run("kafka.tools.StorageTool", "format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c", properties)

    def start(self, deadline=90):
        self.create()
        self.spawn(self.java("kafka.Kafka", "server.properties"), cwd=self.folder, **unprivileged())
        eventually(self.answers, deadline, "Kafka answers")
        return self

    def answers(self):
        if not self.is_running():
            raise RuntimeError(f"Kafka did not start:\n{self.tail()}")
        with contextlib.suppress(KafkaException):
            return self.port in [broker.port for broker in self.admin.list_topics(timeout=1).brokers.values()]
        return False

    def stop(self):
        return self.terminate()

    @property
    def admin(self):
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.bootstrap, **QUIET})
        return self._admin

    @staticmethod
    def settle(futures):
        for future in futures.values():
            future.result(60)

    def create_topic(self, name, partitions=1, config=()):
        """Returns when the topic can be written to."""
        self.settle(self.admin.create_topics([NewTopic(name, partitions, 1, config=dict(config))], operation_timeout=30))
        eventually(lambda: self.partitions(name) == partitions, 30, f"topic {name}")
        return name

    def delete_topic(self, name):
        self.settle(self.admin.delete_topics([name], operation_timeout=30))
        eventually(lambda: self.partitions(name) == 0, 30, f"topic {name} goes")

    def add_partitions(self, name, total):
        self.settle(self.admin.create_partitions([NewPartitions(name, total)]))
        eventually(lambda: self.partitions(name) == total, 30, f"topic {name} grows")

    def alter_topic(self, name, config):
        self.settle(self.admin.alter_configs([ConfigResource("topic", name, set_config=dict(config))]))

    def partitions(self, name):
        topic = self.admin.list_topics(timeout=10).topics.get(name)
        return len(topic.partitions) if topic and topic.error is None else 0

    def delete_records(self, name, before):
        """before: {partition: first offset to keep}"""
        request = {"version": 1, "partitions": [{"topic": name, "partition": p, "offset": o} for p, o in before.items()]}
        path = self.folder / f"delete-{uuid.uuid4()}.json"
        path.write_text(json.dumps(request))
        path.chmod(0o644)
        self.run("org.apache.kafka.tools.DeleteRecordsCommand", "--bootstrap-server", self.bootstrap, "--offset-json-file", path)

    def watermarks(self, name, isolation="read_committed"):
        """{partition: (low, high)}; high is the last stable offset under read_committed."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "none", "isolation.level": isolation, **QUIET})
        try:
            return {p: self.watermark(consumer, name, p) for p in range(self.partitions(name))}
        finally:
            consumer.close()

    @staticmethod
    def watermark(consumer, name, partition):
        """A partition that has just been made may not know its leader yet."""
        def ask():
            try:
                return consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=20)
            except KafkaException as error:
                if error.args[0].retriable() or "leader" in str(error).lower():
                    raise AssertionError(str(error)) from error
                raise
        return eventually(ask, 20)

    def end_offsets(self, name):
        """{partition: end of the log}, once every transaction has its mark: the broker answers a producer before it writes them."""
        def check():
            stable, high = self.watermarks(name), self.watermarks(name, "read_uncommitted")
            assert stable == high, f"transactions are open in {name}: {stable} of {high}"
            return stable
        return {partition: high for partition, (_, high) in eventually(check, 30).items()}

    def committed(self, group, name):
        """{partition: offset} as the group committed them; None where it did not."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group, **QUIET})
        try:
            wanted = [TopicPartition(name, p) for p in range(self.partitions(name))]
            return {p.partition: None if p.offset == OFFSET_INVALID else p.offset for p in consumer.committed(wanted, timeout=20)}
        finally:
            consumer.close()

    def group(self, name):
        """(state, members) of a consumer group, as its coordinator describes them: ("Stable", 2)."""
        try:
            found = self.admin.list_groups(name, timeout=20)
        except KafkaException:
            found = []  # its coordinator is not there yet
        return (found[0].state, len(found[0].members)) if found else ("", 0)

    @contextlib.contextmanager
    def slow_member(self, group, topic):
        """A member that hears of a rebalance only after 20 s: all others wait that long for their join. Gives an event: it is in."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group, "session.timeout.ms": 60000,
                             "heartbeat.interval.ms": 20000, "partition.assignment.strategy": "cooperative-sticky", **QUIET})
        joined, ended = threading.Event(), threading.Event()
        consumer.subscribe([topic], on_assign=lambda *_: joined.set())
        thread = threading.Thread(target=lambda: [consumer.poll(0.1) for _ in iter(ended.is_set, True)], daemon=True)
        thread.start()
        try:
            yield joined
        finally:
            ended.set()
            thread.join()
            consumer.close()

    def producer(self, transactional_id=None, **config):
        """A client of confluent_kafka; with a transactional id, its transactions are initialised."""
        settings = {"bootstrap.servers": self.bootstrap, "linger.ms": 5, "enable.idempotence": True,
                    "queue.buffering.max.messages": 1000000, "partitioner": "murmur2_random", **QUIET}
        settings.update({name.replace("_", "."): value for name, value in config.items()})
        if transactional_id is not None:
            settings["transactional.id"] = transactional_id
        producer = Producer(settings)
        if transactional_id is not None:
            producer.init_transactions(30)
        return producer

    def produce(self, topic, records, transaction=None, producer=None):
        """Appends records and waits for the broker.

        A record is (key, value), (key, value, partition) or (key, value, partition, headers): bytes, str or None; a dict as value
        becomes JSON. transaction: None, "commit" or "abort" (a producer of its own unless one is given).
        """
        failed = []
        if producer is None:
            if transaction is not None:
                producer = self.producer(f"tests-{uuid.uuid4()}")
            else:
                producer = self._producer = self._producer or self.producer()
        producer.list_topics(topic, 60)  # one that is new to the client would else be asked for at its next second
        if transaction is not None:
            producer.begin_transaction()
        for key, value, *rest in records:
            partition = rest[0] if rest and rest[0] is not None else -1
            headers = rest[1] if len(rest) > 1 else None
            value = json.dumps(value) if isinstance(value, dict) else value
            while True:
                try:
                    producer.produce(topic, key=key, value=value, partition=partition, headers=headers,
                                     on_delivery=lambda error, _: error and failed.append(error))
                    break
                except BufferError:
                    producer.poll(0.1)
        # Before an abort, too: the broker must have seen the transaction.
        left = producer.flush(60)
        assert left == 0 and not failed, f"{left} records were not written to {topic}: {failed[:3]}"
        if transaction == "commit":
            producer.commit_transaction(60)
        elif transaction == "abort":
            producer.abort_transaction(60)
