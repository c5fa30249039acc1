"""The steps of a rebuild that ask other servers: how far Kafka goes, waiting for the workers, recording once more.

What is marked and counted in the journal stands in `db_client/rebuilding.py`, the order of the steps and every text in
`commands/rebuild.py`. Nothing here sends anything to the gateway: that is for the workers alone.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from db_client.database import Engine
from db_client.rebuild_rows import Left, Reach, Rebuild
from db_client.rebuilding import left
from db_client.service import DbService
from db_client.told_again import Told, told_since
from handlers.domain.errors import Unavailable
from handlers.ports import Recorded
from worker import wiring
from worker.config import Settings
from worker.kafka_admin import extents, open_admin

_LOOK_S: Final = 1.0
_TELL_S: Final = 5.0


def reaches(settings: Settings) -> list[Reach]:
    """What can have been read of each partition of the command topics until now. Raises Unavailable."""
    properties = settings.kafka_properties()
    facts = open_admin(properties).describe(wiring.topics(settings).commands)
    return [
        Reach(it.topic, facts[it.topic].topic_id, it.partition, it.first, it.end)
        for it in extents(properties, facts)
    ]


def wait(
    engine: Engine,
    of: Rebuild,
    *,
    seconds: float | None,
    tell: Callable[[Left | Unavailable], None],
) -> Left | None:
    """Wait until everything is read and answered for; None where that took longer than `seconds`.

    `tell` hears how it stands every few seconds. A journal that is away for a while ends nothing.
    """
    ends_at = None if seconds is None else time.monotonic() + seconds
    told_at = float("-inf")
    while True:
        try:
            stands: Left | Unavailable = left(engine, of)
        except Unavailable as unavailable:
            stands = unavailable
        if isinstance(stands, Left) and stands.nothing:
            return stands
        now = time.monotonic()
        over = ends_at is not None and now >= ends_at
        if over or now >= told_at + _TELL_S:
            told_at = now
            tell(stands)
        if over:
            return None
        time.sleep(_LOOK_S if ends_at is None else max(0.0, min(_LOOK_S, ends_at - now)))


@dataclass(slots=True)
class Tally:
    """What was recorded again. `kept`: it is there newer, or in other words. `refused`: which are not, and why."""

    recorded: int = 0
    kept: int = 0
    refused: list[str] = field(default_factory=list)


async def record_again(
    settings: Settings, engine: Engine, *, of: Rebuild, tell: Callable[[Tally], None]
) -> Tally:
    """Record once more what was told since then; `tell` hears how far it came, portion by portion. Raises Unavailable.

    It may be broken off and begun anew: what is there already is nothing new there.
    """
    service, tally = wiring.records(settings), Tally()
    try:
        for portion in told_since(engine, of.counts_from):
            failed = await _recorded(service, portion, tally=tally)
            again = [it for it, _ in failed]
            for it, why in await _recorded(service, again, tally=tally):
                tally.refused.append(f"{it.operation.operation_id}: {why.why}")
            tell(tally)
    finally:
        await service.aclose()
    return tally


async def _recorded(
    service: DbService, portion: Sequence[Told], *, tally: Tally
) -> list[tuple[Told, Unavailable]]:
    """Record these at once, in the client's batches; what failed while the db-service as such answers."""
    ends = await asyncio.gather(*(_record(service, it) for it in portion))
    failed = []
    for it, end in zip(portion, ends, strict=True):
        if isinstance(end, Unavailable):
            failed.append((it, end))
        elif end:
            tally.recorded += 1
        else:
            tally.kept += 1
    if failed and not service.available:
        raise failed[0][1]
    return failed


async def _record(service: DbService, told: Told) -> bool | Unavailable:
    """Whether it stands there as it was told now."""
    try:
        if told.if_unknown and await service.recorded(told.operation) is not Recorded.NOTHING:
            return False
        ahead = await service.record(told.operation.snapshot, occurred_at=told.occurred_at)
    except Unavailable as unavailable:
        return unavailable
    return told.if_unknown or ahead is None
