"""Who may ask: only a sound token of the command's own user, or our own signature; and no text shows any of a token."""

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from handlers.domain.errors import InvalidValueError
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
    signed_with_the_public_key,
    token,
    unsigned,
)
from worker.askers import Askers, AskerSettings
from worker.own_signature import SignedRecord, derive, sign

SIGNING_KEY = derive(b"an invoice key of this installation")
RSA, EC = rsa_key("rsa"), ec_key("ec")
RECORD = SignedRecord("refund_request", b"pay-1", b"value")
HOUR_S = 3600
NOW_S = int(time.time())
GOOD = token(RSA, kid="rsa")


def settings(**changes: Any) -> AskerSettings:
    """Good settings with a file that nobody reads, and changes."""
    given: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": None}
    return AskerSettings(**{**given, "jwks_file": Path("jwks.json"), **changes})


@pytest.fixture(scope="module")
def jwks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key set of the issuer in a file, with one key of each kind."""
    path = tmp_path_factory.mktemp("askers") / "jwks.json"
    path.write_bytes(key_set(published("rsa", RSA), published("ec", EC)))
    return path


@pytest.fixture(scope="module")
def askers(jwks: Path) -> Askers:
    """Who judges by that file."""
    return Askers(settings(jwks_file=jwks), signing_key=SIGNING_KEY)


def objection(askers: Askers, header: bytes | str | None, *, record: SignedRecord = RECORD) -> str:
    """What is said to a command of our user with this header; no text shows any part of a token."""
    token = header.encode() if isinstance(header, str) else header
    text = askers.objection(user_id=USER, token=token, record=record)
    for piece in (token or b"").replace(b" ", b".").split(b"."):
        shown = len(piece) > len(b"authorization") and piece.decode("latin-1") in text
        assert not shown, "the objection shows a part of the token"
    return text


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
@pytest.mark.parametrize("name", ["rsa", "ec"])
def test_a_sound_token_of_the_user_may_ask(askers: Askers, name: str, scheme: str) -> None:
    """RS256 and ES256, whatever the case of the scheme."""
    key = RSA if name == "rsa" else EC
    assert "" == objection(askers, scheme + token(key, kid=name))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"exp": NOW_S - HOUR_S}, "has expired"),
        ({"nbf": NOW_S + HOUR_S}, "not valid yet"),
        ({"iat": NOW_S + HOUR_S}, "not valid yet"),
        ({"aud": "another"}, "another audience"),
        ({"aud": ["another", "third"]}, "another audience"),
        ({"aud": 7}, "another audience"),
        ({"iss": "https://elsewhere.example"}, "another issuer"),
        ({"iss": [ISSUER]}, "another issuer"),
        ({"sub": "user-2"}, "another user"),
        ({"sub": USER.upper()}, "another user"),
        ({"sub": f"{USER} "}, "another user"),
        ({"sub": ""}, "another user"),
        ({"sub": [USER]}, "another user"),
        ({"exp": None}, "lacks the claim `exp`"),
        ({"sub": None}, "lacks the claim `sub`"),
        ({"aud": None}, "lacks the claim `aud`"),
        ({"aud": []}, "lacks the claim `aud`"),
        ({"iss": None}, "lacks the claim `iss`"),
        ({"exp": "soon"}, "no JWT that can be read"),
        ({"exp": float("inf")}, "no JWT that can be read"),
        ({"nbf": {}}, "no JWT that can be read"),
    ],
)
@pytest.mark.parametrize("name", ["rsa", "ec"])
def test_a_signed_token_with_wrong_claims_may_not(
    askers: Askers, name: str, changes: dict[str, Any], told: str
) -> None:
    """Each claim is checked, and the objection says which one it is."""
    key = RSA if name == "rsa" else EC
    assert told in objection(askers, bearer(token(key, kid=name, said=claims(**changes))))


def test_clocks_may_differ_a_little(jwks: Path) -> None:
    """A token that ended within the leeway still counts; without leeway it does not."""
    late = bearer(token(EC, kid="ec", said=claims(exp=int(time.time()) - 60)))
    generous = Askers(settings(jwks_file=jwks, leeway_s=300), signing_key=SIGNING_KEY)
    strict = Askers(settings(jwks_file=jwks, leeway_s=0), signing_key=SIGNING_KEY)
    assert "" == objection(generous, late)
    assert "has expired" in objection(strict, late)


def test_any_issuer_where_none_is_set(jwks: Path) -> None:
    """An empty issuer asks for no `iss`; one audience among several is enough."""
    anyone = Askers(settings(jwks_file=jwks, issuer=""), signing_key=SIGNING_KEY)
    said = claims(iss=None, aud=["shop", AUDIENCE])
    assert "" == objection(anyone, bearer(token(EC, kid="ec", said=said)))


@pytest.mark.parametrize(
    "text",
    signed_with_the_public_key(RSA, kid="rsa") + signed_with_the_public_key(EC, kid="ec"),
    ids=lambda _: "form",
)
def test_the_public_key_is_no_shared_secret(askers: Askers, text: str) -> None:
    """HS256 with the public key, which everybody has, is refused in each of the key's forms."""
    assert "not signed by RS256 or ES256" in objection(askers, bearer(text))


@pytest.mark.parametrize("method", ["none", "None", "NONE", "nOnE", "", None, ["RS256"], {}, 0])
def test_an_unsigned_token_may_not(askers: Askers, method: object) -> None:
    """`none` in any spelling, and what is no method at all, is refused."""
    for name in ("rsa", "ec"):
        text = unsigned({"alg": method, "kid": name})
        assert "not signed by RS256 or ES256" in objection(askers, bearer(text))


@pytest.mark.parametrize("method", ["RS256", "ES256"])
def test_a_signature_may_not_be_left_out_or_swapped(askers: Askers, method: str) -> None:
    """An allowed method with no signature, or with the one of another token, is a wrong signature."""
    name = "rsa" if method == "RS256" else "ec"
    bare = unsigned({"alg": method, "kid": name})
    foreign = token(RSA if name == "rsa" else EC, kid=name, said=claims(sub="user-2")).split(".")[2]
    for text in (bare, bare + foreign, bare + "AAAA"):
        assert "signature is wrong" in objection(askers, bearer(text))


def test_a_key_serves_the_method_of_its_type_alone(askers: Askers) -> None:
    """A token that names the RSA key under ES256 finds no key, and other keys' signatures are wrong."""
    assert "does not have" in objection(askers, bearer(token(EC, kid="rsa")))
    assert "does not have" in objection(askers, bearer(token(RSA, kid="ec")))
    assert "signature is wrong" in objection(askers, bearer(token(ec_key("thief"), kid="ec")))


@pytest.mark.parametrize(
    "head",
    [
        {"jwk": published("ec", ec_key("thief"))},
        {"jku": "https://thief.example/jwks"},
        {"x5u": "https://thief.example/certificate"},
    ],
    ids=lambda head: str(*head),
)
def test_keys_in_the_token_are_not_believed(askers: Askers, head: dict[str, Any]) -> None:
    """A token that brings the key of its signature, or says where it lies, is judged by the issuer's set."""
    forged = token(ec_key("thief"), kid="ec", head=head)
    assert "signature is wrong" in objection(askers, bearer(forged))


@pytest.mark.parametrize("said", [[], "text", 7, [claims()], {}])
def test_a_signed_text_without_claims_may_not(askers: Askers, said: object) -> None:
    """What the issuer signed for another purpose than to name a user is no token."""
    assert objection(askers, bearer(token(EC, kid="ec", said=said)))


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (None, "carries no token"),
        (b"", "carries no token"),
        (b"Bearer", "not `Bearer <token>`"),
        (b"Bearer  ", "not `Bearer <token>`"),
        (b"Basic dXNlcjp3b3Jk", "not `Bearer <token>`"),
        (GOOD.encode(), "not `Bearer <token>`"),
        (b"Bearer \xff\xfe\x00", "can be read"),
        (b"Bearer ..", "can be read"),
        (b"Bearer " + b"." * 5000, "can be read"),
        (b"Bearer " + GOOD.encode() + b" x", "can be read"),
        (b"Bearer " + part(b"[" * 3000) + b"." + part({}) + b".AAAA", "can be read"),
        (b"Bearer " + part({"alg": "RS256", "kid": ["rsa"]}) + b".e30.AAAA", "can be read"),
        (b"Bearer " + part({"alg": "RS256", "crit": [[]]}) + b".e30.AAAA", "can be read"),
        (bearer(token(RSA, kid=None)), "does not name its key"),
        (bearer(token(RSA, kid="")), "does not name its key"),
        (bearer(token(RSA, kid="another")), "does not have"),
        (bearer("a" * 8192), "longer than 8192 bytes"),
        (bearer(token(RSA, kid="rsa", said=claims(note="x" * 8192))), "longer than 8192 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_token_is_told_so(askers: Askers, header: bytes | None, told: str) -> None:
    """Whatever stands in the header, a person learns what is wrong with it."""
    assert told in objection(askers, header)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_garbage_is_an_objection(askers: Askers, garbage: bytes) -> None:
    """No bytes raise, and none may ask."""
    assert objection(askers, garbage)
    assert objection(askers, b"Bearer " + garbage)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    head=st.dictionaries(st.sampled_from(["alg", "kid", "crit", "b64", "typ", "zip"]), VALUES),
    body=VALUES,
    signature=st.binary(max_size=300),
    method=st.sampled_from(["RS256", "ES256", None]),
)
def test_a_forged_token_is_an_objection(
    askers: Askers, head: dict[str, Any], body: object, signature: bytes, method: str | None
) -> None:
    """Any JSON in any part of a token: nothing raises, and without the issuer's signature nobody may ask."""
    named = {"RS256": {"kid": "rsa"}, "ES256": {"kid": "ec"}}.get(method or "", {})
    forged = {**named, **head, **({} if method is None else {"alg": method})}
    assert objection(askers, b"Bearer " + b".".join((part(forged), part(body), part(signature))))


@given(place=st.integers(0, len(GOOD) - 1), flip=st.integers(1, 127))
def test_a_changed_token_is_an_objection(askers: Askers, place: int, flip: int) -> None:
    """One byte changed anywhere, and it does not count."""
    changed = bytearray(GOOD.encode())
    changed[place] ^= flip
    assert objection(askers, b"Bearer " + changed)


def test_a_command_without_a_user_may_not(askers: Askers) -> None:
    """An empty user id is nobody's, not even that of a token with an empty subject."""
    header = bearer(token(RSA, kid="rsa", said=claims(sub="")))
    assert "names no user" in askers.objection(user_id="", token=header, record=RECORD)


def ours(**changes: Any) -> SignedRecord:
    """A record that we signed, then changed."""
    signature = sign(SIGNING_KEY, topic=RECORD.topic, record_key=RECORD.key, value=RECORD.value)
    return SignedRecord(
        **{"topic": RECORD.topic, "key": RECORD.key, "value": RECORD.value, "signature": signature}
        | changes
    )


def test_what_we_publish_needs_no_token(tmp_path: Path) -> None:
    """Our own signature is enough, without a user and where no key set can be had."""
    alone = Askers(settings(jwks_file=tmp_path / "absent"), signing_key=SIGNING_KEY)
    assert "" == alone.objection(user_id="", token=None, record=ours())


@pytest.mark.parametrize(
    "changes",
    [
        {"topic": "payment_initiation"},
        {"key": b"pay-2"},
        {"value": b"other"},
        {"signature": b""},
        {"signature": b"0" * 64},
        {"signature": "ü".encode()},
    ],
)
def test_a_signature_of_another_record_is_worth_nothing(
    askers: Askers, changes: dict[str, Any]
) -> None:
    """It neither replaces a token nor spoils one; the objection says that it was looked at."""
    record = ours(**changes)
    assert objection(askers, None, record=record).endswith("the record was changed)")
    assert "" == objection(askers, bearer(GOOD), record=record)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"audience": ""}, "WORKER_ASKERS_AUDIENCE"),
        ({"audience": "  "}, "WORKER_ASKERS_AUDIENCE"),
        ({"jwks_file": None}, "WORKER_ASKERS_JWKS_FILE"),
        ({"jwks_url": "https://sign-in.example/jwks"}, "WORKER_ASKERS_JWKS_FILE"),
        ({"ca_file": Path("ca.pem")}, "WORKER_ASKERS_CA_FILE"),
        ({"leeway_s": -1}, "WORKER_ASKERS_LEEWAY_S"),
        ({"leeway_s": 301}, "WORKER_ASKERS_LEEWAY_S"),
        ({"leeway_s": float("nan")}, "WORKER_ASKERS_LEEWAY_S"),
        ({"jwks_timeout_s": 0}, "WORKER_ASKERS_JWKS_TIMEOUT_S"),
        ({"jwks_timeout_s": 61}, "WORKER_ASKERS_JWKS_TIMEOUT_S"),
        ({"jwks_keep_s": 9}, "WORKER_ASKERS_JWKS_KEEP_S"),
        ({"jwks_keep_s": 90_000}, "WORKER_ASKERS_JWKS_KEEP_S"),
    ],
)
def test_settings_check_themselves(changes: dict[str, Any], named: str) -> None:
    """A wrong setting is refused under the variable that a person sets."""
    with pytest.raises(InvalidValueError) as refused:
        settings(**changes)
    assert named == refused.value.field


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sign-in.example/jwks",
        "http://sign-in.example/jwks",
        "http://10.0.0.1/jwks",
        "http://localhost.sign-in.example/",
        "http://127.0.0.1.sign-in.example/",
        "http://127.0.0.1@sign-in.example/",
        "https://user:word@sign-in.example/jwks",
        "https:///jwks",
        "https://sign-in.example:99999/jwks",
        "https://sign-in.example/jwks#part",
        "https://[::1/jwks",
        "file:///etc/jwks.json",
        "ftp://127.0.0.1/jwks",
    ],
)
def test_a_key_set_comes_over_tls_only(url: str) -> None:
    """Without TLS anybody on the way could put in a key; only the loopback may do without."""
    with pytest.raises(InvalidValueError) as refused:
        settings(jwks_file=None, jwks_url=url)
    assert "WORKER_ASKERS_JWKS_URL" == refused.value.field


@pytest.mark.parametrize(
    "url",
    [
        "https://sign-in.example/jwks?version=2",
        "http://127.0.0.1:8080/jwks",
        "http://127.8.0.1/",
        "http://localhost/jwks",
        "http://[::1]:8080/jwks",
    ],
)
def test_a_usable_url_is_taken(url: str) -> None:
    """TLS anywhere, plain text on the loopback."""
    assert url == settings(jwks_file=None, jwks_url=url).jwks_url


def test_a_wrong_authority_stops_the_start(tmp_path: Path) -> None:
    """A file of certificates that is missing, or is none, is named before anything is fetched."""
    (tmp_path / "empty.pem").write_text("no certificate")
    for name in ("absent.pem", "empty.pem"):
        chosen = settings(
            jwks_file=None, jwks_url="https://sign-in.example/", ca_file=tmp_path / name
        )
        with pytest.raises(InvalidValueError) as refused:
            Askers(chosen, signing_key=SIGNING_KEY)
        assert "WORKER_ASKERS_CA_FILE" == refused.value.field
