"""Seals payment means that wait in the journal: AES-256-GCM, a key id in front, bound to the operation's id.

The first key seals; all keys open, so keys rotate by putting a new one in front. A sealed value is
`key id length (1) · key id · nonce (12) · ciphertext and tag`. Its associated data is the operation's id: a row that is
copied to another operation does not open.
"""

import base64
import os
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from handlers.domain.errors import InvalidValueError, WorkerError

_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_KEY_BYTES: Final = 32
_MAX_ID_BYTES: Final = 255  # its length stands in one byte


class SealBrokenError(WorkerError):
    """A sealed value does not open: an unknown key id, or the row was tampered with."""


class Sealer:
    """Seals with the first key, opens with any."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise InvalidValueError(
                "journal_keys", "needs at least one key, as `id:base64 of 32 bytes`"
            )
        self._current = next(iter(keys))
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}

    def seal(self, text: str, *, bound_to: str) -> bytes:
        """`text` sealed under the first key, readable only together with `bound_to`."""
        return self.seal_bytes(text.encode(), bound_to=bound_to)

    def open(self, sealed: bytes, *, bound_to: str) -> str:
        """The text again. Raises SealBrokenError."""
        return self.open_bytes(sealed, bound_to=bound_to).decode()

    def seal_bytes(self, plain: bytes, *, bound_to: str) -> bytes:
        """The same for bytes."""
        name = self._current.encode()
        nonce = os.urandom(_NONCE_BYTES)
        body = self._ciphers[self._current].encrypt(nonce, plain, bound_to.encode())
        return bytes([len(name)]) + name + nonce + body

    def open_bytes(self, sealed: bytes, *, bound_to: str) -> bytes:
        """The same for bytes."""
        end = 1 + (sealed[0] if sealed else 0)
        if len(sealed) < end + _NONCE_BYTES + _TAG_BYTES:
            raise SealBrokenError(f"the sealed means of {bound_to} do not open: cut short")
        name = sealed[1:end].decode(errors="replace")
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise SealBrokenError(
                f"no journal key has the id {name!r}; add it behind the current one"
            )
        nonce, body = sealed[end : end + _NONCE_BYTES], sealed[end + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, body, bound_to.encode())
        except InvalidTag:
            raise SealBrokenError(
                f"the sealed means of {bound_to} do not open: wrong key or changed row"
            ) from None


def read_keys(text: str) -> dict[str, bytes]:
    """Keys from `id:base64` entries, one a line or separated by commas; the first one seals."""
    keys: dict[str, bytes] = {}
    for entry in text.replace(",", "\n").split():
        name, _, encoded = entry.partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except ValueError:  # no base64, or not even ASCII
            key = b""
        if not 1 <= len(name.encode()) <= _MAX_ID_BYTES or len(key) != _KEY_BYTES:
            raise InvalidValueError("journal_keys", "each entry must be `id:base64 of 32 bytes`")
        keys[name] = key
    return keys
