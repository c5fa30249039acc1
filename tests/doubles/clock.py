"""A clock that a test moves. Its contract suite: `tests/contract/test_clock_port.py`."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.doubles.values import MIDNIGHT


@dataclass
class ClockDouble:
    """Implements `handlers.ports.Clock`; stands still until it is moved."""

    at: datetime = MIDNIGHT

    def now(self) -> datetime:
        """The time it was moved to."""
        return self.at

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.at += timedelta(seconds=seconds)
