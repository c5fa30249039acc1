"""Everything that an installation put out, as bytes under the name of the place: what a search must go through.

Not here: what was put in (the command topics), and what goes to the gateway and to the db-service over HTTP, where the
secrets belong. Sealed columns and sealed dead letters are here as they lie there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy import MetaData, Text, cast, select

from db_client.database import engine
from tests.acceptance.front_door import Ear
from worker import wiring
from worker.demo.audit import settings_of
from worker.demo.stage import Stage
from worker.kafka_admin import Seen, Tail


@dataclass(slots=True)
class Heard(Ear):
    """An ear that keeps every record of the event topics and the dead letters as it came."""

    records: list[Seen] = field(default_factory=list)

    def _hear(self, seen: Seen) -> None:
        self.records.append(seen)
        Ear._hear(self, seen)


def heard(stage: Stage) -> Heard:
    """An ear for all that is told from now on, and was told before."""
    settings = settings_of(stage)
    topics = wiring.topics(settings)
    kinds = {it: kind for it, kind in wiring.topic_kinds(settings).items() if it in topics.events}
    names = [*topics.events, *topics.dead_letters]
    tail = Tail(settings.kafka_properties(), names, from_beginning=True)
    return Heard(tail, wiring.wire_reader(settings), kinds)


def tables(url: str) -> dict[str, bytes]:
    """Every row of every table as text; bytes in hexadecimal, as PostgreSQL shows them."""
    database, every = engine(url, role="search"), MetaData()
    every.reflect(database)
    found = {}
    with database.connect() as connection:
        for table in every.sorted_tables:
            rows = connection.execute(select(*(cast(column, Text) for column in table.columns)))
            found[table.name] = "\n".join("\t".join(map(str, row)) for row in rows).encode()
    database.dispose()
    return found


def came_out(
    stage: Stage, ear: Heard, *, metrics_url: str, service_database: str
) -> Iterator[tuple[str, bytes]]:
    """The place and what lies there."""
    for worker in stage.workers:
        yield f"log of {worker.name}", worker.log.read_bytes()
    for path in sorted(Path(stage.folder).glob("*.state")):
        yield f"state file {path.name}", path.read_bytes()
    yield "metrics", httpx.get(metrics_url, timeout=10, trust_env=False).content
    topics: dict[str, list[bytes]] = {}
    for seen in ear.records:
        parts = [
            seen.key,
            seen.value,
            *(f"{name}=".encode() + it for name, it in seen.headers.items()),
        ]
        topics.setdefault(seen.topic, []).extend(parts)
    for topic, several in topics.items():
        yield f"topic {topic}", b"\n".join(several)
    for name, rows in tables(stage.journal_url).items():
        yield f"journal, {name}", rows
    for name, rows in tables(service_database).items():
        yield f"db-service, {name}", rows
