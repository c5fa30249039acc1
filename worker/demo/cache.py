"""Where downloads are kept between runs, and how two processes share that place.

What is downloaded, from where and with which hash is the business of the one who needs it.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.demo.stage_error import StageError


def folder() -> Path:
    """The cache folder, made if needed.

    `$PAYMENT_WORKER_CACHE`, else `$XDG_CACHE_HOME/payment-worker`, else `~/.cache/payment-worker`.
    """
    own = os.environ.get("PAYMENT_WORKER_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME")
    if own:
        place = Path(own)
    elif shared:
        place = Path(shared) / "payment-worker"
    else:
        place = Path.home() / ".cache" / "payment-worker"
    place = place.expanduser().absolute()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StageError(
            f"The cache folder {place} cannot be made ({error.strerror}). "
            "Next: set PAYMENT_WORKER_CACHE to a folder that can be written."
        ) from error
    return place


@contextmanager
def alone(name: str, *, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the cache's lock `name`: one thread of one process at a time.

    The kernel lets go of it when the holder dies, so a killed download never blocks the next one.
    """
    with (folder() / f"{name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{name}: another process is at it, waiting")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
