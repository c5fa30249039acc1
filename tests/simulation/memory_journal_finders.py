"""The finder of each merchant account in memory: `db_client/finders.py`, and `observing.py` for what it must know."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from db_client.moves import Gather, Held, Hold, Walked
from db_client.observing import Expired, Known
from handlers.domain.commands import Kind
from handlers.domain.errors import Unavailable
from handlers.domain.money import Money
from handlers.domain.recovery import Stage
from handlers.domain.states import PaymentState
from tests.simulation.memory_journal_database import MemoryDatabase
from tests.simulation.memory_journal_ground import MemoryGround
from tests.simulation.memory_journal_rows import FinderRow, OperationRow

_BY_LIST: Final = frozenset({Kind.INITIATION, Kind.REFUND})
_ASKED: Final = frozenset({Stage.OPEN, Stage.ASKING})
_MOST_EXPIRED: Final = 500


def hold(ground: MemoryGround, move: Hold) -> list[Held]:
    """Those of the accounts that this session looks into from now on."""
    database, held = ground.database, list[Held]()
    for account, currency in sorted(move.accounts.items()):
        row = database.finders.get(account)
        if row is None:
            row = FinderRow(
                account,
                currency=currency,
                session_id=ground.me,
                held_since=ground.now,
                epoch=database.epoch,
            )
            database.add_finder(row)
        elif not _lives(database, row.session_id):
            database.touch(row)
            row.session_id, row.held_since, row.currency = ground.me, ground.now, currency
        if row.session_id == ground.me:
            held.append(Held(account, row.walked_until))
    return held


def gather(ground: MemoryGround, move: Gather) -> int:
    """Take due questions over; how many."""
    if not move.accounts or move.most <= 0:
        return 0
    due = strayed(
        ground.database,
        move.accounts,
        me=ground.me,
        incarnation=ground.incarnation,
        now=ground.now,
    )
    taken = due[: move.most]
    for row in taken:
        ground.database.touch(row)
        row.token += 1
        ground.database.hand_over(row, to=ground.me, due_at=row.due_at)
    return len(taken)


def walked(ground: MemoryGround, move: Walked) -> bool:
    """Remember how far an account's lists were walked; False where another session looks into it now."""
    row = ground.database.finders.get(move.merchant_account)
    if row is None or row.session_id != ground.me:
        return False
    ground.database.touch(row)
    row.walked_until = max(row.walked_until or move.until, move.until)
    return True


def strayed(
    database: MemoryDatabase,
    accounts: Sequence[str],
    *,
    me: str,
    incarnation: str,
    now: datetime,
) -> list[OperationRow]:
    """Due questions about these accounts that other sessions have, of this incarnation, the longest overdue first."""
    finders = [row for name, row in database.finders.items() if name in accounts]
    if not finders:
        return []
    due = [
        entry
        for owner, estate in database.estates.items()
        if owner != me and _is_of(database, owner, incarnation=incarnation)
        for entry in estate.dated
        if entry[0] <= now and _is_asked_by_list(entry[2])
    ]
    return [row for _, _, row in sorted(due) if any(_is_in(row, it) for it in finders)]


def _is_of(database: MemoryDatabase, session_id: str, *, incarnation: str) -> bool:
    owner = database.sessions.get(session_id)
    return owner is not None and owner.incarnation == incarnation


def is_asked_elsewhere(database: MemoryDatabase, row: OperationRow, *, me: str) -> bool:
    """Another session looks into the operation's account, so it is asked there."""
    return _is_asked_by_list(row) and any(
        it.session_id != me and _lives(database, it.session_id) and _is_in(row, it)
        for it in database.finders.values()
    )


def _lives(database: MemoryDatabase, session_id: str | None) -> bool:
    holder = database.sessions.get(session_id or "")
    return holder is not None and holder.ended_at is None


def _is_asked_by_list(row: OperationRow) -> bool:
    """Captures and voids are asked for by the details of a transaction, which needs no list."""
    if row.kind not in _BY_LIST:
        return False
    return row.stage in _ASKED or (row.suspect and row.stage is Stage.ADMITTED)


def _is_in(row: OperationRow, finder: FinderRow) -> bool:
    """It belongs to the account that it was sent with; one that may have been sent, to that of its currency."""
    if row.attempts:
        return row.attempts[-1].merchant_account == finder.merchant_account
    payment = row.folder.payment
    return payment is not None and payment.known.money.currency == finder.currency


@dataclass(frozen=True, slots=True)
class MemoryObservations:
    """What `db_client.observing.Observations` is to the finder of a session. Every method raises Unavailable."""

    database: MemoryDatabase
    session_id: str

    def known(self, invoices: Collection[str]) -> Mapping[str, Known]:
        """Invoice number of a charge → its payment, for those that are ours."""
        self.database.insist(self.session_id)
        if self.database.has_unread:
            raise Unavailable("journal", "what it forgot is being read again")
        found: dict[str, Known] = {}
        for invoice in sorted(invoices):
            sent = self.database.invoices.get(invoice, {})
            row = self.database.operations.get(next(iter(sent.values()), ""))
            if row is None or row.request is not None or row.folder.payment is None:
                continue
            known = row.folder.payment.known
            captured = Money(known.captured_minor, known.money.currency)
            found[invoice] = Known(
                known.payment_id,
                known.state,
                captured=captured,
                transaction_id=known.transaction_id,
            )
        return found

    def expired(self, merchant_account: str) -> list[Expired]:
        """Authorisations of this account that should have ended by now, the oldest first."""
        self.database.insist(self.session_id)
        now = self.database.now()
        found: list[tuple[datetime, Expired]] = []
        for row in self.database.operations.values():
            payment = row.folder.payment
            if row.request is not None or payment is None or payment.held_by is not None:
                continue
            known, expires_at = payment.known, payment.known.expires_at
            if known.state is not PaymentState.AUTHORIZED or expires_at is None:
                continue
            first = next((it for it in row.attempts if it.number == 1), None)
            if expires_at < now and first and first.merchant_account == merchant_account:
                found.append((expires_at, Expired(known.payment_id, first.invoice_number)))
        found.sort(key=lambda it: it[0])
        return [it for _, it in found[:_MOST_EXPIRED]]
