"""The issuer's key set in a file: which keys count, how they are rotated, and what makes intake wait."""

import os
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from handlers.domain.errors import Unavailable
from tests.doubles.token_issuer import (
    AUDIENCE,
    ISSUER,
    USER,
    bearer,
    claims,
    ec_key,
    key_set,
    part,
    published,
    rsa_key,
    token,
    unsigned,
)
from worker.askers import Askers, AskerSettings
from worker.own_signature import SignedRecord, derive

RSA, EC = rsa_key("rsa"), ec_key("ec")
GOOD = bearer(token(RSA, kid="rsa"))
RECORD = SignedRecord("refund_request", b"pay-1", b"value")
MEMBERS = ("kty", "kid", "n", "e", "crv", "x", "y", "alg", "use", "key_ops")
VALUES = st.none() | st.integers() | st.text(max_size=8) | st.lists(st.text(max_size=8), max_size=2)


def judging(path: Path) -> Askers:
    """Who judges by the key set in that file."""
    settings = AskerSettings(issuer=ISSUER, audience=AUDIENCE, jwks_file=path, jwks_url=None)
    return Askers(settings, signing_key=derive(b"an invoice key of this installation"))


def objection(askers: Askers, header: bytes) -> str:
    """What is said to a command of our user."""
    return askers.objection(user_id=USER, token=header, record=RECORD)


def test_a_key_is_rotated_in_the_file(tmp_path: Path) -> None:
    """A changed or replaced file counts from the next command on, and the old key no longer does."""
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(published("old", EC)))
    askers = judging(path)
    old, new = bearer(token(EC, kid="old")), bearer(token(ec_key("new"), kid="new"))
    assert ("", 1) == (objection(askers, old), askers.check())
    assert "does not have" in objection(askers, new)
    path.write_bytes(key_set(published("old", EC), published("new", ec_key("new"))))
    assert ("", "", 2) == (objection(askers, old), objection(askers, new), askers.check())
    replacement = tmp_path / "next.json"
    replacement.write_bytes(key_set(published("new", ec_key("new"))))
    replacement.replace(path)
    assert "does not have" in objection(askers, old)
    assert "" == objection(askers, new)


def test_a_file_of_the_same_length_is_seen_by_its_time(tmp_path: Path) -> None:
    """The time alone is enough: the same name and size with another key."""
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(published("k", EC)))
    askers = judging(path)
    new = bearer(token(ec_key("new"), kid="k"))
    assert "signature is wrong" in objection(askers, new)
    path.write_bytes(key_set(published("k", ec_key("new"))))
    os.utime(path, ns=(1, 1))
    assert "" == objection(askers, new)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"\xff\xfe\x00",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [1, null, "x", []]}',
        b"[" * 100_000,
        key_set({"kty": "oct", "kid": "rsa", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}),
        key_set({"kty": "oct", "kid": "rsa", "alg": "RS256", "n": "AQAB", "e": "AQAB"}),
        key_set({"kty": "RSA", "kid": "rsa", "n": "", "e": ""}),
        key_set({"kty": "RSA", "kid": "rsa", "n": 5, "e": "AQAB"}),
        key_set({"kty": ["RSA"], "kid": "rsa"}),
        key_set({"kty": "EC", "kid": "ec", "crv": "P-256", "x": "AA", "y": "AA"}),
        key_set({"kty": "EC", "kid": "ec", "crv": "P-256", "x": "A" * 43, "y": "A" * 43}),
        key_set(published("rsa", rsa_key("short", bits=1024))),
        key_set(published("ec", ec_key("other curve", curve=ec.SECP384R1))),
        key_set(published("rsa", RSA, kid=None)),
        key_set(published("rsa", RSA, kid=7)),
        key_set(published("rsa", RSA, use="enc")),
        key_set(published("rsa", RSA, alg="HS256")),
        key_set(published("rsa", RSA, alg="RS512")),
        key_set(published("rsa", RSA, key_ops=["encrypt"])),
        key_set(published("rsa", RSA)) + b" " * 262_144,
    ],
    ids=lambda _: "set",
)  # fmt: skip
def test_a_set_without_usable_keys_waits(tmp_path: Path, body: bytes) -> None:
    """A file that is no key set, or holds no key for us, makes intake wait; mended, it counts at once."""
    path = tmp_path / "jwks.json"
    path.write_bytes(body)
    askers = judging(path)
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"^JWKS is unavailable: WORKER_ASKERS_JWKS_FILE "):
            objection(askers, GOOD)
    path.write_bytes(key_set(published("rsa", RSA)))
    assert "" == objection(askers, GOOD)


def test_a_set_that_was_good_and_is_not_waits(tmp_path: Path) -> None:
    """Half a file is no reason to go on with yesterday's keys, nor to refuse anybody."""
    path = tmp_path / "jwks.json"
    whole = key_set(published("rsa", RSA))
    path.write_bytes(whole)
    askers = judging(path)
    assert "" == objection(askers, GOOD)
    for spoil in (lambda: path.write_bytes(whole[:-1]), path.unlink, path.mkdir):
        spoil()
        with pytest.raises(Unavailable):
            objection(askers, GOOD)
        with pytest.raises(Unavailable):
            askers.check()


def test_keys_that_are_not_for_us_are_passed_over(tmp_path: Path) -> None:
    """A symmetric key, a private one and a foreign one beside ours: the first is none, the second only public."""
    secret = b"a shared secret of thirty-two ch"
    shared = {"kty": "oct", "kid": "shared", "k": part(secret).decode()}
    private = {**published("ec", EC), "d": "not even a number"}
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(shared, {"kty": "OKP"}, private, published("rsa", RSA)))
    askers = judging(path)
    assert 2 == askers.check()
    assert "" == objection(askers, bearer(token(EC, kid="ec")))
    forged = jwt.encode(claims(), secret, algorithm="HS256", headers={"kid": "shared"})
    assert "not signed by RS256 or ES256" in objection(askers, bearer(forged))
    for method in ("RS256", "ES256"):
        text = unsigned({"alg": method, "kid": "shared"})
        assert "does not have" in objection(askers, bearer(text))


@given(entry=st.dictionaries(st.sampled_from(MEMBERS), VALUES))
def test_any_entry_of_a_set_is_read_or_passed_over(
    tmp_path_factory: pytest.TempPathFactory, entry: dict[str, Any]
) -> None:
    """No entry raises, whatever it holds, and a good one beside it still counts."""
    path = tmp_path_factory.getbasetemp() / "any-entry.json"
    kind = {"kty": "RSA"} if "n" in entry else {"kty": "EC", "crv": "P-256"}
    path.write_bytes(key_set(entry, {"kid": "x", **entry, **kind}, published("rsa", RSA)))
    askers = judging(path)
    assert "" == objection(askers, GOOD)
