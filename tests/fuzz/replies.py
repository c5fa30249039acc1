"""The fuzzed readers of the gateway's answers: to what was sent, and to what was asked. No claims here.

Parts of a case of `Answers`: which intent was sent (one byte), the body. Of `Questions`: what is asked (one byte), then
bodies of lists, batches and details, which are given out in turn.
"""

import json
import re
from collections.abc import Coroutine
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from typing import Any, Final, TypeVar

from handlers.domain.commands import Mode
from handlers.domain.errors import Unavailable
from handlers.domain.facts import Sight
from handlers.domain.intents import About, Question
from handlers.domain.means import NetworkToken, OpaqueData, StoredProfile
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from handlers.domain.verdicts import Evidence, Found, NotSeen
from handlers.gateway.authorizenet import finding, looking
from handlers.gateway.authorizenet.elements import Members
from handlers.gateway.authorizenet.replies import Reply, Scrubber, UnreadableError, read_reply
from handlers.gateway.authorizenet.scanning import Desk, Search, Trouble, scan
from handlers.gateway.authorizenet.settings import Account, CutOff
from handlers.gateway.authorizenet.verdicts import verdict_of
from handlers.gateway.authorizenet.walking import walk
from tests.contract.gateway_fixtures import CAPTURE, CHARGE, REFUND, VOID
from tests.fuzz import markers
from tests.fuzz.cases import Bounds, Case, Seen, insist
from tests.fuzz.wild_replies import ANSWERS, BATCHES, DETAILS, LISTS, wild_reply

_REFERENCE: Final = "ABCDEFGHIJKLMNOPQRST"
_NOW: Final = datetime(2026, 11, 21, 12, tzinfo=UTC)
_LONGEST_TEXT: Final = 330  # what is kept of the gateway's, with our words around it
_LONGEST: Final = {"why": 700, "transaction_id": 20, "others": 20, "matches": 20}
_MOST_EVIDENCE: Final = 32_768  # characters
_INTENTS: Final = tuple(
    replace(it, reference=_REFERENCE, **changes)
    for it, changes in (
        (CHARGE, {"means": OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", Secret(markers.TOKEN))}),
        (CHARGE, {"means": StoredProfile("1", "2")}),
        (
            CHARGE,
            {
                "means": NetworkToken(
                    Secret("4895370012003478"), "2031-12", Secret(markers.CRYPTOGRAM)
                )
            },
        ),
        (CAPTURE, {}),
        (VOID, {}),
        (REFUND, {}),
    )
)
_SCRUBBER: Final = Scrubber(Secret(secret) for secret in markers.SECRETS)
_ACCOUNT: Final = Account(Secret(markers.LOGIN), Secret(markers.TRANSACTION_KEY), "USD", CutOff())
_QUESTION: Final = Question(
    merchant_account="main",
    invoice_number=_REFERENCE,
    money=Money(1234, "USD"),
    mode=Mode.SALE,
    since=datetime(2026, 11, 20, 11, 59, tzinfo=UTC),
)
_WAYS: Final = 3  # to find, to look, to walk
_WALK: Final = 2
_Result = TypeVar("_Result")
_QUESTIONS: Final = tuple(
    replace(_QUESTION, about=about, transaction_id=transaction_id)
    for about in About
    for transaction_id in (None, "60123456789")
)


class Answers:
    """What was sent, and what came back."""

    name = "answers"
    bounds = Bounds(memory_fixed=60_000, memory_each=48, steps_fixed=1_500, steps_each=4)

    def seeds(self) -> list[Case]:
        """Each kind of answer to each kind of intent."""
        bodies = [json.dumps(it).encode() for it in ANSWERS]
        return [(bytes([number]), body) for number in range(len(_INTENTS)) for body in bodies]

    def wild(self, rng: Random) -> Case:
        """An answer with some of it spoilt."""
        return bytes([rng.randrange(len(_INTENTS))]), wild_reply(rng, ANSWERS)

    def run(self, case: Case) -> Seen:
        """The verdict: nothing is raised, whatever came back."""
        intent = _INTENTS[(case[0] or b"\x00")[0] % len(_INTENTS)]
        verdict, evidence = verdict_of(case[1], intent, scrubber=_SCRUBBER)
        said = asdict(verdict)
        _insist_short(said)
        shape = (
            f"{type(verdict).__name__} {said['reason']['code'][:20]} {said['reason']['text'][:40]}"
        )
        return Seen(type(verdict).__name__, shape, f"{_told(said)} {_kept(evidence)}")


@dataclass(slots=True)
class _Pile:
    """A gateway that answers with the bodies that it has, in turn, over and over; and what was asked of it."""

    lists: list[Reply | Trouble]
    batches: list[Reply | Trouble]
    details: list[Reply | Trouble]
    asked: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    async def ask(self, request: Members) -> Reply | Trouble:
        """One question."""
        self.asked += 1
        (name,) = request
        pile = {
            "getTransactionDetailsRequest": self.details,
            "getSettledBatchListRequest": self.batches,
        }.get(name, self.lists)
        number = self.counts[name] = self.counts.get(name, -1) + 1
        return pile[number % len(pile)]

    async def search(self, question: Question, desk: Desk) -> Search | Trouble:
        """A scan for this question alone."""
        answers = await scan([question], desk)
        return answers if isinstance(answers, Trouble) else answers[question]


class Questions:
    """What is asked, and what is told."""

    name = "questions"
    bounds = Bounds(memory_fixed=200_000, memory_each=32, steps_fixed=10_000, steps_each=12)
    _PARTS: Final = (LISTS, LISTS, BATCHES, DETAILS)

    def seeds(self) -> list[Case]:
        """Each kind of details to each question, found by its id or in the lists."""
        cases = []
        for number in range(len(_QUESTIONS) * _WAYS):
            for told in DETAILS:
                listed = (LISTS[0], LISTS[2], BATCHES[0], told)
                cases.append((bytes([number]), *(json.dumps(it).encode() for it in listed)))
        return cases

    def wild(self, rng: Random) -> Case:
        """The same with some of them spoilt."""
        bodies = [
            wild_reply(rng, samples)
            if rng.randrange(2)
            else json.dumps(rng.choice(samples)).encode()
            for samples in self._PARTS
        ]
        return bytes([rng.randrange(len(_QUESTIONS) * _WAYS)]), *bodies

    def run(self, case: Case) -> Seen:
        """Find it, look at it, or walk the lists. A look and a walk may end in Unavailable."""
        number = (case[0] or b"\x00")[0]
        question, way = _QUESTIONS[number // _WAYS % len(_QUESTIONS)], number % _WAYS
        first, second, batches, details = (_read(body) for body in case[1:])
        pile = _Pile([first, second], [batches], [details])
        desk = Desk(pile.ask, _ACCOUNT, _SCRUBBER, lambda: _NOW, pile)
        try:
            if way == _WALK:
                return _walked(desk)
            seen = _seen(_driven((looking.look if way else finding.find)(question, desk)))
        except Unavailable as away:
            insist(way, "to find never fails")
            seen = Seen("Unavailable", away.why[:40], str(away))
        return replace(seen, told=_without_ids(seen.told, case))


def _without_ids(told: str, case: Case) -> str:
    """`told` without the gateway's own ids, which stand in sentences, too: they are believed to be no card's."""
    for body in case[1:]:
        for found in _ID.findall(body):
            told = told.replace(found.decode(), "an id")
    return told


def _walked(desk: Desk) -> Seen:
    async def pages() -> int:
        read = 0
        async for page in walk(desk, since=_QUESTION.since, walked=set()):
            for entry in page:
                insist(len(entry.transaction_id) <= _LONGEST["transaction_id"], "an id is short")
                insist(entry.invoice_number.isascii(), "the journal can be asked for a number")
                insist("\0" not in entry.invoice_number, "no text of PostgreSQL holds a NUL")
                read += 1
        return read

    return Seen("walked", f"walked {min(_driven(pages()), 9)}")


def _read(body: bytes) -> Reply | Trouble:
    try:
        return read_reply(body, _SCRUBBER)
    except UnreadableError:
        return Trouble("the gateway's answer could not be read")


def _driven(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Run what never waits for anything, without a loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: _Result = done.value
        return result
    raise AssertionError("it waits for something")


def _seen(told: Found | NotSeen | Sight) -> Seen:
    evidence = told.evidence
    said = asdict(replace(told, evidence={}))
    if isinstance(told, Sight):
        for moment in (told.submitted_at, told.settles_at, told.settled_at):
            insist(moment is None or moment.astimezone(UTC), "a time can be told in UTC")
    _insist_short(said)
    what = told.verdict if isinstance(told, Found) else told
    shape = f"{type(what).__name__} {said.get('why', '')[:60]} {said.get('status', '')[:30]}"
    return Seen(f"{type(told).__name__}", shape, f"{_told(said)} {_kept(evidence)}")


def _kept(evidence: Evidence) -> str:
    """The evidence as the journal has it."""
    text = json.dumps(dict(evidence), allow_nan=False)
    insist(len(text) <= _MOST_EVIDENCE, "evidence is bounded")
    return _told(json.loads(text))


def _told(said: object) -> str:
    """Every text in it, but for ids of the gateway's: a number of its own is believed to be no card's."""
    match said:
        case dict():
            return " ".join(_told(value) for name, value in said.items() if name not in _IDS)
        case list() | tuple():
            return " ".join(map(_told, said))
        case _:
            return str(said)


_ID: Final = re.compile(rb'Id"\s*:\s*"?\s*([0-9]{13,20})\b')
_IDS: Final = frozenset({"transaction_id", "others", "matches", "refTransId"})


def _insist_short(said: object, name: str = "") -> None:
    match said:
        case dict():
            for key, value in said.items():
                _insist_short(value, key)
        case list() | tuple():
            for value in said:
                _insist_short(value, name)
        case str():
            longest = _LONGEST.get(name, _LONGEST_TEXT)
            insist(len(said) <= longest, f"{name} is short")
        case _:
            pass
