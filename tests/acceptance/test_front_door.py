"""Claims about every answer that a worker may give: each is reached by a published command, with a text that helps.

One run reaches them all (`door_scenes.py`); the rows here say what a person must read in each. Whoever adds a code to
`handlers/` adds a row, or says in `UNREACHED` why no published command can lead to it.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.door_letters import send_what_is_no_command
from tests.acceptance.door_scenes import Scenes
from tests.acceptance.front_door import door_to_the_past
from worker.dead_letters import ADVICE, Reason
from worker.demo.audit import audit
from worker.demo.stage import Stage

_HANDLERS: Final = Path(__file__).parents[2] / "handlers"
# What is asked, code → the advice for another try (none where it was done), and what the text must say: what was not
# done, or what to do.
EXPECTED: Final[dict[tuple[str, str], tuple[str | None, str]]] = {
    ("initiation", "no_account_for_currency"): ("fix", "configured currencies: USD"),
    ("initiation", "voided_before"): ("fix", "Nothing was taken"),
    ("initiation", "too_late"): ("soft", "start a new payment"),
    ("initiation", "too_old"): ("soft", "start a new payment"),
    ("initiation", "order_unknown"): ("fix", "for an order that exists"),
    ("initiation", "order_not_users"): ("fix", "Nothing was taken"),
    ("initiation", "order_not_payable"): ("fix", "Nothing was taken"),
    ("initiation", "order_currency"): ("fix", "Nothing was taken"),
    ("initiation", "order_amount"): ("fix", "start a new payment of the right amount"),
    ("initiation", "order_paid"): ("fix", "Nothing was taken"),
    ("initiation", "order_taken"): ("fix", "Nothing was taken"),
    ("initiation", "not_charged"): ("soft", "start a new payment"),
    ("initiation", "unanswered"): ("undecided", "the gateway is asked"),
    ("initiation", "captured_unasked"): ("review", "A person must decide"),
    ("initiation", "amount_differs"): ("review", "A person must decide"),
    ("initiation", "charged_twice"): ("review", "A person must decide"),
    ("capture", "captured"): (None, "Captured"),
    ("capture", "captured_already"): ("fix", "Start a new payment for the rest"),
    ("capture", "above_authorised"): ("fix", "ask for less"),
    ("capture", "other_currency"): ("fix", "in the payment's currency"),
    ("capture", "nothing_authorised"): ("fix", "Start a new payment"),
    ("capture", "in_review"): ("review", "a person must decide"),
    ("capture", "voided"): ("fix", "start a new payment"),
    ("capture", "expired"): ("fix", "start a new payment"),
    ("capture", "amount_differs"): ("review", "A person must decide"),
    ("capture", "unanswered"): ("undecided", "the gateway is asked"),
    ("void", "voided"): (None, "no money moves"),
    ("void", "voided_already"): (None, "void already"),
    ("void", "nothing_to_void"): (None, "nothing was taken"),
    ("void", "settled"): ("fix", "Ask for a refund instead"),
    ("void", "settled_meanwhile"): ("undecided", "gives the money back instead"),
    ("void", "settled_unknown"): ("review", "payment_verification_request"),
    ("void", "refund_under_way"): ("fix", "Ask for a refund of the rest"),
    ("void", "not_yours"): ("fix", "Nothing was done"),
    ("void", "unanswered"): ("undecided", "the gateway is asked"),
    ("refund", "refunded"): (None, "Refunded"),
    ("refund", "waits_for_settlement"): ("undecided", "after 20"),
    ("refund", "waits_for_return_window"): ("undecided", "until 20"),
    ("refund", "settled_meanwhile"): ("undecided", "the refund goes on"),
    ("refund", "above_captured"): ("fix", "publish a new refund of what is left"),
    ("refund", "other_currency"): ("fix", "in the payment's currency"),
    ("refund", "in_review"): ("review", "review list"),
    ("refund", "refunded_already"): ("fix", "Give more back another way"),
    ("refund", "nothing_captured"): ("fix", "Look at its last status"),
    ("refund", "returned"): ("fix", "Ask for a new payment"),
    ("refund", "charged_back"): ("fix", "Look at the dispute"),
    ("refund", "voided"): ("fix", "Look at the payment's last status"),
    ("refund", "too_old_to_refund"): ("fix", "Give the money back another way"),
    ("refund", "not_refundable"): ("review", "review decide"),
    ("refund", "no_last_digits"): ("review", "which a refund must name"),
    ("refund", "charge_not_found"): ("fix", "compare the payment in the merchant interface"),
    ("refund", "unanswered"): ("undecided", "the gateway is asked"),
    ("refund", "ruled"): ("undecided", "Decided by a person"),
    ("verification", "verified"): (None, "The gateway was asked"),
    ("verification", "not_seen"): (None, "Nothing of this payment was ever sent"),
    ("verification", "nothing_to_rule"): ("fix", "nothing that a person must decide"),
    ("verification", "overtaken"): ("review", "review show"),
    ("verification", "ruled"): (None, "Decided by a person"),
    ("verification", "decided"): (None, "is decided"),
}
# What the gateway says, or does not say: the code as told, the advice, a part of the text.
OF_THE_GATEWAY: Final = {
    "2": ("soft", "declined"),
    "4": ("hard", "declined"),
    "66": ("fix", "cannot be accepted"),
    "252": ("review", "received"),
    "worker.connection_lost": ("undecided", "connection ended"),
    "worker.no_answer": ("undecided", "No whole answer came"),
    "worker.unreadable": ("undecided", "could not be read"),
    "worker.http_503": ("undecided", "HTTP 503"),
    "worker.test_mode": ("fix", "test mode"),
}
# Verb's file, code → why no published command leads to it on this stage.
UNREACHED: Final = {
    (
        "refund",
        "amount_differs",
    ): "the simulator's captured amount cannot be changed behind a capture of ours",
    (
        "verify",
        "amount_differs",
    ): "the simulator's captured amount cannot be changed behind a capture of ours",
    ("verify", "not_settled"): "the simulator's bank refuses nothing when it settles",
    (
        "verify",
        "charged_twice",
    ): "a walk comes every ten minutes; held by test_walking.py and test_verbs_late_charge.py",
}
_NEVER_PUBLISHED: Final = {
    Reason.REFUSED: "what PostgreSQL does not take (a NUL), a command's own checks refuse before",
}
_FILES: Final = {  # file of handlers/ → which requests its codes are told about
    "capture.py": ("capture",),
    "charge.py": ("initiation",),
    "orders.py": ("initiation",),
    "refund.py": ("refund",),
    "verify.py": ("verification",),
    "void.py": ("void",),
    "decisions.py": ("capture", "void", "refund", "verification"),
}
_SPEAK: Final = frozenset({"ours", "denied", "done", "_refusal"})


@dataclass(frozen=True, slots=True)
class Reached:
    """What was told: (what was asked, code) → (advice, text); the headers of every dead letter by reason; the books."""

    said: dict[tuple[str, str], tuple[str | None, str]] = field(default_factory=dict)
    letters: dict[str, dict[str, str]] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def reached(base: Stage) -> Iterator[Reached]:
    """The whole run, once."""
    with door_to_the_past(base, "door") as door:
        scenes = Scenes(door)
        scenes.play()
        send_what_is_no_command(scenes)
        wanted = len(Reason) - len(_NEVER_PUBLISHED)
        assert door.ear.hears(
            lambda: len({_reason(it.headers) for it in door.ear.letters}) == wanted
        )
        found = Reached()
        for record in (it for told in door.ear.statuses.values() for it in told):
            about = record["request"] or record
            kind = record["request"]["kind"] if record["request"] else "initiation"
            told = about["advice"], about["reason_text"]
            found.said.setdefault((kind, about["reason_code"]), told)
        for letter in door.ear.letters:
            headers = {name: text.decode() for name, text in letter.headers.items()}
            found.letters.setdefault(_reason(letter.headers), headers)
        paid = [name for name, told in door.ear.statuses.items() if told]
        assert door.installation.rests(admitted=len(paid))
        verdict = audit(door.stage, published=paid, name=door.shop.name)
        found.differences.extend(verdict.differences)
        yield found


def _reason(headers: dict[str, bytes]) -> str:
    return headers["dlq.reason"].decode()


@pytest.mark.parametrize(("asked", "code"), EXPECTED, ids=str)
def test_a_reason(reached: Reached, asked: str, code: str) -> None:
    """A published command leads to this refusal, deferral or end; its text and advice are what a person needs."""
    advice, text = EXPECTED[asked, code]
    told = reached.said.get((asked, f"worker.{code}"))

    assert told is not None, "nobody was told this"
    assert advice == told[0]
    assert text in told[1]
    assert told[1].endswith((".", ").")), told[1]


@pytest.mark.parametrize("code", OF_THE_GATEWAY)
def test_a_word_of_the_gateway(reached: Reached, code: str) -> None:
    """A decline, a hold and each kind of silence is told with its code and the advice for another try."""
    advice, text = OF_THE_GATEWAY[code]
    told = reached.said.get(("initiation", code))

    assert told is not None, "nobody was told this"
    assert (advice, True) == (told[0], text in told[1]), told


@pytest.mark.parametrize("reason", sorted(set(Reason) - set(_NEVER_PUBLISHED)))
def test_a_dead_letter(reached: Reached, reason: Reason) -> None:
    """A published record becomes a dead letter for this reason; it says what is wrong, and what to do."""
    headers = reached.letters[reason.value]

    assert ADVICE[reason] == headers["dlq.advice"]
    assert len(headers["dlq.text"].split()) >= 5
    assert headers["dlq.topic"].startswith("door.")


def test_the_books_of_it_all(reached: Reached) -> None:
    """After all of this the gateway, the journal, the db-service and the events still say the same."""
    assert [] == reached.differences


def test_no_code_is_left_out() -> None:
    """Every code that a verb may tell stands here, and nothing else does; so does every reason of a dead letter."""
    known = _codes()
    spoken = {(asked, code) for asked, code in EXPECTED if (asked, code) not in _shared(known)}
    assert spoken == {
        (asked, code)
        for (file, code) in known
        if file != "decisions.py" and (file.removesuffix(".py"), code) not in UNREACHED
        for asked in _FILES[file]
    }
    assert {code for file, code in known if file == "decisions.py"} == {
        code for _, code in _shared(known)
    }
    assert set(Reason) >= set(_NEVER_PUBLISHED)


def _shared(known: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Rows of codes that several verbs share: one of them must reach it."""
    codes = {code for file, code in known if file == "decisions.py"}
    return {(asked, code) for asked, code in EXPECTED if code in codes}


def _codes() -> set[tuple[str, str]]:
    """(file, code) of everything that a verb says in its own words."""
    found = set()
    for file in _FILES:
        for node in ast.walk(ast.parse((_HANDLERS / file).read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            first = node.args[0] if node.args else None
            if node.func.id in _SPEAK and isinstance(first, ast.Constant):
                found.add((file, str(first.value)))
    return found
