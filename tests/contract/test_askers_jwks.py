"""The issuer's key set over real loopback sockets: when it is fetched, what makes intake wait, what ends a fetch."""

import contextlib
import gzip
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from handlers.domain.errors import Unavailable
from tests.doubles.token_issuer import (
    AUDIENCE,
    ISSUER,
    USER,
    bearer,
    ec_key,
    key_set,
    published,
    token,
)
from tests.waiting import wait_until
from worker.askers import Askers, AskerSettings
from worker.own_signature import SignedRecord, derive

OLD, NEW = ec_key("old"), ec_key("new")
BY_OLD, BY_NEW = bearer(token(OLD, kid="old")), bearer(token(NEW, kid="new"))
SET = key_set(published("old", OLD))
BOTH = key_set(published("old", OLD), published("new", NEW))
KEEP_S = 300.0


@dataclass
class Issuer:
    """What is served, and what was asked for. `released` lets go of answers that do not end by themselves."""

    url: str = ""
    body: bytes = SET
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    answer: Callable[["Issuer", BaseHTTPRequestHandler], None] | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    now_s: float = 1_000.0

    def clock_s(self) -> float:
        """The worker's clock, which the test moves."""
        return self.now_s


@contextlib.contextmanager
def issuing(tls: ssl.SSLContext | None = None) -> Iterator[Issuer]:
    """An issuer on a free loopback port."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append({"path": self.path, **dict(self.headers)})
            with contextlib.suppress(OSError):
                (issuer.answer or _serve)(issuer, self)

        def log_message(self, *_: object) -> None:
            """Silent: the test's output is for failures."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that hangs up, in the handshake too, is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    issuer.url = f"{'https' if tls else 'http'}://localhost:{server.server_port}/keys?v=1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield issuer
    finally:
        issuer.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer without TLS."""
    with issuing() as started:
        yield started


def _serve(issuer: Issuer, handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(issuer.status)
    for name, value in issuer.headers.items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(issuer.body)))
    handler.end_headers()
    handler.wfile.write(issuer.body)


def judging(issuer: Issuer, **changes: Any) -> Askers:
    """Who judges by that issuer's keys."""
    given: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_keep_s": KEEP_S}
    settings = AskerSettings(**{**given, "jwks_file": None, "jwks_url": issuer.url, **changes})
    return Askers(settings, signing_key=derive(b"an invoice key"), clock_s=issuer.clock_s)


def objection(askers: Askers, header: bytes) -> str:
    """What is said to a command of our user."""
    record = SignedRecord("refund_request", b"pay-1", b"value")
    return askers.objection(user_id=USER, token=header, record=record)


def test_a_set_is_fetched_once_and_kept(issuer: Issuer) -> None:
    """Many commands cost one call, until the set has been kept for its time."""
    askers = judging(issuer)
    assert [] == issuer.asked
    assert [""] * 5 == [objection(askers, BY_OLD) for _ in range(5)]
    assert 1 == askers.check() == len(issuer.asked)
    assert "/keys?v=1" == issuer.asked[0]["path"]
    assert "identity" == issuer.asked[0]["accept-encoding"]
    assert not {"authorization", "cookie"} & {name.lower() for name in issuer.asked[0]}
    issuer.now_s += KEEP_S - 1
    assert "" == objection(askers, BY_OLD)
    assert 1 == len(issuer.asked)
    issuer.now_s += 1
    assert "" == objection(askers, BY_OLD)
    assert 2 == len(issuer.asked)


def test_what_needs_no_key_asks_nobody(issuer: Issuer) -> None:
    """Garbage, a missing token and a wrong method are told without a call."""
    askers = judging(issuer)
    for header in (b"", b"Bearer x.y.z", b"Basic eA==", bearer("a" * 9000)):
        assert objection(askers, header)
    assert [] == issuer.asked


def test_a_new_key_is_fetched_when_it_is_first_used(issuer: Issuer) -> None:
    """Rotation: the first token of a new key fetches the set; a key that left it counts no more after its time."""
    askers = judging(issuer)
    assert "" == objection(askers, BY_OLD)
    issuer.body = key_set(published("new", NEW))
    issuer.now_s += 6
    assert "" == objection(askers, BY_NEW)
    assert 2 == len(issuer.asked)
    assert "does not have" in objection(askers, BY_OLD)


def test_made_up_keys_do_not_become_calls(issuer: Issuer) -> None:
    """A flood of unknown keys costs one call every few seconds; each of them is an objection, none waits."""
    askers = judging(issuer)
    unknown = [bearer(token(NEW, kid=f"made-up-{number}")) for number in range(20)]
    for _ in range(3):
        issuer.now_s += 6
        before = len(issuer.asked)
        assert all("does not have" in objection(askers, header) for header in unknown)
        assert 1 >= len(issuer.asked) - before
    assert 3 == len(issuer.asked)


def test_an_unknown_key_waits_while_the_set_cannot_be_had(issuer: Issuer) -> None:
    """A new key's token is not refused because the issuer is down; the known keys go on, and nobody hammers."""
    askers = judging(issuer)
    assert "" == objection(askers, BY_OLD)
    issuer.status = 503
    issuer.now_s += 6
    for _ in range(5):
        with pytest.raises(Unavailable, match="HTTP 503"):
            objection(askers, BY_NEW)
        assert "" == objection(askers, BY_OLD)
    assert 2 == len(issuer.asked)
    issuer.status, issuer.body = 200, BOTH
    issuer.now_s += 6
    assert "" == objection(askers, BY_NEW)


def test_a_set_that_is_too_old_is_not_used(issuer: Issuer) -> None:
    """After its time the set must be had again, or a key that was withdrawn would count for ever."""
    askers = judging(issuer)
    assert "" == objection(askers, BY_OLD)
    issuer.status = 500
    issuer.now_s += KEEP_S
    with pytest.raises(Unavailable):
        objection(askers, BY_OLD)
    issuer.status = 200
    issuer.now_s += 6
    assert "" == objection(askers, BY_OLD)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"status": 404}, "HTTP 404"),
        ({"status": 204, "body": b""}, "HTTP 204"),
        ({"status": 302, "headers": {"location": "/keys"}}, "HTTP 302; redirects are not followed"),
        ({"body": b"<html>sign in</html>"}, "is no key set"),
        ({"body": b""}, "is no key set"),
        ({"body": key_set({"kty": "oct", "kid": "old", "k": "c2VjcmV0"})}, "no usable key"),
        ({"body": SET + b" " * 262_144}, "larger than 262144 bytes"),
        ({"body": gzip.compress(SET), "headers": {"content-encoding": "gzip"}}, "is no key set"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_that_is_no_set_waits(issuer: Issuer, changes: dict[str, Any], told: str) -> None:
    """Whatever the far side says instead of keys, intake waits with a reason, and goes on when it says them."""
    good = dict(vars(issuer))
    for name, value in changes.items():
        setattr(issuer, name, value)
    askers = judging(issuer)
    with pytest.raises(
        Unavailable, match=f"^JWKS is unavailable: .*WORKER_ASKERS_JWKS_URL.*{told}"
    ):
        objection(askers, BY_OLD)
    assert 1 == len(issuer.asked)
    for name in changes:
        setattr(issuer, name, good[name])
    issuer.now_s += 6
    assert "" == objection(askers, BY_OLD)


def _hang_up(_: Issuer, handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


def _cut_short(issuer: Issuer, handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n" + issuer.body)


def _not_http(_: Issuer, handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\xff not HTTP\r\n\r\n")


@pytest.mark.parametrize("answer", [_hang_up, _cut_short, _not_http])
def test_a_broken_connection_waits(
    issuer: Issuer, answer: Callable[[Issuer, BaseHTTPRequestHandler], None]
) -> None:
    """A connection that breaks at any point is a reason to wait."""
    issuer.answer = answer
    with pytest.raises(Unavailable, match="WORKER_ASKERS_JWKS_URL: no answer"):
        objection(judging(issuer), BY_OLD)


def test_nobody_there_waits() -> None:
    """A refused connection is a reason to wait."""
    with issuing() as gone:
        pass
    with pytest.raises(Unavailable, match="ConnectError"):
        objection(judging(gone), BY_OLD)


def _keep_silent(issuer: Issuer, _: BaseHTTPRequestHandler) -> None:
    issuer.released.wait()


def _trickle_the_head(issuer: Issuer, handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while not issuer.released.wait(0.02):
        handler.wfile.write(b"x")


def _trickle_the_body(issuer: Issuer, handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not issuer.released.wait(0.02):
        handler.wfile.write(b" ")


@pytest.mark.parametrize("answer", [_keep_silent, _trickle_the_head, _trickle_the_body])
def test_an_answer_without_an_end_is_given_up(
    issuer: Issuer, answer: Callable[[Issuer, BaseHTTPRequestHandler], None]
) -> None:
    """One deadline lies around the whole fetch: the answer never ends here, the call does."""
    issuer.answer = answer
    askers = judging(issuer, jwks_timeout_s=0.2)
    with pytest.raises(Unavailable, match="WORKER_ASKERS_JWKS_URL"):
        objection(askers, BY_OLD)
    assert not issuer.released.is_set()


def test_answers_without_an_end_do_not_pile_up(issuer: Issuer) -> None:
    """A few fetches may hang; then no more are begun until one has ended, and the next good answer counts."""
    issuer.answer = _trickle_the_head
    askers = judging(issuer, jwks_timeout_s=0.1)
    before = set(threading.enumerate())

    def fetching() -> list[threading.Thread]:
        return [it for it in threading.enumerate() if it.name == "jwks" and it not in before]

    def is_full() -> bool:
        issuer.now_s += 6
        with pytest.raises(Unavailable) as waits:
            objection(askers, BY_OLD)
        assert 4 >= len(fetching())
        return "does not end its earlier answers" in str(waits.value)

    wait_until(is_full)
    issuer.answer = None
    issuer.released.set()
    wait_until(lambda: not fetching())
    issuer.now_s += 6
    assert "" == objection(askers, BY_OLD)


def _tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def test_certificates_are_verified(tmp_path: Path) -> None:
    """Over TLS the authority of `ca_file` is believed, and no other: its keys would be anybody's."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    with issuing(_tls(authority)) as issuer:
        assert "" == objection(judging(issuer, ca_file=tmp_path / "ca.pem"), BY_OLD)
        assert 1 == len(issuer.asked)
        for wary in (judging(issuer, ca_file=tmp_path / "other.pem"), judging(issuer)):
            with pytest.raises(Unavailable, match="ConnectError"):
                objection(wary, BY_OLD)
        other_name = issuer.url.replace("localhost", "127.0.0.1")
        elsewhere = judging(issuer, ca_file=tmp_path / "ca.pem", jwks_url=other_name)
        with pytest.raises(Unavailable, match="ConnectError"):
            objection(elsewhere, BY_OLD)
        assert 1 == len(issuer.asked)


def test_the_environment_puts_nobody_between(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy of the environment is not used: keys come straight from the issuer."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert "" == objection(judging(issuer), BY_OLD)


def test_no_message_shows_a_token(issuer: Issuer) -> None:
    """What makes intake wait is logged: not even the key's name is in it."""
    issuer.status = 500
    with pytest.raises(Unavailable) as waits:
        objection(judging(issuer), bearer(token(NEW, kid="made-up-name")))
    assert "made-up-name" not in str(waits.value)
    assert BY_NEW.split(b".")[0].decode() not in repr(waits.value)
