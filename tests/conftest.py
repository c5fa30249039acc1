"""What holds for all tests, and what pytest prints behind them. No fixture: each folder has its own."""

import signal
from typing import Any

from tests.crash.crash_table import PROPERTY, lines

# Whoever starts the tests with `nohup` or `&` has Ctrl-C ignored, by all their children, too: some test just that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of the crash proof, where its tests were among those that ran."""
    reports = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
    rows = [value for it in reports for name, value in it.user_properties if name == PROPERTY]
    if not rows:
        return
    terminalreporter.section("crash at each station: each died of SIGKILL, the books are equal")
    for line in lines(rows):
        terminalreporter.write_line(line)
