"""Values that the gateway adapter's tests share: a charge, an account, settings, a lease. No tests live here."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from handlers.domain.commands import Address, Line, Mode, OpaqueData
from handlers.domain.intents import Charge, Question
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from handlers.gateway.authorizenet.settings import Account, AuthorizeNetSettings

LOGIN = "5KP3u95bQpv"
KEY = "346HZ32z3fP4hTG2"
NONCE = "eyJjb2RlIjoiNTBfMl8wNjAwMDUzNEYxQjM2Q0Yx"
ACCOUNT = Account(Secret(LOGIN), Secret(KEY))
CHARGE = Charge(
    operation_id="initiation:pay-1",
    attempt=1,
    invoice_number="ABCDEFGHIJKLMNOPQRST",
    reference="ABCDEFGHIJKLMNOPQRST",
    mode=Mode.SALE,
    money=Money(1234, "USD"),
    means=OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", Secret(NONCE)),
    merchant_account="main",
    order_id="order-1",
    user_id="user-1",
    description="Two books",
    billing=Address(first_name="Ada", last_name="Lovelace", zip="98004", email="ada@example.org"),
    customer_ip="192.0.2.7",
    lines=(Line("sku-1", "A book", 2, 617),),
)
QUESTION = Question(
    merchant_account="main",
    invoice_number=CHARGE.invoice_number,
    money=CHARGE.money,
    mode=CHARGE.mode,
    since=datetime(2026, 11, 20, 12, 0, tzinfo=UTC),
)


def asked_now(**changes: Any) -> Question:
    """QUESTION about a charge of this moment, with `changes`."""
    return replace(QUESTION, **{"since": datetime.now(UTC), **changes})


@dataclass
class FixedLease:
    """A lease with so much left."""

    left_s: float = 3600.0

    def remaining_s(self) -> float:
        """Seconds left."""
        return self.left_s


def settings(endpoint: str, **changes: Any) -> AuthorizeNetSettings:
    """Settings for a test against `endpoint`: short deadlines, one attempt, no batch cut-off."""
    base: dict[str, Any] = {
        "total_deadline_s": 0.5,
        "connect_timeout_s": 0.3,
        "margin_s": 0.1,
        "in_flight": 4,
        "unsent_attempts": 1,
        "retry_first_wait_s": 0.01,
        "retry_longest_wait_s": 0.05,
        "cut_off": None,
    }
    return AuthorizeNetSettings(
        endpoint=endpoint, accounts={"main": ACCOUNT}, **{**base, **changes}
    )
