"""What a person types with marks in it, and all that is printed. No claims here."""

import json
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, StringIO, TextIOWrapper

import pytest

from tests.acceptance.marked_scene import NAME, Scene, sealed_with_a_token
from worker import cli


def _calls(scene: Scene) -> list[tuple[tuple[str, ...], dict[str, str]]]:
    """What a person types: each command that shows something, with marks where it takes a text."""
    marks, made = scene.marks, scene.made
    secret, card = marks.secret("command line: --token"), marks.card("command line: --description")
    wrong = marks.secret("setting: a password in a wrong address")
    letter = sealed_with_a_token(scene).headers["ce_id"].decode()
    assert scene.silent is not None
    silent = scene.silent.payment_id
    line = json.dumps({"payment_id": card, "means": {"data_value": secret}, "description": card})
    publish = (
        "publish",
        "--order-id",
        "o-1",
        "--user-id",
        "u-1",
        "--amount",
        "1.00",
        "--token",
        secret,
    )
    return [
        (("check", "--json"), {}),
        (("check",), {"WORKER_JOURNAL_URL": f"postgresql://worker:{wrong}@127.0.0.1:1/none"}),
        (
            ("check",),
            {"WORKER_GATEWAY_CURRENCIES": secret, "WORKER_DB_SERVICE_URL": f"ftp://u:{wrong}@h"},
        ),
        ((*publish, "--payment-id", f"{NAME}-cli", "--json"), {}),
        ((*publish, "--description", f"card {card}", "--json"), {}),
        (("publish", "initiation", "--json-lines", "-", "--json"), {"stdin": line}),
        (("payments", "show", silent, "--json"), {}),
        (("payments", "show", silent), {}),
        (("payments", "history", made[1].payment_id, "--json"), {}),
        (("payments", "list", "--limit", "500", "--json"), {}),
        (("dead-letters", "list", "--limit", "500", "--json"), {}),
        *((("dead-letters", "show", letter, *more), {}) for more in ((), ("--json",))),
        (("review", "list", "--json"), {}),
        (("reconcile", "--json"), {}),
    ]


def _type(argv: tuple[str, ...], environment: Mapping[str, str], *, stdin: str) -> str:
    """Everything that the command line prints, on both streams, in this process."""
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["run_worker.py", *argv])
        patch.setattr(sys, "stdin", TextIOWrapper(BytesIO(stdin.encode())))
        with pytest.raises(SystemExit):
            cli.main()
    return f"{out.getvalue()}\n{err.getvalue()}"


def ask_the_command_line(scene: Scene) -> None:
    """All of it, one call after the other."""
    environment = scene.door.stage.environment
    for argv, given in _calls(scene):
        stdin = given.pop("stdin", "")
        scene.said.append((" ".join(argv[:2]), _type(argv, {**environment, **given}, stdin=stdin)))
