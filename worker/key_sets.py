"""The issuer's public keys: a JWK set (RFC 7517) in a file or behind a URL, and which of its keys count.

A key serves the one method of its type and is built from its public members alone, so a symmetric key is never one, and
a private one that slipped into the set is not kept. What is not for us (another use, another method, too short) is
passed over. Where the set is needed and cannot be had, everything here raises Unavailable("JWKS"). No token comes here:
what one may do is decided in `askers.py`. Used by one thread at a time.
"""

import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from handlers.domain.errors import InvalidValueError, Unavailable

FETCHES_EVERY_S: Final = 5.0  # tokens with made-up key ids must not become one call each

_WHAT: Final = "JWKS"
_FILE: Final = "WORKER_ASKERS_JWKS_FILE"
_URL: Final = "WORKER_ASKERS_JWKS_URL"
_MOST_SET_BYTES: Final = 262_144
_MOST_FETCHES: Final = 4  # threads that a server which never ends its answer may hold
_FEWEST_RSA_BITS: Final = 2_048
_MOST_RSA_BITS: Final = 8_192  # a check of a longer one takes longer than a command should

# Key type → (method, curve, the public members). What is not here is passed over: symmetric keys among it.
_TYPES: Final[Mapping[str, tuple[str, str | None, tuple[str, ...]]]] = {
    "RSA": ("RS256", None, ("n", "e")),
    "EC": ("ES256", "P-256", ("crv", "x", "y")),
}
METHODS: Final = tuple(method for method, _, _ in _TYPES.values())

# Everything that the network, the far side or an odd address raises through httpx.
_FOREIGN: Final = (
    httpx.HTTPError,
    httpx.StreamError,
    httpx.InvalidURL,
    OSError,
    ValueError,
    RuntimeError,
)

Keys = Mapping[tuple[str, str], jwt.PyJWK]  # (method, key id) → key


class FileKeys:
    """The keys of a file, read again whenever it was replaced or changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[int, ...] = ()
        self._keys: Keys = {}

    def current(self) -> Keys:
        """The keys as the file has them now. Raises Unavailable."""
        try:
            state = self._path.stat()
            # A replaced file may have the same time, and a longer one the same clock tick.
            seen = (state.st_mtime_ns, state.st_size, state.st_ino)
            if seen == self._read:
                return self._keys
            with self._path.open("rb") as file:
                body = file.read(_MOST_SET_BYTES + 1)
        except OSError as error:
            raise _away(f"{_FILE} cannot be read: {error.strerror}") from None
        self._keys = _keys_of(body, origin=_FILE)
        self._read = seen
        return self._keys

    def find(self, method: str, key_id: str) -> jwt.PyJWK | None:
        """The key, or None. Raises Unavailable."""
        return self.current().get((method, key_id))


class UrlKeys:
    """The keys of a URL, kept for a while. At most one fetch every few seconds, whoever asks for whichever key."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        keep_s: float,
        ca_file: Path | None,
        clock_s: Callable[[], float],
    ) -> None:
        assert keep_s > FETCHES_EVERY_S, "a set that may not be fetched again must still be good"
        self._url = url
        self._timeout_s = timeout_s
        self._keep_s = keep_s
        self._tls = _tls(ca_file)
        self._clock_s = clock_s
        self._keys: Keys = {}
        self._good_until_s = float("-inf")
        self._may_fetch_at_s = float("-inf")
        self._failed = ""
        self._fetches: list[_Fetch] = []

    def current(self) -> Keys:
        """The keys, at most `keep_s` old. Raises Unavailable."""
        if self._clock_s() >= self._good_until_s:
            self._fetch()
        return self._keys

    def find(self, method: str, key_id: str) -> jwt.PyJWK | None:
        """The key, or None where a set that was fetched just now does not have it. Raises Unavailable."""
        key = self.current().get((method, key_id))
        if key is None and (self._failed or self._clock_s() >= self._may_fetch_at_s):
            self._fetch()  # the issuer may have begun to use a new key
            key = self._keys.get((method, key_id))
        return key

    def _fetch(self) -> None:
        if self._clock_s() < self._may_fetch_at_s:
            raise _away(self._failed)  # asked a moment ago, and a good set is kept for longer
        try:
            self._keys = _keys_of(self._download(), origin=f"the answer of {_URL}")
        except Unavailable as unavailable:
            self._failed = unavailable.why
            raise
        else:
            self._failed = ""
            self._good_until_s = self._clock_s() + self._keep_s
        finally:
            self._may_fetch_at_s = self._clock_s() + FETCHES_EVERY_S

    def _download(self) -> bytes:
        """The body, from a thread: httpx has no time-out around name resolution and trickled headers."""
        self._fetches = [it for it in self._fetches if it.is_alive()]
        if len(self._fetches) >= _MOST_FETCHES:
            raise _away(f"{_URL} does not end its earlier answers")
        fetch = _Fetch(self._url, tls=self._tls, timeout_s=self._timeout_s)
        fetch.start()
        fetch.join(self._timeout_s)
        if fetch.is_alive():
            self._fetches.append(fetch)
            raise _away(f"no whole answer of {_URL} within {self._timeout_s:g} seconds")
        if fetch.why:
            raise _away(f"{_URL}: {fetch.why}")
        return fetch.body


class _Fetch(threading.Thread):
    """One GET: no redirects, no proxy, no compression, a bounded body. `why` says what went wrong, or ""."""

    def __init__(self, url: str, *, tls: ssl.SSLContext, timeout_s: float) -> None:
        super().__init__(name="jwks", daemon=True)
        self._url = url
        self._tls = tls
        self._timeout_s = timeout_s
        self.body = b""
        self.why = "the fetch broke off"

    def run(self) -> None:
        """Fetch."""
        try:
            self.why = self._get()
        except _FOREIGN as error:
            self.why = f"no answer ({type(error).__name__})"

    def _get(self) -> str:
        gives_up_at = time.monotonic() + self._timeout_s
        headers = {
            "accept": "application/jwk-set+json, application/json",
            "accept-encoding": "identity",
        }
        body = bytearray()
        with (
            httpx.Client(verify=self._tls, timeout=self._timeout_s, trust_env=False) as client,
            client.stream("GET", self._url, headers=headers) as response,
        ):
            if response.status_code != httpx.codes.OK:
                told = "; redirects are not followed" if response.is_redirect else ""
                return f"it answered HTTP {response.status_code}{told}"
            # Undecoded, so that a small answer cannot unpack into a huge one.
            for part in response.iter_raw():
                body += part
                if len(body) > _MOST_SET_BYTES or time.monotonic() > gives_up_at:
                    return f"its answer is larger than {_MOST_SET_BYTES} bytes, or too slow"
        self.body = bytes(body)
        return ""


def _keys_of(body: bytes, *, origin: str) -> Keys:
    """The usable keys of a JWK set (RFC 7517); others in it are passed over. Raises Unavailable where there is none."""
    if len(body) > _MOST_SET_BYTES:
        raise _away(f"{origin} is larger than {_MOST_SET_BYTES} bytes")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        raise _away(f"{origin} is no key set: it must be a JSON object with a list `keys`")
    keys: dict[tuple[str, str], jwt.PyJWK] = {}
    for entry in entries:
        key = _key_of(entry) if isinstance(entry, dict) else None
        if key is not None:
            keys.setdefault((key.algorithm_name, entry["kid"]), key)
    if not keys:
        raise _away(
            f"{origin} has no usable key: at least one needs a `kid` and is public, RSA of {_FEWEST_RSA_BITS} to"
            f" {_MOST_RSA_BITS} bits for RS256 or P-256 for ES256"
        )
    return keys


def _key_of(entry: Mapping[str, Any]) -> jwt.PyJWK | None:
    """The key for the one method of its type, made of its public members alone; None where it is not for us."""
    kind, key_id, operations = entry.get("kty"), entry.get("kid"), entry.get("key_ops", ["verify"])
    row = _TYPES.get(kind) if isinstance(kind, str) else None
    if row is None or not isinstance(key_id, str) or not key_id:
        return None
    method, curve, members = row
    if entry.get("alg", method) != method or entry.get("use", "sig") != "sig":
        return None
    if not isinstance(operations, list) or "verify" not in operations or entry.get("crv") != curve:
        return None
    public = {name: entry.get(name) for name in members}
    if not all(isinstance(value, str) for value in public.values()):
        return None
    try:
        key = jwt.PyJWK({"kty": kind, **public}, algorithm=method)
    except (
        jwt.PyJWTError,
        ValueError,
        TypeError,
        ArithmeticError,
    ):  # a member that is no number, no point
        return None
    is_sound = (
        not isinstance(key.key, RSAPublicKey)
        or _FEWEST_RSA_BITS <= key.key.key_size <= _MOST_RSA_BITS
    )
    return key if is_sound else None


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = (
            httpx.create_ssl_context(trust_env=False)
            if ca_file is None
            else ssl.create_default_context(cafile=str(ca_file))
        )
    except OSError as error:  # ssl.SSLError is one
        rule = f"must be a readable file of certificates ({type(error).__name__})"
        raise InvalidValueError("WORKER_ASKERS_CA_FILE", rule) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _away(why: str) -> Unavailable:
    return Unavailable(_WHAT, why)
