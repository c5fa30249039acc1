"""A worker that dies where a test wants it: `python -m tests.crash.dying_worker PLACE N [SIGNAL]`.

The real worker runs; the real methods at the place are wrapped, and at the N-th passing the process sends itself
SIGKILL (or SIGNAL), after a line in the log that says where and with which operation. The worker's own code knows
nothing of this.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, Producer

from db_client.group_commit import GroupCommit
from db_client.journal import Journal
from db_client.moves import Rehome
from db_client.service import DbService
from handlers.gateway.authorizenet.client import AuthorizeNet
from handlers.gateway.authorizenet.gate import Call, Gate
from worker import intake, kafka_admin, parts, publisher
from worker.cli import main as run_the_command_line
from worker.publisher import Publisher

UNDER_WAY_S = 0.15  # how long the bytes of a call have to get to the gateway


@dataclass(slots=True)
class Death:
    """Counts passings; the N-th one is the last thing that happens."""

    place: str
    at: int
    by: int
    passed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def pass_by(self, who: object = "", *, after_s: float = 0.0) -> None:
        """Die, if this is the passing for it."""
        with self.lock:
            self.passed += 1
            if self.passed != self.at:
                return
            if after_s:
                threading.Timer(after_s, self._die, [who]).start()
                return
            self._die(who)

    def _die(self, who: object) -> None:
        name = getattr(who, "operation_id", who)
        os.write(2, f"\nDIES AT {self.place} {name}\n".encode())
        os.kill(os.getpid(), self.by)
        time.sleep(0.2 if self.by == signal.SIGKILL else 0.0)


def _replace(owner: object, name: str, *, by: object) -> None:
    """Put `by` in the place of what is there."""
    setattr(owner, name, by)


def _after(death: Death, owner: type, *, name: str) -> None:
    """The place lies behind this method; with whom it dies is the method's first argument."""
    real = getattr(owner, name)

    async def wrapped(self: object, who: object, *args: object, **kwargs: object) -> Any:
        result = await real(self, who, *args, **kwargs)
        death.pass_by(who)
        return result

    _replace(owner, name, by=wrapped)


def _admitted(death: Death) -> None:
    class Dying(Consumer):
        def commit(self, *args: Any, **kwargs: Any) -> Any:
            death.pass_by()
            return super().commit(*args, **kwargs)

    _replace(intake, "Consumer", by=Dying)


def _opened(death: Death) -> None:
    _after(death, Journal, name="open")


def _under_way(death: Death) -> None:
    passes = Gate.let_pass

    def wrapped(self: Gate, call: Call | None) -> None:
        passes(self, call)
        if call is not None and call.guarded:
            death.pass_by(after_s=UNDER_WAY_S)

    _replace(Gate, "let_pass", by=wrapped)


def _sent(death: Death) -> None:
    _after(death, AuthorizeNet, name="send")


def _answered(death: Death) -> None:
    _after(death, Journal, name="answer")


def _recorded(death: Death) -> None:
    _after(death, DbService, name="record")


def _concluded(death: Death) -> None:
    puts = Publisher.put

    def wrapped(self: Publisher, rows: Any) -> None:
        death.pass_by(rows[0].message.event_id)
        puts(self, rows)

    _replace(Publisher, "put", by=wrapped)


def _kafka_txn(method: str, *, after: bool = False) -> Callable[[Death], None]:
    def arm(death: Death) -> None:
        real = getattr(Producer, method)

        def wrapped(self: Producer, *args: Any) -> None:
            if not after:
                death.pass_by()
            real(self, *args)
            if after:
                death.pass_by()

        _replace(publisher, "Producer", by=type("Dying", (Producer,), {method: wrapped}))

    return arm


def _fenced(death: Death) -> None:
    fences = kafka_admin.fence

    def wrapped(*args: Any, **kwargs: Any) -> int | None:
        mark = fences(*args, **kwargs)
        death.pass_by(kwargs["session_id"])
        return mark

    _replace(parts, "fence", by=wrapped)


def _rehomed(death: Death) -> None:
    writes = GroupCommit.write

    async def wrapped(self: GroupCommit, move: Any) -> Any:
        result = await writes(self, move)
        if isinstance(move, Rehome):
            death.pass_by(move.dead_session)
        return result

    _replace(GroupCommit, "write", by=wrapped)


PLACES: dict[str, Callable[[Death], None]] = {
    "after admit, before the offsets": _admitted,
    "after open, before send": _opened,
    "while the gateway works": _under_way,
    "after send, before answer": _sent,
    "after answer, before record": _answered,
    "after record, before conclude": _recorded,
    "after conclude, before publish": _concluded,
    "inside the kafka_txn, before its offsets": _kafka_txn("send_offsets_to_transaction"),
    "inside the kafka_txn, before its commit": _kafka_txn("commit_transaction"),
    "after the kafka_txn, before the mirror": _kafka_txn("commit_transaction", after=True),
    "inside a take-over, after the fence": _fenced,
    "inside a take-over, after the move": _rehomed,
}


def main() -> None:
    """Arm the place, then be a worker."""
    place, at, by = sys.argv[1], int(sys.argv[2]), signal.SIGKILL
    if len(sys.argv) > 3:
        by = signal.Signals[sys.argv[3]]
    PLACES[place](Death(place, at, by))
    sys.argv = ["run_worker.py", "run"]
    run_the_command_line()


if __name__ == "__main__":
    main()
