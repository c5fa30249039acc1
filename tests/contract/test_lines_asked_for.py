"""Who asks, and what a person says: both hasten what waits, and neither is used up unheard. On a real PostgreSQL."""

import pytest

from db_client.moves import FINDER_TOPIC_ID, Answer, Conclude, Fate, Open, Park, Source
from handlers.domain.commands import (
    InitiatePayment,
    Ruling,
    VerifyPayment,
)
from handlers.domain.payments import News, learn
from handlers.domain.recovery import Stage
from handlers.domain.states import Fact, RequestFact
from handlers.ports import Operation, Wait
from tests.contract.journal_stage import (
    DEADLINE_S,
    Desk,
    JournalStage,
    admission,
    intent,
    message,
    working,
)
from tests.contract.lane_stage import (
    WHY,
    carry,
    due_now,
    paid_payment,
    refund_of,
    refunding,
    stage_of,
)
from tests.doubles.values import MIDNIGHT, command


def _undecided(desk: Desk) -> tuple[InitiatePayment, Operation]:
    """A payment whose answer was lost: told as pending, asked for in an hour."""
    of = command()
    operation = desk.admit_one(of)
    [moved] = desk.write(Open(operation, intent(operation), {"r": 1}, DEADLINE_S))
    told = learn(moved.operation.snapshot, News(WHY, Fact.UNDECIDED))
    assert told is not None
    [moved] = desk.write(Answer(moved.operation, told, {}))
    [moved] = desk.write(
        Conclude(moved.operation, [message("unknown")], Wait(3600.0, "asking", asked=True))
    )
    return of, moved.operation


def _question(of: InitiatePayment, name: str, *, ruling: Ruling | None = None) -> VerifyPayment:
    return VerifyPayment(
        payment_id=of.payment_id, verification_id=name, issued_at=MIDNIGHT, ruling=ruling
    )


def test_whoever_asks_hastens_and_is_answered(desk: Desk, stage: JournalStage) -> None:
    """A verification makes due what is asked for; where that stays undecided, it is answered by what is known."""
    of, operation = _undecided(desk)
    desk.admit(admission(_question(of, "q1")))
    assert [operation.operation_id] == due_now(desk)
    desk.write(Park(desk.load(operation.operation_id), Wait(60.0, "not seen", asked=True)))
    assert Stage.CONCLUDED == stage_of(stage, _question(of, "q1"))
    last = desk.outbox[-1].message
    assert "unknown" == last.event_id
    assert b"verification:q1" == dict(last.headers)["answers"]


def test_nobody_is_answered_by_what_a_dead_session_may_not_have_told(
    desk: Desk, stage: JournalStage
) -> None:
    """While its news lies unpublished in another session, a question waits; it was used up without an answer."""
    of, operation = _undecided(desk)
    question = _question(of, "q1")
    with working(stage, "heir") as heir:
        heir.admit(admission(question))
        stage.sql("UPDATE operation SET session_id = 'heir'")  # the finder gathered it
        waits = Wait(60.0, "not seen", asked=True)
        heir.write(Park(heir.load(operation.operation_id), waits))
        assert ([], Stage.QUEUED) == (heir.outbox, stage_of(stage, question))
        stage.sql("UPDATE session SET watermark = next_number WHERE session_id = 'one'")
        heir.write(Park(heir.load(operation.operation_id), waits))
        assert Stage.CONCLUDED == stage_of(stage, question)
        assert b"verification:q1" == dict(heir.outbox[-1].message.headers)["answers"]


def test_no_older_news_is_told_behind_what_another_session_may_not_have_told(
    desk: Desk, stage: JournalStage
) -> None:
    """Whoever asks again waits for the newest: an older snapshot would take back what the outside is about to hear."""
    of, operation = _undecided(desk)
    with working(stage, "heir") as heir:
        stage.sql("UPDATE session SET watermark = next_number WHERE session_id = 'one'")
        loaded = desk.load(operation.operation_id)
        news = News(WHY, Fact.TAKEN, authorised_minor=1, captured_minor=1, transaction_id="60001")
        carry(desk, loaded, news=news)
        assert [Fate.REPEATED] == list(heir.admit(admission(of, offset=99)).fates)
        assert [] == heir.outbox


def test_what_the_worker_has_seen_itself_waits_for_its_turn(
    desk: Desk, stage: JournalStage
) -> None:
    """A return or a second charge is no question about the lane's holder: it was used up unread behind a refund."""
    of, operation = _undecided(desk)
    seen, again = _question(of, "seen-60002-returned-x"), _question(of, "settled-60001")
    source = Source(FINDER_TOPIC_ID, FINDER_TOPIC_ID, 0, 17)
    desk.admit(admission(seen, source=source), admission(again))
    desk.write(Park(desk.load(operation.operation_id), Wait(60.0, "not seen", asked=True)))
    assert [Stage.QUEUED] * 2 == [stage_of(stage, seen), stage_of(stage, again)]
    assert [operation.operation_id] != due_now(desk)


def test_more_questions_than_one_record_names_are_all_answered(desk: Desk) -> None:
    """Each is named once, fifty to a record."""
    of, operation = _undecided(desk)
    desk.admit(*(admission(_question(of, f"q{number}")) for number in range(120)))
    desk.write(Park(desk.load(operation.operation_id), Wait(60.0, "not seen", asked=True)))
    headers = [
        dict(it.message.headers) for it in desk.outbox if "answers" in dict(it.message.headers)
    ]
    named = [it["answers"].decode().split(",") for it in headers]
    assert [50, 50, 20] == [len(it) for it in named]
    assert {f"verification:q{number}" for number in range(120)} == {x for it in named for x in it}


@pytest.mark.parametrize(
    ("about", "version", "counts"),
    [
        ("initiation:{}", 1, True),
        ("initiation:{}", 2, False),
        ("refund:r1", 1, False),
        ("", 1, False),
    ],
)
def test_a_persons_word_reaches_what_it_is_about(
    desk: Desk, stage: JournalStage, *, about: str, version: int, counts: bool
) -> None:
    """Only the operation that it names hears it, only as it stood when it was said, and it is never used up unheard."""
    of, operation = _undecided(desk)
    ruling = Ruling(
        happened=False,
        by="ann",
        why="the bank says no",
        about=about.format(of.payment_id),
        version=version,
    )
    asked_before = desk.load(operation.operation_id)
    desk.admit(admission(_question(of, "q1", ruling=ruling)))
    desk.write(Park(asked_before, Wait(3600.0, "asked before the word came", asked=True)))
    assert Stage.QUEUED == stage_of(stage, _question(of, "q1"))
    loaded = desk.load(operation.operation_id)
    assert (ruling if counts else None) == loaded.ruling
    soon = stage.one(
        "SELECT due_at < clock_timestamp() + interval '1 minute' FROM operation"
        " WHERE operation_id = :id",
        id=operation.operation_id,
    )
    assert ("initiation" in about) == soon


def test_what_was_refused_as_too_early_is_not_hastened(desk: Desk, stage: JournalStage) -> None:
    """Asking for news makes a look sooner, but never another try of what the gateway has just turned away."""
    paid = paid_payment(desk)
    refund = refund_of(paid, 300)
    desk.admit(admission(refund))
    of = desk.load(refund.operation_id)
    [moved] = desk.write(Open(of, refunding(of, 300), {"r": 1}, DEADLINE_S))
    told = learn(moved.operation.snapshot, News(WHY, asked=RequestFact.DEFERRED, reserve_minor=300))
    assert told is not None
    [moved] = desk.write(Answer(moved.operation, told, {}))
    desk.write(Conclude(moved.operation, [message("later")], Wait(3600.0, "54", release=True)))
    desk.admit(admission(_question(paid, "q1")))
    assert not desk.reader.must_go_on()
    ruling = Ruling(
        happened=False,
        by="ann",
        why="seen",
        about=refund.operation_id,
        version=told.payment.version,
    )
    desk.admit(admission(_question(paid, "q2", ruling=ruling)))
    assert desk.reader.must_go_on()
    assert Stage.DEFERRED == stage_of(stage, refund)


def test_a_word_about_a_suspect_is_heeded(desk: Desk) -> None:
    """What may have been done in lost time waits for a day between two questions; a word of a person does not."""
    paid = paid_payment(desk)
    refund = refund_of(paid, 300)
    desk.admit(admission(refund, suspect=True))
    absent = Wait(86_400.0, "the refund is not in the gateway's list", asked=True)
    [parked] = desk.write(Park(desk.load(refund.operation_id), absent))
    assert [] == due_now(desk)
    ruling = Ruling(
        happened=False,
        by="ann",
        why="seen",
        about=refund.operation_id,
        version=parked.operation.payment.version,
    )
    desk.admit(admission(_question(paid, "q1", ruling=ruling)))
    assert [refund.operation_id] == due_now(desk)
    assert ruling == desk.load(refund.operation_id).ruling
