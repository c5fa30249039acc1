"""Times and names as operators type them."""

from datetime import UTC, datetime, timedelta

import pytest

from handlers.domain.errors import InvalidValueError
from worker.commands.operators import named, word
from worker.commands.spans import age_s, instant

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("2h", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("2026-05-01T12:00:00Z", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ("2026-05-01T12:00:00+02:00", datetime(2026, 5, 1, 10, tzinfo=UTC)),
        ("2026-05-01", datetime(2026, 5, 1, tzinfo=UTC)),
        (None, None),
    ],
)
def test_an_age_or_a_time_is_understood(text: str | None, at: datetime | None) -> None:
    """An age counts back from now; a time without a zone is UTC, as everything that we print is."""
    assert at == instant(text, now=NOW, option="--since")


@pytest.mark.parametrize("text", ["", "2", "h2", "2 hours", "yesterday", "999999w", "2026-13-01"])
def test_what_is_no_time_is_refused_with_the_option(text: str) -> None:
    """The error names the option and gives an example."""
    with pytest.raises(InvalidValueError, match="--since: must be an age such as"):
        instant(text, now=NOW, option="--since")


def test_an_age_alone_is_not_a_time() -> None:
    """Where only an age makes sense, a date is refused."""
    assert 86_400 == age_s("24h", option="--held-for")
    with pytest.raises(InvalidValueError, match="--held-for"):
        age_s("2026-05-01", option="--held-for")


@pytest.mark.parametrize("text", ["", "  ", "x" * 256, "a\nb"])
def test_a_decisions_words_must_be_fit_to_be_kept(text: str) -> None:
    """Who and why stand in the journal for ever: not empty, not endless, on one line."""
    with pytest.raises(InvalidValueError, match="--why"):
        word("--why", text)


def test_who_decides_is_the_systems_user_unless_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is there without an option, and an option counts more."""
    monkeypatch.setenv("LOGNAME", "carl")
    assert "carl" == named(None)
    assert "ann" == named(" ann ")
