"""What the worker says about itself: the catalogue of metrics, and structured logs by allow-list.

Logging is by allow-list: only the fields in `FIELDS` pass, everything else is dropped, so that a new call site cannot
leak by accident. Metric names are here and nowhere else; labels come from closed lists, never from payments.
"""

import logging
import sys
from collections.abc import MutableMapping
from functools import partial
from typing import Any, Final, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

FIELDS: Final = frozenset(
    (
        "event level timestamp logger session operation_id payment_id topic partition offset reason field count"
        " seconds stage state verdict why what group watermark number kind dead version port"
    ).split()
)
_MAX_TEXT: Final = 300
_BUCKETS: Final = (0.05, 0.1, 0.2, 0.4, 0.6, 0.9, 1.3, 2, 3, 5, 8, 13, 21, 34, 60)


class Metrics:
    """The catalogue. One instance a process; sessions come and go under it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        gauge = partial(Gauge, registry=self.registry)
        counter = partial(Counter, registry=self.registry)
        seconds = partial(Histogram, buckets=_BUCKETS, registry=self.registry)
        p = "payment_worker_"
        self.in_flight = gauge(f"{p}in_flight", "Payments in work in this process")
        self.queued = gauge(f"{p}queued", "Admitted here, not yet started")
        self.backlog = gauge(
            f"{p}backlog", "Operations not concluded, over all workers, by stage", ["stage"]
        )
        self.oldest_s = gauge(f"{p}oldest_seconds", "Age of the oldest operation not concluded")
        self.intake_paused = gauge(f"{p}intake_paused", "1 while intake is paused")
        self.fuse_blown = gauge(
            f"{p}fuse_blown", "1 where the intake of a topic has stopped: dead letters", ["topic"]
        )
        self.admitted = counter(f"{p}records", "Records read, by fate", ["fate"])
        self.dead_letters = counter(f"{p}dead_letters", "Dead letters, by reason", ["reason"])
        self.verdicts = counter(
            f"{p}gateway_verdicts", "Gateway calls, by verdict", ["call", "verdict"]
        )
        self.gateway_s = seconds(f"{p}gateway_seconds", "Duration of charges at the gateway")
        self.record_calls = counter(
            f"{p}db_service_calls", "Calls to the db-service", ["call", "verdict"]
        )
        self.record_s = seconds(f"{p}db_service_seconds", "Duration of calls to the db-service")
        self.endings = counter(f"{p}endings", "Operations carried, by how it ended", ["ending"])
        self.publish_lag_s = seconds(
            f"{p}publish_lag_seconds", "From the outbox's commit to the kafka_txn's"
        )
        self.published = counter(f"{p}published", "Records published", ["topic"])
        self.takeovers = counter(f"{p}takeovers", "Dead sessions taken over")
        self.crashes = counter(f"{p}lane_crashes", "Operations whose lane crashed: a bug of ours")

    def gateway_call(self, call: str, *, verdict: str, latency_s: float) -> None:
        """Count one call to the gateway."""
        self.verdicts.labels(call, verdict).inc()
        if call == "charge":
            self.gateway_s.observe(latency_s)

    def db_service_call(self, call: str, *, verdict: str, latency_s: float) -> None:
        """Count one try at the db-service."""
        self.record_calls.labels(call, verdict).inc()
        self.record_s.observe(latency_s)

    def serve(self, *, host: str, port: int) -> None:
        """Answer Prometheus, unless the port is 0."""
        if port:
            start_http_server(port, addr=host, registry=self.registry)


def _allow_listed(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    kept: MutableMapping[str, Any] = {}
    for name, value in event.items():
        if name in FIELDS:
            kept[name] = value if isinstance(value, int | float | bool) else str(value)[:_MAX_TEXT]
    return kept


def set_up_logs(*, form: str, level: str, stream: TextIO | None = None) -> None:
    """Logs on standard error (or `stream`), as JSON lines or for the console."""
    out = stream or sys.stderr
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _allow_listed,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING, stream=out, format="%(levelname)s %(name)s: %(message)s"
    )


log: Final = structlog.get_logger()


def where(crash: BaseException) -> str:
    """Kind, file and line of a crash. Never its message, which may hold anything."""
    trace = crash.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "?"
    if trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}"
    return f"{type(crash).__name__} at {place}"
