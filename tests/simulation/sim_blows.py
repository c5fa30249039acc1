"""The blows of a run as they fall: whom they hit, what they do, and how each of them is over again.

When they fall and which they are is drawn in `sim_faults.py`. All that is drawn here comes from the blow's own chance.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from handlers.domain.errors import SessionOver
from tests.simulation.sim_faults import Blow
from tests.simulation.sim_terms import DEAD_S, LEASE_S
from tests.simulation.sim_worker import SimWorker
from tests.simulation.sim_world import World

_HALF: Final = 0.5
_TURNS: Final = 150  # within so many a process that is to die at a turn dies
_GONE_FOR_GOOD: Final = 0.75
_PROVEN_S: Final = 2.1  # within so much an idle session notices that the journal was put back
_REFUSES: Final = "connection refused"


class Blows:
    """What strikes one run. `begin` starts another worker."""

    def __init__(
        self, world: World, workers: list[SimWorker], *, begin: Callable[[], SimWorker]
    ) -> None:
        self._world = world
        self._workers = workers
        self._begin = begin
        self.struck: list[str] = []

    def strike(self, blow: Blow) -> None:
        """Now."""
        alive = [it for it in self._workers if it.process.runs]
        worker = alive[int(blow.chance * len(alive))] if alive else None
        whom = worker.process.name if worker else "-"
        self._world.tell(f"{blow.what} ({whom}, {blow.for_s:.1f} s)")
        self.struck.append(blow.what)
        if not self._strike_outside(blow) and worker is not None:
            self._strike_worker(worker, blow)

    def _strike_worker(self, worker: SimWorker, blow: Blow) -> None:
        world, loop = self._world, self._world.loop
        match blow.what:
            case "kill":
                self._kill(worker, blow)
            case "kill at a turn":
                worker.process.strike_at = worker.process.turns + 1 + int(blow.chance * _TURNS)
                worker.process.strike = partial(self._kill, worker, blow)
            case "freeze" | "freeze long":
                loop.freeze(worker.process)
                seconds = blow.for_s * (1.0 if blow.what == "freeze long" else 0.3)
                loop.call_later(seconds, loop.wake, worker.process)
            case "freeze at a turn":
                worker.process.strike_at = worker.process.turns + 1 + int(blow.chance * _TURNS)
                worker.process.strike = partial(self._freeze, worker, blow)
            case "leave":
                if worker.session is not None:
                    worker.session.end(SessionOver("told to stop"))
            case "journal cut off":
                if worker.sessions:
                    world.cut_off(worker.session_id)
                    loop.call_later(blow.for_s, world.join_up, worker.session_id)
            case _:
                raise AssertionError(blow.what)

    def _strike_outside(self, blow: Blow) -> bool:
        """Where it hits no worker; False where it does."""
        world, loop = self._world, self._world.loop
        match blow.what:
            case "journal away":
                world.cut_off("")
                loop.call_later(blow.for_s, world.join_up, "")
            case "journal put back":
                self._put_back(blow)
            case "broker away":
                world.kafka.go_away()
                loop.call_later(blow.for_s, self.broker_back)
            case "gateway away":
                world.ledger.away, world.ledger.swallows = _REFUSES, blow.chance < _HALF
                loop.call_later(blow.for_s, self.gateway_back)
            case "db-service away":
                world.service.away = _REFUSES
                loop.call_later(blow.for_s, self.service_back)
            case "settle":
                world.ledger.settle()
            case "merchant":
                self._decide(blow)
            case _:
                return False
        return True

    def _kill(self, worker: SimWorker, blow: Blow) -> None:
        if not worker.process.runs:
            return
        self._world.tell(f"{worker.process.name} dies")
        worker.kill(lands=blow.chance < _HALF)
        others = any(it.process.runs for it in self._workers)
        if not others or blow.chance < _GONE_FOR_GOOD:
            self._world.loop.call_later(blow.for_s * blow.chance, self._begin)

    def _freeze(self, worker: SimWorker, blow: Blow) -> None:
        if worker.process.runs:
            self._world.tell(f"{worker.process.name} stands still")
            self._world.loop.freeze(worker.process)
            self._world.loop.call_later(blow.for_s, self._world.loop.wake, worker.process)

    def _put_back(self, blow: Blow) -> None:
        """A copy is taken now, and put back a little later: what came between is forgotten."""
        world = self._world
        first, taken = world.step(), world.database.snapshot()

        def restore() -> None:
            if not world.database.has(taken):
                return  # an older one was put back meanwhile
            world.database.restore(taken, fail_over=blow.chance < _HALF)
            world.lost.append((first, world.step()))
            world.tell(f"the journal forgets the last {blow.for_s / 2:.1f} s")
            world.stir(_PROVEN_S)
            world.stir(LEASE_S + DEAD_S)

        world.loop.call_later(blow.for_s / 2, restore)

    def _decide(self, blow: Blow) -> None:
        """A person in the merchant interface decides what is held."""
        world = self._world
        rows = [it for it in world.ledger.rows if "Review" in it.status]
        if rows:
            row = rows[int(blow.chance * len(rows))]
            world.merchant.decide(row.transaction_id, approve=blow.chance < _HALF)

    # How they are over

    def broker_back(self) -> None:
        """It is there again."""
        if self._world.kafka.is_away:
            self._world.kafka.come_back()
            self._world.stir(DEAD_S)

    def gateway_back(self) -> None:
        """It answers again."""
        self._world.ledger.away, self._world.ledger.swallows = "", False

    def service_back(self) -> None:
        """It answers again."""
        self._world.service.away = ""

    def heal(self) -> None:
        """All of it is over, at once."""
        self.gateway_back()
        self.service_back()
        self.broker_back()
        for session_id in list(self._world.unheard_since):
            self._world.join_up(session_id)
        for worker in self._workers:
            worker.process.strike_at = 0
            self._world.loop.wake(worker.process)
        if not any(it.process.runs for it in self._workers):
            self._begin()
