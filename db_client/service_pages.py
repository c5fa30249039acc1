"""What the db-service has recorded, read page by page or one by one: for reconciliation. Writes nothing.

Pages are in the order of `occurred_at`; an item that changes while they are read comes again, and the later one counts.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final, Generic, TypeVar, assert_never
from urllib.parse import quote, urlencode

import msgspec

from db_client.outcome_body import decoded
from db_client.service_calls import Ask, Failed, Heard, ReadT, Refused, ServiceCalls, unobserved
from db_client.service_settings import DbServiceSettings
from handlers.domain.errors import Unavailable

_NAME: Final = "db-service"
_PAGE_ROWS: Final = 500  # the longest page that it gives
_TOKEN: Final = frozenset({401, 403})


class RecordedPayment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A payment as it is recorded, as far as it is compared."""

    payment_id: str
    currency: str
    state: str
    version: int
    amount_minor: int
    authorised_minor: int
    captured_minor: int
    refunded_minor: int
    occurred_at: datetime
    transaction_id: str | None = None


class RecordedRefund(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A refund as it is recorded, likewise."""

    refund_id: str
    payment_id: str
    currency: str
    state: str
    version: int
    amount_minor: int
    occurred_at: datetime
    transaction_id: str | None = None


ItemT = TypeVar("ItemT", RecordedPayment, RecordedRefund)


class _Page(msgspec.Struct, Generic[ItemT], frozen=True):
    items: list[ItemT]
    next_cursor: str | None


class RecordPages:
    """The reads. Each raises Unavailable. Used in one event loop, then closed."""

    def __init__(self, settings: DbServiceSettings) -> None:
        self._tries = settings.tries
        self._calls = ServiceCalls(settings, observe=unobserved)

    def payments(self, since: datetime) -> AsyncIterator[Sequence[RecordedPayment]]:
        """Those whose last version came since, oldest first."""
        return self._pages("payments", since, read=partial(decoded, shape=_Page[RecordedPayment]))

    def refunds(self, since: datetime) -> AsyncIterator[Sequence[RecordedRefund]]:
        """Likewise."""
        return self._pages("refunds", since, read=partial(decoded, shape=_Page[RecordedRefund]))

    async def payment(self, payment_id: str) -> RecordedPayment | None:
        """One payment; None where the service says that it has none."""
        read = partial(decoded, shape=RecordedPayment)
        return await self._ask(Ask("payment", "GET", f"/payments/{_quoted(payment_id)}", read))

    async def refund(self, refund_id: str) -> RecordedRefund | None:
        """One refund, likewise."""
        read = partial(decoded, shape=RecordedRefund)
        return await self._ask(Ask("refund", "GET", f"/refunds/{_quoted(refund_id)}", read))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._calls.aclose()

    async def _pages(
        self, what: str, since: datetime, *, read: Callable[[bytes], _Page[ItemT]]
    ) -> AsyncIterator[Sequence[ItemT]]:
        wanted = {"limit": str(_PAGE_ROWS), "from": _moment(since)}
        while True:
            page = await self._ask(Ask("page", "GET", f"/{what}?{urlencode(wanted)}", read))
            if page is None:
                raise Unavailable(_NAME, f"it says that it has no list of {what}")
            yield page.items
            if page.next_cursor is None:
                return
            wanted["cursor"] = page.next_cursor

    async def _ask(self, ask: Ask[ReadT]) -> ReadT | None:
        result = await self._calls.call(ask, tries=self._tries, worth_it=lambda: True)
        match result:
            case Heard(value):
                return value
            case Refused() if result.says_absent:
                return None
            case Refused(status):
                what = "token" if status in _TOKEN else "address"
                raise Unavailable(_NAME, f"it answered HTTP {status}: check the {what}")
            case Failed(why):
                raise Unavailable(_NAME, why)
            case _:
                assert_never(result)


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
