"""Values in a request that steer the answer: the vendor's documented ones and one table of ours.

Documented (testing guide): postal codes for a decline, AVS letters and partial approvals, card
codes for CVV letters, eChecks above 100.00.

Of our own, and only with the setting `amount_triggers` on, so that an ordinary amount is never
declined by accident: the cents of the amount choose the reason code (table `BY_CENTS`; where the
cents and the code differ, the code has three digits).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.demo.simulator.gateway import Settings
    from worker.demo.simulator.means import Means

DECLINED_ZIP = "46282"
AVS_BY_ZIP = {
    "46201": "A", "46203": "E", "46204": "G", "46205": "N", "46206": "P", "46207": "R",
    "46208": "S", "46209": "U", "46211": "W", "46214": "X", "46217": "Z",
}  # fmt: skip
CVV_BY_CODE = {"900": "M", "901": "N", "902": "S", "903": "U", "904": "P"}
# zip -> (authorised minor units or None for all, balance on the prepaid card)
PARTIAL_BY_ZIP = {
    "46225": (123, "0.00"),
    "46226": (None, "1.23"),
    "46227": (None, "-1.23"),
    "46228": (None, "0.00"),
}
BY_CENTS = {
    2: 2, 3: 3, 4: 4, 8: 8, 19: 19, 20: 20, 21: 21, 25: 25, 26: 26, 27: 27, 28: 28, 36: 36,
    37: 37, 39: 39, 41: 41, 44: 44, 45: 45, 52: 52, 57: 57, 63: 63, 65: 65, 66: 66,
    80: 180, 91: 191, 92: 252, 93: 253, 94: 193, 15: 315, 17: 317, 18: 318,
}  # fmt: skip
ECHECK_LIMIT_MINOR = 100_00


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say about a charge."""

    reason: int
    approved_minor: int
    avs: str
    cvv: str
    prepaid_balance: str | None = None


def verdict(
    request: Mapping[str, Any],
    means: Means,
    *,
    amount_minor: int,
    partial: bool,
    settings: Settings,
) -> Verdict:
    """The verdict on a charge, faults of the plan left aside."""
    zip_code = str((request.get("billTo") or {}).get("zip") or means.zip_code)
    avs, cvv = AVS_BY_ZIP.get(zip_code, "Y"), _cvv(request)
    reason = _reason(means, zip_code, amount_minor=amount_minor, settings=settings)
    if reason != 1 or not partial or zip_code not in PARTIAL_BY_ZIP:
        return Verdict(reason, amount_minor if reason == 1 else 0, avs, cvv)
    limit, balance = PARTIAL_BY_ZIP[zip_code]
    if limit is None or limit >= amount_minor:
        return Verdict(1, amount_minor, avs, cvv, balance)
    return Verdict(295, limit, avs, cvv, balance)


def _reason(means: Means, zip_code: str, *, amount_minor: int, settings: Settings) -> int:
    if settings.amount_triggers and amount_minor % 100 in BY_CENTS:
        return BY_CENTS[amount_minor % 100]
    if means.decline_reason is not None:
        return means.decline_reason
    if zip_code == DECLINED_ZIP:
        return 2
    if means.is_bank and amount_minor > ECHECK_LIMIT_MINOR:
        return 2
    return 1


def _cvv(request: Mapping[str, Any]) -> str:
    profile = request.get("profile") or {}
    code = str((profile.get("paymentProfile") or {}).get("cardCode") or "")
    if not code:
        return "P"
    return CVV_BY_CODE.get(code, "M")
