"""The signature on records that the worker and its operator publish themselves: follow-up commands, replays, rulings.

They carry no customer's token, so they prove where they come from by a keyed hash over topic, key and value, in the
header `worker_signature`. The hash key is derived from the installation's invoice key, so no further secret has to be
kept and every worker of an installation can check it. Nothing here reads Kafka or settings; what a customer's token may
do is decided in `askers.py`.

A signature holds for as long as the invoice key does: whoever may write to a command topic can publish the same record
again. That is harmless, because the ids of a command make it count once, and it holds for no other topic, key or value.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

SIGNATURE_HEADER: Final = "worker_signature"
# An invoice number is hashed over parts joined by \x1f, so this text is never one of theirs.
_PURPOSE: Final = b"worker commands"
_LENGTH_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """What a signature covers of a record, and the signature as its header has it; None where there is none."""

    topic: str
    key: bytes = field(repr=False)
    value: bytes = field(repr=False)
    signature: bytes | None = field(default=None, repr=False)


def derive(invoice_key: bytes) -> bytes:
    """The 32 bytes with which commands of our own are signed. They do not reveal the invoice key."""
    assert invoice_key, "an empty invoice key would let anybody sign"
    return hmac.digest(invoice_key, _PURPOSE, hashlib.sha256)


def sign(key: bytes, *, topic: str, record_key: bytes, value: bytes) -> bytes:
    """The header's value: 64 characters of lower-case hex. `key` comes from `derive`."""
    assert len(key) == hashlib.sha256().digest_size, "the key comes from derive"
    signed = bytearray()
    # Each part behind its length: no two records share one text to be signed.
    for part in (topic.encode(), record_key, value):
        signed += len(part).to_bytes(_LENGTH_BYTES, "big") + part
    return hmac.digest(key, signed, hashlib.sha256).hex().encode()


def is_ours(key: bytes, *, topic: str, record_key: bytes, value: bytes, signature: bytes) -> bool:
    """Whether `signature` is the one that `sign` makes, compared in constant time."""
    expected = sign(key, topic=topic, record_key=record_key, value=value)
    return hmac.compare_digest(expected, signature)
