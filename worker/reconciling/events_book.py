"""The events' book: the last `payment_status` of each of the journal's payments, as a consumer reads them.

The topic is read from its beginning, for an event of today may be about a payment of last month.
"""

from typing import Any

from avro.catalog import PAYMENT_STATUS
from avro.errors import Unreadable
from handlers.domain.errors import Unavailable
from worker import wiring
from worker.config import Settings
from worker.kafka_admin import read_topics
from worker.reconciling.books import EventsBook, JournalBook, Told

_REPEATS = ("repeat_of", "answers")


def read(settings: Settings, journal: JournalBook) -> EventsBook:
    """What was told last. A book that could not be read to its end says why."""
    book = EventsBook()
    topic = wiring.topics(settings).name(PAYMENT_STATUS)
    try:
        reader = wiring.wire_reader(settings)
        for seen in read_topics(settings.kafka_properties(), [topic], follow=False):
            name = seen.key.decode(errors="replace")
            if name not in journal.payments or any(it in seen.headers for it in _REPEATS):
                continue
            told: dict[str, Any] = reader.read(PAYMENT_STATUS, seen.value)
            before = book.last.get(name)
            if before is None or before.version < told["version"]:
                book.last[name] = Told(told["version"], told["state"], told["occurred_at"])
    except Unavailable as unavailable:
        book.gap = unavailable.why
    except Unreadable as unreadable:
        book.gap = f"an event could not be read: {unreadable.why}"
    return book
