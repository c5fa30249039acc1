"""Replays and drops dead letters, some at a time: look at what was decided, publish, then write the decision.

The record is acknowledged before the decision is written. A crash between the two leaves a letter that looks undecided;
its second replay counts once, because the command keeps its ids.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from db_client.database import Engine
from db_client.decisions import Decision, What, decide, decided
from worker.commands.dead_letters_opening import Go, Judge, Opener, Stop
from worker.commands.dead_letters_reading import Letter
from worker.commands.dead_letters_showing import decision_text
from worker.config import Settings
from worker.kafka_admin import send

_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Word:
    """Whose decision it is, and why."""

    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one letter.

    `result`: replayed, dropped, would_be_replayed, would_be_dropped, already_decided or refused.
    `is_as_wanted` is false where the operator must do something else.
    """

    letter: Letter
    result: str
    text: str
    is_as_wanted: bool = True

    def as_object(self) -> dict[str, object]:
        """For a script."""
        return {
            "id": self.letter.letter_id,
            "reason": self.letter.reason,
            "topic": self.letter.topic,
            "result": self.result,
            "text": self.text,
            "ok": self.is_as_wanted,
        }


@dataclass(frozen=True, slots=True)
class Desk:
    """Where an operator decides about letters."""

    settings: Settings
    engine: Engine
    word: Word

    def replay(
        self, letters: Iterable[Letter], *, opener: Opener, judge: Judge, dry_run: bool
    ) -> Iterator[Result]:
        """Publish their records again. Raises Unavailable; what was said before that is done."""
        for some in _chunks(letters):
            yield from self._replay(some, opener=opener, judge=judge, dry_run=dry_run)

    def _replay(
        self, letters: list[Letter], *, opener: Opener, judge: Judge, dry_run: bool
    ) -> list[Result]:
        known = decided(self.engine, (it.letter_id for it in letters))
        results, going = [], []
        for letter in letters:
            before = known.get(letter.letter_id)
            if before is not None:
                results.append(_before(letter, before, wanted=What.REPLAYED))
                continue
            match judge.judge(letter, opener.open(letter)):
                case Stop(why=why, can_be_forced=forced):
                    text = f"{why} With --anyway it is replayed all the same." if forced else why
                    results.append(Result(letter, "refused", text, is_as_wanted=False))
                case Go() as go:
                    going.append((letter, go))
        if dry_run:
            return results + [Result(it, "would_be_replayed", go.note) for it, go in going]
        fresh: set[str] = set()
        if going:
            send(self.settings.kafka_properties(), [go.record for _, go in going])
            fresh = self._write([it for it, _ in going], What.REPLAYED)
        return results + [_sent(it, go, fresh=fresh) for it, go in going]

    def drop(self, letters: Iterable[Letter], *, dry_run: bool) -> Iterator[Result]:
        """Set them aside: nothing is published, and nothing goes away."""
        for some in _chunks(letters):
            fresh = set() if dry_run else self._write(some, What.DROPPED)
            known = decided(self.engine, (it.letter_id for it in some))
            for letter in some:
                if letter.letter_id in fresh:
                    yield Result(letter, "dropped", "")
                elif dry_run and letter.letter_id not in known:
                    yield Result(letter, "would_be_dropped", "")
                else:
                    yield _before(letter, known[letter.letter_id], wanted=What.DROPPED)

    def _write(self, letters: list[Letter], what: What) -> set[str]:
        ids = (it.letter_id for it in letters)
        return decide(self.engine, ids, what=what, by=self.word.by, why=self.word.why)


def _before(letter: Letter, decision: Decision, *, wanted: What) -> Result:
    """It was decided before, and that stands."""
    text = f"already {decision_text(decision)}: {decision.why}"
    if decision.what is wanted:
        return Result(letter, "already_decided", text)
    instead = (
        "A decision is never undone: publish what is still wanted anew"
        if decision.what is What.DROPPED
        else "Its record is on its way"
    )
    return Result(letter, "already_decided", f"{text}. {instead}.", is_as_wanted=False)


def _sent(letter: Letter, go: Go, *, fresh: set[str]) -> Result:
    """Its record is published; whether that is also what the books say."""
    if letter.letter_id in fresh:
        return Result(letter, "replayed", go.note)
    text = "Its record is published, but somebody else decided about it at the same moment, and that is what is kept."
    return Result(letter, "replayed", text, is_as_wanted=False)


def _chunks(letters: Iterable[Letter]) -> Iterator[list[Letter]]:
    left = iter(letters)
    while some := list(islice(left, _AT_ONCE)):
        yield some
