"""Which topic carries what, and how an event becomes a Kafka record. One literal table for each direction.

Headers are CloudEvents in binary mode plus `traceparent`. The event id is derived from the topic, the payment and its
version, so the same news has the same id however often it is produced.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from avro.writer import Writer
from handlers.domain.errors import InvalidValueError
from handlers.domain.outcomes import Event, NotificationEvent, OrderEvent, StatusEvent
from handlers.ports import Message

INITIATION: Final = "payment_initiation"
STATUS: Final = "payment_status"
ORDERS: Final = "order_events"
NOTIFICATIONS: Final = "notification_events"

COMMANDS: Final = (INITIATION,)
EVENTS: Final[Mapping[type[Event], tuple[str, str]]] = MappingProxyType(
    {  # event → (topic, CloudEvents type)
        StatusEvent: (STATUS, "payments.payment.status.v1"),
        OrderEvent: (ORDERS, "payments.order.payment.v1"),
        NotificationEvent: (NOTIFICATIONS, "payments.notification.requested.v1"),
    }
)
_EVENT_IDS: Final = uuid.UUID("8a9e3c54-6c0c-5f1e-9a3e-2f5f6d1f7f10")
MAX_MESSAGE_BYTES: Final = 900_000  # below the broker's default of 1 MiB, headers included


def dead_letter_topic(command_topic: str) -> str:
    """Where records of `command_topic` end that are no command of ours."""
    return f"{command_topic}.dlq"


def progress_topic(prefix: str, group: str) -> str:
    """The one-partition topic whose offsets are the publishers' watermarks; no record is ever written to it."""
    return f"{prefix}{group}.progress"


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of all topics of one installation."""

    prefix: str
    group: str

    def name(self, topic: str) -> str:
        """`topic` with this installation's prefix."""
        return f"{self.prefix}{topic}"

    @property
    def commands(self) -> dict[str, str]:
        """Topic name → kind of command."""
        return {self.name(topic): topic for topic in COMMANDS}

    @property
    def events(self) -> tuple[str, ...]:
        """The event topics."""
        return tuple(self.name(topic) for topic, _ in EVENTS.values())

    @property
    def dead_letters(self) -> tuple[str, ...]:
        """The dead-letter topics."""
        return tuple(dead_letter_topic(self.name(topic)) for topic in COMMANDS)

    @property
    def progress(self) -> str:
        """The progress topic."""
        return progress_topic(self.prefix, self.group)


class EventWire:
    """Implements `handlers.ports.Wire`."""

    def __init__(self, writer: Writer, *, topics: Topics, source: str) -> None:
        self._writer = writer
        self._topics = topics
        self._source = source.encode()

    def message(self, event: Event, *, occurred_at: datetime, traceparent: str) -> Message:
        """The record that tells `event`. Raises InvalidValueError where it exceeds the size limit."""
        route, kind = EVENTS[type(event)]
        topic = self._topics.name(route)
        key = _key(event)
        payment = event.payment
        event_id = str(uuid.uuid5(_EVENT_IDS, f"{route}:{payment.payment_id}:{payment.version}"))
        value = self._writer.encode(event, event_id=event_id, occurred_at=occurred_at, topic=topic)
        if len(value) > MAX_MESSAGE_BYTES:
            raise InvalidValueError(topic, f"an event must be at most {MAX_MESSAGE_BYTES} bytes")
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", event_id.encode()),
            ("ce_source", self._source),
            ("ce_type", kind.encode()),
            ("ce_time", occurred_at.isoformat().encode()),
            ("ce_subject", key),
            ("content-type", b"application/avro"),
        ]
        if traceparent:
            headers.append(("traceparent", traceparent.encode()))
        return Message(topic, key, value, tuple(headers), event_id)


def _key(event: Event) -> bytes:
    match event:
        case StatusEvent(payment):
            return payment.payment_id.encode()
        case OrderEvent(_, payment, _):
            return payment.order_id.encode()
        case NotificationEvent(_, payment):
            return payment.user_id.encode()
