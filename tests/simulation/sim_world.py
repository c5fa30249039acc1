"""The world of one run: everything that outlives a worker, on one simulated clock.

Faults and load come from outside (`sim_faults.py`, `sim_load.py`); what a worker is made of stands in `sim_worker.py`,
what an auditor is handed of all this in `sim_books.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from random import Random
from types import MappingProxyType
from typing import Any, Final

from db_client.moves import (
    Admit,
    Answer,
    Gather,
    Hold,
    Mirror,
    Open,
    Outrun,
    Rehome,
    Walked,
)
from handlers.domain.commands import Command, RefundPayment
from handlers.domain.intents import Intent
from handlers.ports import Lost
from tests.simulation.memory_gateway_faults import Dice, Odds
from tests.simulation.memory_gateway_ledger import GatewayRules, Ledger
from tests.simulation.memory_gateway_merchant import Merchant
from tests.simulation.memory_journal_database import MemoryDatabase
from tests.simulation.memory_journal_ground import MemoryGround
from tests.simulation.memory_journal_moving import APPLY, Apply
from tests.simulation.memory_kafka import MemoryKafka
from tests.simulation.memory_kafka_broker import Identity
from tests.simulation.memory_kafka_consumer import MemoryConsumer
from tests.simulation.memory_kafka_log import Txn, TxnState
from tests.simulation.memory_records import MemoryDbService, RecordDice, RecordOdds
from tests.simulation.sim_loop import SimLoop
from tests.simulation.sim_nap import Bell
from tests.simulation.sim_rounds import Alarm
from tests.simulation.sim_terms import (
    BEGIN,
    COMMAND_TOPICS,
    DEAD_S,
    EVENT_TOPICS,
    LEASE_S,
    LETTERS,
    PARTITIONS,
    TOPICS,
)
from tests.simulation.sim_wire import Said, SimDecoder
from worker.publisher import KafkaDoor

Row = dict[str, Any]
Silence = tuple[
    str, float, float
]  # of which session or process, from when until when; "" all sessions
_SOON: Final = timedelta(minutes=10)
_BETWEEN_TRIES_S: Final = 1.0


class SimKafka(MemoryKafka):
    """A broker that notes when each kafka_txn was committed, in one order with all other books."""

    step: Callable[[], int]

    def note(self, step: Callable[[], int]) -> None:
        """Count with this."""
        self.step = step
        self.committed_at: dict[int, int] = {}
        self._kept: list[Txn] = []  # so that no id is given twice

    def end(self, identity: Identity, state: TxnState) -> None:
        """Commit or abort what is open."""
        txn = identity.txn
        if txn is not None and state is TxnState.COMMITTED:
            self._kept.append(txn)
            self.committed_at[id(txn)] = self.step()
        super().end(identity, state)


@dataclass(slots=True)
class World:
    """One run's. `random` is its only chance. `moves` is what the journal was asked, as the auditor reads it.

    `apply`: what the journal does with each move; a planted bug may stand in it.
    """

    random: Random
    odds: Odds
    record_odds: RecordOdds
    rules: GatewayRules
    apply: Mapping[type[Any], Apply] = field(default_factory=lambda: APPLY)
    loop: SimLoop = field(default_factory=SimLoop)
    asked: list[Row] = field(default_factory=list)
    moves: list[Row] = field(default_factory=list)
    lost: list[tuple[int, int]] = field(default_factory=list)
    story: list[tuple[float, str]] = field(default_factory=list)
    unheard_since: dict[str, float] = field(default_factory=dict)  # the journal, by session; "" all
    consumers: dict[str, MemoryConsumer] = field(default_factory=dict)  # by session
    silences: list[Silence] = field(default_factory=list)  # that are over
    gone_at: dict[str, float] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    alarms: dict[str, Alarm] = field(default_factory=dict)  # of each living session's janitor
    bells: dict[str, Bell] = field(default_factory=dict)  # of its finder
    faults_ended_at: float = 0.0
    _at_s: float = 0.0
    _now: datetime = BEGIN
    step: Callable[[], int] = field(init=False)
    said: Said = field(init=False)
    decoder: SimDecoder = field(init=False)
    database: MemoryDatabase = field(init=False)
    kafka: SimKafka = field(init=False)
    door: KafkaDoor = field(init=False)
    ledger: Ledger = field(init=False)
    merchant: Merchant = field(init=False)
    service: MemoryDbService = field(init=False)
    record_fates: RecordDice = field(init=False)

    def __post_init__(self) -> None:
        self.step = count(1).__next__
        self.said = Said()
        self.decoder = SimDecoder(self.said)
        self.database = MemoryDatabase(self.now, up_since=BEGIN - timedelta(days=1))
        self.kafka = SimKafka(self.loop, starts_at_ms=int(BEGIN.timestamp() * 1000))
        self.kafka.note(self.step)
        self.door = self.kafka.door()
        for topic in (*COMMAND_TOPICS, *EVENT_TOPICS):
            self.kafka.make_topic(topic, PARTITIONS)
        for topic in (*LETTERS, TOPICS.progress):
            self.kafka.make_topic(topic, 1)
        self.ledger = Ledger(self.rules, now=self.now, fates=Dice(self.random, self.odds))
        self.merchant = Merchant(self.ledger)
        self.service = MemoryDbService(now=self.now, step=self.step)
        self.record_fates = RecordDice(self.random, self.record_odds)

    def now(self) -> datetime:
        """The true time."""
        seconds = self.loop.time()
        if seconds != self._at_s:
            self._at_s, self._now = seconds, BEGIN + timedelta(seconds=seconds)
        return self._now

    def soon(self) -> datetime:
        """When everything will have arrived that is on its way now; a night's batch comes later."""
        return self.now() + _SOON

    def calm_down(self) -> None:
        """From now on gateway and db-service do what they are asked. Lists go on to lag."""
        odds, calm = self.odds, Odds()
        slow = {name: getattr(odds, name) for name in ("answer_s", "listed_s", "told_s", "read_s")}
        self.ledger.fates = Dice(self.random, replace(calm, **slow))
        self.record_fates.odds = RecordOdds()

    def stir(self, after_s: float) -> None:
        """Let every worker look around then, as its next tick would."""
        self.loop.call_later(after_s, self._stirred)

    def _stirred(self) -> None:
        for alarm in list(self.alarms.values()):
            alarm.soon()
        self.stray("")

    def cut_off(self, session_id: str) -> None:
        """This session does not reach the journal any more, until it is joined up; "" is all of them."""
        self.unheard_since.setdefault(session_id, self.loop.time())
        if session_id:
            self.database.cut_off(session_id)
        else:
            self.database.go_away()

    def join_up(self, session_id: str) -> None:
        """It does again, where nothing else keeps it away."""
        if session_id not in self.unheard_since:
            return
        if session_id:
            self.database.join_up(session_id)
        else:
            self.database.come_back()
            self.stir(LEASE_S + DEAD_S)
        for it in list(self.unheard_since):
            if self.database.reaches(it):
                self.silences.append((it, self.unheard_since.pop(it), self.loop.time()))

    def mute_since(self, session_id: str, process: str) -> float:
        """Since when a session that does not reach the journal now could write nothing: cut off, or standing still.

        A pause between two of these that is shorter than the one between two tries may have gone by unnoticed.
        """
        now_s = self.loop.time()
        names = {"", session_id, process}
        since_s = min(self.unheard_since.get(it, now_s) for it in names)
        for name, from_s, until_s in reversed(self.silences):  # they are in the order of their ends
            if name in names and until_s + _BETWEEN_TRIES_S >= since_s:
                since_s = min(since_s, from_s)
        return since_s

    def has_just_woken(self, process: str) -> bool:
        """Whether it stood still until this very moment, and could write nothing since."""
        now_s = self.loop.time()
        return any(name == process and until_s >= now_s for name, _, until_s in self.silences)

    def stray(self, of: str) -> None:
        """Something of this session's may be another one's to ask about: the other finders look."""
        for session_id, bell in self.bells.items():
            if session_id != of:
                bell.ring()

    def tell(self, what: str) -> None:
        """One line of the run's story."""
        self.story.append((self.loop.time(), what))

    def ask(self, command: Command) -> None:
        """Publish it, as another service does; Kafka acknowledges."""
        message = self.said.command(command, traceparent="")
        assert message.value is not None
        self.publish(message.topic, message.key, value=message.value)

    def publish(self, topic: str, key: bytes, *, value: bytes) -> None:
        """Put a record into a command topic, and remember that it was acknowledged."""
        record = self.kafka.append(topic, key, value=value)
        command = self.said.commands.get(value)
        self.asked.append(
            {
                "n": self.step(),
                "topic": topic,
                "partition": record.partition(),
                "offset": record.offset(),
                "operation_id": "" if command is None else command.operation_id,
                "payment_id": "" if command is None else command.payment_id,
                "content": "" if command is None else _content(command),
                "amount_minor": _of_refund(command),
            }
        )

    def known(self, intent: Intent) -> Mapping[str, Any] | None:
        """What stands in the journal about an intent that passes the gate just now."""
        row = self.database.operations.get(intent.operation_id)
        for attempt in row.attempts if row is not None else ():
            if row is not None and attempt.number == intent.attempt:
                return {
                    "state": attempt.state,
                    "invoice_number": attempt.invoice_number,
                    "session_id": row.session_id,
                }
        return None

    def witnessed(self) -> Mapping[type[Any], Apply]:
        """What the journal does with each move, written down for the auditor."""
        return MappingProxyType({kind: self._noting(do) for kind, do in self.apply.items()})

    def _noting(self, do: Apply) -> Apply:
        moves, step, alarms = self.moves, self.step, self.alarms

        def noted(ground: MemoryGround, move: Any) -> Any:
            kind = type(move)
            about = _ABOUT.get(kind)
            told = None if about is None else about(ground, move)
            result = do(ground, move)
            operation = getattr(move, "operation", None)
            row: Row = {
                "n": step(),
                "at_s": self.loop.time(),
                "what": kind.__name__.lower(),
                "session": ground.me,
                "applied": result is not None and not isinstance(result, Lost),
                "operation_id": "" if operation is None else operation.operation_id,
                "operations": (),
                "dead": "",
                "alive": False,
            }
            if told is not None:
                row |= told()
            moves.append(row)
            if kind not in _NEVER_DUE:
                for alarm in alarms.values():
                    alarm.heed()
                if kind in _BRINGS and ground.me in alarms:
                    alarms[ground.me].soon()
            return result

        return noted


_NEVER_DUE: Final = frozenset({Open, Answer, Outrun, Hold, Walked, Mirror})
_BRINGS: Final = frozenset({Rehome, Gather})  # what comes in may be overdue already


def _admitted(ground: MemoryGround, move: Admit) -> Callable[[], Row]:
    names = [it.command.operation_id for it in move.admissions]
    return lambda: {"operations": _owned(ground, names)}


def _rehomed(ground: MemoryGround, move: Rehome) -> Callable[[], Row]:
    database = ground.database
    dead = database.sessions.get(move.dead_session)
    alive = dead is not None and dead.alive_until is not None and dead.alive_until > ground.now
    names = list(database.estate(move.dead_session).unfinished)
    return lambda: {
        "operations": _owned(ground, names),
        "dead": move.dead_session,
        "alive": alive,
    }


def _gathered(ground: MemoryGround, move: Gather) -> Callable[[], Row]:
    del move
    database = ground.database
    mine = frozenset(database.estate(ground.me).unfinished)
    return lambda: {
        "operations": [it for it in database.estate(ground.me).unfinished if it not in mine]
    }


# What is noted of a move that makes operations a session's own: asked before, told after.
_Noting = Callable[[MemoryGround, Any], Callable[[], Row]]
_ABOUT: Final[Mapping[type[Any], _Noting]] = MappingProxyType(
    {Admit: _admitted, Rehome: _rehomed, Gather: _gathered}
)


def _owned(ground: MemoryGround, names: list[str]) -> list[str]:
    return [
        name
        for name in names
        if (row := ground.database.operations.get(name)) is not None and row.session_id == ground.me
    ]


def _content(command: Command) -> str:
    """What two commands under one id may differ in here."""
    money = getattr(command, "money", None)
    return f"{type(command).__name__} {command.payment_id} {money and money.amount_minor}"


def _of_refund(command: Command | None) -> int | None:
    if isinstance(command, RefundPayment) and not command.up_to:
        return command.money.amount_minor
    return None
