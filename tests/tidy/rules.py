"""The style rules that a program can hold, each a function from a source to its offences, and their exceptions.

A rule that needs an exception gets a row with the reason in one of the tables here; there is no other way round.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.tidy.tree import Source

MAX_FUNCTION_LINES: Final = 60
MAX_FILE_LINES: Final = 400
MAX_POSITIONAL: Final = 2
ENOUGH_WORDS: Final = 2

# Functions whose positional parameters somebody else decides: name → who.
SIGNATURES_OF_OTHERS: Final = {
    "__exit__": "Python's context managers",
    "__aexit__": "Python's context managers",
    "__call__": "ASGI: scope, receive, send; decorators",
    "__new__": "Python's metaclasses",
}
# The same for single functions: (path, name) → who.
SIGNATURES_HERE: Final = {
    ("handlers/gateway/authorizenet/gate.py", "_on_request_headers_sent"): "aiohttp's trace hooks",
    ("worker/telemetry.py", "_allow_listed"): "structlog's processors",
}

# Folders whose functions are lists of literal statements, not logic.
LITERAL: Final = ("db_client/migrations/versions/",)

# Where a foreign exception of any kind may end, how often, and why. A handler that ends in a bare `raise` hides nothing
# and needs no row.
DOORS: Final = {
    "worker/crew.py": (1, "the lane runner: one broken operation must not stop the others"),
    "run_worker.py": (
        1,
        "the process door: what nobody foresaw becomes a message and an exit code",
    ),
    "worker/cli.py": (1, "the process door, where the CLI owns it"),
    "worker/intake.py": (
        1,
        "a thread's door: a crash becomes a message to the process that stops it",
    ),
    "worker/publisher.py": (1, "a thread's door"),
    "tests/simulation/sim_nap.py": (
        1,
        "a thread's door: what its function raises, its caller hears",
    ),
    "worker/session.py": (1, "the door of the session's own rounds: the janitor, the state file"),
    "db_client/group_commit.py": (
        1,
        "a thread's door: the journal's; a crash of ours ends the session, and callers get told",
    ),
}
_PROGRAM = re.compile(
    r"worker/demo/(?:\w+/)?__main__\.py"
)  # the stage's programs have a process door each

_VAGUE: Final = re.compile(r"utils?|helpers?|common|managers?|impl", re.IGNORECASE)
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_EXCUSE: Final = re.compile(
    r"(?:ruff:\s*)?noqa\b(?::\s*[A-Z]+\d+(?:[,\s]+[A-Z]+\d+)*)?|type:\s*ignore(?:\[[\w\-, ]*\])?"
)
_MOCKS: Final = {
    "mock",
    "unittest.mock",
    "pytest_mock",
    "asynctest",
    "flexmock",
    "doublex",
    "mockito",
}
OURS: Final = {"worker", "handlers", "avro", "db_client", "tests"}
_PATCHES: Final = {"setattr", "delattr", "setitem", "delitem"}

Rule = Callable[[Source], Iterator[str]]


def short_files(source: Source) -> Iterator[str]:
    """Rule 11: files of at most 400 lines."""
    count = len(source.text.splitlines())
    if count > MAX_FILE_LINES:
        yield f"{source.at(MAX_FILE_LINES + 1)}: {count} lines"


def short_functions(source: Source) -> Iterator[str]:
    """Rule 11: functions of at most 60 lines, signature and docstring included."""
    if source.path.startswith(LITERAL):
        return
    for node, _ in source.functions:
        count = (node.end_lineno or node.lineno) - node.lineno + 1
        if count > MAX_FUNCTION_LINES:
            yield f"{source.at(node.lineno)}: {node.name} has {count} lines"


def _is_fixed_by_others(source: Source, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    if node.name in SIGNATURES_OF_OTHERS or (source.path, node.name) in SIGNATURES_HERE:
        return True
    if not source.path.startswith("tests/"):
        return False
    # pytest hands its parameters over by name
    return node.name.startswith("test_") or any(
        "fixture" in ast.unparse(mark) for mark in node.decorator_list
    )


def named_parameters(source: Source) -> Iterator[str]:
    """Rule 11: at most two parameters are taken by place; `self` and `cls` do not count."""
    for node, is_method in source.functions:
        by_place = len(node.args.posonlyargs) + len(node.args.args)
        bound = is_method and not any(
            ast.unparse(mark) == "staticmethod" for mark in node.decorator_list
        )
        if by_place - bound > MAX_POSITIONAL and not _is_fixed_by_others(source, node):
            yield f"{source.at(node.lineno)}: {node.name} takes {by_place - bound} by place"


def empty_init(source: Source) -> Iterator[str]:
    """Rule 11: `__init__.py` files are empty."""
    if source.path.endswith("__init__.py") and source.text.strip():
        yield source.at(1)


def module_docstrings(source: Source) -> Iterator[str]:
    """Rule 12: every module says what lives there."""
    if not source.path.endswith("__init__.py") and not ast.get_docstring(source.tree):
        yield source.at(1)


def test_docstrings(source: Source) -> Iterator[str]:
    """Rule 14: every test states its claim."""
    for node, _ in source.functions:
        if source.is_test and node.name.startswith("test_") and not ast.get_docstring(node):
            yield f"{source.at(node.lineno)}: {node.name}"


def _names(source: Source) -> Iterator[tuple[int, str]]:
    for part in source.path.removesuffix(".py").split("/"):
        yield 1, part
    for node in ast.walk(source.tree):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.lineno, node.name
            case ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case _:
                pass


def telling_names(source: Source) -> Iterator[str]:
    """Rule 13: no name that says nothing."""
    for line, name in _names(source):
        if any(_VAGUE.fullmatch(word) for word in _WORD.findall(name)):
            yield f"{source.at(line)}: {name}"


def _takes_everything(kind: ast.expr | None) -> bool:
    if kind is None:
        return True
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(ast.unparse(one) in {"Exception", "BaseException"} for one in kinds)


def _catch_alls(source: Source) -> Iterator[int]:
    for node in ast.walk(source.tree):
        match node:
            case ast.ExceptHandler(type=kind, body=[*_, ast.Raise(exc=None)]) if _takes_everything(
                kind
            ):
                pass
            case ast.ExceptHandler(type=kind) if _takes_everything(kind):
                yield node.lineno
            case ast.Call(func=func, args=kinds) if ast.unparse(func) in {
                "suppress",
                "contextlib.suppress",
            }:
                if any(_takes_everything(kind) for kind in kinds):
                    yield node.lineno
            case _:
                pass


def doors(source: Source) -> Iterator[str]:
    """Rule 5: foreign exceptions of every kind end at the named doors only."""
    allowed, _ = (
        (1, "a program's door")
        if _PROGRAM.fullmatch(source.path)
        else DOORS.get(source.path, (0, ""))
    )
    lines = list(_catch_alls(source))
    if len(lines) > allowed:
        yield from (f"{source.at(line)}: {allowed} allowed here" for line in lines)


def _foreign_names(source: Source) -> set[str]:
    """What a file imports from elsewhere."""
    found: set[str] = set()
    for node in ast.walk(source.tree):
        match node:
            case ast.Import(names=aliases):
                found |= {alias.asname or alias.name.split(".")[0] for alias in aliases} - OURS
            case ast.ImportFrom(module=str(module), names=aliases) if (
                module.split(".")[0] not in OURS
            ):
                found |= {alias.asname or alias.name for alias in aliases}
            case _:
                pass
    return found


def _is_foreign(target: list[ast.expr], foreign: set[str]) -> bool:
    return bool(target) and ast.unparse(target[0]).split(".")[0] in foreign


def no_mocks(source: Source) -> Iterator[str]:
    """No mock library, and nothing of ours is swapped under a test.

    The environment may be set, and a foreign library may be given another constant: that is how its future is tried.
    """
    foreign = _foreign_names(source)
    for node in ast.walk(source.tree):
        match node:
            case ast.Import(names=aliases) if {alias.name for alias in aliases} & _MOCKS:
                yield source.at(node.lineno)
            case ast.ImportFrom(module=str(module), names=aliases) if (
                module in _MOCKS or {f"{module}.{alias.name}" for alias in aliases} & _MOCKS
            ):
                yield source.at(node.lineno)
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="monkeypatch" | "patch"), attr=attr),
                args=target,
            ) if attr in _PATCHES and not _is_foreign(target, foreign):
                yield source.at(node.lineno)
            case ast.arg(arg="mocker"):
                yield source.at(node.lineno)
            case _:
                pass


def reasons(source: Source) -> Iterator[str]:
    """Every exemption from a tool says why."""
    for line, comment in source.comments():
        rest, count = _EXCUSE.subn("", comment)
        if count and len(re.findall(r"\w+", rest)) < ENOUGH_WORDS:
            yield f"{source.at(line)}: {comment}"


def core_has_no_clock(source: Source) -> Iterator[str]:
    """Rule 3: the core takes the time as a value (import-linter watches the rest, but datetime is a type, too)."""
    if not source.path.startswith("handlers/") or source.path.startswith("handlers/gateway/"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}:
            owner = ast.unparse(node.value)
            if owner.split(".")[-1] in {"datetime", "date"}:
                yield f"{source.at(node.lineno)}: {owner}.{node.attr}"


@dataclass(frozen=True)
class Held:
    """A rule, what to do where it is broken, and a smallest source (with its path) that breaks it."""

    rule: Rule
    advice: str
    bad: str
    path: str = "worker/sample.py"


RULES: Final = (
    Held(short_files, "Split the file by what it decides; aim at 250 lines.", "x = 1\n" * 401),
    Held(
        short_functions,
        "Give a part of the function a name; aim at 30 lines.",
        "def f():\n" + "    x = 1\n" * 60,
    ),
    Held(named_parameters, "Put a `*` after the second parameter.", "def f(a, b, c): ..."),
    Held(empty_init, "Move it into a module that has a name.", "x = 1", "worker/__init__.py"),
    Held(module_docstrings, "Say what lives in the module and what must not.", "x = 1"),
    Held(
        test_docstrings,
        "State the test's claim in one sentence.",
        "def test_x(): ...",
        "tests/unit/test_x.py",
    ),
    Held(telling_names, "Name it by what it does.", "class LeaseManager: ..."),
    Held(telling_names, "Name it by what it does.", "", "worker/string_utils.py"),
    Held(
        doors,
        "Name the exceptions that can come, and translate them.",
        "try: ...\nexcept Exception: ...",
    ),
    Held(
        doors,
        "Name the exceptions that can come, and translate them.",
        "try: ...\nexcept (OSError, Exception): ...",
    ),
    Held(doors, "Name the exceptions that can come, and translate them.", "try: ...\nexcept: ..."),
    Held(doors, "Name the exceptions that can come.", "with suppress(Exception): ..."),
    Held(
        no_mocks,
        "Use the real part, or a double that sits the contract suite.",
        "from unittest import mock",
    ),
    Held(
        no_mocks,
        "Use the real part, or a double that sits the contract suite.",
        "import unittest.mock",
    ),
    Held(no_mocks, "Hand the part in instead of patching it.", 'monkeypatch.setattr(x, "y", 1)'),
    Held(
        no_mocks,
        "Hand the part in instead of patching it.",
        'from worker import x\nmonkeypatch.setattr(x, "y", 1)',
    ),
    Held(
        no_mocks, "Hand the part in instead of patching it.", 'monkeypatch.setattr("worker.x.y", 1)'
    ),
    Held(reasons, "Write the reason beside the exemption.", "x = 1  # no" + "qa: F821"),
    Held(reasons, "Write the reason beside the exemption.", "x = 1  # type: " + "ignore[arg-type]"),
    Held(
        core_has_no_clock,
        "Take the time as a value.",
        "x = datetime.now(UTC)",
        "handlers/sample.py",
    ),
)
