"""What the worker says about itself: the catalogue of metrics, and structured logs by allow-list.

Logging is by allow-list: only the fields in `FIELDS` pass, everything else is dropped, so that a new call site cannot
leak by accident. Metric names are here and nowhere else; labels come from closed lists, never from payments.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final

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
        registry = CollectorRegistry()
        self.registry = registry
        self.in_flight = Gauge(
            "payment_worker_in_flight", "Payments in work in this process", registry=registry
        )
        self.queued = Gauge(
            "payment_worker_queued", "Admitted here, not yet started", registry=registry
        )
        self.backlog = Gauge(
            "payment_worker_backlog",
            "Operations not concluded, over all workers, by stage",
            ["stage"],
            registry=registry,
        )
        self.oldest_s = Gauge(
            "payment_worker_oldest_seconds",
            "Age of the oldest operation not concluded",
            registry=registry,
        )
        self.admitted = Counter(
            "payment_worker_records", "Records read, by fate", ["fate"], registry=registry
        )
        self.dead_letters = Counter(
            "payment_worker_dead_letters", "Dead letters, by reason", ["reason"], registry=registry
        )
        self.verdicts = Counter(
            "payment_worker_gateway_verdicts",
            "Gateway calls, by verdict",
            ["call", "verdict"],
            registry=registry,
        )
        self.gateway_s = Histogram(
            "payment_worker_gateway_seconds",
            "Duration of charges at the gateway",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.endings = Counter(
            "payment_worker_endings",
            "Operations carried, by how it ended",
            ["ending"],
            registry=registry,
        )
        self.publish_lag_s = Histogram(
            "payment_worker_publish_lag_seconds",
            "From the outbox's commit to the kafka_txn's",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.published = Counter(
            "payment_worker_published", "Records published", ["topic"], registry=registry
        )
        self.intake_paused = Gauge(
            "payment_worker_intake_paused", "1 while intake is paused", registry=registry
        )
        self.takeovers = Counter(
            "payment_worker_takeovers", "Dead sessions taken over", registry=registry
        )
        self.crashes = Counter(
            "payment_worker_lane_crashes",
            "Operations whose lane crashed: a bug of ours",
            registry=registry,
        )

    def gateway_call(self, call: str, *, verdict: str, latency_s: float) -> None:
        """Count one call to the gateway."""
        self.verdicts.labels(call, verdict).inc()
        if call == "charge":
            self.gateway_s.observe(latency_s)

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


def set_up_logs(*, form: str, level: str) -> None:
    """Logs on standard error, as JSON lines or for the console."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
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
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
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
