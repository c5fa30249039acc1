"""One run of the simulation: a seed in, what the auditor found out. The same seed is the same run, everywhere.

Commands and blows fall first; then all heals, and the run goes on until everything is at rest, or for as long as nobody
would wait for that any more.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final

from tests.simulation.auditor import audit
from tests.simulation.auditor_books import Books, Violation
from tests.simulation.sim_blows import Blows
from tests.simulation.sim_books import books
from tests.simulation.sim_faults import JournalDice, KafkaDice, Mix, mix
from tests.simulation.sim_load import POISON_TOPIC, Cue, Load, load
from tests.simulation.sim_loop import LivelockError
from tests.simulation.sim_quiet import silence
from tests.simulation.sim_rest import unrest
from tests.simulation.sim_ways import SOUND, Plan
from tests.simulation.sim_worker import SimWorker
from tests.simulation.sim_world import World

COMMANDS: Final = 20
_CALM_S: Final = 2.0  # from the last command and the last blow until all heals
_STEP_S: Final = 5.0
_RESTS_WITHIN_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run. `commands`: how many were asked; `story`: what happened, in simulated seconds."""

    seed: int
    commands: int
    violations: tuple[Violation, ...]
    story: tuple[tuple[float, str], ...]
    sends: int
    blows: tuple[str, ...]


class Run:
    """A run in the making. Its world may be looked at before and after."""

    def __init__(self, seed: int, plan: Plan = SOUND) -> None:
        random = Random(seed)
        self.seed = seed
        self.plan = plan
        self.mix: Mix = mix(random)
        self.load: Load = load(random, commands=COMMANDS)
        self.random = Random(random.getrandbits(64))
        self.world = World(
            Random(random.getrandbits(64)),
            self.mix.odds,
            self.mix.record_odds,
            self.mix.rules,
            apply=plan.apply,
        )
        self.journal_dice = JournalDice(self.random, self.mix)
        self.kafka_dice = KafkaDice(self.random, self.mix)
        self.world.kafka.faults = self.kafka_dice
        self.workers: list[SimWorker] = []
        self.books: Books | None = None  # when it is over
        self.blows = Blows(self.world, self.workers, begin=self._begin)

    def play(self) -> Outcome:
        """All of it."""
        world = self.world
        try:
            self._go_through()
            self.books = books(world)
            found = [*self._crashes(), *audit(self.books)]
        except LivelockError as stuck:
            found = [Violation("P8", "", f"time stands still: {stuck}")]
        finally:
            story = tuple(world.story)
            world.loop.close()
        return Outcome(
            self.seed,
            len(world.asked),
            tuple(found),
            story,
            len(world.ledger.sends),
            tuple(self.blows.struck),
        )

    def _go_through(self) -> None:
        world, loop = self.world, self.world.loop
        for order in self.load.orders:
            world.service.keep(order)
            world.orders[order.order_id] = order.money.amount_minor
        for _ in range(self.mix.workers):
            self._begin()
        heals_s = 0.0
        for cue in self.load.cues:
            loop.call_at(cue.at_s, self._publish, cue)
            heals_s = max(heals_s, cue.at_s)
        for blow in self.mix.blows:
            loop.call_at(blow.at_s, self.blows.strike, blow)
            heals_s = max(heals_s, blow.at_s + blow.for_s)
        loop.run_for(heals_s + _CALM_S)
        self._heal()
        until_s = loop.time() + _RESTS_WITHIN_S
        why = "whoever stood still has just woken up"
        while why and loop.time() < until_s:
            loop.run_for(_STEP_S)
            why = unrest(world)
        world.tell(f"not at rest: {why}" if why else "at rest")

    def _begin(self) -> SimWorker:
        process = self.world.loop.process(f"w{len(self.workers) + 1}")
        skew_s = self.mix.skew_s * self.random.random()
        worker = SimWorker(self.world, process, self.plan.ways, self.journal_dice, skew_s=skew_s)
        self.workers.append(worker)
        worker.begin()
        return worker

    def _publish(self, cue: Cue) -> None:
        world = self.world
        world.kafka.when_back(
            partial(world.ask, cue.command)
            if cue.command is not None
            else partial(world.publish, POISON_TOPIC, cue.key, value=b"?")
        )

    def _heal(self) -> None:
        world = self.world
        self.journal_dice.over = self.kafka_dice.over = True
        self.blows.heal()
        world.calm_down()
        world.faults_ended_at = world.now().timestamp()
        world.tell("all heals")

    def _crashes(self) -> list[Violation]:
        return [
            Violation("crash", "", f"{process.name}: {task.get_name()}: {task.exception()!r}")
            for process, task in self.world.loop.crashed()
        ]


@contextmanager
def prepared(plan: Plan) -> Iterator[None]:
    """What runs of this plan need around them: no logs, no collections in between, and what was planted."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        with silence(), plan.planted():
            yield
    finally:
        if was_on:
            gc.enable()


def run(seed: int, plan: Plan = SOUND) -> Outcome:
    """Play the run of `seed`."""
    with prepared(plan):
        return Run(seed, plan).play()
