"""What operators read and write in the journal, on a real PostgreSQL: lists, what waits for a person, decisions."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import DBAPIError

from db_client import decisions, history, payment_search, review
from db_client.decisions import What
from db_client.payment_search import Search
from db_client.review import Cause
from db_client.sealed_keys import sealed_with
from db_client.sealing import Sealer
from db_client.tables import attempt, operation, outbox, payment
from handlers.domain.states import SEEN, PaymentState, PaymentStatus
from tests.contract.journal_stage import JournalStage, staged

ENDED = 3  # questions after which the schedule of these tests has ended
DAY_S = 86_400.0
ABSENT = "the refund is not in the gateway's list; a person must say whether it happened"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JournalStage]:
    """A migrated journal."""
    with staged(tmp_path_factory.mktemp("operator")) as made:
        yield made


@pytest.fixture
def journal(server: JournalStage) -> JournalStage:
    """The journal, emptied."""
    server.clear()
    return server


def ago(seconds: float) -> Any:
    """A moment by the database's clock."""
    return func.clock_timestamp() - timedelta(seconds=seconds)


def pay(journal: JournalStage, name: str, *, state: str = "captured", **changes: Any) -> None:
    """A payment of 12.34 USD that was captured, with `changes`."""
    row = {
        "payment_id": name,
        "order_id": f"o-{name}",
        "user_id": f"u-{name}",
        "amount_minor": 1234,
        "currency": "USD",
        "state": state,
        "version": 1,
        "authorised_minor": 1234,
        "captured_minor": 1234,
        **changes,
    }
    with journal.engine.begin() as connection:
        connection.execute(insert(payment).values(row))


def ask(journal: JournalStage, name: str, *, of: str, **changes: Any) -> None:
    """A refund of 5.00 about a payment, whose outcome is being asked for, with `changes`."""
    kind, _, request_id = name.partition(":")
    row = {
        "operation_id": name,
        "kind": kind,
        "payment_id": of,
        "fingerprint": "1:x",
        "command": {"kind": kind, f"{kind}_id": request_id, "payment_id": of},
        "topic_id": "t",
        "partition": 0,
        "offset": 1,
        "session_id": "one",
        "stage": "asking",
        "request_state": "unknown",
        "amount_minor": 500,
        "why": "no answer came",
        "asked": ENDED,
        "answered_at": ago(60),
        **changes,
    }
    with journal.engine.begin() as connection:
        connection.execute(insert(operation).values(row))


def tried(journal: JournalStage, name: str, *about: str) -> None:
    """Attempts of an operation, in order."""
    with journal.engine.begin() as connection:
        for number, it in enumerate(about, start=1):
            row = {
                "operation_id": name,
                "number": number,
                "invoice_number": f"{name}-{number}",
                "merchant_account": "main",
                "about": it,
                "state": "open",
                "request": {},
                "session_id": "one",
            }
            connection.execute(insert(attempt).values(row))


def initiation(journal: JournalStage, payment_id: str, **changes: Any) -> None:
    """A payment's own operation, being asked for."""
    ask(
        journal,
        f"initiation:{payment_id}",
        of=payment_id,
        **{"request_state": None, "amount_minor": None, **changes},
    )


def rule(
    journal: JournalStage, name: str, *, of: str, about: str = "", version: int = 1, **changes: Any
) -> None:
    """A person's word that waits in line."""
    word = {
        "happened": False,
        "by": "ann",
        "why": "not there",
        "transaction_id": "",
        "about": about,
        "version": version,
    }
    command = {"kind": "verification", "payment_id": of, "ruling": word}
    row = {"stage": "queued", "request_state": "requested", "command": command, **changes}
    ask(journal, f"verification:{name}", of=of, **row)


def causes(journal: JournalStage, *, held_for_s: float = DAY_S) -> dict[str, Cause]:
    """What waits for a person: its id → why."""
    found = review.waiting(journal.engine, asked=ENDED, held_for_s=held_for_s)
    return {it.about: it.cause for it in found}


def test_each_reason_to_wait_is_found(journal: JournalStage) -> None:
    """Undecided at the end of the schedule, absent refunds, held too long, conflicted: each is listed, nothing else."""
    pay(journal, "p-unknown", state="unknown")
    initiation(journal, "p-unknown")
    pay(journal, "p-young", state="unknown")
    initiation(journal, "p-young", asked=ENDED - 1)
    pay(journal, "p-held", state="held")
    initiation(journal, "p-held", asked=50, answered_at=ago(2 * DAY_S))
    pay(journal, "p-lately", state="held")
    initiation(journal, "p-lately", asked=50)
    pay(journal, "p-refund")
    ask(journal, "refund:absent", of="p-refund", asked=1, why=ABSENT)
    pay(journal, "p-conflict", state="conflicted")
    ask(journal, "refund:odd", of="p-conflict", stage="concluded", request_state="conflicted")
    pay(journal, "p-suspect")
    ask(journal, "capture:c", of="p-suspect", stage="admitted", suspect=True, answered_at=None)
    ask(journal, "capture:d", of="p-suspect", stage="admitted", answered_at=None)
    pay(journal, "p-fine")
    assert causes(journal) == {
        "initiation:p-unknown": Cause.UNDECIDED,
        "initiation:p-held": Cause.HELD,
        "refund:absent": Cause.REFUND_ABSENT,
        "p-conflict": Cause.CONFLICTED,
        "refund:odd": Cause.REQUEST_CONFLICTED,
        "capture:c": Cause.UNDECIDED,
    }
    assert Cause.HELD == causes(journal, held_for_s=30)["initiation:p-lately"]


def test_the_longest_wait_comes_first_and_says_what_was_tried(journal: JournalStage) -> None:
    """A list is worked off from its top; what a decision means depends on the last intent."""
    pay(journal, "p-1")
    ask(journal, "refund:new", of="p-1")
    tried(journal, "refund:new", "void", "refund")
    pay(journal, "p-2", state="unknown")
    initiation(journal, "p-2", answered_at=ago(500))
    first, second = review.waiting(journal.engine, asked=ENDED, held_for_s=DAY_S)
    assert ("initiation:p-2", "", 1234) == (first.about, first.tried, first.amount_minor)
    assert ("refund:new", "refund", 500) == (second.about, second.tried, second.amount_minor)
    assert 1 == len(review.waiting(journal.engine, asked=ENDED, held_for_s=DAY_S, most=1))


def test_a_word_that_waits_is_shown_beside_what_it_is_about(journal: JournalStage) -> None:
    """Who decided already is seen, so that nobody decides again; a word that was applied is no longer there."""
    pay(journal, "p-1")
    ask(journal, "refund:r-1", of="p-1")
    rule(journal, "ruling-1", of="p-1", about="refund:r-1")
    rule(journal, "ruling-2", of="p-1", about="refund:other")
    rule(journal, "ruling-3", of="p-1", about="refund:r-1", version=0)
    rule(journal, "ruling-0", of="p-1", about="refund:r-1", stage="concluded")
    [one] = review.of_one(journal.engine, "refund:r-1", asked=ENDED, held_for_s=DAY_S)
    assert [("verification:ruling-1", "ann", False)] == [
        (it.operation_id, it.by, it.happened) for it in one.words
    ]


def test_a_conflicted_request_leaves_the_list_once_a_person_spoke(journal: JournalStage) -> None:
    """The word about its payment came after it: there is nothing more to say."""
    pay(journal, "p-1")
    ask(journal, "refund:odd", of="p-1", stage="concluded", request_state="conflicted")
    assert {"refund:odd"} == causes(journal).keys()
    rule(journal, "ruling-1", of="p-1", stage="concluded", concluded_at=func.clock_timestamp())
    assert {} == causes(journal)


def test_what_is_early_is_found_by_its_id_alone(journal: JournalStage) -> None:
    """A person who knows more may decide before the schedule ends, by the operation's or by the payment's id."""
    pay(journal, "p-1", state="unknown")
    initiation(journal, "p-1", asked=0)
    for name in ("p-1", "initiation:p-1"):
        [one] = review.of_one(journal.engine, name, asked=ENDED, held_for_s=DAY_S)
        assert (Cause.EARLY, "initiation:p-1") == (one.cause, one.about)
    assert [] == review.of_one(journal.engine, "p-2", asked=ENDED, held_for_s=DAY_S)


def found(journal: JournalStage, **wanted: Any) -> list[str]:
    """The payments that a search finds, in its order."""
    page = payment_search.search(journal.engine, Search(**wanted), limit=100)
    return [row["payment_id"] for row in page.rows]


def test_payments_are_found_by_what_they_are(journal: JournalStage) -> None:
    """State, status, customer, order, time, unfinished work and suspicion each narrow the list."""
    pay(journal, "p-old", updated_at=ago(2 * DAY_S))
    pay(journal, "p-no", state="declined", user_id="ann")
    pay(journal, "p-open", state="unknown")
    initiation(journal, "p-open", suspect=True)
    ask(journal, "capture:c-1", of="p-open", stage="queued", arrival=9)
    assert ["p-open", "p-no", "p-old"] == found(journal)
    assert ["p-no"] == found(journal, user_id="ann")
    assert ["p-old"] == found(journal, order_id="o-p-old")
    assert ["p-open"] == found(journal, waiting=True)
    assert ["p-open"] == found(journal, suspect=True)
    now = journal.one("SELECT clock_timestamp()")
    day_ago = now - timedelta(days=1)
    assert ["p-open", "p-no"] == found(journal, since=day_ago)
    assert ["p-old"] == found(journal, until=day_ago)
    failed = payment_search.states_of(state=None, status=PaymentStatus.FAILURE)
    assert ["p-no"] == found(journal, states=failed)
    [row] = payment_search.search(journal.engine, Search(waiting=True), limit=5).rows
    assert ("initiation:p-open", 2, True) == (
        row["operation_id"],
        row["unfinished"],
        row["suspect"],
    )


def test_state_and_status_narrow_each_other() -> None:
    """Every state is found under the status that the outside sees, and a state of another status is nowhere."""
    for state in PaymentState:
        both = payment_search.states_of(state=state, status=SEEN[state])
        assert frozenset({state}) == both
    nothing = payment_search.states_of(state=PaymentState.HELD, status=PaymentStatus.SUCCESS)
    assert frozenset() == nothing


@pytest.mark.parametrize("waiting", [False, True])
def test_pages_hold_each_payment_once(journal: JournalStage, *, waiting: bool) -> None:
    """Page by page the whole list is seen, in order, also where many moved at the same moment."""
    moment = journal.one("SELECT clock_timestamp()")
    for number in range(7):
        pay(journal, f"p-{number}", created_at=moment, updated_at=moment)
        initiation(journal, f"p-{number}")
    seen: list[str] = []
    after = None
    for _ in range(7):
        wanted = Search(waiting=waiting, after=after)
        page = payment_search.search(journal.engine, wanted, limit=3)
        seen += [row["payment_id"] for row in page.rows]
        after = page.next
        if after is None:
            break
    names = [f"p-{number}" for number in range(7)]
    assert seen == (names if waiting else names[::-1])


def test_requests_that_wait_for_their_payment_have_a_history(journal: JournalStage) -> None:
    """A refund that came before its payment is shown, although there is no payment yet."""
    ask(journal, "refund:r-9", of="p-9", stage="queued", answered_at=None)
    past = history.whole(journal.engine, "p-9")
    assert past is not None
    assert (None, ["refund:r-9"]) == (past.payment, [it.row["operation_id"] for it in past.work])
    assert history.whole(journal.engine, "p-8") is None


def test_a_letter_is_decided_once(journal: JournalStage) -> None:
    """The first decision stands; a second one, whatever it says, changes nothing and is told so."""
    first = decisions.decide(journal.engine, ["a", "b"], what=What.REPLAYED, by="ann", why="mended")
    second = decisions.decide(journal.engine, ["b", "c"], what=What.DROPPED, by="bob", why="old")
    assert ({"a", "b"}, {"c"}) == (first, second)
    known = decisions.decided(journal.engine, ["a", "b", "c", "d"])
    assert {"a": "ann", "b": "ann", "c": "bob"} == {name: it.by for name, it in known.items()}
    assert (What.REPLAYED, "mended") == (known["b"].what, known["b"].why)


def test_of_two_operators_at_once_one_decides(journal: JournalStage) -> None:
    """Both may have published; of the rows one is written, and each hears whose it was."""

    def decide(by: str) -> set[str]:
        return decisions.decide(journal.engine, ["a"], what=What.REPLAYED, by=by, why="mended")

    with ThreadPoolExecutor(2) as pool:
        written = list(pool.map(decide, ["ann", "bob"]))
    assert [set(), {"a"}] == sorted(written, key=len)


def test_operators_only_read_what_is_not_theirs(journal: JournalStage) -> None:
    """The history is read in a db_txn that may not write."""
    with (
        history._one_moment(journal.engine) as connection,
        pytest.raises(DBAPIError, match="read-only"),
    ):
        connection.execute(insert(payment).values(payment_id="x"))
    with journal.engine.connect() as connection:
        assert 0 == connection.execute(select(func.count()).select_from(payment)).scalar_one()


def test_the_keys_that_something_needs_are_known(journal: JournalStage) -> None:
    """Means that wait, and letters, name the keys that sealed them; what is over, or an event, names none."""
    old, new, events = (Sealer({name: b"k" * 32}) for name in ("old", "new", "of-events"))
    pay(journal, "p-1")
    ask(journal, "initiation:p-1", of="p-1", means_sealed=old.seal("tok", bound_to="x"))
    ask(journal, "refund:r-1", of="p-1")
    over = events.seal("tok", bound_to="x")
    ask(journal, "initiation:p-2", of="p-1", stage="concluded", means_sealed=over)
    say(journal, 1, topic="a.dlq", value=new.seal_bytes(b"letter", bound_to="x"))
    say(journal, 2, topic="a.dlq", value=b"")
    say(journal, 3, topic="events", value=over)
    say(journal, 4, topic="a.dlq", value=over, payment_id="p-1")
    found = sealed_with(journal.engine, letter_topics=["a.dlq", "b.dlq"])
    assert (["old"], ["new"]) == (list(found.means), list(found.letters))


def say(journal: JournalStage, number: int, **row: Any) -> None:
    """A row of the outbox."""
    base = {"session_id": "one", "number": number, "key": b"", "headers": b"", "event_id": "e"}
    with journal.engine.begin() as connection:
        connection.execute(insert(outbox).values({**base, **row}))
