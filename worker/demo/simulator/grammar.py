"""What a request may look like: element order, unknown elements, lengths, enumerations, patterns.

The gateway turns JSON into XML and holds it against its schema, so members must stand in schema
order. The rules here are read out of the SDK's generated types (`authorizenet.apicontractsv1`,
the only place of the simulator that touches them): each type's automaton becomes one small table
`state -> {element: next state}`, each simple type one leaf with its facets. They are built once, at
import of the request types, so that a check is a few dictionary look-ups. What a request *means*
stands elsewhere.

The `xs:any` that the SDK's generator adds to every sequence is left out: the gateway refuses
unknown elements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from authorizenet import apicontractsv1
from pyxb.binding import basis, content, datatypes
from pyxb.utils import xmlre

NAMESPACE = "AnetApi/xml/v1/schema/AnetApiSchema.xsd"


@dataclass(slots=True)
class Leaf:
    """A simple type: what its text must satisfy."""

    kind: str
    max_length: int | None = None
    min_length: int | None = None
    allowed: frozenset[str] | None = None
    pattern: re.Pattern[str] | None = None
    smallest: Decimal | None = None
    largest: Decimal | None = None


@dataclass(slots=True)
class State:
    """A place in a type's sequence: which elements may follow, and whether it may end here."""

    may_end: bool
    follow: dict[str, State] = field(default_factory=dict, repr=False)
    child: Leaf | Shape | None = None
    most: int | None = None

    def expected(self) -> str:
        """The elements that would have been legal here, as the gateway lists them."""
        return ", ".join(self.follow)


@dataclass(slots=True)
class Shape:
    """A complex type: the state before its first element."""

    start: State


_shapes: dict[int, Shape | Leaf] = {}


def request_shape(name: str) -> Shape | None:
    """The shape of a request by its root name; None when the SDK knows no such request."""
    return element_shape(name) if name.endswith("Request") else None


def element_shape(name: str) -> Shape | None:
    """The shape of a root element; None when the SDK knows none of that name."""
    element = getattr(apicontractsv1, name, None)
    if element is None or isinstance(element, type) or not hasattr(element, "typeDefinition"):
        return None
    built = _built(element.typeDefinition())
    return built if isinstance(built, Shape) else None


def violation(shape: Shape, body: Mapping[str, Any], *, name: str) -> str | None:
    """The first break of the schema as the text of an E00003, or None."""
    state = shape.start
    for key, value in body.items():
        following = state.follow.get(key)
        if following is None:
            return (
                f"The element '{name}' in namespace '{NAMESPACE}' has invalid child element "
                f"'{key}' in namespace '{NAMESPACE}'. List of possible elements expected: "
                f"'{state.expected()}' in namespace '{NAMESPACE}'."
            )
        found = _violation_of_child(following, value, name=key)
        if found is not None:
            return found
        state = following
    if state.may_end:
        return None
    return (
        f"The element '{name}' in namespace '{NAMESPACE}' has incomplete content. List of possible "
        f"elements expected: '{state.expected()}' in namespace '{NAMESPACE}'."
    )


def _violation_of_child(state: State, value: Any, *, name: str) -> str | None:
    child = state.child
    if isinstance(child, Leaf):
        return _violation_of_leaf(child, value, name=name)
    if child is None:
        return None
    if isinstance(value, Mapping):
        return violation(child, value, name=name)
    if value is None or value == "":
        return violation(child, {}, name=name)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _violation_of_list(state, value, name=name)
    return f"The element '{name}' in namespace '{NAMESPACE}' cannot contain text."


def _violation_of_list(state: State, values: Sequence[Any], *, name: str) -> str | None:
    if state.most is not None and len(values) > state.most:
        return (
            f"The element '{name}' in namespace '{NAMESPACE}' occurs {len(values)} times. "
            f"List of possible elements expected: '{state.expected()}' "
            f"in namespace '{NAMESPACE}'."
        )
    for value in values:
        if isinstance(value, Sequence) and not isinstance(value, str):
            return f"The element '{name}' in namespace '{NAMESPACE}' cannot contain a list."
        found = _violation_of_child(state, value, name=name)
        if found is not None:
            return found
    return None


def _violation_of_leaf(leaf: Leaf, value: Any, *, name: str) -> str | None:
    if isinstance(value, str):
        text = value
    elif value is None:
        text = ""
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, int | Decimal | float):
        text = str(value)
    else:
        return f"The element '{name}' in namespace '{NAMESPACE}' can contain text only."
    why = _broken_facet(leaf, text)
    if why is None:
        return None
    return (
        f"The '{NAMESPACE}:{name}' element is invalid - The value '{text}' is invalid according to "
        f"its datatype '{leaf.kind}' - {why}"
    )


def _broken_facet(leaf: Leaf, text: str) -> str | None:
    length = len(text)
    if leaf.max_length is not None and length > leaf.max_length:
        return "The actual length is greater than the MaxLength value."
    if leaf.min_length is not None and length < leaf.min_length:
        return "The actual length is less than the MinLength value."
    if leaf.allowed is not None and text not in leaf.allowed:
        return "The Enumeration constraint failed."
    if leaf.pattern is not None and not leaf.pattern.fullmatch(text):
        return "The Pattern constraint failed."
    return None if leaf.kind == "String" else _broken_value(leaf, text)


def _broken_value(leaf: Leaf, text: str) -> str | None:
    if leaf.kind == "dateTime":
        return (
            None if _is_moment(text) else f"The string '{text}' is not a valid XsdDateTime value."
        )
    if leaf.kind != "boolean":
        return _broken_number(leaf, text)
    if text in {"true", "false", "1", "0"}:
        return None
    return f"The string '{text}' is not a valid Boolean value."


def _is_moment(text: str) -> bool:
    try:
        return "T" in text and datetime.fromisoformat(text) is not None
    except ValueError:
        return False


def _broken_number(leaf: Leaf, text: str) -> str | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return f"The string '{text}' is not a valid {leaf.kind.capitalize()} value."
    if not number.is_finite() or "e" in text.lower() or "_" in text:
        return f"The string '{text}' is not a valid {leaf.kind.capitalize()} value."
    if leaf.kind == "integer" and number != number.to_integral_value():
        return f"The string '{text}' is not a valid Integer value."
    if leaf.smallest is not None and number < leaf.smallest:
        return "The MinInclusive constraint failed."
    if leaf.largest is not None and number > leaf.largest:
        return "The MaxInclusive constraint failed."
    return None


def _built(kind: Any) -> Leaf | Shape:
    """The table of one SDK type, built once; types may contain each other."""
    known = _shapes.get(id(kind))
    if known is not None:
        return known
    automaton = getattr(kind, "_Automaton", None)
    if automaton is not None:
        shape = Shape(State(may_end=bool(automaton.nullable)))
        _shapes[id(kind)] = shape  # before its children: a type may contain itself
        _fill(shape.start, automaton)
        return shape
    if issubclass(kind, basis.simpleTypeDefinition):
        built: Leaf | Shape = _leaf(kind)
    else:
        built = Shape(State(may_end=True))  # a complex type without elements
    _shapes[id(kind)] = built
    return built


def _fill(start: State, automaton: Any) -> None:
    states = {
        id(node): State(
            may_end=node.finalUpdate is not None,
            child=_built(node.symbol.elementDeclaration().elementBinding().typeDefinition()),
            most=_most(node),
        )
        for node in automaton.states
        if isinstance(node.symbol, content.ElementUse)
    }
    start.follow.update(_follow(automaton.initialTransitions, states))
    for node in automaton.states:
        if id(node) in states:
            states[id(node)].follow.update(_follow(node.transitionSet, states, own=node))


def _follow(
    transitions: Any, states: Mapping[int, State], *, own: Any = None
) -> Mapping[str, State]:
    """Where the transitions lead, in schema order; the step of an element onto itself is a list."""
    ways = [way.destination for way in transitions]
    ways = [node for node in ways if id(node) in states and node is not own]
    ways.sort(key=lambda node: _place(node.symbol))
    return {_name(node.symbol): states[id(node)] for node in ways}


def _name(use: Any) -> str:
    return str(use.elementDeclaration().name().localName())


def _place(use: Any) -> tuple[int, int]:
    where = use.xsdLocation()
    return (where.lineNumber, where.columnNumber)


def _most(node: Any) -> int | None:
    """How often an element may stand in a row: the counter on its step onto itself."""
    for way in node.transitionSet:
        if way.destination is node:
            limits = [step.counterCondition.max for step in way.updateInstructions]
            return min((most for most in limits if most is not None), default=None)
    return 1


def _leaf(kind: Any) -> Leaf:
    allowed = _facet(kind, "_CF_enumeration", reader="values")
    patterns = _facet(kind, "_CF_pattern", reader="patternElements")
    joined = "|".join(f"{xmlre.XMLToPython(part.pattern)}" for part in patterns or ())
    smallest = _facet(kind, "_CF_minInclusive")
    largest = _facet(kind, "_CF_maxInclusive")
    numeric = issubclass(kind, datatypes.decimal)
    return Leaf(
        kind=_kind(kind),
        max_length=_facet(kind, "_CF_maxLength"),
        min_length=_facet(kind, "_CF_minLength"),
        allowed=frozenset(str(value) for value in allowed) if allowed else None,
        pattern=re.compile(joined) if joined and not numeric else None,
        smallest=Decimal(str(smallest)) if smallest is not None else None,
        largest=Decimal(str(largest)) if largest is not None else None,
    )


def _facet(kind: Any, facet: str, *, reader: str = "value") -> Any:
    found = getattr(kind, facet, None)
    return getattr(found, reader)() if found is not None else None


def _kind(kind: Any) -> str:
    if issubclass(kind, datatypes.boolean):
        return "boolean"
    if issubclass(kind, datatypes.dateTime):
        return "dateTime"
    if issubclass(kind, int):
        return "integer"
    if issubclass(kind, datatypes.decimal):
        return "decimal"
    return "String"
