"""From a command to its verb: the one table that knows all verbs. Pure.

The passage calls a verb through this protocol and never by name, so a new verb is a row here and a file beside
`charge.py`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

from handlers import capture, charge, refund, verify, void
from handlers.decisions import Absence, Pause, Proof, Said
from handlers.domain.commands import (
    CapturePayment,
    Command,
    InitiatePayment,
    RefundPayment,
    Ruling,
    VerifyPayment,
    VoidPayment,
)
from handlers.domain.facts import Facts, Needs
from handlers.domain.intents import Intent, Question
from handlers.domain.payments import News
from handlers.domain.recovery import Inquiry
from handlers.domain.verdicts import Definite, Unknown
from handlers.ports import Operation, Rules


class Verb(Protocol):
    """What a verb's module offers."""

    def needs(self, operation: Operation, *, rules: Rules) -> Needs:
        """What must be known of the world before it can be planned."""
        ...

    def plan(
        self, operation: Operation, facts: Facts, *, rules: Rules, now: datetime
    ) -> Intent | Said | Pause:
        """What to do about this command now."""
        ...

    def question(self, operation: Operation, inquiry: Inquiry, *, rules: Rules) -> Question | None:
        """What to ask the gateway about it; None where nobody could know it."""
        ...

    def judge(
        self, operation: Operation, verdict: Definite | Unknown, *, rules: Rules, now: datetime
    ) -> News:
        """What a verdict means for the payment and the request."""
        ...

    def silence(self, operation: Operation) -> News:
        """What it means that it may have been sent, and nobody knows what became of it."""
        ...

    def absence(self, operation: Operation, proof: Proof) -> Absence:
        """What proven absence means."""
        ...

    def rule(self, operation: Operation, ruling: Ruling) -> News | None:
        """What a person's word means; None where the gateway must say it."""
        ...


_VERBS: Final[Mapping[type[Command], Verb]] = {
    InitiatePayment: charge,
    CapturePayment: capture,
    VoidPayment: void,
    RefundPayment: refund,
    VerifyPayment: verify,
}


def verb(command: Command) -> Verb:
    """The verb of `command`."""
    return _VERBS[type(command)]
