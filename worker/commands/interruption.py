"""Ctrl-C for commands that follow without an end: it ends them, even where nobody heard the exception.

Python raises KeyboardInterrupt wherever the program happens to be. In a callback out of C (a codec, a finaliser) it is
printed or dropped and the program goes on, which was seen once with `watch`. So it is written down, too, and whoever
goes round and round asks.
"""

import signal
from types import FrameType
from typing import Final

_heard: Final[list[int]] = []


def listen() -> None:
    """From now on it is written down. A process that was told to ignore it (`nohup`, a shell's `&`) still does."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _hear)


def heed() -> None:
    """Raise KeyboardInterrupt where it was pressed."""
    if _heard:
        raise KeyboardInterrupt


def _hear(number: int, frame: FrameType | None) -> None:
    del frame
    _heard.append(number)
    raise KeyboardInterrupt
