"""The fuse of intake: a bad deploy must not swallow a topic. Pure: no Kafka, no clock, no thread; intake owns it.

Per topic it counts what becomes of the records, in their order, and blows before a batch is admitted in which

- the run of dead letters without an admitted record between them would reach `run`, or
- the dead letters among the last `window` records would exceed the share `share`. While fewer records than that were
  read the missing ones count as good: so it blows as soon as it is certain, and a few records are no share.

A batch is judged first and counted only once it is admitted: what was dropped is read again and must not count twice.
So fewer than `run` dead letters stand in a row, and at most `share` of any `window` records, whatever comes.

It stays blown for as long as the worker runs: intake leaves the topic where it is, at the journal's position, and goes
on with the others. A new start resets it. It keeps nothing on disk, because it asks for a person: whoever starts the
worker again has looked, and mended the deploy or raised the setting. A worker that is merely started again and again
(it crashes, or a supervisor does it) does not spend the topic either: the bounds above hold for each start, and a batch
that is all bad makes no dead letter, since it is dropped whole.

The trade-off: a producer that sends nothing but rubbish stops a topic that others use, too. Each worker counts its own
partitions, so several workers together let through as many times more.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from handlers.domain.errors import InvalidValueError
from worker.dead_letters import Reason

_MOST_RECORDS: Final = 10_000  # are kept of each topic


@dataclass(frozen=True, slots=True)
class FuseSettings:
    """When to blow; 0 turns a rule off. `run` and `window` are counts of records, `share` a part of `window`."""

    run: int = 50
    share: float = 0.5
    window: int = 200

    def __post_init__(self) -> None:
        for name in ("run", "window"):
            if not 0 <= getattr(self, name) <= _MOST_RECORDS:
                rule = f"must be from 0 (off) to {_MOST_RECORDS} records"
                raise InvalidValueError(f"fuse.{name}", rule)
        if not 0 <= self.share < 1:  # and no NaN
            raise InvalidValueError(
                "fuse.share",
                "must be from 0 (off) to below 1: more than all of them is never reached",
            )
        if self.share and not self.window:
            raise InvalidValueError("fuse.window", "must be at least 1 record where share is set")


@dataclass(frozen=True, slots=True)
class Weighed:
    """One record: its topic, why it is a dead letter (None: it is admitted), and where it lies, for people."""

    topic: str
    flaw: Reason | None = None
    at: str = ""


@dataclass(frozen=True, slots=True)
class Blown:
    """Intake of `topic` stops. `why` tells the person who is woken what happened and what to do."""

    topic: str
    why: str


@dataclass(slots=True)
class _Tape:
    """The last records of one topic."""

    settings: FuseSettings
    recent: deque[Reason | None] = field(default_factory=deque)
    run: int = 0
    dead: int = 0  # among the last `window`

    def copy(self) -> "_Tape":
        return _Tape(self.settings, self.recent.copy(), self.run, self.dead)

    def add(self, flaw: Reason | None) -> None:
        window = self.settings.window
        if 0 < window <= len(self.recent) and self.recent[-window] is not None:
            self.dead -= 1
        self.recent.append(flaw)
        if len(self.recent) > max(window, self.settings.run):
            self.recent.popleft()
        self.run = 0 if flaw is None else self.run + 1
        self.dead += flaw is not None and window > 0

    def blows(self) -> tuple[str, str] | None:
        """What blows it now, and what to raise where the records really are bad; None where nothing does."""
        run, share, window = self.settings.run, self.settings.share, self.settings.window
        if 0 < run <= self.run:
            what = f"{self.run} records in a row are dead letters ({self._reasons(self.run)})"
            return what, f"WORKER_FUSE_RUN (now {run}, 0 turns it off)"
        if share and self.dead / window > share:
            seen = min(window, len(self.recent))
            what = (
                f"{self.dead} of the last {seen} records are dead letters ({self._reasons(seen)})"
            )
            return what, f"WORKER_FUSE_SHARE (now {share:g} of {window}, 0 turns it off)"
        return None

    def _reasons(self, last: int) -> str:
        flaws = Counter(flaw for flaw in list(self.recent)[-last:] if flaw is not None)
        return ", ".join(f"{flaw.value} {count}" for flaw, count in flaws.most_common())


class Fuse:
    """One for each start of a worker, used by one thread."""

    def __init__(self, settings: FuseSettings) -> None:
        self._settings = settings
        self._tapes: dict[str, _Tape] = {}
        self._blown: dict[str, Blown] = {}

    @property
    def blown(self) -> Mapping[str, Blown]:
        """The topics whose intake has stopped, for health and for people."""
        return MappingProxyType(self._blown)

    def judge(self, batch: Sequence[Weighed]) -> Blown | None:
        """None where `batch` may be admitted as it stands; counts nothing. Blown: none of that topic may be.

        What is left of the batch without that topic is judged anew: another one may have blown as well.
        """
        for record in batch:
            if record.topic in self._blown:
                return self._blown[record.topic]
        return self._after(batch)[1]

    def count(self, batch: Sequence[Weighed]) -> Blown | None:
        """Count `batch`, which was admitted, as it came out; Blown where no more of that topic may follow.

        Only the commit tells which commands conflict: such dead letters cannot be held back, but they count.
        """
        after, blown = self._after(batch)
        self._tapes |= after
        return blown

    def _after(self, batch: Sequence[Weighed]) -> tuple[dict[str, _Tape], Blown | None]:
        """The tapes of `batch`'s topics after it, and the first topic that blows by it."""
        after: dict[str, _Tape] = {}
        first = None
        for record in batch:
            tape = after.get(record.topic)
            if tape is None:
                known = self._tapes.get(record.topic)
                tape = after[record.topic] = known.copy() if known else _Tape(self._settings)
            tape.add(record.flaw)
            blows = tape.blows()
            if blows and first is None and record.topic not in self._blown:
                first = self._blown[record.topic] = _blown(record, blows)
        return after, first


def _blown(record: Weighed, blows: tuple[str, str]) -> Blown:
    what, setting = blows
    last = f", the last one at {record.at}" if record.at else ""
    return Blown(
        record.topic,
        f"Intake of {record.topic} has stopped: {what}{last}. What was not admitted stays in the topic and is read"
        " again after a restart; what is a dead letter already can be replayed. If a deploy of a producer or of this"
        f" worker did it, mend it or take it back. If these records really are bad, raise {setting}."
        " Then restart this worker.",
    )
