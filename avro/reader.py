"""Bytes of a topic in, the record as a plain dict out; or Unreadable, whatever the bytes are.

Both formats are read: Confluent's (byte 0, schema id in 4 bytes big-endian) where a registry is configured, and Avro's
single-object encoding (C3 01, CRC-64-AVRO fingerprint in 8 bytes little-endian). The writer's schema is resolved
against the current one, so an older or newer producer is understood. What must not live here: what the fields mean
(`commands.py`), HTTP (`registry.py`).
"""

from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from typing import Final, Protocol, cast

from fastavro import schemaless_reader
from fastavro.read import SchemaResolutionError

from avro.catalog import Catalog
from avro.compat import obstacles
from avro.errors import Unreadable
from avro.scan import Step, check, compiled
from avro.schema import Schema, load

CONFLUENT_MAGIC: Final = b"\x00"
SINGLE_OBJECT_MAGIC: Final = b"\xc3\x01"
MAX_PAYLOAD_BYTES: Final = 1_048_576
_CONFLUENT_BYTES: Final = 5
_SINGLE_OBJECT_BYTES: Final = 10
_MAX_SCHEMA_ID: Final = 2**31 - 1
_PLANS_REMEMBERED: Final = 256


class SchemaSource(Protocol):
    """Where schemas are looked up by id: the registry."""

    def schema(self, schema_id: int) -> str:
        """Its JSON. Raises Unavailable, or Unreadable where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the records of one writer are read. `reader` is None where the writer speaks the current schema."""

    scan: Step
    writer: dict[str, object] = field(repr=False)
    reader: dict[str, object] | None = field(repr=False)


class Reader:
    """Reads every kind of the catalog. Used by one thread at a time."""

    def __init__(self, catalog: Catalog, registry: SchemaSource | None = None) -> None:
        self._catalog = catalog
        self._registry = registry
        self._by_fingerprint = {
            kind: {crc: self._plan(kind, writer) for crc, writer in catalog.writers(kind).items()}
            for kind in catalog.kinds
        }
        # A verdict on a schema holds for ever (ids are never given twice), so a refusal is remembered as well.
        self._by_id = lru_cache(maxsize=_PLANS_REMEMBERED)(self._plan_by_id)

    def read(self, kind: str, payload: bytes) -> dict[str, object]:
        """The record in `payload`. It may share parts with other records: do not change it.

        Raises Unreadable for bytes that are no record of `kind`, Unavailable where the registry is needed and away.
        """
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise Unreadable(f"the record is larger than {MAX_PAYLOAD_BYTES} bytes")
        if payload[:2] == SINGLE_OBJECT_MAGIC:
            start, plan = _SINGLE_OBJECT_BYTES, self._single_object(kind, payload)
        elif payload[:1] == CONFLUENT_MAGIC:
            start, plan = _CONFLUENT_BYTES, self._confluent(kind, payload)
        else:
            raise Unreadable("the record is not Avro: it starts with no header that we know")
        check(plan.scan, payload, start=start)
        return _decoded(plan, payload, start=start)

    def _single_object(self, kind: str, payload: bytes) -> _Plan:
        plan = self._by_fingerprint[kind].get(payload[2:_SINGLE_OBJECT_BYTES])
        if plan is not None:
            return plan
        crc = payload[2:_SINGLE_OBJECT_BYTES]
        for other, plans in self._by_fingerprint.items():
            if crc in plans:
                raise Unreadable(f"the record is one of {other}, not of {kind}")
        raise Unreadable("the record names a schema by a fingerprint that is not known here")

    def _confluent(self, kind: str, payload: bytes) -> _Plan:
        if self._registry is None:
            raise Unreadable(
                "the record names a schema of a registry, but no registry is configured"
            )
        schema_id = int.from_bytes(payload[1:_CONFLUENT_BYTES], "big")
        if len(payload) < _CONFLUENT_BYTES or not 0 < schema_id <= _MAX_SCHEMA_ID:
            raise Unreadable("the record names no schema")
        plan = self._by_id(kind, schema_id)
        if isinstance(plan, str):
            raise Unreadable(plan)
        return plan

    def _plan_by_id(self, kind: str, schema_id: int) -> _Plan | str:
        """A plan, or why there is none for this schema; both are final. Raises where that is not known yet."""
        assert self._registry is not None
        text = self._registry.schema(schema_id)
        try:
            return self._plan(kind, load(text))
        except Unreadable as refusal:
            return f"schema {schema_id} of the registry: {refusal.why}"

    def _plan(self, kind: str, writer: Schema) -> _Plan:
        current = self._catalog.current(kind)
        if writer.fingerprint == current.fingerprint and writer.parsed == current.parsed:
            return _Plan(compiled(current.tree), current.parsed, None)
        found = obstacles(writer=writer, reader=current)
        if found:
            raise Unreadable(f"its schema cannot be read as {kind}: {found[0][:200]}")
        return _Plan(compiled(writer.tree), writer.parsed, current.parsed)


def _decoded(plan: _Plan, payload: bytes, *, start: int) -> dict[str, object]:
    source = BytesIO(payload)
    source.seek(start)
    try:
        record = schemaless_reader(source, plan.writer, plan.reader)
    except UnicodeDecodeError:
        raise Unreadable("a text of the record is not UTF-8") from None
    except OverflowError:
        raise Unreadable("a time of the record is outside the years 1 to 9999") from None
    except (SchemaResolutionError, EOFError, ValueError, LookupError, TypeError, AttributeError):
        raise Unreadable("the record cannot be resolved to the current schema") from None
    return cast("dict[str, object]", record)
