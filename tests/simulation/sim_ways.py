"""How simulated workers are made: as they are, or with a planted bug, which changes one of these small things."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

from db_client.moving import Limits
from handlers.passage import House
from handlers.ports import Rules
from tests.simulation.memory_gateway import DoorSettings, MemoryGateway
from tests.simulation.memory_journal_moving import APPLY, Apply
from tests.simulation.memory_journal_sessions import MemorySessions
from tests.simulation.sim_commits import SimCommits
from tests.simulation.sim_rounds import SimFinder, SimJanitor
from tests.simulation.sim_terms import DOOR, LIMITS, RULES
from worker.crew import Crew
from worker.intake import Intake
from worker.offsets import Offsets
from worker.publisher import Publisher


def _as_it_is(house: House) -> House:
    return house


@dataclass(frozen=True, slots=True)
class Ways:
    """The settings and the classes of a worker's parts; `house`: what becomes of the things the passage works with."""

    limits: Limits = LIMITS
    door: DoorSettings = DOOR
    rules: Rules = RULES
    crew: type[Crew] = Crew
    janitor: type[SimJanitor] = SimJanitor
    finder: type[SimFinder] = SimFinder
    publisher: type[Publisher] = Publisher
    intake: type[Intake] = Intake
    offsets: type[Offsets] = Offsets
    gateway: type[MemoryGateway] = MemoryGateway
    commits: type[SimCommits] = SimCommits
    sessions: type[MemorySessions] = MemorySessions
    house: Callable[[House], House] = _as_it_is


@dataclass(frozen=True, slots=True)
class Plan:
    """Workers and their journal. `planted`: what holds for as long as a run lasts, and is surely undone then."""

    ways: Ways = field(default_factory=Ways)
    apply: Mapping[type[Any], Apply] = field(default_factory=lambda: APPLY)
    planted: Callable[[], AbstractContextManager[object]] = nullcontext


SOUND: Final = Plan()
