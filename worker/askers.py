"""Who may ask: a command counts only with a signed token of its user, or with the worker's own signature.

Off unless it is set up; Kafka's SASL and ACLs say which *program* may write to a command topic, this says for which
*customer* it may. The token is a JWT (RFC 7519) in the record's header `authorization`, as `Bearer <token>`; PyJWT
checks it. Here stand the rules around it: which claims, and what to tell. The issuer's keys are in `key_sets.py`.

The rules follow RFC 8725 (JWT best current practices): the methods are a closed list of two, a key serves the one
method of its type and is built from its public members alone, and the token says nothing about where keys lie (`jku`,
`jwk`, `x5u` are not read). A token must name its key (`kid`), so that a rotation is seen at once.

A key set that is needed and cannot be had is `Unavailable`: intake waits, and the dead letters stay empty. No text made
here holds any part of a token, so an objection may be logged and published. Used by one thread at a time: intake's.
"""

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import jwt
from jwt.exceptions import InvalidSubjectError

from handlers.domain.errors import InvalidValueError
from worker.key_sets import FETCHES_EVERY_S, METHODS, FileKeys, UrlKeys
from worker.own_signature import SignedRecord, is_ours

ASKER_HEADER: Final = "authorization"

_MOST_TOKEN_BYTES: Final = 8_192

_MISSING: Final = (
    "the record carries no token of the customer: publish it with the header"
    " `authorization: Bearer <token>`"
)
_NO_SCHEME: Final = "the header is not `Bearer <token>`: publish it with a token of that scheme"
_TOO_LONG: Final = (
    f"the token is longer than {_MOST_TOKEN_BYTES} bytes: ask the issuer for one with fewer claims"
)
_NOT_READABLE: Final = "the token is no JWT that can be read: publish it as the issuer gave it"
_WRONG_METHOD: Final = (
    f"the token is not signed by {' or '.join(METHODS)}: let the issuer sign with one of them"
)
_NO_KEY_ID: Final = "the token does not name its key: let the issuer put `kid` into its header"
_UNKNOWN_KEY: Final = (
    "the token names a key that the key set does not have: ask for a token from the issuer whose keys"
    " WORKER_ASKERS_JWKS_FILE or WORKER_ASKERS_JWKS_URL has"
)
_NO_USER: Final = (
    "the command names no user, so no token can speak for one: publish it with its user_id"
)
_NOT_OURS: Final = (
    "; its worker_signature is not ours either (another invoice key, or the record was changed)"
)
# What the library found → what to tell. The first row that fits counts; only the claim's name is filled in.
_FOUND: Final[tuple[tuple[type[jwt.PyJWTError], str], ...]] = (
    (
        jwt.ExpiredSignatureError,
        "the token has expired: publish the command again with a fresh token",
    ),
    (
        jwt.ImmatureSignatureError,
        "the token is not valid yet: compare the clocks of issuer and worker, or use it later",
    ),
    (
        jwt.InvalidAudienceError,
        "the token is meant for another audience: ask for one with the audience of WORKER_ASKERS_AUDIENCE",
    ),
    (
        jwt.InvalidIssuerError,
        "the token is from another issuer: ask for one from the issuer of WORKER_ASKERS_ISSUER",
    ),
    (
        InvalidSubjectError,
        "the token belongs to another user: its `sub` must be the command's user_id",
    ),
    (
        jwt.MissingRequiredClaimError,
        "the token lacks the claim `{claim}`: let the issuer put it in",
    ),
    (
        jwt.InvalidSignatureError,
        "the token's signature is wrong: publish it unchanged, as the issuer gave it",
    ),
)
# What reading a token may raise. The last four are not the library's: one of them would end the session, for a token
# that anybody may have written.
_FOREIGN: Final = (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError)


@dataclass(frozen=True, slots=True)
class AskerSettings:
    """Which tokens count. `issuer` "" is any; the keys come from a file or from a URL, exactly one.

    `leeway_s` forgives clocks that differ. `jwks_keep_s`: how long a fetched set is used before it is fetched again.
    `ca_file` replaces the trusted authorities of the URL. Raises InvalidValueError with the setting's variable.
    """

    issuer: str
    audience: str
    jwks_file: Path | None
    jwks_url: str | None
    leeway_s: float = 30
    jwks_timeout_s: float = 5
    jwks_keep_s: float = 300
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        if not self.audience.strip():
            raise _wrong("audience", "must be set: the `aud` that tokens for this worker carry")
        if (self.jwks_file is None) == (self.jwks_url is None):
            raise _wrong(
                "jwks_file", "must be set, or WORKER_ASKERS_JWKS_URL: exactly one of the two"
            )
        if self.jwks_url is not None:
            _check_url(self.jwks_url)
        if self.ca_file is not None and self.jwks_url is None:
            raise _wrong("ca_file", "goes with WORKER_ASKERS_JWKS_URL only")
        for name, least, most in (
            ("leeway_s", 0, 300),
            ("jwks_timeout_s", 0.1, 60),
            ("jwks_keep_s", 2 * FETCHES_EVERY_S, 86_400),
        ):
            if not least <= getattr(self, name) <= most:
                raise _wrong(name, f"must be from {least:g} to {most:g} seconds")


class Askers:
    """Judges whether the asker of a command may ask. `clock_s`: seconds that only grow."""

    def __init__(
        self,
        settings: AskerSettings,
        *,
        signing_key: bytes,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._signing_key = signing_key
        self._keys: FileKeys | UrlKeys
        if settings.jwks_file is not None:
            self._keys = FileKeys(settings.jwks_file)
        else:
            assert settings.jwks_url is not None, "the settings check that there is one"
            self._keys = UrlKeys(
                settings.jwks_url,
                timeout_s=settings.jwks_timeout_s,
                keep_s=settings.jwks_keep_s,
                ca_file=settings.ca_file,
                clock_s=clock_s,
            )

    def check(self) -> int:
        """How many keys can be used right now, for a look before the start. Raises Unavailable."""
        return len(self._keys.current())

    def objection(self, *, user_id: str, token: bytes | None, record: SignedRecord) -> str:
        """Why the command of `user_id` does not count and what to do, or "". `token` is the header's value.

        Raises Unavailable where the key set is needed and cannot be had.
        """
        if record.signature is None:
            return self._token_objection(user_id, token)
        if is_ours(
            self._signing_key,
            topic=record.topic,
            record_key=record.key,
            value=record.value,
            signature=record.signature,
        ):
            return ""
        found = self._token_objection(user_id, token)
        return found + _NOT_OURS if found else ""

    def _token_objection(self, user_id: str, token: bytes | None) -> str:
        if not token:
            return _MISSING
        if len(token) > _MOST_TOKEN_BYTES:
            return _TOO_LONG
        scheme, _, text = token.partition(b" ")
        if scheme.lower() != b"bearer" or not text.strip():
            return _NO_SCHEME
        if not user_id:
            return _NO_USER
        return self._jwt_objection(text.strip(), user_id=user_id)

    def _jwt_objection(self, token: bytes, *, user_id: str) -> str:
        try:
            head = jwt.get_unverified_header(token)
        except _FOREIGN:
            return _NOT_READABLE
        method, key_id = head.get("alg"), head.get("kid")
        if method not in METHODS:
            return _WRONG_METHOD
        if not key_id:
            return _NO_KEY_ID
        key = self._keys.find(method, key_id)
        return _UNKNOWN_KEY if key is None else self._claims_objection(token, key, user_id=user_id)

    def _claims_objection(self, token: bytes, key: jwt.PyJWK, /, *, user_id: str) -> str:
        try:
            jwt.decode(
                token,
                key,
                algorithms=METHODS,
                options={"require": ["exp", "sub", "aud"], "enforce_minimum_key_length": True},
                audience=self._settings.audience,
                issuer=self._settings.issuer or None,
                subject=user_id,
                leeway=self._settings.leeway_s,
            )
        except _FOREIGN as error:
            return _told(error)
        return ""


def _told(error: Exception) -> str:
    text = next((text for kind, text in _FOUND if isinstance(error, kind)), _NOT_READABLE)
    # Only a name that we require ourselves is filled in, never a text of the token.
    return (
        text.format(claim=error.claim) if isinstance(error, jwt.MissingRequiredClaimError) else text
    )


def _check_url(text: str) -> None:
    rule = (
        "must be https://host[:port][/path] (http on the loopback only), without user or fragment"
    )
    try:
        parts = urlsplit(text)
        _ = parts.port  # checked only where it is read
    except ValueError:
        raise _wrong("jwks_url", rule) from None
    host = parts.hostname or ""
    is_allowed = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
    if not is_allowed or not host or "@" in parts.netloc or parts.fragment:
        raise _wrong("jwks_url", rule)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wrong(name: str, rule: str) -> InvalidValueError:
    return InvalidValueError(f"WORKER_ASKERS_{name.upper()}", rule)
