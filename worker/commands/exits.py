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


def epilog(*examples: str) -> str:
    """The end of a command's help: examples, and what its exit code means."""
    shown = "\n".join(f"  {example}" for example in examples)
    return f"\b\nExamples:\n{shown}\n\n{_CODES}" if examples else _CODES


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
