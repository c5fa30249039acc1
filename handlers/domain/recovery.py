"""What to do with an operation that is found in the journal: the exhaustive table, and when absence is proven.

An intent found open is asked for, never sent (P2). An operation of a journal that may have lost time (`suspect`) is
asked for before it may be sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

# How the id begins under which a verb looks once more, and that of its operation. It waits for its turn in the line.
SETTLED_SINCE: Final = "settled-"
LOOKED_AGAIN: Final = f"verification:{SETTLED_SINCE}"


class Stage(StrEnum):
    """How far the journal says that an operation has come."""

    QUEUED = (
        "queued"  # waits behind another operation of its payment, or for its payment to be known
    )
    ADMITTED = "admitted"  # the command is ours and may go; nothing of this attempt was sent
    OPEN = "open"  # the intent is on disk: bytes may have left
    ANSWERED = "answered"  # the news is on the payment, not yet told
    ASKING = "asking"  # told as pending; the gateway is asked when due
    DEFERRED = (
        "deferred"  # told as initiated; goes on when it is due, and lets others pass until then
    )
    CONCLUDED = "concluded"  # told, final


class Step(StrEnum):
    """What the passage does next."""

    PLAN = "plan"
    ASK = "ask"
    TELL = "tell"
    REST = "rest"


STEPS: Final[Mapping[tuple[Stage, bool], Step]] = MappingProxyType(
    {  # (stage, suspect) → step
        (Stage.QUEUED, False): Step.REST,
        (Stage.QUEUED, True): Step.REST,
        (Stage.ADMITTED, False): Step.PLAN,
        (Stage.ADMITTED, True): Step.ASK,
        (Stage.OPEN, False): Step.ASK,
        (Stage.OPEN, True): Step.ASK,
        (Stage.ANSWERED, False): Step.TELL,
        (Stage.ANSWERED, True): Step.TELL,
        (Stage.ASKING, False): Step.ASK,
        (Stage.ASKING, True): Step.ASK,
        (Stage.DEFERRED, False): Step.REST,  # the journal puts it back in line when it is due
        (Stage.DEFERRED, True): Step.REST,
        (Stage.CONCLUDED, False): Step.REST,
        (Stage.CONCLUDED, True): Step.REST,
    }
)

SCANS_FOR_ABSENCE: Final = 2


@dataclass(frozen=True, slots=True)
class Inquiry:
    """How often an operation was asked for, and when it can have been sent.

    `since` is the earliest, `until` the latest moment for that (database time); `now` is the database's time before the
    scan that is being judged began. `merchant_account` and `invoice_number` are those it was opened with, None where
    nothing was opened: today's settings may lead to others, which never saw it. `transaction_id` is one that the
    gateway told somebody who was no longer allowed to write it down as news.
    """

    asked: int
    complete_scans: int
    since: datetime
    until: datetime
    now: datetime
    merchant_account: str | None = None
    invoice_number: str | None = None
    transaction_id: str | None = None


def absent(inquiry: Inquiry, *, complete: bool, absence_after_s: float) -> bool:
    """True where a charge is proven absent: two complete scans, the later one `absence_after_s` after `until`."""
    late_enough = inquiry.now >= inquiry.until + timedelta(seconds=absence_after_s)
    return complete and late_enough and inquiry.complete_scans + 1 >= SCANS_FOR_ABSENCE


def ask_again_s(schedule_s: tuple[float, ...], *, asked: int) -> float:
    """Seconds until the next question after `asked` of them; the last entry of the schedule repeats."""
    return schedule_s[min(asked, len(schedule_s) - 1)]
