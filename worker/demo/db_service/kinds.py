"""Payments and refunds side by side: where each lies and which of its fields are columns.

Data only; what is done with them stands in `writing.py` and `reading.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec

from worker.demo.db_service import messages, tables

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa


@dataclass(frozen=True, slots=True, eq=False)  # there are two; each is only itself
class Kind:
    """One kind of outcome."""

    name: str
    shape: type[messages.Payment | messages.Refund]
    current: sa.Table
    history: sa.Table
    columns: dict[str, str]  # column → field of the body
    statuses: tuple[str, ...]
    read: Callable[[bytes | str], Any]

    @property
    def id_field(self) -> str:
        """The body's field that names the thing."""
        return self.columns["id"]


PAYMENT: Final = Kind(
    name="payment",
    shape=messages.Payment,
    current=tables.PAYMENTS,
    history=tables.PAYMENT_HISTORY,
    columns={
        "id": "payment_id",
        "version": "version",
        "status": "payment_status",
        "occurred_at": "occurred_at",
        "order_id": "order_id",
        "user_id": "user_id",
    },
    statuses=get_args(messages.PaymentStatus),
    read=msgspec.json.Decoder(messages.Payment).decode,
)
REFUND: Final = Kind(
    name="refund",
    shape=messages.Refund,
    current=tables.REFUNDS,
    history=tables.REFUND_HISTORY,
    columns={
        "id": "refund_id",
        "version": "version",
        "status": "refund_status",
        "occurred_at": "occurred_at",
        "payment_id": "payment_id",
    },
    statuses=get_args(messages.RefundStatus),
    read=msgspec.json.Decoder(messages.Refund).decode,
)
KINDS: Final = (PAYMENT, REFUND)
