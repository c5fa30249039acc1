"""How a command ends: the exit codes, and how an error of ours becomes a text that says what to do.

No command lives here, and no import that is slow: every `--help` comes through this file.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from handlers.domain.errors import InvalidValueError, Unavailable, WorkerError
from worker.setting_names import variable

FINE: Final = 0
NO: Final = 1
WRONG: Final = 2
UNAVAILABLE: Final = 3
BREAKS: Final = 4
INCOMPLETE: Final = 5
NOT_DONE: Final = 6
CRASHED: Final = 70
INTERRUPTED: Final = 130

# The README's table is generated from this.
EXIT_CODES: Final[Mapping[int, str]] = MappingProxyType(
    {
        FINE: "fine",
        NO: "the answer is no: a check failed, unhealthy, not found, not ready, not in time",
        WRONG: "wrong usage or settings",
        UNAVAILABLE: "a neighbour is unavailable: the text says which one, where, and what to do",
        BREAKS: "`reconcile`, `rebuild`: breaks are open",
        INCOMPLETE: "`reconcile`, `rebuild`: no break is open, but a book could not be read to its end: nothing was"
        " proven",
        NOT_DONE: "`publish`: with `--wait`, something was declined, refused, failed or is a dead letter, or with"
        " `--skip-bad`, bad lines were left out",
        CRASHED: "a fault of this program",
        INTERRUPTED: "ended by Ctrl-C",
    }
)
_OF_ONE_COMMAND: Final = frozenset({BREAKS, INCOMPLETE, NOT_DONE})
_CODES: Final = "\b\nExit codes:\n" + "\n".join(
    f"  {code:<5}{text}" for code, text in EXIT_CODES.items() if code not in _OF_ONE_COMMAND
)
NOT_DONE_CODE: Final = (
    f"  {NOT_DONE:<5}something was declined, refused, failed or is a dead letter (--wait); bad lines were left out\n"
    "       (--skip-bad)\n"
)

_JSON: Final = """\b
With --json: one document on standard output, texts for people on standard error.
  {shape}
An error is a document, too:
  {{"error": {{"kind": "no" | "not_done" | "wrong" | "unavailable" | "crashed", "about": what or null, "text",
  "exit_code"}}}}

"""


class AnswerIsNoError(WorkerError):
    """The command did its work, and what it was asked is not so. The text says what to do next."""


class SaidNoError(AnswerIsNoError):
    """The same, where what the command printed says it already: with --json no second document follows."""


class NotDoneError(AnswerIsNoError):
    """What was asked was published and is decided, and it, or a part of it, did not come about."""


class OpenBreaksError(SaidNoError):
    """The books differ, and nobody has explained it."""


class IncompleteError(SaidNoError):
    """A book could not be read to its end, so that nothing was proven."""


def epilog(*examples: str, json: str = "", codes: str = "") -> str:
    """The end of a command's help: examples, the shape of its `json` document, and what its exit code means.

    `codes`: lines of codes that only this command has.
    """
    said = _CODES.replace("  70 ", f"{codes}  70 ")
    shown = "\n".join(f"  {example}" for example in examples)
    shapes = _JSON.format(shape="\n  ".join(json.splitlines())) if json else ""
    return f"\b\nExamples:\n{shown}\n\n{shapes}{said}" if examples else said


def text_of(invalid: InvalidValueError) -> str:
    """The error with the variable's name where the value came from a setting."""
    return f"{variable(invalid.field)}: {invalid.rule}"


def code_of(error: WorkerError) -> int:
    """The exit code that tells `error`."""
    match error:
        case OpenBreaksError():
            return BREAKS
        case IncompleteError():
            return INCOMPLETE
        case NotDoneError():
            return NOT_DONE
        case AnswerIsNoError():
            return NO
        case Unavailable():
            return UNAVAILABLE
        case _:
            return WRONG


_KINDS: Final = {NO: "no", NOT_DONE: "not_done", UNAVAILABLE: "unavailable", CRASHED: "crashed"}


def error_document(text: str, *, code: int, about: str | None = None) -> dict[str, object]:
    """What --json prints instead of an answer. `about`: the neighbour, the setting or the option."""
    kind = _KINDS.get(code, "wrong")
    return {"error": {"kind": kind, "about": about, "text": text, "exit_code": code}}


def about_of(error: WorkerError) -> str | None:
    """What `error` is about; None where its text says it all."""
    match error:
        case Unavailable(what=what):
            return what
        case InvalidValueError():
            return variable(error.field)
        case _:
            return None
