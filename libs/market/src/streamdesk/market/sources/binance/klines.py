"""From Binance's klines to a series of bars.

An answer is a JSON list of lists, oldest first: open time (ms), open, high, low, close, volume
(decimal strings), close time (ms, the last millisecond of the bar), and five more values
(https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints).
The last one is usually still open: its close time is in the future.
"""

import json
from typing import Any

import numpy as np

from streamdesk.market.errors import BarSourceUnavailableError
from streamdesk.market.series import BarSeries, Floats, Times

INTERVALS = {
    1: "1s", 60: "1m", 180: "3m", 300: "5m", 900: "15m", 1_800: "30m", 3_600: "1h", 7_200: "2h",
    14_400: "4h", 21_600: "6h", 28_800: "8h", 43_200: "12h", 86_400: "1d", 259_200: "3d",
    604_800: "1w",
}  # fmt: skip
"""The lengths of bars that Binance has, in seconds; months vary in length and are left out."""

MOST_BARS = 1_000
"""Bars of one answer."""

LATEST_MS = 4_102_444_800_000
"""The year 2100: a later time is not that of a bar."""

_OPEN_TIME, _CLOSE_TIME = 0, 6
_COLUMNS = slice(1, 6)


class NotKlinesError(BarSourceUnavailableError):
    """An answer that is not a list of klines: of another server, or cut off."""


def read_klines(
    body: bytes, symbol: str, interval_seconds: int, now_ms: int
) -> tuple[BarSeries, int]:
    """The closed bars of an answer, and how many klines it had in all.

    Args:
        body: the answer.
        symbol: as in BTCUSDT.
        interval_seconds: length of a bar, one of INTERVALS.
        now_ms: a bar that ends later than this, in ms since 1970, is still open.

    Raises:
        NotKlinesError: the answer is not a list of klines, or its numbers are invalid.
    """
    try:
        rows: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotKlinesError(f"{symbol}: the answer is not JSON: {body[:80]!r}") from error
    if not isinstance(rows, list):
        raise NotKlinesError(f"{symbol}: the answer is not a list of klines: {body[:80]!r}")
    # Not an error: before a pair was listed there are no klines.
    if not rows:
        return BarSeries.empty(symbol, interval_seconds), 0
    try:
        opened = np.array([row[_OPEN_TIME] for row in rows], np.int64)
        closes = np.array([row[_CLOSE_TIME] for row in rows], np.int64)
        # Of strings, numbers or both; anything else is refused.
        table = np.array([[float(v) for v in row[_COLUMNS]] for row in rows], np.float64)
    except (TypeError, ValueError, KeyError, IndexError, OverflowError) as error:
        raise NotKlinesError(f"{symbol}: a kline cannot be read: {error}") from error
    if table.shape != (len(rows), 5):
        raise NotKlinesError(f"{symbol}: a kline has too few values: {str(rows[0])[:80]}")
    _check(symbol, opened, table)
    closed = closes < now_ms
    columns = np.ascontiguousarray(table[closed].T)
    ends = opened[closed] + 1_000 * interval_seconds
    return BarSeries(symbol, interval_seconds, ends, *columns), len(rows)


def _check(symbol: str, opened: Times, table: Floats) -> None:
    first, high, low, last, volume = table.T
    good = (
        np.isfinite(table).all(axis=1)
        & (low > 0)
        & (low <= np.minimum(first, last))
        & (np.maximum(first, last) <= high)
        & (volume >= 0)
    )
    if not good.all():
        wrong = int(np.argmin(good))
        raise NotKlinesError(
            f"{symbol}: kline {wrong + 1} is invalid: open, high, low, close, volume are "
            f"{table[wrong].tolist()}"
        )
    if not (opened[0] >= 0 and opened[-1] < LATEST_MS and (opened[1:] > opened[:-1]).all()):
        raise NotKlinesError(
            f"{symbol}: the klines are not in the order of their times: from {opened[0]} on"
        )
