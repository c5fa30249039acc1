"""What the adapter is told at start: endpoint, credentials, bounds. They check themselves; nothing is read here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from handlers.domain.errors import InvalidValueError
from handlers.domain.money import EXPONENTS
from handlers.domain.secret import Secret
from handlers.gateway.authorizenet.contract_table import ELEMENTS

PRODUCTION: Final = "production"
SANDBOX: Final = "sandbox"
_PRODUCTION_HOSTS: Final = frozenset({"api.authorize.net", "api2.authorize.net"})
_SANDBOX_HOSTS: Final = frozenset({"apitest.authorize.net"})
_DAY_S: Final = 86_400
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def _sized(name: str, value: Secret, *, longest: int | None) -> None:
    assert longest is not None, f"the contract limits {name}"
    if not 1 <= len(value.reveal()) <= longest:
        raise InvalidValueError(
            name, f"must be 1 to {longest} characters, as the gateway issued it"
        )


@dataclass(frozen=True, slots=True)
class CutOff:
    """When an account's day ends and its batch settles: what settled is in no unsettled list any more.

    The default is the vendor's (16:00 Pacific); an account may have another, so it is a setting. `through_after_s`: how
    long after the cut-off the batch is surely settled and listed. Until then a transaction may stand in no list at all.
    """

    at: time = time(16)
    zone: str = "America/Los_Angeles"
    through_after_s: float = 4 * 3600.0

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # a folder, a name too long
            raise InvalidValueError(
                "gateway.cut_off.zone", "must be an IANA time zone, such as America/Los_Angeles"
            ) from error
        if not 0 <= self.through_after_s <= _DAY_S:
            raise InvalidValueError("gateway.cut_off.through_after_s", f"must be 0 to {_DAY_S} s")

    def last(self, now: datetime) -> datetime:
        """The latest cut-off at or before `now` (aware), in UTC."""
        zone = ZoneInfo(self.zone)
        day = now.astimezone(zone).date()
        moment = self._on(day)
        return moment if moment <= now else self._on(day - timedelta(days=1))

    def _on(self, day: date) -> datetime:
        return datetime.combine(day, self.at, tzinfo=ZoneInfo(self.zone)).astimezone(UTC)

    def through_at(self, submitted_at: datetime, *, now: datetime) -> datetime:
        """When the batch that takes what was submitted then, and is unsettled `now`, is surely through (UTC)."""
        through = timedelta(seconds=self.through_after_s)
        # What should be through by now and is not, goes with the next batch.
        after = max(submitted_at, now - through)
        zone = ZoneInfo(self.zone)
        day = after.astimezone(zone).date()
        moment = self._on(day)
        return (moment if moment > after else self._on(day + timedelta(days=1))) + through

    def hides(self, since: datetime, *, now: datetime) -> bool:
        """True where a batch was cut off after `since` that may not be listed yet at `now`."""
        last = self.last(now)
        return last > since and now < last + timedelta(seconds=self.through_after_s)


@dataclass(frozen=True, slots=True)
class Account:
    """One merchant account: API login id, transaction key, and the one currency that it takes.

    `cut_off` None: its batches are not reckoned with (a simulator that settles by hand).
    """

    login: Secret
    transaction_key: Secret
    currency: str
    cut_off: CutOff | None = field(default_factory=CutOff)

    def __post_init__(self) -> None:
        limits = ELEMENTS["merchantAuthenticationType"]
        _sized("gateway.login", self.login, longest=limits["name"])
        _sized("gateway.transaction_key", self.transaction_key, longest=limits["transactionKey"])
        if self.currency not in EXPONENTS:
            raise InvalidValueError("gateway.currency", "must be an ISO 4217 code, such as USD")


@dataclass(frozen=True, slots=True)
class AuthorizeNetSettings:
    """Everything the adapter needs. `accounts` by the name that intents carry; retired ones, too, are still asked.

    `in_flight`, `reads_in_flight` and the breaker are each account's own: a busy or broken one never blocks another.

    `total_deadline_s` lies around each call as a whole; a charge passes the gate only where the lease outlives what is
    left of it by `margin_s`, so the lease must be longer than `lease_needed_s`. `unsent_*` and `retry_*` bound the
    retries of calls that surely were not sent. `ca_file` replaces the trusted authorities (tests, private gateways).
    """

    endpoint: str
    accounts: Mapping[str, Account]
    environment: str = SANDBOX
    total_deadline_s: float = 60.0
    connect_timeout_s: float = 5.0
    margin_s: float = 2.0
    in_flight: int = 500
    reads_in_flight: int = 4
    keepalive_s: float = 15.0
    unsent_attempts: int = 3
    unsent_within_s: float = 15.0
    retry_first_wait_s: float = 0.2
    retry_longest_wait_s: float = 3.0
    breaker_after: int = 10
    breaker_first_open_s: float = 1.0
    breaker_longest_open_s: float = 60.0
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        if self.environment not in {PRODUCTION, SANDBOX}:
            raise InvalidValueError(
                "gateway.environment", f"must be one of {PRODUCTION}, {SANDBOX}"
            )
        self._check_endpoint()
        if not self.accounts:
            raise InvalidValueError("gateway.accounts", "must hold at least one merchant account")
        for name in ("in_flight", "reads_in_flight", "unsent_attempts", "breaker_after"):
            if getattr(self, name) < 1:
                raise InvalidValueError(f"gateway.{name}", "must be at least 1")
        for name in (
            "total_deadline_s",
            "connect_timeout_s",
            "keepalive_s",
            "breaker_first_open_s",
        ):
            if getattr(self, name) <= 0:
                raise InvalidValueError(f"gateway.{name}", "must be more than 0 seconds")

    def _check_endpoint(self) -> None:
        rule = "must be an https:// address (http:// only on the loopback), without a user"
        try:
            parts = urlsplit(self.endpoint)
            _ = parts.port  # checked only where it is read
        except ValueError:
            raise InvalidValueError("gateway.endpoint", rule) from None
        host = parts.hostname or ""
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
        if not is_safe or not host or "@" in parts.netloc:
            raise InvalidValueError("gateway.endpoint", rule)
        wrong = _SANDBOX_HOSTS if self.environment == PRODUCTION else _PRODUCTION_HOSTS
        if host in wrong:
            raise InvalidValueError(
                "gateway.endpoint", f"{host} does not belong to the environment {self.environment}"
            )

    @property
    def lease_needed_s(self) -> float:
        """The session's lease must be longer than this, or no charge ever passes the gate."""
        return self.total_deadline_s + self.margin_s
