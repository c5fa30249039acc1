"""The db-service in memory. Its contract suite: `tests/contract/test_records_port.py`."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from handlers.domain.errors import Unavailable
from handlers.domain.payments import NO_REASON, Payment
from handlers.domain.verdicts import Method
from handlers.ports import Ahead
from tests.doubles.power import Power


@dataclass
class RecordsDouble:
    """Implements `handlers.ports.Records`. `down` turns every record away."""

    power: Power = field(default_factory=Power)
    stored: dict[str, tuple[Payment, datetime]] = field(default_factory=dict)
    down: bool = False

    async def record(self, payment: Payment, *, occurred_at: datetime) -> Ahead | None:
        """Keep the newest version; where this version, or a later one, holds other news, say which is the last."""
        self.power.point("record")
        if self.down:
            raise Unavailable("db-service", "it is down")
        known = self.stored.get(payment.payment_id)
        if known is None or known[0].version < payment.version:
            self.stored[payment.payment_id] = (payment, occurred_at)
        elif _news(known[0]) != _news(payment):
            return Ahead(known[0].version)
        elif known[0].version > payment.version:
            return Ahead(known[0].version - 1)
        self.power.point("record done")
        return None

    async def knows(self, payment_id: str) -> bool:
        """Whether any version was stored."""
        self.power.point("knows")
        if self.down:
            raise Unavailable("db-service", "it is down")
        return payment_id in self.stored


def _news(payment: Payment) -> Payment:
    """A payment without what may differ in the same news: texts and numbers of versions."""
    return replace(payment, version=0, reason=NO_REASON, method=Method())
