"""The gateway's book in memory, one for all simulated workers: every transaction, the nightly batches, and time.

Time moves it lazily: what was due before now happens, in order, before anybody looks (`run`). So a request that is on
its way is worked on whether or not the worker that sent it still lives. Who may do what to a row stands in
`memory_gateway_rules.py`, what lists and details show of it in `memory_gateway_reads.py`.

Not modelled: stale statuses (a row that is shown at all is shown as it is), pages, more than one kind of batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from handlers.domain.verdicts import Method
from handlers.gateway.authorizenet.settings import CutOff
from tests.simulation.memory_gateway_faults import Fates
from tests.simulation.memory_timeline import Due, Timeline

SALE: Final = "sale"
AUTHORISATION: Final = "authorisation"
REFUND: Final = "refund"
RETURN: Final = "returned_item"
RESERVED: Final = "authorizedPendingCapture"
TAKEN: Final = "capturedPendingSettlement"
SETTLED: Final = "settledSuccessfully"
GIVEN: Final = "refundPendingSettlement"
GIVEN_SETTLED: Final = "refundSettledSuccessfully"
ERROR: Final = "settlementError"
VOIDED: Final = "voided"
EXPIRED: Final = "expired"
DECLINED: Final = "declined"
RETURNED: Final = "returnedItem"
CHARGED_BACK: Final = "chargeback"
REJECTED: Final = "communicationError"
PENDING_REVIEW: Final = "FDSPendingReview"
AUTHORISED_REVIEW: Final = "FDSAuthorizedPendingReview"
_IN_BATCHES: Final = frozenset({TAKEN, GIVEN, DECLINED, VOIDED, RETURNED})
_EXPIRES: Final = {
    RESERVED: timedelta(days=30),
    AUTHORISED_REVIEW: timedelta(days=30),
    PENDING_REVIEW: timedelta(days=5),
}
_DAY: Final = timedelta(days=1)
_FIRST_ID: Final = 60_000_000_000


@dataclass(frozen=True, slots=True)
class GatewayRules:
    """How the gateway is set up: merchant accounts with their one currency, the end of the day, the duplicate window.

    `enhanced`: a duplicate's answer names the original. `checks_amounts`: the gateway itself refuses to capture or to
    refund too much, and a refund that it knows; off, only the worker prevents that. `voids_after_cut_off`: a batch that
    is cut off is still open.
    """

    accounts: Mapping[str, str] = field(default_factory=lambda: {"main": "USD"})
    cut_off: CutOff | None = None
    window_s: float = 28_800.0
    enhanced: bool = True
    checks_amounts: bool = True
    voids_after_cut_off: bool = False
    refund_days: int = 180


@dataclass(slots=True, eq=False)
class Batch:
    """One account's night. In no list before `listed_at`; `fails`: the bank refuses it the first time."""

    batch_id: str
    account: str
    listed_at: datetime
    fails: bool
    rows: list["Row"]


@dataclass(slots=True, eq=False)
class Row:
    """One transaction, as it really is. `at`: when it was worked on; `waits_since`: only a later cut-off takes it.

    Lists show it from `listed_at` on, details from `told_at` on. `by`: worker or merchant.
    """

    transaction_id: str
    kind: str
    account: str
    invoice_number: str
    method: Method
    currency: str
    amount_minor: int
    approved_minor: int
    captured_minor: int
    status: str
    code: int
    at: datetime
    waits_since: datetime
    listed_at: datetime
    told_at: datetime
    by: str = "worker"
    original: str = ""
    batch: Batch | None = None
    settled_at: datetime | None = None
    returned_by: str = ""

    def told(self) -> dict[str, Any]:
        """The row as an auditor reads it: plain values, times in seconds."""
        return {
            "transaction_id": self.transaction_id,
            "kind": self.kind,
            "account": self.account,
            "invoice_number": self.invoice_number,
            "currency": self.currency,
            "amount_minor": self.amount_minor,
            "approved_minor": self.approved_minor,
            "captured_minor": self.captured_minor,
            "status": self.status,
            "at": self.at.timestamp(),
            "listed_at": self.listed_at.timestamp(),
            "by": self.by,
            "original": self.original,
        }


class Ledger:
    """All rows, the oldest first, and what is due. `sends` and `asks` are the log of the door, for the auditor."""

    def __init__(self, rules: GatewayRules, *, now: Callable[[], datetime], fates: Fates) -> None:
        self.rules = rules
        self.fates = fates
        self.rows: list[Row] = []
        self.by_id: dict[str, Row] = {}
        self.by_invoice: dict[str, list[Row]] = {}
        self.by_original: dict[str, list[Row]] = {}
        self.waiting: list[Row] = []  # for a batch, or for ever
        self.batches: list[Batch] = []
        self.latest: dict[tuple[object, ...], Row] = {}  # by content, for the duplicate window
        self.spent: set[str] = set()  # one-time tokens
        self.away = ""  # why nobody answers, "" where somebody does
        self.swallows = False  # while it is away: requests get in, and are lost there
        self.sends: list[dict[str, Any]] = []
        self.asks: list[dict[str, Any]] = []
        self._timeline = Timeline(now)
        self.run = self._timeline.run  # do what is due; the time of now (UTC)
        self.plan = self._timeline.plan
        self.is_expecting = self._timeline.is_expecting
        if rules.cut_off is not None:
            self._plan_cut_off(rules.cut_off, after=now())

    def next_id(self) -> str:
        """A transaction id that no other row has."""
        return str(_FIRST_ID + len(self.rows) + 1)

    def write(self, row: Row) -> Row:
        """Record a transaction."""
        self.rows.append(row)
        self.by_id[row.transaction_id] = row
        self.by_invoice.setdefault(row.invoice_number, []).append(row)
        if row.original:
            self.by_original.setdefault(row.original, []).append(row)
        self.waiting.append(row)
        return row

    def settle(self, *, fails: bool = False) -> None:
        """A batch at once, of everything that waits."""
        now = self.run()
        self._close(self.waiting, listed_at=now, fails=fails)
        self.run()

    def told(self) -> list[dict[str, Any]]:
        """The whole book as an auditor reads it."""
        self.run()
        return [row.told() for row in self.rows]

    def _plan_cut_off(self, cut_off: CutOff, *, after: datetime) -> None:
        through = timedelta(seconds=cut_off.through_after_s)
        self.plan(cut_off.through_at(after, now=after) - through, self._cut_off)

    def _cut_off(self, at: datetime) -> None:
        """The day ends: what waits since before is in no list until its batch is."""
        fate = self.fates.of_batch()
        ended = [row for row in self.waiting if row.waits_since < at]
        listed_at = at + timedelta(seconds=fate.listed_s)
        self._close(ended, listed_at=listed_at, fails=fate.fails)
        for row in self.waiting:
            lives = _EXPIRES.get(row.status)
            if lives is not None and at - row.at >= lives:
                row.status = EXPIRED
        assert self.rules.cut_off is not None, "a cut-off was planned"
        self._plan_cut_off(self.rules.cut_off, after=at)

    def _close(self, rows: list[Row], *, listed_at: datetime, fails: bool) -> None:
        batches: dict[str, Batch] = {}
        for row in rows:
            if row.status not in _IN_BATCHES:
                continue
            batch = batches.get(row.account)
            if batch is None:
                number = str(9_000_001 + len(self.batches))
                batch = batches[row.account] = Batch(number, row.account, listed_at, fails, [])
                self.batches.append(batch)
                self.plan(listed_at, batch_through(self, batch))
            batch.rows.append(row)
            row.batch = batch
        self.waiting = [row for row in self.waiting if row.batch is None]


def batch_through(ledger: Ledger, batch: Batch) -> Due:
    """What happens when a batch is through: it settles, or it fails and goes again the next day."""

    def through(at: datetime) -> None:
        if batch.fails:
            batch.fails = False
            for row in batch.rows:
                if row.status in {TAKEN, GIVEN}:
                    row.status = ERROR
            ledger.plan(at + _DAY, through)
            return
        for row in batch.rows:
            if row.status in {TAKEN, GIVEN, ERROR}:
                row.status = GIVEN_SETTLED if row.kind == REFUND else SETTLED
                row.settled_at = at

    return through
