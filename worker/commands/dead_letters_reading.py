"""Reads the dead-letter topics and finds the letters that are wanted. No payload is opened here, nothing is written."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from handlers.domain.errors import InvalidValueError
from worker import wiring
from worker.commands.exits import AnswerIsNoError
from worker.config import Settings
from worker.dead_letters import Reason
from worker.kafka_admin import Seen, open_admin, read_topics
from worker.routes import dead_letter_topic

ID_PREFIX: Final = "dlq:"
_MOST_DIGITS: Final = 18
# The end is wanted as it is now: a broker that waits for more to come would cost a second.
_NO_WAIT: Final = {"fetch.wait.max.ms": "20"}


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter. `at`: when it became one; `asked_at`: when its record was published.

    `topic`, `topic_id`, `partition` and `offset` say where the record lay; `sealed` is empty where its payload was not
    kept. `reason` is a text: a later version may know reasons that this one does not. `suspect_since`: as the header
    says it; "" where the journal has surely not forgotten what became of the record.
    """

    letter_id: str
    reason: str
    text: str
    flawed: str
    advice: str
    topic: str
    topic_id: str
    partition: int
    offset: int
    at: datetime
    asked_at: datetime
    key: bytes = field(repr=False)
    sealed: bytes = field(repr=False)
    suspect_since: str = ""

    @property
    def source_key(self) -> str:
        """What the payload is sealed to."""
        return f"{self.topic_id}:{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters: all that fit. What is empty or None fits everything. Times are of the letter, not its record.

    `key`: the record's, which is the payment's id.
    """

    ids: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    key: bytes | None = None

    def fits(self, letter: Letter) -> bool:
        """Whether `letter` is one of these."""
        return (
            (not self.ids or letter.letter_id in self.ids)
            and (not self.reasons or letter.reason in self.reasons)
            and (not self.topics or letter.topic in self.topics)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
            and (self.key is None or letter.key == self.key)
        )


def letter_id(text: str) -> str:
    """A letter's id, given with or without its prefix. Raises InvalidValueError."""
    whole = text if text.startswith(ID_PREFIX) else f"{ID_PREFIX}{text}"
    if whole.count(":") != ID_PREFIX.count(":") + 2:
        raise InvalidValueError(
            "ID", "must be a dead letter's id, as `dead-letters list` shows it: dlq:TOPIC_ID:0:17"
        )
    return whole


def known_topics(settings: Settings, wanted: list[str] | None) -> frozenset[str]:
    """Names of command topics, given with or without the prefix or `.dlq`. Raises InvalidValueError."""
    names = wiring.topics(settings)
    chosen = set()
    for text in wanted or ():
        plain = text.removesuffix(dead_letter_topic(""))
        name = plain if plain in names.commands else names.name(plain)
        if name not in names.commands:
            raise InvalidValueError("--topic", f"must be one of {', '.join(names.commands)}")
        chosen.add(name)
    return frozenset(chosen)


def read(settings: Settings, wanted: Wanted) -> Iterator[Letter]:
    """The letters that fit, partition by partition, up to where the topics end now; each once.

    Raises Unavailable, or AnswerIsNoError where a topic is missing.
    """
    names = wiring.topics(settings)
    topics = [dead_letter_topic(it) for it in wanted.topics] or list(names.dead_letters)
    missing = sorted(set(topics) - open_admin(settings.kafka_properties()).names())
    if missing:
        raise AnswerIsNoError(
            f"topics are missing: {', '.join(missing)}. Create them with `run_worker.py topics --create`."
        )
    seen_ids: set[str] = set()
    for seen in read_topics({**settings.kafka_properties(), **_NO_WAIT}, topics, follow=False):
        found = letter_of(seen)
        if found is None or not wanted.fits(found) or found.letter_id in seen_ids:
            continue
        seen_ids.add(found.letter_id)
        yield found
        if wanted.ids and len(seen_ids) == len(wanted.ids):
            return


def letter_of(seen: Seen) -> Letter | None:
    """The letter in a record of a dead-letter topic; None for what no worker of ours wrote there."""

    def said(name: str) -> str:
        return seen.headers.get(name, b"").decode("utf-8", "replace")

    numbers = [said(f"dlq.{name}") for name in ("partition", "offset", "timestamp_ms")]
    if not all(it.isascii() and it.isdigit() and len(it) <= _MOST_DIGITS for it in numbers):
        return None
    partition, offset, asked_ms = (int(it) for it in numbers)
    topic, topic_id = said("dlq.topic"), said("dlq.topic_id")
    name = f"{ID_PREFIX}{topic_id}:{partition}:{offset}"
    if said("ce_id") != name or dead_letter_topic(topic) != seen.topic:
        return None
    return Letter(
        letter_id=name,
        reason=said("dlq.reason"),
        text=said("dlq.text"),
        flawed=said("dlq.field"),
        advice=said("dlq.advice"),
        topic=topic,
        topic_id=topic_id,
        partition=partition,
        offset=offset,
        at=_moment(seen.timestamp_ms),
        asked_at=_moment(asked_ms),
        key=seen.key,
        sealed=seen.value if said("dlq.payload") == "sealed" else b"",
        suspect_since=said("dlq.suspect_since"),
    )


def _moment(ms: int) -> datetime:
    try:
        return datetime.fromtimestamp(max(ms, 0) / 1000, UTC)
    except (OverflowError, ValueError, OSError):  # a producer may write any number
        return datetime.fromtimestamp(0, UTC)


def known_reason(letter: Letter) -> Reason | None:
    """Its reason of the closed list; None for one of a later version."""
    try:
        return Reason(letter.reason)
    except ValueError:
        return None
