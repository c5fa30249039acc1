"""Looks for transactions in the gateway's lists: the unsettled one first, then the batches that were settled since.

There is no search by invoice number, so one scan serves all questions that are open, however many: what reaches back
furthest decides how far it reads. In that order nothing slips by: what leaves the unsettled list was seen there, or
stands in a batch that is read afterwards. No scan is complete while a batch was cut off that may not be listed yet.
How one list is read stands in `lists.py`, that questions share a scan in `searches.py`. Lists hold declined rows too.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from handlers.domain.intents import Question
from handlers.gateway.authorizenet.elements import Members
from handlers.gateway.authorizenet.lists import MAX_PAGES, SKEW, Reading
from handlers.gateway.authorizenet.questions import (
    PAGE_ROWS,
    batch_request,
    batches_request,
    unsettled_request,
)
from handlers.gateway.authorizenet.replies import Reply, Scrubber, real_id, rows
from handlers.gateway.authorizenet.settings import Account

_MAX_BATCH_ROWS: Final = MAX_PAGES * PAGE_ROWS  # of all batches of a scan
_MAX_BATCHES: Final = 5_000  # each is a question of its own; an account settles one a day, or a few
_LONGEST_SPAN: Final = timedelta(days=31)  # of one question for batches
_MAX_SPANS: Final = 8  # further back than the gateway refunds
_Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Trouble:
    """A question to the gateway that got no readable answer, or a refusal. `code` is the gateway's, "" without one."""

    why: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Search:
    """What was found: transaction ids, newest first. `gap` says why the search is not complete, "" where it is."""

    matches: tuple[str, ...]
    gap: str
    rows: int
    batches: int


class Finder(Protocol):
    """Where questions without a transaction id are asked."""

    async def search(self, question: Question, desk: "Desk") -> Search | Trouble:
        """Where the invoice number of `question` stands."""
        ...


@dataclass(frozen=True, slots=True)
class Desk:
    """What a search works with: how to ask, as whom, what time it is (UTC), and whom to ask for a scan."""

    ask: Callable[[Members], Awaitable[Reply | Trouble]]
    account: Account
    scrubber: Scrubber
    now: Callable[[], datetime]
    finder: Finder

    async def asked(self, request: Members) -> Reply | Trouble:
        """The reply to `request`; Trouble where the gateway refused it."""
        reply = await self.ask(request)
        if isinstance(reply, Trouble) or reply.ok:
            return reply
        said = reply.first
        return Trouble(f"the gateway refused to tell: {said.code} {said.text}".strip(), said.code)

    async def search(self, question: Question) -> Search | Trouble:
        """Where the invoice number of `question` stands."""
        return await self.finder.search(question, self)


async def scan(
    questions: Sequence[Question], desk: Desk
) -> Mapping[Question, Search | Trouble] | Trouble:
    """One answer for each question, or the trouble that met them all."""
    wanted = frozenset(it.invoice_number for it in questions)
    unsettled = Reading(wanted, min(it.since for it in questions))
    trouble = await _read(unsettled, lambda page: unsettled_request(page, desk.account), desk=desk)
    if trouble is not None:
        return trouble
    seen = len(unsettled.seen)
    answers: dict[Question, Search | Trouble] = {}
    for question in questions:
        matches = unsettled.found(question)
        if matches:
            gap = unsettled.gap(question.since)
            answers[question] = Search(matches, gap, rows=seen, batches=0)
    left = [it for it in questions if it not in answers]
    return {**answers, **await _settled(left, unsettled, desk=desk)} if left else answers


async def _settled(
    questions: Sequence[Question], unsettled: Reading, *, desk: Desk
) -> dict[Question, Search | Trouble]:
    """Those that do not stand in the unsettled list, in the batches since; each batch is a list of its own."""
    since = min(it.since for it in questions)
    batch_ids = await batches_between(since - SKEW, desk.now() + SKEW, desk=desk)
    if isinstance(batch_ids, Trouble):
        return dict.fromkeys(questions, batch_ids)
    shelf = _Shelf(questions, rows=len(unsettled.seen))
    for batch_id in batch_ids:
        if not shelf.left:
            break
        if shelf.rows - len(unsettled.seen) > _MAX_BATCH_ROWS:
            shelf.gap = "there are more settled transactions than are read"
            break
        reading = Reading(shelf.wanted, since)
        trouble = await _read(reading, pages_of(batch_id, desk.account), desk=desk)
        if trouble is not None:
            return {**shelf.answers, **dict.fromkeys(shelf.left, trouble)}
        shelf.take(reading)
    for question in shelf.left:
        far = len(list(_spans(question.since - SKEW, desk.now() + SKEW))) > _MAX_SPANS
        gap = "it reaches further back than settled batches are read" if far else ""
        gap = unsettled.gap(question.since) or gap or shelf.gap or _hidden(question, desk)
        shelf.answers[question] = Search((), gap, rows=shelf.rows, batches=shelf.batches)
    return shelf.answers


class _Shelf:
    """What the batches came to so far."""

    def __init__(self, questions: Sequence[Question], *, rows: int) -> None:
        self.left = list(questions)
        self.answers: dict[Question, Search | Trouble] = {}
        self.rows = rows
        self.batches = 0
        self.gap = ""

    @property
    def wanted(self) -> frozenset[str]:
        """The invoice numbers that are still looked for."""
        return frozenset(it.invoice_number for it in self.left)

    def take(self, reading: Reading) -> None:
        """One batch, read."""
        self.batches += 1
        self.rows += len(reading.seen)
        self.gap = self.gap or reading.gap(reading.since)
        for question in self.left:
            matches = reading.found(question)
            if matches:
                found = Search(matches, self.gap, rows=self.rows, batches=self.batches)
                self.answers[question] = found
        self.left = [it for it in self.left if it not in self.answers]


def _hidden(question: Question, desk: Desk) -> str:
    """Asked after the last page: a batch that is cut off while the list is read empties it."""
    cut_off, since, now = desk.account.cut_off, question.since - SKEW, desk.now()
    if cut_off is not None and any(cut_off.hides(since, now=at) for at in (now, now + SKEW)):
        return "a batch was cut off since, which may not be listed yet"
    return ""


async def _read(
    reading: Reading, request: Callable[[int], Members], *, desk: Desk
) -> Trouble | None:
    for page in range(1, MAX_PAGES + 1):
        reply = await desk.asked(request(page))
        if isinstance(reply, Trouble):
            return reply
        reading.take(reply)
        if reading.over:
            break
    return None


def pages_of(batch_id: str, account: Account) -> Callable[[int], Members]:
    """The request for each page of a settled batch."""
    return lambda page: batch_request(batch_id, page, account=account)


async def batches_between(
    first_of_all: datetime, last_of_all: datetime, *, desk: Desk
) -> list[str] | Trouble:
    """The batches that were settled then, newest first, at most as far back as the gateway refunds."""
    found: dict[str, None] = {}
    for first, last in list(_spans(first_of_all, last_of_all))[-_MAX_SPANS:]:
        reply = await desk.asked(batches_request(first, last, account=desk.account))
        if isinstance(reply, Trouble):
            return reply
        for row in rows(reply.root.get("batchList"), "batch"):
            batch_id = real_id(row.get("batchId"))
            if not batch_id:
                return Trouble("a settled batch carries no number")
            found[batch_id] = None
        if len(found) > _MAX_BATCHES:
            return Trouble("there are more settled batches than are read")
    return list(reversed(found))


def _spans(since: datetime, now: datetime) -> Iterator[_Span]:
    first = since
    while first < now:
        last = min(first + _LONGEST_SPAN, now)
        yield first, last
        first = last
