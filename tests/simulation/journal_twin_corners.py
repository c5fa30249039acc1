"""Corners of the journal that chance seldom turns, as short histories for both sides. The claim stands in the test."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from db_client.moves import Admit, Gather, GoOn, Hold, Mirror, Orphaned, Rehome
from handlers.domain.recovery import Stage
from handlers.ports import Moved, OnePayment, Queued, Taken, Wait
from tests.contract.journal_stage import DEADLINE_S
from tests.doubles.values import MIDNIGHT
from tests.simulation import journal_twin_moves as moves
from tests.simulation.journal_twin_work import TwinWork

_TAKEN, _RESERVED, _UNKNOWN, _DECLINED, _HELD = range(5)
_PARTLY, _DEFERRED, _DENIED, _CONTINUED = 0, 2, 3, 5
_P0, _P1, _P2, _P3 = (f"initiation:p{number}" for number in range(4))


def _paid(work: TwinWork, *payments: int, news: int = _TAKEN, steps: int = 3) -> None:
    """New payments, carried so far."""
    commands = [moves.initiation(it, 0, variant=0) for it in payments]
    work.admit(work.desk(0), moves.batch(*commands))
    for it in payments:
        for _ in range(steps):
            work.carry(f"initiation:p{it}", news=news)


def asked_by_many(work: TwinWork) -> None:
    """Verifications and rulings behind an operation that is asked for."""
    desk = work.desk(0)
    _paid(work, 0, news=_UNKNOWN)
    work.admit(desk, moves.batch(moves.question(0, 0, variant=0)))
    in_vain = moves.parking(work.last[_P0][1], moves.IN_VAIN)
    assert isinstance(work.write(desk, in_vain), Moved)
    work.admit(desk, moves.asking(work.last[_P0][1], 2))
    work.write(desk, moves.parking(work.last[_P0][1], moves.IN_VAIN))
    work.admit(desk, moves.asking(work.last[_P0][1], 0))
    for wait in (Wait(5, "a look", asked=False), Wait(5, "once more", asked=True)):
        work.write(desk, moves.parking(work.last[_P0][1], wait))
    work.admit(desk, moves.asking(work.last[_P0][1], 1))
    work.twins.pass_time(40)
    work.load(desk)
    assert work.last[_P0][1].ruling is not None
    for _ in range(2):
        work.carry(_P0, news=_HELD)
    work.admit(desk, moves.batch(moves.initiation(0, 0, variant=1), first=300))  # told already


def taken_over(work: TwinWork) -> None:
    """A dead session's events, its questions that a finder gathered before, and what it only admitted."""
    dead, heir = work.desk(0), work.desk(1)
    _paid(work, 0, 1, 3, news=_UNKNOWN)
    _paid(work, 2, steps=0)
    work.write(dead, Mirror(2))
    assert work.write(heir, Hold({"main": "USD"}))
    work.twins.pass_time(200)
    work.twins.read(dead)
    assert work.write(heir, Gather(["main"], 1)) == 1
    work.load(heir)
    gathered = next(it for desk, it in work.last.values() if desk is heir)
    work.carry(gathered.operation_id, news=_TAKEN)
    told = moves.concluding(work.last[gathered.operation_id][1], moves.BOTH, wait=None)
    last = work.twins.database.payments[gathered.payment.payment_id].event_number
    assert last is not None
    work.write(dead, Mirror(last))
    assert isinstance(work.write(heir, told), Queued)
    work.twins.restart()
    work.write(heir, Mirror(1))
    work.twins.expire(dead)
    assert work.twins.end_if_expired(heir, dead)
    taken = work.write(heir, Rehome(dead.session_id, last, DEADLINE_S))
    assert taken.messages > 0
    assert isinstance(work.write(heir, told), Moved)
    work.load(heir)
    assert work.last[_P2][1].suspect
    late = moves.parking(work.last[_P1][1], moves.IN_VAIN)
    work.write(dead, late)
    work.carry(_P2, news=_TAKEN)


def one_order(work: TwinWork) -> None:
    """Two payments of one order: one is turned away, or marked; the order is passed on, let go, and claimed late."""
    desk = work.desk(0)
    _paid(work, 0)
    _paid(work, 1, steps=0)
    second = work.last[_P1][1]
    done = work.write(desk, moves.opening(second, kind=0, later=False, minor=1000))
    assert isinstance(done, Taken) == (work.twins.one_payment is OnePayment.ENFORCE)
    passed = work.write(desk, moves.opening(second, kind=2, later=False, minor=1000))
    assert isinstance(passed, Moved) == (work.twins.one_payment is OnePayment.ENFORCE)
    work.carry(_P1, news=_DECLINED)
    work.write(desk, moves.opening(second, kind=0, later=False, minor=1000))
    _paid(work, 3, steps=0)
    unclaimed = moves.opening(work.last[_P3][1], kind=3, later=False, minor=1000)
    work.write(desk, unclaimed)
    for _ in range(3):
        work.carry(_P3, news=_UNKNOWN)
    found = moves.batch(moves.initiation(2, 0, variant=0), first=400, suspect=True)
    work.admit(desk, found)
    work.carry(_P2, news=_TAKEN)


def money_back(work: TwinWork) -> None:
    """Refunds that reserve, wait for their day, go on in parts, and ask for more than there is."""
    desk = work.desk(0)
    _paid(work, 0)
    first, then = moves.refund(0, 0, variant=0), moves.refund(0, 1, variant=0)
    work.admit(desk, moves.batch(first, then, moves.refund(0, 2, variant=0), first=300))
    for _ in range(3):
        work.carry(first.operation_id, news=_CONTINUED)
    loaded = work.last[then.operation_id][1].request
    assert loaded is not None
    assert loaded.reserved_minor
    more = moves.opening(work.last[then.operation_id][1], kind=0, later=False, minor=900)
    work.write(desk, more)
    again = work.last["refund:r0-0"][1]
    work.twins.lose_lane("p0")
    work.admit(desk, moves.batch(moves.refund(0, 3, variant=0), first=350))
    voided = moves.opening(work.last["refund:r0-1"][1], kind=1, later=False, minor=900)
    work.write(desk, voided)
    work.write(desk, moves.parking(again, moves.IN_VAIN))
    for _ in range(3):
        work.carry(then.operation_id, news=_DEFERRED)
    work.admit(desk, moves.batch(moves.question(0, 0, variant=0), first=400))
    work.twins.pass_time(150)
    work.twins.read(desk)
    work.write(desk, GoOn())
    work.load(desk)
    for name in ("refund:r0-1", then.operation_id, "verification:q0-0-0"):
        for news in (0, _PARTLY, 0):
            if name in work.last:
                work.carry(name, news=news)


def before_their_time(work: TwinWork) -> None:
    """Requests that come before their payment: adopted, voided early, or let go as dead letters."""
    desk, other = work.desk(0), work.desk(1)
    early = (
        moves.refund(0, 0, variant=0),
        moves.void(0, 0, variant=0),
        moves.void(1, 0, variant=1),
    )
    work.admit(other, moves.batch(*early, moves.refund(3, 0, variant=0)))
    work.admit(desk, moves.batch(*(moves.initiation(it, 0, variant=0) for it in (0, 1)), first=300))
    assert (True, False) == (work.last[_P0][1].canceled, work.last[_P1][1].canceled)
    lost = moves.batch(moves.refund(2, 0, variant=0), first=400, suspect=True)
    work.admit(other, lost)
    work.twins.pass_time(700)
    work.twins.read(other)
    assert work.write(other, Orphaned("refund:r2-0", moves.letter(2)))
    orphan = Orphaned("refund:r3-0", moves.letter(1))
    assert not work.write(desk, orphan)
    assert work.write(other, orphan)
    work.admit(other, moves.batch(moves.refund(3, 0, variant=0)))
    for _ in range(3):
        work.carry(_P0, news=_DECLINED)


def looked_into(work: TwinWork) -> None:
    """An account whose finder is gone passes on; authorisations that nobody captured in time are seen."""
    first, second = work.desk(0), work.desk(1)
    _paid(work, 0, news=_RESERVED)
    assert work.write(first, Hold({"main": "USD"}))
    assert [] == work.write(second, Hold({"main": "USD"}))
    work.twins.pass_time(5000)
    for desk in (first, second):
        work.twins.read(desk)
    assert first.memory_observations.expired("main")
    work.twins.end(first, watermark=None)
    assert work.write(second, Hold({"main": "USD"}))


def lost_time(work: TwinWork) -> None:
    """What was written since the back-up is gone, and asked for again; its evidence is known once it comes back."""
    desk, heir = work.desk(0), work.desk(1)
    _paid(work, 2, steps=1)
    work.twins.keep()
    work.carry(_P2, news=_UNKNOWN)
    _paid(work, 0, steps=1)
    work.twins.lose_time()
    work.write(heir, Mirror(1))
    work.carry(_P0, news=_TAKEN)
    assert desk.over[1]
    again = moves.batch(moves.initiation(0, 0, variant=0), suspect=True)
    work.admit(heir, again)
    work.read(heir)
    inquiry = work.last[_P0][1].inquiry
    assert inquiry is not None
    assert "60001" == inquiry.transaction_id


def read_again(work: TwinWork) -> None:
    """Positions, and records that come again: told by whoever has published, once, and other content never."""
    desk, other = work.desk(0), work.desk(1)
    place, long_ago = ("payments", "topic-1", 0), MIDNIGHT - timedelta(days=1)
    for offset, since in ((5, None), (5, long_ago), (4, long_ago), (6, long_ago), (7, None)):
        read_at = {} if since is None else {place: since}
        work.write(desk, Admit([], [], {place: offset}, read_at))
        work.twins.read(desk)
    _paid(work, 0)
    again, told = moves.initiation(0, 0, variant=1), desk.handed_on[1][0].number
    work.admit(other, moves.batch(again, first=300))
    for step, watermark in enumerate((told, told + 1)):
        work.write(desk, Mirror(watermark))
        for _ in range(2):
            work.admit(other, moves.batch(again, first=310 + step))
    assert 1 == len(other.handed_on[1])
    strange = moves.initiation(0, 0, variant=2)
    for offset in (320, 320, 330):
        work.admit(other, moves.batch(strange, again, moves.void(0, 0, variant=0), first=offset))
    work.admit(desk, moves.batch(moves.void(0, 0, variant=0), first=340))
    twice = moves.batch(strange, first=350)
    work.write(desk, Admit([*twice.admissions, *twice.admissions], [], {}))  # refused whole
    work.write(desk, Admit([], [moves.letter(1), moves.letter(1)], {place: 99}))


def tried_again(work: TwinWork) -> None:
    """A suspect that is trusted, an attempt that was not sent, one that is proven undone, and stale versions."""
    desk = work.desk(0)
    work.admit(desk, moves.batch(moves.initiation(0, 0, variant=0), suspect=True))
    for wait in (
        Wait(5, "seen nowhere", asked=True, complete_scan=True),
        Wait(0, "it is absent", trust=True),
        Wait(0, "its time is not come", asked=True),
    ):
        work.write(desk, moves.parking(work.last[_P0][1], wait))
        work.read(desk)
    for wait in (Wait(5, "no way", unsent=True), Wait(5, "undone", asked=True, again=True)):
        opened = moves.opening(work.last[_P0][1], kind=0, later=False, minor=1000)
        assert isinstance(work.write(desk, opened), Moved)
        work.write(desk, moves.parking(work.last[_P0][1], wait))
        work.read(desk)
    work.carry(_P0, news=_TAKEN)
    before = work.last[_P0][1]
    for broken in (1, 2, 0):
        usual = moves.usual_news(before, _TAKEN)
        work.write(desk, moves.answering(before, usual, broken=broken))
    for more in (0, 1, 3):
        work.write(desk, moves.outrunning(work.last[_P0][1], more=more))
    work.write(desk, moves.parking(work.last[_P0][1], moves.IN_VAIN))
    work.carry(_P0, news=_TAKEN)
    _paid(work, 3, steps=0)
    work.write(desk, moves.concluding(work.last[_P3][1], (), wait=None))  # nothing new, and over


def suspects_in_line(work: TwinWork) -> None:
    """None that is trusted goes before all suspects of its payment were asked for, a deferred one of another's too."""
    desk, other = work.desk(0), work.desk(1)
    _paid(work, 0)
    absent = Wait(0, "it is absent", asked=True, complete_scan=True, trust=True)
    waits = Wait(9, "not before it is settled", release=True)
    for place, asking in enumerate((desk, other, desk)):
        refund = moves.refund(0, place, variant=0)
        work.admit(asking, moves.batch(refund, first=400 + place, suspect=True))
        if place == 1:
            work.write(desk, moves.parking(work.last["refund:r0-0"][1], waits))
            work.load(other)
    for turn in range(4):
        for at in (desk, other):
            work.read(at)
            for holder, of in list(work.last.values()):
                if holder is at and of.stage is Stage.ADMITTED and of.request is not None:
                    if turn == 0:  # it was sent before the time that was lost
                        work.write(at, moves.opening(of, kind=0, later=False, minor=10))
                    as_it_is = work.last[of.operation_id][1]
                    work.write(at, moves.parking(as_it_is, absent if of.suspect else waits))
    work.write(desk, GoOn())
    work.read(desk)


CORNERS: Final[tuple[Callable[[TwinWork], None], ...]] = (
    asked_by_many,
    taken_over,
    one_order,
    money_back,
    before_their_time,
    looked_into,
    lost_time,
    read_again,
    tried_again,
    suspects_in_line,
)
