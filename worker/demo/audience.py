"""The demo's consumer: follows events and dead letters as any other service would, with `read_committed`.

A thread of its own. It never sees the worker's inside, only its topics; what it saw is read by the view.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from avro import catalog
from avro.reader import Reader
from handlers.domain.errors import Unavailable
from worker import wiring
from worker.config import Settings
from worker.demo import story
from worker.demo.story import Story
from worker.kafka_admin import Seen, Tail

_RECENT: Final = 5
_UNDECIDED: Final = frozenset({"held", "unknown"})
_TEXT: Final = 100


class Audience:
    """What was seen so far. `beat` is told what matters to the story, from the audience's thread."""

    def __init__(self, settings: Settings, told: Story, *, beat: Callable[[str], None]) -> None:
        topics = wiring.topics(settings)
        self._kinds = wiring.topic_kinds(settings)
        self._tail = Tail(
            settings.kafka_properties(),
            [*topics.events, *topics.dead_letters],
            from_beginning=True,
        )
        self._reader: Reader = wiring.wire_reader(settings)
        self._story = told
        self._beat = beat
        self._stop = threading.Event()
        self._event_ids: dict[str, set[bytes]] = {}
        self._thread = threading.Thread(target=self._follow, name="audience", daemon=True)
        self.states: dict[str, str] = {}
        self.recent: deque[str] = deque(maxlen=_RECENT)
        self.letters: Counter[str] = Counter()
        self.repeats = 0
        self.beats: set[str] = set()
        self.failure = ""

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        self._thread.join(timeout=10)

    def told_as_final(self, payment_id: str) -> bool:
        """Whether a final state of this payment was seen."""
        return self.states.get(payment_id, "held") not in _UNDECIDED

    def told(self, *parts: str) -> bool:
        """Whether anything was told about the payments with these parts in the story."""
        return all(self._story.parts[part] in self.states for part in parts)

    def complete(self) -> bool:
        """Whether everything that the story needs was seen."""
        return self._story.beats() <= self.beats and self.letters.total() >= story.LETTERS

    def _follow(self) -> None:
        try:
            while not self._stop.is_set():
                for seen in self._tail.take(timeout_s=0.2):
                    self._see(seen)
        except Unavailable as unavailable:
            self.failure = str(unavailable)
        finally:
            self._tail.close()

    def _see(self, seen: Seen) -> None:
        kind = self._kinds.get(seen.topic)
        if kind is None:
            self._letter(seen.headers)
            return
        record: Mapping[str, Any] = self._reader.read(kind, seen.value)
        payment_id = record["payment_id"]
        if "repeat_of" in seen.headers:
            self._repeat(payment_id, seen.headers["ce_id"])
            return
        self._event_ids.setdefault(payment_id, set()).add(seen.headers["ce_id"])
        self.recent.append(_line(kind, record))
        if kind == catalog.PAYMENT_STATUS:
            self.states[payment_id] = record["state"]
            self._tell(self._story.beat(payment_id, record["state"]))

    def _letter(self, headers: Mapping[str, bytes]) -> None:
        reason, text = headers["dlq.reason"].decode(), headers.get("dlq.text", b"").decode()
        self.letters[reason] += 1
        self.recent.append(f"payment_initiation.dlq  {reason}")
        self._tell(story.LETTER.format(reason=reason, text=text[:_TEXT]))

    def _repeat(self, payment_id: str, event_id: bytes) -> None:
        self.repeats += 1
        if event_id in self._event_ids.get(payment_id, set()):
            self._tell(story.REPEATED.format(id=payment_id))

    def _tell(self, text: str) -> None:
        if text:
            self.beats.add(text)
            self._beat(text)


def _line(kind: str, record: Mapping[str, Any]) -> str:
    match kind:
        case catalog.PAYMENT_STATUS:
            what = f"{record['payment_status']} ({record['state']})"
        case catalog.ORDER_EVENTS:
            what = record["news"]
        case _:
            what = record["template"]
    return f"{kind:<20} {record['payment_id']}  {what}"
