"""What hypothesis does with the two journals: moves, reads and disasters in any order. The claim stands in the test.

Most rules carry something on, as a worker would; some do what none should. What is loaded is worked on from then on.
"""

from contextlib import ExitStack
from datetime import timedelta
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from db_client.moves import Admit, Gather, GoOn, Hold, Mirror, Move, Orphaned, Rehome, Walked
from handlers.domain.payments import News
from handlers.domain.recovery import Stage
from handlers.ports import OnePayment, Wait
from tests.contract.journal_stage import DEADLINE_S, JournalStage
from tests.doubles.values import MIDNIGHT
from tests.simulation import journal_twin_moves as moves
from tests.simulation.journal_twin_stage import Twins
from tests.simulation.journal_twin_work import TwinWork

_MOST_DESKS = 4
_MOST_DISASTERS = 3
_RECENT = st.integers(0, 5)
_USUAL = st.integers(0, 7)
_SELDOM = st.sampled_from([False, False, False, False, False, True])
_BROKEN = st.sampled_from([0, 0, 0, 0, 0, 0, 0, 1, 2])


class JournalMachine(RuleBasedStateMachine):
    """One history of both journals."""

    stage: ClassVar[JournalStage]

    def __init__(self) -> None:
        super().__init__()
        self._ends = ExitStack()
        self._disasters = 0
        self._work = TwinWork(Twins(self.stage))
        self._ends.callback(self._work.twins.close)

    def teardown(self) -> None:
        """Whatever was read and written, everything is read once more."""
        try:
            for desk in self._work.twins.desks:
                self._work.read(desk)
        finally:
            self._ends.close()

    @initialize(
        one_payment=st.sampled_from(OnePayment),
        came=st.lists(st.tuples(st.integers(0, 3), _USUAL), min_size=4, max_size=4),
        batch=moves.admits(),
    )
    def begin(self, *, one_payment: OnePayment, came: list[tuple[int, int]], batch: Admit) -> None:
        """Two sessions, payments that came so far, and a batch about them."""
        self._work.twins.one_payment = one_payment
        for _ in range(2):
            self._work.twins.start(lease_s=100_000)
        desk = self._work.twins.desks[0]
        paid = [
            moves.initiation(number, 0, variant=0) for number, (far, _) in enumerate(came) if far
        ]
        self._work.admit(desk, moves.batch(*paid))
        for _, operation in list(self._work.last.values()):
            far, news = came[int(operation.payment.payment_id[1:])]
            for _ in range(far):
                self._work.carry(operation.operation_id, news=news)
        self._work.admit(desk, batch)

    @rule(desk=_RECENT, batch=moves.admits())
    def admit(self, *, desk: int, batch: Admit) -> None:
        """Intake has polled."""
        self._work.admit(self._work.desk(desk), batch)

    @precondition(lambda self: self._work.last)
    @rule(of=_RECENT, news=_USUAL, steps=st.integers(1, 3))
    def carry(self, *, of: int, news: int, steps: int) -> None:
        """One operation goes on, as it usually does."""
        _, operation = self._work.recent(of)
        for _ in range(steps):
            self._work.carry(operation.operation_id, news=news)

    @precondition(lambda self: self._work.last)
    @rule(of=_RECENT, kind=st.integers(0, 5), later=_SELDOM, minor=st.sampled_from([300, 1000, 1]))
    def open(self, *, of: int, kind: int, later: bool, minor: int) -> None:
        """An intent, about to be sent."""
        desk, operation = self._work.recent(of, Stage.ADMITTED)
        move = moves.opening(operation, kind=kind, later=later, minor=minor)
        self._work.write(desk, move)

    @precondition(lambda self: self._work.last)
    @rule(of=_RECENT, news=moves.NEWS, broken=_BROKEN)
    def answer(self, *, of: int, news: News, broken: int) -> None:
        """News, whatever they are."""
        desk, operation = self._work.recent(of, Stage.OPEN, Stage.ASKING, Stage.ADMITTED)
        self._work.write(desk, moves.answering(operation, news, broken=broken))

    @precondition(lambda self: self._work.last)
    @rule(of=_RECENT, topics=moves.TOLD, wait=moves.ENDINGS)
    def conclude(self, *, of: int, topics: tuple[str, ...], wait: Wait | None) -> None:
        """It is told."""
        desk, operation = self._work.recent(of, Stage.ANSWERED)
        self._work.write(desk, moves.concluding(operation, topics, wait=wait))

    @precondition(lambda self: self._work.last)
    @rule(of=_RECENT, wait=moves.WAITS)
    def park(self, *, of: int, wait: Wait) -> None:
        """Not yet."""
        desk, operation = self._work.recent(of, Stage.ASKING, Stage.OPEN, Stage.ADMITTED)
        self._work.write(desk, moves.parking(operation, wait))

    @precondition(lambda self: self._work.last)
    @rule(of=_RECENT, name=st.integers(0, 3), told=st.booleans())
    def ask(self, *, of: int, name: int, told: bool) -> None:
        """Somebody asks, or rules, while the gateway is asked already, which then says something or nothing."""
        desk, operation = self._work.recent(of, Stage.ASKING)
        self._work.admit(desk, moves.asking(operation, name))
        desk, operation = self._work.last[operation.operation_id]
        self._work.write(desk, moves.parking(operation, moves.IN_VAIN))
        if told:
            for news in (0, 2, 0):
                self._work.carry(operation.operation_id, news=news)

    @precondition(lambda self: self._work.known)
    @rule(of=st.integers(0, 40), desk=_RECENT, wait=moves.WAITS, which=st.integers(0, 3))
    def write_as_a_stranger(self, *, of: int, desk: int, wait: Wait, which: int) -> None:
        """Whatever was known once, from any session: stale stages, stale tokens, another's operations."""
        _, operation = self._work.known[-1 - of % len(self._work.known)]
        stale: tuple[Move, ...] = (
            moves.opening(operation, kind=0, later=False, minor=1000),
            moves.parking(operation, wait),
            moves.answering(operation, moves.usual_news(operation, of), broken=0),
            moves.concluding(operation, ("other",), wait=None),
        )
        self._work.write(self._work.desk(desk), stale[which])

    @rule(desk=_RECENT, late_s=st.sampled_from([120, 5000]))
    def go_on(self, *, desk: int, late_s: int) -> None:
        """What was deferred is due again."""
        self._work.twins.pass_time(late_s)
        self._work.write(self._work.desk(desk), GoOn())

    @rule(desk=_RECENT, which=_RECENT, letter=st.integers(0, 3))
    def let_an_orphan_go(self, *, desk: int, which: int, letter: int) -> None:
        """A request whose payment never came in time, or any other operation."""
        self._work.twins.pass_time(700)
        owner = self._work.desk(desk)
        names = [it.operation_id for it in owner.memory_reader.orphans()]
        names = names or sorted(self._work.twins.database.operations)
        if names:
            move = Orphaned(names[which % len(names)], moves.letter(letter))
            self._work.write(owner, move)

    @rule(desk=_RECENT, accounts=moves.ACCOUNTS, most=st.sampled_from([5, 1, 0]))
    def find(self, *, desk: int, accounts: dict[str, str], most: int) -> None:
        """A finder looks for accounts and questions."""
        self._work.write(self._work.desk(desk), Hold(accounts))
        if self._work.write(self._work.desk(desk), Gather(tuple(accounts), most)):
            self._work.load(self._work.desk(desk))

    @rule(what=st.integers(0, 6), desk=_RECENT, number=st.integers(0, 12))
    def keep_house(self, *, what: int, desk: int, number: int) -> None:
        """What happens beside the payments: published rows, walked lists, time, other workers, a lost wake-up."""
        mine = self._work.desk(desk)
        match what:
            case 0 | 1:
                self._work.write(mine, Mirror(number))
            case 2:
                self._work.write(mine, Walked("main", MIDNIGHT + timedelta(hours=number)))
            case 3:
                self._work.twins.pass_time((120, 5000)[number % 2])
            case 4:
                self._work.twins.lose_lane(f"p{number % 4}")
            case 5 if self._work.known:
                owner, operation = self._work.recent(number, Stage.ANSWERED)
                self._work.write(owner, moves.outrunning(operation, more=(1, 3, 0)[number % 3]))
            case _ if len(self._work.twins.desks) < _MOST_DESKS:
                self._work.twins.start(lease_s=(100_000, 1000)[number % 2])
            case _:
                pass

    @rule(me=_RECENT, dead=_RECENT, watermark=st.integers(0, 6), how=st.integers(0, 4))
    def take_over(self, *, me: int, dead: int, watermark: int, how: int) -> None:
        """A janitor's round. `how`: 0 the other one ended itself, 1 its lease ran out, else it may well live."""
        heir, other = self._work.desk(me), self._work.desk(dead)
        if how == 0:
            self._work.twins.end(other, watermark=watermark or None)
        if how == 1:
            self._work.twins.expire(other)
        self._work.twins.dead(heir, settled_s=300 * (how == 2))
        if heir is not other:
            self._work.twins.end_if_expired(heir, other)
        if self._work.write(heir, Rehome(other.session_id, watermark, DEADLINE_S)):
            self._work.load(heir)

    @rule(desk=_RECENT)
    def read(self, desk: int) -> None:
        """All reads."""
        self._work.read(self._work.desk(desk))

    @precondition(lambda self: self._disasters < _MOST_DISASTERS)
    @rule(what=st.integers(0, 2))
    def suffer(self, what: int) -> None:
        """A back-up is made, and put back; or the server starts anew."""
        if what == 0:
            self._work.twins.keep()
            return
        self._disasters += 1
        if what == 1 and self._work.twins.kept is not None:
            self._work.twins.lose_time()
        else:
            self._work.twins.restart()
