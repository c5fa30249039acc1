"""What a thread is to intake and publisher in production, as tasks of a simulated process: they step the turns.

A turn's pauses are awaits here, so a process can be killed or frozen at each of them. Which thread waits for what is
the same as in `worker/turns.py`; that idle ones need not look around every 50 ms is the only difference.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from handlers.domain.errors import SessionOver
from tests.simulation.memory_kafka_consumer import MemoryConsumer
from tests.simulation.sim_nap import TURN, Bell, Nap
from worker.intake import Intake
from worker.publisher import Publisher
from worker.turns import AT_ONCE, Pause

Seconds = Callable[[], float]


async def rest(pause: Pause, *, least_s: float = 0.0) -> None:
    """What the turn asks for."""
    until = pause.until
    if until is not None and not until.done():
        bell = Bell(asyncio.get_running_loop())
        until.add_done_callback(lambda _: bell.ring())
        await bell.heard(pause.seconds)
        return
    seconds = least_s if until is not None else max(pause.seconds, least_s)
    await (asyncio.sleep(seconds) if seconds > 0 else TURN)


def _looks_around(intake: Intake, consumer: MemoryConsumer) -> bool:
    """Whether it has something to do that no news would tell it: a second try, or the end of a pause."""
    offsets, places = intake.offsets, intake._places
    unfinished = places.waiting or intake._paused or offsets._uncommitted or offsets._missed
    return bool(unfinished) or consumer.is_deaf or places.outlived


async def keep_reading(
    intake: Intake, *, idle_s: float = 1.0, step_s: Seconds | None = None
) -> None:
    """The consumer's thread, on the consumer that `intake.connect` makes: a `MemoryConsumer`.

    `idle_s`: how often it looks around while it has something to try again; else it waits for news. `step_s`: how long
    each step between two pauses takes.
    """
    made: Any = intake.connect(intake.properties)
    assert isinstance(made, MemoryConsumer)
    consumer: Any = made  # which it is not by its type: intake's parts name the library's class
    bell = Bell(asyncio.get_running_loop())
    consumer.on_news = bell.ring
    intake.join(consumer)
    try:
        while True:
            has_waited = False
            for pause in intake.turn(consumer):
                has_waited |= pause.until is not None and not pause.until.done()
                if step_s is None and pause is AT_ONCE and not consumer.owes_s:
                    await TURN
                else:
                    took_s = 0.0 if step_s is None else step_s()
                    await rest(pause, least_s=max(took_s, consumer.owes_s))
            if consumer.is_drained and not has_waited:
                await bell.heard(idle_s if _looks_around(intake, made) else None)
            else:
                await (TURN if step_s is None else asyncio.sleep(step_s()))
    except SessionOver as over:
        intake.on_over(over)
        consumer.close()


async def keep_publishing(
    publisher: Publisher,
    bell: Bell,
    *,
    gather_s: float = 0.004,
    step_s: Seconds | None = None,
) -> None:
    """The producer's thread. Whoever calls `publisher.put` rings the bell. The publisher has its identity already."""
    loop = asyncio.get_running_loop()
    try:
        while True:
            while not publisher.waiting:
                await bell.heard()
            await Nap(loop, loop.time() + gather_s)
            for pause in publisher.turn():
                if pause is AT_ONCE and step_s is None:
                    await TURN
                else:
                    await rest(pause, least_s=0.0 if step_s is None else step_s())
    except SessionOver as over:
        publisher._on_over(over)
