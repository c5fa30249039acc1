"""What the auditor works with: the books as they were read, and what was found. Nothing is compared here."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from db_client.audit import JournalBook
from worker.kafka_admin import Seen

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that an independent producer published, or the worker itself: its operation's id, and where."""

    operation_id: str
    payment_id: str
    topic: str


@dataclass(frozen=True, slots=True)
class Books:
    """The four books, read at rest.

    `published` are the payment ids and `requests` the other commands that an independent producer asked for; `refunds`
    are those of the db-service. `time_lost`: the journal was put back in time. What was told in the lost time may be
    told again, then, under the same event id and with the same news, in other words perhaps; a consumer that knows
    event ids sees it once.
    """

    ledger: Sequence[Row]
    journal: JournalBook
    recorded: Sequence[Row]
    events: Sequence[Seen]
    published: Iterable[str]
    kinds: Mapping[str, str]
    refunds: Sequence[Row] = ()
    requests: Iterable[Asked] = ()
    time_lost: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is not over: a payment, or a request about one (`what`); how it stands, why it waits, when it is due."""

    payment_id: str
    what: str
    state: str
    why: str
    due: str


@dataclass(slots=True)
class Tally:
    """How many payments, and their amounts together in minor units."""

    count: int = 0
    amount_minor: int = 0

    def add(self, amount_minor: int) -> None:
        """One more."""
        self.count += 1
        self.amount_minor += amount_minor


Tallies = dict[tuple[str, str], Tally]  # (state, currency) → tally


@dataclass(slots=True)
class Verdict:
    """What the comparison found. `differences` is empty where the books are equal.

    `states`: how many payments stand how. `requests`: how many requests of a kind stand how.
    """

    differences: list[str] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    charged: int = 0
    states: Counter[str] = field(default_factory=Counter)
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    events: Counter[str] = field(default_factory=Counter)
    tallies: dict[str, Tallies] = field(default_factory=dict)  # book → its tallies

    @property
    def equal(self) -> bool:
        """True where nothing differs."""
        return not self.differences

    def differ(self, what: str, how: str) -> None:
        """One more difference, about `what`."""
        self.differences.append(f"{what}: {how}")


@dataclass(slots=True)
class Told:
    """What a consumer saw of one payment, each event once, in the order of its topic.

    `answered`: operation ids that were answered by a snapshot that had been told before.
    """

    statuses: list[dict[str, Any]] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)


ToldOf = defaultdict[str, Told]  # payment id → what was told of it
