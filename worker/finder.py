"""The finder's rounds: which merchant accounts this session looks into, and the questions about them, gathered here.

One session of the whole group looks into an account's lists, and it asks for all: a scan answers every open question
at once, and the gateway hears one reader instead of one for each worker. Who holds an account, and how it passes on,
stands in `db_client/finders.py`; that questions share a scan in the gateway's adapter. What happened at the gateway
without us is walked in `walking.py`.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from db_client.group_commit import GroupCommit
from db_client.moves import Gather, Held, Hold
from db_client.reading import Reader
from handlers.domain.errors import Unavailable
from worker.crew import Crew
from worker.telemetry import log

_HOLD_S: Final = 2.0
_REST_S: Final = 1.0


class Finder:
    """One asyncio task of the session. `accounts`: merchant account → its currency."""

    def __init__(
        self,
        *,
        accounts: Mapping[str, str],
        reader: Reader,
        commits: GroupCommit,
        crew: Crew,
        walk: Callable[[Held], Coroutine[Any, Any, None]],
        walk_every_s: float,
        tick_s: float,
    ) -> None:
        self._accounts = dict(accounts)
        self._reader = reader
        self._commits = commits
        self._crew = crew
        self._walk = walk
        self._walk_every_s = walk_every_s
        self._tick_s = tick_s
        self._held: dict[str, Held] = {}
        self._walks: dict[str, asyncio.Task[None]] = {}
        self._next_walk: dict[str, float] = {}
        self.beat = time.monotonic()

    async def run(self) -> None:
        """Go the rounds until cancelled. Raises SessionOver."""
        hold = 0.0
        try:
            while True:
                self.beat, now = time.monotonic(), asyncio.get_running_loop().time()
                try:
                    if now >= hold:
                        hold = now + _HOLD_S
                        await self._hold()
                    await self._gather()
                except Unavailable as unavailable:
                    log.warning("the finder waits", why=str(unavailable))
                    await asyncio.sleep(_REST_S)
                self._start_walks(now)
                await self._rest()
        finally:
            for walk in self._walks.values():
                walk.cancel()

    async def _rest(self) -> None:
        await asyncio.sleep(self._tick_s)

    async def _hold(self) -> None:
        """Hold what nobody holds, and hear of what is ours."""
        held: list[Held] = await self._commits.write(Hold(self._accounts))
        for it in held:
            if it.merchant_account not in self._held:
                log.info("looks into the account", what=it.merchant_account)
        self._held = {it.merchant_account: it for it in held}

    async def _gather(self) -> None:
        """Questions that are due come here, as many as there is room for; the janitor wakes them."""
        room, accounts = self._crew.questions_room(), tuple(self._held)
        if (
            accounts
            and room > 0
            and await asyncio.to_thread(self._reader.asked_elsewhere, accounts)
        ):
            await self._commits.write(Gather(accounts, room))

    def _start_walks(self, now: float) -> None:
        for account, held in self._held.items():
            running = self._walks.get(account)
            if running is not None and not running.done():
                continue
            if running is not None:
                self._walks.pop(account).result()  # a crash of ours ends the session
            if now >= self._next_walk.get(account, 0.0):
                self._next_walk[account] = now + self._walk_every_s
                self._walks[account] = asyncio.create_task(self._walk(held), name="walk")
