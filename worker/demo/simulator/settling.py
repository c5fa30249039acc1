"""The nightly batch and everything else that time or a bank does to a transaction.

At a cut-off the rows of the ended day go into one batch for each account and kind of means: captured
rows and refunds become settled, declined, failed and void ones keep their status; all of them leave
the unsettled list. Authorisations and held rows expire by age. Who drives the time stands in
`control.py` and `app.py`; how the batches are read in `batches.py`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from worker.demo.simulator.ledger import Batch, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from worker.demo.simulator.gateway import Gateway

_DAY_S = 86_400
_EXPIRES_AFTER_S = {
    "authorizedPendingCapture": 30 * _DAY_S,
    "authorizedPendingRelease": 30 * _DAY_S,
    "FDSAuthorizedPendingReview": 30 * _DAY_S,
    "FDSPendingReview": 5 * _DAY_S,
}
_SETTLED = {
    "capturedPendingSettlement": "settledSuccessfully",
    "refundPendingSettlement": "refundSettledSuccessfully",
}
_UNMOVED = frozenset({"declined", "generalError", "returnedItem", "voided"})
_ALLOWED = "cut_off must be none or HH:MM, then nothing (UTC), a zone or an offset in seconds"


def cut_offs(written: str, *, since: float, until: float) -> list[float]:
    """The cut-offs after one moment and up to another; ValueError where the words mean nothing."""
    if written == "none":
        return []
    at, zone = _parsed(written)
    day = datetime.fromtimestamp(since, zone).date() - timedelta(days=1)
    last = datetime.fromtimestamp(until, zone).date()
    found = []
    while day <= last:
        moment = datetime.combine(day, at, zone).timestamp()
        if since < moment <= until:
            found.append(moment)
        day += timedelta(days=1)
    return found


def _parsed(written: str) -> tuple[time, tzinfo]:
    hour, _, zone = written.partition(" ")
    try:
        at = datetime.strptime(hour, "%H:%M").time()  # noqa: DTZ007 - the zone is the other word
        if not zone:
            return at, UTC
        if zone.lstrip("+-").isdigit():
            return at, timezone(timedelta(seconds=int(zone)))
        return at, ZoneInfo(zone)
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise ValueError(_ALLOWED) from error


def by_itself(gateway: Gateway) -> None:
    """What the mere passing of time did, where the setting `settles` is on."""
    if gateway.settings.settles and gateway.clock.now() >= gateway.settles_next_at:
        by_clock(gateway, since=gateway.settled_until)


def by_clock(gateway: Gateway, *, since: float) -> None:
    """Settle and expire what a time from `since` until now brought."""
    settings, now = gateway.settings, gateway.clock.now()
    late = settings.settle_after_cut_off_s
    passed = cut_offs(settings.cut_off, since=since - late, until=now - late)
    if passed:
        _retry_failed(gateway)
        _close_days(gateway, passed)
    for row in gateway.ledger.rows:
        expires_after_s = _EXPIRES_AFTER_S.get(row.status, math.inf)
        if now - row.at >= expires_after_s:
            row.status = "expired"
            gateway.ledger.held.pop(row.transaction_id, None)
    gateway.settled_until = now
    coming = cut_offs(settings.cut_off, since=now - late, until=now - late + 2 * _DAY_S)
    gateway.settles_next_at = min([now + _DAY_S, *(moment + late for moment in coming)])


def settle_now(gateway: Gateway, *, fail: bool) -> list[Batch]:
    """A batch at once of everything that waits; a failed one waits for the next."""
    moment = gateway.clock.now()
    retried = [] if fail else _retry_failed(gateway)
    rows = [row for row in gateway.ledger.rows if _waits(row)]
    return retried + _batched(gateway, rows, moment=moment, failed=fail)


def give_back(gateway: Gateway, row: Row) -> Row:
    """The bank returns a settled eCheck: a transaction of its own, the original stays as it is."""
    if not row.means.is_bank or row.status != "settledSuccessfully" or row.returned_by:
        raise ValueError("only a settled eCheck that was not returned yet can be returned")
    now = gateway.clock.now()
    returned = replace(
        row,
        transaction_id=gateway.ledger.next_id(),
        kind="returnedItem",
        status="returnedItem",
        amount_minor=row.captured_minor,
        approved_minor=0,
        captured_minor=0,
        at=now,
        batched_from=now,
        ref_transaction_id=row.transaction_id,
        settled_at=None,
        batch_id="",
        fault=None,
    )
    gateway.ledger.write(returned)
    row.returned_by = returned.transaction_id
    return returned


def charge_back(row: Row) -> Row:
    """The bank takes a settled charge back; the gateway only shows the status."""
    if row.status != "settledSuccessfully":
        raise ValueError("only a settled charge can be charged back")
    row.status = "chargeback"
    return row


def _waits(row: Row) -> bool:
    return row.listed and (row.status in _SETTLED or row.status in _UNMOVED)


def _close_days(gateway: Gateway, passed: Sequence[float]) -> None:
    """Each row into the batch of the first cut-off after it."""
    days: dict[float, list[Row]] = {}
    for row in gateway.ledger.rows:
        place = bisect_right(passed, row.batched_from)
        if _waits(row) and place < len(passed):
            days.setdefault(passed[place], []).append(row)
    for moment in sorted(days):
        settled_at = moment + gateway.settings.settle_after_cut_off_s
        _batched(gateway, days[moment], moment=settled_at, failed=False)


def _batched(gateway: Gateway, rows: Iterable[Row], *, moment: float, failed: bool) -> list[Batch]:
    made: dict[tuple[str, str], Batch] = {}
    ledger = gateway.ledger
    for row in rows:
        method = "eCheck" if row.means.is_bank else "creditCard"
        key = (gateway.account_of(row.login), method)
        if key not in made:
            batch_id = str(9_000_001 + len(ledger.batches))
            made[key] = Batch(batch_id, *key, at=moment, failed=failed, rows=[])
            ledger.batches[batch_id] = made[key]
        made[key].rows.append(row)
        row.batch_id = made[key].batch_id
        if failed and row.status in _SETTLED:
            row.status = "settlementError"
        else:
            _settle(row, moment)
    return list(made.values())


def _settle(row: Row, moment: float) -> None:
    if row.status in _SETTLED:
        row.status, row.settled_at = _SETTLED[row.status], moment


def _retry_failed(gateway: Gateway) -> list[Batch]:
    """Failed batches are sent again as they are, and succeed."""
    failed = [batch for batch in gateway.ledger.batches.values() if batch.failed]
    for batch in failed:
        batch.failed, batch.at = False, gateway.clock.now()
        for row in batch.rows:
            if row.status == "settlementError":
                refunds = row.kind == "refundTransaction"
                row.status = "refundPendingSettlement" if refunds else "capturedPendingSettlement"
                _settle(row, batch.at)
    return failed
