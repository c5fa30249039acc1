"""Claims about the campaign's own parts: its plan and terms, its bridge, its measures. The course is next door."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

import pytest

from avro import catalog
from db_client.audit import JournalBook
from tests.acceptance.mixed_load import Day
from tests.campaign.bridge import Bridge, bridged
from tests.campaign.claims import Books, Breach, Row, broken
from tests.campaign.fault_plan import OUTAGES, FaultKind, drawn
from tests.campaign.hearing import Decision, Heard, answered_s, decisions
from tests.campaign.report import unknowns_of
from tests.campaign.terms import Terms, terms_of
from tests.waiting import wait_until
from worker.config import read_settings
from worker.demo import ports
from worker.kafka_admin import Seen

FULL = terms_of(seed=7, payments=10_000, minutes=30)
LENGTHS = [
    FULL,
    terms_of(seed=1, payments=3000, minutes=10),
    terms_of(seed=1, payments=500, minutes=3),
    terms_of(seed=1, payments=150, minutes=0.2),
]


def test_a_seed_is_a_plan() -> None:
    """The same seed draws the same faults, another seed others."""
    assert drawn(FULL) == drawn(FULL)
    assert drawn(FULL) != drawn(terms_of(seed=8, payments=10_000, minutes=30))


@pytest.mark.parametrize("terms", LENGTHS, ids=lambda it: f"{it.payments} payments")
def test_every_kind_happens_in_time(terms: Terms) -> None:
    """At least one fault for each hundred payments, each kind among them, in order, within the campaign's time."""
    faults = drawn(terms)
    assert terms.faults == len(faults) >= terms.payments / 100
    assert set(FaultKind) == {it.kind for it in faults}
    times = [it.at_s for it in faults]
    assert sorted(times) == times
    assert 0 <= times[0] <= times[-1] <= terms.lasts_s


def test_the_full_campaign_has_outages_of_minutes() -> None:
    """A hundred faults and more, outages that last one to some minutes, and in all not most of the time."""
    faults = drawn(FULL)
    away_s = [it.lasts_s for it in faults if it.kind in OUTAGES]
    assert len(faults) >= 100
    assert 60 <= min(away_s)
    assert 0.1 * FULL.lasts_s < sum(away_s) < 0.5 * FULL.lasts_s


@pytest.mark.parametrize("terms", LENGTHS, ids=lambda it: f"{it.payments} payments")
def test_the_settings_are_honest_between_each_other(terms: Terms) -> None:
    """A worker takes them, and what is late in the gateway's lists, or behind an outage, is waited for."""
    settings = read_settings(**terms.settings)
    assert terms.lag_s < settings.absence_after_s
    assert terms.outage_s[1] < settings.orphan_wait_s
    assert terms.lasts_s > terms.outage_s[1]


def talk(port: int) -> bytes:
    """What comes back for a greeting; raises ConnectionError or TimeoutError."""
    with socket.create_connection(("127.0.0.1", port), timeout=0.3) as connection:
        connection.sendall(b"hello")
        return connection.recv(100)


@contextmanager
def echoing() -> Iterator[int]:
    """A server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(connection.recv(100))

        thread = Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture(name="bridge")
def _bridge() -> Iterator[Bridge]:
    with echoing() as port, bridged(port) as bridge:
        yield bridge


def test_a_bridge_leads_refuses_and_is_silent(bridge: Bridge) -> None:
    """Open it hands on, closed it refuses, silent it takes and never answers; after each it can be opened again."""
    assert b"hello" == talk(bridge.port)
    bridge.refuse()
    with pytest.raises(ConnectionRefusedError):
        talk(bridge.port)
    bridge.open()
    assert b"hello" == talk(bridge.port)
    bridge.silence()
    with pytest.raises(TimeoutError):
        talk(bridge.port)
    bridge.open()
    assert b"hello" == talk(bridge.port)


def test_a_bridge_leads_elsewhere(bridge: Bridge) -> None:
    """A server that came back on another port is reached on the old one."""
    [nobody] = ports.free_ports(1)
    bridge.open(nobody)
    with suppress(ConnectionError):
        assert b"" == talk(bridge.port)
    with echoing() as port:
        bridge.open(port)
        assert b"hello" == talk(bridge.port)


def test_what_a_silence_swallowed_never_arrives(bridge: Bridge) -> None:
    """A connection that met it is broken at its end."""
    bridge.silence()
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=5) as connection:
        connection.sendall(b"hello")
        wait_until(lambda: bool(bridge._connections))
        bridge.open()
        with suppress(ConnectionError):
            assert b"" == connection.recv(100)


def heard(version: int, state: str, *, at: float, **record: Any) -> Heard:
    """A snapshot of one payment."""
    told = {"payment_id": "campaign-000001", "version": version, "state": state, "request": None}
    headers = {"ce_id": f"event-{version}".encode()}
    seen = Seen("payment_status", 0, version, b"campaign-000001", b"", headers, round(1000 * at))
    return Heard(catalog.PAYMENT_STATUS, seen, {**told, **record})


def test_outages_do_not_count_for_a_decision() -> None:
    """An unknown of ten seconds, four of them without a gateway, took six; one without an end took for ever."""
    asked = {"kind": "refund", "request_id": "r1", "state": "unknown"}
    told = [
        heard(1, "unknown", at=100),
        heard(2, "captured", at=110),
        heard(3, "captured", at=120, request=asked),
    ]
    found = decisions(told, [(90, 102), (104, 106)])
    assert [
        Decision("campaign-000001", "payment", 100.0, 6.0),
        Decision("campaign-000001", "refund r1", 120.0, None),
    ] == found
    assert not unknowns_of(found).holds
    assert unknowns_of(found[:1]).holds
    assert 0 == answered_s(5, 6, outages=[(0, 10)])


NOBODY = Day((), (), frozenset({"campaign-000001"}), frozenset())
EMPTY = JournalBook([], 0, ())


def charge(transaction_id: str, status: str = "settledSuccessfully") -> Row:
    """A row of the ledger."""
    return {
        "transId": transaction_id,
        "type": "authCaptureTransaction",
        "status": status,
        "description": "campaign 1",
        "capturedMinor": 10,
        "amountMinor": 10,
        "refTransId": "",
    }


@pytest.mark.parametrize(
    ("ledger", "told", "breaches"),
    [
        ([charge("1")], [heard(1, "captured", at=1)], []),
        ([charge("1"), charge("2")], [heard(1, "captured", at=1)], [Breach.CHARGED_TWICE]),
        ([charge("1"), charge("2", "voided")], [heard(1, "captured", at=1)], []),
        ([charge("1")], [], [Breach.LOST]),
        ([], [heard(1, "captured", at=1)] * 2, [Breach.TOLD_TWICE, Breach.TOLD_TWICE]),
        ([], [heard(2, "captured", at=1), heard(1, "unknown", at=2)], [Breach.TOLD_TWICE]),
    ],
)
def test_what_must_not_be_is_seen(
    ledger: list[Row], told: list[Heard], breaches: list[Breach]
) -> None:
    """Two live charges, a command without an answer, an event that came twice or too late: each is a difference."""
    books = Books(NOBODY, ledger, told, EMPTY)
    assert breaches == [it.breach for it in broken(books)]
