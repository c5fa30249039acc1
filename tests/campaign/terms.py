"""What a campaign of a certain length is played with: settings that are honest between each other, and every bound.

Pure: the same order gives the same terms. Nothing is started here, and no fault is drawn here (`fault_plan.py`).
"""

from dataclasses import dataclass
from typing import Final

from tests.acceptance.mixed_load import PAYMENTS_A_SECOND
from tests.crash.installation import SHORT

# From so many seconds on a campaign is long enough for a list lag that people would notice.
_MIDDLING_S: Final = 120.0
_LONG_S: Final = 600.0
_FAULT_EVERY_S: Final = 14.0
_LEASE_S: Final = 6.0
_PAYMENTS_A_FAULT: Final = 100
_FEWEST_FAULTS: Final = 18  # each kind once
_SECONDS_A_PAYMENT: Final = 0.06  # to catch up, on a machine that others use, too


@dataclass(frozen=True, slots=True)
class Terms:
    """How long, how much, and how patient. `stretch`: how much slower than the mixed day its payments come.

    `lag_s`: how late a row shows up in the gateway's lists. `outage_s`: from the shortest to the longest.
    """

    seed: int
    payments: int
    lasts_s: float
    faults: int
    lag_s: float
    lease_s: float
    outage_s: tuple[float, float]
    walk_every_s: float

    @property
    def stretch(self) -> float:
        """Seconds of the campaign for one of the mixed day."""
        return self.lasts_s * PAYMENTS_A_SECOND / self.payments

    @property
    def follow_stretch(self) -> float:
        """The same for the time between a payment and what is asked about it."""
        return max(1.0, self.stretch) if self.lasts_s >= _MIDDLING_S else 1.0

    @property
    def absence_after_s(self) -> float:
        """A charge that is late in the lists must not pass for absent."""
        return 1.25 * self.lag_s + 1

    @property
    def deadline_s(self) -> float:
        """Of one gateway call: three quarters of the lease exceed it."""
        return self.lease_s / 2

    @property
    def orphan_wait_s(self) -> float:
        """A payment that comes after its void is not read while the gateway is away."""
        return 2 * self.outage_s[1] + 3 * self.follow_stretch + self.lease_s

    @property
    def calm_s(self) -> float:
        """Nothing new for so long: the lists show what was done last, were walked twice, and nothing was seen in them.

        `reconcile` is run after that; a refund of the last seconds that no list shows yet would be a break.
        """
        return max(2 * self.walk_every_s, self.lag_s) + 2

    @property
    def rests_within_s(self) -> float:
        """How long after the last fault everything may take to come to rest, at most."""
        catches_up_s = self.payments * _SECONDS_A_PAYMENT
        return 120 + 4 * self.absence_after_s + self.orphan_wait_s + catches_up_s

    @property
    def settings(self) -> dict[str, str]:
        """The workers' settings (without WORKER_, in lower case)."""
        return {
            **SHORT,
            "gateway_deadline_s": f"{self.deadline_s:g}",
            "lease_s": f"{self.lease_s:g}",
            "kafka_session_timeout_s": f"{0.75 * self.lease_s:g}",
            "kafka_transaction_timeout_s": f"{0.5 * self.lease_s:g}",
            "absence_after_s": f"{self.absence_after_s:g}",
            "ask_schedule_s": "0.5,1,2,5,10" if self.lasts_s >= _MIDDLING_S else "0.5,1,2",
            "in_flight": "50",
            "order_check": "strict",
            "one_payment": "enforce",
            "settlement_wait_s": f"{min(30.0, max(1.0, self.lasts_s / 60)):g}",
            "orphan_wait_s": f"{self.orphan_wait_s:g}",
            "walk_every_s": f"{self.walk_every_s:g}",
            "metrics_port": "0",
        }


def terms_of(*, seed: int, payments: int, minutes: float, faults: int | None = None) -> Terms:
    """The terms of such a campaign; without `faults` at least one for each hundred payments, and each kind once."""
    lasts_s = 60 * minutes
    enough = max(
        _FEWEST_FAULTS, round(1.1 * payments / _PAYMENTS_A_FAULT), round(lasts_s / _FAULT_EVERY_S)
    )
    is_long, is_middling = lasts_s >= _LONG_S, lasts_s >= _MIDDLING_S
    return Terms(
        seed=seed,
        payments=payments,
        lasts_s=lasts_s,
        faults=enough if faults is None else faults,
        lag_s=60.0 if is_long else 20.0 if is_middling else 2.0,
        lease_s=_LEASE_S,
        outage_s=(max(1.0, 0.035 * lasts_s), max(2.0, 0.08 * lasts_s)),
        walk_every_s=5.0 if is_middling else 1.0,
    )
