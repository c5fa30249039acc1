"""The worker's own signature: it holds for one topic, key and value, under one installation's key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.own_signature import SignedRecord, derive, is_ours, sign

KEY = derive(b"an invoice key of this installation")
PARTS = st.tuples(st.text(max_size=20), st.binary(max_size=20), st.binary(max_size=40))


def signed(parts: tuple[str, bytes, bytes]) -> bytes:
    """The signature over topic, key and value."""
    topic, key, value = parts
    return sign(KEY, topic=topic, record_key=key, value=value)


def test_the_signature_is_the_same_for_ever() -> None:
    """Records that were signed by an older version are still ours: derivation and layout never change."""
    assert "1e1185b38d3ae3ca" == KEY.hex()[:16]
    assert b"c38a8548677d6e45" == signed(("refund_request", b"pay-1", b"value"))[:16]


@given(PARTS)
def test_what_is_ours_is_known(parts: tuple[str, bytes, bytes]) -> None:
    """Whatever was signed is recognised, and the signature is 64 characters of hex."""
    topic, key, value = parts
    signature = signed(parts)
    assert 64 == len(bytes.fromhex(signature.decode())) * 2
    assert is_ours(KEY, topic=topic, record_key=key, value=value, signature=signature)


@given(PARTS, PARTS)
def test_another_record_has_another_signature(
    one: tuple[str, bytes, bytes], other: tuple[str, bytes, bytes]
) -> None:
    """No two records share a signature, wherever the border between their parts lies."""
    assert (one == other) == (signed(one) == signed(other))


def test_bytes_do_not_move_between_the_parts() -> None:
    """The same bytes cut elsewhere are another record."""
    assert signed(("ab", b"c", b"d")) != signed(("a", b"bc", b"d"))
    assert signed(("a", b"", b"bc")) != signed(("a", b"bc", b""))


@pytest.mark.parametrize("other", [b"", b"x", b"\xff" * 64, b"0" * 64, "ü".encode()])
def test_garbage_is_not_ours(other: bytes) -> None:
    """Anything else in the header is no signature, and no error."""
    assert not is_ours(KEY, topic="t", record_key=b"k", value=b"v", signature=other)


def test_another_installation_signs_otherwise() -> None:
    """Sandbox and production do not accept each other's commands, and the raw invoice key is no signing key."""
    elsewhere = derive(b"an invoice key of another installation")
    signature = sign(elsewhere, topic="t", record_key=b"k", value=b"v")
    assert not is_ours(KEY, topic="t", record_key=b"k", value=b"v", signature=signature)
    with pytest.raises(AssertionError):
        sign(b"an invoice key", topic="t", record_key=b"k", value=b"v")


def test_a_record_prints_no_content() -> None:
    """What is logged of it by mistake is the topic alone."""
    record = SignedRecord("refund_request", b"key-bytes", b"value-bytes", b"signature-bytes")
    assert "SignedRecord(topic='refund_request')" == repr(record)
