"""Reads the four books of an installation at rest, and waits for that rest."""

import time
from collections.abc import Iterable

from db_client.audit import read_journal
from worker import kafka_admin, wiring
from worker.config import Settings, read_settings
from worker.demo.books import Books, Verdict, compare
from worker.demo.stage import Stage


def settings_of(stage: Stage) -> Settings:
    """The settings of a worker on this stage, without touching our own environment."""
    names = {
        name.removeprefix("WORKER_").lower(): value
        for name, value in stage.environment.items()
        if name.startswith("WORKER_")
    }
    return read_settings(**names)


def wait_for_rest(stage: Stage, *, admitted: int, within_s: float) -> bool:
    """Wait until so many payments are admitted, each is concluded or waits, and all is published."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        book = read_journal(stage.journal_url)
        resting = all(entry.stage in {"concluded", "asking"} for entry in book.entries)
        if len(book.entries) >= admitted and resting and not book.unpublished:
            return True
        time.sleep(0.25)
    return False


def audit(stage: Stage, *, published: Iterable[str], name: str, time_lost: bool = False) -> Verdict:
    """Compare the books of the installation whose payment ids start with `name`. `time_lost`: see `Books`."""
    settings = settings_of(stage)
    topics = wiring.topics(settings)
    kinds = {it: kind for it, kind in wiring.topic_kinds(settings).items() if it in topics.events}
    events = kafka_admin.read_topics(
        settings.kafka_properties(), [*topics.events, *topics.dead_letters], follow=False
    )
    journal = read_journal(stage.journal_url)
    ledger = [row for row in stage.ledger() if _belongs(row, name)]
    recorded = [row for row in stage.recorded_payments() if row["payment_id"].startswith(name)]
    books = Books(
        ledger=ledger,
        journal=journal,
        recorded=recorded,
        events=list(events),
        published=list(published),
        kinds=kinds,
        time_lost=time_lost,
    )
    return compare(books, wiring.wire_reader(settings))


def _belongs(row: dict[str, object], name: str) -> bool:
    """The shop writes its name in front of each description, which the gateway keeps."""
    return str(row.get("description") or "").startswith(name)
