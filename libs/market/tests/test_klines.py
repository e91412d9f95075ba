import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamdesk.market.sources.binance.klines import NotKlinesError, read_klines
from tests.klines_server import kline

MINUTE = 60_000
NOW = 1_795_000_000_000 // MINUTE * MINUTE

# A slow machine is no failure.
slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
values = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["1", "1.5", 1, NOW, 1e300, -(2**63), 2**63, "nan", "1e400", "9" * 40])
)  # fmt: skip
klines = st.lists(values, min_size=7, max_size=9)
anything = st.recursive(values, lambda inner: st.lists(inner, max_size=9), max_leaves=40)


def read(rows: Any) -> None:
    """Read it, and use what came of it as an analysis would."""
    try:
        series, sent = read_klines(json.dumps(rows).encode(), "BTCUSDT", 60, NOW)
    except NotKlinesError:
        return
    assert sent == len(rows)
    assert len(list(series.bars())) == len(series) <= sent


@slow
@given(anything)
def test_any_json_is_read_or_refused(rows: Any) -> None:
    read(rows)


@slow
@given(st.lists(klines, max_size=4))
def test_rows_of_any_values_are_read_or_refused(rows: Any) -> None:
    read(rows)


@slow
@given(row=st.integers(0, 2), column=st.integers(0, 6), value=values)
def test_good_klines_with_one_value_of_any_kind_are_read_or_refused(
    row: int, column: int, value: Any
) -> None:
    rows = [kline(NOW - back * MINUTE, MINUTE) for back in (3, 2, 1)]
    rows[row][column] = value
    read(rows)


@slow
@given(st.binary(max_size=50))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        assert len(read_klines(body, "BTCUSDT", 60, NOW)[0]) == 0
    except NotKlinesError:
        return


@pytest.mark.parametrize("time", [-1, 4_102_444_800_000, 2**63 - 1])
def test_a_time_that_no_bar_can_have_is_refused(time: int) -> None:
    with pytest.raises(NotKlinesError, match="order of their times"):
        read_klines(json.dumps([[time, 1, 1, 1, 1, 1, NOW - 1]]).encode(), "BTCUSDT", 60, NOW)
