"""The worker's own voice while it is simulated: logs and metrics that cost nothing. The harness tells the story."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from worker.telemetry import Metrics, log

_WORDS: Final = ("debug", "info", "warning", "error")


class _Mute:
    """Any metric, with or without labels."""

    def labels(self, *_values: object) -> "_Mute":
        """Itself."""
        return self

    def inc(self, _amount: float = 1) -> None:
        """Nothing."""

    def set(self, _value: float) -> None:
        """Nothing."""

    def observe(self, _value: float) -> None:
        """Nothing."""


class MuteMetrics(Metrics):
    """The catalogue's names; nothing is counted."""

    def __init__(self) -> None:
        for name in vars(Metrics()):
            setattr(self, name, _MUTE)


_MUTE: Final = _Mute()
METRICS: Final = MuteMetrics()


@contextmanager
def silence() -> Iterator[None]:
    """No log within: the worker's one logger is muted, whatever structlog is set up to do."""
    muted: Any = log
    before = {word: vars(muted)[word] for word in _WORDS if word in vars(muted)}
    for word in _WORDS:
        setattr(muted, word, _unheard)
    try:
        yield
    finally:
        for word in _WORDS:
            delattr(muted, word)
        for word, said in before.items():
            setattr(muted, word, said)


def _unheard(_event: str, **_fields: object) -> None:
    """Nobody listens."""
