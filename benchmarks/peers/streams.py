"""Streaming: windows of one hour for each user from a filled Kafka topic, Forebay beside Kafka Streams with RocksDB.

Kafka Streams folds tumbling tiles and windows that hop by five minutes; Forebay keeps a window that is exact at any time,
whose values at the tiles' and hops' ends are the same, and in one more run the whole payments workload. State and
offsets are durable on both sides, at least once. Forebay's time is that of its process from start to end; the clock of
Kafka Streams runs from the first record, and its CPU is that of its process. It takes fewer events: rates are compared.
Run by `make bench-peers` as `streams.py FOREBAY`.
"""

import itertools
import sys
import tempfile
import time
from pathlib import Path

from broker import Broker
from measure import PEERS, cache, child, report, take_turns
from payments import ALL_FEATURES, HOUR, Forebay, check, expected, generate

EVENTS = 1_000_000
PARTITIONS = 2
# What Kafka Streams folds: how far a window advances, and over how many events it is measured.
SHAPES = {"kafka streams, tumbling 1h": (60, 200_000), "kafka streams, 1h hopping by 5m": (5, 50_000)}


def key(line):
    """The bytes of the user's number."""
    start = line.index(b'"user_id":') + 10
    return line[start : line.index(b",", start)]


def compile_peer(folder):
    """The class path of the compiled application."""
    jars = f"{cache() / 'peers' / 'lib'}/*"
    child("javac", "-cp", jars, "-d", folder, PEERS / "Windows.java")
    return f"{folder}:{jars}"


def consume(bootstrap, topic, events):
    """A bare consumer, the ceiling: (seconds, CPU seconds)."""
    from confluent_kafka import Consumer, TopicPartition

    # The settings of Forebay's own reader: with the defaults the library pauses a second whenever its queue is full.
    settings = {"queued.min.messages": 500_000, "queued.max.messages.kbytes": 131_072, "fetch.queue.backoff.ms": 5, "fetch.wait.max.ms": 100}
    consumer = Consumer(settings | {"bootstrap.servers": bootstrap, "group.id": "ceiling", "enable.auto.commit": False})
    started, cpu, seen = time.perf_counter(), time.process_time(), 0
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    while seen < events:
        seen += sum(message.error() is None for message in consumer.consume(10_000, timeout=0.1))
    taken = time.perf_counter() - started, time.process_time() - cpu
    consumer.close()
    return taken


def main(forebay):
    with tempfile.TemporaryDirectory() as temporary, Broker() as broker:
        folder, numbers = Path(temporary), itertools.count()
        lines = generate(forebay, folder, EVENTS)
        counts = {events for _, events in SHAPES.values()} | {EVENTS}
        for events in counts:
            broker.fill(f"payments-{events}", PARTITIONS, ((key(line), line) for line in lines[:events]))
        (folder / "classes").mkdir()
        classes = compile_peer(folder / "classes")

        def streams(advance, events, windows):
            """One run with its answers checked: (seconds, CPU seconds)."""
            run = folder / f"streams-{next(numbers)}"
            run.mkdir()
            (run / "asked").write_text("".join(f"{user} {start}\n" for user, start in windows))
            _, cpu, printed = child(
                "java", "-Xmx2g", "-cp", classes, "Windows", broker.bootstrap, f"payments-{events}", events, advance, run / "state", run / "asked"
            )
            seconds, *answers = printed.splitlines()
            rows = [answer.split() for answer in answers]
            check("kafka streams", windows, {(int(user), int(start)): (int(count), float(total)) for user, start, count, total in rows})
            return float(seconds), cpu

        def ours(definitions, events):
            return Forebay(forebay, folder / f"forebay-{next(numbers)}", definitions, f"from kafka topic 'payments-{events}'", broker.bootstrap)

        sides, taken = {}, {}
        for name, (advance, events) in SHAPES.items():
            windows = expected(lines[:events], advance * 60_000)
            side = ours(HOUR, events)
            side.catch_up(events)
            check("forebay", windows, side.answers(windows))
            streams(advance, events, windows)
            sides[name], taken[name] = (lambda advance=advance, events=events, windows=windows: streams(advance, events, windows)), events
        print("streaming: equal answers for sampled windows (counts to the bit, sums to 1e-9), asserted in each run of the peer")

        def timed(definitions):
            side = ours(definitions, EVENTS)
            seconds = side.catch_up(EVENTS)
            side.forget()
            return seconds

        ceiling = "ceiling: a bare consumer"
        sides = {"forebay": lambda: timed(HOUR), "forebay, 16 + 4 features, 1h to 30d": lambda: timed(ALL_FEATURES)} | sides
        sides[ceiling] = lambda: consume(broker.bootstrap, f"payments-{EVENTS}", EVENTS)
        taken |= {name: EVENTS for name in sides if name not in taken}
        sides["forebay"]()
        report("Streaming: count and sum per user over 1h, from Kafka", take_turns(sides), taken)


if __name__ == "__main__":
    main(sys.argv[1])
