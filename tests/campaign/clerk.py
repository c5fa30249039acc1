"""The person whom a campaign needs: a refund that no list of the gateway shows is never sent again without their word.

They look at the gateway as one does in the merchant interface, and say what they see by the product's own command.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from db_client.audit import JournalBook, RequestEntry
from tests.campaign.chronicle import TroubleError
from tests.campaign.ground import Ground

_DOOR: Final = Path(__file__).parents[2] / "run_worker.py"
_ASKED_WITHIN_S: Final = 120.0
_WAITS: Final = "a person must say whether it happened"
_WHY: Final = "it is not in the merchant interface"


@dataclass(slots=True)
class Clerk:
    """`ruled`: the operations about which a word was said, once. `seen`: those that the finder should have found."""

    ground: Ground
    ruled: set[str] = field(default_factory=set)
    seen: list[RequestEntry] = field(default_factory=list)

    def look(self, book: JournalBook) -> None:
        """Decide what waits for a person. Raises TroubleError where the command fails."""
        waiting = list(self._waiting(book))
        if not waiting:
            return
        invoices = {row["invoiceNumber"] for row in self.ground.stage.ledger()}
        for it in waiting:
            self.ruled.add(it.operation_id)
            if invoices.intersection(it.invoice_numbers):
                self.seen.append(it)
            else:
                self._say(it.operation_id)

    def _waiting(self, book: JournalBook) -> Iterator[RequestEntry]:
        """Told as unknown and asked for: what is merely under suspicion must come right without anybody's word."""
        for it in book.requests:
            is_new = it.operation_id not in self.ruled
            if is_new and it.stage == "asking" and it.why.endswith(_WAITS):
                yield it

    def _say(self, operation_id: str) -> None:
        words = (
            "review",
            "decide",
            operation_id,
            "--did-not-happen",
            "--by",
            "clerk",
            "--why",
            _WHY,
        )
        done = subprocess.run(
            [sys.executable, str(_DOOR), *words],
            env=self.ground.stage.worker_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=_ASKED_WITHIN_S,
        )
        if done.returncode:
            said = done.stderr.strip()[-400:]
            raise TroubleError(f"review decide {operation_id} ended with {done.returncode}: {said}")
