"""The values of reconciliation's memory: what a scan saw, what is kept of it, what a scan may close. No SQL here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class BreakState(StrEnum):
    """How a break stands. The closed list of the table's CHECK."""

    OPEN = "open"
    EXPLAINED = "explained"  # a person said why; it opens again when its amount changes
    FIXED = "fixed"  # a complete scan saw it no more


@dataclass(frozen=True, slots=True)
class Break:
    """One difference, as a scan saw it.

    `break_id` is derived from `becomes` and `subject`, so that the same difference has the same id in every scan.
    `kind` is `becomes`, or says that it is too young to be that. `book` was held against the journal. `amount_minor` is
    what is at stake, in minor units of `currency`. `happened_at`: the time of what differs, by which scans find it.
    `transaction_id` and `payment_id` are "" where there is none.
    """

    break_id: str
    kind: str
    becomes: str
    book: str
    account: str
    subject: str
    payment_id: str
    transaction_id: str
    amount_minor: int
    currency: str
    happened_at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """Who explained a break, with which words, and when (database time)."""

    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """A break as the journal keeps it. Times are the database's; `openings` counts how often it opened."""

    seen: Break
    state: BreakState
    first_seen: datetime
    last_seen: datetime
    fixed_at: datetime | None
    openings: int
    age_s: float
    notes: Sequence[Note] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """What a scan looked at, so that it may close what it did not see there.

    `began` is the database's time before the first question. `complete`: the pairs of book and account that were read
    to their end; an account of None is every one.
    """

    began: datetime
    since: datetime
    until: datetime
    complete: Sequence[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class Standing:
    """How many breaks of a kind stand in a state, with what is at stake in a currency."""

    kind: str
    state: BreakState
    currency: str
    count: int
    amount_minor: int
