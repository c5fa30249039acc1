"""The fault plan: how long an answer takes and which fault, if any, meets a request.

A fault is a row of `FAULTS`: whether the charge (or whatever was asked) happens, and how the answer
is delivered. The dice are drawn from the seed, the invoice number (with the type and the transaction
referred to, where there is one) and how often that was seen, never from the order of arrival, so a
run can be repeated. Exact scripts (`Rule`) go before the dice. Delivering an answer in a broken way
is `app.py`'s matter.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from enum import Enum, auto
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import msgspec

from worker.demo.simulator.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping

_NORMAL = NormalDist()
_Z99 = _NORMAL.inv_cdf(0.99)


class Delivery(Enum):
    """What the caller's socket sees."""

    ANSWER = auto()
    RESET = auto()
    RESET_AT_ONCE = auto()
    SILENCE = auto()
    HTTP_ERROR = auto()
    HTML_PAGE = auto()
    MESSAGE = auto()
    SLOW_BYTES = auto()
    HALF_ANSWER = auto()


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a request goes wrong."""

    name: str
    charged: bool
    delivery: Delivery = Delivery.ANSWER
    reason: int | None = None  # this reason instead of the one the rules find
    message: str = ""  # this message code instead of an answer
    times: int = 1  # how often the infrastructure delivers the request to the gateway


_ROWS = (
    Fault("decline", charged=True, reason=2),
    Fault("held_252", charged=True, reason=252),
    Fault("held_253", charged=True, reason=253),
    Fault("lost_answer", charged=True, delivery=Delivery.RESET),
    Fault("hang_after_charge", charged=True, delivery=Delivery.SILENCE),
    Fault("hang_uncharged", charged=False, delivery=Delivery.SILENCE),
    Fault("reset_before_read", charged=False, delivery=Delivery.RESET_AT_ONCE),
    Fault("http_5xx_charged", charged=True, delivery=Delivery.HTTP_ERROR),
    Fault("http_5xx_uncharged", charged=False, delivery=Delivery.HTTP_ERROR),
    Fault("e00053_charged", charged=True, delivery=Delivery.MESSAGE, message="E00053"),
    Fault("e00053_uncharged", charged=False, delivery=Delivery.MESSAGE, message="E00053"),
    Fault("e00001_charged", charged=True, delivery=Delivery.MESSAGE, message="E00001"),
    Fault("e00001_uncharged", charged=False, delivery=Delivery.MESSAGE, message="E00001"),
    Fault("e00104_charged", charged=True, delivery=Delivery.MESSAGE, message="E00104"),
    Fault("e00104_uncharged", charged=False, delivery=Delivery.MESSAGE, message="E00104"),
    Fault("html_page_charged", charged=True, delivery=Delivery.HTML_PAGE),
    Fault("html_page_uncharged", charged=False, delivery=Delivery.HTML_PAGE),
    Fault("slow_bytes", charged=True, delivery=Delivery.SLOW_BYTES),
    Fault("half_answer", charged=True, delivery=Delivery.HALF_ANSWER),
    Fault("delivered_twice", charged=True, times=2),
)
FAULTS: dict[str, Fault] = {row.name: row for row in _ROWS}
# A look-up moves no money: of a charged and an uncharged twin only one makes sense for it.
READ_FAULTS = frozenset(
    row.name
    for row in _ROWS
    if row.reason is None and row.times == 1 and "_charged" not in row.name
)
_SCRIPTED = {
    f"reason_{code}": Fault(f"reason_{code}", charged=True, reason=code) for code in REASONS
}
NO_FAULT = Fault("none", charged=True)


class Latency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Log-normal by median and 99th percentile, or uniform; nothing given is no latency."""

    p50_ms: float = 0.0
    p99_ms: float = 0.0
    uniform_ms: tuple[float, float] | None = None
    max_ms: float = 600_000.0

    def checked(self) -> None:
        """Raise ValueError when the figures make no distribution."""
        if self.uniform_ms is not None and not 0 <= self.uniform_ms[0] <= self.uniform_ms[1]:
            raise ValueError("uniform_ms must be [a, b] with 0 <= a <= b")
        if self.p50_ms < 0 or (self.p50_ms > 0 and self.p99_ms < self.p50_ms):
            raise ValueError("latency needs 0 <= p50_ms <= p99_ms")

    def seconds(self, dice: float) -> float:
        """The latency at a point of the distribution, 0 < dice < 1."""
        if self.uniform_ms is not None:
            low, high = self.uniform_ms
            return (low + (high - low) * dice) / 1000
        if self.p50_ms <= 0:
            return 0.0
        sigma = math.log(self.p99_ms / self.p50_ms) / _Z99
        sampled = self.p50_ms * math.exp(sigma * _NORMAL.inv_cdf(dice))
        return min(sampled, self.max_ms) / 1000


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may happen to requests; the default is calm."""

    latency: Latency = Latency()
    faults: dict[str, float] = {}
    read_latency: Latency = Latency()
    read_faults: dict[str, float] = {}
    http_status: int = 503
    slow_bytes_s: float = 5.0

    def checked(self) -> None:
        """Raise ValueError with what is allowed when a fault or a figure makes no sense."""
        self.latency.checked()
        self.read_latency.checked()
        _check_faults(self.faults, allowed=sorted(FAULTS))
        _check_faults(self.read_faults, allowed=sorted(READ_FAULTS))
        if not 500 <= self.http_status <= 599:
            raise ValueError("http_status must lie in 500..599")


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Which transactions a rule means: every field that is given must be equal."""

    invoice_number: str | None = None
    description: str | None = None
    po_number: str | None = None
    zip: str | None = None
    transaction_type: str | None = None
    ref_trans_id: str | None = None
    nth: int | None = None

    def fits(self, request: Mapping[str, Any], nth: int) -> bool:
        """Whether one is meant; `nth` counts all types since the start or the last reset."""
        order = request.get("order") or {}
        bill_to = request.get("billTo") or {}
        wanted = (
            self.invoice_number,
            self.description,
            self.po_number,
            self.zip,
            self.transaction_type,
            self.ref_trans_id,
            self.nth,
        )
        found = (
            order.get("invoiceNumber"),
            order.get("description"),
            request.get("poNumber"),
            bill_to.get("zip"),
            request.get("transactionType"),
            request.get("refTransId"),
            nth,
        )
        pairs = zip(wanted, found, strict=True)
        return all(want is None or want == have for want, have in pairs)


class Rule(msgspec.Struct, forbid_unknown_fields=True):
    """One exact instruction: the transactions it means, the fault, how often it still fires."""

    match: Match
    fault: str = "none"
    times: int = 1
    latency_ms: float | None = None

    def checked(self) -> None:
        """Raise ValueError with what is allowed when the fault is not known."""
        named_fault(self.fault)
        if self.times < 1:
            raise ValueError("times must be at least 1")


def named_fault(name: str) -> Fault:
    """A fault by its name, `none` and `reason_<code>` included."""
    if name == NO_FAULT.name:
        return NO_FAULT
    found = FAULTS.get(name) or _SCRIPTED.get(name)
    if found is None:
        allowed = ", ".join(["none", *sorted(FAULTS), "reason_<reason code>"])
        raise ValueError(f"unknown fault {name!r}; allowed: {allowed}")
    return found


def _check_faults(given: Mapping[str, float], *, allowed: list[str]) -> None:
    for name, probability in given.items():
        if name not in allowed:
            raise ValueError(f"unknown fault {name!r}; allowed: {', '.join(allowed)}")
        if not 0 <= probability <= 1:
            raise ValueError(f"the probability of {name!r} must lie in 0..1")
    if sum(given.values()) > 1 + 1e-9:
        raise ValueError("the probabilities add up to more than 1")


@dataclass(frozen=True, slots=True)
class Fate:
    """What was drawn for one request."""

    fault: Fault
    latency_s: float


@dataclass(slots=True)
class Dice:
    """The plan, the script and the memory that both need."""

    seed: int
    plan: Plan = field(default_factory=Plan)
    rules: list[Rule] = field(default_factory=list)
    charges: int = 0
    seen: dict[str, int] = field(default_factory=dict)

    def for_charge(self, request: Mapping[str, Any]) -> Fate:
        """The fate of a transaction of any type: a script's rule first, else the dice."""
        self.charges += 1
        key = str((request.get("order") or {}).get("invoiceNumber") or "")
        if request.get("refTransId"):
            key = f"{request['transactionType']}:{request['refTransId']}:{key}"
        plan = self.plan
        rule = self._rule(request)
        if rule is None and plan == _CALM:
            return _NOTHING
        first, second = self._draw(key)
        fault = named_fault(rule.fault) if rule else _pick(plan.faults, first)
        if rule is not None and rule.latency_ms is not None:
            return Fate(fault, rule.latency_ms / 1000)
        return Fate(fault, plan.latency.seconds(second))

    def for_read(self, name: str) -> Fate:
        """The fate of a look-up; these are drawn by their number."""
        plan = self.plan
        if plan == _CALM:
            return _NOTHING
        first, second = self._draw(f"read:{name}")
        return Fate(_pick(plan.read_faults, first), plan.read_latency.seconds(second))

    def _rule(self, request: Mapping[str, Any]) -> Rule | None:
        for place, rule in enumerate(self.rules):
            if rule.match.fits(request, self.charges):
                rule.times -= 1
                if rule.times == 0:
                    del self.rules[place]
                return rule
        return None

    def _draw(self, key: str) -> tuple[float, float]:
        """Two numbers in (0, 1) that depend on the seed, the key and how often it was seen."""
        times = self.seen.get(key, 0)
        self.seen[key] = times + 1
        digest = hashlib.blake2b(f"{self.seed}|{key}|{times}".encode(), digest_size=16).digest()
        first = (int.from_bytes(digest[:8], "big") + 0.5) / 2**64
        second = (int.from_bytes(digest[8:], "big") + 0.5) / 2**64
        return min(first, 1 - 1e-12), min(second, 1 - 1e-12)


_CALM = Plan()
_NOTHING = Fate(NO_FAULT, 0.0)


def _pick(faults: Mapping[str, float], dice: float) -> Fault:
    reached = 0.0
    for name in sorted(faults):
        reached += faults[name]
        if dice < reached:
            return FAULTS[name]
    return NO_FAULT
