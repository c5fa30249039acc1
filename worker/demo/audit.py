"""Reads the four books of an installation at rest, and waits for that rest."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from avro.commands import to_command
from avro.reader import Reader
from db_client.audit import JournalBook, read_journal
from handlers.domain.commands import InitiatePayment
from worker import kafka_admin, wiring
from worker.config import Settings, read_settings
from worker.demo.books import Asked, Books, Verdict, compare
from worker.demo.stage import Stage
from worker.kafka_admin import Seen
from worker.own_signature import SIGNATURE_HEADER

_RESTING = frozenset({"concluded", "asking", "deferred"})


def settings_of(stage: Stage) -> Settings:
    """The settings of a worker on this stage, without touching our own environment."""
    names = {
        name.removeprefix("WORKER_").lower(): value
        for name, value in stage.environment.items()
        if name.startswith("WORKER_")
    }
    return read_settings(**names)


def wait_for_rest(
    stage: Stage, *, admitted: int, within_s: float, requests: Collection[str] = ()
) -> bool:
    """Wait until so many payments and these requests (operation ids) are admitted, and nothing moves any more.

    What is not concluded waits with a due time, or in line behind such a one; all that was told is published.
    """

    def resting(book: JournalBook) -> bool:
        there = {it.operation_id for it in book.requests}
        return len(book.entries) >= admitted and there.issuperset(requests) and is_at_rest(book)

    return _wait_for(stage, resting, within_s=within_s)


def is_at_rest(book: JournalBook) -> bool:
    """Whether nothing of the journal moves before something becomes due."""
    stages = [it.stage for it in book.entries] + [it.stage for it in book.requests]
    in_line = {it.payment_id for it in book.requests if it.stage == "queued" and not it.due_at}
    # Its payment's lane is held by what waits; a deferred one would have let it pass.
    held = {it.payment_id for it in book.entries if it.stage == "asking"}
    held |= {it.payment_id for it in book.requests if it.stage == "asking"}
    return (
        not book.unpublished and {*stages} <= {*_RESTING, "queued"} and not in_line.difference(held)
    )


def _wait_for(stage: Stage, happened: Callable[[JournalBook], bool], *, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if happened(read_journal(stage.journal_url)):
            return True
        time.sleep(0.25)
    return False


def audit(
    stage: Stage,
    *,
    published: Iterable[str],
    name: str,
    requests: Iterable[Asked] = (),
    time_lost: bool = False,
) -> Verdict:
    """Compare the books of the installation whose payment ids start with `name`.

    `published` are payment ids, `requests` the other commands. For `time_lost` see `Books`.
    """
    settings = settings_of(stage)
    topics = wiring.topics(settings)
    kinds = {it: kind for it, kind in wiring.topic_kinds(settings).items() if it in topics.events}
    everything = [*topics.events, *topics.dead_letters, *topics.commands]
    seen = list(kafka_admin.read_topics(settings.kafka_properties(), everything, follow=False))
    commands = [it for it in seen if it.topic in topics.commands]
    reader = wiring.wire_reader(settings)
    books = Books(
        ledger=_own(stage.ledger(), name),
        journal=read_journal(stage.journal_url),
        recorded=[it for it in stage.recorded_payments() if it["payment_id"].startswith(name)],
        refunds=[it for it in stage.recorded_refunds() if it["payment_id"].startswith(name)],
        events=[it for it in seen if it.topic not in topics.commands],
        published=list(published),
        requests=[*requests, *_of_our_own(commands, reader, kinds=topics.commands)],
        kinds=kinds,
        time_lost=time_lost,
    )
    return compare(books, reader)


def _of_our_own(
    commands: Iterable[Seen], reader: Reader, *, kinds: Mapping[str, str]
) -> Iterator[Asked]:
    """The commands that workers and operators published, signed: they must not get lost either."""
    for seen in commands:
        if SIGNATURE_HEADER not in seen.headers:
            continue
        kind = kinds[seen.topic]
        command = to_command(reader.read(kind, seen.value), kind=kind)
        if not isinstance(command, InitiatePayment):
            yield Asked(command.operation_id, command.payment_id, seen.topic)


def _own(ledger: list[dict[str, object]], name: str) -> list[dict[str, object]]:
    """The shop writes its name in front of each description, which a charge keeps; what refers to one is its own."""
    charges = {
        row["transId"] for row in ledger if str(row.get("description") or "").startswith(name)
    }
    return [row for row in ledger if row["transId"] in charges or row["refTransId"] in charges]
