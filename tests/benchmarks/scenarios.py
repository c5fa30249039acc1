"""What is measured: how much in flight, how slow the gateway is, for how long. No measuring here."""

from dataclasses import dataclass
from typing import Final


class BenchmarkError(Exception):
    """A run that says nothing: its figures must not be shown."""


@dataclass(frozen=True, slots=True)
class Latency:
    """The gateway's latency: uniform between two bounds, in milliseconds."""

    low_ms: float
    high_ms: float

    @property
    def mean_s(self) -> float:
        """The mean in seconds."""
        return (self.low_ms + self.high_ms) / 2000

    @property
    def plan(self) -> dict[str, dict[str, list[float]]]:
        """As the simulator's control port wants it."""
        return {"latency": {"uniform_ms": [self.low_ms, self.high_ms]}}

    def __str__(self) -> str:
        """For people: mean and bounds."""
        bounds = "fixed" if self.low_ms == self.high_ms else f"{self.low_ms:g}-{self.high_ms:g} ms"
        return f"{self.mean_s:g} s ({bounds})"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One measurement. `name` also names its installation, so it is short and lower case.

    Open loop: commands arrive by chance at `load` of what the scenario `half_of` reached (of the ideal, where that
    one was not measured). Closed loop: as many as fit are in flight all the time.
    """

    name: str
    in_flight: int
    latency: Latency
    half_of: str = ""

    @property
    def ideal(self) -> float:
        """Charges/s by Little's law: in flight ÷ latency. Nothing that holds this many in flight can do more."""
        return self.in_flight / self.latency.mean_s


@dataclass(frozen=True, slots=True)
class Program:
    """All measurements of one run, and how long each is watched."""

    window_s: float
    warm_up_s: float
    closed: tuple[Scenario, ...]
    opened: tuple[Scenario, ...]
    yardsticks: tuple[Scenario, ...]

    def only(self, names: list[str]) -> "Program":
        """The measurements whose names are given. Raises BenchmarkError for a name that there is not."""
        every = [it.name for it in (*self.closed, *self.opened, *self.yardsticks)]
        unknown = sorted(set(names) - set(every))
        if unknown:
            raise BenchmarkError(f"no {', '.join(unknown)}; there are: {', '.join(every)}")
        parts = (self.closed, self.opened, self.yardsticks)
        closed, opened, yardsticks = (
            tuple(it for it in part if it.name in names) for part in parts
        )
        return Program(self.window_s, self.warm_up_s, closed, opened, yardsticks)


LOAD: Final = 0.5
_USUAL: Final = Latency(300, 1500)
_SLOW: Final = Latency(1000, 3000)
_FIXED: Final = Latency(900, 900)  # so that exactly the gateway's part can be taken off
_QUICK: Final = Latency(50, 50)

FULL: Final = Program(
    window_s=20,
    warm_up_s=5,
    closed=(
        Scenario("c100", 100, _USUAL),
        Scenario("c500", 500, _USUAL),
        Scenario("c1000", 1000, _SLOW),
    ),
    opened=(Scenario("half", 500, _FIXED, half_of="c500"),),
    yardsticks=(Scenario("sdk1", 1, _USUAL), Scenario("sdk100", 100, _USUAL)),
)
QUICK: Final = Program(
    window_s=1.5,
    warm_up_s=0.5,
    closed=(Scenario("c20", 20, _QUICK),),
    opened=(Scenario("half", 20, _QUICK, half_of="c20"),),
    yardsticks=(Scenario("sdk2", 2, _QUICK),),
)
