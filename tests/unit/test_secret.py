"""A secret cannot print itself: no formatter, serialiser, dataclass or traceback shows it."""

import copy
import dataclasses
import io
import json
import logging
import pickle
import pprint
import reprlib
import traceback
from collections.abc import Callable
from string import Template

import msgspec
import pytest
import structlog
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from handlers.domain.means import OpaqueData
from handlers.domain.secret import Secret

TEXT = "tok-7f3a9c"
SECRET = Secret(TEXT)
MEANS = OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", SECRET)

PRINTERS: dict[str, Callable[[object], str]] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": format,
    "f-string": lambda value: f"{value} {value!r} {value!s} {value!a}",
    "str.format": "{0} {0!r} {0!s}".format,
    "percent": lambda value: "%s %r" % (value, value),  # noqa: UP031 - the logging module prints so
    "template": lambda value: Template("$x").substitute(x=value),
    "list": lambda value: str([value, (value,), {"k": value}]),
    "pprint": pprint.pformat,
    "reprlib": reprlib.repr,
    "rich": pretty_repr,
    "json with default": lambda value: json.dumps(value, default=str),
    "structlog console": lambda value: structlog.dev.ConsoleRenderer()(
        None, "info", {"event": "e", "x": value}
    ).__str__(),
    "structlog JSON": lambda value: str(
        structlog.processors.JSONRenderer()(None, "info", {"event": "e", "x": value})
    ),
    "structlog key=value": lambda value: structlog.processors.KeyValueRenderer()(
        None, "info", {"x": value}
    ),
}


@pytest.mark.parametrize("value", [SECRET, MEANS], ids=["alone", "in a dataclass"])
@pytest.mark.parametrize("printer", PRINTERS.values(), ids=PRINTERS)
def test_no_printer_shows_it(printer: Callable[[object], str], value: object) -> None:
    """Whatever prints it prints stars."""
    printed = printer(value)
    assert TEXT not in printed
    assert "****" in printed


@pytest.mark.parametrize("spec", ["", "s", ">20", "x", "%Y"])
def test_no_format_spec_gets_round_it(spec: str) -> None:
    """A width, a type or nonsense in the format gives stars as well, and not even the length."""
    assert "********" == format(SECRET, spec)


def test_its_length_is_hidden() -> None:
    """Short and long secrets look alike."""
    assert repr(Secret("")) == repr(Secret("x" * 1000))


@pytest.mark.parametrize(
    "serialise",
    [
        json.dumps,
        msgspec.json.encode,
        msgspec.msgpack.encode,
        msgspec.to_builtins,
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
    ],
    ids=[
        "json",
        "msgspec JSON",
        "msgspec msgpack",
        "msgspec builtins",
        "pickle",
        "copy",
        "deepcopy",
    ],
)
def test_no_serialiser_takes_it(serialise: Callable[[object], object]) -> None:
    """A serialiser fails, and its error does not show the text either."""
    with pytest.raises(TypeError) as refused:
        serialise(SECRET)
    assert TEXT not in str(refused.value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_pickle_protocol_takes_it(protocol: int) -> None:
    """Old and new protocols alike."""
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(MEANS, protocol=protocol)


def test_a_dataclass_with_it_serialises_nowhere() -> None:
    """Dataclasses are serialised by msgspec, but not one that holds a secret; asdict copies and fails."""
    with pytest.raises(TypeError):
        msgspec.json.encode(MEANS)
    with pytest.raises(TypeError):
        dataclasses.asdict(MEANS)


def test_it_has_no_fields_to_look_through() -> None:
    """There is no __dict__ that a debugger's or a log's dump of an object would walk."""
    with pytest.raises(TypeError):
        vars(SECRET)


def _fail(held: Secret, means: OpaqueData) -> None:
    raise ValueError(f"no good: {held} in {means}")


def _failure() -> ValueError:
    try:
        _fail(SECRET, MEANS)
    except ValueError as error:
        return error
    raise AssertionError


def test_the_standard_traceback_with_locals_hides_it() -> None:
    """`traceback` with captured locals shows stars."""
    shown = "".join(
        traceback.TracebackException.from_exception(_failure(), capture_locals=True).format()
    )
    assert "held = ********" in shown
    assert TEXT not in shown


def test_a_rich_traceback_with_locals_hides_it() -> None:
    """rich, which looks into objects, shows stars."""
    error = _failure()
    out = io.StringIO()
    console = Console(file=out, width=200)
    console.print(
        Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True)
    )
    assert "********" in out.getvalue()
    assert TEXT not in out.getvalue()


def test_structlogs_tracebacks_with_locals_hide_it() -> None:
    """The structured tracebacks of structlog, which keep every local, hold stars."""
    transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=True)
    error = _failure()
    shown = json.dumps(transform((type(error), error, error.__traceback__)))
    assert "********" in shown
    assert TEXT not in shown


def test_logging_hides_it() -> None:
    """The standard logger shows stars in messages and in tracebacks."""
    out = io.StringIO()
    logger = logging.Logger("test")  # noqa: LOG001 - of this test alone, in nobody's tree
    logger.addHandler(logging.StreamHandler(out))
    try:
        _fail(SECRET, MEANS)
    except ValueError:
        logger.exception("with %s and %r", SECRET, MEANS)
    assert "********" in out.getvalue()
    assert TEXT not in out.getvalue()


def test_it_is_compared_by_its_text() -> None:
    """Two secrets of the same text are equal and hash alike; a text is not its secret; there is no order."""
    assert Secret(TEXT) == SECRET
    assert hash(Secret(TEXT)) == hash(SECRET)
    assert Secret("other") != SECRET
    assert TEXT != SECRET
    with pytest.raises(TypeError):
        sorted([SECRET, Secret("other")])  # type: ignore[type-var]  # that it has no order is the claim


def test_only_reveal_gives_it() -> None:
    """`reveal` returns the text itself."""
    assert TEXT == SECRET.reveal()
