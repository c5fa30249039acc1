"""What the gateway said, and only that. Our own opinion of it is the outcome (`outcomes.py`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

Evidence = Mapping[str, object]
NO_EVIDENCE: Final[Evidence] = MappingProxyType({})


BANK: Final = "echeck"  # the brand of a bank account


class Advice(StrEnum):
    """What a decline means for another try. Data, told in every event."""

    HARD = "hard"  # never again with this means of payment
    SOFT = "soft"  # the customer may try again later
    FIX = "fix"  # our request or the account's set-up is wrong: a person must act
    REVIEW = "review"  # held for a person
    UNDECIDED = "undecided"  # nobody knows yet; we keep asking


@dataclass(frozen=True, slots=True)
class Method:
    """How it was paid, as far as anyone may see it. A bank account's brand is `echeck`."""

    kind: str = ""
    brand: str = ""
    last4: str = ""

    @property
    def is_bank(self) -> bool:
        """True for a bank account, whose transfers may come back for days."""
        return self.brand == BANK


@dataclass(frozen=True, slots=True)
class Reason:
    """The gateway's own code and text (or ours, where we speak: code `worker.*`)."""

    code: str
    text: str
    advice: Advice


@dataclass(frozen=True, slots=True)
class Approved:
    """Money moved, or is reserved. `amount_minor` and `currency` are what the gateway says, None where it does not.

    `others`: ids of further transactions that were approved under the same invoice number; there must be none.
    """

    transaction_id: str
    captured: bool
    reason: Reason
    amount_minor: int | None = None
    currency: str | None = None
    auth_code: str = ""
    network_transaction_id: str = ""
    avs: str = ""
    cvv: str = ""
    method: Method = field(default_factory=Method)
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Declined:
    """A definite no, by the bank, a filter or the gateway: no money moved."""

    reason: Reason
    transaction_id: str | None = None
    method: Method = field(default_factory=Method)


@dataclass(frozen=True, slots=True)
class Held:
    """The gateway holds it for review: neither success nor failure."""

    transaction_id: str
    reason: Reason
    amount_minor: int | None = None
    method: Method = field(default_factory=Method)


@dataclass(frozen=True, slots=True)
class NotYet:
    """Definitely not done, because the transaction stands elsewhere than we thought: not settled yet, or settled now.

    Nothing moved. Where it stands must be looked at before anything else is decided.
    """

    reason: Reason


@dataclass(frozen=True, slots=True)
class Unsent:
    """Surely not sent: the gate let no byte pass. `why` is for people."""

    why: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The gate let it pass, and no readable, definite answer came. It has neither succeeded nor failed (P4)."""

    reason: Reason


Definite = Approved | Declined | Held | NotYet
Verdict = Definite | Unsent | Unknown


@dataclass(frozen=True, slots=True)
class Answer:
    """One call: its verdict, the scrubbed reply as evidence (JSON types only, never a secret), how long it took."""

    verdict: Verdict
    evidence: Evidence = field(default_factory=lambda: NO_EVIDENCE)
    latency_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """The gateway has it: what it says of it today."""

    verdict: Definite
    evidence: Evidence = field(default_factory=lambda: NO_EVIDENCE)


@dataclass(frozen=True, slots=True)
class NotSeen:
    """It was not seen. Only a `complete` scan (no row missing, reached back to `since`) counts towards absence.

    `heard`: the gateway answered. Where it did not, nothing was learned, and it is asked again soon.
    """

    complete: bool
    why: str
    evidence: Evidence = field(default_factory=lambda: NO_EVIDENCE)
    heard: bool = True


Finding = Found | NotSeen
