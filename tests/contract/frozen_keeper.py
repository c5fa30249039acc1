"""A process that keeps a lease until it is over, and says why on standard output. For a test that freezes it."""

import sys
import threading

from db_client.database import engine
from db_client.sessions import LeaseKeeper, boottime, start_session
from handlers.domain.errors import SessionOver


def main(url: str, lease_s: float) -> None:
    """Keep the session "kept" as long as it can be kept."""
    own = engine(url, role="payment-worker lease kept", pool_size=1)
    ended = threading.Event()

    def tell(over: SessionOver) -> None:
        print(over, flush=True)  # noqa: T201 - what the test reads
        ended.set()

    taken_at = boottime()
    started = start_session(own, session_id="kept", group="tests", lease_s=lease_s)
    LeaseKeeper(own, started, taken_at=taken_at, on_over=tell).start()
    print("kept", flush=True)  # noqa: T201 - the same
    ended.wait()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
