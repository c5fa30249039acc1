"""What pytest prints behind all tests, wherever they ran. No fixture: each folder has its own."""

from typing import Any

from tests.crash.crash_table import PROPERTY, lines


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of the crash proof, where its tests were among those that ran."""
    reports = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
    rows = [value for it in reports for name, value in it.user_properties if name == PROPERTY]
    if not rows:
        return
    terminalreporter.section("crash at each station: each died of SIGKILL, the books are equal")
    for line in lines(rows):
        terminalreporter.write_line(line)
