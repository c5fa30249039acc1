"""Everything the simulated gateway holds, in one place: account settings, book, profiles, dice.

No behaviour stands here; the parts that read and change this value do.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from worker.demo.simulator.faults import Dice
from worker.demo.simulator.ledger import Clock, Ledger, Row
from worker.demo.simulator.means import Vault

if TYPE_CHECKING:
    from collections.abc import Sequence


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The account's switches, changed by the control port.

    `enhanced_duplicates`: a duplicate answer carries the original's data when the request had a
    duplicateWindow setting (as documented); off, every answer is bare (as recorded).
    `duplicate_blind_s`: how long a charge is invisible to the duplicate check; 0 makes the check a
    lock, which the vendor's is not. `amount_triggers`: the cents of an amount choose the reason
    (table in `triggers.py`). `partial_code`: the response code beside reason 295, which no public
    recording confirms. `zero_auth`: an authorisation of 0.00 is taken, else it is reason 289.
    `checks_amounts`: off, captures above what was authorised and refunds above what was captured are
    taken, so that the book shows what a caller would have done without the gateway's own guard.

    `cut_off`: when the day ends, `HH:MM` with a time zone or an offset of UTC in seconds behind it
    (nothing is UTC), or `none`. `settle_after_cut_off_s`: how long the batch takes. `settles`: time
    alone settles and expires, too; off, only the control port's `/clock` and `/settle` do.
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
    zero_auth: bool = True
    checks_amounts: bool = True
    cut_off: str = "00:00"
    settle_after_cut_off_s: float = 0.0
    settles: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """What merchantAuthentication must say; an empty field is not checked."""

    login: str = ""
    transaction_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Account:
    """One more merchant account, with its one currency."""

    login: str
    transaction_key: str = field(repr=False)
    currency: str

    def __post_init__(self) -> None:
        """Raise ValueError where the gateway's schema would not take it."""
        if not (1 <= len(self.login) <= 25 and 1 <= len(self.transaction_key) <= 16):
            raise ValueError("an account needs a login of 1..25 and a key of 1..16 characters")
        if not (len(self.currency) == 3 and self.currency.isascii() and self.currency.isupper()):
            raise ValueError("an account's currency has three capital letters")


@dataclass(slots=True)
class Calls:
    """Counters that the control port shows.

    `performed` counts transactions by type, as often as they reached the rules; `refusals` counts
    `<type>.<reason>` of those that were declined or refused.
    """

    requests: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    performed: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    requests_read: int = 0
    connections: int = 0
    open_connections: int = 0
    most_open_connections: int = 0
    raw_card_attempts: int = 0
    schema_refusals: int = 0
    authentication_refusals: int = 0
    answers_without_listener: int = 0


class Gateway:
    """The state of one simulated gateway: the account that the settings describe, and others."""

    def __init__(
        self,
        *,
        seed: int = 0,
        credentials: Credentials | None = None,
        accounts: Sequence[Account] = (),
    ) -> None:
        self.seed = seed
        self.credentials = credentials or Credentials()
        self._accounts_at_start = tuple(accounts)
        self.calls = Calls()
        self.reset()

    def reset(self) -> None:
        """Back to an empty account and the accounts of the start; open connections stay counted."""
        self.settings = Settings()
        self.accounts: dict[str, Account] = {}
        for account in self._accounts_at_start:
            self.add(account)
        self.clock = Clock()
        self.settled_until = self.clock.now()
        self.settles_next_at = -math.inf
        self.ledger = Ledger(self.seed)
        self.vault = Vault()
        self.dice = Dice(self.seed)
        now_open = self.calls.open_connections
        self.calls = Calls(open_connections=now_open, most_open_connections=now_open)

    def add(self, account: Account) -> None:
        """Serve one more account; ValueError where its login is taken."""
        if account.login == self.credentials.login:
            raise ValueError("the main account has this login")
        self.accounts[account.login] = account

    def currency_of(self, login: str) -> str:
        """The one currency of an account."""
        account = self.accounts.get(login)
        return self.settings.currency if account is None else account.currency

    def account_of(self, login: str) -> str:
        """The account behind a login: its name, or "" for the main one."""
        return login if login in self.accounts else ""

    def may_see(self, login: str, row: Row) -> bool:
        """Whether a row belongs to the login's account."""
        return self.account_of(login) == self.account_of(row.login)
