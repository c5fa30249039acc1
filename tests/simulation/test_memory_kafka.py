"""Kafka's contract, as far as the worker leans on it: each claim on Apache Kafka and on the broker in memory.

Consumer groups are `test_memory_kafka_groups.py`.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, TopicPartition

from tests.simulation.kafka_in_earnest import apache
from tests.simulation.kafka_in_memory import in_memory
from tests.simulation.kafka_subjects import (
    AWAY,
    FENCED,
    LONG_S,
    STATE,
    WAIT_S,
    Subject,
    fails,
)
from worker.demo.broker import Broker


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for this file."""
    with Broker(Path(tmp_path_factory.mktemp("kafka")), heap_mb=256) as one:
        yield one


@pytest.fixture(params=["memory", "apache"])
def kafka(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """The broker in memory, and the real one."""
    if request.param == "memory":
        with in_memory() as subject:
            yield subject
    else:
        with apache(request.getfixturevalue("broker")) as subject:
            yield subject


# Records and topics


def test_records_come_back_as_they_were_sent(kafka: Subject) -> None:
    """In order within a partition, which the key alone decides, with key, value, headers, time and offsets from 0."""
    topic = kafka.topic("t", 2)
    keys = [b"pay-1", b"pay-2", b"a", b"b", b"c"]
    kafka.send(*((topic, key, b"v" + key, {"h": b"1", "g": b""}) for key in keys))
    consumer = kafka.consumer(kafka.own("g"))
    consumer.assign([TopicPartition(topic, 0, 0), TopicPartition(topic, 1, 0)])
    found = kafka.take(consumer, 5)
    consumer.close()
    for number in (0, 1):
        ours = [it for it in found if it.partition() == number]
        assert [key for key in keys if crc32(key) % 2 == number] == [it.key() for it in ours]
        assert list(range(len(ours))) == [it.offset() for it in ours]
    assert all(b"v" + it.key() == it.value() and it.error() is None for it in found)
    assert all([("h", b"1"), ("g", b"")] == it.headers() for it in found)
    assert all(1 == it.timestamp()[0] and it.timestamp()[1] > 1_600_000_000_000 for it in found)


def test_a_topic_made_anew_is_another_one(kafka: Subject) -> None:
    """Its id differs, the groups' offsets of it are gone, and who stood behind its end begins again at its start."""
    topic = kafka.topic("t", 1)
    before = kafka.describe([topic, "nobody-has-this"])
    assert [topic] == list(before)
    assert 1 == before[topic].partitions
    kafka.send(*((topic, b"k", b"old", {}) for _ in range(3)))
    group = kafka.own("g")
    consumer = kafka.consumer(group)
    consumer.commit(offsets=[TopicPartition(topic, 0, 2)], asynchronous=False)
    kafka.delete(topic)
    assert {} == kafka.describe([topic])
    kafka.topic("t", 1)
    assert before[topic].topic_id != kafka.describe([topic])[topic].topic_id
    kafka.send((topic, b"k", b"new", {}))
    [found] = consumer.committed([TopicPartition(topic, 0)], timeout=LONG_S)
    assert OFFSET_INVALID == found.offset
    consumer.assign([TopicPartition(topic, 0, 3)])
    assert [(0, 0, b"new")] == kafka.read(consumer, 1)
    consumer.close()


# Reading


def test_where_a_reader_begins(kafka: Subject) -> None:
    """At the offset that it names, at the beginning, at what its group committed, or there, too, from past the end."""
    topic = kafka.topic("t", 4)
    numbers = {crc32(key) % 4: key for key in (bytes([n]) for n in range(64))}
    kafka.send(*((topic, numbers[part], b"%d" % n, {}) for n in range(3) for part in range(4)))
    consumer = kafka.consumer(kafka.own("g"))
    consumer.commit(offsets=[TopicPartition(topic, 2, 1)], asynchronous=False)
    consumer.assign(
        [
            TopicPartition(topic, 0, 2),
            TopicPartition(topic, 1, OFFSET_BEGINNING),
            TopicPartition(topic, 2, OFFSET_INVALID),
            TopicPartition(topic, 3, 99),
        ]
    )
    seen = kafka.read(consumer, 9)
    consumer.close()
    assert {0: 2, 1: 0, 2: 1, 3: 0} == {
        part: min(offset for number, offset, _ in seen if number == part) for part in range(4)
    }
    assert 9 == len(seen) == len(set(seen))


def test_pausing_loses_nothing(kafka: Subject) -> None:
    """A paused partition gives nothing, goes on where it stood, and may be set back meanwhile."""
    topic = kafka.topic("t", 1)
    kafka.send(*((topic, b"k", b"%d" % number, {}) for number in range(3)))
    consumer = kafka.consumer(kafka.own("g"))
    consumer.assign([TopicPartition(topic, 0, 0)])
    part = [TopicPartition(topic, 0)]
    assert [b"0"] == [it.value() for it in kafka.take(consumer, 1, at_once=1)]
    consumer.pause(part)
    assert [] == kafka.read(consumer, 0)
    consumer.resume(part)
    assert [(0, 1, b"1"), (0, 2, b"2")] == kafka.read(consumer, 2)
    consumer.pause(part)
    consumer.seek(TopicPartition(topic, 0, 1))
    assert [] == kafka.read(consumer, 0)
    consumer.resume(part)
    assert [(0, 1, b"1"), (0, 2, b"2")] == kafka.read(consumer, 2)
    consumer.close()


def test_a_seek_elsewhere_fails(kafka: Subject) -> None:
    """Only a partition that is assigned can be set back; one that is not may be paused all the same."""
    topic = kafka.topic("t", 1)
    consumer = kafka.consumer(kafka.own("g"))
    consumer.pause([TopicPartition(topic, 0)])
    assert fails(consumer.seek, TopicPartition(topic, 0, 0))[0] in {"_UNKNOWN_PARTITION", "_STATE"}
    consumer.close()


def test_offsets_of_a_group_without_members_are_kept(kafka: Subject) -> None:
    """What is committed stands for whoever comes next; where nothing was, the offset says so."""
    topic = kafka.topic("t", 2)
    group = kafka.own("g")
    consumer = kafka.consumer(group)
    [done] = consumer.commit(offsets=[TopicPartition(topic, 0, 7)], asynchronous=False)
    assert (None, 7) == (done.error, done.offset)
    consumer.close()
    again = kafka.consumer(group)
    asked = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    assert [7, OFFSET_INVALID] == [it.offset for it in again.committed(asked, timeout=LONG_S)]
    assert all(it.error is None for it in again.committed(asked, timeout=LONG_S))
    again.close()


# kafka_txns


def test_a_kafka_txn_is_seen_whole_or_not_at_all(kafka: Subject) -> None:
    """Open: nothing of it, and nothing behind it. Committed: all. Aborted: nothing. Each end takes an offset."""
    topic = kafka.topic("t", 1)
    kafka.send((topic, b"k", b"0", {}))
    producer = kafka.begun(kafka.own("x"), topic, b"1", b"2")
    kafka.send((topic, b"k", b"behind", {}))
    assert [b"0"] == kafka.values(topic, 1)
    producer.commit_transaction(LONG_S)
    assert [b"0", b"1", b"2", b"behind"] == kafka.values(topic, 4)
    producer.begin_transaction()
    producer.produce(topic, b"never", b"k")
    assert 0 == producer.flush(LONG_S)
    producer.purge()
    producer.abort_transaction(LONG_S)
    kafka.send((topic, b"k", b"last", {}))
    assert [b"0", b"1", b"2", b"behind", b"last"] == kafka.values(topic, 5)
    consumer = kafka.consumer(kafka.own("g"))
    consumer.assign([TopicPartition(topic, 0, 4)])
    # four records, the commit's marker, the aborted one, the abort's marker
    assert [(0, 7, b"last")] == kafka.read(consumer, 1)
    consumer.close()


def test_a_delivery_report_comes_with_the_flush(kafka: Subject) -> None:
    """Each record is acknowledged to its callback, without an error."""
    topic = kafka.topic("t", 1)
    producer = kafka.ready(kafka.own("x"))
    producer.begin_transaction()
    told: list[Any] = []
    for value in (b"1", b"2"):
        producer.produce(
            topic,
            value,
            b"k",
            headers=[("h", b"1")],
            on_delivery=lambda error, message: told.append((error, message.value())),
        )
    assert 0 == producer.flush(LONG_S)
    assert [(None, b"1"), (None, b"2")] == told
    producer.abort_transaction(LONG_S)


def test_the_watermark_moves_with_the_kafka_txn(kafka: Subject) -> None:
    """There is none before the first one; nobody is told while one is open; an aborted one leaves it where it was."""
    topic, progress = kafka.topic("t", 1), kafka.topic("progress", 1)
    session, name = kafka.session("s")
    group = f"{name}-progress"
    assert kafka.watermark(session, progress) is None
    producer = kafka.begun(name, topic, b"1")
    metadata = kafka.metadata(group)
    producer.send_offsets_to_transaction([TopicPartition(progress, 0, 4)], metadata, LONG_S)
    reader = kafka.consumer(group)
    asked = [TopicPartition(progress, 0)]
    assert "_TIMED_OUT" == fails(lambda: reader.committed(asked, timeout=WAIT_S))[0]
    producer.commit_transaction(LONG_S)
    assert 4 == kafka.watermark(session, progress)
    producer.begin_transaction()
    producer.produce(topic, b"2", b"k")
    assert 0 == producer.flush(LONG_S)
    producer.send_offsets_to_transaction([TopicPartition(progress, 0, 9)], metadata, LONG_S)
    producer.abort_transaction(LONG_S)
    assert 4 == kafka.watermark(session, progress)
    assert [b"1"] == kafka.values(topic, 1)
    reader.close()


@pytest.mark.parametrize("call", ["flush", "send_offsets_to_transaction", "commit_transaction"])
def test_a_fenced_producer_does_nothing_more(kafka: Subject, call: str) -> None:
    """Whoever claims the same id aborts what is open; the older one dies at its next call, for good."""
    topic, progress = kafka.topic("t", 1), kafka.topic("progress", 1)
    name = kafka.own("x")
    older = kafka.begun(name, topic, b"1")
    newer = kafka.ready(name)
    metadata = kafka.metadata(kafka.own("g"))
    arguments: dict[str, Any] = {
        "flush": (LONG_S,),
        "send_offsets_to_transaction": ([TopicPartition(progress, 0, 4)], metadata, LONG_S),
        "commit_transaction": (LONG_S,),
    }
    if call == "flush":
        older.produce(topic, b"2", b"k")
    assert FENCED == fails(getattr(older, call), *arguments[call])
    assert FENCED == fails(older.commit_transaction, LONG_S)
    assert FENCED == fails(older.begin_transaction)
    newer.begin_transaction()
    newer.produce(topic, b"3", b"k")
    newer.commit_transaction(LONG_S)
    assert [b"3"] == kafka.values(topic, 1)


def test_a_kafka_txn_past_its_time_is_aborted(kafka: Subject) -> None:
    """Readers get past it, the watermark is told again, and its producer is fenced."""
    topic, progress = kafka.topic("t", 1), kafka.topic("progress", 1)
    session, name = kafka.session("s")
    slow = kafka.begun(name, topic, b"1", timeout_s=1.0)
    metadata = kafka.metadata(f"{name}-progress")
    slow.send_offsets_to_transaction([TopicPartition(progress, 0, 4)], metadata, LONG_S)
    kafka.send((topic, b"k", b"behind", {}))
    assert [b"behind"] == kafka.values(topic, 1)
    assert kafka.watermark(session, progress) is None
    assert FENCED == fails(slow.commit_transaction, LONG_S)


def test_a_dead_sessions_fence(kafka: Subject) -> None:
    """It aborts what the session had open and tells its watermark; a second one tells the same."""
    topic, progress = kafka.topic("t", 1), kafka.topic("progress", 1)
    session, name = kafka.session("s")
    dead = kafka.begun(name, topic, b"1")
    metadata = kafka.metadata(f"{name}-progress")
    dead.send_offsets_to_transaction([TopicPartition(progress, 0, 2)], metadata, LONG_S)
    dead.commit_transaction(LONG_S)
    dead.begin_transaction()
    dead.produce(topic, b"2", b"k")
    assert 0 == dead.flush(LONG_S)
    dead.send_offsets_to_transaction([TopicPartition(progress, 0, 3)], metadata, LONG_S)
    assert 2 == kafka.fence(session, progress)
    assert 2 == kafka.fence(session, progress)
    assert FENCED == fails(dead.commit_transaction, LONG_S)
    assert [b"1"] == kafka.values(topic, 1)
    stranger, _ = kafka.session("stranger")
    assert kafka.fence(stranger, progress) is None


def test_calls_out_of_order_fail(kafka: Subject) -> None:
    """A producer begins after it has claimed its id, once; what belongs into a kafka_txn fails outside of one."""
    topic, progress = kafka.topic("t", 1), kafka.topic("progress", 1)
    metadata = kafka.metadata(kafka.own("g"))
    producer = kafka.producer(kafka.own("x"))
    assert STATE == fails(producer.begin_transaction)
    producer.init_transactions(LONG_S)
    assert STATE == fails(producer.produce, topic, b"1", b"k")
    offsets = [TopicPartition(progress, 0, 1)]
    assert STATE == fails(producer.send_offsets_to_transaction, offsets, metadata, LONG_S)
    assert STATE == fails(producer.commit_transaction, LONG_S)
    assert STATE == fails(producer.abort_transaction, LONG_S)
    producer.begin_transaction()
    assert STATE == fails(producer.begin_transaction)
    producer.abort_transaction(LONG_S)


# Bad days


def test_a_commit_without_an_answer(kafka: Subject) -> None:
    """The client hears of a timeout and may not abort; a new producer under the id finds what became of it."""
    topic, progress = kafka.topic("t", 1), kafka.topic("progress", 1)
    session, name = kafka.session("s")
    producer = kafka.begun(name, topic, b"1")
    metadata = kafka.metadata(f"{name}-progress")
    producer.send_offsets_to_transaction([TopicPartition(progress, 0, 4)], metadata, LONG_S)
    with kafka.mute():
        assert AWAY == fails(producer.commit_transaction, WAIT_S)
        assert ("_CONFLICT", False, True) == fails(producer.abort_transaction, WAIT_S)
    kafka.ready(name)
    assert 4 == kafka.watermark(session, progress)
    assert [b"1"] == kafka.values(topic, 1)


def test_a_broker_that_is_away(kafka: Subject) -> None:
    """Every call ends with an error that is not fatal, polling finds nothing; afterwards all is as it was."""
    topic, progress = kafka.topic("t", 1), kafka.topic("progress", 1)
    kafka.send((topic, b"k", b"0", {}))
    member = kafka.member(kafka.own("g"), topic)
    kafka.poll(member, until=lambda: bool(member.found))
    metadata = kafka.metadata(kafka.own("p"))
    reader = kafka.consumer(kafka.own("r"))
    part = [TopicPartition(topic, 0)]
    reader.committed(part, timeout=LONG_S)
    sending, offering, ending = (
        kafka.begun(kafka.own(it), topic, b"1", timeout_s=2.0) for it in "xyz"
    )
    claiming = kafka.producer(kafka.own("c"))
    offsets = [TopicPartition(progress, 0, 4)]
    with kafka.away(), ThreadPoolExecutor(8) as pool:
        sending.produce(topic, b"2", b"k")
        left = pool.submit(sending.flush, WAIT_S)
        calls = {
            "claim": pool.submit(fails, claiming.init_transactions, WAIT_S),
            "offer": pool.submit(
                fails, offering.send_offsets_to_transaction, offsets, metadata, WAIT_S
            ),
            "end": pool.submit(fails, ending.commit_transaction, WAIT_S),
        }
        asked = pool.submit(fails, lambda: reader.committed(part, timeout=WAIT_S))
        member.found.clear()
        member.poll()
        assert [] == member.found
        assert member.ask("commit", topic, 0, 1) in {"_WAIT_COORD", "_TIMED_OUT", "_TRANSPORT"}
        assert 1 == left.result()
        assert dict.fromkeys(calls, AWAY) == {name: it.result() for name, it in calls.items()}
        assert ("_TIMED_OUT", False) == asked.result()[:2]
    assert [topic] == list(kafka.describe([topic]))
    kafka.poll(member, until=lambda: not member.ask("commit", topic, 0, 1))
    reader.close()
