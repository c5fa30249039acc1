"""When a run is over: nothing is under way any more, and what still waits may wait for ever. Judges nothing."""

from typing import Final

from handlers.domain.commands import Kind
from handlers.domain.recovery import Stage
from handlers.domain.states import PaymentState, RequestState
from tests.simulation.memory_journal_rows import OperationRow
from tests.simulation.sim_process import State
from tests.simulation.sim_terms import COMMAND_TOPICS
from tests.simulation.sim_world import World

_ASKED_OFTEN: Final = 4  # from then on a person must say
_UNDECIDED: Final = frozenset({PaymentState.REQUESTED, PaymentState.UNKNOWN})


def unrest(world: World) -> str:
    """Why the run must go on; "" where it is at rest."""
    if any(it.state is State.FROZEN for it in world.loop.processes):
        return "a process is frozen"
    for row in world.database.operations.values():
        if not _rests(row):
            return f"{row.operation_id} is {row.stage.value}: {row.why}"
    if not _all_is_read(world):
        return "commands are unread"
    return _left_behind(world) or _on_its_way(world)


def _rests(row: OperationRow) -> bool:
    match row.stage:
        case Stage.CONCLUDED | Stage.DEFERRED:
            return True
        case Stage.ASKING:
            return _is_asked_for_ever(row)
        case Stage.ADMITTED | Stage.QUEUED:
            return _waits_for_a_person(row)
        case _:
            return False


def _is_asked_for_ever(row: OperationRow) -> bool:
    """What is held, and refunds that no list shows: somebody has to say."""
    if row.request is None:
        payment = row.folder.payment
        return payment is not None and payment.known.state not in _UNDECIDED
    if row.request.state is not RequestState.UNKNOWN:
        return True
    return row.kind is Kind.REFUND and row.asked >= _ASKED_OFTEN


def _waits_for_a_person(row: OperationRow) -> bool:
    """A refund that may have left in lost time, and whatever stands behind what rests."""
    if row.suspect and row.asked > _ASKED_OFTEN:
        return True
    payment = row.folder.payment
    if row.stage is not Stage.QUEUED or payment is None or payment.held_by is None:
        return False
    return any(
        it.operation_id == payment.held_by and it.stage is not Stage.CONCLUDED and _rests(it)
        for it in row.folder.operations
    )


def _all_is_read(world: World) -> bool:
    """Whether the journal has come to the end of every partition."""
    positions = world.database.positions
    for name in COMMAND_TOPICS:
        topic = world.kafka.topics[name]
        for partition in topic.partitions:
            if partition.log:
                row = positions.get((topic.topic_id, partition.number))
                if partition.read(row.next_offset if row else 0, 1)[0]:
                    return False
    return True


def _left_behind(world: World) -> str:
    """What a session that is gone owns still, or a living one has not told yet."""
    database = world.database
    for name, row in database.sessions.items():
        estate = database.estates.get(name)
        if estate is None or row.rehomed_at is not None:
            continue
        if estate.unpublished(row.watermark):
            return f"{name} has not told everything"
        if estate.unfinished and name not in world.alarms:
            return f"{name} was not taken over"
    return ""


def _on_its_way(world: World) -> str:
    """Requests that still travel to the gateway or to the db-service."""
    soon = world.soon()
    for what, part in (("gateway", world.ledger), ("db-service", world.service)):
        part.run()
        if part.is_expecting(soon):
            return f"something is on its way to the {what}"
    return ""
