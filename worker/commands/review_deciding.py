"""A person's word about what waits: found in the journal, made a signed command, published. Nothing is printed here.

The word is a `VerifyPayment` with a ruling, so it goes through the same passage as everything else, and its operation
keeps it for ever. Its id is derived from what it is about, how that stands, and what is said: to say it twice is to say
it once.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Final

from db_client.review import Cause, Pending, Waiting
from handlers.domain.card_numbers import holds_card_number
from handlers.domain.checks import gateway_id
from handlers.domain.commands import Ruling, VerifyPayment
from handlers.domain.errors import InvalidValueError, Unavailable
from worker import wiring
from worker.commands.exits import AnswerIsNoError
from worker.commands.review_effects import choices, why_not
from worker.commands.review_showing import word
from worker.config import Settings
from worker.kafka_admin import open_admin, send

_DIGITS: Final = 24  # of the hash: 96 bits


@dataclass(frozen=True, slots=True)
class Said:
    """The command that was published or would be; `before` where the same word waits to be applied already."""

    command: VerifyPayment
    before: Pending | None = None

    @property
    def verification_id(self) -> str:
        """The id under which the word is known."""
        if self.before is not None:
            return self.before.operation_id.partition(":")[2]
        return self.command.verification_id


def ruling_of(*, happened: bool, by: str, why: str, transaction_id: str) -> Ruling:
    """The word, checked as intake will check it. Raises InvalidValueError."""
    for option, text in (("--by", by), ("--why", why)):
        if holds_card_number(text):
            raise InvalidValueError(option, "holds what looks like a card number")
    if transaction_id:
        gateway_id("--transaction-id", transaction_id)
    return Ruling(happened=happened, by=by, why=why, transaction_id=transaction_id)


def chosen(name: str, found: Sequence[Waiting], *, early: bool) -> Waiting:
    """The one thing that is to be decided. Raises AnswerIsNoError where there is none, or more than one."""
    decidable = [it for it in found if choices(it)]
    if not decidable:
        reason = f" {why_not(found[0])}" if found else ""
        raise AnswerIsNoError(
            f"nothing of {name} waits for a person.{reason} `run_worker.py review list` names what does;"
            f" `run_worker.py payments show ID` says how a payment stands."
        )
    if len(decidable) > 1:
        raise AnswerIsNoError(
            f"more than one thing of {name} waits: name one of {', '.join(it.about for it in decidable)}"
        )
    [one] = decidable
    if one.cause is Cause.EARLY and not early:
        raise AnswerIsNoError(
            f"{one.about} does not wait for a person yet: the gateway was asked {one.asked} times, and is asked again"
            f" by itself. Decide all the same with --early."
        )
    return one


def command_of(of: Waiting, ruling: Ruling, *, now: datetime) -> VerifyPayment:
    """The command that carries the word."""
    ruling = replace(ruling, about=of.operation_id or "", version=of.version)
    stands = [of.payment_id, asdict(ruling)]
    digest = hashlib.sha256(json.dumps(stands, sort_keys=True).encode()).hexdigest()
    return VerifyPayment(
        payment_id=of.payment_id,
        issued_at=now,
        verification_id=f"ruling-{digest[:_DIGITS]}",
        ruling=ruling,
    )


def decide(settings: Settings, of: Waiting, *, ruling: Ruling, dry_run: bool) -> Said:
    """Publish the word, unless it was said before.

    A word that something happened waits until the gateway confirms it, which may be never: a later word may follow it.
    Raises AnswerIsNoError where another word is about to be applied.
    """
    command = command_of(of, ruling, now=datetime.now(UTC))
    for before in of.words:
        same = (before.happened, before.transaction_id) == (
            ruling.happened,
            ruling.transaction_id,
        )
        if same:
            return Said(command, before)
        if not before.happened:
            raise AnswerIsNoError(
                f"another word about {of.payment_id} comes first: {word(before)}. Look again when it is applied:"
                f" `run_worker.py payments history {of.payment_id}`."
            )
    if not dry_run:
        _publish(settings, command)
    return Said(command)


def _publish(settings: Settings, command: VerifyPayment) -> None:
    message = wiring.event_wire(settings).command(command, traceparent="")
    if message.topic not in open_admin(settings.kafka_properties()).names():
        raise AnswerIsNoError(
            f"the topic {message.topic} is missing. Create it with `run_worker.py topics --create`."
        )
    record = (message.topic, message.key, message.value or b"", dict(message.headers))
    try:
        send(settings.kafka_properties(), [record])
    except Unavailable as away:
        raise Unavailable(
            away.what,
            f"{away.why}. It may have been published: decide the same again, it counts once",
        ) from None
