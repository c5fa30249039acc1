"""The fuse: when it blows, what it lets through, and what it tells."""

from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.domain.errors import InvalidValueError
from worker.dead_letters import Reason
from worker.fuse import Blown, Fuse, FuseSettings, Weighed

TOPIC = "refund_request"
RUN = FuseSettings(run=3, share=0, window=0)
SHARE = FuseSettings(run=0, share=0.5, window=4)
FLAWS: dict[str, Reason | None] = {".": None, "u": Reason.UNREADABLE, "i": Reason.INVALID}


def batch(signs: str, topic: str = TOPIC) -> list[Weighed]:
    """One record for each sign: a dot is admitted, `u` unreadable, `i` invalid."""
    return [Weighed(topic, FLAWS[sign], f"partition 0 offset {n}") for n, sign in enumerate(signs)]


def take(fuse: Fuse, records: list[Weighed]) -> Blown | None:
    """As intake does it: judged, and counted only where it is admitted."""
    blown = fuse.judge(records)
    if blown is None:
        assert fuse.count(records) is None
    return blown


@pytest.mark.parametrize(
    ("settings", "batches", "blows"),
    [
        (RUN, ["uu.uu", ".u", "u"], False),
        (RUN, ["uuu"], True),
        (RUN, ["u", "i", "u"], True),
        (RUN, ["uu", ".uuu."], True),
        (RUN, ["uu", "", "uu"], True),
        (SHARE, ["u", "u"], False),
        (SHARE, ["uuu"], True),
        (SHARE, ["....", "uu", "u"], True),
        (SHARE, ["u.u.u.u.u.", "u."], False),
        (SHARE, ["u.u.", ".", "uu"], False),
        (SHARE, ["u.u.", "u", "u"], True),
        (FuseSettings(run=1, share=0), ["....", "u"], True),
        (FuseSettings(run=0, share=0), ["u" * 500], False),
        (FuseSettings(run=0, share=0.29, window=100), ["u" * 29, "." * 71], False),
        (FuseSettings(run=0, share=0.29, window=100), ["u" * 29, "u"], True),
        (FuseSettings(run=5, share=0.5, window=2), [".uuu."], True),
    ],
)
def test_when_it_blows(settings: FuseSettings, batches: list[str], *, blows: bool) -> None:
    """With the run's last dead letter, or with the first one above the share; never before."""
    fuse = Fuse(settings)
    *earlier, last = [batch(signs) for signs in batches]
    assert all(take(fuse, records) is None for records in earlier)
    assert blows == (take(fuse, last) is not None)
    assert blows == (TOPIC in fuse.blown)


def test_it_tells_what_happened_and_what_to_do() -> None:
    """The topic, the reasons by number, where the last one lies, which setting to raise, and to restart."""
    fuse = Fuse(RUN)
    take(fuse, batch("ui"))
    by_run = take(fuse, batch("u"))
    assert by_run == fuse.blown[TOPIC]
    assert by_run is not None
    assert f"Intake of {TOPIC} has stopped: 3 records in a row" in by_run.why
    assert "(unreadable 2, invalid 1), the last one at partition 0 offset 0." in by_run.why
    assert "raise WORKER_FUSE_RUN (now 3, 0 turns it off). Then restart this worker." in by_run.why
    by_share = take(Fuse(SHARE), batch(".uiu"))
    assert by_share is not None
    assert "3 of the last 4 records are dead letters (unreadable 2, invalid 1)" in by_share.why
    assert "raise WORKER_FUSE_SHARE (now 0.5 of 4, 0 turns it off)." in by_share.why


def test_it_stays_blown_for_its_topic_alone() -> None:
    """Good records of the same topic are held back, too; other topics go on, each by its own count."""
    fuse = Fuse(RUN)
    take(fuse, batch("uu", "other"))
    blown = take(fuse, batch("uuu"))
    assert blown is not None
    assert blown == take(fuse, batch("."))
    assert blown == take(fuse, [*batch(".", "other"), *batch(".")])
    assert take(fuse, batch(".uu", "other")) is None
    assert [TOPIC] == list(fuse.blown)


def test_what_was_dropped_counts_for_nobody() -> None:
    """The other topic's records in a dropped batch are judged anew, and count once."""
    fuse = Fuse(RUN)
    others = batch("uu", "other")
    assert take(fuse, [*others, *batch("uuu")]) is not None
    assert take(fuse, others) is None
    assert take(fuse, batch("u", "other")) is not None


def test_two_topics_blow_one_after_the_other() -> None:
    """Each is told when what is left of the batch is judged."""
    fuse = Fuse(RUN)
    mixed = [*batch("uuu", "one"), *batch("uuu", "two")]
    told = [fuse.judge(mixed), fuse.judge([it for it in mixed if it.topic == "two"])]
    assert ["one", "two"] == [blown.topic for blown in told if blown]


def test_conflicts_that_only_the_commit_finds_count() -> None:
    """They were admitted as good and came out as dead letters: the batch after them is held back."""
    fuse = Fuse(RUN)
    assert fuse.judge(batch("....")) is None
    came_out = [Weighed(TOPIC), *[Weighed(TOPIC, Reason.CONFLICT)] * 3]
    blown = fuse.count(came_out)
    assert blown is not None
    assert "conflict 3" in blown.why
    assert blown == fuse.judge(batch("."))


def test_crashes_in_a_row_do_not_spend_the_topic() -> None:
    """Each start goes on where the last one stopped, on a topic of rubbish: it makes fewer dead letters than a run."""
    spent = 0
    for size in (2, 2, 2, 50):
        fuse = Fuse(FuseSettings(run=20))
        before = spent
        while take(fuse, batch("u" * size)) is None:
            spent += size
        assert spent - before < 20
    assert spent == before  # a full batch of rubbish makes none at all


SETTINGS = st.builds(
    FuseSettings,
    run=st.integers(0, 6),
    share=st.floats(0, 0.99),
    window=st.integers(1, 12),
)


@given(SETTINGS, st.lists(st.text("..ui", max_size=8), max_size=30))
def test_never_more_pass_than_the_settings_allow(
    settings: FuseSettings, batches: list[str]
) -> None:
    """Whatever comes: fewer than `run` dead letters in a row, at most `share` of any `window`, and no false alarm."""
    fuse = Fuse(settings)
    passed = ""
    for signs in batches:
        if take(fuse, batch(signs)) is None:
            passed += signs
        else:
            assert breaks(settings, passed + signs)
            break
    assert not breaks(settings, passed)


def breaks(settings: FuseSettings, signs: str) -> bool:
    """Whether any place in `signs` breaks a rule of the settings, reckoned the long way."""
    dead = [sign != "." for sign in signs]
    longest = max((len(list(group)) for is_dead, group in groupby(dead) if is_dead), default=0)
    windows = [sum(dead[max(0, n - settings.window) : n]) for n in range(1, len(dead) + 1)]
    by_share = settings.share and any(it / settings.window > settings.share for it in windows)
    return bool(by_share) or 0 < settings.run <= longest


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"run": -1}, "fuse.run"),
        ({"run": 10_001}, "fuse.run"),
        ({"window": -1}, "fuse.window"),
        ({"window": 10_001}, "fuse.window"),
        ({"window": 0}, "fuse.window"),
        ({"share": -0.1}, "fuse.share"),
        ({"share": 1.0}, "fuse.share"),
        ({"share": float("nan")}, "fuse.share"),
    ],
)
def test_settings_name_what_is_wrong(wrong: dict[str, Any], field: str) -> None:
    """The field and what is allowed."""
    with pytest.raises(InvalidValueError, match=r"must be") as caught:
        FuseSettings(**wrong)
    assert field == caught.value.field
