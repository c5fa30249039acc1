"""Claims about the simulated event loop: time, order, processes that die, sleep and wake, and what is left behind."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from statistics import median

import pytest

from tests.simulation.sim_loop import DeadlockError, LivelockError, SimLoop


@pytest.fixture
def loop() -> Iterator[SimLoop]:
    """A loop, closed in the end."""
    one = SimLoop()
    yield one
    one.close()


def _fail() -> None:
    raise KeyError


async def ticks(said: list[str], name: str, *, every_s: float = 1.0) -> None:
    """Say the time, again and again."""
    while True:
        said.append(f"{name} {asyncio.get_running_loop().time():g}")
        await asyncio.sleep(every_s)


# Time and order


def test_time_jumps(loop: SimLoop) -> None:
    """A day passes in no time; it passes for everybody, and only as far as something is to be done."""

    async def day() -> float:
        await asyncio.sleep(86_400)
        return loop.time()

    began = time.monotonic()
    assert 86_400 == loop.run_until_complete(day())
    assert time.monotonic() - began < 5
    loop.run_for(0.5)
    assert 86_400.5 == loop.time()


def test_order_is_that_of_the_asking(loop: SimLoop) -> None:
    """What is ready goes first, as it came; timers of one moment go as they were set; a cancelled one never."""
    said: list[str] = []
    loop.call_later(1, said.append, "second timer of the moment 1")
    loop.call_at(1, said.append, "third")
    loop.call_later(0.5, said.append, "first timer")
    loop.call_later(0.7, said.append, "never").cancel()
    loop.call_soon(said.append, "now")
    loop.call_soon_threadsafe(said.append, "also now")
    loop.run_for(2)
    assert [
        "now", "also now", "first timer", "second timer of the moment 1", "third",
    ] == said  # fmt: skip


def test_asyncio_works_on_it(loop: SimLoop) -> None:
    """Timeouts, events, groups of tasks, queues and locks keep simulated time."""

    async def all_of_it() -> list[float]:
        event, queue, lock = asyncio.Event(), asyncio.Queue[int](), asyncio.Lock()
        seen = []
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(event.wait(), 10)
        seen.append(loop.time())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5), lock:
                await queue.get()
        seen.append(loop.time())
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(3))
            group.create_task(asyncio.sleep(2))
        seen.append(loop.time())
        done, _ = await asyncio.wait(
            [asyncio.create_task(asyncio.sleep(n)) for n in (1, 4)],
            return_when=asyncio.FIRST_COMPLETED,
        )
        assert 1 == len(done)
        return [*seen, loop.time()]

    assert [10, 15, 18, 19] == loop.run_until_complete(all_of_it())


def test_threads_are_turns(loop: SimLoop) -> None:
    """What is handed to a thread runs on the loop, a turn later or when `thread_s` says; errors come back."""

    async def work() -> tuple[int, float]:
        assert 3 == await asyncio.to_thread(len, "abc")
        with pytest.raises(KeyError):
            await asyncio.to_thread(_fail)
        loop.thread_s = lambda: 0.25
        return await asyncio.to_thread(len, "ab"), loop.time()

    assert (2, 0.25) == loop.run_until_complete(work())


def test_the_same_run_twice(loop: SimLoop) -> None:
    """Two loops with the same program do the same in the same order, names of tasks included."""

    def run(one: SimLoop) -> list[str]:
        said: list[str] = []

        async def work(name: str) -> None:
            task = asyncio.current_task()
            assert task is not None
            said.append(f"{name} {task.get_name()} {one.time()}")
            await asyncio.gather(
                *(asyncio.to_thread(said.append, f"{name} {it}") for it in range(3))
            )

        for name in ("a", "b"):
            one.spawn(one.process(name), work(name))
        one.run_for(1)
        return said

    first = run(loop)
    other = SimLoop()
    assert first == run(other)
    other.close()
    assert "a a 1 0.0" == first[0]


def test_what_cannot_end_is_told(loop: SimLoop) -> None:
    """A future that nobody can settle any more ends the run with an error; so does time that stands still."""
    with pytest.raises(DeadlockError):
        loop.run_until_complete(loop.create_future())

    async def spin() -> None:
        while True:
            await asyncio.to_thread(len, "")

    with pytest.raises(LivelockError):
        loop.run_until_complete(spin())


def test_a_callback_that_raises_ends_the_run(loop: SimLoop) -> None:
    """Asyncio would log it and go on; here it is a finding."""
    loop.call_soon(_fail)
    with pytest.raises(KeyError):
        loop.run_for(1)


# Processes


def test_who_begins_a_task_owns_it(loop: SimLoop) -> None:
    """Tasks, callbacks, timers and threads that a process begins are its own; what wakes them is not asked."""
    one = loop.process("one")
    owners: list[str] = []
    shared = loop.create_future()

    async def inner() -> None:
        await shared
        owners.append("inner")

    async def outer() -> None:
        loop.call_soon(owners.append, "soon")
        loop.call_later(5, owners.append, "later")
        task = asyncio.create_task(inner())
        await asyncio.to_thread(owners.append, "thread")
        await task

    async def world() -> None:
        await asyncio.sleep(1)
        loop.kill(one)
        shared.set_result(None)
        await asyncio.sleep(10)

    loop.spawn(one, outer())
    loop.run_until_complete(world())
    assert ["soon", "thread"] == owners


def test_a_killed_process_never_goes_on(loop: SimLoop) -> None:
    """Neither its tasks nor its `finally` blocks nor its timers; the others do not notice, and time goes on."""
    said: list[str] = []
    victim, other = loop.process("victim"), loop.process("other")

    async def careful() -> None:
        try:
            await ticks(said, "victim")
        finally:
            said.append("cleaned up")

    loop.spawn(victim, careful())
    loop.spawn(other, ticks(said, "other", every_s=2))
    loop.run_for(1.5)
    loop.kill(victim)
    assert 1.5 == victim.silent_since
    loop.run_for(3)
    assert ["victim 0", "other 0", "victim 1", "other 2", "other 4"] == said
    loop.wake(victim)
    loop.run_for(1)
    assert "cleaned up" not in said


def test_a_frozen_process_wakes_up_late(loop: SimLoop) -> None:
    """What fell due meanwhile runs when it is woken, in order and once; its clock went on."""
    said: list[str] = []
    sleeper = loop.process("sleeper")
    loop.spawn(sleeper, ticks(said, "sleeper"))
    loop.run_for(1.5)
    loop.freeze(sleeper)
    assert 1.5 == sleeper.silent_since
    loop.spawn(sleeper, ticks(said, "begun meanwhile", every_s=100))
    loop.run_for(10)
    assert ["sleeper 0", "sleeper 1"] == said
    loop.wake(sleeper)
    loop.run_for(1.2)
    assert ["begun meanwhile 11.5", "sleeper 11.5", "sleeper 12.5"] == said[2:]


def test_a_frozen_timer_is_not_early(loop: SimLoop) -> None:
    """A timer whose time has not come when its process is woken still waits for it."""
    said: list[str] = []
    sleeper = loop.process("sleeper")
    loop.spawn(sleeper, ticks(said, "sleeper", every_s=10))
    loop.run_for(1)
    loop.freeze(sleeper)
    loop.run_forever()  # nothing else can happen: the timer is looked at, and kept
    assert 1 == loop.time()
    loop.wake(sleeper)
    loop.run_for(8)
    assert ["sleeper 0"] == said
    loop.run_for(1)
    assert ["sleeper 0", "sleeper 10"] == said


def test_silence_is_heard_outside(loop: SimLoop) -> None:
    """Who listens to a process hears that it fell silent, and that it wakes before anything of it goes on."""
    said: list[str] = []
    process = loop.process("p")

    def in_a_while() -> None:
        loop.call_later(3, said.append, "silent for 3 s")

    process.on_silence.append(in_a_while)
    process.on_wake.append(lambda: said.append("wakes"))

    async def sleepy() -> None:
        await asyncio.sleep(1)
        loop.freeze(process)
        await asyncio.sleep(0)
        said.append("awake")

    loop.spawn(process, sleepy())
    loop.run_for(10)
    assert ["silent for 3 s"] == said
    loop.wake(process)
    loop.run_for(1)
    assert ["silent for 3 s", "wakes", "awake"] == said


@pytest.mark.parametrize("place", range(1, 6))
def test_a_strike_hits_one_await(loop: SimLoop, place: int) -> None:
    """Each stretch between two awaits has a number, and a process can be killed before any of them."""
    said: list[int] = []
    process = loop.process("p")

    async def steps() -> None:
        for step in range(1, 5):
            said.append(step)
            await asyncio.sleep(0)

    process.strike_at, process.strike = place, lambda: loop.kill(process)
    loop.spawn(process, steps())
    loop.run_for(5)
    assert [1, 2, 3, 4][: place - 1] == said


def test_two_loops_of_one_process_are_strangers(loop: SimLoop) -> None:
    """What a process began in one run is nothing to the next run's process of the same name."""
    other = SimLoop()
    said: list[str] = []
    loop.spawn(loop.process("p"), ticks(said, "first"))
    other.spawn(other.process("p"), ticks(said, "second"))
    loop.run_for(0.5)
    other.run_for(0.5)
    other.close()
    assert ["first 0", "second 0"] == said


# The end


def test_closing_disturbs_nobody(loop: SimLoop) -> None:
    """Whatever `finally` blocks do when all is thrown away: awaits, raises, makes tasks: nobody hears of it."""
    ended: list[str] = []

    @asynccontextmanager
    async def guarded() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.sleep(1)
            ended.append("never")

    async def stubborn() -> None:
        async with guarded():
            try:
                await asyncio.sleep(1000)
            finally:
                ended.append("tried")
                loop.call_soon(ended.append, "never")
                await asyncio.sleep(1)

    async def raises() -> None:
        try:
            await loop.create_future()
        finally:
            raise KeyError

    process = loop.process("p")
    for coroutine in (stubborn(), raises(), ticks([], "t")):
        loop.spawn(process, coroutine)
    loop.run_for(1)
    loop.kill(process)
    loop.close()
    assert ["tried"] == ended
    assert loop.is_closed()
    loop.close()


def test_crashes_are_told(loop: SimLoop) -> None:
    """A task that ended by an exception which nobody asked for is named with its process; one that was asked is not."""

    async def crash() -> None:
        raise KeyError("ours")

    async def asks() -> None:
        with pytest.raises(KeyError):
            await asyncio.create_task(crash())

    process = loop.process("p")
    loop.spawn(process, crash(), name="unheard")
    loop.spawn(process, asks())
    for _ in range(300):
        loop.spawn(process, asyncio.sleep(0))
    loop.run_for(1)
    assert [("p", "unheard")] == [(who.name, task.get_name()) for who, task in loop.crashed()]


def test_a_switch_is_cheap() -> None:
    """A task switch costs no more than three of asyncio's own: it is what a run of the simulation mostly does."""

    async def switches(count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    def simulated() -> None:
        loop = SimLoop()
        loop.run_until_complete(loop.spawn(loop.process("p"), switches(5_000)))
        loop.close()

    def real() -> None:
        asyncio.run(switches(5_000))

    def cost(run: Callable[[], None]) -> float:
        began = time.process_time()
        run()
        return time.process_time() - began

    pairs = [(cost(simulated), cost(real)) for _ in range(5)]
    assert median(ours / asyncios for ours, asyncios in pairs) < 3
