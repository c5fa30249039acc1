"""What the shop of a chain asks for: the payments that requests need, then one of each verb for every death. No claims.

The payments are made before the first death, so that nothing but what a volley asks for is in flight when a worker
dies. Refunds are of charges that have settled, full refunds of charges that have not.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from db_client.audit import read_journal
from handlers.domain.commands import Command, InitiatePayment, Mode
from tests.crash.installation import Installation, wait_until
from tests.crash.stations import IN_A_TAKE_OVER, Cell, Chain, Station, Verb
from worker import kafka_admin
from worker.demo.audit import is_at_rest, settings_of
from worker.demo.books import Asked
from worker.demo.shop import Shop

# What is undecided lies with any of two workers, and is gathered from the one that dies later.
_GATHERED_OF: Final = 8
_MODES: Final = {
    Verb.CAPTURE: Mode.AUTHORISE,
    Verb.VOID: Mode.AUTHORISE,
    Verb.REFUND: Mode.SALE,
    Verb.FULL_REFUND: Mode.SALE,
    Verb.VERIFICATION: Mode.SALE,
}
_REQUESTS: Final = {
    Verb.CAPTURE: "priorAuthCaptureTransaction",
    Verb.VOID: "voidTransaction",
    Verb.REFUND: "refundTransaction",
    Verb.FULL_REFUND: "voidTransaction",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """One command of a volley. `of`: the payment that a request is about."""

    verb: Verb
    command: Command
    of: InitiatePayment | None = None

    @property
    def operation_id(self) -> str:
        """The id of the work that it stands for."""
        return self.command.operation_id


@dataclass(frozen=True, slots=True)
class Volley:
    """What is asked for at one death. `victims`: the operations one of which is to pass the station."""

    cell: Cell
    pieces: tuple[Piece, ...] = ()
    victims: tuple[Piece, ...] = ()


@dataclass
class Asker:
    """The shop of one chain. `requests`: what was asked about payments."""

    installation: Installation
    requests: list[Asked] = field(default_factory=list)
    _shop: Shop = field(init=False)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self._shop = self.installation.shop()

    def volleys(self, chain: Chain) -> list[Volley]:
        """One for each death; that of a take-over is about what the death before it left behind."""
        made: list[Volley] = []
        for place, cell in enumerate(chain):
            if cell.station in IN_A_TAKE_OVER:
                made.append(Volley(cell, victims=made[-1].victims))
                continue
            verbs = [cell.verb] * _GATHERED_OF if cell.station is Station.GATHERED else list(Verb)
            pieces = tuple(
                self._piece(verb, f"{place}-{number}") for number, verb in enumerate(verbs)
            )
            victims = tuple(it for it in pieces if it.verb is cell.verb)
            made.append(Volley(cell, pieces, victims))
        return made

    def prepare(self, volleys: Iterable[Volley]) -> None:
        """Make the payments that the requests of these volleys are about, and settle those that must be."""
        pieces = [it for volley in volleys for it in volley.pieces]
        unsettled = {Verb.FULL_REFUND, Verb.VERIFICATION}
        late = {it.of.payment_id for it in _asking_early(volleys) if it.of is not None}
        first = [it.of for it in pieces if it.of is not None and it.verb not in unsettled]
        second = [it.of for it in pieces if it.of is not None and it.verb in unsettled]
        self._make(first)
        self.installation.stage.gateway("POST", "/settle", body={})
        self._make([it for it in second if it.payment_id not in late])

    def publish(self, commands: Iterable[Command]) -> None:
        """Ask for these, all at once."""
        records = []
        for command in commands:
            records.append(self._shop.record(command))
            if isinstance(command, InitiatePayment):
                self.installation.published.append(command.payment_id)
                continue
            asked = Asked(command.operation_id, command.payment_id, records[-1][0])
            self.requests.append(asked)
        kafka_admin.send(settings_of(self.installation.stage).kafka_properties(), records)

    def lose_answers(self, pieces: Iterable[Piece]) -> None:
        """The gateway does what these ask for, and nobody hears of it."""
        entries = self.installation.entries()
        rules = [
            {"match": _match(it, transaction_ids=entries), "fault": "lost_answer"} for it in pieces
        ]
        self.installation.stage.gateway("POST", "/script", body={"rules": rules})

    def _piece(self, verb: Verb, name: str) -> Piece:
        number, shop = next(self._numbers), self._shop
        if verb is Verb.SALE:
            return Piece(verb, shop.command(number))
        if verb is Verb.AUTHORISE:
            return Piece(verb, shop.command(number, mode=Mode.AUTHORISE))
        if verb is Verb.TEST_OF_MEANS:
            return Piece(verb, shop.test_of_means(number))
        payment = shop.command(number, mode=_MODES[verb])
        match verb:
            case Verb.CAPTURE:
                return Piece(verb, shop.capture(f"c{name}", payment), payment)
            case Verb.VOID:
                return Piece(verb, shop.void(f"v{name}", payment), payment)
            case Verb.REFUND:
                return Piece(verb, shop.refund(f"r{name}", payment), payment)
            case Verb.FULL_REFUND:
                return Piece(verb, shop.refund(f"w{name}", payment), payment)
            case _:
                return Piece(verb, shop.verification(f"q{name}", payment), payment)

    def _make(self, payments: Sequence[InitiatePayment]) -> None:
        self.publish(payments)

        def made() -> bool:
            book = read_journal(self.installation.stage.journal_url)
            return len(book.entries) >= len(self.installation.published) and is_at_rest(book)

        assert wait_until(made), "the payments before the first death are not made"


def asks_early(cell: Cell) -> bool:
    """Whether its verification asks about a payment that is still undecided: it makes the finder ask at once."""
    return cell == Cell(Verb.VERIFICATION, Station.ASKING)


def _asking_early(volleys: Iterable[Volley]) -> Iterator[Piece]:
    return (it for volley in volleys if asks_early(volley.cell) for it in volley.victims)


def _match(piece: Piece, *, transaction_ids: Any) -> dict[str, Any]:
    if isinstance(piece.command, InitiatePayment):
        return {"description": piece.command.description}
    assert piece.of is not None, "a request is about a payment"
    if piece.verb is Verb.VERIFICATION:
        return {"description": piece.of.description}
    return {
        "transactionType": _REQUESTS[piece.verb],
        "refTransId": transaction_ids[piece.of.payment_id].transaction_id,
    }
