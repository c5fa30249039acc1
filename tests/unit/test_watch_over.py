"""The watch over the threads of the Kafka client: one that hangs ends the session, one that is merely slow does not."""

import asyncio

import pytest

from handlers.domain.errors import SessionOver
from worker.run_state import MAX_BEAT_AGE_S
from worker.session import watch_over

WELL = {"publisher": 0.1, "intake": 0.1, "janitor": 0.1}


@pytest.mark.parametrize("name", ["publisher", "intake"])
async def test_a_thread_that_hangs_ends_the_session(name: str) -> None:
    """The session says which thread has not been heard of, for others to take it over."""
    with pytest.raises(SessionOver, match=f"{name} has not been heard of"):
        await asyncio.wait_for(watch_over(lambda: {**WELL, name: MAX_BEAT_AGE_S + 1}), 10)


async def test_a_round_that_waits_for_many_neighbours_ends_nothing() -> None:
    """The janitor's round may take as long as it fences dead sessions; `health` tells of it."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watch_over(lambda: {**WELL, "janitor": 1000.0}), 1.5)
