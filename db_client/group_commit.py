"""The journal's thread: what arrives during one commit goes into the next one. It alone writes for this session.

Every db_txn begins with the session's own row: it must not be ended, its lease must be alive, and its count of commits
must be the one that this thread remembers. That count is what tells the three silences of a lost connection apart: one
more than remembered means that the commit whose acknowledgement was lost is there; the same means that it is not; less
means that the database lost time (it was restored, or a standby without our last commits took over) and this session
is over. A batch that the database refuses is bisected until the bad move stands alone.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, bindparam, exists, func, select, update
from sqlalchemy.exc import DBAPIError

from db_client.evidence import append_evidence
from db_client.failures import is_away, is_passing, is_twin
from db_client.ground import Ground, StaleMoveError
from db_client.incarnation import read_incarnation, same_timeline
from db_client.moves import Answer, Move, Numbered, Park, Rehome
from db_client.moving import Limits, apply_all, numbers
from db_client.sealing import Sealer
from db_client.submissions import Submission, settle
from db_client.tables import lease, session
from handlers.domain.errors import SessionOver, WorkerError

_MAX_BATCH: Final = 256
_RECONNECT_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
_TRIES: Final = 5
_EVIDENCE_TRIES: Final = (
    2  # a connection that was kept since before a restart of the server fails once
)
# The last two: a value that cannot be encoded (no JSON, no UTF-8) is the fault of its move alone.
_REFUSALS: Final = (DBAPIError, StaleMoveError, TypeError, ValueError)

_BEGIN: Final = (
    update(session)
    .where(
        session.c.session_id == bindparam("me"),
        session.c.commits == bindparam("expected"),
        session.c.ended_at.is_(None),
        exists().where(
            lease.c.session_id == bindparam("me"), lease.c.alive_until > func.clock_timestamp()
        ),
    )
    .values(
        commits=session.c.commits + 1,
        next_number=session.c.next_number + bindparam("numbers"),
        incarnation=bindparam("incarnation"),
    )
    .returning(session.c.next_number, func.clock_timestamp().label("now"))
)
_OWN_ROW: Final = select(session.c.commits, session.c.ended_at, session.c.ended_why).where(
    session.c.session_id == bindparam("me")
)
# Locked: a commit whose acknowledgement was lost may still be under way, and holds the row until it is decided.
_OWN_ROW_DECIDED: Final = _OWN_ROW.with_for_update()


# A table that is rewritten (VACUUM FULL) breaks no connection. Living sessions must agree, for each takes what belongs
# to another incarnation for something that a dead one has left.
_READ_AGAIN_S: Final = 2.0


class JournalRefusedError(WorkerError):
    """The database refuses this one move (a constraint, a value it cannot hold). Nothing of it was written."""


class LostTimeError(SessionOver):
    """The database does not know commits that it acknowledged."""


class GroupCommit:
    """Owns the session's writing connection. `submit` from any thread; results come back where they were asked."""

    def __init__(
        self,
        engine: Engine,
        *,
        session_id: str,
        incarnation: str,
        sealer: Sealer,
        limits: Limits,
        on_outbox: Callable[[Sequence[Numbered]], None],
        on_over: Callable[[SessionOver], None],
        alive: Callable[[], bool],
    ) -> None:
        self._engine = engine
        self._session_id = session_id
        self._incarnation = incarnation
        self._read_again_at = time.monotonic() + _READ_AGAIN_S
        self._sealer = sealer
        self._limits = limits
        self._on_outbox = on_outbox
        self._on_over = on_over
        self._alive = alive
        self._commits = 0
        self._connection: Connection | None = None
        self._queue: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()
        self._over: SessionOver | None = None  # may write no more, but evidence is kept
        self._ended: SessionOver | None = None  # the thread is gone
        self._batch: Sequence[Submission] = []
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self.on_granted: Callable[[], None] = lambda: None  # something is due at once
        self.beat = time.monotonic()
        self.available = True

    @property
    def incarnation(self) -> str:
        """Of the database, as it was when this session last reached it. From any thread."""
        return self._incarnation

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what is queued, then end the thread."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()

    async def write(self, move: Move) -> Any:
        """Submit from a lane; returns after the commit. Raises SessionOver or JournalRefusedError."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._put(Submission(move, future))
        return await future

    def submit(self, move: Move) -> "Future[Any]":
        """Submit from a thread."""
        future: Future[Any] = Future()
        self._put(Submission(move, future))
        return future

    def post(self, move: Move) -> None:
        """Submit and forget: for the mirror, which the next one repeats."""
        self._put(Submission(move, Future()))

    def _put(self, submission: Submission) -> None:
        self._queue.put(submission)
        if self._ended is not None:  # nobody reads the queue any more
            self._turn_away(self._ended)

    def _run(self) -> None:
        try:
            while self._round():
                pass
        except (
            BaseException
        ):  # a bug of ours: whoever waits must hear of it, and the session is over
            self._end(SessionOver("the journal's thread crashed"))
            raise
        self._end(self._over or SessionOver("this session has ended"))

    def _round(self) -> bool:
        """One commit of what has arrived; False where it was the last."""
        self._batch, last = self._gather()
        if self._batch:
            self._work(self._batch)
        self._batch = []
        return not last

    def _end(self, over: SessionOver) -> None:
        if self._connection is not None:
            self._connection.close()
        self._ended = over
        if self._batch:
            settle([(it.future, over) for it in self._batch])
            self._on_over(over)
        self._turn_away(over)

    def _turn_away(self, over: SessionOver) -> None:
        with suppress(queue.Empty):
            while True:
                if (late := self._queue.get_nowait()) is not None:
                    settle([(late.future, over)])

    def _gather(self) -> tuple[list[Submission], bool]:
        try:
            first = self._queue.get(timeout=1.0)
        except queue.Empty:
            self.beat = time.monotonic()
            return [], False
        self.beat = time.monotonic()
        if first is None:
            return [], True
        batch = [first]
        while len(batch) < _MAX_BATCH and not self._queue.empty():
            following = self._queue.get()
            if following is None:
                return batch, True
            batch.append(following)
        return batch, False

    def _work(self, batch: Sequence[Submission]) -> None:
        if self._over is None:
            try:
                self._commit(batch)
            except SessionOver as over:
                self._over = over
            except Exception as crash:  # noqa: BLE001 - the thread's door: nobody may wait for ever for a dead thread
                self._over = SessionOver(f"the journal's thread crashed: {type(crash).__name__}")
            else:
                return
            self._on_over(self._over)
        self._keep_evidence(batch)
        settle([(it.future, self._over) for it in batch])

    def _commit(self, batch: Sequence[Submission]) -> None:
        """Commit `batch`, whatever it takes; raises SessionOver where this session may not."""
        together = [it for it in batch if not isinstance(it.move, Rehome)]
        for alone in (it for it in batch if isinstance(it.move, Rehome)):
            self._persist([alone])
        if together:
            self._persist(together)

    def _persist(self, batch: Sequence[Submission]) -> None:
        tries = 0
        while True:
            try:
                results, ground = self._apply_until_reached(batch)
            except _REFUSALS as refused:
                tries += 1
                if is_passing(refused) and (tries < _TRIES or self._waits_for_locks(refused)):
                    continue
                self._refused(batch, refused)
                return
            self.available = True
            if ground.outbox:
                self._on_outbox(ground.outbox)
            if ground.granted:
                self.on_granted()
            settle(list(zip((it.future for it in batch), results, strict=True)))
            return

    def _waits_for_locks(self, passing: Exception) -> bool:
        """Somebody holds a lock for long (an index is built, say): nobody's command is at fault, so all wait for it."""
        if is_twin(passing):
            return False
        self.available = False
        self.beat = time.monotonic()
        if not self._alive():
            raise SessionOver("the journal was locked for longer than the lease")
        return True

    def _refused(self, batch: Sequence[Submission], why: Exception) -> None:
        if len(batch) > 1:
            middle = len(batch) // 2
            self._persist(batch[:middle])
            self._persist(batch[middle:])
            return
        self._keep_evidence(batch)
        told = (str(getattr(why, "orig", None) or why) or type(why).__name__).splitlines()[0]
        settle([(batch[0].future, JournalRefusedError(f"the journal refused this move: {told}"))])

    def _apply_until_reached(self, batch: Sequence[Submission]) -> tuple[list[Any], Ground]:
        """Apply in one db_txn; where the connection dies, find out what became of it, and try again if nothing did."""
        tries = 0
        while True:
            results: tuple[list[Any], Ground] | None = None
            try:
                connection = self._connect()
                with connection.begin():
                    results = self._apply(connection, [it.move for it in batch])
                self._commits += 1
                self.available = True
            except DBAPIError as error:
                if not is_away(error):
                    raise
                self.available = False
                if self._committed_all_the_same(tries) and results is not None:
                    return results
                tries += 1
            else:
                return results

    def _committed_all_the_same(self, tries: int) -> bool:
        """After a lost connection: wait for the database, then read our own row. True where our commit is there."""
        self._drop()
        while True:
            self.beat = time.monotonic()
            if not self._alive():
                raise SessionOver("the database was away for longer than the lease")
            time.sleep(_RECONNECT_S[min(tries, len(_RECONNECT_S) - 1)])
            tries += 1
            try:
                connection = self._connect()
                with connection.begin():
                    own = connection.execute(_OWN_ROW_DECIDED, {"me": self._session_id})
                    row = own.one_or_none()
                    incarnation = read_incarnation(connection)
            except DBAPIError:
                self._drop()
                continue
            self.available = True
            if row is None or row.commits not in {self._commits, self._commits + 1}:
                raise LostTimeError(
                    "the database lost commits of this session: it was put back in time"
                )
            self._adopt(incarnation)
            committed = bool(row.commits == self._commits + 1)
            self._commits = row.commits
            return committed

    def _adopt(self, incarnation: str) -> None:
        """It is the same database: our own count of commits proves that nothing of it was lost."""
        if not same_timeline(incarnation, self._incarnation):
            raise LostTimeError("the database runs on another timeline now")
        self._incarnation = incarnation

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _apply(self, connection: Connection, moves: Sequence[Move]) -> tuple[list[Any], Ground]:
        ground = self._begin(connection, numbers(moves))
        return apply_all(ground, moves, limits=self._limits), ground

    def _begin(self, connection: Connection, reserved: int) -> Ground:
        if time.monotonic() >= self._read_again_at:
            self._read_again_at = time.monotonic() + _READ_AGAIN_S
            self._adopt(read_incarnation(connection))
        row = connection.execute(
            _BEGIN,
            {
                "me": self._session_id,
                "expected": self._commits,
                "numbers": reserved,
                "incarnation": self._incarnation,
            },
        ).one_or_none()
        if row is None:
            self._why_not(connection)
        assert row is not None
        now: datetime = row.now
        return Ground(
            connection=connection,
            session_id=self._session_id,
            sealer=self._sealer,
            incarnation=self._incarnation,
            next_number=row.next_number - reserved,
            now=now,
        )

    def _why_not(self, connection: Connection) -> None:
        row = connection.execute(_OWN_ROW, {"me": self._session_id}).one_or_none()
        if row is None or row.commits != self._commits:
            raise LostTimeError(
                "the database lost commits of this session: it was put back in time"
            )
        if row.ended_at is not None:
            raise SessionOver(f"this session was ended: {row.ended_why}")
        raise SessionOver("the lease ran out")

    def _keep_evidence(self, batch: Sequence[Submission]) -> None:
        """This session may move nothing any more, but what the gateway said is never thrown away (P6)."""
        said = [
            it.move
            for it in batch
            if isinstance(it.move, Answer) or (isinstance(it.move, Park) and it.move.wait.evidence)
        ]
        for _ in range(_EVIDENCE_TRIES if said else 0):
            try:
                with self._engine.begin() as connection:
                    ground = Ground(
                        connection=connection,
                        session_id=self._session_id,
                        sealer=self._sealer,
                        incarnation=self._incarnation,
                        next_number=0,
                        now=datetime.min,  # noqa: DTZ901 - evidence takes the database's time
                    )
                    append_evidence(ground, said)
            except _REFUSALS:
                continue  # away, or not to be written: the gateway itself is asked by whoever goes on
            return
