from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.console.domain.moments import moment, moment_or_id
from streamdesk.console.errors import UsageError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-21T09:00Z", datetime(2026, 11, 21, 9, 0, tzinfo=UTC)),
        ("2026-11-21T09:00:30.5+01:00", datetime(2026, 11, 21, 8, 0, 30, 500_000, tzinfo=UTC)),
        ("90s", NOW - timedelta(seconds=90)),
        ("10m", NOW - timedelta(minutes=10)),
        ("2h", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
    ],
)
def test_a_moment_is_a_time_with_its_zone_or_how_long_ago(text: str, at: datetime) -> None:
    assert moment("--since", text, NOW) == at
    assert moment_or_id("--since", text, NOW) == at


@pytest.mark.parametrize("text", ["0", "1763712000000", "1763712000000-0", "1763712000000-12"])
def test_a_point_in_a_stream_is_left_as_it_is(text: str) -> None:
    assert moment_or_id("--since", text, NOW) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "10",
        "10 m",
        "10min",
        "-10m",
        "2026",
        "2026-11",
        "2026-13-01T00:00Z",
        "$",
        "999999d",
        "0001-01-01T00:00+14:00",
    ],
)
def test_anything_else_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        moment_or_id("--until", text, NOW)
    said = str(caught.value)
    assert said.startswith(f"--until is {text!r}")
    for example in ("2026-11-21T09:00Z", "10m", "1763712000000-0"):
        assert example in said


def test_a_time_without_a_zone_is_refused_with_how_to_write_it() -> None:
    with pytest.raises(UsageError, match=r"no zone; .* as in 2026-11-21T09:00Z$"):
        moment("--since", "2026-11-21T09:00", NOW)
    with pytest.raises(UsageError, match=r"as in 2026-11-21T00:00Z$"):
        moment("--since", "2026-11-21", NOW)


@given(st.datetimes(timezones=st.timezones(), allow_imaginary=False))
def test_every_time_with_a_zone_is_understood(at: datetime) -> None:
    try:
        expected = at.astimezone(UTC)
    except OverflowError:  # before the first year, or after the last
        return
    assert moment("--since", at.isoformat(), NOW) == expected
