"""The course of a campaign: start, load and faults together, healing, rest. What came of it is judged in `judging.py`.

Every wait has an end and says what it waited for: an unattended run never hangs.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from db_client.audit import JournalBook, read_journal
from tests.acceptance.mixed_load import Day, planned
from tests.campaign.chronicle import Chronicle, Ended, TroubleError
from tests.campaign.clerk import Clerk
from tests.campaign.fault_plan import Fault
from tests.campaign.ground import Ground, start_workers
from tests.campaign.performing import COMES_BACK_WITHIN_S, perform, start_again
from tests.campaign.publishing import Producer, paced
from worker.demo.audit import is_at_rest
from worker.demo.kept_process import KeptProcess

_LOOKS_EVERY_S: Final = 0.5
_SAYS_EVERY_S: Final = 30.0
_READS_EVERY_S: Final = 2.0
_LAST_LINES: Final = 12
_LATE_BY: Final = 2.0  # of the campaign's time, for load and faults to be over

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Played:
    """A campaign that has come to rest, or did not come to it in time. Times are in seconds."""

    ground: Ground
    day: Day
    chronicle: Chronicle
    clerk: Clerk
    rested: bool
    load_s: float
    rest_s: float


@dataclass(slots=True)
class _Course:
    """The running threads: one for each victim, one for the producer."""

    ground: Ground
    producer: Producer
    chronicle: Chronicle
    opened: float
    stop: threading.Event = field(default_factory=threading.Event)
    threads: dict[str, Future[None]] = field(default_factory=dict)

    def unfinished(self) -> list[str]:
        """Who still works. Raises what one of them met."""
        for future in self.threads.values():
            if future.done():
                future.result()
        return [name for name, future in self.threads.items() if not future.done()]

    def watch_over_all(self) -> None:
        """A worker that ended by itself is noted and started again, as a supervisor does it.

        Raises StageError where a server did: then no claim can be made.
        """
        for name, server in self.ground.servers.items():
            hand = self.ground.hands[name]
            if not hand.acquire(blocking=False):
                continue
            try:
                if name in self.ground.workers:
                    self._revive(name, self.ground.workers[name])
                else:
                    server.insist_alive()
            finally:
                hand.release()

    def _revive(self, name: str, worker: KeptProcess) -> None:
        if not worker.alive:
            words = worker.tail(_LAST_LINES)
            self.chronicle.ended.append(Ended(name, worker.returncode, words, time.time()))
            start_again(worker, name)


def play(ground: Ground, faults: Sequence[Fault], *, say: Say) -> Played:
    """Play it to the end. Raises TroubleError, StageError, Unavailable where the campaign itself fails."""
    terms, chronicle = ground.terms, Chronicle()
    day = paced(planned(ground.installation, seed=terms.seed, payments=terms.payments), terms)
    ground.stage.seed_orders(day.orders)
    ground.calm()
    start_workers(ground)
    say(f"three workers run; {len(day.cues)} records and {len(faults)} faults to come")
    began = time.monotonic()
    _load(ground, day, faults=faults, chronicle=chronicle, say=say)
    load_s = time.monotonic() - began
    _heal(ground)
    say(f"load and faults are over after {load_s:.0f} s; all is healed")
    clerk = Clerk(ground)
    rested = _rests(clerk, day, say=say)
    rest_s = time.monotonic() - began - load_s
    return Played(ground, day, chronicle, clerk, rested, load_s, rest_s)


def _load(
    ground: Ground, day: Day, *, faults: Sequence[Fault], chronicle: Chronicle, say: Say
) -> None:
    producer = Producer(ground, day)
    with _course(ground, producer, faults=faults, chronicle=chronicle) as course:
        bound_s = _LATE_BY * ground.terms.lasts_s + COMES_BACK_WITHIN_S
        said = course.opened
        while names := course.unfinished():
            now = time.monotonic()
            if now > course.opened + bound_s:
                raise TroubleError(f"after {bound_s:.0f} s still at work: {', '.join(names)}")
            course.watch_over_all()
            if now >= said + _SAYS_EVERY_S:
                said = now
                say(_progress(course, len(day.cues), now_s=now - course.opened))
            time.sleep(_LOOKS_EVERY_S)


@contextmanager
def _course(
    ground: Ground, producer: Producer, *, faults: Sequence[Fault], chronicle: Chronicle
) -> Iterator[_Course]:
    """All threads at work; whatever happens in the block, they are told to stop."""
    tracks: dict[str, list[Fault]] = defaultdict(list)
    for fault in faults:
        tracks[fault.victim].append(fault)
    opened = time.monotonic()
    course = _Course(ground, producer, chronicle, opened)
    with ThreadPoolExecutor(len(tracks) + 1) as pool:
        stop = course.stop
        course.threads["the producer"] = pool.submit(producer.run, opened, stop=stop)
        for victim, track in tracks.items():
            course.threads[f"the faults of {victim}"] = pool.submit(
                perform, track, ground, opened=opened, chronicle=chronicle, stop=stop
            )
        try:
            yield course
        finally:
            stop.set()


def _progress(course: _Course, records: int, *, now_s: float) -> str:
    now = course.chronicle.now()
    doing = f"; now: {', '.join(now)}" if now else ""
    faults = len(course.chronicle.happened)
    return f"{now_s:.0f} s: {course.producer.sent} of {records} records, {faults} faults{doing}"


def _heal(ground: Ground) -> None:
    """Every server runs and every worker works. Raises TroubleError."""
    for name, server in ground.servers.items():
        server.thaw()
        start_again(server, name)
    ground.heal()


def _rests(clerk: Clerk, day: Day, *, say: Say) -> bool:
    """Whether all came to rest: known and decided, the batch through, the lists walked, nothing new any more."""
    ground = clerk.ground
    known, within_s = day.to_be_known, ground.terms.rests_within_s
    is_quiet = _wait(ground, lambda book: _is_quiet(book, day, known=known), within_s=within_s)
    say("quiet" if is_quiet else f"not quiet within {within_s:.0f} s")
    ground.settle()
    say("the last batch is settled")
    calm = _Calm(ground.terms.calm_s)

    def over(book: JournalBook) -> bool:
        clerk.look(book)
        if any(it.stage == "deferred" for it in book.requests):
            ground.settle()  # another night: a capture that had to be repeated came after the last batch
        return calm.lasts(book) and _is_over(book) and _is_quiet(book, day, known=known)

    return _wait(ground, over, within_s=within_s)


def _wait(ground: Ground, happened: Callable[[JournalBook], bool], *, within_s: float) -> bool:
    url, deadline = ground.stage.journal_url, time.monotonic() + within_s
    every_s = min(_READS_EVERY_S, ground.terms.calm_s / 8)
    while time.monotonic() < deadline:
        if happened(read_journal(url)):
            return True
        time.sleep(every_s)
    return False


def _is_quiet(book: JournalBook, day: Day, *, known: set[str]) -> bool:
    """Everything is known, nothing moves before it is due, and what waited for nobody is a dead letter."""
    there = {it.operation_id for it in book.requests}
    return (
        len(book.entries) >= len(day.payments)
        and there >= known
        and is_at_rest(book)
        and not any(it.payment_id in day.nobodies for it in book.requests)
    )


def _is_over(book: JournalBook) -> bool:
    stages = {it.stage for it in book.entries} | {it.stage for it in book.requests}
    return stages <= {"concluded"}


class _Calm:
    """Whether the journal has not changed for so many seconds."""

    def __init__(self, for_s: float) -> None:
        self._for_s = for_s
        self._last: tuple[int, int, int] | None = None
        self._since = 0.0

    def lasts(self, book: JournalBook) -> bool:
        """To be asked again and again."""
        seen = (sum(it.version for it in book.entries), len(book.requests), book.unpublished)
        if seen != self._last:
            self._last, self._since = seen, time.monotonic()
        return time.monotonic() >= self._since + self._for_s
