"""What the demo shows while it runs: a calm live view on a terminal, plain lines elsewhere. Nothing is decided here."""

import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

_WIDTH: Final = 78
_BEATS_SHOWN: Final = 9
_COLORS: Final = {
    "captured": "green",
    "settled": "green",
    "authorized": "green",
    "verified": "green",
    "partially_refunded": "blue",
    "refunded": "blue",
    "voided": "blue",
    "declined": "yellow",
    "refused": "yellow",
    "failed": "yellow",
    "held": "cyan",
    "unknown": "magenta",
    "requested": "white",
    "conflicted": "red",
}

_LABELS: Final = {"requested": "open", "partially_refunded": "refunded in part"}


@dataclass(slots=True)
class Scene:
    """What there is to see now. `workers`: name → what it does; `states`: payments by state in the journal."""

    servers: str
    payments: int
    workers: dict[str, str]
    states: Counter[str] = field(default_factory=Counter)
    charges: int = 0
    charged: str = ""
    repeats: int = 0
    letters: int = 0
    recent: Iterable[str] = ()


class Screen:
    """Shows beats and, on a terminal, the scene. Beats may come from any thread."""

    def __init__(self, *, plain: bool) -> None:
        self._plain = plain or not sys.stdout.isatty()
        self.console = Console(highlight=False, soft_wrap=self._plain)
        self._began = time.monotonic()
        self._beats: deque[tuple[float, str]] = deque(maxlen=_BEATS_SHOWN)
        self._lock = threading.Lock()
        self._live: Live | None = None

    def say(self, text: str) -> None:
        """A line, with the seconds since the start."""
        with self._lock:
            at_s = time.monotonic() - self._began
            self._beats.append((at_s, text))
            if self._live is None:
                self.console.print(Text(f"{at_s:5.1f} s  {text}"))

    def open(self, scene: Scene) -> None:
        """Begin to show the scene; what was said before stays above it."""
        with self._lock:
            self._beats.clear()
            if not self._plain:
                self._live = Live(
                    self._picture(scene),
                    console=self.console,
                    auto_refresh=False,
                    vertical_overflow="crop",
                )
                self._live.start(refresh=True)

    def show(self, scene: Scene) -> None:
        """The scene as it is now."""
        with self._lock:
            if self._live is not None:
                self._live.update(self._picture(scene), refresh=True)

    def close(self) -> None:
        """Leave the last picture where it is; from now on there are lines."""
        with self._lock:
            if self._live is not None:
                self._live.stop()
                self._live = None

    def _picture(self, scene: Scene) -> Group:
        lines = [
            Text(f"payment worker · demo · {time.monotonic() - self._began:.0f} s", style="bold"),
            Text(scene.servers, style="dim"),
            *(_worker(name, what) for name, what in scene.workers.items()),
            _bar(scene),
            _legend(scene),
            Text(
                f"gateway: {scene.charges} charges, {scene.charged or '0.00 USD'} ·"
                f" dead letters {scene.letters} · repeats answered {scene.repeats}"
            ),
            Text("events (read_committed)", style="bold"),
            *(Text(f"  {line}", style="dim") for line in scene.recent),
            Text("story", style="bold"),
            *(Text(f"  {at_s:4.0f} s  {text}") for at_s, text in self._beats),
        ]
        for line in lines:
            line.truncate(min(_WIDTH, self.console.width - 1), overflow="ellipsis")
            line.no_wrap = True
        return Group(*lines)


def _worker(name: str, what: str) -> Text:
    color = "red" if what.startswith("killed") else "green"
    return Text.assemble(f"{name}  ", (what, color))


def _bar(scene: Scene) -> Text:
    """One bar over all payments: a piece for each state, blank for those that did not arrive yet."""
    width = _WIDTH - 12
    bar = Text()
    drawn = seen = 0
    for state, color in _COLORS.items():
        seen += scene.states[state]
        end = min(width, seen * width // max(scene.payments, 1))
        bar.append("█" * (end - drawn), style=color)
        drawn = end
    bar.append("░" * (width - drawn), style="dim")
    bar.append(f" {scene.states.total()}/{scene.payments}")
    return bar


def _legend(scene: Scene) -> Text:
    legend = Text()
    for state, color in _COLORS.items():
        if scene.states[state]:
            legend.append("■", style=color).append(f"{_LABELS.get(state, state)} ")
            legend.append(f"{scene.states[state]} ")
    return legend
