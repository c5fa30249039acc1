"""Logs by allow-list, metrics by catalogue: neither has room for a secret."""

import io
import json
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client import generate_latest

from worker import telemetry
from worker.telemetry import FIELDS, Metrics, set_up_logs, where

SECRETS = {
    "card_number": "4111111111111111",
    "token": "nonce-very-secret",
    "transaction_key": "k3y-k3y-k3y",
    "password": "hunter2",
    "body": '{"creditCard": "4111111111111111"}',
    "exception": "ValueError('nonce-very-secret')",
    "command": "InitiatePayment(nonce-very-secret)",
}


def _crash() -> None:
    raise ValueError(SECRETS["token"])


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a worker's log would say."""
    stream = io.StringIO()
    set_up_logs(form="json", level="debug", stream=stream)
    yield stream
    structlog.reset_defaults()


def test_only_named_fields_are_logged(written: io.StringIO) -> None:
    """A call site that hands a secret to the log by any other name logs nothing of it."""
    structlog.get_logger().error("a lane crashed", operation_id="initiation:p-1", **SECRETS)
    line = json.loads(written.getvalue())
    assert {"event", "level", "operation_id", "timestamp"} == line.keys()
    assert not [value for value in SECRETS.values() if value in written.getvalue()]


def test_a_long_text_is_cut(written: io.StringIO) -> None:
    """Not even a named field carries a whole body."""
    structlog.get_logger().warning("x", why="y" * 10_000)
    assert len(written.getvalue()) < 1_000


def test_a_crash_is_told_by_place_and_never_by_message() -> None:
    """The message of a foreign exception may hold anything."""
    with pytest.raises(ValueError, match=SECRETS["token"]) as raised:
        _crash()
    told = where(raised.value)
    assert "ValueError at test_telemetry.py:" in told
    assert SECRETS["token"] not in told


def test_no_field_is_named_like_a_secret() -> None:
    """The allow-list itself lets no such name in."""
    forbidden = ("token_value", "card", "secret", "password", "key", "body", "payload", "command")
    assert not [name for name in FIELDS if any(word in name for word in forbidden)]


def test_labels_are_closed_lists() -> None:
    """No metric is labelled by a payment, an order or a customer: labels come from closed lists."""
    allowed = {"stage", "fate", "reason", "call", "verdict", "ending", "topic"}
    metric_labels = {
        label for metric in vars(Metrics()).values() for label in getattr(metric, "_labelnames", ())
    }
    assert metric_labels <= allowed


def test_the_catalogue_can_be_scraped() -> None:
    """Prometheus gets every metric of the catalogue, under its own prefix."""
    metrics = Metrics()
    metrics.gateway_call("charge", verdict="approved", latency_s=0.2)
    metrics.db_service_call("outcomes", verdict="heard", latency_s=0.01)
    text = generate_latest(metrics.registry).decode()
    assert 'payment_worker_gateway_verdicts_total{call="charge",verdict="approved"} 1.0' in text
    assert telemetry.log is not None
    assert not [line for line in text.splitlines() if not line.startswith(("#", "payment_worker_"))]
