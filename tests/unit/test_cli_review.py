"""A person's word: what it is said to do is what the verbs do, and the command that carries it is stable."""

from dataclasses import replace
from typing import Any

import pytest

from db_client.review import Cause, Pending, Waiting
from handlers.domain.commands import (
    CapturePayment,
    Command,
    Kind,
    RefundPayment,
    Ruling,
    VoidPayment,
)
from handlers.domain.errors import InvalidValueError
from handlers.domain.intents import About
from handlers.domain.money import Money
from handlers.domain.recovery import Stage
from handlers.plans import verb
from tests.doubles.values import MIDNIGHT, command, operation
from worker.commands.exits import AnswerIsNoError
from worker.commands.review_deciding import chosen, command_of, ruling_of
from worker.commands.review_effects import choices, effect
from worker.commands.review_showing import as_object, table, whole

COMMANDS: dict[Kind, Command] = {
    Kind.INITIATION: command(payment_id="pay-1"),
    Kind.CAPTURE: CapturePayment("pay-1", MIDNIGHT, capture_id="x"),
    Kind.VOID: VoidPayment("pay-1", MIDNIGHT, void_id="x"),
    Kind.REFUND: RefundPayment("pay-1", MIDNIGHT, refund_id="x", money=Money(500, "USD")),
}
TRIED = [
    (Kind.INITIATION, About.CHARGE),
    (Kind.CAPTURE, About.CAPTURE),
    (Kind.VOID, About.VOID),
    (Kind.REFUND, About.REFUND),
    (Kind.REFUND, About.VOID),
]


def waiting(**changes: Any) -> Waiting:
    """A refund of 5.00 USD that nobody can find, with `changes`."""
    base: dict[str, Any] = {
        "cause": Cause.REFUND_ABSENT,
        "payment_id": "pay-1",
        "operation_id": "refund:x",
        "kind": Kind.REFUND,
        "amount_minor": 500,
        "currency": "USD",
        "state": "unknown",
        "version": 4,
        "captured_minor": 1234,
        "transaction_id": None,
        "since": MIDNIGHT,
        "why": "the refund is not in the gateway's list",
        "reason_code": "",
        "asked": 9,
        "due_at": MIDNIGHT,
        "tried": "refund",
        "payment_conflicted": False,
    }
    return Waiting(**{**base, **changes})


def word(**changes: Any) -> Ruling:
    """Ann's word that it did not happen, with `changes`."""
    base: dict[str, Any] = {"happened": False, "by": "ann", "why": "not there"}
    return Ruling(**{**base, **changes})


@pytest.mark.parametrize(("kind", "tried"), TRIED)
@pytest.mark.parametrize(
    "ruling", [word(), word(happened=True), word(happened=True, transaction_id="7")]
)
def test_what_is_said_of_a_decision_is_what_the_verb_does(
    kind: Kind, tried: About, ruling: Ruling
) -> None:
    """Where the verb believes the person, the text says what ends; where it asks the gateway, the text says so."""
    work = operation(COMMANDS[kind], stage=Stage.ASKING, tried=tried)
    believed = verb(work.command).rule(work, ruling) is not None
    of = waiting(kind=kind, tried=tried.value, cause=Cause.UNDECIDED)
    text = effect(of, happened=ruling.happened, transaction_id=ruling.transaction_id)
    assert text
    assert believed != text.startswith("The gateway is asked")


def test_a_conflicted_request_is_decided_with_its_payment() -> None:
    """The payment's word counts for both; alone it can only be taken note of."""
    odd = waiting(cause=Cause.REQUEST_CONFLICTED, state="conflicted", payment_conflicted=True)
    assert [] == choices(odd)
    assert "review decide pay-1" in "\n".join(whole(odd))
    assert "Nothing moves" in effect(replace(odd, payment_conflicted=False), happened=True)


def test_a_word_that_brings_no_news_is_not_offered() -> None:
    """Where the table of states has no row for a person's no, the payment would end without a word to anybody."""
    fresh = waiting(cause=Cause.UNDECIDED, kind=Kind.INITIATION, tried="", state="captured")
    assert ["--happened"] == choices(fresh)


def test_a_refund_that_differs_leaves_its_payment_captured() -> None:
    """The text says that the word is about the refund, whichever it is."""
    odd = waiting(cause=Cause.CONFLICTED, operation_id=None, reason_code="worker.refund_differs")
    assert effect(odd, happened=True) == effect(odd, happened=False)
    assert "stays reserved" in effect(odd, happened=True)


def test_the_same_word_is_the_same_command() -> None:
    """Said twice it counts once; another word, another person or another state of things is another command."""
    first = command_of(waiting(), word(), now=MIDNIGHT)
    assert first == command_of(waiting(), word(), now=MIDNIGHT)
    others = [
        command_of(waiting(), word(happened=True), now=MIDNIGHT),
        command_of(waiting(), word(by="bob"), now=MIDNIGHT),
        command_of(waiting(version=5), word(), now=MIDNIGHT),
        command_of(waiting(operation_id="refund:y"), word(), now=MIDNIGHT),
    ]
    assert 5 == len({first.verification_id, *(it.verification_id for it in others)})
    assert ("pay-1", word(about="refund:x", version=4)) == (first.payment_id, first.ruling)
    of_the_payment = waiting(cause=Cause.CONFLICTED, operation_id=None)
    ruling = command_of(of_the_payment, word(), now=MIDNIGHT).ruling
    assert word(version=4) == ruling


def test_a_word_is_checked_before_it_is_said() -> None:
    """No card number in it, and no transaction id that the gateway never gave."""
    with pytest.raises(InvalidValueError, match="--why"):
        ruling_of(happened=True, by="ann", why="card 4111 1111 1111 1111", transaction_id="")
    with pytest.raises(InvalidValueError, match="--transaction-id"):
        ruling_of(happened=True, by="ann", why="seen", transaction_id="x")


def test_one_thing_is_decided_at_a_time() -> None:
    """Nothing that waits, more than one thing, or one that is still asked for: each is a no that says what to do."""
    with pytest.raises(AnswerIsNoError, match="review list"):
        chosen("pay-1", [], early=False)
    other = waiting(cause=Cause.CONFLICTED, operation_id=None, kind=Kind.INITIATION)
    with pytest.raises(AnswerIsNoError, match="refund:x, pay-1"):
        chosen("pay-1", [waiting(), other], early=False)
    with pytest.raises(AnswerIsNoError, match="--early"):
        chosen("refund:x", [waiting(cause=Cause.EARLY)], early=False)
    early = waiting(cause=Cause.EARLY)
    assert early == chosen("refund:x", [early], early=True)


def test_what_is_proposed_is_taken() -> None:
    """`show` proposed a decision that `decide` refused: of what does not wait yet, and of what is held for a minute."""
    early = "\n".join(whole(waiting(cause=Cause.EARLY)))
    assert "refund:x does not wait for a person yet: undecided" in early
    assert early.endswith("--why TEXT --early")
    held = waiting(cause=Cause.HELD, kind=Kind.INITIATION, tried="charge", state="held")
    assert "\n".join(whole(held, more=" --held-for 1m")).endswith("--why TEXT --held-for 1m")
    assert "\n".join(whole(held)).endswith("--why TEXT")
    assert "\n".join(whole(waiting(), more=" --held-for 1m")).endswith("--why TEXT")


def test_who_decided_already_is_seen() -> None:
    """The list and the object name the person whose word waits to be applied."""
    said = Pending(
        "verification:ruling-1",
        happened=False,
        by="ann",
        why="not there",
        transaction_id="",
        about="refund:x",
        version=4,
        at=MIDNIGHT,
        stage="queued",
        reason_text="",
    )
    of = waiting(words=(said,))
    assert "it did not happen, says ann (not there)" in "\n".join(table([of]))
    [told] = as_object(of)["words"]  # type: ignore[misc]  # an object of JSON
    assert ("ruling-1", "ann") == (told["verification_id"], told["by"])  # type: ignore[has-type]  # the same
