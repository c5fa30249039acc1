"""What the gateway does with a request, and what a person does in its merchant interface. No time passes here.

Which verdict a code means is read from the adapter's own tables, so that what is answered here is what the adapter
would make of the real answer. Means that are alike in account, amount and invoice number are one content (P2's last
net, the duplicate window); a one-time token is good for one request.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Final, assert_never

from handlers.domain.commands import Mode
from handlers.domain.intents import About, Capture, Charge, Intent, Refund, Void
from handlers.domain.means import OpaqueData, method_kind
from handlers.domain.verdicts import (
    BANK,
    Advice,
    Answer,
    Approved,
    Declined,
    Held,
    Method,
    NotYet,
    Reason,
    Unknown,
    Verdict,
)
from handlers.gateway.authorizenet.reason_codes import Kind, message_row, reason_row
from tests.simulation.memory_gateway_faults import APPROVE, Fate
from tests.simulation.memory_gateway_ledger import (
    AUTHORISATION,
    AUTHORISED_REVIEW,
    CHARGED_BACK,
    DECLINED,
    ERROR,
    EXPIRED,
    GIVEN,
    PENDING_REVIEW,
    REFUND,
    RESERVED,
    SALE,
    SETTLED,
    TAKEN,
    VOIDED,
    Ledger,
    Row,
)

_CARD: Final = Method("", "visa", "1111")
_BANK: Final = Method("", BANK, "6789")
_HOLDS: Final = {252: PENDING_REVIEW, 193: PENDING_REVIEW, 253: AUTHORISED_REVIEW}
_CAPTURED: Final = frozenset({TAKEN, SETTLED, ERROR, CHARGED_BACK})
_VOIDABLE: Final = frozenset({RESERVED, TAKEN, GIVEN, PENDING_REVIEW, AUTHORISED_REVIEW})
_NOTHING_BACK: Final = frozenset({VOIDED, EXPIRED, DECLINED})
_AUTHORISED: Final = frozenset({APPROVE, 253})
_NO_ROW: Final = frozenset({5, 8, 28, 33, 37, 66, 123, 153})  # found before there is a transaction
_TEXTS: Final = {
    1: "This transaction has been approved.",
    2: "This transaction has been declined.",
    11: "A duplicate transaction has been submitted.",
    16: "The transaction cannot be found.",
}


@dataclass(slots=True)
class Reply:
    """What the gateway answers, once it has worked on it: a verdict, and the row that it made or acted upon."""

    code: str
    verdict: Verdict
    row: Row | None = None

    def answer(self, latency_s: float) -> Answer:
        """As the port gives it."""
        seen = {} if self.row is None else {"transaction_id": self.row.transaction_id}
        return Answer(self.verdict, {"said": self.code, **seen}, latency_s)


@cache
def reason(code: str, about: About) -> Reason:
    """The gateway's own word, with our advice."""
    row = message_row(code, about) if code.startswith("E") else reason_row(code, about)
    text = _TEXTS.get(int(code), f"reason {code}") if code.isdigit() else code
    return Reason(code, text, row.advice)


@cache
def _shown(method: Method, kind: str) -> Method:
    """The means as an answer shows it: with the kind that the request named."""
    return replace(method, kind=kind)


def unheard(code: str, text: str = "") -> Unknown:
    """No definite answer was heard."""
    return Unknown(Reason(code, text or f"The answer was {code}.", Advice.UNDECIDED))


def worked_on(ledger: Ledger, intent: Intent, *, fate: Fate, at: datetime) -> Reply:
    """Do what `intent` asks, once, at `at`."""
    match intent:
        case Charge():
            return _charge(ledger, intent, fate=fate, at=at)
        case Capture():
            return _capture(ledger, intent, fate=fate, at=at)
        case Void():
            return _void(ledger, intent, fate=fate, at=at)
        case Refund():
            return _refund(ledger, intent, fate=fate, at=at)
        case _:
            assert_never(intent)


def _refused(code: int, about: About, *, row: Row | None = None) -> Reply:
    """A definite no, or none at all, as the adapter reads the code. `row` is the one that a duplicate names."""
    said = str(code)
    why = reason(said, about)
    match reason_row(said, about).kind:
        case Kind.DECLINED:
            return Reply(said, Declined(why), row)
        case Kind.NOT_YET:
            return Reply(said, NotYet(why), row)
        case Kind.APPROVED | Kind.HELD | Kind.UNKNOWN | Kind.LOOK:
            return Reply(said, unheard(said, why.text), row)


def _made(row: Row, intent: Charge | Refund, *, kind: str) -> Reply:
    """The answer about a row that was just made."""
    said, about = str(row.code), intent.about
    method = _shown(row.method, kind)
    if row.status == DECLINED:
        return Reply(said, Declined(reason(said, about), row.transaction_id, method), row)
    if row.code in _HOLDS:
        return Reply(said, Held(row.transaction_id, reason(said, about), method=method), row)
    in_part = isinstance(intent, Charge) and row.approved_minor != row.amount_minor
    approved = Approved(
        transaction_id=row.transaction_id,
        captured=row.status != RESERVED,
        reason=reason(said, about),
        amount_minor=row.approved_minor if in_part else None,
        auth_code="ABC123",
        method=method,
    )
    return Reply(said, approved, row)


def _acted(row: Row, about: About, *, code: int = APPROVE, shows: bool = False) -> Reply:
    """The answer about a row that was acted upon: its own id. `shows`: with how much is captured."""
    approved = Approved(
        transaction_id=row.transaction_id,
        captured=about is About.CAPTURE,
        reason=reason(str(code), about),
        amount_minor=row.captured_minor if shows else None,
        currency=row.currency if shows else None,
        method=row.method,
    )
    return Reply(str(code), approved, row)


def _charge(ledger: Ledger, intent: Charge, *, fate: Fate, at: datetime) -> Reply:
    about, minor = About.CHARGE, intent.money.amount_minor
    key = (intent.merchant_account, intent.mode, intent.invoice_number, minor)
    against = _against_charge(ledger, intent, key=key, at=at)
    if against is not None:
        return against
    if fate.code in _NO_ROW:
        return _refused(fate.code, about)
    sale = intent.mode is Mode.SALE
    row = _row(ledger, intent, fate=fate, at=at)
    row.kind = SALE if sale else AUTHORISATION
    row.status = _status(fate.code, approved=TAKEN if sale else RESERVED)
    row.method = _BANK if fate.bank else _CARD
    if fate.code in _AUTHORISED:
        row.approved_minor = minor if fate.approved_minor is None else fate.approved_minor
    row.captured_minor = row.approved_minor if row.status == TAKEN else 0
    ledger.latest[key] = ledger.write(row)
    if fate.twice:
        return _repeated(ledger, row, about=about)
    return _made(row, intent, kind=method_kind(intent.means))


def _against_charge(
    ledger: Ledger, intent: Charge, *, key: tuple[object, ...], at: datetime
) -> Reply | None:
    about, means = About.CHARGE, intent.means
    if intent.money.currency != ledger.rules.accounts[intent.merchant_account]:
        return _refused(39, about)
    if intent.mode is Mode.SALE and not intent.money.amount_minor:
        return _refused(5, about)
    original = _original(ledger, key, at=at)
    if original is not None:
        return _repeated(ledger, original, about=about)
    if isinstance(means, OpaqueData):
        token = means.value.reveal()
        if token in ledger.spent:
            return Reply("E00114", unheard("E00114", "Invalid OTS Token."), None)
        ledger.spent.add(token)
    return None


def _capture(ledger: Ledger, intent: Capture, *, fate: Fate, at: datetime) -> Reply:
    row, about = _named(ledger, intent), About.CAPTURE
    if row is None:
        return _refused(16, about)
    if row.kind == AUTHORISATION and row.status in _CAPTURED:
        # The adapter looks up at once how much was captured.
        shown = at >= row.told_at
        return _acted(row, about, code=311, shows=True) if shown else _refused(311, about)
    strict = ledger.rules.checks_amounts
    code = against_capture(row, amount_minor=intent.money.amount_minor, strict=strict)
    code = code or _objection(fate, about)
    if code:
        return _refused(code, about)
    captured(row, intent.money.amount_minor, at=at)
    return _acted(row, about)


def against_capture(row: Row, *, amount_minor: int, strict: bool = True) -> int:
    """The gateway's reason against a capture, 0 where there is none. `strict`: amounts are checked."""
    if row.kind != AUTHORISATION or row.status != RESERVED:
        return 16
    if not amount_minor:
        return 5
    return 47 if strict and amount_minor > row.approved_minor else 0


def captured(row: Row, amount_minor: int, *, at: datetime) -> None:
    """It is captured now."""
    row.status, row.captured_minor, row.waits_since = TAKEN, amount_minor, at


def _void(ledger: Ledger, intent: Void, *, fate: Fate, at: datetime) -> Reply:
    row, about = _named(ledger, intent), About.VOID
    if row is None:
        return _refused(16, about)
    if row.status == VOIDED:
        return _acted(row, about, code=310)
    code = against_void(ledger, row) or _objection(fate, about)
    if code:
        return _refused(code, about)
    voided(row, at=at)
    return _acted(row, about)


def against_void(ledger: Ledger, row: Row) -> int:
    """The gateway's reason against a void, 0 where there is none."""
    is_open = row.batch is None or ledger.rules.voids_after_cut_off
    return 0 if is_open and row.status in _VOIDABLE else 327


def voided(row: Row, *, at: datetime) -> None:
    """It is void now."""
    row.status, row.captured_minor, row.waits_since = VOIDED, 0, at


def _refund(ledger: Ledger, intent: Refund, *, fate: Fate, at: datetime) -> Reply:
    original, about = _named(ledger, intent), About.REFUND
    if original is None:
        return _refused(16, about)
    minor = intent.money.amount_minor
    key = (intent.merchant_account, about, intent.invoice_number, minor, original.transaction_id)
    strict = ledger.rules.checks_amounts
    repeated = _original(ledger, key, at=at) if strict else None
    if repeated is not None:
        return _repeated(ledger, repeated, about=about)
    same_means = intent.method.last4 == original.method.last4
    code = against_refund(ledger, original, amount_minor=minor, at=at, strict=strict)
    code = (code if same_means else 54) or (fate.code if fate.code in _NO_ROW else 0)
    if code:
        return _refused(code, about)
    row = _row(ledger, intent, fate=fate, at=at)
    row.kind, row.original, row.method = REFUND, original.transaction_id, original.method
    row.status = _status(fate.code, approved=GIVEN)
    ledger.latest[key] = ledger.write(row)
    if fate.twice:
        return _repeated(ledger, row, about=about)
    return _made(row, intent, kind=intent.method.kind)


def against_refund(
    ledger: Ledger, original: Row, *, amount_minor: int, at: datetime, strict: bool = True
) -> int:
    """The gateway's reason against a refund, 0 where there is none. `strict`: amounts are checked."""
    settled_at = original.settled_at if original.status == SETTLED else None
    is_charge = original.kind in {SALE, AUTHORISATION}
    oldest = timedelta(days=ledger.rules.refund_days)
    if settled_at is None or not is_charge or at - settled_at > oldest:
        return 54
    back = sum(
        row.amount_minor
        for row in ledger.by_original.get(original.transaction_id, ())
        if row.kind == REFUND and row.status not in _NOTHING_BACK
    )
    return 55 if strict and amount_minor > original.captured_minor - back else 0


def _named(ledger: Ledger, intent: Capture | Void | Refund) -> Row | None:
    row = ledger.by_id.get(intent.transaction_id)
    return row if row is not None and row.account == intent.merchant_account else None


def _original(ledger: Ledger, key: tuple[object, ...], *, at: datetime) -> Row | None:
    row = ledger.latest.get(key)
    if row is None or (at - row.at).total_seconds() >= ledger.rules.window_s:
        return None
    return row


def _repeated(ledger: Ledger, original: Row, *, about: About) -> Reply:
    return _refused(11, about, row=original if ledger.rules.enhanced else None)


def _objection(fate: Fate, about: About) -> int:
    """What speaks against an act upon a row: the fraud filters, which hold, see charges and refunds only."""
    is_no = reason_row(str(fate.code), about).kind is Kind.DECLINED
    return fate.code if is_no else 0


def _status(code: int, *, approved: str) -> str:
    return approved if code == APPROVE else _HOLDS.get(code, DECLINED)


def _row(ledger: Ledger, intent: Charge | Refund, *, fate: Fate, at: datetime) -> Row:
    return Row(
        transaction_id=ledger.next_id(),
        kind="",
        account=intent.merchant_account,
        invoice_number=intent.invoice_number,
        method=_CARD,
        currency=ledger.rules.accounts[intent.merchant_account],
        amount_minor=intent.money.amount_minor,
        approved_minor=0,
        captured_minor=0,
        status="",
        code=fate.code,
        at=at,
        waits_since=at,
        listed_at=at + timedelta(seconds=fate.listed_s) if fate.listed_s else at,
        told_at=at + timedelta(seconds=fate.told_s) if fate.told_s else at,
    )
