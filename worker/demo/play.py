"""The demo: raises the curtain, performs the story, kills a worker in the middle, and compares the books at the end.

Everything lives in one temporary folder and in child processes; both are gone when `main` returns, however it ends.
The folder stays only where the books differ, or with `keep` where something failed: then its logs are wanted.
"""

import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from handlers.domain.errors import WorkerError
from worker import routes, wiring
from worker.demo import keeping, story, verdict
from worker.demo.audience import Audience
from worker.demo.audit import audit, settings_of
from worker.demo.director import Director
from worker.demo.shop import Shop
from worker.demo.stage import Stage, open_stage
from worker.demo.stage_error import StageError
from worker.demo.view import Screen

_SHOP: Final = "shop"
EQUAL, DIFFERENT, FAILED, INTERRUPTED = 0, 1, 3, 130
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Short bounds, so that a take-over and a proof of absence are seen within a minute. In production they are minutes.
_SHORT: Final = {
    "WORKER_GATEWAY_DEADLINE_S": "4",
    "WORKER_GATEWAY_MARGIN_S": "0.5",
    "WORKER_LEASE_S": "8",
    "WORKER_KAFKA_SESSION_TIMEOUT_S": "6",
    "WORKER_KAFKA_TRANSACTION_TIMEOUT_S": "7",
    "WORKER_GATEWAY_CONNECT_TIMEOUT_S": "1",
    "WORKER_ABSENCE_AFTER_S": "2",
    "WORKER_ASK_SCHEDULE_S": "1,2,3",
    "WORKER_RETRY_WAIT_S": "1",
    "WORKER_SETTLEMENT_WAIT_S": "2",
    "WORKER_ORPHAN_WAIT_S": "3",
}
_STRICT: Final = {"WORKER_ORDER_CHECK": "strict", "WORKER_ONE_PAYMENT": "enforce"}


def main(*, payments: int = 300, keep: bool = False, seed: int = 1, plain: bool = False) -> int:
    """Play the demo. The exit code: 0 the books are equal, 1 they differ, 3 a part failed, 130 interrupted."""
    screen = Screen(plain=plain)
    folder = Path(tempfile.mkdtemp(prefix="payment-worker-demo-"))
    code = FAILED
    with _interruptible() as quiet_end:
        try:
            with open_stage(folder, say=screen.say, seed=seed) as stage:
                try:
                    code = _run(stage, screen, payments=payments, keep=keep, seed=seed)
                finally:
                    quiet_end()
                    screen.close()
                    screen.say("stopping everything")
        except KeyboardInterrupt:
            code = INTERRUPTED
        except (StageError, WorkerError) as error:
            screen.close()
            screen.say(f"error: {error}")
        finally:
            quiet_end()
            if code == DIFFERENT or (code == FAILED and keep):
                screen.say(f"the logs are in {folder}: remove it when you have read them")
            else:
                shutil.rmtree(folder, ignore_errors=True)
    if code == FAILED and not keep:
        screen.say("everything is stopped and removed; with --keep the folder with the logs stays")
    if code == INTERRUPTED:
        screen.say("interrupted: everything is stopped and removed")
    return code


def _run(stage: Stage, screen: Screen, *, payments: int, keep: bool, seed: int) -> int:
    began = time.monotonic()
    stage.environment.update(_SHORT | _STRICT)
    stage.prepare()
    screen.say("journal migrated, topics created")
    told = _written(stage, payments=max(payments, story.FEWEST), seed=seed)
    stage.seed_orders(told.orders)
    screen.say(
        f"{len(told.orders)} orders are in the db-service; each is looked up before money moves"
    )
    _start_workers(stage)
    screen.say("worker-1 and worker-2 are ready, in one group")
    ready = time.monotonic()
    rested = _perform(stage, told, screen=screen)
    screen.say("all is at rest" if rested else "not at rest in time: comparing all the same")
    played = time.monotonic()
    found = audit(stage, published=told.published, requests=told.asked, name=_SHOP)
    verdict.show(found, screen.console)
    screen.say(
        f"workers ready after {ready - began:.0f} s, story {played - ready:.0f} s,"
        f" books {time.monotonic() - played:.0f} s"
    )
    if keep:
        keeping.keep(stage, screen)
    return EQUAL if found.equal else DIFFERENT


def _written(stage: Stage, *, payments: int, seed: int) -> story.Story:
    settings = settings_of(stage)
    topic = wiring.topics(settings).name(routes.INITIATION)
    shop = Shop(_SHOP, topic, wiring.wire_writer(settings), seed)
    return story.write(shop, payments=payments)


def _start_workers(stage: Stage) -> None:
    workers = [stage.worker(name) for name in ("worker-1", "worker-2")]
    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(lambda kept: kept.start(), workers))


def _perform(stage: Stage, told: story.Story, *, screen: Screen) -> bool:
    audience = Audience(settings_of(stage), told, beat=screen.say)
    audience.start()
    director = Director(stage, told, audience=audience, screen=screen)
    try:
        return director.perform()
    finally:
        director.close()
        audience.close()
        screen.close()


@contextmanager
def _interruptible() -> Iterator[Callable[[], None]]:
    """The first signal is a KeyboardInterrupt; after it, and after a call of what is yielded, none disturbs the end."""

    def ignore() -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        ignore()
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        if number != signal.SIGHUP or before[number] != signal.SIG_IGN:  # nohup means it
            signal.signal(number, interrupt)
    try:
        yield ignore
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
