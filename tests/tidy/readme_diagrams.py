"""The README's state diagrams, drawn from the tables in `handlers/domain/states.py` as mermaid's `stateDiagram-v2`.

What several states have in common is drawn once, through a fork; what leads into a conflict stands in a note, for there
are too many arrows of it. `transitions` reads a diagram back, so that a test can hold that nothing is left out.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeVar

from handlers.domain.states import PAYMENT_ROWS, REQUEST_ROWS, PaymentState, RequestState

_S, _R = PaymentState, RequestState
CONFLICTED: Final = "conflicted"
# Forks: their name → the states that share what is drawn from them.
_PAYMENT_FORKS: Final[Mapping[str, Sequence[PaymentState]]] = {
    "answered": (_S.REQUESTED, _S.UNKNOWN, _S.HELD),
    "given_back": (_S.CAPTURED, _S.SETTLED, _S.PARTIALLY_REFUNDED),
}
_REQUEST_FORKS: Final[Mapping[str, Sequence[RequestState]]] = {
    "answered": (_R.REQUESTED, _R.DEFERRED, _R.UNKNOWN)
}
_ARROW: Final = re.compile(r"    (\w+) --> (\w+)(?: : ([\w, ]+))?")
_EVERY: Final = "every other state"
_NOTED: Final = re.compile(r"        ([\w, ]+) by ([\w, ]+)")

StateT = TypeVar("StateT", bound=StrEnum)
FactT = TypeVar("FactT", bound=StrEnum)


def payment_diagram() -> str:
    """Every transition of a payment."""
    return _diagram(PAYMENT_ROWS, _PAYMENT_FORKS)


def request_diagram() -> str:
    """Every transition of a capture, void, refund or verification."""
    return _diagram(REQUEST_ROWS, _REQUEST_FORKS)


def transitions(diagram: str) -> set[tuple[str, str, str]]:
    """(state, fact, state) of everything that `diagram` shows: arrows, forks and the note."""
    arrows = [(a, b, facts) for a, b, facts in _ARROW.findall(diagram) if a != "*"]
    shared = {b for _, b, facts in arrows if not facts}
    shown = {(a, fact, b) for a, b, facts in arrows for fact in _names(facts) if a not in shared}
    into = [(a, b) for a, b, facts in arrows if not facts]
    for state, fork in into:
        shown |= {(state, fact, b) for a, b, facts in arrows if a == fork for fact in _names(facts)}
    every = {name for a, b, _ in arrows for name in (a, b)} - shared - {CONFLICTED}
    for states, facts in _NOTED.findall(diagram):
        noted = every if states == _EVERY else _names(states)
        shown |= {(state, fact, CONFLICTED) for state in noted for fact in _names(facts)}
    return shown


def _names(text: str) -> list[str]:
    return [name for name in text.split(", ") if name]


def _diagram(
    rows: Mapping[StateT, Mapping[FactT, StateT]], forks: Mapping[str, Sequence[StateT]]
) -> str:
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    state {fork} <<choice>>" for fork in forks]
    lines.append("    [*] --> requested")
    shared = {fork: _shared(rows, states) for fork, states in forks.items()}
    for fork, states in forks.items():
        lines += [f"    {state.value} --> {fork}" for state in states]
        lines += _arrows(fork, shared[fork].items())
    for state, row in rows.items():
        drawn = [shared[fork] for fork, states in forks.items() if state in states]
        own = [it for it in row.items() if not any(it[0] in those for those in drawn)]
        lines += _arrows(state.value, own)
    return "\n".join([*lines, *_note(rows), "```"])


def _shared(
    rows: Mapping[StateT, Mapping[FactT, StateT]], states: Sequence[StateT]
) -> dict[FactT, StateT]:
    """The facts that lead from each of `states` to the same state, but for those into a conflict."""
    first = rows[states[0]]
    return {
        fact: to
        for fact, to in first.items()
        if to.value != CONFLICTED and all(rows[state].get(fact) is to for state in states)
    }


def _arrows(source: str, row: Iterable[tuple[FactT, StateT]]) -> Iterator[str]:
    by_target: dict[str, list[str]] = defaultdict(list)
    for fact, to in row:
        if to.value != CONFLICTED:
            by_target[to.value].append(fact.value)
    for to_name, facts in by_target.items():
        yield f"    {source} --> {to_name} : {', '.join(facts)}"


def _note(rows: Mapping[StateT, Mapping[FactT, StateT]]) -> Iterator[str]:
    """What leads into a conflict: the states that share their facts in one line, what all share before them."""
    into = {
        state.value: tuple(fact.value for fact, to in row.items() if to.value == CONFLICTED)
        for state, row in rows.items()
        if state.value != CONFLICTED
    }
    of_all = set.intersection(*map(set, into.values()))
    by_facts: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, facts in into.items():
        by_facts[tuple(fact for fact in facts if fact not in of_all)].append(name)
    yield f"    note right of {CONFLICTED}"
    if of_all:
        yield f"        {_EVERY} by {', '.join(sorted(of_all))}"
    for facts, states in by_facts.items():
        if facts:
            yield f"        {', '.join(states)} by {', '.join(facts)}"
    yield "    end note"
