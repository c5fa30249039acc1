"""What may go wrong at the simulated gateway: the fate of each call and each batch, by a hook. Nothing happens here.

A fate is drawn before the call begins and never looks at the clock, so the same draws give the same run. `Calm` lets
nothing go wrong, `Script` plays what a test wrote down, `Dice` draws from a mix of odds. A request is never worked on
twice; one that the network delivers twice is answered as the second of the two.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import accumulate
from random import Random
from typing import Final, Protocol

from handlers.domain.intents import Intent

APPROVE: Final = 1


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one request that is to move money. All times are seconds.

    `connect_s` passes before the gate; where `unsent` says why, not one byte leaves. `arrives_s`: from the gate until
    the gateway works on it, None: it gets lost on its way. `answer_s`: from the gate until its answer is heard, None:
    that gets lost; then `breaks_s` says when the connection breaks, None: never. `instead`: the code that is heard
    instead of the answer (`E00053`, `worker.http_503`, …), whatever was done.

    `locked_out`: the gateway refuses the account before it works on anything: nothing was sent, as far as money goes.

    `code`: what the bank or a filter says, where the rules have nothing against it (1: yes). `approved_minor`: another
    amount than was asked for. `bank`: the means is a bank account. `twice`: delivered twice, worked on once.
    `listed_s`, `told_s`: how long after its work the lists and the details begin to show what it made.
    """

    connect_s: float = 0.0
    unsent: str = ""
    arrives_s: float | None = 0.0
    answer_s: float | None = 0.0
    breaks_s: float | None = None
    instead: str = ""
    code: int = APPROVE
    approved_minor: int | None = None
    bank: bool = False
    twice: bool = False
    locked_out: bool = False
    listed_s: float = 0.0
    told_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ReadFate:
    """What becomes of one question: seconds until each of its two halves is read, a failure, a gap in the list.

    `code`: the gateway's own, where it answered and refused to tell; "" where nobody answered.
    """

    first_s: float = 0.0
    second_s: float = 0.0
    fails: str = ""
    code: str = ""
    gap: str = ""


@dataclass(frozen=True, slots=True)
class BatchFate:
    """What becomes of a night's batch: seconds from the cut-off until it is listed, and whether the bank refuses it."""

    listed_s: float = 0.0
    fails: bool = False


CALM_FATE: Final = Fate()
CALM_READ: Final = ReadFate()
CALM_BATCH: Final = BatchFate()


class Fates(Protocol):
    """The hook. Asked once for each call, in the order in which calls begin, and once for each batch."""

    def of_send(self, session: str, intent: Intent) -> Fate:
        """The fate of a request."""
        ...

    def of_read(self, session: str) -> ReadFate:
        """The fate of a question: `find`, `look` and `walk` alike."""
        ...

    def of_batch(self) -> BatchFate:
        """The fate of the batch that is being cut off."""
        ...


class Calm:
    """Nothing goes wrong, and nothing takes time."""

    def of_send(self, session: str, intent: Intent) -> Fate:
        """No fault."""
        del session, intent
        return CALM_FATE

    def of_read(self, session: str) -> ReadFate:
        """No fault."""
        del session
        return CALM_READ

    def of_batch(self) -> BatchFate:
        """No fault."""
        return CALM_BATCH


@dataclass
class Script(Calm):
    """What a test wrote down, one after the other; calm when there is no more."""

    sends: deque[Fate] = field(default_factory=deque)
    reads: deque[ReadFate] = field(default_factory=deque)
    batches: deque[BatchFate] = field(default_factory=deque)

    def of_send(self, session: str, intent: Intent) -> Fate:
        """The next one of the script."""
        return self.sends.popleft() if self.sends else super().of_send(session, intent)

    def of_read(self, session: str) -> ReadFate:
        """The next one of the script."""
        return self.reads.popleft() if self.reads else super().of_read(session)

    def of_batch(self) -> BatchFate:
        """The next one of the script."""
        return self.batches.popleft() if self.batches else super().of_batch()


Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Odds:
    """A mix of faults: what share of requests meets which (they add up to 1 at most), and how long things take.

    `lost_before` and `lost_after`: the request, or its answer, is lost. `late`: worked on only after `late_s`, whoever
    still waits. `hidden`: an error is heard whatever was done; half of these were worked on. Apart from that is drawn
    what the bank says: `declined`, `soft` (the processor failed), `held`, `other_amount`. `reads_fail`, `reads_gap` are
    shares of the questions, `batches_fail` of the batches. Spans are seconds, from and to.
    """

    unsent: float = 0.0
    lost_before: float = 0.0
    lost_after: float = 0.0
    late: float = 0.0
    hidden: float = 0.0
    twice: float = 0.0
    slow: float = 0.0
    locked_out: float = 0.0
    declined: float = 0.0
    soft: float = 0.0
    held: float = 0.0
    other_amount: float = 0.0
    bank: float = 0.0
    reads_fail: float = 0.0
    reads_gap: float = 0.0
    batches_fail: float = 0.0
    answer_s: Span = (0.05, 0.8)
    slow_s: Span = (20.0, 90.0)
    late_s: Span = (60.0, 3600.0)
    listed_s: Span = (0.0, 60.0)
    told_s: Span = (0.0, 5.0)
    read_s: Span = (0.05, 0.5)
    batch_s: Span = (600.0, 7200.0)


_HIDING: Final = ("E00001", "E00053", "E00104", "worker.http_503", "worker.unreadable")
_NO: Final = (2, 3, 8, 27, 44, 65)
_SOFT: Final = (19, 20, 57)  # the processor failed, definitely
_HOLDS: Final = (252, 253)
_SHRANK: Final = "the list shrank while it was read"
_HALF: Final = 0.5


class Dice:
    """Draws from `odds`, with the run's own chance."""

    def __init__(self, random: Random, odds: Odds) -> None:
        self._random = random
        self._odds = odds
        ways: list[tuple[float, Callable[[Fate], Fate]]] = [
            (odds.unsent, self._unsent),
            (odds.lost_before, self._lost_before),
            (odds.lost_after, self._lost_after),
            (odds.late, self._late),
            (odds.hidden, self._hidden),
            (odds.twice, self._twice),
            (odds.slow, self._slow),
            (odds.locked_out, self._locked_out),
        ]
        shares = accumulate(share for share, _ in ways)
        self._ways = [(share, way) for share, (_, way) in zip(shares, ways, strict=True)]
        assert self._ways[-1][0] <= 1, "the shares add up to 1 at most"

    def of_send(self, session: str, intent: Intent) -> Fate:
        """What the bank says, how long it takes, and a fault of the way."""
        del session, intent
        odds, drawn = self._odds, self._random.random()
        answer_s = self._within(odds.answer_s)
        code, approved_minor = self._said()
        fate = Fate(
            arrives_s=answer_s / 2,
            answer_s=answer_s,
            code=code,
            approved_minor=approved_minor,
            bank=bool(odds.bank) and self._random.random() < odds.bank,
            listed_s=self._within(odds.listed_s),
            told_s=self._within(odds.told_s),
        )
        for share, way in self._ways:
            if drawn < share:
                return way(fate)
        return fate

    def of_read(self, session: str) -> ReadFate:
        """A failure, a gap, or just its time."""
        del session
        odds = self._odds
        first_s, second_s = self._within(odds.read_s), self._within(odds.read_s)
        drawn = self._random.random()
        if drawn < odds.reads_fail * _HALF:
            return ReadFate(first_s, second_s, fails="no answer")
        if drawn < odds.reads_fail:
            return ReadFate(first_s, second_s, fails="the gateway refused to tell", code="E00053")
        gap = _SHRANK if drawn < odds.reads_fail + odds.reads_gap else ""
        return ReadFate(first_s, second_s, gap=gap)

    def of_batch(self) -> BatchFate:
        """How long it takes, and whether it is refused."""
        odds = self._odds
        fails = self._random.random() < odds.batches_fail
        return BatchFate(self._within(odds.batch_s), fails=fails)

    def _within(self, span: Span) -> float:
        first, last = span
        return first + (last - first) * self._random.random()

    def _said(self) -> tuple[int, int | None]:
        """The code, and the amount where it is another than ours."""
        odds, drawn = self._odds, self._random.random()
        for share, codes in ((odds.declined, _NO), (odds.soft, _SOFT), (odds.held, _HOLDS)):
            if drawn < share:
                return self._random.choice(codes), None
            drawn -= share
        other = drawn < odds.other_amount
        return APPROVE, 1 + self._random.randrange(50) if other else None

    def _unsent(self, fate: Fate) -> Fate:
        return replace(fate, connect_s=self._random.random(), unsent="connection refused")

    def _lost_before(self, fate: Fate) -> Fate:
        return replace(fate, arrives_s=None, answer_s=None, breaks_s=self._breaks_s())

    def _lost_after(self, fate: Fate) -> Fate:
        return replace(fate, answer_s=None, breaks_s=self._breaks_s())

    def _late(self, fate: Fate) -> Fate:
        late_s = self._within(self._odds.late_s)
        return replace(fate, arrives_s=late_s, answer_s=None, breaks_s=self._breaks_s())

    def _hidden(self, fate: Fate) -> Fate:
        worked_on = self._random.random() < _HALF
        arrives_s = fate.arrives_s if worked_on else None
        return replace(fate, arrives_s=arrives_s, instead=self._random.choice(_HIDING))

    def _twice(self, fate: Fate) -> Fate:
        return replace(fate, twice=True)

    def _slow(self, fate: Fate) -> Fate:
        slow_s = self._within(self._odds.slow_s)
        return replace(fate, arrives_s=slow_s * self._random.random(), answer_s=slow_s)

    def _locked_out(self, fate: Fate) -> Fate:
        return replace(fate, arrives_s=None, locked_out=True)

    def _breaks_s(self) -> float | None:
        """Half of the connections break, the others just stay silent."""
        return self._random.random() if self._random.random() < _HALF else None
