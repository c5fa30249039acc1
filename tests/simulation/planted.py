"""Planted bugs: the proof that the simulation would find them. Each is a `Plan` that differs in one small place.

Where a promise is kept by two nets (the worker's own rule and a constraint of the database), both have a hole here: it
is the promise that is watched, not the net. What is swapped in a module is put back when the run is over. No bug knows
seeds or the auditor. The table `BUGS` stands at the end; the sixteen of issue 5 come first, in its order.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from types import MappingProxyType, SimpleNamespace
from typing import Any, Final

from db_client.moves import Admit, Admitted, Answer, Park
from handlers import charge, passage, plans
from handlers.domain.commands import InitiatePayment
from handlers.domain.intents import About, Charge, Intent
from handlers.domain.payments import News, Payment
from handlers.domain.recovery import Inquiry, Stage
from handlers.domain.states import Fact
from handlers.domain.verdicts import Answer as Heard
from handlers.domain.verdicts import Declined, Unknown
from handlers.passage import House
from handlers.ports import Lost
from tests.simulation import (
    memory_gateway_rules,
    memory_journal_opening,
    memory_journal_progress,
    memory_journal_takeover,
)
from tests.simulation.memory_gateway import MemoryGateway
from tests.simulation.memory_gateway_ledger import Ledger, Row
from tests.simulation.memory_gateway_rules import Reply, reason
from tests.simulation.memory_journal_ground import MemoryGround, RefusedError
from tests.simulation.memory_journal_moving import APPLY, Apply
from tests.simulation.memory_journal_opening import Wish
from tests.simulation.memory_journal_rows import OperationRow
from tests.simulation.memory_journal_sessions import MemorySessions
from tests.simulation.memory_records import MemoryRecords
from tests.simulation.sim_commits import SimCommits
from tests.simulation.sim_terms import DOOR
from tests.simulation.sim_ways import Plan, Ways
from worker.intake import Intake
from worker.offsets import Offsets
from worker.placing import Places
from worker.turns import AT_ONCE, Turn

_BLOCK: Final = 4  # outbox numbers that change places with the next so many


@contextmanager
def _swapped(*parts: tuple[Any, str, Any]) -> Iterator[None]:
    """For as long as it lasts, each `(owner, name, value)` holds."""
    before = [(owner, name, vars(owner)[name]) for owner, name, _ in parts]
    try:
        for owner, name, value in parts:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def _with(**applies: Callable[[Apply], Apply]) -> Mapping[type[Any], Apply]:
    """The journal's table with some moves done otherwise."""
    wrapped = {
        kind: applies[kind.__name__](do) for kind, do in APPLY.items() if kind.__name__ in applies
    }
    return MappingProxyType({**APPLY, **wrapped})


# 1: sent, and only then written


class _Hasty:
    """Gateway and journal of one worker: the intent is sent when it should be written, and written behind that."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._answers: dict[str, Heard] = {}

    def __getattr__(self, name: str) -> Any:
        of = self._house.gateway
        return getattr(of if hasattr(of, name) else self._house.journal, name)

    async def open(self, operation: Any, *, intent: Intent, frozen: Any) -> Any:
        """Sends it first."""
        self._answers[intent.operation_id] = await self._house.gateway.send(intent)
        return await self._house.journal.open(operation, intent=intent, frozen=frozen)

    async def send(self, intent: Intent) -> Heard:
        """What was heard already."""
        return self._answers.pop(intent.operation_id)


def _hasty(house: House) -> House:
    hasty: Any = _Hasty(house)
    return replace(house, gateway=hasty, journal=hasty)


# 2: the position moves before what was read is written


class _Forward(Intake):
    def _admitted(self, consumer: Any, move: Admit) -> Turn[Admitted | None]:
        if move.positions:
            yield from self._await(
                consumer, self.journal.admit(replace(move, admissions=[], dead_letters=[]))
            )
            yield AT_ONCE
            move = replace(move, positions={})
        return (yield from super()._admitted(consumer, move))


# 3: silence is a no


def _judge_silence(operation: Any, verdict: Any, **about: Any) -> News:
    if isinstance(verdict, Unknown):
        return News(fact=Fact.DECLINED, reason=verdict.reason)
    return charge.judge(operation, verdict, **about)


@contextmanager
def _silence_is_no() -> Iterator[None]:
    table: Any = plans._VERBS
    table[InitiatePayment] = SimpleNamespace(**vars(charge) | {"judge": _judge_silence})
    try:
        yield
    finally:
        table[InitiatePayment] = charge


# 4: what was not heard is sent again


class _Stubborn(MemoryGateway):
    async def send(self, intent: Intent) -> Heard:
        """Twice, where the first is not heard."""
        answer = await super().send(intent)
        if isinstance(intent, Charge) and isinstance(answer.verdict, Unknown):
            return await super().send(intent)
        return answer


# 6: a take-over leaves the token as it is, and nothing else tells old and new owners apart


def _keeping_tokens(do: Apply) -> Apply:
    def applied(ground: MemoryGround, move: Any) -> Any:
        before = {name: row.token for name, row in ground.database.operations.items()}
        result = do(ground, move)
        for name, row in ground.database.operations.items():
            row.token = before[name]
        return result

    return applied


def _mine_by_token(ground: MemoryGround, of: Any) -> OperationRow | None:
    row = ground.database.operations.get(of.operation_id)
    return row if row is not None and row.token == of.token and row.stage is of.stage else None


# 7: what the dead one had told is told again


def _from_the_start(do: Apply) -> Apply:
    return lambda ground, move: do(ground, replace(move, watermark=0))


# 8: numbers are not drawn in the order of the commits


def _drawn_early(ground: MemoryGround) -> int:
    taken = ground.next_number
    ground.next_number = taken + 1
    return taken ^ _BLOCK


# 9: only what went back counts, not what is on its way


def _free_of_open_ones(payment: Payment) -> int:
    return payment.captured_minor - payment.refunded_minor


def _lawful_but_for_open_ones(known: Payment) -> None:
    if known.captured_minor + known.capturing_minor > known.authorised_minor:
        raise RefusedError("check constraint ck_payment_captured_within_authorised is violated")


# 10: whoever is not me is dead


class _Grabbing(MemorySessions):
    def dead(self) -> list[str]:
        """Everybody else."""
        self.database.insist(self.me)
        rows = self.database.sessions.values()
        return [it.session_id for it in rows if it.session_id != self.me and it.rehomed_at is None]

    def end_if_expired(self, session_id: str) -> bool:
        """Expired or not."""
        row = self.database.sessions[session_id]
        self.database.touch(row)
        row.ended_at = row.ended_at or self.database.begin()
        return True


# 11: "a duplicate" is heard as a no


def _declined_as_duplicate(ledger: Ledger, original: Row, *, about: About) -> Reply:
    del ledger
    return Reply("11", Declined(reason("11", about)), original)


# 12: what is known already is admitted once more


def _forgetful(do: Apply) -> Apply:
    def applied(ground: MemoryGround, move: Admit) -> Any:
        for admission in move.admissions:
            row = ground.database.operations.get(admission.command.operation_id)
            if row is not None and row.stage is Stage.CONCLUDED:
                ground.database.touch(row)
                del ground.database.operations[row.operation_id]
                row.folder.operations.remove(row)
                for attempt in row.attempts:
                    ground.database.invoices.pop(attempt.invoice_number, None)
        return do(ground, move)

    return applied


# 13: one scan is proof enough


def _absent_at_once(inquiry: Inquiry, *, complete: bool, absence_after_s: float) -> bool:
    del inquiry, absence_after_s
    return complete


# 14: who may move nothing any more keeps nothing


class _Careless(SimCommits):
    def _keep_evidence(self, move: Any) -> None:
        """Thrown away."""


def _only_if_ours(do: Apply) -> Apply:
    def applied(ground: MemoryGround, move: Answer | Park) -> Any:
        return Lost() if ground.mine(move.operation) is None else do(ground, move)

    return applied


# 15: nothing is suspect, however much was forgotten


def _trusting(do: Apply) -> Apply:
    def applied(ground: MemoryGround, move: Admit) -> Any:
        trusted = [replace(it, suspect=False) for it in move.admissions]
        return do(ground, replace(move, admissions=trusted))

    return applied


def _take_as_it_is(ground: MemoryGround, row: OperationRow, **how: Any) -> None:
    memory_journal_takeover_take(ground, row, **how | {"lost_time": False})


memory_journal_takeover_take: Final = memory_journal_takeover.take

# 16: an order is everybody's


def _wish_granted(ground: MemoryGround, order_id: str, *, payment_id: str, **paid: int) -> Wish:
    del ground, paid
    return Wish(order_id, payment_id, holder=payment_id)


# 17, 18: beyond those of the issue


async def _unrecorded(records: MemoryRecords, told: Any, *, occurred_at: Any) -> None:
    del records, told, occurred_at


def _never_queued(ground: MemoryGround, payment_id: str) -> bool:
    del ground, payment_id
    return False


# 19 to 21: what only a journal that is put back in time under living workers shows


class _Eager(Offsets):
    def heard(self, of: Any) -> bool:
        """It goes at once, though Kafka may not know that it was read."""
        del of
        return True


def _admitted_all_the_same(judged: Apply) -> Apply:
    def applied(ground: MemoryGround, move: Admit) -> Any:
        return judged(ground, replace(move, judged_under=frozenset()))

    return applied


def _at_once(ground: MemoryGround, move: Park) -> bool:
    del ground, move
    return False


def _planted(*parts: tuple[Any, str, Any]) -> Callable[[], AbstractContextManager[object]]:
    return partial(_swapped, *parts)


BUGS: Final[Mapping[str, Plan]] = MappingProxyType(
    {
        "send before open": Plan(Ways(house=_hasty)),
        "offsets before admit": Plan(Ways(intake=_Forward)),
        "unknown treated as failed": Plan(planted=_silence_is_no),
        "a second send of a charge": Plan(Ways(gateway=_Stubborn)),
        "lease not checked at the gate": Plan(Ways(door=replace(DOOR, checks_lease=False))),
        "token not raised at take-over": Plan(
            apply=_with(Rehome=_keeping_tokens, Gather=_keeping_tokens),
            planted=_planted((MemoryGround, "mine", _mine_by_token)),
        ),
        "watermark ignored at take-over": Plan(apply=_with(Rehome=_from_the_start)),
        "outbox numbers not in commit order": Plan(
            planted=_planted((MemoryGround, "number", _drawn_early))
        ),
        "refund sum without the open ones": Plan(
            planted=_planted(
                (Payment, "refundable_minor", property(_free_of_open_ones)),
                (memory_journal_opening, "insist_lawful", _lawful_but_for_open_ones),
                (memory_journal_progress, "insist_lawful", _lawful_but_for_open_ones),
            )
        ),
        "janitor that takes live operations": Plan(Ways(sessions=_Grabbing)),
        "duplicate reply taken as decline": Plan(
            planted=_planted((memory_gateway_rules, "_repeated", _declined_as_duplicate))
        ),
        "missing dedup on admit": Plan(apply=_with(Admit=_forgetful)),
        "absence believed after one scan": Plan(
            planted=_planted((passage, "absent", _absent_at_once))
        ),
        "answer thrown away because the lease was lost": Plan(
            Ways(commits=_Careless), apply=_with(Answer=_only_if_ours, Park=_only_if_ours)
        ),
        "suspect rule left out after a restore": Plan(
            apply=_with(Admit=_trusting),
            planted=_planted((memory_journal_takeover, "take", _take_as_it_is)),
        ),
        "two payments claiming one order": Plan(
            planted=_planted((memory_journal_opening, "wish", _wish_granted))
        ),
        "told before it is recorded": Plan(
            planted=_planted((MemoryRecords, "record", _unrecorded))
        ),
        "told past another session's news": Plan(
            planted=_planted((memory_journal_progress, "_is_queued", _never_queued))
        ),
        "sent before Kafka has heard of it": Plan(Ways(offsets=_Eager)),
        "judged before the journal was put back": Plan(
            apply=_with(Admit=_admitted_all_the_same),
            planted=_planted((Places, "outlived", property(lambda _: False))),
        ),
        "sent before all suspects were asked for": Plan(
            planted=_planted((memory_journal_progress, "goes_back_in_line", _at_once))
        ),
    }
)
