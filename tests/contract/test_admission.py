"""Admission on a real PostgreSQL: new, redelivered, repeated, in conflict; dead letters; positions; texts."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from db_client.moves import Admit, Answer, Conclude, DeadLetter, Fate, Mirror, Source
from handlers.domain.commands import Address
from handlers.domain.means import StoredProfile
from handlers.domain.money import Money
from handlers.domain.payments import Snapshot
from handlers.domain.states import PaymentState
from handlers.ports import Operation
from tests.contract.journal_stage import (
    Desk,
    JournalStage,
    admission,
    message,
    staged,
    working,
)
from tests.doubles.values import MIDNIGHT, command


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JournalStage]:
    """A server for this file."""
    with staged(tmp_path_factory.mktemp("journal")) as one:
        yield one


@pytest.fixture
def stage(server: JournalStage) -> JournalStage:
    """An empty journal."""
    server.clear()
    return server


@pytest.fixture
def desk(stage: JournalStage) -> Iterator[Desk]:
    """A session at work."""
    with working(stage) as one:
        yield one


def told(desk: Desk, of: Operation, *, event_id: str) -> None:
    """Carry it to its end, telling one snapshot."""
    known = replace(of.payment, state=PaymentState.DECLINED, version=1)
    [answered] = desk.write(Answer(of, Snapshot(known), {}))
    desk.write(Conclude(answered.operation, [message(event_id)], None))


def next_offsets(desk: Desk, topic_id: str) -> dict[int, int]:
    """Partition → next offset."""
    return {part: it.next_offset for part, it in desk.reader.positions(topic_id).items()}


def test_suspects_keep_the_time_from_which_they_are_searched(desk: Desk) -> None:
    """Read again after a restore, the position keeps its old time: the next owner searches the rest from there, too."""
    place = ("payments", "topic-1", 0)
    long_ago = MIDNIGHT - timedelta(hours=2)
    desk.write(Admit([], [], {place: 10}, {place: long_ago}))
    assert long_ago == desk.reader.positions("topic-1")[0].updated_at
    desk.write(Admit([], [], {place: 10}))
    assert long_ago == desk.reader.positions("topic-1")[0].updated_at
    desk.write(Admit([], [], {place: 20}, {place: long_ago}))
    assert (20, long_ago) == (
        desk.reader.positions("topic-1")[0].next_offset,
        desk.reader.positions("topic-1")[0].updated_at,
    )
    desk.write(Admit([], [], {place: 21}))
    assert long_ago < desk.reader.positions("topic-1")[0].updated_at


def letter(offset: int) -> DeadLetter:
    """A record that is no command."""
    return DeadLetter(Source("payments", "topic-1", 0, offset), message(f"dead {offset}"))


def test_a_new_command_is_admitted_whole(desk: Desk) -> None:
    """What intake gets back is what the journal has, the secret and the inquiry included."""
    means = StoredProfile("123", "456")
    for of in (command(not_after=MIDNIGHT, billing=Address(zip="98004")), command(means=means)):
        admitted = desk.admit(admission(of, suspect=True, traceparent="00-trace"))
        assert [Fate.ADMITTED] == list(admitted.fates)
        [operation] = admitted.operations
        there = desk.load(operation.operation_id)
        assert of == there.command
        assert there.inquiry is not None
        assert operation.inquiry is not None
        assert abs(there.inquiry.until - operation.inquiry.until) < timedelta(seconds=1)
        now, until = operation.inquiry.now, operation.inquiry.until
        assert operation == replace(there, inquiry=replace(there.inquiry, now=now, until=until))


def test_the_same_record_again_is_redelivered(desk: Desk, stage: JournalStage) -> None:
    """Nothing new: no operation to start, no event, whatever the first one has come to."""
    first = admission()
    [of] = desk.admit(first).operations
    again = desk.admit(first)
    assert ([Fate.REDELIVERED], []) == (list(again.fates), list(again.operations))
    told(desk, of, event_id="told")
    assert [Fate.REDELIVERED] == list(desk.admit(first).fates)
    assert 1 == stage.one("SELECT count(*) FROM outbox")


def test_a_repeat_is_answered_once_it_was_told(desk: Desk, stage: JournalStage) -> None:
    """Silent while the first is under way; afterwards by the same snapshot under the same event id, once per record."""
    of = command()
    [operation] = desk.admit(admission(of)).operations
    early = desk.admit(admission(replace(of, issued_at=MIDNIGHT + timedelta(days=1))))
    assert [Fate.REPEATED] == list(early.fates)
    assert [] == desk.outbox
    told(desk, operation, event_id="told")
    late = admission(of)
    assert [Fate.REPEATED] == list(desk.admit(late).fates)
    assert [Fate.REPEATED] == list(desk.admit(late).fates)
    assert ["told", "told"] == [it.message.event_id for it in desk.outbox]
    answer = desk.outbox[1].message
    assert ("repeat_of", late.source.key.encode()) == answer.headers[-1]
    assert desk.outbox[0].message == replace(answer, headers=answer.headers[:-1])
    assert 2 == stage.one("SELECT count(*) FROM outbox")


def test_a_repeat_after_a_repeat_quotes_the_first_answer(desk: Desk) -> None:
    """The answer to the third record is the snapshot again, not the answer to the second."""
    of = command()
    [operation] = desk.admit(admission(of)).operations
    told(desk, operation, event_id="told")
    for _ in range(2):
        desk.admit(admission(of))
    assert [1, 2, 2] == [len(it.message.headers) for it in desk.outbox]


def test_a_repeat_waits_for_another_sessions_answer(desk: Desk, stage: JournalStage) -> None:
    """While the snapshot is unpublished with another session it is on its way; once published it is quoted."""
    of = command()
    with working(stage, "other") as other:
        [operation] = other.admit(admission(of)).operations
        told(other, operation, event_id="told")
        desk.admit(admission(of))
        assert [] == desk.outbox
        other.write(Mirror(other.outbox[-1].number + 1))
        desk.admit(admission(of))
        assert ["told"] == [it.message.event_id for it in desk.outbox]


@pytest.mark.parametrize("together", [True, False])
def test_other_content_under_the_same_id_is_a_dead_letter(
    desk: Desk, stage: JournalStage, *, together: bool
) -> None:
    """The first one counts; the other becomes a dead letter in the same commit, once, however often it comes."""
    of = command()
    other = admission(replace(of, money=Money(99, "USD")))
    if together:
        assert [Fate.ADMITTED, Fate.CONFLICT] == list(desk.admit(admission(of), other).fates)
    else:
        desk.admit(admission(of))
        assert [Fate.CONFLICT] == list(desk.admit(other).fates)
    desk.admit(other)
    assert ["conflict"] == [it.message.event_id for it in desk.outbox]
    assert 1234 == stage.one("SELECT amount_minor FROM payment")


def test_a_command_twice_in_one_batch_is_one_operation(desk: Desk) -> None:
    """Two records of one command in one poll: one operation, the other is a repeat."""
    of = command()
    admitted = desk.admit(admission(of), admission(of))
    assert [Fate.ADMITTED, Fate.REPEATED] == list(admitted.fates)
    assert 1 == len(admitted.operations)


def test_a_record_that_comes_twice_in_one_batch_is_answered_once(desk: Desk) -> None:
    """A partition that was rewound while it was read: neither its letter nor its conflict spoils the batch."""
    of = command()
    desk.admit(admission(of))
    other = admission(replace(of, money=Money(99, "USD")))
    desk.admit(other, other, letters=[letter(1), letter(1)])
    assert ["dead 1", "conflict"] == [it.message.event_id for it in desk.outbox]


def test_a_dead_letter_is_unique_by_its_coordinates(desk: Desk, stage: JournalStage) -> None:
    """A record that is read again after a crash is no second dead letter, in whatever batch and session it comes."""
    desk.admit(letters=[letter(1), letter(2)])
    desk.admit(letters=[letter(2), letter(3)])
    with working(stage, "other") as other:
        other.admit(letters=[letter(3)])
        assert [] == other.outbox
    assert ["dead 1", "dead 2", "dead 3"] == [it.message.event_id for it in desk.outbox]


def test_positions_only_grow(desk: Desk) -> None:
    """Per topic id and partition, whatever order the batches come in; a topic made anew starts anew."""
    one, other = ("payments", "topic-1", 0), ("payments", "topic-2", 0)
    desk.write(Admit([], [], {one: 7, other: 1}))
    desk.write(Admit([], [], {one: 5, ("payments", "topic-1", 3): 2}))
    assert {0: 7, 3: 2} == next_offsets(desk, "topic-1")
    assert {0: 1} == next_offsets(desk, "topic-2")
    assert {} == desk.reader.positions("topic-3")


def test_a_batch_is_all_or_nothing(desk: Desk, stage: JournalStage) -> None:
    """A dead letter that the database refuses keeps the whole batch out, commands and positions too."""
    bad = DeadLetter(Source("payments", "topic-1", 0, 9), message("nul \0"))
    future = desk.commits.submit(Admit([admission()], [bad], {("payments", "topic-1", 0): 10}))
    assert future.exception(20) is not None
    assert 0 == stage.one("SELECT count(*) FROM operation")
    assert {} == desk.reader.positions("topic-1")


def test_two_sessions_admit_the_same_record_once(desk: Desk, stage: JournalStage) -> None:
    """A partition that moves while its old owner commits: one of the two has the operation, the other nothing new."""
    record = admission()
    with working(stage, "other") as other:
        futures = [it.commits.submit(Admit([record], [], {})) for it in (desk, other)]
        fates = [future.result(20).fates[0] for future in futures]
    assert {Fate.ADMITTED, Fate.REDELIVERED} == set(fates)
