"""The journal in memory: what `db_client.group_commit.GroupCommit` is to a worker, on a `MemoryDatabase`.

Each move is a db_txn of its own, in the order in which they came; nothing here is a thread. Where commits take time,
or the database is away, moves wait in line as they do for the journal's thread. The three silences of a lost connection
are told apart as there, by the session's own count of commits. Its proof: `test_memory_journal.py` holds it against
PostgreSQL.

What it does not do: refuse or mend what jsonb cannot hold (U+0000, lone surrogates, values that are no JSON), and share
a commit among moves.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, Final

from db_client.group_commit import JournalRefusedError, LostTimeError
from db_client.incarnation import same_timeline
from db_client.moves import Answer, Move, Numbered, Park
from db_client.moving import Limits
from handlers.domain.errors import SessionOver
from tests.simulation.memory_journal_database import MemoryDatabase
from tests.simulation.memory_journal_faults import SMOOTH, Course, Faults, Loss
from tests.simulation.memory_journal_ground import MemoryGround, RefusedError
from tests.simulation.memory_journal_moving import APPLY, Apply, Author, commit, lost_time
from tests.simulation.memory_journal_progress import append_evidence

__all__ = ["APPLY", "Apply", "MemoryCommits"]  # the table is handed in here, so it is had from here

_RECONNECT_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
_Waiting = asyncio.Future[Any] | Future[Any]
_Later = Callable[[float, Callable[[], None]], object]


class MemoryCommits:
    """One session's. `later`: runs something after so many simulated seconds, as an event loop's `call_later`.

    Without it nothing takes time, and a move that waits for the database waits for `pump`.
    """

    def __init__(
        self,
        database: MemoryDatabase,
        *,
        session_id: str,
        incarnation: str,
        limits: Limits,
        on_outbox: Callable[[Sequence[Numbered]], None],
        on_over: Callable[[SessionOver], None],
        alive: Callable[[], bool],
        faults: Faults | None = None,
        later: _Later | None = None,
        apply: Mapping[type[Any], Apply] = APPLY,
    ) -> None:
        self._database = database
        self._session_id = session_id
        self._author = Author(session_id, incarnation, limits=limits, apply=apply)
        self._on_outbox = on_outbox
        self._on_over = on_over
        self._alive = alive
        self._faults = faults
        self._later = later
        self._commits = 0
        self._connection = database.connections  # the one over which the session was started
        self._waiting: deque[tuple[Move, _Waiting, Course | None]] = deque()
        self._under_way: _Waiting | None = None
        self._on_its_way: Move | None = None  # of that: sent, and not on disk yet
        self._goes_on: Callable[[], None] | None = None  # without `later`: what `pump` does
        self._over: SessionOver | None = None  # may write no more, but evidence is kept
        self._ended: SessionOver | None = None  # nobody reads the line any more
        self.on_granted: Callable[[], None] = lambda: None
        self.beat = 0.0
        self.available = True

    @property
    def incarnation(self) -> str:
        """Of the database, as it was when this session last reached it."""
        return self._author.incarnation

    def start(self) -> None:
        """There is no thread to start."""

    def stop(self) -> None:
        """What still waits is committed, as far as it may be; whoever waits for it is turned away all the same."""
        over = self._ended = SessionOver("this session has ended")
        on_its_way, self._on_its_way = self._on_its_way, None
        left = [] if on_its_way is None else [on_its_way]
        for move in (*left, *(move for move, _, _ in self._waiting)):
            self._commit_if_it_may(move)
        under_way, self._under_way, self._goes_on = self._under_way, None, None
        waiting = [future for _, future, _ in self._waiting]
        self._waiting.clear()
        for future in [*([] if under_way is None else [under_way]), *waiting]:
            _settle(future, over)

    def _commit_if_it_may(self, move: Move) -> None:
        try:
            if self._over is None and self._is_connected():
                self._commit(move)
                return
        except (RefusedError, SessionOver):
            pass
        self._keep_evidence(move)

    def die(self, *, lands: bool) -> None:
        """The process is gone, and nobody hears anything. `lands`: what is on its way reaches the disk all the same."""
        self._ended = SessionOver("this process is dead")
        on_its_way, self._on_its_way = self._on_its_way, None
        self._under_way, self._goes_on = None, None
        self._waiting.clear()
        if on_its_way is not None and lands and self._is_connected():
            with suppress(RefusedError, SessionOver):
                self._commit(on_its_way)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits or is under way."""
        return self._under_way is None and not self._waiting

    async def write(self, move: Move) -> Any:
        """Submit from a lane; returns after the commit. Raises SessionOver or JournalRefusedError."""
        thrown: Course | None = None
        if self._is_free():
            thrown = self._throw(move)
            if thrown is SMOOTH:
                return self._commit_at_once(move)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._put(move, future, thrown=thrown)
        return await future

    def submit(self, move: Move) -> "Future[Any]":
        """The same for whoever has no event loop: done already, unless the commit takes time."""
        future: Future[Any] = Future()
        self._put(move, future)
        return future

    def post(self, move: Move) -> None:
        """Submit and forget."""
        self._put(move, Future())

    def pump(self) -> None:
        """Look again whether the database is back."""
        goes_on, self._goes_on = self._goes_on, None
        if goes_on is not None:
            goes_on()
            self._next()

    def _is_free(self) -> bool:
        return (
            self._under_way is None
            and self._over is None
            and self._ended is None
            and self._is_connected()
        )

    def _is_connected(self) -> bool:
        """Whether a move reaches the database over the connection that this session has."""
        is_whole = self._connection == self._database.connections
        return is_whole and self._database.reaches(self._session_id)

    def _throw(self, move: Move) -> Course:
        return SMOOTH if self._faults is None else self._faults.course(self._session_id, move)

    def _put(self, move: Move, future: _Waiting, *, thrown: Course | None = None) -> None:
        if self._ended is not None:
            _settle(future, self._ended)
            return
        self._waiting.append((move, future, thrown))
        self._next()

    def _next(self) -> None:
        while self._waiting and self._under_way is None:
            move, future, thrown = self._waiting.popleft()
            self._under_way = future
            if self._over is not None:
                self._keep_evidence(move)
                self._done(future, self._over)
            else:
                self._try(move, future, course=thrown or self._throw(move), tries=0)

    def _try(self, move: Move, future: _Waiting, *, course: Course, tries: int) -> None:
        self._on_its_way = move
        arrive = partial(self._arrive, move, future, course=course, tries=tries)
        self._after(course.before_s, arrive)

    def _arrive(self, move: Move, future: _Waiting, *, course: Course, tries: int) -> None:
        """The moment at which the database has it, if it ever does."""
        self._on_its_way = None
        if not self._is_connected() or course.loss is Loss.BEFORE:
            self._ask_again(move, future, committed=None, tries=tries)
            return
        try:
            results = self._commit(move, refused=course.refused)
        except RefusedError as refused:
            self._keep_evidence(move)
            self._done(future, _refusal(refused))
        except SessionOver as over:
            self._is_over(move, future, over=over)
        else:
            if course.loss is Loss.AFTER:
                self._ask_again(move, future, committed=results, tries=tries)
            else:
                self._commits += 1
                self._after(course.after_s, partial(self._acknowledged, future, results))

    def _acknowledged(self, future: _Waiting, results: tuple[Any, MemoryGround]) -> None:
        result, ground = results
        self._hand_on(ground)
        self._done(future, result)

    def _hand_on(self, ground: MemoryGround) -> None:
        self.available = True
        if ground.outbox:
            self._on_outbox(ground.outbox)
        if ground.granted:
            self.on_granted()

    def _ask_again(
        self,
        move: Move,
        future: _Waiting,
        *,
        committed: tuple[Any, MemoryGround] | None,
        tries: int,
    ) -> None:
        """After a lost connection: wait for the database, then read our own row. `committed`: what it may have done."""
        self.available = False
        self._connection = -1
        if not self._alive():
            over = SessionOver("the database was away for longer than the lease")
            self._is_over(move, future, over=over)
            return
        look = partial(self._look, move, future, committed=committed, tries=tries + 1)
        if self._later is None and not self._database.reaches(self._session_id):
            self._goes_on = look
        else:
            self._after(_RECONNECT_S[min(tries, len(_RECONNECT_S) - 1)], look)

    def _look(
        self,
        move: Move,
        future: _Waiting,
        *,
        committed: tuple[Any, MemoryGround] | None,
        tries: int,
    ) -> None:
        if not self._database.reaches(self._session_id):
            self._ask_again(move, future, committed=committed, tries=tries)
            return
        try:
            is_there = self._has_committed()
        except SessionOver as over:
            self._is_over(move, future, over=over)
            return
        if is_there and committed is not None:
            self._acknowledged(future, committed)
        else:
            self._try(move, future, course=self._throw(move), tries=tries)

    def _has_committed(self) -> bool:
        """Whether the commit whose acknowledgement was lost is there. Raises LostTimeError."""
        self._connection = self._database.connections
        self.available = True
        row = self._database.sessions.get(self._session_id)
        known = self._commits
        if row is None or row.commits not in {known, known + 1}:
            raise lost_time()
        if not same_timeline(self._database.incarnation, self._author.incarnation):
            raise LostTimeError("the database runs on another timeline now")
        self._author.incarnation = self._database.incarnation
        self._commits = row.commits
        return row.commits == known + 1

    def _commit_at_once(self, move: Move) -> Any:
        """The way without any faults and waits."""
        try:
            result, ground = self._commit(move)
        except RefusedError as refused:
            self._keep_evidence(move)
            raise _refusal(refused) from None
        except SessionOver as over:
            self._over = over
            self._on_over(over)
            self._keep_evidence(move)
            raise
        self._commits += 1
        self._hand_on(ground)
        return result

    def _commit(self, move: Move, *, refused: str = "") -> tuple[Any, MemoryGround]:
        """One db_txn: all of it or nothing. Raises RefusedError, SessionOver."""
        return commit(self._database, move, by=self._author, after=self._commits, refused=refused)

    def _keep_evidence(self, move: Move) -> None:
        """Nothing may be moved, but what the gateway said is never thrown away (P6), where it can be written."""
        if not isinstance(move, Answer | Park) or (
            isinstance(move, Park) and not move.wait.evidence
        ):
            return
        database = self._database
        if database.reaches(self._session_id):
            append_evidence(database, move, by=self._session_id, at=database.begin())

    def _is_over(self, move: Move, future: _Waiting, *, over: SessionOver) -> None:
        self._over = over
        self._on_over(over)
        self._keep_evidence(move)
        self._done(future, over)

    def _done(self, future: _Waiting, outcome: Any) -> None:
        self._under_way = None
        _settle(future, outcome)

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        if seconds > 0 and self._later is not None:
            self._later(seconds, partial(self._resume, do))
        else:
            do()

    def _resume(self, do: Callable[[], None]) -> None:
        if self._ended is None:
            do()
            self._next()


def _settle(future: _Waiting, outcome: Any) -> None:
    if future.done():  # whoever waited was cancelled
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _refusal(refused: RefusedError) -> JournalRefusedError:
    return JournalRefusedError(f"the journal refused this move: {refused}")
