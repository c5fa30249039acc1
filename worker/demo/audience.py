"""The demo's consumer: follows events and dead letters as any other service would, with `read_committed`.

A thread of its own. It never sees the worker's inside, only its topics; what it saw is read by the view.
"""

import textwrap
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from avro import catalog
from avro.reader import Reader
from handlers.domain.errors import Unavailable
from worker import wiring
from worker.config import Settings
from worker.demo import beats, story
from worker.demo.story import Cue, Story
from worker.kafka_admin import Seen, Tail

_RECENT: Final = 5
_REPEATED: Final = ("repeated", "again")  # the beat that is no state
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
        self.states: dict[str, str] = {}  # of payments and requests, by their ids
        self.recent: deque[str] = deque(maxlen=_RECENT)
        self.letters: Counter[str] = Counter()
        self.repeats = 0
        self.beats: set[tuple[str, str]] = set()  # part, state
        self.failure = ""

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        self._thread.join(timeout=10)

    def heard(self, cue: Cue) -> bool:
        """Whether it was told to stand so, now or before."""
        return (self._story.part_of(cue.subject), cue.state) in self.beats or (
            self.states.get(cue.subject) == cue.state
        )

    def told(self, *parts: str) -> bool:
        """Whether anything was told about the payments with these parts in the story."""
        return all(self._story.parts[part] in self.states for part in parts)

    def complete(self) -> bool:
        """Whether everything that the story needs was seen."""
        needed = {*beats.BEATS, _REPEATED}
        return needed <= self.beats and self.letters.total() >= story.LETTERS

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
            self._letter(seen.topic, seen.headers)
            return
        record: Mapping[str, Any] = self._reader.read(kind, seen.value)
        payment_id = record["payment_id"]
        if "repeat_of" in seen.headers:
            self._repeat(payment_id, seen.headers["ce_id"])
            return
        if "answers" in seen.headers:
            self._answered(seen.headers["answers"].decode(), record)
            return
        self._event_ids.setdefault(payment_id, set()).add(seen.headers["ce_id"])
        self.recent.append(_line(kind, record))
        if kind == catalog.PAYMENT_STATUS:
            self._stands(payment_id, record["state"], record=record)
            request = record["request"]
            if request is not None:
                self._stands(request["request_id"], request["state"], record=record)

    def _answered(self, operation_ids: str, record: Mapping[str, Any]) -> None:
        """A snapshot that was told before is the answer to these questions."""
        for name in operation_ids.split(","):
            self._stands(name.partition(":")[2], "processed", record=record)

    def _stands(self, subject: str, state: str, *, record: Mapping[str, Any]) -> None:
        """A payment or request stands so; a beat where that is news and has a part in the story."""
        is_news = self.states.get(subject) != state
        self.states[subject] = state
        beat = self._story.part_of(subject), state
        if is_news and beat in beats.BEATS and beat not in self.beats:
            request = record["request"] or record
            due = request.get("due_at")
            self._tell(
                beat,
                beats.BEATS[beat].format(
                    id=record["payment_id"],
                    why=_short(request["reason_text"] or ""),
                    due=f"{due:%H:%M:%S}" if due else "",
                ),
            )

    def _letter(self, topic: str, headers: Mapping[str, bytes]) -> None:
        reason, text = headers["dlq.reason"].decode(), headers.get("dlq.text", b"").decode()
        self.letters[reason] += 1
        self.recent.append(f"{topic}  {reason}")
        self._beat(beats.LETTER.format(reason=reason, text=_short(text)))

    def _repeat(self, payment_id: str, event_id: bytes) -> None:
        self.repeats += 1
        if event_id in self._event_ids.get(payment_id, set()):
            self._tell(_REPEATED, beats.REPEATED.format(id=payment_id))

    def _tell(self, beat: tuple[str, str], text: str) -> None:
        self.beats.add(beat)
        self._beat(text)


def _short(text: str) -> str:
    return textwrap.shorten(text, _TEXT, placeholder=" …")


def _line(kind: str, record: Mapping[str, Any]) -> str:
    match kind:
        case catalog.PAYMENT_STATUS:
            request = record["request"]
            about = f", {request['kind']} {request['request_status']}" if request else ""
            what = f"{record['payment_status']} ({record['state']}{about})"
        case catalog.ORDER_EVENTS:
            what = record["news"]
        case _:
            what = record["template"]
    return f"{kind:<20} {record['payment_id']}  {what}"
