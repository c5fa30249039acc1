"""The settled batches as a merchant reads them: which there were, and what one of them holds.

How a batch comes about stands in `settling.py`. A span of more than 31 days is refused: the figure
is commonly stated, and a caller that keeps to it is safe.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from worker.demo.simulator.lists import batch_head, paged
from worker.demo.simulator.money import decimal_text
from worker.demo.simulator.protocol import Call, Reply, full_reply, message_reply

if TYPE_CHECKING:
    from worker.demo.simulator.gateway import Gateway
    from worker.demo.simulator.ledger import Batch, Row

_LONGEST = timedelta(days=31)
_LATEST = timedelta(days=1)
_PURCHASED = frozenset({"settledSuccessfully", "chargeback", "settlementError"})
_COUNTED = {"voided": "voidCount", "declined": "declineCount", "generalError": "errorCount"}


def settled(gateway: Gateway, call: Call) -> Reply:
    """The account's batches of a span of days, by default of the last one; none is Ok and I00004."""
    now = datetime.fromtimestamp(gateway.clock.now(), UTC)
    first, last = (_moment(call.body.get(f"{name}SettlementDate")) for name in ("first", "last"))
    if (first is None) != (last is None):
        text = "firstSettlementDate and lastSettlementDate go together."
        return message_reply("E00013", text, ref_id=call.ref_id)
    first, last = first or now - _LATEST, last or now
    if not timedelta(0) <= last - first <= _LONGEST:
        text = "The last settlement date must lie 0 to 31 days after the first."
        return message_reply("E00013", text, ref_id=call.ref_id)
    account = gateway.account_of(call.login)
    found = [
        batch
        for batch in gateway.ledger.batches.values()
        if batch.account == account and first.timestamp() <= batch.at <= last.timestamp()
    ]
    if not found:
        return full_reply({}, ref_id=call.ref_id, code="I00004")
    with_statistics = str(call.body.get("includeStatistics") or "").lower() in {"true", "1"}
    told = [_told(batch, with_statistics=with_statistics) for batch in found]
    return full_reply({"batchList": told}, ref_id=call.ref_id)


def transactions(gateway: Gateway, call: Call) -> Reply:
    """One page of a batch's transactions; E00040 for a batch of another account or of none."""
    batch = gateway.ledger.batches.get(str(call.body.get("batchId") or ""))
    if batch is None or batch.account != gateway.account_of(call.login):
        return message_reply("E00040", ref_id=call.ref_id)
    return paged(call, list(batch.rows))


def _moment(text: Any) -> datetime | None:
    """A date and time of the schema, UTC where it names no offset; the schema has been checked."""
    if not text:
        return None
    moment = datetime.fromisoformat(str(text))
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _told(batch: Batch, *, with_statistics: bool) -> dict[str, Any]:
    told = batch_head(batch) | {
        "paymentMethod": batch.method,
        "marketType": "eCommerce",
        "product": "Card Not Present",
    }
    return told | ({"statistics": _statistics(batch)} if with_statistics else {})


def _statistics(batch: Batch) -> list[dict[str, Any]]:
    """What a batch holds, by brand."""
    brands: dict[str, list[Row]] = {}
    for row in batch.rows:
        brands.setdefault(row.means.account_type, []).append(row)
    return [_statistic(brand, rows) for brand, rows in brands.items()]


def _statistic(brand: str, rows: list[Row]) -> dict[str, Any]:
    refunds = [row for row in rows if row.refunds]
    charges = [row for row in rows if row.approved and row.status in _PURCHASED]
    currency = rows[0].currency
    counts = {
        name: sum(1 for row in rows if row.status == status) for status, name in _COUNTED.items()
    }
    return {
        "accountType": brand,
        "chargeAmount": _number(sum(row.captured_minor for row in charges), currency),
        "chargeCount": len(charges),
        "refundAmount": _number(sum(row.amount_minor for row in refunds), currency),
        "refundCount": len(refunds),
        **counts,
    }


def _number(minor: int, currency: str) -> Decimal:
    return Decimal(decimal_text(minor, currency))
