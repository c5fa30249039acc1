"""Claims about each verb on real parts, from the published command to the events that a consumer reads; then mixed."""

from collections.abc import Iterator

import pytest

from db_client.audit import read_journal
from handlers.domain.commands import Mode
from tests.acceptance import mixed_load
from tests.acceptance.front_door import STRICT, FrontDoor, front_door
from tests.crash.installation import installed
from worker.demo.stage import Stage


@pytest.fixture(scope="module")
def door(base: Stage) -> Iterator[FrontDoor]:
    """A worker that looks at orders, and who listens to it."""
    with installed(base, "verbs") as installation:
        installation.worker("worker", settings=STRICT)
        found = front_door(installation)
        try:
            yield found
        finally:
            found.ear.tail.close()


def told(door: FrontDoor, payment_id: str) -> list[tuple[str, str, str, str]]:
    """Each snapshot of a payment: its status and state, and the request's kind and status."""
    return [
        (
            record["payment_status"],
            record["state"],
            (record["request"] or {}).get("kind", ""),
            (record["request"] or {}).get("request_status", ""),
        )
        for record in door.ear.statuses[payment_id]
    ]


def others_hear(
    door: FrontDoor, payment_id: str, *, orders: list[str], notices: list[str] | None = None
) -> None:
    """What orders and the customer are told, in its order; another topic's records may come a moment later."""
    ear = door.ear
    assert ear.hears(lambda: len(ear.orders[payment_id]) >= len(orders))
    assert orders == ear.orders[payment_id]
    if notices is not None:
        assert ear.hears(lambda: len(ear.notices[payment_id]) >= len(notices))
        assert notices == [it["template"] for it in ear.notices[payment_id]]


def test_a_capture_in_part(door: FrontDoor) -> None:
    """Authorised, then a part captured once; a second capture is refused and says what to do; it stays paid."""
    payment = door.new(mode=Mode.AUTHORISE)
    minor = payment.money.amount_minor // 3
    door.ask(payment, door.shop.capture("c1", payment, minor=minor))
    assert door.ear.hears(lambda: door.ear.request("verbs-c1") == "processed")
    door.ask(door.shop.capture("c2", payment))
    assert door.ear.hears(lambda: door.ear.request("verbs-c2") == "failed")

    name = payment.payment_id
    assert [
        ("SUCCESS", "authorized", "", ""),
        ("SUCCESS", "captured", "capture", "PROCESSED"),
        ("SUCCESS", "captured", "capture", "FAILED"),
    ] == told(door, name)
    assert [1, 2, 3] == [it["version"] for it in door.ear.statuses[name]]
    assert minor == door.ear.statuses[name][-1]["captured_minor"]
    notices = ["PAYMENT_AUTHORIZED", "PAYMENT_RECEIVED"]
    others_hear(door, name, orders=["AUTHORIZED", "PAID"], notices=notices)
    [refused] = door.ear.blocks("verbs-c2")
    assert "worker.captured_already" == refused["reason_code"]
    assert "Start a new payment" in refused["reason_text"]


def test_a_void(door: FrontDoor) -> None:
    """An authorisation is voided, the order canceled; a void of what is void is a success that says so."""
    payment = door.new(mode=Mode.AUTHORISE)
    door.ask(payment)
    assert door.ear.hears(lambda: door.ear.state(payment.payment_id) == "authorized")
    door.ask(door.shop.void("v1", payment))
    assert door.ear.hears(lambda: door.ear.request("verbs-v1") == "processed")
    door.ask(door.shop.void("v2", payment))
    assert door.ear.hears(lambda: door.ear.request("verbs-v2") == "processed")

    name = payment.payment_id
    assert [
        ("SUCCESS", "authorized", "", ""),
        ("FAILURE", "voided", "void", "PROCESSED"),
        ("FAILURE", "voided", "void", "PROCESSED"),
    ] == told(door, name)
    notices = ["PAYMENT_AUTHORIZED", "PAYMENT_CANCELED"]
    others_hear(door, name, orders=["AUTHORIZED", "CANCELED"], notices=notices)
    assert "worker.voided_already" == door.ear.blocks("verbs-v2")[0]["reason_code"]
    assert ("voided", 0) == tuple(door.charge(payment)[it] for it in ("status", "capturedMinor"))


def test_a_full_refund_before_settlement(door: FrontDoor) -> None:
    """The whole of an unsettled charge goes back as a void at the gateway, and is told as a refund all the same."""
    payment = door.new()
    door.ask(payment, door.shop.refund("whole", payment))
    assert door.ear.hears(lambda: door.ear.request("verbs-whole") == "processed")

    name = payment.payment_id
    last = door.ear.statuses[name][-1]
    assert ("refunded", payment.money.amount_minor) == (last["state"], last["refunded_minor"])
    assert {
        "refund_id": "verbs-whole",
        "amount_minor": payment.money.amount_minor,
        "refund_status": "PROCESSED",
        "reason": "returned",
    } == last["refund"]
    notices = ["PAYMENT_RECEIVED", "PAYMENT_REFUNDED"]
    others_hear(door, name, orders=["PAID", "REFUNDED"], notices=notices)
    assert "voided" == door.charge(payment)["status"]


def test_refunds_in_part(door: FrontDoor) -> None:
    """A part waits for the settlement, told as initiated with its time; then it goes out, and no more than is left."""
    payment = door.new()
    minor, name = payment.money.amount_minor, payment.payment_id
    door.ask(payment, door.shop.refund("first", payment, minor=minor // 2))
    assert door.ear.hears(lambda: door.ear.request("verbs-first") == "deferred")
    [waiting] = door.ear.blocks("verbs-first")
    assert ("INITIATED", "worker.waits_for_settlement") == (
        waiting["request_status"],
        waiting["reason_code"],
    )
    assert waiting["due_at"] is not None
    others_hear(door, name, orders=["PAID"], notices=["PAYMENT_RECEIVED", "REFUND_WAITING"])
    door.ask(door.shop.refund("too-much", payment, minor=minor))
    assert door.ear.hears(lambda: door.ear.request("verbs-too-much") == "failed")
    door.settle()
    assert door.ear.hears(lambda: door.ear.request("verbs-first") == "processed")
    door.ask(door.shop.refund("rest", payment, minor=minor - minor // 2))
    assert door.ear.hears(lambda: door.ear.request("verbs-rest") == "processed")

    assert [
        ("SUCCESS", "captured", "", ""),
        ("SUCCESS", "captured", "refund", "INITIATED"),
        ("SUCCESS", "captured", "refund", "FAILED"),
        ("SUCCESS", "partially_refunded", "refund", "PROCESSED"),
        ("SUCCESS", "refunded", "refund", "PROCESSED"),
    ] == told(door, name)
    others_hear(door, name, orders=["PAID", "PARTIALLY_REFUNDED", "REFUNDED"])
    [refused] = door.ear.blocks("verbs-too-much")
    assert "worker.above_captured" == refused["reason_code"]
    assert f"{minor} minor units are more than" in refused["reason_text"]
    assert minor == sum(
        row["amountMinor"]
        for row in door.stage.ledger()
        if row["refTransId"] == door.charge(payment)["transId"]
    )


def test_a_refund_whose_answer_is_lost(door: FrontDoor) -> None:
    """It is told as initiated, asked for, found, and at the gateway once; the customer hears of no failure."""
    payment = door.new()
    door.ask(payment)
    assert {payment.payment_id: "captured"} == door.ear.stand({payment.payment_id: "captured"})
    door.settle()
    door.script(
        {
            "match": {
                "transactionType": "refundTransaction",
                "refTransId": door.charge(payment)["transId"],
            },
            "fault": "lost_answer",
        }
    )
    door.ask(door.shop.refund("lost", payment))
    assert door.ear.hears(lambda: door.ear.request("verbs-lost") == "processed")

    assert ["unknown", "processed"] == [it["state"] for it in door.ear.blocks("verbs-lost")]
    notices = ["PAYMENT_RECEIVED", "REFUND_WAITING", "PAYMENT_REFUNDED"]
    others_hear(door, payment.payment_id, orders=["PAID", "REFUNDED"], notices=notices)
    rows = [it for it in door.stage.ledger() if it["refTransId"] == door.charge(payment)["transId"]]
    assert [payment.money.amount_minor] == [row["amountMinor"] for row in rows]


def test_a_verification(door: FrontDoor) -> None:
    """Who asks about a payment whose answer was lost is answered with what the gateway shows; so is who asks later."""
    payment = door.new()
    door.script({"match": {"description": payment.description}, "fault": "lost_answer"})
    door.ask(payment, door.shop.verification("q1", payment))
    asked = "verification:verbs-q1"
    assert door.ear.hears(lambda: door.ear.state(payment.payment_id) == "captured")
    assert door.ear.hears(
        lambda: asked in door.ear.answered or door.ear.request("verbs-q1") == "processed"
    )
    door.ask(door.shop.verification("q2", payment))
    assert door.ear.hears(lambda: door.ear.request("verbs-q2") == "processed")

    states = [it["state"] for it in door.ear.statuses[payment.payment_id]]
    assert ["unknown", "captured"] == list(dict.fromkeys(states))
    others_hear(door, payment.payment_id, orders=["PAID"])
    assert "worker.verified" == door.ear.blocks("verbs-q2")[0]["reason_code"]


def test_a_test_of_means(door: FrontDoor) -> None:
    """A means of payment is found good by an authorisation of nothing, which the worker voids by itself."""
    door.numbers += 1
    payment = door.shop.test_of_means(door.numbers)
    door.ask(payment)
    assert door.ear.hears(lambda: len(door.ear.statuses[payment.payment_id]) == 2)

    assert [
        ("SUCCESS", "verified", "", ""),
        ("SUCCESS", "verified", "void", "PROCESSED"),
    ] == told(door, payment.payment_id)
    others_hear(door, payment.payment_id, orders=[])
    row = door.charge(payment)
    assert ("authOnlyTransaction", 0, "voided") == (row["type"], row["amountMinor"], row["status"])


def test_an_early_void(door: FrontDoor) -> None:
    """A void that comes before its payment makes the payment a refusal, and is done; nothing comes to the gateway."""
    payment = door.new()
    door.ask(door.shop.void("early", payment))
    assert door.ear.hears(lambda: _waits(door))
    door.ask(payment)
    assert door.ear.hears(lambda: door.ear.request("verbs-early") == "processed")

    assert [
        ("FAILURE", "refused", "", ""),
        ("FAILURE", "refused", "void", "PROCESSED"),
    ] == told(door, payment.payment_id)
    assert "worker.voided_before" == door.ear.statuses[payment.payment_id][0]["reason_code"]
    assert not [it for it in door.stage.ledger() if it["description"] == payment.description]


def _waits(door: FrontDoor) -> bool:
    """Whether a request waits for its payment: seen where an operator sees it."""
    requests = read_journal(door.stage.journal_url).requests
    return any(it.stage == "queued" and it.request_id == "verbs-early" for it in requests)


def test_a_mixed_day(base: Stage) -> None:
    """All verbs at once, poison, lost answers, a killed worker, the batch in the middle: quiet and equal at the end."""
    with installed(base, "mixed") as installation:
        day = mixed_load.planned(installation, seed=1, payments=300)
        verdict = mixed_load.play(installation, day)

    assert [] == verdict.differences
    assert [] == verdict.waiting
    assert len(day.payments) == verdict.states.total()
    kinds = {"capture", "void", "refund", "verification"}
    assert {(kind, "processed") for kind in kinds} <= set(verdict.requests)
    assert {"captured", "voided", "refunded", "partially_refunded", "verified", "refused"} <= set(
        verdict.states
    )
    assert sum(cue.poison for cue in day.cues) == verdict.dead_letters["unreadable"]
    assert len(day.nobodies) == verdict.dead_letters["payment_unknown"]
