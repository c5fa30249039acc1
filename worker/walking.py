"""The finder's walk through the gateway's lists: what happened there without us comes in as a verification.

A charge settles, a bank transfer comes back, an authorisation runs out, somebody voids in the merchant interface, a
charge shows up after its payment was told as failed: each row that says more than we know makes a verification of its
payment, admitted like any command, so that it stands in the payment's line and goes through the one passage. What
settled carries its row, for there may be a hundred thousand a night; all else is looked at once more in its details.
The same row makes the same verification, which is admitted once.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, NoReturn

from db_client.group_commit import GroupCommit, JournalRefusedError
from db_client.moves import FINDER_TOPIC_ID, Admission, Admit, Held, Source, Walked
from db_client.observing import Expired, Known, Observations
from handlers.domain.commands import Settlement, VerifyPayment
from handlers.domain.errors import Unavailable
from handlers.domain.facts import Entry, Standing
from handlers.domain.states import TRANSITIONS, UNDECIDED, Fact, PaymentState
from handlers.ports import Lists
from handlers.verify import FACTS
from worker.crew import Crew
from worker.own_signature import sign
from worker.telemetry import log

_LAG: Final = timedelta(hours=1)  # how late a row may show up in a list
_FIRST: Final = timedelta(days=2)  # how far back an account is walked that never was
_A_SECOND: Final = 100
_ASKED_BY_ITSELF: Final = UNDECIDED | {PaymentState.REQUESTED}
# That answer says only that it was charged, and a batch is not read a second time: this is asked behind it.
_BEHIND_IT: Final = frozenset({Standing.SETTLED, Standing.RETURNED, Standing.CHARGED_BACK})
_LIVE: Final = frozenset({Standing.RESERVED, Standing.TAKEN, Standing.SETTLED, Standing.HELD})
_SEAL_CHARACTERS: Final = 12


def verification_of(entry: Entry, known: Known | None, *, now: datetime) -> VerifyPayment | None:
    """What a row of a list makes us ask; None where it is not ours, or says nothing that we do not know."""
    if known is None or entry.refunds or not _is_news(entry, known):
        return None
    settlement = None
    # Of another transaction than the one that we know, its details must say what it is.
    is_known = not _is_another(entry, known)
    if entry.standing is Standing.SETTLED and entry.money is not None and is_known:
        settlement = Settlement(entry.transaction_id, entry.money)
    return VerifyPayment(
        payment_id=known.payment_id,
        verification_id=f"seen-{entry.transaction_id}-{entry.standing}",
        issued_at=now,
        reason="seen in the gateway's lists",
        settlement=settlement,
        other="" if is_known or known.transaction_id is None else entry.transaction_id,
    )


def _is_another(entry: Entry, known: Known) -> bool:
    """Whether it is of another charge. What the bank returns has an id of its own, and is about the one we know."""
    return entry.standing is not Standing.RETURNED and known.transaction_id != entry.transaction_id


def _is_news(entry: Entry, known: Known) -> bool:
    is_another = known.transaction_id is not None and _is_another(entry, known)
    if is_another and known.state not in _ASKED_BY_ITSELF:
        return entry.standing in _LIVE  # charged a second time, or after all
    if entry.standing is Standing.DECLINED:
        return known.state is PaymentState.CAPTURED and known.transaction_id == entry.transaction_id
    if known.state in _ASKED_BY_ITSELF:
        return entry.standing in _BEHIND_IT
    fact = FACTS[entry.standing]
    if fact is None:
        return False
    if fact is Fact.SETTLED and known.state is PaymentState.AUTHORIZED:
        return True  # captured without us
    return TRANSITIONS.get((known.state, fact), known.state) is not known.state


def _ended(of: Expired, *, now: datetime) -> VerifyPayment:
    """Once a day, for it may have been renewed, or captured without us."""
    return VerifyPayment(
        payment_id=of.payment_id,
        verification_id=f"expired-{of.invoice_number}-{now:%Y%m%d}",
        issued_at=now,
        reason="its authorisation is past its time",
    )


@dataclass(frozen=True, slots=True)
class Walker:
    """Walks one account at a time for the finder."""

    lists: Lists
    observations: Observations
    commits: GroupCommit
    crew: Crew
    now: Callable[[], datetime]
    signing_key: bytes = field(repr=False)

    async def walk(self, held: Held) -> None:
        """From where the last walk ended until now. What could not be read is walked again the next time."""
        began, account = self.now(), held.merchant_account
        since = (held.walked_until or began - _FIRST) - _LAG
        asked = 0
        try:
            async for page in self.lists.walk(account, since=since):
                asked += await self._take(page)
            expired = await asyncio.to_thread(self.observations.expired, account)
            asked += await self._ask([_ended(it, now=began) for it in expired])
            await self.commits.write(Walked(account, began))
        except (Unavailable, JournalRefusedError) as unavailable:
            log.warning("the walk is not complete", what=account, why=str(unavailable))
            return
        if asked:
            log.info("seen in the gateway's lists", what=account, count=asked)

    async def _take(self, page: Sequence[Entry]) -> int:
        invoices = {it.invoice_number for it in page if it.invoice_number}
        known: Mapping[str, Known] = await asyncio.to_thread(self.observations.known, invoices)
        return await self._ask(list(self._worth_asking(page, known)))

    def _worth_asking(
        self, page: Sequence[Entry], known: Mapping[str, Known]
    ) -> Iterator[VerifyPayment]:
        for entry in page:
            found = verification_of(entry, known.get(entry.invoice_number), now=self.now())
            if found is not None:
                yield found

    async def _ask(self, verifications: Sequence[VerifyPayment]) -> int:
        """Admit them, no more a second than leaves the customers' commands their room."""
        if self.crew.crowded:
            raise Unavailable("the line", "so much waits that nothing is put behind it")
        if verifications:
            admissions = [_admission(self._sealed(it)) for it in verifications]
            await self.commits.write(Admit(admissions, [], {}))
            await asyncio.sleep(len(verifications) / _A_SECOND)
        return len(verifications)

    def _sealed(self, verification: VerifyPayment) -> VerifyPayment:
        """Under an id that nobody else can have used before: transaction ids are told, so the rest could be guessed."""
        name = verification.verification_id
        key = verification.payment_id.encode()
        seal = sign(self.signing_key, topic=FINDER_TOPIC_ID, record_key=key, value=name.encode())
        return replace(verification, verification_id=f"{name}-{seal[:_SEAL_CHARACTERS].decode()}")


def _admission(verification: VerifyPayment) -> Admission:
    """The same verification has the same source, so that a second one is nothing new."""
    name = hashlib.sha256(verification.operation_id.encode()).digest()
    offset = int.from_bytes(name[:8], "big") >> 1
    source = Source(topic=FINDER_TOPIC_ID, topic_id=FINDER_TOPIC_ID, partition=0, offset=offset)
    return Admission(
        command=verification,
        source=source,
        since=None,
        traceparent="",
        suspect=False,
        conflict=_never,
        refused=_never,
    )


def _never() -> NoReturn:
    raise AssertionError(
        "what the finder asks has one source for ever, and was checked when it was made"
    )
