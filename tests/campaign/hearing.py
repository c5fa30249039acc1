"""What another service hears in a campaign: events and dead letters, decoded; how long unknowns stayed unknown."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from avro import catalog
from tests.campaign.chronicle import Interval
from worker import kafka_admin, wiring
from worker.demo.audit import settings_of
from worker.demo.stage import Stage
from worker.kafka_admin import Seen

_UNKNOWN: Final = "unknown"
_RULED: Final = "worker.ruled"


@dataclass(frozen=True, slots=True)
class Heard:
    """One record, in the order of its partition; `at` is when it was told, in seconds since 1970.

    `kind` is empty for a dead letter, and so is `record`. `is_repeat`: it answers again with what had been told.
    """

    kind: str
    seen: Seen
    record: dict[str, Any]

    @property
    def payment_id(self) -> str:
        """Whom it is about."""
        return self.seen.key.decode() if not self.kind else str(self.record["payment_id"])

    @property
    def event_id(self) -> str:
        """Its stable id."""
        return self.seen.headers["ce_id"].decode()

    @property
    def at(self) -> float:
        """When it was told."""
        return self.seen.timestamp_ms / 1000

    @property
    def is_repeat(self) -> bool:
        """Whether it tells again what was told."""
        return "repeat_of" in self.seen.headers or "answers" in self.seen.headers

    @property
    def answers(self) -> list[str]:
        """The operations that it answers beside what it says."""
        return [it for it in self.seen.headers.get("answers", b"").decode().split(",") if it]


@dataclass(frozen=True, slots=True)
class Decision:
    """Something that was told as unknown: of whom, when, and how long it took. Outages of the gateway do not count.

    `took_s` is None where it is unknown to this day. `ruled`: a person decided it.
    """

    payment_id: str
    what: str
    told_at: float
    took_s: float | None
    ruled: bool = False


def hear(stage: Stage) -> list[Heard]:
    """Everything that was told until now. Raises Unavailable."""
    settings = settings_of(stage)
    topics = wiring.topics(settings)
    reader = wiring.wire_reader(settings)
    kinds = wiring.topic_kinds(settings)
    names = [*topics.events, *topics.dead_letters]
    told = kafka_admin.read_topics(settings.kafka_properties(), names, follow=False)
    return [
        Heard(kinds[it.topic], it, reader.read(kinds[it.topic], it.value))
        if it.topic in kinds
        else Heard("", it, {})
        for it in told
    ]


def statuses(heard: Iterable[Heard]) -> dict[str, list[Heard]]:
    """Payment id → its snapshots, each once, by version."""
    found: dict[str, list[Heard]] = defaultdict(list)
    for it in heard:
        if it.kind == catalog.PAYMENT_STATUS and not it.is_repeat:
            found[it.payment_id].append(it)
    return {name: sorted(rows, key=lambda it: it.record["version"]) for name, rows in found.items()}


def decisions(heard: Iterable[Heard], outages: Sequence[Interval]) -> list[Decision]:
    """Every unknown that was told, of payments and of requests."""
    return [
        it for name, rows in statuses(heard).items() for it in _decided(name, rows, outages=outages)
    ]


def _decided(
    name: str, rows: Sequence[Heard], *, outages: Sequence[Interval]
) -> Iterator[Decision]:
    waiting: dict[str, float] = {}
    for it in rows:
        for what, state in _states(it):
            if state == _UNKNOWN:
                waiting.setdefault(what, it.at)
            elif what in waiting:
                told_at = waiting.pop(what)
                took_s = answered_s(told_at, it.at, outages=outages)
                yield Decision(name, what, told_at, took_s, ruled=_is_ruled(it))
    for what, told_at in waiting.items():
        yield Decision(name, what, told_at, None)


def _states(it: Heard) -> Iterator[tuple[str, str]]:
    yield "payment", it.record["state"]
    request = it.record["request"]
    if request is not None:
        yield f"{request['kind']} {request['request_id']}", request["state"]


def _is_ruled(it: Heard) -> bool:
    request = it.record["request"] or {}
    return _RULED in {it.record.get("reason_code"), request.get("reason_code")}


def answered_s(first: float, last: float, *, outages: Iterable[Interval]) -> float:
    """How long the gateway answered between two moments, seconds."""
    away_s = sum(max(0.0, min(last, ended) - max(first, began)) for began, ended in outages)
    return max(0.0, last - first - away_s)
