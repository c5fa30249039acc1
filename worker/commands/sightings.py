"""A record of one of our topics as a person sees it. No token and no payload of a dead letter ever shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from avro.commands import to_command
from avro.errors import Unreadable
from avro.reader import Reader
from db_client.command_json import to_json
from db_client.repeats import ANSWERS, REPEAT_OF
from handlers.domain.card_numbers import bytes_hold_card_number, holds_card_number
from handlers.domain.errors import InvalidValueError
from worker import routes
from worker.commands.terminal import amount, clean, moment, shade
from worker.commands.timeline import asked
from worker.kafka_admin import Seen
from worker.routes import Topics

_DEAD: Final = "dlq."
# Refused because it is in another currency than its payment: its amount is in that one, which the event does not name.
_OTHER_CURRENCY: Final = "worker.other_currency"


@dataclass(frozen=True, slots=True)
class Sighting:
    """`what` is for people, `record` for scripts (JSON types and times)."""

    seen: Seen
    payment_id: str
    what: str
    record: Mapping[str, object]

    @property
    def key(self) -> str:
        """The record's key as text; on a command topic anything may stand there."""
        if bytes_hold_card_number(self.seen.key):
            return "(hidden: looks like a card number)"
        return clean(self.seen.key.decode("utf-8", "replace"))

    @property
    def repeat_of(self) -> str:
        """Where the record lay (topic id, partition, offset) whose command came again; "" for what is news."""
        return self._header(REPEAT_OF)

    @property
    def answers(self) -> list[str]:
        """The operation ids of the questions that this snapshot, which was told before, answers."""
        return [it for it in self._header(ANSWERS).split(",") if it]

    def line(self) -> str:
        """Time, topic, key, what; and why it is told again, where it was told before."""
        told = (
            f"{moment(self._at)}  {self.seen.topic:<22}  {self.key or '(no key)':<26}  {self.what}"
        )
        if self.answers:
            return f"{told}  (told again: answers {clean(', '.join(self.answers))})"
        if self.repeat_of:
            return f"{told}  (told again: its command came again, as {clean(self.repeat_of)})"
        return told

    def as_object(self) -> dict[str, object]:
        """The same for a script."""
        return {
            "at": self._at,
            "topic": self.seen.topic,
            "partition": self.seen.partition,
            "offset": self.seen.offset,
            "key": self.key,
            "event_id": self._header("ce_id"),
            "repeat_of": self.repeat_of or None,
            "answers": self.answers,
            "payment_id": self.payment_id,
            "record": self.record,
        }

    def _header(self, name: str) -> str:
        return self.seen.headers.get(name, b"").decode("utf-8", "replace")

    @property
    def _at(self) -> datetime:
        return datetime.fromtimestamp(max(self.seen.timestamp_ms, 0) / 1000, UTC)


class Sightings:
    """Reads what `worker.kafka_admin.Tail` gives. Raises Unavailable where the schema registry is needed and away."""

    def __init__(self, reader: Reader, *, names: Topics) -> None:
        self._reader = reader
        self._dead_letters = frozenset(names.dead_letters)
        self._commands = names.commands
        self._kinds = {
            names.name(topic): topic
            for topic in (routes.STATUS, routes.ORDERS, routes.NOTIFICATIONS)
        }

    def read(self, seen: Seen) -> Sighting:
        """Whatever the bytes are, there is a line for them."""
        if seen.topic in self._dead_letters:
            return _dead_letter(seen)
        try:
            if seen.topic in self._commands:
                return self._command(seen)
            kind = self._kinds[seen.topic]
            record = self._reader.read(kind, seen.value)
        except Unreadable as unreadable:
            return _strange(seen, unreadable.why)
        except InvalidValueError as invalid:
            return _strange(seen, str(invalid))
        return Sighting(seen, str(record.get("payment_id", "")), _EVENTS[kind](record), record)

    def _command(self, seen: Seen) -> Sighting:
        kind = self._commands[seen.topic]
        command = to_command(self._reader.read(kind, seen.value), kind=kind)
        if any(holds_card_number(text) for _, text in command.texts()):
            return _strange(seen, "it holds what looks like a card number, so it is not shown")
        shown = to_json(command)
        return Sighting(seen, command.payment_id, clean(asked(shown)), shown)


def _strange(seen: Seen, why: str) -> Sighting:
    key = seen.key.decode("utf-8", "replace")
    return Sighting(seen, key, clean(f"cannot be read: {why}"), {"cannot_be_read": why})


def _dead_letter(seen: Seen) -> Sighting:
    told = {
        name.removeprefix(_DEAD): value.decode("utf-8", "replace")
        for name, value in seen.headers.items()
        if name.startswith(_DEAD)
    }
    what = (
        f"{told.get('reason', '?')}: {told.get('text', '?')}"
        f" ({told.get('topic', '?')}[{told.get('partition', '?')}]@{told.get('offset', '?')},"
        f" payload {told.get('payload', '?')}) {told.get('advice', '')}"
    )
    return Sighting(seen, seen.key.decode("utf-8", "replace"), clean(what), told)


def _status(record: Mapping[str, object]) -> str:
    status = str(record["payment_status"]).lower()
    parts = [
        f"{shade(status, width=7)} {record['state']} v{record['version']}",
        amount(record["amount_minor"], record["currency"]),
    ]
    if record.get("transaction_id"):
        parts.append(f"transaction {record['transaction_id']}")
    if record.get("reason_code"):
        parts.append(f"{record['reason_code']} {record.get('reason_text') or ''}".strip())
    request = record.get("request")
    if isinstance(request, Mapping):
        parts.append(_request(request, record["currency"]))
    return "  ".join([parts[0], *(clean(part) for part in parts[1:])])


def _request(request: Mapping[str, object], currency: object) -> str:
    """The capture, void, refund or verification that the news came with."""
    status, state = str(request["request_status"]).lower(), request["state"]
    detail = f" ({state})" if state != status else ""
    text = f"{request['kind']} {request['request_id']}: {status}{detail}"
    if request.get("amount_minor"):
        is_other = request.get("reason_code") == _OTHER_CURRENCY
        text += f" {amount(request['amount_minor'], 'another currency' if is_other else currency)}"
    due = request.get("due_at")
    if isinstance(due, datetime):
        text += f", due {moment(due)}"
    if request.get("reason_code"):
        text += f", {request['reason_code']} {request.get('reason_text') or ''}".rstrip()
    return text


def _about(record: Mapping[str, object]) -> str:
    """What an event says besides of the request that caused it."""
    if not record.get("request_kind"):
        return ""
    return f"  by {record['request_kind']} {record['request_id']}"


def _order(record: Mapping[str, object]) -> str:
    money = amount(record["amount_minor"], record["currency"])
    lines = record.get("lines")
    count = len(lines) if isinstance(lines, list) else 0
    news = str(record["news"]).lower()
    return clean(
        f"{news} by payment {record['payment_id']}  {money}  {count} lines{_about(record)}"
    )


def _notification(record: Mapping[str, object]) -> str:
    money = amount(record["amount_minor"], record["currency"])
    template = str(record["template"]).lower()
    return clean(f"tell {template} of payment {record['payment_id']}  {money}{_about(record)}")


_EVENTS: Final = {
    routes.STATUS: _status,
    routes.ORDERS: _order,
    routes.NOTIFICATIONS: _notification,
}
