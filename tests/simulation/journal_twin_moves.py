"""Moves at random for the two journals, out of small numbers: few names, so that they meet. No claim lives here.

Whatever a worker may write stands here, and some that no worker should: stale versions, amounts above what there is,
invoice numbers and records that are used twice.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from hypothesis import strategies as st

from db_client.moves import (
    Admission,
    Admit,
    Answer,
    Conclude,
    DeadLetter,
    Open,
    Outrun,
    Park,
    Source,
)
from handlers.domain.commands import (
    CapturePayment,
    Command,
    InitiatePayment,
    Mode,
    RefundPayment,
    Ruling,
    VerifyPayment,
    VoidPayment,
)
from handlers.domain.intents import Capture, Charge, Intent, Question, Refund, Void
from handlers.domain.means import Means, OpaqueData, StoredProfile
from handlers.domain.money import Money
from handlers.domain.payments import News, Snapshot, learn
from handlers.domain.recovery import Stage
from handlers.domain.secret import Secret
from handlers.domain.states import Fact, PaymentState, RequestFact, RequestState
from handlers.domain.verdicts import Advice, Method, Reason
from handlers.ports import Operation, Wait
from tests.contract.journal_stage import DEADLINE_S, message
from tests.doubles.values import MIDNIGHT
from worker.routes import STATUS

SMALL: Final = st.integers(0, 2)
_DLQ: Final = "payments.dlq"
_MEANS: Final[tuple[Means, ...]] = (
    OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", Secret("one-time-token")),
    StoredProfile("123", "456"),
    StoredProfile("123", "456", security_code=Secret("999")),
)
_WHY: Final = Reason("1", "It was so.", Advice.HARD)
_USERS: Final = ("usr-0", "usr-1", "")


def initiation(payment: int, _name: int, *, variant: int) -> InitiatePayment:
    """A sale; `variant` 1 is the same once more, 2 another amount."""
    return InitiatePayment(
        payment_id=f"p{payment}",
        order_id=f"ord-{payment // 2}",
        user_id="usr-0",
        money=Money(1000 + (variant == 2), "EUR" if payment == 3 else "USD"),
        mode=Mode.SALE,
        means=_MEANS[payment % 3],
        issued_at=MIDNIGHT + timedelta(hours=variant),
    )


def capture(payment: int, name: int, *, variant: int) -> CapturePayment:
    """All of it, or some."""
    return CapturePayment(
        payment_id=f"p{payment}",
        capture_id=f"c{payment}-{name}",
        amount_minor=(None, 400, 900)[variant],
        issued_at=MIDNIGHT,
    )


def void(payment: int, name: int, *, variant: int) -> VoidPayment:
    """By the payment's user, a stranger, or a service that names none."""
    return VoidPayment(
        payment_id=f"p{payment}",
        void_id=f"v{payment}-{name}",
        user_id=_USERS[variant],
        issued_at=MIDNIGHT,
    )


def refund(payment: int, name: int, *, variant: int) -> RefundPayment:
    """Some of it or all; names count as refund and part."""
    return RefundPayment(
        payment_id=f"p{payment}",
        refund_id=f"r{payment}-{name // 2}",
        money=Money((300, 300, 1000)[variant], "USD"),
        continuation=1 + name % 2,
        issued_at=MIDNIGHT + timedelta(hours=variant),
        reason="it was broken",
    )


def question(payment: int, name: int, *, variant: int) -> VerifyPayment:
    """A verification; but for name 0 with a person's word about something."""
    abouts = ("", f"initiation:p{payment}", f"refund:r{payment}-0")
    ruling = Ruling(
        happened=False, by="ann", why="seen", about=abouts[variant], version=name % 2 + 1
    )
    return VerifyPayment(
        payment_id=f"p{payment}",
        verification_id=f"q{payment}-{name}-{variant}",
        ruling=ruling if name else None,
        issued_at=MIDNIGHT,
    )


COMMANDS: Final[st.SearchStrategy[Command]] = st.one_of(
    *(
        st.builds(of, st.integers(0, 3), SMALL, variant=SMALL)
        for of in (initiation, refund, question, void, capture)
    )
)


def letter(offset: int) -> DeadLetter:
    """A record that is no command."""
    return DeadLetter(_source(offset), message(f"dead {offset}", topic=_DLQ))


def _source(offset: int) -> Source:
    return Source("payments", "topic-1", offset % 2, offset)


def _admission(of: Command, *, offset: int, suspect: bool, since: datetime | None) -> Admission:
    return Admission(
        of,
        source=_source(offset),
        since=since,
        traceparent=f"00-{offset}",
        suspect=suspect,
        conflict=lambda: message(f"conflict {offset}", topic=_DLQ),
        refused=lambda: message(f"refused {offset}", topic=_DLQ),
    )


_PLACES: Final = st.dictionaries(
    st.tuples(st.just("payments"), st.sampled_from(["topic-1", "topic-2"]), st.integers(0, 1)),
    st.integers(0, 9),
    max_size=2,
)
_LONG_AGO: Final = st.sampled_from([MIDNIGHT - timedelta(days=1), MIDNIGHT - timedelta(days=2)])


@st.composite
def admits(draw: st.DrawFn) -> Admit:
    """A polled batch. Offsets are few, so records come again."""
    commands = draw(st.lists(COMMANDS, max_size=4))
    letters = draw(st.lists(st.integers(0, 5), max_size=2)) if draw(SMALL) == 2 else []
    positions = draw(_PLACES)
    since = draw(st.none() | _LONG_AGO)
    return Admit(
        [
            _admission(of, offset=draw(st.integers(0, 60)), suspect=draw(SMALL) == 2, since=since)
            for of in commands
        ],
        [letter(offset) for offset in letters],
        positions,
        dict.fromkeys(positions, since) if since else {},
    )


def batch(*commands: Command, first: int = 100, suspect: bool = False) -> Admit:
    """These commands, from the offset `first` on."""
    return Admit(
        [
            _admission(of, offset=first + place, suspect=suspect, since=None)
            for place, of in enumerate(commands)
        ],
        [],
        {},
    )


def asking(of: Operation, number: int) -> Admit:
    """A verification of its payment; from 2 on with a person's word about the operation."""
    payment_id = of.payment.payment_id
    ruling = Ruling(
        happened=False,
        by="ann",
        why="seen",
        about=of.operation_id,
        version=of.payment.version,
    )
    asked = VerifyPayment(
        payment_id=payment_id,
        verification_id=f"q{payment_id}-a{number}",
        ruling=ruling if number > 1 else None,
        issued_at=MIDNIGHT,
    )
    return batch(asked, first=200 + number)


def opening(of: Operation, *, kind: int, later: bool, minor: int) -> Open:
    """An intent for it. `kind`: rarely one that takes another's invoice number, or claims no order."""
    attempt = of.attempt + later
    number = f"THE-SAME/{attempt}" if kind == 5 else of.operation_id[-9:]
    return Open(
        of, _intent(of, number, attempt=attempt, kind=kind, minor=minor), _FROZEN, DEADLINE_S
    )


_FROZEN: Final = {"request": "frozen", "lines": [1, {"two": None}]}


def _intent(of: Operation, number: str, *, attempt: int, kind: int, minor: int) -> Intent:
    given = {
        "operation_id": of.operation_id,
        "attempt": attempt,
        "invoice_number": number,
        "reference": number,
        "money": Money(minor, "USD"),
        "merchant_account": "euro" if of.payment.money.currency == "EUR" else "main",
    }
    command = of.command
    match command:
        case InitiatePayment():
            return Charge(
                **given,  # type: ignore[arg-type]  # a table of arguments
                mode=command.mode,
                means=command.means,
                order_id=command.order_id,
                user_id=command.user_id,
                marks=("order_paid",) if kind == 4 else (),
                claim="" if kind == 3 else command.order_id,
                order_paid_minor=1000 if kind == 2 else 0,
            )
        case CapturePayment():
            return Capture(**given, transaction_id="60001")  # type: ignore[arg-type]  # a table of arguments
        case RefundPayment() if kind != 1:
            return Refund(
                **given,  # type: ignore[arg-type]  # a table of arguments
                transaction_id="60001",
                method=Method("card", "Visa", "1111"),
            )
        case _:
            return Void(**given, transaction_id="60001")  # type: ignore[arg-type]  # a table of arguments


_TAKEN: Final = News(
    _WHY, Fact.TAKEN, authorised_minor=1000, captured_minor=1000, transaction_id="60001"
)
_RESERVED: Final = News(_WHY, Fact.RESERVED, authorised_minor=1000, transaction_id="60001")
_LATER: Final = MIDNIGHT + timedelta(days=1)
_OF_PAYMENTS: Final = (
    _TAKEN,
    replace(_RESERVED, expires_at=MIDNIGHT + timedelta(hours=1)),
    *(News(_WHY, it) for it in (Fact.UNDECIDED, Fact.DECLINED, Fact.HELD, Fact.CONTRADICTED)),
)
_OF_REQUESTS: Final = (
    News(_WHY, Fact.PARTLY_REFUNDED, RequestFact.DONE, refunded_minor=300),
    News(_WHY, Fact.TAKEN, RequestFact.DONE, captured_minor=400, amount_minor=400),
    News(_WHY, asked=RequestFact.DEFERRED, reserve_minor=300, due_at=_LATER),
    *(
        News(_WHY, asked=it)
        for it in (RequestFact.DENIED, RequestFact.UNDECIDED, RequestFact.CONTINUED)
    ),
    News(_WHY, Fact.VOIDED, RequestFact.DONE),
    News(_WHY, Fact.REFUNDED, RequestFact.DONE, refunded_minor=1000),
)


def usual_news(of: Operation, number: int) -> News:
    """What a gateway may well say of it."""
    usual = _OF_PAYMENTS if of.request is None else _OF_REQUESTS
    return usual[number % len(usual)]


NEWS: Final = st.builds(
    News,
    reason=st.just(_WHY),
    fact=st.none()
    | st.sampled_from([Fact.TAKEN, Fact.UNDECIDED, Fact.DECLINED, Fact.RESERVED, Fact.HELD])
    | st.sampled_from(Fact),
    asked=st.none() | st.sampled_from(RequestFact),
    authorised_minor=st.sampled_from([0, 1000]),
    captured_minor=st.sampled_from([0, 1000]),
    refunded_minor=st.sampled_from([0, 0, 300]),
    reserve_minor=st.sampled_from([0, 0, 300]),
    amount_minor=st.sampled_from([None, 500]),
    transaction_id=st.sampled_from([None, "60001"]),
    request_transaction_id=st.sampled_from([None, "60002"]),
    method=st.sampled_from([Method(), Method("card", "Visa", "1111")]),
    due_at=st.sampled_from([None, MIDNIGHT + timedelta(days=1), MIDNIGHT + timedelta(days=2)]),
    expires_at=st.sampled_from([None, MIDNIGHT + timedelta(days=30)]),
)


def answering(of: Operation, news: News, *, broken: int) -> Answer:
    """The news on it. `broken`: 1 skips a version, 2 captures more than there is."""
    told = learn(of.snapshot, news)
    if told is None:
        told = Snapshot(replace(of.payment, version=of.payment.version + 1), of.request)
    if broken == 1:
        told = replace(told, payment=replace(told.payment, version=told.payment.version + 1))
    if broken == 2:
        told = replace(told, payment=replace(told.payment, captured_minor=9000))
    follow_up = None
    if news.asked is RequestFact.CONTINUED and isinstance(of.command, RefundPayment):
        follow_up = replace(of.command, continuation=2)
    found = None
    if of.request is None and of.stage is Stage.ADMITTED:
        number = f"{of.operation_id[-9:]}/{of.attempt}"
        found = Question("main", number, of.payment.money, Mode.SALE, since=MIDNIGHT)
    return Answer(of, told, {"said": news.reason.code, "deep": {"n": [1, 2]}}, follow_up, found)


WAITS: Final = st.builds(
    Wait,
    seconds=st.sampled_from([0.0, 0.5, 100.0, 4000.0]),
    why=st.sampled_from(["", "not seen"]),
    evidence=st.sampled_from([{}, {"seen": 1}]),
    unsent=st.sampled_from([False, False, False, True]),
    asked=st.booleans(),
    complete_scan=st.booleans(),
    trust=st.sampled_from([False, False, True]),
    again=st.sampled_from([False, False, False, True]),
    told=st.sampled_from([False, False, True]),
    release=st.sampled_from([False, False, True]),
)
IN_VAIN: Final = Wait(100.0, "not seen", asked=True)
ENDINGS: Final = st.none() | st.builds(
    Wait,
    seconds=st.sampled_from([0.0, 100.0, 4000.0]),
    why=st.just("it goes on"),
    asked=st.booleans(),
    release=st.booleans(),
)
BOTH: Final = (STATUS, "order_events")
TOLD: Final = st.sampled_from([(STATUS,), (STATUS, "order_events"), ("order_events",), ()])


def usual_wait(of: Operation) -> Wait | None:
    """How it goes on, where it does."""
    request = of.request
    if request is not None and request.state is RequestState.DEFERRED:
        return Wait(100.0, "its day comes", release=True)
    state = of.payment.state if request is None else request.state
    if state in {PaymentState.UNKNOWN, PaymentState.HELD, RequestState.UNKNOWN}:
        return Wait(100.0, "it is asked for", asked=True)
    return None


def concluding(of: Operation, topics: tuple[str, ...], *, wait: Wait | None) -> Conclude:
    """Its end, or how it goes on."""
    version = of.payment.version
    told = [message(f"{of.operation_id} {version} {topic}", topic=topic) for topic in topics]
    return Conclude(of, told, wait)


def outrunning(of: Operation, *, more: int) -> Outrun:
    """Its news under another version: the next, a later one, or one that is not above."""
    return Outrun(of, of.payment.version + more)


def parking(of: Operation, wait: Wait) -> Park:
    """Due again later."""
    return Park(of, wait)


ACCOUNTS: Final = st.sampled_from(
    [{"main": "USD"}, {"euro": "EUR"}, {"main": "USD", "euro": "EUR"}, {}]
)
