"""Plays a chain: worker after worker dies at its station, the next one goes on, the last one brings all to rest.

What must be true at the end stands in `outcomes.py`.
"""

import re
import signal
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from db_client.audit import JournalBook, read_journal
from tests.crash.asked_verbs import Asker, Volley, asks_early
from tests.crash.crash_table import Row
from tests.crash.installation import Installation, installed, wait_until
from tests.crash.outcomes import Succession, has_voided_tests, is_over, rows_of
from tests.crash.stations import Chain, Station, Verb
from worker.demo.audit import is_at_rest
from worker.demo.kept_process import KeptProcess
from worker.demo.stage import Stage
from worker.demo.stage_error import StageError

# Slow enough for all verbs to be in flight when one of them dies; nothing is called lost that is only slow.
_BUSY: Final[dict[str, Any]] = {"latency": {"uniform_ms": [300, 600]}}
_READS_SLOWLY: Final = {**_BUSY, "read_latency": {"uniform_ms": [300, 500]}}
_DIES_WITHIN_S: Final = 60.0
_RESTS_WITHIN_S: Final = 90.0
_LOOKS: Final = '"looks into the account"'
_ASSIGNED: Final = '"partition assigned"'
# The last worker holds every account, and has walked its lists since it began.
_WALKED: Final = """
    SELECT coalesce(bool_and(s.ended_at IS NULL AND f.walked_until > s.started_at), false)
    FROM finder f JOIN session s ON s.session_id = f.session_id
"""
_SUCCESSION: Final = "SELECT session_id, rehomed_by, rehomed_at FROM session"


@dataclass
class _Stage:
    """A chain on its installation. `volleys[n]` is what the n-th worker dies of; the last worker has none."""

    installation: Installation
    asker: Asker
    volleys: list[Volley]

    def start(self, number: int) -> KeptProcess:
        """The `number`-th worker; the one behind the last volley lives."""
        name = f"worker-{number + 1}"
        if number == len(self.volleys):
            return self.installation.worker(name)
        volley = self.volleys[number]
        argv = ["-m", "tests.crash.dying_worker", volley.cell.station.value]
        argv += ["--of", *_meant(volley)]
        once = _once(volley)
        if once:
            argv += ["--once", once]
        walks = {"walk_every_s": "1"} if volley.cell.station is Station.WALKING else {}
        try:
            return self.installation.worker(name, argv=tuple(argv), settings=walks)
        except StageError:  # a take-over may come, and its end with it, before the worker is ready
            worker = self.installation.stage.workers[-1]
            if "DIES AT" not in self.installation.logs(worker):
                raise
            return worker

    def fire(self, number: int, worker: KeptProcess) -> None:
        """Ask for what the `number`-th worker dies of, once everything is as its station needs it."""
        volley, asker = self.volleys[number], self.asker
        station = volley.cell.station
        reads_slowly = station is Station.ASKING or volley.cell.verb is Verb.VERIFICATION
        plan = _READS_SLOWLY if reads_slowly else _BUSY
        self.installation.stage.gateway("PUT", "/plan", body=plan)
        if station in {Station.ASKING, Station.GATHERED}:
            asker.lose_answers(volley.victims)
        if station is Station.WALKING:
            self._insist(worker, f"WAITS AT {station}")
        if not asks_early(volley.cell):
            asker.publish(it.command for it in volley.pieces)
            return
        [victim] = volley.victims
        assert victim.of is not None, "a verification is of a payment"
        asker.publish([victim.of, *(it.command for it in volley.pieces if it is not victim)])
        self._insist(worker, f"WAITS AT {station}")
        asker.publish([victim.command])

    def insist_died(self, number: int, worker: KeptProcess) -> str:
        """It died of SIGKILL at its station; with which operation."""
        place = self.volleys[number].cell.station
        assert wait_until(lambda: not worker.alive, within_s=_DIES_WITHIN_S), (
            f"{worker.name} did not come to its death: {place}"
        )
        log = self.installation.logs(worker)
        assert -signal.SIGKILL == worker.returncode, log[-2000:]
        found = re.search(rf"^DIES AT {re.escape(place)} (.+)$", log, re.MULTILINE)
        assert found is not None, f"{worker.name} died elsewhere than {place}"
        return found[1]

    def insist_holds(self, worker: KeptProcess) -> None:
        """It looks into the account, so that it gathers the questions of whoever comes after it."""
        self._insist(worker, _LOOKS)

    def insist_shares(self, worker: KeptProcess) -> None:
        """It has a share of the partitions."""
        self._insist(worker, _ASSIGNED)

    def rests(self) -> JournalBook:
        """Wait until nothing moves that is not left to a person, and the lists were walked since the last death."""
        url = self.installation.stage.journal_url
        asked = {it.operation_id for it in self.asker.requests}

        def resting() -> bool:
            with psycopg.connect(url) as connection:
                [walked] = connection.execute(_WALKED).fetchone() or (False,)
            return walked and is_resting(read_journal(url))

        def is_resting(book: JournalBook) -> bool:
            known = {it.operation_id for it in book.requests}
            return (
                len(book.entries) >= len(self.installation.published)
                and known.issuperset(asked)
                and is_at_rest(book)
                and has_voided_tests(book)
                and is_over(book)
            )

        assert wait_until(resting, within_s=_RESTS_WITHIN_S), _what_moves(read_journal(url))
        return read_journal(url)

    def succession(self, workers: list[KeptProcess]) -> Succession:
        """Who took over from whom, and how long after its death."""
        sessions = {
            found[1]: worker
            for worker in workers
            for found in re.finditer(
                r'"session": "([^"]+)".*"session started"|"session started".*"session": "([^"]+)"',
                self.installation.logs(worker),
            )
        }
        with psycopg.connect(self.installation.stage.journal_url) as connection:
            rows = connection.execute(_SUCCESSION).fetchall()
        return {
            sessions[dead].name: (sessions[heir].name, at.timestamp() - died_at(sessions[dead]))
            for dead, heir, at in rows
            if heir is not None
        }

    def _insist(self, worker: KeptProcess, text: str) -> None:
        assert wait_until(lambda: text in self.installation.logs(worker)), (
            f"{worker.name} never said {text}"
        )


def died_at(worker: KeptProcess) -> float:
    """When it said its last word."""
    return worker.log.stat().st_mtime


def play(base: Stage, chain: Chain, *, name: str) -> list[Row]:
    """Play it on an installation called `name`; what became of each cell. Raises AssertionError."""
    with installed(base, name) as installation:
        asker = Asker(installation)
        stage = _Stage(installation, asker, asker.volleys(chain))
        workers, died = [stage.start(0)], []
        asker.prepare(stage.volleys)
        for number, volley in enumerate(stage.volleys):
            worker = workers[number]
            if volley.cell.station is Station.GATHERED:
                stage.insist_holds(worker)
                workers.append(stage.start(number + 1))
                stage.insist_shares(workers[-1])
            stage.fire(number, worker)
            died.append(stage.insist_died(number, worker))
            if len(workers) == number + 1:
                workers.append(stage.start(number + 1))
        book = stage.rests()
        assert workers[-1].alive
        return rows_of(asker, stage.volleys, died=died, book=book, heirs=stage.succession(workers))


def _meant(volley: Volley) -> list[str]:
    """The operations whose passing counts."""
    if volley.cell.station is Station.WALKING:
        return ["verification:seen-*"]
    if asks_early(volley.cell):
        return [f"initiation:{it.of.payment_id}" for it in volley.victims if it.of is not None]
    return [it.operation_id for it in volley.victims]


def _once(volley: Volley) -> str:
    """The operation that must have begun before."""
    if volley.cell.station is Station.WALKING or asks_early(volley.cell):
        return volley.victims[0].operation_id
    return ""


def _what_moves(book: JournalBook) -> str:
    waiting = [f"{it.payment_id} {it.stage} {it.why}" for it in book.entries]
    waiting += [f"{it.operation_id} {it.stage} {it.why}" for it in book.requests]
    return f"does not rest: {[it for it in waiting if ' concluded ' not in it]}"
