"""Judges a campaign at rest: the four books, the claims from outside, `reconcile`, and the figures."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import func, select

from db_client import history
from db_client.audit import read_journal
from db_client.tables import session
from tests.campaign.campaign import Played
from tests.campaign.claims import Books, Breach, Difference, broken, kinds_of
from tests.campaign.ground import NAME, Ground
from tests.campaign.hearing import decisions, hear
from tests.campaign.report import Report, Unknowns, outages_s, unknowns_of
from tests.campaign.story import Library
from worker.demo.audit import audit
from worker.demo.books import Verdict

_DOOR: Final = Path(__file__).parents[2] / "run_worker.py"
_RECONCILES_WITHIN_S: Final = 600.0
_MOST_STORIES: Final = 20
_MOST_BREAKS: Final = 50


def judged(played: Played, *, reconciles: bool = True) -> Report:
    """All that is wrong with it, each with its story. Raises StageError, Unavailable where a book cannot be read."""
    ground, chronicle = played.ground, played.chronicle
    verdict = audit(
        ground.stage,
        published=ground.installation.published,
        requests=played.day.asked,
        name=NAME,
    )
    books = Books(
        day=played.day,
        ledger=ground.stage.ledger(),
        heard=hear(ground.stage),
        journal=read_journal(ground.stage.journal_url),
    )
    sessions, take_overs = _sessions(ground.stage.journal_url)
    library = Library(books, chronicle, ground.stage.journal_url)
    unknowns = unknowns_of(decisions(books.heard, chronicle.outages))
    differences = [
        *broken(books),
        *(Difference(Breach.BOOKS, library.whose(it), it) for it in verdict.differences),
        *(_reconciled(ground) if reconciles else ()),
        *(
            Difference(Breach.ENDED, "", f"{it.worker}, exit code {it.code}: {it.last_words}")
            for it in chronicle.ended
        ),
    ]
    differences += _undecided(played, unknowns)
    told_of = dict.fromkeys(it.payment_id for it in differences if it.payment_id)
    return Report(
        terms=ground.terms,
        commands=kinds_of(played.day),
        faults=chronicle.by_kind,
        left_out=chronicle.left_out,
        sessions=sessions,
        take_overs=take_overs,
        unknowns=unknowns,
        states=verdict.states,
        requests=_requests(verdict),
        dead_letters=verdict.dead_letters,
        charged=verdict.charged,
        events=verdict.events.total(),
        outages_s=outages_s(chronicle),
        load_s=played.load_s,
        rest_s=played.rest_s,
        differences=differences,
        stories={name: library.story(name) for name in list(told_of)[:_MOST_STORIES]},
    )


def _undecided(played: Played, unknowns: Unknowns) -> Iterator[Difference]:
    """What nobody found, what did not come to rest, what took too long to be decided."""
    for it in played.clerk.seen:
        what = f"{it.kind} {it.request_id} is listed, and not found"
        yield Difference(Breach.UNDECIDED, it.payment_id, what)
    if not played.rested:
        within = f"{played.ground.terms.rests_within_s:.0f} s"
        yield Difference(Breach.UNDECIDED, "", f"not everything at rest within {within}")
    if not unknowns.holds:
        late = unknowns.told - unknowns.in_time
        yield Difference(Breach.UNDECIDED, "", f"{late} of {unknowns.told} unknowns took too long")


def _requests(verdict: Verdict) -> Counter[str]:
    return Counter({" ".join(key): count for key, count in verdict.requests.items()})


def _sessions(journal_url: str) -> tuple[int, int]:
    """How many sessions there were, and of how many another one took over what they left."""
    counted = select(func.count(), func.count(session.c.rehomed_at)).select_from(session)
    with history.journal(journal_url, role="campaign") as engine, engine.connect() as connection:
        began, taken_over = connection.execute(counted).one()
        return began, taken_over


def _reconciled(ground: Ground) -> Iterator[Difference]:
    """What `run_worker.py reconcile` says of the same books: no break, and each book read to its end."""
    argv = (sys.executable, str(_DOOR), "reconcile", "--events", "--grace", "0s", "--json")
    done = subprocess.run(
        argv,
        env=ground.stage.worker_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=_RECONCILES_WITHIN_S,
    )
    if done.returncode == 0:
        return
    told = json.loads(done.stdout) if done.stdout.startswith("{") else {"breaks": []}
    for it in told["breaks"][:_MOST_BREAKS]:
        text = f"{it['kind']}, {it['subject']}, {it['amount']} {it['currency']}: {it['text']}"
        yield Difference(Breach.RECONCILE, it["payment_id"], text)
    yield Difference(
        Breach.RECONCILE, "", f"exit code {done.returncode}: {done.stderr.strip()[-500:]}"
    )
