"""Kafka's contract, consumer groups: each claim on Apache Kafka and on the broker in memory.

Apache Kafka's members are processes of their own, so that they can be stopped and killed.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from tests.simulation.kafka_in_earnest import apache
from tests.simulation.kafka_in_memory import in_memory
from tests.simulation.kafka_subjects import LONG_S, Subject, fails
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


def test_partitions_are_dealt_by_range(kafka: Subject) -> None:
    """Of each topic neighbours go together; who comes makes all give up all; who leaves makes the rest take all."""
    two, three = kafka.topic("two", 2), kafka.topic("three", 3)
    everything = [(three, 0), (three, 1), (three, 2), (two, 0), (two, 1)]
    group = kafka.own("g")
    first = kafka.member(group, two, three)
    kafka.serve(first)
    assert [("assign", everything)] == first.told
    second = kafka.member(group, two, three)
    kafka.poll(first, second, until=lambda: bool(second.owned and len(first.told) >= 3))
    assert ["assign", "revoke", "assign"] == [what for what, _ in first.told]
    assert everything == first.told[1][1]
    shares = sorted([first.owned, second.owned], key=len)
    assert [[(three, 2), (two, 1)], [(three, 0), (three, 1), (two, 0)]] == shares
    owned = second.owned
    second.close()
    assert ("revoke", owned) == second.told[-1]
    kafka.poll(first, until=lambda: first.owned == everything)


def test_a_dead_member_is_left_behind(kafka: Subject) -> None:
    """Once it was silent for the session timeout its partitions are dealt anew."""
    topic = kafka.topic("t", 2)
    group = kafka.own("g")
    first, second = kafka.member(group, topic), kafka.member(group, topic)
    kafka.poll(first, second, until=lambda: len(first.owned) == len(second.owned) == 1)
    second.kill()
    kafka.poll(first, until=lambda: first.owned == [(topic, 0), (topic, 1)])


def test_a_member_that_overslept_is_out(kafka: Subject) -> None:
    """What it commits after it was left behind fails; then it hears that all is lost, and joins anew."""
    topic = kafka.topic("t", 1)
    group = kafka.own("g")
    sleeper = kafka.member(group, topic)
    kafka.serve(sleeper)
    assert "" == sleeper.ask("commit", topic, 0, 1)
    sleeper.freeze()
    other = kafka.member(group, topic)
    kafka.serve(other)
    assert "" == other.ask("commit", topic, 0, 5)
    sleeper.wake()
    assert sleeper.ask("commit", topic, 0, 2) in {"UNKNOWN_MEMBER_ID", "ILLEGAL_GENERATION"}
    kafka.poll(sleeper, other, until=lambda: len(sleeper.told) > 1)
    assert ("lost", [(topic, 0)]) == sleeper.told[1]
    reader = kafka.consumer(group)
    assert 5 == reader.committed([TopicPartition(topic, 0)], timeout=LONG_S)[0].offset
    reader.close()


def test_commits_are_fenced_by_membership(kafka: Subject) -> None:
    """A member may commit for a partition that it does not own; who is no member may not while there are any."""
    topic, other = kafka.topic("t", 1), kafka.topic("other", 1)
    group = kafka.own("g")
    member = kafka.member(group, topic)
    kafka.serve(member)
    assert "" == member.ask("commit", other, 0, 3)
    outsider = kafka.consumer(group)
    offsets = [TopicPartition(topic, 0, 9)]
    error = fails(lambda: outsider.commit(offsets=offsets, asynchronous=False))
    assert ("UNKNOWN_MEMBER_ID", False) == error[:2]
    assert 3 == outsider.committed([TopicPartition(other, 0)], timeout=LONG_S)[0].offset
    outsider.close()


def test_what_was_paused_stays_paused_through_a_rebalance(kafka: Subject) -> None:
    """The library does not forget it when the partition is taken away and given back: somebody must resume it."""
    topic = kafka.topic("t", 1)
    kafka.send((topic, b"k", b"v", {}))
    group = kafka.own("g")
    member = kafka.member(group, topic)
    kafka.poll(member, until=lambda: bool(member.found))
    member.ask("pause", topic, 0)
    guest = kafka.member(group, topic)
    kafka.poll(member, guest, until=lambda: "revoke" in dict(member.told))
    guest.close()
    kafka.poll(member, until=lambda: member.owned == [(topic, 0)])
    before = len(member.found)
    for _ in range(10):
        member.poll()
    assert before == len(member.found)
    member.ask("resume", topic, 0)
    kafka.poll(member, until=lambda: len(member.found) > before)
