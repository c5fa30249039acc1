"""Builds what `dead-letters` works with out of options and settings. Nothing is decided here."""

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from db_client import history
from db_client.database import Engine
from db_client.decisions import Decision, decided
from handlers.domain.errors import InvalidValueError
from worker import wiring
from worker.commands.dead_letters_deciding import Desk, Word
from worker.commands.dead_letters_opening import Judge, Opener
from worker.commands.dead_letters_reading import Letter, Wanted, known_topics, letter_id, read
from worker.commands.exits import AnswerIsNoError
from worker.commands.operators import named, word
from worker.commands.spans import instant
from worker.config import Settings
from worker.dead_letters import Reason

_AT_ONCE: Final = 2000  # letters whose decisions are looked up together


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters as they were typed. Times: `2h`, or ISO 8601."""

    reasons: list[str] | None = None
    topics: list[str] | None = None
    since: str | None = field(default=None, kw_only=True)
    until: str | None = field(default=None, kw_only=True)
    payment: str | None = field(default=None, kw_only=True)


def wanted(settings: Settings, filters: Filters, *, ids: list[str] | None = None) -> Wanted:
    """Which letters the options mean. Raises InvalidValueError."""
    known = [it.value for it in Reason]
    for given in filters.reasons or ():
        if given not in known:
            raise InvalidValueError("--reason", f"must be one of {', '.join(known)}")
    now = datetime.now(UTC)
    return Wanted(
        ids=frozenset(letter_id(it) for it in ids or ()),
        reasons=frozenset(filters.reasons or ()),
        topics=known_topics(settings, filters.topics),
        since=instant(filters.since, now=now, option="--since"),
        until=instant(filters.until, now=now, option="--until"),
        key=None if filters.payment is None else filters.payment.encode("utf-8", "replace"),
    )


def chosen(
    settings: Settings, ids: list[str] | None, *, everything: bool, filters: Filters
) -> Wanted:
    """Ids, or --all with filters: never both, and never all by mistake. Raises InvalidValueError."""
    if bool(ids) == everything:
        raise InvalidValueError(
            "ID", "give either ids, or --all (with --reason, --topic, --since, --until to choose)"
        )
    if ids and any((filters.reasons, filters.topics, filters.since, filters.until)):
        raise InvalidValueError("ID", "stands alone: filters go with --all")
    return wanted(settings, filters, ids=ids)


def latest(
    settings: Settings, engine: Engine, *, wanted: Wanted, undecided: bool, most: int
) -> tuple[int, list[tuple[Letter, Decision | None]]]:
    """How many fit, and the latest `most` of them with their decisions, the latest first."""
    count = 0
    best: list[tuple[Letter, Decision | None]] = []
    for some in _with_decisions(settings, engine, wanted=wanted):
        fitting = [it for it in some if not (undecided and it[1])]
        count += len(fitting)
        best = heapq.nlargest(most, best + fitting, key=lambda it: (it[0].at, it[0].letter_id))
    return count, best


def _with_decisions(
    settings: Settings, engine: Engine, *, wanted: Wanted
) -> Iterator[list[tuple[Letter, Decision | None]]]:
    letters = read(settings, wanted)
    while some := list(islice(letters, _AT_ONCE)):
        known = decided(engine, (it.letter_id for it in some))
        yield [(it, known.get(it.letter_id)) for it in some]


def opener(settings: Settings) -> Opener:
    """Opens letters with the journal's keys. Raises InvalidValueError."""
    names = wiring.topics(settings)
    return Opener(wiring.sealer(settings), wiring.wire_reader(settings), names.commands)


def judge(settings: Settings, *, anyway: bool) -> Judge:
    """Judges replays by the settings of this installation. Raises InvalidValueError."""
    return Judge(
        wiring.signing_key(settings),
        tokens_asked=bool(settings.askers_audience),
        anyway=anyway,
        max_command_age_s=settings.max_command_age_s,
    )


@contextmanager
def journal(settings: Settings) -> Iterator[Engine]:
    """The journal, where decisions are kept. Raises Unavailable, AnswerIsNoError where it was never migrated."""
    try:
        with history.journal(
            settings.journal_url.get_secret_value(), role="dead-letters"
        ) as engine:
            yield engine
    except history.NotMigratedError as empty:
        raise AnswerIsNoError(str(empty)) from None


@contextmanager
def desk(settings: Settings, *, by: str | None, why: str) -> Iterator[Desk]:
    """Where `by` decides, with `why`. Raises InvalidValueError for names and reasons that cannot be kept."""
    spoken = Word(named(by), word("--why", why))
    with journal(settings) as engine:
        yield Desk(settings, engine, spoken)
