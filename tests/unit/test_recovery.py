"""Recovery: what follows from each stage, when absence is proven, when it is asked again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.domain.recovery import STEPS, Inquiry, Stage, Step, absent, ask_again_s

SENT = datetime(2026, 11, 20, 12, tzinfo=UTC)
ASKED = Inquiry(
    asked=3,
    complete_scans=1,
    since=SENT,
    until=SENT + timedelta(seconds=60),
    now=SENT + timedelta(seconds=960),
)


def test_every_stage_has_its_step() -> None:
    """The table is exhaustive: each stage, suspect or not."""
    assert set(product(Stage, (False, True))) == set(STEPS)


@pytest.mark.parametrize("suspect", [False, True])
@pytest.mark.parametrize("stage", Stage)
def test_only_what_was_never_open_may_be_planned(stage: Stage, suspect: bool) -> None:
    """A plan leads to sending, so it follows only where surely nothing was sent."""
    assert (STEPS[stage, suspect] is Step.PLAN) == (stage is Stage.ADMITTED and not suspect)


@pytest.mark.parametrize(
    ("step", "stage", "suspect"),
    [
        (Step.PLAN, Stage.ADMITTED, False),
        (Step.ASK, Stage.ADMITTED, True),
        (Step.ASK, Stage.OPEN, False),
        (Step.ASK, Stage.OPEN, True),
        (Step.TELL, Stage.ANSWERED, False),
        (Step.TELL, Stage.ANSWERED, True),
        (Step.ASK, Stage.ASKING, False),
        (Step.ASK, Stage.ASKING, True),
        (Step.REST, Stage.QUEUED, False),
        (Step.REST, Stage.QUEUED, True),
        (Step.REST, Stage.DEFERRED, False),
        (Step.REST, Stage.DEFERRED, True),
        (Step.REST, Stage.CONCLUDED, False),
        (Step.REST, Stage.CONCLUDED, True),
    ],
)
def test_the_step_of_each_stage(step: Step, stage: Stage, suspect: bool) -> None:
    """Every row as the design has it: what is open is asked for, what is answered told, what is in line left there."""
    assert step is STEPS[stage, suspect]


def test_two_complete_scans_prove_absence() -> None:
    """The second complete scan, fifteen minutes after the call's deadline, proves it."""
    assert absent(ASKED, complete=True, absence_after_s=900)


@pytest.mark.parametrize(
    ("inquiry", "complete"),
    [
        (ASKED, False),
        (replace(ASKED, complete_scans=0), True),
        (replace(ASKED, now=ASKED.now - timedelta(microseconds=1)), True),
    ],
    ids=["this scan is incomplete", "no complete scan before", "a microsecond too early"],
)
def test_less_does_not_prove_absence(inquiry: Inquiry, complete: bool) -> None:
    """With any of the three missing nothing is proven, and the payment stays unknown."""
    assert not absent(inquiry, complete=complete, absence_after_s=900)


@given(
    st.integers(0, 5),
    st.integers(0, 5),
    st.integers(-2000, 2000),
    st.booleans(),
    st.floats(0, 2000),
)
def test_absence_is_monotonous(
    asked: int,
    complete_scans: int,
    offset_s: int,
    complete: bool,
    absence_after_s: float,
) -> None:
    """More scans, a later moment or a shorter wait never take a proof away."""
    inquiry = Inquiry(
        asked=asked,
        complete_scans=complete_scans,
        since=SENT,
        until=SENT,
        now=SENT + timedelta(seconds=offset_s),
    )
    if absent(inquiry, complete=complete, absence_after_s=absence_after_s):
        later = replace(inquiry, now=inquiry.now + timedelta(seconds=1))
        more = replace(inquiry, complete_scans=complete_scans + 1)
        assert absent(later, complete=True, absence_after_s=absence_after_s)
        assert absent(more, complete=True, absence_after_s=absence_after_s)
        assert absent(inquiry, complete=True, absence_after_s=absence_after_s / 2)


@pytest.mark.parametrize(("seconds", "asked"), [(5, 0), (15, 1), (45, 2), (45, 3), (45, 1000)])
def test_the_schedule_repeats_its_last_entry(seconds: float, asked: int) -> None:
    """The waits grow along the schedule, and asking never stops."""
    assert seconds == ask_again_s((5, 15, 45), asked=asked)
