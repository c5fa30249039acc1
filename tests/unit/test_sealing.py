"""Sealing: opens what it sealed, for the row that it was sealed for, and never anything else."""

import base64

import pytest

from db_client.sealing import SealBrokenError, Sealer, read_keys
from handlers.domain.errors import InvalidValueError

OLD, NEW = b"o" * 32, b"n" * 32
SEALED = Sealer({"old": OLD}).seal("a secret", bound_to="op-1")


def encoded(key: bytes) -> str:
    """As a setting has it."""
    return base64.b64encode(key).decode()


@pytest.mark.parametrize("text", ["", "a secret", "ü\0🂡", "x" * 20_000])
def test_there_and_back(text: str) -> None:
    """Any text comes back, and is not readable in between."""
    sealer = Sealer({"k": NEW})
    sealed = sealer.seal(text, bound_to="op-1")
    assert text == sealer.open(sealed, bound_to="op-1")
    assert not text or text.encode() not in sealed
    assert sealed != sealer.seal(text, bound_to="op-1")


def test_keys_rotate() -> None:
    """A new key in front seals from now on; what the old one sealed opens for as long as it is there."""
    both = Sealer({"new": NEW, "old": OLD})
    assert "a secret" == both.open(SEALED, bound_to="op-1")
    assert "x" == Sealer({"new": NEW}).open(both.seal("x", bound_to="op-1"), bound_to="op-1")
    with pytest.raises(SealBrokenError, match="'old'"):
        Sealer({"new": NEW}).open(SEALED, bound_to="op-1")


@pytest.mark.parametrize("length", range(len(SEALED)))
def test_a_cut_row_does_not_open(length: int) -> None:
    """A value that was cut short anywhere is broken, and says so in our own words."""
    with pytest.raises(SealBrokenError):
        Sealer({"old": OLD}).open(SEALED[:length], bound_to="op-1")


@pytest.mark.parametrize("place", range(len(SEALED)))
def test_a_changed_row_does_not_open(place: int) -> None:
    """One flipped bit anywhere, and it does not open."""
    changed = bytearray(SEALED)
    changed[place] ^= 0x80
    with pytest.raises(SealBrokenError):
        Sealer({"old": OLD}).open(bytes(changed), bound_to="op-1")


def test_a_row_copied_to_another_operation_does_not_open() -> None:
    """Sealed for one operation, it is nothing to another; and the error names no secret."""
    with pytest.raises(SealBrokenError) as broken:
        Sealer({"old": OLD}).open(SEALED, bound_to="op-2")
    assert "a secret" not in str(broken.value)


@pytest.mark.parametrize("between", [",", "\n", " , \n"])
def test_keys_are_read_in_order(between: str) -> None:
    """One a line or separated by commas; the first one seals."""
    text = between.join((f"new:{encoded(NEW)}", f"old:{encoded(OLD)}"))
    assert {"new": NEW, "old": OLD} == read_keys(text)
    assert ["new", "old"] == list(read_keys(text))


@pytest.mark.parametrize(
    "text",
    [
        "k",
        "k:",
        ":" + encoded(NEW),
        "k:" + encoded(NEW[:31]),
        "k:!" + encoded(NEW),
        "k" * 256 + ":" + encoded(NEW),
    ],
)
def test_a_bad_key_is_named_without_being_shown(text: str) -> None:
    """The setting is named, its value is not."""
    with pytest.raises(InvalidValueError) as refused:
        read_keys(text)
    assert "journal_keys" == refused.value.field
    assert encoded(NEW)[:8] not in str(refused.value)


def test_no_key_is_no_sealer() -> None:
    """A worker without a key does not start."""
    with pytest.raises(InvalidValueError):
        Sealer(read_keys(""))
