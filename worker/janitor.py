"""The janitor of a live session: wakes what is due, finds what was forgotten, takes dead sessions over.

The order of a take-over is the point: end the dead session's row (which waits for its last commit), fence its producer,
read its watermark, and only then move its rows and operations, in one db_txn. Any live session may do it; where two
try, one wins and the other finds nothing left.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from db_client.group_commit import GroupCommit
from db_client.moves import DeadLetter, GoOn, Mirror, Orphaned, Rehome, Rehomed
from db_client.reading import Orphan, Reader
from db_client.takeovers import Sessions
from handlers.domain.errors import SessionOver, Unavailable
from handlers.domain.recovery import Stage
from worker.crew import Crew
from worker.dead_letters import Reason
from worker.telemetry import Metrics, log

_SWEEP_S: Final = 15.0
_BACKLOG_S: Final = 5.0
_PROOF_S: Final = 2.0
_TOPICS_S: Final = 10.0
_REST_S: Final = 1.0
_WAITING: Final = (Stage.QUEUED, Stage.ASKING)  # what is deferred goes on by itself


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often the janitor looks: for due work, and for dead sessions."""

    tick_s: float
    dead_s: float


class Janitor:
    """One asyncio task of the session. `fence` fences a dead session and returns its watermark in Kafka."""

    def __init__(
        self,
        *,
        reader: Reader,
        sessions: Sessions,
        commits: GroupCommit,
        crew: Crew,
        fence: Callable[[str], int | None],
        stale_topic: Callable[[], str],
        letter: Callable[[Orphan], DeadLetter],
        deadline_s: float,
        rounds: Rounds,
        metrics: Metrics,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._reader = reader
        self._sessions = sessions
        self._commits = commits
        self._crew = crew
        self._fence = fence
        self._stale_topic = stale_topic
        self._letter = letter
        self._deadline_s = deadline_s
        self._rounds = rounds
        self._metrics = metrics
        self._loop = loop
        self._poked = asyncio.Event()
        self.kafka_answers = True  # the last time that it was asked
        self.beat = time.monotonic()

    async def run(self) -> None:
        """Go the rounds until cancelled. Raises SessionOver."""
        topics = asyncio.create_task(self._watch_topics(), name="topics")
        try:
            await self._go_rounds(topics)
        finally:
            topics.cancel()

    async def _go_rounds(self, topics: "asyncio.Task[None]") -> None:
        sweep = dead = backlog = proof = 0.0
        while True:
            if topics.done():
                topics.result()
            self.beat, now = time.monotonic(), self._loop.time()
            try:
                self._crew.pump()
                await self._go_on()
                await self._wake()
                if now >= proof:
                    proof = now + _PROOF_S
                    await self._prove()
                if now >= dead:
                    dead = now + self._rounds.dead_s
                    await self._take_over()
                if now >= sweep:
                    sweep = now + _SWEEP_S
                    await self._sweep()
                    await self._let_orphans_go()
                if now >= backlog:
                    backlog = now + _BACKLOG_S
                    await self._measure()
            except Unavailable as unavailable:
                log.warning("the janitor waits", why=str(unavailable))
                await asyncio.sleep(_REST_S)
            await self._rest()

    def poke(self) -> None:
        """Something is due just now: look at once. From any thread."""
        self._loop.call_soon_threadsafe(self._poked.set)

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._poked.wait(), self._rounds.tick_s)
        self._poked.clear()

    async def _go_on(self) -> None:
        """What was deferred until now stands in line again; so does what was forgotten there."""
        if await asyncio.to_thread(self._reader.must_go_on):
            await self._commits.write(GoOn())

    async def _let_orphans_go(self) -> None:
        """Requests whose payment did not come in time leave as dead letters."""
        for orphan in await asyncio.to_thread(self._reader.orphans):
            letter = self._letter(orphan)
            if await self._commits.write(Orphaned(orphan.operation_id, letter)):
                self._metrics.dead_letters.labels(Reason.PAYMENT_UNKNOWN).inc()
                log.warning(
                    "dead letter",
                    reason=Reason.PAYMENT_UNKNOWN.value,
                    operation_id=orphan.operation_id,
                )

    async def _prove(self) -> None:
        """An empty commit: an idle session, too, must notice that the journal was put back in time.

        Else what the journal forgot would stay forgotten until the next command: nobody reads the topic again.
        """
        await self._commits.write(Mirror(0))

    async def _insist_on_topics(self) -> None:
        """A topic that was deleted and made anew starts at other offsets: what we remember of the old one is wrong."""
        try:
            stale = await asyncio.to_thread(self._stale_topic)
        except Unavailable as unavailable:
            self.kafka_answers = False
            log.warning("Kafka does not answer", why=str(unavailable))
            return
        self.kafka_answers = True
        if stale:
            raise SessionOver(f"the topic {stale} was made anew")

    async def _watch_topics(self) -> None:
        """Beside the rounds: a broker that is silent must not hold up what needs none."""
        while True:
            await self._insist_on_topics()
            await asyncio.sleep(_TOPICS_S)

    async def _wake(self) -> None:
        room = self._crew.places()
        if room > 0:
            held = self._crew.occupied()
            due = await asyncio.to_thread(self._reader.due, most=room, held=held)
            await self._start(due)

    async def _sweep(self) -> None:
        """What this session owns, without a due time and not in memory, was forgotten on the way: a crashed lane."""
        held = self._crew.occupied()
        most = self._crew.places()
        await self._start(await asyncio.to_thread(self._reader.undated, most=most, held=held))

    async def _start(self, ids: list[str]) -> None:
        reserved = self._crew.reserve(ids)
        if not reserved:
            return
        try:
            loaded = await asyncio.to_thread(self._reader.whole, reserved)
        except Exception:
            self._crew.release(reserved)
            raise
        # What does not open is set aside, so that it is reported once and disturbs nobody until the key is back.
        started = {it.operation_id for it in loaded.operations}
        self._crew.set_aside(loaded.unopenable)
        self._crew.release(set(reserved) - started)
        self._crew.start_reserved(loaded.operations)
        for name in loaded.unopenable:
            log.error(
                "sealed means do not open: put the old key behind the first in WORKER_JOURNAL_KEYS and restart",
                operation_id=name,
            )

    async def _take_over(self) -> None:
        for dead in await asyncio.to_thread(self._sessions.dead):
            if not await asyncio.to_thread(self._sessions.end_if_expired, dead):
                continue
            try:
                watermark = await asyncio.to_thread(self._fence, dead)
            except Unavailable as unavailable:  # the others are not to wait for this one
                log.warning("a dead session cannot be fenced yet", dead=dead, why=str(unavailable))
                continue
            move = Rehome(dead, watermark or 0, self._deadline_s)
            rehomed: Rehomed | None = await self._commits.write(move)
            if rehomed is None:
                continue
            self._metrics.takeovers.inc()
            left_something = rehomed.operations or rehomed.messages
            say = log.warning if left_something else log.info
            say(
                "took over what an ended session left",  # it died, or stopped as it should
                dead=dead,
                count=rehomed.operations,
                number=rehomed.messages,
            )

    async def _measure(self) -> None:
        backlog = await asyncio.to_thread(self._reader.backlog)
        for stage in Stage:
            if stage is not Stage.CONCLUDED:
                self._metrics.backlog.labels(stage.value).set(backlog.by_stage.get(stage.value, 0))
        self._crew.waiting = sum(backlog.by_stage.get(it.value, 0) for it in _WAITING)
        self._metrics.oldest_s.set(backlog.oldest_age_s)
