"""How a command ends: the exit codes, and how an error of ours becomes a text that says what to do.

No command lives here, and no import that is slow: every `--help` comes through this file.
"""

from typing import Final

from handlers.domain.errors import InvalidValueError, Unavailable, WorkerError

FINE: Final = 0
NO: Final = 1
WRONG: Final = 2
UNAVAILABLE: Final = 3
CRASHED: Final = 70
INTERRUPTED: Final = 130

_CODES: Final = """\b
Exit codes:
  0    fine
  1    the answer is no: a check failed, unhealthy, not found, not ready
  2    wrong usage or settings
  3    a neighbour is unavailable: the text says which one, where, and what to do
  70   a fault of this program
  130  ended by Ctrl-C"""

_JSON: Final = """\b
With --json: one document on standard output, texts for people on standard error.
  {shape}
An error is a document, too:
  {{"error": {{"kind": "no" | "wrong" | "unavailable" | "crashed", "about": what or null, "text", "exit_code"}}}}

"""

# Where a part checks its own settings it names them in its own words.
_SETTINGS: Final = {
    "gateway.endpoint": "WORKER_GATEWAY_URL",
    "gateway.login": "WORKER_GATEWAY_LOGIN",
    "gateway.transaction_key": "WORKER_GATEWAY_TRANSACTION_KEY",
    "gateway.environment": "WORKER_ENVIRONMENT",
    "db_service.url": "WORKER_DB_SERVICE_URL",
    "db_service.token": "WORKER_DB_SERVICE_TOKEN",
    "journal_url": "WORKER_JOURNAL_URL",
    "journal_keys": "WORKER_JOURNAL_KEYS",
    "schema_registry_url": "WORKER_SCHEMA_REGISTRY_URL",
}


class AnswerIsNoError(WorkerError):
    """The command did its work, and what it was asked is not so. The text says what to do next."""


class SaidNoError(AnswerIsNoError):
    """The same, where what the command printed says it already: with --json no second document follows."""


def epilog(*examples: str, json: str = "") -> str:
    """The end of a command's help: examples, the shape of its `json` document, and what its exit code means."""
    shown = "\n".join(f"  {example}" for example in examples)
    shapes = _JSON.format(shape="\n  ".join(json.splitlines())) if json else ""
    return f"\b\nExamples:\n{shown}\n\n{shapes}{_CODES}" if examples else _CODES


def text_of(invalid: InvalidValueError) -> str:
    """The error with the variable's name where the value came from a setting."""
    return f"{_SETTINGS.get(invalid.field, invalid.field)}: {invalid.rule}"


def code_of(error: WorkerError) -> int:
    """The exit code that tells `error`."""
    match error:
        case AnswerIsNoError():
            return NO
        case Unavailable():
            return UNAVAILABLE
        case _:
            return WRONG


_KINDS: Final = {NO: "no", UNAVAILABLE: "unavailable", CRASHED: "crashed"}


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
            return _SETTINGS.get(error.field, error.field)
        case _:
            return None
