import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Column = NDArray[np.float64]


@dataclass(frozen=True)
class Bars:
    high: Column
    low: Column
    close: Column
    volume: Column


@dataclass(frozen=True)
class Candles:
    open: Column
    high: Column
    low: Column
    close: Column

    @property
    def prices(self) -> tuple[Column, Column, Column, Column]:
        return self.open, self.high, self.low, self.close


@pytest.fixture
def golden_bars() -> Candles:
    """The 600 bars that golden/pandas.json was computed from: five waves, in whole cents."""
    state, close, rows = 12_345, 10_000, []

    def draw(below: int) -> int:
        nonlocal state
        state = (1_103_515_245 * state + 12_345) % 2**31
        return state // 65_536 % below

    for bar in range(600):
        opening = close
        close = opening + draw(201) - 100 + (8 if bar // 120 % 2 == 0 else -8)
        high = max(opening, close) + draw(50)
        low = min(opening, close) - draw(50)
        rows.append((opening, high, low, close))
    return Candles(*(np.array(rows, dtype=np.float64) / 100).T)


@pytest.fixture
def golden() -> Any:
    """KDJ and HAMA of `golden_bars`, as pandas computes them."""
    return json.loads((Path(__file__).parent / "golden" / "pandas.json").read_text())


@pytest.fixture
def random_bars() -> Callable[[int, int], Bars]:
    """Bars of a random walk, from a seed and a number of bars."""

    def make(seed: int, count: int) -> Bars:
        rng = np.random.default_rng(seed)
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
        reach = np.abs(rng.normal(0, 0.005, (2, count)))
        return Bars(
            high=close * (1 + reach[0]),
            low=close * (1 - reach[1]),
            close=close,
            volume=rng.integers(0, 1_000_000, count).astype(np.float64),
        )

    return make


@pytest.fixture(scope="session")
def walk() -> Callable[..., Any]:
    """Open, high, low and close of a random walk, from a seed, a number of bars and a level."""

    def make(seed: int, count: int, level: float = 100.0) -> Any:
        rng = np.random.default_rng(seed)
        close = level * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
        open_ = np.concatenate(([level], close[:-1]))
        reach = np.abs(rng.normal(0, 0.004, (2, count)))
        high = np.maximum(open_, close) * (1 + reach[0])
        low = np.minimum(open_, close) * (1 - reach[1])
        return open_, high, low, close

    return make
