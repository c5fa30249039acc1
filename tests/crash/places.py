"""How a worker is made to die at a station: the real methods there are wrapped. No station's meaning stands here.

The worker's own code knows nothing of this. An operation is known by the name of its lane's task, which is its id; a
record by the id that stands in it.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

import psycopg
from confluent_kafka import Producer

from db_client.group_commit import GroupCommit
from db_client.journal import Journal
from db_client.moves import Admit, Gather, Numbered, Rehome
from db_client.service import DbService
from db_client.takeovers import Sessions
from handlers.domain.verdicts import Unsent
from handlers.gateway.authorizenet.client import AuthorizeNet
from handlers.gateway.authorizenet.gate import Call, Gate
from tests.crash.stations import Station
from worker import kafka_admin, parts, publisher
from worker.intake import Intake
from worker.publisher import Publisher
from worker.walking import Walker

UNDER_WAY_S: Final = 0.15  # how long the bytes of a call have to get to the gateway
_OWNERS: Final = "SELECT operation_id, session_id FROM operation WHERE stage <> 'concluded'"


@dataclass(slots=True)
class Death:
    """Counts passings; the `at`-th one is the last thing that happens.

    `of`: patterns of the operation ids that are meant; without them everything is. `once`: an operation that must have
    begun before (its call has left, or, of a verification, it is admitted); a station inside the finder waits for it.
    """

    place: str
    at: int = 1
    by: int = signal.SIGKILL
    of: tuple[str, ...] = ()
    once: str = ""
    passed: int = 0
    begun: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def meet(self, names: Iterable[str], *, after_s: float = 0.0) -> None:
        """Die, if one of these is meant and this is the passing for it."""
        name = self.meant(names)
        if name is None:
            return
        with self.lock:
            self.passed += 1
            if self.passed != self.at:
                return
            if not after_s:
                self._die(name)
                return
        # By the loop that writes the bytes: however busy it is, they have left before.
        loop = asyncio.get_running_loop()
        loop.call_later(after_s, loop.call_soon, self._die, name)

    def meant(self, names: Iterable[str]) -> str | None:
        """The first of `names` that is meant."""
        if not self.of:
            return next(iter(names), "")
        return next((it for it in names if any(fnmatchcase(it, one) for one in self.of)), None)

    def told_by(self, rows: Iterable[Numbered]) -> list[str]:
        """What these rows tell of: the operations that are meant, else their events."""
        if not self.of:
            return [row.message.event_id for row in rows]
        values = [row.message.value or b"" for row in rows]
        return [it for it in self.of if any(_tells_of(it, value) for value in values)]

    def left_by(self, session_id: str) -> list[str]:
        """What of a session a take-over is about: its operations that are meant, else the session."""
        if not self.of:
            return [session_id]
        return [name for name, owner in _owners().items() if owner == session_id]

    async def when_begun(self) -> None:
        """Return when the other operation has begun. Says that it waits: then a test may ask for it."""
        if not self.once:
            return
        if not self.begun.is_set():
            os.write(2, f"\nWAITS AT {self.place}\n".encode())
        await asyncio.to_thread(self.begun.wait)
        await asyncio.sleep(UNDER_WAY_S)

    def _die(self, name: str) -> None:
        os.write(2, f"\nDIES AT {self.place} {name}\n".encode())
        os.kill(os.getpid(), self.by)
        time.sleep(0.2 if self.by == signal.SIGKILL else 0.0)


def arm(death: Death) -> None:
    """Wrap what is at the place."""
    if death.once:
        _watch(death)
    ARMS[Station(death.place)](death)


def _owners() -> dict[str, str]:
    """Operation → session, of all that is not concluded."""
    with psycopg.connect(os.environ["WORKER_JOURNAL_URL"]) as connection:
        return dict(connection.execute(_OWNERS).fetchall())


def _tells_of(operation_id: str, value: bytes) -> bool:
    return operation_id.partition(":")[2].encode() in value


def _doing() -> str:
    """The operation of the lane that runs just now."""
    task = asyncio.current_task()
    return task.get_name() if task is not None else ""


def _replace(owner: object, name: str, *, by: object) -> None:
    """Put `by` in the place of what is there."""
    setattr(owner, name, by)


def _watch(death: Death) -> None:
    passes, commits = Gate.let_pass, Intake._commit_offsets

    def let_pass(self: Gate, call: Call | None) -> None:
        passes(self, call)
        if _doing() == death.once:
            death.begun.set()

    def commit_offsets(self: Intake, *told: Any) -> None:
        commits(self, *told)
        move: Admit = told[1]
        admitted = {it.command.operation_id for it in move.admissions}
        if death.once in admitted and death.once.startswith("verification:"):
            death.begun.set()

    _replace(Gate, "let_pass", by=let_pass)
    _replace(Intake, "_commit_offsets", by=commit_offsets)


def _lane(owner: type, *names: str, before: bool = False) -> Callable[[Death], None]:
    """The place lies behind these methods of a lane, or in front of them."""

    def wrap(death: Death, name: str) -> None:
        real = getattr(owner, name)

        async def wrapped(self: object, *args: object, **kwargs: object) -> Any:
            if before:
                death.meet([_doing()])
            result = await real(self, *args, **kwargs)
            if not before:
                death.meet([_doing()])
            return result

        _replace(owner, name, by=wrapped)

    def armed(death: Death) -> None:
        for name in names:
            wrap(death, name)

    return armed


def _offsets(*, committed: bool) -> Callable[[Death], None]:
    def armed(death: Death) -> None:
        commits = Intake._commit_offsets

        def wrapped(self: Intake, *told: Any) -> None:
            move: Admit = told[1]
            names = [it.command.operation_id for it in move.admissions]
            if not committed:
                death.meet(names)
            commits(self, *told)
            if committed:
                death.meet(names)

        _replace(Intake, "_commit_offsets", by=wrapped)

    return armed


def _under_way(death: Death) -> None:
    """A call of the operation that is meant has left: what moves money, or the look of a verification."""
    passes = Gate.let_pass

    def wrapped(self: Gate, call: Call | None) -> None:
        passes(self, call)
        if call is not None and (call.guarded or _doing().startswith("verification:")):
            death.meet([_doing()], after_s=UNDER_WAY_S)

    _replace(Gate, "let_pass", by=wrapped)


def _sent(death: Death) -> None:
    sends = AuthorizeNet.send

    async def wrapped(self: AuthorizeNet, intent: Any) -> Any:
        answer = await sends(self, intent)
        if not isinstance(
            answer.verdict, Unsent
        ):  # on a busy machine the gate may find the lease too short
            death.meet([_doing()])
        return answer

    _replace(AuthorizeNet, "send", by=wrapped)


def _asking(death: Death) -> None:
    finds = AuthorizeNet.find

    async def wrapped(self: AuthorizeNet, question: Any) -> Any:
        if death.meant([_doing()]) is not None:
            await death.when_begun()
            death.meet([_doing()], after_s=UNDER_WAY_S)
        return await finds(self, question)

    _replace(AuthorizeNet, "find", by=wrapped)


def _gathered(death: Death) -> None:
    writes = GroupCommit.write

    async def wrapped(self: GroupCommit, move: Any) -> Any:
        if not isinstance(move, Gather):
            return await writes(self, move)
        before = await asyncio.to_thread(_owners)
        result = await writes(self, move)
        after = await asyncio.to_thread(_owners)
        mine = {name for name, owner in after.items() if owner == self._session_id}
        death.meet(
            sorted(it for it in mine if before.get(it, self._session_id) != self._session_id)
        )
        return result

    _replace(GroupCommit, "write", by=wrapped)


def _walking(death: Death) -> None:
    asks = Walker._ask

    async def wrapped(self: Walker, verifications: Any) -> int:
        count = await asks(self, verifications)
        names = [it.operation_id for it in verifications]
        if names and death.meant(names) is not None:
            await death.when_begun()
            death.meet(names)
        return count

    _replace(Walker, "_ask", by=wrapped)


def _concluded(death: Death) -> None:
    puts = Publisher.put

    def wrapped(self: Publisher, rows: Any) -> None:
        told = death.told_by(rows)
        if told:
            death.meet(told)
        puts(self, rows)

    _replace(Publisher, "put", by=wrapped)


def _kafka_txn(method: str, *, after: bool = False) -> Callable[[Death], None]:
    """The place lies before `method` of a kafka_txn that tells of what is meant, or behind it."""

    def armed(death: Death) -> None:
        real = getattr(Producer, method)

        class Dying(Producer):
            told: list[str]

            def begin_transaction(self) -> None:
                super().begin_transaction()
                self.told = [""] if not death.of else []

            def produce(self, topic: str, *args: Any, **kwargs: Any) -> None:
                super().produce(topic, *args, **kwargs)
                self.told += [it for it in death.of if _tells_of(it, args[0] or b"")]

        def wrapped(self: Dying, *args: Any) -> None:
            if self.told and not after:
                death.meet(self.told)
            real(self, *args)
            if self.told and after:
                death.meet(self.told)

        _replace(Dying, method, by=wrapped)
        _replace(publisher, "Producer", by=Dying)

    return armed


def _ended(death: Death) -> None:
    ends = Sessions.end_if_expired

    def wrapped(self: Sessions, session_id: str) -> bool:
        left = death.left_by(session_id)
        ended = ends(self, session_id)
        if ended:
            death.meet(left)
        return ended

    _replace(Sessions, "end_if_expired", by=wrapped)


def _fenced(death: Death) -> None:
    fences = kafka_admin.fence

    def wrapped(*args: Any, **kwargs: Any) -> int | None:
        mark = fences(*args, **kwargs)
        death.meet(death.left_by(kwargs["session_id"]))
        return mark

    _replace(parts, "fence", by=wrapped)


def _moved(death: Death) -> None:
    writes = GroupCommit.write

    async def wrapped(self: GroupCommit, move: Any) -> Any:
        if not isinstance(move, Rehome):
            return await writes(self, move)
        left = await asyncio.to_thread(death.left_by, move.dead_session)
        result = await writes(self, move)
        death.meet(left)
        return result

    _replace(GroupCommit, "write", by=wrapped)


def _planned(death: Death) -> None:
    """Before the intent; before the answer where nothing is sent."""
    _lane(Journal, "open", "answer", before=True)(death)


ARMS: Final[dict[Station, Callable[[Death], None]]] = {
    Station.ADMITTED: _offsets(committed=False),
    Station.OFFSETS: _offsets(committed=True),
    Station.PLANNED: _planned,
    Station.OPENED: _lane(Journal, "open"),
    Station.UNDER_WAY: _under_way,
    Station.SENT: _sent,
    Station.ANSWERED: _lane(Journal, "answer"),
    Station.RECORDED: _lane(DbService, "record"),
    Station.CONCLUDED: _concluded,
    Station.PRODUCED: _kafka_txn("send_offsets_to_transaction"),
    Station.UNCOMMITTED: _kafka_txn("commit_transaction"),
    Station.COMMITTED: _kafka_txn("commit_transaction", after=True),
    Station.ASKING: _asking,
    Station.GATHERED: _gathered,
    Station.WALKING: _walking,
    Station.ENDED: _ended,
    Station.FENCED: _fenced,
    Station.MOVED: _moved,
}
