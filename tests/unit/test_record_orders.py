"""Orders as the client reads them: what is believed, what is kept, and what one bad answer may not do.

Against a real server that says whatever the test writes. That orders arrive whole is shown in
`tests/contract/test_records_port.py`.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from db_client.order_shelf import Looked, OrderShelf
from db_client.service import DbService
from handlers.domain.commands import Address
from handlers.domain.errors import Unavailable
from handlers.domain.facts import Order
from handlers.domain.money import MAX_MINOR, Money
from tests.unit.scripted_service import SECRET_BODY, TOKEN, Behaviour, Request, both
from tests.waiting import until

ABSENT = {"type": "/problems/not_found", "code": "not_found"}
CARD = "4111 1111 1111 1111"


def order(**changes: Any) -> dict[str, Any]:
    """What the service has of `ord-1`."""
    return {
        "order_id": "ord-1",
        "customer": customer(),
        "status": "payable",
        "currency": "USD",
        "total_minor": 2199,
        "paid_minor": 0,
        "tax_minor": 200,
        "lines": [line()],
    } | changes


def customer(**changes: Any) -> dict[str, Any]:
    """Who ordered."""
    return {"user_id": "usr-1", "email": "ada@example.org"} | changes


def line(**changes: Any) -> dict[str, Any]:
    """What was ordered."""
    return {"sku": "tea-1", "name": "Tea", "quantity": 1, "unit_minor": 1999} | changes


def says(status: int, content: Any) -> Behaviour:
    """A server with one answer."""

    async def say(request: Request) -> None:
        await request.say(status, content)

    return say


async def look(client: DbService, order_id: str = "ord-1") -> Order | str | None:
    """The order, or why there is none to be had."""
    why = ""
    try:
        return await client.order(order_id)
    except Unavailable as unavailable:
        why = unavailable.why
    assert TOKEN not in why
    assert "not-for-texts" not in why
    return why


STRANGE: list[tuple[dict[str, Any], str]] = [
    ({"order_id": "ord-2"}, "order_id: must be the id"),
    ({"total_minor": "2199"}, "field total_minor"),
    ({"total_minor": 21.5}, "field total_minor"),
    ({"total_minor": -1}, "field total_minor"),
    ({"total_minor": MAX_MINOR + 1}, "field total_minor"),
    ({"paid_minor": None}, "field paid_minor"),
    ({"tax_minor": 2200}, "tax_minor: must be at most total_minor"),
    ({"currency": "XXX"}, "currency: must be an ISO 4217"),
    ({"status": "not-for-texts"}, "field status"),
    ({"customer": {"user_id": "usr-1"}}, "field customer.email"),
    ({"customer": customer(user_id="")}, "field customer.user_id"),
    ({"customer": customer(user_id="usr\n1")}, "customer.user_id: must not contain"),
    ({"customer": customer(email="e" * 256)}, "field customer.email"),
    (
        {"customer": customer(billing_address={"country": "not-for-texts"})},
        "billing_address.country",
    ),
    ({"customer": customer(billing_address={"street": CARD})}, "billing_address.address: holds"),
    ({"lines": [line(quantity=0)]}, "lines.quantity"),
    ({"lines": [line(sku="")]}, "lines.sku: must not be empty"),
    ({"lines": [line(sku="4111111111111111")]}, "lines.sku: holds"),
    ({"lines": [line(name=f"Tea {CARD}")]}, "lines.name: holds"),
    ({"lines": [line()] * 501}, "field lines"),
]


@pytest.mark.parametrize(("changes", "why"), STRANGE, ids=lambda value: str(value)[:40])
async def test_a_strange_order_is_named_and_holds_up_nobody(
    changes: dict[str, Any], why: str
) -> None:
    """What breaks a rule is told by field and rule, never by content, once, and the breaker stays closed."""
    async with both(says(200, order(**changes)), breaker_after=1) as (service, client):
        told = await look(client)
        assert isinstance(told, str)
        assert "order ord-1 cannot be used: " in told
        assert why in told
        assert CARD not in told
        assert client.available
        assert ["/orders/ord-1"] == service.gets


@pytest.mark.parametrize("content", [SECRET_BODY[:-1], b"\xff", b'{"x":' + b"[" * 100_000, b""])
async def test_an_answer_that_is_no_json_is_a_failing_service(content: bytes) -> None:
    """It is asked again, then told as unreadable; the breaker hears of it."""
    async with both(says(200, content), breaker_after=1, tries=2) as (service, client):
        assert "could not be read" in str(await look(client))
        assert 2 == len(service.gets)
        assert not client.available


async def test_new_fields_are_let_pass_and_descriptions_are_cleaned() -> None:
    """A field that we do not know and a line break in an address stop no payment."""
    street = {"street": " 1 Mill Road\r\nFlat 2\0 ", "since": 1899}
    body = order(
        customer=customer(first_name="Ada", last_name="L.", phone="1", billing_address=street),
        lines=[line(name="Tea\t100 g", colour="green")],
        weather="fine",
    )
    async with both(says(200, body)) as (_, client):
        told = await look(client)
        assert isinstance(told, Order)
        assert Money(2199, "USD") == told.money
        assert Address("Ada", "L.", address="1 Mill Road Flat 2", phone="1") == told.billing
        assert Address() == told.shipping
        assert "Tea 100 g" == told.lines[0].name


async def test_a_billing_address_keeps_its_own_name() -> None:
    """The customer's name is not mixed into an address that is somebody else's."""
    other = {"last_name": "Babbage"}
    body = order(customer=customer(first_name="Ada", last_name="L.", billing_address=other))
    async with both(says(200, body)) as (_, client):
        told = await look(client)
        assert isinstance(told, Order)
        assert ("", "Babbage") == (told.billing.first_name, told.billing.last_name)


@pytest.mark.parametrize("content", [b"", b"<html>", SECRET_BODY, {"code": "unknown_path"}])
async def test_only_the_service_itself_can_say_that_an_order_is_absent(content: Any) -> None:
    """A proxy's 404, or another server's, refuses no payment: it is a wrong address."""
    async with both(says(404, content)) as (_, client):
        assert "check the address" in str(await look(client))
    async with both(says(404, ABSENT), breaker_after=1) as (_, client):
        assert await look(client) is None
        assert client.available


async def test_an_order_is_asked_for_once_while_it_is_fresh() -> None:
    """Callers at once share one call, later ones what it brought; an absent order is asked for each time."""
    there: list[dict[str, Any]] = []

    async def answer(request: Request) -> None:
        await asyncio.sleep(0.02)
        await request.say(*((200, there[0]) if there else (404, ABSENT)))

    async with both(answer, order_cache_s=60) as (service, client):
        assert [None] * 20 == await asyncio.gather(*[look(client) for _ in range(20)])
        assert 1 == len(service.gets)
        there.append(order())
        told = await asyncio.gather(*[look(client) for _ in range(20)])
        assert 20 == sum(isinstance(one, Order) for one in told)
        assert told[0] == await look(client)
        assert 2 == len(service.gets)


async def test_a_caller_that_leaves_disturbs_nobody() -> None:
    """The others still get their order; one that fails is told to each, and not kept."""
    held = asyncio.Event()

    async def answer(request: Request) -> None:
        await held.wait()
        await request.say(*((200, order()) if service.gets[1:] else (400, b"")))

    async with both(answer) as (service, client):
        callers = [asyncio.create_task(look(client)) for _ in range(3)]
        await until(lambda: 1 == service.under_way)
        callers[0].cancel()
        held.set()
        told = await asyncio.gather(*callers[1:])
        assert all("openapi.yaml" in str(one) for one in told)
        assert isinstance(await look(client), Order)


async def test_questions_stand_in_line_without_being_silence() -> None:
    """More look-ups than are allowed at once wait their turn, and their wait is no fault of the service."""

    async def answer(request: Request) -> None:
        await asyncio.sleep(0.1)
        await request.say(200, order(order_id=request.path.rsplit("/", 1)[1]))

    async with both(answer, look_ups=2, timeout_s=0.9, breaker_after=1) as (service, client):
        # All of them take 1.2 s, longer than one may: with the wait counted the last ones would fail.
        told = await asyncio.gather(*[look(client, f"ord-{n}") for n in range(24)])
        assert all(isinstance(one, Order) for one in told)
        assert 2 == service.most_under_way


async def test_a_failing_service_is_asked_by_one_question_at_a_time_again() -> None:
    """Once the breaker is open nobody asks; then a single look-up tries, and what it hears decides for all."""
    held = asyncio.Event()

    async def answer(request: Request) -> None:
        if len(service.gets) == 1:
            await request.say(500, SECRET_BODY)
            return
        await held.wait()
        await request.say(200, order(order_id=request.path.rsplit("/", 1)[1]))

    async with both(answer, breaker_after=1, tries=1) as (service, client):
        assert "HTTP 500" in str(await look(client))
        assert "tried again" in str(await look(client))
        await until(lambda: client.available)
        trying = asyncio.create_task(look(client))
        await until(lambda: 1 == service.under_way)
        assert "tried again" in str(await look(client, "ord-2"))
        held.set()
        assert isinstance(await trying, Order)
        assert isinstance(await look(client, "ord-2"), Order)


async def test_closing_tells_who_waits_for_an_order() -> None:
    """Nobody hangs on a client that was closed."""

    async def say_nothing(_: Request) -> None:
        await asyncio.Event().wait()

    async with both(say_nothing) as (service, client):
        callers = [asyncio.create_task(look(client)) for _ in range(2)]
        await until(lambda: 1 == service.under_way)
        await client.aclose()
        assert ["its client was closed"] * 2 == await asyncio.gather(*callers)
        assert "its client was closed" == await look(client)


class Clock:
    """Stands where it is put."""

    def __init__(self) -> None:
        self.now_s = 0.0


def shelf(asked: list[str], clock: Clock, *, takes_s: Callable[[], float] = float) -> OrderShelf:
    """A shelf for two orders, each fresh for three seconds."""

    async def answer(order_id: str) -> Looked:
        asked.append(order_id)
        clock.now_s += takes_s()
        return Order(order_id, "usr-1", "payable", Money(1, "USD"))

    return OrderShelf(answer, keep_s=3.0, most=2, clock_s=lambda: clock.now_s)


async def test_the_shelf_is_bounded_in_number() -> None:
    """The oldest order makes room; the newer ones stay."""
    asked: list[str] = []
    kept = shelf(asked, Clock())
    for order_id in ("a", "b", "c", "c", "b", "a"):
        await kept.order(order_id)
    assert ["a", "b", "c", "a"] == asked


async def test_the_shelf_is_bounded_in_age() -> None:
    """An order grows old from the moment at which it was asked for, however long the answer took."""
    asked: list[str] = []
    clock = Clock()
    kept = shelf(asked, clock, takes_s=lambda: 2.0)
    await kept.order("a")
    clock.now_s += 0.9
    await kept.order("a")
    assert ["a"] == asked
    clock.now_s += 0.1
    await kept.order("a")
    assert ["a", "a"] == asked
