"""A desk of one's own at the gateway, for a program that only reads: it holds no lease, so it can send no charge.

Who reads a list of a hundred pages must not give up over one: what got no answer, or found the gateway busy, is asked
again, a few times.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, assert_never

from handlers.gateway.authorizenet.elements import Members, encode
from handlers.gateway.authorizenet.exchange import Exchange, Heard, NotSent, Silence
from handlers.gateway.authorizenet.gate import Gate
from handlers.gateway.authorizenet.replies import Reply, Scrubber, UnreadableError, read_reply
from handlers.gateway.authorizenet.scanning import Trouble
from handlers.gateway.authorizenet.settings import Account, AuthorizeNetSettings

_TRIES: Final = 3
_BUSY: Final = frozenset({"", "E00001", "E00049", "E00053", "E00104", "E00133"})


class _NoLease:
    """Lets nothing pass that moves money."""

    def remaining_s(self) -> float:
        return 0.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ReadingDesks:
    """The connections to the gateway, and a desk for each account. Used in one event loop, then closed."""

    def __init__(
        self,
        settings: AuthorizeNetSettings,
        *,
        now: Callable[[], datetime] = _utc_now,
        pause_s: float = 1.0,
    ) -> None:
        self._settings = settings
        self._now = now
        self._pause_s = pause_s
        self._exchange = Exchange(settings, Gate(_NoLease(), margin_s=settings.margin_s))

    def desk(self, merchant_account: str) -> "ReadingDesk":
        """Where this account is asked; it is one of the settings'."""
        account = self._settings.accounts[merchant_account]
        scrubber = Scrubber([account.transaction_key, account.login])
        return ReadingDesk(self._exchange, account, scrubber, self._now, self._pause_s)

    def shared(self) -> Sequence[Sequence[str]]:
        """The accounts' names, those of one login together: it has the same lists under each of them."""
        found: dict[str, list[str]] = {}
        for name, account in self._settings.accounts.items():
            found.setdefault(account.login.reveal(), []).append(name)
        return list(found.values())

    async def aclose(self) -> None:
        """Close the connections."""
        await self._exchange.aclose()


@dataclass(frozen=True, slots=True)
class ReadingDesk:
    """One account's desk, for questions only."""

    exchange: Exchange
    account: Account
    scrubber: Scrubber
    now: Callable[[], datetime]
    pause_s: float

    async def asked(self, request: Members) -> Reply | Trouble:
        """The reply to `request`; Trouble where none came in a few tries, or the gateway refused it."""
        body = encode(request)
        for number in range(1, _TRIES):
            said = await self._once(body)
            if not isinstance(said, Trouble) or said.code not in _BUSY:
                return said
            await asyncio.sleep(number * self.pause_s)
        return await self._once(body)

    async def _once(self, body: bytes) -> Reply | Trouble:
        result = await self.exchange.post(body, guarded=False)
        match result:
            case Heard(answer):
                try:
                    reply = read_reply(answer, self.scrubber)
                except UnreadableError:
                    return Trouble("the gateway's answer could not be read")
            case NotSent(why):
                return Trouble(f"the question was not sent: {why}")
            case Silence(_, said):
                return Trouble(said)
            case _:
                assert_never(result)
        if reply.ok:
            return reply
        told = reply.first
        return Trouble(f"the gateway refused to tell: {told.code} {told.text}".strip(), told.code)
