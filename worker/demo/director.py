"""Performs the story on a running stage: an independent producer at a visible pace, and what happens at the servers.

The producer has a thread of its own; everything else is one loop that looks, acts and shows.
"""

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from db_client.audit import JournalBook, read_journal
from handlers.domain.errors import WorkerError
from handlers.domain.money import Money
from worker import kafka_admin
from worker.config import Settings
from worker.demo import beats, story
from worker.demo.audience import Audience
from worker.demo.audit import is_at_rest, settings_of
from worker.demo.kept_process import KeptProcess
from worker.demo.shop import Record
from worker.demo.stage import Stage
from worker.demo.stage_error import StageError
from worker.demo.story import Cue, Publication, Story
from worker.demo.view import Scene, Screen

_TICK_S: Final = 0.1
_LOOK_S: Final = 0.5
_KILL_AFTER_S, _KILL_BY_S = story.RUSH_AT_S + 0.6, story.RUSH_AT_S + 3.0
_CALLS_IN_FLIGHT: Final = 3
_IN_FLIGHT_SHARE, _IN_FLIGHT_LEAST = 0.03, 3  # of the payments, in the worker that is killed
# What must have been told as pending by then: a charge that dies with its worker is another story.
_BEFORE_KILL: Final = ("lost", "absent", "held", "released")
# What must stand so before the batch settles: each of these is another story afterwards.
_BEFORE_SETTLEMENT: Final = {
    "undone": "refunded",
    "let_go": "voided",
    "partly": "captured",
    "settled": "captured",
    "refund_later": "deferred",
}
_REST_WITHIN_S: Final = 45.0
_PATIENCE_S: Final = 20.0  # how long the story waits on a slow machine
# How a worker ends that somebody has ended by hand; by itself it ends with none of these.
_FROM_OUTSIDE: Final[Mapping[int | None, str]] = {
    -signal.SIGKILL: "killed from outside (SIGKILL)",
    0: "stopped from outside (SIGTERM)",
    130: "stopped from outside (SIGINT)",
}
_TAKEN_OVER: Final = "took over what an ended session left"


class Producer:
    """Publishes the story's records on time, on a thread of its own, as another service would."""

    def __init__(self, settings: Settings, told: Story, *, heard: Callable[[Cue], bool]) -> None:
        self._properties = settings.kafka_properties()
        self._publications = told.publications
        self._heard = heard
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish, name="producer", daemon=True)
        self.failure = ""
        self.done = False

    def start(self) -> None:
        """Open the shop."""
        self._thread.start()

    def close(self) -> None:
        """Close it, at once."""
        self._stop.set()
        self._thread.join(timeout=10)

    def _publish(self) -> None:
        try:
            kafka_admin.send(self._properties, self._paced())
            self.done = True
        except WorkerError as error:
            self.failure = str(error)

    def _paced(self) -> Iterator[Record]:
        opened = time.monotonic()
        waiting = list(self._publications)
        while waiting and not self._stop.wait(0.02):
            now_s = time.monotonic() - opened
            due = [it for it in waiting if it.at_s <= now_s and self._may_go(it, now_s)]
            waiting = [it for it in waiting if it not in due]
            yield from (it.record for it in due)

    def _may_go(self, it: Publication, now_s: float) -> bool:
        return it.after is None or self._heard(it.after) or now_s > it.at_s + _PATIENCE_S


class Director:
    """One performance. `perform` returns True where all came to rest in time."""

    def __init__(self, stage: Stage, told: Story, *, audience: Audience, screen: Screen) -> None:
        self._stage = stage
        self._story = told
        self._audience = audience
        self._screen = screen
        self._victim: KeptProcess | None = None
        self._producer = Producer(settings_of(stage), told, heard=audience.heard)
        self._opened = 0.0
        self._acts: list[Callable[[float], bool]] = [
            self._rush,
            self._kill,
            self._calm_down,
            self._take_over,
        ]
        self._scene = Scene(
            servers=_servers(stage),
            payments=told.payments,
            workers=dict.fromkeys((it.name for it in stage.workers), "alive"),
        )

    def perform(self) -> bool:
        """Play from the first order to rest. Raises StageError where a part died that was not to die."""
        self._stage.gateway("PUT", "/plan", body={"latency": story.CALM})
        self._stage.gateway("POST", "/script", body={"rules": list(self._story.rules)})
        self._screen.open(self._scene)
        count, asked = self._story.payments, len(self._story.asked)
        self._screen.say(f"the shop opens: {count} payments and {asked} requests will come")
        self._opened = time.monotonic()
        self._producer.start()
        looked = published = 0.0
        aside = [self._release, self._settle]
        while True:
            now_s = time.monotonic() - self._opened
            self._insist_alive()
            self._act(now_s)
            aside = [act for act in aside if not act(now_s)]
            if now_s >= looked + _LOOK_S:
                looked = now_s
                resting = self._look()
                if self._producer.done and not published:
                    published = now_s
                    self._screen.say("everything is published")
                if published and (
                    (resting and not aside and not self._acts) or now_s > published + _REST_WITHIN_S
                ):
                    return resting
            time.sleep(_TICK_S)

    def close(self) -> None:
        """Stop publishing."""
        self._producer.close()

    def _act(self, now_s: float) -> None:
        """The acts come one after the other; each says when it is over."""
        if self._acts and self._acts[0](now_s):
            self._acts.pop(0)

    def _rush(self, now_s: float) -> bool:
        if now_s < story.RUSH_AT_S - 0.2:
            return False
        self._stage.gateway("PUT", "/plan", body={"latency": story.SLOW})
        self._screen.say("rush hour: orders pour in, and the gateway becomes slow")
        return True

    def _kill(self, now_s: float) -> bool:
        """In the middle of the rush: the worker that says to have most in flight, once that is much."""
        calls, victim = max(
            ((_state(self._stage, it).get("in_flight", 0), it) for it in self._stage.workers),
            key=lambda pair: pair[0],
        )
        wanted = max(_IN_FLIGHT_LEAST, int(self._story.payments * _IN_FLIGHT_SHARE))
        if now_s < _KILL_AFTER_S or (calls < wanted and now_s < _KILL_BY_S):
            return False
        if not self._audience.told(*_BEFORE_KILL) and now_s < _KILL_BY_S + _PATIENCE_S:
            return False
        self._victim = victim
        victim.kill()
        self._scene.workers[victim.name] = f"killed with {_payments(calls)} in flight"
        self._screen.say(f"{victim.name} gets SIGKILL: at least {_payments(calls)} in flight")
        return True

    def _calm_down(self, now_s: float) -> bool:
        if now_s < story.RUSH_AT_S + 2.5:
            return False
        self._stage.gateway("PUT", "/plan", body={"latency": story.CALM})
        return True

    def _take_over(self, _now_s: float) -> bool:
        heir = next(it for it in self._stage.workers if it is not self._victim)
        for line in heir.log.read_text(errors="replace").splitlines():
            if _TAKEN_OVER not in line:
                continue
            told = json.loads(line)
            self._scene.workers[heir.name] = f"alive, took {_payments(told['count'])} over"
            self._screen.say(
                f"{heir.name} takes over: {_payments(told['count'])},"
                f" {told['number']} messages; asks, sends none again"
            )
            return True
        return False

    def _release(self, now_s: float) -> bool:
        """A person at the gateway approves the first of the two held payments, once it was told as held."""
        payment_id = self._story.parts["released"]
        if now_s < story.RELEASE_AT_S or self._audience.states.get(payment_id) != "held":
            return False
        number = int(payment_id.rpartition("-")[2])
        for row in self._stage.ledger():
            if row["description"].endswith(f" {number}") and row["status"].startswith("FDS"):
                self._stage.gateway("POST", f"/held/{row['transId']}", body={"action": "approve"})
                return True
        return False

    def _settle(self, _now_s: float) -> bool:
        """The batch that the gateway settles each night, as soon as the story has no use for the evening any more."""
        states, parts = self._audience.states, self._story.parts
        if any(states.get(parts[part]) != state for part, state in _BEFORE_SETTLEMENT.items()):
            return False
        self._stage.gateway("POST", "/settle", body={})
        self._screen.say(beats.SETTLED)
        return True

    def _look(self) -> bool:
        """Renew the scene; True where nothing moves any more but the payment that stays held."""
        book = read_journal(self._stage.journal_url)
        summary = self._stage.gateway("GET", "/ledger/summary")
        scene = self._scene
        scene.states = Counter(entry.state for entry in book.entries)
        scene.charges = summary["approved"]
        scene.charged = " + ".join(
            f"{Money(minor, code).decimal_text()} {code}"
            for code, minor in summary["approved_minor"].items()
        )
        scene.letters, scene.repeats = self._audience.letters.total(), self._audience.repeats
        scene.recent = tuple(self._audience.recent)
        for kept in self._stage.workers:
            if kept.alive:
                calls = _state(self._stage, kept).get("in_flight", 0)
                grown = scene.workers[kept.name].partition(" · ")[0]
                scene.workers[kept.name] = f"{grown} · {calls} in flight"
        self._screen.show(scene)
        return self._resting(book) and self._audience.complete()

    def _resting(self, book: JournalBook) -> bool:
        stays = self._story.parts["held"]
        return (
            len(book.entries) >= self._story.payments
            and is_at_rest(book)
            and all(it.stage == "concluded" for it in book.requests)
            and all(it.stage == "concluded" or it.payment_id == stays for it in book.entries)
        )

    def _insist_alive(self) -> None:
        stage = self._stage
        workers = [it for it in stage.workers if it is not self._victim]
        for server in (stage.broker, stage.postgres, stage.db_service, stage.simulator):
            if server is not None:
                server.insist_alive()
        for worker in workers:
            insist_untouched(worker)
            worker.insist_alive()
        for failure in (self._producer.failure, self._audience.failure):
            if failure:
                raise StageError(
                    f"{failure}\nNext: start the demo again, with --keep for the logs."
                )


def insist_untouched(worker: KeptProcess) -> None:
    """Raise StageError where somebody ended a worker by hand: nothing is wrong with it, and its log says nothing."""
    ending = _FROM_OUTSIDE.get(worker.returncode)
    if ending is not None:
        raise StageError(
            f"{worker.name} was {ending}: the story kills a worker itself."
            " To try more by hand: make demo ARGS=--keep"
        )


def _state(stage: Stage, kept: KeptProcess) -> dict[str, Any]:
    """What the worker last wrote about itself; it does so each second."""
    try:
        found: dict[str, Any] = json.loads(stage.state_file(kept.name).read_text())
    except (OSError, ValueError):
        return {}
    return found


def _payments(count: int) -> str:
    return "1 payment" if count == 1 else f"{count} payments"


def _servers(stage: Stage) -> str:
    database = stage.journal_url.rpartition("@")[2].partition("/")[0]
    parts = {
        "Kafka": stage.bootstrap,
        "PostgreSQL": database,
        "db-service": stage.db_service_url,
        "gateway": stage.environment["WORKER_GATEWAY_URL"],
    }
    ports = {
        name: place.partition("://")[2].partition("/")[0].rpartition(":")[2]
        if "://" in place
        else place.rpartition(":")[2]
        for name, place in parts.items()
    }
    return " · ".join(f"{name} :{port}" for name, port in ports.items())
