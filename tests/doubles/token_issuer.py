"""An issuer of customers' tokens: its keys, the JWK set that it publishes, tokens right and wrong. No claims here."""

import base64
import hashlib
import hmac
import json
import time
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE: Final = "payment-worker"
ISSUER: Final = "https://sign-in.example"
USER: Final = "user-1"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(name: str, *, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The RSA key of that name; made once, because making one takes long."""
    assert name
    return rsa.generate_private_key(public_exponent=65_537, key_size=bits)


@cache
def ec_key(
    name: str, *, curve: type[ec.EllipticCurve] = ec.SECP256R1
) -> ec.EllipticCurvePrivateKey:
    """The elliptic key of that name."""
    assert name
    return ec.generate_private_key(curve())


def published(name: str, key: PrivateKey, **changes: Any) -> dict[str, Any]:
    """The public key as an entry of a JWK set; a change to None takes a member away."""
    public = key.public_key()
    entry = (
        RSAAlgorithm.to_jwk(public, as_dict=True)
        if isinstance(public, rsa.RSAPublicKey)
        else ECAlgorithm.to_jwk(public, as_dict=True)
    )
    entry |= {"kid": name, "use": "sig", **changes}
    return {member: value for member, value in entry.items() if value is not None}


def key_set(*entries: object) -> bytes:
    """A JWK set as it is served."""
    return json.dumps({"keys": entries}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    """What a good token says; a change to None takes a claim away."""
    now_s = int(time.time())
    good = {"sub": USER, "aud": AUDIENCE, "iss": ISSUER, "iat": now_s, "exp": now_s + 3600}
    return {name: value for name, value in (good | changes).items() if value is not None}


def token(
    key: PrivateKey,
    *,
    kid: str | None,
    said: object = None,
    head: dict[str, Any] | None = None,
) -> str:
    """A token signed by `key`, by the one method of its type; `said` may be anything, `head` adds to its header."""
    method = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    headers = ({} if kid is None else {"kid": kid}) | (head or {})
    body = json.dumps(claims() if said is None else said).encode()
    return jwt.api_jws.encode(body, key, algorithm=method, headers=headers)


def bearer(text: str) -> bytes:
    """As the record's header has it."""
    return f"Bearer {text}".encode()


def part(value: object) -> bytes:
    """One part of a token, by hand: what no library would write."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def unsigned(head: dict[str, Any]) -> str:
    """A token with good claims and no signature."""
    return b".".join((part(head), part(claims()), b"")).decode()


def signed_with_the_public_key(key: PrivateKey, *, kid: str, method: str = "HS256") -> list[str]:
    """The classic confusion: the public key, in each of its forms, taken as a shared secret."""
    public = key.public_key()
    forms = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).strip(),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(published(kid, key)).encode(),
    ]
    body = part({"alg": method, "kid": kid}) + b"." + part(claims())
    return [
        (body + b"." + part(hmac.digest(form, body, hashlib.sha256))).decode() for form in forms
    ]
