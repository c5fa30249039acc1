"""Lets questions share a scan: what is asked while one runs goes into the next one, all of it together.

After a bad day thousands are unknown at once. Each of them reads the same lists, so one scan answers them all, and an
account never has two scans under way. A question never joins a scan that has begun: it would miss the pages before.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from handlers.domain.intents import Question
from handlers.gateway.authorizenet.scanning import Desk, Search, Trouble, scan

_GATHER_S: Final = 0.01  # what becomes due together is asked together
_Answers = Mapping[Question, Search | Trouble] | Trouble


@dataclass(slots=True)
class _Scan:
    """One scan to be: what it is asked, and the task that carries it out."""

    questions: dict[Question, None] = field(default_factory=dict)
    task: "asyncio.Task[_Answers] | None" = None


class Searches:
    """One account's scans, one at a time. Lives in one event loop; close it."""

    def __init__(self) -> None:
        self._next: _Scan | None = None
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[_Answers]] = set()

    async def search(self, question: Question, desk: Desk) -> Search | Trouble:
        """Where the invoice number of `question` stands, by a scan that begins after this call."""
        coming = self._next
        if coming is None or coming.task is None:
            coming = self._next = _Scan()
            coming.task = asyncio.get_running_loop().create_task(
                self._run(coming, desk), name="scan"
            )
            self._tasks.add(coming.task)
            coming.task.add_done_callback(self._tasks.discard)
        coming.questions[question] = None
        # One lane that is cancelled must not take the scan from the others.
        answers = await asyncio.shield(coming.task)
        return answers if isinstance(answers, Trouble) else answers[question]

    async def aclose(self) -> None:
        """Stop scanning; whoever waits is cancelled."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self, coming: _Scan, desk: Desk) -> _Answers:
        async with self._turn:
            await asyncio.sleep(_GATHER_S)
            self._next = None
            return await scan(list(coming.questions), desk)
