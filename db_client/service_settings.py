"""What the db-service's client is told at start. It checks itself; nothing is read from the environment here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from db_client.outcome_body import MOST_ITEMS
from handlers.domain.errors import InvalidValueError
from handlers.domain.secret import Secret

_COUNTS: Final = (
    "batch",
    "connections",
    "tries",
    "breaker_after",
    "look_ups",
    "order_cache_entries",
)
_TIMES: Final = (
    "timeout_s",
    "patience_s",
    "retry_first_wait_s",
    "retry_longest_wait_s",
    "breaker_first_open_s",
    "breaker_longest_open_s",
)
_ITEMS_A_PAYMENT: Final = 2  # itself and its refund
_LONGEST_CACHE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class DbServiceSettings:
    """Everything the client needs; `url` is the base, without a path's last slash.

    `timeout_s` lies around each call as a whole, `give_up_s` around each record or look-up with all its tries and its
    wait in line. `batch`: payments in one call, each of which may bring its refund. `connections` are for these calls,
    `look_ups` is how many questions are asked at once beside them. `patience_s`: how long a call under way is waited
    for before smaller batches start beside it. An order is kept for `order_cache_s` (0: not at all), at most
    `order_cache_entries` of them. `ca_file` replaces the trusted authorities.
    """

    url: str
    token: Secret
    timeout_s: float = 10.0
    batch: int = 50
    connections: int = 8
    look_ups: int = 8
    tries: int = 4
    give_up_s: float = 30.0
    patience_s: float = 0.05
    retry_first_wait_s: float = 0.1
    retry_longest_wait_s: float = 2.0
    breaker_after: int = 5
    breaker_first_open_s: float = 1.0
    breaker_longest_open_s: float = 30.0
    order_cache_s: float = 3.0
    order_cache_entries: int = 2000
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        self._check_url()
        token = self.token.reveal()
        if not token or not all("!" <= sign <= "~" for sign in token):
            raise InvalidValueError(
                "db_service.token", "must be printable ASCII without blanks, and not empty"
            )
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise InvalidValueError(f"db_service.{name}", "must be at least 1")
        for name in _TIMES:
            if getattr(self, name) <= 0:
                raise InvalidValueError(f"db_service.{name}", "must be more than 0 seconds")
        if self.batch > MOST_ITEMS // _ITEMS_A_PAYMENT:
            most = MOST_ITEMS // _ITEMS_A_PAYMENT
            raise InvalidValueError("db_service.batch", f"must be at most {most}")
        if not 0 <= self.order_cache_s <= _LONGEST_CACHE_S:
            rule = (
                f"must be from 0 to {_LONGEST_CACHE_S:g} seconds: an older order may be paid by now"
            )
            raise InvalidValueError("db_service.order_cache_s", rule)
        if self.give_up_s < self.timeout_s:
            rule = f"must be at most give_up_s, {self.give_up_s:g} seconds"
            raise InvalidValueError("db_service.timeout_s", rule)

    def _check_url(self) -> None:
        rule = "must be http(s)://host[:port][/path], without a user, a query or a fragment"
        try:
            parts = urlsplit(self.url)
            _ = parts.port  # checked only where it is read
        except ValueError:
            raise InvalidValueError("db_service.url", rule) from None
        plain = not ("@" in parts.netloc or parts.query or parts.fragment)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not plain:
            raise InvalidValueError("db_service.url", rule)
