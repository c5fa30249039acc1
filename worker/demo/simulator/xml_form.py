"""The gateway's XML form, beside JSON on the same URL: what the vendor's SDK speaks.

Requests become the same nested values as JSON's, in document order; replies are put into schema
order, lists get back the element that JSON leaves out, and what the schema does not know stays
away. Meaning is `protocol.py`'s matter and the same for both forms.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lxml import etree

from worker.demo.simulator import grammar
from worker.demo.simulator.grammar import NAMESPACE, Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

_ERROR_ROOT = "ErrorResponse"


def decoded(body: bytes) -> tuple[str, Any]:
    """Root name and content of a request; ValueError when it is no XML."""
    try:
        root = etree.fromstring(body, _parser())
    except etree.XMLSyntaxError as error:
        raise ValueError(str(error)) from error
    return _name(root), _content(root)


def encoded(reply: Mapping[str, Any], request: str) -> bytes:
    """A reply as a document; a refusal of a request without a name is an ErrorResponse."""
    name = request.removesuffix("Request") + "Response"
    shape = grammar.element_shape(name) if request else None
    if shape is None:
        name, shape = _ERROR_ROOT, grammar.element_shape(_ERROR_ROOT)
    assert shape is not None
    root = etree.Element(f"{{{NAMESPACE}}}{name}", nsmap={None: NAMESPACE})
    _append(root, shape, values=reply)
    return etree.tostring(root, encoding="utf-8", xml_declaration=True)


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)


def _name(element: Any) -> str:
    return str(etree.QName(element).localname)


def _content(element: Any) -> Any:
    if len(element) == 0:
        return element.text or ""
    content: dict[str, Any] = {}
    for child in element:
        name, value = _name(child), _content(child)
        if name not in content:
            content[name] = value
        elif isinstance(content[name], list):
            content[name].append(value)
        else:
            content[name] = [content[name], value]
    return content


def _append(parent: Any, shape: Shape, *, values: Mapping[str, Any]) -> None:
    """Append what the schema knows, in its order."""
    state = shape.start
    while following := next((key for key in state.follow if key in values), None):
        state = state.follow[following]
        value = values[following]
        several = value if isinstance(value, list) else [value]
        if isinstance(value, list) and isinstance(state.child, Shape) and state.most == 1:
            several = [{next(iter(state.child.start.follow)): value}]
        for each in several:
            element = etree.SubElement(parent, f"{{{NAMESPACE}}}{following}")
            if isinstance(state.child, Shape) and isinstance(each, dict):
                _append(element, state.child, values=each)
            else:
                element.text = _text(each)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else str(value)
