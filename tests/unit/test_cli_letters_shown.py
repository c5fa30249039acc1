"""What an operator sees of a letter that is no command, or that he has no key for: enough to act, and no secret."""

from dataclasses import asdict
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings

from avro.catalog import PAYMENT_INITIATION, Catalog
from avro.command_records import from_command
from avro.reader import Reader
from db_client.moves import Source
from db_client.sealing import Sealer
from handlers.domain.commands import Command, InitiatePayment
from handlers.domain.means import secrets_of
from tests.doubles.strategies import COMMANDS
from tests.doubles.values import SIGNING_KEY, TOPICS, command
from worker.commands.dead_letters_masking import SECRETS, fit_to_be_shown, lines_of
from worker.commands.dead_letters_opening import Closed, Judge, Opener
from worker.commands.dead_letters_reading import Letter, Wanted, letter_of
from worker.commands.dead_letters_showing import whole, whole_object
from worker.dead_letters import Flaw, Reason, Record, letter
from worker.kafka_admin import Seen

CATALOG = Catalog()
SEALER = Sealer({"demo": b"k" * 32})
JUDGE = Judge(SIGNING_KEY, tokens_asked=False, anyway=False, max_command_age_s=3600)
TOKEN = "one-time-token"


def invalid(**changed: Any) -> Letter:
    """The letter of a payment_initiation with these fields, which its schema allows and no command has."""
    schema = CATALOG.current(PAYMENT_INITIATION)
    record = from_command(command(payment_id="pay-7", user_id="usr-7")) | changed
    body = BytesIO()
    fastavro.schemaless_writer(body, schema.parsed, record)
    crc = next(crc for crc, it in CATALOG.writers(PAYMENT_INITIATION).items() if it == schema)
    source = Source("payment_initiation", "TopicId", 0, 17)
    value = b"\xc3\x01" + crc + body.getvalue()
    of = Record(source, b"pay-7", value=value, headers={}, timestamp_ms=1_700_000_000_000)
    made = letter(of, Flaw(Reason.INVALID, "what is wrong"), sealer=SEALER).message
    seen = Seen(
        made.topic, 0, 3, made.key, made.value or b"", dict(made.headers), 1_700_000_100_000
    )
    found = letter_of(seen)
    assert found is not None
    return found


def shown(found: Letter, sealer: Sealer = SEALER) -> tuple[str, dict[str, Any]]:
    """It as a person and as a script sees it."""
    payload = Opener(sealer, Reader(CATALOG), TOPICS.commands).open(found)
    verdict = JUDGE.judge(found, payload)
    text = "\n".join(whole(found, None, payload=payload, verdict=verdict))
    told = whole_object(found, None, payload=payload, verdict=verdict)
    assert TOKEN not in text + str(told) + str(payload)
    return text, told


def test_a_record_that_breaks_a_rule_shows_its_fields() -> None:
    """The commonest letter at night said "it cannot be read" and nothing else: no order, no user, no bad value."""
    text, told = shown(invalid(amount_minor=-5))
    for part in (
        "it is no command: amount_minor: must be from 0",
        "payment_id: pay-7",
        "user_id: usr-7",
        "amount_minor: -5",
        "means.data_value: (hidden)",
    ):
        assert part in text
    assert ("pay-7", -5) == (told["fields"]["payment_id"], told["fields"]["amount_minor"])
    assert told["command"] is None


def test_what_may_be_a_token_in_the_wrong_place_is_not_shown() -> None:
    """The field that breaks its rule is shown where it is as short as an id; a card's number never is."""
    assert "order_id: a b" in shown(invalid(order_id="a b"))[0]
    text, _ = shown(invalid(order_id="t" * 65))
    assert "order_id: (hidden: 65 signs)" in text
    assert "t" * 65 not in text
    record = {
        "currency": "usd",
        "description": "4111 1111 1111 1111",
        "lines": [{"sku": "\x1b[31m"}],
    }
    seen = dict(lines_of(fit_to_be_shown(record, flawed="currency")))
    assert ("usd", "(hidden: looks like a card number)") == (seen["currency"], seen["description"])
    assert "\x1b" not in str(seen)


@settings(max_examples=80, deadline=None)
@given(asked=COMMANDS)
def test_no_secret_of_any_record_is_shown(asked: Command) -> None:
    """Whatever was asked for, the means' secrets and the proof of who pays are hidden, and ids are not."""
    seen = dict(lines_of(fit_to_be_shown(from_command(asked), flawed="")))
    assert "payment_id" in seen
    hidden = {seen[path] for path in SECRETS if path in seen}
    assert hidden <= {"(hidden)"}
    if isinstance(asked, InitiatePayment):
        proof = asked.cardholder_authentication
        secrets = [*secrets_of(asked.means), *([proof.value] if proof else [])]
        assert len(secrets) == len([path for path in SECRETS if path in seen])


def test_every_secret_of_the_schemas_is_known() -> None:
    """A new field that seals something must be hidden here, too: the schemas say `secret` of each."""
    found = {
        path
        for kind in TOPICS.commands.values()
        for path, doc in _documented(CATALOG.current(kind).tree, "")
        if "secret" in doc.lower()
    }
    assert found == SECRETS


def _documented(node: Any, path: str) -> list[tuple[str, str]]:
    """Every field with its path and what the schema says of it."""
    branches = node if isinstance(node, list) else [node]
    found: list[tuple[str, str]] = []
    for branch in branches:
        if branch["type"] == "array":
            found += _documented(branch["items"], path)
        for spec in branch.get("fields", ()):
            name = f"{path}.{spec['name']}".lstrip(".")
            found += [(name, str(spec.get("doc", ""))), *_documented(spec["type"], name)]
    return found


def test_without_its_key_a_letter_says_which_one_to_add() -> None:
    """It is kept: who reads "ask its producer" would have it made anew, and it would be paid twice over."""
    found = invalid(amount_minor=-5)
    other = Sealer({"other": b"o" * 32})
    text, told = shown(found, other)
    for part in ("it is kept", "'demo'", "WORKER_JOURNAL_KEYS", "then show it again"):
        assert part in text
    for part in ("producer to publish", "nothing to publish"):
        assert part not in text + str(told)
    assert not told["replay"]["possible"]
    assert "With its key it opens" in told["replay"]["text"]
    closed = Opener(other, Reader(CATALOG), TOPICS.commands).open(found)
    assert isinstance(closed, Closed)
    assert closed.is_locked


@pytest.mark.parametrize(("key", "fits"), [(b"pay-7", True), (b"pay-8", False), (None, True)])
def test_letters_are_chosen_by_their_payment(key: bytes | None, *, fits: bool) -> None:
    """What could not be taken of one payment is found by its id."""
    assert fits == Wanted(key=key).fits(invalid())
    assert asdict(Wanted())["key"] is None
