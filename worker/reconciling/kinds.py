"""The closed list of what may differ between the books: one literal table, the worst first. Nothing is compared here.

Legend: what it is, in one sentence. A break of every kind stands open until a person explains it or a complete scan
sees it no more. `TIMING` alone is expected: it is a break of another kind that is too young to be one, and it ages into
that kind. So a night's cron job stays quiet about payments that are on their way.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Kind(StrEnum):
    """What kind of difference it is."""

    ORPHAN = "orphan"
    DUPLICATE = "duplicate_at_gateway"
    ABSENT = "absent_at_gateway"
    REFUND = "refund_unexplained"
    TAKEN_BACK = "taken_back_unknown"
    CURRENCY = "currency_differs"
    AMOUNT = "amount_differs"
    STATUS = "status_differs"
    BATCH = "batch_total_differs"
    MISSING = "missing_in_db_service"
    STALE = "stale_in_db_service"
    UNTOLD = "untold"
    TIMING = "timing"


KINDS: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        Kind.ORPHAN: "The gateway charged, and no command here explains it.",
        Kind.DUPLICATE: "The gateway has more than one live transaction of what may be done once.",
        Kind.ABSENT: "Captured, authorised or refunded here, and the gateway does not have it.",
        Kind.REFUND: "The gateway gave money back that nobody here asked for, or more than was captured.",
        Kind.TAKEN_BACK: "A chargeback or a bank's return at the gateway that is unknown here.",
        Kind.CURRENCY: "Two books have the same payment in different currencies.",
        Kind.AMOUNT: "Two books have the same payment, or refund, with different amounts.",
        Kind.STATUS: "Two books have the same payment, or refund, in states that exclude each other.",
        Kind.BATCH: "The total of a settled batch is not the sum of its transactions.",
        Kind.MISSING: "The db-service does not have a payment, or a refund, that was decided here.",
        Kind.STALE: "The db-service has an older version than the journal.",
        Kind.UNTOLD: "The events on Kafka end before the version at which the journal stands (`--events`).",
        Kind.TIMING: "Expected: one of the above, younger than `--grace`; it ages into that kind.",
    }
)
EXPECTED: Final = frozenset({Kind.TIMING})


class Book(StrEnum):
    """The book that was held against the journal."""

    GATEWAY = "gateway"
    DB_SERVICE = "db-service"
    EVENTS = "events"
