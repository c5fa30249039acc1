"""The crew: who finds a place, and that questions and payments do not keep each other out."""

import asyncio
from collections.abc import Collection

from handlers.domain.recovery import Inquiry, Stage
from tests.doubles.values import MIDNIGHT, operation
from tests.doubles.world import World
from tests.waiting import until
from worker.crew import Crew
from worker.telemetry import Metrics

IN_FLIGHT = 4
MOST_WAITING = 1000


def crew_of(world: World, *, healthy: bool = True, unheard: Collection[str] = ()) -> Crew:
    """A crew in this world; `unheard`: operations of whose records Kafka has not heard."""
    return Crew(
        world.house,
        in_flight=IN_FLIGHT,
        most_waiting=MOST_WAITING,
        healthy=lambda: healthy,
        heard=lambda of: of.operation_id not in unheard,
        metrics=Metrics(),
        on_over=lambda _over: None,
        loop=asyncio.get_running_loop(),
    )


async def test_questions_do_not_keep_payments_out() -> None:
    """Hundreds of undecided payments after a bad day leave all the room to new ones."""
    world = World()
    crew = crew_of(world)
    inquiry = Inquiry(0, 0, since=MIDNIGHT, until=MIDNIGHT, now=MIDNIGHT)
    asked = [world.journal.admit(operation(stage=Stage.OPEN, inquiry=inquiry)) for _ in range(100)]
    assert 100 == len(crew.reserve(it.operation_id for it in asked))
    crew.start_reserved(asked)
    assert 2 * IN_FLIGHT == crew.room()
    assert 0 == crew.in_flight
    await crew.drain(grace_s=10)


async def test_there_is_no_room_while_a_neighbour_is_down() -> None:
    """Intake pauses; what is admitted already stays in line and is not sent."""
    world = World()
    crew = crew_of(world, healthy=False)
    of = world.journal.admit(operation())
    crew.take([of])
    await asyncio.sleep(0)
    assert 0 == crew.room()
    assert [of.operation_id] == crew.occupied()
    await crew.drain(grace_s=1)
    assert [] == world.gateway.sent


async def test_nothing_is_sent_before_kafka_has_heard_of_it() -> None:
    """It waits in the crew, keeps nobody else out, and goes as soon as Kafka has heard."""
    world = World()
    early, late = (world.journal.admit(operation()) for _ in range(2))
    unheard = {early.operation_id}
    crew = crew_of(world, unheard=unheard)
    crew.take([early, late])
    await until(lambda: [late.operation_id] == [it.operation_id for it in world.gateway.sent])
    unheard.clear()
    crew.wake()
    await until(lambda: 2 == len(world.gateway.sent))
    await crew.drain(grace_s=10)


async def test_what_waits_is_capped_apart_from_what_runs() -> None:
    """Thousands that wait in the journal crowd out what more is asked, and take no place from what runs."""
    world = World()
    crew = crew_of(world)
    for waiting, crowded in ((MOST_WAITING - 1, False), (MOST_WAITING, True)):
        crew.waiting = waiting
        assert crowded == crew.crowded
        assert 2 * IN_FLIGHT == crew.room()
        assert crew.places() >= 3 * IN_FLIGHT
    await crew.drain(grace_s=10)
    assert 0 == crew.room(), "it is closed"


async def test_what_cannot_be_loaded_is_set_aside_and_costs_no_place() -> None:
    """A missing journal key stops its payments, and neither the others nor the janitor."""
    crew = crew_of(World())
    names = [f"sealed-{number}" for number in range(100)]
    crew.set_aside(crew.reserve(names))
    assert [] == crew.reserve(names)
    assert set(names) <= set(crew.occupied())
    assert 2 * IN_FLIGHT == crew.room()
    await crew.drain(grace_s=1)


async def test_a_payment_is_carried_once_however_often_it_is_handed_over() -> None:
    """Intake and janitor may both hand it over: it runs once."""
    world = World()
    crew = crew_of(world)
    of = world.journal.admit(operation())
    crew.take([of, of])
    crew.take([of])
    for _ in range(50):
        await asyncio.sleep(0)
    await crew.drain(grace_s=10)
    assert 1 == len(world.gateway.sent)
