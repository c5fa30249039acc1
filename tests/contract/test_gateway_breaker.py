"""The breaker in front of the gateway's slots: when it turns calls away, and who may try whether it works again."""

import json

import pytest

from handlers.domain.errors import Unavailable
from handlers.domain.verdicts import Unsent
from handlers.gateway.authorizenet.client import AuthorizeNet
from tests.contract.gateway_fixtures import (
    APPROVAL,
    CHARGE,
    FixedLease,
    client,
    server_error,
    settings,
)
from tests.contract.raw_server import Connection, http, raw_server
from tests.waiting import until


def takes_calls(gateway: AuthorizeNet) -> bool:
    """What intake asks (a call, so that the type checker does not remember the answer)."""
    return gateway.available


async def test_the_breaker_turns_calls_away_and_lets_one_try() -> None:
    """After so many failures in a row slots are refused at once; later one call tries, and success closes it."""
    working = False

    async def sometimes(connection: Connection) -> None:
        while True:
            await connection.request()
            status = "200 OK" if working else "503 Service Unavailable"
            await connection.say(http(APPROVAL, status=status))

    async with raw_server(sometimes) as heard:
        config = settings(heard.url, breaker_after=3, breaker_first_open_s=1.0)
        async with client(config) as gateway:
            for _ in range(3):
                assert takes_calls(gateway)
                async with gateway.slot("main"):
                    await gateway.send(CHARGE)
            assert not takes_calls(gateway)
            with pytest.raises(Unavailable, match="gateway"):
                async with gateway.slot("main"):
                    pytest.fail("the breaker is open")
            working = True
            await until(lambda: gateway.available)
            async with gateway.slot("main"):
                assert not takes_calls(gateway)
                with pytest.raises(Unavailable):
                    async with gateway.slot("main"):
                        pytest.fail("one is trying already")
                await gateway.send(CHARGE)
            assert takes_calls(gateway)
    assert heard.requests == 4


def works(gateway: AuthorizeNet) -> bool:
    """What health shows (a call, for the same reason)."""
    return gateway.answers


async def test_what_health_shows_waits_for_a_call_that_succeeded() -> None:
    """Regression: with a hung gateway `health --ready` said ready each time that one call was let through to try."""
    working = False

    async def sometimes(connection: Connection) -> None:
        while True:
            await connection.request()
            status = "200 OK" if working else "503 Service Unavailable"
            await connection.say(http(APPROVAL, status=status))

    noticed: list[tuple[str, int, str]] = []

    def notice(account: str, *, failed: int, why: str) -> None:
        noticed.append((account, failed, why))

    async with raw_server(sometimes) as heard:
        config = settings(heard.url, breaker_after=2, breaker_first_open_s=0.05)
        gateway = AuthorizeNet(config, lease=FixedLease(), noticed=notice)
        for _ in range(4):  # the last two are tries of an open breaker
            await until(lambda: gateway.available)
            async with gateway.slot("main"):
                await gateway.send(CHARGE)
        await until(lambda: gateway.available)
        assert not works(gateway)
        assert [("main", 2, "The gateway answered HTTP 503.")] == noticed
        working = True
        async with gateway.slot("main"):
            await gateway.send(CHARGE)
        assert works(gateway)
        assert [("main", 0, "")] == noticed[1:]
        await gateway.aclose()


async def test_a_try_that_never_sent_leaves_the_try_to_the_next() -> None:
    """A slot that was taken half open and given back unused does not lock the breaker."""
    async with raw_server(server_error) as heard:
        config = settings(heard.url, breaker_after=1, breaker_first_open_s=0.05)
        async with client(config) as gateway:
            async with gateway.slot("main"):
                await gateway.send(CHARGE)
            await until(lambda: gateway.available)
            async with gateway.slot("main"):
                pass
            assert takes_calls(gateway)


async def test_refused_credentials_open_the_breaker_at_once() -> None:
    """A wrong key would burn one payment id after the other: intake pauses, and the payment waits, undeclined.

    Regression: the customer was told of a decline, and the payment id was burned, while only our own key was wrong.
    """
    refused = {
        "messages": {
            "resultCode": "Error",
            "message": [{"code": "E00007", "text": "Invalid authentication values."}],
        }
    }

    async def lock_out(connection: Connection) -> None:
        await connection.request()
        await connection.say(http(json.dumps(refused).encode()))

    async with (
        raw_server(lock_out) as heard,
        client(settings(heard.url, breaker_after=50)) as gateway,
    ):
        assert takes_calls(gateway)
        async with gateway.slot("main"):
            answer = await gateway.send(CHARGE)
        assert isinstance(answer.verdict, Unsent)
        assert "E00007" in answer.verdict.why
        assert not takes_calls(gateway)
