"""The values of a rebuild: what Kafka has, what was marked, who is in the way, what is left. No SQL here."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Reach:
    """A partition of a command topic: what could have been read of it in the lost time.

    `first` is the first offset that Kafka still has, `end` the one behind the last record, 0 where there is none.
    """

    topic: str
    topic_id: str
    partition: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A rebuild as it is written down.

    `since` is what the operator gave; `counts_from` is that, or the journal's own last word where it is older: after it
    this journal knows nothing for sure. `gone`: how many offsets Kafka had deleted before they could be read again.
    Times are the database's.
    """

    rebuild_id: int
    since: datetime
    counts_from: datetime
    marked_at: datetime
    by: str
    gone: int


@dataclass(frozen=True, slots=True)
class Living:
    """A session whose lease runs, and for how many seconds more unless it is renewed."""

    session_id: str
    host: str
    pid: int
    left_s: float


@dataclass(frozen=True, slots=True)
class InTheWay:
    """Why nothing was marked: these sessions live."""

    sessions: tuple[Living, ...]


@dataclass(frozen=True, slots=True)
class Oldest:
    """The operation that waits longest for its answer. `due_at` is None where it is in work, or not taken over yet."""

    operation_id: str
    asked: int
    due_at: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class Left:
    """How far a rebuild has come.

    `questions`: operations that the gateway must still answer for. `partitions`: those not read to their end of then.
    `behind`: suspects in line behind one that was asked for and stays undecided; they are asked for when it is their
    turn. `homeless`: suspects whose payment nobody knows. `workers`: sessions that live. `oldest` of the questions.
    """

    questions: int
    partitions: int
    behind: int
    homeless: int
    workers: int
    oldest: Oldest | None

    @property
    def nothing(self) -> bool:
        """Whether everything was read and asked for."""
        return not (self.questions or self.partitions)
