"""The db-service in memory. Its contract suite: `tests/contract/test_records_port.py`."""

from dataclasses import dataclass, field
from datetime import datetime

from handlers.domain.errors import Unavailable
from handlers.domain.payments import Payment
from tests.doubles.power import Power


@dataclass
class RecordsDouble:
    """Implements `handlers.ports.Records`. `down` turns every record away."""

    power: Power = field(default_factory=Power)
    stored: dict[str, tuple[Payment, datetime]] = field(default_factory=dict)
    down: bool = False

    async def record(self, payment: Payment, *, occurred_at: datetime) -> None:
        """Keep the newest version; the same version with other content is the caller's bug, so it is not taken."""
        self.power.point("record")
        if self.down:
            raise Unavailable("db-service", "it is down")
        known = self.stored.get(payment.payment_id)
        if known is None or known[0].version < payment.version:
            self.stored[payment.payment_id] = (payment, occurred_at)
        elif known[0].version == payment.version and known != (payment, occurred_at):
            raise Unavailable("db-service", "this version is stored with other content")
        self.power.point("record done")
