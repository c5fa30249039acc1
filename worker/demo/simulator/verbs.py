"""createTransaction: one literal table of transaction types, and nothing of their rules.

A type that is not in the table gets reason 123 with words, never a made-up success. The caller
(`app.py`) has checked the schema and the credentials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.demo.simulator import replies
from worker.demo.simulator.attempts import Attempt
from worker.demo.simulator.capturing import capture, void
from worker.demo.simulator.charging import charge
from worker.demo.simulator.reasons import REASONS
from worker.demo.simulator.refunding import refund

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.demo.simulator.faults import Fault
    from worker.demo.simulator.gateway import Gateway
    from worker.demo.simulator.protocol import Call, Reply

VERBS: dict[str, Callable[[Attempt], Reply]] = {
    "authCaptureTransaction": charge,
    "authOnlyTransaction": charge,
    "priorAuthCaptureTransaction": capture,
    "refundTransaction": refund,
    "voidTransaction": void,
}


def create_transaction(gateway: Gateway, call: Call, *, fault: Fault) -> Reply:
    """Perform the request as often as it is delivered; the last answer counts."""
    kind = str(call.body["transactionRequest"]["transactionType"])
    verb = VERBS.get(kind)
    if verb is None:
        text = f"{REASONS[123][1]} ({kind!r} is not served here.)"
        return replies.refused(call, 123, text=text)
    reply: Reply = {}
    for _ in range(fault.times):
        gateway.calls.performed[kind] += 1
        reply = verb(Attempt(gateway, call, fault))
        for error in reply["transactionResponse"].get("errors", []):
            gateway.calls.refusals[f"{kind}.{error['errorCode']}"] += 1
    return reply
