"""From a command to its verb: the one table that knows all verbs. Pure.

The passage calls these four and never a verb by name, so a new verb is a row here and a file beside `charge.py`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

from handlers import charge
from handlers.charge import Refusal
from handlers.domain.commands import Command, InitiatePayment
from handlers.domain.intents import Intent, Question
from handlers.domain.payments import News
from handlers.domain.recovery import Inquiry
from handlers.domain.verdicts import Approved, Declined, Held, Unknown
from handlers.ports import Operation, Rules


class Verb(Protocol):
    """What a verb's module offers."""

    def plan(self, operation: Operation, *, rules: Rules, now: datetime) -> Intent | Refusal:
        """What to do about this command now."""
        ...

    def question(self, operation: Operation, inquiry: Inquiry, *, rules: Rules) -> Question | None:
        """What to ask the gateway about it; None where nobody could know it."""
        ...

    def judge(self, command: Command, verdict: Approved | Declined | Held | Unknown) -> News:
        """What a verdict means for the payment."""
        ...

    def silence(self) -> News:
        """What it means that it may have been sent, and nobody knows what became of it."""
        ...

    def absence(self) -> News:
        """What proven absence means for the payment."""
        ...


_VERBS: Final[Mapping[type[Command], Verb]] = {InitiatePayment: charge}


def verb(command: Command) -> Verb:
    """The verb of `command`."""
    return _VERBS[type(command)]
