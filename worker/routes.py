"""Which topic carries what, and how events and commands of our own become Kafka records. One literal table for each.

Legend of `COMMANDS`: topic → the kinds of command that it may carry (`payment_verification_request` has two faces: a
question, or the test of a means of payment). Legend of `EVENTS`: event → topic, CloudEvents type. A topic's name
without prefix is also the kind of its schema in `avro/avsc/`.

Headers are CloudEvents in binary mode plus `traceparent`, and on commands our signature. The event id is derived from
the topic, the payment and its version (of a command: from its operation's id), so the same news has the same id however
often it is produced.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, assert_never

from avro.command_records import kind_of
from avro.writer import Writer
from handlers.domain.commands import Command, Kind
from handlers.domain.errors import InvalidValueError
from handlers.domain.outcomes import Event, NotificationEvent, OrderEvent, StatusEvent
from handlers.ports import Message
from worker import own_signature

INITIATION: Final = "payment_initiation"
CAPTURE: Final = "payment_capture_request"
VOID: Final = "payment_void_request"
REFUND: Final = "refund_request"
VERIFICATION: Final = "payment_verification_request"
STATUS: Final = "payment_status"
ORDERS: Final = "order_events"
NOTIFICATIONS: Final = "notification_events"

COMMANDS: Final[Mapping[str, frozenset[Kind]]] = MappingProxyType(
    {
        INITIATION: frozenset({Kind.INITIATION}),
        CAPTURE: frozenset({Kind.CAPTURE}),
        VOID: frozenset({Kind.VOID}),
        REFUND: frozenset({Kind.REFUND}),
        VERIFICATION: frozenset({Kind.VERIFICATION, Kind.INITIATION}),
    }
)
EVENTS: Final[Mapping[type[Event], tuple[str, str]]] = MappingProxyType(
    {
        StatusEvent: (STATUS, "payments.payment.status.v1"),
        OrderEvent: (ORDERS, "payments.order.payment.v1"),
        NotificationEvent: (NOTIFICATIONS, "payments.notification.requested.v1"),
    }
)
_EVENT_IDS: Final = uuid.UUID("8a9e3c54-6c0c-5f1e-9a3e-2f5f6d1f7f10")
MAX_MESSAGE_BYTES: Final = 900_000  # below the broker's default of 1 MiB, headers included
MAX_COMMAND_BYTES: Final = 262_144


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
    def kinds(self) -> dict[str, str]:
        """Topic name → kind of record, for every topic that carries records of ours in clear."""
        events = {self.name(topic): topic for topic, _ in EVENTS.values()}
        return {**self.commands, **events}

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


@dataclass(frozen=True, slots=True)
class _Said:
    """What the headers of a record say."""

    event_id: str
    kind: str
    subject: bytes
    at: datetime
    traceparent: str


class EventWire:
    """Implements `handlers.ports.Wire`. `signing_key` comes from `own_signature.derive`.

    None leaves commands unsigned, as those of other services are: never in a worker, whose own commands must count.
    """

    def __init__(
        self, writer: Writer, *, topics: Topics, source: str, signing_key: bytes | None = None
    ) -> None:
        self._writer = writer
        self._topics = topics
        self._source = source.encode()
        self._signing_key = signing_key

    def message(self, event: Event, *, occurred_at: datetime, traceparent: str) -> Message:
        """The record that tells `event`. Raises InvalidValueError where it exceeds the size limit."""
        route, kind = EVENTS[type(event)]
        topic = self._topics.name(route)
        payment = event.payment
        event_id = str(uuid.uuid5(_EVENT_IDS, f"{route}:{payment.payment_id}:{payment.version}"))
        value = self._writer.encode(event, event_id=event_id, occurred_at=occurred_at, topic=topic)
        if len(value) > MAX_MESSAGE_BYTES:
            raise InvalidValueError(topic, f"an event must be at most {MAX_MESSAGE_BYTES} bytes")
        said = _Said(event_id, kind, _key(event), at=occurred_at, traceparent=traceparent)
        return Message(topic, said.subject, value, self._headers(said), event_id)

    def command(self, command: Command, *, traceparent: str) -> Message:
        """The record that asks for `command` on its topic, signed as ours. Raises InvalidValueError."""
        route = kind_of(command)
        topic, key = self._topics.name(route), command.payment_id.encode()
        value = self._writer.encode_command(command, topic=topic)
        if len(value) > MAX_COMMAND_BYTES:
            raise InvalidValueError(topic, f"a command must be at most {MAX_COMMAND_BYTES} bytes")
        event_id = str(uuid.uuid5(_EVENT_IDS, f"{route}:{command.operation_id}"))
        kind = f"payments.command.{command.kind}.v1"
        said = _Said(event_id, kind, key, at=command.issued_at, traceparent=traceparent)
        return Message(
            topic,
            key,
            value,
            self._headers(said) + self._signature(topic, key=key, value=value),
            event_id,
        )

    def _headers(self, said: _Said) -> tuple[tuple[str, bytes], ...]:
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", said.event_id.encode()),
            ("ce_source", self._source),
            ("ce_type", said.kind.encode()),
            ("ce_time", said.at.isoformat().encode()),
            ("ce_subject", said.subject),
            ("content-type", b"application/avro"),
        ]
        if said.traceparent:
            headers.append(("traceparent", said.traceparent.encode()))
        return tuple(headers)

    def _signature(self, topic: str, *, key: bytes, value: bytes) -> tuple[tuple[str, bytes], ...]:
        if self._signing_key is None:
            return ()
        signature = own_signature.sign(self._signing_key, topic=topic, record_key=key, value=value)
        return ((own_signature.SIGNATURE_HEADER, signature),)


def _key(event: Event) -> bytes:
    match event:
        case StatusEvent(payment=payment):
            return payment.payment_id.encode()
        case OrderEvent(payment=payment):
            return payment.order_id.encode()
        case NotificationEvent(payment=payment):
            return payment.user_id.encode()
        case _:
            assert_never(event)
