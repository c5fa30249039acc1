"""Commands on their way in: made beforehand, so that making them costs nothing in the window; sent on a thread.

Closed loop: never fewer than `ahead` commands that nobody was told of yet, so the topic is never empty. Open loop:
arrivals by chance on an absolute schedule; a sender that was late sends at once and says how late it was.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Producer

from tests.benchmarks.scenarios import BenchmarkError
from worker.demo.shop import Record

_FLUSH_S: Final = 30.0
_LOOK_S: Final = 0.05


class Load:
    """One producer and its thread. `sent` is payment id → the command's timestamp, ms since the epoch."""

    def __init__(self, properties: Mapping[str, str], commands: Sequence[Record]) -> None:
        self.sent: dict[bytes, int] = {}
        self.lateness_s: list[float] = []
        self.ran_dry = False
        self._commands = iter(commands)
        self._producer = Producer(
            {**properties, "enable.idempotence": True, "linger.ms": 2, "log_level": "2"}
        )
        self._failures: list[str] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def keep_filled(self, *, ahead: int, told: Callable[[], int]) -> None:
        """Closed loop, from now on."""

        def run() -> None:
            while not self._stop.is_set():
                missing = ahead - (len(self.sent) - told())
                for _ in range(missing):
                    if not self._send_next():
                        return
                self._producer.poll(0)
                self._stop.wait(_LOOK_S)

        self._start(run)

    def by_chance(self, *, rate: float, seed: int) -> None:
        """Open loop, from now on: exponential gaps, `rate` a second in the mean."""

        def run() -> None:
            dice = random.Random(seed)
            due = time.monotonic()
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                self.lateness_s.append(time.monotonic() - due)
                if not self._send_next():
                    return
                self._producer.poll(0)
                due += dice.expovariate(rate)

        self._start(run)

    def stop(self) -> None:
        """Send no more; returns when all that was sent is acknowledged. Raises BenchmarkError."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        left = self._producer.flush(_FLUSH_S)
        if left or self._failures:
            raise BenchmarkError(f"commands were not acknowledged: {left}, {self._failures[:1]}")

    def _start(self, run: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=run, name="load", daemon=True)
        self._thread.start()

    def _send_next(self) -> bool:
        command = next(self._commands, None)
        if command is None:
            self.ran_dry = True
            return False
        topic, key, value, _ = command
        moment = int(time.time() * 1000)
        self._producer.produce(topic, value, key, timestamp=moment, on_delivery=self._delivered)
        self.sent[key] = moment
        return True

    def _delivered(self, error: Any, _message: Any) -> None:
        if error is not None:
            self._failures.append(str(error))
