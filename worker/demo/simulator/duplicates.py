"""The vendor's only guard against a repeat: equal content within a window of seconds.

Compared: login, card or account, transaction type, the transaction it refers to, PO number, amount,
invoice number, customer id, name, company and address of the bill, and the window itself; a
request that differs in one of them is new. Not compared: refId, description, e-mail, user fields,
the shopper's address. The guard is no lock: with `duplicate_blind_s` a twin that comes soon enough
is charged too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.demo.simulator.gateway import Gateway
    from worker.demo.simulator.ledger import Row
    from worker.demo.simulator.means import Means

_LONGEST_S = 28_800
_BILL = ("firstName", "lastName", "company", "address", "city", "state", "zip", "country")


def window_s(wanted: str | None, *, default: int) -> int:
    """The window in force: the request's own inside 0..28800, else the account's."""
    if wanted is None:
        return default
    try:
        return max(0, min(_LONGEST_S, int(wanted)))
    except ValueError:
        return default


def content_key(
    request: Mapping[str, Any], means: Means, *, login: str, amount_minor: int, window: int
) -> tuple[Any, ...]:
    """What two requests must have in common to count as one."""
    bill_to = request.get("billTo") or {}
    return (
        login,
        means.account_type,
        means.account,
        request["transactionType"],
        str(request.get("refTransId") or ""),
        str(request.get("poNumber") or ""),
        amount_minor,
        str((request.get("order") or {}).get("invoiceNumber") or ""),
        str((request.get("customer") or {}).get("id") or ""),
        *(str(bill_to.get(name) or "") for name in _BILL),
        window,
    )


def original(gateway: Gateway, key: tuple[Any, ...], *, window: int) -> Row | None:
    """The earlier transaction that a request repeats, if it still lies in the window."""
    found = gateway.ledger.latest_by_content.get(key)
    if found is None:
        return None
    age = gateway.clock.now() - found.at
    return found if gateway.settings.duplicate_blind_s <= age < window else None
