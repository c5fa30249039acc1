"""A simulated worker process: sessions, one after the other, as `worker/session.py` begins and ends them.

A process that is killed is left where it stands; a session that is over begins anew, as in production. What a session
is made of stands in `sim_session.py`.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from handlers.domain.errors import SessionOver, Unavailable
from tests.simulation.memory_journal_faults import Faults
from tests.simulation.memory_journal_sessions import end_session, start_session
from tests.simulation.sim_process import Process
from tests.simulation.sim_session import Session
from tests.simulation.sim_terms import DEAD_S, GROUP, KAFKA_TXN_S, LEASE_S
from tests.simulation.sim_ways import Ways
from tests.simulation.sim_world import World

_AGAIN_S: Final = 1.0
_A_MOMENT_S: Final = 0.1


@dataclass(slots=True, eq=False)
class SimWorker:
    """One process; `live` is its main task. `skew_s`: how wrong its wall clock is."""

    world: World
    process: Process
    ways: Ways
    faults: Faults
    skew_s: float = 0.0
    sessions: int = 0
    session: Session | None = None

    @property
    def session_id(self) -> str:
        """Of its present session, or its last one; "" where it never had one."""
        return f"{self.process.name}.{self.sessions}" if self.sessions else ""

    def begin(self) -> None:
        """Start the process. Its silence will be noticed when its lease, or its kafka_txn, runs out."""
        self.process.on_silence.append(self._fell_silent)
        self.process.on_wake.append(self._stood_still)
        self.world.loop.spawn(self.process, self.live(), name=self.process.name)

    def kill(self, *, lands: bool) -> None:
        """SIGKILL. `lands`: what is on its way to the journal reaches the disk all the same."""
        self.world.loop.kill(self.process)
        if self.session is not None:
            if not self.session.hears_the_journal or self.world.has_just_woken(self.process.name):
                self.session.be_gone()
            self.session.commits.die(lands=lands)
            self.session.leave()
        now = self.world.now().timestamp()
        for number in range(1, self.sessions + 1):
            self.world.gone_at.setdefault(f"{self.process.name}.{number}", now)

    def _fell_silent(self) -> None:
        world = self.world
        world.stir(LEASE_S + DEAD_S)
        world.loop.call_later(KAFKA_TXN_S + _A_MOMENT_S, world.kafka.end_overdue)

    def _stood_still(self) -> None:
        since_s = self.process.silent_since
        assert since_s is not None
        self.world.silences.append((self.process.name, since_s, self.world.loop.time()))

    async def live(self) -> None:
        """Sessions, one after the other."""
        while True:
            with suppress(Unavailable, SessionOver):
                await self._one_session()
            await self.world.loop.sleep(_AGAIN_S)

    def _wall(self) -> datetime:
        return self.world.now() + timedelta(seconds=self.skew_s)

    async def _one_session(self) -> None:
        world, loop = self.world, self.world.loop
        taken_at = loop.time()
        name = f"{self.process.name}.{self.sessions + 1}"
        started = start_session(world.database, session_id=name, group=GROUP, lease_s=LEASE_S)
        self.sessions += 1
        self.session = session = Session(
            world,
            self.process,
            ways=self.ways,
            faults=self.faults,
            started=started,
            taken_at=taken_at,
            wall=self._wall,
        )
        try:
            await session.run()
        finally:
            self.session = None
            if not session.hears_the_journal:
                session.be_gone()
            session.close()
            with suppress(Unavailable):
                end_session(world.database, session_id=name, why="ended by itself")
            world.stir(DEAD_S)
