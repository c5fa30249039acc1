"""What the journal is asked to write, as frozen values, and what it answers. One move is one row of a batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from handlers.domain.commands import Command
from handlers.domain.intents import Intent, Question
from handlers.domain.payments import Snapshot
from handlers.domain.verdicts import Evidence
from handlers.ports import Coordinates, Message, Operation, Wait

# Where a verification of the finder's own making says that it came from.
FINDER_TOPIC_ID: Final = "finder"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a record was read: the topic's id outlives its name."""

    topic: str
    topic_id: str
    partition: int
    offset: int

    @property
    def key(self) -> str:
        """The record's coordinates as one text."""
        return f"{self.topic_id}:{self.partition}:{self.offset}"

    @property
    def coordinates(self) -> Coordinates:
        """The same, for whoever does not need the topic's name."""
        return Coordinates(self.topic_id, self.partition, self.offset)


@dataclass(frozen=True, slots=True)
class Admission:
    """A command to be admitted. `suspect`: ask before it may be sent.

    `since`: the earliest moment at which it can have been sent, by the database's clock; None where that is now. Never
    a producer's time: a clock that runs ahead would end the search for a charge before it reached it.

    `conflict` makes the dead letter that goes out where the id was used before with other content: whether it was is
    known only inside the commit, and the letter must stand in the same one. `refused` makes the one for a record that
    the database does not take.
    """

    command: Command
    source: Source
    since: datetime | None
    traceparent: str
    suspect: bool
    conflict: Callable[[], Message]
    refused: Callable[[], Message]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that is no command of ours, as it will be published."""

    source: Source
    message: Message


class Fate(StrEnum):
    """What became of an admission."""

    ADMITTED = "admitted"
    REDELIVERED = "redelivered"  # the same record once more
    REPEATED = "repeated"  # the same content in another record: answered by what is known
    CONFLICT = "conflict"  # the same id with other content: a dead letter
    REFUSED = "refused"  # the database does not take it: a dead letter


@dataclass(frozen=True, slots=True)
class Admit:
    """One polled batch in one commit: commands, dead letters and the partitions' positions.

    `judged_under`: the incarnations of the database under which its partitions were placed. Nothing is admitted, and
    None is answered, where the database has become another since: it may have been put back in time, so that where to
    read from, and what is suspect, must be found out anew.
    """

    admissions: Sequence[Admission]
    dead_letters: Sequence[DeadLetter]
    positions: Mapping[tuple[str, str, int], int]  # (topic, topic id, partition) → next offset
    since: Mapping[tuple[str, str, int], datetime] = field(default_factory=dict)
    # For partitions in which suspects were read: what they were read under. The position keeps that time, or the next
    # assignment would look for the rest of them from today on only.
    judged_under: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Admitted:
    """The fates in the order of the admissions, and the operations that are new."""

    fates: Sequence[Fate]
    operations: Sequence[Operation]


@dataclass(frozen=True, slots=True)
class Open:
    """The intent, before its first byte. `deadline_s`: how long after now it may still reach the gateway."""

    operation: Operation
    intent: Intent
    frozen: Evidence
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The news on payment and request, with what the gateway said.

    `found`: as what the gateway knows a charge that the journal forgot. It is written down as an attempt, or nobody
    would know whose the gateway's rows are: its settlement, a return, a second charge.
    """

    operation: Operation
    told: Snapshot
    evidence: Evidence
    follow_up: Command | None = None
    found: Question | None = None


@dataclass(frozen=True, slots=True)
class Outrun:
    """The same news under a higher version."""

    operation: Operation
    version: int


@dataclass(frozen=True, slots=True)
class Park:
    """Due again later."""

    operation: Operation
    wait: Wait


@dataclass(frozen=True, slots=True)
class Conclude:
    """The events, and either the end or a time to ask again."""

    operation: Operation
    messages: Sequence[Message]
    wait: Wait | None


@dataclass(frozen=True, slots=True)
class Mirror:
    """The publisher's watermark: every row with a smaller number is published."""

    watermark: int


@dataclass(frozen=True, slots=True)
class Rehome:
    """Take the dead session's unpublished rows and unfinished operations over. `watermark` was read after fencing."""

    dead_session: str
    watermark: int
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Rehomed:
    """What came over; None of either where another session was quicker."""

    operations: int
    messages: int


@dataclass(frozen=True, slots=True)
class GoOn:
    """Put what was deferred until now back in line, and wake whoever was forgotten there."""


@dataclass(frozen=True, slots=True)
class Orphaned:
    """A request whose payment never came: it leaves as a dead letter, and its id is free again."""

    operation_id: str
    letter: DeadLetter


@dataclass(frozen=True, slots=True)
class Held:
    """An account that this session looks into. `walked_until`: None where it was never walked."""

    merchant_account: str
    walked_until: datetime | None


@dataclass(frozen=True, slots=True)
class Hold:
    """Look into these merchant accounts (account → currency) from now on, where no other session does."""

    accounts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Gather:
    """Take at most `most` due questions about these accounts over from whatever session has them."""

    accounts: Sequence[str]
    most: int


@dataclass(frozen=True, slots=True)
class Walked:
    """The account's lists were walked to their end: what happened before `until` is known."""

    merchant_account: str
    until: datetime


Move = (
    Admit
    | Open
    | Answer
    | Outrun
    | Park
    | Conclude
    | Mirror
    | Rehome
    | GoOn
    | Orphaned
    | Hold
    | Gather
    | Walked
)


@dataclass(frozen=True, slots=True)
class Numbered:
    """An outbox row with its number, as the publisher takes it."""

    number: int
    message: Message
    created_at: datetime
