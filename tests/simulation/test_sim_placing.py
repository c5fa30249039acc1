"""Claims about where intake reads from, and what Kafka hears of it: the real intake, on the broker in memory."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from db_client.moves import Admission, DeadLetter
from db_client.reading import Position
from handlers.domain.errors import Unavailable
from handlers.ports import Coordinates
from tests.doubles.values import operation
from tests.simulation.test_sim_turns import (
    BEGAN,
    COMMANDS,
    TOPIC,
    Books,
    all_places,
    command,
    reading,
    world,
)
from worker.dead_letters import Record
from worker.decode import Decoder


def test_partitions_are_placed_anew_when_the_journal_was_started_anew() -> None:
    """What it forgot is read again, from its position on; what it still knows is not."""
    with world() as (loop, kafka):
        books = Books(loop, kafka)
        _, intake = reading(loop, kafka, books=books)
        for number in range(COMMANDS):
            command(kafka, number)
        loop.run_for(1)
        assert all_places(kafka) == sorted(books.admitted)
        before = dict(books.admitted)
        books.known = {part: replace(at, next_offset=1) for part, at in books.known.items()}
        books.incarnation = "two"
        command(kafka, COMMANDS)
        loop.run_for(1)
        assert not intake._places.outlived
        assert all_places(kafka) == sorted(books.admitted)
        expected = {place: 1 + (place[1] >= 1) for place in before}
        assert expected == {place: books.admitted[place] for place in before}


def test_what_was_dropped_is_read_again_whatever_the_group_does_meanwhile() -> None:
    """A batch that was judged before the journal was started anew: its partitions are placed anew in any case."""
    with world() as (loop, kafka):
        books = Books(loop, kafka, slow_s=0.5)
        _, intake = reading(loop, kafka, books=books)
        loop.run_for(1)
        for number in range(COMMANDS):
            command(kafka, number)
        loop.run_for(0.1)
        books.incarnation = "two"  # the commit that is under way finds that out
        for part in intake._places.of.values():
            part.incarnation = "two"  # and a rebalance has placed the partitions since
        loop.run_for(10)
        assert all_places(kafka) == sorted(books.admitted)


@dataclass
class Hesitant:
    """A decoder whose registry may be away."""

    decoder: Decoder
    is_away: bool = False

    def decode(self, record: Record, *, now: datetime) -> Admission | DeadLetter:
        """As ever, where the registry answers."""
        if self.is_away:
            raise Unavailable("schema registry", "no answer")
        return self.decoder.decode(record, now=now)


def test_kafka_hears_of_what_others_admitted_while_intake_waits() -> None:
    """What a worker admitted before its partition was taken away waits for that, and for nothing else of its heir's."""
    with world() as (loop, kafka):
        books = Books(loop, kafka)
        _, intake = reading(loop, kafka, books=books)
        hesitant: Any = Hesitant(intake.decoder)
        intake.decoder = hesitant
        loop.run_for(1)
        hesitant.is_away = True
        command(kafka, 1)
        loop.run_for(10)
        [topic_id] = kafka.topic_ids([TOPIC]).values()
        [read] = all_places(kafka)
        other = (read[0] + 1) % 3
        books.known[other] = Position(5, BEGAN)
        of = operation(record=Coordinates(topic_id, other, 4))
        assert not intake.offsets.heard(of)
        loop.run_for(10)
        assert intake.offsets.heard(of)
        assert {} == books.admitted
