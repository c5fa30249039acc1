"""What the campaign has found, each as a claim: the story of a bug, and the input that showed it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from avro.errors import Unreadable
from avro.schema import load
from db_client.sealing import read_keys
from handlers.domain.card_numbers import bytes_hold_card_number, holds_card_number
from handlers.domain.commands import Ruling
from handlers.domain.errors import InvalidValueError
from handlers.domain.facts import Standing
from handlers.domain.secret import Secret
from handlers.domain.verdicts import NotSeen, Unknown
from handlers.gateway.authorizenet.details import moment, read_details
from handlers.gateway.authorizenet.exchange import Exchange
from handlers.gateway.authorizenet.gate import Gate
from handlers.gateway.authorizenet.lists import Reading
from handlers.gateway.authorizenet.replies import Scrubber, amount, read_reply, real_id
from handlers.gateway.authorizenet.settings import CutOff
from tests.contract.gateway_fixtures import (
    FixedLease,
    approval,
    judged,
    judged_with_evidence,
    refusal,
    settings,
)
from tests.contract.scripted_gateway import NOTHING, Script, detailed, found_in, page, row, scripted
from tests.fuzz import markers
from tests.fuzz.oracle import Oracle
from tests.fuzz.targets import TARGETS
from worker.config import SettingsError, read_settings

_CARD: Final = markers.CARDS[0]


def test_a_time_zone_that_is_a_folder_is_refused() -> None:
    """`America` is a folder of the zone database: the start ended with IsADirectoryError, or OSError."""
    for zone in ("America", "a" * 300):
        with pytest.raises(InvalidValueError, match="IANA time zone"):
            CutOff(zone=zone)


@pytest.mark.parametrize("url", ["https://[", "https://h:port/", "https://", "https://u:p@h/"])
def test_a_gateways_address_that_is_none_is_refused(url: str) -> None:
    """An address with half a bracket raised ValueError, one without a host or with a wrong port passed the start."""
    with pytest.raises(InvalidValueError, match=r"gateway\.endpoint: must be an https"):
        settings(url)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ask_schedule_s", "5,nan"), ("ask_schedule_s", "inf"), ("absence_after_s", "inf")],
)
def test_no_setting_is_a_number_that_is_none(name: str, value: str) -> None:
    """A schedule of nan passed `above 0`, and an absence after inf would never have been proven."""
    with pytest.raises(SettingsError, match=f"WORKER_{name.upper()}: .*finite"):
        read_settings(**{name: value})


def test_a_file_of_settings_is_bounded_text(tmp_path: Path) -> None:
    """A Kafka file in another encoding ended the start with UnicodeDecodeError; a file without end took all memory."""
    path = tmp_path / "given"
    path.write_bytes(b"sasl.password=\xff")
    with pytest.raises(
        InvalidValueError, match="WORKER_KAFKA_CONFIG_FILE: must be a text in UTF-8"
    ):
        read_settings(kafka_config_file=path).kafka_properties()
    path.write_bytes(b"x" * 65_537)
    with pytest.raises(
        InvalidValueError, match="WORKER_INVOICE_KEY_FILE: must be a file of at most"
    ):
        read_settings(invoice_key_file=path).secret("invoice_key")


def test_a_variable_that_is_no_utf_8_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python keeps such bytes as half surrogate pairs, on which a key broke later, where it was used."""
    monkeypatch.setenv("WORKER_INVOICE_KEY", b"key \xff".decode(errors="surrogateescape"))
    with pytest.raises(SettingsError, match=r"^WORKER_INVOICE_KEY: must be a text in UTF-8$"):
        read_settings()


def test_an_unknown_currency_is_not_quoted() -> None:
    """The error quoted what stood there; a key that is set in the wrong variable would have been printed."""
    with pytest.raises(SettingsError) as refused:
        read_settings(gateway_currencies=f"{markers.TRANSACTION_KEY},{_CARD},XXX")
    assert "WORKER_GATEWAY_CURRENCIES: an entry, an entry, XXX is no ISO 4217 code" == str(
        refused.value
    )


def test_a_journal_key_in_another_script_is_refused() -> None:
    """A key that is not ASCII raised ValueError instead of naming the setting."""
    with pytest.raises(InvalidValueError, match="base64 of 32 bytes"):
        read_keys("k:" + "ä" * 43 + "=")


def test_a_missing_certificate_file_is_named(tmp_path: Path) -> None:
    """The adapter's start ended with FileNotFoundError, which names no setting."""
    config = settings("https://h/", ca_file=tmp_path / "absent")
    with pytest.raises(InvalidValueError, match=r"gateway\.ca_file"):
        Exchange(config, Gate(FixedLease(), margin_s=1))


def test_a_fields_name_that_is_no_text_is_refused() -> None:
    """A registry's schema with a list for a name ended the intake with TypeError."""
    with pytest.raises(Unreadable, match="whose name is no text"):
        load('{"type":"record","name":"a","fields":[{"name":["b"],"type":"int"}]}')


@pytest.mark.parametrize("card", markers.SPELLED)
def test_a_card_number_is_seen_in_every_spelling(card: str) -> None:
    """Dashes that people type are not ASCII, so a dead letter kept such a key; digits of other scripts hid one, too."""
    assert holds_card_number(f"card {card}.")
    assert bytes_hold_card_number(f"card {card}.".encode())


def test_a_megabyte_of_digits_is_not_looked_through(tmp_path: Path) -> None:
    """One such record held up the intake for seven seconds: window by window, each with its check digit."""
    poison = (b"4" * 999 + b"x") * 1_048
    steps = Oracle(TARGETS["records"].make(tmp_path)).judge(
        (b"\x00", b"pay-1", b"", b"0", b"\x07" + poison), number=0
    )
    assert () == steps.findings
    assert bytes_hold_card_number(poison)


def test_what_a_ruling_is_about_is_short() -> None:
    """It had no bound, and was searched for card numbers in quadratic time before its signature was looked at."""
    with pytest.raises(InvalidValueError, match=r"ruling\.about"):
        Ruling(happened=True, by="a", why="b", about="1." * 20_000)


def test_a_card_number_in_a_code_is_not_told() -> None:
    """Codes were taken as they came: a response code became the reason's code, and went out with the event."""
    verdict, evidence = judged_with_evidence(
        refusal(_CARD, "2"), {"resultCode": f"card {_CARD}", "message": []}, refId=f"card {_CARD}"
    )
    assert isinstance(verdict, Unknown)
    assert [] == markers.leaks(f"{verdict} {evidence}")


def test_a_card_number_that_is_cut_is_not_told() -> None:
    """Texts were cut before they were judged: fifteen digits of sixteen are no card number, and nearly all of one."""
    said = Scrubber().text("x" * 284 + f" {_CARD}")
    assert "(withheld: it held a card number)" == said


def test_a_quotation_without_its_end_is_left_out() -> None:
    """The gateway cuts its texts off, and the token that it quotes with them."""
    assert "The value ***" == Scrubber().text("The value 'eyJjb2RlIjoiNTBfMl8wNjAwMDUz")


def test_a_secret_is_found_as_the_gateway_writes_it() -> None:
    """A token with blanks around it, or with what is a sign of HTML, came back in another form than it was known in."""
    scrubber = Scrubber([Secret(" tok-1&amp;2 ")])
    assert "no *** here" == scrubber.text("no tok-1&amp;2 here")


def test_a_brand_is_a_name() -> None:
    """The card's type of a transaction's details went into events unread."""
    body = json.dumps(
        detailed(payment={"creditCard": {"cardNumber": "XXXX1111", "cardType": _CARD}})
    )
    details = read_details(
        read_reply(body.encode(), Scrubber()), currency="USD", scrubber=Scrubber()
    )
    assert ("", "1111") == (details.method.brand, details.method.last4)


def test_a_transactions_id_is_bounded() -> None:
    """An id of a megabyte would have been an event that no broker takes."""
    assert ("1" * 20, "") == (real_id("1" * 20), real_id("1" * 21))


@pytest.mark.parametrize("said", ["9e999999", "1" * 30, "1_0", "\u0661", "nan", "-1", "", "."])
def test_an_amount_is_what_arithmetic_bears(said: str) -> None:
    """Two partial sums of 9e999999 raised decimal.Overflow; what Python reads as a number is more than an amount."""
    assert amount(said) is None
    parts = [{"approvedAmount": said or "."}, {"approvedAmount": said or "."}]
    told: dict[str, Any] = approval(splitTenderPayments=parts)
    assert isinstance(judged(told), Unknown)


@pytest.mark.parametrize(
    "said", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00", "1999-12-31"]
)
def test_a_time_beyond_our_years_is_none(said: str) -> None:
    """Where a batch would settle was reckoned from it, and left what a datetime holds: OverflowError in a look."""
    assert moment(said) is None
    assert datetime(2026, 11, 20, tzinfo=UTC) == moment("2026-11-20")


def test_a_total_of_thousands_of_digits_is_untold() -> None:
    """Python refuses to read such a number: the scan for all open questions ended with ValueError."""
    body = json.dumps({"totalNumInResultSet": "1" * 5_000, "messages": {"resultCode": "Ok"}})
    reading = Reading((), datetime(2026, 11, 20, tzinfo=UTC))
    reading.take(read_reply(body.encode(), Scrubber()))
    assert "rows of the list are missing: it told no total" == reading.gap(reading.since)


async def test_a_list_of_batches_without_end_is_not_read() -> None:
    """Each batch is a question of its own, and was looked for among all before it: a long list held the event loop."""
    many: dict[str, list[dict[str, Any]]] = {str(number): [NOTHING] for number in range(1, 5_002)}
    found = await found_in(Script(batches=many))
    assert isinstance(found, NotSeen)
    assert (False, "there are more settled batches than are read") == (found.complete, found.why)


async def test_a_walk_tells_numbers_that_the_journal_can_be_asked_for() -> None:
    """Any text stood in for a stranger's invoice number; PostgreSQL refuses one with a NUL, and the walk with it."""
    script = Script(unsettled=[page(row(1, invoice="A\0B"), row(2, invoice="OURS"))])
    async with scripted(script) as (gateway, _):
        since = datetime.now(UTC) - timedelta(hours=1)
        pages = [it async for it in gateway.walk("main", since=since)]
    assert [["", "OURS"]] == [[it.invoice_number for it in page] for page in pages]


def test_evidence_is_bounded() -> None:
    """A reply with thousands of messages was kept whole; all of them are judged, twenty are kept."""
    many = [{"errorCode": "2", "errorText": "no"}] * 3_000 + [{"errorCode": "11", "errorText": "?"}]
    verdict, evidence = judged_with_evidence(refusal("2") | {"errors": many})
    assert isinstance(verdict, Unknown)
    assert len(json.dumps(evidence)) < 4_000


def test_a_status_is_short() -> None:
    """A status of 300 signs stood in every sentence about the transaction."""
    details = read_details(
        read_reply(json.dumps(detailed(status="x" * 400)).encode(), Scrubber()),
        currency="USD",
        scrubber=Scrubber(),
    )
    assert (64, Standing.UNCLEAR) == (len(details.status), details.standing)
