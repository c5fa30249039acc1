"""A slice of a campaign on real parts: seconds instead of minutes, and every kind of victim once. Claims only here."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.campaign.campaign import Played, play
from tests.campaign.claims import Breach
from tests.campaign.fault_plan import Fault, FaultKind
from tests.campaign.ground import grounded
from tests.campaign.judging import judged
from tests.campaign.report import Report
from tests.campaign.terms import terms_of
from worker.demo.stage import open_stage

# One that does not come to rest is told as a story, not cut off.
pytestmark = pytest.mark.timeout(600)

TERMS = terms_of(seed=7, payments=150, minutes=0.2, faults=9)
_K = FaultKind
FAULTS = (
    Fault(1.0, _K.WORKER_KILLED, "w1", 0.5),
    Fault(1.5, _K.WORKER_FROZEN, "w2", 1.2 * TERMS.lease_s),
    Fault(2.0, _K.GATEWAY_FAILS, "gateway", 1.0),
    Fault(3.5, _K.BATCH_SETTLES, "the night", 0.0),
    Fault(4.0, _K.GATEWAY_SILENT, "gateway", 1.0),
    Fault(5.0, _K.DB_SERVICE_KILLED, "db-service", 0.5),
    Fault(6.0, _K.BROKER_KILLED, "broker", 0.0),
    Fault(7.0, _K.POSTGRES_KILLED, "postgres", 0.0),
    Fault(9.0, _K.WORKER_LEAVES, "w3", 0.5),
)


@dataclass(frozen=True, slots=True)
class Slice:
    """The campaign at rest, and what was found in it."""

    played: Played
    report: Report


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slice]:
    """Played once for all claims."""
    folder = tmp_path_factory.mktemp("stage")
    with open_stage(folder, seed=TERMS.seed) as base, grounded(base, TERMS) as ground:
        played = play(ground, FAULTS, say=print)
        yield Slice(played, judged(played))


def test_a_slice_ends_with_equal_books(campaign: Slice) -> None:
    """Every victim met its fault, and nothing is charged twice, lost, told twice or left undecided."""
    report = campaign.report
    assert [] == list(map(str, report.differences))
    assert dict.fromkeys(map(str, Breach), 0) == report.breaches()
    assert {it.kind.value: 1 for it in FAULTS} == dict(report.faults)
    assert report.take_overs > 0
    assert report.unknowns.told == report.unknowns.decided
    assert TERMS.payments <= report.states.total() + len(campaign.played.day.nobodies)
    assert "The books are equal." in report.lines()


def test_a_difference_comes_with_its_story(campaign: Slice) -> None:
    """A charge that somebody makes once more under a payment's description is told, with all that is known of it."""
    stage = campaign.played.ground.stage
    [paid, *_] = [
        row
        for row in stage.ledger()
        if row["status"] == "settledSuccessfully" and row["type"] == "authCaptureTransaction"
    ]
    once_more(campaign, description=paid["description"])
    report = judged(campaign.played, reconciles=False)
    assert 1 == report.breaches()["charged twice"]
    [twice] = [it for it in report.differences if it.breach is Breach.CHARGED_TWICE]
    story = "\n".join(report.stories[twice.payment_id])
    for part in ("admitted", "evidence", paid["transId"], "event", "faults that met it"):
        assert part in story
    assert report.again in list(report.lines())[-1]


def once_more(campaign: Slice, *, description: str) -> None:
    """A charge by another program."""
    environment = campaign.played.ground.stage.environment
    key = Path(environment["WORKER_GATEWAY_TRANSACTION_KEY_FILE"]).read_text().strip()
    means = {"dataDescriptor": "COMMON.ACCEPT.INAPP.PAYMENT", "dataValue": "by hand"}
    body = {
        "createTransactionRequest": {
            "merchantAuthentication": {
                "name": environment["WORKER_GATEWAY_LOGIN"],
                "transactionKey": key,
            },
            "transactionRequest": {
                "transactionType": "authCaptureTransaction",
                "amount": "9.99",
                "payment": {"opaqueData": means},
                "order": {"invoiceNumber": "by hand", "description": description},
            },
        }
    }
    url = environment["WORKER_GATEWAY_URL"]
    httpx.post(url, json=body, timeout=10, trust_env=False).raise_for_status()
