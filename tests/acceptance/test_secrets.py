"""P7 from end to end: card numbers, tokens, keys and passwords go in everywhere, and come out nowhere.

One run sends marks through every field of every command, every field of the gateway's and the db-service's replies,
headers, keys, settings and the command line; the claims go through all that came out. Where a mark may lie is said
here: the command topics, requests to the gateway and the db-service, and what is sealed.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from db_client.audit import read_journal
from db_client.sealing import Sealer, read_keys
from handlers.domain.commands import InitiatePayment
from handlers.domain.means import (
    OpaqueData,
)
from tests.acceptance.marked_scene import (
    Scene,
    ask_an_odd_service,
    leave_one_waiting,
    marked_installation,
    pay_with_everything,
    sealed_with_a_token,
    send_commands,
    send_records,
)
from tests.acceptance.marked_typing import ask_the_command_line
from tests.acceptance.what_came_out import came_out
from tests.crash.installation import wait_until
from tests.fuzz import markers
from worker.dead_letters import Reason
from worker.demo.audit import is_at_rest
from worker.demo.stage import Stage
from worker.kafka_admin import Seen


@dataclass(frozen=True, slots=True)
class Run:
    """What is searched, and what went in."""

    scene: Scene
    outputs: dict[str, bytes]
    letters: Counter[str]


@pytest.fixture(scope="module")
def run(base: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The whole run, once."""
    with ExitStack() as stack:
        scene = marked_installation(stack, base, folder=tmp_path_factory.mktemp("secrets"))
        send_commands(scene)
        strange = send_records(scene)
        pay_with_everything(scene)
        ask_an_odd_service(scene)
        assert scene.ear.hears(lambda: len(scene.ear.letters) >= strange)
        ask_the_command_line(scene)
        wait_until(lambda: is_at_rest(read_journal(scene.door.stage.journal_url)), within_s=10)
        leave_one_waiting(scene)
        scene.ear.hears(lambda: False, within_s=0.5)
        assert base.postgres is not None
        outputs = dict(
            came_out(
                scene.door.stage,
                scene.ear,
                metrics_url=scene.metrics_url,
                service_database=base.postgres.database("shop"),
            )
        )
        for name, text in scene.said:
            place = f"command line, {name}"
            outputs[place] = outputs.get(place, b"") + text.encode()
        letters = Counter(it.headers["dlq.reason"].decode() for it in scene.ear.letters)
        yield Run(scene, outputs, letters)


def test_no_mark_comes_out(run: Run) -> None:
    """No log, metric, event, dead letter, table of the journal or the db-service, and no command line shows a mark."""
    marks = run.scene.marks
    found = [f"{place}: {it}" for place, data in run.outputs.items() for it in marks.found_in(data)]
    assert [] == found, "\n".join(found)


def test_the_search_finds_what_is_there(run: Run) -> None:
    """The same search finds the marks in what went to the gateway, where they belong."""
    found = run.scene.marks.found_in(b"\n".join(run.scene.gateway.heard))

    assert "setting: transaction_key" in found
    assert {"payment_initiation: a one-time token", "cardholder_authentication.value"} <= set(found)
    assert {"network_token.cryptogram", "network_token.token", "means.data_value"} <= set(found)


def test_every_place_was_marked(run: Run) -> None:
    """Every field of a command or a reply that can hold a mark had one; each record was read, and all was searched."""
    scene = run.scene

    assert scene.gateway.is_done
    assert scene.service.is_done
    read = read_journal(scene.door.stage.journal_url)
    assert len(scene.commands) <= sum(run.letters.values()) + len(read.entries) + len(read.requests)
    assert {
        Reason.CARD_NUMBER,
        Reason.INVALID,
        Reason.UNREADABLE,
        Reason.NOT_ALLOWED,
    } <= run.letters.keys()
    places = " ".join(run.outputs)
    for needed in (
        "log of worker",
        "metrics",
        ".dlq",
        "payment_status",
        "journal, evidence",
        "db-service, ",
    ):
        assert needed in places
    print(_table(run))  # noqa: T201 - pytest shows it where somebody asks


def test_what_waits_is_sealed(run: Run) -> None:
    """The token of a payment that waits lies in the journal sealed; the one of what was sent is there no more."""
    scene = run.scene
    assert scene.waiting is not None
    assert scene.silent is not None
    assert isinstance(scene.waiting.means, OpaqueData)
    sealed = _sealed(run, scene.waiting)
    sealer = Sealer(read_keys(_journal_keys(scene)))

    assert sealed is not None
    opened = sealer.open(sealed, bound_to=scene.waiting.operation_id)
    assert scene.waiting.means.value.reveal() in opened
    assert _sealed(run, scene.silent) is None


def _sealed(run: Run, command: InitiatePayment) -> bytes | None:
    rows = run.outputs["journal, operation"].decode().splitlines()
    (row,) = [it.split("\t") for it in rows if it.startswith(f"{command.operation_id}\t")]
    found = [it for it in row if it.startswith("\\x")]
    return bytes.fromhex(found[0][2:]) if found else None


def _journal_keys(scene: Scene) -> str:
    return Path(scene.door.stage.environment["WORKER_JOURNAL_KEYS_FILE"]).read_text()


def test_a_dead_letters_payload_is_sealed(run: Run) -> None:
    """A record that broke a rule, but holds no card number, is kept with its token, sealed."""
    scene = run.scene
    letter = sealed_with_a_token(scene)
    sealer = Sealer(read_keys(_journal_keys(scene)))
    opened = sealer.open_bytes(letter.value, bound_to=_source_of(letter))
    left_out = [it for it in scene.ear.letters if it.headers["dlq.payload"] == b"left out"]

    assert markers.TOKEN.encode() in opened
    assert b"card_number" in {it.headers["dlq.reason"] for it in left_out}
    assert not any(it.value for it in left_out)


def _source_of(letter: Seen) -> str:
    names = ("dlq.topic_id", "dlq.partition", "dlq.offset")
    return ":".join(letter.headers[it].decode() for it in names)


def _table(run: Run) -> str:
    marks = run.scene.marks
    places = Counter([*marks.cards.values(), *marks.secrets.values()])
    rows = [f"{count:>4}  {place}" for place, count in sorted(places.items())]
    return "\n".join(
        [
            "marks  where they went in",
            *rows,
            f"{len(run.outputs)} places searched",
            *sorted(run.outputs),
        ]
    )
