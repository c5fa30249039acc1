"""The journal in memory is the journal: whatever is asked of it, it does and says what PostgreSQL does and says.

Moves and reads at random go to both, hypothesis drives. A longer campaign, by chance instead of the fixed histories,
which also shrinks a difference to the moves that show it (that takes minutes): TWIN_EXAMPLES=2000, and TWIN_STEPS for
more than 30 moves in each.
"""

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from handlers.ports import OnePayment
from tests.contract.journal_stage import JournalStage
from tests.simulation.journal_twin_corners import CORNERS, one_order
from tests.simulation.journal_twin_machine import JournalMachine
from tests.simulation.journal_twin_stage import Twins, clocked
from tests.simulation.journal_twin_work import TwinWork

EXAMPLES = int(os.environ.get("TWIN_EXAMPLES", "8"))
STEPS = int(os.environ.get("TWIN_STEPS", "30"))
SEEDED = "TWIN_EXAMPLES" in os.environ


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JournalStage]:
    """A server for this file, under a clock of its own."""
    with clocked(tmp_path_factory.mktemp("twins")) as one:
        yield one


@pytest.mark.parametrize(
    ("corner", "one_payment"),
    [(it, OnePayment.ENFORCE) for it in CORNERS]
    + [(one_order, it) for it in (OnePayment.SHADOW, OnePayment.OFF)],
)
def test_the_corners_are_the_same(
    stage: JournalStage, corner: Callable[[TwinWork], None], one_payment: OnePayment
) -> None:
    """What chance seldom reaches is the same, too."""
    twins = Twins(stage, one_payment)
    try:
        for _ in range(2):
            twins.start(lease_s=100_000)
        work = TwinWork(twins)
        corner(work)
        for desk in twins.desks:
            work.read(desk)
    finally:
        twins.close()


@pytest.mark.timeout(0 if SEEDED else 300)
def test_the_journal_in_memory_is_the_journal(stage: JournalStage) -> None:
    """After every move, take-over, restart and restore both say the same, have the same rows, and read the same."""
    JournalMachine.stage = stage
    run_state_machine_as_test(
        JournalMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=not SEEDED,
            phases=[Phase.generate, Phase.shrink] if SEEDED else [Phase.generate],
            database=None,
        ),
    )
