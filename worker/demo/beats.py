"""What a consumer's news means in the story: (part, state as told) → the beat. Words only.

Legend of the fields in braces: `id` is the payment, `why` what was told with the news, `due` when it goes on.
"""

from collections.abc import Mapping
from typing import Final

REQUESTS: Final = (
    "capture",
    "capture_again",
    "void",
    "void_early",
    "refund_undone",
    "refund_later",
    "refund_too_much",
    "refund_settled",
    "refund_nobody",
    "verification",
)
BEATS: Final[Mapping[tuple[str, str], str]] = {
    ("released", "held"): "{id} is held for review at the gateway: told as pending",
    ("released", "captured"): "{id} was approved by a person: told as success",
    ("held", "held"): "{id} is held for review and stays so: told as pending",
    ("lost", "unknown"): "{id}: charged, but the answer was lost: told as pending",
    ("lost", "captured"): "{id}: asked for and found, not sent again: told as success",
    ("verification", "processed"): "{id}: somebody asked what became of it, and was answered",
    ("absent", "unknown"): "{id}: sent, but the connection broke: told as pending",
    ("absent", "failed"): "{id}: proven absent at the gateway: told as failure",
    ("declined", "declined"): "{id} is declined by the bank: told as failure",
    ("foreign", "refused"): "{id} is in EUR on a USD account: refused, nothing was sent",
    ("orderless", "refused"): "{id} is for an order that does not exist: refused",
    ("twin", "refused"): "{id} pays an order that is paid already: refused",
    ("early", "refused"): "{id} was voided before it came: refused, nothing was sent",
    ("tested", "verified"): "{id}: the means of payment is good, nothing was taken",
    ("partly", "authorized"): "{id} is authorised: reserved on the card",
    ("capture", "processed"): "{id}: a half of it is captured, the rest let go",
    ("capture_again", "failed"): "{id}: a second capture is refused: {why}",
    ("let_go", "authorized"): "{id} is authorised: reserved on the card",
    ("void", "processed"): "{id} is voided: nothing was taken",
    ("refund_undone", "processed"): "{id}: refunded in full before it settled, which is a void",
    ("refund_later", "deferred"): "{id}: a partial refund waits for the settlement: told as"
    " initiated, due at {due}",
    ("refund_later", "processed"): "{id}: settled now, so the partial refund went out",
    ("refund_too_much", "failed"): "{id}: a second refund is refused: {why}",
    ("refund_settled", "processed"): "{id}: settled, and refunded in full",
}
REPEATED: Final = "{id} asked for twice: answered again under the same event id"
LETTER: Final = "dead letter, {reason}: {text}"
SETTLED: Final = "the gateway's batch settles: what was captured cannot be voided any more"
