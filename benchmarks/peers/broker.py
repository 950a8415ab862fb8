"""A real Kafka broker for one benchmark: KRaft, free loopback ports, a folder that goes away with it.

Never ends a process that it did not start.
"""

import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import cache

# Any 22 characters that are a base64 UUID.
CLUSTER = "Zm9yZWJheS1wZWVycy1rYQ"
SECONDS_TO_START = 60


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Broker:
    """A broker that runs inside a `with`."""

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        port, controller = free_ports(2)
        self.bootstrap = f"127.0.0.1:{port}"
        self.settings = self.folder / "server.properties"
        self.settings.write_text(
            "process.roles=broker,controller\n"
            "node.id=1\n"
            f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
            f"listeners=PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller}\n"
            f"advertised.listeners=PLAINTEXT://{self.bootstrap}\n"
            "controller.listener.names=CONTROLLER\n"
            f"log.dirs={self.folder / 'logs'}\n"
            "auto.create.topics.enable=false\n"
            "offsets.topic.replication.factor=1\n"
            "transaction.state.log.replication.factor=1\n"
            "transaction.state.log.min.isr=1\n"
            "group.initial.rebalance.delay.ms=0\n"
        )
        self.output = (self.folder / "output.txt").open("a")
        if self.java("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c").wait() != 0:
            sys.exit(f"kafka's storage is not formatted:\n{self.said()}")
        self.process = self.java("kafka.Kafka")
        try:
            self.wait_until_it_answers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.output.close()
        self.temporary.cleanup()

    def java(self, name, *arguments):
        command = ["java", "-Xmx512m", "-cp", f"{cache() / 'kafka' / 'lib'}/*", name, *arguments, str(self.settings)]
        return subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output)

    def said(self):
        return (self.folder / "output.txt").read_text()[-2000:]

    def wait_until_it_answers(self):
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        until = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if self.admin.list_topics(timeout=1).brokers:
                    return
            except KafkaException:
                time.sleep(0.2)
        sys.exit(f"the broker does not answer:\n{self.said()}")

    def fill(self, topic, partitions, records):
        """Makes a topic of (key, value) records, each where its key belongs."""
        from confluent_kafka import Producer
        from confluent_kafka.admin import NewTopic

        self.admin.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=1)])[topic].result()
        settings = {"bootstrap.servers": self.bootstrap, "linger.ms": 50, "acks": "all", "partitioner": "murmur2_random"}
        producer = Producer(settings | {"queue.buffering.max.messages": 2_000_000})
        for key, value in records:
            producer.produce(topic, value, key)
            producer.poll(0)
        left = producer.flush(120)
        if left:
            sys.exit(f"{left} records did not reach the broker")
