"""Events and commands as bytes. The headers are worked out once, at start; encoding is a table look-up and one call.

With a registry the schemas are registered under `<topic>-value` (TopicNameStrategy) and records carry their ids;
without one they carry fingerprints. What must not live here: Kafka, CloudEvents headers, size limits.
"""

from collections.abc import Mapping
from datetime import datetime
from io import BytesIO
from typing import Protocol

from fastavro import schemaless_writer

from avro.catalog import Catalog
from avro.command_records import from_command, kind_of
from avro.event_records import from_event
from avro.reader import CONFLUENT_MAGIC, SINGLE_OBJECT_MAGIC
from handlers.domain.commands import Command
from handlers.domain.outcomes import Event


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
        kind, record = from_event(event)
        record |= {"event_id": event_id, "occurred_at": occurred_at}
        return self._encoded(kind, record, topic=topic)

    def encode_command(self, command: Command, *, topic: str) -> bytes:
        """The value of the record that asks for `command` on `topic`. Raises InvalidValueError."""
        return self._encoded(kind_of(command), from_command(command), topic=topic)

    def _encoded(self, kind: str, record: dict[str, object], *, topic: str) -> bytes:
        out = BytesIO()
        out.write(self._headers[topic])
        schemaless_writer(out, self._parsed[kind], record)
        return out.getvalue()
