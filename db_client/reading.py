"""Reads of the journal that a session works with: positions, what is due, whole operations. Nothing is written here."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Engine,
    Select,
    Text,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError

from db_client import command_json
from db_client.failures import away
from db_client.finders import ASKED_ELSEWHERE, STRAYED
from db_client.orphans import ORPHANS
from db_client.payment_rows import payment_of, request_of
from db_client.sealing import SealBrokenError, Sealer
from db_client.tables import attempt, evidence, operation, outbox, payment, position, session
from handlers.domain.commands import (
    Command,
    InitiatePayment,
    Kind,
    RefundPayment,
    Ruling,
    VerifyPayment,
)
from handlers.domain.intents import About
from handlers.domain.recovery import Inquiry, Stage
from handlers.domain.states import RequestState
from handlers.ports import Coordinates, Operation, Origin

_IN_WORK: Final = operation.c.stage != Stage.CONCLUDED.value
# What waits in line, or for its time, is not woken here: the journal puts it into work (`lanes.py`).
_AWAKE: Final = (
    _IN_WORK,
    operation.c.stage.not_in([Stage.QUEUED.value, Stage.DEFERRED.value]),
)
_DUE: Final = (
    select(operation.c.operation_id)
    .where(
        operation.c.session_id == bindparam("me"),
        *_AWAKE,
        operation.c.due_at <= func.clock_timestamp(),
        operation.c.operation_id != func.all(bindparam("held", type_=ARRAY(Text))),
        ~ASKED_ELSEWHERE,
    )
    .order_by(operation.c.due_at)
    .limit(bindparam("most"))
)
# What this session owns without a due time is in work here, or was forgotten: the caller knows which.
_UNDATED: Final = (
    select(operation.c.operation_id)
    .where(
        operation.c.session_id == bindparam("me"),
        *_AWAKE,
        operation.c.due_at.is_(None),
        operation.c.operation_id != func.all(bindparam("held", type_=ARRAY(Text))),
    )
    .limit(bindparam("most"))
)
_MOST_RULINGS: Final = 1
_first = operation.alias("first")
_first_attempt = attempt.alias("first_attempt")
_waiting = operation.alias("waiting")
_numbered = attempt.alias("numbered")
_last = (
    select(attempt)
    .where(attempt.c.operation_id == operation.c.operation_id)
    .order_by(attempt.c.number.desc())
    .limit(1)
    .lateral("last")
)
_USED: Final = (
    select(func.max(_numbered.c.number))
    .where(_numbered.c.operation_id == operation.c.operation_id, _numbered.c.state != "unsent")
    .scalar_subquery()
)
_TOLD: Final = (
    select(evidence.c.transaction_id)
    .where(
        evidence.c.operation_id == operation.c.operation_id, evidence.c.transaction_id.is_not(None)
    )
    .order_by(evidence.c.evidence_id.desc())
    .limit(1)
    .scalar_subquery()
)
_RULING: Final = (
    select(_waiting.c.command)
    .where(
        _waiting.c.payment_id == operation.c.payment_id,
        _waiting.c.stage == Stage.QUEUED.value,
        _waiting.c.kind == Kind.VERIFICATION.value,
        _waiting.c.command[("ruling", "about")].as_string() == operation.c.operation_id,
        _waiting.c.command[("ruling", "version")].as_integer() == payment.c.version,
    )
    .order_by(_waiting.c.arrival.desc())  # a later word mends an earlier one
    .limit(_MOST_RULINGS)
    .scalar_subquery()
)
_CANCELED: Final = exists().where(
    _waiting.c.payment_id == operation.c.payment_id,
    _waiting.c.stage == Stage.QUEUED.value,
    _waiting.c.kind == Kind.VOID.value,
    _waiting.c.command["user_id"].as_string().in_(["", payment.c.user_id]),
)
_WHOLE: Final = (
    select(
        operation,
        *(column.label(f"payment_{column.name}") for column in payment.c),
        _last.c.merchant_account,
        _last.c.invoice_number,
        _last.c.about,
        func.coalesce(_USED, 0).label("used"),
        _first.c.command.label("first_command"),
        _first.c.since.label("first_since"),
        _first_attempt.c.merchant_account.label("first_account"),
        _first_attempt.c.invoice_number.label("first_invoice"),
        _TOLD.label("told_transaction_id"),
        _RULING.label("ruling"),
        _CANCELED.label("canceled"),
        func.clock_timestamp().label("now"),
    )
    .join(payment, payment.c.payment_id == operation.c.payment_id)
    .outerjoin(_last, text("true"))
    .outerjoin(
        _first,
        (operation.c.kind != Kind.INITIATION.value)
        & (_first.c.operation_id == func.concat("initiation:", operation.c.payment_id)),
    )
    .outerjoin(
        _first_attempt,
        (_first_attempt.c.operation_id == _first.c.operation_id) & (_first_attempt.c.number == 1),
    )
    .where(operation.c.operation_id == func.any(bindparam("ids")))
)
_IDLE: Final = select(
    select(operation.c.operation_id)
    .where(
        operation.c.session_id == bindparam("me"),
        or_(
            and_(
                operation.c.stage == Stage.DEFERRED.value,
                operation.c.due_at <= func.clock_timestamp(),
            ),
            and_(
                operation.c.stage == Stage.QUEUED.value,
                exists().where(
                    payment.c.payment_id == operation.c.payment_id, payment.c.held_by.is_(None)
                ),
            ),
        ),
    )
    .exists()
)
_INHERITED: Final = select(operation.c.reserved_minor).where(
    operation.c.operation_id == bindparam("before"),
    operation.c.request_state == RequestState.CONTINUED.value,
)


@dataclass(frozen=True, slots=True)
class Position:
    """The next offset to be read, when that was written (database time), and below what unknown records are suspect."""

    next_offset: int
    updated_at: datetime
    suspect_below: int = 0


@dataclass(frozen=True, slots=True)
class Loaded:
    """Operations, and the ids of those whose sealed means do not open: the journal key that sealed them is missing."""

    operations: list[Operation]
    unopenable: list[str]


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much is not concluded, by stage and why it waits, and since when the oldest is there."""

    by_stage: dict[str, int]
    oldest_age_s: float


@dataclass(frozen=True, slots=True)
class Orphan:
    """A request whose payment is not known, and where its record lay.

    `suspect_since`: the earliest moment at which it can have been sent, where the journal may have forgotten it.
    """

    operation_id: str
    command: Command
    topic_id: str
    partition: int
    offset: int
    suspect_since: datetime | None = None


class Reader:
    """Reads over a small pool. Every method raises Unavailable where the database is away."""

    def __init__(self, engine: Engine, *, session_id: str, sealer: Sealer) -> None:
        self._engine = engine
        self._session_id = session_id
        self._sealer = sealer

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise away(error) from None

    def positions(self, topic_id: str) -> dict[int, Position]:
        """Partition → how far it was read, for the topic of this id."""
        wanted = position.c["partition", "next_offset", "updated_at", "suspect_below"]
        with self._connection() as connection:
            found = connection.execute(select(*wanted).where(position.c.topic_id == topic_id))
            return {number: Position(*stands) for number, *stands in found}

    def ended(self) -> bool:
        """Whether this session's own row was ended, or is not there."""
        with self._connection() as connection:
            own = select(session.c.ended_at).where(session.c.session_id == self._session_id)
            row = connection.execute(own).one_or_none()
        return row is None or row.ended_at is not None

    def holds(self, number: int) -> bool:
        """Whether the row of this session's outbox with this number is there."""
        own = (outbox.c.session_id == self._session_id, outbox.c.number == number)
        with self._connection() as connection:
            return bool(connection.execute(select(exists().where(*own))).scalar_one())

    def due(self, *, most: int, held: Sequence[str] = ()) -> list[str]:
        """Ids of what is due, the longest overdue first, without those in `held`."""
        return self._ids(_DUE, most=most, held=held)

    def undated(self, *, most: int = 1000, held: Sequence[str] = ()) -> list[str]:
        """Ids of what is unfinished and has no due time, without those in `held`."""
        return self._ids(_UNDATED, most=most, held=held)

    def _ids(self, statement: Select[Any], *, most: int, held: Sequence[str]) -> list[str]:
        with self._connection() as connection:
            parameters = {"me": self._session_id, "most": most, "held": list(held)}
            return [row.operation_id for row in connection.execute(statement, parameters)]

    def whole(self, ids: Collection[str]) -> Loaded:
        """The operations themselves, as they stand now; those of other sessions are left out."""
        loaded = Loaded([], [])
        if not ids:
            return loaded
        with self._connection() as connection:
            found = connection.execute(_WHOLE, {"ids": list(ids)}).mappings().all()
        for row in (dict(it) for it in found):
            if row["session_id"] != self._session_id:
                continue
            try:
                loaded.operations.append(self._inheriting(self._operation(row)))
            except SealBrokenError:
                loaded.unopenable.append(row["operation_id"])
        return loaded

    def _inheriting(self, of: Operation) -> Operation:
        """A refund that goes on under a command of its own takes over what its predecessor has reserved."""
        command, request = of.command, of.request
        if request is None or not isinstance(command, RefundPayment) or command.goes_on is None:
            return of
        if request.state is not RequestState.REQUESTED or request.reserved_minor:
            return of
        with self._connection() as connection:
            known = connection.execute(_INHERITED, {"before": command.goes_on}).scalar_one_or_none()
        return replace(of, request=replace(request, reserved_minor=known or 0))

    def asked_elsewhere(self, accounts: Sequence[str]) -> bool:
        """Whether another session has a due question about one of these accounts, which this one looks into."""
        with self._connection() as connection:
            parameters = {"me": self._session_id, "accounts": list(accounts)}
            return bool(connection.execute(STRAYED, parameters).scalar_one())

    def must_go_on(self) -> bool:
        """Whether a deferred operation is due, or one stands in line before a free lane."""
        with self._connection() as connection:
            return bool(connection.execute(_IDLE, {"me": self._session_id}).scalar_one())

    def orphans(self, *, most: int = 100) -> list[Orphan]:
        """Requests whose payment did not come in time."""
        with self._connection() as connection:
            found = connection.execute(ORPHANS, {"me": self._session_id, "most": most}).all()
        return [
            Orphan(
                row.operation_id,
                command_json.from_json(row.command, secret=None),
                topic_id=row.topic_id,
                partition=row.partition,
                offset=row.offset,
                suspect_since=row.since if row.suspect else None,
            )
            for row in found
        ]

    def backlog(self) -> Backlog:
        """What is not concluded, over all sessions."""
        with self._connection() as connection:
            found = connection.execute(
                select(
                    operation.c.stage,
                    func.count().label("n"),
                    func.min(operation.c.admitted_at).label("oldest"),
                )
                .where(_IN_WORK)
                .group_by(operation.c.stage)
            ).all()
            now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        oldest = min((row.oldest for row in found), default=now)
        return Backlog({row.stage: row.n for row in found}, (now - oldest).total_seconds())

    def _operation(self, row: Mapping[str, Any]) -> Operation:
        name, stage = row["operation_id"], Stage(row["stage"])
        sealed = row["means_sealed"] if stage is Stage.ADMITTED else None  # nothing else is sent
        secret = self._sealer.open(bytes(sealed), bound_to=name) if sealed is not None else None
        command = command_json.from_json(row["command"], secret=secret)
        request = request_of(row, command)
        return Operation(
            operation_id=name,
            command=command,
            payment=payment_of(row),
            stage=stage,
            token=row["token"],
            suspect=row["suspect"],
            inquiry=Inquiry(
                asked=row["asked"],
                complete_scans=row["complete_scans"],
                since=row["since"],
                until=row["until"],
                now=row["now"],
                merchant_account=row["merchant_account"],
                invoice_number=row["invoice_number"],
                transaction_id=row["told_transaction_id"],
            ),
            answered_at=row["answered_at"],
            traceparent=row["traceparent"],
            request=request,
            attempt=_attempt(stage, used=row["used"]),
            tried=About(row["about"]) if row["about"] else None,
            origin=_origin(row) if request is not None else None,
            canceled=request is None and row["canceled"],
            ruling=_ruling(row["ruling"]),
            follow_up=command_json.from_json(row["follow_up"], secret=None)
            if row["follow_up"]
            else None,
            record=Coordinates(row["topic_id"], row["partition"], row["offset"]),
        )


_TRIED: Final = frozenset({Stage.OPEN, Stage.ANSWERED, Stage.ASKING, Stage.CONCLUDED})


def _attempt(stage: Stage, *, used: int) -> int:
    """The number of the intent that was opened last, or of the next one."""
    return max(used, 1) if stage in _TRIED else used + 1


def _ruling(waiting: dict[str, Any] | None) -> Ruling | None:
    """A person's word in the verification that waits behind an operation."""
    if waiting is None:
        return None
    command = command_json.from_json(waiting, secret=None)
    return command.ruling if isinstance(command, VerifyPayment) else None


def _origin(row: Mapping[str, Any]) -> Origin:
    first = command_json.from_json(row["first_command"], secret=None)
    assert isinstance(first, InitiatePayment), "the first operation of a payment"
    return Origin(
        mode=first.mode,
        merchant_account=row["first_account"] or "",
        invoice_number=row["first_invoice"] or "",
        since=row["first_since"],
        lines=first.lines,
    )
