"""The committed compose file, run: all healthy, a payment paid, a worker killed among many, nothing left behind."""

import json
import re
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from tests.containers.engine import Compose, ProofError, docker, inspected

_CONTROL: Final = "http://127.0.0.1:8081"  # the port that the compose file opens on the loopback
_ENDING: Final = ("keys", "db-service-database", "prepare")
_STAYING: Final = ("kafka", "postgres", "db-service", "simulator", "worker-1", "worker-2")
_HEALTHY_WITHIN_S: Final = 240
_PAYMENTS: Final = 100
_KILL_AFTER: Final = 20  # charges in the ledger
_PAID: Final = re.compile(r"\bpayment_status\b.*\bsuccess captured\b")
# The lease (90 s by default) runs out, then the gateway is asked for what was in flight.
_DECIDED_WITHIN_S: Final = 300
_WORDS: Final = ("python", "run_worker.py")


@contextmanager
def up(compose: Compose, *, say: Callable[[str], None]) -> Iterator[None]:
    """Start all services and see them healthy; at the end remove all and see nothing left."""
    try:
        began = time.monotonic()
        compose("up", "--detach", "--no-build")
        _wait_until_healthy(compose)
        say(f"all services healthy after {time.monotonic() - began:.0f} s")
        yield
    except BaseException:
        for service in (*_ENDING, *_STAYING):
            for container in compose.containers(service):
                say(f"--- {service}, last lines\n{_log(container)[-1500:]}")
        raise
    finally:
        compose("down", "--volumes", "--timeout", "30")
        left = compose.left_behind()
    if left:
        raise ProofError(f"`down -v` left {left}")
    say("down -v left no container, volume or network")


def _wait_until_healthy(compose: Compose) -> None:
    deadline = time.monotonic() + _HEALTHY_WITHIN_S
    waiting = dict.fromkeys(_STAYING, "not looked at")
    while waiting and time.monotonic() < deadline:
        for service in list(waiting):
            state = inspected(compose.container(service))["State"]
            waiting[service] = state.get("Health", {}).get("Status", state["Status"])
            if waiting[service] == "healthy":
                del waiting[service]
        time.sleep(1)
    if waiting:
        raise ProofError(f"not healthy after {_HEALTHY_WITHIN_S} s: {waiting}")
    for service in _ENDING:
        code = inspected(compose.container(service))["State"]["ExitCode"]
        if code:
            raise ProofError(f"{service} ended with {code}")


def hardened(compose: Compose) -> str:
    """The running workers: user, root, capabilities, as the engine has them."""
    for service in ("worker-1", "worker-2"):
        host = inspected(compose.container(service))["HostConfig"]
        found = (host["ReadonlyRootfs"], host["CapDrop"], host["Privileged"])
        if found != (True, ["ALL"], False):
            raise ProofError(f"{service} runs with {found}")
    return "both workers: read-only root, no capabilities"


def ready(compose: Compose) -> str:
    """`health --ready` and `check` inside the containers say yes."""
    for service in ("worker-1", "worker-2"):
        _in(compose, service, "health", "--ready")
    found = Counter(line.split()[0] for line in _in(compose, "worker-1", "check").splitlines())
    if not found["ok"]:
        raise ProofError(f"check found nothing in order: {found}")
    return f"health --ready in both workers; check: {found['ok']} ok, {found['warning']} warnings"


def one_payment(compose: Compose) -> str:
    """Published inside a worker's container, watched to its success, shown from the journal, charged once."""
    name = "first-payment"
    said = _in(
        compose, "worker-1", "publish", "--payment-id", name, "--order-id", f"o-{name}", "--user-id", "u-1",
        "--amount", "12.34", "--token", "nonce-of-first-payment", "--wait", "30",
    )  # fmt: skip
    if not _PAID.search(said.splitlines()[-1]):
        raise ProofError(f"expected a success, found: {said}")
    shown = _in(compose, "worker-2", "payments", "show", name)
    if "captured" not in shown:
        raise ProofError(f"payments show does not say captured:\n{shown}")
    summary = _control("GET", "/ledger/summary")
    if (summary["approved"], summary["invoices_charged_twice"]) != (1, 0):
        raise ProofError(f"expected one charge in the ledger, found {summary}")
    return f"one payment: {said.splitlines()[-1].strip()}; payments show: {len(shown.splitlines())} lines"


def killed_among_many(compose: Compose) -> str:
    """100 payments, one worker killed in the middle: each charged once and told, or waiting with its reason."""
    before = int(_control("GET", "/ledger/summary")["approved"])
    _control("PUT", "/plan", body={"latency": {"p50_ms": 800, "p99_ms": 2000}})
    victim, other = compose.container("worker-1"), compose.container("worker-2")
    argv = ["docker", "exec", "--interactive", other, *_WORDS, "publish", "--json-lines", "-"]
    with subprocess.Popen(
        [*argv, "--wait", str(_DECIDED_WITHIN_S)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as shop:  # fmt: skip
        began = time.monotonic()
        assert shop.stdin is not None
        shop.stdin.write("".join(map(_line, range(_PAYMENTS))))
        shop.stdin.close()
        shop.stdin = None
        charged = _charged(before + _KILL_AFTER)
        docker("kill", "--signal", "KILL", victim)
        said, _ = shop.communicate(timeout=_DECIDED_WITHIN_S + 60)
    took = time.monotonic() - began
    if inspected(victim)["State"]["Running"]:
        raise ProofError("the killed worker runs again: the other one was not alone")
    paid = sum(bool(_PAID.search(line)) for line in said.splitlines())
    waiting = len(_states(compose, "unknown"))
    captured = len(_states(compose, "captured"))
    summary = _control("GET", "/ledger/summary")
    facts = (
        f"{paid} told as paid, {captured} captured in the journal, {waiting} unknown,"
        f" {summary['approved']} charges, {summary['invoices_charged_twice']} twice"
    )
    whole = (captured + waiting, summary["invoices_charged_twice"], paid + before)
    if (
        whole != (_PAYMENTS + before, 0, captured)
        or not captured <= summary["approved"] <= captured + waiting
    ):
        raise ProofError(f"the books differ: {facts}\n{said[-1500:]}")
    return f"worker-1 killed after {charged - before} of {_PAYMENTS} charges; after {took:.0f} s: {facts}"


def no_secret_in_logs(compose: Compose) -> str:
    """No secret of this installation, and no payment token, stands in any container's log."""
    show = "for it in /keys/*; do cat $it; echo; done"
    told = docker("exec", compose.container("worker-2"), "sh", "-c", show)
    secrets = {part for part in re.split(r"[\s:]+", told) if len(part) >= 16} | {
        "nonce-of-first-payment"
    }
    lines = 0
    for container in compose.containers():
        log = _log(container)
        lines += log.count("\n")
        if any(secret in log for secret in secrets):
            raise ProofError(f"a secret stands in the log of {inspected(container)['Name']}")
    return f"none of {len(secrets)} secrets in {lines} lines of log"


def _line(number: int) -> str:
    record = {
        "payment_id": f"many-{number:03d}",
        "order_id": f"om-{number:03d}",
        "user_id": f"u-{number % 7}",
        "amount_minor": 1000 + number,
        "currency": "USD",
        "mode": "SALE",
        "means": {
            "data_descriptor": "COMMON.ACCEPT.INAPP.PAYMENT",
            "data_value": f"nonce-many-{number:03d}",
        },
    }
    return json.dumps(record) + "\n"


def _charged(least: int) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = int(_control("GET", "/ledger/summary")["approved"])
        if found >= least:
            return found
        time.sleep(0.05)
    raise ProofError(f"fewer than {least} charges within 60 s")


def _states(compose: Compose, state: str) -> list[object]:
    said = _in(
        compose, "worker-2", "payments", "list", "--state", state, "--limit", "1000", "--json"
    )
    found: list[object] = json.loads(said)["payments"]
    return found


def _in(compose: Compose, service: str, *words: str) -> str:
    return docker("exec", compose.container(service), *_WORDS, *words, within_s=120)


def _log(container: str) -> str:
    done = subprocess.run(
        ["docker", "logs", container],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
    )  # fmt: skip
    return done.stdout


def _control(method: str, path: str, *, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{_CONTROL}{path}", data=data, method=method)  # noqa: S310 - our own address
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        return json.load(answer)
