"""The project's own schemas: `avsc/<kind>.avsc` is spoken now, `avsc/history/<kind>.v<n>.avsc` is every version.

To change a schema: change the current file and put a copy of it into `history/` under the next number. A version that
was ever written stays there, since single-object records name their schema by fingerprint alone, and a record may be
read long after it was written. Tests hold that the current one is in `history/` and that all versions are
FULL_TRANSITIVE. What must not live here: what a schema means (`schema.py`, `compat.py`).
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from avro.schema import Schema, load

AVSC: Final = Path(__file__).parent / "avsc"
PAYMENT_INITIATION: Final = "payment_initiation"
PAYMENT_CAPTURE_REQUEST: Final = "payment_capture_request"
PAYMENT_VOID_REQUEST: Final = "payment_void_request"
REFUND_REQUEST: Final = "refund_request"
PAYMENT_VERIFICATION_REQUEST: Final = "payment_verification_request"
PAYMENT_STATUS: Final = "payment_status"
ORDER_EVENTS: Final = "order_events"
NOTIFICATION_EVENTS: Final = "notification_events"


class Catalog:
    """The schemas of a folder, parsed once. `kind` is what a topic carries, whatever the topic is called."""

    def __init__(self, folder: Path = AVSC) -> None:
        current = {path.stem: _load(path) for path in sorted(folder.glob("*.avsc"))}
        self._current: Mapping[str, Schema] = MappingProxyType(current)
        self._versions = {kind: _versions(folder / "history", kind) for kind in current}

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every kind that has a schema."""
        return tuple(self._current)

    def current(self, kind: str) -> Schema:
        """The schema that is written and read today."""
        return self._current[kind]

    def versions(self, kind: str) -> tuple[Schema, ...]:
        """Every version ever written, oldest first."""
        return self._versions[kind]

    def writers(self, kind: str) -> Mapping[bytes, Schema]:
        """By fingerprint: every schema of `kind` that a single-object record may name. The current one wins."""
        known = (*self._versions[kind], self._current[kind])
        return {schema.fingerprint: schema for schema in known}


def _load(path: Path) -> Schema:
    return load(path.read_text(encoding="utf-8"))


def _versions(folder: Path, kind: str) -> tuple[Schema, ...]:
    paths = folder.glob(f"{kind}.v*.avsc")
    by_number = sorted(paths, key=lambda path: int(path.stem.rpartition(".v")[2]))
    return tuple(_load(path) for path in by_number)
