"""One session from start to end, and the next one when it is over.

A session that expired, was fenced, or whose journal lost time never revives: everything it held goes with it, and a new
one begins under a new name. What it left is taken over, by its successor or by any other live session. A stop asked for
by the operator drains instead: no new work, what is in flight finishes within the grace, the rest stays in the journal.
"""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from db_client import schema
from db_client.database import Engine, engine
from db_client.installation import strangeness
from db_client.sessions import LeaseKeeper, boottime, end_session, start_session
from handlers.domain.errors import SessionOver, Unavailable, WorkerError
from worker import parts, run_state, wiring
from worker.config import Settings
from worker.kafka_admin import Admin
from worker.parts import Ground, Parts
from worker.run_state import RunState
from worker.telemetry import Metrics, log, where

_STATE_S: Final = 1.0
_KAFKA_THREADS: Final = ("publisher", "intake")
_RESTARTS_S: Final = (0.2, 1.0, 3.0, 5.0)
_SETTING: Final = {
    "journal": "WORKER_JOURNAL_URL",
    "Kafka": "WORKER_KAFKA_BOOTSTRAP_SERVERS",
    "schema registry": "WORKER_SCHEMA_REGISTRY_URL",
}
_OVER_GRACE_S: Final = 2.0
_SHORT_LIFE_S: Final = (
    30.0  # a session that ended sooner met something that its successor may meet as well
)


class NotReadyError(WorkerError):
    """The world is not as a worker needs it (schema, topics). The text says which command mends it."""


async def run_sessions(settings: Settings, *, metrics: Metrics, stop: asyncio.Event) -> None:
    """Run session after session until `stop`. Raises NotReadyError, InvalidValueError, SettingsError."""
    wiring.insist_usable(settings)
    failures = 0
    while not stop.is_set():
        session = Session(settings, metrics=metrics)
        began = time.monotonic()
        try:
            await session.run(stop)
        except Unavailable as unavailable:
            failures += 1
            hint = _SETTING.get(unavailable.what, "its address")
            log.warning("cannot start", why=f"{unavailable}; is {hint} right?")
        except SessionOver as over:
            failures = failures + 1 if time.monotonic() - began < _SHORT_LIFE_S else 0
            log.warning("the session is over", session=session.session_id, why=str(over))
        if not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(
                    stop.wait(), _RESTARTS_S[min(failures, len(_RESTARTS_S) - 1)]
                )


class Session:
    """Everything that lives as long as one lease."""

    def __init__(self, settings: Settings, *, metrics: Metrics) -> None:
        self.session_id = wiring.new_session_id()
        self._settings = settings
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[SessionOver] = self._loop.create_future()
        self._lease: LeaseKeeper | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Live until `stop`, or until it is over: then raises SessionOver. Raises Unavailable where it cannot start."""
        url = self._settings.journal_url.get_secret_value()
        engines = {
            role: engine(url, role=f"payment-worker {role} {self.session_id}", pool_size=size)
            for role, size in (("journal", 1), ("lease", 1), ("reads", 4))
        }
        try:
            await asyncio.to_thread(check_world, engines["reads"], self._settings)
            await self._run(stop, engines)
        finally:
            for it in engines.values():
                await asyncio.to_thread(it.dispose)

    async def _run(self, stop: asyncio.Event, engines: dict[str, Engine]) -> None:
        settings = self._settings
        taken_at = boottime()
        started = await asyncio.to_thread(
            start_session,
            engines["journal"],
            session_id=self.session_id,
            group=settings.kafka_group,
            lease_s=settings.lease_s,
        )
        lease = LeaseKeeper(engines["lease"], started, taken_at=taken_at, on_over=self._end)
        self._lease = lease
        lease.start()
        log.info("session started", session=self.session_id)
        why = "ended by itself"
        try:
            ground = Ground(
                settings=settings,
                metrics=self._metrics,
                started=started,
                lease=lease,
                writing=engines["journal"],
                reading=engines["reads"],
                on_over=self._end,
            )
            await self._live(stop, await asyncio.to_thread(parts.build, ground, self._loop))
            why = "stopped"
        finally:
            # Where the database is away the lease runs out, which comes to the same.
            with suppress(Unavailable):
                await asyncio.to_thread(
                    end_session, engines["reads"], session_id=self.session_id, why=why
                )
            await asyncio.to_thread(lease.stop)
            log.info("session ended", session=self.session_id, why=why)

    async def _live(self, stop: asyncio.Event, living: Parts) -> None:
        rounds = [
            asyncio.create_task(self._guard(living.janitor.run(), "the janitor")),
            asyncio.create_task(self._guard(living.finder.run(), "the finder")),
            asyncio.create_task(
                self._guard(
                    tell_state(self._settings.state_file, lambda: living.state(os.getpid())),
                    "the state file",
                )
            ),
            asyncio.create_task(self._guard(watch_over(living.beats), "the watch")),
        ]
        stopping = asyncio.create_task(stop.wait())
        try:
            await living.start()
            ends: set[asyncio.Future[Any]] = {stopping, self._over}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            grace_s = _OVER_GRACE_S if self._over.done() else self._settings.shutdown_grace_s
            for task in (*rounds, stopping):
                task.cancel()
            await asyncio.gather(*rounds, stopping, return_exceptions=True)
            left = await living.stop(grace_s=grace_s)
            if left:
                log.info("left in the journal", count=left)
        if self._over.done():
            raise self._over.result()

    def _end(self, over: SessionOver) -> None:
        """This session is over. From any thread; the first reason counts."""
        if self._lease is not None:
            self._lease.revoke()

        def settle() -> None:
            if not self._over.done():
                self._over.set_result(over)

        self._loop.call_soon_threadsafe(settle)

    async def _guard(self, work: Coroutine[Any, Any, None], name: str) -> None:
        try:
            await work
        except SessionOver as over:
            self._end(over)
        except Exception as crash:  # noqa: BLE001 - a round that died must end the session, not hide
            log.error("crashed", what=name, why=where(crash))
            self._end(SessionOver(f"{name} crashed: {where(crash)}"))


async def tell_state(path: Path, state: Callable[[], RunState]) -> None:
    """Write the state file each second, for ever.

    What cannot be written is tried again, and said once for each reason: payments go on, only `health` is blind.
    """
    said = ""
    while True:
        why = ""
        try:
            await asyncio.to_thread(run_state.write, path, state())
        except OSError as error:
            why = error.strerror or type(error).__name__
        if why and why != said:
            text = f"cannot write WORKER_STATE_FILE {path}: {why}; health cannot see this worker"
            log.warning(text)
        elif said and not why:
            log.info("the state file is written again", what=str(path))
        said = why
        await asyncio.sleep(_STATE_S)


async def watch_over(beats: Callable[[], Mapping[str, float]]) -> None:
    """Raise SessionOver once a thread of the Kafka client hangs in a call that has a time-out and does not heed it.

    Seen in librdkafka 2.16: a kafka_txn never came back after its broker was killed, while all else went on and nothing
    was told any more. Nobody can free the thread; but whoever takes this session over fences its producer.
    """
    stuck = ""
    while not stuck:
        await asyncio.sleep(_STATE_S)
        heard = beats()
        stuck = run_state.silent({name: heard[name] for name in _KAFKA_THREADS})
    raise SessionOver(stuck)


def check_world(reads: Engine, settings: Settings) -> None:
    """Raise NotReadyError where the journal's schema or a topic is missing, Unavailable where nobody answers."""
    present = schema.present_revision(reads)
    needed = schema.needed_revision()
    if present != needed:
        raise NotReadyError(
            f"the journal's schema is {present or 'not there'}, this worker needs {needed}:"
            " run `run_worker.py migrate`"
        )
    strange = strangeness(
        reads, ours=wiring.installation_fingerprint(settings), group=settings.kafka_group
    )
    if strange:
        raise NotReadyError(strange)
    names = wiring.topics(settings)
    wanted = {*names.commands, *names.events, *names.dead_letters, names.progress}
    missing = sorted(wanted - Admin(settings.kafka_properties()).names())
    if missing:
        raise NotReadyError(
            f"topics are missing: {', '.join(missing)}: run `run_worker.py topics --create`"
        )
