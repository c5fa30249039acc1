"""Events and commands as bytes. The headers are worked out once, at start; encoding is a table look-up and one call.

With a registry the schemas are registered under `<topic>-value` (TopicNameStrategy) and records carry their ids;
without one they carry fingerprints. What must not live here: Kafka, CloudEvents headers, size limits.
"""

from collections.abc import Mapping
from datetime import datetime
from io import BytesIO
from typing import Final, Protocol, assert_never

from fastavro import schemaless_writer

from avro.catalog import (
    NOTIFICATION_EVENTS,
    ORDER_EVENTS,
    PAYMENT_INITIATION,
    PAYMENT_STATUS,
    Catalog,
)
from avro.commands import from_command, lines_record
from avro.reader import CONFLUENT_MAGIC, SINGLE_OBJECT_MAGIC
from handlers.domain.commands import InitiatePayment
from handlers.domain.outcomes import Event, NotificationEvent, OrderEvent, StatusEvent
from handlers.domain.payments import NO_REASON, Payment
from handlers.domain.verdicts import Method

_NO_METHOD: Final = Method()


class SchemaSink(Protocol):
    """Where schemas are registered: the registry."""

    def register(self, subject: str, schema: str) -> int:
        """Its id. Raises Unavailable or SchemaRefused."""
        ...


def single_object_headers(catalog: Catalog, topics: Mapping[str, str]) -> dict[str, bytes]:
    """The header of each topic's records without a registry; `topics` names the kind of each topic."""
    return {
        topic: SINGLE_OBJECT_MAGIC + catalog.current(kind).fingerprint
        for topic, kind in topics.items()
    }


def registered_headers(
    catalog: Catalog, topics: Mapping[str, str], *, registry: SchemaSink
) -> dict[str, bytes]:
    """Register each topic's schema; the header of its records. Raises Unavailable or SchemaRefused."""
    return {
        topic: CONFLUENT_MAGIC
        + registry.register(subject(topic), catalog.current(kind).text).to_bytes(4, "big")
        for topic, kind in topics.items()
    }


def subject(topic: str) -> str:
    """The name under which the registry keeps the schema of a topic's values."""
    return f"{topic}-value"


class Writer:
    """Encodes for the topics that `headers` names. Stateless after it is made: any thread may use it."""

    def __init__(self, catalog: Catalog, headers: Mapping[str, bytes]) -> None:
        self._parsed = {kind: catalog.current(kind).parsed for kind in catalog.kinds}
        self._headers = dict(headers)

    def encode(self, event: Event, *, event_id: str, occurred_at: datetime, topic: str) -> bytes:
        """The value of the record that tells `event` on `topic`. `occurred_at` is UTC, aware."""
        match event:
            case StatusEvent(payment):
                record = {**_status(payment), "event_id": event_id, "occurred_at": occurred_at}
                return self._encoded(PAYMENT_STATUS, record, topic=topic)
            case OrderEvent(news, payment, lines):
                record = _ids(payment) | {"news": news.name, "lines": lines_record(lines)}
                kind = ORDER_EVENTS
            case NotificationEvent(template, payment):
                record = _ids(payment) | {"template": template.name, "advice": _advice(payment)}
                kind = NOTIFICATION_EVENTS
            case _:
                assert_never(event)
        record |= {
            "event_id": event_id,
            "occurred_at": occurred_at,
            "payment_version": payment.version,
        }
        return self._encoded(kind, record, topic=topic)

    def encode_command(self, command: InitiatePayment, *, topic: str) -> bytes:
        """The value of the record that asks for `command` on `topic`."""
        return self._encoded(PAYMENT_INITIATION, from_command(command), topic=topic)

    def _encoded(self, kind: str, record: dict[str, object], *, topic: str) -> bytes:
        out = BytesIO()
        out.write(self._headers[topic])
        schemaless_writer(out, self._parsed[kind], record)
        return out.getvalue()


def _ids(payment: Payment) -> dict[str, object]:
    return {
        "payment_id": payment.payment_id,
        "order_id": payment.order_id,
        "user_id": payment.user_id,
        "amount_minor": payment.money.amount_minor,
        "currency": payment.money.currency,
    }


def _status(payment: Payment) -> dict[str, object]:
    reason = None if payment.reason == NO_REASON else payment.reason
    return _ids(payment) | {
        "payment_status": payment.status.name,
        "state": payment.state.value,
        "version": payment.version,
        "transaction_id": payment.transaction_id,
        "authorised_minor": payment.authorised_minor,
        "captured_minor": payment.captured_minor,
        "refunded_minor": payment.refunded_minor,
        "payment_method": _method(payment.method),
        "reason_code": reason and _clean(reason.code),
        "reason_text": reason and _clean(reason.text),
        "advice": _advice(payment),
        "refund": None,
    }


def _advice(payment: Payment) -> str | None:
    return None if payment.reason == NO_REASON else payment.reason.advice.value


def _method(method: Method) -> dict[str, str] | None:
    if method == _NO_METHOD:
        return None
    return {
        "kind": _clean(method.kind),
        "brand": _clean(method.brand),
        "last4": _clean(method.last4),
    }


def _clean(text: str) -> str:
    """The gateway's words as UTF-8 can carry them: half a surrogate must not stop an outcome from being told."""
    return text.encode("utf-8", "replace").decode()
