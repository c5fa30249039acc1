"""Everything the simulated gateway holds, in one place: account settings, book, profiles, dice.

No behaviour stands here; the parts that read and change this value do.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from worker.demo.simulator.faults import Dice
from worker.demo.simulator.ledger import Clock, Ledger
from worker.demo.simulator.means import Vault


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The account's switches, changed by the control port.

    `enhanced_duplicates`: a duplicate answer carries the original's data when the request had a
    duplicateWindow setting (as documented); off, every answer is bare (as recorded).
    `duplicate_blind_s`: how long a charge is invisible to the duplicate check; 0 makes the check a
    lock, which the vendor's is not. `amount_triggers`: the cents of an amount choose the reason
    (table in `triggers.py`). `partial_code`: the response code beside reason 295, which no public
    recording confirms.
    """

    currency: str = "USD"
    test_mode: bool = False
    amount_triggers: bool = False
    enhanced_duplicates: bool = True
    duplicate_window_s: int = 120
    duplicate_blind_s: float = 0.0
    list_lag_s: float = 0.0
    details_lag_s: float = 0.0
    partial_code: str = "4"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What merchantAuthentication must say; an empty field is not checked."""

    login: str = ""
    transaction_key: str = field(default="", repr=False)


@dataclass(slots=True)
class Calls:
    """Counters that the control port shows."""

    requests: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    requests_read: int = 0
    connections: int = 0
    open_connections: int = 0
    most_open_connections: int = 0
    raw_card_attempts: int = 0
    schema_refusals: int = 0
    authentication_refusals: int = 0
    answers_without_listener: int = 0


class Gateway:
    """The state of one simulated gateway account."""

    def __init__(self, *, seed: int = 0, credentials: Credentials | None = None) -> None:
        self.seed = seed
        self.credentials = credentials or Credentials()
        self.calls = Calls()
        self.reset()

    def reset(self) -> None:
        """Back to an empty account; open connections stay and stay counted."""
        self.settings = Settings()
        self.clock = Clock()
        self.ledger = Ledger(self.seed)
        self.vault = Vault()
        self.dice = Dice(self.seed)
        now_open = self.calls.open_connections
        self.calls = Calls(open_connections=now_open, most_open_connections=now_open)
